"""A licence holder's copy of Human3.6M: the official archives, unpacked, with CDF files and videos per subject.

    <root>/S1/MyPoseFeatures/D3_Positions/Directions 1.cdf               world, mm
    <root>/S1/MyPoseFeatures/D3_Positions_mono/Directions 1.54138969.cdf camera, mm
    <root>/S1/MyPoseFeatures/D2_Positions/Directions 1.54138969.cdf      px
    <root>/S1/Videos/Directions 1.54138969.mp4
    <root>/metadata.xml

h36m-fetch unpacks the same files as <root>/extracted/S1/Poses_D3_Positions/…; read as well. The folder
`D3_Positions_mono_universal` (everybody with the limbs of one person) is never read.
"""

import os
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from simspine.core.errors import InputError, unknown_name
from simspine.core.skeletons import load_skeleton
from simspine.core.types import Camera, Keypoints, Markers, Origin
from simspine.io.atomic import atomic_path
from simspine.io.guarded import read_guarded
from simspine.io.human36m import names
from simspine.io.human36m.cameras import SHARED_FILES, Rigs, find_rigs, open_rigs
from simspine.io.human36m.names import TrialFault, known_faults_of, spoilt_videos

HUMAN36M_SKELETONS = ("human36m32", "human36m17")
_PLAUSIBLE_LEG_LENGTHS_M = (0.5, 1.25)  # m, thigh and shank together; adults: 0.7–1.0
_LEG_BONES = (("RHip", "RKnee"), ("RKnee", "RAnkle"), ("LHip", "LKnee"), ("LKnee", "LAnkle"))

WORLD_FOLDER, MONO_FOLDER = "D3_Positions", "D3_Positions_mono"
POINTS_2D_FOLDER, HUMAN36M_VIDEOS_FOLDER = "D2_Positions", "Videos"
_FOLDER_PATTERNS = ("MyPoseFeatures/{kind}", "Poses_{kind}", "{kind}")
_SUFFIXES = {WORLD_FOLDER: ".cdf", MONO_FOLDER: ".cdf", POINTS_2D_FOLDER: ".cdf", HUMAN36M_VIDEOS_FOLDER: ".mp4"}
_MAX_CAMERA_DISAGREEMENT_M = 1e-3  # m, within which the cameras of a trial must place a joint


class _Listing(NamedTuple):
    """{trial: {camera or '': file}} of one subject and kind, and names that are no trial."""

    trials: dict[str, dict[str, Path]]
    strays: tuple[str, ...]


class Copy:
    """A copy of Human3.6M, or another capture laid out like it. Made by `open_copy`.

    root: folder with the subjects. rigs: camera parameters, if there are any. Folders are listed once; nothing else is
    kept in memory.
    """

    def __init__(self, root: Path, rigs: Rigs | None):
        self.root, self.rigs = root, rigs

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects there is anything of, in order of their numbers."""
        return tuple(self._listings)

    def trials(self, subject: str) -> list[str]:
        """Canonical names of the trials there is anything of."""
        there = set().union(*(listing.trials for listing in self._listings[subject].values()))
        return [trial for trial in names.canonical_trials() if trial in there]

    def strays(self, subject: str) -> tuple[str, ...]:
        """Names in the subject's folders that are no trial of this subject."""
        return tuple(sorted(set().union(*(listing.strays for listing in self._listings[subject].values()))))

    def lengths(self, subject: str, trial: str) -> tuple[int | None, dict[str, int], dict[str, Path]]:
        """Frames of the motion capture (None: there is none), rows of 2D points by camera, videos by camera."""
        source = self._files(subject, trial, WORLD_FOLDER) or self._files(subject, trial, MONO_FOLDER)
        points = self._files(subject, trial, POINTS_2D_FOLDER)
        counts = [len(poses) for poses in read_poses([*source.values(), *points.values()])]
        frames = min(counts[: len(source)], default=None)
        return frames, dict(zip(points, counts[len(source) :], strict=True)), self._videos(subject, trial)

    def files(self, subject: str, trial: str) -> list[Path]:
        """All files of the trial, cameras included: what a result made of it depends on."""
        trial = self._known(subject, trial)
        found = [path for kind in _SUFFIXES for path in self._files(subject, trial, kind).values()]
        return found + ([self.rigs.file(subject)] if self.rigs is not None else [])

    def positions(self, subject: str, trial: str, skeleton: str = "human36m32") -> Markers:
        """Motion capture of one trial: metres, world with z up, 50 frames/s, 32 or 17 joints.

        Raises `InputError` for trials that are not there, files that cannot be read, and bodies that cannot be human
        (units).
        """
        joints = _joint_names(skeleton)
        xyz = self._positions(subject, self._known(subject, trial))
        every = load_skeleton("human36m32").names
        markers = Markers(every, names.HUMAN36M_RATE_HZ, xyz, "z_up", origin=(Origin.GIVEN,) * len(every))
        check_joint_unit(markers, f"{self.root}, {subject} {trial}")
        return markers.select(joints)

    def points_2d(self, subject: str, trial: str, skeleton: str = "human36m32") -> Keypoints:
        """Published 2D points of all joints, views in the order of `cameras`; NaN where a camera has no file.

        Views of different length are cut to the shortest.
        """
        joints = _joint_names(skeleton)
        given = _read_pose_array(self._files(subject, self._known(subject, trial), POINTS_2D_FOLDER), 2)
        if not given:
            raise InputError(f"{self.root}, {subject} {trial}: no 2D points in this copy.")
        order = [camera.name for camera in self.cameras(subject)] if self.rigs is not None else sorted(given)
        unknown = sorted(set(given) - set(order))
        if unknown:
            raise InputError(
                f"{self.root}, {subject} {trial}: 2D points of cameras {', '.join(unknown)}, but the camera parameters "
                f"are of {', '.join(order)}."
            )
        frames = min(len(points) for points in given.values())
        every = load_skeleton("human36m32").names
        xy = np.full((frames, len(order), len(every), 2), np.nan)
        for name, points in given.items():
            xy[:, order.index(name)] = points[:frames]
        confidence = np.isfinite(xy).all(-1).astype(float)
        origin = (Origin.GIVEN,) * len(every)
        return Keypoints(every, names.HUMAN36M_RATE_HZ, xy, confidence, origin=origin).select(joints)

    def cameras(self, subject: str) -> list[Camera]:
        """The subject's cameras: metres, x_camera = R X + t, OpenCV's model of the lens of their images."""
        if self.rigs is None:
            raise InputError(
                f"no camera parameters for {self.root}; looked for {', '.join(SHARED_FILES)} and Calib_<subject>.toml "
                "there. Put the data set's metadata.xml into the folder, or name a file (capture.cameras)."
            )
        return self.rigs.cameras(subject)

    def videos(self, subject: str, trial: str) -> list[Path]:
        """Videos in the order of the cameras, without those known to be corrupt."""
        found = self._videos(subject, self._known(subject, trial))
        bad = spoilt_videos(self.faults(subject, trial))
        cameras = names.HUMAN36M_CAMERA_SIZES if self.rigs is None else [c.name for c in self.cameras(subject)]
        rank = {name: i for i, name in enumerate(cameras)}
        return [found[name] for name in sorted(found, key=lambda n: (rank.get(n, len(rank)), n)) if name not in bad]

    def faults(self, subject: str, trial: str | None = None) -> list[TrialFault]:
        """Known faults of the data set; none for a capture of other origin in its layout (its metadata.xml says)."""
        made = self.rigs is not None and self.rigs.metadata is not None and self.rigs.metadata.ours
        return [] if made else known_faults_of(subject, trial)

    def _known(self, subject: str, trial: str) -> str:
        """The trial's canonical name; `InputError` lists what there is."""
        if subject not in self.subjects:
            raise unknown_name("subject", subject, self.subjects, str(self.root))
        canonical = "{}_{}".format(*names.split_trial(trial))
        there = self.trials(subject)
        if canonical not in there:
            strays = self.strays(subject)
            hint = f" Files that are no trial of {subject}: {', '.join(strays)}." if strays else ""
            raise InputError(
                f"{self.root}: {subject} has no {canonical} (file name {names.official_name(subject, canonical)!r})."
                f"{hint} There: {', '.join(there) or 'none'}."
            )
        return canonical

    @cached_property
    def _listings(self) -> dict[str, dict[str, _Listing]]:
        return {
            subject: {kind: _list_kind(subject, folder, kind) for kind in _SUFFIXES}
            for subject, folder in _subject_folders(self.root).items()
        }

    def _files(self, subject: str, trial: str, kind: str) -> dict[str, Path]:
        return self._listings[subject][kind].trials.get(trial, {})

    def _videos(self, subject: str, trial: str) -> dict[str, Path]:
        return {camera: path for camera, path in self._files(subject, trial, HUMAN36M_VIDEOS_FOLDER).items() if camera}

    def _positions(self, subject: str, trial: str) -> np.ndarray:
        """(frames, 32, 3) m in the world."""
        world = self._files(subject, trial, WORLD_FOLDER)
        if world:
            return _read_pose_array(world, 3)[""] / 1000
        where, mono = f"{self.root}, {subject} {trial}", self._files(subject, trial, MONO_FOLDER)
        if not mono:
            raise InputError(f"{where}: no motion capture ({WORLD_FOLDER} or {MONO_FOLDER}), only other files.")
        local = {camera: poses / 1000 for camera, poses in _read_pose_array(mono, 3).items()}
        return cameras_to_world(local, self.cameras(subject), where)


def _joint_names(skeleton: str) -> tuple[str, ...]:
    if skeleton not in HUMAN36M_SKELETONS:
        raise unknown_name("skeleton of Human3.6M", skeleton, HUMAN36M_SKELETONS)
    return load_skeleton(skeleton).names


def open_copy(root: str | Path, cameras: str | Path | None = None, lens: str | None = None) -> Copy:
    """A copy of Human3.6M.

    root: folder of the copy. cameras: file or folder of camera parameters (default: looked for in the copy); lens: see
    `open_rigs`. Raises `InputError` that says what was looked for.
    """
    root = Path(root)
    if not root.exists():
        raise InputError(f"Human3.6M copy {root} does not exist.")
    place = next((p for p in (root, root / "extracted") if p.is_dir() and _subject_folders(p)), None)
    if place is None:
        raise InputError(
            f"no Human3.6M data in {root}. Looked for <subject>/MyPoseFeatures/{WORLD_FOLDER}/*.cdf or "
            f"<subject>/Poses_{WORLD_FOLDER}/*.cdf (also {MONO_FOLDER}), <subject>/Videos.{_layout_hint(root)}"
        )
    if cameras is not None:
        return Copy(place, open_rigs(cameras, lens))
    return Copy(place, find_rigs([place, root], list(_subject_folders(place)), lens))


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


def check_joint_unit(markers: Markers, where: str) -> None:
    """`InputError` unless the legs are as long as a person's: catches millimetres taken for metres."""
    bones = [np.diff(markers.xyz[:, markers.indices(bone)], axis=1)[:, 0] for bone in _LEG_BONES]
    leg = float(np.nanmedian(np.sum([np.linalg.norm(bone, axis=-1) for bone in bones], 0))) / 2
    shortest, longest = _PLAUSIBLE_LEG_LENGTHS_M
    if not shortest <= leg <= longest:
        factors = {"millimetres": 1e-3, "metres": 1e3}
        unit = next((unit for unit, factor in factors.items() if shortest <= leg * factor <= longest), None)
        hint = f" The file seems to be in {unit}." if unit else ""
        raise InputError(f"{where}: thigh and shank are {leg:.4g} m long together, expected 0.5–1.25 m.{hint}")


def cameras_to_world(local: dict[str, np.ndarray], cameras, where: str) -> np.ndarray:
    """(frames, joints, 3) m in the world, from what single cameras have in their frames.

    All cameras must say the same to 1 mm; else the parameters are not those of the data (or of another subject).
    """
    by_name = {camera.name: camera for camera in cameras}
    known = [name for name in local if name in by_name]
    if not known:
        raise InputError(f"{where}: positions in the frames of {', '.join(local)}; cameras are {', '.join(by_name)}.")
    frames = min(len(local[name]) for name in known)
    world = [(local[name][:frames] - by_name[name].t) @ by_name[name].R for name in known]
    apart = max(float(np.abs(other - world[0]).max()) for other in world)
    if apart > _MAX_CAMERA_DISAGREEMENT_M:
        raise InputError(
            f"{where}: the cameras place the same joint up to {apart:.3g} m apart; their parameters do not belong to "
            "these data. Check that they are this subject's, in metres, with x_camera = R X + t."
        )
    return world[0]


def _read_pose_array(files: dict[str, Path], dimensions: int) -> dict[str, np.ndarray]:
    """Poses by camera."""
    found = dict(zip(files, read_poses(files.values()), strict=True))
    for camera, poses in found.items():
        if poses.shape[2] != dimensions:
            raise InputError(f"{files[camera]}: {poses.shape[2]}D points in a folder of {dimensions}D points.")
    return found


def _subject_folders(root: Path) -> dict[str, Path]:
    """{subject: folder} for folders named like subjects that hold one of the kinds."""
    found = {
        path.name: path
        for path in root.iterdir()
        if re.fullmatch(r"S\d+", path.name) and any(_kind_folder(path, kind) for kind in _SUFFIXES)
    }
    return {subject: found[subject] for subject in names.subject_order(found)}


def _kind_folder(subject: Path, kind: str) -> Path | None:
    return next((p for f in _FOLDER_PATTERNS if (p := subject / f.format(kind=kind)).is_dir()), None)


def _list_kind(subject: str, folder: Path, kind: str) -> _Listing:
    place = _kind_folder(folder, kind)
    files: dict[str, dict[str, Path]] = {}
    for path in sorted(place.iterdir()) if place else ():
        if path.name.startswith(".") or path.suffix.lower() != _SUFFIXES[kind]:
            continue
        name, _, camera = path.stem.partition(".") if kind != WORLD_FOLDER else (path.stem, "", "")
        files.setdefault(name, {})[camera] = path
    matched = names.match_files(subject, files)
    return _Listing({trial: files[name] for trial, name in matched.trials.items()}, matched.strays)


# The data set's pose files: NASA CDF with one variable, `Pose`, (1, frames, 96) in mm or (1, frames, 64) in px.


HUMAN36M_JOINT_COUNT = 32
_DIMENSIONS_OF_WIDTH = {96: 3, 64: 2}  # numbers per frame → dimensions
_CDF_FLOATS = {"float32": 44, "float64": 45}


def read_poses(paths: Iterable[str | os.PathLike]) -> list[np.ndarray]:
    """Of each file (frames, 32, 3) mm or (frames, 32, 2) px, as the file has them: no unit is changed here.

    Many files at once save time, since each call starts a process. Raises `InputError` for files that are missing,
    empty, cut short, not CDF, without the variable `Pose`, of another shape, without frames, or with values that are
    not finite.
    """
    paths = list(paths)
    if empty := [path for path in paths if Path(path).is_file() and not Path(path).stat().st_size]:
        raise InputError(f"{empty[0]}: the file is empty. Unpack the archive again.")
    found, _ = read_guarded("CDF", *paths) if paths else ({}, {})
    return [_poses(path, found[str(number)]) for number, path in enumerate(paths)]


def read_pose(path: str | os.PathLike) -> np.ndarray:
    """What `read_poses` returns of a single file."""
    return read_poses([path])[0]


def write_pose(path: str | os.PathLike, poses: np.ndarray, dtype: str = "float32") -> None:
    """Write (frames, 32, 3) mm or (frames, 32, 2) px in the official layout.

    Equal arrays give equal bytes: nothing is compressed, since a compressed CDF carries the time of writing.
    """
    from cdflib import cdfwrite

    poses = np.asarray(poses, float)
    if poses.ndim != 3 or poses.shape[1] != HUMAN36M_JOINT_COUNT or poses.shape[2] not in (2, 3) or not len(poses):
        raise InputError(f"{path}: poses have shape {poses.shape}, expected (frames, {HUMAN36M_JOINT_COUNT}, 3 or 2).")
    if not np.isfinite(poses).all():
        raise InputError(f"{path}: poses hold values that are not finite, which the format has no mark for.")
    values = np.ascontiguousarray(poses.reshape(1, 1, len(poses), -1), dtype)
    variable = {
        "Variable": "Pose", "Data_Type": _CDF_FLOATS[dtype], "Num_Elements": 1, "Rec_Vary": True,
        "Dim_Sizes": list(values.shape[2:]), "Dim_Vary": [True, True], "Var_Type": "zVariable", "Compress": 0,
    }  # fmt: skip
    with atomic_path(path) as temporary:
        file = cdfwrite.CDF(temporary, cdf_spec={"Majority": "row_major", "Encoding": 6, "Checksum": True}, delete=True)
        file.write_var(variable, var_data=values[0])
        file.close()


def _poses(path: str | os.PathLike, values: np.ndarray) -> np.ndarray:
    width = values.shape[-1] if values.ndim else 0
    if width not in _DIMENSIONS_OF_WIDTH:
        shape = " × ".join(map(str, values.shape))
        raise InputError(f"{path}: Pose is {shape}; expected 1 × frames × 96 (3D) or 64 (2D).")
    if not values.size:
        raise InputError(f"{path}: no frame in the file. Unpack the archive again.")
    poses = values.reshape(-1, HUMAN36M_JOINT_COUNT, _DIMENSIONS_OF_WIDTH[width])
    if not np.isfinite(poses).all():
        first = int(np.argwhere(~np.isfinite(poses).all((1, 2)))[0, 0])
        raise InputError(f"{path}: values that are not finite, first in frame {first}. Unpack the archive again.")
    return poses
