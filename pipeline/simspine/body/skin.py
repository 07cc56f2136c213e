"""Where markers on the skin are on the unscaled model, and how well that is known (opensim_models/skin.yaml)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from simspine.data_files import models_folder, read_mapping
from simspine.errors import InputError, unknown_name
from simspine.skeletons.skin_names import SKIN, between, landmark
from simspine.spine.endplates import Point, point_from

PELVIS = ("LPSIS", "RPSIS")


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
    """Places by landmark ('C7', 'LPSIS'). noise: m, how the skin moves over the bone within a recording.

    origins: (3,) m of the bodies in the neutral pose, whose axes are parallel there. correlation: m along the skin,
    over which dots of a tape err alike.
    """

    places: Mapping[str, SkinPlace]
    noise: float
    origins: Mapping[str, Point]
    correlation: float

    def of(self, names: Iterable[str]) -> dict[str, SkinPlace]:
        """{marker: place}. Raises `InputError` for a landmark that the table lacks."""
        found = {}
        for name in names:
            found[landmark(name) + SKIN] = self._place(landmark(name))
        return found

    @property
    def levels(self) -> tuple[str, ...]:
        """Landmarks along the spine, downwards."""
        return tuple(name for name in self.places if name not in PELVIS)

    def along(self, name: str) -> float:
        """m along the skin of the unscaled model, from the uppermost level down to a landmark or dot of a tape."""
        level, share = between(landmark(name)) or (landmark(name), 0.0)
        return float(np.interp(self.levels.index(level) + share, range(len(self.levels)), self._distances))

    def landmark_at(self, along: float) -> str:
        """The dot of a tape that far along the skin: 'T7.40'; the inverse of `along`, to a hundredth of a level."""
        number = np.interp(along, self._distances, range(len(self.levels)))
        level, hundredths = divmod(round(100 * float(number)), 100)
        return f"{self.levels[level]}.{hundredths:02}"

    @cached_property
    def _distances(self) -> np.ndarray:
        """(levels,) m along the skin."""
        skin = np.array([self._neutral(self.places[name]) - [self.places[name].depth, 0, 0] for name in self.levels])
        return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(skin, axis=0), axis=1))])

    def _neutral(self, place: SkinPlace) -> np.ndarray:
        """(3,) m from the pelvis, in the neutral pose: the bone."""
        return np.array(self.origins[place.body]) + place.bone

    def _place(self, name: str) -> SkinPlace:
        """Of a landmark, or of a dot between two, carried by the nearer of their vertebrae."""
        level, share = between(name) or (name, 0.0)
        if level not in self.places or (share and level not in self.levels[:-1]):
            raise unknown_name("marker on the skin", name, self.places)
        above = self.places[level]
        if not share:
            return above
        below = self.places[self.levels[self.levels.index(level) + 1]]
        carrier = above if share < 0.5 else below
        bone = (1 - share) * self._neutral(above) + share * self._neutral(below) - self.origins[carrier.body]
        depth = (1 - share) * above.depth + share * below.depth
        sd = (1 - share) * np.array(above.sd) + share * np.array(below.sd)
        return SkinPlace(carrier.body, carrier.vertebra, point_from(bone), depth, point_from(sd))


@cache
def read_skin_table() -> SkinTable:
    """The table that comes with simspine."""
    path: Path = models_folder() / "skin.yaml"
    data = read_mapping(path)
    try:
        places = {name: _place(entry) for name, entry in data["markers"].items()}
        origins = {body: point_from(origin) for body, origin in data["origins"].items()}
        return SkinTable(places, float(data["noise_mm"]) / 1000, origins, float(data["tape_correlation_mm"]) / 1000)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: not a table of markers on the skin ({type(error).__name__}: {error}).") from error


def _place(entry: Mapping) -> SkinPlace:
    forward, up, right = (float(value) / 1000 for value in entry["sd_mm"])
    return SkinPlace(
        str(entry["body"]), str(entry["vertebra"]), point_from(entry["bone"]), float(entry["depth_mm"]) / 1000,
        (forward, up, right),
    )  # fmt: skip
