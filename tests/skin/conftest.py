"""The unscaled body, and the skin of an average person on it."""

import pytest

from simspine.anatomy.skin import bind_skin, rest_surface
from simspine.synthesis.bodies import unscaled_body


@pytest.fixture(scope="module")
def body():
    return unscaled_body()[1]


@pytest.fixture(scope="module")
def skin(body):
    return bind_skin(rest_surface(0.5), body)
