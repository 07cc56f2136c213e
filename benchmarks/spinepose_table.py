"""A table, and no image, of what SpinePose's points of the spine are worth in the packaged videos, or in your own.

    python -m benchmarks.spinepose_table --model medium
    python -m benchmarks.spinepose_table --model spinepose.onnx --videos a.mp4 b.mp4 c.mp4 --calibration rig.toml
    python -m benchmarks.spinepose_table --model blazepose_spine   # for comparison, without SpinePose

Of each of the nine points: the share of images in which it was seen; closure, the distance in the images between what
was seen and the point in space; the distance from the place that the other views give it; and how far its distance to
the next point changes over the frames, where a bone's would not. Then the biomechanical validation of `simspine
annotations validate`: the distance of all points in space from a body fitted to them, next to BlazePose's from a body
fitted to those. Cameras of the packaged videos are refined first.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from benchmarks.spine_on_real_images import SPINE, detected, with_refined_cameras, without_a_view

from simspine import reconstruct
from simspine.annotation.validation import body_validation_text, validate_against_body
from simspine.core.geometry import project_points
from simspine.core.types import Camera, Keypoints
from simspine.io.calibration import read_calibration
from simspine.io.video import Video, open_videos
from simspine.vision.one_camera import options_of_model
from simspine.vision.points import detect_in_videos, follow_person
from simspine.vision.triangulation import triangulate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", default="medium", help="a size of SpinePose, v1/ or v2/ before it; an ONNX file; blazepose_spine"
    )
    parser.add_argument("--places", help="where its points lie, as `body.markers` of a run; SpinePose's: vertebral")
    parser.add_argument("--videos", nargs="+", type=Path, help="synchronised videos, in the calibration's order")
    parser.add_argument("--calibration", type=Path)
    chosen = parser.parse_args()
    videos: Sequence[Video]
    if chosen.videos is None:
        videos, limbs, cameras = with_refined_cameras()
    else:
        videos, cameras = open_videos(chosen.videos), read_calibration(chosen.calibration)
        limbs = detected(videos, cameras, "full")
    options = options_of_model(chosen.model, people=1)
    seen = detect_in_videos(videos, options)
    person = follow_person(seen, cameras, seen.skeleton, options)
    print("| point | seen | closure, px | without the view, px | to the next, mm | changes by, mm |")
    print("|---|---|---|---|---|---|")
    for row in table_rows(person.select(list(SPINE)), cameras):
        print(row)
    places = chosen.places or {"blazepose_spine": "blazepose-spine"}.get(options.detector, "vertebral")
    print(f"\n{body_lines(person, limbs, cameras, places)}")


def table_rows(spine: Keypoints, cameras: Sequence[Camera]) -> list[str]:
    """A line for each point; medians over images, mean and standard deviation over frames."""
    xyz = triangulate(spine, cameras).xyz
    closure = np.array([
        np.linalg.norm(project_points([camera], xyz)[0] - spine.xy[:, view], axis=-1)
        for view, camera in enumerate(cameras)
    ])  # fmt: skip
    apart = without_a_view(spine, cameras)
    length = 1e3 * np.linalg.norm(np.diff(xyz, axis=1), axis=-1)
    shown = np.isfinite(spine.xy).all(-1) & (spine.confidence > 0)
    rows = []
    for i, (name, level) in enumerate(SPINE.items()):
        figures = [f"{100 * shown[..., i].mean():.0f} %", *(median_text(off[..., i]) for off in (closure, apart))]
        last = i == length.shape[1]
        figures += ["", ""] if last else [f"{np.nanmean(length[:, i]):.0f}", f"{np.nanstd(length[:, i]):.1f}"]
        rows.append(f"| {name} ({level}) | {' | '.join(figures)} |")
    return rows


def body_lines(person: Keypoints, limbs: Keypoints, cameras: Sequence[Camera], places: str) -> str:
    """The biomechanical validation. limbs: BlazePose's points of the same images."""
    candidate = reconstruct(person, cameras, marker_set=places).result
    reference = reconstruct(limbs, cameras, marker_set="blazepose").result
    return body_validation_text(validate_against_body(candidate, reference))


def median_text(off: np.ndarray) -> str:
    """px; a dash where nothing was seen."""
    return f"{np.nanmedian(off):.1f}" if np.isfinite(off).any() else "–"


if __name__ == "__main__":
    main()
