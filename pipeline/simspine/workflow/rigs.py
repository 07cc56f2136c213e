"""The cameras of finished detections: what all trials of a set-up say about them, together."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path

import numpy as np
import yaml

from simspine.cameras.check import SURE
from simspine.cameras.parameters import NAMES
from simspine.cameras.recordings import joined, same_rig
from simspine.cameras.refine import refine_cameras, table
from simspine.cameras.sync import find_delays
from simspine.config import Config
from simspine.errors import InputError
from simspine.formats.atomic import write_text
from simspine.formats.calibration import write_calibration
from simspine.formats.store import load
from simspine.pipeline.cameras import compare_cameras, prior_of
from simspine.types import Camera, Keypoints
from simspine.workflow.context import timing_in
from simspine.workflow.paths import Paths
from simspine.workflow.run import run_stage

SHOWN = {  # of a refinement: unit, factor, digits
    **{f"rotation_{axis}": ("°", np.degrees(1.0), 2) for axis in "xyz"},
    **{f"position_{axis}": ("mm", 1000.0, 1) for axis in "xyz"},
    "focal": ("%", 100.0, 2),
    "centre_x": ("px", 1.0, 1),
    "centre_y": ("px", 1.0, 1),
}
QUANTITIES = (
    ("shift_x_px", 1.0, 1),
    ("shift_y_px", 1.0, 1),
    ("roll", np.degrees(1.0), 2),
    ("scale", 100.0, 2),
    ("late", 1.0, 2),
)
HEADINGS = ("camera", "right, px", "down, px", "clockwise, °", "too large, %", "late, frames", "error, px", "used, %")


@dataclass(frozen=True)
class Recorded:
    """What one set-up recorded: cameras, and everything they saw of the people followed. trials: 'subject/trial'."""

    cameras: list[Camera]
    keypoints: Keypoints
    trials: tuple[str, ...]


def recorded(config: Config, subject: str | None, trial: str | None) -> Recorded:
    """2D points of the trials asked for, one after another; the stage detect runs first where it has not.

    `InputError` where the trials were not filmed by the same cameras: name one of them then.
    """
    subjects = list(config.subjects) if subject is None else [subject]
    found: list[tuple[str, Keypoints, list[Camera]]] = []
    for name in subjects:
        run_stage("detect", config, name, trial)
        for each in config.trials(name, trial):
            content = load(Paths(Path(config.results), name).keypoints(each))
            found.append((f"{name}/{each}", content["keypoints"], list(content["cameras"])))
    first, _, cameras = found[0]
    for name, _, others in found[1:]:
        if not same_rig(cameras, others):
            raise InputError(
                f"{first} and {name} were not filmed by the same cameras. Name one of them: --subject S --trial T."
            )
    return Recorded(cameras, joined([keypoints for _, keypoints, _ in found]), tuple(name for name, _, _ in found))


def print_check(config: Config, subject: str | None, trial: str | None, out: Path | None = None) -> bool:
    """A line per camera, and the findings; True if there are any."""
    seen = recorded(config, subject, trial)
    compared = compare_cameras(seen.keypoints, seen.cameras, config.triangulation.min_confidence)
    rows = []
    for check in compared.checks:
        signed = (
            f"{factor * check.value[name]:+.{digits}f} ± {factor * check.deviation[name]:.{digits}f}"
            for name, factor, digits in QUANTITIES
        )
        rows.append((check.camera, *signed, f"{check.error_px:.1f}", f"{100 * check.used:.0f}"))
    if rows:
        print_table(f"Cameras beside one another: {_what(seen)}", HEADINGS, rows)
    for finding in compared.findings:
        print(f"{finding.severity}: {finding.message}\n    {finding.suggestion}")
    if not compared.findings:
        print("No camera is off by more than chance and a usual calibration's error.")
    _write(out, {
        "trials": seen.trials, "cameras": [asdict(check) for check in compared.checks],
        "findings": [finding.to_dict() for finding in compared.findings],
    })  # fmt: skip
    return bool(compared.findings)


def print_refinement(config: Config, subject: str | None, trial: str | None, out: Path, figures: Path | None) -> None:
    """Write the refined calibration; a line per camera and parameter that changed."""
    if out.exists():
        raise InputError(f"{out} exists already. Choose another --out.")
    seen = recorded(config, subject, trial)
    refined = refine_cameras(
        seen.keypoints, seen.cameras, prior_of(config.cameras), config.triangulation.min_confidence
    )
    write_calibration(out, refined.cameras)
    rows = []
    for camera, row in zip(seen.cameras, table(refined), strict=True):
        for name, (unit, factor, digits) in SHOWN.items():
            if name in row:
                change, deviation = (factor * value for value in row[name])
                prior = factor * dict(zip(NAMES, refined.prior.deviations(), strict=True))[name]
                text = f"{change:+.{digits}f} ± {deviation:.{digits}f} {unit}"
                known = f"{100 * (1 - (deviation / prior) ** 2):.0f}"
                rows.append((camera.name, name.replace("_", " "), text, f"{abs(change) / prior:.1f}", known))
    print_table(
        f"Refined by {_what(seen)}",
        ("camera", "value", "change", "prior deviations", "shown by the recording, %"),
        rows,
    )
    (before, after), (p90_before, p90_after) = refined.median_px, refined.p90_px
    print(
        f"reprojection, median: {before:.1f} → {after:.1f} px; 90th percentile: {p90_before:.1f} → {p90_after:.1f} px"
    )
    print(f"{out} written. Name it as the trial's `calibration`. What the recording does not show has its old value.")
    _write(figures, {
        "trials": seen.trials, "cameras": table(refined), "median_px": refined.median_px, "p90_px": refined.p90_px,
    })  # fmt: skip


def print_delays(config: Config, subject: str | None, trial: str | None, out: Path | None) -> None:
    """A line per view, and what to write into the configuration. What may be chance counts as 0."""
    name = subject or next(iter(config.subjects))
    trial = trial or config.trials(name)[0]
    seen = recorded(config, name, trial)
    known = timing_in(load(Paths(Path(config.results), name).keypoints(trial)))
    clocks = find_delays(seen.keypoints, seen.cameras, config.triangulation.min_confidence)
    sure = np.abs(clocks.late) > SURE * clocks.deviation
    sure_drift = np.abs(clocks.drift) > SURE * clocks.drift_deviation
    before = np.zeros(len(clocks.late)) if known is None else known.late
    total = before + np.where(sure, clocks.late, 0.0)
    rows = [
        (view, _told(late, sd, known_late, found), _told(drift, drift_sd, 0.0, steady))
        for view, late, sd, known_late, found, drift, drift_sd, steady in zip(
            clocks.views, clocks.late, clocks.deviation, before, sure, clocks.drift, clocks.drift_deviation, sure_drift,
            strict=True,
        )
    ]  # fmt: skip
    rows[0] = (clocks.views[0], "the reference", "")
    print_table(f"Clocks: {_what(seen)}", ("view", "late, frames", "later from first to last frame"), rows)
    if known is not None:
        print("The trial's own delays are undone already; they are part of what is printed.")
    if not sure.any():
        print("No view is late by more than chance." if known is None else "Nothing is late beside these delays.")
    delays = {view: round(float(late), 2) for view, late in zip(clocks.views, total, strict=True)}
    print(delays_as_yaml(delays))
    _write(out, {
        "trials": seen.trials, "late_frames": delays,
        "found_frames": dict(zip(clocks.views, (before + clocks.late).tolist(), strict=True)),
        "deviation_frames": dict(zip(clocks.views, clocks.deviation.tolist(), strict=True)),
    })  # fmt: skip


def _told(value: float, deviation: float, known: float, sure: bool) -> str:
    """A delay with its standard deviation; where it may be chance, what it is not told from."""
    if sure:
        return f"{known + value:+.2f} ± {deviation:.2f}"
    what = f"{known:+.2f}" if known else "0"
    return f"not different from {what} ({known + value:+.2f} ± {deviation:.2f})"


def print_delays_of_events(delays: Mapping[str, float], out: Path | None) -> None:
    """What to write into the configuration, of delays {view: frames} told by events; `out` as of `print_delays`."""
    print(delays_as_yaml(delays))
    _write(out, {"late_frames": dict(delays)})


def delays_as_yaml(delays: Mapping[str, float]) -> str:
    """What to write below a trial's name in a configuration: one line, names in quotes where YAML wants them.

    delays: {view: frames}, written to a millionth of a frame.
    """
    rounded = (round(float(late), 6) for late in delays.values())
    plain = {view: int(late) if late.is_integer() else late for view, late in zip(delays, rounded, strict=True)}
    text = yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, allow_unicode=True, width=inf)
    return f"delays: {text.strip()}"


def _what(seen: Recorded) -> str:
    return seen.trials[0] if len(seen.trials) == 1 else f"{len(seen.trials)} trials, {seen.keypoints.frames} frames"


def print_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on the terminal, as wide as it is."""
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Column, Table

    shown = Table(*(Column(heading, no_wrap=True) for heading in headings), title=title, title_justify="left")
    for row in rows:
        shown.add_row(*row)
    console = Console()
    whole = Measurement.get(console, console.options.update(max_width=1000), shown).maximum
    Console(width=max(console.width, whole)).print(shown)


def _write(path: Path | None, content: dict) -> None:
    if path is not None:
        write_text(path, json.dumps(content, indent=2) + "\n")
