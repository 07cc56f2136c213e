"""Measured figures beside their goals: as a table for people, as JSON for programs."""

import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path


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


def as_json(metrics: Sequence[Metric], settings: Mapping) -> dict:
    """What is written: date, machine, settings, and each metric by its key."""
    return {
        "date": date.today().isoformat(),
        "machine": machine(),
        "settings": dict(settings),
        "metrics": {m.key: {k: v for k, v in asdict(m).items() if k != "key"} | {"met": m.met} for m in metrics},
    }


def as_table(metrics: Sequence[Metric]) -> str:
    """A Markdown table."""
    rows = [("measured", "value", "unit", "goal", ""), ("---", "---:", "---", "---:", "---")]
    for m in metrics:
        goal = "" if m.goal is None else f"{'≥' if m.better == 'higher' else '≤'} {m.goal:g}"
        rows.append((m.key, f"{m.value:.4g}", m.unit, goal, {None: "", True: "met", False: "**not met**"}[m.met]))
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with columns of one width; the second row is the line below the heading."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in rows)


def machine() -> str:
    """Processor and number of cores; no names."""
    info = Path("/proc/cpuinfo")
    named = re.search(r"^model name\s*: (.+)", info.read_text(), re.MULTILINE) if info.is_file() else None
    model = named[1] if named else platform.processor() or platform.machine()
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"
