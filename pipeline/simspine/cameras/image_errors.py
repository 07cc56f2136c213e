"""How a camera's image lies beside where chosen other cameras put the points: shift, turn, growth."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from simspine.cameras.bundle import linearised
from simspine.cameras.parameters import GEOMETRY
from simspine.cameras.refine import Refined
from simspine.errors import InputError

QUANTITIES = ("shift_x_px", "shift_y_px", "roll", "scale", "late", "drift")
SMALLEST = 1e-6  # of the largest: directions of a point that its views tell less of are not told


@dataclass(frozen=True)
class ImageErrors:
    """What a refinement says of the given cameras' images. The world's frame and scale, which nobody can see, drop out:
    a motion of all cameras together moves the points with it."""

    refined: Refined

    def beside(self, view: int, others: Sequence[int]) -> tuple[dict[str, float], dict[str, float]]:
        """`QUANTITIES` of a view, and standard deviations: how its image lies beside where `others`, as they were
        given, put the points. The clock's are relative to the first view, whoever the others are.

        Raises `InputError` where the view shares fewer than two points with them.
        """
        refined, (by_camera, by_point), there = self.refined, self._slopes, self._there
        count = len(refined.change[0])
        seen = there[:, view] & (there[:, others].sum(1) >= 2)
        if seen.sum() < 2:
            seen = there[:, view] & there[:, others].any(1)
        basis, scale = _basis(refined.seen.xy[:, view][seen])
        fit = (np.linalg.pinv(basis) / scale[:, None]).reshape(len(scale), -1, 2)
        normal = sum(self._normal[other][seen] for other in others)
        onto = np.einsum("qnx,nxi->qni", fit, by_point[:, view][seen])
        pull = np.einsum("qni,nij->qnj", onto, np.linalg.pinv(normal, rcond=SMALLEST, hermitian=True))
        by = np.zeros((len(scale), *refined.change.shape))
        by[:, view] = np.einsum("qnx,nxk->qk", fit, by_camera[:, view][seen])
        for other in others:
            slope = np.where(there[:, other][seen][:, None, None], by_point[:, other][seen], 0.0)
            by[:, other] -= np.einsum("qnj,nxj,nxk->qk", pull, slope, by_camera[:, other][seen], optimize=True)
        flat = by.reshape(len(scale), -1)
        spread = np.sqrt(np.diag(flat @ refined.adjustment.covariance @ flat.T))
        clock = slice(GEOMETRY, count)
        values = np.r_[flat @ refined.change.ravel(), refined.change[view, clock]]
        spread = np.r_[spread, refined.deviation[view, clock]]
        return dict(zip(QUANTITIES, values.tolist(), strict=True)), dict(zip(QUANTITIES, spread.tolist(), strict=True))

    @cached_property
    def _there(self) -> np.ndarray:
        """(frames, views, points) bool: what counted."""
        refined = self.refined
        return np.isfinite(refined.seen.xy).all(-1) & np.isfinite(refined.adjustment.xyz).all(-1)[:, None]

    @cached_property
    def _slopes(self) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of what each given camera shows, by its parameters and by the points (see `linearised`)."""
        refined, still = self.refined, np.zeros_like(self.refined.change)
        xyz = np.nan_to_num(refined.adjustment.xyz)
        return linearised(refined.seen, refined.given, still, xyz, np.ones_like(still))[1:]

    @cached_property
    def _normal(self) -> list[np.ndarray]:
        """Of each view, (frames, points, 3, 3): what it tells of each point."""
        slopes = self._slopes[1]
        return [
            np.einsum("fpxi,fpxj->fpij", slopes[:, view], slopes[:, view]) * self._there[:, view, :, None, None]
            for view in range(slopes.shape[1])
        ]


def _basis(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image fields (2 n, 4) at points (n, 2) px: shift right, shift down, turn, growth about their middle."""
    if len(points) < 2:
        raise InputError("a camera saw too few points to be checked.")
    x, y = (points - points.mean(0)).T
    size = max(float(np.hypot(x, y).mean()), 1.0)
    one, none = np.ones_like(x), np.zeros_like(x)
    fields = [(one, none), (none, one), (-y / size, x / size), (x / size, y / size)]
    return np.stack([np.stack(field, -1).ravel() for field in fields], 1), np.array([1.0, 1.0, size, size])
