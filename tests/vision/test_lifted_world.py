"""People of one camera in metres and a world with a floor; truth from virtual people and from cameras that know it."""

import json
from pathlib import Path

import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.core.skeletons import load_skeleton, translate
from simspine.core.types import Keypoints
from simspine.evaluation.metrics import point_distances, similarity_aligned
from simspine.io.calibration import read_calibration
from simspine.io.human36m.names import select_trials
from simspine.io.video import demo_folder
from simspine.synthesis.population import make_subject
from simspine.synthesis.virtual_detector import read_preset
from simspine.synthesis.virtual_trial import detect_trial, make_trial, motion_of_trial, true_points, virtual_rig
from simspine.vision.lifting import (
    LiftedPose,
    Lifter,
    LiftingLens,
    PeopleLifter,
    PeoplePlacer,
    WorldChoices,
    frame_of_poses,
    place_pose,
    root_in_camera,
)
from simspine.vision.one_camera import FILE_POINT_NAMES, DetectedPerson
from simspine.vision.person_frame import person_frame
from simspine.vision.triangulation import triangulate

SEED, SUBJECT = 977, 11  # nobody of these was learnt from
NAMES = FILE_POINT_NAMES


@pytest.fixture(scope="module")
def walker():
    """True points in the world (frames, points, 3) m, cameras, and what a detector sees of them."""
    person = make_subject(SEED, SUBJECT)
    trial = next(name for name in select_trials(None) if name.startswith("Walking"))
    made = make_trial(person, *motion_of_trial(trial), 120)
    cameras = virtual_rig(SEED, "S9")
    points = true_points(made)
    seen = detect_trial(made, cameras, read_preset("finetuned")).keypoints
    order = [points.names.index(name) for name in NAMES]
    columns = [seen.names.index(name) for name in NAMES]
    return person, points.xyz[:, order], cameras, seen.xy[:, :, columns]


def exact_pose(world: np.ndarray, camera, unit: float = 1.0) -> LiftedPose:
    """What a perfect lifter gives, in another unit."""
    points = world @ camera.R.T + camera.t
    return LiftedPose(
        (points - points[NAMES.index("Hip")]) / unit, np.full((37, 3), 1e-4), points[:, :2] / points[:, 2:]
    )


def test_an_exact_pose_is_put_where_it_is(walker):
    _, world, cameras, _ = walker
    for unit in (1.0, 2.0):
        root, _ = root_in_camera(exact_pose(world[0], cameras[0], unit))
        true = world[0, NAMES.index("Hip")] @ cameras[0].R.T + cameras[0].t
        np.testing.assert_allclose(unit * root, true, atol=1e-9)


def test_nothing_is_placed_by_three_points_or_behind_the_camera(walker):
    _, world, cameras, _ = walker
    pose = exact_pose(world[0], cameras[0])
    few = np.full((37, 2), np.nan)
    few[:3] = pose.image[:3]
    assert np.isnan(root_in_camera(pose._replace(image=few))[0]).all()
    assert np.isnan(root_in_camera(pose._replace(image=-pose.image))[0]).all()


@pytest.mark.parametrize("height", [None, "known"])
def test_exact_poses_give_distances_of_the_world(walker, height):
    """With the stature the person's own size comes back to its proportions; without, that of mean adults."""
    person, world, cameras, _ = walker
    poses = [exact_pose(points, cameras[1], 1.3) for points in world]
    known = person.stature if height else None
    frame = frame_of_poses(NAMES, poses, WorldChoices(height=known))
    assert frame.height_known == (height is not None)
    true = person_frame(NAMES, world, known)
    found = np.array([place_pose(pose, frame).xyz for pose in poses])
    wanted = (true.scale * world - true.origin) @ true.R.T
    np.testing.assert_allclose(found[..., 2], wanted[..., 2], atol=1e-6)
    between = np.linalg.norm(found - found[:1, :1], axis=-1)
    np.testing.assert_allclose(between, np.linalg.norm(wanted - wanted[:1, :1], axis=-1), atol=1e-6)
    np.testing.assert_allclose(found, wanted, atol=0.03)  # the heading is a median in other axes
    if height:
        assert abs(true.scale - 1) < 2 * true.scale_sd


def test_other_choices(walker):
    _, world, cameras, _ = walker
    poses = [exact_pose(points, cameras[0]) for points in world[:40]]
    own = frame_of_poses(NAMES, poses, WorldChoices(metric_scale=False, camera_pose=False))
    truth = world[0] @ cameras[0].R.T + cameras[0].t
    np.testing.assert_allclose(place_pose(poses[0], own).xyz, truth, atol=1e-9)
    level = frame_of_poses(NAMES, poses, WorldChoices(metric_scale=False, ground_plane=False))
    up = place_pose(poses[0], level).xyz[:, 2]
    np.testing.assert_allclose(up - up[0], truth[0, 1] - truth[:, 1], atol=1e-9)  # against the image's y
    assert level.tilt_sd > own.tilt_sd == 0
    neither = frame_of_poses(NAMES, poses, WorldChoices(metric_scale=False, camera_pose=False, ground_plane=False))
    np.testing.assert_array_equal(place_pose(poses[0], neither).xyz, place_pose(poses[0], own).xyz)
    for wrong in ({"height": 17.0}, {"height": 1.7, "metric_scale": False}):
        with pytest.raises(InputError):
            WorldChoices(**wrong)


def test_the_packaged_lifter_states_intervals_that_hold_on_people_it_has_not_seen(walker):
    """Each of four cameras for itself, stature known; the truth in the world by the true points of the same frames."""
    person, world, cameras, seen = walker
    inside, errors = [], []
    for view, camera in enumerate(cameras):
        placer = PeoplePlacer(PeopleLifter(Lifter(), LiftingLens(camera=camera)), WorldChoices(height=person.stature))
        found = []
        for xy in seen[:, view]:
            flags = np.zeros((2, 37), bool)
            one = DetectedPerson(xy, np.isfinite(xy).all(1) * 1.0, *flags)
            found += placer.push([one], camera.size)
        found += placer.flush()
        assert len(found) == len(world)
        names = found[0][1].names
        order = [names.index(name) for name in NAMES]
        placed = np.array([poses[1].placed.xyz[order] for poses in found])
        sd = np.array([poses[1].placed.sd[order] for poses in found])
        true = person_frame(NAMES, world[:30], person.stature)
        wanted = (world - true.origin / true.scale) @ true.R.T
        errors.append(np.linalg.norm(placed - wanted, axis=-1))
        inside.append(np.abs(placed - wanted) < 1.645 * sd)
    assert np.median(errors) < 0.25
    assert 0.8 < np.mean(inside) <= 0.99


def test_the_packaged_lifter_turns_with_the_camera(walker):
    """A camera that looks elsewhere sees the same rays in other axes: the pose turns with them."""
    _, world, cameras, _ = walker
    lifter = Lifter()
    order = [NAMES.index(name) for name in lifter.card.points]
    rays = (world[::40] @ cameras[2].R.T + cameras[2].t)[:, order]
    c, s = np.cos(0.2), np.sin(0.2)
    about_y = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    plain, turned = (lifter.lift(part[..., :2] / part[..., 2:])[0] for part in (rays, rays @ about_y.T))
    np.testing.assert_allclose(turned, plain @ about_y.T, atol=0.02)


LIMBS = [side + joint for joint in ("Hip", "Knee", "Ankle", "Shoulder", "Elbow", "Wrist") for side in "LR"]


def test_single_views_of_a_real_person_agree_with_four_cameras():
    """BlazePose's points in the first image of each packaged view; truth is what all four together give."""
    table = json.loads(Path(__file__).with_name("blazepose_points.json").read_text())["full"]
    cameras = read_calibration(next((demo_folder() / "calibration").iterdir()))
    native = load_skeleton("blazepose33").names
    xy = np.zeros((1, 4, 33, 2))
    for row in (row for row in table if row["frame"] == 0):
        xy[0, row["view"]] = np.array(row["xy"])[:, :2]
    seen = translate(Keypoints(native, 60.0, xy, np.ones((1, 4, 33))), "blazepose33")
    truth = triangulate(seen, cameras)
    true = truth.xyz[:, [truth.index(name) for name in LIMBS]]
    lifter, aligned, inside = Lifter(), [], []
    at = [lifter.card.points.index(name) for name in LIMBS]
    columns = [seen.names.index(name) if name in seen.names else None for name in NAMES]
    for view, camera in enumerate(cameras):
        people = PeopleLifter(lifter, LiftingLens(camera=camera))
        points = np.array([seen.xy[0, view, i] if i is not None else (np.nan, np.nan) for i in columns])
        one = DetectedPerson(points, np.isfinite(points).all(1) * 1.0, *np.zeros((2, 37), bool))
        poses = people.lift_people([one], camera.size)
        own, known = poses[1].xyz[at], true[0] @ camera.R.T
        aligned.append(point_distances(similarity_aligned(own[None], known[None]), known[None]).mean())
        error = (own - own[:2].mean(0)) - (known - known[:2].mean(0))
        inside.append(np.abs(error) < 1.645 * poses[1].sd[at])
    assert np.mean(aligned) < 0.1
    assert np.mean(inside) > 0.75
