"""Tables of clinical parameters on the page."""

import numpy as np
import pytest

from simspine.anatomy.alignment import LumbopelvicRhythm
from simspine.anatomy.clinical import CLINICAL_DEFINITIONS
from simspine.anatomy.vertebrae import ClinicalParameters
from simspine.core.types import Forced
from simspine.quality.observability import clinical_figures
from simspine.report.tables import clinical_tables

NAMES = tuple(CLINICAL_DEFINITIONS)


@pytest.fixture
def tables():
    units = tuple(CLINICAL_DEFINITIONS[name].unit for name in NAMES)
    values = np.radians(np.tile(np.arange(len(NAMES), dtype=float), (2, 1)))
    values[:, NAMES.index("sagittal_vertical_axis")] = (-0.03, -0.01)
    values[:, NAMES.index("shoulder_plane_r")] = np.nan
    values[:, NAMES.index("pelvic_tilt")] = np.radians((-4, 10))
    forced = {name: (Forced("coupled", ("adduction",), "knee_angle_r"),) for name in NAMES if "knee_add" in name}
    clinical = ClinicalParameters(NAMES, units, values, np.full(values.shape, 0.02), forced)
    figures = clinical_figures(clinical, shares={"hip_flexion_r": 0.9, "hip_flexion_l": 0.3})
    return clinical_tables(figures, LumbopelvicRhythm(1.24, 0.31, np.radians(50), np.radians(40)))


def _row(table, label):
    return next(row for row in table.rows if row[0].startswith(label))


def _plain(row):
    """With ordinary spaces."""
    return tuple(cell.replace("\u00a0", " ") for cell in row)


def test_what_does_not_change_is_said_to_be_constant(tables):
    assert _row(tables[0], "T1 slope")[2] == "constant"


def test_pelvis_and_spine_beside_adults(tables):
    tilt = _row(tables[0], "Pelvic tilt")
    assert _plain(tilt)[1:4] == ("3.0 ± 1.1°", "−4 … 10°", "13.5 ± 6.8° (Mac-Thiong 2011)")
    axis = _row(tables[0], "Sagittal vertical axis")
    assert _plain(axis)[1:4] == ("−20 ± 20 mm", "−30 … −10 mm", "−22 ± 31 mm (Tang 2021)")
    assert _row(tables[0], "Lumbopelvic")[1:3] == ("1.2 ± 0.3", "50° lumbar, 40° pelvis")
    assert _row(tables[0], "Lumbopelvic")[-1] == "changes of both during the trial; its ± is an upper bound"


def test_what_a_figure_rests_on_is_always_said_in_words(tables):
    for table in tables:
        assert all(row[-1] and "–" not in row[-1] for row in table.rows)


def test_limbs_have_both_sides_in_a_row(tables):
    assert len(tables[1].rows) == 12
    assert _row(tables[1], "Hip, flexion")[-1] == "measured / partly measured"
    assert _row(tables[1], "Knee, adduction")[-1] == "set by the model from the joint's other angles"
    shoulder = _row(tables[1], "Shoulder, plane")
    assert shoulder[1:3] == ("–", "–")
    assert shoulder[-1] == "not known: the arm hangs / several angles, more or less measured: read the ±"


def test_sides_are_subtracted_with_the_errors_of_both(tables):
    """Values are as many degrees as the name's place in the list; 0.02 rad are 1.1°, of both sides 1.6°."""
    by = NAMES.index("hip_flexion_r") - NAMES.index("hip_flexion_l")
    assert _plain(_row(tables[1], "Hip, flexion"))[5] == f"{by:+.1f} ± 1.6°".replace("-", "−")
    assert _plain(_row(tables[1], "Knee, adduction"))[5] == f"{by:+.1f}°".replace("-", "−")  # the model's: no ±
    assert _row(tables[1], "Shoulder, plane")[5] == "–"
    assert tables[1].columns[5] == "Right − left"


def test_a_rhythm_that_the_trial_does_not_say_has_its_reason():
    figures = clinical_figures(ClinicalParameters(NAMES[:2], ("rad", "rad"), np.zeros((1, 2))))
    table = clinical_tables(figures, LumbopelvicRhythm(None, None, None, None, "the trunk bends by 4° only"))[0]
    assert _row(table, "Lumbopelvic")[1] == "–"
    assert _row(table, "Lumbopelvic")[-1] == "not given: the trunk bends by 4° only"


def test_nothing_to_say_is_no_table():
    assert clinical_tables((), None) == ()
