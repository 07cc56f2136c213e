"""What anibali/h36m-fetch makes of the archives: `processed/<S>/<Action>-<1|2>/annot.h5`.

Each file holds rows of all cameras one after the other: `pose/2d` (rows, 32, 2) px, `pose/3d` (rows, 32, 3) mm in the
camera's frame, `pose/3d-univ` (the same with the limbs of one person, not read), `frame` (from 1), `camera`, `subject`,
`action`, `subaction`. As it comes the program keeps only frames with enough movement (training) or every 64th (test):
useless as motion. Such files are refused with the line to change.
"""

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from simspine.errors import InputError
from simspine.formats.dataset_layout import array_names
from simspine.formats.hdf5 import opened, values
from simspine.sources.human36m import names
from simspine.sources.human36m.archives import to_world
from simspine.sources.human36m.copy import Copy


class Fetched(Copy):
    """The layout of h36m-fetch's `processed` folder."""

    layout = "fetch"
    LOOKED_FOR = "processed/<subject>/<action>-<number>/annot.h5"

    @staticmethod
    def find(root: Path) -> Path | None:
        """The folder with the subjects, if `root` has this layout."""
        return next((p for p in (root, root / "processed") if p.is_dir() and _annotations(p)), None)

    @cached_property
    def _found(self) -> dict[str, tuple[dict[str, Path], tuple[str, ...]]]:
        return _annotations(self.root)

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(self._found)

    def trials(self, subject: str) -> list[str]:
        return list(self._found[subject][0])

    def strays(self, subject: str) -> tuple[str, ...]:
        return self._found[subject][1]

    def lengths(self, subject: str, trial: str) -> tuple[int | None, dict[str, int], dict[str, Path]]:
        counts = {camera: len(where) for camera, where in read_rows(self._path(subject, trial))[0].items()}
        return min(counts.values()), counts, {}

    def _trial_files(self, subject: str, trial: str) -> list[Path]:
        return [self._path(subject, trial)]

    def _path(self, subject: str, trial: str) -> Path:
        return self._found[subject][0][trial]

    def _positions(self, subject: str, trial: str) -> tuple[np.ndarray, float, float]:
        path = self._path(subject, trial)
        rows, first = read_rows(path)
        local = {camera: values / 1000 for camera, values in read_values(path, "pose/3d", rows).items()}
        return to_world(local, self.cameras(subject), str(path)), names.RATE, (first - 1) / names.RATE

    def _points_2d(self, subject: str, trial: str) -> dict[str, np.ndarray]:
        path = self._path(subject, trial)
        return read_values(path, "pose/2d", read_rows(path)[0])


def read_rows(path: Path) -> tuple[dict[str, np.ndarray], int]:
    """{camera: its rows} and the first frame, the same for all cameras; frames without gaps."""
    frame, camera = _read_array(path, "frame"), _read_array(path, "camera")
    if frame.shape != camera.shape or frame.ndim != 1 or not len(frame):
        raise InputError(f"{path}: 'frame' {frame.shape} and 'camera' {camera.shape} must be lists of one length.")
    if not (np.isfinite(frame) & np.isfinite(camera)).all() or np.abs([frame, camera]).max() > 1e12:
        raise InputError(f"{path}: 'frame' and 'camera' hold values that are no numbers of frames and cameras.")
    rows = {str(int(name)): np.flatnonzero(camera == name) for name in dict.fromkeys(camera.tolist())}
    steps = sorted({int(step) for where in rows.values() for step in np.diff(frame[where])} - {1})
    if steps:
        raise InputError(
            f"{path}: holds selected frames only (steps of {', '.join(map(str, steps[:5]))}), not the motion at 50 "
            "frames/s. Let h36m-fetch keep all: uncomment the line under 'To process every single frame' in its "
            "process_all.py and run it again, or use the unpacked archives."
        )
    starts = {camera: int(frame[where[0]]) for camera, where in rows.items()}
    if len(set(starts.values())) > 1:
        raise InputError(f"{path}: the cameras start at different frames: {starts}.")
    return rows, next(iter(starts.values()))


def read_values(path: Path, key: str, rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{camera: (frames, 32, 3) mm or (frames, 32, 2) px} out of `pose/3d` or `pose/2d`."""
    values = _read_array(path, key)
    count, dimensions = sum(map(len, rows.values())), 3 if "3d" in key else 2
    if values.shape != (count, 32, dimensions):
        raise InputError(f"{path}: {key} has shape {values.shape}, expected ({count}, 32, {dimensions}).")
    return {camera: values[where].astype(float) for camera, where in rows.items()}


def _annotations(root: Path) -> dict[str, tuple[dict[str, Path], tuple[str, ...]]]:
    """{subject: ({trial: annot.h5}, names of other folders)} of subjects that have a trial."""
    found = {}
    for folder in root.iterdir():
        if not (re.fullmatch(r"S\d+", folder.name) and folder.is_dir()):
            continue
        trials, strays = {}, []
        for path in sorted(folder.glob("*/annot.h5")):
            try:
                trials["{}_{}".format(*names.split_trial(path.parent.name))] = path
            except InputError:  # `_ALL-1`, or the folders without number of the program's first versions
                strays.append(path.parent.name)
        if trials:
            ordered = {trial: trials[trial] for trial in names.canonical_trials() if trial in trials}
            found[folder.name] = (ordered, tuple(strays))
    return {subject: found[subject] for subject in names.subject_order(found)}


def _read_array(path: Path, key: str) -> np.ndarray:
    with opened(path) as file:
        if key not in file:
            universal = " (pose/3d-univ has the limbs of one person for everybody)" if key == "pose/3d" else ""
            raise InputError(f"{path}: no data set {key!r}; found {', '.join(array_names(file)) or 'none'}.{universal}")
        found = np.asarray(values(file[key]))
    if found.dtype.kind not in "fiu":
        raise InputError(f"{path}: {key} holds {found.dtype}, expected numbers.")
    return found
