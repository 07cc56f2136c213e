"""`Body`: a model as the rest of the package sees it. Made from an `.osim` file, never changed in place."""

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Self

import numpy as np

from simspine.arrays import Unchanging
from simspine.body import _opensim
from simspine.body.osim import compile_tree, coordinate_names, enforced_couplers
from simspine.body.tree import Tree
from simspine.errors import InputError, position, require_path
from simspine.formats._text import decoded, notice, read_bytes
from simspine.formats.atomic import write_text
from simspine.formats.safe_xml import parse_xml
from simspine.spine.forced import Coupler

_LARGEST = 64 << 20  # characters of a model file; the largest models in use have some 3 MB
_DEEPEST = 100  # elements within elements; models in use have about 15


@dataclass(frozen=True, eq=False)
class Coordinates(Unchanging):
    """The coordinates of a body, in the model's order. Arrays are (coordinates,); rad where rotational, else m.

    lower, upper: range, held by the solver only where `clamped`. locked: stays at `default`. depends_on: index of the
    coordinate that a coupler ties this one to, −1 where there is none.
    """

    names: tuple[str, ...]
    rotational: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    default: np.ndarray
    clamped: np.ndarray
    locked: np.ndarray
    depends_on: np.ndarray

    def __post_init__(self):
        for field in ("rotational", "lower", "upper", "default", "clamped", "locked", "depends_on"):
            array = np.array(getattr(self, field))
            array.setflags(write=False)
            object.__setattr__(self, field, array)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def dependent(self) -> np.ndarray:
        """(coordinates,) bool: driven by a coupler."""
        return self.depends_on >= 0

    @property
    def free(self) -> np.ndarray:
        """(coordinates,) bool: neither driven by a coupler nor locked; what inverse kinematics solves for."""
        return ~self.dependent & ~self.locked

    def index(self, name: str) -> int:
        """Position of `name`; raises `InputError` listing the names there are."""
        return position(name, self.names, "coordinate")


_ENCODING = re.compile(rb"""\s*<\?xml[^>]*?encoding\s*=\s*(["'])([\w.:-]+)\1""")
_DECLARED = re.compile(r"""^(\s*<\?xml[^>]*?encoding\s*=\s*["'])(?!utf-8["'])[\w.:-]+(["'])""", re.IGNORECASE)
_WESTERN = ("ascii", "us-ascii", "iso-8859-1", "latin-1", "latin1", "windows-1252", "cp1252")


@dataclass(frozen=True, eq=False)
class Body(Unchanging):
    """A kinematic tree with markers. Two bodies are equal if their model files are.

    osim: the model file as text. bodies: names of its rigid bodies. marker_bodies: the body that carries each marker.
    marker_offsets: (markers, 3) m in that body's frame. tree: joints, couplers and markers as flat arrays, which the
    compiled kernels walk; its body 0 is the ground, its body i + 1 is bodies[i].
    """

    name: str
    osim: str
    bodies: tuple[str, ...]
    coordinates: Coordinates
    marker_names: tuple[str, ...]
    marker_bodies: tuple[str, ...]
    marker_offsets: np.ndarray
    tree: Tree

    @property
    def free_names(self) -> tuple[str, ...]:
        """Names of the coordinates that inverse kinematics finds, in the order of `tree.free`."""
        return tuple(self.coordinates.names[i] for i in self.tree.free)

    def __eq__(self, other) -> bool:
        return self.osim == other.osim if isinstance(other, Body) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.osim)

    def __repr__(self) -> str:
        return (
            f"Body({self.name!r}: {len(self.bodies)} bodies, {len(self.coordinates)} coordinates of which "
            f"{self.coordinates.free.sum()} free, {len(self.marker_names)} markers)"
        )

    @classmethod
    def from_osim(cls, path: str | PathLike) -> Self:
        """The body in an OpenSim model file of any version OpenSim reads.

        Raises `InputError` if it is none, or holds what a tree cannot represent (a loop, an unknown joint or function),
        by name.
        """
        return cls.from_text(read_model_file(path), str(path))

    @classmethod
    def from_text(cls, osim: str, where: str = "the text handed in") -> Self:
        """The body in the text of an OpenSim model file. `where` names the source in error messages."""
        check_xml(osim, where)
        try:
            model = _opensim.load(osim)
            model.initSystem()
        except RuntimeError as error:
            raise InputError(f"{where} is XML, but OpenSim cannot make a model of it: {_reason(error)}") from None
        if model.getBodySet().getSize() == 0:
            raise InputError(f"{where} is an OpenSim model without bodies.")
        markers = list(model.getMarkerSet())
        offsets = np.array([_station(marker) for marker in markers]).reshape(-1, 3)
        offsets.setflags(write=False)
        coordinates = _coordinates(model)
        carriers = tuple(marker.getParentFrame().findBaseFrame().getName() for marker in markers)
        return cls(
            name=model.getName(),
            osim=osim,
            bodies=tuple(body.getName() for body in model.getBodySet()),
            coordinates=coordinates,
            marker_names=tuple(marker.getName() for marker in markers),
            marker_bodies=carriers,
            marker_offsets=offsets,
            tree=compile_tree(model, coordinates, carriers, offsets),
        )

    @property
    def couplers(self) -> tuple[Coupler, ...]:
        """The enforced couplers, drivers first."""
        names, tree = self.coordinates.names, self.tree
        return tuple(
            Coupler(names[dependent], names[driver], tree.functions.slope(function))
            for dependent, driver, function in zip(tree.coupled, tree.driver, tree.coupling, strict=True)
        )

    def write_osim(self, path: str | PathLike) -> None:
        """Write the model file, atomically."""
        write_text(path, self.osim)

    def marker_index(self, name: str) -> int:
        """Position of a marker; raises `InputError` listing the markers there are."""
        return position(name, self.marker_names, "marker", f"body {self.name!r}")


def read_model_file(path: str | PathLike) -> str:
    """The text of a model file, in the encoding its first line declares, else as other text files are read.

    A declared encoding is UTF-8 in the text returned, which is what it is written and read in from here on. Raises
    `InputError` if there is no such file, or no text in it.
    """
    require_path(path)
    if not Path(path).exists():
        raise InputError(f"model file {path} does not exist.")
    content = read_bytes(path)
    declared = _ENCODING.match(content)
    encoding = declared[2].decode("ascii").lower() if declared else "utf-8"
    try:
        if encoding not in _WESTERN and not encoding.startswith("utf"):
            return _DECLARED.sub(r"\1UTF-8\2", content.decode(encoding), count=1)
    except (LookupError, UnicodeError) as error:
        raise InputError(f"model file {path} is not in the encoding {encoding!r} that it declares: {error}.") from None
    text, found = decoded(content, path)
    if not found.startswith("utf") and encoding not in _WESTERN:
        notice(f"model file {path} is not in UTF-8, as it should be; read as Windows-1252.")
    return _DECLARED.sub(r"\1UTF-8\2", text, count=1)


def check_xml(osim: str, where: str) -> None:
    """OpenSim takes any of its documents for an empty model, and its parser crashes on some that are not XML, and on
    elements nested without end: look first."""
    if len(osim) > _LARGEST:
        raise InputError(f"{where} is larger than {_LARGEST >> 20} MiB, which no OpenSim model is.")
    try:
        root = parse_xml(osim.encode(), _DEEPEST, "utf-8")  # the text is decoded, whatever its header says
    except (ET.ParseError, UnicodeEncodeError) as error:
        raise InputError(f"{where} is not an OpenSim model: it is not XML ({error}). Expected an .osim file.") from None
    except InputError as error:
        raise InputError(f"{where} is not an OpenSim model: {error}") from None
    if root.tag != "OpenSimDocument" or root.find("Model") is None:
        inside = ", ".join(child.tag for child in list(root)[:3]) or "nothing"
        raise InputError(
            f"{where} is not an OpenSim model: it is a <{root.tag}> holding {inside}. "
            "Expected an .osim file, an <OpenSimDocument> holding a <Model>."
        )


def _reason(error: RuntimeError) -> str:
    """The telling line of an OpenSim exception."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].split("': ", 1)[-1][:300] if lines else "no reason given."


def _station(marker) -> np.ndarray:
    """Offset of a marker in the frame of the body that carries it (its own frame may be one fixed to the body)."""
    state = marker.getModel().getWorkingState()
    return marker.findLocationInFrame(state, marker.getParentFrame().findBaseFrame()).to_numpy()


def _coordinates(model) -> Coordinates:
    listed = list(model.getCoordinateSet())
    names = tuple(c.getName() for c in listed)
    depends_on = np.full(len(names), -1)
    for dependent, driver, _ in enforced_couplers(model):
        depends_on[names.index(dependent)] = names.index(driver)
    return Coordinates(
        names=names,
        rotational=np.array([_is_rotational(c) for c in listed], bool),
        lower=np.array([c.getRangeMin() for c in listed]),
        upper=np.array([c.getRangeMax() for c in listed]),
        default=np.array([c.getDefaultValue() for c in listed]),
        clamped=np.array([c.getDefaultClamped() for c in listed], bool),
        locked=np.array([c.getDefaultLocked() for c in listed], bool),
        depends_on=depends_on,
    )


def _is_rotational(coordinate) -> bool:
    """True for an angle. OpenSim's motion type 'coupled' (an angle that also shifts the joint, such as
    knee_angle_r_beta) says nothing, so the axes of the joint decide."""
    osim = _opensim.api()
    if coordinate.getMotionType() != osim.Coordinate.Coupled:
        return coordinate.getMotionType() == osim.Coordinate.Rotational
    joint = osim.CustomJoint.safeDownCast(coordinate.getJoint())
    axes = [] if joint is None else [joint.getSpatialTransform().getTransformAxis(i) for i in range(3)]
    return any(coordinate.getName() in coordinate_names(axis) for axis in axes)
