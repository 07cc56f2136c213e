"""Lordosis and kyphosis as figures: means over frames kept, and what decided them."""

import numpy as np
import pytest

from simspine.quality.observability import curvature_figures

KEPT = np.array([True, True, True, False])
VALUES, DEVIATION = np.radians([40.0, 50.0, 60.0, 900.0]), np.radians([1.0, 2.0, 3.0, 90.0])


def figures(deviation=DEVIATION, **forced):
    angles = {"lla": (VALUES, deviation), "tka": (VALUES / 2, None)}
    return curvature_figures(angles, KEPT, {"lla": False, "tka": False} | forced)


def test_rejected_frames_do_not_count():
    lla, tka = figures()
    assert (lla.mean, lla.minimum, lla.maximum, lla.sd) == pytest.approx((50.0, 40.0, 60.0, 2.0))
    assert (lla.known_share, tka.mean) == pytest.approx((1.0, 25.0))
    assert (lla.label, lla.unit, tka.sd) == ("Lumbar lordosis, L1–S1", "deg", None)


def test_a_sharp_angle_is_measured_a_wide_one_uncertain_and_the_models_own_has_no_deviation():
    """Adults differ by some 11°: 2° leave 3 % of that variance, 30° more than all."""
    assert figures()[0].decided_by == "measured"
    assert figures(np.full(4, np.radians(30.0)))[0].decided_by == "assumed"
    forced = figures(lla=True)[0]
    assert (forced.sd, forced.decided_by != "measured") == (None, True)


def test_an_angle_that_no_frame_knows():
    lla = curvature_figures({"lla": (np.full(4, np.nan), DEVIATION)}, KEPT, {"lla": False})[0]
    assert (lla.mean, lla.minimum, lla.sd, lla.known_share) == (None, None, None, 0.0)
