"""Identity of people: detections of one person in several views, and people from image to image of one view."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import scipy

from simspine.core import geometry
from simspine.core.arrays import mean_of_known, median_of_known
from simspine.core.errors import InputError, names_text
from simspine.core.skeletons import Skeleton, load_skeleton
from simspine.core.types import Camera
from simspine.io.text_tables import warn_assumed

# The geometry of all views, then continuity in time decide which detections of several views are one person.
# Neither the order of detections nor their scores are used. Each detection is reduced to a few *landmarks* that
# exchanging left and right does not move: the mid-points of hips, shoulders, knees and ankles. In each frame, two
# detections in different views propose positions of the landmarks (the points nearest to both rays), every other
# view supports the proposal with its nearest detection, and the best supported proposals become people. People of
# successive frames are linked into tracks. In gaps of a track, each view gives it the detection nearest to its path.


MAX_RAY_MISS_M = 0.25  # m, largest distance of landmarks from their rays (median over landmarks)
MAX_TRACK_GAP_S = 2.0  # s, longest gap in the track of one person
MAX_PLACE_DISTANCE_M = 1.0  # m, of a person from a place that was named for them, when nearest
CLEARLY_FARTHER_RATIO = 1.5  # of mean distances from a named place: others are farther than this
MIN_TRACK_SHARE = 0.2  # least share of the frames in which two views or more see a person
_LANDMARK_PAIRS = ("Hip", "Shoulder", "Knee", "Ankle")
_MIN_SHARED_LANDMARKS = 2  # landmarks two detections must share to be compared
_MAX_PROPOSALS = 64  # best pairs of detections tried per frame
_CLEAR_MATCH_SHARE = 0.25  # of `MAX_RAY_MISS_M`: within all of it, a point between two people would match both
_FRAMES_PER_BATCH = 500  # frames triangulated together: a few megabytes
_MAX_JUMP_M = 0.3  # noise of a position
_MAX_SPEED_M_S = 4.0  # greatest mean speed of a person since last seen

PersonChoice = str | Sequence[float]


@dataclass(frozen=True)
class _Frame:
    """Detections of all views at one instant; NaN where a landmark was not seen."""

    view: np.ndarray  # (detections,)
    person: np.ndarray  # (detections,) index among the people of its view
    extent: np.ndarray  # (detections,) px, diagonal of the box around its landmarks
    centre: np.ndarray  # (detections, 3) m, centre of its camera
    direction: np.ndarray  # (detections, landmarks, 3), unit viewing rays


@dataclass
class _Track:
    """A person over time. positions: (landmarks, 3) m per frame; a landmark not seen keeps its last known position."""

    frames: list[int] = field(default_factory=list)
    members: list[np.ndarray] = field(default_factory=list)  # indices of the person's detections, per frame
    positions: list[np.ndarray] = field(default_factory=list)
    seen: int = 0  # number of the person's detections in all views and frames
    extent: float = 0.0  # px, sum over the detections

    def add(self, frame: int, position: np.ndarray, members: np.ndarray, extents: np.ndarray) -> None:
        if self.positions:
            position = np.where(np.isfinite(position), position, self.positions[-1])
        self.frames.append(frame)
        self.members.append(members)
        self.positions.append(position)
        self.seen += len(extents)
        self.extent += float(extents.sum())


@dataclass(frozen=True)
class _Tracked:
    """All frames, landmarks and detections of the people in each, and tracks of people over time."""

    people: np.ndarray
    frames: list[_Frame]
    people_in_frames: list[list[tuple[np.ndarray, np.ndarray]]]
    tracks: list[_Track]

    @property
    def lasting_tracks(self) -> list[_Track]:
        """Tracks of people who are seen for long, see `MIN_TRACK_SHARE`."""
        return [track for track in self.tracks if len(track.frames) >= MIN_TRACK_SHARE * len(self.frames)]


def associate_person(
    people: np.ndarray,
    cameras: Sequence[Camera],
    skeleton: Skeleton | str,
    rate: float,
    person: PersonChoice = "most_views",
) -> np.ndarray:
    """Detections (frames, views, points, 3) of one person; NaN where a view did not see the person.

    people: (frames, views, people, points, 3) x px, y px, confidence; padded with NaN, in any order. cameras: one per
    view. skeleton: of the first points; further points are kept with them. rate: frames/s. person: 'most_views' (seen
    in the most views and frames; of people seen about equally often, the largest), 'largest' (in the images, on
    average) or a point (x, y, z) m of the cameras' world (the nearest person on average). Raises `InputError` if two
    views are consistent about nobody, or none of several people is ever near that point.
    """
    tracked = _track_people(people, cameras, skeleton, rate)
    track = _choose_track(tracked.tracks, person)
    if not isinstance(person, str):
        _check_named_place(np.asarray(person, float), track, tracked)
    elif person == "most_views":
        _warn_of_others(track, tracked)
    (chosen,) = _gather_detections(tracked, [track], rate)
    return chosen


def tracks_of_people(
    people: np.ndarray, cameras: Sequence[Camera], skeleton: Skeleton | str, rate: float
) -> list[np.ndarray]:
    """Detections (frames, views, points, 3) of each person, as of `associate_person`; the most seen person comes first.

    A track counts as a person if two views or more saw it in `MIN_TRACK_SHARE` of the frames: shorter tracks are rays
    that meet by chance, or people passing by. No two people share a detection. A person absent for longer than
    `MAX_TRACK_GAP_S` counts as another person afterwards. Parameters and errors as in `associate_person`; the list is
    empty where nobody was seen for long enough.
    """
    tracked = _track_people(people, cameras, skeleton, rate)
    lasting = sorted(tracked.lasting_tracks, key=lambda track: -track.seen)
    return _gather_detections(tracked, lasting, rate)


def _track_people(people: np.ndarray, cameras: Sequence[Camera], skeleton: Skeleton | str, rate: float) -> _Tracked:
    skeleton = load_skeleton(skeleton) if isinstance(skeleton, str) else skeleton
    people = np.asarray(people)
    if people.ndim != 5 or people.shape[1] != len(cameras) or people.shape[3] < len(skeleton) or people.shape[4] != 3:
        wanted = f"(frames, {len(cameras)} views, people, {len(skeleton)} points, 3)"
        raise InputError(f"people has shape {people.shape}, expected {wanted} for skeleton {skeleton.name!r}.")
    if len(cameras) < 2:
        raise InputError("telling people apart by consistency needs at least two cameras.")
    landmarks = _detection_landmarks(people, skeleton)
    directions = _landmark_directions(landmarks, cameras)
    frames = [_frame_geometry(*each, cameras) for each in zip(landmarks, directions, strict=True)]
    found = _people_in_frames(frames)
    tracks = _link_tracks(frames, found, rate)
    if not any(len(frame.view) for frame in frames):
        text = f"nobody was detected in any of {len(frames)} frames of {len(cameras)} views"
        raise InputError(f"{text}. Is the person in the images, upright and large enough?")
    if not tracks:
        text = f"nobody was seen consistently in two views of any frame: rays are over {MAX_RAY_MISS_M:g} m apart"
        raise InputError(f"{text}. Is the calibration that of these views, in their order?")
    return _Tracked(people, frames, found, tracks)


def _detection_landmarks(people: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(frames, views, people, landmarks, 2) px: mid-points that a left-right swap does not move."""
    pairs = [(skeleton.from_simspine("L" + p), skeleton.from_simspine("R" + p)) for p in _LANDMARK_PAIRS]
    pairs = [(left, right) for left, right in pairs if left is not None and right is not None]
    if len(pairs) < _MIN_SHARED_LANDMARKS:
        raise InputError(f"skeleton {skeleton.name!r} lacks hips and shoulders; people cannot be distinguished by it.")
    xy = np.where(people[..., 2:] > 0, people[..., :2], np.nan).astype(float)
    return np.stack([(xy[..., left, :] + xy[..., right, :]) / 2 for left, right in pairs], -2)


def _landmark_directions(landmarks: np.ndarray, cameras: Sequence[Camera]) -> np.ndarray:
    """(frames, views, people, landmarks, 3): unit vectors in the world from each camera; NaN where not detected."""
    direction = np.empty((*landmarks.shape[:-1], 3))
    for v, camera in enumerate(cameras):
        normal = geometry.undistort_pixels(camera, landmarks[:, v])
        direction[:, v] = np.concatenate([normal, np.ones_like(normal[..., :1])], -1) @ camera.R  # R.T of rows
    return direction / np.linalg.norm(direction, axis=-1, keepdims=True)


def _frame_geometry(landmarks: np.ndarray, directions: np.ndarray, cameras: Sequence[Camera]) -> _Frame:
    view, person = np.nonzero(np.isfinite(landmarks).all(-1).sum(-1) >= _MIN_SHARED_LANDMARKS)
    spread = [np.linalg.norm(np.nanmax(p, 0) - np.nanmin(p, 0)) for p in landmarks[view, person]]
    centre = np.array([camera.centre for camera in cameras])
    return _Frame(
        view=view, person=person, extent=np.array(spread), centre=centre[view], direction=directions[view, person]
    )


def _ray_distances_m(frame: _Frame, position: np.ndarray) -> np.ndarray:
    """(..., detections): distances (m) of positions (..., landmarks, 3) from each detection's rays.

    The median over landmarks, so that one badly seen landmark does not decide; inf where fewer than two are shared.
    """
    offset = position[..., None, :, :] - frame.centre[:, None]
    depth = (offset * frame.direction).sum(-1)
    distance = np.linalg.norm(offset - depth[..., None] * frame.direction, axis=-1)
    shared = np.isfinite(depth)
    distance = np.where(depth > 0, distance, np.inf)  # behind the camera: infinitely far
    count, median = shared.sum(-1), median_of_known(np.where(shared, distance, np.nan))
    return np.where(count >= _MIN_SHARED_LANDMARKS, median, np.inf)


def _people_in_frames(frames: Sequence[_Frame]) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """People of every frame, as of `_people_of`.

    Where each view shows at most one person, and clearly the same one, as in a laboratory, there is nothing to decide:
    such frames are triangulated together, in a fifth of the time. All views together determine such a person's
    position, also where no two views could: landmarks hidden, rays nearly parallel.
    """
    found: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
    alike: dict[tuple[int, ...], list[int]] = {}
    for f, frame in enumerate(frames):
        views = tuple(frame.view.tolist())
        if 2 <= len(views) == len(set(views)):
            alike.setdefault(views, []).append(f)
    for which in alike.values():
        everybody = np.arange(len(frames[which[0]].view))
        for part in (which[i : i + _FRAMES_PER_BATCH] for i in range(0, len(which), _FRAMES_PER_BATCH)):
            joined = replace(frames[part[0]], direction=np.stack([frames[f].direction for f in part]))
            positions = geometry.nearest_to_rays(joined.centre, joined.direction)
            farthest = _ray_distances_m(joined, positions).max(-1)
            same = np.flatnonzero(farthest < _CLEAR_MATCH_SHARE * MAX_RAY_MISS_M)
            found |= {part[i]: [(positions[i], everybody)] for i in same}
    return [found[f] if f in found else _people_of(frame) for f, frame in enumerate(frames)]


def _people_of(frame: _Frame) -> list[tuple[np.ndarray, np.ndarray]]:
    """People at one instant: landmarks (landmarks, 3) m, and the detections, at most one per view, that show them."""
    a, b = np.triu_indices(len(frame.view), 1)
    different = frame.view[a] != frame.view[b]
    pairs = np.stack([a[different], b[different]], 1)
    if not len(pairs):
        return []
    proposals = geometry.nearest_to_rays(frame.centre[pairs], frame.direction[pairs])
    miss = _ray_distances_m(frame, proposals)  # (pairs, detections)
    own = np.take_along_axis(miss, pairs, 1).max(1)
    tried = np.argsort(own)[:_MAX_PROPOSALS]
    miss = miss[tried[own[tried] < MAX_RAY_MISS_M]]
    found = []
    while len(miss):
        nearest, distance = _nearest_per_view(frame, miss)  # (proposals, views)
        within = distance < MAX_RAY_MISS_M
        views = within.sum(1)
        # the most views, then the least mean distance: as a share of the tolerance, it counts less than one view
        best = np.argmax(views - np.where(within, distance, 0.0).sum(1) / MAX_RAY_MISS_M / np.maximum(views, 1))
        if views[best] < 2:
            break
        members = nearest[best, within[best]]
        found.append(geometry.nearest_to_rays(frame.centre[members], frame.direction[members]))
        miss[:, members] = np.inf
    return _share_out(frame, np.array(found)) if found else []


def _share_out(frame: _Frame, positions: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Give each view's detections to the people (n, landmarks, 3) they fit best, at most one each; place them anew.

    Who was found first may have taken a detection of somebody who stands behind them in one view.
    """
    miss = _ray_distances_m(frame, positions)
    members: list[list[int]] = [[] for _ in positions]
    for v in np.unique(frame.view):
        mine = np.flatnonzero(frame.view == v)
        for i, j in _matched_pairs(miss[:, mine], MAX_RAY_MISS_M):
            members[i].append(mine[j])
    return [
        (geometry.nearest_to_rays(frame.centre[m], frame.direction[m]), np.array(m)) for m in members if len(m) >= 2
    ]


def _matched_pairs(cost: np.ndarray, limit: float) -> list[tuple[int, int]]:
    """Rows and columns of least summed cost, each once, where it is below the limit (Hungarian method)."""
    rows, columns = scipy.optimize.linear_sum_assignment(np.where(cost < limit, cost, IMPOSSIBLE_COST))
    return [(i, j) for i, j in zip(rows.tolist(), columns.tolist(), strict=True) if cost[i, j] < limit]


def _nearest_per_view(frame: _Frame, miss: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For distances (..., detections): index of the nearest detection of each view that has any, and its distance."""
    views = [np.flatnonzero(frame.view == v) for v in np.unique(frame.view)]
    nearest = np.stack([mine[np.argmin(miss[..., mine], -1)] for mine in views], -1)
    return nearest, np.take_along_axis(miss, nearest, -1)


def _link_tracks(frames: Sequence[_Frame], people: Sequence[list], rate: float) -> list[_Track]:
    """Tracks: people of successive frames, each linked to the nearest track within reach of a moving person."""
    tracks: list[_Track] = []
    for f, (frame, found) in enumerate(zip(frames, people, strict=True)):
        alive = [track for track in tracks if f - track.frames[-1] <= max(MAX_TRACK_GAP_S * rate, 1)]
        cost = np.full((len(alive), len(found)), np.inf)
        for i, track in enumerate(alive):
            reach = _MAX_JUMP_M + _MAX_SPEED_M_S * (f - track.frames[-1]) / rate
            for j, (position, _) in enumerate(found):
                apart = np.linalg.norm(position - track.positions[-1], axis=-1)
                apart = np.median(apart[np.isfinite(apart)]) if np.isfinite(apart).any() else np.inf
                cost[i, j] = apart if apart < reach else np.inf
        linked = {j: alive[i] for i, j in _matched_pairs(cost, np.inf)}
        for j, (position, members) in enumerate(found):
            if j not in linked:
                linked[j] = _Track()
                tracks.append(linked[j])
            linked[j].add(f, position, members, frame.extent[members])
    return tracks


def _choose_track(tracks: Sequence[_Track], person: PersonChoice) -> _Track:
    """The person wanted, among tracks not far shorter than the longest: rays of different people meet by chance."""
    most = max(track.seen for track in tracks)
    if isinstance(person, str) and person == "most_views":  # a small difference in the number of detections is ignored
        return max((t for t in tracks if t.seen >= 0.9 * most), key=lambda t: t.extent / t.seen)
    lasting = [track for track in tracks if track.seen >= 0.25 * most]
    if isinstance(person, str):
        return max(lasting, key=lambda t: t.extent / t.seen)
    point = np.asarray(person, float)
    return min(lasting, key=lambda t: _distances_m(t, point).mean())


def _distances_m(track: _Track, point: np.ndarray) -> np.ndarray:
    """(frames,) m: distances of a person from a point (3,)."""
    return np.linalg.norm(mean_of_known(np.array(track.positions), 1) - point, axis=-1)


def _check_named_place(point: np.ndarray, track: _Track, tracked: _Tracked) -> None:
    """Raise where none of several people is ever near the place (3,) m that was named; warn where two are as near."""
    others = [one for one in tracked.lasting_tracks if one is not track]
    named = f"detection.person is [{', '.join(f'{value:g}' for value in point)}] m"
    if _distances_m(track, point).min() > MAX_PLACE_DISTANCE_M:
        places = names_text([_usual_place(one) for one in (track, *others)])
        text = f"{named}, but nobody comes within {MAX_PLACE_DISTANCE_M:g} m of it. People are at {places} m"
        text = f"{text} of the calibration's axes (z up; points of results have y up). Take one of these."
        if others:
            raise InputError(text)
        warn_assumed(text)
    own = _distances_m(track, point).mean()
    near = [one for one in others if _distances_m(one, point).mean() < CLEARLY_FARTHER_RATIO * own]
    if near:
        text = f"{named}; the one at {_usual_place(track)} m is followed, {own:.1f} m from it on average"
        warn_assumed(f"{text}. Hardly farther: {names_text([_usual_place(one) for one in near])}. Name a nearer place.")


def _warn_of_others(track: _Track, tracked: _Tracked) -> None:
    """Warn where others are seen for long, of whom one may be the person meant."""
    frames = len(tracked.frames)
    others = [one for one in tracked.lasting_tracks if one is not track]
    if others:
        about = [f"at {_usual_place(one)} m in {len(one.frames)} frames" for one in (track, *others)]
        text = f"{len(about)} people are seen for long. The one {about[0]} of {frames} is followed"
        warn_assumed(f"{text}; others are {names_text(about[1:])}. `detection.person: [x, y, z]` chooses another.")


def _usual_place(track: _Track) -> str:
    """'[1.2, 0.3, 0.9]': the median place of a person, m."""
    place = median_of_known(np.reshape(track.positions, (-1, 3)).T)
    return f"[{', '.join(f'{value:.1f}' for value in place)}]"


def _gather_detections(tracked: _Tracked, tracks: Sequence[_Track], rate: float) -> list[np.ndarray]:
    """The detections of each person tracked.

    Where fewer than two views found the person, the track is interpolated linearly. It takes nearby detections that
    belong to nobody else: one view may still see the person.
    """
    people = tracked.people
    out = [np.full((*people.shape[:2], *people.shape[3:]), np.nan) for _ in tracks]
    for f, (frame, found) in enumerate(zip(tracked.frames, tracked.people_in_frames, strict=True)):
        free = np.ones(len(frame.view), bool)
        for _, members in found:
            free[members] = False
        for points, track in zip(out, tracks, strict=True):
            members = _detections_of_track(frame, f, track, free=np.flatnonzero(free), rate=rate)
            free[members] = False
            points[f, frame.view[members]] = people[f, frame.view[members], frame.person[members]]
    return out


def _detections_of_track(frame: _Frame, f: int, track: _Track, free: np.ndarray, rate: float) -> np.ndarray:
    """The track's detections in frame f. free: detections of nobody, used where the track does not have the frame."""
    i = bisect_left(track.frames, f)
    if i < len(track.frames) and track.frames[i] == f:
        return track.members[i]
    after, before = min(i, len(track.frames) - 1), max(i - 1, 0)
    start, end = track.frames[before], track.frames[after]
    if not len(free) or min(abs(f - start), abs(f - end)) > round(MAX_TRACK_GAP_S * rate):
        return np.empty(0, int)
    part = np.clip((f - start) / max(end - start, 1), 0, 1)
    position = (1 - part) * track.positions[before] + part * track.positions[after]
    miss = np.full(len(frame.view), np.inf)
    miss[free] = _ray_distances_m(frame, position)[free]
    nearest, distance = _nearest_per_view(frame, miss)
    return nearest[distance < MAX_RAY_MISS_M]


# Constant numbers of people from image to image of one view.
# Tracking by detection with a constant velocity and the Hungarian method, as SORT does for boxes (Bewley et al. 2016,
# "Simple online and realtime tracking"); here by the points of the pose. Each person's position is extrapolated by
# their velocity, so that two people who cross keep their numbers although one hides the other for a while. People are
# compared by mid-points between left and right points, which an exchange of sides by the detector does not move.


MAX_IDENTITY_GAP_S = 1.0  # s, longest gap after which a person keeps the number
MAX_MATCH_DISTANCE = 0.35  # of a person's extent: mean distance of the points from their expected positions
LOST_SPEED_DECAY_S = 0.5  # s in which the speed of a lost person falls to 1/e: people who go behind others often stop
SPEED_MEMORY_S = 0.1  # s over which a speed is averaged
DOUBLE_DISTANCE = 0.1  # of a person's extent: detections nearer than this, on average over the points, are one person
IMPOSSIBLE_COST = 1e3  # cost of an impossible pair


@dataclass
class _Person:
    number: int
    points: np.ndarray  # (points, 2) px, each where last seen
    speed: np.ndarray  # (2,) px/s of the whole person
    time: float  # s, when last seen

    def expected(self, time: float) -> np.ndarray:
        """Extrapolated positions of the points (points, 2) px."""
        away = time - self.time
        return self.points + self.speed * LOST_SPEED_DECAY_S * (1 - np.exp(-away / LOST_SPEED_DECAY_S))

    def see(self, points: np.ndarray, time: float) -> None:
        both = np.isfinite(points).all(1) & np.isfinite(self.points).all(1)
        away = time - self.time
        if both.any() and away > 0:
            speed = np.median(points[both] - self.points[both], axis=0) / away
            self.speed = self.speed + (speed - self.speed) * min(1.0, away / (away + SPEED_MEMORY_S))
        self.points = np.where(np.isfinite(points), points, self.points)
        self.time = time


class Identities:
    """Numbers of the people of one view: 1, 2, … in order of appearance. swaps: index of each point's mirror point."""

    def __init__(self, swaps: Sequence[int]) -> None:
        self._swaps = list(swaps)
        self._tracks: list[_Person] = []
        self._next = 1

    def step(self, people: Sequence[np.ndarray], time: float) -> list[int]:
        """Numbers of people, each (points, 2 or more) px, NaN = not seen. time: s, later than that of the last call."""
        self._tracks = [track for track in self._tracks if time - track.time <= MAX_IDENTITY_GAP_S]
        numbers: list[int] = [0] * len(people)
        people = [swap_invariant_points(person, self._swaps) for person in people]
        if people and self._tracks:
            cost = np.array([[relative_distance(t.expected(time), p) for t in self._tracks] for p in people])
            for i, j in _matched_pairs(cost, MAX_MATCH_DISTANCE):
                self._tracks[j].see(people[i], time)
                numbers[i] = self._tracks[j].number
        for i, person in enumerate(people):
            if not numbers[i]:
                numbers[i] = self._next
                self._tracks.append(_Person(self._next, person, np.zeros(2), time))
                self._next += 1
        return numbers

    @property
    def known(self) -> frozenset[int]:
        """Numbers of people who are present, or lost for less than `MAX_IDENTITY_GAP_S`."""
        return frozenset(track.number for track in self._tracks)

    @property
    def count(self) -> int:
        """Number of different people so far."""
        return self._next - 1


def swap_invariant_points(person: np.ndarray, swaps: Sequence[int]) -> np.ndarray:
    """(points, 2) px: mid-point of each point and its mirror point; the other of the two where one is missing."""
    xy = np.asarray(person, float)[:, :2]
    return mean_of_known(np.stack([xy, xy[list(swaps)]]), 0)


def drop_doubles(people: Sequence[np.ndarray], swaps: Sequence[int]) -> list[int]:
    """Indices of the different people of one image, (points, 2 or more) px: the first detection of each.

    Detectors may find a person again with left and right exchanged.
    """
    kept: list[int] = []
    places = [swap_invariant_points(person, swaps) for person in people]
    for i, place in enumerate(places):
        if all(relative_distance(places[k], place) >= DOUBLE_DISTANCE for k in kept):
            kept.append(i)
    return kept


def relative_distance(expected: np.ndarray, points: np.ndarray) -> float:
    """Mean distance of two sets of points (n, 2), NaN = unknown, as a share of the extent of the second;
    `IMPOSSIBLE_COST` where they share no point."""
    both = np.isfinite(expected).all(1) & np.isfinite(points).all(1)
    if not both.any():
        return IMPOSSIBLE_COST
    extent = max(float(np.ptp(points[both], axis=0).max()), 1.0)
    return float(np.linalg.norm(expected[both] - points[both], axis=1).mean()) / extent
