"""The stages after detection: each reads files of earlier stages, calls its stage of `reconstruction`, and saves.

`plan_<stage>(context)` lists a stage's tasks, usually one for each trial; only a task's `work` reads files.
"""

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from simspine.anatomy.recipes import read_recipe
from simspine.core.errors import InputError
from simspine.core.settings import models_folder, yaml_files
from simspine.core.skeletons import points_at_vertebrae, split_inferred_suffix
from simspine.core.types import Markers
from simspine.estimation.fit_person import femur_lengths
from simspine.estimation.options import BodyOptions
from simspine.io.atomic import write_text
from simspine.io.calibration import calibration_files, write_calibration
from simspine.io.dataset_write import Dataset, SubjectData, write_dataset
from simspine.io.hdf5 import read_store, write_store
from simspine.io.mot import write_marker_errors, write_mot
from simspine.io.trc import write_trc
from simspine.quality.findings import findings_of_dicts, where_true
from simspine.reconstruction.cameras import CAMERAS, MERGE, TRIANGULATE, WORLD_VERTICAL_CODE, did_not_fit
from simspine.reconstruction.headline import summary_metrics
from simspine.reconstruction.publish import trial_data
from simspine.reconstruction.solved_trial import SolvedTrial
from simspine.reconstruction.stages import IK, OF_TRIAL, QUALITY, SCALE, VERTEBRAE, given_markers
from simspine.workflow import results
from simspine.workflow.config import json_digest
from simspine.workflow.inputs import RECORDING_CODE, CaptureSource, Context, findings_json, heard_warnings, timing_in
from simspine.workflow.results import load_result, read_sized_body, save_result, save_spine, stored_findings
from simspine.workflow.up_to_date import RunPaths, StageTask, read_json

MOCAP_FILE_CODE = "mocap_file"  # code of findings about a file of motion capture
IK_ERRORS_SUFFIX = "_ik_marker_errors.sto"
# Folders of export/: points at the released places, points with the spine's at their vertebrae's centroids, centroids.
TRC_FOLDERS = ("markers", "markers_vertebral", "centres")


# triangulate: keypoints → cameras, judged by all trials of the subject together, refined if asked; and points in space


def plan_triangulate(context: Context) -> list[StageTask]:
    paths, options = context.paths, context.config.triangulation
    if not context.filmed:
        return []
    cameras = StageTask(
        name=context.subject,
        inputs=tuple(map(paths.keypoints, context.filmed)),
        outputs=tuple(map(paths.cameras, context.filmed)),
        settings=context.config.cameras.model_dump(mode="json") | {"min_confidence": options.min_confidence},
        work=partial(_judge_cameras, context),
        whole=True,
    )
    points = tasks_of_trials(
        partial(_triangulate, context),
        {trial: (paths.keypoints(trial), paths.cameras(trial)) for trial in context.filmed},
        lambda trial: (paths.points(trial),),
        settings=options.model_dump(mode="json"),
    )
    return [cameras, *points]


def tasks_of_trials(
    work: Callable[[str], None],
    inputs: Mapping[str, tuple[Path, ...]],
    outputs: Callable[[str], tuple[Path, ...]],
    settings: dict,
) -> list[StageTask]:
    """A task for each trial. inputs: {trial: files}."""
    return [
        StageTask(name=trial, inputs=files, outputs=outputs(trial), settings=settings, work=partial(work, trial))
        for trial, files in inputs.items()
    ]


def _judge_cameras(context: Context) -> None:
    stored = {trial: read_store(context.paths.keypoints(trial)) for trial in context.filmed}
    trials = {
        trial: {"keypoints": item["keypoints"], "cameras": item["cameras"], "timing": timing_in(item)}
        for trial, item in stored.items()
    }
    judged = CAMERAS(context.config, trials=trials)
    for trial, found in judged.items():
        delays = {"timing": stored[trial]["timing"]} if "timing" in stored[trial] else {}
        write_store(
            context.paths.cameras(trial), cameras=list(found["cameras"]), given=list(stored[trial]["cameras"]),
            **findings_json(found["findings"]), **delays,
        )  # fmt: skip


def _triangulate(context: Context, trial: str) -> None:
    paths = context.paths
    stored, cameras = read_store(paths.keypoints(trial)), read_store(paths.cameras(trial), ["cameras"])["cameras"]
    keypoints = stored.pop("keypoints")
    found = TRIANGULATE(context.config, keypoints=keypoints, cameras=cameras, timing=timing_in(stored))
    report = asdict(found["triangulation"])
    write_store(paths.points(trial), points=found["points"], skeleton=stored["skeleton"], report=report)


# merge: points and motion capture → markers, which inverse kinematics fits, y_up


def plan_merge(context: Context) -> list[StageTask]:
    filmed = context.filmed
    return [(_merge_task if trial in filmed else _marker_file_task)(context, trial) for trial in context.trials]


def _merge_task(context: Context, trial: str) -> StageTask:
    config, capture, paths = context.config, context.capture(trial), context.paths
    merging, table = config.merge.model_dump(mode="json"), _correspondence(context, trial)
    settings = config.filter.model_dump(mode="json") | {"infer_spine": config.detection.infer_spine}
    if capture.mocap:
        settings |= {"merge": merging | {"correspondence": table}, "given": _about_mocap(capture)}
    tables = (Path(table),) if capture.mocap and table and table.lower().endswith(".csv") else ()
    return StageTask(
        name=trial,
        inputs=(paths.points(trial), *capture.mocap, *tables),
        outputs=(paths.markers(trial), paths.markers(trial, ".trc")),
        settings=settings,
        work=partial(_merge, context, trial),
    )


def _correspondence(context: Context, trial: str) -> str | None:
    return context.config.merge.correspondence or context.capture(trial).correspondence


def _about_mocap(capture: CaptureSource) -> dict:
    return capture.given.model_dump(include={"mocap_frame", "mocap_start", "mocap_resample"})


def _marker_file_task(context: Context, trial: str) -> StageTask:
    """The task of a trial that has a file of markers instead of cameras."""
    capture, paths = context.capture(trial), context.paths
    sets = [path.read_text(encoding="utf-8") for path in sorted((models_folder() / "markers").glob("*.yaml"))]
    settings = {"marker_set": context.config.body.markers, "marker_sets": json_digest(sets)} | _about_mocap(capture)

    def work() -> None:
        with heard_warnings(MOCAP_FILE_CODE, capture.mocap) as heard:
            given = capture.motion_capture()
            assert given is not None  # the trial has a file
            found = given_markers(given, context.config.body)
        for stale in paths.seen_files(trial):
            stale.unlink(missing_ok=True)  # made while the trial had cameras
        kept = {"skeleton": found["skeleton"], **findings_json([*found["findings"], *heard])}
        _keep_markers(paths, trial, found["markers"], kept)

    outputs = (paths.markers(trial), paths.markers(trial, ".trc"))
    own = yaml_files(context.config.body.markers)
    return StageTask(name=trial, inputs=(*capture.mocap, *own), outputs=outputs, settings=settings, work=work)


def _keep_markers(paths: RunPaths, trial: str, markers: Markers, kept: dict) -> None:
    write_store(paths.markers(trial), markers=markers, **kept)
    write_trc(paths.markers(trial, ".trc"), markers)


def _merged(context: Context, trial: str, points: Markers) -> dict[str, Any]:
    merging = context.config.merge.model_copy(update={"correspondence": _correspondence(context, trial)})
    options = context.config.model_copy(update={"merge": merging})
    return MERGE(options, points=points, mocap=context.capture(trial).motion_capture())


def _merge(context: Context, trial: str) -> None:
    paths, capture = context.paths, context.capture(trial)
    stored = read_store(paths.points(trial))
    with heard_warnings(MOCAP_FILE_CODE if capture.mocap else RECORDING_CODE, capture.mocap) as heard:
        try:
            found = _merged(context, trial, stored["points"])
        except InputError as error:
            where = f"{capture.mocap[0]} with {paths.points(trial)}: " if capture.mocap else ""
            raise InputError(f"{where}{error}") from None
    kept = {"skeleton": stored["skeleton"], **findings_json(heard)}
    if (report := found["merging"]) is not None:
        kept["merging"] = {
            "replaced": list(report.replaced_points),
            "misfit_m": float(report.misfit),
            "clock_late_s": float(report.shift.seconds),
            "clock_late_sd_s": float(report.shift.deviation),
            "filled": report.filled_points,
            "missing": report.missing_points,
        }
    _keep_markers(paths, trial, found["markers"], kept)


# scale: markers of all trials → the person's body


def plan_scale(context: Context) -> list[StageTask]:
    config, paths, person = context.config, context.paths, context.config.subject(context.subject)
    fitted = config.scaling.anatomy and read_recipe(config.body.recipe).anatomy
    settings = {
        "body": config.body.model_dump(),
        "scaling": config.scaling.model_dump(),
        "ik": config.ik.model_dump() if fitted else None,
        "infer_spine": config.detection.infer_spine,
        "height": person.height,
        "mass": person.mass,
    }
    task = StageTask(
        name=context.subject,
        inputs=(*map(paths.markers, context.trials), *body_files(config.body)),
        outputs=(paths.model, paths.scaling),
        settings=settings,
        work=partial(_scale, context),
        whole=True,
    )
    return [task]


def _scale(context: Context) -> None:
    config, paths, person = context.config, context.paths, context.config.subject(context.subject)
    stored = {trial: read_store(paths.markers(trial)) for trial in context.trials}
    about = {"height": person.height, "mass": person.mass}
    trials = {
        trial: about
        | {"markers": item["markers"], "skeleton": item["skeleton"]}
        | {"findings": stored_findings(paths.cameras(trial)) if paths.cameras(trial).is_file() else ()}
        for trial, item in stored.items()
    }
    last = context.trials[-1]
    try:
        with heard_warnings(RECORDING_CODE) as heard:
            found = SCALE(config, trials=trials)[last]
    except InputError as error:
        hint = "\n`simspine overlay` draws the points that were found." if paths.keypoints(last).is_file() else ""
        raise InputError(f"{error}{hint}") from None
    sized, factors = found["sized"], found["factors"]
    marker_set = config.body.markers or stored[last]["skeleton"]
    femur = {side: round(length, 4) for side, length in femur_lengths(sized.body).items()}
    about = {"recipe": config.body.recipe, "marker_set": marker_set} | factors.as_dict() | {"femur_m": femur}
    about["person"] = None if sized.person is None else sized.person.as_dict()
    about |= {"mass": person.mass, "findings": [finding.to_dict() for finding in heard]}
    sized.body.write_osim(paths.model)
    write_text(paths.scaling, json.dumps(about, indent=1) + "\n")


def body_files(options: BodyOptions) -> tuple[Path, ...]:
    """Files from which the body is made, besides the markers: recipes, marker sets, base model."""
    given = yaml_files(options.recipe, options.markers)
    return (*given, read_recipe(options.recipe).base, *sorted(models_folder().rglob("*.yaml")))


# ik: markers and body → coordinates with uncertainty


def plan_ik(context: Context) -> list[StageTask]:
    config, paths = context.config, context.paths
    shared = (paths.model, paths.scaling, *body_files(config.body))
    return tasks_of_trials(
        partial(_solve, context),
        {trial: (paths.markers(trial), *shared) for trial in context.trials},
        lambda trial: tuple(paths.kinematics(trial, suffix) for suffix in (".h5", ".mot", IK_ERRORS_SUFFIX)),
        settings={"ik": config.ik.model_dump(), "body": config.body.model_dump()},
    )


def _solve(context: Context, trial: str) -> None:
    paths = context.paths
    stored, sized = read_store(paths.markers(trial)), read_sized_body(paths)
    result = IK(context.config, sized=sized, markers=stored["markers"], skeleton=stored["skeleton"])["result"]
    save_result(paths.kinematics(trial), result)
    write_mot(paths.kinematics(trial, ".mot"), result.motion)
    write_marker_errors(paths.kinematics(trial, IK_ERRORS_SUFFIX), result.motion.time, result.marker_error)


# vertebrae: coordinates and body → points of the spine, angles of each level, LLA and TKA, vertebral centres


def plan_vertebrae(context: Context) -> list[StageTask]:
    paths = context.paths
    return tasks_of_trials(
        partial(_derive_vertebrae, context),
        {trial: (paths.kinematics(trial), paths.model, paths.scaling) for trial in context.trials},
        lambda trial: (paths.vertebrae(trial), paths.vertebrae(trial, ".trc")),
        settings=context.config.body.model_dump(),
    )


def _derive_vertebrae(context: Context, trial: str) -> None:
    paths = context.paths
    sized, result = read_sized_body(paths), load_result(paths.kinematics(trial))
    spine = VERTEBRAE(context.config, sized=sized, result=result)["spine"]
    save_spine(paths.vertebrae(trial), spine)
    write_trc(paths.vertebrae(trial, ".trc"), spine.markers)


# quality: all results of a trial → findings, and a status for each frame; with `fill_gaps` also coordinates and
# vertebrae with rejected frames filled in, which replace those of the earlier stages


def plan_quality(context: Context) -> list[StageTask]:
    config, paths, fill = context.config, context.paths, context.config.quality.fill_gaps
    seen = {trial: paths.seen_files(trial) for trial in context.filmed}
    solved, shared = (paths.vertebrae, paths.kinematics, paths.markers), (paths.model, paths.scaling)
    return tasks_of_trials(
        partial(_judge_trial, context),
        {trial: (*(file(trial) for file in solved), *seen.get(trial, ()), *shared) for trial in context.trials},
        lambda trial: (paths.quality(trial), *(paths.filled_files(trial) if fill else ())),
        # Without filling, quality solves nothing and depends on no settings.
        settings={name: getattr(config, name).model_dump() for name in ("quality", "ik", "body")} if fill else {},
    )


def _judge_trial(context: Context, trial: str) -> None:
    config, paths = context.config, context.paths
    fill = config.quality.fill_gaps
    found = results.read_trial(paths, trial, judged=False, derived=fill)
    files = [paths.keypoints(trial), paths.cameras(trial)] if trial in context.filmed else []
    of_files = [finding for file in (*files, paths.markers(trial)) for finding in stored_findings(file)]
    judged = QUALITY(
        config,
        **{field: getattr(found, field) for field in OF_TRIAL},
        skeleton=read_store(paths.markers(trial), ["skeleton"])["skeleton"],
        findings=(*of_files, *findings_of_dicts(read_json(paths.scaling).get("findings", ()))),
    )
    if fill:
        kinematics, vertebrae = paths.filled_files(trial)
        save_result(kinematics, judged["result"])
        save_spine(vertebrae, judged["spine"])
    write_text(paths.quality(trial), json.dumps(judged["verdict"].to_dict(), indent=1) + "\n")


MOST_FRAMES_SOLVED_AGAIN = 3000  # takes half a minute, for which a page waits


def solved_as_calibrated(context: Context, found: SolvedTrial) -> SolvedTrial | None:
    """The trial with the calibration as given, which did not fit, on the same body; None where it fitted, where the
    world was turned upright, in a long trial, and where it does not lead to a solution.

    found: with the refined cameras."""
    paths, config, trial = context.paths, context.config, found.trial
    is_turned = WORLD_VERTICAL_CODE in [finding.code for finding in found.findings]
    if not did_not_fit(found.findings) or is_turned or found.spine.frames > MOST_FRAMES_SOLVED_AGAIN:
        return None
    seen, cameras = read_store(paths.keypoints(trial)), read_store(paths.cameras(trial), ["given"])["given"]
    skeleton = read_store(paths.markers(trial), ["skeleton"])["skeleton"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # issued when the trial was solved
        try:
            keypoints, timing = seen["keypoints"], timing_in(seen)
            located = TRIANGULATE(config, keypoints=keypoints, cameras=tuple(cameras), timing=timing)
            markers = _merged(context, trial, located["points"])["markers"]
            result = IK(config, sized=found.sized, markers=markers, skeleton=skeleton)["result"]
        except InputError:
            return None
    spine = VERTEBRAE(config, sized=found.sized, result=result)["spine"]
    return replace(found, markers=markers, result=result, spine=spine, cameras=tuple(cameras))


# export: results/<name>/export/: TRC (three kinds of places), MOT, marker errors, model, calibration. Filled frames are
# in columns of their own (TRC, names end in `_inferred`), or listed in the header (MOT). And the trial's part of the
# data set, so that these are packed in parallel.


def plan_export(context: Context) -> list[StageTask]:
    paths = context.paths
    tasks = tasks_of_trials(
        partial(_export_trial, context),
        {trial: results.files_of_trial(context.config, paths, trial) for trial in context.trials},
        partial(files_exported, paths),
        settings={},
    )
    return [*tasks, _body_and_cameras_task(context)]


def _export_trial(context: Context, trial: str) -> None:
    """Write a trial's files; `InputError` where points are not the forward kinematics of the angles."""
    found = results.read_trial(context.paths, trial)
    _write_exports(context, found)  # frees the poses of all bodies before the summary is made
    write_text(context.paths.exported(trial, ".json"), json.dumps(summary_metrics(found), indent=1) + "\n")


def _write_exports(context: Context, found: SolvedTrial) -> None:
    """The files of `_export_trial` but the summary."""
    paths, subject, trial = context.paths, context.subject, found.trial
    published = trial_data(replace(found))  # the copy keeps what is computed from the trial
    markers, centres = published.markers, published.centres
    assert centres is not None  # the stage vertebrae finds them
    *trcs, mot, sto = export_files_of_trial(paths.results, subject, trial)
    for trc, points in zip(trcs, (markers, points_at_vertebrae(markers, centres), centres), strict=True):
        write_trc(trc, split_inferred_suffix(points, found.inferred))
    write_mot(mot, found.motion, inferred=where_true(found.inferred))
    write_marker_errors(sto, found.motion.time, found.result.marker_error)
    write_dataset(paths.exported(trial), Dataset({subject: SubjectData((), {trial: published})}))


def _body_and_cameras_task(context: Context) -> StageTask:
    """One task for the subject, since its trials share the body, and the cameras if they share a calibration."""
    root, subject, paths = context.paths.results / "export", context.subject, context.paths
    captures = {trial: context.capture(trial) for trial in context.filmed}
    if len({capture.calibration for capture in captures.values()}) == 1:
        named = {f"Calib_{subject}.toml": next(iter(captures.values()))}
    else:
        named = {f"Calib_{subject}_{trial}.toml": capture for trial, capture in captures.items()}
    model = root / "models" / f"{subject}.osim"
    cameras = {root / "cameras" / name: capture for name, capture in named.items()}

    def work() -> None:
        write_text(model, paths.model.read_text(encoding="utf-8"))
        for owner in (subject, *(f"{subject}_{trial}" for trial in context.config.trials(subject))):
            (root / f"cameras/Calib_{owner}.toml").unlink(missing_ok=True)  # also of an earlier configuration
        for path, capture in cameras.items():
            write_calibration(path, capture.cameras())

    return StageTask(
        name=subject,
        inputs=(paths.model, *(f for c in cameras.values() if c.calibration for f in calibration_files(c.calibration))),
        outputs=(model, *cameras),
        settings={"lens": getattr(context.config.capture, "lens", None)},
        work=work,
        whole=True,
    )


def files_exported(paths: RunPaths, trial: str) -> tuple[Path, ...]:
    """Files that the stage export makes of a trial."""
    release = export_files_of_trial(paths.results, paths.subject, trial)
    return (*release, paths.exported(trial), paths.exported(trial, ".json"))


def export_files_of_trial(results: Path, subject: str, trial: str) -> dict[Path, dict[str, str]]:
    """A trial's own files, each with its units: points at three kinds of places, coordinates, marker errors."""
    root, stem = results / "export", f"{subject}_{trial}"
    folder = root / "kinematics" / subject / stem
    trcs = {root / kind / subject / f"{stem}.trc": {"markers": "m", "time": "s"} for kind in TRC_FOLDERS}
    return trcs | {
        folder / f"{stem}.mot": {"kinematics": "deg; m", "time": "s"},
        folder / f"{stem}{IK_ERRORS_SUFFIX}": {"error": "m", "time": "s"},
    }


PLANNERS = {
    "triangulate": plan_triangulate,
    "merge": plan_merge,
    "scale": plan_scale,
    "ik": plan_ik,
    "vertebrae": plan_vertebrae,
    "quality": plan_quality,
    "export": plan_export,
}
