"""What synthetic subjects do: smooth, within limits, on the floor, in the postures that are known of each action."""

import numpy as np
import pytest
from scipy.signal import savgol_filter

from simspine.anatomy.priors import LEVEL_AXIS_COORDINATES
from simspine.core.errors import InputError
from simspine.core.skeletons import load_skeleton
from simspine.synthesis.actions import ACTION_NAMES
from simspine.synthesis.bodies import FLOOR_CONTACTS
from simspine.synthesis.population import make_subject, read_levels
from simspine.synthesis.virtual_detector import capsules_of
from simspine.synthesis.virtual_trial import (
    make_trial,
    spine_truth,
    trial_frames,
    true_human36m_joints,
    true_markers,
    true_points,
)

FRAMES = 500  # 10 s


@pytest.fixture(scope="module")
def trials(subject):
    return {action: make_trial(subject, action, 1, FRAMES) for action in ACTION_NAMES}


@pytest.fixture(scope="module")
def spines(trials):
    wanted = ("Directions", "Sitting", "Smoking", "SittingDown", "Posing", "Discussion")
    return {action: spine_truth(trials[action]) for action in wanted}


def test_lengths_are_those_of_the_data_set():
    """About 535,000 frames: fifteen actions, two trials, seven subjects."""
    people = [make_subject(0, index) for index in range(7)]
    lengths = [trial_frames(p, action, repeat) for p in people for action in ACTION_NAMES for repeat in (1, 2)]
    assert len(lengths) == 210
    assert sum(lengths) == pytest.approx(535_000, rel=0.02)
    assert len(set(lengths)) > 150


@pytest.mark.parametrize("action", ACTION_NAMES)
def test_feet_rest_on_the_floor(trials, action):
    z = (found := true_markers(trials[action])).select(FLOOR_CONTACTS).xyz[..., 2]
    assert z.min() > -5e-3
    assert z.min(1).max() < 0.04  # somebody walking: a heel's rise and fall is followed within the time of three frames
    assert np.median(z.min(1)) < 0.015
    assert found.xyz[..., 2].min() > -0.02  # nothing else goes through it


@pytest.mark.parametrize("action", ACTION_NAMES)
def test_joints_stay_within_their_limits(trials, action):
    body, values = trials[action].body, trials[action].motion.values
    c = body.coordinates
    joints = np.arange(len(c)) >= 6  # without the pelvis in space
    inside = (values >= c.lower) & (values <= c.upper)
    assert [n for n, ok in zip(c.names, inside.all(0) | ~joints | c.dependent, strict=True) if not ok] == []


@pytest.mark.parametrize("action", ACTION_NAMES)
def test_motion_is_smooth_and_of_human_size(trials, action):
    found = true_points(trials[action])
    speed = np.linalg.norm(np.diff(found.xyz, axis=0), axis=-1) * 50
    acceleration = np.linalg.norm(np.diff(found.xyz, 2, axis=0), axis=-1) * 50**2
    spine = found.indices(["Hip", "Spine_01", "Spine_03", "Spine_05", "Neck"])
    assert speed.max() < 6.0  # a heel in swing: 4–5 m/s
    assert acceleration.max() < 100.0
    assert acceleration[:, spine].max() < 20.0
    # a corner in the curves would double the jerk when sampled twice as densely; at 50 Hz it is acceleration in a frame
    jerk = np.linalg.norm(np.diff(found.xyz[:, spine], 3, axis=0), axis=-1) * 50**3
    assert jerk.max() < 400.0


@pytest.mark.parametrize("action", ACTION_NAMES)
def test_people_stay_in_the_area(trials, action):
    xyz = true_points(trials[action]).xyz
    assert np.abs(xyz[..., 0]).max() < 2.3
    assert np.abs(xyz[..., 1]).max() < 1.9
    assert 1.0 < xyz[..., 2].max() < 2.7


def test_sitting_flattens_the_lordosis(spines, subject):
    stands = np.degrees(np.median(spines["Directions"].lla))
    assert stands == pytest.approx(np.degrees(subject.spine.lordosis), abs=4)
    for action in ("Sitting", "Smoking"):
        assert np.degrees(np.median(spines[action].lla)) < stands - 8
    assert np.degrees(spines["SittingDown"].lla.min()) < stands - 15
    assert np.median(spines["Sitting"].tka) > np.median(spines["Directions"].tka)


def test_raised_arms_reduce_the_kyphosis(trials, spines):
    trial, spine = trials["Posing"], spines["Posing"]
    found = true_points(trial)
    shoulder, elbow = (found.xyz[:, found.indices([f"L{j}", f"R{j}"]), 2].sum(1) for j in ("Shoulder", "Elbow"))
    raised = elbow - shoulder > 0.0  # both elbows as high as the shoulders
    hangs = elbow - shoulder < -0.45
    if not raised.any():  # what is posed is drawn by chance
        trial = make_trial(trial.subject, "Posing", 1, 3000)
        found, spine = true_points(trial), spine_truth(trial)
        shoulder, elbow = (found.xyz[:, found.indices([f"L{j}", f"R{j}"]), 2].sum(1) for j in ("Shoulder", "Elbow"))
        raised, hangs = elbow - shoulder > 0.0, elbow - shoulder < -0.45
    assert raised.any()
    assert hangs.any()
    assert np.degrees(spine.tka[raised].mean()) < np.degrees(spine.tka[hangs].mean()) - 3


def test_phoning_bends_the_neck_to_the_phone(trials):
    trial = make_trial(trials["Phoning"].subject, "Phoning", 1, 1500)
    found = true_points(trial)
    wrists, ears = (found.xyz[:, found.indices([f"L{name}", f"R{name}"])] for name in ("Wrist", "Ear"))
    apart = dict(zip("LR", np.linalg.norm(wrists - ears, axis=-1).T, strict=True))
    side = min(apart, key=lambda s: apart[s].min())
    calling = apart[side] < 0.22
    assert calling.any()
    assert (~calling).any()
    to_the_right = np.degrees(spine_truth(trial).level("neck")[:, 1])
    bending = to_the_right if side == "R" else -to_the_right
    assert bending[calling].mean() > bending[apart[side] > 0.5].mean() + 6


def test_walking_turns_pelvis_and_thorax_against_one_another(trials):
    trial = trials["Walking"]
    found = true_points(trial)
    forward = np.diff(found.xyz[:, found.index("Hip"), :2], axis=0)
    step = trial.motion.column("hip_flexion_r") - trial.motion.column("hip_flexion_l")

    def swing(left: str, right: str) -> np.ndarray:
        """Turning to the left, without the path's own, which is slower than a stride."""
        v = found.xyz[:, found.index(right)] - found.xyz[:, found.index(left)]
        angle = np.unwrap(np.arctan2(v[:, 1], v[:, 0]))
        return angle - savgol_filter(angle, 121, 3)

    pelvis, shoulders = swing("LHip", "RHip"), swing("LShoulder", "RShoulder")
    assert np.corrcoef(pelvis, step)[0, 1] > 0.7  # the right hip goes forward with the right leg
    assert np.corrcoef(shoulders, step)[0, 1] < -0.5
    assert 5 < np.degrees(2 * 2**0.5 * pelvis.std()) < 20
    assert np.linalg.norm(forward, axis=1).mean() * 50 > 0.7  # m/s
    feet = found.xyz[:, found.indices(["LAnkle", "RAnkle"]), 2]
    assert np.corrcoef(feet.T)[0, 1] < 0.2  # one after the other


def test_levels_share_motion_as_this_person_does_not_as_the_couplers_do(trials, subject):
    """Over a deep bend the lumbar levels' parts are the sampled ones, but for the change with the amount."""
    trial = trials["SittingDown"]
    levels = read_levels()
    i = levels.regions["lumbar"]
    flexion = np.stack([trial.motion.column(f"{levels.names[k]}_{LEVEL_AXIS_COORDINATES[0]}") for k in i], 1)
    parts = np.ptp(flexion, axis=0) / np.ptp(flexion, axis=0).sum()
    couplers = np.array([1, 1.857, 1.643, 1.143, 0.929, 0.571])
    couplers /= couplers.sum()
    assert np.abs(parts - subject.spine.shares[i, 0]).max() < 0.08
    assert np.abs(parts - couplers).max() > 0.04


def test_vertebrae_shift_with_rotation_by_a_few_millimetres(trials):
    trial = trials["SittingDown"]
    shift, turn = (trial.motion.column(f"L4_L5_{name}") for name in ("shift_forward", "Flex_Ext"))
    assert 2e-4 < np.ptp(shift) < 4e-3
    assert np.corrcoef(shift, turn)[0, 1] < -0.9  # forward with flexion


def test_level_angles_are_the_bodys_coordinates(trials, spines):
    trial, spine = trials["Discussion"], spines["Discussion"]
    for name, level in (("L4-L5", "L4_L5"), ("T7-T8", "T7_T8"), ("C5-C6", "C5_C6")):
        own = np.stack([trial.motion.column(f"{level}_{axis}") for axis in LEVEL_AXIS_COORDINATES], 1) * [-1, 1, 1]
        np.testing.assert_allclose(spine.level(name), own, atol=1e-9)


def test_points_of_the_spine_are_vertebral_centres(trials):
    trial = trials["Directions"]
    spine, centres = true_points(trial), true_markers(trial).select(list(trial.truth.vertebrae))
    assert spine.names == load_skeleton("simspine37").names
    assert spine.frame == "z_up"
    assert len(centres.names) == 25
    for name, level in (("Hip", "S1"), ("Spine_03", "L1"), ("Spine_04", "T8"), ("Neck_03", "C1")):
        np.testing.assert_array_equal(spine.xyz[:, spine.index(name)], centres.xyz[:, centres.index(level)])


def test_joints_of_human36m(trials):
    joints, skeleton = true_human36m_joints(trials["Walking"]), load_skeleton("human36m32")
    assert joints.shape == (FRAMES, 32, 3)
    at = {name: joints[:, i] for i, name in enumerate(skeleton.names)}
    np.testing.assert_allclose(at["Hip"], (at["LHip"] + at["RHip"]) / 2)
    for one, other in (("SpineBase", "Hip"), ("LCollar", "Thorax"), ("RCollar", "Thorax"), ("LThumb", "LWrist")):
        np.testing.assert_array_equal(at[one], at[other])
    for a, b in (("RHip", "RKnee"), ("LKnee", "LAnkle"), ("LElbow", "LWrist"), ("RShoulder", "RElbow")):
        length = np.linalg.norm(at[a] - at[b], axis=1)
        assert length.std() < 0.01  # the knee's axis moves
        assert 0.2 < length.mean() < 0.5
    assert 0.15 < np.linalg.norm(at["Spine"] - at["Hip"], axis=1).mean() < 0.3
    assert (at["Head"][:, 2] > at["NeckNose"][:, 2]).all()
    assert (at["NeckNose"][:, 2] > at["Thorax"][:, 2]).all()


def test_capsules_cover_the_body(trials, subject):
    trial = trials["Walking"]
    found = true_markers(trial)
    parts = capsules_of(subject, found)
    assert parts.ends.shape == (FRAMES, len(parts.radii), 2, 3)
    assert (parts.radii > 0.02).all()
    a, b = parts.ends[:, :, 0], parts.ends[:, :, 1]
    for name in ("L3", "T8", "C4", "joint_knee_r", "joint_elbow_l", "Neck_03"):
        x = found.xyz[:, None, found.index(name)]
        s = np.clip(((x - a) * (b - a)).sum(-1) / ((b - a) ** 2).sum(-1), 0, 1)
        inside = np.linalg.norm(x - a - s[..., None] * (b - a), axis=-1) < parts.radii
        assert inside.any(1).all(), name


def test_errors_name_what_there_is(subject):
    with pytest.raises(InputError, match=r"unknown action 'Walkin'.*Walking"):
        make_trial(subject, "Walkin")


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_very_short_trials(subject, frames):
    trial = make_trial(subject, "SittingDown", 1, frames)
    assert trial.frames == frames
    assert np.isfinite(trial.motion.values).all()
