"""The stages scale, ik and vertebrae: from the markers of all trials to the person's body, its motion, the spine."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simspine.body.kinematics import body_poses
from simspine.body.options import BodyOptions, ScalingOptions
from simspine.body.recipes import Recipe
from simspine.body.scaling import ScaleFactors
from simspine.errors import InputError
from simspine.ik.options import KinematicsOptions
from simspine.ik.result import Result
from simspine.pipeline.fit_person import fit_to_person
from simspine.pipeline.kinematics import read_spine, solve_kinematics
from simspine.pipeline.options import Options
from simspine.pipeline.sized_body import SizedBody, size_body
from simspine.pipeline.stage import Known, Stage
from simspine.quality.side_checks import exchanged
from simspine.types import Markers


def marker_set_of(options: BodyOptions, skeleton: str) -> str:
    """The marker set that says where points are on the body: the one set, or else that of the points' skeleton."""
    return options.markers or skeleton


def body_of_person(
    trials: Sequence[Markers],
    recipe: str | Recipe,
    marker_set: str,
    options: Options,
    height: float | None = None,
    mass: float | None = None,
) -> tuple[SizedBody, ScaleFactors]:
    """The recipe's body at a person's size, fitted to all their trials. Arguments as of `size_body`.

    Markers of weight 0 take no part.
    """
    trials = [markers.without_zero_weights() for markers in trials]
    sized, factors = size_body(
        trials, recipe, marker_set, options.scaling, height, mass, options.body.skin_marker_height_m
    )
    if options.scaling.anatomy:
        sized = fit_to_person(sized, trials, marker_set, options.ik, exchanged)
    return sized, factors


def scale_person(
    body: BodyOptions, scaling: ScalingOptions, ik: KinematicsOptions, *, trials: Mapping[str, Known]
) -> dict[str, dict[str, Any]]:
    """The person's body, for each trial the same.

    Raises `InputError` where trials have points of several skeletons, since the body has one place for each point.
    """
    sets = {trial: marker_set_of(body, known["skeleton"]) for trial, known in trials.items()}
    (first, marker_set), *others = sets.items()
    for trial, other in others:
        if other != marker_set:
            raise InputError(
                f"trials {first!r} and {trial!r} have points of different skeletons, {marker_set!r} and {other!r}, "
                "which mark different places on the body; expected one for all trials of a person. Name one marker "
                "set for all (`markers` of section `body`), or solve these trials as two people."
            )
    known = trials[first]
    options = Options(body=body, scaling=scaling, ik=ik)
    markers = [own["markers"] for own in trials.values()]
    sized, factors = body_of_person(markers, body.recipe, marker_set, options, known["height"], known["mass"])
    return {trial: {"sized": sized, "factors": factors} for trial in trials}


SCALE = Stage(
    "scale",
    scale_person,
    takes=("markers", "skeleton", "height", "mass"),
    gives=("sized", "factors"),
    sections=("body", "scaling", "ik"),
    of_person=True,
)


def solve_trial(
    body: BodyOptions,
    ik: KinematicsOptions,
    *,
    sized: SizedBody,
    markers: Markers,
    skeleton: str,
    spine_markers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Coordinates of the body that explain the markers. spine_markers: as of `read_spine`."""
    marker_set = marker_set_of(body, skeleton)
    return {"result": solve_kinematics(sized, markers, marker_set, ik, spine_markers=spine_markers)}


IK = Stage(
    "ik",
    solve_trial,
    takes=("sized", "markers", "skeleton", "spine_markers"),
    gives=("result",),
    sections=("body", "ik"),
)


def read_vertebrae(
    *, sized: SizedBody, result: Result, spine_markers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The spine, and the poses {body: (frames, 4, 4)} that it was read from."""
    poses: dict[str, np.ndarray] = body_poses(sized.body, result.motion)
    return {"spine": read_spine(sized, result, spine_markers, poses), "poses": poses}


VERTEBRAE = Stage(
    "vertebrae", read_vertebrae, takes=("sized", "result", "spine_markers"), gives=("spine", "poses"), sections=()
)
