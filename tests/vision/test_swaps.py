"""Left and right exchanged in some views: found, undone, and not imagined."""

import numpy as np
import pytest

from simspine.vision.rays import rays_of_pixels
from simspine.vision.side_swaps import exchange_sides, limb_groups, mirror_indices
from simspine.vision.triangulation import triangulate, triangulate_with_report

LEGS = ("Hip", "Knee", "Ankle", "BigToe")


def columns(names, limbs):
    return [i for i, n in enumerate(names) if n[0] in "LR" and n[1:] in limbs]


def injected(rig, keypoints, frames, views, limbs):
    swapped = np.zeros(keypoints.confidence.shape, bool)
    swapped[np.ix_(frames, views, columns(rig.names, limbs))] = True
    return exchange_sides(keypoints, swapped), swapped


def test_mirror_indices():
    names = ["Hip", "LKnee", "RKnee", "Latissimus", "left_ear", "right_ear", "LWrist", "Left_eye"]
    assert mirror_indices(names).tolist() == [0, 2, 1, 3, 5, 4, 6, 7]


def test_groups():
    names = ["Hip", "LHip", "RHip", "LEye", "REye", "LClavicle", "RClavicle", "LHeel", "RHeel"]
    groups = limb_groups(names)
    assert {g: i.tolist() for g, i in groups.items()} == {
        "legs": [[1, 7], [2, 8]],
        "face": [[3], [4]],
        "arms": [[5], [6]],
    }


def test_exchange_twice_is_nothing(rig):
    cameras = rig.ring(3)
    keypoints = rig.see(cameras, rig.person(4))
    once, swapped = injected(rig, keypoints, [1, 2], [0], LEGS)
    assert once != keypoints
    assert exchange_sides(once, swapped) == keypoints


def test_rays_are_exchanged_as_their_pixels_are(rig):
    cameras = rig.ring(3)
    keypoints = rig.see(cameras, rig.person(4))
    exchanged, swapped = injected(rig, keypoints, [1, 2], [0], LEGS)
    found = rays_of_pixels(cameras, keypoints.xy).with_exchanged(swapped, mirror_indices(keypoints.names))
    wanted = rays_of_pixels(cameras, exchanged.xy)
    for field in ("normal", "lens_derivative", "weight"):
        np.testing.assert_array_equal(getattr(found, field), getattr(wanted, field))


@pytest.mark.parametrize(
    ("views", "frames"), [([1], range(20, 40)), ([0, 3], range(20, 40)), ([0, 1, 2], range(30, 36))]
)
def test_swapped_legs_are_found_and_undone(rig, rng, views, frames):
    """One view of four wrong, then two, then three: a tie and a majority that only the frames about them break."""
    cameras, truth = rig.ring(4), rig.person(60)
    keypoints = rig.see(cameras, truth, noise=2.0, rng=rng)
    wrong, swapped = injected(rig, keypoints, frames, views, LEGS)
    markers, report = triangulate_with_report(wrong, cameras)
    assert np.array_equal(report.swapped, swapped)
    assert np.linalg.norm(markers.xyz - truth, axis=-1).max() < 0.03
    assert (report.used.mean((0, 2)) > 0.98).all()
    clean = triangulate(keypoints, cameras)
    error, least = (np.linalg.norm(m.xyz - truth, axis=-1) for m in (markers, clean))
    assert np.median(error) < 1.02 * np.median(least)


@pytest.mark.parametrize(("every", "limbs"), [(6, (*LEGS, "Shoulder", "Elbow", "Wrist")), (3, LEGS)])
def test_sides_exchanged_most_of_the_time_are_no_noise(rig, rng, every, limbs):
    """Narrow in the image, the exchange could pass as noise of all views, and the knees come to lie between both."""
    cameras, truth = rig.ring(4, radius=9.0), rig.person(50)
    frames = [k for k in range(50) if k % every]
    wrong, swapped = injected(rig, rig.see(cameras, truth, noise=0.4, rng=rng), frames, [2], limbs)
    markers, report = triangulate_with_report(wrong, cameras)
    assert np.array_equal(report.swapped, swapped)
    assert np.linalg.norm(markers.xyz - truth, axis=-1).max() < 0.03


def test_swap_together_with_a_bad_view_and_sixteen_cameras(rig, rng):
    cameras, truth = rig.ring(16), rig.person(8)
    keypoints = rig.see(cameras, truth, noise=2.0, rng=rng)
    wrong, swapped = injected(rig, keypoints, range(8), [2, 9, 10], ("Shoulder", "Elbow", "Wrist"))
    xy = np.array(wrong.xy)
    xy[:, 5] += 300
    markers, report = triangulate_with_report(wrong.with_(xy=xy), cameras)
    assert np.array_equal(report.swapped, swapped)
    assert np.linalg.norm(markers.xyz - truth, axis=-1).max() < 0.03


def test_no_swaps_are_imagined(rig, rng):
    cameras, truth = rig.ring(4), rig.person(60)
    keypoints = rig.see(cameras, truth, noise=4.0, rng=rng)
    xy = np.array(keypoints.xy)
    xy[rng.random(xy.shape[:3]) < 0.1] += rng.normal(0, 150)
    _, report = triangulate_with_report(keypoints.with_(xy=xy), cameras)
    assert report.swapped.mean() < 0.002


def test_without_fixing_a_swapped_view_is_dropped(rig, rng):
    cameras, truth = rig.ring(4), rig.person(20)
    wrong, _ = injected(rig, rig.see(cameras, truth, noise=2.0, rng=rng), range(20), [1], LEGS)
    markers, report = triangulate_with_report(wrong, cameras, fix_swaps=False)
    assert not report.swapped.any()
    assert np.linalg.norm(markers.xyz - truth, axis=-1).max() < 0.1
    assert report.used[:, 1, columns(rig.names, LEGS)].mean() < 0.2
