"""Learning from data sets: lifters that turn 2D points of one view into points in space, and what they must beat."""
