"""Where markers on the skin are on the unscaled model, and how well that is known (opensim_models/skin.yaml)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from simspine.data_files import models_folder, read_mapping
from simspine.errors import InputError, unknown_name
from simspine.skeletons.skin_names import SKIN, landmark
from simspine.spine.endplates import Point, point_from


@dataclass(frozen=True)
class SkinPlace:
    """The bone under a marker: `bone` (3,) m in the frame of `body`; `vertebra`: its carrier where the body is split.

    depth: m of soft tissue behind it. sd: m, forward, up, right: how far the bone under a marker is from there.
    """

    body: str
    vertebra: str
    bone: Point
    depth: float
    sd: Point

    def offset(self, height: float) -> Point:
        """Of a marker whose centre is `height` m above the skin, in the frame of `body` (x forward)."""
        x, y, z = self.bone
        return x - self.depth - height, y, z


@dataclass(frozen=True)
class SkinTable:
    """Places by landmark ('C7', 'LPSIS'). noise: m, how the skin moves over the bone within a recording."""

    places: Mapping[str, SkinPlace]
    noise: float

    def of(self, names: Iterable[str]) -> dict[str, SkinPlace]:
        """{marker: place}. Raises `InputError` for a landmark that the table lacks."""
        found = {}
        for name in names:
            if landmark(name) not in self.places:
                raise unknown_name("marker on the skin", landmark(name), self.places)
            found[landmark(name) + SKIN] = self.places[landmark(name)]
        return found


@cache
def read_skin_table() -> SkinTable:
    """The table that comes with simspine."""
    path: Path = models_folder() / "skin.yaml"
    data = read_mapping(path)
    try:
        places = {name: _place(entry) for name, entry in data["markers"].items()}
        return SkinTable(places, float(data["noise_mm"]) / 1000)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: not a table of markers on the skin ({type(error).__name__}: {error}).") from error


def _place(entry: Mapping) -> SkinPlace:
    forward, up, right = (float(value) / 1000 for value in entry["sd_mm"])
    return SkinPlace(
        str(entry["body"]), str(entry["vertebra"]), point_from(entry["bone"]), float(entry["depth_mm"]) / 1000,
        (forward, up, right),
    )  # fmt: skip
