"""Whole ways from 2D points to a spine on the same recordings: the published reference and ours, with options to vary.

Each takes all trials of one person, since the body is scaled to all of them. Ours calls the stages of
`simspine.pipeline`, as the workflow does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from simspine.benchmark import peer
from simspine.benchmark.peer_scaling import MASS, plain_factors
from simspine.benchmark.spine_errors import TrialSpine
from simspine.body.kinematics import forward_kinematics
from simspine.body.recipes import build, fit_markers, read_recipe
from simspine.body.scaling import scale
from simspine.filtering import fill_gaps
from simspine.geometry import in_frame
from simspine.ik.solve import inverse_kinematics
from simspine.ik.solver import Solver
from simspine.pipeline.fit_person import body_of_person
from simspine.pipeline.kinematics import read_spine, solve_kinematics
from simspine.pipeline.options import (
    FilterOptions,
    KinematicsOptions,
    MergeOptions,
    Options,
    ScalingOptions,
    TriangulationOptions,
)
from simspine.pipeline.points import locate_points, make_markers
from simspine.pipeline.sized_body import SizedBody
from simspine.pipeline.verdict import judge
from simspine.skeletons.correspondence import read_correspondence
from simspine.spine.levels import SPINE_MARKERS
from simspine.spine.vertebrae import SpineKinematics
from simspine.triangulation import TriangulationReport
from simspine.types import Camera, Keypoints, Markers

PLACES = "centres"  # marker set: where the virtual capture has its points
# Points that are compared: those of the marker set that was fitted, which say where a detector marks them.
OWN_POINTS = MappingProxyType({name: name for name in SPINE_MARKERS})


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
    """Ours: the options of the stages."""

    recipe: str = "articulated"
    markers: str = PLACES
    triangulation: TriangulationOptions = field(default_factory=TriangulationOptions)
    filter: FilterOptions = field(default_factory=FilterOptions)
    scaling: ScalingOptions = field(default_factory=ScalingOptions)
    ik: KinematicsOptions = field(default_factory=KinematicsOptions)
    use_mocap: bool = True

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
    """Our estimate of each trial's spine: what `simspine.reconstruct` does, stage by stage."""
    prepared = [our_markers(trial.observed, settings) for trial in trials]
    markers = [own for own, _ in prepared]
    sized, _ = body_of_person(markers, settings.recipe, settings.markers, settings.options)
    return [_solved(sized, own, settings, report) for own, report in prepared]


def estimates_from_points(trials: Sequence[Markers], settings: Experiment) -> list[TrialSpine]:
    """Our estimate of each trial of a person from markers (y_up) as the stages hand them to inverse kinematics."""
    sized, _ = body_of_person(trials, settings.recipe, settings.markers, settings.options)
    return [_solved(sized, own, settings) for own in trials]


def _solved(
    sized: SizedBody, own: Markers, settings: Experiment, report: TriangulationReport | None = None
) -> TrialSpine:
    result = solve_kinematics(sized, own, settings.markers, settings.ik, sized.prior, OWN_POINTS)
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
