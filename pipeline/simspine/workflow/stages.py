"""results/<name>/export/: TRC (three kinds of places), MOT, marker errors, model, calibration.

Trials that share a calibration share the exported one, as in the release; otherwise each has its own. Points that are
not the forward kinematics of the angles are refused. Frames that were filled in are in columns of their own (TRC, names
end in `_inferred`), or listed in the header (MOT).
"""

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np

from simspine.anatomy.body import Body, body_poses
from simspine.anatomy.recipes import read_recipe
from simspine.core.errors import InputError, Remark
from simspine.core.settings import models_folder
from simspine.core.skeletons import points_at_vertebrae, split_inferred_suffix
from simspine.estimation.fit_person import femur_lengths
from simspine.estimation.options import BodyOptions
from simspine.io.atomic import write_text
from simspine.io.calibration import write_calibration
from simspine.io.hdf5 import read_store, write_store
from simspine.io.mot import write_marker_errors, write_mot
from simspine.io.trc import write_trc
from simspine.quality.findings import Finding, Severity, where_true
from simspine.reconstruction.cameras import CAMERAS, MERGE, TRIANGULATE, is_refined
from simspine.reconstruction.publish import check_points_follow_angles
from simspine.reconstruction.stages import IK, OF_TRIAL, QUALITY, SCALE, VERTEBRAE, marker_set_of
from simspine.vision.merging import MergeReport
from simspine.workflow.inputs import Context, known_fault_in, timing_in
from simspine.workflow.record import RunPaths, StageTask
from simspine.workflow.results import (
    camera_findings,
    load_result,
    mocap_findings,
    read_sized_body,
    read_trial,
    save_result,
    save_spine,
)

# keypoints/<trial>.h5 → cameras/<trial>.h5: cameras judged by all trials of the subject together, refined if
# asked; and points/<trial>.h5: points in space with covariance, and what they were made from.


def plan_triangulate(context: Context) -> list[StageTask]:
    options = context.config.triangulation
    tasks = [_cameras(context)]
    for name in context.trials:
        source, rig, out = context.paths.keypoints(name), context.paths.cameras(name), context.paths.points(name)

        def work(source=source, rig=rig, out=out) -> dict:
            stored, cameras = read_store(source), read_store(rig, ["cameras"])["cameras"]
            found = TRIANGULATE(
                context.config, keypoints=stored.pop("keypoints"), cameras=cameras, timing=timing_in(stored)
            )
            report = found["triangulation"]
            write_store(
                out, points=found["points"], skeleton=stored["skeleton"], report=asdict(report),
                **known_fault_in(stored),
            )  # fmt: skip
            return report.summary()

        tasks.append(
            StageTask(
                name=name, inputs=(source, rig), outputs=(out,), settings=options.model_dump(mode="json"), work=work
            )
        )
    return tasks


def _cameras(context: Context) -> StageTask:
    """One task for the subject, since the same set-up filmed several trials."""
    options, confidence = context.config.cameras, context.config.triangulation.min_confidence
    sources = {name: context.paths.keypoints(name) for name in context.trials}
    outs = {name: context.paths.cameras(name) for name in context.trials}

    def work() -> dict:
        stored = {name: read_store(source) for name, source in sources.items()}
        trials = {
            name: {"keypoints": item["keypoints"], "cameras": item["cameras"], "timing": timing_in(item)}
            for name, item in stored.items()
        }
        chosen = CAMERAS(context.config, trials=trials)
        for name, found in chosen.items():
            delays = {"timing": stored[name]["timing"]} if "timing" in stored[name] else {}
            said = json.dumps([finding.to_dict() for finding in found["findings"]])
            given = list(stored[name]["cameras"])
            write_store(outs[name], cameras=list(found["cameras"]), given=given, findings=said, **delays)
        return {"refined": [name for name, found in chosen.items() if is_refined(found["findings"])]}

    settings = options.model_dump(mode="json") | {"min_confidence": confidence}
    return StageTask(
        name=context.subject,
        inputs=tuple(sources.values()),
        outputs=tuple(outs.values()),
        settings=settings,
        work=work,
        whole=True,
    )


# points/<trial>.h5 and motion capture → markers/<trial>.h5, .trc: what inverse kinematics fits, y_up.


MOCAP_FILE_CODE = "mocap_file"  # code of findings about a file of motion capture


def plan_merge(context: Context) -> list[StageTask]:
    config = context.config
    merging = config.merge.model_dump(mode="json")
    tasks = []
    for name in context.trials:
        source, capture = context.paths.points(name), context.capture(name)
        out, trc = context.paths.markers(name), context.paths.markers(name, ".trc")
        table = merging["correspondence"] or capture.correspondence

        def work(source=source, capture=capture, table=table, out=out, trc=trc) -> dict:
            stored = read_store(source)
            merging = config.merge.model_copy(update={"correspondence": table})
            options = config.model_copy(update={"merge": merging})
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always", UserWarning)
                try:
                    found = MERGE(options, points=stored["points"], mocap=capture.motion_capture())
                except InputError as error:
                    where = f"{capture.mocap[0]} with {source}: " if capture.mocap else ""
                    raise InputError(f"{where}{error}") from None
            markers, report = found["markers"], found["merging"]
            odd = _mocap_findings(said, capture.mocap)
            write_store(out, markers=markers, skeleton=stored["skeleton"], **known_fault_in(stored), **odd)
            write_trc(trc, markers)
            missing = {n: int(m) for n, m in zip(markers.names, (~markers.present).sum(0), strict=True) if m}
            filled = int(0 if markers.filled is None else markers.filled.sum())
            return {"missing_frames": missing, "filled": filled} | ({} if report is None else _merge_notes(report))

        own = (Path(table),) if capture.mocap and table and table.lower().endswith(".csv") else ()
        settings = config.filter.model_dump(mode="json") | {"infer_spine": config.detection.infer_spine}
        if capture.mocap:
            settings |= {"merge": merging | {"correspondence": table}}
        told = {"mocap_frame": capture.frame, "mocap_start": capture.start, "mocap_resample": capture.resample}
        settings |= {name: value for name, value in told.items() if value is not None}
        tasks.append(
            StageTask(
                name=name, inputs=(source, *capture.mocap, *own), outputs=(out, trc), settings=settings, work=work
            )
        )
    return tasks


def _mocap_findings(said: Sequence[warnings.WarningMessage], files: Sequence[Path]) -> dict[str, str]:
    """Warnings, passed on, and as {'findings': JSON} where they are of a fault of motion capture; {} where none is.

    Files are called by their names alone: results do not tell where they lay.
    """
    found = []
    for warning in said:
        warnings.warn(warning.message, warning.category, stacklevel=2)
        if issubclass(warning.category, Remark):
            continue
        text = str(warning.message)
        for path in files:
            text = text.replace(str(path), path.name)
        advice = "What the file says contradicts what it holds, or the cameras: check how it was exported."
        found.append(Finding(MOCAP_FILE_CODE, Severity.WARNING, text, advice).to_dict())
    return {"findings": json.dumps(found)} if found and files else {}


def _merge_notes(report: MergeReport) -> dict:
    """About clocks and places."""
    shift = report.shift
    return {
        "mocap": {
            "replaced": list(report.replaced_points),
            "misfit_m": _number_note(report.misfit),
            "clock_late_s": _number_note(shift.seconds),
            "clock_late_sd_s": _number_note(shift.deviation),
            "clock_corrected": report.corrected,
            "filled": report.filled_points,
            "missing": report.missing_points,
        }
    }


def _number_note(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None


# Markers of all trials → model/<subject>.osim and scaling.json: the person's body.


MAX_DOUBTS_SHOWN = 4  # findings about cameras that an error repeats


def plan_scale(context: Context) -> list[StageTask]:
    config, paths = context.config, context.paths
    person = config.subject(context.subject)
    sources = tuple(paths.markers(name) for name in context.trials)

    def work() -> dict:
        size, trials = {"height": person.height, "mass": person.mass}, {}
        for name, source in zip(context.trials, sources, strict=True):
            stored = read_store(source)
            trials[name] = {"markers": stored["markers"], "skeleton": stored["skeleton"]} | size
        try:
            found = SCALE(config, trials=trials)[name]
        except InputError as error:
            raise InputError(f"{error}{_scaling_doubts(paths, context.trials)}") from None
        sized, factors = found["sized"], found["factors"]
        marker_set = marker_set_of(config.body, stored["skeleton"])
        femur = _rounded_factor(femur_lengths(sized.body))
        about = {"recipe": config.body.recipe, "marker_set": marker_set} | factors.as_dict() | {"femur_m": femur}
        about["person"] = None if sized.person is None else sized.person.as_dict()
        sized.body.write_osim(paths.model)
        write_text(paths.scaling, json.dumps(about, indent=1) + "\n")
        return {
            "stature_m": round(factors.stature, 3),
            "femur_m": femur,
            "factors": _rounded_factor(factors.by_segment),
        }

    fitted = config.scaling.anatomy and read_recipe(config.body.recipe).anatomy
    settings = {
        "body": config.body.model_dump(),
        "scaling": config.scaling.model_dump(),
        "ik": config.ik.model_dump() if fitted else None,
        "infer_spine": config.detection.infer_spine,
        "height": person.height,
        "mass": person.mass,
    }
    inputs = (*sources, *body_files(config.body))
    return [
        StageTask(
            name=context.subject,
            inputs=inputs,
            outputs=(paths.model, paths.scaling),
            settings=settings,
            work=work,
            whole=True,
        )
    ]


def _scaling_doubts(paths: RunPaths, trials: Sequence[str]) -> str:
    """What was found about the cameras, where that may be why the points fit nobody; '' where nothing was."""
    found = (finding for name in trials for finding in camera_findings(paths.cameras(name)))
    told = list(dict.fromkeys(finding.message for finding in found if finding.severity is not Severity.INFO))
    return f"\nAbout the cameras: {' '.join(told[:MAX_DOUBTS_SHOWN])}" if told else ""


def body_files(options: BodyOptions) -> tuple[Path, ...]:
    """Files that the body is made from besides the markers: recipes, marker sets, base model."""
    own = [Path(name) for name in (options.recipe, options.markers) if name and name.endswith((".yaml", ".yml"))]
    return (*own, read_recipe(options.recipe).base, *sorted(models_folder().rglob("*.yaml")))


def _rounded_factor(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


# Markers and body → kinematics/<trial>.h5, .mot, _ik_marker_errors.sto: coordinates with uncertainty.


def plan_ik(context: Context) -> list[StageTask]:
    config, paths = context.config, context.paths
    made_from = body_files(config.body)
    tasks = []
    for name in context.trials:
        source = paths.markers(name)
        out, mot = paths.kinematics(name), paths.kinematics(name, ".mot")
        sto = paths.kinematics(name, "_ik_marker_errors.sto")

        def work(source=source, out=out, mot=mot, sto=sto) -> dict:
            stored = read_store(source)
            sized = read_sized_body(paths)
            result = IK(config, sized=sized, markers=stored["markers"], skeleton=stored["skeleton"])["result"]
            save_result(out, result)
            write_mot(mot, result.motion)
            write_marker_errors(sto, result.motion.time, result.marker_error)
            return {
                "converged_share": round(float(result.converged.mean()), 4),
                "marker_rms_m": round(float(np.sqrt(np.nanmean(result.marker_error**2))), 5),
            }

        settings = {"ik": config.ik.model_dump(), "body": config.body.model_dump()}
        inputs = (source, paths.model, paths.scaling, *made_from)
        tasks.append(StageTask(name=name, inputs=inputs, outputs=(out, mot, sto), settings=settings, work=work))
    return tasks


# Kinematics and body → vertebrae/<trial>.h5, .trc: spine points, angles per level, LLA and TKA, vertebral
# centres.


def plan_vertebrae(context: Context) -> list[StageTask]:
    config, paths = context.config, context.paths
    tasks = []
    for name in context.trials:
        source = paths.kinematics(name)
        out, trc = paths.vertebrae(name), paths.vertebrae(name, ".trc")

        def work(source=source, out=out, trc=trc) -> dict:
            found = VERTEBRAE(config, sized=read_sized_body(paths), result=load_result(source))
            spine = found["spine"]
            save_spine(out, spine, found["poses"])
            write_trc(trc, spine.markers)
            return {"lla_deg_mean": _degrees(spine.lla), "tka_deg_mean": _degrees(spine.tka)}

        tasks.append(
            StageTask(
                name=name,
                inputs=(source, paths.model, paths.scaling),
                outputs=(out, trc),
                settings=config.body.model_dump(),
                work=work,
            )
        )
    return tasks


def _degrees(angle: np.ndarray) -> float | None:
    return round(float(np.degrees(np.nanmean(angle))), 2) if np.isfinite(angle).any() else None


# Everything of a trial → quality/<trial>.json: findings, and a status for each frame.
# Where rejected frames are to be filled in: also quality/<trial>_kinematics.h5 and _vertebrae.h5, which take the
# place of those of the stages before.


def plan_quality(context: Context) -> list[StageTask]:
    config, paths = context.config, context.paths
    fill = config.quality.fill_gaps
    # What else decides the result if the trial is solved once more.
    settings = {name: getattr(config, name).model_dump() for name in ("quality", "ik", "body")} if fill else {}
    tasks = []
    for name in context.trials:
        inputs = (
            paths.vertebrae(name), paths.kinematics(name), paths.markers(name), paths.points(name),
            paths.keypoints(name), paths.cameras(name), paths.model,
        )  # fmt: skip
        out = paths.quality(name)
        others = tuple(paths.filled(name, kind) for kind in ("kinematics", "vertebrae")) if fill else ()

        def work(name=name, out=out, others=others) -> dict:
            found = read_trial(paths, name, judged=False, derived=bool(others))
            judged = QUALITY(
                config,
                **{field: getattr(found, field) for field in OF_TRIAL},
                skeleton=read_store(paths.markers(name), ["skeleton"])["skeleton"],
                findings=(*camera_findings(paths.cameras(name)), *mocap_findings(paths.markers(name))),
            )
            verdict = judged["verdict"]
            if others:
                save_result(others[0], judged["result"])
                save_spine(others[1], judged["spine"], body_poses(found.body, judged["result"].motion))
            write_text(out, json.dumps(verdict.to_dict(), indent=1) + "\n")
            return {"counts": verdict.counts, "reasons": verdict.reason_counts}

        tasks.append(StageTask(name=name, inputs=inputs, outputs=(out, *others), settings=settings, work=work))
    return tasks


# Of export/: the points at the released places, those along the spine at their vertebrae's centroids, all centroids.
TRC_FOLDERS = ("markers", "markers_vertebral", "centres")


def plan_export(context: Context) -> list[StageTask]:
    subject, paths = context.subject, context.paths
    body = cache(lambda: Body.from_osim(paths.model))
    tasks = []
    for trial in context.trials:
        *trcs, mot, sto = export_files_of_trial(paths.results, subject, trial)

        def work(trial=trial, trcs=trcs, mot=mot, sto=sto) -> dict:
            found = read_trial(paths, trial, images=False)
            solved, spine, inferred = found.result, found.spine, found.inferred
            assert spine.centres is not None  # the stage vertebrae finds them
            deviations = [
                check_points_follow_angles(body(), solved.motion, points, f"{subject}/{trial}")
                for points in (spine.markers, spine.centres)
            ]
            places = (spine.markers, points_at_vertebrae(spine.markers, spine.centres), spine.centres)
            for trc, points in zip(trcs, places, strict=True):
                write_trc(trc, split_inferred_suffix(points, inferred))
            write_mot(mot, solved.motion, inferred=where_true(inferred))
            write_marker_errors(sto, solved.motion.time, solved.marker_error)
            return {"fk_deviation_m": max(deviations)}

        inputs = (paths.quality(trial), paths.vertebrae(trial), paths.kinematics(trial), paths.model)
        tasks.append(StageTask(name=trial, inputs=inputs, outputs=(*trcs, mot, sto), settings={}, work=work))
    return [*tasks, _body_and_cameras(context)]


def _body_and_cameras(context: Context) -> StageTask:
    """One task for the subject, since the trials share the body, and the cameras where they share a calibration."""
    root, subject, paths = context.paths.results / "export", context.subject, context.paths
    captures = {trial: context.capture(trial) for trial in context.trials}
    if len({(capture.calibration, capture.rig) for capture in captures.values()}) == 1:
        named = {f"Calib_{subject}.toml": next(iter(captures.values()))}
    else:
        named = {f"Calib_{subject}_{trial}.toml": capture for trial, capture in captures.items()}
    model = root / "models" / f"{subject}.osim"
    cameras = {root / "cameras" / name: capture for name, capture in named.items()}

    def work() -> dict:
        write_text(model, paths.model.read_text(encoding="utf-8"))
        for path, capture in cameras.items():
            write_calibration(path, capture.cameras())
        return {}

    inputs = (paths.model, *(capture.calibration for capture in cameras.values()))
    settings = {"rigs": [capture.rig for capture in cameras.values()]}
    return StageTask(name=subject, inputs=inputs, outputs=(model, *cameras), settings=settings, work=work, whole=True)


def export_files_of_trial(results: Path, subject: str, trial: str) -> tuple[Path, ...]:
    """A trial's own files: points at three kinds of places, coordinates, marker errors."""
    root, stem = results / "export", f"{subject}_{trial}"
    folder = root / "kinematics" / subject / stem
    trcs = (root / kind / subject / f"{stem}.trc" for kind in TRC_FOLDERS)
    return (*trcs, folder / f"{stem}.mot", folder / f"{stem}_ik_marker_errors.sto")
