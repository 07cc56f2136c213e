"""Figures of a benchmark with their goals, as a table and as JSON; and how often stated intervals hold the truth."""

import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from simspine.core.errors import InputError
from simspine.evaluation.tables import aligned_markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STATED_PERCENT = (50, 80, 90, 95)  # of the intervals whose coverage tables show
STATED_HALF_WIDTHS = ndtri(0.5 + np.array(STATED_PERCENT) / 200)  # in standard deviations


def coverage(scaled: np.ndarray) -> tuple[float, ...]:
    """Share of errors, in standard deviations, that lie in each of the `STATED_PERCENT` intervals."""
    return tuple(float((np.abs(scaled) <= half).mean()) for half in STATED_HALF_WIDTHS)


@dataclass(frozen=True)
class Metric:
    """One figure. better: 'higher' or 'lower'. goal: what it should reach, None where there is none."""

    key: str
    value: float
    unit: str
    better: str
    goal: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.better == "higher" else self.value <= self.goal


def benchmark_json(metrics: Sequence[Metric], settings: Mapping) -> dict:
    """What is written: date, machine, settings, and each metric by its key."""
    return {
        "date": date.today().isoformat(),
        "machine": machine_description(),
        "settings": dict(settings),
        "metrics": {m.key: {k: v for k, v in asdict(m).items() if k != "key"} | {"met": m.met} for m in metrics},
    }


def metrics_table(metrics: Sequence[Metric]) -> str:
    """A Markdown table."""
    rows: list[Sequence[str]] = [("measured", "value", "unit", "goal", ""), ("---", "---:", "---", "---:", "---")]
    for m in metrics:
        goal = "" if m.goal is None else f"{'≥' if m.better == 'higher' else '≤'} {m.goal:g}"
        rows.append((m.key, f"{m.value:.4g}", m.unit, goal, {None: "", True: "met", False: "**not met**"}[m.met]))
    return aligned_markdown(rows)


def machine_description() -> str:
    """Processor and number of cores; no names."""
    info = Path("/proc/cpuinfo")
    named = re.search(r"^model name\s*: (.+)", info.read_text(), re.MULTILINE) if info.is_file() else None
    model = named[1] if named else platform.processor() or platform.machine()
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"


def agreement_figure(people: Sequence[Mapping[str, Any]], angles: Sequence[str]) -> "Figure":
    """Bland–Altman figures, a panel for each angle: difference of two methods over their mean, a dot a person.

    people: rows with `<angle>_deg` and `<angle>_radiograph_deg`. Lines: the mean difference and ± 1.96 standard
    deviations of it (Bland & Altman 1986, Lancet 327:307). Raises `InputError` where no person has both.
    """
    from simspine.report.figure_style import BLUE, VERMILLION, matplotlib_style, new_figure

    with matplotlib_style():
        figure = new_figure(3.2)
        for axes, angle in zip(figure.subplots(1, len(angles), squeeze=False)[0], angles, strict=True):
            pairs = [(row[f"{angle}_deg"], row[f"{angle}_radiograph_deg"]) for row in people]
            pairs = [pair for pair in pairs if None not in pair]
            if not pairs:
                raise InputError(f"nobody has a {angle} from both methods; nothing can be compared.")
            estimate, radiograph = np.array(pairs).T
            difference = estimate - radiograph
            limits = 1.96 * difference.std(ddof=1) if len(difference) > 1 else 0.0
            axes.plot((estimate + radiograph) / 2, difference, "o", color=BLUE, markersize=3, alpha=0.6)
            for offset, dashes in ((0.0, "-"), (-limits, "--"), (limits, "--")):
                axes.axhline(difference.mean() + offset, color=VERMILLION, linestyle=dashes, linewidth=1.2)
            axes.set(
                title=f"{angle.capitalize()}: {difference.mean():+.1f} ± {limits:.1f}°",
                xlabel="mean of both (°)",
                ylabel="simspine less radiograph (°)",
            )
    return figure
