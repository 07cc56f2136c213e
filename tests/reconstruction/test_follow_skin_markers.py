"""Markers on the skin through inverse kinematics and from videos: what they tell of a spine, and how sure it is."""

from dataclasses import replace

import numpy as np
import pytest
from standing_person import standing

from simspine.anatomy.body import body_poses, forward_kinematics
from simspine.anatomy.marker_sets import read_skin_table
from simspine.anatomy.recipes import build_body, read_recipe
from simspine.core.errors import InputError
from simspine.core.geometry import project_points
from simspine.core.skeletons import SIMSPINE_SKELETON, SKIN_SUFFIX, load_skeleton, skeleton_of_names, translate
from simspine.core.types import Camera, Keypoints, Markers, Origin
from simspine.estimation.fit_person import SizedBody
from simspine.estimation.observations import skin_place_errors
from simspine.estimation.options import KinematicsOptions
from simspine.estimation.solve_trial import read_spine, solve_kinematics
from simspine.vision.follow_skin_markers import follow_skin_markers
from simspine.vision.synchronise import timing_of

SKIN_MARKERS = tuple(name + SKIN_SUFFIX for name in ("C7", "T4", "T7", "T10", "L1", "L3", "L5", "LPSIS", "RPSIS"))
LIMBS = tuple(side + point for side in "LR" for point in ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle"))
RATE, FRAMES = 10.0, 12


def person(seed):
    """A body in a standing posture drawn from the recipe's prior, swaying a little; and its markers without errors."""
    generic = SizedBody(build_body("articulated", "blazepose", SKIN_MARKERS), read_recipe("articulated"), {})
    motion = standing(generic, FRAMES, RATE, np.random.default_rng(seed))
    return generic, motion, forward_kinematics(generic.body, motion).select((*LIMBS, *SKIN_MARKERS))


def observed(sized, motion, exact, seed):
    """Limbs 1 cm off; each marker on the skin off its bone as the table says, and moving over it."""
    rng, table = np.random.default_rng(100 + seed), read_skin_table()
    xyz = exact.xyz + rng.normal(0, 0.01, (1, len(exact.names), 3)) + rng.normal(0, 0.003, exact.xyz.shape)
    poses = body_poses(sized.body, motion)
    for name, place in table.of(SKIN_MARKERS).items():
        carrier = sized.body.marker_bodies[sized.body.marker_index(name)]
        off = rng.normal(0, place.sd) + rng.normal(0, 0.5 * table.noise, (FRAMES, 3))
        i = exact.index(name)
        xyz[:, i] = exact.xyz[:, i] + np.einsum("tij,tj->ti", poses[carrier][:, :3, :3], off)
    return exact.with_(xyz=xyz, origin=(Origin.DETECTED,) * len(exact.names))


@pytest.mark.slow
def test_intervals_hold_and_narrow():
    """People drawn from the prior: 90 % intervals of LLA and TKA hold, and are narrower than from the limbs alone."""
    inside, widths, wide, off, off_wide = [], [], [], [], []
    for seed in range(8):
        sized, motion, exact = person(seed)
        markers = observed(sized, motion, exact, seed)
        with_skin = read_spine(sized, solve_kinematics(sized, markers, "blazepose", KinematicsOptions()))
        from_limbs = solve_kinematics(sized, markers.select(LIMBS), "blazepose", KinematicsOptions())
        truth, limbs = read_spine(sized, _with_motion(from_limbs, motion)), read_spine(sized, from_limbs)
        for angle in ("lla", "tka"):
            true, found, sd = (
                np.asarray(values)[FRAMES // 2]
                for values in (getattr(truth, angle), getattr(with_skin, angle), getattr(with_skin, angle + "_sd"))
            )
            inside.append(abs(found - true) <= 1.645 * sd)
            widths.append(sd)
            wide.append(getattr(limbs, angle + "_sd")[FRAMES // 2])
            off.append(found - true)
            off_wide.append(getattr(limbs, angle)[FRAMES // 2] - true)
    rms, rms_wide = (np.sqrt(np.mean(np.square(v))) for v in (off, off_wide))
    assert np.mean(inside) >= 0.75
    assert np.median(widths) < 0.85 * np.median(wide)
    assert rms < 0.85 * rms_wide, (np.degrees(rms), np.degrees(rms_wide))


def _with_motion(result, motion):
    """A result with the truth for its motion, so that the same code reads its spine."""
    values = np.stack([motion.column(name) for name in result.motion.names], 1)
    return replace(result, motion=motion.with_(names=result.motion.names, values=values), posterior=None)


def test_each_marker_errs_by_itself_as_the_table_says():
    names = ("LHip", "C7_skin", "LPSIS_skin")
    markers = Markers(names, RATE, np.zeros((2, 3, 3)), origin=(Origin.DETECTED,) * 3)
    errors = {error.name: error for error in skin_place_errors(markers)}
    assert set(errors) == {"C7_skin", "LPSIS_skin"}
    np.testing.assert_allclose(errors["LPSIS_skin"].sd_by_axis, [0.004, 0.012, 0.010])


def test_keypoints_with_markers_on_the_skin_keep_them():
    names = (*load_skeleton("coco17").names, "T7_skin")
    xy = np.random.default_rng(0).uniform(0, 100, (3, 2, 18, 2))
    given = Keypoints(names, RATE, xy, np.ones((3, 2, 18)))
    assert skeleton_of_names(names).name == "coco17"
    found = translate(given, "coco17")
    assert found.names == (*load_skeleton(SIMSPINE_SKELETON).names, "T7_skin")
    np.testing.assert_array_equal(found.xy[:, :, -1], xy[:, :, -1])


class _Drawn:
    """A video of a plain back with one dark spot; where: (frames, 2) px."""

    rate, size = RATE, (200, 200)

    def __init__(self, where):
        self.where, self.frames = where, len(where)

    def __iter__(self):
        y, x = np.mgrid[:200, :200]
        for u, v in self.where:
            image = np.full((200, 200, 3), (120, 150, 200), np.uint8)
            image[np.hypot(x - u, y - v) < 5] = 30
            yield image


def nothing_seen(frames):
    names = load_skeleton(SIMSPINE_SKELETON).names
    return Keypoints(names, RATE, np.full((frames, 2, len(names), 2), np.nan), np.zeros((frames, 2, len(names))))


def rig():
    """Two cameras beside one another, looking at the same place."""
    K = [[200, 0, 100], [0, 200, 100], [0, 0, 1]]
    turn = np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]], float)
    return [
        Camera(name, (200, 200), K, np.zeros(5), turn, -turn @ np.array([-2.0, y, 0.0]))
        for name, y in (("left", 0.4), ("right", -0.4))
    ]


@pytest.fixture(scope="module")
def spot():
    frames = np.arange(20)
    return np.stack([0.005 * frames, 0.004 * frames, 0.1 - 0.01 * frames], 1)


def test_views_are_joined_and_what_does_not_agree_is_missing(spot):
    cameras = rig()
    at = project_points(cameras, spot)
    at[1, 12:15, 1] += 8  # something else, for three frames
    clicks = {"T7": {camera.name: {0: tuple(at[v, 0])} for v, camera in enumerate(cameras)}}
    found = follow_skin_markers(nothing_seen(20), cameras, [_Drawn(where) for where in at], clicks, 5.0)
    track = found.xy[:, :, found.index("T7_skin")]
    wrong = np.isnan(track).any((1, 2))
    np.testing.assert_array_equal(np.flatnonzero(wrong), [12, 13, 14])
    assert np.abs(track - at.transpose(1, 0, 2))[~wrong].max() < 0.3


def test_late_views_are_followed_in_their_own_frames_and_joined_at_the_same_instant(spot):
    """The right view shows everything three frames later; clicks are of each video's own frames."""
    cameras = rig()
    at = project_points(cameras, spot)
    late = np.concatenate([np.repeat(at[1, :1], 3, 0), at[1, :-3]])
    videos = [_Drawn(at[0]), _Drawn(late)]
    timing = timing_of(["left", "right"], [20, 20], np.array([0, 3]))
    clicks = {"T7": {"left": {0: tuple(at[0, 0])}, "right": {10: tuple(late[10])}}}
    found = follow_skin_markers(nothing_seen(timing.frames), cameras, videos, clicks, 5.0, timing)
    track = found.xy[:, :, found.index("T7_skin")]
    assert np.abs(track - at.transpose(1, 0, 2)[: timing.frames]).max() < 0.3


@pytest.mark.parametrize(
    ("clicks", "said"),
    [
        ({"T13": {"left": {0: (1.0, 1.0)}}}, "T13"),
        ({"T7": {"middle": {0: (1.0, 1.0)}}}, "middle.*left, right"),
        ({"T7": {"left": {3: (1.0, 1.0)}}}, "at frame 3 of left, whose video has frames 0 to 2"),
        ({"T7": {"left": {-1: (1.0, 1.0)}}}, "at frame -1 of left"),
    ],
)
def test_clicks_that_cannot_be_are_named(clicks, said):
    with pytest.raises(InputError, match=said):
        follow_skin_markers(nothing_seen(3), rig(), [_Drawn(np.zeros((3, 2)))] * 2, clicks)
    with pytest.raises(InputError, match="1 videos and 2 cameras"):
        follow_skin_markers(nothing_seen(3), rig(), [_Drawn(np.zeros((3, 2)))], {})
