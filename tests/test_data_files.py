import os
from pathlib import Path

import pytest

import simspine
from simspine.anatomy import shape_model
from simspine.anatomy.recipes import read_recipe
from simspine.anatomy.shape_model import packaged_shape_model
from simspine.anatomy.skin import skin_asset
from simspine.core.errors import InputError
from simspine.core.settings import models_folder, packaged_file, pose2sim_folder, read_mapping
from simspine.vision.blazepose import PoseNetworks
from simspine.vision.blazepose_spine import SpinePlacer
from simspine.vision.lifting import Lifter


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


def packaged() -> list[Path]:
    """All networks and models that come with simspine, wherever they are."""
    places = Path(simspine.__file__).parent, models_folder(), pose2sim_folder()
    endings = (".onnx", ".tflite", ".npz", ".osim")
    found = [path for place in places for path in place.rglob("*") if path.suffix in endings]
    return [*found, Path(shape_model.__file__).with_name("shape_statistics.json")]


def test_networks_and_models_are_those_of_this_version(tmp_path):
    """Every one is listed, and one flipped bit, or a lost file, is refused."""
    listed = (Path(simspine.__file__).parent / "core/packaged.sha256").read_text().split()[1::2]
    assert sorted(path.name for path in packaged()) == sorted(listed)
    for path in packaged():
        assert packaged_file(path) == path
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        changed = tmp_path / path.name
        changed.write_bytes(content)
        for refused in (changed, tmp_path / "lost" / path.name):
            with pytest.raises(InputError, match="install simspine anew"):
                packaged_file(refused)


OPENED = {
    "anatomy.recipes": lambda: read_recipe("paper"),
    "anatomy.shape_model": packaged_shape_model.__wrapped__,
    "anatomy.skin": skin_asset.__wrapped__,
    "vision.blazepose": PoseNetworks,
    "vision.blazepose_spine": SpinePlacer,
    "vision.lifting": Lifter,
}


@pytest.mark.parametrize("module", OPENED)
def test_a_changed_network_is_not_run(monkeypatch, module):
    def refuse(path):
        raise InputError(f"{path} was looked at")

    monkeypatch.setattr(f"simspine.{module}.packaged_file", refuse)
    with pytest.raises(InputError, match="was looked at"):
        OPENED[module]()
