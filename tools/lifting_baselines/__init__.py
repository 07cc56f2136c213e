"""The SIMSPINE paper's lifting baselines and the controls they must beat: `python -m tools.lifting_baselines`."""
