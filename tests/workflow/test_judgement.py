"""What is said of a finished project: the same numbers in the quality files, the tables, the summary and the data."""

import csv
import json

import numpy as np
import pytest
from command_line import call

import simspine as ss
from simspine.evaluation.validation_records import trial_records
from simspine.evaluation.validation_tables import curvature_table, lumbar_rom
from simspine.quality.findings import THRESHOLDS
from simspine.quality.observability import ERROR_IN_PEOPLE_DEG

pytestmark = pytest.mark.slow


def test_the_data_set_comes_with_its_quality(finished):
    said = json.loads((finished.results / "quality.json").read_text())
    stage = json.loads((finished.results / "S01/quality/bow.json").read_text())
    assert said["counts"] == stage["counts"]
    assert {(f["subject"], f["trial"]) for f in said["findings"]} <= {("S01", "bow")}
    assert [f["code"] for f in said["findings"]] == [f["code"] for f in stage["findings"]]
    assert set(said["thresholds"]) == set(THRESHOLDS)
    with open(finished.results / "quality.csv", newline="") as file:
        assert [line["code"] for line in csv.DictReader(file)] == [f["code"] for f in stage["findings"]]
    with ss.open_dataset(finished.results) as data:
        status = data["S01/bow"].read().status
    assert {name: status.count(name) for name in said["counts"]} == said["counts"]


def test_clinical_parameters_of_table_summary_and_data_are_the_same(finished):
    summary = json.loads((finished.results / "summary.json").read_text())["trials"]["S01/bow"]
    with open(finished.results / "clinical.csv", newline="") as file:
        lines = {line["parameter"]: line for line in csv.DictReader(file)}
    with ss.open_dataset(finished.results) as data:
        whole = data["S01/bow"].read()
    parts = {
        f"lumbopelvic_rhythm_{part}": summary["lumbopelvic_rhythm"][f"{part}_deg"] for part in ("lumbar", "pelvis")
    }
    assert list(lines)[:2] == ["lla", "tka"]
    assert set(lines) == {"lla", "tka", *whole.clinical_names, "lumbopelvic_rhythm", *parts}
    kept = np.array(whole.status) != "rejected"
    for name, angle, deviation in (("lla", whole.lla, whole.lla_sd), ("tka", whole.tka, None)):  # TKA is the model's
        found = np.degrees(angle[kept])
        stated = [lines[name][column] for column in ("mean", "low", "high")]
        assert [float(text) for text in stated] == pytest.approx([found.mean(), found.min(), found.max()], rel=1e-3)
        error = ERROR_IN_PEOPLE_DEG[name]  # no smaller one is stated
        spread = "" if deviation is None else f"{max(np.degrees(np.nanmedian(deviation[kept])), error):.4g}"
        assert (lines[name]["sd"], lines[name]["unit"], lines[name]["known"]) == (spread, "deg", "1")
        assert summary["clinical"][name]["mean"] == pytest.approx(summary[f"{name}_deg_mean"])
    assert {(lines[n]["low"], lines[n]["high"]) for n in ("lumbopelvic_rhythm", *parts)} == {("", "")}
    weaker = {lines[name]["decided"] for name in ("lumbar_flexion", "pelvic_tilt")}
    for name in ("lumbopelvic_rhythm", *parts):
        assert lines[name]["decided"] in weaker | {summary["lumbopelvic_rhythm"]["reason"]}
    for name, motion in parts.items():
        assert lines[name]["mean"] == ("" if motion is None else f"{motion:.4g}")
    for i, (name, unit) in enumerate(zip(whole.clinical_names, whole.clinical_units, strict=True)):
        factor = 180 / np.pi if unit == "rad" else 1e3
        values = factor * whole.clinical[:, i]
        if np.isfinite(whole.clinical_sd[:, i]).any():
            values = np.where(np.isfinite(whole.clinical_sd[:, i]), values, np.nan)
        if np.isfinite(values).any():
            assert summary["clinical"][name]["mean"] == pytest.approx(np.nanmean(values))
            assert float(lines[name]["mean"]) == pytest.approx(np.nanmean(values), rel=1e-3, abs=1e-3)
        else:
            assert lines[name]["mean"] == ""
    assert summary["clinical"]["cervical_lordosis"]["decided"] == lines["cervical_lordosis"]["decided"]
    assert lines["cervical_lordosis"]["decided"] == "given by the model"


def test_tables_agree_with_the_summary(finished):
    summary = json.loads((finished.results / "summary.json").read_text())
    with ss.open_dataset(finished.results) as data:
        some = trial_records(data)
        whole = data["S01/bow"].read()
    row = curvature_table(some).iloc[0]
    assert (row["name"], row.frames) == ("bow", whole.markers.frames)
    assert row.lla_mean_deg == pytest.approx(summary["lla_deg_mean"])
    assert row.lla_uncertainty_deg == pytest.approx(summary["lla_deg_sd"])
    assert row.tka_decided == "set by the model"
    assert summary["set_by_model"] == ["tka"]
    l4 = next(r for r in lumbar_rom(some).itertuples() if (r.level, r.plane) == ("L4-L5", "flexion"))
    angle = np.degrees(whole.angles[:, whole.levels.index("L4-L5"), 0])
    assert l4.rom_mean_deg == pytest.approx(np.ptp(np.percentile(angle, (1, 99))))
    assert l4.decided == "set by the model"


def test_lumbar_ranges_of_the_coupled_body_are_its_couplers(finished):
    """What the tables print as forced is so: the ratios of the model's file, not of the person."""
    with ss.open_dataset(finished.results) as data:
        rows = {
            row.level: row.rom_mean_deg
            for row in lumbar_rom(trial_records(data)).itertuples()
            if row.plane == "flexion"
        }
    for level, slope in {"L4-L5": 1.8571, "L3-L4": 1.6429, "L2-L3": 1.1429, "L1-L2": 0.9286, "T12-L1": 0.5714}.items():
        assert rows[level] / rows["L5-S1"] == pytest.approx(slope, rel=1e-3)


def test_names_in_findings_are_neither_markup_nor_commands(copied):
    """Marker names of a foreign file stand in findings."""
    file = copied.results / "S01/quality/bow.json"
    stored = json.loads(file.read_text())
    stored["findings"][0] |= {"message": "markers [/x] and \x1b]0;owned\x07 [bold]y[/bold]", "code": "a\x1b[2J"}
    file.write_text(json.dumps(stored))
    done = call("check", "--config", copied.file)
    assert done.exit_code == 3, done.exception
    assert "markers [/x] and \N{REPLACEMENT CHARACTER}]0;owned" in done.output
    assert "[bold]y[/bold]" in done.output
    assert not {"\x1b", "\x07"} & set(done.output)


def test_checking_again_changes_nothing(copied):
    before = (copied.results / "quality.json").read_bytes()
    done = call("check", "--config", copied.file)
    assert done.exit_code == json.loads(before)["exit_code"], done.output
    assert (copied.results / "quality.json").read_bytes() == before
