"""Views of a trial, from files of results: 3D scenes, videos with the body, Rerun recordings, cycles of angles."""

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from simspine.anatomy.alignment import angle_cycles
from simspine.anatomy.body import Body
from simspine.anatomy.clinical import SIDE_WORDS
from simspine.anatomy.options import ScalingOptions
from simspine.core.arrays import NORMAL_95
from simspine.core.errors import InputError, names_text, naming_content, require_ending, require_known, safe_file_name
from simspine.core.types import Camera, ForcedKind
from simspine.estimation.fit_person import femur_lengths
from simspine.io.atomic import require_new
from simspine.io.dataset_read import DatasetFile
from simspine.io.dataset_write import is_rejected
from simspine.io.hdf5 import open_hdf5_file, read_store
from simspine.io.text_tables import json_or_empty, warn_assumed
from simspine.io.video import match_cameras_to_views
from simspine.quality.marker_checks import unseen_limb_joints
from simspine.quality.observability import curvature_figures, estimated_of_spine
from simspine.reconstruction.solved_trial import SolvedTrial, without_unseen_limbs
from simspine.report import body_video, canvas
from simspine.report.bones import bones_and_joints
from simspine.report.figures import (
    beyond_error,
    changes_between,
    comparison_table,
    cycle_figure,
    known_in_several,
)
from simspine.report.page import Picture, ReportContent, TrialSection, require_own_page, write_report
from simspine.report.rerun_recording import write_recording
from simspine.report.scene import MOST_FRAMES, Scene, frame_step, pack_scene
from simspine.report.statements import REPORT_NOTICE, summary_statements
from simspine.report.tables import NO_RESULT, held_still, is_result, label_with_sign, with_marks
from simspine.report.trial_sections import angle_curves, chain_of_body, scene_of_trial
from simspine.workflow.config import Config, read_config
from simspine.workflow.dataset import check_figures
from simspine.workflow.inputs import Context, timing_in
from simspine.workflow.results import read_trial
from simspine.workflow.up_to_date import RunPaths, check_as_made, read_json, read_task_manifest

MAX_DURATION_RATIO = 1.5  # of two trials compared: half of a recording, or its rate halved, make 2
VIEWABLE_STAGES = ("keypoints", "points", "markers", "kinematics", "vertebrae")  # folders with a .h5 per trial


def read_scene(result: Path, subject: str | None = None, trial: str | None = None) -> Scene:
    """The scene of a trial in a results folder, a file of one, or a data set's file."""
    found = find_results(result, subject, trial)
    if found is not None:
        return scene_of_trial(read_trial(*found))
    with open_hdf5_file(result) as file:
        if "metadata" not in file:
            raise InputError(f"{result}: expected a results folder, a trial's .h5 in it, or a data set's .h5.")
    return _scene_of_dataset(result, subject, trial)


def find_results(result: Path, subject: str | None = None, trial: str | None = None) -> tuple[RunPaths, str] | None:
    """The subject's files and the trial that a folder, or a file of a stage, belongs to; None for any other file."""
    if not result.exists():
        raise InputError(f"{result} does not exist. Expected a results folder, a trial's .h5, or a data set's .h5.")
    if result.is_dir():
        if (result / "vertebrae").is_dir():
            _require_same(result, result.name, subject)
            return find_trial(result.parent, result.name, trial)
        return find_trial(result, subject, trial)
    if result.parent.name in VIEWABLE_STAGES and result.suffix == ".h5":
        paths = RunPaths(result.parents[2], result.parents[1].name)
        if paths.vertebrae(result.stem).is_file():
            _require_same(result, paths.subject, subject)
            _require_same(result, result.stem, trial)
            return _readable_trial(paths, result.stem)
    return None


def _require_same(result: Path, name: str, given: str | None) -> None:
    """`InputError` where another subject or trial was given than the path names."""
    if given not in (None, name):
        raise InputError(f"{result} is of {name}, and {given} was given as well. Leave one of them out.")


def place_of_trial(result: Path, subject: str | None, trial: str | None) -> tuple[RunPaths, str]:
    """As `find_results`; `InputError` for any other file."""
    found = find_results(result, subject, trial)
    if found is None:
        raise InputError(f"{result}: expected a results folder, or a trial's .h5 in its folder 'vertebrae'.")
    return found


def _scene_of_dataset(path: Path, subject: str | None, trial: str | None) -> Scene:
    with DatasetFile(path) as file:
        names = [(s, t) for s in file.subjects for t in file.trials(s)]
        chosen = choose_trial(names, subject, trial, str(path))
        entry, cameras, model = file.trial(*chosen), file.cameras(*chosen), file.model(chosen[0])
    bones, segments = bones_and_joints(model)
    poses = entry.poses
    if poses and any(odd.any() for odd in unseen_limb_joints(entry.motion).values()):
        poses = without_unseen_limbs(poses, Body.from_text(model, f"model of {chosen[0]}"), entry.motion)
    estimated = bool(estimated_of_spine(entry.fitted, entry.fitted_origin))
    kept = ~is_rejected(entry.status, entry.markers.frames)
    figures = curvature_figures(entry, kept, estimated=estimated)
    angles = {one.name: (getattr(entry, one.name), getattr(entry, f"{one.name}_sd")) for one in figures}
    return Scene(
        name=" · ".join(chosen), spine=chain_of_body(entry.markers), points=None, poses=poses, bones=bones,
        segments=segments, cameras=tuple(cameras), status=entry.status, reasons=entry.reasons,
        curves=angle_curves(angles, figures) if entry.markers.frames > 1 else (),
    )  # fmt: skip


def write_view(result: Path, out: Path | None = None, subject: str | None = None, trial: str | None = None) -> Path:
    """Write a page with the player of one trial, by default into a temporary folder. See `read_scene`."""
    require_ending(out, "a view", (".html",))
    require_own_page(out)
    scene = read_scene(result, subject, trial)
    if out is None:
        out = Path(tempfile.mkdtemp(prefix="simspine-")) / f"{safe_file_name(scene.name)}.html"
    view = TrialSection(scene.name, player=pack_scene(scene))
    notice = REPORT_NOTICE if scene.poses else ""
    content = ReportContent(title=scene.name, subtitle=str(result), trials=(view,), alone=True, notice=notice)
    write_report(out, content)
    return out


def write_comparison(first: Path, last: Path, out: Path, subject: str | None = None, trial: str | None = None) -> Path:
    """Write a page with what changed between two results; returns its path.

    first, last: results folders, or a trial's .h5 in one. subject, trial: choose the same trial in both.
    """
    require_ending(out, "a comparison", (".html",))
    require_own_page(out)
    places = [place_of_trial(place, subject, trial) for place in (first, last)]
    if places[0][0].vertebrae(places[0][1]).resolve() == places[1][0].vertebrae(places[1][1]).resolve():
        raise InputError(f"{first} and {last} are the same trial; name two, or two results folders.")
    trials = [read_trial(*result) for result in places]
    _warn_of_other_trials(*trials)
    _warn_of_other_settings(places)
    if differing := " ".join(filter(None, (_given_differently(places), _recorded_differently(trials)))):
        warnings.warn(differing, stacklevel=2)
    folders = [paths.results.resolve().name for paths, _ in places]
    names = [f"{sign}: {folder}, {read.name}" for sign, folder, read in zip("AB", folders, trials, strict=True)]
    write_report(out, _comparison_page(dict(zip(names, trials, strict=True)), differing))
    return out


def _warn_of_other_trials(first: SolvedTrial, last: SolvedTrial) -> None:
    """Warn where names or thighs differ: a comparison assumes one person and one movement."""
    for kind, one, other in (("person", first.subject, last.subject), ("movement", first.trial, last.trial)):
        if one != other:
            text = f"{one!r} is compared with {other!r}. Is this one {kind}? If not, that explains differences."
            warnings.warn(text, stacklevel=2)
    thighs = [1e3 * sum(femur_lengths(trial.sized.body).values()) / 2 for trial in (first, last)]
    if abs(np.log(thighs[1] / thighs[0])) > ScalingOptions().max_asymmetry:  # more than two thighs of one person differ
        warnings.warn("The thighs are {:.0f} and {:.0f} mm long. Is this one person?".format(*thighs), stacklevel=2)
    if np.array_equal(first.markers.xyz, last.markers.xyz, equal_nan=True):
        warnings.warn("Both trials have the same markers: one recording. No difference is the person's.", stacklevel=2)


def _warn_of_other_settings(places: Sequence[tuple[RunPaths, str]]) -> None:
    """Results made by another version or with other settings differ for that reason. `InputError` where a trial is of
    a later run than the data set, which says the settings."""
    said, folders = [], [paths.results for paths, _ in places]
    for paths, trial in places:
        file, name = paths.results / "provenance.json", f"{paths.subject}/{trial}"
        if origin := read_json(file) if file.exists() else {}:
            check_as_made(paths, trial, "export")
            summary = file.with_name("summary.json")
            with naming_content(summary, "as `simspine run` writes it"):
                trials = json_or_empty(summary)["trials"]
                check_figures(summary, {name: trials[name]} if name in trials else {})
        else:
            warnings.warn(f"{file} is missing: settings are not compared. Run `simspine export`.", stacklevel=2)
        with naming_content(file, "as `simspine run` writes it"):
            said.append(origin and {"version": origin["versions"]["simspine"], **origin["configuration"]})
    names = set().union(*said).difference(("name", "results", "subjects", "report", "capture", "virtual"))
    differing = sorted(name for name in names if said[0].get(name) != said[1].get(name))
    if differing and all(said):
        text = f"{' and '.join(map(str, folders))} were made differently ({', '.join(differing)})"
        warnings.warn(f"{text}. What differs may be due to that; run both alike.", stacklevel=2)


def _given_differently(places: Sequence[tuple[RunPaths, str]]) -> str:
    """What was given of the person and the body in one way here and in another there, and what follows; '' if alike."""
    first, last = (_given_of_person(paths) for paths, _ in places)
    keys = ("height", "mass", "recipe", "marker_set")
    found = [key for key in keys if key in first and first[key] != last.get(key, first[key])]
    pairs = (f"{key.replace('_', ' ')} {first[key] or 'unknown'} and {last[key] or 'unknown'}" for key in found)
    follows = "Neither angles nor lengths depend on the mass."
    if found != ["mass"]:
        follows = "Lengths cannot be compared, and angles may differ for it."
    return f"Given differently: {', '.join(pairs)}. {follows}" if found else ""


def _given_of_person(paths: RunPaths) -> dict:
    """The content of scaling.json; of a recipe or marker set of the user's, its file's name with a checksum."""
    given = read_json(paths.scaling)
    inputs = dict(read_task_manifest(paths.manifest("scale")).get("fingerprint", {}).get("inputs", ()))
    for key in ("recipe", "marker_set"):
        if checksum := inputs.get(Path(str(given.get(key))).name):
            given[key] = f"{given[key]} (SHA-256 {checksum[:8]}…)"
    return given


def _recorded_differently(trials: Sequence[SolvedTrial]) -> str:
    """That one trial is much shorter, or was not judged, and what follows; '' if alike."""
    seconds = [trial.markers.frames / trial.markers.rate for trial in trials]
    unjudged = [trial.name for trial in trials if trial.verdict is None]
    found = [f"No verdict on {', '.join(unjudged)}: bad frames count in its figures."] * bool(unjudged)
    if max(seconds) > MAX_DURATION_RATIO * min(seconds):
        text = "They last {:.2g} and {:.2g} s. Where the person moves, means and ranges may differ for it."
        found.append(text.format(*seconds))
    return " ".join(found)


def _comparison_page(trials: Mapping[str, SolvedTrial], differing: str = "") -> ReportContent:
    """Page on two trials of a movement, {name: trial}: changes, whether they exceed their errors, and both in 3D.
    differing: a sentence on what they do not have in common."""
    first, last = trials
    figures = {name: (*trial.curvature_figures, *trial.clinical_figures) for name, trial in trials.items()}
    table = comparison_table(figures)
    pairs = [(one, other) for one, other in known_in_several(figures) if one and other]
    changes = [change for one, other in pairs for change in changes_between(one, other)]
    if table is None:
        raise InputError(f"{first} and {last}: no parameter is known in both; nothing can be compared.")
    scenes = {
        name: replace(scene_of_trial(trial, frame_step(trial.spine.frames, MOST_FRAMES)), name=name, curves=())
        for name, trial in trials.items()
    }
    return ReportContent(
        title=" → ".join(trials),
        subtitle=f"{beyond_error(changes)} {differing}".rstrip(),
        trials=tuple(
            TrialSection(name, player=pack_scene(scene), glance=summary_statements(trials[name])[:2])
            for name, scene in scenes.items()
        ),
        comparisons=(table,),
        alone=True,
        notice=REPORT_NOTICE,
    )


def find_trial(folder: Path, subject: str | None, trial: str | None) -> tuple[RunPaths, str]:
    """The trial of a results folder; the only one if none is named. `InputError` lists the trials that exist."""
    found = [(p.parent.parent.name, p.stem) for p in sorted(folder.glob("*/vertebrae/*.h5"))]
    if not found:
        raise InputError(f"{folder} holds no results: no <subject>/vertebrae/<trial>.h5. Run the stages first.")
    person, name = choose_trial(found, subject, trial, str(folder))
    return _readable_trial(RunPaths(folder, person), name)


def _readable_trial(paths: RunPaths, trial: str) -> tuple[RunPaths, str]:
    """Both; warns of files that `check_as_made` cannot check, and of trials that the last run's configuration lacks."""
    if unlisted := check_as_made(paths, trial):
        text = f"{paths.folder}: no manifest lists {names_text(unlisted)}, so damage and changes would not be noticed"
        warnings.warn(f"{text}. Copy results with their folder 'manifests', or run again.", stacklevel=2)
    config = _config_of_run(paths.results)
    person = None if config is None else config.subjects.get(paths.subject)
    if config is not None and (person is None or trial not in person.trials):
        where = f"{paths.results / 'config.yaml'}, the configuration of the last run"
        text = f"{paths.subject}/{trial} is of an earlier run: it is not in {where}. Was it renamed, or left out since?"
        warnings.warn(text, stacklevel=2)
    return paths, trial


def choose_trial(
    found: Sequence[tuple[str, str]], subject: str | None, trial: str | None, where: str
) -> tuple[str, str]:
    """The only (subject, trial) of those found that has the names given. Raises `InputError` for none or several."""
    for wanted, kind, place in ((subject, "subject", 0), (trial, "trial", 1)):
        require_known(kind, () if wanted is None else (wanted,), dict.fromkeys(entry[place] for entry in found), where)
    chosen = [entry for entry in found if subject in (None, entry[0]) and trial in (None, entry[1])]
    if len(chosen) != 1:
        names = [" / ".join(entry) for entry in chosen or found]
        listed = names_text(names, 12)
        raise InputError(f"{where} holds several trials ({listed}); choose one with --subject and --trial.")
    return chosen[0]


def write_overlay_of_trial(
    config: Config,
    out: Path,
    subject: str | None = None,
    trial: str | None = None,
    camera: str | None = None,
    *,
    quiet: bool = False,
) -> Path:
    """Write a video (.webm, .mp4, .avi) of one trial: detections and the fitted body, if any, on each image.
    camera: one in full size; None: all side by side, cut to the person."""
    context = Context(config, subject or next(iter(config.subjects)), quiet)
    trial = config.trials(context.subject, trial)[0]
    paths, videos = context.paths, context.capture(trial).videos
    require_new(out)
    seen, fitted = paths.keypoints(trial).is_file(), paths.vertebrae(trial).is_file()
    if seen and fitted:
        try:
            check_as_made(paths, trial)
        except InputError as error:
            fitted = False
            warnings.warn(f"only the points in the images are drawn: {error}", stacklevel=2)
    stored = read_store(paths.keypoints(trial)) if seen and not fitted else {}
    found = None if stored else read_trial(paths, trial, videos)
    cameras = list(stored["cameras"] if found is None else found.cameras)
    if not cameras:
        raise InputError(f"{trial} was seen by no camera to draw it in; `simspine view` shows it in space.")
    if videos and len(videos) != len(cameras):
        raise InputError(f"{trial} has {len(videos)} videos now, but results of {len(cameras)} cameras. Run it again.")
    names = [c.name for c in cameras]
    require_known("camera", () if camera is None else (camera,), names)
    views = range(len(names)) if camera is None else [names.index(camera)]
    if found is not None:
        drawn = body_video.trial_to_draw(found, views)
    else:
        seen, timing = stored["keypoints"], timing_in(stored)
        seen = seen.with_(xy=np.where(seen.confidence[..., None] > 0, seen.xy, np.nan))
        drawn = body_video.DrawnTrial(
            cameras=[cameras[view] for view in views],
            videos=[videos[view] for view in views if videos],
            shown=[np.arange(seen.frames) if timing is None else timing.nearest_frames(view) for view in views],
            rate=seen.rate,
            layers=lambda frame: [body_video.layer_of_points(seen, (frame, view)) for view in views],
        )
    with context.progress(f"{trial}: overlay") as progress:
        body_video.write_overlay_video(drawn, out, progress)
    return out


def record_rerun(result: Path, out: Path, subject: str | None = None, trial: str | None = None) -> Path:
    """Write the recording of a trial; with cameras and videos where the result has them."""
    require_ending(out, "a Rerun recording", (".rrd",))
    require_new(out)
    place = find_results(result, subject, trial)
    if place is None:
        write_recording(out, read_scene(result, subject, trial))
        return out
    solved = read_trial(*place)
    filmed = None if solved.keypoints is None else solved
    write_recording(out, scene_of_trial(solved), filmed, _trial_videos(*place, solved.cameras))
    return out


def _trial_videos(paths: RunPaths, trial: str, cameras: Sequence[Camera]) -> dict[int, Path]:
    """{index of the camera: video} from the run's own configuration; videos that no longer exist are left out."""
    by_camera: dict[str, Path] = {}
    if (config := _config_of_run(paths.results)) is not None:
        with suppress(InputError, KeyError):
            videos = Context(config, paths.subject).capture(trial).videos
            matched = match_cameras_to_views(videos, cameras)
            by_camera = {camera.name: video for camera, video in zip(matched, videos, strict=True)}
    return {v: by_camera[c.name] for v, c in enumerate(cameras) if by_camera.get(c.name, Path()).is_file()}


def _config_of_run(results: Path) -> Config | None:
    """The configuration of the last run in a results folder; None where it cannot be read."""
    with suppress(InputError):
        return read_config(results / "config.yaml")
    return None


ContactEvents = dict[str, Sequence[float]]  # {'r' or 'l': times of that foot's contacts, s}


def cycle_picture(found: SolvedTrial, events: ContactEvents, prefix: str) -> Picture:
    """Picture of a trial's angles of pelvis, trunk and limbs over their cycles. prefix: of its ids on the page. events:
    contacts of a foot limit the cycles of its side; pelvis and trunk follow the right foot where it has contacts."""
    figures, cycles = found.clinical_figures, cycles_of_trial(found, events)
    sd = cycles_of_trial(found, events, deviations=True)
    reach = {name: NORMAL_95 * sd.get(name, np.full_like(cut, np.nan)) for name, cut in cycles.items()}
    still = held_still((*found.curvature_figures, *figures))
    known = ((figure.name, figure.sd) for figure in figures if figure.unit == "deg")
    spread = {name: float(NORMAL_95 * np.radians(sd)) for name, sd in known if sd is not None}
    unused = {figure.name: figure.is_assumed for figure in figures if not is_result(figure, still)}
    drawn = cycle_figure(cycles, spread, unused)
    labels = {one.name: with_marks(label_with_sign(one) + NO_RESULT * (one.name in unused), one) for one in figures}
    doubt, start = _doubt_of_contacts(found, events), float(found.spine.time[0])
    begin = f" (the trial's time begins at {start:.3f} s)" if start else ""
    if doubt:
        warn_assumed(f"{found.name}: {doubt}")
    count = " and ".join(
        f"{max(0, len(events[side]) - 1)} of the {SIDE_WORDS[side]} foot" for side in SIDE_WORDS if side in events
    )
    return Picture(
        "Cycles", "Angles of pelvis, trunk and limbs from contact to contact of one foot, each cycle and their mean",
        f"From contact to contact as the configuration names them, {count}{begin}: each cycle thin, their mean thick "
        "(pale, from three on: one standard deviation of the cycles). The ± in the titles is of a single frame, "
        f"in brackets of what is not to be used. Dashed angles are assumed. {doubt}".rstrip(),
        svg=canvas.figure_svg(drawn, f"{prefix}-cycles"),
        cycles={labels[name]: np.degrees(np.stack([cut, reach[name]], 1)) for name, cut in cycles.items()},
    )  # fmt: skip


def _doubt_of_contacts(found: SolvedTrial, events: ContactEvents) -> str:
    """A question where the other hip is more flexed at most contacts of a foot, which should be ahead then; else ''."""
    clinical, leads = found.spine.clinical, []
    for side, other in ("rl", "lr"):
        names = [f"hip_flexion_{one}" for one in (side, other)]
        if clinical is not None and set(names) <= set(clinical.names):
            ahead = clinical.of(names[0]) - clinical.of(names[1])
            known = np.isfinite(ahead) & ~found.rejected
            if known.any():
                leads += np.interp(events.get(side, ()), found.spine.time[known], ahead[known]).tolist()
    if not leads or np.mean(np.array(leads) > 0) >= 0.5:
        return ""
    return "At most contacts the hip of the other side is more flexed: are the feet of the events exchanged?"


def cycles_of_trial(found: SolvedTrial, events: ContactEvents, deviations: bool = False) -> dict[str, np.ndarray]:
    """{angle: (cycles, 101) rad} of angles that the model does not set, or of their standard deviations.

    Rejected frames are NaN.
    """
    clinical = found.spine.clinical
    if not events:
        raise InputError(f"{found.name}: there are no events: give the times of one foot's contacts, two or more.")
    if clinical is None:
        raise InputError(f"{found.name}: was solved without clinical parameters; run it again.")
    central = events.get("r", events.get("l", ()))
    cycles: dict[str, np.ndarray] = {}
    for name, unit in zip(clinical.names, clinical.units, strict=True):
        side = name[-1] if name.endswith(("_r", "_l")) else ""
        times = events.get(side, ()) if side else central
        forced = any(fact.kind is not ForcedKind.SUM for fact in clinical.forced.get(name, ()))
        values = clinical.sd(name) if deviations else clinical.of(name)
        if unit == "rad" and len(times) and not forced and values is not None:
            cut = angle_cycles(found.spine.time, np.where(found.rejected, np.nan, values), times)
            cycles |= {name: cut} if np.isfinite(cut).any() else {}
    return cycles
