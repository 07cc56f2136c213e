"""Bounds by estimators that know the family: least mean square error where that is known in closed form."""

import numpy as np
import pytest
from benchmarks.bounds import MIRROR, NAMES, Level, Moments, Sample, chain, features, figures, trunk_axes

PEOPLE, ROWS = 300, 6


def level(rng, noise: float, people: int = PEOPLE) -> Level:
    """Wanted, as it is and beside half of itself: the sum of two features that are seen with noise."""
    true = rng.standard_normal((people * ROWS, 2))
    y = true.sum(1)
    return Level.of(true + noise * rng.standard_normal(true.shape), np.stack([y, y / 2], 1)[:, :, None], people)


@pytest.mark.parametrize("noise", [0.0, 0.5, 2.0])
def test_held_out_errors_are_those_of_the_best_linear_estimator(noise):
    """A feature of variance one seen with noise of variance s² leaves s² / (1 + s²) of its own."""
    whole = level(np.random.default_rng(1), noise)
    errors, chosen = whole.held_out()
    assert errors.shape == (PEOPLE * ROWS, 1)
    factor = 1 if chosen.column[0] == 0 else 0.5  # half of what is wanted has half its error
    assert np.mean(errors**2) == pytest.approx(factor**2 * 2 * noise**2 / (1 + noise**2), rel=0.1, abs=1e-9)
    slope = factor / (1 + noise**2)
    assert chosen.linear.slope[:, 0] == pytest.approx([slope, slope], rel=0.1)


def test_people_who_are_held_out_do_not_train():
    """As many features as people, and nothing to learn: trained errors would be near zero."""
    rng = np.random.default_rng(2)
    nothing = Level.of(rng.standard_normal((40, 40)), rng.standard_normal((40, 2, 1)), 40)
    assert np.mean(nothing.held_out()[0] ** 2) > 0.7


def test_people_of_another_family_train_as_well():
    rng = np.random.default_rng(3)
    few, many = level(rng, 1.0, people=5), level(rng, 1.0)
    alone, helped = (np.mean(few.held_out(others)[0] ** 2) for others in (None, many.total))
    assert helped < alone


def test_squares_from_sums_are_those_of_the_errors():
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((50, 3)), rng.standard_normal((50, 2))
    moments = Moments.of(x, y)
    for estimator in moments.estimators():
        assert estimator.square(moments) == pytest.approx((estimator.errors(x, y) ** 2).sum(0))


def test_parts_add_up_and_figures_are_of_their_sum():
    rng = np.random.default_rng(5)
    shape = (4, 3, 10)
    own = Sample(
        rng.standard_normal((*shape, 7)), rng.standard_normal((*shape, 5)),
        rng.standard_normal((*shape, 2, 2 + 50)), rng.standard_normal((*shape, 2, 25)), np.full(4, 0.5),
    )  # fmt: skip
    parts = [wanted[:, 0] for _, wanted in own.parts()]
    person, trial, frame = parts[:3]
    whole = person[:, None, None] + trial.reshape(4, 3, 1, -1) + frame.reshape(*shape, -1)
    assert whole == pytest.approx(own.sagittal[..., 0, :])
    found = figures(parts, own)
    lla = np.degrees(own.sagittal[..., 0, 0])
    assert found["lla_rmse_deg"] == pytest.approx(np.sqrt(np.mean(lla**2)), abs=1e-3)
    assert found["person_lla_rmse_deg"] == pytest.approx(np.sqrt(np.mean(lla.mean((1, 2)) ** 2)), abs=1e-3)
    moved = lla - lla.mean(2, keepdims=True)
    assert found["lla_motion_rmse_deg"] == pytest.approx(np.sqrt(np.mean(moved**2)), abs=1e-3)
    places = np.concatenate([own.sagittal[..., 0, 2:].reshape(*shape, 25, 2), own.sideways[..., 0, :, None]], -1)
    assert found["vertebrae_mm"] == pytest.approx(500 * np.linalg.norm(places, axis=-1).mean(), abs=1e-2)


@pytest.fixture(scope="module")
def person() -> np.ndarray:
    """(frames, 37, 3) m: nobody's shape, but with hips below shoulders."""
    rng = np.random.default_rng(6)
    xyz = np.tile(rng.normal(0, 0.1, (len(NAMES), 3)), (9, 1, 1)) + rng.normal(0, 0.002, (9, len(NAMES), 3))
    for name, place in {"Hip": (0, 0.9, 0.1), "Shoulder": (0, 1.4, 0.2)}.items():
        for side, sign in (("R", 1), ("L", -1)):
            xyz[:, NAMES.index(side + name)] += np.multiply(place, (1, 1, sign))
    return xyz


def test_a_mirrored_person_has_the_same_even_features_and_opposite_odd_ones(person):
    mirrored = person[:, MIRROR] * (1, 1, -1)
    (even, odd), (same, opposite) = (features(xyz, trunk_axes(xyz), 0.5) for xyz in (person, mirrored))
    assert same == pytest.approx(even)
    assert opposite == pytest.approx(-odd)
    assert np.abs(odd).max() > 0.01


def test_features_do_not_depend_on_where_a_person_is_and_looks_to(person):
    angle = 2.0
    turned = person @ np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]).T
    elsewhere = turned + np.array([3, 0, 1])
    for moved, own in zip(*(features(x, trunk_axes(x), 0.5) for x in (elsewhere, person)), strict=True):
        assert moved == pytest.approx(own)


def test_bends_of_a_chain_on_a_circle_are_the_same_angle():
    from simspine.spine.levels import CHAIN

    angle = 0.1 * np.arange(len(CHAIN) + 1)  # 0.1 rad a step, bent forward
    xyz = np.zeros((1, len(NAMES), 3))
    along = np.stack([1 - np.cos(angle), np.sin(angle), 0 * angle], -1)
    xyz[0, [NAMES.index(name) for name in CHAIN]] = along[1:]
    for side, sign in (("R", 1), ("L", -1)):
        xyz[0, NAMES.index(f"{side}Hip")] = along[0] + (0, 0, 0.1 * sign)
        xyz[0, NAMES.index(f"{side}Shoulder")] = (0.3, 1.0, 0.2 * sign)
    bends, lengths = chain(xyz)
    assert np.abs(bends) == pytest.approx(np.full((1, len(CHAIN) - 1), 0.1))
    assert np.unique(np.sign(bends)).size == 1
    assert lengths == pytest.approx(np.full((1, len(CHAIN)), 2 * np.sin(0.05)))
