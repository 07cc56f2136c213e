"""Who is who from image to image of one view: numbers that stay with people.

Tracking by detection with a constant velocity and the Hungarian method, as SORT does for boxes (Bewley et al. 2016,
"Simple online and realtime tracking"); here by the points of the pose. Each person seen before is expected where they
were going, so that two who cross keep their numbers although they hide one another for a while. People are compared by
the middle between left and right points, which a detector that exchanges the sides does not move.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

LONGEST_GAP = 1.0  # s somebody may be lost and still be the same
FARTHEST = 0.35  # of a person's extent: mean distance of the points from where they were expected
SLOWER = 0.5  # s in which the speed of somebody lost falls to 1/e: people who go behind others often stop
MEMORY = 0.1  # s over which a speed is averaged
DOUBLE = 0.1  # of a person's extent: two found nearer than this, on average over the points, are one
NEVER = 1e3  # cost of a pair that cannot be


@dataclass
class _Person:
    number: int
    points: np.ndarray  # (points, 2) px, where last seen
    speed: np.ndarray  # (2,) px/s of the whole person
    time: float  # s, when last seen

    def expected(self, time: float) -> np.ndarray:
        """(points, 2) px."""
        away = time - self.time
        return self.points + self.speed * SLOWER * (1 - np.exp(-away / SLOWER))

    def see(self, points: np.ndarray, time: float) -> None:
        both = np.isfinite(points).all(1) & np.isfinite(self.points).all(1)
        away = time - self.time
        if both.any() and away > 0:
            speed = np.median(points[both] - self.points[both], axis=0) / away
            self.speed = self.speed + (speed - self.speed) * min(1.0, away / (away + MEMORY))
        self.points = np.where(np.isfinite(points), points, self.points)
        self.time = time


class Identities:
    """Numbers of the people of one view: 1, 2, … in the order in which they come. swaps: of the skeleton."""

    def __init__(self, swaps: Sequence[int]) -> None:
        self._swaps = list(swaps)
        self._tracks: list[_Person] = []
        self._next = 1

    def step(self, people: Sequence[np.ndarray], time: float) -> list[int]:
        """The number of each of the people, (points, 2 or more) px, NaN = not seen, at `time` s, which only grows."""
        self._tracks = [track for track in self._tracks if time - track.time <= LONGEST_GAP]
        numbers: list[int] = [0] * len(people)
        people = [middles(person, self._swaps) for person in people]
        if people and self._tracks:
            cost = np.array([[distance(t.expected(time), p) for t in self._tracks] for p in people])
            cost = np.where(cost < FARTHEST, cost, NEVER)
            for i, j in zip(*linear_sum_assignment(cost), strict=True):
                if cost[i, j] < NEVER:
                    self._tracks[j].see(people[i], time)
                    numbers[i] = self._tracks[j].number
        for i, person in enumerate(people):
            if not numbers[i]:
                numbers[i] = self._next
                self._tracks.append(_Person(self._next, person, np.zeros(2), time))
                self._next += 1
        return numbers

    @property
    def known(self) -> frozenset[int]:
        """Numbers of those who are there, or may come back under their number."""
        return frozenset(track.number for track in self._tracks)

    @property
    def count(self) -> int:
        """How many people there were so far."""
        return self._next - 1


def middles(person: np.ndarray, swaps: Sequence[int]) -> np.ndarray:
    """(points, 2) px: the middle of each point and its mirrored one; that which there is where one is missing."""
    xy = np.asarray(person, float)[:, :2]
    pair = np.stack([xy, xy[list(swaps)]])
    there = np.isfinite(pair)
    count = there.sum(0)
    return np.where(count > 0, np.where(there, pair, 0.0).sum(0) / np.maximum(count, 1), np.nan)


def without_doubles(people: Sequence[np.ndarray], swaps: Sequence[int]) -> list[int]:
    """Which of the people of one image, (points, 2 or more) px, to keep: the first of those found twice.

    Detectors may find a person again with left and right exchanged.
    """
    kept: list[int] = []
    places = [middles(person, swaps) for person in people]
    for i, place in enumerate(places):
        if all(distance(places[k], place) >= DOUBLE for k in kept):
            kept.append(i)
    return kept


def distance(expected: np.ndarray, points: np.ndarray) -> float:
    """Mean distance of two sets of points (n, 2), NaN = unknown, as a share of the extent of the second; `NEVER` where
    they share no point."""
    both = np.isfinite(expected).all(1) & np.isfinite(points).all(1)
    if not both.any():
        return NEVER
    extent = max(float(np.ptp(points[both], axis=0).max()), 1.0)
    return float(np.linalg.norm(expected[both] - points[both], axis=1).mean()) / extent
