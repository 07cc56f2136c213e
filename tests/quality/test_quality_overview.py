"""Findings of a data set: whose they are, CSV and JSON, and the exit code."""

import csv
import io
import json

import pytest
from command_line import call, failed

from simspine.quality.assess import FINDING_COLUMNS, severity_exit_code, verdicts_csv, verdicts_dict
from simspine.quality.findings import THRESHOLDS, Finding, Severity, Verdict, sum_up_findings, worst_severity

WARN = Finding("level_range", "warning", "Too far, by 3°.", "Look.", (1, 2, 5), "L4-L5")
INFO = Finding("gap_filled", "info", "A gap, filled.", "Nothing.", (7,))
ERROR = Finding("jump", "error", 'A "jump".', "Look.", (3, 4))


def verdicts(*findings: Finding) -> dict:
    return {("S1", "Walking 1"): sum_up_findings(10, findings), ("S5", "Sitting"): sum_up_findings(20, ())}


@pytest.mark.parametrize(
    ("findings", "severity", "code"),
    [((), None, 0), ((INFO,), Severity.INFO, 0), ((INFO, WARN), Severity.WARNING, 3),
     ((WARN, ERROR, INFO), Severity.ERROR, 1)],
)  # fmt: skip
def test_exit_code_follows_the_gravest_finding(findings, severity, code):
    assert worst_severity(findings) is severity
    assert severity_exit_code(verdicts(*findings)) == code


def test_csv_has_a_line_per_finding():
    lines = list(csv.DictReader(io.StringIO(verdicts_csv(verdicts(WARN, ERROR)))))
    assert tuple(lines[0]) == FINDING_COLUMNS
    assert [line["code"] for line in lines] == ["level_range", "jump"]
    assert (lines[0]["subject"], lines[0]["trial"], lines[0]["where"]) == ("S1", "Walking 1", "L4-L5")
    assert (lines[0]["frames"], lines[0]["of"], lines[0]["span"]) == ("3", "10", "1–2, 5")
    assert lines[1]["message"] == 'A "jump".'


def test_no_name_becomes_a_formula_of_a_spreadsheet():
    camera = Finding("camera_late", "warning", "@SUM(A1) is late.", "Look.", where="=cmd|' /C calc'!A0")
    (line,) = csv.DictReader(io.StringIO(verdicts_csv(verdicts(camera))))
    assert (line["where"], line["message"]) == ("'=cmd|' /C calc'!A0", "'@SUM(A1) is late.")


def test_json_counts_what_was_kept_corrected_and_rejected():
    said = json.loads(json.dumps(verdicts_dict(verdicts(WARN, INFO, ERROR))))
    assert said["counts"] == {"kept": 27, "corrected": 1, "rejected": 2, "inferred": 0}
    assert said["reasons"] == {"corrected": {"gap_filled": 1}, "rejected": {"jump": 2}}
    assert said["findings_by_code"] == {"level_range": 1, "gap_filled": 1, "jump": 1}
    assert [trial["severity"] for trial in said["trials"]] == ["error", "none"]
    assert {finding["subject"] for finding in said["findings"]} == {"S1"}
    assert set(said["thresholds"]) == set(THRESHOLDS)
    assert all(entry["reason"] and entry["source"] for entry in said["thresholds"].values())


def test_a_verdict_keeps_whose_findings_it_holds():
    marked = sum_up_findings(10, (WARN,)).of("S1", "Walking 1")
    assert (marked.findings[0].subject, marked.findings[0].trial) == ("S1", "Walking 1")
    assert Verdict.from_dict(json.loads(json.dumps(marked.to_dict()))) == marked
    assert "subject" not in sum_up_findings(10, (WARN,)).to_dict()["findings"][0]


@pytest.fixture
def results(tmp_path):
    """A configuration of two trials and what the stage quality left of them."""
    (tmp_path / "config.yaml").write_text(
        f"name: small\nresults: {tmp_path / 'results'}\nsubjects:\n  S1:\n    trials:\n"
        "      Walking: {folder: pose2sim:Demo_SinglePerson}\n      Sitting: {folder: pose2sim:Demo_SinglePerson}\n"
    )
    folder = tmp_path / "results/S1/quality"
    folder.mkdir(parents=True)

    def put(*findings: Finding):
        for trial, found in (("Walking", findings), ("Sitting", ())):
            (folder / f"{trial}.json").write_text(json.dumps(sum_up_findings(10, found).to_dict()))
        return str(tmp_path / "config.yaml")

    return put


@pytest.mark.parametrize(("findings", "code"), [((INFO,), 0), ((WARN,), 3), ((WARN, ERROR), 1)])
def test_the_command_tells_scripts_how_bad_it_is(results, tmp_path, findings, code):
    done = call("check", "--config", results(*findings))
    assert done.exit_code == code, done.output
    assert findings[-1].message in done.output
    assert json.loads((tmp_path / "results/quality.json").read_text())["exit_code"] == code
    assert len((tmp_path / "results/quality.csv").read_text().splitlines()) == 1 + len(findings)


def test_quality_that_has_not_run_is_named(results, tmp_path):
    config = results()
    (tmp_path / "results/S1/quality/Sitting.json").unlink()
    said = failed(call("check", "--config", config))
    assert "S1/quality/Sitting.json does not exist" in said
    assert "Run `simspine quality`" in said
