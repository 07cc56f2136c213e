import numpy as np

from simspine.core.filtering import MIN_CUTOFF, SPEED_COEFFICIENT, SPEED_CUTOFF, OneEuro
from simspine.vision.association import MAX_IDENTITY_GAP_S, Identities, drop_doubles

RATE = 30.0
SWAPS = [*range(10, 20), *range(10)]
BODY = np.random.default_rng(0).uniform([-40, -150], [40, 150], (20, 2))


def person(x, rng, y=300.0):
    return BODY + np.array([x, y]) + rng.normal(0, 2, BODY.shape)


def test_people_who_cross_keep_their_numbers():
    rng = np.random.default_rng(1)
    people, swapped = Identities(SWAPS), 0
    for frame in range(120):
        first, second = 100 + 4.0 * frame, 580 - 4.0 * frame  # they meet in frame 60
        shown = [(person(first, rng), 1), (person(second, rng, 320), 2)]
        if abs(first - second) < 45:  # one hides the other
            shown = shown[:1]
        if frame and frame % 3 == 0:  # a detector gives them in any order
            shown = shown[::-1]
        numbers = people.step([points for points, _ in shown], frame / RATE)
        swapped += numbers != [true for _, true in shown]
    assert swapped == 0
    assert people.count == 2


def test_who_is_away_for_long_comes_back_as_somebody_else():
    rng = np.random.default_rng(2)
    people = Identities(SWAPS)
    assert people.step([person(100, rng)], 0.0) == [1]
    assert people.step([], 0.5) == []
    assert people.step([person(102, rng)], 0.6) == [1]
    assert people.step([person(102, rng)], 0.7 + MAX_IDENTITY_GAP_S) == [2]
    assert people.known == {2}


def test_somebody_who_comes_in_far_off_is_new_and_missing_points_do_not_matter():
    rng = np.random.default_rng(3)
    people = Identities(SWAPS)
    people.step([person(100, rng)], 0.0)
    half = person(104, rng)
    half[::2] = np.nan
    assert people.step([person(500, rng), half], 1 / RATE) == [2, 1]


def test_sides_that_a_detector_exchanges_do_not_matter_and_who_is_found_twice_is_one():
    rng = np.random.default_rng(6)
    people = Identities(SWAPS)
    for frame in range(20):
        points = person(100 + frame, rng)
        assert people.step([points[SWAPS] if frame % 4 == 3 else points], frame / RATE) == [1]
    first, second = person(100, rng), person(190, rng)
    assert drop_doubles([first, second, first[SWAPS] + 3, second], SWAPS) == [0, 1]
    assert drop_doubles([], SWAPS) == []


def paper_filter(values, rate, min_cutoff, beta, speed_cutoff, extent):
    """Algorithms 1 and 2 of Casiez et al. 2012 for one number."""

    def alpha(cutoff):
        tau = 1 / (2 * np.pi * cutoff)
        return 1 / (1 + tau * rate)

    out, speed, last = [], 0.0, None
    for value in values:
        if last is None:
            last = value
        else:
            derivative = (value - last) * rate
            speed = alpha(speed_cutoff) * derivative + (1 - alpha(speed_cutoff)) * speed
            a = alpha(min_cutoff + beta / extent * abs(speed))
            last = a * value + (1 - a) * last
        out.append(last)
    return np.array(out)


def test_the_filter_is_the_papers():
    rng = np.random.default_rng(4)
    path = np.cumsum(rng.normal(0, 3, (80, 3, 2)), 0)
    filtered, figures = OneEuro(), (MIN_CUTOFF, SPEED_COEFFICIENT, SPEED_CUTOFF)
    found = np.array([filtered.step(xy, i / RATE, 200.0) for i, xy in enumerate(path)])
    for point in range(3):
        for axis in range(2):
            expected = paper_filter(path[:, point, axis], RATE, *figures, 200.0)
            np.testing.assert_allclose(found[:, point, axis], expected, rtol=1e-9)


def test_it_calms_rest_follows_movement_and_leaves_gaps():
    rng = np.random.default_rng(5)
    rest, moved, gap = OneEuro(), OneEuro(), OneEuro()
    noise = rng.normal(0, 2, (300, 1, 2))
    calm = np.array([rest.step(xy, i / RATE, 400.0) for i, xy in enumerate(noise)])
    assert calm[60:].std() < noise[60:].std() / 2
    path = np.array([[[400.0 * i / RATE, 0]] for i in range(60)])  # a person's height per second
    lag = path - [moved.step(xy, i / RATE, 400.0) for i, xy in enumerate(path)]
    assert np.abs(lag[30:, 0, 0]).max() < 0.05 * 400
    gap.step(np.zeros((1, 2)), 0.0, 400.0)
    assert np.isnan(gap.step(np.full((1, 2), np.nan), 0.1, 400.0)).all()
    np.testing.assert_array_equal(gap.step(np.full((1, 2), 50.0), 0.2, 400.0), [[50, 50]])
