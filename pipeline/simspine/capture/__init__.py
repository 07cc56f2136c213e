"""A virtual capture: synthetic subjects with known spines, virtual cameras and a simulated detector."""
