import os

import pytest

from simspine.core.errors import InputError
from simspine.core.settings import read_mapping


def test_what_a_caller_changes_stays_with_the_caller(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("points: {Hip: [0, 1]}\n")
    read_mapping(path)["points"]["Hip"].append(2)
    assert read_mapping(path) == {"points": {"Hip": [0, 1]}}


def test_a_file_that_changed_is_read_anew(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("weight: 1\n")
    assert read_mapping(path) == {"weight": 1}
    path.write_text("weight: 2\n")
    os.utime(path, ns=(1, 1))
    assert read_mapping(path) == {"weight": 2}
    path.unlink()
    with pytest.raises(InputError, match=r"recipe\.yaml does not exist"):
        read_mapping(path)
