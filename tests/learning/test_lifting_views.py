import numpy as np
import pytest
from small_samples import NAMES, small_samples
from tools.lifting_baselines.options import LiftingSource
from tools.lifting_baselines.samples import (
    LIFTED_SPINE_POINTS,
    chosen_points,
    lifting_samples,
    lifting_views_of_subjects,
    predicted_sequences,
    samples_digest,
)

from simspine.core.errors import InputError
from simspine.core.geometry import distort_points, project_one, to_pixels
from simspine.core.skeletons import SPINE_REGIONS, load_skeleton
from simspine.synthesis import virtual_trial
from simspine.synthesis.population import make_subject
from simspine.synthesis.virtual_trial import virtual_rig

SOURCE = LiftingSource(actions=("Walking_1",), frames=120, context=10, every=50)


@pytest.fixture(scope="module")
def exact():
    return lifting_views_of_subjects(SOURCE.model_copy(update={"detections": "exact"}), ["S5"])


def test_views_are_those_of_the_truth_in_each_camera(exact):
    trial, cameras = virtual_trial.make_trial(make_subject(1, 1), "Walking", 1, 120), virtual_rig(1, "S5")
    points = virtual_trial.true_points(trial)
    assert [view.truth.camera for view in exact] == [camera.name for camera in cameras]
    for view, camera in zip(exact, cameras, strict=True):
        assert view.truth.frames.tolist() == list(range(0, 120, 10))
        assert np.flatnonzero(view.scored).tolist() == [0, 5, 10]
        local = (points.xyz[view.truth.frames] - camera.centre) @ camera.R.T
        np.testing.assert_allclose(view.truth.values, local, atol=1e-12)
        pixels = to_pixels(camera, distort_points(camera, view.projected))
        np.testing.assert_allclose(pixels, project_one(camera, points.xyz[view.truth.frames]), atol=1e-8)


def test_an_exact_detector_sees_the_projected_truth(exact):
    for view in exact:
        assert np.isfinite(view.seen).mean() > 0.9
        np.testing.assert_allclose(view.seen, np.where(np.isfinite(view.seen), view.projected, np.nan), atol=1e-9)


def test_equal_seeds_give_equal_views_and_another_detector_others(exact):
    names = exact[0].truth.names
    again = lifting_views_of_subjects(SOURCE.model_copy(update={"detections": "exact"}), ["S5"])
    assert samples_digest(lifting_samples(again, names, False)) == samples_digest(lifting_samples(exact, names, False))
    noisy = lifting_views_of_subjects(SOURCE, ["S5"])
    assert samples_digest(lifting_samples(noisy, names, True)) == samples_digest(lifting_samples(exact, names, True))
    assert samples_digest(lifting_samples(noisy, names, False)) != samples_digest(lifting_samples(exact, names, False))


def test_points_are_in_the_skeletons_order_with_the_root_first():
    every = load_skeleton("simspine37").names
    assert chosen_points(every, "spine") == LIFTED_SPINE_POINTS
    assert set(LIFTED_SPINE_POINTS) == set(sum(SPINE_REGIONS.values(), ()))
    assert LIFTED_SPINE_POINTS[0] == chosen_points(every[::-1], "full")[0] == "Hip"
    assert len(chosen_points(every[:-4], "full")) == 33
    with pytest.raises(InputError, match="Neck_03 are not in the data"):
        chosen_points([name for name in every if name != "Neck_03"], "full")


def test_samples_are_root_relative_scored_frames(exact):
    data = lifting_samples(exact, LIFTED_SPINE_POINTS, True)
    assert data.seen.shape == (12, 15, 2)
    view = exact[1].select(LIFTED_SPINE_POINTS)
    np.testing.assert_array_equal(data.seen[4], view.projected[5])
    np.testing.assert_array_equal(data.xyz[4], view.truth.values[5] - view.truth.values[5, 0])
    assert (data.xyz[:, 0] == 0).all()


def test_what_was_lifted_goes_back_to_its_trial_and_camera(exact):
    data = lifting_samples(exact, LIFTED_SPINE_POINTS, True)
    back = predicted_sequences(exact, LIFTED_SPINE_POINTS, data.xyz)
    assert [sequence.key for sequence in back] == [view.truth.key for view in exact]
    for sequence, view in zip(back, exact, strict=True):
        true = view.truth.select(LIFTED_SPINE_POINTS, sequence.frames).values
        np.testing.assert_allclose(sequence.values, true - true[:, :1], atol=1e-12)
        assert sequence.frames.tolist() == [0, 50, 100]


def test_only_what_is_seen_and_known_is_learnt_from():
    data = small_samples(6)
    data.seen[2], data.xyz[4, 3] = np.nan, np.nan
    assert len(data.usable()) == 4
    assert data.names == NAMES


def test_subjects_that_do_not_exist_are_refused():
    with pytest.raises(InputError, match="unknown subject 'S2'"):
        lifting_views_of_subjects(SOURCE, ["S2"])
