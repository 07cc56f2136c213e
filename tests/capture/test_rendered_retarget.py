"""Motions from BVH files: our own read back, and a skeleton made by hand whose angles are known."""

import re
import warnings
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.spatial.transform import Rotation

from simspine.body.kinematics import body_poses, forward_kinematics
from simspine.capture import truth
from simspine.capture.rendered.motions import bvh_performer
from simspine.capture.rendered.retarget import joints_of, retargeted
from simspine.cli import main
from simspine.errors import InputError
from simspine.formats.bvh import read_bvh, write_bvh
from simspine.formats.skeleton_motion import SkeletonMotion
from simspine.geometry import in_frame
from simspine.surface.segments import SEGMENTS

# Mixamo's names, T-pose, facing +z, y up, in a unit of its own: (joint, parent, offset).
SKELETON = [
    ("Hips", "", (0, 100, 0)), ("Spine", "Hips", (0, 10, 0)), ("Spine2", "Spine", (0, 25, 0)),
    ("Neck", "Spine2", (0, 15, 0)), ("Head", "Neck", (0, 10, 0)),
    *((f"{name}{joint}", parent and f"{name if parent not in ('Hips', 'Spine2') else ''}{parent}", offset)
      for name, side in (("Left", 1), ("Right", -1)) for joint, parent, offset in (
        ("UpLeg", "Hips", (9 * side, -5, 0)), ("Leg", "UpLeg", (0, -45, 0)), ("Foot", "Leg", (0, -42, 0)),
        ("ToeBase", "Foot", (0, -6, 14)), ("Shoulder", "Spine2", (5 * side, 12, 0)),
        ("Arm", "Shoulder", (12 * side, 0, 0)), ("ForeArm", "Arm", (28 * side, 0, 0)),
        ("Hand", "ForeArm", (25 * side, 0, 0)))),
]  # fmt: skip
FRAMES = [  # what turns, degrees about z, x, y
    {},
    {"LeftArm": (-80, 0, 0), "RightArm": (80, 0, 0)},
    {"LeftLeg": (0, 60, 0), "Spine": (0, 40, 0)},
    {"Hips": (0, 0, 90)},
]


def write_skeleton(path, prefix="mixamorig:"):
    children = {}
    for name, parent, offset in SKELETON:
        children.setdefault(parent, []).append((name, offset))
    order = []

    def lines(name, offset, depth):
        order.append(name)
        yield f"{'JOINT' if depth else 'ROOT'} {prefix}{name}\n{{\nOFFSET {offset[0]} {offset[1]} {offset[2]}"
        place = "6 Xposition Yposition Zposition" if depth == 0 else "3"
        yield f"CHANNELS {place} Zrotation Xrotation Yrotation"
        for child, at in children.get(name, ()):
            yield from lines(child, at, depth + 1)
        if name not in children:
            yield "End Site\n{\nOFFSET 0 1 0\n}"
        yield "}"

    text = "HIERARCHY\n" + "\n".join(lines(*children[""][0], 0))
    text += f"\nMOTION\nFrames: {len(FRAMES)}\nFrame Time: 0.0333333\n"
    for frame in FRAMES:
        text += "0 100 0 " + " ".join(f"{a} {b} {c}" for a, b, c in (frame.get(n, (0, 0, 0)) for n in order)) + "\n"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def subject():
    made = truth.make_subject(3, 0)
    return truth.truth_body(made).body, truth.make_trial(made, "Walking", 1, 40).motion


@pytest.fixture(scope="module")
def carried(subject, tmp_path_factory):
    path = write_skeleton(tmp_path_factory.mktemp("bvh") / "hand.bvh")
    return retargeted(subject[0], read_bvh(path))


def way(poses, start, end, frame):
    along = poses[end][frame, :3, 3] - poses[start][frame, :3, 3]
    return along / np.linalg.norm(along)


def test_a_file_of_ours_comes_back(subject, tmp_path):
    """Poses to what six decimals of a centimetre and a degree hold; on the same body segments turn alike, and places
    differ by what slides in the joints, which a rigid chain has not."""
    body, motion = subject
    poses = body_poses(body, motion)
    names = ("pelvis", *(name for name in body.bodies if name != "pelvis"))
    parents = [-1, *([0] * (len(names) - 1))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = tmp_path / "own.bvh"
        write_bvh(path, SkeletonMotion(names, parents, np.stack([poses[n] for n in names], 1), motion.rate))
    found = read_bvh(path)
    assert found.motion.rate == pytest.approx(motion.rate)
    for number, name in enumerate(found.motion.names):
        scaled = np.array(found.motion.poses[:, number])
        scaled[:, :3, 3] /= 100
        np.testing.assert_allclose(scaled, poses[name], atol=1e-6)
    back = retargeted(body, found)
    for name in SEGMENTS:
        np.testing.assert_allclose(back[name][:, :3, :3], poses[name][:, :3, :3], atol=1e-6)
    performer = bvh_performer(path, 3, 0)
    truly = in_frame(forward_kinematics(body, motion).select(performer.names), "z_up").xyz
    off = np.linalg.norm(performer.points - truly, axis=-1)
    assert np.median(off) < 0.004
    assert off.max() < 0.025


def test_limbs_point_where_the_files_do(carried):
    """Facing +z in the file; our own axes do not matter, since ways are compared in the file's world."""
    left = np.array([1.0, 0, 0])
    assert way(carried, "humerus_l", "ulna_l", 0) @ left > 0.9999
    assert way(carried, "humerus_r", "ulna_r", 0) @ left < -0.9999
    turn = Rotation.from_euler("z", -80, degrees=True).as_matrix()
    np.testing.assert_allclose(way(carried, "humerus_l", "ulna_l", 1), turn @ left, atol=1e-6)
    thigh, shank = way(carried, "femur_l", "tibia_l", 2), way(carried, "tibia_l", "talus_l", 2)
    np.testing.assert_allclose(thigh, [0, -1, 0], atol=1e-6)
    assert np.degrees(np.arccos(thigh @ shank)) == pytest.approx(60, abs=0.01)
    assert shank[2] < 0  # bent backwards
    hips = carried["femur_l"][3, :3, 3] - carried["femur_r"][3, :3, 3]
    assert hips / np.linalg.norm(hips) @ [0, 0, -1] > 0.999  # turned by 90° to the left


def test_the_bend_of_a_trunk_is_spread_over_its_levels(carried):
    """40° between pelvis and chest over 17 levels."""
    names = [*SEGMENTS[:1], *(n for n in SEGMENTS[1:18])]
    assert names[-1] == "T1"
    relative = [carried[b][:, :3, :3].swapaxes(1, 2) @ carried[a][:, :3, :3] for a, b in pairwise(names)]
    angles = [Rotation.from_matrix(r[2] @ r[0].T).magnitude() for r in relative]
    np.testing.assert_allclose(np.degrees(angles), 40 / 17, atol=0.05)
    assert all(np.isfinite(pose).all() for pose in carried.values())


def test_lengths_are_the_bodys_own(carried, subject):
    still = body_poses(*subject)
    for start, end in (("femur_r", "tibia_r"), ("humerus_l", "ulna_l"), ("pelvis", "lumbar5")):
        own = np.linalg.norm(still[end][0, :3, 3] - still[start][0, :3, 3])
        found = np.linalg.norm(carried[end][:, :3, 3] - carried[start][:, :3, 3], axis=1)
        np.testing.assert_allclose(found, own, atol=0.006)  # joints slide a little in the trial


def test_names_of_other_programs():
    limbs = ("UpLeg", "Leg", "Foot", "Arm", "ForeArm", "Hand")
    for names in (
        ["Hips", "Head", *(f"{s}{n}" for s in ("Left", "Right") for n in limbs)],
        ["hip", "head", *(f"{s}{n}" for s in "lr" for n in ("Thigh", "Shin", "Foot", "Shldr", "ForeArm", "Hand"))],
    ):  # fmt: skip
        found = joints_of(names)
        assert names[found["femur_l"]].lower().startswith("l")
        assert len(set(found.values())) == len(found)
    with pytest.raises(InputError, match=r"no joint for head.*found Hips, Tail"):
        joints_of(["Hips", "Tail", *(f"{s}{n}" for s in ("Left", "Right") for n in ("UpLeg", "Leg"))])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello", "HIERARCHY"),
        ("HIERARCHY ROOT a { OFFSET 0 0 0 CHANNELS 1 Xrotation }", "not a whole BVH"),
        ("HIERARCHY ROOT a { OFFSET 0 0 0 CHANNELS 1 Xrotation } MOTION Frames: 2 Frame Time: 0.1 5", "1 numbers"),
        ("HIERARCHY ROOT a { OFFSET 0 0 0 CHANNELS 1 Xrotation } MOTION Frames: 1 Frame Time: 0.1 5", "no joint for"),
    ],
)
def test_bad_files_are_named_before_anything_is_written(tmp_path, text, message):
    path = tmp_path / "bad.bvh"
    path.write_text(text)
    done = CliRunner().invoke(main, ["capture", "render", "--out", str(tmp_path / "set"), "--motion", str(path)])
    assert done.exit_code == 2
    assert message in done.output
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((r"OFFSET (\S+) (\S+) (\S+)", r"OFFSET \1 -\3 \2"), "head lies along z from the hips.*expected y up"),
        ((r"JOINT (\S+Leg)\n\{\nOFFSET \S+ \S+ \S+", r"JOINT \1\n{\nOFFSET 0 0 0"), "femur and tibia lie in one place"),
        (("Zrotation", "Qrotation"), "expected X, Y and Z"),
        (("Zrotation", "Xrotation"), "expected X, Y and Z"),
        (("HIERARCHY", "HIERARCHY\n}"), "outside of a joint"),
        ((r"MOTION[\s\S]*", ""), "ends too early"),
    ],
)
def test_skeletons_that_cannot_be_carried_over(subject, tmp_path, change, message):
    path = write_skeleton(tmp_path / "a.bvh")
    path.write_text(re.sub(*change, path.read_text()))
    with pytest.raises(InputError, match=message):
        retargeted(subject[0], read_bvh(path), path)


def test_a_byte_order_mark_and_a_prefix_are_no_part_of_names(subject, tmp_path):
    plain, marked = write_skeleton(tmp_path / "a.bvh"), write_skeleton(tmp_path / "b.bvh", "mixamorig_")
    marked.write_bytes(b"\xef\xbb\xbf" + marked.read_bytes())
    ours, again = (retargeted(subject[0], read_bvh(path), path) for path in (plain, marked))
    np.testing.assert_array_equal(ours["femur_r"], again["femur_r"])


def test_a_file_is_rendered(tmp_path):
    path = write_skeleton(tmp_path / "hand.bvh")
    options = ["--images", "2", "--people", "1", "--size", "64x96", "--quiet", "--motion", str(path)]
    done = CliRunner().invoke(main, ["capture", "render", "--out", str(tmp_path / "set"), *options])
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "set/images/train-unreal").iterdir())) == 2
