"""The unscaled body, and the skin of an average person on it."""

import pytest

from simspine.capture.bodies import unscaled
from simspine.surface.asset import rest_surface
from simspine.surface.binding import bind


@pytest.fixture(scope="module")
def body():
    return unscaled()[1]


@pytest.fixture(scope="module")
def skin(body):
    return bind(rest_surface(0.5), body)
