"""Labels go where the picture goes; the oracle is the colour of the dot under each label."""

import numpy as np
import pytest
from dotted_people import NAMES, colour, picture, places

from simspine.learning.options import CROP_SIZE_PX, POINT_CHOICES, CurriculumStage, spine_options
from simspine.learning.spine_samples import (
    CropView,
    changed_colours,
    cut_out,
    drawn_view,
    moved_labels,
    plain_view,
)
from simspine.vision.side_swaps import mirror_indices
from simspine.vision.spinepose import frame_box

STAGES = spine_options("paper").curriculum


def boxed(keypoints):
    return np.concatenate([keypoints[:, :2].min(0), keypoints[:, :2].max(0)])


@pytest.mark.parametrize("number", range(12))
def test_each_label_lies_on_its_own_dot_after_any_augmentation(number):
    rng = np.random.default_rng(number)
    keypoints = places(rng)
    view = drawn_view(boxed(keypoints), keypoints, NAMES, STAGES[number % 2], rng)
    crop = cut_out(picture(keypoints), view)
    xy, known = moved_labels(keypoints, NAMES, view)
    order = mirror_indices(NAMES) if view.mirrored else np.arange(len(NAMES))
    assert known.sum() > 3
    for i in np.flatnonzero(known):
        x, y = np.round(xy[i]).astype(int)
        np.testing.assert_allclose(crop[y, x], colour(order[i]), atol=3)


def test_a_plain_crop_is_what_a_detector_looks_at():
    box = np.array([31.0, 20.5, 77.0, 140.0])
    x, y, width, height = frame_box(box, CROP_SIZE_PX)
    inside = np.array([[x, y, 2.0], [x + width / 4, y + height / 2, 2.0]])
    xy, _ = moved_labels(inside, ("nose", "neck"), plain_view(box))
    np.testing.assert_allclose(xy, [[0, 0], [48, 128]], atol=1e-9)


def test_mirroring_twice_changes_nothing_and_sides_are_those_of_the_skeleton():
    order = mirror_indices(NAMES)
    np.testing.assert_array_equal(order[order], np.arange(37))
    assert NAMES[order[NAMES.index("left_clavicle")]] == "right_clavicle"
    assert NAMES[order[NAMES.index("spine_03")]] == "spine_03"
    trunk = POINT_CHOICES["trunk"]
    assert trunk[mirror_indices(trunk)[trunk.index("left_latissimus")]] == "right_latissimus"
    image, view = picture(places(np.random.default_rng(1))), CropView((60.0, 80.0), 96.0)
    mirrored = CropView((60.0, 80.0), 96.0, mirrored=True)
    np.testing.assert_array_equal(cut_out(image, mirrored), cut_out(image, view)[:, ::-1])


def test_labels_outside_the_crop_and_absent_ones_do_not_count():
    keypoints = np.array([[10.0, 80, 2], [60, 80, 1], [60, 90, 0]])
    _, known = moved_labels(keypoints, ("nose", "neck", "hip"), CropView((60.0, 80.0), 48.0))
    np.testing.assert_array_equal(known, [False, True, False])


def test_scales_rotations_and_shifts_stay_within_the_stage():
    keypoints = places(np.random.default_rng(3))
    stage = CurriculumStage(shift=0.1, scale=(0.8, 1.5), rotation_deg=30)
    plain = plain_view(boxed(keypoints))
    rng = np.random.default_rng(4)
    views = [drawn_view(boxed(keypoints), keypoints, NAMES, stage, rng) for _ in range(400)]
    scale = np.array([view.width for view in views]) / plain.width
    turn = np.rad2deg([view.turn for view in views])
    moved = np.array([view.centre for view in views]) - plain.centre
    assert 0.8 <= scale.min() < 0.86
    assert 1.4 < scale.max() <= 1.5
    assert 25 < np.abs(turn).max() <= 30
    assert 0.3 < (turn == 0).mean() < 0.5  # 60 % are turned
    assert (np.abs(moved) <= 0.1 * np.array([1, 4 / 3]) * plain.width).all()
    assert 0.4 < np.mean([view.mirrored for view in views]) < 0.6


def test_half_a_body_fills_the_crop():
    upright = np.array([[60.0, 20 + 2 * i, 2] for i in range(37)])
    upright[[name.endswith(("hip", "knee", "ankle", "toe", "heel")) for name in NAMES], 1] += 100
    stage = CurriculumStage(half_body=1.0, flip=0)
    rng = np.random.default_rng(5)
    widths = {round(drawn_view(boxed(upright), upright, NAMES, stage, rng).width) for _ in range(50)}
    assert max(widths) < 0.8 * plain_view(boxed(upright)).width
    few = upright.copy()
    few[8:, 2] = 0  # too few labelled for a half
    assert drawn_view(boxed(few), few, NAMES, stage, rng).width == plain_view(boxed(few)).width


def test_colours_change_by_the_generator_alone():
    crop = picture(places(np.random.default_rng(6)))
    stage = CurriculumStage(colour=True, blur=0.5, hole=1.0)
    first, again, other = (changed_colours(crop, stage, np.random.default_rng(seed)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(changed_colours(crop, CurriculumStage(), np.random.default_rng(7)), crop)
    hole = (changed_colours(crop, CurriculumStage(hole=1.0), np.random.default_rng(9)) == 114).all(-1)
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    assert hole.sum() == len(rows) * len(columns)
    assert 0.2 * 160 - 1 <= len(rows) <= 0.4 * 160 + 1
    assert 0.2 * 120 - 1 <= len(columns) <= 0.4 * 120 + 1
