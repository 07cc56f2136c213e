"""The fifteen actions of Human3.6M as compositions of what people do: stand, sway, walk, sit, reach, look, bend."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from simspine.errors import unknown_name
from simspine.sources.virtual import primitives as p
from simspine.sources.virtual.performance import RATE
from simspine.sources.virtual.subjects import Subject

AREA = (1.35, 1.85)  # m either way from the middle: depth (x of the body), width (z)

# Frames of a trial at 50 Hz, typical; the lengths of trials vary about them (docs/virtual-capture.md).
FRAMES = {
    "Directions": 1870, "Discussion": 3560, "Eating": 2470, "Greeting": 1690, "Phoning": 3130, "Photo": 1860,
    "Posing": 1890, "Purchases": 1560, "Sitting": 3200, "SittingDown": 3050, "Smoking": 3390, "Waiting": 2810,
    "WalkDog": 2100, "WalkTogether": 2220, "Walking": 3300,
}  # fmt: skip
ACTIONS = tuple(FRAMES)


@dataclass
class Score:
    """What a person does over time: channels (see `performance`) that parts of the motion add to."""

    subject: Subject
    rng: np.random.Generator
    frames: int
    channels: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def time(self) -> np.ndarray:
        """(frames,) s."""
        return np.arange(self.frames) / RATE

    @property
    def length(self) -> float:
        """s."""
        return self.frames / RATE

    def add(self, name: str, values) -> None:
        self.channels[name] = self.channels.get(name, np.zeros(self.frames)) + values

    def degrees(self, weight: np.ndarray | float = 1.0, **angles: float) -> None:
        """Add angles in degrees, times a weight over time."""
        for name, angle in angles.items():
            self.add(name, np.radians(angle) * weight)

    def near(self, value: float, spread: float = 0.15) -> float:
        """A number like this one, as this person in this trial has it."""
        return float(value * np.exp(spread * np.clip(self.rng.standard_normal(), -2, 2)))

    def wander(self, knot: float) -> np.ndarray:
        return p.wander(self.rng, self.time, knot)

    def times(self, every: float, last: float, first: float = 0.5) -> list[float]:
        """Starts of something that lasts `last` s and comes back about each `every` s, never overlapping."""
        found, t = [], first + self.rng.uniform(0, 0.5 * every)
        while t + last < self.length:
            found.append(t)
            t += last + max(self.rng.normal(every - last, 0.3 * every), 0.2)
        return found


def alive(score: Score) -> None:
    """Breathing and the small motions of somebody who stands or sits still."""
    rate = score.near(0.25)
    breath = np.sin(2 * np.pi * (rate * score.time + 0.3 * score.wander(4.0)))
    score.degrees(breath, thoracic_flexion=-score.near(0.8), lumbar_flexion=0.3, neck_flexion=0.3)
    for region, size in (("lumbar", 1.2), ("thoracic", 1.2), ("neck", 2.0), ("head", 1.0)):
        score.degrees(score.wander(2.0), **{f"{region}_flexion": size})
        score.degrees(score.wander(2.0), **{f"{region}_bending": 0.6 * size})
        score.degrees(score.wander(1.6), **{f"{region}_rotation": 0.8 * size})
    for side in "rl":
        score.degrees(score.wander(1.2), **{f"arm_flex_{side}": 2.5, f"elbow_flex_{side}": 4.0})
        score.degrees(score.wander(1.2), **{f"arm_add_{side}": 1.5, f"arm_rot_{side}": 3.0, f"wrist_flex_{side}": 4.0})
        score.degrees(1.0, **{f"elbow_flex_{side}": score.near(14), f"pro_sup_{side}": score.near(-10)})


def walk(
    score: Score, walking: np.ndarray | float = 1.0, pace: float = 1.0, arms: tuple[float, float] = (1, 1)
) -> None:
    """Walk round a closed path in the area. walking: (frames,) 0…1, how fast; arms: swing of the right and the left."""
    walking = np.broadcast_to(np.asarray(walking, float), (score.frames,))
    stride = score.near(0.72, 0.06) * score.subject.stature * pace
    speed = score.near(1.1, 0.08) * pace * walking * (1 + 0.04 * score.wander(2.0))
    distance = np.cumsum(speed) / RATE
    place, direction = p.along(p.loop(score.rng, (AREA[0] - 0.25, AREA[1] - 0.25)), distance + score.rng.uniform(0, 6))
    phase = distance / stride + score.rng.uniform()
    score.add("x", place[:, 0])
    score.add("z", place[:, 1])
    score.add("heading", -direction)
    size = score.near(1.0, 0.08)
    swing = score.near(1.0, 0.25)
    for side, late, part in (("r", 0.0, arms[0]), ("l", 0.5, arms[1])):
        for name, values in p.gait(phase + late).items():
            score.add(f"{name}_{side}", size * walking * values)
        turn = 2 * np.pi * (phase + late)
        score.degrees(-part * swing * walking * np.cos(turn), **{f"arm_flex_{side}": 17})
        score.degrees(part * swing * walking * (1 - np.cos(turn)), **{f"elbow_flex_{side}": 8})
    turn = 2 * np.pi * phase
    # At right heel strike (phase 0) the right side of the pelvis is forward, the left shoulder too.
    score.degrees(walking * np.cos(turn), heading=score.near(4.5))
    score.degrees(walking * np.sin(turn + 0.3), list=-score.near(3.5))
    score.degrees(walking * np.cos(2 * turn + 0.6), tilt=score.near(1.2))
    back = score.near(1.0)
    score.degrees(-walking * np.cos(turn + 0.15), lumbar_rotation=3.0 * back, thoracic_rotation=5.5 * back)
    score.degrees(walking * np.sin(turn + 0.3), lumbar_bending=3.5, thoracic_bending=-0.5)
    score.degrees(walking * np.cos(2 * turn + 0.4), lumbar_flexion=1.2 * back, thoracic_flexion=0.7 * back)
    score.degrees(walking * np.cos(turn), neck_rotation=1.5, head_rotation=1.0)
    score.degrees(walking, tilt=-2.0, thoracic_flexion=1.0)


def walking(score: Score) -> None:
    alive(score)
    walk(score)


_PLAYED: dict[str, Callable[[Score], None]] = {"Walking": walking}


def play(subject: Subject, action: str, frames: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Channels of one trial; raises `InputError` naming the actions there are."""
    if action not in _PLAYED:
        raise unknown_name("action", action, _PLAYED)
    score = Score(subject, rng, frames)
    for name in ("x", "z", "heading"):
        score.add(name, 0.0)
    _PLAYED[action](score)
    return score.channels
