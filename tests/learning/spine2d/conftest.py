"""What needs PyTorch is left out where there is none, as in the folder above."""

from importlib.util import find_spec

import pytest
from dotted_people import write_dotted

NETWORKS = [
    "test_rounds_of_annotation.py", "test_simcc.py", "test_spine_losses.py", "test_spine_network.py",
    "test_spine_schedule.py", "test_spine_training.py", "test_start_networks.py", "test_train_spine_command.py",
]  # fmt: skip
collect_ignore = [] if find_spec("torch") else NETWORKS


@pytest.fixture(scope="session")
def dotted(tmp_path_factory):
    """A folder with two splits of pictures in SpineTrack's layout, 18 and 7 people."""
    folder = tmp_path_factory.mktemp("dotted")
    write_dotted(folder, "train-unreal", 18, seed=1)
    write_dotted(folder, "val2017", 7, seed=2)
    return folder
