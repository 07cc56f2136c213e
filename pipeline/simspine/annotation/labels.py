"""Decisions of people about points in images: the labels, their journal, the ranking of frames."""

import errno
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import IntEnum
from io import FileIO
from pathlib import Path

import numpy as np

from simspine.core.arrays import median_of_known
from simspine.core.errors import InputError, naming_content, reason_of, require_known, safe_file_name
from simspine.core.types import Camera, HoldsArrays, Keypoints, Origin
from simspine.io.atomic import write_text
from simspine.io.text_tables import read_bytes
from simspine.vision.triangulation import triangulate_with_report


class Visibility(IntEnum):
    """Whether a point is visible, by COCO's numbers."""

    ABSENT = 0  # outside the image, or its place is unknown
    HIDDEN = 1  # something covers it; its place is known nevertheless
    SEEN = 2


class PointStatus(IntEnum):
    """What a person decided about a point. All files that are exported keep it."""

    UNSEEN = 0  # not decided yet: a pseudo-label
    ACCEPTED = 1  # looked at, and left as it was
    CORRECTED = 2  # placed or moved by hand
    DERIVED = 3  # moved with other points: along the spine's curve, or to its projection from the other views


@dataclass(frozen=True)
class Edit:
    """A decision. x, y: px; None for a point that is absent. time: s since 1970, for decisions made on the page."""

    frame: int
    view: int
    point: str
    x: float | None
    y: float | None
    visibility: Visibility
    status: PointStatus
    time: float | None = field(default=None, compare=False)


@dataclass(frozen=True, eq=False)
class Labels(HoldsArrays):
    """Points of one person in a recording.

    names: of the points. xy: (frames, views, points, 2) px, NaN = none. visibility, status: (frames, views, points),
    numbers of `Visibility` and `PointStatus`. confidence: (frames, views, points) 0…1 of the pseudo-labels. inferred:
    (frames, views, points) bool, points that no detector saw; by default none.
    """

    names: tuple[str, ...]
    xy: np.ndarray
    visibility: np.ndarray
    status: np.ndarray
    confidence: np.ndarray
    inferred: np.ndarray = field(default_factory=lambda: np.zeros((1, 1, 1), bool))

    def __post_init__(self):
        self._set_arrays({"xy": (None, None, len(self.names), 2)})
        shape = self.xy.shape[:3]
        self._set_arrays({"visibility": shape, "status": shape}, np.int8)
        self._set_arrays({"confidence": shape})
        self._set(inferred=np.broadcast_to(self.inferred, shape))

    @property
    def frames(self) -> int:
        return self.xy.shape[0]

    @property
    def labelled(self) -> np.ndarray:
        """(frames, views, points) bool: points with a position."""
        return (self.visibility > 0) & np.isfinite(self.xy).all(-1)

    @property
    def decided(self) -> np.ndarray:
        """(frames, views, points) bool: points that a person looked at or moved."""
        return self.status != PointStatus.UNSEEN

    @property
    def guessed(self) -> np.ndarray:
        """(frames, views, points) bool: inferred points without a decision."""
        return ~self.decided & self.inferred

    @property
    def confirmed(self) -> np.ndarray:
        """(frames, views, points) bool: points that a person accepted, or placed by hand."""
        return (self.status == PointStatus.ACCEPTED) | (self.status == PointStatus.CORRECTED)


def pseudo_labels(keypoints: Keypoints, inferred: np.ndarray | None = None) -> Labels:
    """Labels without any decision. inferred: (frames, views, points) bool, seen by no detector; None: by origin."""
    placed = np.isfinite(keypoints.xy).all(-1)
    unseen = keypoints.of_origin(Origin.INFERRED, Origin.ESTIMATED)
    return Labels(
        names=keypoints.names,
        xy=keypoints.xy,
        visibility=np.where(placed, Visibility.SEEN, Visibility.ABSENT),
        status=np.full(placed.shape, PointStatus.UNSEEN),
        confidence=keypoints.confidence,
        inferred=placed & unseen if inferred is None else placed & inferred,
    )


def apply_edits(labels: Labels, edits: Iterable[Edit]) -> Labels:
    """The labels after some decisions; the last one of each point counts. `InputError` as of `check_edit`."""
    edits = list(edits)
    for edit in edits:
        check_edit(labels, edit)
    arrays = {name: getattr(labels, name).copy() for name in ("xy", "visibility", "status")}
    write_edits(edits, labels.names, arrays)
    return replace(labels, **arrays)


def write_edits(edits: Iterable[Edit], names: Sequence[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Put decisions into `xy`, `visibility` and `status` of `Labels`, in place."""
    index = {name: i for i, name in enumerate(names)}
    for edit in edits:
        place = edit.frame, edit.view, index[edit.point]
        arrays["xy"][place] = (np.nan, np.nan) if edit.x is None or edit.y is None else (edit.x, edit.y)
        arrays["visibility"][place], arrays["status"][place] = edit.visibility, edit.status


def check_edit(labels: Labels, edit: Edit) -> None:
    """`InputError` unless the frame, the view and the point of the edit exist."""
    frames, views = labels.xy.shape[:2]
    require_known("point", [edit.point], labels.names)
    if not (0 <= edit.frame < frames and 0 <= edit.view < views):
        raise InputError(f"no frame {edit.frame} in view {edit.view} (from 0): there are {frames} in {views} views.")


# The journal: one file per annotator, a line per decision; lines are only added, and are on the disk before the page
# confirms them. A killed process can leave an incomplete last line, which is not read. The head names the recording,
# its views and points, to refuse decisions about another recording. A full disk also leaves only complete lines.


JOURNAL_SUFFIX = ".jsonl"
JOURNAL_SCHEMA = 1
IMAGES_DIGITS = 16  # of each of a view's two digests: of its images, and of their order
MAX_POINT_DISTANCE_PX = 1e7  # beyond any image
MAX_TIME_S = 1e12  # beyond any clock
_ANNOTATOR_NAME = re.compile(r"[\w][\w .@-]{0,60}")


def journal_file(folder: Path, annotator: str) -> Path:
    """The file of an annotator's decisions; `InputError` for a name that cannot be a file's."""
    if not _ANNOTATOR_NAME.fullmatch(annotator) or safe_file_name(annotator) != annotator:
        raise InputError(f"annotator {annotator!r}: expected at most 61 letters, digits, spaces, '.', '-', '_', '@'.")
    return folder / f"{annotator}{JOURNAL_SUFFIX}"


def start_journal(
    path: Path, recording: str, views: Sequence[str], names: Sequence[str], *, images: Sequence[str] = ()
) -> None:
    """Create the file if it does not exist; else cut off an incomplete last line. images: a digest for each view."""
    if path.is_symlink():
        raise InputError(f"{path}: a symbolic link; a journal is no link. Name another folder (--out).")
    head = {"schema": JOURNAL_SCHEMA, "recording": recording, "views": list(views), "images": list(images)}
    head["points"] = list(names)
    if not path.exists():
        write_text(path, json.dumps(head) + "\n")
        return
    _check_head(path, read_bytes(path), recording, views=views, images=images)
    with open(path, "r+b", buffering=0) as file:
        _end_of_lines(file)


def journal_state(status: os.stat_result) -> tuple[int, ...]:
    """What tells that a journal is still the file that was written last: device, number and size."""
    return status.st_dev, status.st_ino, status.st_size


def append_edits(path: Path, edits: Sequence[Edit], expected: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Add decisions: all are on the disk when this returns, none is in the file if it raises, as for a bad one.

    Returns the `journal_state`. expected: that of the last call; `OSError` where the file is another one, or changed.
    """
    written = [json.dumps(_to_json(edit)) for edit in edits]
    with naming_content(path, "able to hold these decisions"):
        for entry in written:
            edit_from(json.loads(entry))
    text = "".join(f"{entry}\n" for entry in written)
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))  # no link that took the journal's place
    with open(descriptor, "r+b", buffering=0) as file:
        with suppress(ImportError, OSError):  # Windows, a file system without locks
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX)  # another process must not write at the same place
        if expected and journal_state(os.fstat(descriptor)) != expected:
            text = "another program replaced or changed it; put the former file back, or start annotate anew"
            raise OSError(errno.EIO, text, str(path))
        lines = _end_of_lines(file)
        try:
            left = memoryview(text.encode())
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except BaseException:  # a full disk, ctrl-C: the next decision must not follow half a line
            file.truncate(lines)
            raise
        return journal_state(os.fstat(descriptor))


def _end_of_lines(file: FileIO) -> int:
    """Cut the file after its last complete line, and return the position. A decision without a line end gets one."""
    end = file.seek(0, os.SEEK_END)
    if end and file.seek(end - 1) == end - 1 and file.read(1) != b"\n":
        file.seek(0)
        content = file.read()
        if _is_whole(content[content.rfind(b"\n") + 1 :]):
            file.write(b"\n")
            return file.seek(0, os.SEEK_END)
        end = file.truncate(content.rfind(b"\n") + 1)
    return file.seek(end)


def _is_whole(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def read_journal(
    path: Path, recording: str | None = None, views: Sequence[str] = (), images: Sequence[str] = ()
) -> list[Edit]:
    """All decisions about points in their order; an incomplete last line is left out. recording, views, images: those
    that the journal must be of; by default any."""
    content = read_bytes(path)
    _check_head(path, content, recording, views=views, images=images)
    edits = []
    lines = content.split(b"\n")
    for number, line in enumerate(lines[1:] if _is_whole(lines[-1]) else lines[1:-1], 2):
        if line.strip():
            try:
                entry = json.loads(line)
                if not (isinstance(entry, dict) and "rings" in entry):  # version 0.1 kept outlines of people as well
                    edits.append(edit_from(entry))
            except (InputError, ValueError, RecursionError) as error:
                raise InputError(f"{path}, line {number}: no decision about a point ({reason_of(error)}).") from None
    return edits


def edit_from(entry) -> Edit:
    """A decision from JSON: f, v, p, x, y, see, how, and t if timed. `InputError` for anything else."""
    try:
        frame, view, point, x, y = (entry[key] for key in "fvpxy")
        see, how, time = entry["see"], entry["how"], entry.get("t")
        visibility, status = Visibility(see), PointStatus(how)
    except (TypeError, LookupError, ValueError) as error:
        raise InputError(f"not a decision about a point: {reason_of(error)}") from None
    if not all(type(number) is int for number in (frame, view, see, how)) or not isinstance(point, str):
        named = f"frame {frame!r:.40}, view {view!r:.40}, point {point!r:.40}, see {see!r}, how {how!r}"
        raise InputError(f"{named}: expected whole numbers and a name")
    numbers = all(type(v) in (int, float) and abs(v) < MAX_POINT_DISTANCE_PX for v in (x, y))  # not so: NaN
    if not numbers and not (x is None and y is None):
        raise InputError(f"x {x!r:.40}, y {y!r:.40}: expected two numbers of px, or null for both")
    if not numbers and visibility:
        raise InputError("a point that is not absent needs a place")
    if time is not None and not (type(time) in (int, float) and 0 <= time < MAX_TIME_S):
        raise InputError(f"t {time!r:.40}: expected seconds since 1970")
    x, y = (float(x), float(y)) if numbers else (None, None)
    return Edit(frame=frame, view=view, point=point, x=x, y=y, visibility=visibility, status=status, time=time)


def _to_json(edit: Edit) -> dict:
    x, y = (None if v is None else round(v, 3) for v in (edit.x, edit.y))
    timed = {} if edit.time is None else {"t": round(edit.time, 1)}
    return {
        "f": edit.frame, "v": edit.view, "p": edit.point, "x": x, "y": y,
        "see": int(edit.visibility), "how": int(edit.status), **timed,
    }  # fmt: skip


def _check_head(
    path: Path, content: bytes, recording: str | None, *, views: Sequence[str], images: Sequence[str]
) -> None:
    with naming_content(path, "an annotator's journal: its first line is no head"):
        head = json.loads(content[: content.index(b"\n")])
        schema = head["schema"]
    if schema != JOURNAL_SCHEMA:
        raise InputError(f"{path}: schema {schema!r}, this version reads {JOURNAL_SCHEMA}. Update simspine.")
    if recording is not None and (head.get("recording"), head.get("views")) != (recording, list(views)):
        found = f"decisions about {head.get('recording')!r:.100} with the views {head.get('views')!r:.200}"
        advice = "Choose another folder with --out; if the recording was renamed, write its name into the first line"
        raise InputError(f"{path}: {found}; this recording is {recording!r} with {', '.join(views)}. {advice}.")
    older = [digest[:IMAGES_DIGITS] for digest in images]  # version 0.1 kept no digest of the order
    if images and head.get("images", ()) not in ((), [], list(images), older):
        text = f"{path}: decisions about other images of {recording!r}, or numbered otherwise (delays, photographs)"
        advice = f'If all are the same, stored anew, write "images": {json.dumps(images)} into the first line'
        raise InputError(f"{text}. Choose another --out. {advice}.")


FRAMES_PER_BATCH = 20  # frames handed out at a time
MIN_SEPARATION_S = 0.1  # between two frames of a batch: neighbours show nearly the same
WORST_POINTS_COUNTED = 3  # points of a frame that count, so that few bad ones show among forty good ones
DISAGREEMENT_LIMIT, JITTER_LIMIT = 0.02, 0.01  # shares of the person's size that count like zero confidence


def rank_frames(labels: Labels, rate: float, cameras: Sequence[Camera] | None = None) -> dict[str, np.ndarray]:
    """{reason to correct a frame: its weight in each frame, (frames,), without unit; 1 is bad}. Their sum is the need.

    uncertainty: 1 − confidence. disagreement: distance of the points from where the other views place them, in 2 % of
    the person's size; 0 without calibrated views. jitter: distance from the mean of the neighbouring frames, in 1 %.
    Decided points count as certain. cameras: one per view, or None.
    """
    xy = np.where(labels.labelled[..., None], labels.xy, np.nan)
    boxes = person_size(xy)
    size = np.nan_to_num(median_of_known(np.where(boxes > 0, boxes, np.nan).T), nan=1.0)  # 1 where nothing is labelled
    unsure = np.where(labels.visibility > Visibility.ABSENT, 1.0 - labels.confidence, np.nan)
    unsure = np.where(labels.decided, 0.0, unsure)
    disagreement = np.full(xy.shape[:3], np.nan)
    if cameras is not None and len(cameras) > 1 and labels.frames:
        disagreement = disagreement_px(labels, rate, cameras) / size[None, :, None]
    jitter = np.full(xy.shape[:3], np.nan)
    if labels.frames > 2:
        jitter[1:-1] = np.linalg.norm(xy[1:-1] - (xy[:-2] + xy[2:]) / 2, axis=-1) / size[None, :, None]
    jitter = np.where(labels.decided, 0.0, jitter)
    values = {
        "uncertainty": unsure,
        "disagreement": disagreement / DISAGREEMENT_LIMIT,
        "jitter": jitter / JITTER_LIMIT,
    }
    return {reason: _of_frames(part) for reason, part in values.items()}


def disagreement_px(labels: Labels, rate: float, cameras: Sequence[Camera]) -> np.ndarray:
    """(frames, views, points) px, distance of each point from its triangulated position's projection; NaN without one.
    Inferred points, projections of one point in space, are left out: their agreement is no evidence."""
    seen = labels.labelled & ~labels.guessed
    weight = np.where(labels.decided, 1.0, np.clip(labels.confidence, 0.05, 1.0)) * seen
    keypoints = Keypoints(labels.names, rate, np.where(seen[..., None], labels.xy, np.nan), weight)
    largest = float(max(max(camera.size) for camera in cameras))
    options = {"min_confidence": 0.0, "max_error_px": largest, "fix_swaps": False}
    return triangulate_with_report(keypoints, cameras, **options)[1].error_px


def person_size(xy: np.ndarray) -> np.ndarray:
    """(...,) px: root of the area of the box around points (..., points, 2), as in object keypoint similarity."""
    finite = np.isfinite(xy)
    low = np.where(finite, xy, np.inf).min(-2, initial=np.inf)
    high = np.where(finite, xy, -np.inf).max(-2, initial=-np.inf)
    with np.errstate(invalid="ignore"):
        sides = np.where(np.isfinite(low) & np.isfinite(high), high - low, np.nan)
    return np.sqrt(sides.prod(-1))


def frame_batch(need: np.ndarray, rate: float, size: int, done: np.ndarray) -> list[int]:
    """Up to `size` frames, those of the greatest need first, none within `MIN_SEPARATION_S` of another; none `done`."""
    separation = max(1, round(MIN_SEPARATION_S * rate))
    order: list[int] = []
    for frame in np.argsort(-need, kind="stable"):
        if not done[frame] and all(abs(int(frame) - other) >= separation for other in order):
            order.append(int(frame))
            if len(order) == size:
                break
    return order


def finished_frames(labels: Labels) -> np.ndarray:
    """(frames,) bool: frames with a decision about each detected point."""
    open_points = labels.labelled & ~labels.decided & ~labels.guessed
    return labels.decided.any((1, 2)) & ~open_points.any((1, 2))


def _of_frames(values: np.ndarray) -> np.ndarray:
    """(frames,): mean over the `WORST_POINTS_COUNTED` worst points, each in its worst view; 0 without known values."""
    known = np.where(np.isfinite(values), values, 0.0).max(1, initial=0.0)
    return np.sort(known, axis=1)[:, -WORST_POINTS_COUNTED:].mean(1) if known.size else np.zeros(len(values))
