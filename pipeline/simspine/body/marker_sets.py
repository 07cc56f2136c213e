"""Where a detector's points sit on the unscaled model: tables in opensim_models/markers/."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from simspine.data_files import models_folder, read_mapping, recipe_path
from simspine.errors import InputError, unknown_name
from simspine.spine.endplates import Point, point_from


@dataclass(frozen=True)
class Place:
    """Where a marker is: offset (3,) m in the frame of `body`. weight: its weight in inverse kinematics."""

    body: str
    offset: Point
    weight: float = 1.0


@dataclass(frozen=True)
class MarkerSet:
    """Places of a skeleton's points on the unscaled model, by SIMSPINE name."""

    name: str
    skeletons: tuple[str, ...]
    places: Mapping[str, Place]


def read_marker_set(name: str) -> MarkerSet:
    """A marker set by its name ('blazepose'), by a skeleton it serves ('blazepose33') or by its YAML file's path."""
    path = marker_set_path(name)
    data = read_mapping(path)
    try:
        places = {key: place_of(entry) for key, entry in data["markers"].items()}
        if "from" in data:  # points the file does not name are as there
            places = {**read_marker_set(data["from"]).places, **places}
        return MarkerSet(data["name"], tuple(data.get("skeletons", ())), places)
    except RecursionError:
        raise InputError(f"{path}: its `from` leads back to itself; name another set, or none.") from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        if isinstance(error, InputError) and str(path) in str(error):
            raise
        raise InputError(
            f"{path}: not a marker set ({type(error).__name__}: {error}); compare blazepose.yaml."
        ) from error


def marker_set_path(name: str) -> Path:
    """The YAML file of a marker set, named as for `read_marker_set`; `InputError` with the nearest name if none is."""
    if str(name).endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise InputError(f"marker set {name} does not exist.")
        return Path(name)
    return recipe_path(f"markers/{_set_of_skeleton(str(name))}")


def place_of(entry: Mapping) -> Place:
    """A place out of a YAML entry {body, offset, weight}."""
    return Place(str(entry["body"]), point_from(entry["offset"]), float(entry.get("weight", 1.0)))


def _set_of_skeleton(name: str) -> str:
    folder = models_folder() / "markers"
    files = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if name in files:
        return name
    skeletons = {stem: read_mapping(path).get("skeletons", ()) for stem, path in files.items()}
    serving = [stem for stem, served in skeletons.items() if name in served]
    if not serving:
        known = dict.fromkeys([*skeletons, *(s for served in skeletons.values() for s in served)])
        raise unknown_name("marker set or skeleton", name, known, str(folder))
    return serving[0]
