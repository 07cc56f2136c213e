"""Which clinical parameters a body has, and that they are the figures of alignment and limbs."""

import numpy as np
import pytest
from posed_people import pose, standing, turn, vertebrae

from simspine.anatomy import alignment
from simspine.anatomy.alignment import joint_angles, shoulder_angles
from simspine.anatomy.clinical import (
    CLINICAL_DEFINITIONS,
    JOINT_DEFINITIONS,
    SPINAL_DEFINITIONS,
    clinical_measures,
    clinical_parameters,
)
from simspine.core.errors import InputError


@pytest.fixture
def person():
    poses = standing()
    for side in "rl":
        poses |= {f"femur_{side}": poses[f"femur_{side}"] @ pose(turn("z", 20)), f"tibia_{side}": pose(turn("z", -15))}
        poses |= {f"calcn_{side}": pose(turn("z", 5)), f"humerus_{side}": pose(turn("x", -35))}
    return poses


def test_each_parameter_has_its_figure_in_the_order_of_the_definitions(person):
    plates = vertebrae()
    found = clinical_parameters(clinical_measures(plates, tuple(person)), person)
    assert found.names == (*SPINAL_DEFINITIONS, *(name for name in found.names if name not in SPINAL_DEFINITIONS))
    assert set(found.names) == set(CLINICAL_DEFINITIONS)
    assert found.values.shape == (1, len(CLINICAL_DEFINITIONS))
    for name in SPINAL_DEFINITIONS:
        np.testing.assert_array_equal(found.of(name), getattr(alignment, name)(person, plates))
    for side in "rl":
        knee = joint_angles(person[f"femur_{side}"], person[f"tibia_{side}"], "knee", side)[0]
        assert [found.of(f"knee_{angle}_{side}")[0] for angle, _ in JOINT_DEFINITIONS["knee"][1]] == pytest.approx(
            knee.tolist()
        )
        arm = shoulder_angles(person["T4"], person[f"humerus_{side}"], side)[0]
        assert found.of(f"shoulder_elevation_{side}")[0] == pytest.approx(arm[1])
    assert dict(zip(found.names, found.units, strict=True)) == {n: d.unit for n, d in CLINICAL_DEFINITIONS.items()}


def test_a_body_without_arms_or_neck_lacks_their_parameters(person):
    plates = {name: own for name, own in vertebrae().items() if not name.startswith("C")}
    bodies = [name for name in person if not name.startswith("humerus")]
    names = {name for measure in clinical_measures(plates, bodies) for name in measure.names}
    missing = {"cervical_lordosis", "sagittal_vertical_axis", "coronal_balance", "trunk_inclination"}
    assert set(CLINICAL_DEFINITIONS) - names == missing | {
        name for name in CLINICAL_DEFINITIONS if name.startswith("shoulder")
    }


def test_poses_without_a_body_are_refused(person):
    some = clinical_measures(vertebrae(), tuple(person))
    del person["tibia_l"]
    with pytest.raises(InputError, match="tibia_l"):
        clinical_parameters(some, person)
