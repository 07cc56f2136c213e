"""What reaches the page is what was handed in: to a tenth of a millimetre, with gaps, in few bytes."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from player_data import unpack
from player_scene import FRAMES, HOSTILE, box
from scipy.spatial.transform import Rotation
from tools.vendor_three import CHECKSUM, LIBRARY, VERSION, used_names

from simspine.core.arrays import NORMAL_95
from simspine.core.geometry import change_frame, project_one
from simspine.report.bones import Block, Bone, bones_of_model, join_bones, joint_pairs, read_vtp, thin_triangles
from simspine.report.scene import (
    camera_frustum,
    floor_height,
    pack_scene,
    page_scripts,
    tube_radius,
    unit_quaternions,
)


def read(packed):
    return unpack(packed.header, packed.block)


def test_numbers_survive(scene):
    header, arrays = read(pack_scene(scene))
    assert header["frames"] == FRAMES
    np.testing.assert_allclose(arrays["spine"], scene.spine.xyz, atol=5e-5)
    np.testing.assert_allclose(arrays["points"], scene.points.xyz, atol=5e-5)  # NaN where they were
    np.testing.assert_array_equal(arrays["filled"], scene.points.filled)
    poses = np.stack([scene.poses[name] for name in header["bodies"]], 1)
    np.testing.assert_allclose(arrays["place"], poses[..., :3, 3], atol=5e-5)
    known = np.isfinite(poses).all((2, 3))
    assert not known.all()
    np.testing.assert_array_equal(np.isfinite(arrays["turn"]).all(-1), known)
    turned = Rotation.from_quat(arrays["turn"][known]).as_matrix()
    np.testing.assert_allclose(turned, poses[known][:, :3, :3], atol=2e-4)
    np.testing.assert_allclose(arrays["curve/0"], scene.curves[0].values, atol=1e-3)
    for i, bone in enumerate(scene.bones):
        np.testing.assert_allclose(arrays[f"bone/{i}"], bone.points, atol=5e-5)
        np.testing.assert_array_equal(arrays[f"face/{i}"], bone.triangles)
        assert header["bodies"][header["bones"][i][0]] == bone.body


def test_poses_of_the_frames_kept_are_enough(scene):
    """Which frames the floor is looked for in is all that may differ."""
    most, step = -(-FRAMES // 4), 4
    whole = pack_scene(scene, most)
    for every in (2, 4):
        some = replace(scene, poses={name: pose[::every] for name, pose in scene.poses.items()}, step=every)
        found = pack_scene(some, most)
        (header, arrays), (wanted, others) = read(found), read(whole)
        assert header | {"floor": 0} == wanted | {"floor": 0}
        assert header["step"] == step
        for name, values in others.items():
            np.testing.assert_array_equal(arrays[name], values)


def test_the_header_says_which_curves_the_model_sets(scene):
    header, _ = read(pack_scene(scene))
    assert [(c["name"], c["note"], c["forced"]) for c in header["curves"]] == [("LLA", "", False), ("TKA", "set", True)]


def test_markers_on_the_skin_are_a_kind_of_their_own(scene):
    points = scene.points.with_(names=("LHip", "T7_skin", "Nose", "Head"))  # the third is given, the last inferred
    header, _ = read(pack_scene(replace(scene, points=points)))
    assert header["origin"] == ["detected", "skin", "given", "inferred"]


def test_every_frame_keeps_its_status(scene):
    header, arrays = read(pack_scene(scene))
    assert [header["status"][code][0] for code in arrays["status"]] == list(scene.status)
    assert header["status"][arrays["status"][11]] == ["rejected", "curvature_speed"]


def test_the_header_cannot_leave_its_element(scene):
    packed = pack_scene(scene)
    assert "<" not in packed.header
    assert json.loads(packed.header)["name"] == HOSTILE
    assert set(packed.block) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")


def test_long_trials_are_thinned_and_say_so(scene):
    header, arrays = read(pack_scene(scene, most=15))
    assert (header["frames"], header["step"], header["total"]) == (14, 3, FRAMES)
    assert header["rate"] == pytest.approx(scene.spine.rate / 3)
    np.testing.assert_allclose(arrays["spine"], scene.spine.xyz[::3], atol=5e-5)


@given(st.lists(st.one_of(st.floats(-20, 20), st.just(np.nan)), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_any_lengths_survive_to_half_a_step(values):
    block = Block()
    block.lengths("x", values)
    entry = block.entries["x"]
    raw = np.frombuffer(block.parts[0], "<i2", len(values))
    found = np.where(raw == -32768, np.nan, raw * entry["scale"] + entry["middle"])
    np.testing.assert_allclose(found, values, atol=0.51 * entry["scale"])
    assert entry["scale"] <= max(np.ptp([v for v in values if v == v] or [0]), 1e-9) / 65533


def test_quaternions_turn_as_the_matrices_do():
    turns = Rotation.random(20, rng=np.random.default_rng(0)).as_matrix().reshape(4, 5, 3, 3)
    np.testing.assert_allclose(
        Rotation.from_quat(unit_quaternions(turns).reshape(-1, 4)).as_matrix(), turns.reshape(-1, 3, 3), atol=1e-12
    )


def test_the_tube_is_an_interval_of_95_percent(scene):
    np.testing.assert_allclose(tube_radius(scene.spine)[3], NORMAL_95 * np.linspace(0.005, 0.03, 9))
    assert tube_radius(scene.spine.with_(covariance=None)) is None


def test_the_frustum_shows_the_corners_of_the_image(scene):
    camera = scene.cameras[1]
    corners = change_frame(camera_frustum(camera), "y_up", "z_up")
    np.testing.assert_allclose(corners[0], camera.centre, atol=1e-12)
    np.testing.assert_allclose(project_one(camera, corners[1:]), [[0, 0], [1000, 0], [1000, 800], [0, 800]], atol=1e-6)


def test_the_floor_is_under_the_feet(scene):
    assert floor_height(scene.poses, scene.bones, scene.points) == pytest.approx(-0.02, abs=0.02)
    assert floor_height({}, (), scene.points) == 0  # of a trunk: 0.9 m and more above the origin
    for up in (-0.85, 0.5):  # feet, and a frame of no one's floor
        moved = replace(scene.points, xyz=scene.points.xyz + np.array([0, up, 0]))
        assert floor_height({}, (), moved) == pytest.approx(np.nanmin(moved.xyz[..., 1]), abs=0.01)
    assert floor_height({}, (), None) == 0


# Bones


OSIM = """<OpenSimDocument><Model><BodySet><objects>
<Body name="pelvis"><attached_geometry><Mesh name="a"><scale_factors>2 1 1</scale_factors>
<mesh_file>r_pelvis.vtp</mesh_file></Mesh></attached_geometry></Body>
<Body name="T6"><components><PhysicalOffsetFrame name="f"><attached_geometry><Mesh name="b">
<mesh_file>thoracic6_s.vtp</mesh_file></Mesh><Mesh name="c"><mesh_file>gone.vtp</mesh_file></Mesh></attached_geometry>
<translation>0 0.1 0</translation><orientation>0 0 1.5707963267948966</orientation></PhysicalOffsetFrame></components>
</Body>
</objects></BodySet><JointSet><objects>
<WeldJoint name="g"><socket_parent_frame>/ground</socket_parent_frame>
<socket_child_frame>/bodyset/pelvis</socket_child_frame></WeldJoint>
<CustomJoint name="j"><socket_parent_frame>p</socket_parent_frame><socket_child_frame>c</socket_child_frame><frames>
<PhysicalOffsetFrame name="p"><socket_parent>/bodyset/pelvis</socket_parent></PhysicalOffsetFrame>
<PhysicalOffsetFrame name="c"><socket_parent>/bodyset/T6</socket_parent></PhysicalOffsetFrame></frames></CustomJoint>
</objects></JointSet></Model></OpenSimDocument>"""


@pytest.fixture
def meshes(tmp_path):
    cube = box("", 1.0)
    corners = " ".join(map(str, (cube.points + 0.5).ravel()))
    faces, ends = " ".join(map(str, cube.triangles.ravel())), " ".join(str(3 * i + 3) for i in range(12))
    for name in ("r_pelvis", "thoracic6_s"):
        (tmp_path / f"{name}.vtp").write_text(
            f'<VTKFile><PolyData><Piece><Points><DataArray format="ascii">{corners}</DataArray></Points><Polys>'
            f'<DataArray Name="connectivity">{faces}</DataArray><DataArray Name="offsets">{ends}</DataArray></Polys>'
            "</Piece></PolyData></VTKFile>"
        )
    return {path.name: read_vtp(path) for path in tmp_path.glob("*.vtp")}


def test_bones_lie_where_the_model_puts_them(meshes):
    pelvis, vertebra = bones_of_model(OSIM, meshes)
    np.testing.assert_allclose(np.ptp(pelvis.points, axis=0), [2, 1, 1])
    assert pelvis.kind == "bone"
    assert vertebra.kind == "vertebra"
    # x of the mesh is y of the body after a quarter turn about z; the frame sits 0.1 m up.
    np.testing.assert_allclose(vertebra.points.min(0), [-1, 0.1, 0], atol=1e-9)
    np.testing.assert_allclose(vertebra.points.max(0), [0, 1.1, 1], atol=1e-9)


def test_the_folder_of_a_mesh_does_not_count(meshes):
    """No file is read by a path in a model."""
    for folder in ("../", "..\\", "/etc/"):
        model = OSIM.replace("thoracic6_s", f"{folder}thoracic6_s")
        assert len(bones_of_model(model, meshes)) == 2
        assert not bones_of_model(model, {})


def test_joints_join_bodies():
    assert joint_pairs(OSIM) == (("pelvis", "T6"),)


def test_thinning_keeps_size_and_place():
    rng = np.random.default_rng(2)
    points = rng.normal(size=(400, 3))
    points /= np.linalg.norm(points, axis=1)[:, None]
    from scipy.spatial import ConvexHull

    triangles = ConvexHull(points).simplices
    few, faces = thin_triangles(points, triangles, 0.3)
    assert len(faces) < 0.6 * len(triangles)
    assert np.abs(np.linalg.norm(few, axis=1) - 1).max() < 0.05
    assert set(faces.ravel()) == set(range(len(few)))
    same, all_faces = thin_triangles(points, triangles, 0.0)
    assert len(all_faces) == len(triangles)
    assert len(same) == len(points)


def test_joined_bones_keep_their_triangles():
    one = join_bones([box("a", 1.0), Bone("a", box("a", 1.0).points + 3, box("a", 1.0).triangles)])
    assert len(one.points) == 16
    assert np.ptp(one.points[one.triangles[12:]].reshape(-1, 3), axis=0).max() == 1.0


# The library


def test_the_library_is_the_one_that_was_vendored():
    """By two records of its checksum; with its licence, and fit to stand in a page that allows no `eval`."""
    digest = hashlib.sha256(LIBRARY.read_bytes()).hexdigest()
    assert CHECKSUM.read_text().split() == [digest, LIBRARY.name]
    listed = (Path(__file__).parents[2] / "THIRD_PARTY.md").read_text(encoding="utf-8")
    assert digest in listed, "name the new SHA-256 in THIRD_PARTY.md"
    assert f"three.js {VERSION}" in listed
    script = page_scripts(player=True)["three"]
    assert script.encode() == LIBRARY.read_bytes()
    assert script.startswith(f"/* three.js {VERSION}")
    assert "The MIT License" in script[:200]
    assert not re.search(r"</script|\beval\(|\bFunction\(", script)
    assert len(script) < 600_000


def test_the_library_holds_what_the_player_uses():
    script = page_scripts(player=True)["three"]
    assert [name for name in used_names() if f"{name}:()=>" not in script] == [], "run: python -m tools.vendor_three"
