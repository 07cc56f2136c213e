"""Figures of clinical parameters: means over trusted frames, units, and what they rest on."""

import numpy as np
import pytest

from simspine.anatomy.clinical import CLINICAL_DEFINITIONS, PUBLISHED_ADULTS, SPINAL_DEFINITIONS
from simspine.anatomy.vertebrae import ClinicalParameters
from simspine.core.types import Forced
from simspine.quality.observability import ClinicalFigure, clinical_figures, composed_shares, rhythm_verdict

FRAMES = 5


def _of(name: str, values, sd=None, forced=(), **options):
    """The figure of one parameter, given in degrees or mm."""
    factor = np.pi / 180 if CLINICAL_DEFINITIONS[name].unit == "rad" else 1e-3
    values = factor * np.broadcast_to(np.asarray(values, float), FRAMES)[:, None]
    deviation = None if sd is None else np.full((FRAMES, 1), factor * sd)
    unit = CLINICAL_DEFINITIONS[name].unit
    clinical = ClinicalParameters((name,), (unit,), values, deviation, {name: forced})
    return clinical_figures(clinical, **options)[0]


def test_mean_range_and_deviation_over_the_frames_kept():
    found = _of("pelvic_tilt", [10, 20, 30, 500, np.nan], 2.0, kept=np.array([1, 1, 1, 0, 1], bool))
    assert found.unit == "deg"
    assert (found.mean, found.minimum, found.maximum) == pytest.approx((20, 10, 30))
    assert found.sd == pytest.approx(2)
    assert found.known_share == 0.75


def test_a_deviation_known_in_no_frame_that_is_kept_is_none():
    found = _of("pelvic_tilt", [10, 20, 30, 40, 50], np.nan)
    assert (found.mean, found.sd, found.range_sd) == (pytest.approx(30), None, None)


def test_lengths_are_in_millimetres():
    found = _of("sagittal_vertical_axis", [-20, 20, 0, 0, 10], 4.0)
    assert (found.unit, found.mean, found.sd) == ("mm", pytest.approx(2), pytest.approx(4))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("rigid", "given by the model"),
        ("locked", "given by the model"),
        ("coupled", "set by the model from the joint's other angles"),
    ],
)
def test_what_the_model_gives_has_no_deviation(kind, said):
    found = _of("pelvic_incidence", 50, 0.0, (Forced(kind, ("flexion",)),))
    assert (found.mean, found.sd, found.decided_by) == (pytest.approx(50), None, said)


def test_levels_on_one_coordinate_keep_their_deviation():
    found = _of("lumbar_flexion", 20, 3.0, (Forced("sum", ("flexion",), "L5_S1_Flex_Ext"),))
    assert (found.sd, found.decided_by) == (pytest.approx(3), "one coordinate for all levels")


@pytest.mark.parametrize("name", [name for name in PUBLISHED_ADULTS if name in SPINAL_DEFINITIONS])
def test_as_uncertain_as_adults_differ_says_little(name):
    spread = PUBLISHED_ADULTS[name].sd
    assert _of(name, 0, 1.01 * spread).decided_by == "assumed"
    assert _of(name, 0, 1.01 * spread, shares={name: 0.9}).decided_by == "assumed"  # whatever the share
    assert _of(name, 0, 0.99 * spread).decided_by == "assumed"
    assert _of(name, 0, 0.7 * spread).decided_by == "partly measured"  # half of the variance
    assert _of(name, 0, 0.4 * spread).decided_by == "measured"
    assert _of(name, 0, 0.4 * spread, shares={name: 0.1}).decided_by == "assumed"  # where the share itself is known


def test_a_coronal_curve_within_its_error_is_said_to_be():
    assert _of("coronal_cobb", 6, 4.0).decided_by == "no larger than its error"
    assert _of("coronal_cobb", 12, 4.0).decided_by == "no label"


def test_where_no_share_is_known_there_is_no_verdict():
    assert _of("lumbar_flexion", 5, 2.0).decided_by == "no label"
    for name in ("trunk_inclination", "t1_slope"):
        assert _of(name, 5).decided_by == "no label"


def test_measured_to_more_than_five_degrees_is_imprecise():
    for sd, said in ((4.9, "measured"), (5.1, "imprecise")):
        assert _of("knee_flexion_r", 30, sd, shares={"knee_flexion_r": 0.9}).decided_by == said
    assert _of("knee_flexion_r", 30, 5.1, shares={"knee_flexion_r": 0.5}).decided_by == "partly measured"


@pytest.mark.parametrize(("sd", "said"), [(3.0, "measured"), (7.0, "partly measured"), (10.0, "assumed")])
def test_c7_sideways_is_judged_by_how_far_people_lean_sideways(sd, said):
    """Known to 10 mm, it is nearly as uncertain as standing people lean (10.5 mm), less than half of 25.7 mm forwards.

    The spread is the root mean square of the odontoid's distances from the midline, 8.3 ± 6.5 mm."""
    assert PUBLISHED_ADULTS["coronal_balance"].sd == pytest.approx(np.hypot(8.3, 6.5), abs=0.05)
    assert _of("coronal_balance", -20, sd).decided_by == said


def test_a_limb_that_follows_the_images_is_not_measured_where_its_interval_fills_the_joint():
    """A response of 99 %; postures fill the 173° that a shoulder rotates, its quarter is one SD."""
    for sd, said in ((4.0, "measured"), (9.0, "imprecise"), (43 / 1.96, "partly measured"), (42.0, "assumed")):
        found = _of("shoulder_rotation_l", -5, sd, shares={"shoulder_rotation_l": 0.99})
        assert found.decided_by == said
        assert found.share == pytest.approx(min(0.99, 1 - (4 * sd / 173) ** 2))


def test_gaps_stay_gaps_with_their_reason():
    hanging = _of("shoulder_plane_l", np.nan, 3.0)
    assert (hanging.mean, hanging.sd, hanging.minimum, hanging.known_share) == (None, None, None, 0.0)
    assert hanging.decided_by == "not known: the arm hangs"
    assert _of("t1_slope", np.nan).decided_by == "not known"


def test_sources_have_grades_and_a_spread_goes_with_its_mean():
    for adults in PUBLISHED_ADULTS.values():
        assert adults.grade in "ABC"
        assert adults.source
        assert adults.sd > 0
        assert adults.grade != "C" or not adults.population  # what is to be checked is no norm


def test_the_range_counts_the_errors_of_both_its_ends():
    """Least and greatest value with deviations of 3 and 4 degrees: their difference has 5. Rejected frames do not
    count."""
    values, sd = np.radians([[10.0], [40.0], [0.0], [90.0], [20.0]]), np.radians([[1.0], [4.0], [3.0], [1.0], [1.0]])
    clinical = ClinicalParameters(("knee_flexion_r",), ("rad",), values, sd)
    found = clinical_figures(clinical, np.array([1, 1, 1, 0, 1], bool))[0]
    assert (found.maximum, found.minimum, found.range_sd) == pytest.approx((40, 0, 5))
    assert _of("pelvic_incidence", 50, 2.0).range_sd is None  # what never changes has no range


def test_how_a_persons_endplate_tilts_does_not_count_in_a_range():
    """Of a deviation of 5° in each frame, 3° are the endplate of the sacrum, alike in all frames: 4° each are left."""
    values = [10.0, 40.0, 20.0, 30.0, 20.0]
    found = _of("sacral_slope", values, 5.0, sacral_tilt_sd=np.radians(3.0))
    assert (found.sd, found.range_sd) == pytest.approx((5.0, np.hypot(4.0, 4.0)))
    assert _of("sacral_slope", values, 5.0).range_sd == pytest.approx(np.hypot(5.0, 5.0))


VERDICTS = {
    "imprecise": "measured", "measured": "measured", "measured as a sum": "measured as a sum",
    "partly measured": "partly measured", "assumed": "assumed",
    "given by the model": "set by the model", "set by the model from the joint's other angles": "set by the model",
    "no label": "", "no larger than its error": "",
}  # fmt: skip


@pytest.mark.parametrize(("words", "verdict"), VERDICTS.items())
def test_words_have_one_verdict(words, verdict):
    found = ClinicalFigure("a", "A", "deg", 1.0, 1.0, 0.0, 2.0, 1.0, words)
    assert str(found.verdict) == verdict
    assert found.is_assumed == (words in ("assumed", "no larger than its error"))
    assert found.is_of_person == (verdict != "set by the model")


def test_composed_parameters_have_the_verdict_of_what_they_are_composed_of():
    """Lumbar flexion is lordosis mirrored; a Cobb angle is bending of levels."""
    names = ("lumbar_flexion", "coronal_cobb")
    units = tuple(CLINICAL_DEFINITIONS[name].unit for name in names)
    values = np.tile(np.linspace(0.2, 0.4, FRAMES)[:, None], (1, len(names)))
    clinical = ClinicalParameters(names, units, values, np.full((FRAMES, 2), 0.02))
    levels = ("T11-T12", "T12-L1", "L5-S1", "C7-T1", "lumbar")
    shares = np.full((5, 3), 0.9)
    shares[:2, 1] = (0.1, 0.2)  # of the trunk; the sacrum's and the neck's do not count
    found = composed_shares(0.0, levels, shares)
    assert found == pytest.approx({"lumbar_flexion": 0.0, "coronal_cobb": 0.15})
    said = {figure.name: figure.decided_by for figure in clinical_figures(clinical, shares=found)}
    assert (said["lumbar_flexion"], said["coronal_cobb"]) == ("assumed", "assumed")
    assert str(rhythm_verdict(clinical_figures(clinical, shares=found))) == "assumed"
