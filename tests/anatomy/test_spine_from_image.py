import numpy as np
import pytest
from stick_person import STANDING

from simspine.anatomy.spine_from_joints import spine_in_image
from simspine.core.skeletons import VERTEBRA_OF, load_skeleton

PX = 200.0  # px/m
TABLE = load_skeleton("simspine37")


def seen_from(degrees, without=()):
    """The standing person under parallel rays, turned so far to their left (0: they face the camera); px."""
    found = {}
    angle = np.radians(degrees)
    for name, (forward, left, up) in everybody().items():
        if name not in without:
            x = left * np.cos(angle) + forward * np.sin(angle)  # of the image: their left is its right
            found[name] = np.array([300 + PX * x, 500 - PX * up, 0.8])
    return found


def everybody():
    both = dict(STANDING)
    for name, (forward, left, up) in STANDING.items():
        if name[0] == "L":
            both["R" + name[1:]] = (forward, -left, up)
    return both


def joints_from(degrees, **options):
    return {name: point for name, point in seen_from(degrees, **options).items() if name not in VERTEBRA_OF}


@pytest.mark.parametrize("degrees", [0, 45, 90, 135, 180, 225, 270, 315])
def test_the_spine_lies_near_the_drawn_persons(degrees):
    found, truth = spine_in_image(joints_from(degrees)), seen_from(degrees)
    assert set(found) == set(VERTEBRA_OF)
    off = [np.linalg.norm(found[name][:2] - truth[name][:2]) / PX for name in VERTEBRA_OF]
    assert np.mean(off) < 0.05
    assert max(off) < 0.09


@pytest.mark.parametrize(("degrees", "way"), [(90, 1), (270, -1)])
def test_in_profile_the_sacrum_lies_behind_the_hips(degrees, way):
    """Facing right (90°), behind is on the left."""
    joints = joints_from(degrees)
    found, hips = spine_in_image(joints), (joints["LHip"][0] + joints["RHip"][0]) / 2
    for name in ("Hip", "Spine_01"):
        assert way * (found[name][0] - hips) < -0.02 * PX


@pytest.mark.parametrize("degrees", [10, 40, 90, 200])
def test_a_mirrored_image_has_the_mirrored_spine(degrees):
    joints = joints_from(degrees)
    other = {"L": "R", "R": "L"}
    mirrored = {other.get(name[0], name[0]) + name[1:]: point * [-1, 1, 1] for name, point in joints.items()}
    plain, again = spine_in_image(joints), spine_in_image(mirrored)
    for name in VERTEBRA_OF:
        np.testing.assert_allclose(again[name], plain[name] * [-1, 1, 1], atol=1.0)


def test_size_does_not_matter_and_confidence_follows_the_least_sure_joint():
    joints = joints_from(30)
    joints["LHip"] = joints["LHip"] * [1, 1, 0.5]
    small = spine_in_image({name: point * [0.2, 0.2, 1] for name, point in joints.items()})
    for name, place in spine_in_image(joints).items():
        np.testing.assert_allclose(small[name][:2], 0.2 * place[:2], rtol=1e-6)
        assert place[2] == pytest.approx(0.1 * 0.4)


@pytest.mark.parametrize("missing", ["LHip", "RShoulder"])
def test_without_a_hip_or_shoulder_there_is_none(missing):
    joints = joints_from(0)
    joints[missing] = np.array([np.nan, np.nan, 0.0])
    assert spine_in_image(joints) == {}


def test_without_ears_the_neck_is_there_all_the_same():
    assert set(spine_in_image(joints_from(20, without=("LEar", "REar")))) == set(VERTEBRA_OF)


def test_a_person_of_one_pixel_is_none():
    assert spine_in_image({name: np.array([5.0, 5.0, 1.0]) for name in joints_from(0)}) == {}
