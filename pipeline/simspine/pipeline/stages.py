"""The stages from a recording to the spine."""

from collections.abc import Sequence

from simspine.body.recipes import Recipe
from simspine.body.scaling import ScaleFactors
from simspine.pipeline.fit_person import fit_to_person
from simspine.pipeline.options import Options
from simspine.pipeline.sized_body import SizedBody, size_body
from simspine.quality.side_checks import exchanged
from simspine.types import Markers


def body_of_person(
    trials: Sequence[Markers],
    recipe: str | Recipe,
    marker_set: str,
    options: Options,
    height: float | None = None,
    mass: float | None = None,
) -> tuple[SizedBody, ScaleFactors]:
    """The recipe's body at a person's size, fitted to all their trials. Arguments as of `size_body`."""
    sized, factors = size_body(
        trials, recipe, marker_set, options.scaling, height, mass, options.body.skin_marker_height_m
    )
    if options.scaling.anatomy:
        sized = fit_to_person(sized, trials, marker_set, options.ik, exchanged)
    return sized, factors
