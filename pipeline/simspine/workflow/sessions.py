"""`simspine add-spine`: a session of another program is recognised, reconstructed, and its spine put into its folders.

A session's points are read as that program left them: 2D points with a calibration (Pose2Sim), tables of points in
space (FreeMoCap, Caliscope, Anipose, EasyMocap, movement), or files of markers (OpenCap, Sports2D, Vicon). No file of
it is changed.
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import tomli_w
from scipy.spatial.transform import Rotation

from simspine.core.errors import InputError, reason_of, safe_file_name
from simspine.core.geometry import markers_in_frame, project_points
from simspine.core.settings import read_mapping
from simspine.core.skeletons import load_skeleton, skeleton_names, skeleton_of_names
from simspine.core.types import Camera, Keypoints, Markers
from simspine.estimation.options import ScalingOptions
from simspine.io.atomic import write_text
from simspine.io.c3d import read_markers, write_c3d
from simspine.io.calibration import cameras_as_written, read_calibration
from simspine.io.exchange import OWN_SOFTWARE, ExportTrial, read_poses, write_poses
from simspine.io.keypoint_json import names_of_skeleton, parse_cells, read_keypoints
from simspine.io.mot import write_mot
from simspine.io.text_tables import parse_content, read_lines, read_text, repeated_names, warn_assumed, warn_left_out
from simspine.io.trc import metres_per_unit, without_points_at_zero, write_trc
from simspine.io.video import VIDEO_ENDINGS, find_calibration, find_project, match_cameras_to_views, open_video
from simspine.quality.findings import Severity
from simspine.reconstruction.detection import DETECT, TrialSource
from simspine.reconstruction.publish import trial_data
from simspine.reconstruction.reconstruct import (
    AFTER_DETECTION,
    AFTER_MERGING,
    SUBJECT_NAME,
    UNSEEN,
    Reconstruction,
    as_reconstructions,
)
from simspine.reconstruction.stage import Known, Options, Stage
from simspine.reconstruction.stages import given_markers
from simspine.vision.person_frame import Z_AXIS, vertical_of_world
from simspine.workflow.inputs import progress_bar

ANIPOSE_MAX_ERROR_PX = 50.0  # points of a larger reprojection error are not shown by Anipose's viewer
ANIPOSE_MIN_CAMERAS = 2.0  # points seen by fewer are not shown by it
ANIPOSE_FOLDER = "pose-3d-spine"
CALISCOPE_TRACKER = "SIMSPINE"  # with ONNX_ before it, which Caliscope adds to names of model cards
SHARED_ENDINGS = (".toml",)  # of files for a program's viewer that serve several trials; written once
PLANE_MAX_ASYMMETRY = 0.3  # of left and right in Sports2D's points: limbs out of the film's plane appear short
SUFFIX = "_spine"  # of files that are added
MIN_SHARE_IN_IMAGE = 0.5  # of a camera that belongs to the points: how many of them are in its image
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
    """tool: the program's name. height: m, mass: kg, where the session says. to_see: how to look at what is added."""

    tool: str
    trials: tuple[SessionTrial, ...]
    height: float | None = None
    mass: float | None = None
    to_see: str = ""


class AddedSpine(NamedTuple):
    """files: that were added. notes: what was noticed, results: a line a figure. faults: whether frames have errors."""

    files: tuple[Path, ...]
    notes: tuple[str, ...]
    results: tuple[str, ...]
    faults: bool


def read_session(folder: Path, rate: Rate = None) -> OtherSession:
    """The session of another program in a folder. rate: frames/s, where no file of it says.

    Raises `InputError` listing the programs that are known where it is of none, and as the readers of its files do.
    """
    programs = read_mapping(Path(__file__).with_name("programs.yaml"))
    read = ", ".join(f"{tool} ({about['holds']})" for tool, about in programs.items())
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; name the folder of a session: {read}.")
    for tool, about in programs.items():
        trials = _distinct_names(list(_READERS[tool](folder, rate)), folder)
        for trial in trials:
            if not isinstance(trial.source, Path):
                _require_points(trial.source, f"{folder}, trial {trial.name!r}")
        if trials:
            return OtherSession(tool, tuple(trials), *_size_of_person(folder), to_see=about["to_see"])
    for tool, about in programs.items():
        if any(path for pattern in about["begun"] for path in folder.glob(pattern)):
            raise InputError(f"{folder} looks like a session of {tool}, but {about['lacks']}.")
    raise InputError(
        f"{folder} is no session that is known: {read}. Name the folder that holds these; of another program, export "
        "markers as .trc or .c3d (`simspine init`)."
    )


def _distinct_names(trials: list[SessionTrial], folder: Path) -> list[SessionTrial]:
    """The trials; those of one name also have the name of the folder that holds the folder of their files."""
    names = [trial.name for trial in trials]
    trials = [
        replace(trial, name=f"{trial.targets[0].parents[1].name}_{trial.name}")
        if names.count(trial.name) > 1
        else trial
        for trial in trials
    ]
    if repeated := repeated_names(trial.name for trial in trials):
        raise InputError(f"{folder}: several trials are {repeated}, perhaps of two trackers. Move all but one away.")
    return trials


def _require_points(points: Keypoints | Markers, where: str) -> None:
    places = points.xy if isinstance(points, Keypoints) else points.xyz
    if not np.isfinite(places).any():
        raise InputError(f"{where}: every point is missing or at 0 0 0 in every frame. Was an empty trial exported?")


def add_spine(
    session: OtherSession,
    marker_set: str | None = None,
    scaling: Mapping[str, float] | None = None,
    quiet: bool = False,
) -> AddedSpine:
    """Reconstruct all trials and write their spine into the session.

    scaling: as in a configuration, such as `min_factor` for children. quiet: no bar that shows steps and time left.
    Raises `InputError` before any work where a file is there already, and as `reconstruct` and `fit_trials`.
    """
    targets = [path for trial in session.trials for path in trial.targets if path.suffix not in SHARED_ENDINGS]
    if there := [path for path in targets if path.exists()]:
        raise InputError(f"{there[0]} exists already; nothing of a session is written over. Move it away first.")
    written: list[Path] = []
    notes, results, faults = [], [], False
    for person in dict.fromkeys(trial.person for trial in session.trials):
        own = [trial for trial in session.trials if trial.person == person]
        for trial, found in zip(own, _reconstructed(session, own, marker_set, scaling, quiet=quiet), strict=True):
            for path in (path for path in trial.targets if not path.exists()):
                _write_spine(path, found, trial)
                written.append(path)
            for finding in found.findings:
                faults = faults or finding.severity == Severity.ERROR
                if finding.severity != Severity.INFO:
                    notes.append(f"{trial.name}: {finding.severity}: {finding.message} {finding.suggestion}")
            for figure in found.curvature_figures:
                sd = "" if figure.sd is None else f" ± {1.96 * figure.sd:.0f}"
                value = "unknown" if figure.mean is None else f"{figure.mean:.0f}{sd}°, {figure.decided_by}"
                results.append(f"{trial.name}: {figure.label} {value}")
    return AddedSpine(tuple(written), tuple(notes), tuple(results), faults)


def grouped_messages(messages: Iterable[str]) -> list[str]:
    """The first message of each kind, and how many follow; names and numbers do not make a kind."""
    kinds: dict[str, list[str]] = {}
    for text in messages:
        kinds.setdefault(re.sub(r"'[^']*'|\S*\d\S*", "", text), []).append(text)
    return [first + (f" ({len(others)} more of this kind.)" if others else "") for first, *others in kinds.values()]


def _reconstructed(
    session: OtherSession,
    own: Sequence[SessionTrial],
    marker_set: str | None,
    scaling: Mapping[str, float] | None,
    quiet: bool,
) -> list[Reconstruction]:
    """Of each trial of a person. Trials in space share one body; those of images have one each."""
    marker_set = marker_set or own[0].marker_set
    limits = {"max_asymmetry": PLANE_MAX_ASYMMETRY} if session.tool == "Sports2D" else {}
    options = Options(body={} if marker_set is None else {"markers": marker_set}, scaling={**limits, **(scaling or {})})
    person = UNSEEN | {"subject": SUBJECT_NAME, "height": session.height, "mass": session.mass}
    known: dict[str, Known] = {}
    in_space = {t.name: given_markers(t.source, options.body) for t in own if isinstance(t.source, Markers)}
    if in_space:
        trials = {name: person | {"trial": name} | given for name, given in in_space.items()}
        known = _run_with_bar(trials, options, AFTER_MERGING, quiet=quiet)
    for trial in own:
        if trial.name in in_space:
            continue
        if isinstance(trial.source, Keypoints):
            assert trial.calibration is not None  # of 2D points
            recording = TrialSource(read_calibration(trial.calibration), keypoints=trial.source)
        else:
            project = find_project(trial.source)  # type: ignore[arg-type]
            recording = TrialSource(read_calibration(project.calibration), videos=project.videos)
        about = person | {"trial": trial.name, "videos": recording.videos}
        with progress_bar(f"{trial.name}: frames", quiet) as show:
            seen = DETECT.run({trial.name: about | {"recording": replace(recording, progress=show)}}, options)
        known |= _run_with_bar(seen, options, AFTER_DETECTION, quiet=quiet)
    for trial in own:
        for factor in known[trial.name]["factors"].factors:
            if (factor.asymmetry or 0.0) > ScalingOptions().max_asymmetry and "max_asymmetry" in limits:
                warn_assumed(
                    f"{trial.name}: left and right of {factor.segment} differ by {100 * factor.asymmetry:.0f} %: limbs "
                    "outside the plane of the film appear short. Their mean was taken."
                )
    found = as_reconstructions(known)
    return [found[trial.name] for trial in own]


def _run_with_bar(
    known: Mapping[str, Known], options: Options, stages: Sequence[Stage], quiet: bool
) -> dict[str, Known]:
    """As `run_stages`; a bar shows the steps done and the time left."""
    found = dict(known)
    steps = [(stage, names) for stage in stages for names in ([list(known)] if stage.of_person else zip(known))]
    with progress_bar(f"{next(iter(known))}: steps", quiet) as show:
        for done, (stage, names) in enumerate(steps):
            show(done, len(steps))
            found |= stage.run({name: found[name] for name in names}, options)
        show(len(steps), len(steps))
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


def _write_anipose(own: pd.DataFrame, config: Path, path: Path, names: Sequence[str], xyz: np.ndarray) -> None:
    """The session's own table with the vertebrae as further points: Anipose's viewer joins points of one file.

    Anipose wants an error, a score and a number of cameras for each point, and hides those of too few cameras. A
    vertebra was in no image: it gets no error, the score 1 and as many cameras as the points that it follows from.
    A path that ends in .toml: the session's configuration, with the folders of these tables and the line of vertebrae.
    """
    if path.suffix == ".toml":
        content = _toml_of(config)
        pipeline = {**content.get("pipeline", {}), "pose_3d": ANIPOSE_FOLDER, "videos_labeled_3d": "videos-3d-spine"}
        labeling = dict(content.get("labeling", {}))
        if labeling.get("scheme"):  # without one, all points are drawn
            labeling["scheme"] = [*labeling["scheme"], list(names)]
        return write_text(path, tomli_w.dumps({**content, "pipeline": pipeline, "labeling": labeling}))
    cameras = own.loc[:, own.columns.str.endswith("_ncams")].median(axis=1).fillna(0.0)
    quality = {"error": 0.0, "ncams": np.maximum(cameras, ANIPOSE_MIN_CAMERAS), "score": 1.0}
    columns = {f"{name}_{key}": np.broadcast_to(value, len(own)) for name in names for key, value in quality.items()}
    added = pd.concat([_wide_table(names, xyz), pd.DataFrame(columns)], axis=1)
    ordered = [f"{name}_{part}" for name in names for part in (*"xyz", *quality)]
    return _write_csv(path, pd.concat([own, added[ordered]], axis=1))


def _toml_of(path: Path) -> dict[str, Any]:
    """{} where there is no such file."""
    return parse_content(tomllib.loads, read_text(path), "valid TOML", path) if path.is_file() else {}


def _write_caliscope(frames: pd.DataFrame, path: Path, names: Sequence[str], xyz: np.ndarray) -> None:
    """Caliscope's two tables: a row a frame (…_labelled.csv), or a row a point. frames: sync_index and frame_time.

    A path that ends in .toml: a model card, by which Caliscope lists the tables as those of a tracker and draws lines.
    """
    if path.suffix == ".toml":
        model = {"name": CALISCOPE_TRACKER, "model_path": f"{CALISCOPE_TRACKER}.onnx", "format": "simcc"}
        lines = {f"{a}_{b}": {"color": "y", "points": [a, b]} for a, b in pairwise(names)}
        numbers = {name: i for i, name in enumerate(names)}
        card = {"model": {**model, "input_size": [192, 256]}, "points": numbers, "segments": lines}
        return write_text(path, tomli_w.dumps(card))
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
            if views:
                warn_left_out(f"{place}: 2D points without a calibration in a folder named …calib…; left out.")
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
    project = _toml_of(folder / "Config.toml").get("project")
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


def _is_added(path: Path) -> bool:
    """Whether it was added to another file of its folder, as its name says."""
    names = {path.name.lower() for path in path.parent.iterdir()}
    return path.stem.endswith(SUFFIX) and f"{path.stem.removesuffix(SUFFIX)}{path.suffix}".lower() in names


def _opencap(folder: Path, _: Rate) -> Iterator[SessionTrial]:
    for path in sorted(folder.glob("MarkerData/**/*.trc")):
        if not _is_added(path) and "PreAugmentation" not in path.parts:
            motion = _kinematics(folder / "OpenSimData/Kinematics", path.stem)
            targets = (path.with_name(f"{path.stem}{SUFFIX}.trc"), *motion)
            yield SessionTrial(path.stem, read_markers(path), targets, files={"markers": str(path)})


def _vicon(folder: Path, _: Rate) -> Iterator[SessionTrial]:
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() == ".c3d" and not _is_added(path):
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
        target = recording / f"ONNX_{CALISCOPE_TRACKER}" / f"xyz_ONNX_{CALISCOPE_TRACKER}.csv"
        if path.parent == target.parent:
            continue
        table, frames = _on_all_frames(_read_table(path), path.with_name(path.name.replace("_labelled", "")))
        interval = float(np.median(np.diff(frames["frame_time"]) / np.diff(frames["sync_index"])))
        said = rate or (1 / interval if interval > 0 else _rate_of(recording, rate))
        calibrations = sorted(folder.rglob("camera_array.toml"), key=lambda file: -len(file.parts))
        points = _points_of_table(table, path, said, unit="m", calibrations=calibrations)
        card, labelled = f"{CALISCOPE_TRACKER}.toml", f"xyz_ONNX_{CALISCOPE_TRACKER}_labelled.csv"
        targets = (target, target.with_name(labelled), target.with_suffix(".trc"), target.with_name(card))
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
        session, table = path.parents[1], _read_table(path)
        places = (session, *session.resolve().parents[:3])
        calibrations = [place / "calibration/calibration.toml" for place in places]
        shown = table.copy()
        for column in table.columns[table.columns.str.endswith("_error")]:
            bad = table[column] > ANIPOSE_MAX_ERROR_PX
            shown.loc[bad, [column.replace("_error", f"_{axis}") for axis in "xyz"]] = np.nan
        points = _points_of_table(shown, path, _rate_of(session, rate), unit="", calibrations=calibrations)
        target, configs = session / ANIPOSE_FOLDER / path.name, [place / "config.toml" for place in places]
        config = next((file for file in configs if file.is_file()), session / "config.toml")
        targets = (target, config.with_name(f"config{SUFFIX}.toml"))
        yield replace(points, name=path.stem, targets=targets, write_table=partial(_write_anipose, table, config))


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
        numbers = sorted({key for frame in people for key in frame})
        for number in numbers:
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
            target = place.with_name(f"keypoints3d{SUFFIX}" + (f"_{number}" if len(numbers) > 1 else ""))
            write = partial(_write_easymocap, [path.name for path in files])
            yield replace(points, name=name, targets=(target,), person=str(number), write_table=write)


def _movement(folder: Path, rate: Rate) -> Iterator[SessionTrial]:
    for path in sorted(folder.glob("*.nc")):
        poses = read_poses(path)
        if poses.software == OWN_SOFTWARE:
            continue
        said = rate or poses.rate or _rate_of(folder, rate)
        for person, xyz in poses.people.items():
            name = path.stem if len(poses.people) == 1 else f"{path.stem}_{safe_file_name(person)}"
            known = names_of_skeleton(poses.names, None, path)
            points = _person(known, xyz, path, rate=said, unit="")
            targets, write = (path.with_name(f"{name}{SUFFIX}.nc"),), partial(write_poses, said, person)
            yield replace(points, name=name, targets=targets, person=person, write_table=write)


_READERS: dict[str, Callable[[Path, Rate], Iterator[SessionTrial]]] = {
    "OpenCap": _opencap,
    "FreeMoCap": _freemocap,
    "Caliscope": _caliscope,
    "Sports2D": _sports2d,
    "Anipose": _anipose,
    "EasyMocap": _easymocap,
    "movement": _movement,
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
    tracker = re.sub(r"[\W_]", "", path.stem.lower())  # Caliscope's files are named after it
    said = next((name for name in skeleton_names() if name in tracker), None)
    known = names_of_skeleton(tuple(re.sub(r"^(body|pose)_", "", label) for label in labels), said, path)
    xyz = table[[f"{label}_{axis}" for label in labels for axis in "xyz"]].to_numpy().reshape(len(table), -1, 3)
    return _person(known, xyz, path, rate=rate, unit=unit, calibrations=calibrations, said=said)


def _person(
    names: Sequence[str],
    xyz: np.ndarray,
    path: Path,
    *,
    rate: float,
    unit: str,
    calibrations: Iterable[Path] = (),
    said: str | None = None,
) -> SessionTrial:
    """Points of a detector in space, in metres, z up, by SIMSPINE's names.

    xyz: (frames, points, 3) in the unit. calibrations: files that may say where the cameras were; the first counts.
    said: the points' skeleton; by default their names tell it.
    """
    xyz, skeleton = without_points_at_zero(xyz, path), load_skeleton(said) if said else skeleton_of_names(names)
    kept = [i for i, name in enumerate(names) if name in skeleton.to_simspine]
    own = tuple(skeleton.to_simspine[names[i]] for i in kept)
    _require_points(Markers(own, rate, xyz[:, kept], "z_up"), str(path))
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
