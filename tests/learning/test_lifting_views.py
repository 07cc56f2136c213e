from dataclasses import replace

import numpy as np
import pytest
from small_samples import NAMES, small_samples

from simspine.capture import truth
from simspine.capture.rig import rig
from simspine.capture.subjects import make_subject
from simspine.errors import InputError
from simspine.geometry import project_one, to_pixels
from simspine.learning.lifters import of_subjects
from simspine.learning.options import LiftingSource
from simspine.learning.views import SPINE, chosen_points, digest, predicted, samples
from simspine.learning.virtual_views import virtual_views
from simspine.lenses import distort
from simspine.skeletons import load
from simspine.skeletons.regions import SPINE_REGIONS

SOURCE = LiftingSource(actions=("Walking_1",), frames=120, context=10, every=50)


@pytest.fixture(scope="module")
def exact():
    return virtual_views(SOURCE.model_copy(update={"detections": "exact"}), ["S5"])


def test_views_are_those_of_the_truth_in_each_camera(exact):
    trial, cameras = truth.make_trial(make_subject(1, 1), "Walking", 1, 120), rig(1, "S5")
    points = truth.points(trial)
    assert [view.truth.camera for view in exact] == [camera.name for camera in cameras]
    for view, camera in zip(exact, cameras, strict=True):
        assert view.truth.frames.tolist() == list(range(0, 120, 10))
        assert np.flatnonzero(view.scored).tolist() == [0, 5, 10]
        local = (points.xyz[view.truth.frames] - camera.centre) @ camera.R.T
        np.testing.assert_allclose(view.truth.xyz, local, atol=1e-12)
        pixels = to_pixels(camera, distort(camera, view.projected))
        np.testing.assert_allclose(pixels, project_one(camera, points.xyz[view.truth.frames]), atol=1e-8)


def test_an_exact_detector_sees_the_projected_truth(exact):
    for view in exact:
        assert np.isfinite(view.seen).mean() > 0.9
        np.testing.assert_allclose(view.seen, np.where(np.isfinite(view.seen), view.projected, np.nan), atol=1e-9)


def test_equal_seeds_give_equal_views_and_another_detector_others(exact):
    names = exact[0].truth.names
    again = virtual_views(SOURCE.model_copy(update={"detections": "exact"}), ["S5"])
    assert digest(samples(again, names, False)) == digest(samples(exact, names, False))
    noisy = virtual_views(SOURCE, ["S5"])
    assert digest(samples(noisy, names, True)) == digest(samples(exact, names, True))
    assert digest(samples(noisy, names, False)) != digest(samples(exact, names, False))


def test_the_released_family_lies_behind_the_centroids(exact):
    released = virtual_views(SOURCE.model_copy(update={"family": "released"}), ["S5"])
    apart = np.linalg.norm(released[0].truth.xyz - exact[0].truth.xyz, axis=-1).mean(0)
    by_name = dict(zip(exact[0].truth.names, apart, strict=True))
    assert by_name["RKnee"] == 0
    assert all(0.02 < by_name[name] < 0.09 for name in ("Spine_01", "Spine_03", "Spine_05", "Neck"))


def test_points_are_in_the_skeletons_order_with_the_root_first():
    every = load("simspine37").names
    assert chosen_points(every, "spine") == SPINE
    assert set(SPINE) == set(sum(SPINE_REGIONS.values(), ()))
    assert SPINE[0] == chosen_points(every[::-1], "full")[0] == "Hip"
    assert len(chosen_points(every[:-4], "full")) == 33
    with pytest.raises(InputError, match="Neck_03 are not in the data"):
        chosen_points([name for name in every if name != "Neck_03"], "full")


def test_samples_are_root_relative_windows_of_scored_frames(exact):
    data = samples(exact, SPINE, True, 3)
    assert data.seen.shape == (12, 3, 15, 2)
    view = exact[1].select(SPINE)
    np.testing.assert_array_equal(data.seen[4], view.projected[[4, 5, 6]])
    np.testing.assert_array_equal(data.seen[3], view.projected[[0, 0, 1]])  # the first frame is repeated
    np.testing.assert_array_equal(data.xyz[4], view.truth.xyz[5] - view.truth.xyz[5, 0])
    assert (data.xyz[:, 0] == 0).all()


def test_what_was_lifted_goes_back_to_its_trial_and_camera(exact):
    data = samples(exact, SPINE, True)
    back = predicted(exact, SPINE, data.xyz)
    assert [sequence.key for sequence in back] == [view.truth.key for view in exact]
    for sequence, view in zip(back, exact, strict=True):
        true = view.truth.select(SPINE, sequence.frames).xyz
        np.testing.assert_allclose(sequence.xyz, true - true[:, :1], atol=1e-12)
        assert sequence.frames.tolist() == [0, 50, 100]


def test_only_what_is_seen_and_known_is_learnt_from():
    data = small_samples(6)
    data.seen[2], data.xyz[4, 3] = np.nan, np.nan
    assert len(data.usable()) == 4
    assert data.names == NAMES


def test_subjects_that_do_not_exist_are_refused():
    with pytest.raises(InputError, match="unknown subject 'S2'"):
        virtual_views(SOURCE, ["S2"])


def test_arrays_of_a_view_must_fit(exact):
    with pytest.raises(InputError, match="do not fit"):
        replace(exact[0], seen=exact[0].seen[:5])
    assert of_subjects(exact, ["S1"]) == ()
