"""The clavicles of the articulated body: they turn about the sternoclavicular joint and carry the arm, nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import yaml

from simspine.anatomy.body import body_poses, forward_kinematics, neutral_motion, neutral_poses
from simspine.anatomy.priors import MarkerErrors, Smoothness
from simspine.anatomy.recipes import build_body, read_prior, read_recipe
from simspine.anatomy.scaling import measure_factors
from simspine.core.errors import InputError
from simspine.core.settings import models_folder, pose2sim_folder
from simspine.core.types import Markers, Motion
from simspine.estimation.inverse_kinematics import inverse_kinematics
from simspine.report.bones import read_polygons

SIDES = {"r": 1.0, "l": -1.0}
ARM = ("humerus", "ulna", "radius", "hand")


@pytest.fixture(scope="module")
def body():
    return build_body("articulated", "blazepose33")


@pytest.fixture(scope="module")
def marked():
    """With points on the spine and beside the breastbone."""
    return build_body("articulated", "simspine-release")


@pytest.fixture(scope="module")
def plan():
    return read_recipe("articulated").articulation


def moved(body, **degrees):
    """{body: (4, 4)} with coordinates given in degrees."""
    poses = body_poses(body, neutral_motion(body, {name: np.radians(v) for name, v in degrees.items()}))
    return {name: pose[0] for name, pose in poses.items()}


@pytest.mark.parametrize("side", "rl")
def test_joint_is_at_the_inner_end_of_the_meshs_clavicle(plan, side):
    """The drawn clavicles are the two pieces of the trunk's mesh that lie above its top rib, beside the midline."""
    points, _ = read_polygons(pose2sim_folder() / "Geometry" / "hat_ribs_scap.vtp")
    points = points * [1, 1.1, 1] + [0.0085, -0.045, 0]  # as the model file places it on the torso
    z = SIDES[side] * points[:, 2]
    near = points[(z > 0.0105) & (z < 0.0135) & (points[:, 1] > 0.365) & (points[:, 0] > 0.015)]
    assert len(near) > 10
    np.testing.assert_allclose(plan.origins[f"clavicle_{side}"], near.mean(0), atol=4e-3)


@pytest.mark.parametrize("side", "rl")
@pytest.mark.parametrize(("motion", "axis"), [("elevation", 1), ("protraction", 0)])
def test_shoulder_moves_on_a_circle_up_and_forward(body, side, motion, axis):
    rest, turned = moved(body), moved(body, **{f"clavicle_{motion}_{side}": 25.0})
    centre = rest[f"clavicle_{side}"][:3, 3]
    before, after = (poses[f"humerus_{side}"][:3, 3] - centre for poses in (rest, turned))
    still = {"elevation": 0, "protraction": 1}[motion]  # along the axis of rotation
    plane = [i for i in range(3) if i != still]
    assert after[still] == pytest.approx(before[still], abs=1e-12)
    angle = np.arccos(before[plane] @ after[plane] / (np.linalg.norm(before[plane]) * np.linalg.norm(after[plane])))
    assert np.degrees(angle) == pytest.approx(25.0)
    assert after[axis] - before[axis] > 0.05
    others = {f"{name}_{side}" for name in (*ARM, "clavicle")}
    for name in set(rest) - others:
        np.testing.assert_allclose(turned[name], rest[name], atol=1e-12, err_msg=name)


def test_protraction_comes_first_about_the_thorax_upward_axis(body):
    poses = moved(body, clavicle_protraction_r=20.0, clavicle_elevation_r=15.0)
    c, s = np.cos(np.radians(20)), np.sin(np.radians(20))
    about_y = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    c, s = np.cos(np.radians(-15)), np.sin(np.radians(-15))
    about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    np.testing.assert_allclose(poses["T4"][:3, :3].T @ poses["clavicle_r"][:3, :3], about_y @ about_x, atol=1e-12)


def test_sides_mirror_each_other(body):
    mirror = np.diag([1.0, 1.0, -1.0])
    pose = {"clavicle_elevation": 18.0, "clavicle_protraction": -12.0, "arm_flex": 30.0, "arm_add": -40.0}
    right = moved(body, **{f"{name}_r": v for name, v in pose.items()})
    left = moved(body, **{f"{name}_l": v for name, v in pose.items()})
    for name in ("clavicle", "humerus"):
        a, b = right[f"{name}_r"], left[f"{name}_l"]
        np.testing.assert_allclose(mirror @ a[:3, 3], b[:3, 3], atol=1e-9)
        np.testing.assert_allclose(mirror @ a[:3, :3] @ mirror, b[:3, :3], atol=1e-9)


@pytest.mark.parametrize("skeleton", ["simspine-release", "blazepose", "halpe26", "human36m", "centres"])
def test_shoulder_points_ride_on_the_arms_side(skeleton):
    built = build_body("articulated", skeleton)
    carriers = dict(zip(built.marker_names, built.marker_bodies, strict=True))
    for side, name in (("r", "RShoulder"), ("l", "LShoulder")):
        assert carriers[name] == (f"humerus_{side}" if skeleton == "centres" else f"clavicle_{side}")
    assert {carriers[name] for name in ("RClavicle_virtual", "LClavicle_virtual")} == {"T4"}


@pytest.mark.parametrize("recipe", ["articulated", "coupled", "paper"])
def test_hips_of_joint_centres_lie_in_the_joints_and_ride_on_the_pelvis(recipe):
    built = build_body(recipe, "centres")
    poses = neutral_poses(built)
    for point, bone in (("RHip", "femur_r"), ("LHip", "femur_l")):
        i = built.marker_index(point)
        assert built.marker_bodies[i] == "pelvis"
        place = poses["pelvis"] @ [*built.marker_offsets[i], 1.0]
        np.testing.assert_allclose(place, poses[bone][:, 3], atol=1e-9)


def moving(body, shrug=15.0, raised=0.0, frames=40):
    """Motion and its exact markers: shoulders go up by `shrug` degrees, hanging arms by `raised`, and back."""
    c = body.coordinates
    values = np.tile(neutral_motion(body, {"arm_add_r": -0.1, "arm_add_l": -0.1}).values, (frames, 1))
    up = np.radians(1.0) * np.sin(np.linspace(0, np.pi, frames)) ** 2
    for side in SIDES:
        values[:, c.index(f"clavicle_elevation_{side}")] = shrug * up
        values[:, c.index(f"arm_add_{side}")] -= raised * up
    motion = Motion(c.names, 50.0, values, c.rotational)
    exact = forward_kinematics(body, motion)
    fitted = [n for n in exact.names if not n.endswith(("_virtual", "_inferred"))]
    return motion, exact.select(fitted)


def solved(body, markers):
    return inverse_kinematics(
        body,
        markers,
        smoothness=Smoothness(),
        prior=read_prior("articulated"),
        errors=MarkerErrors(sd=1e-3),
    ).motion


def thorax_moved(body, motion, found, estimator):
    true, there = body_poses(body, motion)["T4"], body_poses(estimator, found)["T4"]
    return np.linalg.norm(true[:, :3, 3] - there[:, :3, 3], axis=1).max()


def test_a_shrug_is_found_and_leaves_the_thorax_where_it_is(marked):
    motion, markers = moving(marked)
    found = solved(marked, markers)
    for side in SIDES:
        error = found.column(f"clavicle_elevation_{side}") - motion.column(f"clavicle_elevation_{side}")
        assert np.degrees(np.abs(error)).max() < 0.5
    assert thorax_moved(marked, motion, found, marked) < 1e-3


def test_raised_arms_leave_the_thorax_where_it_is(marked):
    motion, markers = moving(marked, shrug=12.0, raised=110.0)
    assert thorax_moved(marked, motion, solved(marked, markers), marked) < 1e-3


def test_an_unobserved_girdle_stays_at_rest(body):
    """Without points of the arms nothing says where the shoulders are."""
    _, markers = moving(body)
    kept = [n for n in markers.names if not n.endswith(("Shoulder", "Elbow", "Wrist"))]
    found = solved(body, markers.select(kept))
    for motion in ("elevation", "protraction"):
        for side in SIDES:
            assert np.abs(found.column(f"clavicle_{motion}_{side}")).max() < np.radians(0.2)


def test_clavicles_grow_with_the_torso(body):
    segments = {s.name: s.bodies for s in read_recipe("articulated").segments}
    assert {"clavicle_r", "clavicle_l", "T4"} <= set(segments["torso"])
    still = neutral_motion(body, {"arm_add_r": 0.0, "arm_add_l": 0.0})
    one = forward_kinematics(body, still)
    large = Markers(one.names, 50.0, np.repeat(one.xyz, 10, 0) * 1.1, "y_up")
    factors = measure_factors(body, large, "articulated")
    assert factors.by_body["clavicle_r"] == factors.by_body["T4"] == pytest.approx(1.1, abs=1e-6)


def test_what_a_recipe_may_say_of_clavicles(plan, tmp_path):
    with pytest.raises(InputError, match="part of the split body 'clavicle_x'"):
        replace(plan, carries={"RShoulder": "clavicle_x"})
    data = yaml.safe_load((models_folder() / "articulated.yaml").read_text())
    del data["articulation"]["clavicle"]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(InputError, match=r"mine\.yaml"):
        read_recipe(str(tmp_path / "mine.yaml"))
