"""Skin markers, followed through one view's video from a few clicks: spheres, stickers, dots of a tape.

Optical flow (pyramidal Lucas–Kanade, forward and backward) takes a marker to the next frame. There its position is
corrected to the centre of the pixels that differ from the skin around, so that errors of the flow do not accumulate. A
covered marker is looked for again where the motion of the trunk takes it. Between two clicks it is followed from both;
where these two tracks disagree it is missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from simspine.core.errors import InputError
from simspine.core.geometry import distance_from_segment
from simspine.vision.detector import Crops

# The centre of a skin marker in an image: the centre of the pixels that differ from its surroundings.
# The surroundings may have two colours (skin and the edge of clothes) and all mixtures of them. In colour space
# these are a line segment, and colours off it belong to the marker: a sphere, its dark base, a sticker.


SURROUNDINGS_RING = (1.7, 2.4)  # inner and outer radius of the surroundings, in radii of the marker
WINDOW_REACH = 2.7  # half a window's side, in radii
CENTRE_STEPS = 3
SECOND_COLOUR_SHARE = 0.1  # least share of the surroundings for which a second colour is theirs, not the marker's
SURROUNDINGS_NOISE_SD = 3.0  # median colour deviations within which a pixel belongs to the surroundings
LEAST_CONTRAST = 2.0  # of colours in Lab, 8 bits
MOST_CONTRAST = 25.0  # greater contrast is clipped: a bright sphere and its dark base are weighted by area
PLAIN_COLOUR_DISTANCE = 40.0  # largest distance of the surroundings' two colours on skin, by light and shadow


class Blob(NamedTuple):
    """xy: centre (2,) px. mass: sum of the contrast with the surroundings over the pixels; 0 without contrast."""

    xy: np.ndarray
    mass: float


def find_centre(crops: Crops, frame: int, xy: np.ndarray, radius: float) -> Blob:
    """The blob nearest to `xy` (2,) px in a frame.

    At the edge of clothes the position stays as given: the marker's own dark side looks like cloth there.
    """
    place, mass, half = np.asarray(xy, float), 0.0, int(np.ceil(WINDOW_REACH * radius))
    v, u = np.mgrid[-half : half + 1, -half : half + 1]
    gaussian, distance = np.exp(-0.5 * (u * u + v * v) / radius**2), np.hypot(u, v)
    ring = (distance >= SURROUNDINGS_RING[0] * radius) & (distance <= SURROUNDINGS_RING[1] * radius)
    for _ in range(CENTRE_STEPS):
        window = crops.window(frame, place, half).astype(float)
        first, second = _two_colours(window[ring])
        deviation = distance_from_segment(window, first, second)  # of each pixel's colour from the surroundings
        contrast = deviation - SURROUNDINGS_NOISE_SD * float(np.median(deviation[ring])) - LEAST_CONTRAST
        weight = np.clip(contrast, 0.0, MOST_CONTRAST) * gaussian
        mass = float(weight.sum())
        if mass <= 0 or np.linalg.norm(first - second) > PLAIN_COLOUR_DISTANCE:
            return Blob(place, mass)
        place = place + np.array([(weight * u).sum(), (weight * v).sum()]) / mass
    return Blob(place, mass)


def _two_colours(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median colours of pixels (n, 3) on either side of the middle of their range along their principal direction."""
    centred = pixels - pixels.mean(0)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    along = centred @ direction
    high = along > (along.min() + along.max()) / 2
    share = high.mean()
    first, second = (pixels[high], pixels[~high]) if share > 0.5 else (pixels[~high], pixels[high])
    main = np.median(first, 0)
    return main, main if min(share, 1 - share) < SECOND_COLOUR_SHARE else np.median(second, 0)


TRUNK_POINTS = ("LShoulder", "RShoulder", "LHip", "RHip")
FLOW_WINDOW, FLOW_REACH = 21, 48  # px: side of the patch compared; half the side of the window searched
MAX_FLOW_RETURN_PX = 1.5  # largest distance of a point after forward and backward flow
LOST_CONTRAST_SHARE, FOUND_CONTRAST_SHARE = 0.2, 0.5  # of its usual contrast: a marker is lost below, found again above
CONTRAST_FOLLOWING_RATE = 0.1  # weight of each frame in the usual contrast, which follows light and attitude
SEARCH_RADII = 3  # half side of the search grid, in radii, around the place to which the trunk moves a lost marker
SEARCH_SD_RADII = 1.5  # radii: standard deviation of a lost marker's distance from that place
MAX_LOST_S = 2.0  # s, longest time out of sight; after that a click is needed
MAX_DISAGREEMENT_RADII = 0.75  # radii: largest distance between the tracks from two clicks
_SEARCH_OFFSETS = np.arange(-SEARCH_RADII, SEARCH_RADII + 1)

MarkerClicks = Mapping[int, tuple[float, float] | None]  # frame → x, y px; None: hidden from here on


@dataclass(frozen=True)
class _State:
    """Position of a marker, and the frame and position at which it was last seen.

    step: its last motion from one frame to the next, px. usual: its contrast, averaged over recent frames.
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
    marker, px. rate: frames/s. Raises `InputError` for a click off the person.
    """
    for marker, by_frame in clicks.items():
        for frame, xy in by_frame.items():
            if xy is not None:
                require_on_trunk(crops, f"marker {marker!r}", frame, xy)
    tracks = [_track_one_way(crops, clicks, trunk, radius=radius, rate=rate, step=step) for step in (1, -1)]
    return {marker: join_both_ways(tracks[0][marker], tracks[1][marker], clicks[marker], radius) for marker in clicks}


def require_on_trunk(crops: Crops, what: str, frame: int, xy: tuple[float, float]) -> None:
    """`InputError` for a click outside the part of the image that is kept."""
    if not crops.inside(frame, np.asarray(xy)):
        where = f"{what} is clicked at {xy[0]:g}, {xy[1]:g} px in frame {frame}"
        raise InputError(f"{where}, not on the trunk of the person followed. Is y down, and the first frame 0?")


def _track_one_way(
    crops: Crops, clicks: Mapping[str, MarkerClicks], trunk: np.ndarray, radius: float, rate: float, step: int
) -> dict[str, np.ndarray]:
    """Tracks {marker: (frames, 3)} from each click on, in one direction of time."""
    frames = range(len(crops))[::step]
    found = {marker: np.tile([np.nan, np.nan, 0.0], (len(crops), 1)) for marker in clicks}
    states: dict[str, _State | None] = dict.fromkeys(clicks)
    for frame in frames:
        for marker, by_frame in clicks.items():
            if frame in by_frame:
                states[marker] = _clicked_marker(crops, frame, by_frame[frame], radius)
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
    """State of a clicked marker, at its centre; at the click itself where no blob is found there."""
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
    """The state in the next frame. A marker out of sight keeps the frame and position at which it was last seen."""
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
    return not any(within_distance(place, other, radius) for other in others)


def follow_by_flow(crops: Crops, before: int, frame: int, place: np.ndarray, guess: np.ndarray) -> np.ndarray | None:
    """Position (2,) px to which optical flow takes a point; None where the backward flow does not return to it."""
    import cv2

    first = np.ascontiguousarray(crops.window(before, place, FLOW_REACH)[..., 0])
    second = np.ascontiguousarray(crops.window(frame, guess, FLOW_REACH)[..., 0])
    start = np.full((1, 1, 2), FLOW_REACH, np.float32)
    size, empty = (FLOW_WINDOW, FLOW_WINDOW), np.empty_like(start)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(first, second, start, empty.copy(), winSize=size, maxLevel=2)
    back, returned, _ = cv2.calcOpticalFlowPyrLK(second, first, moved, empty.copy(), winSize=size, maxLevel=2)
    if not (found.all() and returned.all()) or np.hypot(*(back - start).ravel()) > MAX_FLOW_RETURN_PX:
        return None
    return guess + moved.ravel() - FLOW_REACH


def moved_with_trunk(trunk: np.ndarray, before: int, after: int, place: np.ndarray) -> np.ndarray:
    """A point (2,) px after the trunk's motion between two frames in the image: rotation, scale and shift.

    Shift only, where fewer than two points of the trunk are seen in both frames; unchanged where none is.
    """
    a, b = trunk[before], trunk[after]
    both = np.isfinite(a).all(1) & np.isfinite(b).all(1)
    if not both.any():
        return np.asarray(place, float)
    p, q = a[both] @ [1, 1j], b[both] @ [1, 1j]  # a similarity of the plane is one complex factor
    total = (np.abs(p - p.mean()) ** 2).sum()
    factor = (np.conj(p - p.mean()) * (q - q.mean())).sum() / total if both.sum() > 1 and total > 0 else 1.0
    moved = q.mean() + factor * (complex(*place) - p.mean())
    return np.array([moved.real, moved.imag])


def join_both_ways(forward: np.ndarray, backward: np.ndarray, clicks: MarkerClicks, radius: float) -> np.ndarray:
    """Track (frames, 3): the only known one of both; where both are known, their mean weighted by nearness of clicks.

    NaN where both disagree, or after a click that hides the marker."""
    track = np.where(np.isfinite(forward[:, :1]), forward, backward)
    both = np.isfinite(forward).all(1) & np.isfinite(backward).all(1)
    distance = np.hypot(*(forward - backward)[:, :2].T)
    clicked, frames = np.array(sorted(clicks)), np.arange(len(track))
    latest = clicked[np.clip(np.searchsorted(clicked, frames, "right") - 1, 0, None)]
    since = frames - latest
    until = clicked[np.clip(np.searchsorted(clicked, frames), None, len(clicked) - 1)] - frames
    share = (since / np.maximum(since + until, 1))[:, None]
    track[both] = ((1 - share) * forward + share * backward)[both]
    hidden = np.array([clicks[int(last)] is None and last <= f for last, f in zip(latest, frames, strict=True)])
    track[hidden | (both & (distance > MAX_DISAGREEMENT_RADII * radius))] = np.nan, np.nan, 0.0
    return track
