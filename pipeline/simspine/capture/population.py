"""The population that synthetic subjects are drawn from: the tables beside this module, in SI units."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import yaml

from simspine.body.articulation import Articulation
from simspine.body.recipes import read_recipe

AXES = ("Flex_Ext", "Lat_Bending", "axial_rotation")  # coordinates of a level, in the order of the joint's rotations
SHIFTS = ("forward", "up", "right")  # translations of a level, along the axes of the vertebra below


@dataclass(frozen=True)
class Levels:
    """Published figures of the levels, from the sacrum up; arrays (levels,) or (levels, 3: flexion, bending, rotation).

    spacing: of the vertebral centres, mean and sd, m; NaN where none is published, or where it is no height
    (C1's ring). motion: rad; motion_cv: its spread between people, relative.
    """

    names: tuple[str, ...]
    region: tuple[str, ...]
    spacing: np.ndarray
    spacing_sd: np.ndarray
    motion: np.ndarray
    motion_cv: np.ndarray

    def within(self, region: str) -> np.ndarray:
        """Indices of a region's levels."""
        return np.flatnonzero(np.array(self.region) == region)

    @property
    def regions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.region))


@cache
def read_population() -> dict:
    """`tables/population.yaml` as it is: units in the keys, angles in degrees."""
    return yaml.safe_load(_text("population.yaml"))


@cache
def read_levels() -> Levels:
    """`tables/levels.csv`."""
    rows = list(csv.DictReader(_text("levels.csv").splitlines()))

    def column(name: str) -> np.ndarray:
        return np.array([float(row[name] or "nan") for row in rows])

    kinds = ("flexion", "bending", "rotation")
    return Levels(
        names=tuple(row["level"] for row in rows),
        region=tuple(row["region"] for row in rows),
        spacing=column("spacing_mm") / 1e3,
        spacing_sd=column("spacing_sd_mm") / 1e3,
        motion=np.radians(np.column_stack([column(f"{kind}_deg") for kind in kinds])),
        motion_cv=np.column_stack([column(f"{kind}_cv") for kind in kinds]),
    )


@cache
def articulation() -> Articulation:
    """How the articulated body's torso is made of single vertebrae."""
    plan = read_recipe("articulated").articulation
    assert plan is not None  # what that recipe is for
    return plan


def truncated(
    rng: np.random.Generator, mean, sd, size: tuple[int, ...] | None = None, limit: float = 2.5
) -> np.ndarray:
    """Normal numbers, redrawn where they are more than `limit` sd from the mean."""
    shape = np.broadcast_shapes(np.shape(mean), np.shape(sd)) if size is None else size
    z = rng.standard_normal(shape)
    while np.any(far := np.abs(z) > limit):
        z = np.where(far, rng.standard_normal(shape), z)
    return np.asarray(mean) + np.asarray(sd) * z


def _text(name: str) -> str:
    return files(__package__).joinpath("tables", name).read_text(encoding="utf-8")
