"""Whom the virtual capture draws; who is rendered, and in which light."""

import numpy as np
import pytest

from simspine.synthesis.population import make_subject
from simspine.synthesis.rendered_crops import virtual_performer
from simspine.synthesis.rendered_scenes import draw_light


@pytest.fixture(scope="session")
def people():
    return [make_subject(3, index) for index in range(300)]


@pytest.fixture(scope="session")
def subject(people):
    return people[2]


@pytest.fixture(scope="module")
def who():
    return virtual_performer(3, 0, ("Walking",))


@pytest.fixture(scope="module")
def light():
    return draw_light(np.random.default_rng(2))
