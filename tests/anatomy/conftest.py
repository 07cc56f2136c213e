import numpy as np
import pytest

from simspine.anatomy.recipes import build_body
from simspine.core.types import Motion


@pytest.fixture(scope="session")
def blazepose():
    return build_body("coupled", "blazepose")


@pytest.fixture(scope="session")
def release():
    return build_body("coupled", "simspine37")


@pytest.fixture
def wiggle():
    """A motion of all coordinates about the default pose; driven ones take values of their own, locked ones stay."""

    def make(body, frames=3, size=0.2, seed=0):
        values = np.tile(body.coordinates.default, (frames, 1))
        shift = np.random.default_rng(seed).uniform(-size, size, values.shape)
        values[:, ~body.coordinates.locked] += shift[:, ~body.coordinates.locked]
        return Motion(body.coordinates.names, 50.0, values, body.coordinates.rotational)

    return make
