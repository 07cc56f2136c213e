"""Mean distances between estimated and true points, of which the package's tables are made."""

from simspine.evaluation.metrics import finite_values, mean_or_nan, point_distances, similarity_aligned


def mpjpe(estimate, reference) -> float:
    """Mean distance over all points present in both (frames, points, 3)."""
    return mean_or_nan(finite_values([point_distances(estimate, reference)]))


def p_mpjpe(estimate, reference) -> float:
    """The same after the best similarity of each frame."""
    return mpjpe(similarity_aligned(estimate, reference), reference)
