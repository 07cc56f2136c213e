"""Markers on the skin, followed through one view's video from a few clicks: spheres, stickers, dots of a tape.

Optical flow (pyramidal Lucas–Kanade, there and back) carries a marker to the next frame, the centre of what differs
from the skin around it holds it in place, so that small errors of the flow do not add up. A marker that is covered is
looked for again where the person's trunk takes it. Between two clicks it is followed from both; where the two ways
disagree it is missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simspine.detection.blob_centre import Blob, find_centre
from simspine.detection.crops import Crops
from simspine.errors import InputError

TRUNK = ("LShoulder", "RShoulder", "LHip", "RHip")
FLOW_WINDOW, FLOW_REACH = 21, 48  # px: patch compared, half the side of the images it is looked for in
THERE_AND_BACK_PX = 1.5
FAINT, AGAIN = 0.2, 0.5  # share of its usual contrast at which a marker is lost, and found again
USUAL = 0.1  # how fast the usual contrast follows light and attitude, per frame
FARTHEST = 3  # radii around where the trunk takes a lost marker, looked at
NEAR = 1.5  # radii: how far beside it may be, one standard deviation
LONGEST_S = 2.0  # out of sight; after that a click is needed
DISAGREE = 0.75  # radii between the ways from two clicks
_GRID = np.arange(-FARTHEST, FARTHEST + 1)

Clicks = Mapping[int, tuple[float, float] | None]  # frame → x, y px; None: hidden from here on


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
        usual = (1 - USUAL) * self.usual + USUAL * blob.mass
        return _State(blob.xy, frame, blob.xy, blob.xy - self.place, usual)


def track_markers(
    crops: Crops, clicks: Mapping[str, Clicks], trunk: np.ndarray, radius: float, rate: float
) -> dict[str, np.ndarray]:
    """{marker: (frames, 3)} x px, y px, confidence 0…1; NaN and 0 where it is not seen.

    crops: the images. trunk: (frames, 4, 2) px, the person's `TRUNK` in this view, NaN = unknown. radius: of a marker,
    px. rate: frames/s. Raises `InputError` for a click at a frame that the video does not have, or beside the person.
    """
    for marker, at in clicks.items():
        for frame, xy in at.items():
            if not 0 <= frame < len(crops):
                raise InputError(f"marker {marker!r} is clicked at frame {frame}; the video has {len(crops)} frames.")
            if xy is not None and not crops.inside(frame, np.asarray(xy)):
                raise InputError(
                    f"marker {marker!r} is clicked at {xy[0]:g}, {xy[1]:g} px in frame {frame}, which is not on the "
                    "trunk of the person followed. Clicks are x right, y down in the image, frames from 0."
                )
    ways = [_one_way(crops, clicks, trunk, radius, rate, step) for step in (1, -1)]
    return {marker: joined(ways[0][marker], ways[1][marker], clicks[marker], radius) for marker in clicks}


def _one_way(
    crops: Crops, clicks: Mapping[str, Clicks], trunk: np.ndarray, radius: float, rate: float, step: int
) -> dict[str, np.ndarray]:
    """From each click on, in one direction: {marker: (frames, 3)}."""
    frames = range(len(crops))[::step]
    found = {marker: np.tile([np.nan, np.nan, 0.0], (len(crops), 1)) for marker in clicks}
    states: dict[str, _State | None] = dict.fromkeys(clicks)
    for frame in frames:
        for marker, at in clicks.items():
            if frame in at:
                states[marker] = _clicked(crops, frame, at[frame], radius)
                continue
            state = states[marker]
            if state is None:
                continue
            if abs(frame - state.seen_at) > LONGEST_S * rate:
                states[marker] = None
                continue
            others = [s.place for name, s in states.items() if s is not None and name != marker]
            states[marker] = _followed(crops, state, frame, step, trunk, radius, others)
        for marker, state in states.items():
            if state is not None and state.seen_at == frame:
                found[marker][frame] = *state.place, 1.0
    return found


def _clicked(crops: Crops, frame: int, xy: tuple[float, float] | None, radius: float) -> _State | None:
    """Where the click hits the marker; the hand's word counts where nothing stands out there."""
    if xy is None:
        return None
    place = np.asarray(xy, float)
    blob = find_centre(lambda p, half: crops.window(frame, p, half), place, radius)
    if blob.mass > 0 and within(blob.xy, place, radius):
        place = blob.xy
    return _State(place, frame, place, np.zeros(2), max(blob.mass, 1e-9))


def _followed(
    crops: Crops, state: _State, frame: int, step: int, trunk: np.ndarray, radius: float, others: Sequence[np.ndarray]
) -> _State:
    """The state one frame on. A marker out of sight keeps when and where it was seen."""

    def blob_at(start: np.ndarray) -> Blob:
        return find_centre(lambda place, half: crops.window(frame, place, half), start, radius)

    before = frame - step
    if state.seen_at == before:
        flow = flowed(crops, before, frame, state.place, moved_with(trunk, before, frame, state.place))
        start = state.place + state.step if flow is None else flow
        blob = blob_at(start)
        if blob.mass >= FAINT * state.usual and within(blob.xy, start, radius) and _free(blob.xy, others, radius):
            return state.seen(frame, blob)
    carried = moved_with(trunk, state.seen_at, frame, state.seen_place)
    blobs = [blob_at(carried + radius * np.array([i, j])) for i in _GRID for j in _GRID]
    likely = [
        (blob.mass * np.exp(-0.5 * ((blob.xy - carried) ** 2).sum() / (NEAR * radius) ** 2), blob)
        for blob in blobs
        if AGAIN <= blob.mass / state.usual <= 1 / AGAIN and _free(blob.xy, others, radius)
    ]
    if not likely:
        return replace(state, place=carried)
    return replace(state, place=carried).seen(frame, max(likely, key=lambda pair: pair[0])[1])


def within(a: np.ndarray, b: np.ndarray, distance: float) -> bool:
    return bool(np.hypot(*(a - b)) <= distance)


def _free(place: np.ndarray, others: Sequence[np.ndarray], radius: float) -> bool:
    """Whether no other marker is there."""
    return not any(within(place, other, radius) for other in others)


def flowed(crops: Crops, before: int, frame: int, place: np.ndarray, guess: np.ndarray) -> np.ndarray | None:
    """Where optical flow takes a point (2,) px; None where the way back does not lead to it."""
    import cv2

    first = np.ascontiguousarray(crops.window(before, place, FLOW_REACH)[..., 0])
    second = np.ascontiguousarray(crops.window(frame, guess, FLOW_REACH)[..., 0])
    start = np.full((1, 1, 2), FLOW_REACH, np.float32)
    size, empty = (FLOW_WINDOW, FLOW_WINDOW), np.empty_like(start)
    there, found, _ = cv2.calcOpticalFlowPyrLK(first, second, start, empty.copy(), winSize=size, maxLevel=2)
    back, returned, _ = cv2.calcOpticalFlowPyrLK(second, first, there, empty.copy(), winSize=size, maxLevel=2)
    if not (found.all() and returned.all()) or np.hypot(*(back - start).ravel()) > THERE_AND_BACK_PX:
        return None
    return guess + there.ravel() - FLOW_REACH


def moved_with(trunk: np.ndarray, before: int, after: int, place: np.ndarray) -> np.ndarray:
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


def joined(forward: np.ndarray, backward: np.ndarray, clicks: Clicks, radius: float) -> np.ndarray:
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
    found[hidden | (both & (apart > DISAGREE * radius))] = np.nan, np.nan, 0.0
    return found
