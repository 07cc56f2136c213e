"""Where the solver starts: elbows and knees bent, so that arms are not turned the wrong way round."""

import re
from itertools import product

import numpy as np
import pytest

from simspine.anatomy.body import Body, forward_kinematics, neutral_motion
from simspine.anatomy.recipes import build_body, default_weights, read_recipe
from simspine.core.types import Motion
from simspine.estimation import result, trajectory
from simspine.estimation.frame_engine import range_middles, usable_observations
from simspine.estimation.result import first_pose
from simspine.estimation.terms import MarkerTerm
from simspine.estimation.trajectory import starting_path

# Degrees, both arms alike: hanging to raised, away from the trunk, turned in and out, elbows nearly straight to bent.
POSES = list(product((-30, 0, 60, 120), (-80, -30, 0), (-80, -40, 0, 40, 80), (5, 60, 120)))
ARM = ("arm_flex", "arm_add", "arm_rot", "elbow_flex")


@pytest.fixture(scope="module")
def body():
    return build_body("articulated", "centres")


@pytest.fixture(scope="module")
def postures(body):
    """Markers of `POSES`, one in each frame."""
    c = body.coordinates
    names = [n for n in default_weights(read_recipe("articulated"), "centres") if n in body.marker_names]
    values = np.repeat(neutral_motion(body).values, len(POSES), axis=0)
    for k, name in enumerate(ARM):
        for side in "rl":
            values[:, c.index(f"{name}_{side}")] = np.radians([pose[k] for pose in POSES])
    return forward_kinematics(body, Motion(c.names, 1.0, values, c.rotational)).select(names)


def wrong(body, markers, start=None) -> int:
    """In how many frames of a rough path a squared distance of 20 cm² or more is left."""
    weights = np.ones(markers.xyz.shape[:2])
    tree, y, w, _ = usable_observations(body, markers, weights, 3)
    term = MarkerTerm(tree, y, w)
    start, nothing = first_pose(body, markers, weights) if start is None else start, np.zeros(tree.free.size)
    path = starting_path(body, term, start, ridge=nothing, target=nothing)
    return int((term.cost(path) > 0.002).sum())


def test_arms_are_found_from_the_start(body, postures):
    """Bent elbows at the start: a straight one is held by its limit the wrong way round, in more than twice as many."""
    frames = [postures.with_(xyz=postures.xyz[t : t + 1]) for t in range(postures.frames)]
    assert sum(wrong(body, frame) for frame in frames) <= 5


def test_an_elbow_held_by_its_limit_does_not_stay_there(body, postures, monkeypatch):
    """The path begins with straight arms turned the wrong way round."""
    bent = [t for t, pose in enumerate(POSES) if pose[:2] == (0, -30) and pose[3] == 60]
    markers = postures.with_(xyz=postures.xyz[bent])
    start = first_pose(body, markers, np.ones(markers.xyz.shape[:2]))
    names = [body.coordinates.names[i] for i in body.tree.free]
    start[[names.index(f"elbow_flex_{side}") for side in "rl"]] = 0.0
    start[[names.index(f"arm_rot_{side}") for side in "rl"]] += np.pi
    assert wrong(body, markers, start) == 0
    monkeypatch.setattr(trajectory, "range_middles", lambda _: np.array([]))  # each begins where the one before ended
    assert wrong(body, markers, start) == len(bent)


def test_only_hinges_at_an_end_of_their_range_are_bent(body):
    neutral = neutral_motion(body).values[0]
    begun = result.with_bent_hinges(body, neutral)
    moved = {body.coordinates.names[i]: np.degrees(begun - neutral)[i] for i in np.flatnonzero(begun != neutral)}
    assert moved == pytest.approx(dict.fromkeys(["knee_angle_r", "knee_angle_l", "elbow_flex_r", "elbow_flex_l"], 45.0))


def test_a_hinge_at_the_upper_end_of_its_range_is_bent_back_into_it(body):
    values = neutral_motion(body).values[0].copy()
    elbow = body.coordinates.index("elbow_flex_r")
    values[elbow] = body.coordinates.upper[elbow]
    assert result.with_bent_hinges(body, values)[elbow] == pytest.approx(values[elbow] - np.radians(45.0))


@pytest.mark.parametrize("locked", ["pelvis_tz", "pelvis_list"])
def test_a_locked_coordinate_of_the_root_leaves_the_other_middles(body, locked):
    pattern = rf'(<Coordinate name="{locked}">.*?<locked>)false'
    fixed = Body.from_text(re.sub(pattern, r"\1true", body.osim, flags=re.DOTALL), "locked")
    middles, wanted = (
        {one.coordinates.names[i]: middle for i, middle in zip(one.tree.free, range_middles(one), strict=True)}
        for one in (fixed, body)
    )
    assert np.isnan(wanted.pop(locked))
    assert middles == pytest.approx(wanted, nan_ok=True)


def test_arms_that_rise_overhead_stay_on_one_branch(body):
    """From hanging to 150°, where ranges are nearer to the shoulder's other triple of angles, and back."""
    c, frames = body.coordinates, 80
    values = np.repeat(neutral_motion(body).values, frames, axis=0)
    raised = np.radians(75 * (1 - np.cos(np.linspace(0, 2 * np.pi, frames))))
    for side in "rl":
        values[:, c.index(f"arm_flex_{side}")] = raised
        for name, angle in (("arm_add", -15), ("arm_rot", 70), ("elbow_flex", 25)):
            values[:, c.index(f"{name}_{side}")] = np.radians(angle)
    names = [n for n in default_weights(read_recipe("articulated"), "centres") if n in body.marker_names]
    markers = forward_kinematics(body, Motion(c.names, 50.0, values, c.rotational)).select(names)
    weights = np.ones(markers.xyz.shape[:2])
    tree, y, w, _ = usable_observations(body, markers, weights, 3)
    nothing = np.zeros(tree.free.size)
    path = starting_path(
        body, MarkerTerm(tree, y, w), first_pose(body, markers, weights), ridge=nothing, target=nothing, stride=8
    )
    shoulders = [[body.coordinates.names[i] for i in tree.free].index(f"arm_flex_{side}") for side in "rl"]
    assert np.abs(np.diff(path[:, shoulders], axis=0)).max() < np.radians(20)
    assert np.abs(path[:, shoulders] - raised[:, None]).max() < np.radians(20)
