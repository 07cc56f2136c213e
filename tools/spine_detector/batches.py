"""Samples of rendered people in batches: varied at random, and brought into the frame of the trunk.

BlazePose places joints of real people elsewhere than those of rendered ones, by centimetres. So hips and shoulders are
moved at random in space, both of a pair alike, before the frame is made of them: the network learns to doubt them and
to look at the outline. The spine is moved to and from the skin of the back, by what is published of its depth.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from simspine.core.skeletons import load_skeleton
from simspine.synthesis.signals import random_stream
from simspine.vision.blazepose_spine import (
    HIP_INDICES,
    SHOULDER_INDICES,
    SPINE_POINTS,
    PoseFeatures,
    to_trunk_frame,
    trunk_frame,
)

JOINTS = {
    HIP_INDICES: (0.023, 0.023, 0.010),
    SHOULDER_INDICES: (0.018, 0.018, 0.010),
}  # m forward, up, right of the trunk, standard deviations; hips of detectors are 30–50 mm off (Needham et al. 2021)
# m from the centres S1, L5, L3, L1, T8, T3, C7, C4, C1 back to the skin at their height: of standing rendered people
# (14, to the skin and not to clothes), and published (opensim_models/skin.yaml; of the neck nothing).
RENDERED_DEPTHS = np.array([76, 90, 88, 78, 65, 66, 62, 54, 57]) / 1000
DEPTHS = np.array([80, 81, 77, 73, 63, 59, 55, 47, 50]) / 1000
PERSON_DEPTH = 0.007  # m, with the spread of rendered people (7 mm) as large as the published 10 mm
LEVEL_DEPTH = 0.0045  # m, shape of the tissue along the spine, of each of the nine points (opensim_models/skin.yaml)
ALONE = 0.003  # shares, of each point for itself
OUTLINE = 0.7  # of the mask's logits: where the outline is drawn
_NATIVE = load_skeleton("spinetrack37")
CHOSEN = [_NATIVE.index(name) for name in SPINE_POINTS]
SWAPS = [CHOSEN.index(_NATIVE.swaps[i]) for i in CHOSEN]
POSE_SWAPS = list(load_skeleton("blazepose33").swaps)


class Samples(NamedTuple):
    """points: (n, 33, 4); image: (n, side, side) of the mask, uint8; places: (n, 13, 2); known: (n, 13) bool. Shares of
    the crop of 64 px, or, of 40 px, places in the frame of the trunk. ahead: (n, 9, 2), axes: (n, 3, 2), as in
    `samples.Seen`.
    """

    points: np.ndarray
    image: np.ndarray
    places: np.ndarray
    known: np.ndarray
    ahead: np.ndarray
    axes: np.ndarray

    def rows(self, chosen: np.ndarray) -> "Samples":
        """Only these, by index; copies."""
        return Samples(*(array[chosen] for array in self))


@dataclass(frozen=True, eq=False)
class SampleReader:
    """What is in a batch depends on seed and epoch alone."""

    samples: Samples
    seed: int
    batch: int

    @property
    def count(self) -> int:
        """Batches of an epoch; a last one that is not full is left out."""
        return len(self.samples.points) // self.batch

    def epoch(self, number: int) -> Iterator[Samples]:
        """The batches of an epoch, in random order, varied, in the frames of their trunks."""
        rng = random_stream(self.seed, "samples", str(number))
        order = rng.permutation(len(self.samples.points))[: self.count * self.batch]
        for chosen in order.reshape(self.count, self.batch):
            yield in_trunks(varied(self.samples.rows(chosen), rng))


def read_samples(files: list[Path]) -> Samples:
    """All samples of some files of `samples.py`."""
    parts = []
    for path in files:
        with np.load(path) as data:
            places, known = data["places"][:, CHOSEN], data["v"][:, CHOSEN] > 0
            parts.append((data["points"], data["mask"], places, known, data["ahead"], data["axes"]))
    return Samples(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def varied(batch: Samples, rng: np.random.Generator) -> Samples:
    """Points, spine and outline moved; half of the pictures mirrored."""
    points, image, places, known, ahead, axes = elsewhere(batch, rng)
    mirrored = rng.random(len(points)) < 0.5
    points[mirrored] = points[mirrored][:, POSE_SWAPS]
    places[mirrored] = places[mirrored][:, SWAPS]
    known[mirrored] = known[mirrored][:, SWAPS]
    for moved in (points, places):
        moved[mirrored, :, 0] = 1 - moved[mirrored, :, 0]
    for way in (ahead, axes):
        way[mirrored, :, 0] *= -1
    image[mirrored] = image[mirrored][:, :, ::-1]
    points[..., :3] += ALONE * rng.standard_normal(points[..., :3].shape)
    share = np.clip(image / np.float32(255), 0.002, 0.998)
    logits = np.log(share / (1 - share)) + OUTLINE * rng.standard_normal((len(points), 1, 1), np.float32)
    image = np.round(255 / (1 + np.exp(-logits))).astype(np.uint8)
    return Samples(points, image, places, known, ahead, axes)


def elsewhere(batch: Samples, rng: np.random.Generator) -> Samples:
    """Hips and shoulders elsewhere, and the spine at another depth, as of other people; copies."""
    points, image, places, known, ahead, axes = (array.copy() for array in batch)
    count = len(points)
    for pair, sd in JOINTS.items():
        points[:, pair, :2] += np.einsum("na,nax->nx", sd * rng.standard_normal((count, 3)), axes)[:, None]
    forward = DEPTHS - RENDERED_DEPTHS + PERSON_DEPTH * rng.standard_normal((count, 1))
    forward = forward + LEVEL_DEPTH * rng.standard_normal((count, len(DEPTHS)))
    places[:, : len(DEPTHS)] += forward[..., None] * ahead
    return Samples(points, image, places, known, ahead, axes)


def in_trunks(batch: Samples) -> Samples:
    """Each as a detector has it; image: (n, 1, 40, 40) float32, 0 … 1."""
    seen = [to_trunk_frame(PoseFeatures(*row)) for row in zip(batch.points, batch.image / np.float32(255), strict=True)]
    points, image = (np.stack(column) for column in zip(*seen, strict=True))
    places = trunk_frame(batch.points).places(batch.places)
    return batch._replace(points=points, image=image[:, None], places=places.astype(np.float32))
