"""A trial of all points."""

import pytest
from small_takes import make_take


@pytest.fixture(scope="module")
def take37():
    return make_take("simspine37")
