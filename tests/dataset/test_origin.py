"""What a point rests on."""

from simspine.dataset.origin import point_origins
from simspine.types import Origin

SEEN, RULE, GIVEN = Origin.DETECTED, Origin.INFERRED, Origin.GIVEN


def test_a_point_is_detected_if_it_was_fitted_itself():
    fitted, origins = ("LKnee", "Hip_inferred", "Nose"), (GIVEN, RULE, SEEN)
    assert point_origins(("Hip", "LKnee", "Spine_02", "Nose"), fitted, origins) == [RULE, GIVEN, RULE, SEEN]
    assert point_origins(("Hip",), fitted, None) is None
