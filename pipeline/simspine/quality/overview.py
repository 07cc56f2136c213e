"""The verdicts of a whole data set: counts, all findings, one severity. As CSV and JSON for files to come from."""

import csv
import io
from collections.abc import Iterable, Mapping

from simspine.quality.findings import Severity, Status, Verdict, worst
from simspine.quality.thresholds import THRESHOLDS, Threshold

# What a program may rely on. 2 is taken: bad input, as everywhere on the command line.
EXIT_CODES = {None: 0, Severity.INFO: 0, Severity.WARNING: 3, Severity.ERROR: 1}
COLUMNS = ("subject", "trial", "severity", "code", "where", "frames", "of", "span", "message", "suggestion")

Verdicts = Mapping[tuple[str, str], Verdict]


def gravest(verdicts: Verdicts) -> Severity | None:
    """The worst severity among all findings."""
    return worst(finding for verdict in verdicts.values() for finding in verdict.findings)


def exit_code(verdicts: Verdicts) -> int:
    """0: nothing worse than an info; 3: warnings; 1: errors, so frames were rejected."""
    return EXIT_CODES[gravest(verdicts)]


def as_csv(verdicts: Verdicts) -> str:
    """One line per finding; columns as `COLUMNS`. frames: how many it concerns, 0 = the trial as a whole; of: frames
    of the trial; span: which, counted from 0.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for (subject, trial), verdict in verdicts.items():
        for f in verdict.findings:
            which = (len(f.frames), verdict.frames, f.span)
            writer.writerow((subject, trial, f.severity, f.code, f.where, *which, f.message, f.suggestion))
    return out.getvalue()


def as_dict(verdicts: Verdicts, thresholds: Mapping[str, Threshold] = THRESHOLDS) -> dict:
    """JSON-able: severity, exit code, counts and reasons over all, by trial, by code; findings; every threshold."""
    findings = [finding for key, verdict in verdicts.items() for finding in verdict.of(*key).findings]
    return {
        "severity": str(gravest(verdicts) or "none"),
        "exit_code": exit_code(verdicts),
        "frames": sum(verdict.frames for verdict in verdicts.values()),
        "counts": _sum(verdict.counts for verdict in verdicts.values()) or {str(status): 0 for status in Status},
        "reasons": {
            str(status): _sum(verdict.reason_counts[str(status)] for verdict in verdicts.values())
            for status in (Status.CORRECTED, Status.REJECTED)
        },
        "findings_by_code": _sum({finding.code: 1} for finding in findings),
        "trials": [
            {
                "subject": subject,
                "trial": trial,
                "frames": verdict.frames,
                **verdict.counts,
                "severity": str(verdict.worst or "none"),
            }
            for (subject, trial), verdict in verdicts.items()
        ],
        "findings": [finding.to_dict() for finding in findings],
        "thresholds": {
            name: {"value": t.value, "unit": t.unit, "reason": t.reason, "source": t.source}
            for name, t in thresholds.items()
        },
    }


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in counts:
        for name, count in part.items():
            total[name] = total.get(name, 0) + count
    return total
