"""Open a copy of Human3.6M, whichever layout it has."""

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from simspine.core.errors import InputError, unknown_name
from simspine.io.dataset_write import array_names
from simspine.io.hdf5 import checked_values, open_checked
from simspine.io.human36m import names
from simspine.io.human36m.cameras import find_rigs, open_rigs
from simspine.io.human36m.copy import Archives, Copy, cameras_to_world
from simspine.io.npz import read_npz

# What anibali/h36m-fetch makes of the archives: `processed/<S>/<Action>-<1|2>/annot.h5`.
# Each file holds rows of all cameras one after the other: `pose/2d` (rows, 32, 2) px, `pose/3d` (rows, 32, 3) mm
# in the camera's frame, `pose/3d-univ` (the same with the limbs of one person, not read), `frame` (from 1),
# `camera`, `subject`, `action`, `subaction`. As it comes the program keeps only frames with enough movement
# (training) or every 64th (test): useless as motion. Such files are refused with the line to change.


class Fetched(Copy):
    """The layout of h36m-fetch's `processed` folder."""

    layout = "fetch"
    LOOKED_FOR = "processed/<subject>/<action>-<number>/annot.h5"

    @staticmethod
    def find(root: Path) -> Path | None:
        """The folder with the subjects, if `root` has this layout."""
        return next((p for p in (root, root / "processed") if p.is_dir() and _annotation_files(p)), None)

    @cached_property
    def _found(self) -> dict[str, tuple[dict[str, Path], tuple[str, ...]]]:
        return _annotation_files(self.root)

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(self._found)

    def trials(self, subject: str) -> list[str]:
        return list(self._found[subject][0])

    def strays(self, subject: str) -> tuple[str, ...]:
        return self._found[subject][1]

    def lengths(self, subject: str, trial: str) -> tuple[int | None, dict[str, int], dict[str, Path]]:
        counts = {camera: len(where) for camera, where in read_camera_rows(self._path(subject, trial))[0].items()}
        return min(counts.values()), counts, {}

    def _trial_files(self, subject: str, trial: str) -> list[Path]:
        return [self._path(subject, trial)]

    def _path(self, subject: str, trial: str) -> Path:
        return self._found[subject][0][trial]

    def _positions(self, subject: str, trial: str) -> tuple[np.ndarray, float, float]:
        path = self._path(subject, trial)
        rows, first = read_camera_rows(path)
        local = {camera: values / 1000 for camera, values in read_annotation_values(path, "pose/3d", rows).items()}
        return (
            cameras_to_world(local, self.cameras(subject), str(path)),
            names.HUMAN36M_RATE_HZ,
            (first - 1) / names.HUMAN36M_RATE_HZ,
        )

    def _points_2d(self, subject: str, trial: str) -> dict[str, np.ndarray]:
        path = self._path(subject, trial)
        return read_annotation_values(path, "pose/2d", read_camera_rows(path)[0])


def read_camera_rows(path: Path) -> tuple[dict[str, np.ndarray], int]:
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


def read_annotation_values(path: Path, key: str, rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{camera: (frames, 32, 3) mm or (frames, 32, 2) px} out of `pose/3d` or `pose/2d`."""
    values = _read_array(path, key)
    count, dimensions = sum(map(len, rows.values())), 3 if "3d" in key else 2
    if values.shape != (count, 32, dimensions):
        raise InputError(f"{path}: {key} has shape {values.shape}, expected ({count}, 32, {dimensions}).")
    return {camera: values[where].astype(float) for camera, where in rows.items()}


def _annotation_files(root: Path) -> dict[str, tuple[dict[str, Path], tuple[str, ...]]]:
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
    with open_checked(path) as file:
        if key not in file:
            universal = " (pose/3d-univ has the limbs of one person for everybody)" if key == "pose/3d" else ""
            raise InputError(f"{path}: no data set {key!r}; found {', '.join(array_names(file)) or 'none'}.{universal}")
        found = np.asarray(checked_values(file[key]))
    if found.dtype.kind not in "fiu":
        raise InputError(f"{path}: {key} holds {found.dtype}, expected numbers.")
    return found


# VideoPose3D's data_3d_h36m.npz: one pickled dictionary of world positions in metres.
# `positions_3d` is {subject: {file name: (frames, 32, 3) float32 m}}, with the names of the official files,
# except that S1 has Photo and WalkDog like the others; its writer leaves out the trial S11 Directions, whose
# video is corrupt. `data_2d_h36m_gt.npz` beside it, if there, holds projections of 17 joints: {subject: {file
# name: [per camera (frames, 17, 2) px]}}.


VIDEOPOSE3D_FILE, VIDEOPOSE3D_2D_FILE = "data_3d_h36m.npz", "data_2d_h36m_gt.npz"


class VideoPose3D(Copy):
    """The layout of VideoPose3D's archive. It is read as a whole (about 200 MB) when first needed, and kept."""

    layout = "videopose3d"
    LOOKED_FOR = f"{VIDEOPOSE3D_FILE}, also in data/"

    @staticmethod
    def find(root: Path) -> Path | None:
        """The archive, if `root` is one or holds one."""
        if root.is_file():
            return root if root.suffix == ".npz" else None
        return next((p for p in (root / VIDEOPOSE3D_FILE, root / "data" / VIDEOPOSE3D_FILE) if p.is_file()), None)

    @cached_property
    def _data(self) -> dict[str, dict[str, np.ndarray]]:
        return _by_trial(self.root, "positions_3d")

    @cached_property
    def _data_2d(self) -> dict[str, dict[str, list[np.ndarray]]]:
        path = self.root.with_name(VIDEOPOSE3D_2D_FILE)
        return _by_trial(path, "positions_2d") if path.is_file() else {}

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(names.subject_order(self._data))

    def trials(self, subject: str) -> list[str]:
        return list(self._data[subject])

    def lengths(self, subject: str, trial: str) -> tuple[int | None, dict[str, int], dict[str, Path]]:
        points = {camera: len(values) for camera, values in self._points_2d(subject, trial).items()}
        return len(self._data[subject][trial]), points, {}

    def _trial_files(self, subject: str, trial: str) -> list[Path]:
        return [self.root]

    def _positions(self, subject: str, trial: str) -> tuple[np.ndarray, float, float]:
        xyz = np.asarray(self._data[subject][trial], float)
        if xyz.ndim != 3 or xyz.shape[2] != 3 or not len(xyz) or not np.isfinite(xyz).all():
            raise InputError(f"{self.root}, {subject} {trial}: positions {xyz.shape}, expected finite (frames, 32, 3).")
        return xyz, names.HUMAN36M_RATE_HZ, 0.0

    def _points_2d(self, subject: str, trial: str) -> dict[str, np.ndarray]:
        views = self._data_2d.get(subject, {}).get(trial, [])
        return {
            camera: np.asarray(view, float) for camera, view in zip(names.HUMAN36M_CAMERA_SIZES, views, strict=False)
        }


def _by_trial(path: Path, key: str) -> dict[str, dict]:
    """The dictionary `key` of an archive, with canonical trials."""
    content = read_npz(path, [key])[key]
    if not isinstance(content, dict) or not all(isinstance(actions, dict) for actions in content.values()):
        raise InputError(f"{path}: {key} is not a dictionary of subjects with a dictionary of actions each.")
    found = {}
    for subject, actions in content.items():
        matched = names.match_files(subject, actions)
        if matched.strays:
            raise InputError(f"{path}: {subject} has {', '.join(matched.strays)}, which are none of its trials.")
        found[subject] = {trial: actions[name] for trial, name in matched.trials.items()}
    return found


COPY_LAYOUTS = (Archives, Fetched, VideoPose3D)  # looked for in this order


def open_copy(
    root: str | Path, layout: str = "auto", cameras: str | Path | None = None, lens: str | None = None
) -> Copy:
    """A copy of Human3.6M, whichever layout it has.

    root: folder of the copy (or the .npz itself). layout: 'archives' (official, unpacked), 'fetch' (annot.h5 per
    trial), 'videopose3d', or 'auto' to look, in this order. cameras: file or folder of camera parameters (default:
    looked for in the copy); lens: see `rigs.open_rigs`. Raises `InputError` that lists what was looked for.
    """
    root = Path(root)
    if not root.exists():
        raise InputError(f"Human3.6M copy {root} does not exist.")
    kinds = {kind.layout: kind for kind in COPY_LAYOUTS}
    if layout != "auto" and layout not in kinds:
        raise unknown_name("layout", layout, ("auto", *kinds))
    for kind in kinds.values() if layout == "auto" else (kinds[layout],):
        place = kind.find(root)
        if place is None:
            continue
        copy = kind(place, None)
        if cameras is not None:
            copy.rigs = open_rigs(cameras, lens)
        else:
            folders = [place, root] if place.is_dir() else [place.parent, root]
            folders += [place.parent] * (place.name in ("extracted", "processed"))
            copy.rigs = find_rigs([folder for folder in folders if folder.is_dir()], copy.subjects, lens)
        return copy
    looked = "; ".join(f"{name}: {kind.LOOKED_FOR}" for name, kind in kinds.items() if layout in ("auto", name))
    raise InputError(f"no Human3.6M data in {root}. Looked for {looked}.{_layout_hint(root)}")


def _layout_hint(root: Path) -> str:
    """What may be wrong with a folder that has none of the layouts."""
    if not root.is_dir():
        return " It is a file; name the folder."
    packed = sorted(path for pattern in ("*.tgz", "*/*.tgz") for path in root.glob(pattern))
    if packed:
        return f" Archives are still packed ({packed[0].name}, …): unpack them, a folder for each subject."
    if any((root / name).is_dir() for name in ("MyPoseFeatures", "Videos")):
        return " This is the folder of one subject; name the one above it."
    inside = next((p for p in sorted(root.iterdir()) if p.is_dir() and any(p.glob("S[0-9]*/*"))), None)
    return f" There are subjects in {inside}." if inside else ""
