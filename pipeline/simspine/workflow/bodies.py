"""The stage scale: markers of all trials → the person's body; and what later stages ask about it."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simspine.body.kinematics import neutral_poses
from simspine.body.model import Body
from simspine.body.recipes import (
    Recipe,
    build,
    read_recipe,
)
from simspine.body.scaling import ScaleFactors, ScalingLimits, measure_factors, scale
from simspine.config import Body as BodyOptions
from simspine.config import Scaling
from simspine.formats.atomic import write_text
from simspine.formats.store import load
from simspine.recipe_files import models_folder
from simspine.types import Markers
from simspine.workflow.context import Context
from simspine.workflow.manifest import Task, read_json


def scale_body(context: Context) -> list[Task]:
    """markers of all trials → model/<subject>.osim and scaling.json."""
    config, paths = context.config, context.paths
    person = config.subject(context.subject)
    sources = tuple(paths.markers(name) for name in context.trials)

    def work() -> dict:
        stored = [load(source) for source in sources]
        recipe = read_recipe(config.body.recipe)
        markers = stacked([item["markers"] for item in stored])
        marker_set = config.body.markers or stored[0]["skeleton"]
        sized, factors = sized_body(markers, recipe, marker_set, config.scaling, person.height, person.mass)
        femur = _femur_lengths(sized)
        sized.write_osim(paths.model)
        write_text(paths.scaling, json.dumps(factors.as_dict() | {"femur_m": femur}, indent=1) + "\n")
        return {"stature_m": round(factors.stature, 3), "femur_m": femur, "factors": _rounded(factors.by_segment)}

    settings = {
        "body": config.body.model_dump(),
        "scaling": config.scaling.model_dump(),
        "height": person.height,
        "mass": person.mass,
    }
    inputs = (*sources, *body_files(config.body))
    return [Task(context.subject, inputs, (paths.model, paths.scaling), settings, work)]


def body_files(options: BodyOptions) -> tuple[Path, ...]:
    """Files that the body is made from besides the markers: recipes, marker sets, base model."""
    own = [Path(name) for name in (options.recipe, options.markers) if name and name.endswith((".yaml", ".yml"))]
    return (*own, read_recipe(options.recipe).base, *sorted(models_folder().rglob("*.yaml")))


def sized_body(
    markers: Markers,
    recipe: Recipe,
    marker_set: str,
    options: Scaling,
    height: float | None = None,
    mass: float | None = None,
) -> tuple[Body, ScaleFactors]:
    """The recipe's body at a person's size, by the distances of markers.

    markers: all trials of the person, y_up. height (m) and mass (kg) where they are known.
    """
    unscaled = build(recipe, marker_set)
    factors = measure_factors(unscaled, markers, recipe, height=height, limits=ScalingLimits(**options.model_dump()))
    return scale(unscaled, factors, mass, recipe), factors


def stacked(trials: Sequence[Markers]) -> Markers:
    """All trials one after another, with the markers they share."""
    shared = [name for name in trials[0].names if all(name in markers.names for markers in trials)]
    chosen = [markers.select(shared) for markers in trials]
    shapes = [m.xyz.shape[:2] for m in chosen]
    filled = [np.zeros(n, bool) if m.filled is None else m.filled for m, n in zip(chosen, shapes, strict=True)]
    weight = [np.ones(n) if m.weight is None else m.weight for m, n in zip(chosen, shapes, strict=True)]
    return chosen[0].with_(
        xyz=np.concatenate([m.xyz for m in chosen]),
        weight=np.concatenate(weight),
        filled=np.concatenate(filled),
        covariance=None,
    )


def _femur_lengths(body: Body) -> dict[str, float]:
    """Hip centre to knee centre, m, in the model's default pose."""
    poses = neutral_poses(body)
    lengths = {
        side: float(np.linalg.norm(poses[f"femur_{s}"][:3, 3] - poses[f"tibia_{s}"][:3, 3]))
        for side, s in (("left", "l"), ("right", "r"))
    }
    return _rounded(lengths, 4)


def scale_factors(paths) -> dict[str, float]:
    """{body: factor} out of scaling.json."""
    factors = read_json(paths.scaling)["factors"]
    return {body: entry["factor"] for entry in factors for body in entry["bodies"]}


def _rounded(values: dict[str, float], digits: int = 4) -> dict[str, float]:
    return {name: round(value, digits) for name, value in values.items()}
