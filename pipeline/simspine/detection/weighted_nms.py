"""Non-maximum suppression that averages what it suppresses."""

import numpy as np


def weighted_nms(found: np.ndarray, overlap: float) -> np.ndarray:
    """Detections (n, 5 + k): score, x0 y0 x1 y1, k more coordinates → (m, 5 + k), the surest first.

    The surest detection and all that overlap it by more than `overlap` (intersection over union) become one: its
    score, and the mean of their coordinates weighted by score; then the same with the rest.
    """
    rest, kept = found[np.argsort(-found[:, 0], kind="stable")], []
    while len(rest):
        near = intersection_over_union(rest[0, 1:5], rest[:, 1:5]) > overlap
        near[0] = True
        kept.append(np.r_[rest[0, 0], np.average(rest[near, 1:], axis=0, weights=rest[near, 0])])
        rest = rest[~near]
    return np.array(kept).reshape(-1, found.shape[1])


def intersection_over_union(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(n,) of a box (4,) and boxes (n, 4), x0 y0 x1 y1; 0 where they do not meet."""
    shared = np.clip(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0, None).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
    return np.divide(shared, areas - shared, out=np.zeros(len(boxes)), where=areas > shared)
