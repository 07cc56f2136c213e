"""Lordosis and kyphosis as figures: means over frames kept, and what decided them."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from simspine.core.types import Forced, ForcedKind
from simspine.quality.observability import ERROR_IN_PEOPLE_DEG, curvature_figures

KEPT = np.array([True, True, True, False])
VALUES, DEVIATION = np.radians([40.0, 50.0, 60.0, 900.0]), np.radians([8.5, 9.0, 9.5, 90.0])


COUPLED = (Forced(ForcedKind.COUPLED, ("flexion",), "Flex_Ext", 0.1),)


def spine_of(forced=(), **angles):
    nothing = {f"{name}{kind}": None for name in ("lla", "tka") for kind in ("", "_sd", "_change_sd")}
    return SimpleNamespace(**nothing | angles, forced=dict.fromkeys(forced, COUPLED))


def figures(deviation=DEVIATION, forced=()):
    return curvature_figures(spine_of(forced, lla=VALUES, lla_sd=deviation, tka=VALUES / 2), KEPT)


def test_rejected_frames_do_not_count():
    lla, tka = figures()
    assert (lla.mean, lla.minimum, lla.maximum, lla.sd) == pytest.approx((50.0, 40.0, 60.0, 9.0))
    assert (lla.known_share, tka.mean) == pytest.approx((1.0, 25.0))
    assert (lla.label, lla.unit, tka.sd) == ("Lumbar lordosis, L1–S1", "deg", None)


def test_no_interval_is_narrower_than_the_errors_in_real_people():
    """Stated is the larger of the posterior's deviation and the error on the page of accuracy; a range has its own."""
    page = (Path(__file__).parents[2] / "docs/accuracy.md").read_text(encoding="utf-8")
    printed = (re.search(rf"^\| {name}, ° \| \**([\d.]+)", page, re.MULTILINE)[1] for name in ("lordosis", "kyphosis"))
    assert dict(zip(("lla", "tka"), map(float, printed), strict=True)) == ERROR_IN_PEOPLE_DEG
    for name, error in ERROR_IN_PEOPLE_DEG.items():
        for sd in (1.0, error + 1.0):
            angles = {name: VALUES, f"{name}_sd": np.full(4, np.radians(sd))}
            (found,) = curvature_figures(spine_of(**angles), KEPT)
            assert (found.sd, found.decided_by) == (pytest.approx(max(sd, error)), "partly measured")


def test_a_range_is_as_sure_as_the_changes():
    """Of the frames with the least and the greatest value; what is unknown in all frames alike changes no range."""
    angles = {"lla": VALUES, "lla_sd": DEVIATION}
    (found,) = curvature_figures(spine_of(**angles, lla_change_sd=np.radians([2.0, 9.0, 4.0, 90.0])), KEPT)
    assert found.range_sd == pytest.approx(np.hypot(2.0, 4.0))
    assert found.sd == pytest.approx(9.0)
    (alone,) = curvature_figures(spine_of(**angles), KEPT)
    assert alone.range_sd == pytest.approx(np.hypot(8.5, 9.5))


def test_an_angle_is_partly_measured_at_best_and_the_models_own_has_no_deviation():
    """Adults differ by some 11°: 9° leave 65 % of that variance, 30° more than all."""
    assert figures()[0].decided_by == "partly measured"
    assert figures(np.full(4, np.radians(30.0)))[0].decided_by == "assumed"
    forced = figures(forced=["lla"])[0]
    assert (forced.sd, forced.decided_by != "measured") == (None, True)


def test_an_angle_that_no_frame_knows():
    lla = curvature_figures(spine_of(lla=np.full(4, np.nan), lla_sd=DEVIATION), KEPT)[0]
    assert (lla.mean, lla.minimum, lla.sd, lla.known_share) == (None, None, None, 0.0)


@pytest.mark.parametrize(
    ("values", "cut"),
    [([5, 5, 1, 9, 5, 5], (False, False)), ([5, 5, 1, 7, 9, 5], (False, True)), ([0, 5, 9, 5, 5, 5], (True, False))],
)
def test_a_movement_that_an_end_of_the_trial_may_cut_off(values, cut):
    """Least or greatest within two frames of the first or the last one."""
    (found,) = curvature_figures(spine_of(lla=np.radians(values)), np.ones(6, bool))
    assert found.cut == cut
    assert found.ends == (int(np.argmin(values)), int(np.argmax(values)))
