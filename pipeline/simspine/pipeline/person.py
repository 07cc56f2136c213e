"""What all trials said of a person: anatomy, standing curve, noise; and what each trial may take from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import numpy as np

from simspine.body.recipes import Recipe
from simspine.ik.options import KinematicsOptions
from simspine.priors.assumptions import MarkerErrors, Prior
from simspine.priors.rhythm import level_priors
from simspine.priors.standing_curve import SACRAL_TILT, about_known_curve
from simspine.spine.endplates import SACRAL_TILT_SD


class Displacement(NamedTuple):
    """place: (forward, up, right) m, how far a vertebra lies elsewhere in this person than in the body of their size;
    sd: m, standard deviation of each."""

    place: tuple[float, float, float]
    sd: float


@dataclass(frozen=True, eq=False)
class Person:
    """What was found of a person, beside their body, and how sure it is.

    names: of the standing curve's unknowns (`curve_names`). mean: (k,) rad, from people's mean curve, covariance:
    (k, k), assumed: (k, k) precision of what was assumed of anyone. trials: how many said it. noise: options of inverse
    kinematics that were learnt from the recordings. worth: factors on the weights of markers, learnt as well. anatomy:
    {variation: (value, its standard deviation)}, see `simspine.body.anatomy`. carried: {free coordinate: (r,) rad or
    m}, by how much it would change with each of r independent ways in which the body may still be wrong, one standard
    deviation each. centroids: by level, as points that mean centroids say. lasting, lasting_shared: which part of the
    noise is there in what the fit leaves over, and lasts (`MarkerErrors`). always: by region of the spine, what its
    points are off by in all trials, which is the detector's doing. unsure: {marker: (3, 3) m²}, covariance of where
    it is for all that may still be wrong with the body, along the axes of the body that carries it. left: squared
    standard deviations that the fit had left to gain when it ended (`PersonFit`).
    """

    names: tuple[str, ...]
    mean: np.ndarray
    covariance: np.ndarray
    assumed: np.ndarray
    trials: int
    noise: Mapping[str, float]
    worth: Mapping[str, float]
    anatomy: Mapping[str, tuple[float, float]]
    carried: Mapping[str, Sequence[float]]
    centroids: Mapping[str, Displacement] = field(default_factory=dict)
    lasting: Mapping[str, float] = field(default_factory=dict)
    misfit: Mapping[str, float] = field(default_factory=dict)
    lasting_shared: float = 1.0
    always: Mapping[str, Displacement] = field(default_factory=dict)
    unsure: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    left: float = 0.0

    def beside(self, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Mean (k,) and covariance (k, k) of what is known without that share of the evidence: without one trial's."""
        gained = np.linalg.inv(self.covariance) - self.assumed
        values, vectors = np.linalg.eigh((gained + gained.T) / 2)
        gained = (vectors * np.maximum(values, 0.0)) @ vectors.T
        pull = (gained + self.assumed) @ self.mean  # the prior's mean is zero
        covariance = np.linalg.inv(self.assumed + (1 - share) * gained)
        return (1 - share) * covariance @ pull, covariance

    def as_dict(self) -> dict:
        """For a JSON file."""
        arrays = {name: getattr(self, name).tolist() for name in ("mean", "covariance", "assumed")}
        return {field.name: getattr(self, field.name) for field in fields(self)} | arrays

    @classmethod
    def from_dict(cls, entry: Mapping) -> "Person":
        """Of what `as_dict` gave."""
        arrays = {name: np.array(entry[name], float) for name in ("mean", "covariance", "assumed")}
        anatomy = {name: (float(value), float(sd)) for name, (value, sd) in entry["anatomy"].items()}
        own: dict[str, Any] = {"names": tuple(entry["names"]), "anatomy": anatomy}
        for key in ("centroids", "always"):
            found = entry.get(key, {}).items()
            own[key] = {name: Displacement(tuple(place), float(sd)) for name, (place, sd) in found}
        return cls(**{**entry, **arrays, **own})

    @property
    def sacral_tilt(self) -> tuple[float, float]:
        """rad: how far the sacrum's endplate tilts forward against the model's, and its standard deviation."""
        if SACRAL_TILT not in self.names:
            return 0.0, SACRAL_TILT_SD
        i = self.names.index(SACRAL_TILT)
        return float(self.mean[i]), float(np.sqrt(self.covariance[i, i]))

    @property
    def places(self) -> dict[str, tuple[float, float, float]]:
        """{level: m}, see `centroids`."""
        return {level: found.place for level, found in self.centroids.items()}

    @property
    def prior_covariance(self) -> np.ndarray:
        """(k, k) of what was assumed of anyone."""
        return np.linalg.inv(self.assumed)

    def options(self, options: KinematicsOptions) -> KinematicsOptions:
        """The options with what was learnt of the noise."""
        return options.model_copy(update=dict(self.noise))

    def errors(self, errors: MarkerErrors) -> MarkerErrors:
        """The errors of a trial's markers, with what was learnt of them."""
        means = {name: found.place for name, found in self.always.items()}
        shared = tuple(replace(e, mean=means[e.name]) if e.name in means else e for e in errors.shared)
        own = {name: getattr(self, name) for name in ("lasting", "misfit", "lasting_shared")}
        return replace(errors, **own, shared=shared)


def personal_prior(person: Person, recipe: Recipe) -> Prior:
    """The recipe's priors about this person's standing curve instead of anyone's, as a trial's evidence is added to it.

    What the trial itself has said of the curve is left out.
    """
    assert recipe.articulation is not None  # a recipe with an anatomy has one
    levels = level_priors(recipe.articulation.regions)
    mean, covariance = person.beside(1 / person.trials)
    known = about_known_curve(levels, person.names, mean, covariance, person.prior_covariance)
    return Prior([*recipe.priors, *known], person.carried)
