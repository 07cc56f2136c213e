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
from simspine.dataset.recordings import open_dataset
from simspine.errors import InputError
from simspine.formats._text import notice
from simspine.geometry import change_frame
from simspine.skeletons import load
from simspine.surface.posing import posed_points
from simspine.types import Motion

VIRTUAL = "_virtual"
LENGTH = 300  # frames of each motion that is made up


@dataclass(frozen=True, eq=False)
class Performer:
    """Somebody and what they do. name: of the person. points: (frames, 37, 3) m, z up, in the order of `names`. maps:
    (frames, segments, 3, 4), rest → world. reach: (37,) m, see `labels`. floor: m, height of the floor.
    """

    name: str
    person: RenderedPerson
    names: tuple[str, ...]
    points: np.ndarray
    maps: np.ndarray
    reach: np.ndarray
    floor: float

    @property
    def frames(self) -> int:
        return len(self.points)


def performer(name: str, person: RenderedPerson, motion: Motion) -> Performer:
    """A person in a motion of their body; frames that are not known are left out. Raises `InputError` without any."""
    values = motion.values[np.isfinite(motion.values).all(1)]
    if not len(values):
        raise InputError(f"{name}: no frame of the motion is known in all coordinates; there is nothing to render.")
    whole = motion.with_(values=values, deviation=None)
    maps = person.maps(body_poses(person.body, whole))
    names = load("simspine37").names
    markers = forward_kinematics(person.body, whole)
    chosen = [point if point in markers.names else point + VIRTUAL for point in names]
    xyz = change_frame(markers.select(chosen).xyz, "y_up", "z_up")
    some = np.linspace(0, len(values) - 1, min(len(values), 12)).astype(int)
    skins = [posed_points(person.skin, maps[k]) for k in some]
    reach = np.median([reaches(names, xyz[k], skin) for k, skin in zip(some, skins, strict=True)], 0)
    floor = float(np.median([skin[:, 2].min() for skin in skins]))
    return Performer(name, person, names, xyz, maps, reach, floor)


def virtual_performer(seed: int, index: int, actions: Sequence[str] | None = None) -> Performer:
    """Person number `index` of the virtual capture of this seed, doing all actions, one after the other."""
    subject = truth.make_subject(seed, index)
    body = truth.truth_body(subject).body
    person = make_person(body, subject.sex == "female", subject.mass, stream(seed, "person", str(index)))
    trials = [truth.make_trial(subject, action, 1, LENGTH) for action in actions or truth.ACTIONS]
    values = np.concatenate([trial.motion.values for trial in trials])
    first = trials[0].motion
    return performer(subject.name, person, Motion(first.names, first.rate, values, first.rotational))


def dataset_performers(path: Path, seed: int) -> Iterator[Performer]:
    """Everybody in a data set of ours, with all their trials; sex and build are drawn, since nobody states them."""
    with open_dataset(path) as data:
        for name in data.subjects:
            text = data.file.model(name)
            if not text:
                raise InputError(f"{path}: subject {name} has no model in the file, so no body to put a skin on.")
            body = Body.from_text(text, f"{path}: the model of {name}")
            rng = stream(seed, "person", name)
            motions = [data.file.trial(name, recording.name).motion for recording in data.trials(name)]
            values = np.concatenate([motion.values for motion in motions])
            person = make_person(body, bool(rng.random() < 0.5), None, rng)
            first = motions[0]
            notice(f"{path}: sex, build and looks of {name} are drawn; only bones and motion are {name}'s.")
            yield performer(name, person, Motion(first.names, first.rate, values, first.rotational))
