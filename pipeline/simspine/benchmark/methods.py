"""Whole ways from 2D points to a spine, run on the same recordings: the published one and ours, with settings to vary.

Each takes all trials of one person, since the body is scaled to all of them. Ours calls what the workflow's stages
call, in their order, without the files between.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from simspine.benchmark import peer
from simspine.benchmark.peer_scaling import MASS, plain_factors
from simspine.benchmark.spine_errors import Spine
from simspine.body.articulation import carried_vertebrae, spine_levels
from simspine.body.calibration import calibrate
from simspine.body.kinematics import body_poses, forward_kinematics
from simspine.body.model import Body
from simspine.body.recipes import (
    Recipe,
    build,
    default_weights,
    fit_markers,
    read_prior,
    read_recipe,
    virtual_spine_markers,
)
from simspine.body.scaling import ScaleFactors, measure_factors, scale
from simspine.config import Filter, InverseKinematics, Scaling, Triangulation
from simspine.filtering import fill_gaps, smooth
from simspine.ik.assumptions import Prior, Smoothness
from simspine.ik.result import Result
from simspine.ik.solve import inverse_kinematics
from simspine.merging import in_frame, label_inferred, merge
from simspine.quality.assess import assess
from simspine.quality.findings import Status
from simspine.spine.deviation import spine_deviation, with_deviation
from simspine.spine.endplates import Vertebrae, read_endplates, scaled
from simspine.spine.levels import LEVELS, SPINE_MARKERS, Level
from simspine.spine.vertebrae import spine_kinematics, vertebra_centroids
from simspine.triangulation import triangulate
from simspine.types import Camera, Keypoints, Markers, Motion
from simspine.workflow.bodies import fit_weights


@dataclass(frozen=True)
class Recording:
    """What a method is given of one trial. mocap: Human3.6M joints by their names, z_up, at the keypoints' rate."""

    subject: str
    trial: str
    keypoints: Keypoints
    cameras: tuple[Camera, ...]
    mocap: Markers | None = None


@dataclass(frozen=True)
class Settings:
    """Ours, as configured: sections of the configuration, and what only an experiment changes.

    prior_width: factor on every belief's standard deviation. posture: {coordinate: mean, rad} instead of neutral.
    factors: sizes to take instead of measured ones.
    """

    recipe: str = "articulated"
    markers: str = peer.MARKER_SET
    triangulation: Triangulation = field(default_factory=Triangulation)
    filter: Filter = field(default_factory=Filter)
    scaling: Scaling = field(default_factory=Scaling)
    ik: InverseKinematics = field(default_factory=InverseKinematics)
    use_mocap: bool = True
    prior_width: float = 1.0
    posture: Mapping[str, float] = field(default_factory=dict)
    factors: ScaleFactors | None = None

    def with_ik(self, **changes) -> "Settings":
        return replace(self, ik=self.ik.model_copy(update=changes))


def ours(recordings: Sequence[Recording], settings: Settings) -> list[Spine]:
    """Our estimate of each trial's spine: triangulate, filter, merge, scale, inverse kinematics, vertebrae, quality."""
    recipe = read_recipe(settings.recipe)
    prepared = [our_markers(recording, settings) for recording in recordings]
    body, factors = our_body(prepared, recipe, settings)
    weights = default_weights(recipe, settings.markers)
    spines = []
    for markers in prepared:
        chosen = fit_markers(body, markers)
        result = solved(body, recipe, chosen, fit_weights(chosen, weights, settings.ik.engine), settings)
        spines.append(judged(body, recipe, factors, result, chosen))
    return spines


def our_markers(recording: Recording, settings: Settings) -> Markers:
    """Markers (y_up) of the stages triangulate and merge."""
    keypoints = recording.keypoints
    seen = np.isfinite(keypoints.xy).any((0, 1, 3))
    keypoints = keypoints.select([n for n, s in zip(keypoints.names, seen, strict=True) if s])
    points = triangulate(keypoints, recording.cameras, **settings.triangulation.model_dump())
    points = smooth(points, **settings.filter.model_dump())
    mocap = recording.mocap.select(peer.LIMBS) if recording.mocap is not None and settings.use_mocap else None
    return in_frame(label_inferred(merge(points, mocap)), "y_up")


def our_body(prepared: Sequence[Markers], recipe: Recipe, settings: Settings) -> tuple[Body, ScaleFactors]:
    """The stage scale."""
    unscaled = build(recipe, settings.markers)
    together = _together(prepared)
    options = settings.scaling.model_dump()
    fine = options.pop("calibrate")
    factors = settings.factors or measure_factors(unscaled, together, recipe, **options)
    if not fine:
        return scale(unscaled, factors, recipe=recipe), factors
    chosen = fit_markers(unscaled, together)
    weights = fit_weights(chosen, default_weights(recipe, settings.markers), "trajectory")
    limits = (settings.scaling.min_factor, settings.scaling.max_factor)
    body, found = calibrate(unscaled, recipe, chosen, weights, factors, prior=read_prior(recipe), bounds=limits)
    return body, found.factors


def _together(trials: Sequence[Markers]) -> Markers:
    """All trials one after another."""
    first = trials[0]
    return first.with_(
        xyz=np.concatenate([m.xyz for m in trials]),
        weight=None if first.weight is None else np.concatenate([m.weight for m in trials]),
        filled=None if first.filled is None else np.concatenate([m.filled for m in trials]),
        covariance=None,
    )


def solved(body: Body, recipe: Recipe, markers: Markers, weights: np.ndarray, settings: Settings) -> Result:
    """Inverse kinematics as configured, over the whole trajectory."""
    options = settings.ik
    return inverse_kinematics(
        body,
        markers,
        weights,
        Smoothness(acceleration=options.acceleration_sd),
        changed_prior(read_prior(recipe), settings),
        tolerance=options.accuracy,
        marker_sd=options.marker_sd_m,
        correlation_s=options.error_lasts_s,
        use_covariance=options.use_covariance,
        loss=options.loss,
        loss_scale=options.loss_from_sd,
    )


def changed_prior(prior: Prior, settings: Settings) -> Prior:
    """The beliefs with other widths, and about another posture than the neutral one."""
    if settings.prior_width == 1.0 and not settings.posture:
        return prior
    changed = []
    for belief in prior.beliefs:
        shift = sum(c * settings.posture.get(name, 0.0) for name, c in belief.combination.items())
        changed.append(replace(belief, mean=belief.mean + shift, sd=belief.sd * settings.prior_width))
    return Prior(tuple(changed))


def judged(body: Body, recipe: Recipe, factors: ScaleFactors, result: Result, markers: Markers) -> Spine:
    """The stages vertebrae and quality."""
    plates, levels = spine_of(recipe, factors)
    spine = read_spine(body, plates, levels, result.motion)
    if result.posterior is not None:
        places = [body.marker_index(name) for name in virtual_spine_markers(body).values()]
        found = spine_deviation(body, result.posterior, plates, levels, places)
        spine = replace(spine, kinematics=with_deviation(spine.kinematics, found))
    verdict = assess(
        spine.kinematics,
        converged=result.converged,
        solver_reason=result.reason,
        marker_names=result.marker_names,
        marker_error=result.marker_error,
        measured=markers,
        motion=result.motion,
    )
    return replace(spine, rejected=np.array([status is Status.REJECTED for status in verdict.status]))


def spine_of(recipe: Recipe, factors: ScaleFactors) -> tuple[Vertebrae, Sequence[Level]]:
    """Vertebrae and levels of a recipe's body, scaled."""
    vertebrae = scaled(carried_vertebrae(recipe.articulation, read_endplates()), factors.by_body)
    return vertebrae, LEVELS if recipe.articulation is None else spine_levels(recipe.articulation)


def read_spine(body: Body, plates: Vertebrae, levels: Sequence[Level], motion: Motion) -> Spine:
    """The spine of a body in motion; frames without values are rejected."""
    poses, markers = body_poses(body, motion), forward_kinematics(body, motion)
    kinematics = spine_kinematics(poses, markers, plates, levels=levels, spine_markers=virtual_spine_markers(body))
    centres = vertebra_centroids(poses, plates, motion.rate, motion.start)
    return Spine(kinematics, centres, ~np.isfinite(motion.values).all(1))


def published(recordings: Sequence[Recording]) -> list[tuple[Spine, Spine]]:
    """The published procedure on each trial: as released, and before the blending (its forward kinematics)."""
    recipe = read_recipe("coupled")
    unscaled = build(recipe, peer.MARKER_SET)
    targets = [peer_markers(recording) for recording in recordings]
    factors = plain_factors(unscaled, targets, recipe)
    body = scale(unscaled, factors, MASS, recipe)
    plates, levels = spine_of(recipe, factors)
    weights = default_weights(recipe, peer.MARKER_SET)
    spines = []
    for target in targets:
        fitted = fit_markers(body, target)
        by_name = {name: weights[name] for name in fitted.names}
        result = inverse_kinematics(body, fitted, by_name, engine="frames", coordinate_tasks=peer.COORDINATE_TASKS)
        model = read_spine(body, plates, levels, result.motion)
        markers = peer.lowpass_as_released(peer.blended(forward_kinematics(body, result.motion), target))
        released = replace(model.kinematics, markers=markers.select(SPINE_MARKERS))
        spines.append((replace(model, kinematics=released), model))
    return spines


def peer_markers(recording: Recording) -> Markers:
    """What the published procedure fits (y_up): triangulated, gaps filled, low-passed, joints replaced."""
    points = fill_gaps(peer.triangulate_plainly(recording.keypoints, recording.cameras), peer.MAX_GAP_S)
    points = peer.lowpass_as_released(points)
    if recording.mocap is not None:
        points = peer.replace_joints(points, in_frame(recording.mocap, points.frame))
    return in_frame(points, "y_up")
