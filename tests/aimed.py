"""Where a camera looks."""

import numpy as np


def aimed(centre, aim) -> np.ndarray:
    """R of a camera at `centre` that looks at `aim`, with its image upright in a world with z up."""
    forward = np.subtract(aim, centre) / np.linalg.norm(np.subtract(aim, centre))
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])
