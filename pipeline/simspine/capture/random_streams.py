"""An independent stream of random numbers for each quantity, and correlated sequences: drift, runs of events."""

import hashlib

import numpy as np


def stream(seed: int, *labels: str) -> np.random.Generator:
    """A generator of its own for each set of labels, so that adding one draw changes no other.

    seed: of the capture. labels: what is drawn, for whom ('detections', 'S1', 'Walking_1', 'swaps').
    """
    digest = hashlib.sha256("\x1f".join(labels).encode()).digest()
    return np.random.default_rng(np.random.SeedSequence([seed, *np.frombuffer(digest, "<u4").tolist()]))


def drift(
    rng: np.random.Generator, frames: int, shape: tuple[int, ...], rate: float, correlation_time: float
) -> np.ndarray:
    """Ornstein–Uhlenbeck processes of variance one, stationary from the first frame: (frames, *shape).

    rate: frames/s. correlation_time: s, after which the correlation is 1/e; 0 gives white noise.
    """
    from scipy.signal import lfilter

    steps = rng.standard_normal((frames, *shape))
    if correlation_time <= 0:
        return steps
    keep = np.exp(-1 / (rate * correlation_time))
    steps[1:] *= np.sqrt(1 - keep**2)
    return lfilter([1.0], [1.0, -keep], steps, axis=0)


def runs(rng: np.random.Generator, likely: np.ndarray, share: float, rate: float, duration: float) -> np.ndarray:
    """Spells of something rare: bool, shaped as `likely` (frames, …).

    likely: relative likelihood that a spell starts in a frame, any scale. share: of all frames in spells, on average
    over the array. rate: frames/s. duration: mean length of a spell, s (at least a frame). Lengths are geometric,
    spells may overlap; the share then is 1 − exp(−starts per frame · length).
    """
    if share <= 0 or likely.size == 0:
        return np.zeros(likely.shape, bool)
    length = max(rate * duration, 1.0)
    expected = -np.log1p(-share) * likely / likely.mean()  # spells that cover a frame
    starts = rng.random(likely.shape) < 1 - np.exp(-expected / length)
    starts[0] |= rng.random(likely.shape[1:]) < 1 - np.exp(-expected[0])  # those that began before
    ends = np.where(starts, rng.geometric(1 / length, likely.shape), 0)
    frame = np.arange(len(likely)).reshape(-1, *[1] * (likely.ndim - 1))
    return np.maximum.accumulate(np.where(starts, frame + ends, 0), 0) > frame


def held(rng: np.random.Generator, spells: np.ndarray) -> np.ndarray:
    """Uniform numbers (*spells.shape, 2) in 0…1 that stay the same as long as a spell goes on."""
    values = rng.random((*spells.shape, 2))
    first = spells.copy()
    first[1:] &= ~spells[:-1]
    frame = np.arange(len(spells)).reshape(-1, *[1] * (spells.ndim - 1))
    source = np.maximum.accumulate(np.where(first, frame, 0), 0)
    return np.take_along_axis(values, source[..., None], 0)
