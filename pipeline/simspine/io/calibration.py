"""Camera calibrations: Pose2Sim's TOML (read, written); those of Anipose, FreeMoCap, Caliscope, OpenCap, EasyMocap,
Qualisys and Vicon, and JSON (read)."""

import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import scipy
import tomli_w

from simspine.core.arrays import require_numbers
from simspine.core.errors import InputError, naming_content, require_ending, require_known, require_path
from simspine.core.geometry import nearest_to_rays, points_in_images
from simspine.core.settings import parse_yaml
from simspine.core.types import MAX_CAMERA_DISTANCE_M, Camera
from simspine.io import text_tables
from simspine.io.atomic import write_text
from simspine.io.guarded import pickled_arrays
from simspine.io.text_tables import warn_assumed

_NOT_CAMERAS = {"metadata", "capture_volume", "charuco", "checkerboard"}  # tables of Pose2Sim's and Caliscope's files
_QUALISYS_SUBPIXELS = 64  # Qualisys states image positions in 1/64 px
_QUALISYS_LENS = "radialDistortion1 radialDistortion2 tangentalDistortion1 tangentalDistortion2 radialDistortion3"
_HALF_TURN = np.diag([1.0, -1.0, -1.0])  # Qualisys: y up, looking along -z; OpenCV: y down, looking along +z
_OPENCAP_WORLD = np.array([[-1.0, 0, 0], [0, 0, -1], [0, -1, 0]])  # upright board's axes to z up
_EASYMOCAP_FILES = ("intri.yml", "extri.yml")
_TOML_ENTRIES = ("size", "matrix", "distortions", "translation", "rotation")
_ORIGIN = "the world's origin"
_LEAST_CAMERA_DISTANCE_M = 1e-3  # m between two cameras; nearer ones suggest that one was not calibrated
_USUAL_CAMERA_DISTANCES_M = (0.1, 15.0)  # m between the two places farthest apart; outside this range a warning
_MOST_SEEN_M = 8.0  # m along the shorter image side, where cameras look: a person takes up a fifth
_LEAST_FOCAL_WIDTHS = 0.03  # least focal length as a share of the longer image side; its inverse is the largest
_FISHEYE_WORD = re.compile(r"fish.?eye|equidistant|omni|kannala", re.IGNORECASE)
_UNREAD_ENTRY = re.compile(r"^(image_)?(rotate|rotation_(?!count)|orientation|flip|mirror)|(^|_)units?$", re.IGNORECASE)
_MOST_DISTANCE_RATIO, _MOST_ROLL_RAD = 2.5, np.radians(25.0)  # of cameras of one set-up, from where they look
_MOST_CENTRE_SHARE, _MOST_PIXEL_RATIO = 0.2, 1.5  # principal point to image centre; ratio of both focal lengths
_TURNED_CENTRE_SHARE = 0.1  # of the longer image side: a principal point this near to an image's centre fits the image
_FOREIGN_UNITS = {"dm": 0.1, "ft": 0.3048, "in": 0.0254, "cm": 0.01, "mm": 0.001}
_READABLE_FORMATS = (
    "Calibrations are read of Pose2Sim, Anipose, FreeMoCap and Caliscope (.toml), OpenCap (.pickle), EasyMocap "
    "(intri.yml with extri.yml beside it), Qualisys (.qca.txt) and Vicon (.xcp), and JSON rigs; export or convert it "
    "to one of them."
)
_VICON_LENS_SAMPLES = 25  # points along each image side at which Vicon's lens model and OpenCV's are compared
_MOST_VICON_SLOPE = 1000.0  # largest slope of a line of sight to the optical axis; lenses of this model stay below it
_VICON_LENS_TOLERANCE_PX = 0.5  # difference of the two models; a warning above it


def read_calibration(path: str | os.PathLike, subject: str | None = None) -> list[Camera]:
    """Read cameras from a calibration file, whose suffix or content shows the format.

    Parameters
    ----------
    path : path
        TOML of Pose2Sim, Anipose, FreeMoCap or Caliscope; OpenCap's pickle of one camera, which brings the other
        cameras' from the folders next to its own; EasyMocap's intri.yml or extri.yml; Qualisys' XML; Vicon's XCP; JSON.
    subject : str, optional
        Which rig of a JSON file that holds several.

    Returns
    -------
    list of Camera
        In the order of the file (TOML, JSON, EasyMocap, Vicon), or of the names (Qualisys, OpenCap). World z up, m.

    Raises
    ------
    InputError
        For an unknown format, missing or malformed entries, and units that cannot be metres. Cameras unusually close
        or far apart, and images that the calibrating program displays rotated, are reported as warnings.
    """
    cameras = list(cameras_as_written(path, subject))
    if not cameras:
        raise InputError(f"{path}: no camera in the file, or none is calibrated.")
    if repeated := text_tables.repeated_names(camera.name for camera in cameras):
        raise InputError(f"{path}: several cameras are called {repeated}.")
    check_distances(cameras, path)
    check_arrangement(cameras, f"{path}: ")
    return cameras


def cameras_as_written(path: str | os.PathLike, subject: str | None = None) -> Iterable[Camera]:
    """Cameras as `read_calibration` gives them, in the file's own unit of length and without checks of distances."""
    require_path(path)
    suffix = Path(path).suffix.lower()
    if suffix in (".pickle", ".pkl"):
        return _cameras_of_opencap(Path(path))
    content = text_tables.read_bytes(path)
    try:
        text = text_tables.decode_text(content, path)[0].strip()
    except InputError:
        raise InputError(f"{path}: no text. {_READABLE_FORMATS}") from None
    if not text:
        raise InputError(f"{path}: the file is empty.")
    if text.startswith("<"):
        root = text_tables.parse_content(ElementTree.fromstring, text, "a readable Qualisys or Vicon calibration", path)
        return _cameras_of_vicon(root, path) if root.tag == "Cameras" else _cameras_of_qualisys(root, path)
    if suffix == ".json" or text.startswith("{"):
        return _cameras_of_json(text, path, subject)
    if suffix in (".yml", ".yaml") and "!!opencv-matrix" in text:
        return _cameras_of_easymocap(Path(path))
    if suffix == ".toml" or re.search(r"^[ \t]*matrix[ \t]*=", text, re.MULTILINE):
        return _cameras_of_toml(text, path)
    raise InputError(f"{path}: unknown calibration format. {_READABLE_FORMATS}")


def check_distances(cameras: Sequence[Camera], path) -> None:
    """Raise `InputError` where distances cannot be in metres; warn where they are unusual."""
    places = [(camera.centre, f"camera {camera.name!r}") for camera in cameras]
    pairs = combinations([*places, (np.zeros(3), _ORIGIN)], 2)
    distances = [(float(np.linalg.norm(a - b)), f"{one} and {other}") for (a, one), (b, other) in pairs]
    apart, which = max(distances, key=lambda pair: round(pair[0], 3))
    nearest, twins = min((pair for pair in distances if not pair[1].endswith(_ORIGIN)), default=(apart, ""))
    if nearest < _LEAST_CAMERA_DISTANCE_M and apart > 0:
        warn_assumed(f"{path}: {twins} are in one place. Was one calibrated? R and t must lead from world to camera.")
    least, most = _USUAL_CAMERA_DISTANCES_M
    usual = least <= apart <= most and _shows_people(cameras)
    if usual or apart == 0:  # a file of lenses alone has all cameras in one place
        return
    readings = [f"{apart * factor:.3g} m if in {unit}" for unit, factor in _FOREIGN_UNITS.items() if apart > most]
    found = (
        f"{path}: {which} are {', '.join([f'{apart:.3g} m apart', *readings])}. Lengths must be metres: if the board "
        "was measured in another unit or counted in squares, multiply all translations by that length in metres"
    )
    if apart > MAX_CAMERA_DISTANCE_M:
        raise InputError(f"{found}. Divide them by 100 if they are centimetres, by 1000 if they are millimetres.")
    warn_assumed(f"{found}. Read as metres.")


def _shows_people(cameras: Sequence[Camera]) -> bool:
    """Whether images show little more than a person where all cameras look, or the cameras look at no common place."""
    centres, axes = np.array([camera.centre for camera in cameras]), np.array([[camera.R[2]] for camera in cameras])
    place = nearest_to_rays(centres, axes)[0]
    away = np.linalg.norm(centres - place, axis=1)
    shown = np.median([far * min(one.size) / one.K[0, 0] for far, one in zip(away, cameras, strict=True)])
    return not points_in_images(cameras, place).all() or bool(shown <= _MOST_SEEN_M)


def check_arrangement(cameras: Sequence[Camera], where: str = "") -> None:
    """Warn of each camera of three or more that does not look where all others do, or at quite another distance."""
    for i, camera in enumerate(cameras if len(cameras) > 2 else ()):
        others = [*cameras[:i], *cameras[i + 1 :]]
        axes = np.array([[other.R[2]] for other in others])
        place = nearest_to_rays(np.array([other.centre for other in others]), axes)[0]  # NaN: they are parallel
        if not all(_shows_upright(other, place, others) for other in others):
            continue
        own, *apart = (float(np.linalg.norm(one.centre - place)) for one in (camera, *others))
        turned = [camera.with_(R=camera.R.T, t=t) for t in (camera.t, -camera.R.T @ camera.centre)]
        what = f"the place at which {text_tables.list_names(other.name for other in others)} look"
        # Two cameras show the vertical only to some 15°, if one is rolled: the third must not fit that of all three.
        judges = [others, cameras] if len(cameras) == 3 else [others]
        is_turned = not any(_shows_upright(camera, place, each) for each in judges)
        if is_turned and any(_shows_upright(one, place, others) for one in turned):
            found = f"would look upright at {what} if its rotation were transposed. R must lead from world to camera."
        elif not points_in_images([camera], place)[0]:
            found = f"does not look at {what}. Is its calibration of another session, or in another unit?"
        elif own > _MOST_DISTANCE_RATIO * max(apart) or own < min(apart) / _MOST_DISTANCE_RATIO:
            span = f"{min(apart):.3g} to {max(apart):.3g} m"
            found = f"is {own:.3g} m from {what}, these {span}. Is its translation in another unit, such as feet?"
        else:
            continue
        warn_assumed(f"{where}camera {camera.name!r} {found}")


def _shows_upright(camera: Camera, place: np.ndarray, judges: Sequence[Camera]) -> bool:
    """Whether a place is in the image, and up, down, left or right of it is up or down for the judges on average."""
    up = max(np.mean([judge.R[:2] for judge in judges], axis=0), key=np.linalg.norm)  # images may lie on their side
    x, y = np.sort(np.abs((camera.R @ up)[:2]))
    return bool(points_in_images([camera], place)[0] and x < np.tan(_MOST_ROLL_RAD) * y)


def write_calibration(path: str | os.PathLike, cameras: Sequence[Camera]) -> None:
    """Write Pose2Sim's TOML: a table per camera, rotation as Rodrigues vector (rad), translation in m.

    Parameters
    ----------
    path : path
    cameras : list of Camera
        Distortion is written as four coefficients where k3 is 0, else as OpenCV's 5, 8 or 12; of a fisheye lens its
        four.

    Raises
    ------
    InputError
        For no cameras, names that repeat or cannot stand in the file, or a file that does not end in .toml.
    """
    require_ending(path, "a calibration", (".toml",))
    names = [camera.name for camera in cameras]
    if not names or len(set(names)) < len(names) or _NOT_CAMERAS & set(names):
        taken = ", ".join(sorted(_NOT_CAMERAS))
        raise InputError(f"{path}: camera names must be unique, at least one, and none of {taken}; got {names}.")
    tables = {
        camera.name: {
            "name": camera.name,
            "size": [float(v) for v in camera.size],
            "matrix": camera.K.tolist(),
            "distortions": camera.distortion[: None if camera.distortion[4:].any() else 4].tolist(),
            "rotation": scipy.spatial.transform.Rotation.from_matrix(camera.R).as_rotvec().tolist(),
            "translation": camera.t.tolist(),
            "fisheye": camera.lens == "fisheye",
        }
        for camera in cameras
    }
    write_text(path, tomli_w.dumps(tables | {"metadata": {"adjusted": False, "error": 0.0}}))


def _cameras_of_toml(text: str, path) -> Iterator[Camera]:
    content = text_tables.parse_toml(text, path)
    inner = content.get("cameras")
    if isinstance(inner, dict) and "matrix" not in inner:  # Caliscope's own file, without cameras it ignores
        content = {key: table for key, table in inner.items() if not (isinstance(table, dict) and table.get("ignore"))}
    tables = {key: table for key, table in content.items() if isinstance(table, dict) and key not in _NOT_CAMERAS}
    if tables and not any(key[:3] == "cam" or {"rotation", "matrix"} & set(table) for key, table in tables.items()):
        raise InputError(f"{path}: no table of it, {', '.join(tables)}, is of a camera. {_READABLE_FORMATS}")
    names = [str(table.get("name", key)) for key, table in tables.items()]
    if len(set(names)) < len(names):
        names = list(tables)
    turns = [text_tables.parse_number(str(table.get("rotation_count", 0)), str(path)) for table in tables.values()]
    _warn_turned({name: 90 * turn for name, turn in zip(names, turns, strict=True)}, path)
    for name, (key, table) in zip(names, tables.items(), strict=True):
        where = f"{path}, table [{key}]"
        size, K, distortion, t, R = (_required_entry(table, entry, where) for entry in _TOML_ENTRIES)
        lens = _lens_model(table, where)
        yield _calibrated_camera(name, size, K, distortion=distortion, t=t, R=R, where=where, lens=lens)


def _cameras_of_json(text: str, path, subject: str | None) -> Iterator[Camera]:
    """JSON: {subject: {camera: {size, K, dist or dist_k1k2p1p2k3, R_world_to_cam, t_m}}}, or one rig alone."""
    content = text_tables.parse_content(text_tables.load_json, text, "valid JSON", path)
    if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
        raise InputError(f"{path}: expected an object of cameras, or of subjects with cameras. {_READABLE_FORMATS}")
    if any(isinstance(value, dict) for entry in content.values() for value in entry.values()):
        if subject is None and len(content) != 1:
            raise InputError(f"{path}: holds several rigs; say which (subject=…). Available: {', '.join(content)}.")
        subject = subject or next(iter(content))
        require_known("subject", (subject,), content, str(path))
        content = content[subject]
    for name, entry in content.items():
        where = f"{path}, camera {name!r}"
        if not isinstance(entry, dict):
            raise InputError(f"{where}: expected an object with size, K, dist, R_world_to_cam and t_m.")
        keys = ("size", "K", "dist_k1k2p1p2k3" if "dist_k1k2p1p2k3" in entry else "dist", "t_m", "R_world_to_cam")
        size, K, distortion, t, R = (_required_entry(entry, key, where) for key in keys)
        lens = _lens_model(entry, where)
        yield _calibrated_camera(name, size, K, distortion=distortion, t=t, R=R, where=where, lens=lens)


def _cameras_of_qualisys(root: ElementTree.Element, path) -> list[Camera]:
    """Cameras of Qualisys' XML, with world in metres, image positions in pixels, and OpenCV's camera axes.

    The rows of `r11…r33` are the camera's axes in the world; x, y, z its centre in mm. Focal lengths and principal
    points are in 1/64 px of the sensor; `fov_video` is the part of the sensor that the video shows. The distortion
    coefficients apply to normalised coordinates and have no unit, so they are *not* divided by 64. (Pose2Sim's
    converter divides them, which nearly removes the distortion.)
    """
    entries = list(root.iter("camera"))
    if not entries:
        raise InputError(f"{path}: XML without <camera>. {_READABLE_FORMATS}")
    # marker cameras take no video; a file made by hand has no model ("none")
    video = [e for e in entries if re.search("video|none", e.get("model", "none").lower())] or entries
    turns = {e.get("serial", ""): text_tables.parse_number(e.get("viewrotation", "0"), str(path)) for e in video}
    _warn_turned(turns, path)
    cameras = [_qualisys_camera(entry, path) for entry in video]
    return sorted(cameras, key=lambda camera: text_tables.natural_order_key(camera.name))


def _qualisys_camera(entry: ElementTree.Element, path) -> Camera:
    name = entry.get("serial", "")
    where = f"{path}, camera {name!r}"

    def attributes(tag: str, keys: str) -> list[float]:
        child = entry.find(tag)
        if child is None:
            raise InputError(f"{where}: no <{tag}>.")
        return [
            text_tables.parse_number(_required_entry(child.attrib, key, f"{where}, <{tag}>"), f"{where}, <{tag}> {key}")
            for key in keys.split()
        ]

    left, right, top, bottom = attributes("fov_video", "left right top bottom")
    *focals_and_centre, skew = attributes("intrinsic", "focalLengthU focalLengthV centerPointU centerPointV skew")
    fx, fy, cx, cy = (value / _QUALISYS_SUBPIXELS for value in focals_and_centre)
    if skew:
        raise InputError(f"{where}: skew is {skew:g}; its unit is not documented, only 0 is supported.")
    K = [[fx, 0, cx - left], [0, fy, cy - top], [0, 0, 1]]
    R = _HALF_TURN @ np.reshape(attributes("transform", "r11 r12 r13 r21 r22 r23 r31 r32 r33"), (3, 3))
    t = -R @ np.array(attributes("transform", "x y z")) / 1000
    size, distortion = (right - left + 1, bottom - top + 1), attributes("intrinsic", _QUALISYS_LENS)
    return _calibrated_camera(name, size, K, distortion=distortion, t=t, R=R, where=where)


def _cameras_of_vicon(root: ElementTree.Element, path) -> list[Camera]:
    """Video cameras of Vicon's XCP; all where none is marked. ORIENTATION is the quaternion x y z w from the world to
    a camera that looks along +z with y down, POSITION its centre in mm."""
    entries = [entry for entry in root.iter("Camera") if entry.find("KeyFrames/KeyFrame") is not None]
    video = [e for e in entries if "video" in e.get("TYPE", "").lower() or e.get("ISDV", "0") != "0"] or entries
    return [_vicon_camera(entry, path) for entry in video]


def _vicon_camera(entry: ElementTree.Element, path) -> Camera:
    name = entry.get("DEVICEID", "")
    where = f"{path}, camera {name!r}"
    frames = entry.findall("KeyFrames/KeyFrame")
    given = {**entry.attrib, **frames[0].attrib}
    given.setdefault("VICON_RADIAL2", f"- {given.get('PRINCIPAL_POINT')} {given.get('VICON_RADIAL', '0 0')} 0")

    def attribute(key: str, count: int) -> np.ndarray:
        words = _required_entry(given, key, where).split()[-count:]
        values = np.array([text_tables.parse_number(word, f"{where}, {key}") for word in words])
        if len(values) != count or not np.isfinite(values).all():
            raise InputError(f"{where}: {key} is {' '.join(words)!r}, expected {count} finite numbers.")
        return values

    if len(frames) > 1:
        raise InputError(f"{where}: {len(frames)} key frames; a camera that moves is not supported.")
    for key, usual in {"SKEW": "0", "PIXEL_ASPECT_RATIO": "1", "PIXEL_ASPECT_RATIO_CORRECTION": "1"}.items():
        if text_tables.parse_number(given.get(key, usual), f"{where}, {key}") != float(usual):
            raise InputError(f"{where}: {key} is {given[key]}; only square pixels ({key} {usual}) are supported.")
    quaternion, size, focal = attribute("ORIENTATION", 4), attribute("SENSOR_SIZE", 2), attribute("FOCAL_LENGTH", 1)[0]
    if not np.isclose(np.hypot.reduce(quaternion), 1, atol=0.01) or not focal > 0:
        raise InputError(f"{where}: ORIENTATION is {quaternion}, FOCAL_LENGTH {focal:g}. Was it calibrated?")
    R = scipy.spatial.transform.Rotation.from_quat(quaternion).as_matrix()
    centre = attribute("PRINCIPAL_POINT", 2)
    K = [[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1]]
    distortion = _opencv_lens_of_vicon(attribute("VICON_RADIAL2", 5), size, centre, focal=focal, where=where)
    centre_m = attribute("POSITION", 3) / 1000
    return _calibrated_camera(name, size, K, distortion=distortion, t=-R @ centre_m, R=R, where=where)


def _opencv_lens_of_vicon(
    radial: np.ndarray, size: np.ndarray, centre: np.ndarray, *, focal: float, where: str
) -> np.ndarray:
    """k1 k2 p1 p2 k3 that fit Vicon's lens best over the image, by linear least squares. radial: x, y of the distortion
    centre in px, then k1 k2 k3 in px⁻², px⁻⁴, px⁻⁶. Vicon's polynomial undistorts positions, OpenCV's distorts."""
    seen = np.stack(np.meshgrid(*(np.linspace(0, side, _VICON_LENS_SAMPLES) for side in size)), -1).reshape(-1, 2)
    offset = seen - radial[:2]
    d2 = (offset**2).sum(-1, keepdims=True)
    with np.errstate(over="ignore", invalid="ignore"):
        straight = radial[:2] + offset * (1 + d2 * (radial[2] + d2 * (radial[3] + d2 * radial[4])))
        ideal = (straight - centre) / focal
    if not np.abs(ideal).max() < _MOST_VICON_SLOPE:
        raise InputError(f"{where}: with VICON_RADIAL2 {radial} and focal length {focal:g} it would see sideways.")
    (x, y), r2 = ideal.T, (ideal**2).sum(-1)
    columns = [x * r2, y * r2, x * r2**2, y * r2**2, 2 * x * y, r2 + 2 * y * y, r2 + 2 * x * x, 2 * x * y]
    design = np.reshape([*columns, x * r2**3, y * r2**3], (5, -1)).T
    bent = ((seen - straight) / focal).T.ravel()
    lens = np.linalg.lstsq(design, bent, rcond=None)[0]
    apart = focal * float(np.abs(design @ lens - bent).max())
    if apart > _VICON_LENS_TOLERANCE_PX:
        warn_assumed(f"{where}: Vicon's lens is fitted by OpenCV's to {apart:.2g} px at worst.")
    return lens


def calibration_files(path: Path) -> tuple[Path, ...]:
    """The files that `read_calibration` reads where this one is named: several of OpenCap's and EasyMocap's."""
    if path.suffix.lower() in (".pickle", ".pkl"):
        own = path.absolute().parent
        alike = re.sub(r"\d+", "*", own.name) if re.search(r"\d", own.name) else "*"  # folders of the other cameras
        return tuple(sorted(own.parent.glob(f"{alike}/{path.name}"))) or (path,)
    others = _EASYMOCAP_FILES if path.suffix.lower() in (".yml", ".yaml") else ()
    return (path, *(file for file in map(path.with_name, others) if file.is_file() and file != path))


def _cameras_of_opencap(path: Path) -> Iterator[Camera]:
    """OpenCap: a pickle per camera, `Cam0/cameraIntrinsicsExtrinsics.pickle`, `Cam1/…`; image size as height, width;
    mm; the world is an upright board, turned here so that z is up."""
    for file in calibration_files(path):
        found, where = pickled_arrays(file), f"{file} (read as OpenCap's calibration)"
        keys = ("intrinsicMat", "distortion", "imageSize", "rotation", "translation")
        entries = [require_numbers(where, _required_entry(found, key, where)).squeeze() for key in keys]
        K, distortion, size, R, t = entries
        if K.shape != (3, 3) or R.shape != (3, 3) or t.shape != (3,) or size.shape != (2,):
            raise InputError(f"{where}: shapes of {', '.join(keys)} are not those that OpenCap writes.")
        name, about = file.absolute().parent.name, {"t": t / 1000, "R": R @ _OPENCAP_WORLD.T, "where": where}
        yield _calibrated_camera(name, size[::-1], K, distortion=distortion, **about)


def _cameras_of_easymocap(path: Path) -> Iterator[Camera]:
    """EasyMocap: `K_…`, `dist_…` and optional `H_…`, `W_…` of each name in intri.yml, `Rot_…`, `T_…` in extri.yml."""
    stores = []
    for file in map(path.with_name, _EASYMOCAP_FILES):
        if not file.is_file():
            raise InputError(f"{path}: EasyMocap's calibration is intri.yml and extri.yml; {file} is missing.")
        # OpenCV's own reader crashes on nested brackets. Without its version line and its tag the file is plain YAML.
        text = re.sub(r"^%YAML:.*\n", "", text_tables.read_text(file)).replace("!!opencv-matrix", "")
        stores.append(parse_yaml(text.encode(), str(file), numbers=False))
    inside, outside = stores
    names = inside.get("names", []) if isinstance(inside, dict) and isinstance(outside, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path.parent}: intri.yml and extri.yml are not as EasyMocap and OpenCV write them.")
    for name in names:
        where = f"{path.parent}, EasyMocap's camera {name!r}"
        nodes = {"K": inside, "dist": inside, "Rot": outside, "R": outside, "T": outside}
        found = {key: store.get(f"{key}_{name}") for key, store in nodes.items()}
        there = {key: _opencv_matrix(entry, f"{where}: {key}_{name}") for key, entry in found.items() if entry}
        keys = ("K", "dist", "R" if "R" in there and "Rot" not in there else "Rot", "T")  # R: a rotation vector
        K, distortion, R, t = (_required_entry(there, key, where) for key in keys)
        size = [text_tables.parse_number(str(inside.get(f"{key}_{name}", 0)), where) for key in "WH"]
        if min(size) <= 0:
            size = [round(2 * K[0, 2]), round(2 * K[1, 2])]
            warn_assumed(f"{where}: no image size (W_{name}, H_{name}); {size[0]}×{size[1]} px assumed.")
        yield _calibrated_camera(name, size, K, distortion=distortion.ravel(), t=t.ravel(), R=R, where=where)


def _opencv_matrix(entry, where: str) -> np.ndarray:
    with naming_content(where, "a matrix of OpenCV"):
        shape, values = (int(entry["rows"]), int(entry["cols"])), np.array(entry["data"], float)
        if min(shape) < 1 or values.size != shape[0] * shape[1]:
            raise ValueError(f"{values.size} numbers for {shape[0]}×{shape[1]}")
        return values.reshape(shape)


def _warn_turned(degrees: dict[str, float], path) -> None:
    """Warn of cameras whose images the calibrating program (Caliscope, Qualisys) displays rotated."""
    if turned := [f"{name} by {angle % 360:g}°" for name, angle in degrees.items() if angle % 360]:
        found = f"images are shown turned ({', '.join(turned)}: rotation_count, viewrotation)"
        warn_assumed(f"{path}: {found}, but calibrated as taken. Use videos and 2D points that were not turned.")


def _required_entry(table, key: str, where: str):
    if key not in table:
        raise InputError(f"{where}: {key!r} is missing. Found: {', '.join(table) or 'nothing'}.")
    return table[key]


def _lens_model(table: dict, where: str) -> str:
    unread = [f"{k} = {v}" for k, v in table.items() if _UNREAD_ENTRY.search(k) and v not in (0, "", "m", "metres")]
    if unread:
        what = "is not read: lengths are taken as metres, images as the camera took them"
        warn_assumed(f"{where}: {', '.join(unread)} {what}.")
    said = [f"{k}: {v}" for k, v in table.items() if k != "name" and (v is True or isinstance(v, str))]
    fisheye = table.get("fisheye", next(filter(_FISHEYE_WORD.search, said), False))  # or another program's entry
    if not isinstance(fisheye, bool):
        raise InputError(f"{where}: fisheye is {fisheye!r}, expected true or false (true: as cv2.fisheye has it).")
    return "fisheye" if fisheye else "perspective"


def _calibrated_camera(name, size, K, distortion, t, R, where: str, lens: str = "perspective") -> Camera:
    """The camera, checked. R: a matrix, or a Rodrigues vector in radians."""
    turn = require_numbers(f"{where}: rotation", R).ravel()
    if turn.size not in (3, 9):
        raise InputError(f"{where}: rotation has {turn.size} numbers, not those of a matrix or a Rodrigues vector.")
    if turn.size == 3 and np.linalg.norm(turn) > 2 * np.pi:
        raise InputError(f"{where}: rotation {turn.tolist()} is more than a turn; are these degrees?")
    R = turn.reshape(3, 3) if turn.size == 9 else scipy.spatial.transform.Rotation.from_rotvec(turn).as_matrix()
    with naming_content(where, "a camera"):
        camera = Camera(name=name, size=size, K=K, distortion=distortion, R=R, t=t, lens=lens)
    focal, widths = float(camera.K[0, 0]), camera.K[0, 0] / max(camera.size)
    if not _LEAST_FOCAL_WIDTHS < widths < 1 / _LEAST_FOCAL_WIDTHS:
        raise InputError(f"{where}: focal length {focal:g} px of {max(camera.size)}. Is it in mm, or a share of width?")
    middle, turned = np.array(camera.size) / 2, np.array(camera.size)[::-1] / 2
    off, off_turned = (np.abs(camera.K[:2, 2] - place).max() / max(camera.size) for place in (middle, turned))
    turned_only, ratio = off_turned < _TURNED_CENTRE_SHARE < off, abs(np.log(camera.K[1, 1] / focal))
    if turned_only or off > _MOST_CENTRE_SHARE or ratio > np.log(_MOST_PIXEL_RATIO):
        warn_assumed(
            f"{where}: the focal lengths {camera.K.diagonal()[:2].round().tolist()} and the principal point "
            f"{camera.K[:2, 2].round().tolist()} fit no image of {camera.size[0]}×{camera.size[1]} px"
            f"{', but one turned by 90°. Was only the size turned?' if turned_only else '. Was it of another size?'}"
        )
    return camera
