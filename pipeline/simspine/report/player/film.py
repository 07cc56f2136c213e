"""A camera's pictures of a trial beside the 3D view, with the places at which the body is drawn on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simspine.errors import InputError


@dataclass(frozen=True, eq=False)
class Film:
    """One camera. size: (width, height) px of its pictures.

    pictures: WebP images, of the frames 0, `every`, 2 · `every` … of the trial. body: (frames, points, 2) px in them,
    the body reprojected; lines: pairs of its points that are joined; spine: its points of the spine from below upwards.
    seen: (frames, points, 2) px, what was detected. NaN = missing. step: body and seen are of the trial's first frame
    and every step-th after it.
    """

    name: str
    size: tuple[int, int]
    pictures: Sequence[bytes]
    every: int
    body: np.ndarray
    lines: Sequence[tuple[int, int]]
    spine: Sequence[int]
    seen: np.ndarray
    step: int = 1

    def __post_init__(self):
        frames = len(self.body)
        if self.every % self.step:
            raise InputError(f"Film {self.name}: one picture in {self.every} frames, points of one in {self.step}.")
        if len(self.seen) != frames or len(self.pictures) > -(-frames // (self.every // self.step)):
            raise InputError(
                f"Film {self.name}: {len(self.pictures)} pictures, one in {self.every} frames, and {len(self.seen)} "
                f"frames of points do not fit {frames} frames of the body."
            )
