"""Sessions of other programs: a reader for each program's folders.

Points are read as written: 2D points with a calibration, tables of points in space, or files of markers.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.transform import Rotation

from simspine.core.errors import InputError, naming_content, safe_file_name
from simspine.core.geometry import points_in_images
from simspine.core.settings import read_mapping
from simspine.core.skeletons import load_skeleton, skeleton_names, skeleton_of_names
from simspine.core.types import MAX_RATE_DIFFERENCE_SHARE, Camera, Markers
from simspine.io.calibration import cameras_as_written, read_calibration
from simspine.io.exchange import OWN_SOFTWARE, read_poses, write_poses
from simspine.io.keypoint_json import files_by_frame, names_of_skeleton, parse_cells
from simspine.io.text_tables import (
    list_names,
    load_json,
    missing_numbers,
    parse_content,
    parse_toml,
    read_lines,
    read_text,
    repeated_names,
    warn_assumed,
    warn_left_out,
)
from simspine.io.trc import metres_per_unit, without_placeholders
from simspine.io.video import find_calibration, match_cameras_to_views
from simspine.reconstruction.session_tables import (
    CALISCOPE_TRACKER,
    write_anipose,
    write_caliscope,
    write_easymocap,
    write_wide,
)
from simspine.reconstruction.sessions import (
    OtherSession,
    SessionTrial,
    file_trials,
    in_frame_range,
    rate_of_session,
    require_points,
)
from simspine.vision.detector import read_detections
from simspine.vision.person_frame import MAX_LEAN_RAD, Z_AXIS, vertical_of_world

ANIPOSE_MAX_ERROR_PX = 50.0  # Anipose's viewer hides points of a larger reprojection error
ANIPOSE_FOLDER = "pose-3d-spine"
OTHER_ORDER_SIZES = {16, 17, 24}  # points of EasyMocap's layouts other than BODY_25, its beginning, or it with hands
SUFFIX = "_spine"  # in the names of added files
CAMERA_IN_NAME = "[-_ ]?cam(era)?[-_ ]?[A-Za-z0-9]{1,2}"  # after the trial, in names of videos
MOST_FRAMES_PER_ROW = 100  # frames per row of Caliscope's tables, which leave out frames without points
MIN_SHARE_IN_IMAGE = 0.5  # least share of the points in a camera's image, if the camera belongs to the points
Rate = float | None


def _anipose_settings(path: Path) -> dict[str, Any]:
    """Anipose's configuration, if there is one, with folders of the added tables, and a list of lines to draw."""
    settings = {"pipeline": {}, "labeling": {}} | _toml_of(path)
    with naming_content(path, "a configuration of Anipose"):
        settings["pipeline"] |= {"pose_3d": ANIPOSE_FOLDER, "videos_labeled_3d": "videos-3d-spine"}
        settings["labeling"]["scheme"] = [*settings["labeling"].get("scheme", [])]
    return settings


def _toml_of(path: Path) -> dict[str, Any]:
    """Content of a TOML file; {} where there is no such file."""
    return parse_toml(read_text(path), path) if path.is_file() else {}


def _shown(paths: Iterable[Path]) -> list[Path]:
    """The paths in order, without hidden files: those of macOS, and what a killed process left."""
    return sorted(path for path in paths if path.name[0] != ".")


# Readers, one for each program. A reader yields nothing where the folder is not of its program.


def _pose2sim(folder: Path, rate: Rate) -> Iterator[SessionTrial]:
    for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        kinds = [place / kind for kind in ("pose-associated", "pose-sync", "pose") if (place / kind).is_dir()]
        views = sorted(path for path in kinds[0].iterdir() if path.is_dir()) if kinds else []
        calibration = find_calibration(place) if views or (place / "videos").is_dir() else None
        if calibration is None:
            if views:
                warn_left_out(f"{place}: 2D points without a calibration in a folder named …calib…; left out.")
            continue
        name = place.resolve().name
        if name in _pose2sim_project(folder).get("exclude_from_batch", ()):
            warn_left_out(f"{place} is left out, as exclude_from_batch of {folder / 'Config.toml'} says.")
            continue
        targets = (place / f"kinematics/{name}{SUFFIX}.trc", *_kinematics(place / "kinematics", name))
        project = {**_pose2sim_project(folder), **_pose2sim_project(place)}
        if not views:
            if (stated := project.get("frame_range")) and not isinstance(stated, str):
                warn_left_out(f"{place}: frame_range of Config.toml counts for 2D points; videos are read whole.")
            yield SessionTrial(name, place, targets, files={"folder": str(place)})
            continue
        cameras = read_calibration(calibration)
        order = [camera.name for camera in match_cameras_to_views(views, cameras)]
        if lacking := [camera.name for camera in cameras if camera.name not in order]:
            text = f"{kinds[0]}: no folder of 2D points for {', '.join(lacking)} of {calibration}"
            raise InputError(f"{text}. Detect in all videos, or take the camera out of the calibration.")
        views = [views[order.index(camera.name)] for camera in cameras]
        frame_rate = rate_of_session(place, rate, _number_in(project, "frame_rate", place / "Config.toml"))
        files = {"keypoints": list(map(str, views)), "calibration": str(calibration), "rate": frame_rate}
        seen, skeleton = read_detections(views, frame_rate)
        seen = seen._replace(skeleton=skeleton.name)
        seen, start = in_frame_range(seen, views, project, place / "Config.toml")
        yield SessionTrial(name, seen, targets, calibration=calibration, files=files, start=start)


def _number_in(about: Mapping[str, Any], key: str, path: Path) -> float | None:
    """The number under a key; None for a word such as 'auto', a list, or no entry. `InputError` if out of range."""
    number = about.get(key)
    if isinstance(number, int | float) and not 0 < number < 1e6:  # frames/s, m or kg
        raise InputError(f"{path}: {key} is {str(number)[:30]}; expected a positive number.")
    return float(number) if isinstance(number, int | float) else None


def _pose2sim_project(folder: Path) -> Mapping[str, Any]:
    """What Config.toml says of the project, and the one in the folder above where it says nothing; {} without both."""
    said = (_toml_of(place / "Config.toml").get("project") for place in (folder.resolve().parent, folder))
    return {key: value for project in said if isinstance(project, dict) for key, value in project.items()}


def size_of_person(folder: Path) -> tuple[float | None, float | None]:
    """Height, m, and mass, kg, in OpenCap's or Pose2Sim's file; None where it has none, or those of several people."""
    path = folder / "sessionMetadata.yaml"
    if path.is_file():
        about = read_mapping(path)
        return _number_in(about, "height_m", path), _number_in(about, "mass_kg", path)
    project, path = _pose2sim_project(folder), folder / "Config.toml"
    return _number_in(project, "participant_height", path), _number_in(project, "participant_mass", path)


def _sports2d(folder: Path, _: Rate) -> Iterator[SessionTrial]:
    paths = _shown(folder.rglob("*_m_person*.trc"))  # other endings: added by simspine or the marker augmentation
    for trial in file_trials([path for path in paths if re.search(r"_m_person\d+$", path.stem)], _targets):
        known = [name for name in trial.source.names if name in load_skeleton("halpe26").names]  # type: ignore[union-attr]
        yield replace(trial, marker_set=skeleton_of_names(known).name, person=trial.name.rpartition("_")[2])


def is_added(path: Path) -> bool:
    """Whether `add-spine` added the file to another one of its folder, judged by the names."""
    names = {path.name.lower() for path in path.parent.iterdir()}
    return path.stem.endswith(SUFFIX) and f"{path.stem.removesuffix(SUFFIX)}{path.suffix}".lower() in names


def _opencap(folder: Path, _: Rate) -> Iterable[SessionTrial]:
    paths = [path for path in _shown(folder.glob("MarkerData/**/*.trc")) if "PreAugmentation" not in path.parts]
    targets = partial(_targets, kinematics=folder / "OpenSimData/Kinematics")
    return file_trials([path for path in paths if not is_added(path)], targets)


def _c3d(folder: Path, _: Rate) -> Iterable[SessionTrial]:
    paths = [path for path in _shown(folder.iterdir()) if path.suffix.lower() == ".c3d"]
    return file_trials([path for path in paths if not is_added(path)], _targets)


def _freemocap(folder: Path, rate: Rate) -> Iterator[SessionTrial]:
    for path in _shown(folder.glob("output_data/*_body_3d_xyz.csv")):
        table = _read_table(path)
        calibrations = folder.glob("*_camera_calibration.toml")
        points = _points_of_table(table, path, rate_of_session(folder, rate), unit="mm", calibrations=calibrations)
        target = path.with_name(f"simspine{SUFFIX}_3d_xyz.csv")
        yield replace(points, name=folder.resolve().name, targets=(target,), write_table=write_wide)


def _caliscope(folder: Path, rate: Rate) -> Iterator[SessionTrial]:
    for path in sorted(folder.glob("recordings/*/*/xyz_*_labelled.csv")):
        recording = path.parents[1]
        target = recording / f"ONNX_{CALISCOPE_TRACKER}" / f"xyz_ONNX_{CALISCOPE_TRACKER}.csv"
        if path.parent == target.parent:
            continue
        table, frames = _on_all_frames(_read_table(path), path.with_name(path.name.replace("_labelled", "")))
        interval = float(np.median(np.diff(frames["frame_time"]) / np.diff(frames["sync_index"])))
        frame_rate = rate or (1 / interval if interval > 0 else rate_of_session(recording, rate))
        calibrations = sorted(folder.rglob("camera_array.toml"), key=lambda file: -len(file.parts))
        points = _points_of_table(table, path, frame_rate, unit="m", calibrations=calibrations)
        card, labelled = f"{CALISCOPE_TRACKER}.toml", f"xyz_ONNX_{CALISCOPE_TRACKER}_labelled.csv"
        targets = (target, target.with_name(labelled), target.with_suffix(".trc"), target.with_name(card))
        yield replace(points, name=recording.name, targets=targets, write_table=partial(write_caliscope, frames))


def _on_all_frames(labelled: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Caliscope's table with a row for each frame, and sync_index and frame_time of the frames that it had.

    Its rows have no frame numbers, and frames without points have no row; the table of points (path) has the numbers.
    """
    points = _read_table(path)
    if absent := [column for column in ("sync_index", "frame_time") if column not in points]:
        raise InputError(f"{path}: no column {absent[0]}; expected Caliscope's table of points.")
    times = points.groupby("sync_index", as_index=False)["frame_time"].mean()
    if len(times) != len(labelled) or len(times) < 2:
        raise InputError(f"{path}: points in {len(times)} frames, but its labelled table has {len(labelled)} rows.")
    numbers = times["sync_index"]
    if (numbers % 1 != 0).any() or np.ptp(numbers) > MOST_FRAMES_PER_ROW * len(times):
        raise InputError(f"{path}: sync_index is {numbers.min():g} to {numbers.max():g} in {len(times)} rows; damaged?")
    times["sync_index"] = numbers.astype(int)
    times.index = pd.Index(times["sync_index"] - times["sync_index"].min())
    return labelled.set_index(times.index).reindex(range(times.index.max() + 1)), times


def _anipose(folder: Path, rate: Rate) -> Iterator[SessionTrial]:
    for path in _shown(folder.rglob("pose-3d/*.csv")):
        session, table = path.parents[1], _read_table(path)
        numbers = table.get("fnum", table.index.to_series())
        if len(lost := np.flatnonzero(np.diff(numbers) != 1)):
            after = f"{path}: frames are not in a row after fnum {numbers[lost[0]]:g}"
            raise InputError(f"{after}. Give each frame a line, with empty cells where nothing is known.")
        places = (session, *session.resolve().parents[:3])
        calibrations = [place / "calibration/calibration.toml" for place in places]
        shown = table.copy()
        for column in table.columns[table.columns.str.endswith("_error")]:
            bad = table[column] > ANIPOSE_MAX_ERROR_PX
            shown.loc[bad, [column.replace("_error", f"_{axis}") for axis in "xyz"]] = np.nan
        frame_rate = rate_of_session(session, rate, video_of=re.escape(path.stem) + CAMERA_IN_NAME)
        points = _points_of_table(shown, path, frame_rate, unit="", calibrations=calibrations)
        target, configs = session / ANIPOSE_FOLDER / path.name, [place / "config.toml" for place in places]
        config = next((file for file in configs if file.is_file()), session / "config.toml")
        targets = (target, config.with_name(f"config{SUFFIX}.toml"))
        write = partial(write_anipose, table, _anipose_settings(config))
        yield replace(points, name=path.stem, targets=targets, write_table=write)


def _easymocap(folder: Path, rate: Rate) -> Iterator[SessionTrial]:
    for place in sorted((*folder.glob("keypoints3d"), *folder.glob("output*/**/keypoints3d"))):
        files = files_by_frame(place)
        if len(files) <= max(files) - min(files):
            raise InputError(
                f"{place}: {len(files)} files, numbered {min(files)} to {max(files)}; give frames of nobody one of []."
            )
        frames = [parse_content(load_json, read_text(path), "valid JSON", path) for path in files.values()]
        with naming_content(place, "files of people with id and keypoints3d"):
            people = [{one["id"]: np.array(one["keypoints3d"], float) for one in frame} for frame in frames]
            if {type(key) for own in people for key in own} - {int} or sum(map(len, people)) < sum(map(len, frames)):
                raise ValueError("an id is no whole number of one person alone")
        numbers = sorted({number for frame in people for number in frame})
        shapes = sorted({one.shape for frame in people for one in frame.values()})
        if len(shapes) > 1 or any(len(shape) != 2 or shape[0] in OTHER_ORDER_SIZES or shape[1] < 3 for shape in shapes):
            raise InputError(
                f"{place}: people have the shapes {shapes}; expected (points, 3 or 4), one for all, in the order of "
                "BODY_25 (`--body body25`)."
            )
        seen = missing_numbers((len(numbers), len(people), *(shapes or [()])[0]), list(files.values()))
        for k, frame in enumerate(people):
            for number, one in frame.items():
                seen[numbers.index(number), k] = one
        for number, rows in zip(numbers, seen, strict=True):
            xyz = np.where(rows[..., 3:] > 0, rows[..., :3], np.nan) if rows.shape[2] > 3 else rows
            names = load_skeleton("body25").names[: len(rows[0])]
            xyz, frame_rate = xyz[:, : len(names)], rate_of_session(folder, rate)
            points = _person(names, xyz, place, rate=frame_rate, unit="m", calibrations=[folder / "intri.yml"])
            target = place.with_name(f"keypoints3d{SUFFIX}" + (f"_{number}" if len(numbers) > 1 else ""))
            named = replace(points, name=f"{folder.resolve().name}_{number}", targets=(target,), person=str(number))
            yield replace(named, write_table=partial(write_easymocap, [path.name for path in files.values()]))


def _movement(folder: Path, rate: Rate) -> Iterator[SessionTrial]:
    for path in _shown(folder.glob("*.nc")):
        poses = read_poses(path)
        if poses.software == OWN_SOFTWARE:
            continue
        frame_rate = rate or poses.rate or rate_of_session(folder, rate)
        for person, xyz in poses.people.items():
            name = path.stem if len(poses.people) == 1 else f"{path.stem}_{safe_file_name(person)}"
            points = _person(names_of_skeleton(poses.names, None, path), xyz, path, rate=frame_rate, unit="")
            targets, write = (path.with_name(f"{name}{SUFFIX}.nc"),), partial(write_poses, frame_rate, person)
            yield replace(points, name=name, targets=targets, person=person, write_table=write)


READERS: dict[str, Callable[[Path, Rate], Iterable[SessionTrial]]] = {
    "OpenCap": _opencap,
    "FreeMoCap": _freemocap,
    "Caliscope": _caliscope,
    "Sports2D": _sports2d,
    "Anipose": _anipose,
    "EasyMocap": _easymocap,
    "movement": _movement,
    "Pose2Sim": _pose2sim,
    "Vicon, Qualisys or Theia": _c3d,
}


def _targets(path: Path, kinematics: Path | None = None) -> tuple[Path, ...]:
    """Files to add to one of markers; kinematics: the folder of its motion, by default the file's."""
    added = path.with_name(f"{path.stem}{SUFFIX}{path.suffix.lower()}")
    return (added, *_kinematics(kinematics or path.parent, path.stem))


def _kinematics(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}{SUFFIX}.mot", folder / f"{name}{SUFFIX}.osim"


def _read_table(path: Path) -> pd.DataFrame:
    """Read a CSV file of numbers under a line of names."""
    if not path.is_file():
        raise InputError(f"{path} is missing, which the program writes with the others of its folder.")
    head, *rows = [line.split(",") for _, line in read_lines(path)]
    names = [name.strip() for name in head]
    if repeated := repeated_names(filter(None, names)):
        raise InputError(f"{path}: several columns are called {repeated}; keep one of each.")
    return pd.DataFrame(parse_cells(rows, len(head), path).reshape(-1, len(head)), columns=names)


# Points of hands and faces, as FreeMoCap's trackers, Caliscope's and COCO-WholeBody call them.
_FACE_OR_HAND = re.compile(r"^face_\d+$|_hand_root$|_(thumb|\w*finger)\d$")


def _points_of_table(
    table: pd.DataFrame, path: Path, rate: float, *, unit: str, calibrations: Iterable[Path]
) -> SessionTrial:
    """The trial of a table with columns NAME_x, NAME_y, NAME_z, one row per frame; other columns are left out."""
    columns = set(table.columns)
    labels = [column[:-2] for column in table.columns if column.endswith("_x")]
    labels = [label for label in labels if not _FACE_OR_HAND.search(label)]
    if halves := [label for label in labels if not {f"{label}_y", f"{label}_z"} <= columns]:
        warn_left_out(f"{path}: no column _y or _z of {list_names(halves)}, left out.")
        labels = [label for label in labels if label not in halves]
    if table.empty or not labels:
        raise InputError(f"{path}: {len(labels)} points in {len(table)} rows; expected columns NAME_x, NAME_y, NAME_z.")
    tracker = re.sub(r"[\W_]", "", path.stem.lower())  # Caliscope's files are named after it
    skeleton = next((name for name in skeleton_names() if name in tracker), None)
    names = names_of_skeleton(tuple(re.sub(r"^(body|pose|face)_", "", label) for label in labels), skeleton, path)
    xyz = table[[f"{label}_{axis}" for label in labels for axis in "xyz"]].to_numpy().reshape(len(table), -1, 3)
    return _person(names, xyz, path, rate=rate, unit=unit, calibrations=calibrations, declared=skeleton)


def _person(
    names: Sequence[str],
    xyz: np.ndarray,
    path: Path,
    *,
    rate: float,
    unit: str,
    calibrations: Iterable[Path] = (),
    declared: str | None = None,
) -> SessionTrial:
    """The trial of a detector's points in space, in metres, z up, by SIMSPINE's names.

    xyz: (frames, points, 3) in the unit. calibrations: possible files of the cameras; the first that exists counts.
    declared: skeleton of the points, if known; by default their names decide.
    """
    xyz, skeleton = without_placeholders(xyz, path), load_skeleton(declared) if declared else skeleton_of_names(names)
    kept = [i for i, name in enumerate(names) if name in skeleton.to_simspine]
    own = tuple(skeleton.to_simspine[names[i]] for i in kept)
    require_points(Markers(own, rate, xyz[:, kept], "z_up"), str(path))
    given = next((list(cameras_as_written(file)) for file in calibrations if file.is_file()), [])
    turn = metres_per_unit(xyz, unit, path) * _upright_turn(own, xyz[:, kept], given, path)
    markers = Markers(own, rate, xyz[:, kept] @ turn.T, "z_up")
    return SessionTrial(path.stem, markers, (), marker_set=skeleton.name, turn=turn)


def _upright_turn(names: Sequence[str], xyz: np.ndarray, cameras: Sequence[Camera], path: Path) -> np.ndarray:
    """(3, 3): the rotation that makes z point up. cameras: in the unit of xyz; their world frame may differ."""
    if lacking := [f"{side}{part}" for part in ("Shoulder", "Ankle") for side in "LR" if f"{side}{part}" not in names]:
        raise InputError(f"{path}: the points {', '.join(lacking)} are not there; expected a whole person.")
    known = xyz[np.isfinite(xyz).all(-1)]
    if cameras and (not len(known) or (points_in_images(cameras, known).mean(1) <= MIN_SHARE_IN_IMAGE).any()):
        cameras = ()  # FreeMoCap rotates its points, but not its cameras
    vertical = vertical_of_world(names, xyz, cameras)
    if vertical is None:
        return np.eye(3)
    if vertical.tilt < MAX_LEAN_RAD:
        lean = f"{path}: even when most upright, the person leans by {np.degrees(vertical.tilt):.0f}°"
        warn_assumed(f"{lean}. Nothing was turned: if z is not the vertical, angles against the vertical are wrong.")
        return np.eye(3)
    how = "as the person stood on average" if vertical.R is not None else "as the cameras were held"
    how += "" if cameras else ". No calibration of its cameras was found, which would tell a person who lies"
    warn_assumed(f"{path}: z is {np.degrees(vertical.tilt):.0f}° from the vertical; turned upright, {how}.")
    return Rotation.align_vectors([Z_AXIS], [vertical.up])[0].as_matrix() if vertical.R is None else vertical.R


def read_session(folder: str | PathLike, rate: Rate = None) -> OtherSession:
    """Read the session of another program.

    Parameters
    ----------
    folder : path
        Folder of the session.
    rate : float, optional
        Frames/s, for sessions whose files do not hold it.

    Returns
    -------
    OtherSession
        Its trials, and the person's height (m) and mass (kg), where known.

    Raises
    ------
    InputError
        Where its files cannot be read, or are of no known program, with a list of these.
    """
    folder = Path(folder)
    programs = read_mapping(Path(__file__).with_name("programs.yaml"))
    read = ", ".join(f"{tool} ({programs[tool]['holds']})" for tool in READERS)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; name the folder of a session: {read}.")
    for tool, reader in READERS.items():
        trials = _distinct_names(list(reader(folder, rate)), folder)
        for trial in trials:
            if not isinstance(trial.source, Path):
                require_points(trial.source, f"{folder}, trial {trial.name!r}")
                if rate and abs(trial.source.rate / rate - 1) > MAX_RATE_DIFFERENCE_SHARE:
                    text = f"{folder}, trial {trial.name!r}: its files state {trial.source.rate:g} frames/s"
                    raise InputError(f"{text}, and {rate:g} was given. Leave the rate out.")
        if trials:
            return OtherSession(tool, tuple(trials), *size_of_person(folder), to_see=programs[tool]["to_see"])
    for tool, about in programs.items():
        if any(all(any(folder.glob(part)) for part in pattern.split(" + ")) for pattern in about["begun"]):
            raise InputError(f"{folder} looks like a session of {tool}, but {about['lacks']}.")
    if near := _sessions_near(folder, programs):
        raise InputError(f"{folder} is no session itself; {list_names(near, most=3)}. Name the folder of one session.")
    raise InputError(
        f"{folder} is no session that is known: {read}. Name the folder that holds these; of another program, export "
        "markers as .trc or .c3d (`simspine init`)."
    )


def _sessions_near(folder: Path, programs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Texts on the sessions that the folder is inside of, or else holds, up to two levels away."""
    inside = [path for depth in ("*", "*/*") for path in sorted(folder.glob(depth)) if path.is_dir()]
    for near in (folder.resolve().parents[:2], inside):
        found = [
            f"{place} looks like one of {tool}"
            for place in near
            for tool, about in programs.items()
            if any(any(place.glob(pattern)) for pattern in about["files"])
        ]
        if found:
            return found
    return []


def _distinct_names(trials: list[SessionTrial], folder: Path) -> list[SessionTrial]:
    """The trials; before equal names comes the name of the folder two levels above their files."""
    names = [trial.name for trial in trials]
    for i, trial in enumerate(trials):
        if names.count(trial.name) > 1:
            trials[i] = replace(trial, name=f"{trial.targets[0].parents[1].name}_{trial.name}")
    if repeated := repeated_names(trial.name for trial in trials):
        raise InputError(f"{folder}: several trials are {repeated}, perhaps of two trackers. Move all but one away.")
    return trials
