"""Where BlazePose's networks put joints: one against the other on real people, and both against true joints.

    python -m benchmarks.joint_offsets --people 14 --each 40

In mm along axes of the trunk: forward, up, outwards. Real: mean difference of `heavy` from `full` in the packaged
recordings, in space, the cameras refined by `heavy`. Of the two people in the second one is rendered, and the other is
that of the first. Rendered: the offset from the true joint that explains the places in the images best, a mean over
people, and how people differ.
"""

import argparse
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import cv2
import numpy as np
from benchmarks.spine_on_real_images import axes_of, in_space, rightwards
from scipy.optimize import least_squares
from tools.spine_detector.samples import STYLE, agile_performer

from simspine.core.geometry import project_one
from simspine.core.settings import pose2sim_folder
from simspine.core.skeletons import load_skeleton
from simspine.core.types import Markers
from simspine.io.calibration import read_calibration
from simspine.io.image_streams import encode_jpeg
from simspine.io.video import open_videos
from simspine.reconstruction.cameras import judge_cameras
from simspine.synthesis.rendered_crops import draw_sample
from simspine.vision.blazepose import PoseNetworks, region_of_box, settled_pose
from simspine.vision.options import BLAZEPOSE_MODELS, CameraOptions, DetectionOptions, TriangulationOptions
from simspine.vision.points import detect_in_videos, follow_people

JOINTS = ("Ear", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Heel", "BigToe")
RECORDINGS = {"Demo_SinglePerson": 1, "Demo_MultiPerson": 2}
SEED = 77
STEP_M = 0.01


class SeenJoints(NamedTuple):
    """Of one picture. off: {model: (joints, 2) px from the true places}; sides: (joints, 2, 3) px for each m along the
    trunk's axes. Joints: left and right in turn."""

    off: Mapping[str, np.ndarray]
    sides: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=14)
    parser.add_argument("--each", type=int, default=40, help="pictures of each person")
    options = parser.parse_args()
    for recording, people in RECORDINGS.items():
        for number, points in enumerate(zip(*located(recording, people), strict=True), 1):
            print_rows(f"{recording}, person {number}: heavy - full", differences(*points)[None])
    networks = {model: PoseNetworks(model) for model in BLAZEPOSE_MODELS}
    looked = [list(pictures(index, options.each, networks)) for index in range(options.people)]
    for model in BLAZEPOSE_MODELS:
        print_rows(f"rendered people: {model} - true", np.array([offsets(own, model) for own in looked]))


def located(recording: str, people: int) -> Iterator[list[Markers]]:
    """For each model, full first, the points of all people in space."""
    folder = pose2sim_folder() / recording
    videos = open_videos(sorted((folder / "videos").glob("*.mp4")))
    given = read_calibration(next((folder / "calibration").iterdir()))
    seen = {}
    for model in ("full", "heavy"):
        options = DetectionOptions(detector="blazepose", model=model, people=people)
        found = detect_in_videos(videos, options)
        seen[model] = follow_people(found, given, found.skeleton)[:people]
    chosen, least = CameraOptions(refine=True), TriangulationOptions().min_confidence
    cameras = judge_cameras({"": (seen["heavy"][0], given)}, chosen, least)[""].cameras
    for people_seen in seen.values():
        yield [in_space(person, cameras) for person in people_seen]


def differences(full: Markers, heavy: Markers) -> np.ndarray:
    """(joints, 3) m, means over frames and sides."""
    middle = [(full.xyz[:, full.index("L" + p)] + full.xyz[:, full.index("R" + p)]) / 2 for p in ("Shoulder", "Hip")]
    axes = axes_of(middle[0] - middle[1], rightwards(full))
    both = [
        np.einsum("fij,fj->fi", axes, heavy.xyz[:, heavy.index(side + joint)] - full.xyz[:, full.index(side + joint)])
        for joint in JOINTS
        for side in "LR"
    ]
    return over_sides(np.nanmean(both, 1))


def pictures(index: int, count: int, networks: Mapping[str, PoseNetworks]) -> Iterator[SeenJoints]:
    """A rendered person as all networks see them; pictures in which one sees nobody are left out."""
    table, ours = load_skeleton("blazepose33"), load_skeleton("simspine37").names
    names = [side + joint for joint in JOINTS for side in "LR"]
    native = [table.index({v: k for k, v in table.to_simspine.items()}[name]) for name in names]
    who = agile_performer(SEED, index)
    for number in range(count):
        sample = draw_sample(who, STYLE, SEED, 1000 * index + number)
        image = cv2.imdecode(
            np.frombuffer(encode_jpeg(sample.image, sample.sensor.quality), np.uint8), cv2.IMREAD_COLOR
        )
        left, top, wide, high = sample.labels.box
        where = region_of_box(np.array([left, top, left + wide, top + high]))
        poses = {
            model: settled_pose(own, np.ascontiguousarray(image[..., ::-1]), where) for model, own in networks.items()
        }
        at = dict(zip(ours, who.points[sample.frame], strict=True))
        right = sum(
            (at["R" + p] - at["L" + p]) / np.linalg.norm(at["R" + p] - at["L" + p]) for p in ("Shoulder", "Hip")
        )
        (axes,) = axes_of((at["Neck"] - at["Spine_03"])[None], right[None])
        true = np.array([at[name] for name in names])
        px = project_one(sample.camera, true)
        sides = np.stack([project_one(sample.camera, true + STEP_M * axis) - px for axis in axes], -1) / STEP_M
        if all(poses.values()):
            yield SeenJoints({m: pose.points[native, :2] - px for m, pose in poses.items() if pose}, sides)


def offsets(looked: list[SeenJoints], model: str) -> np.ndarray:
    """(joints, 3) m of one person: robust least squares over pictures, left and right each."""
    found = []
    for i in range(2 * len(JOINTS)):
        sides = np.concatenate([one.sides[i] for one in looked])
        off = np.concatenate([one.off[model][i] for one in looked])
        scale = 1.48 * float(np.median(np.abs(off - np.median(off))))
        fit = least_squares(lambda x, a=sides, b=off: a @ x - b, np.zeros(3), loss="soft_l1", f_scale=scale)
        found.append(fit.x)
    return over_sides(np.array(found))


def over_sides(each: np.ndarray) -> np.ndarray:
    """(joints, 3) of left and right (2 joints, 3) in turn, the third axis to the right → outwards."""
    return (each.reshape(-1, 2, 3) * [[[1, 1, -1], [1, 1, 1]]]).mean(1)


def print_rows(title: str, people: np.ndarray) -> None:
    """people: (people, joints, 3) m."""
    print(title)
    for i, joint in enumerate(JOINTS):
        mean = ", ".join(f"{1e3 * value:+.0f}" for value in people[:, i].mean(0))
        sd = ", ".join(f"{1e3 * value:.0f}" for value in people[:, i].std(0, ddof=1)) if len(people) > 1 else "–"
        print(f"  {joint:<9} {mean:>16}   ± {sd}", flush=True)


if __name__ == "__main__":
    main()
