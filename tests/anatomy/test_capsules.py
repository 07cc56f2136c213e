import numpy as np
import pytest

from simspine.anatomy.occlusion import FRAMES_AT_ONCE, flesh_in_front

TRUNK = np.array([[[[0, 0, 0], [0, 0, 2.0]]]])


def crossed(centre, point, a, b, r, steps=20_000):
    """Length within a capsule, by walking along the line of sight and measuring distances."""
    sight = centre + np.linspace(0, 1, steps + 1)[:, None] * (point - centre)
    middle = (sight[1:] + sight[:-1]) / 2
    axis = b - a
    share = np.clip((middle - a) @ axis / max(axis @ axis, 1e-30), 0, 1)
    inside = np.linalg.norm(middle - (a + share[:, None] * axis), axis=-1) < r
    return inside.mean() * np.linalg.norm(point - centre)


def depth(point, a, b, r):
    axis = b - a
    share = np.clip((point - a) @ axis / max(axis @ axis, 1e-30), 0, 1)
    return r - np.linalg.norm(point - a - share * axis)


def one(centre, point, a, b, r):
    return flesh_in_front(np.array([centre]), np.array([[point]]), np.array([[[a, b]]]), np.array([r]))[0, 0, 0]


def test_against_walking_along_the_line_of_sight():
    rng = np.random.default_rng(0)
    outside = inside = 0
    for _ in range(300):
        point = rng.normal(0, 0.3, 3)
        centre = 3 * rng.standard_normal(3)
        a = point + (centre - point) * rng.uniform(-0.1, 0.4) + rng.normal(0, 0.2, 3)
        b = a + rng.normal(0, 0.3, 3) * rng.integers(0, 2)  # half of them are balls
        r = rng.uniform(0.05, 0.4)
        wanted, under = crossed(centre, point, a, b, r), depth(point, a, b, r)
        if under > 0:
            wanted, inside = wanted - under - r, inside + 1
        else:
            outside += wanted > 0
            wanted -= max(r - 2 * -under, 0)  # fades out half a radius above the skin
        wanted = max(wanted, 0)
        assert one(centre, point, a, b, r) == pytest.approx(wanted, abs=1e-3)
    assert min(inside, outside) > 30  # both kinds were tried


@pytest.mark.parametrize(("a", "b"), [((0, 0, 0), (0, 0, 1)), ((0, 0, 1), (0, 0, 0)), ((0, 0, 0.2), (0, 0, 0.2))])
def test_along_the_axis(a, b):
    """A camera on the axis: the cylinder's side is parallel to the line of sight."""
    expected = abs(b[2] - a[2]) + 0.2
    assert one((0, 0, 5.0), (0, 0, -1.0), a, b, 0.1) == pytest.approx(expected, abs=1e-12)
    assert one((0.11, 0, 5.0), (0.11, 0, -1.0), a, b, 0.1) == 0


def test_a_part_behind_the_point_or_the_camera_hides_nothing():
    assert one((5, 0, 1), (0, 0, 1), (-1, 0, 0), (-1, 0, 2), 0.2) == 0
    assert one((5, 0, 1), (0, 0, 1), (6, 0, 0), (6, 0, 2), 0.2) == 0
    assert one((5, 0, 1), (0, 0, 1), (1, 0, 0), (1, 0, 2), 0.2) == pytest.approx(0.4)


def test_a_point_on_the_axis_is_seen_from_everywhere():
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    centres = np.stack([5 * np.cos(turn), 5 * np.sin(turn), np.full(24, 1.5)], -1)
    # A line of sight that rises runs longer in the cylinder, by 1 / cos of its slope: 0.5 % of 13 cm.
    assert flesh_in_front(centres, np.array([[[0, 0, 1.0]]]), TRUNK, np.array([0.13])).max() < 1e-3


def test_the_back_is_hidden_from_the_front_within_60_degrees():
    turn = np.radians([0, 50, 58, 62, 90, 180])  # from straight through, at 0, to from behind
    centres = np.array([0.13, 0, 1.0]) * [-1, 1, 1] + 500 * np.stack([np.cos(turn), np.sin(turn), 0 * turn], -1)
    found = flesh_in_front(centres, np.array([[[-0.13, 0, 1.0]]]), TRUNK, np.array([0.13]))[0, :, 0]
    assert found == pytest.approx(np.maximum(0.26 * np.cos(turn) - 0.13, 0), abs=1e-9)
    assert (found > 0).tolist() == [True, True, True, False, False, False]


def test_the_largest_share_counts_and_missing_points_stay_missing():
    capsules = np.array([[[[1, 0, 0], [1, 0, 2]], [[2, 0, 0], [2, 0, 2]]]], float)
    points = np.array([[[0, 0, 1], [np.nan, 0, 1]]], float)
    radii = np.array([0.1, 0.2])
    found = flesh_in_front(np.array([[5.0, 0, 1]]), points, capsules, radii)
    assert found[0, 0, 0] == pytest.approx(0.4)
    assert np.isnan(found[0, 0, 1])
    frames = FRAMES_AT_ONCE + 1
    np.testing.assert_array_equal(
        flesh_in_front(np.array([[5.0, 0, 1]]), points.repeat(frames, 0), capsules.repeat(frames, 0), radii),
        found.repeat(frames, 0),
    )
