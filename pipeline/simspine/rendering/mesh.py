"""What is drawn: triangles of several materials, and the light that falls on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Pattern(IntEnum):
    """What a material's second colour does."""

    PLAIN = 0  # nothing
    RINGS = 1  # stripes across the body
    STRIPES = 2  # stripes along the body
    CHECKS = 3
    BLOTCHES = 4


@dataclass(frozen=True)
class Material:
    """colour, second: linear RGB 0…1. size: m, of the pattern. mottle: how far the colour varies by itself, a share.
    fold: how far bumps turn the normal, rad, each `fold_size` m long. gloss: strength of the highlight, 0…1.
    """

    colour: tuple[float, float, float]
    second: tuple[float, float, float] = (0.0, 0.0, 0.0)
    pattern: Pattern = Pattern.PLAIN
    size: float = 0.04
    mottle: float = 0.05
    fold: float = 0.0
    fold_size: float = 0.05
    gloss: float = 0.05


@dataclass(frozen=True, eq=False)
class Mesh:
    """points, normals: (n, 3) m in the world. looks: (n, 7) float32, what stays with the surface as it moves, see
    `looks`. triangles: (t, 3) int32. material: (t,) number in `materials`.
    """

    points: np.ndarray
    normals: np.ndarray
    looks: np.ndarray
    triangles: np.ndarray
    material: np.ndarray
    materials: tuple[Material, ...]


def looks(texture: np.ndarray, tint: np.ndarray, open_sky: np.ndarray) -> np.ndarray:
    """(n, 7) float32: texture (n, 3) m, places for patterns; tint (n, 3), factors of the colour; open_sky (n,) 0…1."""
    return np.column_stack([texture, tint, open_sky]).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Light:
    """way: (3,) unit vector towards the lamp or sun. strength, sky, ground: (3,) linear RGB; sky lights from above,
    ground from below."""

    way: np.ndarray
    strength: np.ndarray
    sky: np.ndarray
    ground: np.ndarray


def joined(parts: Sequence[Mesh]) -> Mesh:
    """Several meshes as one."""
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *(len(part.points) for part in parts)])
    firsts = np.cumsum([0, *(len(part.materials) for part in parts)])
    return Mesh(
        points=np.concatenate([p.points for p in parts]),
        normals=np.concatenate([p.normals for p in parts]),
        looks=np.concatenate([p.looks for p in parts]),
        triangles=np.concatenate([p.triangles + np.int32(start) for p, start in zip(parts, starts[:-1], strict=True)]),
        material=np.concatenate([p.material + first for p, first in zip(parts, firsts[:-1], strict=True)]),
        materials=tuple(material for part in parts for material in part.materials),
    )  # fmt: skip


def table(materials: Sequence[Material]) -> np.ndarray:
    """(materials, 12) float32, as the compiled shader reads them."""
    return np.array(
        [[*m.colour, *m.second, float(m.pattern), m.size, m.mottle, m.fold, m.fold_size, m.gloss] for m in materials],
        np.float32,
    )
