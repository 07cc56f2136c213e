"""The stage that sizes the body: markers of all trials of a person → the recipe's body at the person's size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from simspine.body.articulation import carried_vertebrae, spine_levels
from simspine.body.kinematics import neutral_poses
from simspine.body.model import Body
from simspine.body.options import ScalingOptions
from simspine.body.recipes import Recipe, build, default_weights, read_prior, read_recipe
from simspine.body.scaling import ScaleFactors, ScalingLimits, measure_factors, scale
from simspine.pipeline.person import Person, personal_prior
from simspine.priors.assumptions import Prior
from simspine.skeletons.skin_names import on_skin
from simspine.spine.endplates import (
    SACRAL_TILT_SD,
    Vertebrae,
    displaced,
    read_endplates,
    scaled,
    with_tilted_sacrum,
)
from simspine.spine.forced import forced_by_model
from simspine.spine.levels import LEVELS, LUMBAR, THORACIC, Level
from simspine.types import Forced, Markers


@dataclass(frozen=True, eq=False)
class SizedBody:
    """A body at a person's size, and what its recipe says of it. factors: {body: scale}, 1 where absent. person: what
    else all trials said, where the body was fitted to them.
    """

    body: Body
    recipe: Recipe
    factors: Mapping[str, float]
    person: Person | None = None

    @cached_property
    def vertebrae(self) -> Vertebrae:
        """Centroids and endplates on the bodies that carry them, the sacrum's as far as the person's is known."""
        found = scaled(carried_vertebrae(self.recipe.partition, read_endplates()), self.factors)
        if self.person is None:
            return found
        return with_tilted_sacrum(displaced(found, self.person.places), self.person.sacral_tilt[0])

    @property
    def sacral_tilt_sd(self) -> float:
        """rad: how unsure the tilt of the sacrum's endplate is."""
        return SACRAL_TILT_SD if self.person is None else self.person.sacral_tilt[1]

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """The levels of the spine, with their coordinates."""
        return levels_of(self.recipe)

    @cached_property
    def trunk(self) -> tuple[str, ...]:
        """Free coordinates of the lumbar and thoracic levels."""
        trunk = (level for level in self.levels if level.name in (*LUMBAR, *THORACIC))
        return tuple(name for level in trunk for name in level.coordinates if name in self.ranges)

    @cached_property
    def limbs(self) -> tuple[str, ...]:
        """Free coordinates that move no part of the spine: those of arms, legs and shoulder girdle."""
        tree, bodies = self.body.tree, self.body.bodies
        spine = {body for level in self.levels for body in (level.parent, level.child)} & set(bodies)
        moving = {int(k) for body in spine for k in tree.columns_of(bodies.index(body) + 1)}
        return tuple(self.body.coordinates.names[c] for k, c in enumerate(tree.free) if k not in moving)

    @cached_property
    def forced(self) -> dict[str, tuple[Forced, ...]]:
        """What the model leaves no freedom, see `simspine.spine.forced`."""
        coordinates = self.body.coordinates
        locked = [name for name, held in zip(coordinates.names, coordinates.locked, strict=True) if held]
        return forced_by_model(self.body.couplers, self.vertebrae, locked=locked, levels=self.levels)

    @cached_property
    def prior(self) -> Prior:
        """The recipe's, about this person's standing curve where that is known."""
        return read_prior(self.recipe) if self.person is None else personal_prior(self.person, self.recipe)

    def weights(self, marker_set: str) -> dict[str, float]:
        """Weights of inverse kinematics by marker name."""
        return default_weights(self.recipe, marker_set)

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """{free coordinate: (lower, upper)} rad or m."""
        c = self.body.coordinates
        return {c.names[i]: (float(c.lower[i]), float(c.upper[i])) for i in np.flatnonzero(c.free)}


def levels_of(recipe: Recipe) -> tuple[Level, ...]:
    """The levels of a recipe's body, with their coordinates."""
    return LEVELS if recipe.articulation is None else spine_levels(recipe.articulation)


def size_body(
    trials: Sequence[Markers],
    recipe: str | Recipe,
    marker_set: str,
    options: ScalingOptions,
    height: float | None = None,
    mass: float | None = None,
    skin_height: float = 0.007,
) -> tuple[SizedBody, ScaleFactors]:
    """The recipe's body at a person's size, by the distances of markers.

    trials: markers of all trials of the person, y_up. marker_set: where a detector's points are on the body. height (m)
    and mass (kg) where they are known. skin_height: how far centres of markers on the skin are above it, m.
    """
    recipe = read_recipe(recipe) if isinstance(recipe, str) else recipe
    skin = dict.fromkeys(name for markers in trials for name in on_skin(markers.names))
    unscaled = build(recipe, marker_set, tuple(skin), skin_height)
    factors = measure_factors(
        unscaled,
        stacked(trials),
        recipe,
        height=height,
        limits=ScalingLimits(**options.model_dump(exclude={"anatomy"})),
    )
    return SizedBody(scale(unscaled, factors, mass, recipe), recipe, factors.by_body), factors


def stacked(trials: Sequence[Markers]) -> Markers:
    """All trials one after another, with the markers they share."""
    shared = [name for name in trials[0].names if all(name in markers.names for markers in trials)]
    chosen = [markers.select(shared) for markers in trials]
    filled = [np.zeros(m.present.shape, bool) if m.filled is None else m.filled for m in chosen]
    weight = [np.ones(m.present.shape) if m.weight is None else m.weight for m in chosen]
    return chosen[0].with_(
        xyz=np.concatenate([m.xyz for m in chosen]),
        weight=np.concatenate(weight),
        filled=np.concatenate(filled),
        covariance=None,
    )


def femur_lengths(body: Body) -> dict[str, float]:
    """{'left', 'right': hip centre to knee centre, m} in the model's default pose."""
    poses = neutral_poses(body)
    return {
        side: float(np.linalg.norm(poses[f"femur_{s}"][:3, 3] - poses[f"tibia_{s}"][:3, 3]))
        for side, s in (("left", "l"), ("right", "r"))
    }
