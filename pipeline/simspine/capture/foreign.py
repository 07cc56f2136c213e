"""Synthetic people of another anatomy: the judge of an estimator that was made for people built like its own body.

Nothing here comes from the estimator: no table, no body model, no kinematics of it. Only the definitions are shared, so
that figures compare: the names of the 37 points, levels and Cobb angles.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simspine.capture.foreign_anatomy import ForeignSubject, sample_subject
from simspine.capture.foreign_body import (
    ForeignPose,
    arm_points,
    carried,
    foreign_vertebrae,
    leg_points,
    mirror,
    pelvis_turn,
    rest_pose,
    rib_cage,
    rigid,
    spine_poses,
)
from simspine.capture.foreign_course import RATE
from simspine.capture.foreign_motion import FOREIGN_ACTIONS, foreign_pose
from simspine.errors import InputError, unknown_name
from simspine.skeletons import load
from simspine.skeletons.vertebrae import VERTEBRA_OF
from simspine.spine.levels import SPINE_MARKERS, Level
from simspine.spine.vertebrae import SpineKinematics, spine_kinematics
from simspine.types import Markers

__all__ = ["FOREIGN_ACTIONS", "ForeignSubject", "ForeignTrial", "make_foreign_subject", "make_foreign_trial"]


@dataclass(frozen=True, eq=False)
class ForeignTrial:
    """A trial whose truth is known, 50 Hz, y_up (x forward, y up, z right), metres, without gaps.

    points: the 37 SIMSPINE points; those along the spine are vertebral centroids (Hip: S1), limb points joint centres.
    centres: vertebral centroids C1 … L5, S1. spine: LLA, TKA as everywhere in simspine; a level's angles are the
    rotation of the upper vertebra's frame (y midway between its endplates' normals) in the lower one's. Their zero is
    this anatomy's own, so only their changes compare with an estimate's; LLA and TKA compare as they are.
    """

    subject: str
    trial: str
    points: Markers
    centres: Markers
    spine: SpineKinematics


def make_foreign_subject(seed: int, index: int) -> ForeignSubject:
    """The person of a number; equal numbers give the same person. Their standing height is the stature drawn."""
    if index < 0:
        raise InputError(f"index is {index}, expected 0, 1, …")
    subject = sample_subject(seed, index)
    height = trunk_and_limbs(subject, rest_pose(subject))[0]["Head"][0, 1]
    return subject.scaled(subject.stature / height)


def make_foreign_trial(subject: ForeignSubject, action: str, frames: int) -> ForeignTrial:
    """A trial of `frames` at 50 Hz; a longer one begins with the same frames. Deterministic.

    Raises `InputError` for an action that does not exist and for less than one frame.
    """
    if action not in FOREIGN_ACTIONS:
        raise unknown_name("action", action, FOREIGN_ACTIONS)
    if frames < 1:
        raise InputError(f"frames is {frames}, expected 1 or more.")
    found, poses = trunk_and_limbs(subject, foreign_pose(subject, action, frames))
    spine = spine_of(subject, found, poses)
    names = load("simspine37").names
    points = Markers(names, RATE, np.stack([found[name] for name in names], 1), frame="y_up")
    assert spine.centres is not None
    return ForeignTrial(subject.name, f"{action}_1", points, spine.centres, spine)


def spine_of(subject: ForeignSubject, points: Mapping, poses: Mapping) -> SpineKinematics:
    """LLA, TKA and level angles by the product's definitions, of what `trunk_and_limbs` gives."""
    markers = Markers(SPINE_MARKERS, RATE, np.stack([points[name] for name in SPINE_MARKERS], 1), frame="y_up")
    return spine_kinematics(poses, markers, foreign_vertebrae(subject.spine), levels=foreign_levels(subject))


def foreign_levels(subject: ForeignSubject) -> tuple[Level, ...]:
    """The joints from below, then sums and segments in space, named as those of the articulated body."""
    pairs = [(name, name.split("-")) for name in subject.spine.levels]
    joints = [Level(name, below, above) for name, (above, below) in pairs]
    sums = (Level("lumbar", "S1", "L1"), Level("thoracic", "T12", "T1"), Level("neck", "T1", "skull"))
    segments = (Level("pelvis", None, "pelvis"), Level("thorax", None, "ribs"))
    return (*joints, *sums, Level("thorax-pelvis", "pelvis", "ribs"), *segments)


def trunk_and_limbs(subject: ForeignSubject, pose: ForeignPose) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """All points (frames, 3) and the poses of the trunk's segments (frames, 4, 4)."""
    pelvis = rigid(pelvis_turn(pose.pelvis), pose.hips)
    poses = spine_poses(subject, pelvis, pose.levels) | {"pelvis": pelvis}
    rest = rest_pose(subject)
    standing = spine_poses(subject, rigid(pelvis_turn(rest.pelvis), rest.hips), rest.levels)
    ribs = poses["ribs"] = rib_cage(poses, standing)
    places = _on_ribs(subject, standing)
    points = {name: poses[level][:, :3, 3] for name, level in VERTEBRA_OF.items()}
    points |= {name: carried(poses["skull"], at) for name, at in subject.places.items() if name.endswith(_HEAD)}
    for side in "RL":
        points[f"{side}Latissimus"] = carried(ribs, mirror(places["latissimus"], side))
    return points | arm_points(subject, ribs, places, pose) | leg_points(subject, pose), poses


_HEAD = ("Head", "Nose", "Eye", "Ear")


def _on_ribs(subject: ForeignSubject, standing: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Places (3,) m on the rib cage, right side, which is upright when standing."""
    origin = rib_cage(standing, standing)[0, :3, 3]
    at = {level: standing[level][0, :3, 3] - origin for level in ("T1", "T3", "T7")}
    at = {level: place * (1, 1, 0) for level, place in at.items()}
    shoulder = at["T1"] + subject.places["shoulder"]
    return {
        "shoulder": shoulder,
        "acromion": shoulder + subject.places["acromion"],
        "sternum": at["T3"] + subject.places["sternum"],
        "latissimus": at["T7"] + subject.places["latissimus"],
    }
