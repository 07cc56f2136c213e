"""Where each vertebra of the model is within the body that carries it: centroid and endplate planes.

The figures are data (`opensim_models/endplates.yaml`), measured once from the model's own meshes by
`tools/measure_endplates.py`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from simspine.data_files import models_folder, read_mapping
from simspine.errors import InputError, unknown_name

SIDES = ("superior", "inferior")
# The model's mesh files of the spine, from the head down.
MESH_LEVELS = {
    **{f"cerv{i}sm.vtp": f"C{i}" for i in range(1, 7)},
    "cerv7.vtp": "C7",
    **{f"thoracic{i}_s.vtp": f"T{i}" for i in range(1, 13)},
    **{f"lumbar{i}.vtp": f"L{i}" for i in range(1, 6)},
    "sacrum.vtp": "S1",
}

# How far endplates of people tilt from those of the model, rad, one standard deviation in the sagittal plane: the
# sacral table angle, 0.66 of the pelvic incidence's 10.5° (Ru 2023, Mac-Thiong 2011; A), and the wedging of vertebrae,
# 2° (Been 2010, Goh 1999; C), in which the model's are off the mean like anybody's.
SACRAL_TILT_SD, TILT_SD = float(np.radians(6.9)), float(np.radians(3.0))

NEUTRAL_LLA = float(np.radians(64.3))  # between L1's and S1's, with all coordinates 0 (docs/spine.md)

# How far the rear corner of S1 lies elsewhere in people than in the model, m, along the horizontal, one standard
# deviation: half the endplate's depth varies by 1.5 mm (C), and the tilt turns the corner about the centre, 16 mm off.
CORNER_SD = 0.002

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Endplate:
    """A plane on a body: centre (m) and unit normal in the body's frame. The normal always points towards the head.

    rear: the plate's rear edge in the body's mid-plane, m; None where that is not known.
    """

    body: str
    centre: Point
    normal: Point
    rear: Point | None = None

    def __post_init__(self):
        for field in ("centre", "normal", *(["rear"] if self.rear is not None else [])):
            value = tuple(float(v) for v in getattr(self, field))
            if len(value) != 3 or not np.isfinite(value).all():
                raise InputError(f"Endplate.{field} on {self.body!r} is {value}, expected three finite numbers.")
            object.__setattr__(self, field, value)
        length = np.linalg.norm(self.normal)
        if abs(length - 1) > 1e-3:
            raise InputError(f"Endplate.normal on {self.body!r} has length {length:.4f}, expected 1.")


@dataclass(frozen=True)
class Vertebra:
    """One vertebra as the model carries it: level ('L1'), centroid (m, body frame), endplates if it has any."""

    level: str
    body: str
    centroid: Point
    superior: Endplate | None = None
    inferior: Endplate | None = None
    mesh: str = ""

    def moved(self, body: str, move: Callable[[Point], Point]) -> "Vertebra":
        """The vertebra on `body`, with all its points moved; normals stay."""
        superior, inferior = (
            None
            if plate is None
            else replace(
                plate, body=body, centre=move(plate.centre), rear=None if plate.rear is None else move(plate.rear)
            )
            for plate in (self.superior, self.inferior)
        )
        return replace(self, body=body, centroid=move(self.centroid), superior=superior, inferior=inferior)


Vertebrae = dict[str, Vertebra]


def endplate(vertebrae: Mapping[str, Vertebra], level: str, side: str) -> Endplate:
    """The 'superior' or 'inferior' endplate of a level; raises `InputError` naming those there are."""
    if level not in vertebrae:
        raise unknown_name("vertebra", level, vertebrae)
    if side not in SIDES:
        raise unknown_name("endplate", side, SIDES)
    found = getattr(vertebrae[level], side)
    if found is None:
        raise InputError(f"the model's {level} has no {side} endplate; choose a level from C3 to S1.")
    return found


def tilted(plate: Endplate, back: float) -> Endplate:
    """The endplate turned about its centre so that its normal leans back by that angle (rad) in its body's sagittal
    plane; forward if negative."""
    c, s = np.cos(back), np.sin(back)
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    rear = None
    if plate.rear is not None:
        rear = point_from(np.array(plate.centre) + turn @ (np.array(plate.rear) - plate.centre))
    return replace(plate, normal=point_from(turn @ np.array(plate.normal)), rear=rear)


def with_tilted_sacrum(vertebrae: Mapping[str, Vertebra], forward: float) -> Vertebrae:
    """The vertebrae with the sacrum's endplate tilted forward by that angle (rad); its bone stays."""
    sacrum = vertebrae["S1"]
    if sacrum.superior is None:
        return dict(vertebrae)
    return {**vertebrae, "S1": replace(sacrum, superior=tilted(sacrum.superior, -forward))}


def displaced(vertebrae: Mapping[str, Vertebra], places: Mapping[str, Point]) -> Vertebrae:
    """The vertebrae with some of them elsewhere on their bodies. places: {level: m along the body's axes}."""
    found = dict(vertebrae)
    for level in found.keys() & places.keys():
        found[level] = _displaced(found[level], places[level])
    return found


def _displaced(vertebra: Vertebra, by: Point) -> Vertebra:
    return vertebra.moved(vertebra.body, lambda at: point_from(np.add(at, by)))


def scaled(vertebrae: Mapping[str, Vertebra], factors: Mapping[str, float]) -> Vertebrae:
    """The same vertebrae on a scaled body. factors: {body: scale}, 1 where absent.

    Scaling is isotropic within a body, so positions are multiplied and normals stay as they are.
    """
    return {level: _scaled(vertebra, factors.get(vertebra.body, 1.0)) for level, vertebra in vertebrae.items()}


def _scaled(vertebra: Vertebra, factor: float) -> Vertebra:
    if not (np.isfinite(factor) and factor > 0):
        raise InputError(f"scale factor of body {vertebra.body!r} is {factor}, expected a positive number.")
    return vertebra.moved(vertebra.body, lambda point: (factor * point[0], factor * point[1], factor * point[2]))


def point_from(values: Iterable[float]) -> Point:
    """Three numbers, such as a list in a file."""
    x, y, z = map(float, values)
    return x, y, z


def read_endplates(path: str | Path | None = None) -> Vertebrae:
    """Vertebrae from a YAML file as `tools.measure_endplates` writes it (default: the one shipped), head to sacrum."""
    path = Path(path or models_folder() / "endplates.yaml")
    try:
        entries = read_mapping(path)["vertebrae"]
        return {level: _from_yaml(level, entry) for level, entry in entries.items()}
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"{path}: not a file of endplates ({type(error).__name__}: {error}).") from error


def _from_yaml(level: str, entry: Mapping) -> Vertebra:
    superior, inferior = (
        Endplate(entry["body"], entry[side]["centre"], entry[side]["normal"], entry[side].get("rear"))
        if entry.get(side)
        else None
        for side in SIDES
    )
    return Vertebra(level, entry["body"], point_from(entry["centroid"]), superior, inferior, entry.get("mesh", ""))
