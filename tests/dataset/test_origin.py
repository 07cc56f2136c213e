"""What a point rests on."""

from simspine.core.types import Origin
from simspine.reconstruction.publish import centre_origins, point_origins

SEEN, RULE, GIVEN = Origin.DETECTED, Origin.INFERRED, Origin.GIVEN


def test_a_point_is_detected_if_it_was_fitted_itself():
    fitted, origins = ("LKnee", "Hip_inferred", "Nose"), (GIVEN, RULE, SEEN)
    assert point_origins(("Hip", "LKnee", "Spine_02", "Nose"), fitted, origins) == [RULE, GIVEN, RULE, SEEN]
    assert point_origins(("Hip",), fitted, None) is None


def test_an_estimated_point_stays_estimated():
    guess = Origin.ESTIMATED
    assert point_origins(("Hip", "Neck"), ("Hip",), (guess,)) == [guess, RULE]
    assert centre_origins(("L5", "C7"), ("Spine_01", "Neck"), (guess, SEEN)) == [guess, SEEN]


def test_a_centroid_rests_on_the_point_named_after_its_vertebra():
    fitted, origins = ("Spine_01", "Neck_inferred"), (SEEN, RULE)
    assert centre_origins(("L5", "L4", "C7"), fitted, origins) == [SEEN, RULE, RULE]
