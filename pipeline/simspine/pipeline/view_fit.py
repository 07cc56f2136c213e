"""How each camera fits the others: what triangulation used of it, and where the body lies in its images."""

from collections.abc import Sequence

import numpy as np

from simspine.errors import InputError
from simspine.geometry import change_frame, project
from simspine.pipeline.solved_trial import SolvedTrial
from simspine.quality.view_checks import ViewFit
from simspine.skeletons.skin_names import not_on_skin
from simspine.types import Camera, Keypoints, Markers

LIMBS = tuple(f"{side}{point}" for side in "LR" for point in ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle"))


def limb_distance(found: SolvedTrial) -> np.ndarray:
    """(frames, views, points) px from the body's limb points to the detected ones; NaN where either is missing.

    Raises `InputError` where the trial did not come from images.
    """
    there = set(found.detected.names) & set(found.model_markers.names)
    return model_reprojection(
        found.cameras, found.model_markers, found.detected, [name for name in LIMBS if name in there]
    )


def model_reprojection(
    cameras: Sequence[Camera], model: Markers, keypoints: Keypoints, names: Sequence[str]
) -> np.ndarray:
    """(frames, views, points) px: distance between detected points and the body's markers in each image.

    keypoints: as triangulation used them. names: the points to compare; inferred ones would test the rule that placed
    them. NaN where either is missing.
    """
    if len(cameras) != keypoints.views or model.frames != keypoints.frames:
        raise InputError(
            f"{len(cameras)} cameras and {model.frames} frames of markers do not fit keypoints of {keypoints.views} "
            f"views and {keypoints.frames} frames."
        )
    xyz = change_frame(model.select(names).xyz, model.frame, "z_up")
    images = np.moveaxis(project(cameras, xyz), 0, 1)
    return np.linalg.norm(images - keypoints.select(names).xy, axis=-1)


def view_fits(found: SolvedTrial) -> tuple[ViewFit, ...]:
    """One for each camera, in the order of the views; none where the trial did not come from images."""
    if found.keypoints is None or found.triangulation is None:
        return ()
    report, distance = found.triangulation.of(not_on_skin(found.triangulation.names)), limb_distance(found)
    fits = []
    for view, camera in enumerate(found.cameras):
        observed, apart = np.isfinite(report.error_px[:, view]), distance[:, view]
        used = report.used[:, view].sum() / observed.sum() if observed.any() else np.nan
        median = float(np.nanmedian(apart)) if np.isfinite(apart).any() else np.nan
        fits.append(ViewFit(camera.name, float(report.used[:, view].mean()), float(used), median))
    return tuple(fits)
