"""Values that name one of several things, or a file: whether there is such a thing."""

from collections.abc import Callable
from pathlib import Path

from simspine.body.marker_sets import marker_set_path
from simspine.config.run import Config
from simspine.data_files import recipe_path
from simspine.detection.spinepose import known_weights
from simspine.errors import InputError, unknown_name
from simspine.skeletons import load as load_skeleton
from simspine.skeletons.correspondence import read_correspondence

DETECTIONS = ("exact", "finetuned", "zero-shot")  # of a virtual capture


def unknown_values(config: Config) -> list[str]:
    """A line for each setting whose value names nothing that there is, with the nearest name; [] if all is well.

    Files of recordings are left to the stages that read them: a run is planned without them.
    """
    checks: list[tuple[str, str | None, Callable[[str], object]]] = [
        ("body.recipe", config.body.recipe, recipe_path),
        ("body.markers", config.body.markers, marker_set_path),
        ("detection.skeleton", config.detection.skeleton, load_skeleton),
        ("merge.correspondence", config.merge.correspondence, read_correspondence),
    ]
    if config.detection.detector == "spinepose":
        checks.append(("detection.model", config.detection.model, known_weights))
    if config.virtual is not None:
        checks.append(("virtual.detections", config.virtual.detections, _detections))
    found = []
    for place, value, check in checks:
        try:
            if value is not None:
                check(value)
        except InputError as error:
            found.append(f"{place}: {error}")
    return found


def _detections(name: str) -> None:
    if not name.endswith((".yaml", ".yml")):
        if name not in DETECTIONS:
            raise unknown_name("kind of detections", name, (*DETECTIONS, "a YAML file"))
    elif not Path(name).is_file():
        raise InputError(f"file of detections {name} does not exist.")
