"""Similarity of points in images: by hand, and beside pycocotools, which defines average precision."""

import contextlib
import io
import json
import sys

import numpy as np
import pytest
from small_crowd import crowd

from simspine.core.errors import InputError
from simspine.evaluation.metrics import (
    PRECISION_FIGURES,
    ImagePeople,
    average_precision,
    correct_keypoint_share,
    object_keypoint_similarity,
    pck_auc,
)


def test_similarity_by_hand():
    """Area 100, sigma 0.05: κ² = 0.01, so a point 1 px off scores exp(−1 / 2)."""
    labels = np.array([[[0.0, 0, 2], [10, 0, 1], [99, 99, 0]]])
    found = np.array([[[1.0, 0], [10, 0], [0, 0]]])
    score = object_keypoint_similarity(found, labels, np.array([100.0]), np.full(3, 0.05))
    np.testing.assert_allclose(score, [(np.exp(-0.5) + 1) / 2])
    found[0, 1] = np.nan
    np.testing.assert_allclose(
        object_keypoint_similarity(found, labels, np.array([100.0]), np.full(3, 0.05)), [np.exp(-0.5) / 2]
    )
    assert np.isnan(object_keypoint_similarity(found, labels * [1, 1, 0], np.array([100.0]), np.full(3, 0.05))).all()


def test_shares_of_correct_points_by_hand():
    """Boxes of 100 and 200 px; distances of 5 and 10 px, 20 and none."""
    labels = np.array([[[0.0, 0, 2], [50, 0, 2]], [[0, 0, 2], [50, 0, 2]]])
    found = np.array([[[5.0, 0], [50, 10]], [[0, 20], [np.nan, 0]]])
    size = np.array([100.0, 200.0])
    np.testing.assert_allclose(correct_keypoint_share(found, labels, size, 0.06), [0.5, 0])
    np.testing.assert_allclose(correct_keypoint_share(found, labels, size, 0.1001), [1, 0.5])
    np.testing.assert_allclose(correct_keypoint_share(found, labels, size, 0.05), [0, 0])  # nearer than, not as near as
    assert pck_auc(found, labels, size, (0.0, 0.06, 0.1001)) == pytest.approx((0 + 0.25 + 0.75) / 3)
    assert np.isnan(correct_keypoint_share(found, labels * [1, 1, 0], size, 0.1)).all()


def test_average_precision_is_pycocotools(tmp_path):
    """The same files handed to pycocotools as anyone would, through the disk."""
    from pycocotools import coco, cocoeval

    truth, found = crowd()
    ours = average_precision(truth, found, np.full(6, 0.07))
    names = sorted(set(truth.image))
    labels = [
        {"id": i + 1, "image_id": names.index(image), "category_id": 1, "iscrowd": 0, "area": a, "bbox": list(b),
         "keypoints": k.ravel().tolist(), "num_keypoints": int((k[:, 2] > 0).sum())}
        for i, (image, k, b, a) in enumerate(zip(truth.image, truth.keypoints, truth.box, truth.area, strict=True))
    ]  # fmt: skip
    results = [
        {"image_id": names.index(image), "category_id": 1, "keypoints": k.ravel().tolist(), "score": s}
        for image, k, s in zip(found.image, found.keypoints, found.score, strict=True)
    ]
    whole = {"images": [{"id": i} for i in range(len(names))], "categories": [{"id": 1}], "annotations": labels}
    (tmp_path / "labels.json").write_text(json.dumps(whole | {"info": {}}))
    (tmp_path / "found.json").write_text(json.dumps(results))
    with contextlib.redirect_stdout(io.StringIO()):
        ground = coco.COCO(str(tmp_path / "labels.json"))
        run = cocoeval.COCOeval(ground, ground.loadRes(str(tmp_path / "found.json")), "keypoints")
        run.params.kpt_oks_sigmas = np.full(6, 0.07)
        run.evaluate()
        run.accumulate()
        run.summarize()
    assert dict(zip(PRECISION_FIGURES, run.stats, strict=True)) == pytest.approx(ours)
    assert 0.1 < ours["AP"] < 0.9


def test_a_point_that_was_not_found_matches_nothing():
    truth, _ = crowd()
    keypoints = np.array(truth.keypoints)
    keypoints[:, :3] = np.nan
    holed = ImagePeople(truth.image, keypoints, truth.box, truth.area, truth.score, truth.crowd)
    assert average_precision(truth, holed, np.full(6, 0.07))["AP.75"] < 0.3
    assert average_precision(truth.select([3, 4, 5]), holed.select([3, 4, 5]), np.full(3, 0.07))["AP"] > 0.99


def test_what_cannot_be_compared_is_refused(monkeypatch):
    truth, found = crowd()
    elsewhere = ImagePeople(
        tuple("x" for _ in found.image), found.keypoints, found.box, found.area, found.score, found.crowd
    )
    with pytest.raises(InputError, match="names of the images"):
        average_precision(truth, elsewhere, np.full(6, 0.07))
    with pytest.raises(InputError, match="box has shape"):
        ImagePeople(("a",), np.zeros((1, 6, 3)), np.zeros(4), np.ones(1), np.ones(1), np.zeros(1, bool))
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(InputError, match=r"simspine\[benchmark\]"):
        average_precision(truth, found, np.full(6, 0.07))
