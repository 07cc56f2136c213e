"""A Human3.6M copy before the first run: is it complete, and how much work does it hold?"""

from collections.abc import Callable
from pathlib import Path

from simspine.config import Config, HumanCapture
from simspine.errors import InputError
from simspine.workflow.inputs import capture_of, copy_of
from simspine.workflow.manifest import read_manifest
from simspine.workflow.paths import Paths
from simspine.workflow.trials import seconds_of

Say = Callable[[str, str], None]
OK, FAULT, NOTE = "[green]ok[/]       ", "[red]fault[/]    ", "[dim]note[/]     "

# Seconds of one core per frame of four views, where this configuration has no results yet to tell: measured on trials
# of 300 frames of the virtual capture, articulated body; detect: BlazePose on the demonstration's videos (1080 × 1920).
SECONDS = {
    "detect": 0.14, "triangulate": 0.0012, "merge": 0.0003, "scale": 0.0007, "ik": 0.022, "vertebrae": 0.0013,
    "quality": 0.0017, "export": 0.0010,
}  # fmt: skip


def examine_capture(config: Config, capture: HumanCapture, say: Say) -> bool:
    """Say what the configuration's data set holds, and what is wrong with it; True if a run can start."""
    if config.virtual is not None and not (Path(capture.human36m) / "capture.json").is_file():
        say(NOTE, f"virtual capture: not made yet; the workflow makes it in {capture.human36m} first")
        return True
    try:
        good, frames = _examine(config, capture, say)
    except InputError as fault:
        say(FAULT, str(fault))
        return False
    seconds, known = seconds_per_frame(config)
    if config.detection.detector == "import" and "detect" not in known:
        seconds = seconds | {"detect": 0.0}
    total = sum(seconds.values()) * frames / 3600
    slow = max(seconds, key=lambda stage: seconds[stage])
    basis = "measured here" if known else "measured elsewhere"
    own = "" if known or config.detection.detector != "spinepose" else " SpinePose's detection is taken as BlazePose's;"
    say(
        NOTE,
        f"{frames} frames: about {total:.1f} hours of one core, {seconds[slow] * frames / 3600:.1f} of them for {slow} "
        f"({basis};{own} trials run side by side)",
    )
    return good


def _examine(config: Config, options: HumanCapture, say: Say) -> tuple[bool, int]:
    from simspine.sources.human36m.check import examine_copy

    copy, used = copy_of(options), config.captured
    subjects = [subject for subject in config.subjects if any(s == subject for s, _ in used)]
    trials, videos = sorted({trial for _, trial in used}), config.detection.detector != "import"
    state = examine_copy(copy, subjects, trials, videos=videos, checksums=options.checksums)
    for line in state.lines():
        say(NOTE, line)
    if config.skipped:
        say(NOTE, f"  left out for their faults: {', '.join(config.skipped)}")
    good = True
    for subject, person in config.subjects.items():
        for name, trial in person.trials.items():
            if trial.capture is None:
                continue
            try:
                capture_of(trial, subject, config)
            except InputError as fault:
                good = False
                say(FAULT, f"{subject}/{name}: {fault}")
    found = {(trial.subject, trial.trial): trial for trial in state.trials}
    bad = [f"{subject}/{trial}" for subject, trial in sorted(used & set(found)) if found[subject, trial].problems]
    for things, kind in (
        (bad, "trials cannot be read"),
        (state.checksums, "files are not as their checksums say"),
        ([subject.subject for subject in state.subjects if subject.cameras], "subjects have no fitting cameras"),
    ):
        if things:
            good = False
            say(FAULT, f"{len(things)} {kind} (see above); first: {things[0]}")
    if good:
        say(OK, f"{copy.root}: {len(used)} trials of {len(state.subjects)} subjects")
    return good, sum(found[key].frames for key in used & set(found))


def seconds_per_frame(config: Config) -> tuple[dict[str, float], set[str]]:
    """Of each stage; and the stages of which this configuration's own results tell."""
    spent: dict[str, float] = {}
    frames = 0
    for subject in config.subjects:
        paths = Paths(Path(config.results), subject)
        for trial in config.trials(subject):
            frames += read_manifest(paths.manifest("detect", trial)).get("notes", {}).get("frames", 0)
        for stage, seconds in seconds_of(paths, config.trials(subject)).items():
            spent[stage] = spent.get(stage, 0.0) + seconds
    known = set(spent) if frames else set()
    return SECONDS | {stage: spent[stage] / frames for stage in known}, known
