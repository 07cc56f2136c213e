import os
from pathlib import Path

import pytest

import simspine
from simspine.anatomy import shape_model
from simspine.anatomy.shape_model import packaged_shape_model
from simspine.core.errors import InputError
from simspine.core.settings import packaged_file, pose2sim_folder, read_mapping
from simspine.vision.blazepose import PoseNetworks


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
    places, endings = (Path(simspine.__file__).parent, pose2sim_folder()), (".onnx", ".tflite", ".npz", ".osim")
    found = [path for place in places for path in place.rglob("*") if path.suffix in endings]
    return [*found, Path(shape_model.__file__).with_name("shape_statistics.json")]


def test_networks_and_models_are_those_of_this_version(tmp_path):
    """Every one is listed, and one flipped bit is refused."""
    assert len(packaged()) == len({path.name for path in packaged()}) >= 7
    for path in packaged():
        assert packaged_file(path) == path
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        changed = tmp_path / path.name
        changed.write_bytes(content)
        with pytest.raises(InputError, match="install simspine anew"):
            packaged_file(changed)


@pytest.mark.parametrize("open_it", [lambda: PoseNetworks(), lambda: packaged_shape_model.__wrapped__()])
def test_a_changed_network_is_not_run(monkeypatch, open_it):
    def refuse(path):
        raise InputError(f"{path} was looked at")

    monkeypatch.setattr("simspine.vision.blazepose.packaged_file", refuse)
    monkeypatch.setattr("simspine.anatomy.shape_model.packaged_file", refuse)
    with pytest.raises(InputError, match="was looked at"):
        open_it()
