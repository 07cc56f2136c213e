"""A trial whose calibration did not fit, solved with that calibration: how much its ranges change."""

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from simspine.io.hdf5 import read_store, write_store
from simspine.quality.findings import Finding, warning
from simspine.report.tables import range_of
from simspine.report.trial_sections import usable_figures, usable_table
from simspine.workflow.inputs import Context
from simspine.workflow.results import read_trial
from simspine.workflow.stage_files import solved_as_calibrated
from simspine.workflow.up_to_date import RunPaths

pytestmark = pytest.mark.slow
MISFIT = warning("camera_refined", "cameras were refined")


def with_findings(trial, *findings: Finding):
    return replace(trial, verdict=replace(trial.verdict, findings=findings))


def test_the_page_says_how_much_ranges_change_with_the_given_calibration(copied):
    """With the cameras that were used, nothing changes; with one turned by 2°, ranges do, as their difference says."""
    paths, context = RunPaths(copied.results, "S01"), Context(copied.config, "S01")
    found = read_trial(paths, "bow")
    trial = with_findings(found, MISFIT)
    same = solved_as_calibrated(context, trial)
    np.testing.assert_allclose(same.motion.values, found.motion.values, atol=1e-6)
    assert "the ranges by 0° (median), at most by 0°" in usable_table(trial, same).caption
    stored = read_store(paths.cameras("bow"))
    first, *others = stored["given"]
    turned = first.with_(R=first.R @ Rotation.from_euler("z", 2.0, degrees=True).as_matrix())
    write_store(paths.cameras("bow"), **stored | {"given": [turned, *others]})
    other = solved_as_calibrated(context, trial)
    before = {figure.label: range_of(figure) for figure in usable_figures(trial)}
    after = {figure.label: range_of(figure) for figure in usable_figures(other)}
    changes = [abs(after[label] - before[label]) for label in before if label in after]
    assert max(changes) > 0.5
    table = usable_table(trial, other)
    assert table.columns[-1] == "Before refinement"
    plain = {re.sub(r" \(\+[^)]*\)", "", label): value for label, value in after.items()}
    names = [row[0].partition(":")[0] for row in table.rows]
    known = {name: row[-1] for name, row in zip(names, table.rows, strict=True) if name in plain}
    assert len(known) > 1
    assert known == {name: f"{plain[name]:.0f}°" for name in known}


def test_a_calibration_that_fitted_or_does_not_point_up_is_not_tried_again(copied, monkeypatch):
    """A world that was turned upright has other angles in the room. Nor in a long trial."""
    context, found = Context(copied.config, "S01"), read_trial(RunPaths(copied.results, "S01"), "bow")
    turned = warning("world_vertical", "z does not point up", "Turn it.")
    for findings in ((), (replace(MISFIT, severity="info"),), (MISFIT, turned)):
        assert solved_as_calibrated(context, with_findings(found, *findings)) is None
    monkeypatch.setattr("simspine.workflow.stage_files.MOST_FRAMES_SOLVED_AGAIN", found.spine.frames - 1)
    assert solved_as_calibrated(context, with_findings(found, MISFIT)) is None
    assert "Before refinement" not in usable_table(found).columns
