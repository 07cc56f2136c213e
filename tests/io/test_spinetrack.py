"""A copy of SpineTrack in its folders; sigmas and weights of its points."""

import numpy as np
import pytest
from small_images import LATISSIMUS, TABLE

from simspine.core.errors import InputError
from simspine.core.skeletons import load_skeleton
from simspine.io.coco import annotation_file, in_spinetrack_order


def test_annotations_are_found_in_their_folder(tmp_path):
    path = tmp_path / "annotations/person_keypoints_val2017.json"
    with pytest.raises(InputError, match=r"person_keypoints_val2017\.json: no such file"):
        annotation_file(tmp_path)
    path.parent.mkdir()
    path.touch()
    assert annotation_file(tmp_path) == path


def test_simspines_names_and_missing_points_are_brought_in_order():
    names = ("Hip", "Nose", "left_eye")
    found = in_spinetrack_order(np.ones((2, 3, 3)), names, "here")
    there = [TABLE.index(name) for name in ("hip", "nose", "left_eye")]
    assert (found[:, there] == 1).all()
    assert found.sum() == 2 * 3 * 3
    with pytest.raises(InputError, match="unknown point 'tail' in here"):
        in_spinetrack_order(np.ones((2, 1, 3)), ("tail",), "here")


def test_sigmas_and_weights_are_whole_and_alike_on_both_sides():
    """The first seventeen are COCO's, as pycocotools has them; the rest as the authors evaluate."""
    from pycocotools import cocoeval

    table = load_skeleton("spinetrack37")
    assert len(table.sigmas) == len(table.weights) == 37
    np.testing.assert_allclose(table.sigmas[:17], cocoeval.Params("keypoints").kpt_oks_sigmas, atol=1e-9)
    for values in (table.sigmas, table.weights):
        assert [values[i] for i in table.swaps] == list(values)
    sigma = dict(zip(table.names, table.sigmas, strict=True))
    assert [sigma[f"spine_0{k}"] for k in range(1, 6)] == [0.1, 0.1, 0.1, 0.08, 0.08]
    assert [sigma[name] for name in ("hip", "neck", "neck_02", "neck_03", "head")] == [0.07, 0.04, 0.07, 0.06, 0.026]
    assert [table.sigmas[i] for i in LATISSIMUS] == [0.12, 0.12]
    assert load_skeleton("coco17").sigmas == ()
