"""Lumbopelvic rhythm: of courses with a known ratio, its standard deviation against sampling, and its gaps."""

import numpy as np
import pytest

from simspine.anatomy.alignment import lumbopelvic_rhythm

BEND = np.radians(80) * (1 - np.cos(np.linspace(0, 2 * np.pi, 400))) / 2


@pytest.mark.parametrize("ratio", [0.6, 1.3, 2.5])
def test_a_known_ratio_comes_back_wherever_the_trunk_starts(ratio):
    lumbar, pelvis = BEND * ratio / (1 + ratio) - 0.4, BEND / (1 + ratio) + 0.2
    found = lumbopelvic_rhythm(lumbar, pelvis)
    assert found.ratio == pytest.approx(ratio)
    assert found.sd is None
    assert found.lumbar / found.pelvis == pytest.approx(ratio)


@pytest.mark.parametrize("start", [-60.0, 0.0, 40.0])
def test_the_postures_are_the_rests_at_both_ends(start):
    """30 frames at one end and 20 frames 60° further; in between nothing within a tenth of the range from either."""
    trunk = np.radians(start + np.concatenate([np.zeros(30), np.linspace(8, 52, 50), np.full(20, 60.0)]))
    found = lumbopelvic_rhythm(0.6 * trunk, 0.4 * trunk)
    assert (found.lumbar, found.pelvis) == pytest.approx((np.radians(36), np.radians(24)))


def test_missing_frames_are_passed_over():
    lumbar, pelvis = 0.6 * BEND, 0.4 * BEND
    lumbar = np.where(np.arange(400) % 7 == 0, np.nan, lumbar)
    assert lumbopelvic_rhythm(lumbar, pelvis).ratio == pytest.approx(1.5)


def test_standard_deviation_is_that_of_errors_in_opposite_directions():
    """Where an error moves bending from the pelvis to the lumbar spine, independent at both ends."""
    rng, sd = np.random.default_rng(0), np.radians(2)
    lumbar, pelvis = 0.6 * BEND, 0.4 * BEND
    found = lumbopelvic_rhythm(lumbar, pelvis, np.full(400, sd), np.full(400, sd))
    middle = np.arange(400)
    bent = (middle > 100) & (middle < 300)
    ratios = []
    for _ in range(4000):
        low, high = rng.normal(0, sd, 2)
        error = np.where(bent, high, low)
        ratios.append(lumbopelvic_rhythm(lumbar + error, pelvis - error).ratio)
    assert found.sd == pytest.approx(np.std(ratios), rel=0.06)


@pytest.mark.parametrize(
    ("lumbar", "pelvis", "said"),
    [
        (0.2 * BEND, 0.1 * BEND, "bends by 24°"),
        (BEND, 0.03 * BEND, "pelvic tilt differs by 2°"),
        (np.full(400, np.nan), BEND, "no frame"),
    ],
)
def test_too_little_motion_is_a_gap_with_its_reason(lumbar, pelvis, said):
    found = lumbopelvic_rhythm(lumbar, pelvis)
    assert found.ratio is None
    assert said in found.reason


def test_a_ratio_that_is_hardly_known_is_a_gap():
    wide = np.full(400, np.radians(15))
    found = lumbopelvic_rhythm(0.6 * BEND, 0.4 * BEND, wide, wide)
    assert found.ratio is None
    assert found.reason.startswith("its ± would be too large (1.5 ± 3.5)")
