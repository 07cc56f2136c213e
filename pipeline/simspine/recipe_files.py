"""The data files in opensim_models/: where they lie, and how they are read."""

from pathlib import Path

import yaml

from simspine.errors import InputError, unknown_name

NOT_RECIPES = ("endplates", "meanings")  # other data in the same folder


def models_folder() -> Path:
    """The folder of recipes: `opensim_models/` in a checkout, `simspine/_opensim_models/` in an installed wheel."""
    package = Path(__file__).resolve().parent
    for folder in (package / "_opensim_models", package.parents[1] / "opensim_models"):
        if folder.is_dir():
            return folder
    raise InputError("the folder opensim_models was not found beside the simspine package; reinstall simspine.")


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


def read_yaml(path: Path) -> dict:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read as YAML: {error}") from None
    if not isinstance(data, dict):
        raise InputError(f"{path} is not a mapping; compare the files in {models_folder()}.")
    return data
