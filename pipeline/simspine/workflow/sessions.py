"""`simspine add-spine`: a session of another program is recognised, reconstructed, and its spine put into its folders.

A session's points are read as that program left them: 2D points with a calibration (Pose2Sim), tables of points in
space (FreeMoCap, Caliscope, Anipose, EasyMocap), or files of markers (OpenCap, Sports2D, Vicon). No file of it is
changed.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from simspine.core.errors import InputError, reason_of
from simspine.core.geometry import markers_in_frame
from simspine.core.settings import read_mapping
from simspine.core.skeletons import load_skeleton, skeleton_of_names
from simspine.core.types import Keypoints, Markers
from simspine.io.atomic import write_text
from simspine.io.c3d import read_markers, write_c3d
from simspine.io.calibration import read_calibration
from simspine.io.exchange import ExportTrial
from simspine.io.keypoint_json import names_of_skeleton, parse_cells, read_keypoints
from simspine.io.mot import write_mot
from simspine.io.text_tables import parse_content, read_lines, read_text, warn_assumed
from simspine.io.trc import metres_per_unit, write_trc
from simspine.io.video import VIDEO_ENDINGS, find_project, match_cameras_to_views, open_video
from simspine.quality.findings import Severity
from simspine.reconstruction.publish import trial_data
from simspine.reconstruction.reconstruct import Reconstruction, fit_trials, reconstruct
from simspine.reconstruction.stage import Options

ANIPOSE_INDEX = "fnum"  # first column of Anipose's tables
SUFFIX = "_spine"  # of files that are added
UPRIGHT_WITHIN_RAD = np.radians(35)  # a world whose z axis is farther from the person's height is not z up
SESSIONS_READ = (
    "Pose2Sim (pose/ with a calibration, or videos/), Sports2D (…_m_person00.trc), OpenCap (MarkerData/), FreeMoCap "
    "(output_data/…_body_3d_xyz.csv), Caliscope (recordings/…/xyz_…_labelled.csv), Anipose (pose-3d/), EasyMocap "
    "(keypoints3d/), Vicon (.c3d)"
)
Rate = float | None


@dataclass(frozen=True)
class SessionTrial:
    """A trial of a session. source: 2D points, points in space (m), or a folder with videos; targets: files to add.

    calibration: of 2D points. marker_set: of points in space, where their names do not say. person: whose it is.
    turn: (3, 3) from the session's coordinates to ours in z_up, in metres. index: first column of its tables. files:
    what a configuration says of the trial; empty where no file of the session can be named there.
    """

    name: str
    source: Keypoints | Markers | Path
    targets: tuple[Path, ...]
    calibration: Path | None = None
    marker_set: str | None = None
    person: str = "person"
    turn: np.ndarray | None = None
    index: str = ""
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
            about = read_mapping(folder / "sessionMetadata.yaml") if (folder / "sessionMetadata.yaml").is_file() else {}
            height, mass = (float(about[key]) if key in about else None for key in ("height_m", "mass_kg"))
            return OtherSession(tool, trials, height, mass)
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
    """The file, in the format of its ending; a folder without one gets EasyMocap's JSON files."""
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
        back = np.linalg.inv(np.eye(3) if trial.turn is None else trial.turn)
        xyz = markers_in_frame(centres, "z_up").xyz @ back.T
        (_write_table if path.suffix == ".csv" else _write_easymocap)(path, centres.names, xyz, trial.index)


def _write_table(path: Path, names: Sequence[str], xyz: np.ndarray, index: str) -> None:
    """A row a frame, columns NAME_x, NAME_y, NAME_z, as the session's own tables have them.

    Anipose's player wants an error and a score of each point as well: 0 and 1.
    """
    more = ("error", "score") if index == ANIPOSE_INDEX else ()
    head = ([index] if index else []) + [f"{name}_{part}" for name in names for part in (*"xyz", *more)]
    rows = []
    for k, row in enumerate(xyz):
        cells = np.concatenate([row, np.tile([0.0, 1.0], (len(row), 1))], 1) if more else row
        rows.append(([str(k)] if index else []) + [f"{value:.6g}" for value in cells.ravel()])
    write_text(path, "".join(",".join(row) + "\n" for row in [head, *rows]))


def _write_easymocap(folder: Path, names: Sequence[str], xyz: np.ndarray, _: str) -> None:
    """A JSON file a frame: one person with keypoints3d, x y z and confidence of each vertebra from C1 to S1."""
    for k, row in enumerate(xyz):
        points = [[*map(float, place), 1.0] if np.isfinite(place).all() else [0.0] * 4 for place in row]
        write_text(folder / f"{k:06d}.json", json.dumps([{"id": 0, "names": names, "keypoints3d": points}]), sync=False)


# What each program leaves. A reader yields nothing where the folder is not of its program.


def _pose2sim(folder: Path, rate: Rate) -> Iterator[SessionTrial]:
    for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        kinds = [place / kind for kind in ("pose-associated", "pose-sync", "pose") if (place / kind).is_dir()]
        views = sorted(path for path in kinds[0].iterdir() if path.is_dir()) if kinds else []
        calibrations = sorted(
            (*place.glob("calib*/*.toml"), *folder.glob("calib*/*.toml"), *folder.glob("calib*/*.xml"))
        )
        name = place.resolve().name
        targets = (place / f"pose-3d/{name}{SUFFIX}.trc", *_kinematics(place / "kinematics", name))
        if views and calibrations:
            cameras = read_calibration(calibrations[0])
            order = [camera.name for camera in match_cameras_to_views(views, cameras)]
            views = [views[order.index(camera.name)] for camera in cameras if camera.name in order]
            said = _pose2sim_rate(place, folder) or _rate_of(place, rate)
            files = {"keypoints": list(map(str, views)), "calibration": str(calibrations[0]), "rate": said}
            points = read_keypoints(views, rate=said)
            yield SessionTrial(name, points, targets, calibration=calibrations[0], files=files)
        elif (place / "videos").is_dir() and (calibrations or list(folder.glob("calib*/*"))):
            yield SessionTrial(name, place, targets, files={"folder": str(place)})


def _pose2sim_rate(*folders: Path) -> Rate:
    for path in (folder / "Config.toml" for folder in folders):
        content = parse_content(tomllib.loads, read_text(path), "valid TOML", path) if path.is_file() else {}
        said = content.get("project", {}).get("frame_rate")
        if isinstance(said, int | float) and said > 0:
            return float(said)
    return None


def _sports2d(folder: Path, _: Rate) -> Iterator[SessionTrial]:
    for path in sorted(folder.rglob("*_m_person*.trc")):
        if SUFFIX not in path.name:
            markers, person = read_markers(path), path.stem.rpartition("_")[2]
            targets = (path.with_name(f"{path.stem}{SUFFIX}.trc"), *_kinematics(path.parent, path.stem))
            skeleton = skeleton_of_names([name for name in markers.names if name in load_skeleton("halpe26").names])
            files = {"markers": str(path)}
            yield SessionTrial(path.stem, markers, targets, marker_set=skeleton.name, person=person, files=files)


def _opencap(folder: Path, _: Rate) -> Iterator[SessionTrial]:
    for path in sorted(folder.glob("MarkerData/**/*.trc")):
        if SUFFIX not in path.name:
            motion = _kinematics(folder / "OpenSimData/Kinematics", path.stem)
            targets = (path.with_name(f"{path.stem}{SUFFIX}.trc"), *motion)
            yield SessionTrial(path.stem, read_markers(path), targets, files={"markers": str(path)})


def _vicon(folder: Path, _: Rate) -> Iterator[SessionTrial]:
    for path in sorted((*folder.glob("*.c3d"), *folder.glob("*.C3D"))):
        if SUFFIX not in path.name:
            targets = (path.with_name(f"{path.stem}{SUFFIX}.c3d"), *_kinematics(folder, path.stem))
            yield SessionTrial(path.stem, read_markers(path), targets, files={"markers": str(path)})


def _freemocap(folder: Path, rate: Rate) -> Iterator[SessionTrial]:
    for path in sorted(folder.glob("output_data/*_body_3d_xyz.csv")):
        points = _points_of_table(path, _rate_of(folder, rate), "mm")
        yield replace(points, name=folder.resolve().name, targets=(path.with_name(f"simspine{SUFFIX}_3d_xyz.csv"),))


def _caliscope(folder: Path, rate: Rate) -> Iterator[SessionTrial]:
    for path in sorted(folder.glob("recordings/*/*/xyz_*_labelled.csv")):
        recording = path.parents[1]
        target = recording / f"SIMSPINE/xyz_SIMSPINE{SUFFIX}_labelled.csv"
        if path.parent != target.parent:
            points = _points_of_table(path, _rate_of(recording, rate), "m")
            yield replace(points, name=recording.name, targets=(target, target.with_suffix(".trc")), index="sync_index")


def _anipose(folder: Path, rate: Rate) -> Iterator[SessionTrial]:
    for path in sorted(folder.rglob("pose-3d/*.csv")):
        if SUFFIX not in path.name:
            points = _points_of_table(path, _rate_of(path.parents[1], rate), "")
            yield replace(points, targets=(path.with_name(f"{path.stem}{SUFFIX}.csv"),), index=ANIPOSE_INDEX)


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
            points = _person(names, xyz[:, : len(names)], _rate_of(folder, rate), unit="m", path=place)
            name = f"{folder.resolve().name}_{number}"
            target = place.with_name(f"keypoints3d{SUFFIX}" + (f"_{number}" if len(people[0]) > 1 else ""))
            yield replace(points, name=name, targets=(target,), person=str(number))


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


def _points_of_table(path: Path, rate: float, unit: str) -> SessionTrial:
    """A table with columns NAME_x, NAME_y, NAME_z, a row a frame; other columns are left out."""
    head, *rows = [line.split(",") for _, line in read_lines(path)]
    columns = {name.strip(): i for i, name in enumerate(head)}
    names = [
        name[:-2] for name in columns if name.endswith("_x") and {f"{name[:-2]}_y", f"{name[:-2]}_z"} <= set(columns)
    ]
    places = [[columns[f"{name}_{axis}"] for axis in "xyz"] for name in names]
    if not rows or not names:
        raise InputError(f"{path}: {len(names)} points in {len(rows)} rows; expected columns NAME_x, NAME_y, NAME_z.")
    cells = parse_cells(rows, len(head), path)
    short = [re.sub(r"^(body|pose)_", "", name) for name in names]
    known = names_of_skeleton(tuple(short), None, path)
    return replace(_person(known, cells[:, places], rate, unit=unit, path=path), name=path.stem)


def _person(names: Sequence[str], xyz: np.ndarray, rate: float, unit: str, path: Path) -> SessionTrial:
    """Points of a detector in space, in metres, upright, by SIMSPINE's names. xyz: (frames, points, 3) in the unit."""
    scale = metres_per_unit(xyz, unit, path)
    skeleton = skeleton_of_names(names)
    turn = scale * _upright_turn([skeleton.to_simspine.get(name, "") for name in names], xyz, path)
    kept = [i for i, name in enumerate(names) if name in skeleton.to_simspine]
    own = tuple(skeleton.to_simspine[names[i]] for i in kept)
    markers = Markers(own, rate, xyz[:, kept] @ turn.T, "z_up")
    return SessionTrial("trial", markers, (), marker_set=skeleton.name, turn=turn)


def _upright_turn(names: Sequence[str], xyz: np.ndarray, path: Path) -> np.ndarray:
    """(3, 3): the rotation that makes z point up, where the person's height says that it does not."""
    if lacking := [f"{side}{part}" for part in ("Shoulder", "Ankle") for side in "LR" if f"{side}{part}" not in names]:
        raise InputError(f"{path}: the points {', '.join(lacking)} are not there; expected a whole person.")
    above, below = ([names.index(f"{side}{part}") for side in "LR"] for part in ("Shoulder", "Ankle"))
    height = np.nanmean(xyz[:, above].mean(1) - xyz[:, below].mean(1), axis=0)
    up = height / np.linalg.norm(height)
    if not np.isfinite(up).all() or np.arccos(np.clip(up[2], -1, 1)) < UPRIGHT_WITHIN_RAD:
        return np.eye(3)
    warn_assumed(f"{path}: z does not point up along the person; turned so that the person stands upright on average.")
    turn, _ = Rotation.align_vectors([[0.0, 0.0, 1.0]], [up])
    return turn.as_matrix()
