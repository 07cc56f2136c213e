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

import yaml
from tools.bench.figures import Metric

from simspine.core.errors import InputError
from simspine.evaluation.tables import aligned_markdown

TIMED_STAGES = ("detect", "triangulate", "merge", "scale", "ik", "vertebrae", "quality", "export", "report")
TIMED_ACTION = "Walking 1"
# A data set of Human3.6M's size within a quarter of an hour on two cores, 2 GiB a process, costs linear in frames.
MAX_MS_PER_FRAME = 1e3 * 15 * 60 * 2 / 535_000
MAX_PROCESS_MIB, MAX_COST_GROWTH = 2048, 1.1


@dataclass(frozen=True)
class Cost:
    """Of one stage of one trial: processor time and time on the clock (s), and highest memory (MiB)."""

    seconds: float
    clock: float
    memory: float


def measure_workflow(lengths: Sequence[int], say: Callable[[str], None] = lambda _: None) -> tuple[list[Metric], dict]:
    """Metrics, and under 'stages' what each stage took of each length. lengths: frames of the trials, two or more.

    say: called with a line as parts begin or end. Raises `InputError` for lengths that cannot be compared, and where a
    stage fails.
    """
    lengths = sorted(set(lengths))
    if len(lengths) < 2 or lengths[0] < 20:
        raise InputError(f"lengths of trials are {lengths}; give two different ones or more, of 20 frames at least.")
    costs: dict[int, dict[str, Cost]] = {}
    with tempfile.TemporaryDirectory() as folder:
        say("kernels")
        _run_simspine_process("warmup")
        for frames in lengths:
            place = Path(folder) / str(frames)
            config = _virtual_trial_config(place, frames)
            say(f"{frames} frames: capture")
            _run_simspine_process("capture virtual --quiet", config)
            costs[frames] = {}
            for stage in TIMED_STAGES:
                words = stage if stage == "report" else f"{stage} --quiet"
                cost = costs[frames][stage] = _run_simspine_process(words, config)
                say(f"{frames} frames: {stage}, {cost.seconds:.1f} s, {cost.memory:.0f} MiB")
    details = {
        str(frames): {
            stage: {"seconds": round(c.seconds, 3), "clock": round(c.clock, 3), "MiB": round(c.memory)}
            for stage, c in own.items()
        }
        for frames, own in costs.items()
    }
    return cost_scaling(costs), {"stages": details}


def cost_scaling(costs: Mapping[int, Mapping[str, Cost]]) -> list[Metric]:
    """How costs grow with frames. costs: {frames: {stage: cost}}, two lengths or more.

    Of each stage and of all together: time a frame and the fixed time, from a line through the shortest and the longest
    trial; of each stage also the memory of the longest, and how much of the shortest's time on the clock was loading
    (the fixed time) and waiting (without processor time). Of three lengths or more: the time a frame between the two
    longest over that between the two shortest.
    """
    lengths = sorted(costs)
    short, long = lengths[0], lengths[-1]
    totals = {n: sum(cost.seconds for cost in own.values()) for n, own in costs.items()}
    found = []
    for stage in costs[long]:
        each, fixed = _line_through(short, costs[short][stage].seconds, long, costs[long][stage].seconds)
        memory, clock = costs[long][stage].memory, costs[short][stage].clock
        found += [
            Metric(f"{stage}_ms_per_frame", 1e3 * each, "ms", "lower"),
            Metric(f"{stage}_fixed", fixed, "s", "lower"),
            Metric(key=f"{stage}_memory", value=memory, unit="MiB", better="lower", goal=MAX_PROCESS_MIB),
            Metric(f"{stage}_loading", 100 * max(fixed, 0.0) / clock, "%", "lower"),
            Metric(f"{stage}_waiting", 100 * max(clock - costs[short][stage].seconds, 0.0) / clock, "%", "lower"),
        ]
    each, fixed = _line_through(short, totals[short], long, totals[long])
    found += [
        Metric(key="all_ms_per_frame", value=1e3 * each, unit="ms", better="lower", goal=MAX_MS_PER_FRAME),
        Metric("all_fixed", fixed, "s", "lower"),
    ]
    if len(lengths) > 2:
        first, last = (_line_through(a, totals[a], b, totals[b])[0] for a, b in (lengths[:2], lengths[-2:]))
        found.append(
            Metric(key="all_growth_of_ms_per_frame", value=last / first, unit="×", better="lower", goal=MAX_COST_GROWTH)
        )
    return found


def stage_costs_table(costs: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Seconds and MiB of each stage (rows) by number of frames; costs: as under 'stages' of `measure_workflow`."""
    rows: list[tuple[str, ...]] = [("CPU s (MiB)", *(f"{int(n):,} frames" for n in costs))]
    rows.append(("---", *("---:" for _ in costs)))
    for stage in TIMED_STAGES:
        rows.append((stage, *(f"{own[stage]['seconds']:.1f} ({own[stage]['MiB']:.0f})" for own in costs.values())))
    return aligned_markdown(rows)


def _line_through(x0: float, y0: float, x1: float, y1: float) -> tuple[float, float]:
    """Slope of the line through two points, and its height at 0."""
    slope = (y1 - y0) / (x1 - x0)
    return slope, y0 - x0 * slope


def _virtual_trial_config(folder: Path, frames: int) -> Path:
    """A configuration of one virtual trial of so many frames."""
    capture = folder / "capture"
    content = {
        "name": "bench",
        "results": str(folder),
        "virtual": {"subjects": 1, "actions": [TIMED_ACTION], "frames": frames, "detections": "finetuned"},
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
    begun = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([sys.executable, "-m", "simspine", *arguments], stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            text = said.read().decode("utf-8", "replace").strip()
            raise InputError(f"`simspine {words}` failed: {text}")
    memory = used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return Cost(used.ru_utime + used.ru_stime, clock=time.perf_counter() - begun, memory=memory)
