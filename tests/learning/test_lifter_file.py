"""A lifter as a file: what onnxruntime makes of image points is what PyTorch makes of them."""

import numpy as np
import pytest
from tools.lifting_baselines.lifter_file import LIFTER_FILE, export_lifter
from tools.lifting_baselines.lifters import fit_lifter, views_of_subjects
from tools.lifting_baselines.runs import train_lifting
from tools.lifting_baselines.samples import LIFTED_SPINE_POINTS, lifting_samples

from simspine.core.errors import InputError
from simspine.core.skeletons import load_skeleton
from simspine.vision.lifting import Lifter

pytestmark = pytest.mark.learn


def test_the_file_lifts_as_the_network_does(tiny, views, tmp_path):
    options = tiny.model_copy(update={"skeleton": "blazepose33"})
    fitted = fit_lifter(options, views, tmp_path)
    assert export_lifter(tmp_path / LIFTER_FILE, fitted) < 1e-4
    lifter = Lifter(tmp_path / LIFTER_FILE)
    test = views_of_subjects(views, tiny.test)
    wanted = fitted.lift_samples(fitted.samples(test))
    raw = lifting_samples(test, fitted.names, False)  # with points that the detector does not give
    assert np.isfinite(raw.seen[:, raw.names.index("Spine_01")]).any()
    xyz, sd = lifter.lift(raw.seen)
    np.testing.assert_allclose(xyz, wanted, atol=1e-4)
    assert sd is None
    blind = np.full_like(raw.seen[:1], np.nan)
    blind[:, raw.names.index("Spine_01")] = 0.1
    assert np.isnan(lifter.lift(blind)[0]).all()


def test_the_file_tells_all_that_is_needed_to_use_it(tiny, tmp_path):
    options = tiny.model_copy(update={"skeleton": "blazepose33"})
    train_lifting(options, tmp_path)
    card = Lifter(tmp_path / LIFTER_FILE).card
    assert card.points == load_skeleton("simspine37").names
    assert set(card.seen) == set(load_skeleton("blazepose33").to_simspine.values())
    assert (card.method, card.frames) == ("simple", 1)
    assert card.trained_on == "2 synthetic people (seed 1), image points finetuned"
    assert len(card.data) == 64
    assert (card.version, card.sd) == (1, False)


def test_points_of_a_skeleton_alone_are_learnt_from(tiny, views, tmp_path):
    options = tiny.model_copy(update={"method": "ridge", "points": "spine", "skeleton": "blazepose33"})
    fitted = fit_lifter(options, views, tmp_path)
    seen = np.isfinite(fitted.samples(views).seen).any((0, 2))
    assert {name for name, one in zip(fitted.names, seen, strict=True) if one} == {"Nose"}
    assert set(fitted.names) == set(LIFTED_SPINE_POINTS)
    with pytest.raises(InputError, match="ridge has no network to write"):
        export_lifter(tmp_path / LIFTER_FILE, fitted)
