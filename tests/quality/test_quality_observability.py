"""Who decided an angle: by share of the data, couplers, shared coordinates."""

import numpy as np

from simspine.anatomy.curvature import JOINT_LEVELS, MOTION_PLANES, Level
from simspine.core.types import Forced, ForcedKind, Origin
from simspine.quality.observability import (
    Observability,
    driving_coordinates,
    estimated_of_spine,
    forced_mask,
    level_shares,
    observability_of,
    observability_word,
    observed_share_text,
)

TABLE = (*JOINT_LEVELS[:2], Level("lumbar", "sacrum", "lumbar1"))
NAMES = tuple(level.name for level in TABLE)
COORDINATES = ("pelvis_tilt", *JOINT_LEVELS[1].coordinates, *JOINT_LEVELS[0].coordinates)
RESPONSE = np.array([1.0, 0.1, 0.5, 0.9, 0.85, 0.19, 0.2])


def test_shares_go_to_the_levels_of_their_coordinates():
    shares = level_shares(NAMES, TABLE, COORDINATES, RESPONSE)
    np.testing.assert_array_equal(shares, [[0.85, 0.19, 0.2], [0.1, 0.5, 0.9], [np.nan] * 3])
    assert np.isnan(level_shares(NAMES, TABLE, COORDINATES, None)).all()
    assert np.isnan(level_shares(NAMES, TABLE, ("pelvis_tilt",), np.ones(1))).all()


def test_words_without_couplers():
    words = observability_of(NAMES, level_shares(NAMES, TABLE, COORDINATES, RESPONSE), {}, TABLE)
    assert words[0] == (Observability.MEASURED, Observability.ASSUMED, Observability.PARTLY)
    assert words[1] == (Observability.ASSUMED, Observability.PARTLY, Observability.MEASURED)
    assert words[2] == (Observability.UNKNOWN,) * 3


def test_a_coordinate_that_moves_several_levels_measures_only_their_sum():
    parts = (("flexion", "L5_S1_Flex_Ext", 1.857), ("axial rotation", "L5_S1_axial_rotation", 1.062))
    coupled = tuple(Forced(ForcedKind.COUPLED, (plane,), driver, ratio) for plane, driver, ratio in parts)
    forced = {"L4-L5": coupled, "L5-S1": ()}
    words = observability_of(NAMES, np.full((3, 3), 0.99), forced, TABLE)
    assert words[0] == (Observability.SUM, Observability.MEASURED, Observability.SUM)
    assert words[1] == (Observability.FORCED, Observability.MEASURED, Observability.FORCED)


def test_mask_marks_what_the_model_sets_and_no_sum():
    forced = {
        "L4-L5": (Forced("coupled", ("flexion",), "L5_S1_Flex_Ext", 1.857), Forced("locked", ("axial rotation",))),
        "thorax": (Forced("rigid", MOTION_PLANES, spans=("T3", "T12"), body="torso"),),
        "L5-S1": (),
        "lumbar": (Forced("sum", ("flexion",), "L5_S1_Flex_Ext", 7.1, ("L5-S1", "L4-L5")),),
        "tka": (Forced("rigid", MOTION_PLANES),),
    }
    mask = forced_mask(("L5-S1", "L4-L5", "lumbar", "thorax", "neck"), forced)
    F, T = False, True
    np.testing.assert_array_equal(mask, [[F, F, F], [T, F, T], [F, F, F], [T, T, T], [F, F, F]])
    assert driving_coordinates(forced) == {"L5_S1_Flex_Ext"}
    assert driving_coordinates({"lumbar": forced["lumbar"]}) == set()


def test_a_share_is_never_printed_as_a_limit_that_it_does_not_reach():
    shares = (0.0, 0.194, 0.197, 0.1999, 0.2, 0.204, 0.794, 0.796, 0.8, 1.0, np.nan)
    said = ["0 %", "19 %", "<20 %", "<20 %", "20 %", "20 %", "79 %", "<80 %", "80 %", "100 %", "–"]
    assert [observed_share_text(share) for share in shares] == said


def test_what_estimated_points_decided_is_not_called_measured():
    """Words change one for one; what the model or the prior decided stays theirs."""
    cases = [(0.9, False, False), (0.5, False, False), (0.5, False, True), (0.1, False, False), (0.9, True, False)]
    cases.append((np.nan, False, False))
    seen = [observability_word(share, forced, drives) for share, forced, drives in cases]
    assert list(map(str, seen)) == [
        "measured", "partly measured", "measured as a sum", "assumed", "set by the model", "",
    ]  # fmt: skip
    guessed = [observability_word(share, forced, drives, estimated=True) for share, forced, drives in cases]
    assert list(map(str, guessed)) == ["estimated", "partly estimated", "estimated", "assumed", "set by the model", ""]
    table = observability_of(NAMES, np.full((3, 3), 0.85), {}, TABLE, estimated=True)
    assert {str(word) for row in table for word in row} == {"estimated"}


def test_one_estimated_point_of_the_spine_is_enough():
    names = ("LHip", "Neck", "Spine_01")
    assert estimated_of_spine(names, (Origin.DETECTED, Origin.DETECTED, Origin.ESTIMATED))
    assert not estimated_of_spine(
        names, (Origin.ESTIMATED, Origin.DETECTED, Origin.GIVEN)
    )  # a hip is no point of the spine
    assert not estimated_of_spine(names, None)
