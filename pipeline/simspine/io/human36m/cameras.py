"""Camera parameters of a copy: the official metadata.xml, or calibration files of simspine's formats."""

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy

from simspine.core.errors import InputError, naming_content, require_file, require_known
from simspine.core.types import Camera
from simspine.io.calibration import read_calibration
from simspine.io.human36m import names
from simspine.io.text_tables import parse_content, read_bytes

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
