"""Samples with other errors and mirrored: what may change, and what must not."""

import numpy as np

from simspine.learning.samples import (
    LIFTED_SPINE_POINTS,
    LiftingSamples,
    lifting_samples,
    mirrored_points,
    redraw_samples,
)

NAMES = ("Hip", "Neck", "RShoulder", "LShoulder")


def pair(count=400):
    """Samples as detected and exact; each sample has an error and a gap of its own."""
    random = np.random.default_rng(5)
    exact = random.normal(size=(count, 3, 4, 2))
    errors = np.arange(1, count + 1)[:, None, None, None] * 1e-6 * np.ones_like(exact)
    errors[::7, :, 1] = np.nan
    xyz = random.normal(size=(count, 4, 3))
    return LiftingSamples(NAMES, exact + errors, xyz), LiftingSamples(NAMES, exact, xyz)


def test_a_mirror_turns_x_and_swaps_sides():
    places = np.arange(8.0).reshape(4, 2)
    np.testing.assert_array_equal(mirrored_points(NAMES, places), [[0, 1], [-2, 3], [-6, 7], [-4, 5]])
    np.testing.assert_array_equal(mirrored_points(NAMES, mirrored_points(NAMES, places)), places)


def test_a_mirrored_world_is_seen_as_a_mirrored_image(views):
    """Projecting the mirrored points gives the mirrored image points."""
    data = lifting_samples(views[:1], LIFTED_SPINE_POINTS, exact=True)
    xyz = data.xyz + views[0].truth.xyz[views[0].scored][:, [views[0].truth.names.index("Hip")]]
    turned = mirrored_points(LIFTED_SPINE_POINTS, xyz)
    np.testing.assert_allclose(
        turned[..., :2] / turned[..., 2:], mirrored_points(LIFTED_SPINE_POINTS, data.seen[:, 0]), atol=1e-12
    )


def test_errors_change_places_and_half_are_mirrored():
    data, exact = pair()
    found = redraw_samples(data, exact, 1, 3)
    turned = found.xyz[:, 0, 0] == -data.xyz[:, 0, 0]
    assert 0.4 < turned.mean() < 0.6
    np.testing.assert_array_equal(found.xyz[~turned], data.xyz[~turned])
    np.testing.assert_array_equal(found.xyz[turned], mirrored_points(NAMES, data.xyz[turned]))
    straight = np.where(turned[:, None, None, None], mirrored_points(NAMES, found.seen), found.seen)
    number = np.rint((straight - exact.seen)[:, 0, 0, 0] * 1e6).astype(int)
    assert sorted(number) == list(range(1, len(data) + 1))
    assert (number != np.arange(1, len(data) + 1)).mean() > 0.9
    np.testing.assert_array_equal(np.isnan(straight[:, 0, 1, 0]), (number - 1) % 7 == 0)


def test_epochs_differ_and_repeat():
    data, exact = pair(20)
    first, again, second = (redraw_samples(data, exact, 1, epoch).seen for epoch in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, second, equal_nan=True)
