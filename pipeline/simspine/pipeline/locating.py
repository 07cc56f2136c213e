"""The stages cameras, triangulate and merge: from 2D points to the markers that inverse kinematics fits."""

from collections.abc import Mapping
from typing import Any

from simspine.cameras.clocks import Timing
from simspine.detection.options import (
    CameraOptions,
    DetectionOptions,
    FilterOptions,
    MergeOptions,
    TriangulationOptions,
)
from simspine.pipeline.cameras import judge_cameras, with_timing
from simspine.pipeline.points import locate_points, make_markers
from simspine.pipeline.stage import Known, Stage
from simspine.skeletons.correspondence import read_correspondence
from simspine.types import Camera, Keypoints, Markers


def choose_cameras(
    options: CameraOptions, triangulation: TriangulationOptions, *, trials: Mapping[str, Known]
) -> dict[str, dict[str, Any]]:
    """The cameras to use in each trial, and findings about the calibrated ones and about views that were late."""
    recordings = {trial: (known["keypoints"], known["cameras"]) for trial, known in trials.items()}
    judged = judge_cameras(recordings, options, triangulation.min_confidence)
    for trial, known in trials.items():
        if known["timing"] is not None:
            judged[trial] = with_timing(judged[trial], known["timing"])
    return {trial: {"cameras": rig.cameras, "findings": tuple(rig.findings)} for trial, rig in judged.items()}


CAMERAS = Stage(
    "cameras",
    choose_cameras,
    takes=("keypoints", "cameras", "timing"),
    gives=("cameras", "findings"),
    sections=("cameras", "triangulation"),
    of_person=True,
)


def triangulate_person(
    options: TriangulationOptions, *, keypoints: Keypoints, cameras: tuple[Camera, ...], timing: Timing | None
) -> dict[str, Any]:
    """Points in space, z_up, and how well they fit the images."""
    points, report = locate_points(keypoints, cameras, options, timing)
    return {"points": points, "triangulation": report}


TRIANGULATE = Stage(
    "triangulate",
    triangulate_person,
    takes=("keypoints", "cameras", "timing"),
    gives=("points", "triangulation"),
    sections=("triangulation",),
)


def merge_points(
    filtering: FilterOptions,
    merging: MergeOptions,
    detection: DetectionOptions,
    *,
    points: Markers,
    mocap: Markers | None,
) -> dict[str, Any]:
    """Markers, y_up, and what was found while motion capture took the place of some."""
    pairs = None if mocap is None or merging.correspondence is None else read_correspondence(merging.correspondence)
    markers, report = make_markers(points, filtering, merging, mocap, pairs, detection.infer_spine)
    return {"markers": markers, "merging": report}


MERGE = Stage(
    "merge",
    merge_points,
    takes=("points", "mocap"),
    gives=("markers", "merging"),
    sections=("filter", "merge", "detection"),
)
