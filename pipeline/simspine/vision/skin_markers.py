"""Markers on the skin, followed through one view's video from a few clicks: spheres, stickers, dots of a tape.

Optical flow (pyramidal Lucas–Kanade, there and back) carries a marker to the next frame, the centre of what differs
from the skin around it holds it in place, so that small errors of the flow do not add up. A marker that is covered is
looked for again where the person's trunk takes it. Between two clicks it is followed from both; where the two ways
disagree it is missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from simspine.core.errors import InputError
from simspine.vision.detector import Crops

# Where exactly a marker on the skin is in an image: the centre of what differs from its surroundings.
# The surroundings may have two colours (skin and the edge of clothes) and all mixtures of them. In colour space
# that is a line segment, and what lies off it belongs to the marker: a sphere, its dark base, a sticker.


SURROUNDINGS_RING = (1.7, 2.4)  # surroundings, in radii of the marker
WINDOW_REACH = 2.7  # half a window's side, in radii
CENTRE_STEPS = 3
SECOND_COLOUR_SHARE = 0.1  # share of the surroundings from which another colour is one of theirs, not the marker's
SURROUNDINGS_NOISE_SD = 3.0  # deviations of the surroundings that belong to them
LEAST_CONTRAST = 2.0  # of colours in Lab, 8 bits
MOST_CONTRAST = 25.0  # more counts no more: a bright sphere and its dark base weigh by their areas
PLAIN_COLOUR_DISTANCE = 40.0  # colours of the surroundings that are no farther apart, as light and shadow on skin are


class Blob(NamedTuple):
    """xy: (2,) px. mass: how much differs from the surroundings, summed; 0 where nothing does."""

    xy: np.ndarray
    mass: float


def find_centre(crops: Crops, frame: int, xy: np.ndarray, radius: float) -> Blob:
    """The blob nearest to `xy` (2,) px in a frame.

    At the edge of clothes the place stays as given: there the marker's own dark side passes for cloth.
    """
    place, mass, half = np.asarray(xy, float), 0.0, int(np.ceil(WINDOW_REACH * radius))
    v, u = np.mgrid[-half : half + 1, -half : half + 1]
    near, distance = np.exp(-0.5 * (u * u + v * v) / radius**2), np.hypot(u, v)
    ring = (distance >= SURROUNDINGS_RING[0] * radius) & (distance <= SURROUNDINGS_RING[1] * radius)
    for _ in range(CENTRE_STEPS):
        window = crops.window(frame, place, half).astype(float)
        first, second = _two_colours(window[ring])
        off = _from_segment(window, first, second)  # how far each pixel's colour is from those of the surroundings
        contrast = off - SURROUNDINGS_NOISE_SD * float(np.median(off[ring])) - LEAST_CONTRAST
        weight = np.clip(contrast, 0.0, MOST_CONTRAST) * near
        mass = float(weight.sum())
        if mass <= 0 or np.linalg.norm(first - second) > PLAIN_COLOUR_DISTANCE:
            return Blob(place, mass)
        place = place + np.array([(weight * u).sum(), (weight * v).sum()]) / mass
    return Blob(place, mass)


def _two_colours(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Medians of the pixels (n, 3) on either side of the middle of their range, along their principal direction."""
    centred = pixels - pixels.mean(0)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    along = centred @ direction
    high = along > (along.min() + along.max()) / 2
    share = high.mean()
    first, second = (pixels[high], pixels[~high]) if share > 0.5 else (pixels[~high], pixels[high])
    most = np.median(first, 0)
    return most, most if min(share, 1 - share) < SECOND_COLOUR_SHARE else np.median(second, 0)


def _from_segment(colours: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distances of colours (..., 3) from the segment between two."""
    along = second - first
    share = np.clip((colours - first) @ along / max(float(along @ along), 1e-9), 0, 1)
    return np.linalg.norm(colours - first - share[..., None] * along, axis=-1)


TRUNK_POINTS = ("LShoulder", "RShoulder", "LHip", "RHip")
FLOW_WINDOW, FLOW_REACH = 21, 48  # px: patch compared, half the side of the images it is looked for in
MAX_FLOW_RETURN_PX = 1.5
LOST_CONTRAST_SHARE, FOUND_CONTRAST_SHARE = 0.2, 0.5  # of its usual contrast: a marker is lost below, found again above
CONTRAST_FOLLOWING_RATE = 0.1  # how fast the usual contrast follows light and attitude, per frame
SEARCH_RADII = 3  # radii around where the trunk takes a lost marker, looked at
SEARCH_SD_RADII = 1.5  # radii: how far from there it may be, one standard deviation
MAX_LOST_S = 2.0  # out of sight; after that a click is needed
MAX_DISAGREEMENT_RADII = 0.75  # radii between the ways from two clicks
_SEARCH_OFFSETS = np.arange(-SEARCH_RADII, SEARCH_RADII + 1)

MarkerClicks = Mapping[int, tuple[float, float] | None]  # frame → x, y px; None: hidden from here on


@dataclass(frozen=True)
class _State:
    """Where a marker is, and how it was when it was last seen.

    step: its last motion from one frame to the next, px. usual: its contrast, followed slowly.
    """

    place: np.ndarray
    seen_at: int
    seen_place: np.ndarray
    step: np.ndarray
    usual: float

    def seen(self, frame: int, blob: Blob) -> "_State":
        usual = (1 - CONTRAST_FOLLOWING_RATE) * self.usual + CONTRAST_FOLLOWING_RATE * blob.mass
        return _State(place=blob.xy, seen_at=frame, seen_place=blob.xy, step=blob.xy - self.place, usual=usual)


def track_markers(
    crops: Crops, clicks: Mapping[str, MarkerClicks], trunk: np.ndarray, radius: float, rate: float
) -> dict[str, np.ndarray]:
    """{marker: (frames, 3)} x px, y px, confidence 0…1; NaN and 0 where it is not seen.

    crops: the images. trunk: (frames, 4, 2) px, the person's `TRUNK_POINTS` in this view, NaN = unknown. radius: of a
    marker, px. rate: frames/s. Raises `InputError` for a click at a frame that the video does not have, or off the
    person.
    """
    for marker, at in clicks.items():
        for frame, xy in at.items():
            if not 0 <= frame < len(crops):
                raise InputError(f"marker {marker!r} is clicked at frame {frame}; the video has {len(crops)} frames.")
            if xy is not None:
                require_on_trunk(crops, f"marker {marker!r}", frame, xy)
    ways = [_one_way(crops, clicks, trunk, radius=radius, rate=rate, step=step) for step in (1, -1)]
    return {marker: join_both_ways(ways[0][marker], ways[1][marker], clicks[marker], radius) for marker in clicks}


def require_on_trunk(crops: Crops, what: str, frame: int, xy: tuple[float, float]) -> None:
    """`InputError` for a click beyond the part of the image that is kept."""
    if not crops.inside(frame, np.asarray(xy)):
        raise InputError(
            f"{what} is clicked at {xy[0]:g}, {xy[1]:g} px in frame {frame}, which is not on the trunk of the person "
            "followed. Clicks are x right, y down in the image, frames from 0."
        )


def _one_way(
    crops: Crops, clicks: Mapping[str, MarkerClicks], trunk: np.ndarray, radius: float, rate: float, step: int
) -> dict[str, np.ndarray]:
    """From each click on, in one direction: {marker: (frames, 3)}."""
    frames = range(len(crops))[::step]
    found = {marker: np.tile([np.nan, np.nan, 0.0], (len(crops), 1)) for marker in clicks}
    states: dict[str, _State | None] = dict.fromkeys(clicks)
    for frame in frames:
        for marker, at in clicks.items():
            if frame in at:
                states[marker] = _clicked_marker(crops, frame, at[frame], radius)
                continue
            state = states[marker]
            if state is None:
                continue
            if abs(frame - state.seen_at) > MAX_LOST_S * rate:
                states[marker] = None
                continue
            others = [s.place for name, s in states.items() if s is not None and name != marker]
            states[marker] = _followed_state(crops, state, frame, step=step, trunk=trunk, radius=radius, others=others)
        for marker, state in states.items():
            if state is not None and state.seen_at == frame:
                found[marker][frame] = *state.place, 1.0
    return found


def _clicked_marker(crops: Crops, frame: int, xy: tuple[float, float] | None, radius: float) -> _State | None:
    """Where the click hits the marker; the hand's word counts where nothing stands out there."""
    if xy is None:
        return None
    place = np.asarray(xy, float)
    blob = find_centre(crops, frame, place, radius)
    if blob.mass > 0 and within_distance(blob.xy, place, radius):
        place = blob.xy
    return _State(place=place, seen_at=frame, seen_place=place, step=np.zeros(2), usual=max(blob.mass, 1e-9))


def _followed_state(
    crops: Crops, state: _State, frame: int, step: int, trunk: np.ndarray, radius: float, others: Sequence[np.ndarray]
) -> _State:
    """The state one frame on. A marker out of sight keeps when and where it was seen."""
    before = frame - step
    if state.seen_at == before:
        flow = follow_by_flow(
            crops, before, frame, place=state.place, guess=moved_with_trunk(trunk, before, frame, state.place)
        )
        start = state.place + state.step if flow is None else flow
        blob = find_centre(crops, frame, start, radius)
        if (
            blob.mass >= LOST_CONTRAST_SHARE * state.usual
            and within_distance(blob.xy, start, radius)
            and _is_free_place(blob.xy, others, radius)
        ):
            return state.seen(frame, blob)
    carried = moved_with_trunk(trunk, state.seen_at, frame, state.seen_place)
    starts = [carried + radius * np.array([i, j]) for i in _SEARCH_OFFSETS for j in _SEARCH_OFFSETS]
    blobs = [find_centre(crops, frame, start, radius) for start in starts]
    likely = [
        (blob.mass * np.exp(-0.5 * ((blob.xy - carried) ** 2).sum() / (SEARCH_SD_RADII * radius) ** 2), blob)
        for blob in blobs
        if FOUND_CONTRAST_SHARE <= blob.mass / state.usual <= 1 / FOUND_CONTRAST_SHARE
        and _is_free_place(blob.xy, others, radius)
    ]
    if not likely:
        return replace(state, place=carried)
    return replace(state, place=carried).seen(frame, max(likely, key=lambda pair: pair[0])[1])


def within_distance(a: np.ndarray, b: np.ndarray, distance: float) -> bool:
    return bool(np.hypot(*(a - b)) <= distance)


def _is_free_place(place: np.ndarray, others: Sequence[np.ndarray], radius: float) -> bool:
    """Whether no other marker is there."""
    return not any(within_distance(place, other, radius) for other in others)


def follow_by_flow(crops: Crops, before: int, frame: int, place: np.ndarray, guess: np.ndarray) -> np.ndarray | None:
    """Where optical flow takes a point (2,) px; None where the way back does not lead to it."""
    import cv2

    first = np.ascontiguousarray(crops.window(before, place, FLOW_REACH)[..., 0])
    second = np.ascontiguousarray(crops.window(frame, guess, FLOW_REACH)[..., 0])
    start = np.full((1, 1, 2), FLOW_REACH, np.float32)
    size, empty = (FLOW_WINDOW, FLOW_WINDOW), np.empty_like(start)
    there, found, _ = cv2.calcOpticalFlowPyrLK(first, second, start, empty.copy(), winSize=size, maxLevel=2)
    back, returned, _ = cv2.calcOpticalFlowPyrLK(second, first, there, empty.copy(), winSize=size, maxLevel=2)
    if not (found.all() and returned.all()) or np.hypot(*(back - start).ravel()) > MAX_FLOW_RETURN_PX:
        return None
    return guess + there.ravel() - FLOW_REACH


def moved_with_trunk(trunk: np.ndarray, before: int, after: int, place: np.ndarray) -> np.ndarray:
    """A point (2,) px of one frame where the trunk's motion in the image takes it: turned, scaled and shifted with it.

    Shifted only, where fewer than two points of the trunk are seen in both frames; the same place where none is.
    """
    a, b = trunk[before], trunk[after]
    both = np.isfinite(a).all(1) & np.isfinite(b).all(1)
    if not both.any():
        return np.asarray(place, float)
    p, q = a[both] @ [1, 1j], b[both] @ [1, 1j]  # a similarity of the plane is one complex factor
    spread = np.abs(p - p.mean()) ** 2
    turn = (np.conj(p - p.mean()) * (q - q.mean())).sum() / spread.sum() if both.sum() > 1 and spread.sum() > 0 else 1.0
    moved = q.mean() + turn * (complex(*place) - p.mean())
    return np.array([moved.real, moved.imag])


def join_both_ways(forward: np.ndarray, backward: np.ndarray, clicks: MarkerClicks, radius: float) -> np.ndarray:
    """(frames, 3): the way there before the next click, the way back before it, both between two that agree."""
    found = np.where(np.isfinite(forward[:, :1]), forward, backward)
    both = np.isfinite(forward).all(1) & np.isfinite(backward).all(1)
    apart = np.hypot(*(forward - backward)[:, :2].T)
    at = np.array(sorted(clicks))
    frames = np.arange(len(found))
    latest = at[np.clip(np.searchsorted(at, frames, "right") - 1, 0, None)]
    since = frames - latest
    until = at[np.clip(np.searchsorted(at, frames), None, len(at) - 1)] - frames
    share = (since / np.maximum(since + until, 1))[:, None]
    found[both] = ((1 - share) * forward + share * backward)[both]
    hidden = np.array(
        [clicks[int(click)] is None and click <= frame for click, frame in zip(latest, frames, strict=True)]
    )
    found[hidden | (both & (apart > MAX_DISAGREEMENT_RADII * radius))] = np.nan, np.nan, 0.0
    return found
