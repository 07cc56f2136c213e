"""Data files that come with simspine, recipes and what is packaged of others: where they lie, how they are read."""

from copy import deepcopy
from functools import lru_cache
from pathlib import Path

from simspine.errors import InputError, unknown_name
from simspine.yaml_files import read_yaml

NOT_RECIPES = ("endplates", "meanings", "skin")  # other data in the same folder


def data_folder(name: str) -> Path:
    """A top-level folder of the repository: in a checkout there, in an installed wheel in `simspine/_data/`."""
    package = Path(__file__).resolve().parent
    for folder in (package / "_data" / name, package.parents[1] / name):
        if folder.is_dir():
            return folder
    raise InputError(f"the folder {name} was not found beside the simspine package; reinstall simspine.")


def models_folder() -> Path:
    """The folder of recipes."""
    return data_folder("opensim_models")


def pose2sim_folder() -> Path:
    """What is packaged of Pose2Sim: the full-body model, its bones in `Geometry/`, two recordings."""
    return data_folder("third_party") / "pose2sim"


def recipe_path(name: str) -> Path:
    """The YAML file of a recipe ('coupled') or marker set ('markers/blazepose'); `name` may also be a path to one."""
    if str(name).endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise InputError(f"recipe {name} does not exist.")
        return Path(name)
    folder = models_folder()
    path = folder / f"{name}.yaml"
    if not path.is_file():
        inside = path.parent if path.parent.is_dir() else folder
        prefix = inside.relative_to(folder).as_posix().removeprefix(".")
        known = sorted(
            f"{prefix}/{p.stem}".removeprefix("/") for p in inside.glob("*.yaml") if p.stem not in NOT_RECIPES
        )
        raise unknown_name("recipe", str(name), known, str(folder))
    return path


def read_mapping(path: Path) -> dict:
    """The mapping in a YAML file; `InputError` naming the file if it holds none. An unchanged file is parsed once."""
    try:
        found = path.stat()
    except OSError:
        return _mapping(path)  # which says what is wrong
    return deepcopy(_parsed(path, found.st_mtime_ns, found.st_size, found.st_ino))


@lru_cache(maxsize=64)
def _parsed(path: Path, *_: int) -> dict:
    return _mapping(path)


def _mapping(path: Path) -> dict:
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise InputError(f"{path} is not a mapping; compare the files in {models_folder()}.")
    return data
