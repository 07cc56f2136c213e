"""Stages from markers to a judged spine: ik, vertebrae, quality."""

import json
from dataclasses import fields

import numpy as np

from simspine.body.articulation import carried_vertebrae, spine_levels
from simspine.body.kinematics import body_poses, forward_kinematics
from simspine.body.model import Body
from simspine.body.recipes import (
    Recipe,
    default_weights,
    fit_markers,
    read_prior,
    read_recipe,
    virtual_spine_markers,
)
from simspine.errors import unknown_name
from simspine.formats.atomic import write_text
from simspine.formats.forced import forced_to_json
from simspine.formats.mot import write_mot
from simspine.formats.sto import write_marker_errors
from simspine.formats.store import load, save
from simspine.formats.trc import write_trc
from simspine.ik.result import Derive
from simspine.ik.spine_uncertainty import spine_deviation, with_deviation
from simspine.quality.assess import assess
from simspine.spine.endplates import read_endplates, scaled
from simspine.spine.forced import forced_by_model
from simspine.spine.levels import LEVELS
from simspine.spine.vertebrae import spine_kinematics, vertebra_centroids
from simspine.workflow.bodies import body_files, scale_factors
from simspine.workflow.context import Context
from simspine.workflow.fitting import as_views_agree, fit, observed
from simspine.workflow.manifest import Task
from simspine.workflow.results import TrialResults, level_table


def ik(context: Context) -> list[Task]:
    """markers and model → kinematics/<trial>.mot, _ik_marker_errors.sto, .h5."""
    config, paths = context.config, context.paths
    tasks = []
    for name in context.trials:
        source = paths.markers(name)
        out, mot = paths.kinematics(name), paths.kinematics(name, ".mot")
        sto = paths.kinematics(name, "_ik_marker_errors.sto")

        def work(source=source, out=out, mot=mot, sto=sto) -> dict:
            stored = load(source)
            recipe = read_recipe(config.body.recipe)
            body = Body.from_osim(paths.model)
            markers = fit_markers(body, stored["markers"])
            for marker in config.ik.weights:
                if marker not in body.marker_names:
                    raise unknown_name("marker", marker, body.marker_names, "ik.weights of the configuration")
            by_name = default_weights(recipe, config.body.markers or stored["skeleton"]) | config.ik.weights
            options = as_views_agree(config.ik, markers)
            markers, weights = observed(options, markers, by_name)
            derive = _spine_deviation(recipe, body, scale_factors(paths))
            result = fit(
                options, body, markers, weights, read_prior(recipe), recipe.coordinate_tasks, derive, recipe.starts
            )
            parts = {field.name: getattr(result, field.name) for field in fields(result)}
            known = result.posterior
            response, sure = (None, None) if known is None else (known.response, dict(known.derived))
            save(out, **parts | {"posterior": None}, response=response, deviation=sure)
            write_mot(mot, result.motion)
            write_marker_errors(sto, result.motion.time, result.marker_error)
            return {
                "converged_share": round(float(result.converged.mean()), 4),
                "marker_rms_m": round(float(np.sqrt(np.nanmean(result.marker_error**2))), 5),
            }

        settings = {"ik": config.ik.model_dump(), "body": config.body.model_dump()}
        inputs = (source, paths.model, *body_files(config.body))
        tasks.append(Task(name, inputs, (out, mot, sto), settings, work))
    return tasks


def spine_of(recipe: Recipe, factors: dict[str, float]) -> tuple[dict, tuple]:
    """Vertebrae and levels of the recipe's body, scaled."""
    vertebrae = scaled(carried_vertebrae(recipe.articulation, read_endplates()), factors)
    return vertebrae, LEVELS if recipe.articulation is None else spine_levels(recipe.articulation)


def _spine_deviation(recipe: Recipe, body: Body, factors: dict[str, float]) -> Derive:
    """Standard deviations of what the next stage publishes, from the covariance, which is too large to keep."""
    plates, levels = spine_of(recipe, factors)
    chosen = [body.marker_index(name) for name in virtual_spine_markers(body).values()]
    return lambda z, blocks: spine_deviation(body, z, blocks, plates, levels, chosen)


def vertebrae(context: Context) -> list[Task]:
    """kinematics and model → vertebrae/<trial>.h5, .trc: spine points, level angles, LLA and TKA, vertebral centres."""
    config, paths = context.config, context.paths
    tasks = []
    for name in context.trials:
        source = paths.kinematics(name)
        out, trc = paths.vertebrae(name), paths.vertebrae(name, ".trc")

        def work(source=source, out=out, trc=trc) -> dict:
            stored = load(source, ["motion", "deviation"])
            motion = stored["motion"]
            body = Body.from_osim(paths.model)
            factors = scale_factors(paths)
            markers = forward_kinematics(body, motion)
            poses = body_poses(body, motion)
            recipe = read_recipe(config.body.recipe)
            plates, levels = spine_of(recipe, factors)
            locked = [n for n, held in zip(body.coordinates.names, body.coordinates.locked, strict=True) if held]
            forced = forced_by_model(body.couplers, plates, locked=locked, levels=levels)
            spine = spine_kinematics(
                poses, markers, plates, levels=levels, forced=forced, spine_markers=virtual_spine_markers(body)
            )
            spine = with_deviation(spine, stored["deviation"])
            centres = vertebra_centroids(poses, plates, motion.rate, motion.start)
            save(
                out,
                spine_markers=spine.markers,
                levels=list(spine.levels),
                angles=spine.angles,
                lla=spine.lla,
                tka=spine.tka,
                lla_sd=spine.lla_sd,
                tka_sd=spine.tka_sd,
                angles_sd=spine.angles_sd,
                repaired=spine.repaired,
                forced=forced_to_json(spine.forced),
                centres=centres,
                model_markers=markers,
                poses=dict(poses),
            )
            write_trc(trc, spine.markers)
            return {"lla_deg_mean": _degrees(spine.lla), "tka_deg_mean": _degrees(spine.tka)}

        tasks.append(Task(name, (source, paths.model, paths.scaling), (out, trc), config.body.model_dump(), work))
    return tasks


def quality(context: Context) -> list[Task]:
    """Everything of a trial → quality/<trial>.json: findings, and kept, corrected or rejected for each frame."""
    paths, recipe = context.paths, context.config.body.recipe
    tasks = []
    for name in context.trials:
        results = TrialResults(paths, name)
        inputs = paths.vertebrae(name), paths.kinematics(name), paths.markers(name), paths.points(name), paths.model
        out = paths.quality(name)

        def work(results=results, out=out) -> dict:
            coordinates = Body.from_osim(paths.model).coordinates
            ranges = {
                coordinates.names[i]: (float(coordinates.lower[i]), float(coordinates.upper[i]))
                for i in np.flatnonzero(coordinates.free)
            }
            solved, report, known = results.result, results.report, results.response
            verdict = assess(
                results.spine,
                converged=solved.converged,
                solver_reason=solved.reason,
                marker_names=solved.marker_names,
                marker_error=solved.marker_error,
                measured=results.markers,
                reprojection_names=report.names,
                reprojection_px=report.point_error_px,
                motion=solved.motion,
                ranges=ranges,
                response=None if known is None else dict(zip(solved.motion.names, known, strict=True)),
                level_shares=results.shares(level_table(recipe)),
                centres=results.centres,
                subject=context.subject,
                trial=results.name,
            )
            write_text(out, json.dumps(verdict.to_dict(), indent=1) + "\n")
            return {"counts": verdict.counts, "reasons": verdict.reason_counts}

        tasks.append(Task(name, inputs, (out,), {}, work))
    return tasks


def _degrees(angle: np.ndarray) -> float | None:
    mean = float(np.degrees(np.nanmean(angle))) if np.isfinite(angle).any() else None
    return None if mean is None else round(mean, 2)
