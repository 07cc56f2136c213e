"""Intervals of figures of people in images: what a drawn set scores is what the same set scores when it is made."""

from dataclasses import replace

import numpy as np
import pytest
from small_crowd import crowd

from simspine.core.errors import InputError
from simspine.evaluation.image_metrics import (
    ImagePeople,
    drawn_precision,
    matched_people,
    pck_auc,
    pck_auc_interval,
    precision_intervals,
)
from simspine.evaluation.metrics import bootstrap_mean, drawn_counts

SIGMAS = np.full(6, 0.07)


def repeated(people, times):
    """The people of each image so many times, each copy in an image of its own."""
    rows = [(i, k) for k in range(max(times.values())) for i, image in enumerate(people.image) if k < times[image]]
    index = [i for i, _ in rows]
    return ImagePeople(
        tuple(f"{people.image[i]} {k}" for i, k in rows), people.keypoints[index], people.box[index],
        people.area[index], people.score[index], people.crowd[index],
    )  # fmt: skip


def test_matches_give_the_figures_of_pycocotools():
    truth, found = crowd()
    people = matched_people(truth, found, SIGMAS)
    once = drawn_precision(people, np.ones(len(people.images), int))
    assert once == pytest.approx((people.figures["AP"], people.figures["AR"]), abs=1e-12)
    assert 0.05 < once[0] < 0.95


@pytest.mark.parametrize("seed", range(5))
def test_a_drawn_set_scores_what_pycocotools_gives_the_same_set_of_images(seed):
    truth, found = crowd()
    people = matched_people(truth, found, SIGMAS)
    times = next(drawn_counts(len(people.images), 1, seed))
    of = dict(zip(people.images, times.tolist(), strict=True))
    whole = matched_people(repeated(truth, of), repeated(found, of), SIGMAS).figures
    assert drawn_precision(people, times) == pytest.approx((whole["AP"], whole["AR"]), abs=1e-12)


def test_intervals_hold_the_figure_and_grow_with_clusters():
    truth, found = crowd(people=90)
    people = matched_people(truth, found, SIGMAS)
    by_image = precision_intervals(people, people.images, 300)
    by_ten = precision_intervals(people, [i // 10 for i in range(len(people.images))], 300)
    assert by_image is not None
    assert by_ten is not None
    for name in ("AP", "AR"):
        assert by_image[name][0] < people.figures[name] < by_image[name][1]
    assert precision_intervals(people, ["one"] * len(people.images)) is None
    with pytest.raises(InputError, match="1 clusters for 30 items"):
        precision_intervals(people, ["one"])


def test_without_labels_in_a_drawn_set_there_is_no_figure():
    truth, found = crowd()
    people = matched_people(truth, found, SIGMAS)
    assert np.isnan(drawn_precision(people, np.zeros(len(people.images), int))).all()
    nobody = replace(people, labels=np.zeros_like(people.labels))
    assert precision_intervals(nobody, nobody.images, 10) is None


def test_the_area_under_the_curve_is_drawn_as_a_mean_is():
    """Of one point, one threshold and a label each it is a share, whose interval `bootstrap_mean` knows."""
    random = np.random.default_rng(4)
    labels = np.concatenate([random.uniform(0, 90, (60, 1, 2)), np.full((60, 1, 1), 2)], -1)
    found = labels[..., :2] + random.normal(scale=9, size=(60, 1, 2))
    size, clusters = np.full(60, 100.0), [i // 4 for i in range(60)]
    hits = (np.linalg.norm(found - labels[..., :2], axis=-1) < 10)[:, 0]
    expected = bootstrap_mean(hits.astype(float), clusters)
    assert pck_auc_interval(found, labels, size, (0.1,), clusters, 2000) == pytest.approx(expected, abs=0.02)
    thresholds = (0.05, 0.1, 0.2)
    low, high = pck_auc_interval(found, labels, size, thresholds, clusters) or (1, 0)
    assert low < pck_auc(found, labels, size, thresholds) < high
    assert pck_auc_interval(found, labels, size, thresholds, [0] * 60) is None


def test_points_without_a_label_in_a_drawn_set_are_left_out():
    truth, found = crowd()
    few = replace(truth, keypoints=truth.keypoints * np.where(np.arange(6) == 2, [[1], [1], [0]], 1).T)
    size = truth.box[:, 2:].min(1)
    ends = pck_auc_interval(found.keypoints[::-1, :, :2], few.keypoints, size, (0.1, 0.3), truth.image)
    assert np.isfinite(ends).all()
