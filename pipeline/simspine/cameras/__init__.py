"""How well cameras agree with what they saw, and what would make them agree better."""
