"""How far lifted points of one camera are from those of four, in the packaged videos.

    python -m benchmarks.lifted_on_real_images --lifter results/lifter/lifter.onnx   # the packaged one if left out

Each camera's video is looked at as `simspine detect --lift` does, with the refined calibration and with the field of
view that is assumed where none is known. True are the twelve joints of the limbs that the same detector gives in all
four videos, triangulated and filtered, in the camera's axes. Both relative to the middle of the hips. For comparison:
the mean pose of two synthetic people in all actions as cameras see them, which knows nothing of the image.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from benchmarks.spine_on_real_images import in_space, with_refined_cameras
from tools.lifting_baselines.lifters import source_views
from tools.lifting_baselines.options import LIFTING_TRAIN_SUBJECTS, LiftingSource

from simspine.core.types import Camera, Markers
from simspine.evaluation.metrics import point_distances, scale_aligned, similarity_aligned
from simspine.io.video import Video
from simspine.vision.lifting import PACKAGED_LIFTER, Lifter, LiftingLens, PeopleLifter
from simspine.vision.one_camera import DetectedPerson, PeopleWatcher, WatchSettings
from simspine.vision.options import DetectionOptions

JOINTS = [side + joint for joint in ("Hip", "Knee", "Ankle", "Shoulder", "Elbow", "Wrist") for side in "LR"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--lifter", type=Path, nargs="+", default=[PACKAGED_LIFTER], help="other lifters, for BlazePose"
    )
    options = parser.parse_args()
    videos, limbs, refined = with_refined_cameras()
    truth = in_space(limbs, refined)
    seen = [people_in(video) for video in videos]
    print("| lifter, lens | camera | images | MPJPE | after a scale | P-MPJPE |\n|---|---|---|---|---|---|")
    for path in options.lifter:
        for words, known in (("calibrated", True), ("60° assumed", False)):
            rows = []
            for people, camera in zip(seen, refined, strict=True):
                own = lifted(people, Lifter(path), LiftingLens(camera=camera if known else None))
                rows.append((own, true_joints(truth, camera)))
                print_row(f"{path.parent.name}, {words}", camera.name, *rows[-1])
            print_row(f"{path.parent.name}, {words}", "all", *map(np.concatenate, zip(*rows, strict=True)))
    poses = np.concatenate([true_joints(truth, camera) for camera in refined])
    print_row("mean pose", "all", np.broadcast_to(mean_pose(), poses.shape), poses)


def people_in(video: Video) -> list[tuple[tuple[DetectedPerson, ...], float, tuple[int, int]]]:
    """Of each image: the people, its time (s), its width and height."""
    watcher, found = PeopleWatcher(WatchSettings(DetectionOptions(people=1), infer_spine=False)), []
    for i, image in enumerate(video):
        found.append((watcher.watch_image(image, i / video.rate), (image.shape[1], image.shape[0])))
    watcher.close()
    return found


def lifted(seen: Sequence[tuple], lifter: Lifter, lens: LiftingLens) -> np.ndarray:
    """(frames, joints, 3) m about the mid-hips of the person seen first; NaN where nobody is."""
    people = PeopleLifter(lifter, lens)
    found = [people.lift_people(image, size) for image, size in seen]
    at = [lifter.card.points.index(name) for name in JOINTS]
    nothing = np.full((len(JOINTS), 3), np.nan)
    return about_hips(np.array([poses[1].xyz[at] if 1 in poses else nothing for poses in found]))


def true_joints(truth: Markers, camera: Camera) -> np.ndarray:
    """(frames, joints, 3) m about the mid-hips, in the camera's axes."""
    return about_hips(truth.xyz[:, [truth.index(name) for name in JOINTS]] @ camera.R.T)


def mean_pose() -> np.ndarray:
    """(joints, 3) m of two synthetic people in the first 2 s of all trials, in the axes of all cameras."""
    views = source_views(LiftingSource(frames=100, context=50, detections="exact"), LIFTING_TRAIN_SUBJECTS[:2])
    at = [views[0].truth.names.index(name) for name in JOINTS]
    return about_hips(np.concatenate([view.truth.values[:, at] for view in views])).mean(0)


def about_hips(xyz: np.ndarray) -> np.ndarray:
    """Relative to the middle of the first two."""
    return xyz - xyz[:, :2].mean(1, keepdims=True)


def print_row(name: str, camera: str, found: np.ndarray, true: np.ndarray) -> None:
    """Means over images and joints, mm."""
    count = int(np.isfinite(found).all((1, 2)).sum())
    errors = [
        point_distances(moved, true) for moved in (found, scale_aligned(found, true), similarity_aligned(found, true))
    ]
    figures = " | ".join(f"{1e3 * np.nanmean(error):.0f}" for error in errors)
    print(f"| {name} | {camera} | {count} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
