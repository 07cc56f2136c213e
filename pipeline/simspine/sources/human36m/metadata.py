"""The data set's metadata.xml: cameras of every subject, and which file holds which trial.

`<w0>` is one vector in brackets. For N cameras (4) and eleven subjects it holds 66 N extrinsic numbers, six for each
camera and, within it, each subject: three angles a, b, c (rad) with R = Rx(a) Ry(b) Rz(c), and the camera's centre T
(mm), so that x_camera = R (X − T); then nine intrinsic numbers per camera (from index 264): fx fy cx cy k1 k2 k3 p1 p2
(px). The layout is as public readers have it (karfly/human36m-camera-parameters, una-dinosauria/3d-pose-baseline,
anibali/h36m-fetch). Image sizes are not in the vector.

What p1 and p2 mean in the data set's own projection is not what OpenCV takes them for: see `camera_model`. Files
written here say which lens they were made with, in an element of ours that other readers pass over.
"""

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from simspine.errors import InputError, unknown_name
from simspine.formats._text import parsed, read_bytes
from simspine.formats.atomic import write_text
from simspine.sources.human36m import names
from simspine.types import Camera

LENSES = ("human36m", "opencv")  # whose formula p1 and p2 belong to
_SUBJECTS = tuple(f"S{i}" for i in range(1, 12))  # columns of the vector, S2 S3 S4 S10 among them
_EXTRINSIC, _INTRINSIC = 6, 9
_PER_CAMERA = _EXTRINSIC * len(_SUBJECTS) + _INTRINSIC
_OURS = "simspine"


@dataclass(frozen=True)
class Metadata:
    """What a metadata.xml says.

    rigs: {subject: cameras in the order of the file}, metres, x_camera = R X + t, distortion k1 k2 p1 p2 k3 with the
    numbers of the file. lens: whose formula these numbers belong to. files: {subject: {trial: file name}}, canonical
    trials, empty if the file has no such table. ours: written by `write_metadata`, so the capture is not Human3.6M
    itself and has none of its faults.
    """

    rigs: Mapping[str, tuple[Camera, ...]]
    lens: str
    files: Mapping[str, Mapping[str, str]]
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
    root = parsed(ElementTree.fromstring, read_bytes(path), "readable as XML", path)
    vector = _vector(root, path)
    ids = [text for text in (_text(e) for e in root.iterfind("dbcameras/index2id/*")) if text] or list(names.CAMERAS)
    if len(vector) != _PER_CAMERA * len(ids):
        raise InputError(
            f"{path}: <w0> holds {len(vector)} numbers; {len(ids)} cameras ({', '.join(ids)}) and {len(_SUBJECTS)} "
            f"subjects take {_PER_CAMERA * len(ids)}."
        )
    ours = root.find(_OURS)
    lens = "human36m" if ours is None else ours.get("lens", "human36m")
    if lens not in LENSES:
        raise unknown_name("lens", lens, LENSES, str(path))
    sizes = names.CAMERAS | ({} if ours is None else {e.get("camera"): _size(e, path) for e in ours.iterfind("size")})
    unsized = [i for i in ids if i not in sizes]
    if unsized:
        raise InputError(f"{path}: cameras {', '.join(unsized)} are not those of Human3.6M and have no image size.")
    extrinsic = vector[: -_INTRINSIC * len(ids)].reshape(len(ids), len(_SUBJECTS), _EXTRINSIC)
    intrinsic = vector[-_INTRINSIC * len(ids) :].reshape(len(ids), _INTRINSIC)
    rigs = {
        subject: tuple(
            _camera(name, sizes[name], extrinsic[c, s], intrinsic[c], f"{path}, camera {name} of {subject}")
            for c, name in enumerate(ids)
        )
        for s, subject in enumerate(_SUBJECTS)
        if extrinsic[:, s].any()  # a subject left out by our writer
    }
    return Metadata(rigs, lens, _mapping(root, path), ours is not None)


def write_metadata(path: str | os.PathLike, rigs: Mapping[str, Sequence[Camera]], lens: str = "opencv") -> None:
    """Write a metadata.xml that `read_metadata` and the public readers understand.

    rigs: {S1 … S11: cameras}, the same cameras with the same intrinsics for every subject, since the file has one set
    of these. lens: whose formula the distortion numbers belong to. Subjects left out get zeros. Numbers keep all their
    digits; rotations come back to rounding (1e-15).
    """
    rigs = {subject: list(rigs[subject]) for subject in names.subject_order(rigs)}
    if not rigs:
        raise InputError(f"{path}: no subject to write.")
    if lens not in LENSES:
        raise unknown_name("lens", lens, LENSES)
    first = next(iter(rigs.values()))
    for subject, cameras in rigs.items():
        if subject not in _SUBJECTS:
            raise unknown_name("subject", subject, _SUBJECTS, f"{path}; the file has room for these only")
        if not cameras or not _same_intrinsics(first, cameras):
            raise InputError(f"{path}: {subject} and {next(iter(rigs))} differ in cameras or intrinsics; one set only.")
    if any(camera.K[0, 1] for camera in first):
        raise InputError(f"{path}: a camera has a skewed image; the format has no number for it.")
    if any(camera.lens != "perspective" or camera.distortion.size > 5 for camera in first):
        raise InputError(f"{path}: a camera has more of a lens than k1 k2 p1 p2 k3; the format has no numbers for it.")
    vector: list[float] = []
    for c in range(len(first)):
        for subject in _SUBJECTS:
            camera = rigs[subject][c] if subject in rigs else None
            vector += [0.0] * _EXTRINSIC if camera is None else [*angles(camera.R), *(camera.centre * 1000)]
    vector += [number for camera in first for number in _intrinsic(camera)]
    root = ElementTree.Element("metadata")
    ElementTree.SubElement(root, "w0").text = "[" + " ".join(repr(float(number)) for number in vector) + "]"
    index = ElementTree.SubElement(ElementTree.SubElement(root, "dbcameras"), "index2id")
    for camera in first:
        ElementTree.SubElement(index, "item").text = camera.name
    _write_names(root)
    ours = ElementTree.SubElement(root, _OURS, lens=lens)
    for camera in first:
        ElementTree.SubElement(ours, "size", camera=camera.name).text = "{} {}".format(*camera.size)
    ElementTree.indent(root)
    write_text(path, '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n")


def rotation(angles: Sequence[float] | np.ndarray) -> np.ndarray:
    """(3, 3) = Rx(a) Ry(b) Rz(c), world → camera; angles: a, b, c in rad."""
    return Rotation.from_euler("XYZ", angles).as_matrix()


def angles(R: np.ndarray) -> np.ndarray:
    """(3,) rad with `rotation(angles(R)) = R`, also where b is a right angle."""
    b = np.arctan2(R[0, 2], np.hypot(R[0, 0], R[0, 1]))
    c = np.arctan2(-R[0, 1], R[0, 0])
    turned = R @ rotation((0, 0, c)).T  # = Rx Ry, whose second column is that of Rx: exact even where a and c mix
    return np.array([np.arctan2(turned[2, 1], turned[1, 1]), b, c])


def _camera(name: str, size, extrinsic: np.ndarray, intrinsic: np.ndarray, where: str) -> Camera:
    R = rotation(extrinsic[:3])
    fx, fy, cx, cy, k1, k2, k3, p1, p2 = intrinsic
    try:
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        return Camera(name, size, K, np.array([k1, k2, p1, p2, k3]), R, -R @ extrinsic[3:] / 1000)
    except (InputError, OverflowError) as error:
        raise InputError(f"{where}: {error}") from None


def _intrinsic(camera: Camera) -> list[float]:
    k1, k2, p1, p2, k3 = camera.distortion
    return [camera.K[0, 0], camera.K[1, 1], camera.K[0, 2], camera.K[1, 2], k1, k2, k3, p1, p2]


def _same_intrinsics(a: Sequence[Camera], b: Sequence[Camera]) -> bool:
    return len(a) == len(b) and all(x.with_(R=y.R, t=y.t) == y for x, y in zip(a, b, strict=True))


def _vector(root: ElementTree.Element, path) -> np.ndarray:
    element = root.find("w0") if root.find("w0") is not None else root.find(".//w0")
    if element is None:
        raise InputError(
            f"{path}: no element <w0> with the camera parameters; the metadata.xml of Human3.6M was expected."
        )
    try:
        return np.array(_text(element).strip("[] \n\t").replace(",", " ").split(), float)
    except ValueError as error:
        raise InputError(f"{path}: <w0> holds something else than numbers ({error}).") from None


def _text(element: ElementTree.Element) -> str:
    return (element.text or "").strip()


def _size(element: ElementTree.Element, path) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in _text(element).split())
    except ValueError:
        raise InputError(f"{path}: image size {_text(element)!r}, expected width and height.") from None
    return width, height


def _mapping(root: ElementTree.Element, path: str | os.PathLike) -> dict[str, dict[str, str]]:
    """Rows of <td>: the first names the subjects, each other one action, sub-action and the file of every subject."""
    rows = [[_text(cell) for cell in row] for row in root.iterfind("mapping/tr")]
    actions = [_text(element) for element in root.iterfind("actionnames/*")]
    files: dict[str, dict[str, str]] = {}
    if not rows or not actions:
        return files
    for action, number, *stems in (row for row in rows[1:] if len(row) > 2):
        if not (action.isdecimal() and len(action) < 5 and 0 < int(action) <= len(actions) and number in ("1", "2")):
            continue  # rows of other content follow the trials
        if actions[int(action) - 1].strip(" _").lower() == "all":
            continue
        try:
            trial = "{}_{}".format(*names.split_trial(f"{actions[int(action) - 1]}_{number}"))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        for subject, stem in zip(rows[0][2:], stems, strict=False):
            files.setdefault(subject, {})[trial] = stem
    return files


def _write_names(root: ElementTree.Element) -> None:
    """The tables of actions and files; `_ALL` is the first action, as in the original."""
    mapping = ElementTree.SubElement(root, "mapping")
    numbered = list(enumerate(("_ALL", *names.ACTIONS), start=1))
    rows = [["", "", *names.SUBJECTS]]
    rows += [["1", "1", *["_ALL 1"] * len(names.SUBJECTS)], ["1", "2", *["_ALL"] * len(names.SUBJECTS)]]
    for action_id, action in numbered[1:]:
        for number in ("1", "2"):
            stems = [names.official_name(subject, f"{action}_{number}") for subject in names.SUBJECTS]
            rows.append([str(action_id), number, *stems])
    for row in rows:
        element = ElementTree.SubElement(mapping, "tr")
        for cell in row:
            ElementTree.SubElement(element, "td").text = cell
    actions = ElementTree.SubElement(root, "actionnames")
    for _, action in numbered:
        ElementTree.SubElement(actions, "item").text = action
