"""The same people's samples anew each epoch: with other errors of the detector, and half of them mirrored."""

import numpy as np

from simspine.learning.views import Samples
from simspine.skeletons import TARGET, load


def redrawn(data: Samples, exact: Samples, seed: int, epoch: int) -> Samples:
    """Each sample with the detector's errors, and gaps, of another one; half of them seen in a mirror.

    data: as detected; exact: the same samples with the projected truth as image points. Equal arguments give equal
    samples. Errors of a sample stay together over points and frames, so that they are correlated as they were.
    """
    random = np.random.default_rng([seed, epoch])
    seen = exact.seen + (data.seen - exact.seen)[random.permutation(len(data))]
    turned = random.random(len(data)) < 0.5
    return Samples(
        data.names,
        np.where(turned[:, None, None, None], mirrored(data.names, seen), seen),
        np.where(turned[:, None, None], mirrored(data.names, data.xyz), data.xyz),
    )


def mirrored(names: tuple[str, ...], places: np.ndarray) -> np.ndarray:
    """Places (…, points, 2 or 3) with x turned round, left points in the places of right ones."""
    skeleton = load(TARGET)
    others = [skeleton.names[skeleton.swaps[skeleton.index(name)]] for name in names]
    signs = np.where(np.arange(places.shape[-1]) == 0, -1.0, 1.0)
    return places[..., [names.index(name) for name in others], :] * signs
