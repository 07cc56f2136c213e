"""Where a detector's points sit on the unscaled model: tables in opensim_models/markers/."""

from collections.abc import Mapping
from dataclasses import dataclass

from simspine.errors import InputError, unknown_name
from simspine.recipe_files import models_folder, read_yaml, recipe_path


@dataclass(frozen=True)
class Place:
    """Where a marker is: offset (3,) m in the frame of `body`. weight: its weight in inverse kinematics."""

    body: str
    offset: tuple[float, float, float]
    weight: float = 1.0


@dataclass(frozen=True)
class MarkerSet:
    """Places of a skeleton's points on the unscaled model, by SIMSPINE name."""

    name: str
    skeletons: tuple[str, ...]
    places: Mapping[str, Place]


def read_marker_set(name: str) -> MarkerSet:
    """A marker set by its name ('blazepose'), by a skeleton it serves ('blazepose33') or by its YAML file's path."""
    if not str(name).endswith((".yaml", ".yml")):
        name = f"markers/{_set_of_skeleton(str(name))}"
    path = recipe_path(name)
    data = read_yaml(path)
    try:
        places = {key: place_of(entry) for key, entry in data["markers"].items()}
        if "from" in data:  # points the file does not name are as there
            places = {**read_marker_set(data["from"]).places, **places}
        return MarkerSet(data["name"], tuple(data.get("skeletons", ())), places)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path}: not a marker set ({type(error).__name__}: {error}); compare blazepose.yaml."
        ) from error


def place_of(entry: Mapping) -> Place:
    """A place out of a YAML entry {body, offset, weight}."""
    x, y, z = (float(v) for v in entry["offset"])
    return Place(str(entry["body"]), (x, y, z), float(entry.get("weight", 1.0)))


def _set_of_skeleton(name: str) -> str:
    files = sorted((models_folder() / "markers").glob("*.yaml"))
    serving = [path.stem for path in files if name in read_yaml(path).get("skeletons", ())]
    if name not in {path.stem for path in files} and not serving:
        known = [path.stem for path in files] + [s for path in files for s in read_yaml(path).get("skeletons", ())]
        raise unknown_name("marker set or skeleton", name, dict.fromkeys(known), str(models_folder() / "markers"))
    return serving[0] if serving else name
