"""What the page asks and says while one annotator works: the recording, points of a frame, decisions, order of work."""

import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from simspine import skeletons
from simspine.annotation.agreement import agreement
from simspine.annotation.images import Images
from simspine.annotation.journal import (
    annotators,
    append,
    edit_from,
    journal_file,
    read_journal,
    read_outlines,
    start_journal,
)
from simspine.annotation.labels import Edit, Labels, OutlineEdit, PointStatus, check, edited
from simspine.annotation.ranking import BATCH, batch, finished, rank
from simspine.annotation.recording import CHAIN, RecordedViews
from simspine.detection.person_outline import OutlineProposer
from simspine.errors import InputError
from simspine.skeletons.skin_names import landmark, on_skin

GROUPS = (
    ("Spine", CHAIN),
    ("Head", ("Head", "Nose", "LEye", "REye", "LEar", "REar")),
    ("Trunk", ("LClavicle", "RClavicle", "LLatissimus", "RLatissimus")),
    ("Arms", ("LShoulder", "RShoulder", "LElbow", "RElbow", "LWrist", "RWrist")),
    ("Legs", ("LHip", "RHip", "LKnee", "RKnee", "LAnkle", "RAnkle")),
    ("Feet", ("LHeel", "RHeel", "LBigToe", "RBigToe", "LSmallToe", "RSmallToe")),
)


def labels_of(recording: RecordedViews, annotator: str) -> Labels:
    """The recording's points with an annotator's decisions; the pseudo-labels alone where there are none."""
    path = journal_file(recording.home, annotator)
    return edited(recording.start, read_journal(path)) if path.exists() else recording.start


class Named(NamedTuple):
    """Frames that make the first batch in place of the worst ones. reason: 'named', by a validation; 'round', of the
    round with this number, which ends with them."""

    frames: Sequence[int] = ()
    reason: str = "named"
    round: int = 0


WORST_FIRST = Named()


class Session:
    """One annotator at work. Every method may be called by several threads."""

    def __init__(self, recording: RecordedViews, annotator: str, batch_size: int = BATCH, named: Named = WORST_FIRST):
        self.recording, self.annotator, self._size = recording, annotator, batch_size
        self._path = journal_file(recording.home, annotator)
        start_journal(self._path, recording.name, recording.views, recording.start.names)
        self._own(labels_of(recording, annotator))
        self._outlines = read_outlines(self._path)
        self.images = Images(recording)
        self._lock, self._looking = threading.Lock(), threading.Lock()
        self._proposer: OutlineProposer | None = None
        self._batch: list[dict[str, Any]] = []
        self._scores: list[float] = []
        self.next_batch()
        self._round = named.round if named.frames else 0
        if named.frames:
            beyond = [frame for frame in named.frames if not 0 <= frame < recording.frames]
            if beyond:
                raise InputError(f"no frame {beyond[0]}: {recording.name} has {recording.frames}, counted from 0.")
            chosen = list(dict.fromkeys(named.frames))[: None if self._round else batch_size]
            self._batch = [{"frame": f, "score": self._scores[f], "reason": named.reason} for f in chosen]

    def _own(self, labels: Labels) -> None:
        """Arrays that decisions are written into: copying all frames for each click would be slow."""
        self._names, self._confidence = labels.names, labels.confidence
        self._xy, self._visibility, self._status = labels.xy.copy(), labels.visibility.copy(), labels.status.copy()
        self._counts = np.zeros((labels.frames, len(PointStatus)), int)
        self._done, self._begun = np.zeros((2, labels.frames), bool)
        self._tally(np.arange(labels.frames))

    def _tally(self, frames: np.ndarray) -> None:
        """Count anew in some frames what was done about their points."""
        status = self._status[frames]
        labelled, decided = (self._visibility[frames] > 0) & np.isfinite(self._xy[frames]).all(-1), status > 0
        for kind in PointStatus:
            self._counts[frames, kind] = ((labelled | decided) & (status == kind)).sum((1, 2))
        self._done[frames] = decided.any((1, 2)) & ~(labelled & ~decided).any((1, 2))
        own = (status == PointStatus.CORRECTED) | (status == PointStatus.ACCEPTED)
        self._begun[frames] = own.any((1, 2)) & ~self._done[frames]

    def labels(self) -> Labels:
        """As they stand."""
        with self._lock:
            return Labels(self._names, self._xy, self._visibility, self._status, self._confidence)

    def project(self) -> dict[str, Any]:
        """What does not change while the page is open."""
        recording = self.recording
        cameras = recording.cameras or (None,) * len(recording.views)
        views = [
            {"name": name, "size": list(source.size), "camera": None if camera is None else _camera(camera)}
            for name, source, camera in zip(recording.views, recording.sources, cameras, strict=True)
        ]
        return {
            "name": recording.name, "annotator": self.annotator, "rate": recording.rate, "frames": recording.frames,
            "views": views, "points": _points(self._names),
            "chain": [self._names.index(name) for name in CHAIN if name in self._names], "file": str(self._path),
            "round": self._round, "images": self._photographs(),
        }  # fmt: skip

    def _photographs(self) -> list[list[str]] | None:
        """[frame][view] file names of photographs; None of videos, whose images have times."""
        recording = self.recording
        if not recording.photographs:
            return None
        views = range(len(recording.views))
        return [[recording.image_name(f, v).rpartition("/")[2] for v in views] for f in range(recording.frames)]

    def frame(self, frame: int) -> dict[str, Any]:
        """[view][point] x, y, visibility, status, confidence; null for a coordinate that is none."""
        if not 0 <= frame < self.recording.frames:
            raise InputError(f"no frame {frame}: there are {self.recording.frames}, counted from 0.")
        with self._lock:
            xy = self._xy[frame].round(3)
            parts = zip(
                xy.reshape(-1, 2).tolist(), self._visibility[frame].ravel().tolist(),
                self._status[frame].ravel().tolist(), self._confidence[frame].ravel().round(3).tolist(), strict=True,
            )  # fmt: skip
            flat = [[*(None if np.isnan(v) else v for v in place), *more] for place, *more in parts]
            drawn = [self._outlines.get((frame, view)) for view in range(len(self.recording.views))]
        points = len(self._names)
        return {
            "points": [flat[i : i + points] for i in range(0, len(flat), points)],
            "outlines": [
                {"rings": one.rings, "how": int(one.status)} if one is not None and one.status else None
                for one in drawn
            ],
        }

    def proposed_outline(self, frame: int, view: int) -> dict[str, Any]:
        """What BlazePose takes for the person; no rings where it finds nobody."""
        image = self.images.decoded(frame, view)
        with self._lock:
            labelled = (self._visibility[frame, view] > 0) & np.isfinite(self._xy[frame, view]).all(-1)
            xy = self._xy[frame, view][labelled]
        with self._looking:
            if self._proposer is None:
                self._proposer = OutlineProposer()
            return {"rings": self._proposer.outline(image, xy)}

    def edit(self, entries: Sequence[Any]) -> dict[str, Any]:
        """Take decisions; they are on the disk when this returns. `InputError` for one that cannot be, and none is."""
        edits = [edit_from(entry) for entry in entries]
        for edit in edits:
            check(self.recording.start, edit)
        with self._lock:
            append(self._path, edits, time.time())
            for edit in edits:
                if isinstance(edit, OutlineEdit):
                    self._outlines[edit.frame, edit.view] = edit
                else:
                    self._put(edit)
            self._tally(np.unique([edit.frame for edit in edits]).astype(int))
        return self.progress()

    def _put(self, edit: Edit) -> None:
        at = edit.frame, edit.view, self._names.index(edit.point)
        self._xy[at] = (np.nan, np.nan) if edit.x is None or edit.y is None else (edit.x, edit.y)
        self._visibility[at], self._status[at] = edit.visibility, edit.status

    def progress(self) -> dict[str, Any]:
        """How far the work is: counts by status, frames of the batch, which are done and begun."""
        with self._lock:
            total = self._counts.sum(0).tolist()
            return {
                "counts": {kind.name.lower(): total[kind] for kind in PointStatus}, "batch": self._batch,
                "done": np.flatnonzero(self._done).tolist(), "begun": np.flatnonzero(self._begun).tolist(),
            }  # fmt: skip

    def summary(self) -> dict[str, Any]:
        """`progress`, and how bad each frame is."""
        return self.progress() | {"scores": self._scores}

    def next_batch(self) -> dict[str, Any]:
        """Rank the frames anew, with what was decided so far, and hand out the worst that are not finished."""
        labels = self.labels()
        ranking = rank(labels, self.recording.rate, self.recording.cameras)
        chosen = batch(ranking, self.recording.rate, self._size, finished(labels))
        score = ranking.score
        self._batch = [
            {"frame": f, "score": round(float(score[f]), 3), "reason": ranking.reason(f)} for f in chosen
        ]  # fmt: skip
        self._scores = score.round(3).tolist()
        return self.summary()

    def agreement(self) -> dict[str, Any]:
        """How far those agree who have annotated this recording; no rows where there is only one."""
        people = annotators(self.recording.home)
        if len(people) < 2:
            return {"annotators": people, "rows": []}
        rows = agreement({person: labels_of(self.recording, person) for person in people})
        return {
            "annotators": people,
            "rows": [
                {key: value if value == value else None for key, value in vars(row).items()}  # NaN is no JSON
                for row in rows
                if row.count
            ],
        }


def _points(names: Sequence[str]) -> list[dict[str, Any]]:
    table = skeletons.load(skeletons.TARGET)
    group = {name: title for title, members in GROUPS for name in members}
    out = []
    for name in names:
        known = name in table.names
        i = table.index(name) if known else -1
        parent = table.names[table.parents[i]] if known and table.parents[i] >= 0 else None
        skin = name in on_skin([name])
        side = "left" if name[0] == "L" and known else "right" if name[0] == "R" and known else "middle"
        out.append({
            "name": name, "level": landmark(name) if skin else table.levels[i] if known else "",
            "parent": names.index(parent) if parent in names else -1, "side": "skin" if skin else side,
            "group": "Skin" if skin else group.get(name, "Other"),
        })  # fmt: skip
    return out


def _camera(camera) -> dict[str, Any]:
    arrays = {field: getattr(camera, field).tolist() for field in ("K", "R", "t", "distortion")}
    return {**arrays, "lens": camera.lens, "size": list(camera.size)}
