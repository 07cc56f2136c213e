"""How far lifted people lean against the true ones, along the line of sight and across it.

    python -m tools.lifter.lean --people 4

Nobody of them was learnt from. They play the virtual capture's actions before its four cameras, seen as by a detector
on people unlike those it learnt from, with BlazePose's points. Compared is the line from mid-ankles to mid-shoulders,
over half a second each. The first figure is `LEAN_SD` of `simspine.vision.lifting`.
"""

import argparse
from collections.abc import Iterator

import numpy as np

from simspine.core.skeletons import load_skeleton
from simspine.core.types import Camera, Keypoints, Markers
from simspine.synthesis.actions import ACTION_NAMES
from simspine.synthesis.population import make_subject
from simspine.synthesis.virtual_detector import read_preset
from simspine.synthesis.virtual_trial import detect_trial, make_trial, true_points, virtual_rig
from simspine.vision.lifting import LiftedPose, Lifter, LiftingLens, PeopleLifter, root_in_camera
from simspine.vision.one_camera import FILE_POINT_NAMES, DetectedPerson

SEED, FIRST_PERSON = 977, 11
FRAMES, WINDOW = 60, 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=4)
    chosen = parser.parse_args()
    lifter, found = Lifter(), []
    for index in range(FIRST_PERSON, FIRST_PERSON + chosen.people):
        person = make_subject(SEED, index)
        for action in ACTION_NAMES:
            trial, cameras = make_trial(person, action, 1, FRAMES), virtual_rig(SEED, "S9")
            seen = detect_trial(trial, cameras, read_preset("zero-shot")).keypoints
            for view, camera in enumerate(cameras):
                poses = lifted_poses(lifter, seen, view, camera)
                found += leans(lifter.card.points, poses, true_points(trial), camera)
        rms = np.degrees(np.sqrt(np.square(found).mean(0)))
        print(f"{len(found)} views: {rms[0]:.1f}° along the line of sight, {rms[1]:.1f}° across", flush=True)


def lifted_poses(lifter: Lifter, seen: Keypoints, view: int, camera: Camera) -> list[LiftedPose | None]:
    """A pose for each frame of a view."""
    given = np.isin(FILE_POINT_NAMES, list(load_skeleton("blazepose33").to_simspine.values()))
    every = seen.xy[:, view, [seen.names.index(name) for name in FILE_POINT_NAMES]]
    people, found = PeopleLifter(lifter, LiftingLens(camera=camera)), []
    for xy in np.where(given[:, None], every, np.nan):
        person = DetectedPerson(xy, np.isfinite(xy).all(1) * 1.0, *np.zeros((2, len(xy)), bool))
        found.append(people.lift_people([person], camera.size).get(1))
    return found


def leans(
    names: tuple[str, ...], poses: list[LiftedPose | None], truth: Markers, camera: Camera
) -> Iterator[tuple[float, float]]:
    """(along, across) rad of each stretch of frames in which the person was lifted throughout."""
    for start in range(0, FRAMES, WINDOW):
        own = [pose for pose in poses[start : start + WINDOW] if pose is not None]
        if len(own) < WINDOW:
            continue
        up = upwards(names, np.array([pose.xyz for pose in own]))
        true = upwards(truth.names, truth.xyz[start : start + WINDOW] @ camera.R.T)
        sight = np.mean([root_in_camera(pose)[0] for pose in own], axis=0)
        ahead = sight - (sight @ true) * true
        ahead = ahead / np.linalg.norm(ahead)
        yield tuple(float(np.arctan2(up @ way, up @ true)) for way in (ahead, np.cross(true, ahead)))


def upwards(names: tuple[str, ...], xyz: np.ndarray) -> np.ndarray:
    """(3,) the mean direction from mid-ankles to mid-shoulders."""
    top, bottom = (xyz[:, [names.index(side + part) for side in "LR"]].mean(1) for part in ("Shoulder", "Ankle"))
    line = ((top - bottom) / np.linalg.norm(top - bottom, axis=1, keepdims=True)).mean(0)
    return line / np.linalg.norm(line)


if __name__ == "__main__":
    main()
