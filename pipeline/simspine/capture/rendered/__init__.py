"""Pictures and videos of people whose spines are known, with exact labels."""
