"""The compiled tree against OpenSim, joint kind by joint kind, and its derivatives against differences."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from opensim_poses import poses_by_opensim

from simspine.anatomy import osim as _opensim
from simspine.anatomy.body import Body, body_poses
from simspine.anatomy.tree import all_coordinates, all_poses, markers_and_jacobian
from simspine.core.errors import InputError
from simspine.core.settings import pose2sim_folder
from simspine.core.types import Motion


@pytest.fixture(scope="module")
def osim():
    return _opensim.opensim_api()


def with_markers(model, osim, rng, per_body=2):
    for body in list(model.getBodySet()):
        for k in range(per_body):
            offset = osim.Vec3(*map(float, rng.normal(0, 0.1, 3)))
            model.addMarker(osim.Marker(f"{body.getName()}_{k}", body, offset))
    model.finalizeConnections()
    return Body.from_text(_opensim.opensim_model_xml(model))


def packaged(osim, name, rng):
    model = osim.Model(str(pose2sim_folder() / name))
    model.updForceSet().clearAndDestroy()
    model.updMarkerSet().clearAndDestroy()
    return with_markers(model, osim, rng)


def every_joint(osim, rng):
    """A chain of all kinds of joints, with turned and shifted frames, and every kind of function."""
    model = osim.Model()
    model.setName("zoo")
    parent = model.getGround()

    def frames():
        return [osim.Vec3(*map(float, rng.uniform(-0.4, 0.4, 3))) for _ in range(4)]

    def add(kind, name):
        nonlocal parent
        body = osim.Body(name, 1.0, osim.Vec3(0), osim.Inertia(1, 1, 1))
        model.addBody(body)
        joint = getattr(osim, kind)(f"j_{name}", parent, *frames()[:2], body, *frames()[:2])
        model.addJoint(joint)
        parent = body
        return joint

    add("FreeJoint", "free")
    for kind in ("PinJoint", "SliderJoint", "UniversalJoint", "GimbalJoint", "BallJoint", "PlanarJoint", "WeldJoint"):
        add(kind, kind.lower())
    body = osim.Body("custom", 1.0, osim.Vec3(0), osim.Inertia(1, 1, 1))
    model.addBody(body)
    transform = osim.SpatialTransform()
    names = osim.ArrayStr()
    names.append("custom_q")
    for m in range(6):
        axis = transform.updTransformAxis(m)
        axis.setCoordinateNames(names)
        vector = rng.normal(size=3)
        axis.setAxis(osim.Vec3(*map(float, vector / np.linalg.norm(vector))))
    joint = osim.CustomJoint("j_custom", parent, *frames()[:2], body, *frames()[:2], transform)
    model.addJoint(joint)
    model.finalizeConnections()
    made = with_markers(model, osim, rng)
    return Body.from_text(with_functions(made.osim, rng))


def with_functions(text, rng):
    """Each kind of function on the six axes of the custom joint; in the file, since the API would share ownership."""
    xs = " ".join(f"{x:g}" for x in np.linspace(-1, 1, 6))

    def points(kind, name=""):
        ys = " ".join(f"{y:.6f}" for y in rng.uniform(-0.3, 0.3, 6))
        return f"<{kind}{name}><x>{xs}</x><y>{ys}</y></{kind}>"

    kinds = [
        "<LinearFunction><coefficients>0.8 0.1</coefficients></LinearFunction>",
        "<PolynomialFunction><coefficients>0.2 -0.3 0.05</coefficients></PolynomialFunction>",
        points("SimmSpline"),
        points("PiecewiseLinearFunction"),
        f"<MultiplierFunction><function>{points('SimmSpline')}</function><scale>0.5</scale></MultiplierFunction>",
        "<Constant><value>0.07</value></Constant>",
    ]
    document = ET.fromstring(text)
    joint = next(j for j in document.iter("CustomJoint") if j.get("name") == "j_custom")
    for axis, kind in zip(joint.iter("TransformAxis"), kinds, strict=True):
        for old in [
            child for child in axis if child.find("coefficients") is not None or child.tag.endswith("Function")
        ]:
            axis.remove(old)
        function = ET.fromstring(kind)
        function.set("name", "function")
        axis.append(function)
        if kind.startswith("<Constant"):
            axis.find("coordinates").text = ""
    return ET.tostring(document, encoding="unicode")


MODELS = {
    "flex": lambda osim, rng: packaged(osim, "Model_Pose2Sim_muscles_flex.osim", rng),
    "simple": lambda osim, rng: packaged(osim, "Model_Pose2Sim_simple.osim", rng),
    "every joint": every_joint,
}


@pytest.fixture(scope="module", params=MODELS)
def body(request, osim):
    return MODELS[request.param](osim, np.random.default_rng(5))


def random_values(body, count, rng):
    c = body.coordinates
    values = rng.uniform(np.clip(c.lower, -1.5, 1.5), np.clip(c.upper, -1.5, 1.5) + 1e-9, (count, len(c)))
    return np.where(c.locked, c.default, values)


def test_poses_are_opensims(body):
    values = random_values(body, 500, np.random.default_rng(0))
    R, p, x = all_poses(body.tree, values)
    expected = poses_by_opensim(body, values)
    np.testing.assert_allclose(R[:, 1:], expected[0], atol=1e-8)
    np.testing.assert_allclose(p[:, 1:], expected[1], atol=1e-8)
    np.testing.assert_allclose(x, expected[2], atol=1e-8)


def test_jacobian_is_the_difference_quotient(body):
    rng = np.random.default_rng(1)
    for _ in range(5):
        z = random_values(body, 1, rng)[0][body.tree.free]
        _, J = markers_and_jacobian(body.tree, z)
        h = 1e-6
        for i, column in enumerate(body.tree.free):
            ahead, behind = z.copy(), z.copy()
            ahead[i] += h
            behind[i] -= h
            ends = [markers_and_jacobian(body.tree, q)[0] for q in (ahead, behind)]
            np.testing.assert_allclose(
                J[:, i], (ends[0] - ends[1]) / (2 * h), atol=2e-8,
                err_msg=f"column {i}: {body.coordinates.names[column]}",
            )  # fmt: skip


def test_couplers_are_followed(osim):
    body = MODELS["flex"](osim, np.random.default_rng(0))
    z = np.full((1, body.tree.free.size), 0.1)
    values, factor = all_coordinates(body.tree, z)
    named = dict(zip(body.coordinates.names, values[0], strict=True))
    slope = dict(zip(body.coordinates.names, factor[0], strict=True))
    assert named["L4_L5_Flex_Ext"] == pytest.approx(0.1 * 1.8571)
    assert slope["L4_L5_Flex_Ext"] == pytest.approx(1.8571)
    assert named["Abs_t1"] == 0.0 == slope["Abs_t1"]  # locked
    assert named["knee_angle_r_beta"] == pytest.approx(0.1)


def test_a_loop_is_named_and_left_out(osim):
    """Poses of given coordinates are OpenSim's all the same."""
    model = osim.Model()
    for name in ("a", "b"):
        body = osim.Body(name, 1.0, osim.Vec3(0), osim.Inertia(1, 1, 1))
        model.addBody(body)
        model.addJoint(osim.FreeJoint(f"j_{name}", model.getGround(), body))
    tie = osim.PointConstraint(model.getBodySet().get("a"), osim.Vec3(0), model.getBodySet().get("b"), osim.Vec3(0))
    tie.setName("tie")
    model.addConstraint(tie)
    model.finalizeConnections()
    with pytest.warns(UserWarning, match=r"'tie' is a PointConstraint.*loop; it is left out"):
        body = Body.from_text(_opensim.opensim_model_xml(model))
    values = np.linspace(-0.5, 0.6, len(body.coordinates.names))
    motion = Motion(body.coordinates.names, 1.0, [values], body.coordinates.rotational)
    state = model.initSystem()
    for name, value in zip(body.coordinates.names, values, strict=True):
        model.getCoordinateSet().get(name).setValue(state, float(value), False)
    model.realizePosition(state)
    for name, pose in body_poses(body, motion).items():
        there = model.getBodySet().get(name).getPositionInGround(state)
        np.testing.assert_allclose(pose[0, :3, 3], [there.get(k) for k in range(3)], atol=1e-12)


def test_an_unknown_joint_is_refused_by_name(osim):
    model = osim.Model()
    body = osim.Body("a", 1.0, osim.Vec3(0), osim.Inertia(1, 1, 1))
    model.addBody(body)
    joint = osim.EllipsoidJoint("ball", model.getGround(), body, osim.Vec3(0.1, 0.2, 0.3))
    model.addJoint(joint)
    model.finalizeConnections()
    with pytest.raises(InputError, match="'ball' is a EllipsoidJoint"):
        Body.from_text(_opensim.opensim_model_xml(model))


def two_links(osim):
    """The file's text of a thigh on a pin joint and a shank on another."""
    model, parent = osim.Model(), None
    for name in ("thigh", "shank"):
        body = osim.Body(name, 2.0, osim.Vec3(0), osim.Inertia(1, 1, 1))
        model.addBody(body)
        joint = osim.PinJoint(f"j_{name}", parent or model.getGround(), osim.Vec3(0.1, 0, 0), osim.Vec3(0), body,
                              osim.Vec3(0, 0.3, 0), osim.Vec3(0))  # fmt: skip
        model.addJoint(joint)
        parent = body
    model.finalizeConnections()
    return _opensim.opensim_model_xml(model)


def with_custom_foot(text, axis):
    """The text with a foot on a CustomJoint, of whose axis translation1 this is the content."""
    frames = "".join(
        f'<PhysicalOffsetFrame name="{name}"><socket_parent>/bodyset/{body}</socket_parent></PhysicalOffsetFrame>'
        for name, body in (("before", "shank"), ("after", "foot"))
    )
    joint = (
        '<CustomJoint name="ankle"><socket_parent_frame>before</socket_parent_frame>'
        '<socket_child_frame>after</socket_child_frame><coordinates><Coordinate name="flexion"/></coordinates>'
        f'<frames>{frames}</frames><SpatialTransform><TransformAxis name="rotation1"><coordinates>flexion</coordinates>'
        "<axis>0 0 1</axis><LinearFunction><coefficients>1 0</coefficients></LinearFunction></TransformAxis>"
        '<TransformAxis name="rotation2"><axis>0 1 0</axis></TransformAxis>'
        '<TransformAxis name="rotation3"><axis>1 0 0</axis></TransformAxis>'
        f'<TransformAxis name="translation1">{axis}</TransformAxis>'
        '<TransformAxis name="translation2"><axis>0 1 0</axis></TransformAxis>'
        '<TransformAxis name="translation3"><axis>0 0 1</axis></TransformAxis></SpatialTransform></CustomJoint>'
    )
    document = ET.fromstring(text)
    document.find("Model/JointSet/objects").append(ET.fromstring(joint))
    document.find("Model/BodySet/objects").append(ET.fromstring('<Body name="foot"><mass>1</mass></Body>'))
    return ET.tostring(document, encoding="unicode")


SPLINE = "<SimmSpline><x>{}</x><y>0.1 0.2 0.4</y></SimmSpline>"


@pytest.mark.parametrize(
    ("coordinate", "function", "said"),
    [
        ("flexion", "<KneeFunction><b>2</b></KneeFunction>", r"translation1\) has the function <KneeFunction>, no"),
        ("flexion", "<function><KneeFunction/></function>", "has the function <KneeFunction>, no"),
        ("", SPLINE.format("-1 0 2"), "<SimmSpline>, but no coordinate"),
        ("", "<LinearFunction><coefficients>1 0</coefficients></LinearFunction>", "<LinearFunction>, but no coord"),
        ("flexion", SPLINE.format("-1 2 2"), r"'ankle' uses a SimmSpline of x = \[-1.0, 2.0, 2.0\]"),
    ],
)
def test_a_function_that_opensim_would_not_follow_is_refused(osim, coordinate, function, said):
    """It takes an unknown one for a constant, and reads memory at random for an argument that is not there."""
    with pytest.raises(InputError, match=said):
        Body.from_text(with_custom_foot(two_links(osim), f"<coordinates>{coordinate}</coordinates>{function}"))


def test_a_scaled_constant_needs_no_coordinate(osim):
    scaled = "<MultiplierFunction><function><Constant><value>0.2</value></Constant></function><scale>1.5</scale>"
    text = with_custom_foot(two_links(osim), f"<coordinates/><axis>1 0 0</axis>{scaled}</MultiplierFunction>")
    body = Body.from_text(text)
    poses = body_poses(body, Motion(("flexion",), 1.0, [[0.4]], [True]))
    np.testing.assert_allclose(poses["foot"][0, :3, 3] - poses["shank"][0, :3, 3], [0.3, 0, 0], atol=1e-12)


def test_a_body_that_two_joints_place_is_refused(osim):
    document = ET.fromstring(two_links(osim))
    frames = "<socket_parent_frame>/ground</socket_parent_frame><socket_child_frame>/bodyset/shank</socket_child_frame>"
    joint = f'<PinJoint name="second">{frames}<coordinates><Coordinate name="turn"/></coordinates></PinJoint>'
    document.find("Model/JointSet/objects").append(ET.fromstring(joint))
    with pytest.raises(InputError, match="to a body of its own: its child is 'shank'"):
        Body.from_text(ET.tostring(document, encoding="unicode"))


def test_a_joint_from_the_body_to_the_ground_is_refused(osim):
    text = re.sub(
        r">ground_offset<(.*?)>thigh_offset<", r">thigh_offset<\1>ground_offset<", two_links(osim), flags=re.S
    )
    with pytest.raises(InputError, match=r"'j_thigh' .* its child is 'ground'\. Exchange its parent and child"):
        Body.from_text(text)


def test_a_coordinate_prescribed_over_time_is_named(osim):
    prescribed = "<prescribed_function><Constant><value>0.4</value></Constant></prescribed_function>"
    text = with_custom_foot(two_links(osim), "<axis>1 0 0</axis>").replace(
        '<Coordinate name="flexion" />',
        f'<Coordinate name="flexion">{prescribed}<prescribed>true</prescribed></Coordinate>',
    )
    with pytest.warns(UserWarning, match="prescribes flexion as functions of time"):
        assert "flexion" in Body.from_text(text).free_names


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("PinJoint", "KneeOfMyPlugin", "it knows no <KneeOfMyPlugin>, perhaps of a plugin"),
        ("</Model>", '</Model><Model name="another" />', "holding Model, Model"),
        (' Version="', ' version="', "required attribute Version"),
    ],
)
def test_what_opensim_cannot_read_is_named(osim, old, new, said):
    with pytest.raises(InputError, match=said):
        Body.from_text(two_links(osim).replace(old, new))
