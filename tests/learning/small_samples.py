"""Random samples of the spine's points, without any body."""

import numpy as np
from tools.lifting_baselines.samples import LIFTED_SPINE_POINTS, LiftingSamples

NAMES = LIFTED_SPINE_POINTS


def small_samples(count: int, seed: int = 0) -> LiftingSamples:
    """Points in space drawn about a pose; the image is what a pinhole 5 m away sees of them."""
    rng = np.random.default_rng(seed)
    pose = np.linspace([0, 0, 0], [0.1, -0.6, 0.05], len(NAMES))
    xyz = pose + rng.normal(0, 0.05, (count, len(NAMES), 3))
    xyz -= xyz[:, :1]
    place = rng.normal([0, 0, 5.0], 0.2, (count, 1, 3))
    image = (xyz + place)[..., :2] / (xyz + place)[..., 2:]
    seen = image + rng.normal(0, 1e-3, (count, len(NAMES), 2))
    return LiftingSamples(NAMES, seen, xyz)
