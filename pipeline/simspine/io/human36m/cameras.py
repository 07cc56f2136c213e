"""Camera parameters of a copy: the official metadata.xml, its contents as JSON, or any JSON/TOML the user has."""

import json
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from simspine.core.errors import InputError, unknown_name
from simspine.core.types import Camera
from simspine.io.atomic import write_text
from simspine.io.human36m import names
from simspine.io.text_tables import parse_content, read_bytes

# The data set's own lens as one of OpenCV's.
# For ideal normalised coordinates u = (x, y), r² = x² + y² and q = (p2, p1) the data set projects with
#     u' = u (1 + k1 r² + k2 r⁴ + k3 r⁶ + q·u) + q r²        (ProjectPointRadial of its release code)
# where OpenCV, with the same numbers, has `2 q·u`. So OpenCV's tangential part with half of p1 and p2 is u (q·u)
# + q r²/2, and its thin prism terms s1 = p2/2, s3 = p1/2 add the missing q r²/2: the lens is the same, to
# rounding. How much it costs to take one lens for the other: docs/human36m.md.


def to_opencv(camera: Camera) -> Camera:
    """The camera whose lens is the data set's. camera: holds k1 k2 p1 p2 k3 as they stand in its metadata.xml."""
    if camera.lens != "perspective" or camera.distortion.size > 5:
        raise InputError(f"camera {camera.name!r} has more of a lens than Human3.6M's k1 k2 p1 p2 k3.")
    k1, k2, p1, p2, k3 = camera.distortion
    return camera.with_(distortion=[k1, k2, p1 / 2, p2 / 2, k3, 0, 0, 0, p2 / 2, 0, p1 / 2, 0])


# The data set's metadata.xml: cameras of every subject, and which file holds which trial.
# `<w0>` is one vector in brackets. For N cameras (4) and eleven subjects it holds 66 N extrinsic numbers, six for
# each camera and, within it, each subject: three angles a, b, c (rad) with R = Rx(a) Ry(b) Rz(c), and the
# camera's centre T (mm), so that x_camera = R (X − T); then nine intrinsic numbers per camera (from index 264):
# fx fy cx cy k1 k2 k3 p1 p2 (px). The layout is as public readers have it (karfly/human36m-camera-parameters,
# una-dinosauria/3d-pose-baseline, anibali/h36m-fetch). Image sizes are not in the vector.
# What p1 and p2 mean in the data set's own projection is not what OpenCV takes them for: see `camera_model`.
# Files written here say which lens they were made with, in an element of ours that other readers pass over.


LENS_FORMULAS = ("human36m", "opencv")  # whose formula p1 and p2 belong to
_METADATA_SUBJECTS = tuple(f"S{i}" for i in range(1, 12))  # columns of the vector, S2 S3 S4 S10 among them
_EXTRINSIC_NUMBERS, _INTRINSIC_NUMBERS = 6, 9
_PER_CAMERA = _EXTRINSIC_NUMBERS * len(_METADATA_SUBJECTS) + _INTRINSIC_NUMBERS
_OWN_ATTRIBUTE = "simspine"


@dataclass(frozen=True)
class Metadata:
    """What a metadata.xml says.

    rigs: {subject: cameras in the order of the file}, metres, x_camera = R X + t, distortion k1 k2 p1 p2 k3 with the
    numbers of the file. lens: whose formula these numbers belong to. ours: written by `write_metadata`, so the capture
    is not Human3.6M itself and has none of its faults.
    """

    rigs: Mapping[str, tuple[Camera, ...]]
    lens: str
    ours: bool = False

    def cameras(self, subject: str) -> list[Camera]:
        """The rig of one subject; `InputError` lists those there are."""
        if subject not in self.rigs:
            raise unknown_name("subject", subject, self.rigs, "metadata.xml")
        return list(self.rigs[subject])


def read_metadata(path: str | os.PathLike) -> Metadata:
    """All that is used of a metadata.xml.

    Raises `InputError` for text that is no XML, a vector of another length, cameras that the file names no other way
    than we know and gives no image size for, and intrinsics without a focal length.
    """
    root = parse_content(ElementTree.fromstring, read_bytes(path), "readable as XML", path)
    vector = _camera_vector(root, path)
    ids = [text for text in (_element_text(e) for e in root.iterfind("dbcameras/index2id/*")) if text] or list(
        names.HUMAN36M_CAMERA_SIZES
    )
    if len(vector) != _PER_CAMERA * len(ids):
        raise InputError(
            f"{path}: <w0> holds {len(vector)} numbers; {len(ids)} cameras ({', '.join(ids)}) and "
            f"{len(_METADATA_SUBJECTS)} subjects take {_PER_CAMERA * len(ids)}."
        )
    ours = root.find(_OWN_ATTRIBUTE)
    lens = "human36m" if ours is None else ours.get("lens", "human36m")
    if lens not in LENS_FORMULAS:
        raise unknown_name("lens", lens, LENS_FORMULAS, str(path))
    sizes = names.HUMAN36M_CAMERA_SIZES | (
        {} if ours is None else {e.get("camera"): _image_size(e, path) for e in ours.iterfind("size")}
    )
    unsized = [i for i in ids if i not in sizes]
    if unsized:
        raise InputError(f"{path}: cameras {', '.join(unsized)} are not those of Human3.6M and have no image size.")
    extrinsic = vector[: -_INTRINSIC_NUMBERS * len(ids)].reshape(len(ids), len(_METADATA_SUBJECTS), _EXTRINSIC_NUMBERS)
    intrinsic = vector[-_INTRINSIC_NUMBERS * len(ids) :].reshape(len(ids), _INTRINSIC_NUMBERS)
    rigs = {
        subject: tuple(
            _camera_of_metadata(
                name, sizes[name], extrinsic[c, s], intrinsic=intrinsic[c], where=f"{path}, camera {name} of {subject}"
            )
            for c, name in enumerate(ids)
        )
        for s, subject in enumerate(_METADATA_SUBJECTS)
        if extrinsic[:, s].any()  # a subject left out by our writer
    }
    return Metadata(rigs, lens, ours is not None)


def write_metadata(path: str | os.PathLike, rigs: Mapping[str, Sequence[Camera]], lens: str = "opencv") -> None:
    """Write a metadata.xml that `read_metadata` and the public readers understand.

    rigs: {S1 … S11: cameras}, the same cameras with the same intrinsics for every subject, since the file has one set
    of these. lens: whose formula the distortion numbers belong to. Subjects left out get zeros. Numbers keep all their
    digits; rotations come back to rounding (1e-15).
    """
    rigs = {subject: list(rigs[subject]) for subject in names.subject_order(rigs)}
    if not rigs:
        raise InputError(f"{path}: no subject to write.")
    if lens not in LENS_FORMULAS:
        raise unknown_name("lens", lens, LENS_FORMULAS)
    first = next(iter(rigs.values()))
    for subject, cameras in rigs.items():
        if subject not in _METADATA_SUBJECTS:
            raise unknown_name("subject", subject, _METADATA_SUBJECTS, f"{path}; the file has room for these only")
        if not cameras or not _same_intrinsics(first, cameras):
            raise InputError(f"{path}: {subject} and {next(iter(rigs))} differ in cameras or intrinsics; one set only.")
    if any(camera.K[0, 1] for camera in first):
        raise InputError(f"{path}: a camera has a skewed image; the format has no number for it.")
    if any(camera.lens != "perspective" or camera.distortion.size > 5 for camera in first):
        raise InputError(f"{path}: a camera has more of a lens than k1 k2 p1 p2 k3; the format has no numbers for it.")
    vector: list[float] = []
    for c in range(len(first)):
        for subject in _METADATA_SUBJECTS:
            camera = rigs[subject][c] if subject in rigs else None
            vector += (
                [0.0] * _EXTRINSIC_NUMBERS if camera is None else [*euler_angles(camera.R), *(camera.centre * 1000)]
            )
    vector += [number for camera in first for number in _intrinsic_numbers(camera)]
    root = ElementTree.Element("metadata")
    ElementTree.SubElement(root, "w0").text = "[" + " ".join(repr(float(number)) for number in vector) + "]"
    index = ElementTree.SubElement(ElementTree.SubElement(root, "dbcameras"), "index2id")
    for camera in first:
        ElementTree.SubElement(index, "item").text = camera.name
    _write_names(root)
    ours = ElementTree.SubElement(root, _OWN_ATTRIBUTE, lens=lens)
    for camera in first:
        ElementTree.SubElement(ours, "size", camera=camera.name).text = "{} {}".format(*camera.size)
    ElementTree.indent(root)
    write_text(path, '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n")


def euler_rotation(angles: Sequence[float] | np.ndarray) -> np.ndarray:
    """(3, 3) = Rx(a) Ry(b) Rz(c), world → camera; angles: a, b, c in rad."""
    return Rotation.from_euler("XYZ", angles).as_matrix()


def euler_angles(R: np.ndarray) -> np.ndarray:
    """(3,) rad with `rotation(angles(R)) = R`, also where b is a right angle."""
    b = np.arctan2(R[0, 2], np.hypot(R[0, 0], R[0, 1]))
    c = np.arctan2(-R[0, 1], R[0, 0])
    turned = R @ euler_rotation((0, 0, c)).T  # = Rx Ry, whose second column is that of Rx: exact even where a and c mix
    return np.array([np.arctan2(turned[2, 1], turned[1, 1]), b, c])


def _camera_of_metadata(name: str, size, extrinsic: np.ndarray, intrinsic: np.ndarray, where: str) -> Camera:
    R = euler_rotation(extrinsic[:3])
    fx, fy, cx, cy, k1, k2, k3, p1, p2 = intrinsic
    try:
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        return Camera(
            name=name, size=size, K=K, distortion=np.array([k1, k2, p1, p2, k3]), R=R, t=-R @ extrinsic[3:] / 1000
        )
    except (InputError, OverflowError) as error:
        raise InputError(f"{where}: {error}") from None


def _intrinsic_numbers(camera: Camera) -> list[float]:
    k1, k2, p1, p2, k3 = camera.distortion
    return [camera.K[0, 0], camera.K[1, 1], camera.K[0, 2], camera.K[1, 2], k1, k2, k3, p1, p2]


def _same_intrinsics(a: Sequence[Camera], b: Sequence[Camera]) -> bool:
    return len(a) == len(b) and all(x.with_(R=y.R, t=y.t) == y for x, y in zip(a, b, strict=True))


def _camera_vector(root: ElementTree.Element, path) -> np.ndarray:
    element = root.find("w0") if root.find("w0") is not None else root.find(".//w0")
    if element is None:
        raise InputError(
            f"{path}: no element <w0> with the camera parameters; the metadata.xml of Human3.6M was expected."
        )
    try:
        return np.array(_element_text(element).strip("[] \n\t").replace(",", " ").split(), float)
    except ValueError as error:
        raise InputError(f"{path}: <w0> holds something else than numbers ({error}).") from None


def _element_text(element: ElementTree.Element) -> str:
    return (element.text or "").strip()


def _image_size(element: ElementTree.Element, path) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in _element_text(element).split())
    except ValueError:
        raise InputError(f"{path}: image size {_element_text(element)!r}, expected width and height.") from None
    return width, height


def _write_names(root: ElementTree.Element) -> None:
    """The tables of actions and files; `_ALL` is the first action, as in the original."""
    mapping = ElementTree.SubElement(root, "mapping")
    numbered = list(enumerate(("_ALL", *names.HUMAN36M_ACTIONS), start=1))
    rows = [["", "", *names.HUMAN36M_SUBJECT_NAMES]]
    rows += [
        ["1", "1", *["_ALL 1"] * len(names.HUMAN36M_SUBJECT_NAMES)],
        ["1", "2", *["_ALL"] * len(names.HUMAN36M_SUBJECT_NAMES)],
    ]
    for action_id, action in numbered[1:]:
        for number in ("1", "2"):
            stems = [names.official_name(subject, f"{action}_{number}") for subject in names.HUMAN36M_SUBJECT_NAMES]
            rows.append([str(action_id), number, *stems])
    for row in rows:
        element = ElementTree.SubElement(mapping, "tr")
        for cell in row:
            ElementTree.SubElement(element, "td").text = cell
    actions = ElementTree.SubElement(root, "actionnames")
    for _, action in numbered:
        ElementTree.SubElement(actions, "item").text = action


# The JSON of karfly/human36m-camera-parameters, in which most people have the data set's cameras.
#     {"intrinsics": {camera: {"calibration_matrix": 3 × 3, "distortion": [k1, k2, p1, p2, k3]}},
#      "extrinsics": {subject: {camera: {"R": 3 × 3, "t": 3 numbers in mm}}}}
# x_camera = R X + t. The numbers are those of metadata.xml, so p1 and p2 belong to the data set's lens
# (`camera_model`).


_MAX_DISTANCE_IN_METRES = 100.0  # m; numbers beyond are millimetres, a room is smaller


def is_parameters(content) -> bool:
    """Whether parsed JSON is of this kind."""
    return isinstance(content, dict) and {"intrinsics", "extrinsics"} <= set(content)


def parse_parameters(content: dict, where: str) -> Metadata:
    """The rigs of parsed JSON. Raises `InputError` for missing entries and cameras without a known image size."""
    try:
        rigs = {
            subject: tuple(
                _camera_of_json(name, content["intrinsics"][name], pose, where) for name, pose in poses.items()
            )
            for subject, poses in content["extrinsics"].items()
        }
    except KeyError as missing:
        raise InputError(f"{where}: the entry {missing} is missing.") from None
    except (TypeError, AttributeError, ValueError, OverflowError) as error:  # InputError of Camera among them
        raise InputError(f"{where}: {error}") from None
    return Metadata({subject: rigs[subject] for subject in names.subject_order(rigs)}, "human36m")


def _camera_of_json(name: str, intrinsic: dict, pose: dict, where: str) -> Camera:
    if name not in names.HUMAN36M_CAMERA_SIZES:
        raise InputError(
            f"camera {name!r} is none of {', '.join(names.HUMAN36M_CAMERA_SIZES)}, so its image size is not known."
        )
    t = np.asarray(pose["t"], float).ravel()
    t = t / 1000 if np.linalg.norm(t) > _MAX_DISTANCE_IN_METRES else t
    return Camera(
        name=name,
        size=names.HUMAN36M_CAMERA_SIZES[name],
        K=intrinsic["calibration_matrix"],
        distortion=intrinsic["distortion"],
        R=pose["R"],
        t=t,
    )


# Looked for in a copy, in this order; {subject} is filled in.
SHARED_FILES = ("metadata.xml", "cameras.json", "camera-parameters.json")
SUBJECT_FILES = ("cameras/Calib_{subject}.toml", "Calib_{subject}.toml", "{subject}.toml", "{subject}.json")


@dataclass(frozen=True)
class Rigs:
    """Where the cameras of each subject are read from.

    place: a file that holds all subjects (metadata.xml, JSON) or one rig (TOML, JSON), or a folder with a file per
    subject. lens: whose formula the tangential numbers belong to, 'human36m' or 'opencv'. metadata: the contents, if
    they were read already.
    """

    place: Path
    lens: str
    metadata: Metadata | None = None

    def cameras(self, subject: str) -> list[Camera]:
        """The rig of one subject in metres, with OpenCV's lens that is the same as that of `lens`."""
        given = self.given(subject)
        return [to_opencv(camera) for camera in given] if self.lens == "human36m" else given

    def given(self, subject: str) -> list[Camera]:
        """The rig of one subject in metres, with the numbers of the file."""
        if self.metadata is not None:
            if subject not in self.metadata.rigs:
                raise unknown_name("subject", subject, self.metadata.rigs, str(self.place))
            return self.metadata.cameras(subject)
        from simspine.io.calibration import read_calibration

        return read_calibration(self.file(subject), subject)

    def file(self, subject: str) -> Path:
        """The file the subject's cameras are in."""
        if not self.place.is_dir():
            return self.place
        for pattern in SUBJECT_FILES:
            path = self.place / pattern.format(subject=subject)
            if path.is_file():
                return path
        wanted = ", ".join(pattern.format(subject=subject) for pattern in SUBJECT_FILES)
        raise InputError(f"no camera file for {subject} in {self.place}; looked for {wanted}.")


def open_rigs(place: str | os.PathLike, lens: str | None = None) -> Rigs:
    """Camera parameters from a file or a folder.

    lens: whose formula p1 and p2 belong to. If None: what a metadata.xml says or is known to mean, the data set's for
    the JSON of human36m-camera-parameters, and OpenCV's for other JSON and TOML, whose formats are defined by it.
    (Where such a file was converted from metadata.xml number by number, say `lens="human36m"`; the report about a copy
    finds out.)
    """
    place = Path(place)
    if lens is not None and lens not in LENS_FORMULAS:
        raise unknown_name("lens", lens, LENS_FORMULAS)
    if place.is_dir():
        shared = next((place / name for name in SHARED_FILES if (place / name).is_file()), None)
        return Rigs(place, lens or "opencv") if shared is None else open_rigs(shared, lens)
    if not place.is_file():
        raise InputError(f"camera parameters {place} do not exist.")
    if place.suffix.lower() == ".xml":
        metadata = read_metadata(place)
        return Rigs(place, lens or metadata.lens, metadata)
    if place.suffix.lower() == ".json":
        content = parse_content(json.loads, read_bytes(place), "valid JSON", place)
        if is_parameters(content):
            metadata = parse_parameters(content, str(place))
            return Rigs(place, lens or metadata.lens, metadata)
    return Rigs(place, lens or "opencv")


def find_rigs(folders: Sequence[Path], subjects: Sequence[str], lens: str | None = None) -> Rigs | None:
    """The first of the usual files in the first of the folders that has one; None if there is none."""
    for folder in folders:
        per_subject = (pattern.format(subject=subject) for subject in subjects for pattern in SUBJECT_FILES)
        if any((folder / name).is_file() for name in (*SHARED_FILES, *per_subject)):
            return open_rigs(folder, lens)
    return None
