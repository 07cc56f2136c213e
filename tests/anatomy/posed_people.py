"""Bodies posed by hand whose alignment is known by construction: one rigid column of vertebrae on a pelvis."""

import numpy as np

from simspine.anatomy.curvature import Endplate, Vertebra

NAMES = (*(f"C{i}" for i in range(1, 8)), *(f"T{i}" for i in range(1, 13)), *(f"L{i}" for i in range(1, 6)), "S1")
UPWARDS = (0.0, 1.0, 0.0)


def turn(axis: str, degrees: float) -> np.ndarray:
    """(3, 3) right-hand rotation about x, y or z."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    R = np.eye(3)
    R[i, i] = R[j, j] = c
    R[i, j], R[j, i] = -s, s
    return R


def vertebrae(slope: float = 40.0, depth: float = 0.032) -> dict[str, Vertebra]:
    """Each on a body of its own name but S1, on 'sacrum', whose endplate slopes down forwards by `slope` degrees, and
    is `depth` m deep."""
    forwards = (np.sin(np.radians(slope)), np.cos(np.radians(slope)), 0.0)
    rear = (-depth / 2 * forwards[1], depth / 2 * forwards[0], 0.0)
    plates = {}
    for name in NAMES[:-1]:
        sides = [Endplate(name, (0.0, y, 0.0), UPWARDS) for y in (0.01, -0.01)]
        plates[name] = Vertebra(name, name, (0.0, 0.0, 0.0), *sides)
    top = Endplate("sacrum", (0.0, 0.0, 0.0), forwards, rear)
    return plates | {"S1": Vertebra("S1", "sacrum", (0.0, -0.01, 0.0), top)}


def pose(rotation: np.ndarray | None = None, place=(0.0, 0.0, 0.0)) -> np.ndarray:
    """(1, 4, 4)."""
    found = np.eye(4)
    found[:3, :3] = np.eye(3) if rotation is None else rotation
    found[:3, 3] = place
    return found[None]


def standing(behind: float = 0.04, above: float = 0.1) -> dict[str, np.ndarray]:
    """Poses (1, 4, 4) of a straight spine above a sacrum that is `behind` and `above` the hips, m."""
    poses = {name: pose(place=(0.0, 0.02 * (len(NAMES) - 1 - i), 0.0)) for i, name in enumerate(NAMES[:-1])}
    poses |= {"sacrum": pose(), "pelvis": pose()}
    return poses | {f"femur_{side}": pose(place=(behind, -above, z)) for side, z in (("r", 0.09), ("l", -0.09))}


def moved(poses: dict[str, np.ndarray], rotation: np.ndarray, shift=(0.0, 0.0, 0.0)) -> dict[str, np.ndarray]:
    """All bodies turned about the origin, then shifted."""
    return {name: pose(rotation, shift) @ own for name, own in poses.items()}
