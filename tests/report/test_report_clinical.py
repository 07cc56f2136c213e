"""Tables of clinical parameters on the page: means, intervals of 95 %, norms that fit, verdicts."""

import re
from dataclasses import replace

import numpy as np
import pytest
import yaml

from simspine.anatomy.alignment import LumbopelvicRhythm
from simspine.anatomy.clinical import CLINICAL_DEFINITIONS, CURVATURE_OF_ADULTS, PUBLISHED_ADULTS
from simspine.anatomy.curvature import COBB_REFERENCES
from simspine.anatomy.vertebrae import ClinicalParameters
from simspine.core.settings import models_folder, pose2sim_folder
from simspine.core.types import Forced
from simspine.quality.observability import ClinicalFigure, clinical_figures
from simspine.report.bones import read_polygons
from simspine.report.page import page_words
from simspine.report.tables import MEAN_COLUMN, clinical_tables, held_still, norm_of

NAMES = tuple(CLINICAL_DEFINITIONS)


def made(tilts):
    """The tables; radiographic pelvic tilt changes between two angles, degrees."""
    units = tuple(CLINICAL_DEFINITIONS[name].unit for name in NAMES)
    values = np.radians(np.tile(np.arange(len(NAMES), dtype=float), (2, 1)))
    values[:, NAMES.index("sagittal_vertical_axis")] = (-0.03, -0.01)
    values[:, NAMES.index("shoulder_plane_r")] = np.nan
    values[:, NAMES.index("pelvic_tilt")] = np.radians(tilts)
    values[:, NAMES.index("sacral_slope")] = np.radians((38, 42))
    forced = {name: (Forced("coupled", ("adduction",), "knee_angle_r"),) for name in NAMES if "knee_add" in name}
    clinical = ClinicalParameters(NAMES, units, values, np.full(values.shape, 0.02), forced)
    figures = clinical_figures(clinical, shares={"hip_flexion_r": 0.9, "hip_flexion_l": 0.3, "lumbar_flexion": 0.1})
    assert held_still(figures) == (np.ptp(tilts) < 6.75), "adults differ by that"
    return clinical_tables(figures, LumbopelvicRhythm(1.24, 0.31, np.radians(50), np.radians(40)))


@pytest.fixture
def tables():
    return made((0, 6))


def _row(table, label):
    """{column: cell} with ordinary spaces."""
    row = next(row for row in table.rows if row[0].startswith(label))
    return {column: cell.replace("\u00a0", " ") for column, cell in zip(table.columns, row, strict=True)}


def test_spread_of_adults_that_is_known_decides_the_share(tables):
    """A T1 slope known to 1.146° of people who differ by 6.4°: 1 − (1.146 / 6.4)² = 97 %."""
    assert _row(tables[0], "T1 slope")["Source"] == "measured"
    assert _row(tables[2], "Lumbar flexion")["Source"] == "assumed"  # 10 %, as lordosis
    assert _row(tables[2], "Lumbar flexion")[MEAN_COLUMN] == "–", "other people's value is no finding"


def test_sources_of_spreads_have_a_reference():
    sources = {one.source.partition(",")[0] for one in (CURVATURE_OF_ADULTS | PUBLISHED_ADULTS).values()}
    assert sources <= page_words("references").keys()


def test_what_does_not_change_is_said_to_be_constant(tables):
    slope = _row(tables[0], "T1 slope")
    assert (slope["From … to"], slope["Range"]) == ("constant", "–")


def test_every_interval_is_of_95_percent(tables):
    """0.02 rad are 1.15°: 1.96 of them 2.2°, of a difference of two such 3.2°. 20 mm make 39 and 55 mm.

    A range of less than twice its ± may be noise.
    """
    tilt = _row(tables[0], "Radiographic pelvic tilt (+ sacrum behind the hips)")
    assert (tilt[MEAN_COLUMN], tilt["From … to"], tilt["Range"]) == ("3.0 ± 2.2°", "–", "(6 ± 3°)")
    axis = _row(tables[0], "Sagittal vertical axis")
    assert (axis[MEAN_COLUMN], axis["From … to"], axis["Range"]) == (
        "−20 ± 39 mm",
        "–",
        "(20 ± 55 mm)",
    )


def test_a_movement_has_ranges_and_no_means_nor_alignment_of_people_who_stand():
    spinal, limbs, rest = made((-4, 10))
    tilt = _row(spinal, "Radiographic pelvic tilt (+ sacrum behind the hips)")
    assert tilt == {
        "Pelvis and spine": "Radiographic pelvic tilt (+ sacrum behind the hips)",
        "From … to": "−4 … 10°",
        "Range": "at least 14 ± 3°",
        "Source": "measured",
    }
    assert _row(spinal, "Pelvic incidence")["From … to"] == "constant: 0.0 ± 2.2°"
    assert limbs.columns == ("Arms and legs", "Right, range", "Left, range", "Left minus right", "Source")
    for label in ("T1 slope", "Sagittal vertical axis", "C7 plumb line", "Trunk inclination"):
        assert not any(row[0].startswith(label) for table in (spinal, rest) for row in table.rows)


def figure(name, ends, share=0.9, sd=2.0):
    """A figure that changes between two angles; its range has a ± of 1.96 · √2 · sd."""
    low, high = ends
    decided = "measured" if share > 0.8 else "partly measured"
    return ClinicalFigure(
        name, name, "deg", mean=sum(ends) / 2, sd=sd, minimum=low, maximum=high, known_share=1.0, decided_by=decided,
        range_sd=np.sqrt(2) * sd, share=share,
    )  # fmt: skip


def test_each_side_of_a_limb_has_its_own_verdict_and_interval():
    """A range of 40° on the right, of 20° on the left, each ± 6°: they differ by 20 ± 8°."""
    moved = figure("pelvic_tilt", (0, 40))
    right, left, pale = (
        figure(f"hip_flexion_{s}", (0, n), p) for s, n, p in (("r", 40, 1), ("l", 20, 1), ("l", 20, 0.3))
    )
    row = _row(clinical_tables((moved, right, left), None)[1], "Hip, flexion")
    assert (row["Right, range"], row["Left, range"]) == ("40 ± 6°, 0 … 40°", "20 ± 6°, 0 … 20°")
    assert (row["Left minus right"], row["Source"]) == ("−20 ± 8°", "measured")
    same = figure("hip_flexion_l", (0, 38))
    row = _row(clinical_tables((moved, right, same), None)[1], "Hip")
    assert row["Left minus right"] == "not distinguishable, ± 8°"
    cut = replace(same, cut=(False, True))
    assert _row(clinical_tables((moved, right, cut), None)[1], "Hip")["Left minus right"] == "–", "it may go further"
    row = _row(clinical_tables((moved, right, pale), None)[1], "Hip, flexion")
    assert row["Left, range"] == "(20 ± 6°)", "changes of what was partly measured look too small"
    assert (row["Left minus right"], row["Source"]) == ("–", "right measured, left partly measured")


def test_what_must_not_be_used_stands_in_brackets_everywhere():
    """In a movement a partly measured parameter is no result, as are limbs of which no side is one."""
    pale = [figure(name, (0, 20), 0.3) for name in ("sacral_slope", "hip_flexion_r", "hip_flexion_l")]
    knee = [figure(f"knee_flexion_{side}", (0, 20)) for side in "rl"]
    tables = clinical_tables((figure("pelvic_tilt", (0, 40)), *pale, *knee), None)
    results, rest = ([table for table in tables if bool(table.folded) == folded] for folded in (False, True))
    assert [len(table.rows) for table in results + rest] == [1, 1, 1, 1]
    for table, wanted in ((results, False), (rest, True)):
        cells = [cell for one in table for row in one.rows for cell in row if "±" in cell]
        assert len(cells) > 1
        assert all(cell.startswith("(") == wanted for cell in cells if cell != results[1].rows[0][3])


def test_the_rhythm_names_the_changes_that_it_is_the_quotient_of(tables):
    figures = clinical_figures(
        ClinicalParameters(("pelvic_tilt",), ("rad",), np.radians([[3.0], [9.0]]), np.full((2, 1), 0.02))
    )
    found = LumbopelvicRhythm(1.25, 0.3, np.radians(50), np.radians(40))
    label = clinical_tables(figures, found)[0].rows[-1][0]
    assert label.endswith("(50° over 40°)")
    assert clinical_tables(figures, found)[0].rows[-1][3].replace("\u00a0", " ") == "1.2 ± 0.6"


def test_definitions_name_the_endplates_that_are_measured():
    """Against the endplates of `simspine.anatomy.curvature`."""
    said = dict(page_words("definitions"))
    words = {"superior": "upper", "inferior": "lower"}
    for name, key in (
        ("Lumbar lordosis", "lla"),
        ("Thoracic kyphosis", "tka"),
        ("Cervical lordosis", "cervical_lordosis"),
    ):
        (upper, side), (lower, other) = COBB_REFERENCES[key]
        both = f"the {words[side]} endplates of {upper} and {lower}"
        each = f"the {words[side]} endplate of {upper} and the {words[other]} endplate of {lower}"
        assert (both if side == other else each) in said[name]


def test_a_limb_angle_that_the_model_sets_has_no_row(tables):
    assert len(tables[1].rows) == 11
    assert not any(row[0].startswith("Knee, adduction") for row in tables[1].rows)


def test_a_norm_stands_where_it_fits_and_nowhere_else(tables):
    """Mac-Thiong: 39.5 ± 7.75 (sd): 95 % lie within 24 and 55."""
    assert _row(tables[0], "Sacral slope")["Norm"] == "24 … 55° (709 standing adults, Mac-Thiong 2011)"
    for label in ("T1 slope", "Cervical", "Coronal Cobb angle"):
        assert _row(tables[0], label)["Norm"] == "–", label


@pytest.mark.parametrize("decided", ["assumed", "given by the model", "no label"])
def test_what_was_not_decided_has_no_norm(decided):
    """The same value with the verdict measured has one."""

    def figure(words):
        return ClinicalFigure("pelvic_tilt", "Radiographic pelvic tilt", "deg", 12.0, 1.0, 11.0, 13.0, 1.0, words)

    assert norm_of(figure(decided)) is None
    assert norm_of(figure("partly measured")) is not None


def test_assumed_values_stand_apart_from_results(tables):
    """C7 sideways is known to 20 mm, people lean by 10.5 mm. No norm stands by what is assumed, and it is folded."""
    results, _, assumed = tables
    assert [row[0].partition(",")[0] for row in assumed.rows] == ["C7 plumb line sideways", "Lumbar flexion"]
    assert all(row[-1].startswith("assumed") and row[1] == "–" for row in assumed.rows)
    assert not any(row[-1].startswith("assumed") or row[1].startswith("(") for row in results.rows)
    assert assumed.columns[1:] == (MEAN_COLUMN, "Range", "Source")
    assert (assumed.folded, results.folded) == ("Pelvis and spine, not to be used: 2", "")


def test_the_range_of_an_assumed_slope_of_the_sacrum_is_left_to_the_pelvis():
    """Sacrum and pelvis are one bone, whose tilt in the room has the range."""
    names, sd = ("pelvic_tilt", "sacral_slope", "cervical_lordosis"), np.radians(np.full((2, 3), 13.0))
    parameters = ClinicalParameters(names, ("rad",) * 3, np.radians([[0.0] * 3, [40.0] * 3]), sd)
    figures = clinical_figures(parameters)
    table = clinical_tables(figures, None)[-1]
    assert [_row(table, label)["Range"] for label in ("Radiographic", "Sacral", "Cervical")] == [
        "that of Pelvis tilt", "that of Pelvis tilt", "not measured",
    ]  # fmt: skip


def test_what_a_figure_rests_on_is_always_said_in_words(tables):
    for table in tables:
        assert all(row[-1] and "–" not in row[-1] for row in table.rows)


def test_limbs_have_both_sides_in_a_row(tables):
    assert _row(tables[1], "Hip, flexion")["Source"] == "right measured, left partly measured"
    shoulder = _row(tables[1], "Shoulder, plane")
    assert shoulder["Right"] == "–"
    assert shoulder["Source"] == "right not known: the arm hangs, left measured"


def test_a_rhythm_that_is_assumed_or_not_given_has_no_row(tables):
    """The lumbar flexion of `tables` is assumed."""
    parameters = ClinicalParameters(NAMES[:2], ("rad", "rad"), np.array([[0.0, 0.0], [0.1, 0.1]]))
    none = LumbopelvicRhythm(None, None, None, None, "the trunk bends by 4° only")
    for table in (tables[0], clinical_tables(clinical_figures(parameters), none)[0]):
        assert not any(row[0].startswith("Lumbopelvic") for row in table.rows)


def test_a_single_frame_has_values_and_no_ranges():
    parameters = ClinicalParameters(("pelvic_tilt",), ("rad",), np.radians([[12.0]]), np.radians([[3.0]]))
    (table,) = clinical_tables(clinical_figures(parameters), LumbopelvicRhythm(None, None, None, None, "one frame"))
    assert table.columns == ("Pelvis and spine", "Value", "Norm", "Source")
    assert [row[1] for row in table.rows] == ["12\u00a0±\u00a06°"]


def test_what_was_not_recorded_is_left_out():
    """An angle known to ± 118° is not known, and the model's own says nothing: limbs under a line on the back."""
    names = ("pelvic_tilt", "hip_flexion_r", "knee_rotation_r")
    forced = {"knee_rotation_r": (Forced("coupled", ("rotation",), "knee_angle_r"),)}
    parameters = ClinicalParameters(names, ("rad",) * 3, np.zeros((1, 3)), np.radians([[3.0, 60.0, 1.0]]), forced)
    (table,) = clinical_tables(clinical_figures(parameters), None)
    assert [row[0][:24] for row in table.rows] == ["Radiographic pelvic tilt"]


def test_nothing_to_say_is_no_table():
    assert clinical_tables((), None) == ()


def test_the_stated_zeros_are_those_of_the_model():
    """Oracle: the mesh of the pelvis, whose foremost points are the ASIS, and landmarks of skin.yaml."""
    places = yaml.safe_load((models_folder() / "skin.yaml").read_text())["markers"]
    points, _ = read_polygons(pose2sim_folder() / "Geometry/r_pelvis.vtp")
    points = points[points[:, 1] > -0.03]  # above the pubis
    front = points[np.argsort(-points[:, 0])[:3]].mean(0)
    rear, t1, t12 = (np.array(places[name]["bone"]) for name in ("RPSIS", "T1", "T12"))
    falls = np.degrees(np.arctan2(rear[1] - front[1], front[0] - rear[0]))
    stated = re.search(r"PSIS to ASIS falls forwards by about (\d+)°", page_words("notes")["room"][1])
    assert falls == pytest.approx(float(stated[1]), abs=1)
    assert abs(np.degrees(np.arctan2(t1[0] - t12[0], t1[1] - t12[1]))) < 3, "upright"
