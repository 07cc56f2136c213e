"""Forward kinematics of a compiled `Tree` as a layer of a network: differentiable by coordinates and sizes.

The same numbers as `body.kernels`, whose walk it repeats: a joint translates, then turns about the shifted origin.
All joints' own transforms are made at once; only the chain from the ground outwards is a loop. Needs PyTorch.
"""

import numpy as np
import torch
from torch import Tensor, nn

from simspine.body.tree import Functions, Tree


class TreeKinematics(nn.Module):
    """Markers of a body at given free coordinates: `forward`.

    tree: of the body. Constants are kept in double precision; `.float()` makes a faster, coarser layer of it.
    """

    def __init__(self, tree: Tree):
        super().__init__()
        self.parent, self.child = tree.parent.tolist(), tree.child.tolist()
        self.bodies = int(tree.bodies)
        self.couplers = list(zip(tree.coupled.tolist(), tree.driver.tolist(), strict=True))
        for name in ("to_joint", "from_joint", "axes", "marker_offset", "rest"):
            self.register_buffer(name, torch.as_tensor(np.array(getattr(tree, name)), dtype=torch.float64))
        for name in ("free", "marker_body"):
            self.register_buffer(name, torch.as_tensor(np.array(getattr(tree, name))))
        self.register_buffer("parent_index", torch.as_tensor(np.array(tree.parent)))
        self.register_buffer("child_index", torch.as_tensor(np.array(tree.child)))
        joints, numbers = np.nonzero(tree.function >= 0)
        self.register_buffer("joint_of", torch.as_tensor(joints))
        self.register_buffer("axis_of", torch.as_tensor(numbers))
        argument = tree.argument[joints, numbers]
        self.register_buffer("argument", torch.as_tensor(np.maximum(argument, 0)))
        self.register_buffer("given", torch.as_tensor(argument >= 0))
        self.curves = PiecewisePolynomials(tree.functions, tree.function[joints, numbers])
        self.coupling = nn.ModuleList(PiecewisePolynomials(tree.functions, np.array([f])) for f in tree.coupling)

    def forward(self, free: Tensor, factors: "Tensor | None" = None) -> Tensor:
        """(batch, markers, 3) m in the ground's frame, y_up.

        free: (batch, free coordinates) rad; m. factors: (batch, bodies) sizes, ground first, as in `scaled_tree`.
        """
        rotation, place = self.poses(free, factors)
        offset = self.marker_offset.expand(free.shape[0], -1, -1)
        if factors is not None:
            offset = offset * factors[:, self.marker_body, None]
        turned = (rotation[:, self.marker_body] @ offset[..., None])[..., 0]
        return turned + place[:, self.marker_body]

    def poses(self, free: Tensor, factors: "Tensor | None" = None) -> tuple[Tensor, Tensor]:
        """Rotations (batch, bodies, 3, 3) and origins (batch, bodies, 3) of the bodies in the ground's frame."""
        local = self._joint_transforms(self.coordinates(free), factors)
        ground = torch.eye(4, dtype=free.dtype, device=free.device).expand(free.shape[0], 4, 4)
        of_body: list[Tensor] = [ground] * self.bodies
        for j, (parent, child) in enumerate(zip(self.parent, self.child, strict=True)):
            of_body[child] = of_body[parent] @ local[:, j]
        stacked = torch.stack(of_body, 1)
        return stacked[..., :3, :3], stacked[..., :3, 3]

    def coordinates(self, free: Tensor) -> Tensor:
        """All coordinates (batch, coordinates): locked ones at rest, driven ones by their couplers."""
        columns = list(self.rest.to(free).expand(free.shape[0], -1).unbind(1))
        for k, c in enumerate(self.free.tolist()):
            columns[c] = free[:, k]
        for (coupled, driver), curve in zip(self.couplers, self.coupling, strict=True):
            columns[coupled] = curve(columns[driver][:, None])[:, 0]
        return torch.stack(columns, 1)

    def _joint_transforms(self, q: Tensor, factors: "Tensor | None") -> Tensor:
        """(batch, joints, 4, 4) from each joint's child body to its parent."""
        batch, joints = q.shape[0], len(self.parent)
        argument = torch.where(self.given, q[:, self.argument], torch.zeros_like(q[:, :1]))
        values = q.new_zeros(batch, joints, 6)
        values[:, self.joint_of, self.axis_of] = self.curves(argument)
        to_place, from_place = self.to_joint[:, :, 3], self.from_joint[:, :, 3]
        shift = (values[:, :, 3:, None] * self.axes[:, 3:]).sum(2)
        if factors is not None:
            of_parent, of_child = factors[:, self.parent_index, None], factors[:, self.child_index, None]
            to_place, from_place, shift = to_place * of_parent, from_place * of_child, shift * of_parent
        turn = rotations(self.axes[:, :3], values[:, :, :3])
        turned = turn[:, :, 0] @ turn[:, :, 1] @ turn[:, :, 2]
        before, after = self.to_joint[:, :, :3], self.from_joint[:, :, :3]
        rotation = before @ turned @ after
        origin = to_place + (before @ (shift[..., None] + turned @ _column(from_place, batch)))[..., 0]
        top = torch.cat([rotation, origin[..., None]], -1)
        bottom = q.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(batch, joints, 1, 4)
        return torch.cat([top, bottom], -2)


class PiecewisePolynomials(nn.Module):
    """Several functions of `Functions` at once, each of its own argument: (batch, functions) in and out."""

    def __init__(self, functions: Functions, which: np.ndarray):
        super().__init__()
        most = int((functions.first[which + 1] - functions.first[which]).max()) if len(which) else 1
        left = np.full((len(which), max(most - 1, 1)), np.inf)  # onnxruntime sums an empty axis to anything
        for row, f in enumerate(which):
            inner = functions.left[functions.first[f] + 1 : functions.first[f + 1]]
            left[row, : len(inner)] = inner
        self.register_buffer("left", torch.as_tensor(left))
        self.register_buffer("first", torch.as_tensor(functions.first[which]))
        self.register_buffer("anchor", torch.as_tensor(np.array(functions.anchor, float)))
        self.register_buffer("coefficients", torch.as_tensor(np.array(functions.coefficients, float)))

    def forward(self, x: Tensor) -> Tensor:
        piece = self.first + (x.detach()[..., None] >= self.left).sum(-1)
        local = x - self.anchor[piece]
        value = torch.zeros_like(x)
        for coefficient in reversed(self.coefficients[piece].unbind(-1)):
            value = value * local + coefficient
        return value


def rotations(axes: Tensor, angles: Tensor) -> Tensor:
    """(batch, …, 3, 3) rotations by angles (batch, …) rad about unit axes (…, 3): Rodrigues' formula."""
    cosine, sine = torch.cos(angles), torch.sin(angles)
    x, y, z = axes.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*x.shape, 3, 3)
    outer = axes[..., :, None] * axes[..., None, :]
    eye = torch.eye(3, dtype=axes.dtype, device=axes.device)
    return cosine[..., None, None] * (eye - outer) + sine[..., None, None] * cross + outer


def orthonormal(six: Tensor) -> Tensor:
    """(batch, 3, 3) rotations from any two vectors (batch, 6), by Gram and Schmidt (Zhou 2019): continuous."""
    first = nn.functional.normalize(six[:, :3], dim=-1)
    second = nn.functional.normalize(six[:, 3:] - (first * six[:, 3:]).sum(-1, keepdim=True) * first, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)


def _column(place: Tensor, batch: int) -> Tensor:
    """Places (joints, 3) or (batch, joints, 3) as columns (batch, joints, 3, 1)."""
    return (place.expand(batch, -1, -1) if place.dim() == 2 else place)[..., None]
