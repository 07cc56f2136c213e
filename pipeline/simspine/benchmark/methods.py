"""Whole ways from 2D points to a spine on the same recordings: the published reference and ours, with parts to vary.

Each takes all trials of one person, since the body is scaled to all of them. Ours calls the stages of
`simspine.pipeline`, as the workflow does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

import numpy as np

from simspine.benchmark import peer
from simspine.benchmark.peer_scaling import MASS, plain_factors
from simspine.benchmark.spine_errors import TrialSpine
from simspine.body.kinematics import forward_kinematics
from simspine.body.options import ScalingOptions
from simspine.body.recipes import build, fit_markers, read_prior, read_recipe
from simspine.body.scaling import scale
from simspine.detection.options import FilterOptions, MergeOptions, TriangulationOptions
from simspine.filtering import fill_gaps, lowpass
from simspine.geometry import in_frame
from simspine.ik.options import KinematicsOptions
from simspine.ik.solve import inverse_kinematics
from simspine.ik.solver import Solver
from simspine.pipeline.fit_person import body_of_person
from simspine.pipeline.kinematics import read_spine, solve_kinematics
from simspine.pipeline.options import Options
from simspine.pipeline.person import Person
from simspine.pipeline.points import locate_points, make_markers
from simspine.pipeline.sized_body import SizedBody
from simspine.pipeline.verdict import judge
from simspine.priors.assumptions import LinearPrior, Prior
from simspine.skeletons.correspondence import read_correspondence
from simspine.spine.levels import SPINE_MARKERS, Level
from simspine.spine.vertebrae import SpineKinematics
from simspine.triangulation import TriangulationReport
from simspine.types import Camera, Keypoints, Markers

PLACES = "centres"  # marker set: where the virtual capture has its points
# Points that are compared: those of the marker set that was fitted, which say where a detector marks them.
OWN_POINTS = MappingProxyType({name: name for name in SPINE_MARKERS})
SURE = 50.0  # a weight that leaves a marker of the set's weight 0.5 a standard deviation of 4 mm
SLOW_HZ = 0.5  # errors below it last for seconds: what a detector means by a point, how a posture deceives it


@dataclass(frozen=True)
class ObservedTrial:
    """What a method is given of one trial. mocap: Human3.6M joints by their names, z_up, at the keypoints' rate."""

    subject: str
    trial: str
    keypoints: Keypoints
    cameras: tuple[Camera, ...]
    mocap: Markers | None = None


@dataclass(frozen=True)
class Experiment:
    """Ours: the options of the stages, and what only an experiment changes.

    prior_width: factor on the standard deviation of every prior. What the rest needs is known to an experiment
    only: true_body: the body fitted to the true points, with the noise that the markers show. true_posture: priors
    about each trial's true mean posture instead of the neutral one. true_points: markers that are where the truth
    has them, and count `SURE` times as much. keep_errors: 'all' of the markers', or only the 'slow' or the 'fast'
    part of them (below and above `SLOW_HZ`), the other being taken away.
    """

    recipe: str = "articulated"
    marker_set: str = PLACES
    triangulation: TriangulationOptions = field(default_factory=TriangulationOptions)
    filter: FilterOptions = field(default_factory=FilterOptions)
    scaling: ScalingOptions = field(default_factory=ScalingOptions)
    ik: KinematicsOptions = field(default_factory=KinematicsOptions)
    use_mocap: bool = True
    prior_width: float = 1.0
    true_body: bool = False
    true_posture: bool = False
    true_points: tuple[str, ...] = ()
    keep_errors: Literal["all", "slow", "fast"] = "all"

    @property
    def options(self) -> Options:
        """Of sizing the body and fitting it to the person."""
        return Options(scaling=self.scaling, ik=self.ik)


@dataclass(frozen=True)
class GroundTruthTrial:
    """An observed trial and what was true.

    points: the 37 points, y_up: limbs where the motion capture means them, the others where the detector is asked to.
    """

    observed: ObservedTrial
    spine: TrialSpine
    points: Markers


def our_estimates(trials: Sequence[GroundTruthTrial], settings: Experiment) -> list[TrialSpine]:
    """Our estimate of each trial's spine: what `simspine.reconstruct` does, stage by stage.

    The truth is looked at by experiments only (see `Experiment`).
    """
    prepared = [our_markers(trial.observed, settings) for trial in trials]
    markers = [
        with_true_points(with_errors(m, trial.points, settings.keep_errors), trial.points, settings.true_points)
        for (m, _), trial in zip(prepared, trials, strict=True)
    ]
    sized, _ = body_of_person(markers, settings.recipe, settings.marker_set, settings.options)
    if settings.true_body:
        true = [_true(trial.points, own) for trial, own in zip(trials, markers, strict=True)]
        exact, _ = body_of_person(true, settings.recipe, settings.marker_set, settings.options)
        sized = _with_noise(exact, sized.person)
    estimates = []
    for own, (_, report), trial in zip(markers, prepared, trials, strict=True):
        prior = sized.prior
        if settings.true_posture:
            prior = about(read_prior(sized.recipe), mean_posture(trial.spine, sized.levels))
        estimates.append(_solved(sized, own, settings, widened(prior, settings.prior_width), report))
    return estimates


def estimates_from_points(trials: Sequence[Markers], settings: Experiment) -> list[TrialSpine]:
    """Our estimate of each trial of a person from markers (y_up) as the stages hand them to inverse kinematics."""
    sized, _ = body_of_person(trials, settings.recipe, settings.marker_set, settings.options)
    return [_solved(sized, own, settings, widened(sized.prior, settings.prior_width)) for own in trials]


def _true(points: Markers, seen: Markers) -> Markers:
    """Those of the true points that are seen, as if from where these are."""
    names = [name for name in seen.names if name in points.names]
    return points.select(names).with_(origin=[seen.origins[seen.index(name)] for name in names])


def _with_noise(sized: SizedBody, seen: Person | None) -> SizedBody:
    """A body that was fitted to true points, with the noise that is there: true points teach that there is none."""
    if sized.person is None or seen is None:
        return sized
    noise = {name: getattr(seen, name) for name in ("noise", "worth", "lasting", "misfit", "lasting_shared", "always")}
    return replace(sized, person=replace(sized.person, **noise))


def _solved(
    sized: SizedBody, own: Markers, settings: Experiment, prior: Prior, report: TriangulationReport | None = None
) -> TrialSpine:
    result = solve_kinematics(sized, own, settings.marker_set, settings.ik, prior, OWN_POINTS)
    spine = read_spine(sized, result, OWN_POINTS)
    return _estimate(spine, judge(sized, result, spine, own, report).rejected)


def _estimate(spine: SpineKinematics, rejected: np.ndarray) -> TrialSpine:
    assert spine.centres is not None  # the stages give them
    return TrialSpine(spine, spine.centres, rejected)


def our_markers(observed: ObservedTrial, settings: Experiment) -> tuple[Markers, TriangulationReport]:
    """Markers (y_up) of the stages triangulate and merge, and how well the points fit the images."""
    points, report = locate_points(observed.keypoints, observed.cameras, settings.triangulation)
    mocap = observed.mocap if settings.use_mocap else None
    pairs = read_correspondence("human36m")
    return make_markers(points, settings.filter, MergeOptions(), mocap, pairs)[0], report


def with_errors(markers: Markers, true: Markers, keep: str) -> Markers:
    """The markers with 'all', the 'slow' or the 'fast' part of their errors; those that the truth lacks stay."""
    if keep == "all":
        return markers
    names = [name for name in markers.names if name in true.names]
    columns = markers.indices(names)
    exact = true.select(names).xyz
    error = markers.xyz[:, columns] - exact
    slow = lowpass(error, markers.rate, cutoff_hz=SLOW_HZ, order=2)
    xyz = np.array(markers.xyz)
    xyz[:, columns] = exact + (slow if keep == "slow" else error - slow)
    return markers.with_(xyz=xyz)


def with_true_points(markers: Markers, true: Markers, names: Sequence[str]) -> Markers:
    """The markers with those of some names where the truth has them, `SURE` times as weighty."""
    xyz = np.array(markers.xyz)
    weight = np.ones(xyz.shape[:2]) if markers.weight is None else np.array(markers.weight)
    for name in names:
        column = markers.index(name)
        xyz[:, column], weight[:, column] = true.xyz[:, true.index(name)], SURE
    return markers.with_(xyz=xyz, weight=weight)


def widened(prior: Prior, width: float) -> Prior:
    """All priors with `width` times their standard deviations."""
    return replace(prior, terms=tuple(replace(term, sd=term.sd * width) for term in prior.terms))


def about(prior: Prior, posture: Mapping[str, float]) -> Prior:
    """Priors about departures from `posture` {coordinate: rad} instead of people's mean one, where it names any."""

    def moved(term: LinearPrior) -> LinearPrior:
        if not term.combination.keys() & posture.keys():
            return term
        return replace(term, mean=sum(c * posture.get(n, 0.0) for n, c in term.combination.items()))

    return replace(prior, terms=tuple(moved(term) for term in prior.terms))


def mean_posture(spine: TrialSpine, levels: Sequence[Level]) -> dict[str, float]:
    """{coordinate: rad} of the levels' mean angles over a trial. A coordinate of flexion counts extension positive."""
    found: dict[str, float] = {}
    for level in levels:
        if level.coordinates and level.name in spine.kinematics.levels:
            flexion, bending, rotation = np.nanmean(spine.kinematics.level(level.name), axis=0)
            found |= dict(zip(level.coordinates, (-flexion, bending, rotation), strict=True))
    return found


def reference_estimates(
    observed: Sequence[ObservedTrial], marker_set: str = peer.MARKER_SET
) -> list[tuple[TrialSpine, TrialSpine]]:
    """The published procedure on each trial: as released, and before the blending (its forward kinematics).

    marker_set: where the points are on the body; weights are the release's in all sets.
    """
    recipe = read_recipe("coupled")
    unscaled = build(recipe, marker_set)
    targets = [peer_markers(trial) for trial in observed]
    factors = plain_factors(unscaled, targets, recipe)
    sized = SizedBody(scale(unscaled, factors, MASS, recipe), recipe, factors.by_body)
    solver = Solver("frames", coordinate_tasks=peer.COORDINATE_TASKS)
    weights = sized.weights(marker_set)
    spines = []
    for target in targets:
        fitted = fit_markers(sized.body, target)
        by_name = {name: weights[name] for name in fitted.names}
        result = inverse_kinematics(sized.body, fitted, by_name, solver=solver)
        spine = read_spine(sized, result, OWN_POINTS)
        model = _estimate(spine, ~np.isfinite(result.motion.values).all(1))
        markers = peer.lowpass_as_released(peer.blended(forward_kinematics(sized.body, result.motion), target))
        released = replace(spine, markers=markers.select(SPINE_MARKERS))
        spines.append((replace(model, kinematics=released), model))
    return spines


def peer_markers(observed: ObservedTrial) -> Markers:
    """What the published procedure fits (y_up): triangulated, gaps filled, low-passed, joints replaced."""
    points = fill_gaps(peer.triangulate_plainly(observed.keypoints, observed.cameras), peer.MAX_GAP_S)
    points = peer.lowpass_as_released(points)
    if observed.mocap is not None:
        points = peer.replace_joints(points, in_frame(observed.mocap, points.frame))
    return in_frame(points, "y_up")
