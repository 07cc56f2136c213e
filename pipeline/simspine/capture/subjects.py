"""Synthetic subjects: size, proportions and spine, sampled from published distributions."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from simspine.capture.population import read_population, truncated
from simspine.capture.random_streams import stream
from simspine.capture.shoulder_girdle import SyntheticGirdle, sample_girdle
from simspine.capture.spines import SyntheticSpine, sample_spine
from simspine.errors import InputError


@dataclass(frozen=True, eq=False)
class SyntheticSubject:
    """A person. stature in m, mass in kg.

    proportions: size of segments (pelvis, thorax, head, upper_arm, forearm, foot) relative to a generic body of this
    stature, and `thigh_over_shank`, relative to the generic one's; the legs' length is what the stature leaves. hips:
    (forward, up) m, of the hip centres from where the generic pelvis of this size has them.
    """

    seed: int
    index: int
    name: str
    sex: str
    stature: float
    mass: float
    proportions: Mapping[str, float]
    spine: SyntheticSpine
    girdle: SyntheticGirdle
    hips: tuple[float, float]

    def stream(self, *quantity: str) -> np.random.Generator:
        """The generator of one quantity of this person."""
        return stream(self.seed, "subject", str(self.index), *quantity)


def subject_name(index: int) -> str:
    """S1, S5, S6, S7, S8, S9, S11 (Human3.6M's), then S12, S13, …"""
    if index < 0:
        raise InputError(f"subject index is {index}, expected 0 or more.")
    names = read_population()["names"]
    return names[index] if index < len(names) else f"S{12 + index - len(names)}"


def make_subject(seed: int, index: int, spines: str = "published") -> SyntheticSubject:
    """The subject number `index` (from 0) of the capture with this seed; equal arguments give an equal subject.

    spines: where spacing and standing curve are from, see `spines.FAMILIES`. Each quantity has random numbers of its
    own, so that adding one changes no other.
    """
    table = read_population()
    name = subject_name(index)
    draw = partial(stream, int(seed), "subject", str(index))
    sexes = table["sexes"]
    sex = sexes[index] if index < len(sexes) else str(draw("sex").choice(["female", "male"]))
    stature = float(truncated(draw("stature"), *table["stature_m"][sex]))
    build = table["body_mass_index"]
    index_of_mass = float(np.clip(truncated(draw("mass"), build["mean"], build["sd"]), *build["range"]))
    proportions = {
        segment: float(1 + sd * truncated(draw("proportions", segment), 0.0, 1.0))
        for segment, sd in table["proportions"].items()
    }
    forward, up = (float(truncated(draw("hips", way), *table["hips_m"][way])) for way in ("forward", "up"))
    spine = sample_spine(draw, sex, stature, forward, spines)
    return SyntheticSubject(
        seed=int(seed),
        index=int(index),
        name=name,
        sex=sex,
        stature=stature,
        mass=index_of_mass * stature**2,
        proportions=proportions,
        spine=spine,
        girdle=sample_girdle(draw),
        hips=(forward, up),
    )
