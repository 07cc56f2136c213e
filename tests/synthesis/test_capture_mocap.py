import numpy as np
import pytest
from stick_person import stick_person

from simspine.core.skeletons import load_skeleton, point_axes
from simspine.synthesis import virtual_trial

NAMES = load_skeleton("human36m32").names
RATE = 50.0


@pytest.fixture(scope="module")
def joints():
    """Human3.6M's joints of a person who swings arms and legs: those with a counterpart, the others near by."""
    points, *_ = stick_person(1000)
    skeleton = load_skeleton("human36m32")
    at = {n: points.xyz[:, points.index(skeleton.to_simspine[n])] for n in NAMES if n in skeleton.to_simspine}
    at["Hip"] = at["SpineBase"] = (at["LHip"] + at["RHip"]) / 2
    at["Spine"] = points.xyz[:, points.index("Spine_03")]
    at["LCollar"] = at["RCollar"] = at["Thorax"]
    for side in "LR":
        at[f"{side}ToeBase"] = at[f"{side}ToeTip"] = points.xyz[:, points.index(f"{side}BigToe")]
        for end in ("Thumb", "ThumbTip", "Hand", "HandTip"):
            at[side + end] = at[f"{side}Wrist"] + (at[f"{side}Wrist"] - at[f"{side}Elbow"]) * 0.3
        at[f"{side}Thumb"] = at[f"{side}Wrist"]
    return np.stack([at[n] for n in NAMES], 1)


def error(joints, seed=1, subject="S1", trial="Walking_1"):
    return virtual_trial.simulate_mocap(joints, RATE, seed, subject, trial) - joints


def test_size(joints):
    off = np.concatenate([error(joints, seed) for seed in range(5)])
    rms = np.sqrt((off**2).sum(-1).mean())
    assert 0.005 < rms < 0.010  # m: offset 5.2 mm, noise 3.6 mm, soft tissue up to 8 mm
    assert np.abs(off).max() < 0.05


def test_correlated_noise_of_1_to_3_mm(joints):
    """Two trials of a subject differ by their noise alone."""
    noise = (error(joints) - error(joints, trial="Walking_2")) / np.sqrt(2)
    sd = noise.std((0, 2))
    assert sd.min() > 0.0009
    assert sd.max() < 0.0031
    later = (noise[5:] * noise[:-5]).mean() / (noise**2).mean()
    assert later == pytest.approx(np.exp(-5 / RATE / virtual_trial.NOISE_CORRELATION_S), abs=0.05)


def test_a_person_standing_still_has_constant_offsets_but_for_noise(joints, monkeypatch):
    monkeypatch.setattr(virtual_trial, "MARKER_NOISE_SD_M", (0.0, 0.0))
    still = np.repeat(joints[:1], 50, 0)
    off = error(still)
    assert np.ptp(off, 0).max() < 1e-12
    assert np.linalg.norm(off[0], axis=-1).mean() == pytest.approx(0.0048, rel=0.4)


def test_offsets_turn_with_the_segment(joints, monkeypatch):
    """Seen from the pelvis and from the upper arm, what is constant there stays constant while the person turns."""
    monkeypatch.setattr(virtual_trial, "MARKER_NOISE_SD_M", (0.0, 0.0))
    monkeypatch.setattr(virtual_trial, "BENT_JOINT_SHIFT_SD_M", 0.0)
    monkeypatch.setattr(virtual_trial, "SOFT_TISSUE_LAG_S", 0.0)
    off = error(joints)
    hip, spine = NAMES.index("LHip"), NAMES.index("Spine")
    up = joints[:, spine] - joints[:, 0]
    assert np.ptp((off[:, hip] * up).sum(-1)) < 1e-9
    assert np.ptp(off[:, hip, 0]) > 1e-3
    arm = joints[:, NAMES.index("LElbow")] - joints[:, NAMES.index("LShoulder")]
    assert np.ptp((off[:, NAMES.index("LElbow")] * arm).sum(-1) / np.linalg.norm(arm, axis=-1)) < 1e-9


def test_soft_tissue_moves_with_bending_and_speed(joints, monkeypatch):
    monkeypatch.setattr(virtual_trial, "MARKER_NOISE_SD_M", (0.0, 0.0))
    monkeypatch.setattr(virtual_trial, "MARKER_OFFSET_SD_M", 0.0)
    monkeypatch.setattr(virtual_trial, "BENT_JOINT_SHIFT_SD_M", 0.0)
    relative = joints - joints[:, :1]
    off = error(joints)
    np.testing.assert_allclose(
        off[1:-1], -virtual_trial.SOFT_TISSUE_LAG_S * (relative[2:] - relative[:-2]) * RATE / 2, atol=1e-12
    )
    monkeypatch.setattr(virtual_trial, "BENT_JOINT_SHIFT_SD_M", 0.005)
    monkeypatch.setattr(virtual_trial, "SOFT_TISSUE_LAG_S", 0.0)
    knee, shoulder = NAMES.index("LKnee"), NAMES.index("LShoulder")
    shift = np.linalg.norm(error(joints), axis=-1)
    assert np.ptp(shift[:, knee]) < 1e-9  # this person's knees stay straight …
    assert np.ptp(shift[:, shoulder]) > 1e-4  # … and the arms swing
    # 1 − cos of the angle between forearm and upper arm, which is constant here.
    upper, fore = (joints[:, NAMES.index(b)] - joints[:, NAMES.index(a)] for a, b in
                   (("LShoulder", "LElbow"), ("LElbow", "LWrist")))  # fmt: skip
    cosine = (upper * fore).sum(-1) / np.linalg.norm(upper, axis=-1) / np.linalg.norm(fore, axis=-1)
    elbow = shift[:, NAMES.index("LElbow")] / (1 - cosine)
    assert np.ptp(elbow) < 1e-9


def test_joints_at_the_same_place_stay_together(joints):
    off = error(joints)
    for a, b in (("Hip", "SpineBase"), ("Thorax", "LCollar"), ("Thorax", "RCollar"), ("LWrist", "LThumb")):
        np.testing.assert_array_equal(off[:, NAMES.index(a)], off[:, NAMES.index(b)])
    assert not np.array_equal(off[:, NAMES.index("LHip")], off[:, NAMES.index("RHip")])


def test_axes_are_rotations_without_jumps():
    points, *_ = stick_person(600)
    axes = point_axes(points.names, points.xyz)
    np.testing.assert_allclose(axes @ np.swapaxes(axes, -1, -2), np.broadcast_to(np.eye(3), axes.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(axes), 1, atol=1e-12)
    # At most 0.5 rad · 2π / 1.3 s for the arm, with the head's nod or the turning person: per frame of 20 ms.
    turned = np.arccos(np.clip((np.einsum("fpij,fpij->fp", axes[1:], axes[:-1]) - 1) / 2, -1, 1))
    assert turned.max() < 0.1
    forward = axes[0, points.index("Spine_02"), :, 0]
    assert forward[0] > 0.9  # the person starts facing +x
