"""`simspine add-spine`: recognises a session of another program, reconstructs it, and adds the spine to its folders.

No file of the session is changed. `simspine.workflow.session_files` reads the files of each program.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from simspine.core.errors import InputError
from simspine.core.geometry import markers_in_frame
from simspine.core.settings import read_mapping
from simspine.core.types import Markers
from simspine.estimation.options import ScalingOptions
from simspine.io.c3d import write_c3d
from simspine.io.calibration import read_calibration
from simspine.io.exchange import ExportTrial
from simspine.io.mot import write_mot
from simspine.io.text_tables import list_names, repeated_names, warn_assumed
from simspine.io.trc import write_trc
from simspine.io.video import find_project, open_videos
from simspine.quality.findings import Severity
from simspine.quality.observability import ClinicalFigure
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
from simspine.vision.detector import Detections
from simspine.workflow.inputs import progress_bar, resampling_rate
from simspine.workflow.session_files import READERS, Rate, SessionTrial, require_points, size_of_person

SHARED_ENDINGS = (".toml",)  # of files for a program's viewer that serve several trials; written once
PLANE_MAX_ASYMMETRY = 0.3  # of left and right in Sports2D's points: limbs out of the film's plane appear short


@dataclass(frozen=True)
class OtherSession:
    """A session. tool: the program's name. height: m, mass: kg, where known. to_see: how to view the added files."""

    tool: str
    trials: tuple[SessionTrial, ...]
    height: float | None = None
    mass: float | None = None
    to_see: str = ""


class AddedSpine(NamedTuple):
    """files: those added. notes: warnings and errors, results: figures, as lines. faults: whether there are errors."""

    files: tuple[Path, ...]
    notes: tuple[str, ...]
    results: tuple[str, ...]
    faults: bool


def read_session(folder: Path, rate: Rate = None) -> OtherSession:
    """The session of another program in a folder. rate: frames/s, for sessions whose files do not hold it.

    Raises `InputError` as the readers of its files do, and for a folder of no known program, with a list of these.
    """
    programs = read_mapping(Path(__file__).with_name("programs.yaml"))
    read = ", ".join(f"{tool} ({about['holds']})" for tool, about in programs.items())
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; name the folder of a session: {read}.")
    for tool, about in programs.items():
        trials = _distinct_names(list(READERS[tool](folder, rate)), folder)
        for trial in trials:
            if not isinstance(trial.source, Path):
                require_points(trial.source, f"{folder}, trial {trial.name!r}")
        if trials:
            return OtherSession(tool, tuple(trials), *size_of_person(folder), to_see=about["to_see"])
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
    places = [folder.resolve().parents[:2], inside]
    for near in places:
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
    trials = [
        replace(trial, name=f"{trial.targets[0].parents[1].name}_{trial.name}")
        if names.count(trial.name) > 1
        else trial
        for trial in trials
    ]
    if repeated := repeated_names(trial.name for trial in trials):
        raise InputError(f"{folder}: several trials are {repeated}, perhaps of two trackers. Move all but one away.")
    return trials


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
    if shared := repeated_names(map(str, targets)):
        raise InputError(f"the spine of two trials would be one file, {shared}; rename the file of one of them.")
    if there := [path for path in targets if path.exists()]:
        raise InputError(f"{there[0]} exists already; nothing of a session is written over. Move it away first.")
    written: list[Path] = []
    notes, results, faults = [], [], False
    solved: list[tuple[SessionTrial, Reconstruction]] = []  # of all people, before the first file
    for person in dict.fromkeys(trial.person for trial in session.trials):
        own = [trial for trial in session.trials if trial.person == person]
        solved += zip(own, _reconstructed(session, own, marker_set, scaling, quiet=quiet), strict=True)
    for trial, found in solved:
        for path in (path for path in trial.targets if not path.exists()):
            _write_spine(path, found, trial)
            written.append(path)
        for finding in found.findings:
            faults = faults or finding.severity == Severity.ERROR
            if finding.severity != Severity.INFO:
                notes.append(f"{trial.name}: {finding.severity}: {finding.message} {finding.suggestion}")
        results += [f"{trial.name}: {_curvature_text(figure)}" for figure in found.curvature_figures]
    return AddedSpine(tuple(written), tuple(notes), tuple(results), faults)


def _curvature_text(figure: ClinicalFigure) -> str:
    sd = "" if figure.sd is None else f" ± {1.96 * figure.sd:.0f}"
    value = "unknown" if figure.mean is None else f"{figure.mean:.0f}{sd}°, {figure.decided_by}"
    return f"{figure.label} {value}"


def grouped_messages(messages: Iterable[str]) -> list[str]:
    """The first message of each kind, and the number of others; messages of a kind differ in names and numbers only."""
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
    """Reconstruct the trials of a person. Trials of points in space share one body; those of images have one each."""
    marker_set = marker_set or own[0].marker_set
    limits = {"max_asymmetry": PLANE_MAX_ASYMMETRY} if session.tool == "Sports2D" else {}
    body = {} if marker_set is None else {"markers": marker_set}
    options = Options(cameras={"refine": "auto"}, body=body, scaling={**limits, **(scaling or {})})
    person = UNSEEN | {"subject": SUBJECT_NAME, "height": session.height, "mass": session.mass}
    known: dict[str, Known] = {}
    in_space = {t.name: given_markers(t.source, options.body) for t in own if isinstance(t.source, Markers)}
    if in_space:
        trials = {name: person | {"trial": name} | given for name, given in in_space.items()}
        known = _run_with_bar(trials, options, AFTER_MERGING, quiet=quiet)
    for trial in own:
        if trial.name in in_space:
            continue
        recording, detection = _recording(trial)
        about = person | {"trial": trial.name, "videos": recording.videos}
        with progress_bar(f"{trial.name}: frames", quiet) as show:
            seen = DETECT.run({trial.name: about | {"recording": replace(recording, progress=show)}}, detection)
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


def _recording(trial: SessionTrial) -> tuple[TrialSource, Options]:
    """The source of a trial's 2D points, and options with which videos of uneven frame rates are resampled."""
    if isinstance(trial.source, Detections):
        assert trial.calibration is not None  # of 2D points
        skeleton = trial.source.skeleton
        return TrialSource(read_calibration(trial.calibration), detections=trial.source, skeleton=skeleton), Options()
    project = find_project(trial.source)  # type: ignore[arg-type]
    rate = resampling_rate(open_videos(project.videos))
    recording = TrialSource(read_calibration(project.calibration), videos=project.videos)
    return recording, Options(detection={"resample": rate})


def _run_with_bar(
    known: Mapping[str, Known], options: Options, stages: Sequence[Stage], quiet: bool
) -> dict[str, Known]:
    """Like `run_stages`, with a bar that shows the steps done and the time left."""
    found = dict(known)
    steps = [(stage, names) for stage in stages for names in ([list(known)] if stage.of_person else zip(known))]
    with progress_bar(f"{next(iter(known))}: steps", quiet) as show:
        for done, (stage, names) in enumerate(steps):
            show(done, len(steps))
            try:
                found |= stage.run({name: found[name] for name in names}, options)
            except InputError as error:
                raise InputError(f"{list_names(names)}: {error}") from None
        show(len(steps), len(steps))
    return found


def spine_points(found: Reconstruction) -> Markers:
    """Observed markers of the person, and the centroids of the vertebrae; y_up."""
    centres = found.spine.centres
    assert centres is not None  # of the packaged recipes
    seen = found.markers.select([name for name in found.markers.names if name not in centres.names])
    xyz = np.concatenate([seen.xyz, centres.xyz], axis=1)
    return Markers((*seen.names, *centres.names), seen.rate, xyz, "y_up", start=seen.start)


def _write_spine(path: Path, found: Reconstruction, trial: SessionTrial) -> None:
    """Write a file in the format of its ending, else as a table of the session's program."""
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
