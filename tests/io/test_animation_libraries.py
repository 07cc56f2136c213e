"""glTF opened by a library of others: joints stand where they stood."""

import numpy as np
import pygltflib
import pytest
from scipy.spatial.transform import Rotation

from simspine.io.animation import JointMesh, SkeletonMotion, write_gltf

NAMES, PARENTS, FRAMES, RATE = ("pelvis", "spine", "head", "leg"), (-1, 0, 1, 0), 7, 30.0


@pytest.fixture(scope="module")
def motion():
    rng = np.random.default_rng(5)
    poses = np.tile(np.eye(4), (FRAMES, len(NAMES), 1, 1))
    steps = np.linspace(0, 2.0, FRAMES)[:, None]
    for joint in range(len(NAMES)):
        poses[:, joint, :3, :3] = Rotation.from_rotvec(steps * rng.normal(size=3)).as_matrix()
        poses[:, joint, :3, 3] = rng.normal(size=3) + 0.2 * np.sin(steps + joint)
    corner = np.array([[0.0, 0.1, 0.0], [0.05, 0.0, 0.0], [0.0, 0.0, 0.07]])
    return SkeletonMotion(NAMES, PARENTS, poses, RATE, [JointMesh(1, corner, np.array([[0, 1, 2]]), "b", (1, 1, 1))])


def in_the_world(local):
    """(joints, 4, 4) of poses in the parent."""
    found = []
    for pose, parent in zip(local, PARENTS, strict=True):
        found.append(pose if parent < 0 else found[parent] @ pose)
    return np.array(found)


def pose(place, turn):
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = turn.as_matrix(), place
    return out


def test_pygltflib_opens_the_glb(motion, tmp_path):
    write_gltf(tmp_path / "a.glb", motion, "walk")
    file = pygltflib.GLTF2().load(str(tmp_path / "a.glb"))
    numbers = {}
    for channel in file.animations[0].channels:
        accessor = file.accessors[file.animations[0].samplers[channel.sampler].output]
        view = file.bufferViews[accessor.bufferView]
        start = view.byteOffset + (accessor.byteOffset or 0)
        width = {"VEC3": 3, "VEC4": 4}[accessor.type]
        values = np.frombuffer(file.binary_blob(), "<f4", accessor.count * width, start).reshape(-1, width)
        numbers[file.nodes[channel.target.node].name, channel.target.path] = values
    for frame in range(FRAMES):
        local = [
            pose(numbers[name, "translation"][frame], Rotation.from_quat(numbers[name, "rotation"][frame]))
            for name in NAMES
        ]
        np.testing.assert_allclose(in_the_world(local), motion.poses[frame], atol=1e-5)
