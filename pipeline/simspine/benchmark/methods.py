"""Whole ways from 2D points to a spine, run on the same recordings: the published one and ours, with settings to vary.

Each takes all trials of one person, since the body is scaled to all of them. Ours calls what the workflow's stages
call, in their order, without the files between.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from simspine.benchmark import peer
from simspine.benchmark.peer_scaling import MASS, plain_factors
from simspine.benchmark.spine_errors import Spine
from simspine.body.kinematics import body_poses, forward_kinematics
from simspine.body.model import Body
from simspine.body.recipes import (
    Recipe,
    build,
    default_weights,
    fit_markers,
    read_prior,
    read_recipe,
)
from simspine.body.scaling import ScaleFactors, scale
from simspine.config import Filter, InverseKinematics, Scaling, Triangulation
from simspine.filtering import fill_gaps, lowpass, smooth
from simspine.geometry import in_frame
from simspine.ik.result import Derive, Result
from simspine.ik.solve import inverse_kinematics
from simspine.ik.solver import Solver
from simspine.ik.spine_uncertainty import spine_deviation, with_deviation
from simspine.merging import merge
from simspine.priors.assumptions import Prior
from simspine.quality.assess import assess
from simspine.quality.findings import Status
from simspine.skeletons.correspondence import read_correspondence
from simspine.skeletons.inferred_names import label_inferred
from simspine.spine.endplates import Vertebrae
from simspine.spine.levels import SPINE_MARKERS, Level
from simspine.spine.vertebrae import spine_kinematics, vertebra_centroids
from simspine.triangulation import triangulate
from simspine.types import Camera, Keypoints, Markers, Motion
from simspine.workflow.bodies import sized_body, stacked
from simspine.workflow.fitting import as_views_agree, fit, observed
from simspine.workflow.kinematics import spine_of

PLACES = "centres"  # marker set: where the virtual capture has its points
SURE = 50.0  # a weight that leaves a marker of the set's weight 0.5 a standard deviation of 4 mm
SLOW_HZ = 0.5  # errors below it last for seconds: what a detector means by a point, how a posture deceives it


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

    prior_width: factor on the standard deviation of every prior. What the rest needs is known to an experiment only:
    true_sizes: scale by the true points. true_posture: priors about each trial's true mean posture instead of the
    neutral one. true_points: markers that are where the truth has them, and count `SURE` times as much. keep_errors:
    'all' of the markers', or only the 'slow' or the 'fast' part of them (below and above `SLOW_HZ`), the other being
    taken away.
    """

    recipe: str = "articulated"
    markers: str = PLACES
    triangulation: Triangulation = field(default_factory=Triangulation)
    filter: Filter = field(default_factory=Filter)
    scaling: Scaling = field(default_factory=Scaling)
    ik: InverseKinematics = field(default_factory=InverseKinematics)
    use_mocap: bool = True
    prior_width: float = 1.0
    true_sizes: bool = False
    true_posture: bool = False
    true_points: tuple[str, ...] = ()
    keep_errors: Literal["all", "slow", "fast"] = "all"

    def with_ik(self, **changes) -> "Settings":
        return replace(self, ik=self.ik.model_copy(update=changes))


@dataclass(frozen=True)
class Judged:
    """A recording and what was true. points: the 37 points, y_up: limbs where the motion capture means them, the others
    where the detector is asked for them.
    """

    recording: Recording
    spine: Spine
    points: Markers


def ours(trials: Sequence[Judged], settings: Settings) -> list[Spine]:
    """Our estimate of each trial's spine: triangulate, filter, merge, scale, inverse kinematics, vertebrae, quality.

    The truth is looked at by experiments only (see `Settings`).
    """
    recipe = read_recipe(settings.recipe)
    prepared = [our_markers(trial.recording, settings) for trial in trials]
    if settings.keep_errors != "all":
        prepared = [
            with_errors(m, trial.points, settings.keep_errors) for m, trial in zip(prepared, trials, strict=True)
        ]
    prepared = [told(m, trial.points, settings.true_points) for m, trial in zip(prepared, trials, strict=True)]
    measured = [trial.points for trial in trials] if settings.true_sizes else prepared
    body, factors = sized_body(stacked(measured), recipe, settings.markers, settings.scaling)
    weights = default_weights(recipe, settings.markers)
    spines = []
    for markers, trial in zip(prepared, trials, strict=True):
        chosen = fit_markers(body, markers)
        prior = read_prior(recipe)
        if settings.true_posture:
            prior = about(prior, mean_posture(trial.spine, spine_of(recipe, factors.by_body)[1]))
        prior = widened(prior, settings.prior_width)
        options = as_views_agree(settings.ik, chosen)
        chosen, fitted = observed(options, chosen, weights)
        derive = deviations(body, recipe, factors)
        result = fit(options, body, chosen, fitted, prior, recipe.coordinate_tasks, derive, recipe.starts)
        spines.append(judged(body, recipe, factors, result, chosen))
    return spines


def our_markers(recording: Recording, settings: Settings) -> Markers:
    """Markers (y_up) of the stages triangulate and merge."""
    keypoints = recording.keypoints
    seen = np.isfinite(keypoints.xy).any((0, 1, 3))
    keypoints = keypoints.select([n for n, s in zip(keypoints.names, seen, strict=True) if s])
    points = triangulate(keypoints, recording.cameras, **settings.triangulation.model_dump())
    points = smooth(points, **settings.filter.model_dump())
    mocap = recording.mocap if settings.use_mocap else None
    merged = merge(points, mocap, correspondence=read_correspondence("human36m"))
    return in_frame(label_inferred(merged), "y_up")


def with_errors(markers: Markers, true: Markers, keep: str) -> Markers:
    """The markers with the slow or the fast part of their errors only; all are as they were where the truth has no such
    point.
    """
    names = [name for name in markers.names if name in true.names]
    columns = markers.indices(names)
    exact = true.select(names).xyz
    error = markers.xyz[:, columns] - exact
    slow = lowpass(error, markers.rate, cutoff_hz=SLOW_HZ, order=2)
    xyz = np.array(markers.xyz)
    xyz[:, columns] = exact + (slow if keep == "slow" else error - slow)
    return markers.with_(xyz=xyz)


def told(markers: Markers, true: Markers, names: Sequence[str]) -> Markers:
    """The markers with those of some names where the truth has them, `SURE` times as weighty."""
    xyz = np.array(markers.xyz)
    weight = np.ones(xyz.shape[:2]) if markers.weight is None else np.array(markers.weight)
    for name in names:
        column = markers.index(name)
        xyz[:, column], weight[:, column] = true.xyz[:, true.index(name)], SURE
    return markers.with_(xyz=xyz, weight=weight)


def deviations(body: Body, recipe: Recipe, factors: ScaleFactors) -> Derive:
    """What is kept of the covariance: the deviations of angles, curvature and the spine's points."""
    plates, levels = spine_of(recipe, factors.by_body)
    places = [body.marker_index(name) for name in SPINE_MARKERS]
    return lambda z, blocks: spine_deviation(body, z, blocks, plates, levels, places)


def widened(prior: Prior, width: float) -> Prior:
    """All priors with `width` times their standard deviations."""
    return prior if width == 1.0 else Prior(tuple(replace(term, sd=term.sd * width) for term in prior.terms))


def about(prior: Prior, posture: Mapping[str, float]) -> Prior:
    """Priors about departures from `posture` {coordinate: rad; 0 where absent} instead of the neutral one."""
    return Prior(
        tuple(
            replace(b, mean=b.mean + sum(c * posture.get(name, 0.0) for name, c in b.combination.items()))
            for b in prior.terms
        )
    )


def mean_posture(spine: Spine, levels: Sequence[Level]) -> dict[str, float]:
    """{coordinate: rad} of the levels' mean angles over a trial. A coordinate of flexion counts extension positive."""
    found = {}
    for level in levels:
        if level.coordinates and level.name in spine.kinematics.levels:
            flexion, bending, rotation = np.nanmean(spine.kinematics.level(level.name), axis=0)
            found |= dict(zip(level.coordinates, (-flexion, bending, rotation), strict=True))
    return found


def judged(body: Body, recipe: Recipe, factors: ScaleFactors, result: Result, markers: Markers) -> Spine:
    """The stages vertebrae and quality."""
    plates, levels = spine_of(recipe, factors.by_body)
    spine = read_spine(body, plates, levels, result.motion)
    if result.posterior is not None:
        spine = replace(spine, kinematics=with_deviation(spine.kinematics, dict(result.posterior.derived)))
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


def read_spine(body: Body, plates: Vertebrae, levels: Sequence[Level], motion: Motion) -> Spine:
    """The spine of a body in motion; frames without values are rejected.

    Its points are those of the marker set that was fitted, which say where a detector marks them.
    """
    poses, markers = body_poses(body, motion), forward_kinematics(body, motion)
    kinematics = spine_kinematics(poses, markers, plates, levels=levels)
    centres = vertebra_centroids(poses, plates, motion.rate, motion.start)
    return Spine(kinematics, centres, ~np.isfinite(motion.values).all(1))


def published(recordings: Sequence[Recording], marker_set: str = peer.MARKER_SET) -> list[tuple[Spine, Spine]]:
    """The published procedure on each trial: as released, and before the blending (its forward kinematics).

    marker_set: where the points are on the body; weights are the release's in all sets.
    """
    recipe = read_recipe("coupled")
    unscaled = build(recipe, marker_set)
    targets = [peer_markers(recording) for recording in recordings]
    factors = plain_factors(unscaled, targets, recipe)
    body = scale(unscaled, factors, MASS, recipe)
    plates, levels = spine_of(recipe, factors.by_body)
    weights = default_weights(recipe, marker_set)
    spines = []
    for target in targets:
        fitted = fit_markers(body, target)
        by_name = {name: weights[name] for name in fitted.names}
        result = inverse_kinematics(
            body, fitted, by_name, solver=Solver(engine="frames", coordinate_tasks=peer.COORDINATE_TASKS)
        )
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
