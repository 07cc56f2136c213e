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
    """points, normals: (n, 3) m in the world. texture: (n, 3) m, places that stay with the surface as it moves. tint:
    (n, 3) factors of the colour. open_sky: (n,) 0…1. triangles: (t, 3). material: (t,) number in `materials`.
    """

    points: np.ndarray
    normals: np.ndarray
    texture: np.ndarray
    tint: np.ndarray
    open_sky: np.ndarray
    triangles: np.ndarray
    material: np.ndarray
    materials: tuple[Material, ...]


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
    starts = np.cumsum([0, *(len(part.points) for part in parts)])
    firsts = np.cumsum([0, *(len(part.materials) for part in parts)])
    return Mesh(
        points=np.concatenate([p.points for p in parts]),
        normals=np.concatenate([p.normals for p in parts]),
        texture=np.concatenate([p.texture for p in parts]),
        tint=np.concatenate([p.tint for p in parts]),
        open_sky=np.concatenate([p.open_sky for p in parts]),
        triangles=np.concatenate([p.triangles + start for p, start in zip(parts, starts[:-1], strict=True)]),
        material=np.concatenate([p.material + first for p, first in zip(parts, firsts[:-1], strict=True)]),
        materials=tuple(material for part in parts for material in part.materials),
    )  # fmt: skip


def table(materials: Sequence[Material]) -> np.ndarray:
    """(materials, 12) float32, as the compiled shader reads them."""
    return np.array(
        [[*m.colour, *m.second, float(m.pattern), m.size, m.mottle, m.fold, m.fold_size, m.gloss] for m in materials],
        np.float32,
    )
