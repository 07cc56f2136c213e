"""Two synthetic subjects to learn from and one to predict, in short trials."""

from importlib.util import find_spec

import pytest
from tools.lifting_baselines.lifters import source_views
from tools.lifting_baselines.options import LiftingOptions, lifting_options

# All of what these files test needs PyTorch, which the locked environment lacks; `make test-learn` runs them.
NETWORKS = ["test_lifting_networks.py", "test_training.py", "test_trunk_network.py"]
collect_ignore = [] if find_spec("torch") else NETWORKS


@pytest.fixture(scope="session")
def tiny() -> LiftingOptions:
    return lifting_options("tiny", **{"training.epochs": 4})


@pytest.fixture(scope="session")
def views(tiny):
    return source_views(tiny.source, [*tiny.train, *tiny.test])
