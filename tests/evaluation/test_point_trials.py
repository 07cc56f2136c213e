"""Points in space are off by what the error model says, and by nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from tools.bench.study_trials import (
    LIMB_POINT_SD_M,
    POINT_ERRORS_BY_NAME,
    TRUTH_FAMILIES,
    PointErrors,
    StudySize,
    trial_in_space,
    trials_of_people,
)
from tools.other_anatomy.motion import FOREIGN_ACTIONS

from simspine.anatomy.curvature import SPINE_MARKERS
from simspine.core.errors import InputError
from simspine.core.filtering import lowpass
from simspine.core.skeletons import SPINE_REGIONS
from simspine.core.types import Origin
from simspine.synthesis.actions import ACTION_NAMES

SIZE = StudySize(1, 400, actions=("Directions",))


@pytest.fixture(scope="module")
def trial():
    [found] = next(trials_of_people("published", SIZE))
    return found


def difference(trial, errors, seed=1):
    """Errors of the spine's points (frames, 15, 3), the filter's effect on true motion taken away."""
    given = trial_in_space(trial, errors, seed).points.select(SPINE_MARKERS).xyz
    return given - lowpass(trial.points.select(SPINE_MARKERS).xyz, 50.0, cutoff_hz=6.0, order=4)


def test_limbs_are_given_and_the_spine_is_detected(trial):
    markers = trial_in_space(trial, POINT_ERRORS_BY_NAME["white"], 1).points
    assert len(markers.names) == 37
    assert markers.names_of(Origin.DETECTED) == SPINE_MARKERS
    assert len(markers.names_of(Origin.GIVEN)) == 22
    limbs = markers.names_of(Origin.GIVEN)
    off = markers.select(limbs).xyz - trial.points.select(limbs).xyz
    assert off.std() == pytest.approx(LIMB_POINT_SD_M, rel=0.03)
    variance = markers.covariance[:, markers.index("Hip"), 0, 0]
    np.testing.assert_allclose(variance, 0.005**2)


def test_no_error_leaves_the_filter_alone(trial):
    np.testing.assert_allclose(difference(trial, PointErrors()), 0, atol=1e-12)


def test_white_noise_keeps_the_filters_share(trial):
    """A net cut-off of 6 of 25 Hz and order 4 passes the noise bandwidth of |H|² = 1 / (1 + w⁴ (√2 − 1))²."""
    w = np.tan(np.pi * np.linspace(0, 24.99, 5000) / 50) / np.tan(np.pi * 6 / 50)
    passed = np.mean(1 / (1 + w**4 * (np.sqrt(2) - 1)) ** 2)
    off = difference(trial, PointErrors(white=0.005))
    assert off[50:-50].std() == pytest.approx(0.005 * np.sqrt(passed), rel=0.05)


def test_regions_share_an_offset_through_a_trial(trial):
    off = difference(trial, PointErrors(region=0.015))
    np.testing.assert_allclose(off, off[:1].repeat(len(off), 0), atol=1e-9)
    for members in SPINE_REGIONS.values():
        own = off[0, [SPINE_MARKERS.index(name) for name in members]]
        np.testing.assert_allclose(own, own[:1].repeat(len(own), 0), atol=1e-9)
    drawn = np.array([difference(trial, PointErrors(region=0.015), seed)[0, [0, 4, 6]] for seed in range(30)])
    assert drawn.std() == pytest.approx(0.015, rel=0.15)
    assert abs(np.corrcoef(drawn[:, 0].ravel(), drawn[:, 1].ravel())[0, 1]) < 0.35


def test_wandering_has_its_size_and_memory(trial):
    off = difference(trial, PointErrors(wander=0.010, memory=0.3)).reshape(400, -1)
    assert off.std() == pytest.approx(0.010, rel=0.1)
    lag = 15  # frames: 0.3 s
    assert np.mean(off[lag:] * off[:-lag]) / np.mean(off**2) == pytest.approx(np.exp(-1), abs=0.1)


def test_scatter_leaves_out_what_lasts():
    assert PointErrors(white=0.003, wander=0.004, region=0.1).scatter == pytest.approx(0.005)


def test_equal_arguments_give_equal_points(trial):
    first, again, other = (
        trial_in_space(trial, POINT_ERRORS_BY_NAME["detector"], seed).points.xyz for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_families_are_different_people_with_equal_names():
    small = replace(SIZE, frames=20, actions=None)
    found = {family: next(trials_of_people(family, small))[0] for family in TRUTH_FAMILIES}
    means = [np.degrees(t.truth.kinematics.lla.mean()) for t in found.values()]
    assert np.diff(sorted(means)).min() > 0.5  # any two of them
    for one in found.values():
        assert one.points.frame == "y_up"
        assert one.points.frames == one.truth.kinematics.frames == one.truth.centres.frames == 20
        np.testing.assert_allclose(
            one.points.select(SPINE_MARKERS).xyz, one.truth.kinematics.markers.select(SPINE_MARKERS).xyz
        )


@pytest.mark.parametrize("family", TRUTH_FAMILIES)
def test_unknown_actions_and_families_are_named(family):
    with pytest.raises(InputError, match="Flying"):
        next(trials_of_people(family, replace(SIZE, actions=("Flying",))))
    with pytest.raises(InputError, match="straight"):
        next(trials_of_people("straight", SIZE))


@pytest.mark.parametrize("family", ["published", "foreign"])
def test_all_actions_are_all_that_a_family_has(family):
    found = next(trials_of_people(family, StudySize(1, 20, actions="all")))
    assert [trial.trial.split("_1")[0] for trial in found] == list(
        FOREIGN_ACTIONS if family == "foreign" else ACTION_NAMES
    )
