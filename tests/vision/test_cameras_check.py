"""A camera that is off, late, mirrored or exchanged with another is the one that is named."""

import re

import numpy as np
import pytest
from rigs import one, shift_views, undone, walk
from small_project import dance, of_size, ring

from simspine.anatomy.body import forward_kinematics
from simspine.core.errors import InputError
from simspine.core.geometry import project_points
from simspine.core.types import Camera, Keypoints
from simspine.quality import assess
from simspine.quality.assess import TOLERATED_CAMERA_ERRORS
from simspine.vision.camera_check import CameraChecks, check_cameras, find_mix_ups, select_views
from simspine.vision.side_swaps import exchange_sides
from simspine.workflow.setup import keypoints_of_markers

SHORT = 70  # frames, enough of a walk for errors of these sizes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "quantity", "shown"),
    [
        (one(centre_x=10.0), "shift_x_px", 10.0),
        (one(centre_y=-8.0), "shift_y_px", -8.0),
        (one(rotation_z=0.02), "roll", 0.02),
        (one(focal=0.02), "scale", 0.02),
    ],
)
def test_a_fault_is_measured_where_it_is(change, quantity, shown):
    """The image of one camera is moved by a known amount; the others, which are right, say so."""
    keypoints, true, _ = walk("exact", 0, SHORT)
    given = [true[0], undone(true[1], change), *true[2:]]
    checks = check_cameras(keypoints, given).checks
    values = [check.value[quantity] for check in checks]
    assert np.argmax(np.abs(values)) == 1
    assert values[1] == pytest.approx(shown, rel=0.15)
    assert checks[1].deviation[quantity] < abs(shown) / 4


@pytest.mark.slow
@pytest.mark.long
def test_detections_are_judged_within_their_deviations():
    keypoints, true, _ = walk("finetuned", 1)
    given = [*true[:2], undone(true[2], one(centre_x=15.0, centre_y=10.0)), true[3]]
    check = check_cameras(keypoints, given).checks[2]
    for quantity, shown in (("shift_x_px", 15.0), ("shift_y_px", 10.0)):
        assert abs(check.value[quantity] - shown) < 3 * check.deviation[quantity]
        assert abs(check.value[quantity]) > 2 * check.deviation[quantity]


@pytest.mark.slow
def test_a_late_view_is_named():
    keypoints, true, _ = walk("exact")
    checks = check_cameras(shift_views(keypoints, [0, 0, -1.5, 0]), true).checks
    np.testing.assert_allclose([check.value["late"] for check in checks], [0.0, 0.0, 1.5, 0.0], atol=0.1)


@pytest.mark.slow
def test_right_cameras_pass():
    keypoints, true, _ = walk("finetuned", 2)
    found = check_cameras(keypoints, true)
    assert found.mixed_up == ()
    assert [check.camera for check in found.checks] == [camera.name for camera in true]
    for check in found.checks:
        assert check.used_observations > 0.9
        for quantity, value in check.value.items():
            assert abs(value) <= 3 * check.deviation[quantity], (check.camera, quantity)


BAD = {
    "shifted": one(centre_x=60.0, centre_y=20.0),
    "turned away": one(rotation_y=np.radians(2.0)),
    "rolled": one(rotation_z=np.radians(3.0)),
    "zoomed": one(focal=0.08),
    "moved": one(position_x=0.15),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name in ("rolled", "turned away") else name for name in BAD]
)
def test_one_bad_camera_alone_is_named(name):
    """Beside all others, the three good ones seem to be off by up to 58 px; beside one another they are not."""
    keypoints, true, _ = walk("finetuned", 1, SHORT)
    given = [*true[:2], undone(true[2], BAD[name]), true[3]]
    found = check_cameras(keypoints, given, tolerated=TOLERATED_CAMERA_ERRORS)
    assert found.mixed_up == ()
    assert {finding.where for finding in assess.check_camera_images(found.checks, found.mixed_up)} == {true[2].name}
    good = {camera.name for camera in true} - {true[2].name}
    assert [set(check.judging_views) for check in found.checks] == [good - {check.camera} for check in found.checks]


@pytest.mark.parametrize("preset", [pytest.param("exact", marks=pytest.mark.long), "finetuned"])
def test_one_camera_whose_points_are_all_far_off_is_named_by_how_much(preset):
    """Triangulation uses none of its points, and the other cameras agree."""
    keypoints, true, _ = walk(preset, 1, SHORT)
    seen = in_view(keypoints, 1, keypoints.xy[:, 1] + [60.0, 300.0])
    found = check_cameras(seen, true, tolerated=TOLERATED_CAMERA_ERRORS)
    assert found.mixed_up == ()
    assert [check.used_observations > 0.9 for check in found.checks] == [True, False, True, True]
    (finding,) = assess.check_camera_images(found.checks, found.mixed_up)
    assert (finding.code, finding.where) == ("camera_shift", true[1].name)
    right, below = (int(px) for px in re.findall(r"(\d+) ±", finding.message))
    assert "to the right" in finding.message
    assert "below" in finding.message
    np.testing.assert_allclose([right, below], [60, 300], atol=6)


@pytest.mark.parametrize("view", [0, 1, 2])
def test_of_three_cameras_the_shifted_one_is_named(view):
    """In a ring of three, a shift to the side looks in part like images cropped alike, or like two exchanged."""
    markers = walk("exact", 1, 40)[2]
    rng, cameras = np.random.default_rng(3), ring(3)
    xy = project_points(cameras, markers.xyz).swapaxes(0, 1)
    xy = xy + rng.normal(0, 4.0, xy.shape)
    xy[:, view] += [80.0, 0.0]
    keypoints = Keypoints(markers.names, 50.0, xy, np.full(xy.shape[:3], 0.9))
    found = check_cameras(keypoints, cameras, tolerated=TOLERATED_CAMERA_ERRORS)
    findings = [f for f in assess.check_camera_images(found.checks, found.mixed_up) if f.code != "camera_late"]
    assert {finding.where for finding in findings} == {cameras[view].name}
    (right,) = re.findall(r"(\d+)(?: ± \d+ px to the right| and [+-]\d+ px)", findings[0].message)
    assert int(right) == pytest.approx(80, abs=8)


@pytest.mark.slow
def test_of_two_cameras_that_disagree_neither_is_set_aside():
    keypoints, true, _ = walk("finetuned", 1)
    given = [true[0], undone(true[1], one(centre_y=30.0))]
    checks = check_cameras(select_views(keypoints, [0, 1]), given, tolerated=TOLERATED_CAMERA_ERRORS).checks
    assert [check.judging_views for check in checks] == [(true[1].name,), (true[0].name,)]
    up, down = (check.value["shift_y_px"] for check in checks)
    assert up < -20
    assert down > 20


def in_view(keypoints, view, xy, confidence=None):
    """The keypoints with other points in one view."""
    every, sure = keypoints.xy.copy(), keypoints.confidence.copy()
    every[:, view] = xy
    if confidence is not None:
        sure[:, view] = confidence
    return keypoints.with_(xy=every, confidence=sure)


def mirrored(keypoints, camera, view):
    """What a detector sees in a mirrored video: it takes a mirrored person's left for their right."""
    sides = [
        keypoints.index({"L": "R", "R": "L"}[name[0]] + name[1:]) if name[0] in "LR" else i
        for i, name in enumerate(keypoints.names)
    ]
    xy = keypoints.xy[:, view, sides].copy()
    xy[..., 0] = camera.size[0] - 1 - xy[..., 0]
    return in_view(keypoints, view, xy, keypoints.confidence[:, view, sides])


def test_a_mirrored_image_is_found():
    """Nothing else is computed then."""
    keypoints, true, _ = walk("finetuned")
    found = check_cameras(mirrored(keypoints, true[2], 2), true)
    assert (found.mixed_up[0].kind, found.mixed_up[0].views) == ("mirrored", (true[2].name,))
    assert found == CameraChecks((), found.mixed_up)


@pytest.mark.parametrize("index", [3, pytest.param(5, marks=pytest.mark.long)])
def test_all_images_mirrored_are_not_taken_for_exchanged_cameras(index):
    """All cameras in selfie mode: mirroring comes first, whatever else fits a little better than nothing."""
    keypoints, true, _ = walk("finetuned", index)
    for view, camera in enumerate(true):
        keypoints = mirrored(keypoints, camera, view)
    best = find_mix_ups(keypoints, true)[0]
    assert (best.kind, best.views) == ("mirrored", tuple(camera.name for camera in true))
    assert best.used_if_exchanged > 0.9
    (finding,) = assess.check_camera_images((), (best,))
    assert finding.message.startswith(f"{true[0].name}, ")
    assert "their images seem to be mirrored" in finding.message


def test_a_mirrored_image_is_found_by_the_little_that_is_left_of_its_view():
    """Whoever follows a person drops what does not fit them: a tenth of the frames, an image off by some pixels."""
    keypoints, true, _ = walk("finetuned")
    seen = mirrored(keypoints, true[2], 2)
    confidence = seen.confidence[:, 2].copy()
    confidence[np.arange(len(confidence)) % 10 > 0] = 0.0
    seen = in_view(seen, 2, seen.xy[:, 2] + [8.0, 0.0], confidence)
    (only,) = find_mix_ups(seen, true)
    assert (only.kind, only.views) == ("mirrored", (true[2].name,))
    assert only.used < 0.4
    assert only.used_if_exchanged > 0.9


@pytest.mark.parametrize(
    ("kind", "views", "read"),
    [
        ("axes_exchanged", (1,), lambda xy, size: xy[..., ::-1]),
        ("y_upwards", (0, 1, 2, 3), lambda xy, size: [0, size[1] - 1] + [1, -1] * xy),
        ("centred", (1,), lambda xy, size: xy - np.array(size) / 2),
        ("centred", (0, 1, 2, 3), lambda xy, size: (xy - np.array(size) / 2) * [1, -1]),
    ],
)
def test_points_with_other_axes_are_found(kind, views, read):
    keypoints, true, _ = walk("finetuned")
    for view in views:
        keypoints = in_view(keypoints, view, read(keypoints.xy[:, view], true[view].size))
    best = find_mix_ups(keypoints, true)[0]
    assert (best.kind, best.views) == (kind, tuple(true[view].name for view in views))
    assert best.used_if_exchanged > 0.9


def turned_images(keypoints, cameras, views, kind):
    """Points where they are in images of `views` that were turned after calibration."""
    for view in views:
        (width, height), (x, y) = cameras[view].size, np.moveaxis(keypoints.xy[:, view], -1, 0)
        now = {
            "turned": (width - 1 - x, height - 1 - y),
            "turned_right": (height - 1 - y, x),
            "turned_left": (y, width - 1 - x),
        }
        keypoints = in_view(keypoints, view, np.stack(now[kind], -1))
    return keypoints


@pytest.mark.parametrize(
    ("kind", "views"),
    [("turned_left", (2,)), ("turned_right", (0, 1, 2, 3)), ("turned", (1,)), ("turned", (0, 1, 2, 3))],
)
def test_images_that_were_turned_are_found(kind, views):
    """One video, or all of them, as portrait phones are exported by another program than the calibration's."""
    keypoints, true, _ = walk("finetuned")
    found = find_mix_ups(turned_images(keypoints, true, views, kind), true)
    assert (found[0].kind, found[0].views) == (kind, tuple(true[view].name for view in views))
    assert found[0].used_if_exchanged > 0.9


@pytest.mark.parametrize(("size_ratio", "views"), [(0.5, (0, 1, 2, 3)), (2 / 3, (1,)), (2.0, (0, 1, 2, 3))])
def test_points_of_images_of_another_size_are_found(size_ratio, views):
    """2D points detected in a small copy of the videos, or in originals that were calibrated small."""
    keypoints, true, _ = walk("finetuned")
    for view in views:
        keypoints = in_view(keypoints, view, keypoints.xy[:, view] * size_ratio)
    found = find_mix_ups(keypoints, true)
    assert (found[0].kind, found[0].size_ratio) == ("scaled", size_ratio)
    assert found[0].views == tuple(true[view].name for view in views)
    assert found[0].used_if_exchanged > 0.9


@pytest.mark.parametrize(
    ("size", "corner"),
    [(1.0, (0.11, 0.0)), pytest.param(0.8, (0.0, 0.0), marks=pytest.mark.long), (0.7, (-0.05, 0.03))],
)
def test_images_cropped_or_resized_alike_in_all_views(size, corner):
    """corner: of the images among those calibrated, as a share of the larger side."""
    keypoints, true, _ = walk("finetuned", 4)
    moved = keypoints.with_(xy=size * keypoints.xy - max(true[0].size) * np.array(corner))
    (only,) = find_mix_ups(moved, true)
    assert (only.kind, only.views) == ("cropped", tuple(camera.name for camera in true))
    assert only.used_if_exchanged > 0.9


@pytest.mark.parametrize("around_person", [False, True])
def test_images_cropped_each_in_another_way_are_not_taken_for_exchanged_ones(around_person):
    """A person in the middle of a ring of cameras, where two of them nearly see what the other does; and crops around
    the person, hundreds of px from the corner, of which no other mix-up explains a part."""
    body, cameras = of_size(1.02), ring()
    markers = forward_kinematics(body, dance(body, 24))
    markers = markers.select([name for name in markers.names if not name.endswith(("_virtual", "_inferred"))])
    keypoints = keypoints_of_markers(markers, cameras)
    noise = np.random.default_rng(1).normal(0, 0.5, keypoints.xy.shape)
    corners = np.reshape([(0, 0), (180, 60), (90, 0), (0, 0)], (4, 1, 2))
    if around_person:
        margins = np.reshape([(20, 20), (340, 60), (40, 220), (180, 20)], (4, 1, 2))
        corners = keypoints.xy.min((0, 2), keepdims=True)[0] - margins
    best, *others = find_mix_ups(keypoints.with_(xy=keypoints.xy - corners + noise), cameras)
    cropped = np.flatnonzero(corners.any((1, 2)))
    names = tuple(cameras[view].name for view in cropped)
    assert (best.kind, best.views) == ("shifted", names), "those whose images were cropped"
    np.testing.assert_allclose(best.shift_px, -corners[cropped, 0], atol=10.0 if around_person else 3.0)
    (finding,) = assess.check_camera_images((), (best,))
    assert finding.where == ", ".join(names)
    stated = [int(px) for px in re.findall(r"[+-]\d+(?= (?:and|px))", finding.message)]
    np.testing.assert_allclose(stated, np.ravel(best.shift_px), atol=0.51)
    assert best.used_if_exchanged > 0.9
    assert around_person or "exchanged" in [mix.kind for mix in others]  # which would be named without


@pytest.mark.parametrize("other", [2, 3])
def test_two_views_of_an_inexact_calibration_are_neither_cropped_nor_scaled(other):
    keypoints, true, _ = walk("finetuned", 4)
    inexact = undone(true[1], one(centre_x=20.0, centre_y=20.0))
    assert find_mix_ups(select_views(keypoints, (1, other)), [inexact, true[other]]) == []


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("kind", ["transposed", "transposed with its centre", "feet", "others in feet"])
def test_one_camera_written_otherwise_than_the_others(kind, count):
    keypoints, true, _ = walk("finetuned", 4)
    R, ratio = true[1].R.T, {"feet": 1 / 0.3048, "others in feet": 0.3048}.get(kind, 1.0)
    changed = {
        "transposed": true[1].with_(R=R),
        "transposed with its centre": true[1].with_(R=R, t=-R @ true[1].centre),
    }.get(kind, true[1].with_(t=ratio * true[1].t))
    seen = select_views(keypoints, range(count))
    best, *others = find_mix_ups(seen, [true[0], changed, *true[2:count]])
    if ratio == 1 or count > 2 or best.views != (true[0].name,):  # two cameras do not show whose unit is another one
        assert best.views == (changed.name,)
        assert others == [] or count == 2
    assert best.kind == ("unit" if ratio != 1 else "transposed")
    (finding,) = assess.check_camera_images((), (best,))
    assert finding.code == f"camera_{best.kind}"
    assert ("translations of all cameras in metres" in finding.suggestion) is (ratio != 1)


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        pytest.param("transposed", lambda R, t, place: (R.T, t), marks=pytest.mark.long),
        ("transposed", lambda R, t, place: (R.T, -R.T @ place)),
        ("centre", lambda R, t, place: (R, place)),
        pytest.param("centre", lambda R, t, place: (R, -place), marks=pytest.mark.long),
        ("inverse", lambda R, t, place: (R.T, place)),
        pytest.param("graphics", lambda R, t, place: (R * [[1], [-1], [-1]], t * [1, -1, -1]), marks=pytest.mark.long),
        pytest.param("graphics", lambda R, t, place: (R.T * [1, -1, -1], place), marks=pytest.mark.long),
    ],
)
def test_a_calibration_of_other_conventions_in_all_cameras(kind, written):
    keypoints, true, _ = walk("finetuned", 4)
    poses = [written(camera.R, camera.t, camera.centre) for camera in true]
    best = find_mix_ups(keypoints, [camera.with_(R=R, t=t) for camera, (R, t) in zip(true, poses, strict=True)])[0]
    assert (best.kind, best.views) == (kind, tuple(camera.name for camera in true))
    assert best.used_if_exchanged > 0.9


def test_a_calibration_turned_with_its_images_is_not_mixed_up():
    """A camera turned by a quarter about its axis, and its images too."""
    keypoints, true, _ = walk("finetuned")
    width, height = true[1].size
    seen = turned_images(keypoints, true, (1,), "turned_right")
    spin = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    K = true[1].K
    turned = np.array([[K[1, 1], 0, height - 1 - K[1, 2]], [0, K[0, 0], K[0, 2]], [0, 0, 1]])
    cameras = list(true)
    k1, k2, p1, p2, k3 = true[1].distortion[:5]
    cameras[1] = Camera(
        true[1].name, (height, width), turned, [k1, k2, -p2, -p1, k3], spin @ true[1].R, spin @ true[1].t
    )
    assert find_mix_ups(seen, cameras) == []


def test_sides_exchanged_in_most_frames_of_a_camera_are_a_finding():
    keypoints, true, _ = walk("finetuned")
    frames = np.random.default_rng(4).random(keypoints.frames) < 0.85
    swapped = np.zeros(keypoints.confidence.shape, bool)
    swapped[frames, 3] = True
    found = check_cameras(exchange_sides(keypoints, swapped), true, tolerated=TOLERATED_CAMERA_ERRORS)
    (finding,) = assess.check_camera_images(found.checks, found.mixed_up)
    assert (finding.code, finding.where) == ("camera_sides", true[3].name)
    assert "left and right are exchanged in 6" in finding.message
    swapped[frames, 3] = np.arange(frames.sum())[:, None] % 5 == 0
    few = check_cameras(exchange_sides(keypoints, swapped), true, tolerated=TOLERATED_CAMERA_ERRORS)
    assert list(assess.check_camera_images(few.checks, few.mixed_up)) == []


def test_no_cameras_are_refused():
    keypoints = Keypoints(["a"], 30, np.ones((9, 2, 1, 2)), np.ones((9, 2, 1)))
    with pytest.raises(InputError, match="2 views of keypoints but 0 cameras"):
        check_cameras(keypoints, [])


def test_exchanged_views_are_found():
    keypoints, true, _ = walk("finetuned")
    order = [0, 3, 2, 1]
    swapped = keypoints.with_(xy=keypoints.xy[:, order], confidence=keypoints.confidence[:, order])
    best = find_mix_ups(swapped, true)[0]
    assert (best.kind, best.views) == ("exchanged", (true[1].name, true[3].name))
    assert best.used_if_exchanged > 0.9


@pytest.mark.parametrize("order", [[1, 2, 3, 0], pytest.param([3, 2, 1, 0], marks=pytest.mark.long)])
def test_views_in_another_order_are_given_theirs(order):
    keypoints, true, _ = walk("finetuned")
    best = find_mix_ups(select_views(keypoints, order), true)[0]
    assert (best.kind, best.views) == ("order", tuple(true[view].name for view in order))
    assert best.used_if_exchanged > 0.9
