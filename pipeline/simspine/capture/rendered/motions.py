"""Whose motion is rendered: people of the virtual capture, or of a data set of ours."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simspine.body.kinematics import body_poses, forward_kinematics
from simspine.body.model import Body
from simspine.capture import truth
from simspine.capture.random_streams import stream
from simspine.capture.rendered.labels import reaches
from simspine.capture.rendered.people import RenderedPerson, make_person
from simspine.dataset.recordings import Recordings, open_dataset
from simspine.errors import InputError
from simspine.formats._text import notice
from simspine.geometry import change_frame, in_frame
from simspine.skeletons import load
from simspine.surface.posing import posed_points
from simspine.types import Markers, Motion

VIRTUAL = "_virtual"
_JOINTS = {"Shoulder": "humerus", "Elbow": "ulna", "Wrist": "hand", "Hip": "femur", "Knee": "tibia", "Ankle": "talus"}
LENGTH = 300  # frames of each motion that is made up


@dataclass(frozen=True, eq=False)
class Performer:
    """Somebody and what they do. name: of the person. points: (frames, 37, 3) m, z up, in the order of `names`; NaN
    where not known. maps: (frames, segments, 3, 4), rest → world. reach: (37,) m, see `labels`. floor: m, its height.
    rate: frames/s. takes: (frames,) number of the unbroken stretch that a frame belongs to, ascending.
    """

    name: str
    person: RenderedPerson
    names: tuple[str, ...]
    points: np.ndarray
    maps: np.ndarray
    reach: np.ndarray
    floor: float
    rate: float
    takes: np.ndarray

    @property
    def frames(self) -> int:
        return len(self.points)

    def maps_at(self, frame: int, later: float = 0.0) -> np.ndarray:
        """(segments, 3, 4) maps `later` s after a frame, linear between frames; a take's ends hold."""
        if later == 0.0:
            return self.maps[frame]
        first, last = np.searchsorted(self.takes, [self.takes[frame], self.takes[frame] + 1]) - [0, 1]
        at = float(np.clip(frame + later * self.rate, first, last))
        low = min(int(at), int(last) - 1) if last > first else int(first)
        share = at - low
        return (1 - share) * self.maps[low] + share * self.maps[min(low + 1, int(last))]


def performer(
    name: str, person: RenderedPerson, motion: Motion, points: Markers, lengths: Sequence[int] = ()
) -> Performer:
    """A person in a motion of their body; frames that are not known are left out. `InputError` without any.

    points: of the 37 those that are known, in the motion's frames; the others are NaN. lengths: frames of each of the
    trials that the motion is made of, where it is more than one.
    """
    known = np.isfinite(motion.values).all(1)
    if not known.any():
        raise InputError(f"{name}: no frame of the motion is known in all coordinates; there is nothing to render.")
    whole = motion.with_(values=motion.values[known], deviation=None)
    trial = np.repeat(np.arange(len(lengths)), lengths) if len(lengths) else np.zeros(len(known), int)
    takes = (trial + np.cumsum(~known))[known]  # a gap parts what is before from what is after
    there = [point for point in load("simspine37").names if point in points.names]
    shown = points.select(there)
    shown = shown.with_(xyz=shown.xyz[known], weight=None)
    maps = person.maps(body_poses(person.body, whole))
    names = load("simspine37").names
    xyz = np.full((len(maps), len(names), 3), np.nan)
    xyz[:, [names.index(point) for point in there]] = in_frame(shown, "z_up").xyz
    some = np.linspace(0, len(maps) - 1, min(len(maps), 12)).astype(int)
    skins = [posed_points(person.skin, maps[k]) for k in some]
    reach = np.median([reaches(names, xyz[k], skin) for k, skin in zip(some, skins, strict=True)], 0)
    floor = float(np.median([skin[:, 2].min() for skin in skins]))
    return Performer(name, person, names, xyz, maps, reach, floor, points.rate, takes)


def virtual_performer(seed: int, index: int, actions: Sequence[str] | None = None) -> Performer:
    """Person number `index` of the virtual capture of this seed, doing all actions, one after the other."""
    subject = truth.make_subject(seed, index)
    body = truth.truth_body(subject).body
    person = make_person(body, subject.sex == "female", subject.mass, stream(seed, "person", str(index)))
    trials = [truth.make_trial(subject, action, 1, LENGTH) for action in actions or truth.ACTIONS]
    motion = _one_after_the_other([trial.motion for trial in trials])
    lengths = [trial.motion.frames for trial in trials]
    return performer(subject.name, person, motion, forward_kinematics(body, motion), lengths)


def dataset_performers(path: Path, seed: int) -> Iterator[Performer]:
    """Everybody in a data set of ours, with all their trials; sex and build are drawn, since nobody states them."""
    with open_dataset(path) as data:
        for name in data.subjects:
            body = Body.from_text(stored_model(data, name), f"{path}: the model of {name}")
            rng = stream(seed, "person", name)
            trials = [data.file.trial(name, recording.name) for recording in data.trials(name)]
            person = make_person(body, bool(rng.random() < 0.5), None, rng)
            motion = _one_after_the_other([trial.motion for trial in trials])
            notice(f"{path}: sex, build and looks of {name} are drawn; only bones and motion are {name}'s.")
            points = _points_of(body, motion, [trial.vertebral or trial.markers for trial in trials])
            yield performer(name, person, motion, points, [trial.motion.frames for trial in trials])


def stored_model(data: Recordings, subject: str) -> str:
    """A subject's model file as text; `InputError` where the data set has none."""
    text = data.file.model(subject)
    if not text:
        raise InputError(f"{data.path}: subject {subject} has no model in the file, so no body to put a skin on.")
    return text


def _points_of(body: Body, motion: Motion, stored: Sequence[Markers]) -> Markers:
    """Of the 37 points, z up: limb joints at the joints' centres, what the data set holds (of the spine the centres of
    vertebrae, where they are known), and else what the body has a marker for."""
    found: dict[str, np.ndarray] = {}
    poses, markers = body_poses(body, motion), in_frame(forward_kinematics(body, motion), "z_up")
    for name in load("simspine37").names:
        for marker in (f"{name}{VIRTUAL}", name):  # a detector's own place of the point goes first
            if marker in markers.names:
                found[name] = markers.xyz[:, markers.index(marker)]
    for joint, carrier in _JOINTS.items():
        for side in "LR":
            place = poses[f"{carrier}_{side.lower()}"][:, :3, 3]
            found[f"{side}{joint}"] = change_frame(place, "y_up", "z_up")
    known = np.concatenate([in_frame(own, "z_up").xyz for own in stored])
    found |= {name: known[:, i] for i, name in enumerate(stored[0].names) if name in load("simspine37").names}
    return Markers(tuple(found), motion.rate, np.stack(list(found.values()), 1))


def _one_after_the_other(motions: Sequence[Motion]) -> Motion:
    """Motions of one body as one."""
    first, values = motions[0], np.concatenate([motion.values for motion in motions])
    return Motion(first.names, first.rate, values, first.rotational)
