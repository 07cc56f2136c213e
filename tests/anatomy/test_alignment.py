"""Alignment of pelvis and spine: known by construction, and what turning and leaning as a whole must do to it."""

from dataclasses import replace

import numpy as np
import pytest
from posed_people import NAMES, moved, pose, standing, turn, vertebrae

from simspine.anatomy import alignment
from simspine.anatomy.alignment import TRUNK_VERTEBRAE
from simspine.anatomy.curvature import Endplate, Vertebra
from simspine.core.errors import InputError

ANGLES = ("pelvic_tilt", "sacral_slope", "pelvic_incidence", "t1_slope", "cervical_lordosis", "trunk_inclination",
          "coronal_cobb", "lumbar_flexion")  # fmt: skip
LENGTHS = ("sagittal_vertical_axis", "coronal_balance")


def read(poses, plates=None) -> dict[str, float]:
    """{name: degrees or mm}."""
    plates = plates or vertebrae()
    found = {name: np.degrees(getattr(alignment, name)(poses, plates)) for name in ANGLES}
    found |= {name: 1e3 * getattr(alignment, name)(poses, plates) for name in LENGTHS}
    assert all(value.shape == (1,) for value in found.values())
    return {name: float(value[0]) for name, value in found.items()}


def bent(poses: dict, axis: str, degrees: float, above: str) -> dict:
    """The spine from a vertebra up turned about the middle of that vertebra."""
    place = poses[above][0, :3, 3]
    about = pose(place=place) @ pose(turn(axis, degrees)) @ pose(place=-place)
    upper = NAMES[: NAMES.index(above) + 1]
    return {name: about @ own if name in upper else own for name, own in poses.items()}


def test_straight_spine_over_a_known_pelvis():
    found = read(standing(behind=0.1 * np.tan(np.radians(12)), above=0.1), vertebrae(slope=40))
    assert found["pelvic_tilt"] == pytest.approx(12)
    assert found["sacral_slope"] == pytest.approx(40)
    assert found["pelvic_incidence"] == pytest.approx(52)
    for name in (
        "t1_slope", "cervical_lordosis", "trunk_inclination", "coronal_cobb", "lumbar_flexion", "coronal_balance",
    ):  # fmt: skip
        assert found[name] == pytest.approx(0, abs=1e-9)
    # C7 stands above the middle of the endplate, 16 mm before its rear corner along a plate that slopes by 40°.
    assert found["sagittal_vertical_axis"] == pytest.approx(16 * np.cos(np.radians(40)))


@pytest.mark.parametrize("slope", [0, 25, 60])
def test_sva_counts_from_the_rear_corner(slope):
    """A deeper endplate leaves the spine where it is and moves the corner back."""
    values = [read(standing(), vertebrae(slope, depth))["sagittal_vertical_axis"] for depth in (0.0, 0.03, 0.04)]
    wanted = [1e3 * depth / 2 * np.cos(np.radians(slope)) for depth in (0.0, 0.03, 0.04)]
    np.testing.assert_allclose(values, wanted, atol=1e-9)
    plates = vertebrae(slope)
    bare = {**plates, "S1": replace(plates["S1"], superior=replace(plates["S1"].superior, rear=None))}
    with pytest.raises(InputError, match="no rear corner"):
        alignment.sagittal_vertical_axis(standing(), bare)


@pytest.mark.parametrize("rotation", [np.eye(3), turn("z", -70), turn("y", 110) @ turn("z", 35) @ turn("x", 25)])
def test_incidence_is_tilt_plus_slope_in_any_posture_and_does_not_change(rotation):
    found = read(moved(standing(), rotation, (1.0, 2.0, 3.0)))
    assert found["pelvic_incidence"] == pytest.approx(found["pelvic_tilt"] + found["sacral_slope"])
    assert found["pelvic_incidence"] == pytest.approx(read(standing())["pelvic_incidence"])


@pytest.mark.parametrize("heading", [30, 90, 180, -145])
def test_turning_about_the_vertical_and_walking_change_nothing(heading):
    curved = bent(bent(bent(standing(), "z", 15, "L3"), "x", 10, "T8"), "z", -25, "C7")
    still, turned = read(curved), read(moved(curved, turn("y", heading), (2.0, -0.5, 1.0)))
    assert turned == pytest.approx(still, abs=1e-9)
    assert abs(still["coronal_balance"]) > 1


@pytest.mark.parametrize("lean", [10, 45, -20])
def test_leaning_forward_as_a_whole_turns_all_that_counts_from_the_vertical_by_just_that(lean):
    before, after = read(standing()), read(moved(standing(), turn("z", -lean)))
    assert after["pelvic_tilt"] == pytest.approx(before["pelvic_tilt"] - lean)
    for name in ("sacral_slope", "t1_slope", "trunk_inclination"):
        assert after[name] == pytest.approx(before[name] + lean)
    for name in ("pelvic_incidence", "cervical_lordosis", "coronal_cobb", "lumbar_flexion"):
        assert after[name] == pytest.approx(before[name], abs=1e-9)
    # The corner lies 16 mm from the middle, at 40° above the horizontal, to the rear.
    height = 1e3 * standing()["C7"][0, 1, 3]
    corner = 16 * np.cos(np.radians(40 + lean))
    assert after["sagittal_vertical_axis"] == pytest.approx(height * np.sin(np.radians(lean)) + corner)


@pytest.mark.parametrize("lean", [8, -15])
def test_leaning_to_the_right_moves_the_plumb_line_to_the_right(lean):
    found = read(moved(standing(), turn("x", lean)))
    assert found["coronal_balance"] == pytest.approx(1e3 * standing()["C7"][0, 1, 3] * np.sin(np.radians(lean)))
    assert found["sagittal_vertical_axis"] == pytest.approx(16 * np.cos(np.radians(40)))


def test_neck_bent_back_is_lordosis_and_t1_bent_forward_is_slope():
    assert read(bent(standing(), "z", 14, "C4"))["cervical_lordosis"] == pytest.approx(14)
    found = read(bent(standing(), "z", -25, "T1"))
    assert found["t1_slope"] == pytest.approx(25)
    assert found["cervical_lordosis"] == pytest.approx(0, abs=1e-9)


def test_lumbar_flexion_is_what_bends_below_t12():
    assert read(bent(standing(), "z", -30, "L3"))["lumbar_flexion"] == pytest.approx(30)
    assert read(bent(standing(), "z", -30, "T8"))["lumbar_flexion"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("tilted", [0, 50])
def test_coronal_cobb_is_the_range_of_the_tilts_and_not_what_is_between_the_ends(tilted):
    """An S: 20° one way, 35° back. Ends tilt by 15°; the largest angle between two endplates is 35°."""
    curve = bent(bent(standing(), "x", 20, "L4"), "x", -35, "T9")
    assert read(moved(curve, turn("z", -tilted)))["coronal_cobb"] == pytest.approx(35)


def test_coronal_cobb_favours_neither_end_of_a_twisted_curve():
    """A turn of the upper part and its inverse are the same curve read from either end."""
    turns = (("x", 20), ("z", -25), ("y", 40))
    there = back = standing()
    for axis, degrees in turns:
        there = bent(there, axis, degrees, "T8")
    for axis, degrees in reversed(turns):
        back = bent(back, axis, -degrees, "T8")
    assert read(there)["coronal_cobb"] > 5
    assert read(there)["coronal_cobb"] == pytest.approx(read(back)["coronal_cobb"])


def test_coronal_cobb_of_a_wedged_vertebra_in_an_upright_column():
    plates, wedge = vertebrae(), np.radians(7)
    sloping = Endplate("T6", (0.0, 0.01, 0.0), (0.0, np.cos(wedge), np.sin(wedge)))
    plates["T6"] = Vertebra("T6", "T6", (0.0, 0.0, 0.0), sloping, plates["T6"].inferior)
    assert read(standing(), plates)["coronal_cobb"] == pytest.approx(7)


def test_bending_forward_is_no_coronal_curve():
    curve = standing()
    for name in TRUNK_VERTEBRAE[::2]:
        curve = bent(curve, "z", -5, name)
    assert read(curve)["coronal_cobb"] == pytest.approx(0, abs=1e-6)


def test_missing_frames_stay_missing_and_a_pelvis_on_its_side_has_no_sagittal_plane():
    gone = {name: np.full((1, 4, 4), np.nan) for name in standing()}
    assert all(np.isnan(value) for value in read(gone).values())
    aside = read(moved(standing(), turn("x", 90)))
    assert all(np.isnan(aside[name]) for name in ("pelvic_tilt", "sacral_slope", "trunk_inclination", *LENGTHS))
    assert aside["pelvic_incidence"] == pytest.approx(read(standing())["pelvic_incidence"])


def test_a_body_that_is_not_there_is_named():
    poses = standing()
    del poses["femur_l"]
    with pytest.raises(InputError, match="femur_l"):
        alignment.pelvic_tilt(poses, vertebrae())
