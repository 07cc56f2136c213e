"""glTF, read by a reader that shares nothing with the writer: joints and skin stand where they stood."""

import json
import struct

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from simspine.core.errors import InputError
from simspine.io.animation import JointMesh, SkeletonMotion, parents_first, write_gltf

NAMES, PARENTS = ("pelvis", "spine", "head", "leg"), (-1, 0, 1, 0)
FRAMES, RATE, GAP = 9, 30.0, 4
TRIANGLE = np.array([[0.0, 0.1, 0.0], [0.05, 0.0, 0.0], [0.0, 0.0, 0.07]])


@pytest.fixture(scope="module")
def poses():
    """(frames, 4, 4, 4): everything turns about changing axes and slides; a frame is not known."""
    rng = np.random.default_rng(5)
    out = np.tile(np.eye(4), (FRAMES, len(NAMES), 1, 1))
    for joint in range(len(NAMES)):
        axis, start = rng.normal(size=3), rng.normal(size=3)
        steps = np.linspace(0, 3.0, FRAMES)[:, None]
        out[:, joint, :3, :3] = (Rotation.from_rotvec(steps * axis) * Rotation.from_rotvec(start)).as_matrix()
        out[:, joint, :3, 3] = rng.normal(size=3) + 0.3 * np.sin(steps + joint)
    out[GAP, 2] = np.nan
    return out


@pytest.fixture(scope="module")
def motion(poses):
    meshes = [JointMesh(j, TRIANGLE * (j + 1), np.array([[0, 1, 2]]), "bone", (0.9, 0.8, 0.7)) for j in (1, 3)]
    return SkeletonMotion(NAMES, PARENTS, poses, RATE, meshes)


class Glb:
    """A .glb as the format says it is to be read."""

    def __init__(self, path):
        data = path.read_bytes()
        magic, version, length = struct.unpack_from("<4sII", data)
        assert (magic, version, length) == (b"glTF", 2, len(data))
        size, kind = struct.unpack_from("<I4s", data, 12)
        assert kind == b"JSON"
        self.tree = json.loads(data[20 : 20 + size])
        self.rest = data[28 + size :]
        assert struct.unpack_from("<I4s", data, 20 + size)[1] == b"BIN\0"

    def array(self, number):
        entry = self.tree["accessors"][number]
        view = self.tree["bufferViews"][entry["bufferView"]]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[entry["type"]]
        kind = {5126: "<f4", 5123: "<u2", 5125: "<u4"}[entry["componentType"]]
        found = np.frombuffer(self.rest, kind, entry["count"] * width, view["byteOffset"])
        assert view["byteOffset"] % 4 == 0
        return found.reshape(entry["count"], width).astype(float)

    def worlds(self, key):
        """{name: (4, 4)} of all nodes at a key of the animation."""
        nodes = [dict(node) for node in self.tree["nodes"]]
        (animation,) = self.tree["animations"]
        for channel in animation["channels"]:
            values = self.array(animation["samplers"][channel["sampler"]]["output"])
            nodes[channel["target"]["node"]][channel["target"]["path"]] = values[key]
        found = {}

        def visit(number, above):
            node, pose = nodes[number], np.eye(4)
            pose[:3, :3] = Rotation.from_quat(node.get("rotation", [0, 0, 0, 1])).as_matrix()
            pose[:3, 3] = node.get("translation", [0, 0, 0])
            found[node["name"]] = above @ pose
            for child in node.get("children", ()):
                visit(child, found[node["name"]])

        for root in self.tree["scenes"][0]["nodes"]:
            visit(root, np.eye(4))
        return found


def test_gltf_joints_and_skin_stand_where_they_stood(motion, poses, tmp_path):
    write_gltf(tmp_path / "a.glb", motion, "walk", "notice")
    file = Glb(tmp_path / "a.glb")
    clock = file.array(file.tree["animations"][0]["samplers"][0]["input"])[:, 0]
    frames = [k for k in range(FRAMES) if k != GAP]
    np.testing.assert_allclose(clock, np.array(frames) / RATE, atol=1e-6)
    assert file.tree["asset"]["extras"]["gaps"] == [[GAP, GAP + 1]]
    assert file.tree["asset"]["copyright"] == "notice"
    (part,) = file.tree["meshes"][0]["primitives"]
    corners, joints = (file.array(part["attributes"][name]) for name in ("POSITION", "JOINTS_0"))
    assert (file.array(part["attributes"]["WEIGHTS_0"])[:, 0] == 1).all()
    inverse = file.array(file.tree["skins"][0]["inverseBindMatrices"]).reshape(-1, 4, 4).swapaxes(1, 2)
    for key, frame in enumerate(frames):
        worlds = file.worlds(key)
        for joint, name in enumerate(NAMES):
            np.testing.assert_allclose(worlds[name], poses[frame, joint], atol=1e-5)
        for corner, (joint, *_), local in zip(corners, joints.astype(int), [*TRIANGLE * 2, *TRIANGLE * 4], strict=True):
            skinned = worlds[NAMES[joint]] @ inverse[joint] @ [*corner, 1]
            np.testing.assert_allclose(skinned, poses[frame, joint] @ [*local, 1], atol=1e-5)


def test_joints_are_put_in_order():
    names, parents = parents_first(
        ("head", "leg", "spine", "pelvis", "ball"), (("pelvis", "spine"), ("spine", "head"), ("pelvis", "leg"))
    )
    assert names.index("pelvis") < names.index("spine") < names.index("head")
    assert [parents[names.index(name)] for name in ("pelvis", "ball")] == [-1, -1]
    assert names[parents[names.index("head")]] == "spine"
    with pytest.raises(InputError, match="circle: a, b"):
        parents_first(("a", "b"), (("a", "b"), ("b", "a")))


def test_nothing_known_is_refused(poses):
    with pytest.raises(InputError, match="nothing to write"):
        SkeletonMotion(NAMES, PARENTS, poses * np.nan, RATE)
    with pytest.raises(InputError, match="before its parent"):
        SkeletonMotion(NAMES, (1, -1, 1, 0), poses, RATE)
