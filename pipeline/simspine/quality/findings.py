"""Findings of the quality control, its verdict on each frame, and the limits that it applies.

Findings and verdicts convert to and from JSON. `tables/advice.yaml` says what to do about each finding.
`tables/thresholds.csv` gives each limit its unit, reason and source: a publication, or 'chosen' with what it was
derived from. `tables/ranges_of_motion.csv` holds published ranges of motion, degrees.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import Field

from simspine.core.arrays import frame_ranges, runs_of_frames
from simspine.core.errors import InputError, require_known
from simspine.core.settings import Section, read_yaml


class QualityOptions(Section):
    """What becomes of rejected frames."""

    fill_gaps: bool = False
    """Take rejected frames out, smooth over them, and fill short gaps; what is filled stays marked as inferred."""
    max_gap_s: float = Field(0.2, gt=0)
    """Filling: longer gaps, and those at the ends of a trial, stay gaps, s."""


class Severity(StrEnum):
    """What a finding means for its frames."""

    INFO = "info"  # noticed and put right: the frames it names are 'corrected'
    WARNING = "warning"  # look at it: the frames are kept
    ERROR = "error"  # the frames are rejected (masked, never deleted)


FINDING_LIGHTS = ("info", "check", "bad")  # of the severities


class Status(StrEnum):
    KEPT = "kept"
    CORRECTED = "corrected"
    REJECTED = "rejected"
    INFERRED = "inferred"  # rejected, and its values were filled in from the frames around: no observation


# {code of a finding: what to do about it}.
ADVICE: Mapping[str, str] = read_yaml(Path(__file__).parent / "tables" / "advice.yaml")
REJECTED_FILLED_CODE = "rejected_filled"  # code of the finding whose rejected frames were filled in
# Frames of a trial, as files hold it (8 h at 100 frames/s), and in all its findings together.
MOST_FRAMES, MOST_NAMED_FRAMES = 3_000_000, 30_000_000


@dataclass(frozen=True)
class Finding:
    """One thing that quality control noticed.

    Attributes
    ----------
    code : str
        Stable identifier of its kind.
    severity : Severity
        'info', 'warning' or 'error'.
    message : str
        What was found and what is expected, with numbers.
    suggestion : str
        What to do; by default the advice for the code in `tables/advice.yaml`.
    frames : tuple of int, or (frames,) array of bool
        Frames concerned; () for the trial as a whole.
    where : str
        Marker, level or coordinate.
    subject, trial : str
        Subject and trial of the finding; '' where not known.
    figures : dict
        {camera or point: {name with its unit: value}}, for tables; {} where the message has all.
    """

    code: str
    severity: Severity
    message: str
    suggestion: str = ""
    frames: Sequence[int] | np.ndarray = ()
    where: str = ""
    subject: str = ""
    trial: str = ""
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict, hash=False)

    def __post_init__(self):
        figures = {str(key): {str(name): float(x) for name, x in row.items()} for key, row in self.figures.items()}
        object.__setattr__(self, "figures", figures)
        object.__setattr__(self, "severity", Severity(self.severity))
        if not self.suggestion:
            require_known("finding", (self.code,), ADVICE)
            object.__setattr__(self, "suggestion", ADVICE[self.code])
        is_mask = isinstance(self.frames, np.ndarray) and self.frames.dtype == bool
        numbers = where_true(self.frames) if is_mask else self.frames
        object.__setattr__(self, "frames", tuple(sorted({int(k) for k in numbers})))

    @property
    def summary(self) -> str:
        """The first sentence of the message, without its full stop."""
        return self.message.partition(". ")[0].rstrip(".")

    @property
    def span(self) -> str:
        """Frames as people write them: '3–7, 12'."""
        return frame_ranges(self.frames)

    @property
    def light(self) -> str:
        """One of `FINDING_LIGHTS`, as pages show it."""
        return FINDING_LIGHTS[list(Severity).index(self.severity)]

    def to_dict(self) -> dict:
        """JSON-able; frames as half-open runs [first, after last]; subject, trial and figures where there are any."""
        where_known = {"subject": self.subject, "trial": self.trial, "figures": self.figures}
        return {
            **{key: value for key, value in where_known.items() if value},
            "code": self.code,
            "severity": str(self.severity),
            "where": self.where,
            "message": self.message,
            "suggestion": self.suggestion,
            "frames": [list(run) for run in runs_of_frames(self.frames)],
        }


def warning(
    code: str, message: str, suggestion: str = "", frames: Sequence[int] | np.ndarray = (), where: str = ""
) -> Finding:
    """A finding of severity `WARNING`. frames: indices, or a (frames,) bool array."""
    return Finding(code, Severity.WARNING, message, suggestion, frames=frames, where=where)


@dataclass(frozen=True)
class Verdict:
    """Which frames of a trial can be trusted.

    Attributes
    ----------
    status : tuple of Status
        Status of each frame: 'kept', 'corrected', 'rejected' or 'inferred'.
    reasons : tuple of tuples of str
        For each frame the codes of the findings that decided its status.
    findings : tuple of Finding
    """

    status: tuple[Status, ...]
    reasons: tuple[tuple[str, ...], ...]
    findings: tuple[Finding, ...]

    @property
    def frames(self) -> int:
        return len(self.status)

    @property
    def rejected(self) -> np.ndarray:
        """(frames,) bool, the mask to use: frames whose measured values are not trusted, those filled in included.
        They stay in the files."""
        return self._frames_with(Status.REJECTED, Status.INFERRED)

    @property
    def inferred(self) -> np.ndarray:
        """(frames,) bool: rejected frames that were filled in from the frames around."""
        return self._frames_with(Status.INFERRED)

    @property
    def filled(self) -> bool:
        """Whether rejected frames were taken out, and short gaps of them filled."""
        return any(finding.code == REJECTED_FILLED_CODE for finding in self.findings)

    def _frames_with(self, *wanted: Status) -> np.ndarray:
        return np.array([status in wanted for status in self.status], bool)

    @property
    def counts(self) -> dict[str, int]:
        """Frames per status."""
        counts = Counter(self.status)
        return {str(status): counts[status] for status in Status}

    @property
    def reason_counts(self) -> dict[str, dict[str, int]]:
        """{status: {code: frames}}: why frames were corrected or rejected (and then filled in, or not); a frame counts
        for each of its reasons."""
        masks = {Status.CORRECTED: self._frames_with(Status.CORRECTED), Status.REJECTED: self.rejected}
        return {
            str(status): dict(sorted(Counter(code for k in where_true(mask) for code in self.reasons[k]).items()))
            for status, mask in masks.items()
        }

    def of(self, subject: str, trial: str) -> "Verdict":
        """The verdict with subject and trial entered in all its findings."""
        marked = tuple(replace(finding, subject=subject, trial=trial) for finding in self.findings)
        return replace(self, findings=marked)

    def to_dict(self) -> dict:
        """JSON-able. 'status' maps each status other than kept to runs [first, after last]."""
        others = [status for status in Status if status is not Status.KEPT]
        return {
            "frames": self.frames,
            "counts": self.counts,
            "reason_counts": self.reason_counts,
            "status": {
                str(status): [list(run) for run in runs_of_frames(where_true(self._frames_with(status)))]
                for status in others
            },
            "findings": [finding.to_dict() for finding in self.findings],
        }

    @classmethod
    def from_dict(cls, stored: Mapping) -> "Verdict":
        """The verdict that `to_dict` stored; status and reasons follow from its findings."""
        return sum_up_findings(stored["frames"], findings_of_dicts(stored["findings"], stored["frames"]))


def findings_of_dicts(entries: Sequence[Mapping], frames: int = MOST_FRAMES) -> tuple[Finding, ...]:
    """The findings, as `to_dict` stored them, of a trial of at most so many frames."""
    runs = [run for entry in entries for run in entry["frames"]]
    if not 0 <= frames <= MOST_FRAMES or any(not 0 <= first <= end <= frames for first, end in runs):
        raise InputError(f"not 0 to {MOST_FRAMES} frames, or a finding outside the trial's {frames}; check it again")
    if (count := sum(end - first for first, end in runs)) > MOST_NAMED_FRAMES:
        raise InputError(f"its findings name {count} frames in all; check the trial again")
    shared = tuple(range(max((end for _, end in runs), default=0)))  # each number is once in memory
    named = ([k for first, end in entry["frames"] for k in shared[first:end]] for entry in entries)
    return tuple(Finding(**{**entry, "frames": frames}) for entry, frames in zip(entries, named, strict=True))


def sum_up_findings(frames: int, findings: Iterable[Finding]) -> Verdict:
    """The verdict of the findings: an error rejects its frames, an info marks them corrected, a warning does nothing.

    A finding without frames concerns the trial as a whole and decides no frame. Rejected frames that the finding
    `REJECTED_FILLED_CODE` names are inferred.
    """
    findings = tuple(findings)
    filled = {k for finding in findings if finding.code == REJECTED_FILLED_CODE for k in finding.frames}
    codes: dict[Severity, list[tuple[str, ...]]] = {severity: [()] * frames for severity in Severity}
    longer = cache(lambda known, code: known if code in known else (*known, code))  # one tuple for all frames alike
    for finding in findings:
        known = codes[finding.severity]
        for k in finding.frames:
            known[k] = longer(known[k], finding.code)
    status, reasons = [], []
    for k, (error, info) in enumerate(zip(codes[Severity.ERROR], codes[Severity.INFO], strict=True)):
        bad = Status.INFERRED if k in filled else Status.REJECTED
        status.append(bad if error else Status.CORRECTED if info else Status.KEPT)
        reasons.append(error or info)
    return Verdict(tuple(status), tuple(reasons), findings)


def worst_severity(findings: Iterable[Finding]) -> Severity | None:
    """The gravest severity; None without findings."""
    return max((finding.severity for finding in findings), key=tuple(Severity).index, default=None)


def findings_by_kind(findings: Iterable[Finding]) -> list[list[Finding]]:
    """Findings of one code and severity together, the gravest first."""
    kinds: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        kinds.setdefault((finding.severity, finding.code), []).append(finding)
    return sorted(kinds.values(), key=lambda group: -tuple(Severity).index(group[0].severity))


def where_true(mask: np.ndarray) -> tuple[int, ...]:
    """Indices of a (frames,) bool array."""
    return tuple(int(k) for k in np.flatnonzero(mask))


_RAD = np.radians(1.0)
_SI_PER_UNIT = dict.fromkeys(("m/s", "m/s²", "px", "frames", "1"), 1.0)
_SI_PER_UNIT |= {"deg": _RAD, "deg/s": _RAD, "cm": 0.01, "%": 0.01}


@dataclass(frozen=True)
class Threshold:
    """A limit of a check: `value` in `unit`, with its reason and source."""

    value: float
    unit: str
    reason: str
    source: str

    @property
    def value_si(self) -> float:
        """The value in SI units; a share for per cent."""
        return self.value * _SI_PER_UNIT[self.unit]


class Envelope(NamedTuple):
    """Published range of motion of a level about neutral in flexion, bending right and rotation left, rad.

    limits: (3, 2) low and high. extent: (3,) total range, both directions together. Where a total of flexion was
    published, the limits of flexion may be wider: the neutral pose may be anywhere within the total range.
    """

    level: str
    limits: np.ndarray
    extent: np.ndarray
    source: str


def _table_rows(name: str) -> list[dict[str, str]]:
    text = (files("simspine.quality") / "tables" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _envelope(row: Mapping[str, str]) -> Envelope:
    motions = ("flexion", "bending", "rotation")
    limits = np.radians([[float(row[f"{motion}_{end}"]) for end in ("low", "high")] for motion in motions])
    extent = np.ptp(limits, axis=1)
    if row["flexion_total"]:
        extent[0] = np.radians(float(row["flexion_total"]))
    return Envelope(row["level"], limits, extent, row["source"])


THRESHOLDS: Mapping[str, Threshold] = {
    row["name"]: Threshold(float(row["value"]), row["unit"], row["reason"], row["source"])
    for row in _table_rows("thresholds.csv")
}
LEVEL_ENVELOPES: Mapping[str, Envelope] = {row["level"]: _envelope(row) for row in _table_rows("ranges_of_motion.csv")}
