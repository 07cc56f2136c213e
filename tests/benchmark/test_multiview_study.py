"""The multi-view protocol on a virtual capture: exact 2D points give exact places, and errors order as they must."""

import numpy as np
import pytest

from simspine.benchmark.multiview import CONFIDENT, run, triangulate_confident
from simspine.benchmark.virtual_trials import StudySize
from simspine.errors import InputError
from simspine.evaluation.multiview import evaluate_multiview
from simspine.geometry import project
from simspine.types import Camera, Keypoints

SIZE = StudySize(1, ("Walking",), 24)


@pytest.fixture(scope="module")
def tables():
    study = run(SIZE, ("exact", "finetuned"), bodies=())
    assert set(study.predictions) == {"linear, GT 2D", "ours, GT 2D", "linear, fine-tuned", "ours, fine-tuned"}
    assert len(study.truth) == 1
    assert study.refused == {}
    return evaluate_multiview(study.predictions, study.truth)


def test_exact_points_are_triangulated_exactly(tables):
    assert tables[0].value("linear, GT 2D", "mean over frames", "all") < 0.01
    assert tables[0].value("ours, GT 2D", "mean over frames", "all") < 1  # filtered
    assert tables[0].value("ours, fine-tuned", "mean over frames", "all") > 5


def test_views_without_confidence_are_rejected():
    """Of four cameras one is wrong and says so: without it the place is exact, with it not."""
    turns = [np.linalg.qr(np.random.default_rng(k).normal(size=(3, 3)))[0] for k in range(4)]
    K = [[1000.0, 0, 500], [0, 1000, 500], [0, 0, 1]]
    cameras = [
        Camera(f"c{k}", (1000, 1000), K, np.zeros(5), R * np.sign(np.linalg.det(R)), [0.1 * k, 0, 4])
        for k, R in enumerate(turns)
    ]
    place = np.zeros((1, 1, 3)) + 0.05
    xy = np.moveaxis(project(cameras, place), 0, 1)
    xy[0, 2] += 80
    confidence = np.array([[[0.9], [0.8], [CONFIDENT - 0.01], [0.9]]])
    keypoints = Keypoints(("Hip",), 50, xy, confidence)
    np.testing.assert_allclose(triangulate_confident(keypoints, cameras).xyz, place, atol=1e-6)
    with_all = triangulate_confident(keypoints, cameras, threshold=0.0)
    assert np.linalg.norm(with_all.xyz - place) > 1e-3
    assert np.isnan(triangulate_confident(keypoints, cameras, threshold=0.85).xyz).sum() == 0  # two are left
    assert np.isnan(triangulate_confident(keypoints, cameras, threshold=0.95).xyz).all()


def test_nonsense_is_refused_before_anything_is_made():
    with pytest.raises(InputError, match="unknown detector"):
        run(SIZE, ("perfect",))
    with pytest.raises(InputError, match="rigid"):
        run(SIZE, ("exact",), bodies=("rigid",))
    with pytest.raises(InputError, match="unknown action"):
        run(StudySize(1, ("Flying",), 24), ("exact",), bodies=())
    with pytest.raises(InputError, match="expected at least 1, 1 and 20"):
        run(StudySize(1, ("Walking",), 5))


@pytest.mark.slow
def test_bodies_are_compared_by_their_recipes():
    study = run(SIZE, ("exact",), bodies=("articulated", "coupled"))
    assert list(study.predictions)[2:] == ["ours + body, GT 2D", "ours + coupled body, GT 2D"]
    tables = evaluate_multiview(study.predictions, study.truth)
    own, other = (tables[0].value(name, "mean over frames", "spine") for name in list(study.predictions)[2:])
    assert own < 5
    assert own != other


@pytest.mark.slow
def test_a_body_helps_where_the_detector_errs():
    study = run(StudySize(1, ("Walking", "Sitting"), 40), ("zero-shot",))
    world, _, motion = evaluate_multiview(study.predictions, study.truth)

    def spine(table, method, column):
        return table.value(f"{method}, zero-shot", "mean over frames", column)

    assert spine(world, "ours + body", "spine") < 0.8 * spine(world, "ours", "spine")
    assert np.isfinite(spine(world, "ours + body", "all"))  # points that the body lacks stay ours
    assert spine(motion, "ours", "velocity spine") < 0.5 * spine(motion, "linear", "velocity spine")
