"""Where exactly a marker on the skin is in an image: the centre of what differs from its surroundings.

The surroundings may have two colours (skin and the edge of clothes) and all mixtures of them. In colour space that is
a line segment, and what lies beside it belongs to the marker: a sphere, its dark base, a sticker.
"""

from typing import NamedTuple

import numpy as np

RING = (1.7, 2.4)  # surroundings, in radii of the marker
REACH = 2.7  # half a window's side, in radii
STEPS = 3
SECOND = 0.1  # share of the surroundings from which another colour is one of theirs, not the marker's
NOISE = 3.0  # deviations of the surroundings that belong to them
LEAST_CONTRAST = 2.0  # of colours in Lab, 8 bits
MOST_CONTRAST = 25.0  # more counts no more: a bright sphere and its dark base weigh by their areas
PLAIN = 40.0  # colours of the surroundings that are no farther apart, as light and shadow on skin are


class Blob(NamedTuple):
    """xy: (2,) px. mass: how much differs from the surroundings, summed; 0 where nothing does."""

    xy: np.ndarray
    mass: float


def half_window(radius: float) -> int:
    """Half the side of the window that `contrast` looks at, px."""
    return int(np.ceil(REACH * radius))


def find_centre(window_at, xy: np.ndarray, radius: float) -> Blob:
    """The blob nearest to `xy` (2,) px. window_at: (centre, half side) → (n, n, 3) Lab image around it.

    At the edge of clothes the place stays as given: there the marker's own dark side passes for cloth.
    """
    place, mass, half = np.asarray(xy, float), 0.0, half_window(radius)
    v, u = np.mgrid[-half : half + 1, -half : half + 1]
    near = np.exp(-0.5 * (u * u + v * v) / radius**2)
    for _ in range(STEPS):
        window = window_at(place, half).astype(float)
        colours = surroundings(window, radius)
        weight = _contrast(window, colours) * near
        mass = float(weight.sum())
        if mass <= 0 or np.linalg.norm(colours.first - colours.second) > PLAIN:
            return Blob(place, mass)
        place = place + np.array([(weight * u).sum(), (weight * v).sum()]) / mass
    return Blob(place, mass)


class Surroundings(NamedTuple):
    """Two colours (3,) of which all others are mixtures, and how far they usually are from such mixtures."""

    first: np.ndarray
    second: np.ndarray
    noise: float


def surroundings(window: np.ndarray, radius: float) -> Surroundings:
    """What a marker in the middle of a window (n, n, 3) Lab lies on."""
    half = len(window) // 2
    v, u = np.mgrid[-half : half + 1, -half : half + 1]
    distance = np.hypot(u, v)
    around = window[(distance >= RING[0] * radius) & (distance <= RING[1] * radius)].astype(float)
    first, second = _two_colours(around)
    return Surroundings(first, second, float(np.median(_from_segment(around, first, second))))


def _contrast(window: np.ndarray, colours: Surroundings) -> np.ndarray:
    """(n, n): how far each pixel's colour is from those of the surroundings, beyond their noise."""
    distance = _from_segment(window, colours.first, colours.second)
    return np.clip(distance - NOISE * colours.noise - LEAST_CONTRAST, 0.0, MOST_CONTRAST)


def _two_colours(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Medians of the pixels (n, 3) on either side of the middle of their range, along their principal direction."""
    centred = pixels - pixels.mean(0)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    along = centred @ direction
    high = along > (along.min() + along.max()) / 2
    share = high.mean()
    first, second = (pixels[high], pixels[~high]) if share > 0.5 else (pixels[~high], pixels[high])
    most = np.median(first, 0)
    return most, most if min(share, 1 - share) < SECOND else np.median(second, 0)


def _from_segment(colours: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distances of colours (..., 3) from the segment between two."""
    along = second - first
    share = np.clip((colours - first) @ along / max(float(along @ along), 1e-9), 0, 1)
    return np.linalg.norm(colours - first - share[..., None] * along, axis=-1)
