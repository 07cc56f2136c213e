"""`simspine bench workflow`: every stage from given 2D points to the report, on virtual trials of several lengths.

Each stage runs as a user's would, as a process of its own. Its cost is processor time, which other programs on the
machine hardly change, and the highest memory that the process held. What does not grow with the trial (starting Python,
loading libraries and models, fitting the body to the person) is separated by a line through two lengths.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from simspine.core.errors import InputError
from simspine.evaluation.tables import Metric, aligned_markdown
from simspine.io.hdf5 import read_store, write_store
from simspine.workflow.up_to_date import RunPaths

TIMED_STAGES = ("detect", "triangulate", "merge", "scale", "ik", "vertebrae", "quality", "export", "report")
TIMED_SUBJECT, TIMED_ACTION = "S1", "Walking 1"
# A data set of Human3.6M's size within a quarter of an hour on two cores, 2 GiB a process, costs linear in frames.
MAX_MS_PER_FRAME = 1e3 * 15 * 60 * 2 / 535_000
MAX_PROCESS_MIB, MAX_COST_GROWTH = 2048, 1.1
# Human3.6M: frames, trials, subjects. `scale` is a process for each subject, other stages one for each trial.
HUMAN36M_FRAMES, HUMAN36M_TRIALS, HUMAN36M_SUBJECTS = 535_000, 210, 7


@dataclass(frozen=True)
class Cost:
    """Of one stage of one trial: processor time (s) and highest memory (MiB)."""

    seconds: float
    memory: float


def measure_workflow(
    lengths: Sequence[int], detections: str = "finetuned", say: Callable[[str], None] = lambda _: None
) -> tuple[list[Metric], dict]:
    """Metrics, and under 'stages' what each stage took of each length. lengths: frames of the trials, two or more.

    say: called with a line as parts begin or end. Raises `InputError` for lengths that cannot be compared, and where a
    stage fails.
    """
    lengths = sorted(set(lengths))
    if len(lengths) < 2 or lengths[0] < 20:
        raise InputError(f"lengths of trials are {lengths}; give two different ones or more, of 20 frames at least.")
    costs: dict[int, dict[str, Cost]] = {}
    files: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        say("kernels")
        _run_simspine_process("warmup")
        for frames in lengths:
            place = Path(folder) / str(frames)
            config = _virtual_trial_config(place, frames, detections)
            say(f"{frames} frames: capture")
            _run_simspine_process("capture virtual --quiet", config)
            costs[frames] = {}
            for stage in TIMED_STAGES:
                words = stage if stage == "report" else f"{stage} --quiet"
                cost = costs[frames][stage] = _run_simspine_process(words, config)
                say(f"{frames} frames: {stage}, {cost.seconds:.1f} s, {cost.memory:.0f} MiB")
            files[frames] = _reading_and_writing(RunPaths(place, TIMED_SUBJECT))
    details = {
        str(frames): {stage: {"seconds": round(c.seconds, 3), "MiB": round(c.memory)} for stage, c in own.items()}
        for frames, own in costs.items()
    }
    return [*cost_scaling(costs), *_file_metrics(files)], {"stages": details}


def cost_scaling(costs: Mapping[int, Mapping[str, Cost]]) -> list[Metric]:
    """How costs grow with frames. costs: {frames: {stage: cost}}, two lengths or more.

    Of each stage: time a frame and the fixed time of a process, from a line through the shortest and the longest
    trial; the slope of that line on logarithmic axes (1 = grows as the frames do); memory of the longest. Of all
    together the same, the share of time that does not grow in the longest, and, of three lengths or more, the time a
    frame between the two longest over that between the two shortest.
    """
    lengths = sorted(costs)
    short, long = lengths[0], lengths[-1]
    totals = {n: sum(cost.seconds for cost in own.values()) for n, own in costs.items()}
    found = []
    for stage in costs[long]:
        a, b = costs[short][stage], costs[long][stage]
        found += [
            Metric(f"{stage}_ms_per_frame", 1e3 * _linear_slope(short, a.seconds, long, b.seconds), "ms", "lower"),
            Metric(
                f"{stage}_fixed", a.seconds - short * _linear_slope(short, a.seconds, long, b.seconds), "s", "lower"
            ),
            Metric(f"{stage}_log_slope", _log_slope(short, a.seconds, long, b.seconds), "", "lower"),
            Metric(key=f"{stage}_memory", value=b.memory, unit="MiB", better="lower", goal=MAX_PROCESS_MIB),
        ]
    each = _linear_slope(short, totals[short], long, totals[long])
    fixed = totals[short] - short * each
    found += [
        Metric(key="all_ms_per_frame", value=1e3 * each, unit="ms", better="lower", goal=MAX_MS_PER_FRAME),
        Metric("all_fixed", fixed, "s", "lower"),
        Metric("all_fixed_share", fixed / totals[long], "share", "lower"),
        Metric("all_log_slope", _log_slope(short, totals[short], long, totals[long]), "", "lower"),
    ]
    if len(lengths) > 2:
        first, last = (_linear_slope(a, totals[a], b, totals[b]) for a, b in (lengths[:2], lengths[-2:]))
        found.append(
            Metric(key="all_growth_of_ms_per_frame", value=last / first, unit="×", better="lower", goal=MAX_COST_GROWTH)
        )
    return found


def stage_costs_table(costs: Mapping[str, Mapping[str, Mapping[str, float]]], whole: bool = True) -> str:
    """Seconds and MiB of each stage (rows) by number of frames; costs: as under 'stages' of `measure_workflow`.

    whole: with what a data set of Human3.6M's size would take, which is computed and not measured: see
    `whole_dataset_cost`.
    """
    rows: list[tuple[str, ...]] = [("CPU s (MiB)", *(f"{int(n):,} frames" for n in costs))]
    rows.append(("---", *("---:" for _ in costs)))
    for stage in TIMED_STAGES:
        rows.append((stage, *(f"{own[stage]['seconds']:.1f} ({own[stage]['MiB']:.0f})" for own in costs.values())))
    if whole:
        found = whole_dataset_cost(costs)
        rows[0] += (f"{HUMAN36M_FRAMES:,} frames, computed",)
        rows[1] += ("---:",)
        rows = [*rows[:2], *((*row, f"{found[row[0]]:,.0f}") for row in rows[2:])]
        rows.append(("all", *(f"{sum(own[s]['seconds'] for s in TIMED_STAGES):.1f}" for own in costs.values())))
        rows[-1] += (f"{sum(found.values()):,.0f}",)
    return aligned_markdown(rows)


def whole_dataset_cost(costs: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, float]:
    """{stage: s} of a data set of `HUMAN36M_FRAMES` in `HUMAN36M_TRIALS`, computed: what a frame takes more in the
    longest than in the
    shortest trial, times the frames, and what is fixed for each process. costs: as for `table`."""
    short, *_, long = sorted(costs, key=int)
    found = {}
    for stage in TIMED_STAGES:
        a, b = costs[short][stage]["seconds"], costs[long][stage]["seconds"]
        each = _linear_slope(int(short), a, int(long), b)
        processes = HUMAN36M_SUBJECTS if stage == "scale" else HUMAN36M_TRIALS
        found[stage] = each * HUMAN36M_FRAMES + max(a - int(short) * each, 0.0) * processes
    return found


def _linear_slope(x0: float, y0: float, x1: float, y1: float) -> float:
    return (y1 - y0) / (x1 - x0)


def _log_slope(x0: float, y0: float, x1: float, y1: float) -> float:
    return float(np.log(y1 / y0) / np.log(x1 / x0))


def _file_metrics(seconds: Mapping[int, float]) -> list[Metric]:
    short, long = min(seconds), max(seconds)
    each = _linear_slope(short, seconds[short], long, seconds[long])
    return [Metric("files_once_ms_per_frame", 1e3 * each, "ms", "lower")]


def _reading_and_writing(paths: RunPaths) -> float:
    """Processor time, s, of reading each of a subject's HDF5 files and writing it again."""
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        for file in sorted(paths.folder.rglob("*.h5")):
            write_store(Path(folder) / "copy.h5", **read_store(file))
    return time.process_time() - start


def _virtual_trial_config(folder: Path, frames: int, detections: str) -> Path:
    """A configuration of one virtual trial of so many frames."""
    capture = folder / "capture"
    content = {
        "name": "bench",
        "results": str(folder),
        "virtual": {"subjects": 1, "actions": [TIMED_ACTION], "frames": frames, "detections": detections},
        "capture": {"human36m": str(capture), "detections": str(capture / "detections")},
        "detection": {"detector": "import"},
        "body": {"recipe": "articulated", "markers": "centres"},
        "ik": {"engine": "trajectory"},
    }
    folder.mkdir()
    path = folder / "bench.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def _run_simspine_process(words: str, config: Path | None = None) -> Cost:
    """What `simspine WORDS` takes as a process of its own."""
    arguments = [*words.split(), *(() if config is None else ("--config", str(config)))]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([sys.executable, "-m", "simspine", *arguments], stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            text = said.read().decode("utf-8", "replace").strip()
            raise InputError(f"`simspine {words}` failed: {text}")
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10))
