import re

import numpy as np
import pytest
import yaml

from simspine.anatomy.body import neutral_markers
from simspine.anatomy.marker_sets import read_marker_set
from simspine.anatomy.recipes import (
    VIRTUAL_SUFFIX,
    build_body,
    default_weights,
    fit_markers,
    place_inferred,
    read_recipe,
    virtual_spine_markers,
)
from simspine.anatomy.spine_from_joints import REQUIRED_JOINTS, infer_spine_points
from simspine.core.errors import InputError
from simspine.core.settings import models_folder, recipe_path
from simspine.core.skeletons import INFERRED_SUFFIX, VERTEBRA_OF
from simspine.core.types import Markers

FIFTEEN = [
    *("Hip", "Spine_01", "Spine_02", "Spine_03", "Spine_04", "Spine_05", "Neck", "Neck_02", "Neck_03", "Head", "Nose"),
    *("LClavicle", "RClavicle", "LLatissimus", "RLatissimus"),
]

SPINE = tuple(VERTEBRA_OF)


def at(body, name):
    i = body.marker_index(name)
    return body.marker_bodies[i], body.marker_offsets[i]


@pytest.mark.parametrize(
    ("name", "body", "offset"),
    [
        ("Hip", "pelvis", (-0.156261847, 0.00408845477, 0.0)),
        ("Spine_02", "lumbar3", (-0.0476992972, -0.00416146589, 0.0)),
        ("Spine_05", "torso", (-0.0750343156, 0.338510289, -0.000626252085)),
        ("RAnkle", "tibia_r", (-0.000286309761, -0.376839774, 0.0149595485)),
        ("LClavicle", "torso", (0.0297783607, 0.371409386, -0.0251333179)),
        ("LSmallToe", "toes_l", (0.0271166487, 0.00957164388, -0.0287801614)),
    ],
)
def test_release_markers_are_where_the_release_has_them(release, name, body, offset):
    carrier, found = at(release, name)
    assert carrier == body
    np.testing.assert_allclose(found, offset, atol=1e-12)


def test_release_set_is_complete(release):
    assert len(read_marker_set("simspine-release").places) == 33
    weights = default_weights("coupled", "simspine-release")
    assert (weights["LShoulder"], weights["Spine_03"], weights["LClavicle"], weights["Nose"]) == (2.0, 0.5, 0.3, 0.1)
    assert len([n for n in release.marker_names if not n.endswith((VIRTUAL_SUFFIX, INFERRED_SUFFIX))]) == 33


def test_a_body_is_made_once_until_something_of_it_changes(tmp_path):
    """The recipe, its base model, and where markers on the skin are."""
    entries = yaml.safe_load((models_folder() / "coupled.yaml").read_text()) | {"base": {"file": "mine.osim"}}
    recipe, base = tmp_path / "mine.yaml", tmp_path / "mine.osim"
    recipe.write_text(yaml.safe_dump(entries))
    base.write_text((models_folder() / "paper.osim").read_text())
    first = build_body(str(recipe), "centres")
    assert build_body(str(recipe), "centres") is first
    base.write_text(re.sub(r"<mass>[^<]*", "<mass>1.25", base.read_text()))
    heavier = build_body(str(recipe), "centres")
    assert "<mass>1.25</mass>" in heavier.osim
    recipe.write_text(yaml.safe_dump(entries | {"name": "other"}))
    assert build_body(str(recipe), "centres").name == "simspine_other_centres"
    near, far = (build_body(str(recipe), "centres", ("T7_skin",), height) for height in (0.007, 0.02))
    assert np.linalg.norm(at(far, "T7_skin")[1] - at(near, "T7_skin")[1]) == pytest.approx(0.013)


def test_where_the_points_of_a_skeleton_are_taken_to_lie():
    """SpinePose's at the centroids, as its authors say; the release's own at the release's places."""
    assert read_marker_set("spinetrack37").name == "vertebral"
    assert read_marker_set("simspine37").name == "simspine-release"


@pytest.mark.parametrize("skeleton", ["blazepose", "halpe26", "human36m", "simspine-release"])
def test_left_mirrors_right(skeleton):
    places = read_marker_set(skeleton).places
    for name, place in places.items():
        if name[0] == "R" and name[1].isupper():
            other = places["L" + name[1:]]
            tolerance = 2e-3 if name == "RClavicle" else 1e-6  # so in the release
            np.testing.assert_allclose(other.offset, np.array(place.offset) * [1, 1, -1], atol=tolerance)
            assert other.weight == place.weight
            assert other.body == place.body.removesuffix("_r") + ("_l" if place.body.endswith("_r") else "")


def test_virtual_spine_is_the_releases_whatever_the_detector(blazepose, release):
    for body in (blazepose, release):
        virtual = virtual_spine_markers(body)
        assert list(virtual) == FIFTEEN
        for point, marker in virtual.items():
            carrier, offset = at(body, marker)
            place = read_marker_set("simspine-release").places[point]
            assert carrier == place.body
            np.testing.assert_allclose(offset, place.offset, atol=1e-12)


def test_three_kinds_of_markers_do_not_mix(blazepose):
    assert "Spine_03" not in blazepose.marker_names  # BlazePose does not see it
    assert {"Spine_03_virtual", "Spine_03_inferred", "Nose", "Nose_virtual"} <= set(blazepose.marker_names)
    kinds = (21, 19, 25, 9)  # fitted; read out: points, centroids; inferred
    assert len(blazepose.marker_names) == sum(kinds)


@pytest.mark.parametrize("kind", ["blazepose", "release"])
def test_inferred_markers_are_where_their_points_are_in_the_neutral_pose(kind, request):
    """As the stage merge infers them: however well the joints are known, to a millimetre."""
    body = place_inferred(request.getfixturevalue(kind), "coupled")
    places = neutral_markers(body)
    found = places[[body.marker_index(name + INFERRED_SUFFIX) for name in SPINE]]
    joints = [name for name in (*REQUIRED_JOINTS, "LEar", "REar") if name in body.marker_names]
    xyz = places[[body.marker_index(name) for name in joints]][None]
    for sd, atol in ((1e-6, 1e-6), (0.01, 1e-3)):
        covariance = np.broadcast_to(sd**2 * np.eye(3), (*xyz.shape, 3))
        points = infer_spine_points(Markers(joints, 1, xyz, "y_up", covariance=covariance))
        np.testing.assert_allclose(points.xyz[0, points.indices(SPINE)], found, atol=atol)
    carriers = [body.marker_bodies[body.marker_index(name + INFERRED_SUFFIX)] for name in SPINE]
    assert carriers == ["pelvis", "lumbar5", "lumbar3", "lumbar1"] + ["torso"] * 5


def test_inferred_markers_lie_in_the_trunk(blazepose):
    """An independent look: 0–7 cm in front of the spinous processes and up to 4 cm above their tips, ascending."""
    places = neutral_markers(blazepose)
    inferred = places[[blazepose.marker_index(n + INFERRED_SUFFIX) for n in SPINE]]
    anatomical = places[[blazepose.marker_index(n + VIRTUAL_SUFFIX) for n in SPINE]]
    forward, up, _ = (inferred - anatomical).T
    assert (forward > 0).all()
    assert (forward < 0.07).all()
    assert (np.abs(up) < 0.04).all()
    np.testing.assert_allclose(inferred[:, 2], 0, atol=1e-3)
    assert (np.diff(inferred[:, 1]) > 0).all()


def test_hips_and_shoulders_are_enough_to_infer_the_spine(tmp_path):
    body = build_body("coupled", "human36m17")
    assert [name for name in body.marker_names if name.endswith(INFERRED_SUFFIX)] == [
        name + INFERRED_SUFFIX for name in SPINE
    ]
    assert len(body.marker_names) == 12 + 19 + 25 + 9
    limbs = tmp_path / "legs.yaml"
    limbs.write_text("name: legs\nmarkers:\n  LHip: {body: femur_l, offset: [0, 0, 0]}\n")
    assert not [name for name in build_body("coupled", str(limbs)).marker_names if name.endswith(INFERRED_SUFFIX)]


def test_plain_names_serve_as_virtual_markers_in_models_from_elsewhere(release):
    from simspine.anatomy.body import Body

    plain = Body.from_text(release.osim.replace("_virtual", "_other"))
    assert virtual_spine_markers(plain)["Spine_04"] == "Spine_04"
    with pytest.raises(InputError, match="none of the spine's markers"):
        virtual_spine_markers(Body.from_text(release.osim.replace('<Marker name="', '<Marker name="X')))


def test_unknown_names_list_those_there_are():
    with pytest.raises(InputError, match="Did you mean 'blazepose33'"):
        build_body("coupled", "blazepose32")
    with pytest.raises(InputError, match="coupled"):
        build_body("cuopled", "blazepose")
    with pytest.raises(InputError, match="does not exist"):
        recipe_path("nowhere/else.yaml")


def test_a_recipe_of_ones_own(tmp_path):
    data = yaml.safe_load((models_folder() / "markers" / "human36m.yaml").read_text())
    data["markers"]["LKnee"]["body"] = "femur"
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(InputError, match=r"unknown body 'femur'.*LKnee.*femur_l"):
        build_body("coupled", str(path))
    path.write_text("markers: {LKnee: {body: femur_l, offset: [1, 2]}}")
    with pytest.raises(InputError, match="not a marker set"):
        read_marker_set(str(path))
    path.write_text("name: mine")
    with pytest.raises(InputError, match=r"not a body recipe.*virtual"):
        read_recipe(str(path))
    path.write_text("from: coupled\nstatur: 2")
    with pytest.raises(InputError, match=r"unknown key 'statur' in .*mine.yaml. Did you mean 'stature'"):
        read_recipe(str(path))
    path.write_text("[1, 2]")
    with pytest.raises(InputError, match="not a mapping"):
        read_recipe(str(path))


def test_fit_markers_keeps_what_the_body_has(blazepose):
    markers = Markers(("Tail", "LKnee", "RSmallToe"), 50, np.zeros((2, 3, 3)))
    assert fit_markers(blazepose, markers).names == ("LKnee",)
    with pytest.raises(InputError, match=r"Tail.*LKnee"):
        fit_markers(blazepose, markers.select(["Tail"]))
