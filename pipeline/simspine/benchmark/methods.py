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
from simspine.body.options import BodyOptions, ScalingOptions
from simspine.body.recipes import build, fit_markers, read_recipe
from simspine.body.scaling import scale
from simspine.detection.options import FilterOptions, MergeOptions, TriangulationOptions
from simspine.filtering import fill_gaps
from simspine.geometry import in_frame
from simspine.ik.options import KinematicsOptions
from simspine.ik.solve import inverse_kinematics
from simspine.ik.solver import Solver
from simspine.pipeline.kinematics import read_spine
from simspine.pipeline.options import Options
from simspine.pipeline.reconstruct import AFTER_DETECTION, AFTER_MERGING, UNSEEN
from simspine.pipeline.sized_body import SizedBody
from simspine.pipeline.stage import Known
from simspine.pipeline.stages import run_stages
from simspine.spine.levels import SPINE_MARKERS
from simspine.spine.vertebrae import SpineKinematics
from simspine.types import Camera, Keypoints, Markers

PLACES = "centres"  # marker set: where the virtual capture has its points
# Points that are compared: those of the marker set that was fitted, which say where a detector marks them.
OWN_POINTS = MappingProxyType({name: name for name in SPINE_MARKERS})
BEFORE = UNSEEN | {"spine_markers": OWN_POINTS}


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
    marker_set: str = PLACES
    triangulation: TriangulationOptions = field(default_factory=TriangulationOptions)
    filter: FilterOptions = field(default_factory=FilterOptions)
    scaling: ScalingOptions = field(default_factory=ScalingOptions)
    ik: KinematicsOptions = field(default_factory=KinematicsOptions)
    use_mocap: bool = True

    @property
    def options(self) -> Options:
        """Of all stages."""
        return Options(
            triangulation=self.triangulation, filter=self.filter, merge=MergeOptions(correspondence="human36m"),
            body=BodyOptions(recipe=self.recipe, markers=self.marker_set), scaling=self.scaling, ik=self.ik,
        )  # fmt: skip


@dataclass(frozen=True)
class GroundTruthTrial:
    """An observed trial and what was true.

    points: the 37 points, y_up: limbs where the motion capture means them, the others where the detector is asked to.
    """

    observed: ObservedTrial
    spine: TrialSpine
    points: Markers


def our_estimates(trials: Sequence[GroundTruthTrial], settings: Experiment) -> list[TrialSpine]:
    """Our estimate of each trial's spine, by the stages that `simspine.reconstruct` runs."""
    known = {}
    for number, trial in enumerate(trials):
        seen = trial.observed
        of_trial = {"keypoints": seen.keypoints, "cameras": seen.cameras, "skeleton": settings.marker_set}
        mocap = seen.mocap if settings.use_mocap else None
        known[str(number)] = BEFORE | of_trial | {"subject": seen.subject, "trial": seen.trial, "mocap": mocap}
    return [_found(trial) for trial in run_stages(known, settings.options, AFTER_DETECTION).values()]


def estimates_from_points(trials: Sequence[Markers], settings: Experiment) -> list[TrialSpine]:
    """Our estimate of each trial of a person from markers (y_up) as the stages hand them to inverse kinematics."""
    known = {
        str(number): BEFORE | {"subject": "", "trial": "", "markers": markers, "skeleton": settings.marker_set}
        for number, markers in enumerate(trials)
    }
    return [_found(trial) for trial in run_stages(known, settings.options, AFTER_MERGING).values()]


def _found(trial: Known) -> TrialSpine:
    return _estimate(trial["spine"], trial["verdict"].rejected)


def _estimate(spine: SpineKinematics, rejected: np.ndarray) -> TrialSpine:
    assert spine.centres is not None  # the stages give them
    return TrialSpine(spine, spine.centres, rejected)


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
