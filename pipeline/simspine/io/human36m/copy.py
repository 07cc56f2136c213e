"""A licence holder's copy of Human3.6M: the official archives, unpacked, with CDF files and videos per subject.

Its layout, and that of h36m-fetch: docs/human36m.md. Archives of 2D points and of positions in camera frames follow
from these files and the cameras, and are not read. `examine_copy` checks whether a copy is complete and readable.
"""

import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy

from simspine.core.errors import InputError, names_text, naming_content, require_file, require_known, unknown_name
from simspine.core.skeletons import load_skeleton
from simspine.core.types import Camera, Markers, Origin
from simspine.io.atomic import atomic_path
from simspine.io.calibration import read_calibration
from simspine.io.guarded import read_guarded
from simspine.io.human36m import names
from simspine.io.human36m.names import TrialFault, is_unusable, known_faults_of, length_faults, spoilt_videos
from simspine.io.text_tables import parse_content, read_bytes
from simspine.io.video import open_video

# The data set's own lens as one of OpenCV's.
# For ideal normalised coordinates u = (x, y), r² = x² + y² and q = (p2, p1) the data set projects with
#     u' = u (1 + k1 r² + k2 r⁴ + k3 r⁶ + q·u) + q r²        (ProjectPointRadial of its release code)
# where OpenCV, with the same numbers, has `2 q·u`. So OpenCV's tangential part with half of p1 and p2 is u (q·u)
# + q r²/2, and its thin prism terms s1 = p2/2, s3 = p1/2 add the missing q r²/2: the lens is the same, to
# rounding. Errors from confusing the two lenses: docs/human36m.md.


def to_opencv(camera: Camera) -> Camera:
    """The camera with the data set's lens in OpenCV's terms. camera: with k1 k2 p1 p2 k3 as in metadata.xml."""
    if camera.lens != "perspective" or camera.distortion.size > 5:
        raise InputError(f"camera {camera.name!r} has more of a lens than Human3.6M's k1 k2 p1 p2 k3.")
    k1, k2, p1, p2, k3 = camera.distortion
    return camera.with_(distortion=[k1, k2, p1 / 2, p2 / 2, k3, 0, 0, 0, p2 / 2, 0, p1 / 2, 0])


# The data set's metadata.xml: cameras of every subject.
# `<w0>` is one vector in brackets. For N cameras (4) and eleven subjects it holds 66 N extrinsic numbers, six for
# each camera and, within it, each subject: three angles a, b, c (rad) with R = Rx(a) Ry(b) Rz(c), and the
# camera's centre T (mm), so that x_camera = R (X − T); then nine intrinsic numbers per camera (from index 264):
# fx fy cx cy k1 k2 k3 p1 p2 (px). The layout is as public readers have it (karfly/human36m-camera-parameters,
# una-dinosauria/3d-pose-baseline, anibali/h36m-fetch). Image sizes are not in the vector.
LENS_FORMULAS = ("human36m", "opencv")  # whose formula p1 and p2 belong to
_METADATA_SUBJECTS = tuple(f"S{i}" for i in range(1, 12))  # subjects in the vector, also S2 S3 S4 S10
_EXTRINSIC_NUMBERS, _INTRINSIC_NUMBERS = 6, 9
_PER_CAMERA = _EXTRINSIC_NUMBERS * len(_METADATA_SUBJECTS) + _INTRINSIC_NUMBERS


def read_metadata(path: str | os.PathLike) -> dict[str, list[Camera]]:
    """{subject: cameras in the order of the file}, metres, x_camera = R X + t, with the file's k1 k2 p1 p2 k3."""
    root = parse_content(ElementTree.fromstring, read_bytes(path), "readable as XML", path)
    if root.find("simspine") is not None:
        raise InputError(f"{path}: of a virtual capture by an earlier simspine. Remove its folder, and make it again.")
    element = root.find("w0") if root.find("w0") is not None else root.find(".//w0")
    if element is None:
        raise InputError(f"{path}: no element <w0> with camera parameters; expected the metadata.xml of Human3.6M.")
    with naming_content(path, "numbers in <w0>"):
        vector = np.array(_element_text(element).strip("[] \n\t").replace(",", " ").split(), float)
    texts = (_element_text(element) for element in root.iterfind("dbcameras/index2id/*"))
    ids = [text for text in texts if text] or list(names.HUMAN36M_CAMERA_SIZES)
    if len(vector) != _PER_CAMERA * len(ids):
        raise InputError(f"{path}: <w0> holds {len(vector)} numbers; {len(ids)} cameras take {_PER_CAMERA * len(ids)}.")
    if unsized := [i for i in ids if i not in names.HUMAN36M_CAMERA_SIZES]:
        raise InputError(f"{path}: cameras {', '.join(unsized)} are not those of Human3.6M and have no image size.")
    extrinsic = vector[: -_INTRINSIC_NUMBERS * len(ids)].reshape(len(ids), len(_METADATA_SUBJECTS), _EXTRINSIC_NUMBERS)
    intrinsic = vector[-_INTRINSIC_NUMBERS * len(ids) :].reshape(len(ids), _INTRINSIC_NUMBERS)
    return {
        subject: [
            _camera_of_metadata(name, extrinsic[c, s], intrinsic[c], f"{path}, camera {name} of {subject}")
            for c, name in enumerate(ids)
        ]
        for s, subject in enumerate(_METADATA_SUBJECTS)
        if extrinsic[:, s].any()
    }


def _camera_of_metadata(name: str, extrinsic: np.ndarray, intrinsic: np.ndarray, where: str) -> Camera:
    R = scipy.spatial.transform.Rotation.from_euler("XYZ", extrinsic[:3]).as_matrix()
    fx, fy, cx, cy, k1, k2, k3, p1, p2 = intrinsic
    size, K = names.HUMAN36M_CAMERA_SIZES[name], np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    with naming_content(where, "a camera"):
        return Camera(name, size, K, np.array([k1, k2, p1, p2, k3]), R=R, t=-R @ extrinsic[3:] / 1000)


def _element_text(element: ElementTree.Element) -> str:
    return (element.text or "").strip()


# Camera files that are looked for in a copy, in this order.
SHARED_FILES = ("metadata.xml", "cameras.json")
SUBJECT_FILES = ("cameras/Calib_{subject}.toml", "Calib_{subject}.toml", "{subject}.toml", "{subject}.json")


@dataclass(frozen=True)
class Rigs:
    """Source of the cameras of each subject. place: a file of all subjects or of one rig, or a folder with a file per
    subject. lens: whose formula the tangential numbers belong to. metadata: the contents of a metadata.xml."""

    place: Path
    lens: str
    metadata: Mapping[str, list[Camera]] | None = None

    def cameras(self, subject: str) -> list[Camera]:
        """Cameras of one subject in metres; their lens is converted to OpenCV's."""
        if self.metadata is None:
            given = read_calibration(self.file(subject), subject)
        else:
            require_known("subject", (subject,), self.metadata, str(self.place))
            given = self.metadata[subject]
        return [to_opencv(camera) for camera in given] if self.lens == "human36m" else given

    def file(self, subject: str) -> Path:
        if not self.place.is_dir():
            return self.place
        wanted = [pattern.format(subject=subject) for pattern in SUBJECT_FILES]
        for path in map(self.place.joinpath, wanted):
            if path.is_file():
                return path
        raise InputError(f"no camera file for {subject} in {self.place}; looked for {', '.join(wanted)}.")


def open_rigs(place: str | os.PathLike, lens: str | None = None) -> Rigs:
    """Camera parameters from a file or a folder. lens: whose formula p1 and p2 belong to; if None the data set's for a
    metadata.xml, OpenCV's for JSON and TOML, unless these were converted from it number by number."""
    place = Path(place)
    require_known("lens", () if lens is None else (lens,), LENS_FORMULAS)
    if place.is_dir():
        shared = next((place / name for name in SHARED_FILES if (place / name).is_file()), None)
        return Rigs(place, lens or "opencv") if shared is None else open_rigs(shared, lens)
    require_file(place)
    if place.suffix.lower() == ".xml":
        return Rigs(place, lens or "human36m", read_metadata(place))
    return Rigs(place, lens or "opencv")


def find_rigs(folders: Sequence[Path], subjects: Sequence[str], lens: str | None = None) -> Rigs | None:
    """Cameras from the first folder that has one of the usual files; None if no folder has."""
    for folder in folders:
        per_subject = (pattern.format(subject=subject) for subject in subjects for pattern in SUBJECT_FILES)
        if any((folder / name).is_file() for name in (*SHARED_FILES, *per_subject)):
            return open_rigs(folder, lens)
    return None


_PLAUSIBLE_LEG_LENGTHS_M = (0.5, 1.25)  # m, thigh and shank together; adults: 0.7–1.0
_LEG_BONES = (("RHip", "RKnee"), ("RKnee", "RAnkle"), ("LHip", "LKnee"), ("LKnee", "LAnkle"))

WORLD_FOLDER, HUMAN36M_VIDEOS_FOLDER = "D3_Positions", "Videos"
_FOLDER_PATTERNS = ("MyPoseFeatures/{kind}", "Poses_{kind}", "{kind}")
_SUFFIXES = {WORLD_FOLDER: ".cdf", HUMAN36M_VIDEOS_FOLDER: ".mp4"}


class _Listing(NamedTuple):
    """Files of one subject and kind: {trial: {camera or '': file}}, and names that are no trial."""

    trials: dict[str, dict[str, Path]]
    strays: tuple[str, ...]


class Copy:
    """A copy of Human3.6M, or a capture with its layout. root: folder with the subjects. rigs: camera parameters."""

    def __init__(self, root: Path, rigs: Rigs | None):
        self.root, self.rigs = root, rigs

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects with a folder, in order of their numbers."""
        return tuple(self._listings)

    def trials(self, subject: str) -> list[str]:
        """Canonical names of the trials with any file."""
        present = set().union(*(listing.trials for listing in self._listings[subject].values()))
        return [trial for trial in names.canonical_trials() if trial in present]

    def strays(self, subject: str) -> tuple[str, ...]:
        """Names in the subject's folders that are no trial of this subject."""
        return tuple(sorted(set().union(*(listing.strays for listing in self._listings[subject].values()))))

    def motion_capture_file(self, subject: str, trial: str) -> Path | None:
        """File of the trial's positions in the world; None where it is missing."""
        return self._files(subject, self._known(subject, trial), WORLD_FOLDER).get("")

    def video_files(self, subject: str, trial: str) -> dict[str, Path]:
        """All videos of the trial by camera, including corrupt ones."""
        videos = self._files(subject, self._known(subject, trial), HUMAN36M_VIDEOS_FOLDER)
        return {camera: path for camera, path in videos.items() if camera}

    def positions(self, subject: str, trial: str) -> Markers:
        """Motion capture of one trial: metres, world with z up, 50 frames/s, 32 joints."""
        where = f"{self.root}, {subject} {trial}"
        file = self.motion_capture_file(subject, trial)
        if file is None:
            raise InputError(f"{where}: no motion capture ({WORLD_FOLDER}), only other files.")
        every, xyz = load_skeleton("human36m32").names, read_pose(file) / 1000
        markers = Markers(every, names.HUMAN36M_RATE_HZ, xyz, "z_up", origin=(Origin.GIVEN,) * len(every))
        check_joint_unit(markers, where)
        return markers

    def cameras(self, subject: str) -> list[Camera]:
        """The subject's cameras: metres, x_camera = R X + t, OpenCV's lens model."""
        return self._known_rigs().cameras(subject)

    def camera_file(self, subject: str) -> Path:
        return self._known_rigs().file(subject)

    def _known_rigs(self) -> Rigs:
        if self.rigs is None:
            text = f"no camera parameters in {self.root}: no {', '.join(SHARED_FILES)} or Calib_<subject>.toml"
            raise InputError(f"{text}. Put the data set's metadata.xml there, or name a file (capture.cameras).")
        return self.rigs

    def videos(self, subject: str, trial: str) -> list[Path]:
        """Videos in the order of the cameras, without those known to be corrupt."""
        found = self.video_files(subject, trial)
        bad = spoilt_videos(self.faults(subject, trial))
        cameras = names.HUMAN36M_CAMERA_SIZES if self.rigs is None else [c.name for c in self.cameras(subject)]
        rank = {name: i for i, name in enumerate(cameras)}
        return [found[name] for name in sorted(found, key=lambda n: (rank.get(n, len(rank)), n)) if name not in bad]

    def faults(self, subject: str, trial: str | None = None) -> list[TrialFault]:
        """Known faults of the data set; none for a virtual capture in its layout, which has a `capture.json`."""
        return [] if (self.root / "capture.json").is_file() else known_faults_of(subject, trial)

    def _known(self, subject: str, trial: str) -> str:
        """The trial's canonical name; `InputError` lists the trials there are."""
        require_known("subject", (subject,), self.subjects, str(self.root))
        canonical = "{}_{}".format(*names.split_trial(trial))
        there = self.trials(subject)
        if canonical not in there:
            strays = self.strays(subject)
            hint = f" Files that are no trial of {subject}: {', '.join(strays)}." if strays else ""
            wanted = f"{canonical} (file name {names.official_name(subject, canonical)!r})"
            raise InputError(f"{self.root}: {subject} has no {wanted}.{hint} There: {', '.join(there) or 'none'}.")
        return canonical

    @cached_property
    def _listings(self) -> dict[str, dict[str, _Listing]]:
        return {
            subject: {kind: _list_kind(subject, folder, kind) for kind in _SUFFIXES}
            for subject, folder in _subject_folders(self.root).items()
        }

    def _files(self, subject: str, trial: str, kind: str) -> dict[str, Path]:
        return self._listings[subject][kind].trials.get(trial, {})


def open_copy(root: str | Path, cameras: str | Path | None = None, lens: str | None = None) -> Copy:
    """A copy of Human3.6M. root: its folder. cameras: file or folder of camera parameters, else found in the copy."""
    root = Path(root)
    if not root.exists():
        raise InputError(f"Human3.6M copy {root} does not exist.")
    place = next((p for p in (root, root / "extracted") if p.is_dir() and _subject_folders(p)), None)
    if place is None:
        wanted = f"S1/MyPoseFeatures/{WORLD_FOLDER}/*.cdf or S1/Poses_{WORLD_FOLDER}/*.cdf, S1/Videos"
        raise InputError(f"no Human3.6M data in {root}. Looked for {wanted}.{_layout_hint(root)}")
    if cameras is not None:
        return Copy(place, open_rigs(cameras, lens))
    return Copy(place, find_rigs([place, root], list(_subject_folders(place)), lens))


def _layout_hint(root: Path) -> str:
    if not root.is_dir():
        return " It is a file; name the folder."
    if packed := sorted(path for pattern in ("*.tgz", "*/*.tgz") for path in root.glob(pattern)):
        return f" Archives are still packed ({packed[0].name}, …): unpack them, a folder for each subject."
    if any((root / name).is_dir() for name in ("MyPoseFeatures", "Videos")):
        return " This is the folder of one subject; name the one above it."
    inside = next((p for p in sorted(root.iterdir()) if p.is_dir() and any(p.glob("S[0-9]*/*"))), None)
    return f" There are subjects in {inside}." if inside else ""


def check_joint_unit(markers: Markers, where: str) -> None:
    """Raise `InputError` unless the legs have a person's length, as with millimetres taken for metres."""
    bones = [np.diff(markers.xyz[:, markers.indices(bone)], axis=1)[:, 0] for bone in _LEG_BONES]
    leg = float(np.nanmedian(np.sum([np.linalg.norm(bone, axis=-1) for bone in bones], 0))) / 2
    shortest, longest = _PLAUSIBLE_LEG_LENGTHS_M
    if not shortest <= leg <= longest:
        factors = {"millimetres": 1e-3, "metres": 1e3}
        unit = next((unit for unit, factor in factors.items() if shortest <= leg * factor <= longest), None)
        hint = f" The file seems to be in {unit}." if unit else ""
        raise InputError(f"{where}: thigh and shank are {leg:.4g} m long together, expected 0.5–1.25 m.{hint}")


def _subject_folders(root: Path) -> dict[str, Path]:
    """{subject: folder} of folders with a subject's name that hold motion capture or videos."""
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
    matched, strays = names.match_files(subject, files)
    return _Listing({trial: files[name] for trial, name in matched.items()}, strays)


# The data set's files of positions: NASA CDF with one variable, `Pose`, (1, frames, 96) in mm.
_POSE_SHAPE = (32, 3)  # of one frame


def read_pose(path: str | os.PathLike) -> np.ndarray:
    """(frames, 32, 3) mm."""
    if Path(path).is_file() and not Path(path).stat().st_size:
        raise InputError(f"{path}: the file is empty. Unpack the archive again.")
    values = read_guarded("CDF", path)[0]["pose"]
    if values.shape[-1:] != (96,):
        shape = " × ".join(map(str, values.shape))
        raise InputError(f"{path}: Pose is {shape}; expected 1 × frames × 96 (64 are 2D points).")
    if not values.size:
        raise InputError(f"{path}: no frame in the file. Unpack the archive again.")
    poses = values.reshape(-1, *_POSE_SHAPE)
    if not np.isfinite(poses).all():
        first = int(np.argwhere(~np.isfinite(poses).all((1, 2)))[0, 0])
        raise InputError(f"{path}: values that are not finite, first in frame {first}. Unpack the archive again.")
    return poses


def write_pose(path: str | os.PathLike, poses: np.ndarray) -> None:
    """Write (frames, 32, 3) mm in the official layout. Not compressed: a compressed CDF holds the time of writing."""
    from cdflib import cdfwrite

    poses = np.asarray(poses, float)
    values = np.ascontiguousarray(poses.reshape(1, 1, len(poses), -1), "float32")
    variable = {
        "Variable": "Pose", "Data_Type": cdfwrite.CDF.CDF_FLOAT, "Num_Elements": 1, "Rec_Vary": True,
        "Dim_Sizes": list(values.shape[2:]), "Dim_Vary": [True, True], "Var_Type": "zVariable", "Compress": 0,
    }  # fmt: skip
    with atomic_path(path) as temporary:
        file = cdfwrite.CDF(temporary, cdf_spec={"Majority": "row_major", "Encoding": 6, "Checksum": True}, delete=True)
        file.write_var(variable, var_data=values[0])
        file.close()


MOST_NAMED = 6  # missing trials of a subject that a report lists


@dataclass(frozen=True)
class TrialState:
    """One trial: frames of motion capture (0 if missing or unreadable), number of videos, problems, known faults."""

    subject: str
    trial: str
    frames: int
    views: int
    problems: tuple[str, ...]
    faults: tuple[TrialFault, ...]

    @property
    def usable(self) -> bool:
        return self.frames > 0 and not self.problems and not is_unusable(self.faults)


@dataclass(frozen=True)
class SubjectState:
    """One subject: its trials, names of missing ones, file names that are no trial, the cameras' fault ('' if none)."""

    subject: str
    trials: tuple[TrialState, ...]
    missing: tuple[str, ...]
    strays: tuple[str, ...]
    cameras: str


@dataclass(frozen=True)
class CopyState:
    """Result of `examine_copy`."""

    root: Path
    subjects: tuple[SubjectState, ...]

    @property
    def trials(self) -> tuple[TrialState, ...]:
        return tuple(trial for subject in self.subjects for trial in subject.trials)

    def lines(self) -> list[str]:
        """The report: for each subject a line and its problems, then known faults and the usable trials."""
        out = [f"Human3.6M copy {self.root}"]
        absent = [s.subject for s in self.subjects if not s.trials and not s.strays]
        for s in (s for s in self.subjects if s.subject not in absent):
            frames = sum(trial.frames for trial in s.trials)
            out.append(f"  {s.subject}: {len(s.trials)} trials, {frames} frames, {_views_text(s.trials)}")
            if s.missing:
                out.append(f"    missing: {names_text(s.missing, MOST_NAMED)}")
            if s.strays:
                out.append(f"    no trials of {s.subject}, left out: {', '.join(s.strays)}")
            if s.cameras:
                out.append(f"    cameras: {s.cameras}")
            out += [f"    {trial.trial}: {problem}" for trial in s.trials for problem in trial.problems]
        out += [f"  nothing of {', '.join(absent)}"] if absent else []
        faults = [str(fault) for trial in self.trials for fault in trial.faults]
        out += ["  known faults:"] * bool(faults) + [f"    {fault}" for fault in faults]
        usable = [trial.frames for trial in self.trials if trial.usable]
        frames, rate = sum(usable), names.HUMAN36M_RATE_HZ
        time = f"{frames / rate / 3600:.2f} h" if frames / rate > 360 else f"{frames / rate:.1f} s"
        out.append(f"  usable: {len(usable)} trials, {frames} frames, {time} at {rate:g} frames/s")
        return out


def examine_copy(
    copy: Copy, subjects: Iterable[str] | None = None, actions: Iterable[str] | None = None, *, videos: bool = True
) -> CopyState:
    """Check every trial of the subjects and actions (None: all). videos: decode the first frame of every video."""
    wanted = names.select_trials(actions)
    states = [_subject_state(copy, subject, wanted, videos) for subject in subjects or names.HUMAN36M_SUBJECT_NAMES]
    return CopyState(copy.root, tuple(states))


def _subject_state(copy: Copy, subject: str, wanted: list[str], videos: bool) -> SubjectState:
    if subject not in copy.subjects:
        if subject not in names.HUMAN36M_SUBJECT_NAMES:
            raise unknown_name("subject", subject, copy.subjects, str(copy.root))
        return SubjectState(subject=subject, trials=(), missing=tuple(wanted), strays=(), cameras="")
    present = [trial for trial in copy.trials(subject) if trial in wanted]
    states = tuple(_trial_state(copy, subject, trial, videos) for trial in present)
    missing, fault = tuple(trial for trial in wanted if trial not in present), ""
    try:
        copy.cameras(subject)
    except InputError as error:
        fault = str(error)
    return SubjectState(subject, states, missing, strays=copy.strays(subject), cameras=fault)


def _trial_state(copy: Copy, subject: str, trial: str, videos: bool) -> TrialState:
    problems, faults = [], copy.faults(subject, trial)
    spoilt = {fault.camera for fault in faults if fault.spoils == "video"}
    frames, paths = 0, copy.video_files(subject, trial)
    try:
        frames = copy.positions(subject, trial).frames
    except InputError as error:
        problems.append(str(error))
    counts = {}
    for camera, path in paths.items() if videos else ():
        try:
            counts[camera] = open_video(path).frames
        except InputError as error:
            if camera not in spoilt:
                problems.append(str(error))
    if frames and not is_unusable(faults):
        faults += [fault for fault in length_faults(subject, trial, frames, counts) if fault.camera not in spoilt]
    return TrialState(subject, trial, frames, len(paths), problems=tuple(problems), faults=tuple(faults))


def _views_text(trials: Iterable[TrialState]) -> str:
    views = sorted({trial.views for trial in trials})
    if not views or views == [0]:
        return "no videos"
    return f"videos of {views[0]} to {views[-1]} cameras" if len(views) > 1 else f"videos of {views[0]} cameras"
