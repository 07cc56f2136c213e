"""Files of others that are packaged here are unchanged copies; the package they are from is the oracle."""

from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest

from simspine.core.settings import data_folder, pose2sim_folder

ORIGIN = Path(find_spec("Pose2Sim").submodule_search_locations[0])
COPIES = sorted(p.relative_to(pose2sim_folder()) for p in pose2sim_folder().rglob("*") if p.is_file())


def origin(copy: Path) -> Path:
    return ORIGIN / copy if copy.parts[0].startswith("Demo_") else ORIGIN / "OpenSim_Setup" / copy


@pytest.mark.parametrize("copy", [copy for copy in COPIES if copy.name != "LICENSE"], ids=str)
def test_copy_is_unchanged(copy):
    assert (pose2sim_folder() / copy).read_bytes() == origin(copy).read_bytes()


def test_every_mesh_of_the_model_is_there():
    model = ElementTree.parse(pose2sim_folder() / "Model_Pose2Sim_muscles_flex.osim")
    meshes = {element.text.strip() for element in model.iter("mesh_file")}
    assert len(meshes) > 90
    assert {path.name for path in (pose2sim_folder() / "Geometry").iterdir()} == meshes


def test_licence_lies_beside():
    assert "BSD 3-Clause License" in (pose2sim_folder() / "LICENSE").read_text()


def test_the_gait_recording_is_small_and_has_its_licence():
    from simspine.io.c3d import read_markers

    folder = data_folder("third_party") / "gait"
    assert "MIT License" in (folder / "LICENSE").read_text()
    assert sum(path.stat().st_size for path in folder.iterdir()) < 400_000
    walking = read_markers(folder / "walking.c3d")
    assert (walking.frames, walking.rate, walking.frame, len(walking.names)) == (128, 50.0, "z_up", 35)
    assert {"C7", "T2", "T6", "T10", "T12", "SACR"} <= set(walking.names)


def test_wheel_carries_every_data_folder():
    """What `data_folder` is asked for in the package is in the wheel's list."""
    import re
    import tomllib

    root = data_folder("configs").parent
    wheel = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    sources = (path.read_text() for path in (root / "pipeline/simspine").rglob("*.py"))
    wanted = {name for text in sources for name in re.findall(r'data_folder\("(\w+)"\)', text)}
    assert wanted == {"configs", "opensim_models", "third_party"}
    packed = wheel["force-include"]
    assert all(packed[name] == f"simspine/_data/{name}" for name in (*wanted, "Snakefile", "environment.yml"))
