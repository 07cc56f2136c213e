"""A small trial seen by two cameras, for the exchange formats."""

import pytest
from small_takes import make_take

from simspine.formats.takes import Take


@pytest.fixture(scope="session")
def take() -> Take:
    return make_take()


@pytest.fixture(scope="session")
def take37() -> Take:
    return make_take("simspine37")
