"""A virtual capture: people whose spines are known, seen by virtual cameras and a virtual detector."""
