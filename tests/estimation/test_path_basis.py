"""Paths as splines: against SciPy's, and against integrals by quadrature."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.interpolate import BSpline

from simspine.estimation.path_basis import path_basis


@pytest.mark.parametrize(("frames", "spacing"), [(2, 3), (13, 4), (16, 4), (31, 3)])
def test_values_and_accelerations_are_those_of_scipy(frames, spacing):
    basis = path_basis(frames, spacing)
    c = np.random.default_rng(frames).normal(size=basis.points)
    knots = (np.arange(basis.points + 4) - 3.0) * spacing
    spline = BSpline(knots, c, 3)
    np.testing.assert_allclose(basis.values @ c, spline(np.arange(frames)), atol=1e-12)
    bend = spline.derivative(2)
    pieces = range(0, (basis.points - 3) * spacing, spacing)
    whole = sum(quad(lambda t: float(bend(t)) ** 2, begin, begin + spacing)[0] for begin in pieces)
    assert ((basis.accelerations @ c) ** 2).sum() == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("frames", [1, 2, 3, 20])
def test_frames_by_themselves(frames):
    basis = path_basis(frames, 1)
    z = np.random.default_rng(0).normal(size=frames)
    np.testing.assert_array_equal(basis.values @ z, z)
    np.testing.assert_allclose(basis.accelerations @ z, np.diff(z, 2) if frames > 2 else np.zeros(0), atol=1e-15)
    assert basis.points == frames


@pytest.mark.parametrize("spacing", [1, 3, 4])
def test_forms_are_sums_over_frames(spacing):
    basis = path_basis(41, spacing)
    c = np.random.default_rng(1).normal(size=basis.points)
    z = basis.values @ c

    def value(form):
        count = len(c)
        products = [(row[: count - lag] * c[lag:] * c[: count - lag]).sum() for lag, row in enumerate(form)]
        return products[0] + 2 * sum(products[1:])

    assert value(basis.value_form) == pytest.approx((z**2).sum())
    assert value(basis.change_form) == pytest.approx((np.diff(z) ** 2).sum())
    assert value(basis.end_form) == pytest.approx(z[0] ** 2 + z[-1] ** 2)
    assert value(basis.acceleration_form) == pytest.approx(((basis.accelerations @ c) ** 2).sum())


def test_the_last_control_point_does_not_follow_one_frame():
    """Of 245 frames with a knot every 9, the last control point has a weight of 2 · 10⁻⁴ in a single frame."""
    basis = path_basis(245, 9)
    assert 0 < basis.values[-1, -1] < 3e-4
    path = np.random.default_rng(0).normal(0, 0.05, (245, 20))
    assert np.abs(basis.fit(path)).max() < 5.0  # a thousand, where it follows


def test_a_path_that_is_a_spline_is_found_again():
    basis = path_basis(61, 4)
    t = np.arange(61) / 61
    path = np.column_stack([1 + t, t**3 - t])
    np.testing.assert_allclose(basis.values @ basis.fit(path), path, atol=1e-6)


@pytest.mark.parametrize(("frames", "spacing"), [(1, 1), (5, 3), (100, 1), (100, 3), (101, 40)])
def test_intervals_hold_each_frame_once(frames, spacing):
    basis = path_basis(frames, spacing)
    counts = basis.frames_of_intervals
    assert counts.sum() == frames
    assert counts.max() <= spacing + 1  # the last frame lies on the last knot
    time = np.arange(float(frames))
    np.testing.assert_allclose(basis.sums_of_intervals(time), basis.means_of_intervals(time) * counts)
    assert basis.sums_of_intervals(time).sum() == pytest.approx(time.sum())
    np.testing.assert_array_equal(np.repeat(basis.first[basis.interval_starts], counts), basis.first)
