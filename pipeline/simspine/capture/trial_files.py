"""The files of one trial of a virtual capture: what a copy of Human3.6M would hold, detections, and the truth."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from simspine.capture import truth
from simspine.capture.detections import detect
from simspine.capture.mocap import captured
from simspine.capture.presets import Preset
from simspine.capture.subjects import SyntheticSubject
from simspine.formats.mot import write_mot
from simspine.formats.store import save
from simspine.formats.trc import write_trc
from simspine.geometry import project
from simspine.skeletons import load
from simspine.sources.human36m.cdf import write_pose
from simspine.sources.human36m.names import canonical_action, official_name, split_trial
from simspine.types import Camera

SKELETON = "simspine37"
_POSES = "MyPoseFeatures"


def trial_files(subject: str, trial: str, cameras: Sequence[str]) -> dict[str, str]:
    """What each file of a trial is called, relative to the capture's folder: {role: path}.

    trial: canonical ('Walking_1'); cameras: their names. Files of the data set have its own names ('Walking 1').
    """
    official = official_name(subject, trial)
    true = f"truth/{subject}/{subject}_{trial}"
    files = {"world": f"{subject}/{_POSES}/D3_Positions/{official}.cdf"}
    files |= {f"mono {c}": f"{subject}/{_POSES}/D3_Positions_mono/{official}.{c}.cdf" for c in cameras}
    files |= {f"image {c}": f"{subject}/{_POSES}/D2_Positions/{official}.{c}.cdf" for c in cameras}
    files |= {"detections": f"detections/{subject}/{trial}.h5"}
    return files | {"positions": f"{true}.trc", "motion": f"{true}.mot", "spine": f"{true}.h5"}


@cache
def motion_of(trial: str) -> tuple[str, int]:
    """The motion that a canonical trial shows, by the name it has there, and which of the two."""
    action, number = split_trial(trial)
    return next(name for name in truth.ACTIONS if canonical_action(name) == action), number


def write_trial(
    folder: Path, subject: SyntheticSubject, trial: str, frames: int | None, cameras: Sequence[Camera], preset: Preset
) -> None:
    """Make one trial and write all its files. Equal arguments give equal bytes.

    In the layout of the data set (float32): positions in the world in mm as motion capture would have them
    (`mocap.captured`), the same in the frame of each camera, the same in each image in px. detections: the 37 points
    and the cameras. truth: TRC with vertebral centres, joint centres and the 37 points (y_up); MOT with all coordinates
    of the truth body; HDF5 with the same in full precision, the true joints, level angles, LLA and TKA, and which
    detections are outliers or exchanged.
    """
    made = truth.make_trial(subject, *motion_of(trial), frames)
    name, seed, rate = subject.name, subject.seed, made.motion.rate
    paths = {role: folder / path for role, path in trial_files(name, trial, [c.name for c in cameras]).items()}

    joints = truth.human36m_joints(made)
    measured = captured(joints, rate, seed, name, trial)
    write_pose(paths["world"], 1e3 * measured)
    for camera, image in zip(cameras, project(cameras, measured), strict=True):
        write_pose(paths[f"mono {camera.name}"], 1e3 * (measured @ camera.R.T + camera.t))
        write_pose(paths[f"image {camera.name}"], image)

    points, parts = truth.points(made), truth.capsules(made)
    found = detect(points, cameras, parts.ends, parts.radii, preset, seed, name, trial)
    save(paths["detections"], keypoints=found.keypoints, cameras=list(cameras), skeleton=SKELETON)

    markers = truth.markers(made)
    centres = [m for m in markers.names if m.startswith("joint_")]
    write_trc(paths["positions"], markers.select([*made.truth.vertebrae, *centres, *load(SKELETON).names]))
    write_mot(paths["motion"], made.motion)
    spine = truth.spine_truth(made)
    save(
        paths["spine"],
        motion=made.motion,
        points=points,
        vertebrae=truth.vertebra_centres(made),
        joints=joints,
        levels=list(spine.levels),
        angles=np.asarray(spine.angles),
        lla=np.asarray(spine.lla),
        tka=np.asarray(spine.tka),
        outlier=found.outlier,
        swapped=found.swapped,
        hidden=found.hidden.astype(np.float32),
    )
