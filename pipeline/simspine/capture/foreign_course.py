"""A motion of somebody of another anatomy while it is composed: coordinates as functions of time alone.

A longer trial goes on where a shorter one ends. Noise is a sum of slow sines, transitions have least jerk.
"""

from collections.abc import Mapping

import numpy as np

from simspine.capture.foreign_anatomy import ForeignSpine, ForeignSubject, read_foreign
from simspine.capture.foreign_body import ForeignPose, rest_pose, standing_height
from simspine.capture.movement_primitives import ease

RATE = 50.0
REGIONS = ("lumbar", "thoracic", "neck", "head")
FLEXION, BENDING, TURN = range(3)


class ForeignCourse:
    """A trial being composed: time (frames,) s, regions {name: (frames, 3) rad} and the coordinates of the rest."""

    def __init__(self, subject: ForeignSubject, action: str, frames: int):
        self.subject, self.action = subject, action
        self.time = np.arange(frames) / RATE
        self.regions = {name: np.zeros((frames, 3)) for name in REGIONS}
        rest = rest_pose(subject, frames)
        self.hips, self.pelvis = rest.hips.copy(), rest.pelvis.copy()
        self.arms, self.girdle = rest.arms.copy(), rest.girdle.copy()
        self.feet, self.pitch = rest.feet.copy(), rest.foot_pitch.copy()
        self.planted = True  # the legs decide the height of the hips

    def draw(self, label: str) -> np.random.Generator:
        return self.subject.stream("motion", self.action, label)

    def wander(self, label: str, sd: float, slowest: float = 25.0, fastest: float = 2.5) -> np.ndarray:
        """Noise (frames,) of a standard deviation: twelve sines with periods (s) in between."""
        return sd * slow_noise(self.draw(label), self.time, slowest, fastest)

    def add(self, region: str, axis: int, degrees: np.ndarray) -> None:
        self.regions[region][:, axis] += np.radians(degrees)

    def pose(self) -> ForeignPose:
        if self.planted:
            self.hips[:, 1] = standing_height(self.subject, self.hips, self.pelvis, self.feet, self.pitch)
        levels = level_angles(self.subject.spine, self.regions, self.draw("levels"), self.time)
        return ForeignPose(self.hips, self.pelvis, levels, self.arms, self.girdle, self.feet, self.pitch)


def slow_noise(rng: np.random.Generator, time: np.ndarray, slowest: float, fastest: float) -> np.ndarray:
    """Noise (frames,) of variance one, of sines with periods between two lengths, s."""
    count = 12
    periods = np.exp(rng.uniform(np.log(fastest), np.log(slowest), count))
    phases, weights = rng.uniform(0, 2 * np.pi, count), rng.uniform(0.5, 1.0, count)
    weights *= np.sqrt(2 / (weights**2).sum())
    return np.sin(2 * np.pi * time[:, None] / periods + phases) @ weights


def level_angles(spine: ForeignSpine, regions: Mapping, rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """(frames, 25, 3) rad: each region's motion by the person's shares; the levels' own noise leaves its sum."""
    sd = np.radians(read_foreign()["level_noise"])
    out = np.empty((len(time), len(spine.levels), 3))
    for region, whole in regions.items():
        at = spine.within(region)
        own = np.array([[slow_noise(rng, time, 12.0, 2.0) for _ in range(3)] for _ in at])  # (levels, 3, frames)
        own = np.moveaxis(own - own.mean(0), -1, 0) * sd
        out[:, at] = whole[:, None] * spine.shares[at] + own
    return out


def events(rng: np.random.Generator, time: np.ndarray, times: tuple[tuple[float, float], ...]) -> tuple:
    """Pulses in turn: (count, frames) courses 0…1…0, and (count, 3) random numbers −1…1 of each.

    times: (mean s, relative spread) of waiting, going, holding, returning.
    """
    mean, spread = np.array(times).T
    count = int(np.ceil(time[-1] / (mean * (1 - spread)).sum())) + 1
    numbers = rng.uniform(-1, 1, (count, len(times) + 3))
    lengths = mean * (1 + spread * numbers[:, : len(times)])
    start = np.concatenate([[0.0], np.cumsum(lengths.sum(1))[:-1]]) + lengths[:, 0]
    t = time[None] - start[:, None]
    _, go, hold, back = lengths.T[:, :, None]
    return ease(t / go) - ease((t - go - hold) / back), numbers[:, len(times) :]
