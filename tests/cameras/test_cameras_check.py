"""A camera that is off, late, mirrored or exchanged with another is the one that is named."""

import numpy as np
import pytest
from rigs import one, undone, walk

from simspine.cameras.check import check_cameras, mix_ups
from simspine.cameras.sync import shifted


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
    keypoints, true, _ = walk("exact")
    given = [true[0], undone(true[1], change), *true[2:]]
    checks, _, _ = check_cameras(keypoints, given)
    values = [check.value[quantity] for check in checks]
    assert np.argmax(np.abs(values)) == 1
    assert values[1] == pytest.approx(shown, rel=0.15)
    assert checks[1].deviation[quantity] < abs(shown) / 4


@pytest.mark.slow
def test_detections_are_judged_within_their_deviations():
    keypoints, true, _ = walk("finetuned", 1)
    given = [*true[:2], undone(true[2], one(centre_x=15.0, centre_y=10.0)), true[3]]
    check = check_cameras(keypoints, given)[0][2]
    for quantity, shown in (("shift_x_px", 15.0), ("shift_y_px", 10.0)):
        assert abs(check.value[quantity] - shown) < 3 * check.deviation[quantity]
        assert abs(check.value[quantity]) > 2 * check.deviation[quantity]


@pytest.mark.slow
def test_a_late_view_is_named():
    keypoints, true, _ = walk("exact")
    checks, _, _ = check_cameras(shifted(keypoints, [0, 0, -1.5, 0]), true)
    np.testing.assert_allclose([check.value["late"] for check in checks], [0.0, 0.0, 1.5, 0.0], atol=0.1)


@pytest.mark.slow
def test_right_cameras_pass():
    keypoints, true, _ = walk("finetuned", 2)
    checks, mixed, _ = check_cameras(keypoints, true)
    assert mixed == []
    for check in checks:
        assert check.used > 0.9
        for quantity, value in check.value.items():
            assert abs(value) <= 3 * check.deviation[quantity], (check.camera, quantity)


def test_a_mirrored_image_is_found():
    keypoints, true, _ = walk("finetuned")
    xy, confidence = keypoints.xy.copy(), keypoints.confidence.copy()
    sides = [
        keypoints.index({"L": "R", "R": "L"}[name[0]] + name[1:]) if name[0] in "LR" else i
        for i, name in enumerate(keypoints.names)
    ]  # what a detector calls the sides of a mirrored person
    xy[:, 2], confidence[:, 2] = xy[:, 2, sides], confidence[:, 2, sides]
    xy[:, 2, :, 0] = true[2].size[0] - 1 - xy[:, 2, :, 0]
    best = mix_ups(keypoints.with_(xy=xy, confidence=confidence), true)[0]
    assert (best.kind, best.views) == ("mirrored", (true[2].name,))


def test_exchanged_views_are_found():
    keypoints, true, _ = walk("finetuned")
    order = [0, 3, 2, 1]
    swapped = keypoints.with_(xy=keypoints.xy[:, order], confidence=keypoints.confidence[:, order])
    best = mix_ups(swapped, true)[0]
    assert (best.kind, best.views) == ("exchanged", (true[1].name, true[3].name))
    assert best.used_then > 0.9
