"""The verdicts of a whole data set: counts, all findings, one severity. As CSV and JSON for files to come from."""

import csv
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict

from simspine.quality.findings import Severity, Status, Verdict, worst
from simspine.quality.thresholds import THRESHOLDS, Thresholds

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


def as_dict(verdicts: Verdicts, thresholds: Thresholds = THRESHOLDS) -> dict:
    """JSON-able: severity, exit code, counts and reasons over all, by trial, by code; findings; every threshold."""
    findings = [finding for key, verdict in verdicts.items() for finding in verdict.of(*key).findings]
    counts = Counter({str(status): 0 for status in Status})
    reasons: dict[str, Counter[str]] = {str(Status.CORRECTED): Counter(), str(Status.REJECTED): Counter()}
    for verdict in verdicts.values():
        counts.update(verdict.counts)
        for status, found in verdict.reason_counts.items():
            reasons[status].update(found)
    return {
        "severity": str(gravest(verdicts) or "none"),
        "exit_code": exit_code(verdicts),
        "frames": counts.total(),
        "counts": dict(counts),
        "reasons": reasons,
        "findings_by_code": Counter(finding.code for finding in findings),
        "trials": [
            {"subject": subject, "trial": trial, "frames": verdict.frames}
            | verdict.counts
            | {"severity": str(verdict.worst or "none")}
            for (subject, trial), verdict in verdicts.items()
        ],
        "findings": [finding.to_dict() for finding in findings],
        "thresholds": {
            name: {key: value for key, value in asdict(limit).items() if key != "name"}
            for name, limit in thresholds.items()
        },
    }
