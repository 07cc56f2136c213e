"""points/<trial>.h5 and motion capture → markers/<trial>.h5, .trc: what inverse kinematics fits, y_up."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simspine.errors import InputError, Remark
from simspine.formats.store import load, save
from simspine.formats.trc import write_trc
from simspine.merging import MergeReport
from simspine.pipeline.locating import MERGE
from simspine.quality.findings import Finding, Severity
from simspine.workflow.context import Context, known_fault_in
from simspine.workflow.manifest import Task

MOCAP = "mocap_file"  # code of findings about a file of motion capture


def plan(context: Context) -> list[Task]:
    config = context.config
    merging = config.merge.model_dump(mode="json")
    tasks = []
    for name in context.trials:
        source, capture = context.paths.points(name), context.capture(name)
        out, trc = context.paths.markers(name), context.paths.markers(name, ".trc")
        table = merging["correspondence"] or capture.correspondence

        def work(source=source, capture=capture, table=table, out=out, trc=trc) -> dict:
            stored = load(source)
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
            odd = _findings(said, capture.mocap)
            save(out, markers=markers, skeleton=stored["skeleton"], **known_fault_in(stored), **odd)
            write_trc(trc, markers)
            missing = {n: int(m) for n, m in zip(markers.names, (~markers.present).sum(0), strict=True) if m}
            filled = int(0 if markers.filled is None else markers.filled.sum())
            return {"missing_frames": missing, "filled": filled} | ({} if report is None else _notes(report))

        own = (Path(table),) if capture.mocap and table and table.lower().endswith(".csv") else ()
        settings = config.filter.model_dump(mode="json") | {"infer_spine": config.detection.infer_spine}
        if capture.mocap:
            settings |= {"merge": merging | {"correspondence": table}}
        told = {"mocap_frame": capture.frame, "mocap_start": capture.start, "mocap_resample": capture.resample}
        settings |= {name: value for name, value in told.items() if value is not None}
        tasks.append(Task(name, (source, *capture.mocap, *own), (out, trc), settings, work))
    return tasks


def _findings(said: Sequence[warnings.WarningMessage], files: Sequence[Path]) -> dict[str, str]:
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
        found.append(Finding(MOCAP, Severity.WARNING, text, advice).to_dict())
    return {"findings": json.dumps(found)} if found and files else {}


def _notes(report: MergeReport) -> dict:
    """About clocks and places."""
    shift = report.shift
    return {
        "mocap": {
            "replaced": list(report.replaced),
            "misfit_m": _number(report.misfit),
            "clock_late_s": _number(shift.seconds),
            "clock_late_sd_s": _number(shift.deviation),
            "clock_corrected": report.corrected,
            "filled": report.filled,
            "missing": report.missing,
        }
    }


def _number(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
