"""What a point rests on."""

from simspine.dataset.origin import point_origins
from simspine.types import Origin

D, I, G = Origin.DETECTED, Origin.INFERRED, Origin.GIVEN


def test_a_point_is_detected_if_it_was_fitted_itself():
    fitted, origins = ("LKnee", "Hip_inferred", "Nose"), (G, I, D)
    assert point_origins(("Hip", "LKnee", "Spine_02", "Nose"), fitted, origins) == [I, G, I, D]
    assert point_origins(("Hip",), fitted, None) is None
