"""The stage scale: markers of all trials → the person's body; and what later stages ask about it."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simspine.body.calibration import calibrate
from simspine.body.kinematics import neutral_poses
from simspine.body.model import Body
from simspine.body.recipes import (
    build,
    default_weights,
    fit_markers,
    read_prior,
    read_recipe,
)
from simspine.body.scaling import measure_factors, scale
from simspine.config import Body as BodyOptions
from simspine.config import InverseKinematics
from simspine.formats.atomic import write_text
from simspine.formats.store import load
from simspine.ik.assumptions import CommonError
from simspine.recipe_files import models_folder
from simspine.skeletons.regions import SPINE_REGIONS
from simspine.types import Markers, Origin
from simspine.workflow.context import Context
from simspine.workflow.manifest import Task, read_json

GIVEN = 9.0  # (0.03 m / 0.01 m)²: defaults of ik.marker_sd_m and ik.given_sd_m


def scale_body(context: Context) -> list[Task]:
    """markers of all trials → model/<subject>.osim and scaling.json."""
    config, paths = context.config, context.paths
    person = config.subject(context.subject)
    sources = tuple(paths.markers(name) for name in context.trials)

    def work() -> dict:
        stored = [load(source) for source in sources]
        recipe = read_recipe(config.body.recipe)
        body = build(recipe, config.body.markers or stored[0]["skeleton"])
        markers = _stacked([item["markers"] for item in stored])
        options = config.scaling.model_dump()
        fine = options.pop("calibrate")
        factors = measure_factors(body, markers, recipe, height=person.height, **options)
        fitted = {}
        if fine:
            chosen = _measured(fit_markers(body, markers))
            weights = fit_weights(
                chosen, default_weights(recipe, config.body.markers or stored[0]["skeleton"]), "trajectory"
            )
            limits = (config.scaling.min_factor, config.scaling.max_factor)
            prior = read_prior(recipe)
            sized, found = calibrate(body, recipe, chosen, weights, factors, person.mass, prior=prior, bounds=limits)
            factors, fitted = found.factors, {"calibration": found.as_dict()}
        else:
            sized = scale(body, factors, person.mass, recipe)
        femur = _femur_lengths(sized)
        sized.write_osim(paths.model)
        write_text(paths.scaling, json.dumps(factors.as_dict() | fitted | {"femur_m": femur}, indent=1) + "\n")
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


def observed(options: InverseKinematics, markers: Markers, by_name: dict[str, float]) -> tuple[Markers, np.ndarray]:
    """Markers and weights (frames, markers) as inverse kinematics takes them. by_name: weights of the marker set."""
    weights = fit_weights(markers, by_name, options.engine, (options.marker_sd_m / options.given_sd_m) ** 2)
    if options.engine != "trajectory" or not options.use_covariance or markers.covariance is None:
        return markers, weights
    told = fit_covariance(markers, by_name, options.marker_sd_m, options.given_sd_m)
    return told, (weights > 0).astype(float)


def fit_weights(markers: Markers, by_name: dict[str, float], engine: str, given: float = GIVEN) -> np.ndarray:
    """(frames, markers): weight of the marker set × confidence.

    An inferred marker is no measurement. The trajectory engine, which has beliefs for what is not seen, leaves it out;
    the frame-wise ones, which have none, keep it with its low weight. given: how many times as much a marker from
    motion capture is worth, the ratio of the variances; the frame-wise engines take the marker set's word instead.
    """
    weights = np.tile([by_name.get(name, 1.0) for name in markers.names], (markers.frames, 1))
    confidence = np.ones(weights.shape) if markers.weight is None else markers.weight
    if engine != "trajectory":
        return np.where(_of(markers, Origin.INFERRED), weights, weights * confidence)
    worth = np.where(_of(markers, Origin.INFERRED), 0.0, np.where(_of(markers, Origin.GIVEN), given, 1.0))
    return worth * weights * confidence


def common_errors(options: InverseKinematics, markers: Markers) -> tuple[CommonError, ...]:
    """What the detected points of each region of the spine may be off by together; motion capture errs by itself."""
    detected = [n for n, own in zip(markers.names, _of(markers, Origin.DETECTED), strict=True) if own]
    members = {region: tuple(n for n in detected if n in names) for region, names in SPINE_REGIONS.items()}
    sd = options.region_sd_m
    return tuple(CommonError(region, names, sd) for region, names in members.items() if len(names) > 1 and sd > 0)


def fit_covariance(markers: Markers, by_name: dict[str, float], marker_sd: float, given_sd: float) -> Markers:
    """The markers with what each of them is off by in all, as `inverse_kinematics` takes it with `use_covariance`.

    That is the covariance of its position plus sd²/w (sd: marker_sd, of motion capture given_sd, m; w: the marker set's
    weight), of which inverse kinematics adds marker_sd² itself. Confidence is in the covariance already.
    """
    w = np.array([by_name.get(name, 1.0) for name in markers.names])
    own = np.where(_of(markers, Origin.GIVEN), given_sd, marker_sd) ** 2 / np.maximum(w, 1e-6) - marker_sd**2
    return markers.with_(covariance=markers.covariance + own[:, None, None] * np.eye(3))


def _of(markers: Markers, kind: Origin) -> np.ndarray:
    """(markers,) bool: those of an origin."""
    return np.array([o is kind for o in markers.origin or (Origin.DETECTED,) * len(markers.names)])


def _measured(markers: Markers) -> Markers:
    """Without the markers that a rule inferred."""
    origin = markers.origin or (Origin.DETECTED,) * len(markers.names)
    return markers.select([n for n, o in zip(markers.names, origin, strict=True) if o is not Origin.INFERRED])


def _stacked(trials: Sequence[Markers]) -> Markers:
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
