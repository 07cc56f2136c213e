"""`simspine add-spine`: a session of another program is recognised, reconstructed, and its spine put into its folders.

A session's points are read as that program left them: 2D points with a calibration (Pose2Sim), tables of points in
space (FreeMoCap, Caliscope, Anipose, EasyMocap), or files of markers (OpenCap, Sports2D, Vicon). No file of it is
changed.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.transform import Rotation

from simspine.core.errors import InputError, reason_of
from simspine.core.geometry import markers_in_frame, project_points
from simspine.core.settings import read_mapping
from simspine.core.skeletons import load_skeleton, skeleton_of_names
from simspine.core.types import Camera, Keypoints, Markers
from simspine.io.atomic import write_text
from simspine.io.c3d import read_markers, write_c3d
from simspine.io.calibration import cameras_as_written, read_calibration
from simspine.io.exchange import ExportTrial
from simspine.io.keypoint_json import names_of_skeleton, parse_cells, read_keypoints
from simspine.io.mot import write_mot
from simspine.io.text_tables import parse_content, read_lines, read_text, warn_assumed
from simspine.io.trc import metres_per_unit, write_trc
from simspine.io.video import VIDEO_ENDINGS, find_calibration, find_project, match_cameras_to_views, open_video
from simspine.quality.findings import Severity
from simspine.reconstruction.publish import trial_data
from simspine.reconstruction.reconstruct import Reconstruction, fit_trials, reconstruct
from simspine.reconstruction.stage import Options
from simspine.vision.person_frame import Z_AXIS, vertical_of_world

ANIPOSE_MAX_ERROR_PX = 50.0  # points of a larger reprojection error are not shown by Anipose's viewer
SUFFIX = "_spine"  # of files that are added
MIN_SHARE_IN_IMAGE = 0.5  # of a camera that belongs to the points: how many of them are in its image
SESSIONS_READ = (
    "Pose2Sim (pose/ with a calibration, or videos/), Sports2D (…_m_person00.trc), OpenCap (MarkerData/), FreeMoCap "
    "(output_data/…_body_3d_xyz.csv), Caliscope (recordings/…/xyz_…_labelled.csv), Anipose (pose-3d/), EasyMocap "
    "(keypoints3d/), Vicon (.c3d)"
)
Rate = float | None
TableWriter = Callable[[Path, Sequence[str], np.ndarray], None]  # file or folder, names, xyz (frames, points, 3)


@dataclass(frozen=True)
class SessionTrial:
    """A trial of a session. source: 2D points, points in space (m), or a folder with videos; targets: files to add.

    calibration: of 2D points. marker_set: of points in space, where their names do not say. person: whose it is.
    turn: (3, 3) from the session's coordinates to ours in z_up, in metres. write_table: writes points in the session's
    coordinates and format. files: what a configuration says of the trial; empty where no file of the session can be
    named there.
    """

    name: str
    source: Keypoints | Markers | Path
    targets: tuple[Path, ...]
    calibration: Path | None = None
    marker_set: str | None = None
    person: str = "person"
    turn: np.ndarray | None = None
    write_table: TableWriter | None = None
    files: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OtherSession:
    """tool: the program's name. height: m, mass: kg, where the session says."""

    tool: str
    trials: tuple[SessionTrial, ...]
    height: float | None = None
    mass: float | None = None


def read_session(folder: Path, rate: Rate = None) -> OtherSession:
    """The session of another program in a folder. rate: frames/s, where no file of it says.

    Raises `InputError` listing the programs that are known where it is of none, and as the readers of its files do.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; name the folder of a session: {SESSIONS_READ}.")
    for tool, reader in _READERS.items():
        if trials := tuple(reader(folder, rate)):
            return OtherSession(tool, trials, *_size_of_person(folder))
    raise InputError(
        f"{folder} is no session that is known: {SESSIONS_READ}. Name the folder that holds these; of another program, "
        "export markers as .trc or .c3d (`simspine init`)."
    )


def add_spine(
    session: OtherSession,
    marker_set: str | None = None,
    say: Callable[[str], None] = print,
    min_factor: float | None = None,
) -> list[Path]:
    """Reconstruct all trials and write their spine into the session; returns the files.

    min_factor: least size of a segment relative to an adult's (`scaling.min_factor`), for children.
    Raises `InputError` before any work where a file is there already, and as `reconstruct` and `fit_trials`.
    """
    if there := [path for trial in session.trials for path in trial.targets if path.exists()]:
        raise InputError(f"{there[0]} exists already; nothing of a session is written over. Move it away first.")
    written: list[Path] = []
    for person in dict.fromkeys(trial.person for trial in session.trials):
        own = [trial for trial in session.trials if trial.person == person]
        found = _reconstructed(session, own, marker_set, min_factor=min_factor)
        for trial in own:
            for path in trial.targets:
                _write_spine(path, found[trial.name], trial)
            written += trial.targets
            for finding in found[trial.name].findings:
                if finding.severity != Severity.INFO:
                    say(f"{trial.name}: {finding.severity}: {finding.message} {finding.suggestion}")
            for figure in found[trial.name].curvature_figures:
                sd = "" if figure.sd is None else f" ± {1.96 * figure.sd:.0f}"
                say(f"{trial.name}: {figure.label} {figure.mean or np.nan:.0f}{sd}°, {figure.decided_by}")
    return written


def _reconstructed(
    session: OtherSession, own: Sequence[SessionTrial], marker_set: str | None, min_factor: float | None
) -> dict[str, Reconstruction]:
    about = {"marker_set": marker_set or own[0].marker_set}
    size: dict[str, Any] = {"height": session.height, "mass": session.mass}
    size |= {} if min_factor is None else {"options": Options(scaling={"min_factor": min_factor})}
    in_space = {trial.name: trial.source for trial in own if isinstance(trial.source, Markers)}
    if in_space:
        return fit_trials(in_space, **about, **size)  # type: ignore[arg-type]
    found: dict[str, Reconstruction] = {}
    for trial in own:
        source: Keypoints | tuple[Path, ...]
        if isinstance(trial.source, Keypoints):
            source, calibration = trial.source, trial.calibration
        else:
            project = find_project(trial.source)  # type: ignore[arg-type]
            source, calibration = project.videos, project.calibration
        assert calibration is not None  # of 2D points
        made = reconstruct({trial.name: source}, calibration, **about, **size)  # type: ignore[arg-type]
        assert isinstance(made, dict)
        found |= made
    return found


def spine_points(found: Reconstruction) -> Markers:
    """What was seen of the person, and the centroids of the vertebrae; y_up."""
    centres = found.spine.centres
    assert centres is not None  # of the packaged recipes
    seen = found.markers.select([name for name in found.markers.names if name not in centres.names])
    xyz = np.concatenate([seen.xyz, centres.xyz], axis=1)
    return Markers((*seen.names, *centres.names), seen.rate, xyz, "y_up", start=seen.start)


def _write_spine(path: Path, found: Reconstruction, trial: SessionTrial) -> None:
    """The file, in the format of its ending, or of the session's own tables."""
    path.parent.mkdir(parents=True, exist_ok=True)
    centres = found.spine.centres
    assert centres is not None
    if path.suffix == ".trc":
        write_trc(path, spine_points(found))
    elif path.suffix == ".mot":
        write_mot(path, found.motion)
    elif path.suffix == ".osim":
        found.body.write_osim(path)
    elif path.suffix == ".c3d":
        write_c3d(path, ExportTrial(found.subject, found.trial, trial_data(found)))
    else:
        assert trial.turn is not None
        assert trial.write_table is not None
        xyz = markers_in_frame(centres, "z_up").xyz @ np.linalg.inv(trial.turn).T
        trial.write_table(path, centres.names, xyz)


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    write_text(path, table.to_csv(index=False, float_format="%.9g", lineterminator="\n"))


def _write_wide(path: Path, names: Sequence[str], xyz: np.ndarray) -> None:
    """A row a frame, columns NAME_x, NAME_y, NAME_z."""
    _write_csv(path, _wide_table(names, xyz))


def _wide_table(names: Sequence[str], xyz: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(xyz.reshape(len(xyz), -1), columns=[f"{name}_{axis}" for name in names for axis in "xyz"])


def _write_anipose(own: pd.DataFrame, path: Path, names: Sequence[str], xyz: np.ndarray) -> None:
    """The session's own table with the vertebrae as further points: Anipose's viewer joins points of one file.

    Anipose wants an error, a score and a number of cameras for each point. A vertebra was in no image: 0, 1 and 0.
    """
    quality = {"error": 0.0, "ncams": 0.0, "score": 1.0}
    columns = {f"{name}_{key}": np.full(len(own), value) for name in names for key, value in quality.items()}
    added = pd.concat([_wide_table(names, xyz), pd.DataFrame(columns)], axis=1)
    ordered = [f"{name}_{part}" for name in names for part in (*"xyz", *quality)]
    _write_csv(path, pd.concat([own, added[ordered]], axis=1))


def _write_caliscope(frames: pd.DataFrame, path: Path, names: Sequence[str], xyz: np.ndarray) -> None:
    """Caliscope's two tables: a row a frame (…_labelled.csv), or a row a point. frames: sync_index and frame_time."""
    if path.stem.endswith("_labelled"):
        return _write_wide(path, names, xyz[frames.index])
    rows = frames.loc[frames.index.repeat(len(names))].assign(
        object_id=0, keypoint_id=np.tile(np.arange(len(names)), len(frames))
    )
    rows[["x_coord", "y_coord", "z_coord"]] = xyz[frames.index].reshape(-1, 3)
    order = ["sync_index", "object_id", "keypoint_id", "x_coord", "y_coord", "z_coord", "frame_time"]
    return _write_csv(path, rows[order].dropna())


def _write_easymocap(files: Sequence[str], folder: Path, names: Sequence[str], xyz: np.ndarray) -> None:
    """A JSON file a frame: one person with keypoints3d, x y z and confidence of each vertebra from C1 to S1."""
    for file, row in zip(files, xyz, strict=True):
        points = [[*map(float, place), 1.0] if np.isfinite(place).all() else [0.0] * 4 for place in row]
        write_text(folder / file, json.dumps([{"id": 0, "names": names, "keypoints3d": points}]), sync=False)


# What each program leaves. A reader yields nothing where the folder is not of its program.


def _pose2sim(folder: Path, rate: Rate) -> Iterator[SessionTrial]:
    for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        kinds = [place / kind for kind in ("pose-associated", "pose-sync", "pose") if (place / kind).is_dir()]
        views = sorted(path for path in kinds[0].iterdir() if path.is_dir()) if kinds else []
        calibration = find_calibration(place) if views or (place / "videos").is_dir() else None
        if calibration is None:
            continue
        name = place.resolve().name
        targets = (place / f"kinematics/{name}{SUFFIX}.trc", *_kinematics(place / "kinematics", name))
        if not views:
            yield SessionTrial(name, place, targets, files={"folder": str(place)})
            continue
        cameras = read_calibration(calibration)
        order = [camera.name for camera in match_cameras_to_views(views, cameras)]
        views = [views[order.index(camera.name)] for camera in cameras if camera.name in order]
        said = _pose2sim_rate(place, folder) or _rate_of(place, rate)
        files = {"keypoints": list(map(str, views)), "calibration": str(calibration), "rate": said}
        yield SessionTrial(name, read_keypoints(views, rate=said), targets, calibration=calibration, files=files)


def _pose2sim_rate(*folders: Path) -> Rate:
    said = [_pose2sim_project(folder).get("frame_rate") for folder in folders]
    return next((float(number) for number in said if isinstance(number, int | float) and number > 0), None)


def _pose2sim_project(folder: Path) -> Mapping[str, Any]:
    """What Config.toml says of the project; {} without that file."""
    path = folder / "Config.toml"
    content = parse_content(tomllib.loads, read_text(path), "valid TOML", path) if path.is_file() else {}
    project = content.get("project")
    return project if isinstance(project, dict) else {}


def _size_of_person(folder: Path) -> tuple[float | None, float | None]:
    """Height, m, and mass, kg, as OpenCap's or Pose2Sim's file says; None where it names none, or several people's."""
    path = folder / "sessionMetadata.yaml"
    about = read_mapping(path) if path.is_file() else _pose2sim_project(folder)
    keys = ("height_m", "mass_kg") if path.is_file() else ("participant_height", "participant_mass")
    height, mass = (float(about[key]) if isinstance(about.get(key), int | float) else None for key in keys)
    return height, mass


def _sports2d(folder: Path, _: Rate) -> Iterator[SessionTrial]:
    for path in sorted(folder.rglob("*_m_person*.trc")):
        if re.search(r"_m_person\d+$", path.stem):  # others were added, by us or by the marker augmentation
            markers, person = read_markers(path), path.stem.rpartition("_")[2]
            targets = (path.with_name(f"{path.stem}{SUFFIX}.trc"), *_kinematics(path.parent, path.stem))
            skeleton = skeleton_of_names([name for name in markers.names if name in load_skeleton("halpe26").names])
            files = {"markers": str(path)}
            yield SessionTrial(path.stem, markers, targets, marker_set=skeleton.name, person=person, files=files)


def _opencap(folder: Path, _: Rate) -> Iterator[SessionTrial]:
    for path in sorted(folder.glob("MarkerData/**/*.trc")):
        if SUFFIX not in path.name and "PreAugmentation" not in path.parts:
            motion = _kinematics(folder / "OpenSimData/Kinematics", path.stem)
            targets = (path.with_name(f"{path.stem}{SUFFIX}.trc"), *motion)
            yield SessionTrial(path.stem, read_markers(path), targets, files={"markers": str(path)})


def _vicon(folder: Path, _: Rate) -> Iterator[SessionTrial]:
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() == ".c3d" and SUFFIX not in path.name:
            targets = (path.with_name(f"{path.stem}{SUFFIX}.c3d"), *_kinematics(folder, path.stem))
            yield SessionTrial(path.stem, read_markers(path), targets, files={"markers": str(path)})


def _freemocap(folder: Path, rate: Rate) -> Iterator[SessionTrial]:
    for path in sorted(folder.glob("output_data/*_body_3d_xyz.csv")):
        table = _read_table(path)
        calibrations = folder.glob("*_camera_calibration.toml")
        points = _points_of_table(table, path, _rate_of(folder, rate), unit="mm", calibrations=calibrations)
        target = path.with_name(f"simspine{SUFFIX}_3d_xyz.csv")
        yield replace(points, name=folder.resolve().name, targets=(target,), write_table=_write_wide)


def _caliscope(folder: Path, rate: Rate) -> Iterator[SessionTrial]:
    for path in sorted(folder.glob("recordings/*/*/xyz_*_labelled.csv")):
        recording = path.parents[1]
        target = recording / f"SIMSPINE/xyz_SIMSPINE{SUFFIX}_labelled.csv"
        if path.parent == target.parent:
            continue
        table, frames = _on_all_frames(_read_table(path), path.with_name(path.name.replace("_labelled", "")))
        interval = float(np.median(np.diff(frames["frame_time"]) / np.diff(frames["sync_index"])))
        said = rate or (1 / interval if interval > 0 else _rate_of(recording, rate))
        calibrations = sorted(folder.rglob("camera_array.toml"), key=lambda file: -len(file.parts))
        points = _points_of_table(table, path, said, unit="m", calibrations=calibrations)
        targets = (target, target.with_name(f"xyz_SIMSPINE{SUFFIX}.csv"), target.with_suffix(".trc"))
        yield replace(points, name=recording.name, targets=targets, write_table=partial(_write_caliscope, frames))


def _on_all_frames(labelled: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Caliscope's table with a row for each frame, and sync_index and frame_time of those that it had.

    Its rows are not numbered, and frames without points are left out; the table of single points (path) says which.
    """
    points = _read_table(path)
    if absent := [column for column in ("sync_index", "frame_time") if column not in points]:
        raise InputError(f"{path}: no column {absent[0]}; expected Caliscope's table of points.")
    times = points.groupby("sync_index", as_index=False)["frame_time"].mean()
    if len(times) != len(labelled) or len(times) < 2:
        raise InputError(f"{path}: points in {len(times)} frames, but its labelled table has {len(labelled)} rows.")
    times["sync_index"] = times["sync_index"].astype(int)
    times.index = pd.Index(times["sync_index"] - times["sync_index"].min())
    return labelled.set_index(times.index).reindex(range(times.index.max() + 1)), times


def _anipose(folder: Path, rate: Rate) -> Iterator[SessionTrial]:
    for path in sorted(folder.rglob("pose-3d/*.csv")):
        if SUFFIX in path.name:
            continue
        session, table = path.parents[1], _read_table(path)
        calibrations = [place / "calibration/calibration.toml" for place in (session, *session.parents[:3])]
        shown = table.copy()
        for column in table.columns[table.columns.str.endswith("_error")]:
            bad = table[column] > ANIPOSE_MAX_ERROR_PX
            shown.loc[bad, [column.replace("_error", f"_{axis}") for axis in "xyz"]] = np.nan
        points = _points_of_table(shown, path, _rate_of(session, rate), unit="", calibrations=calibrations)
        targets = (path.with_name(f"{path.stem}{SUFFIX}.csv"),)
        yield replace(points, name=path.stem, targets=targets, write_table=partial(_write_anipose, table))


def _easymocap(folder: Path, rate: Rate) -> Iterator[SessionTrial]:
    for place in sorted((*folder.glob("keypoints3d"), *folder.glob("output*/**/keypoints3d"))):
        files = sorted(place.glob("*.json"))
        frames = [parse_content(json.loads, read_text(path), "valid JSON", path) for path in files]
        try:
            people = [{one["id"]: np.array(one["keypoints3d"], float) for one in frame} for frame in frames]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{place}: expected people with id and keypoints3d in each file ({reason_of(error)})."
            ) from None
        for number in sorted({key for frame in people for key in frame}):
            shapes = {frame[number].shape for frame in people if number in frame}
            shape = shapes.pop()
            if shapes or len(shape) != 2 or shape[1] < 3:
                raise InputError(f"{place}: person {number} has the shape {shape}; expected (points, 3 or 4).")
            rows = np.array([frame.get(number, np.full(shape, np.nan)) for frame in people])
            xyz = np.where(rows[..., 3:] > 0, rows[..., :3], np.nan) if shape[1] > 3 else rows
            names = load_skeleton("body25").names[: len(rows[0])]
            said, calibrations = _rate_of(folder, rate), [folder / "intri.yml"]
            points = _person(names, xyz[:, : len(names)], place, rate=said, unit="m", calibrations=calibrations)
            name = f"{folder.resolve().name}_{number}"
            target = place.with_name(f"keypoints3d{SUFFIX}" + (f"_{number}" if len(people[0]) > 1 else ""))
            write = partial(_write_easymocap, [path.name for path in files])
            yield replace(points, name=name, targets=(target,), person=str(number), write_table=write)


_READERS: dict[str, Callable[[Path, Rate], Iterator[SessionTrial]]] = {
    "OpenCap": _opencap,
    "FreeMoCap": _freemocap,
    "Caliscope": _caliscope,
    "Sports2D": _sports2d,
    "Anipose": _anipose,
    "EasyMocap": _easymocap,
    "Pose2Sim": _pose2sim,
    "Vicon": _vicon,
}


def _kinematics(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}{SUFFIX}.mot", folder / f"{name}{SUFFIX}.osim"


def _rate_of(folder: Path, given: Rate) -> float:
    """Frames/s: as given, else of the first video below the folder."""
    if given is not None:
        return given
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in VIDEO_ENDINGS and path.is_file():
            return open_video(path).rate
    raise InputError(f"{folder}: no file says how many frames a second there are, and no video is there; name --rate.")


def _read_table(path: Path) -> pd.DataFrame:
    """A table of numbers under a line of names."""
    if not path.is_file():
        raise InputError(f"{path} is missing, which the program writes with the others of its folder.")
    head, *rows = [line.split(",") for _, line in read_lines(path)]
    cells = parse_cells(rows, len(head), path).reshape(-1, len(head))
    return pd.DataFrame(cells, columns=[name.strip() for name in head])


# Points of hands and faces, as FreeMoCap's trackers, Caliscope's and COCO-WholeBody call them.
_FACE_OR_HAND = re.compile(r"^face_\d+$|_hand_root$|_(thumb|\w*finger)\d$")


def _points_of_table(
    table: pd.DataFrame, path: Path, rate: float, *, unit: str, calibrations: Iterable[Path]
) -> SessionTrial:
    """A table with columns NAME_x, NAME_y, NAME_z, a row a frame; other columns are left out."""
    columns = set(table.columns)
    labels = [column[:-2] for column in table.columns if column.endswith("_x")]
    labels = [label for label in labels if {f"{label}_y", f"{label}_z"} <= columns and not _FACE_OR_HAND.search(label)]
    if table.empty or not labels:
        raise InputError(f"{path}: {len(labels)} points in {len(table)} rows; expected columns NAME_x, NAME_y, NAME_z.")
    known = names_of_skeleton(tuple(re.sub(r"^(body|pose)_", "", label) for label in labels), None, path)
    xyz = table[[f"{label}_{axis}" for label in labels for axis in "xyz"]].to_numpy().reshape(len(table), -1, 3)
    return _person(known, xyz, path, rate=rate, unit=unit, calibrations=calibrations)


def _person(
    names: Sequence[str], xyz: np.ndarray, path: Path, *, rate: float, unit: str, calibrations: Iterable[Path]
) -> SessionTrial:
    """Points of a detector in space, in metres, z up, by SIMSPINE's names.

    xyz: (frames, points, 3) in the unit. calibrations: files that may say where the cameras were; the first counts.
    """
    skeleton = skeleton_of_names(names)
    kept = [i for i, name in enumerate(names) if name in skeleton.to_simspine]
    own = tuple(skeleton.to_simspine[names[i]] for i in kept)
    given = next((cameras_as_written(file) for file in calibrations if file.is_file()), [])
    turn = metres_per_unit(xyz, unit, path) * _upright_turn(own, xyz[:, kept], given, path)
    markers = Markers(own, rate, xyz[:, kept] @ turn.T, "z_up")
    return SessionTrial(path.stem, markers, (), marker_set=skeleton.name, turn=turn)


def _upright_turn(names: Sequence[str], xyz: np.ndarray, cameras: Sequence[Camera], path: Path) -> np.ndarray:
    """(3, 3): the rotation that makes z point up. cameras: in the unit of xyz, perhaps of another world."""
    if lacking := [f"{side}{part}" for part in ("Shoulder", "Ankle") for side in "LR" if f"{side}{part}" not in names]:
        raise InputError(f"{path}: the points {', '.join(lacking)} are not there; expected a whole person.")
    cameras = cameras if _see_points(cameras, xyz) else ()
    vertical = vertical_of_world(names, xyz, cameras)
    if vertical is None:
        return np.eye(3)
    how = "as the person stood on average" if vertical.R is not None else "as the cameras were held"
    how += "" if cameras else ". No calibration of its cameras was found, which would tell a person who lies"
    warn_assumed(
        f"{path}: z is {np.degrees(vertical.tilt):.0f}° from the vertical; the world was turned upright, {how}."
    )
    return Rotation.align_vectors([Z_AXIS], [vertical.up])[0].as_matrix() if vertical.R is None else vertical.R


def _see_points(cameras: Sequence[Camera], xyz: np.ndarray) -> bool:
    """Whether most points are in the images. FreeMoCap turns its points, and leaves the cameras as they are."""
    known = xyz[np.isfinite(xyz).all(-1)]
    if not cameras or not len(known):
        return False
    sizes = np.array([camera.size for camera in cameras])[:, None]
    px = project_points(cameras, known)
    with np.errstate(invalid="ignore"):
        inside = ((px >= 0) & (px <= sizes)).all(-1)
    return bool((inside.mean(1) > MIN_SHARE_IN_IMAGE).all())
