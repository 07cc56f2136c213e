"""Points on a body: their agreement with the angles, and what hides them."""

import numpy as np
import pytest
from small_dataset import camera

from simspine.anatomy.body import Body, body_poses, follow_couplers, forward_kinematics, neutral_motion
from simspine.anatomy.curvature import read_endplates, scale_vertebrae
from simspine.anatomy.occlusion import REFERENCE_THIGH_M, bone_capsules, hidden_points
from simspine.anatomy.osim import load_opensim_model, opensim_model_xml, scale_opensim_model
from simspine.anatomy.recipes import build_body, read_recipe, vertebra_markers
from simspine.anatomy.split_torso import carried_vertebrae
from simspine.anatomy.vertebrae import vertebra_centroids
from simspine.core.errors import InputError
from simspine.core.geometry import change_frame
from simspine.core.skeletons import load_skeleton
from simspine.core.types import Camera, Motion
from simspine.reconstruction.publish import body_points, check_points_follow_angles
from simspine.synthesis.bodies import body_landmarks

NAMES = load_skeleton("simspine37").names
FACE = ("LEye", "REye", "LEar", "REar")


@pytest.fixture(scope="module")
def body():
    return build_body("coupled", "simspine37")


@pytest.fixture(scope="module")
def motion(body):
    """Three frames: upright, bent, unknown."""
    upright = neutral_motion(body, {"pelvis_ty": 0.95}).values[0]
    bent = neutral_motion(body, {"pelvis_ty": 0.95, "hip_flexion_r": 0.6, "L5_S1_Flex_Ext": -0.1}).values[0]
    values = np.stack([upright, bent, np.full_like(upright, np.nan)])
    return Motion(body.coordinates.names, 50, values, body.coordinates.rotational)


def test_spine_from_virtual_markers_limbs_from_their_own(body, motion):
    found, known = body_points(body, motion, NAMES), forward_kinematics(body, motion)
    assert found.names == NAMES
    assert found.frame == "y_up"
    for name in NAMES:
        marker = f"{name}_virtual" if f"{name}_virtual" in known.names else name
        if name not in FACE:
            np.testing.assert_array_equal(found.xyz[:, NAMES.index(name)], known.xyz[:, known.index(marker)])
    assert not found.present[2].any()


def test_eyes_and_ears_are_points_of_the_head(body, motion):
    """All 37 points, whatever the detector: eyes and ears where a face has them, 62 and 145 mm apart."""
    found = body_points(body, motion, NAMES)
    assert found.present[:2].all()
    at = {name: found.xyz[:2, NAMES.index(name)] for name in FACE}
    head = body_poses(body, motion)["head"][:2]
    for name, place in at.items():
        local = np.einsum("fji,fj->fi", head[:, :3, :3], place - head[:, :3, 3])
        np.testing.assert_allclose(local[1], local[0], atol=1e-12)  # rigid with the head
        np.testing.assert_allclose(local[0], body_landmarks()[name][1], atol=1e-12)
    for pair, apart in ((("LEye", "REye"), 0.062), (("LEar", "REar"), 0.145)):
        np.testing.assert_allclose(np.linalg.norm(at[pair[0]] - at[pair[1]], axis=-1), apart, atol=1e-3)
    blazepose = build_body("coupled", "blazepose")  # has its own markers there, and fits them
    own = body_points(blazepose, motion, FACE).xyz[0]
    np.testing.assert_array_equal(own, forward_kinematics(blazepose, motion).select(FACE).xyz[0])


@pytest.mark.parametrize("recipe", ["coupled", "articulated"])
def test_centroids_are_those_of_the_vertebrae_in_their_poses(recipe):
    """The body's markers against centroid and pose of each vertebra, on a sized body in any posture."""
    body = build_body(recipe, "simspine-release")
    factors = {name: 0.9 + 0.2 * (i % 3) / 2 for i, name in enumerate(body.bodies)}
    model = load_opensim_model(body.osim)
    model.initSystem()
    scale_opensim_model(model, factors, 70.0)
    sized = Body.from_text(opensim_model_xml(model))
    rng = np.random.default_rng(3)
    free = body.coordinates.free
    values = np.tile(neutral_motion(sized).values, (4, 1))
    values[:, free] += rng.normal(0, 0.2, (4, int(free.sum())))
    motion = Motion(body.coordinates.names, 50, follow_couplers(sized, values), body.coordinates.rotational)
    vertebrae = scale_vertebrae(carried_vertebrae(read_recipe(recipe).partition, read_endplates()), factors)
    wanted = vertebra_centroids(body_poses(sized, motion), vertebrae, 50)
    found = body_points(sized, motion, wanted.names)
    assert len(found.names) == 25
    np.testing.assert_allclose(found.xyz, wanted.xyz, atol=1e-9)
    assert vertebra_markers(sized) == {level: f"{level}_virtual" for level in wanted.names}


def test_agreement_is_measured(body, motion):
    points = body_points(body, motion, NAMES)
    assert check_points_follow_angles(body, motion, points, "S1/a") == 0.0
    xyz = points.xyz.copy()
    xyz[1, 20, 2] += 4e-7
    assert check_points_follow_angles(body, motion, points.with_(xyz=xyz), "S1/a") == pytest.approx(4e-7, rel=1e-6)


@pytest.mark.parametrize(("change", "message"), [
    (lambda xyz: xyz.__setitem__((1, 3), xyz[1, 3] + 2e-6), "Spine_03 and 0 others, frames 1–1, 0.00346 mm off"),
    (lambda xyz: xyz.__setitem__((0, 4), np.nan), "Spine_04 and 0 others, frames 0–0, missing in one"),
    (lambda xyz: xyz.__setitem__(2, 0.0), "frames 2–2, missing in one"),
    (lambda xyz: xyz.__imul__(1000), "frames 0–1, "),
])  # fmt: skip
def test_disagreement_is_refused(body, motion, change, message):
    points = body_points(body, motion, NAMES)
    xyz = points.xyz.copy()
    change(xyz)
    with pytest.raises(InputError, match=f"S1/a: the points are not.*{message}"):
        check_points_follow_angles(body, motion, points.with_(xyz=xyz), "S1/a")


def test_capsules_by_known_geometry():
    places = {name: np.array([[0.0, y, 0]]) for name, y in (("femur_r", 1.0), ("tibia_r", 0.6), ("talus_r", 0.2))}
    ends, radii = bone_capsules(places)
    assert ends.shape == (1, 2, 2, 3)  # thigh and shank; nothing is known of the rest
    np.testing.assert_allclose(ends[0, :, :, 1], [[1.0, 0.6], [0.6, 0.2]])
    np.testing.assert_allclose(radii, np.array([0.078, 0.050]) * 0.4 / REFERENCE_THIGH_M)


def around(angle: float) -> Camera:
    """On a circle of 4 m at the height of the chest; angle 0 is in front (OpenSim's +x is world z_up's +y)."""
    return turned(camera("c", 0.0), angle)


def turned(view: Camera, angle: float) -> Camera:
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    R = view.R @ turn.T
    return view.with_(R=R, t=-R @ turn @ view.centre)


def test_the_trunk_hides_the_other_side(body, motion):
    upright = motion.with_(values=motion.values[:1])
    points = body_points(body, upright, NAMES)
    forward = change_frame(np.array([1.0, 0, 0]), "y_up", "z_up")
    views = [around(angle) for angle in (0, np.pi / 2, np.pi, 3 * np.pi / 2)]
    side = [view.centre @ forward for view in views]
    front, back = int(np.argmax(side)), int(np.argmin(side))
    assert side[front] == pytest.approx(4)
    hidden = hidden_points(body, upright, points, views)[:, 0]

    def hides(name):
        return hidden[:, NAMES.index(name)]

    for name in ("Spine_04", "Spine_05"):
        assert hides(name)[front]
        assert not hides(name)[back]
    for name in ("LClavicle", "RClavicle"):
        assert hides(name)[back]
        assert not hides(name)[front]
    right = change_frame(np.array([0, 0, 1.0]), "y_up", "z_up")  # OpenSim's z is the person's right
    from_right = int(np.argmax([view.centre @ right for view in views]))
    assert hides("LHip")[from_right]
    assert not hides("RHip")[from_right]
    assert not hides("RWrist")[from_right]  # the arm is stretched towards that camera
