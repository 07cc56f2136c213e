"""Standard deviations that are computed in some frames only, against those computed in every frame."""

import numpy as np
import pytest

from simspine import fit_trials
from simspine.estimation import trajectory_engine
from simspine.estimation.uncertainty import on_lines_between, spaced_frames


@pytest.mark.usefixtures("two_rounds")
def test_deviations_between_computed_frames_agree_with_those_of_every_frame(truth, monkeypatch):
    def solved():
        return fit_trials({"walk": truth.markers}, "articulated", "simspine37")["walk"]

    some = solved()
    monkeypatch.setattr(trajectory_engine, "DEVIATION_SPACING_S", 0.0)
    every = solved()
    np.testing.assert_array_equal(some.motion.values, every.motion.values)
    for name in ("lla_sd", "tka_sd", "lla_change_sd", "tka_change_sd"):
        np.testing.assert_allclose(getattr(some.spine, name), getattr(every.spine, name), rtol=0.02, err_msg=name)
    known = every.motion.deviation > 0
    ratio = some.motion.deviation[known] / every.motion.deviation[known]
    assert np.quantile(np.abs(ratio - 1), 0.98) < 0.02


def test_frames_beside_a_gap_are_computed():
    seen = np.array([True] * 6 + [False] * 5 + [True] * 3)
    assert spaced_frames(seen, 4).tolist() == [0, 4, 5, 6, 8, 10, 11, 12, 13]
    assert spaced_frames(seen, 1).tolist() == list(range(14))


@pytest.mark.parametrize("frames", [1, 2, 9])
def test_lines_go_through_the_computed_values(frames):
    computed = spaced_frames(np.ones(frames, bool), 4)
    slope = np.arange(6.0).reshape(2, 3)
    found = on_lines_between(computed, computed[:, None, None] * slope, frames)
    np.testing.assert_allclose(found, np.arange(frames)[:, None, None] * slope)
