"""The scene that the tests of the player share."""

import pytest
from player_scene import make_scene


@pytest.fixture(scope="session")
def scene():
    return make_scene()
