"""`Body`: a model as the rest of the package sees it, made from an `.osim` file, never changed in place.

`forward_kinematics` and `body_poses` take coordinates to places of markers and poses of bodies, by the compiled tree.
Coordinates are taken as given, also those driven by couplers: the result is exactly the model at these values.
"""

import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Self

import numpy as np

from simspine.anatomy import osim as _opensim
from simspine.anatomy.osim import axis_coordinate_names, compile_tree, enforced_couplers
from simspine.anatomy.tree import Tree, all_poses, apply_couplers_to_frames
from simspine.anatomy.vertebrae import Coupler
from simspine.core.arrays import Unchanging
from simspine.core.errors import InputError, index_of_name, require_known
from simspine.core.types import MOST_RADIANS, Markers, Motion
from simspine.io.atomic import write_text
from simspine.io.guarded import parse_xml, strict_xml
from simspine.io.text_tables import decode_text, list_names, read_bytes, warn_assumed, warn_left_out

_MAX_MODEL_CHARACTERS = 64 << 20  # characters of a model file; the largest models in use have some 3 MB


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
            self._set(**{field: array})

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
        return index_of_name(name, self.names, "coordinate")


_XML_ENCODING = re.compile(rb"""\s*<\?xml[^>]*?encoding\s*=\s*(["'])([\w.:-]+)\1""")
_DECLARED_ENCODING = re.compile(r"""^(\s*<\?xml[^>]*?encoding\s*=\s*["'])(?!utf-8["'])[\w.:-]+(["'])""", re.IGNORECASE)
_FOLDER_OF_MESH = re.compile(r"(<(?:mesh|geometry)_file>)[^<]*[/\\]")
_CONTACT_MESH = re.compile(r"<ContactMesh[ >].*?</ContactMesh>", re.DOTALL)
_FORCE_OF_MESHES = re.compile(r"<(HuntCrossleyForce|ElasticFoundationForce)[ >].*?</\1>", re.DOTALL)
_WESTERN_ENCODINGS = ("ascii", "us-ascii", "iso-8859-1", "latin-1", "latin1", "windows-1252", "cp1252")


@dataclass(frozen=True, eq=False)
class Body(Unchanging):
    """A kinematic tree with markers. Two bodies are equal if their model files are.

    Attributes
    ----------
    name : str
    osim : str
        The model file as text.
    bodies : tuple of str
        Names of the rigid bodies.
    coordinates : Coordinates
        Names, defaults and ranges (rad, m).
    marker_names : tuple of str
    marker_bodies : tuple of str
        The body that carries each marker.
    marker_offsets : (markers, 3) array
        Place of each marker in that body's frame, m.
    tree : Tree
        Joints, couplers and markers as flat arrays for the compiled kernels; its body 0 is the ground, its body i + 1
        is bodies[i].

    Examples
    --------
    >>> body = ss.Body.from_osim("person.osim")
    >>> body.coordinates.names[:3]
    ('pelvis_tilt', 'pelvis_list', 'pelvis_rotation')
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
        """Read an OpenSim model file of any version that OpenSim reads.

        Parameters
        ----------
        path : path

        Returns
        -------
        Body

        Raises
        ------
        InputError
            For a file that is no model, or holds what a tree cannot represent (a loop, an unknown joint or function).
        """
        return cls.from_text(read_model_file(path), str(path))

    @classmethod
    def from_text(cls, osim: str, where: str = "the text handed in") -> Self:
        """The body in the text of an OpenSim model file. `where` names the source in error messages."""
        osim = _without_lost_meshes(_FOLDER_OF_MESH.sub(r"\1", osim), where)
        check_xml(osim, where)
        return cls._of_checked_text(osim, where)

    @classmethod
    def of_model(cls, model, where: str) -> Self:
        """The body of an `opensim.Model`, which its text holds to the last bit and which is not checked again."""
        return cls._of_checked_text(_FOLDER_OF_MESH.sub(r"\1", _opensim.opensim_model_xml(model)), where, model)

    @classmethod
    def _of_checked_text(cls, osim: str, where: str, model=None) -> Self:
        try:
            model = _opensim.load_opensim_model(osim) if model is None else model
            model.initSystem()
        except RuntimeError as error:
            raise InputError(
                f"{where} is XML, but OpenSim cannot make a model of it: {_opensim_reason(error)}"
            ) from None
        if model.getBodySet().getSize() == 0:
            raise InputError(f"{where} is an OpenSim model without bodies.")
        markers = list(model.getMarkerSet())
        state, bases = model.getWorkingState(), [marker.getParentFrame().findBaseFrame() for marker in markers]
        places = (m.findLocationInFrame(state, base).to_numpy() for m, base in zip(markers, bases, strict=True))
        offsets = np.array(list(places)).reshape(-1, 3)
        offsets.setflags(write=False)
        coordinates = _coordinates_of_model(model)
        carriers = tuple(base.getName() for base in bases)
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
        return index_of_name(name, self.marker_names, "marker", f"body {self.name!r}")


def read_model_file(path: str | PathLike) -> str:
    """The text of a model file, in the encoding its first line declares, else as other text files are read.

    The text returned declares UTF-8, in which it is written and read from here on. Raises
    `InputError` if there is no such file, or no text in it.
    """
    content = read_bytes(path)
    declared = _XML_ENCODING.match(content)
    encoding = declared[2].decode("ascii").lower() if declared else "utf-8"
    try:
        if encoding not in _WESTERN_ENCODINGS and not encoding.startswith("utf"):
            return _DECLARED_ENCODING.sub(r"\1UTF-8\2", content.decode(encoding), count=1)
    except (LookupError, UnicodeError) as error:
        raise InputError(f"model file {path} is not in the encoding {encoding!r} that it declares: {error}.") from None
    text, encoding_read = decode_text(content, path)
    if not encoding_read.startswith("utf") and encoding not in _WESTERN_ENCODINGS:
        warn_assumed(f"model file {path} is not in UTF-8, as it should be; read as Windows-1252.")
    return _DECLARED_ENCODING.sub(r"\1UTF-8\2", text, count=1)


def _without_lost_meshes(osim: str, where: str) -> str:
    """A model's text without the contact of meshes that OpenSim would not find: it looks in the working folder only."""
    lost = {}
    for mesh in _CONTACT_MESH.findall(osim):
        name, file = re.search(r"""name=["']([^"']*)""", mesh), re.search(r"<filename>([^<]*)<", mesh)
        path = Path(file[1].strip() if file else "")
        if name and (len(path.parts) != 1 or not path.is_file()):
            lost[name[1]] = mesh
    if not lost:
        return osim
    warn_left_out(f"{where}: contact of the mesh {list_names(lost)} is left out; motion does not depend on it.")

    def kept(force: re.Match[str]) -> str:
        geometry = " ".join(re.findall(r"<geometry>([^<]*)<", force[0])).split()
        return "" if lost.keys() & geometry else force[0]

    return _FORCE_OF_MESHES.sub(kept, _CONTACT_MESH.sub(lambda one: "" if one[0] in lost.values() else one[0], osim))


def check_xml(osim: str, where: str) -> None:
    """Raise `InputError` unless the text is a model in one file. OpenSim would take its other documents for an empty
    model, and its parser crashes on some texts that are not XML and on elements nested without end."""
    if len(osim) > _MAX_MODEL_CHARACTERS:
        raise InputError(f"{where} is larger than {_MAX_MODEL_CHARACTERS >> 20} MiB, which no OpenSim model is.")
    try:  # the text is decoded, whatever its header says
        root = parse_xml(strict_xml(osim))
    except (ET.ParseError, UnicodeEncodeError) as error:
        raise InputError(f"{where} is not an OpenSim model: it is not XML ({error}). Expected an .osim file.") from None
    except InputError as error:
        raise InputError(f"{where} is not an OpenSim model: {error}") from None
    if root.tag != "OpenSimDocument" or [child.tag for child in root] != ["Model"]:
        inside = ", ".join(child.tag for child in list(root)[:3]) or "nothing"
        raise InputError(f"{where} is not an OpenSim model: it is a <{root.tag}> holding {inside}, not one <Model>.")
    for element in root.iter():
        named = element.get("file") or (element.tag.endswith(("file", "files", "filename")) and element.text) or ""
        if "file" in element.attrib or re.search(r"[/\\]", named):
            raise InputError(
                f"{where}: <{element.tag:.40}> is in another file ({named:.100}). Save the model as one file."
            )
    _opensim.check_functions_of_axes(root, where)


def _opensim_reason(error: RuntimeError) -> str:
    """The telling line of an OpenSim exception."""
    if unknown := re.search(r"object type '{?(\w+)}?' is not a registered", str(error)):
        return f"it knows no <{unknown[1]}>, perhaps of a plugin. Remove it, or rewrite it with OpenSim's own classes."
    lines = [line.strip() for line in re.sub(r"^std::exception in '.*?': ", "", str(error)).splitlines()]
    said = [line for line in lines if line and not line.startswith("SimTK Exception")]
    return said[0].split("': ", 1)[-1][:300] if said else "no reason given."


def _coordinates_of_model(model) -> Coordinates:
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
    knee_angle_r_beta) does not show it, so the axes of the joint decide."""
    osim = _opensim.opensim_api()
    if coordinate.getMotionType() != osim.Coordinate.Coupled:
        return coordinate.getMotionType() == osim.Coordinate.Rotational
    joint = osim.CustomJoint.safeDownCast(coordinate.getJoint())
    axes = [] if joint is None else [joint.getSpatialTransform().getTransformAxis(i) for i in range(3)]
    return any(coordinate.getName() in axis_coordinate_names(axis) for axis in axes)


FRAMES_PER_POSE_BATCH = 1000  # frames; poses of all bodies in all frames would take most of the memory


def forward_kinematics(body: Body, motion: Motion, names: Sequence[str] | None = None) -> Markers:
    """Markers of a body at given coordinates.

    Parameters
    ----------
    body : Body
    motion : Motion
        Coordinates that it lacks are at their default, or follow their coupler.
    names : sequence of str, optional
        The markers wanted, in this order; all of the body by default.

    Returns
    -------
    Markers
        m, y_up; NaN in frames with NaN values.

    Raises
    ------
    InputError
        For a coordinate or a marker that the body does not have.

    Examples
    --------
    >>> body = ss.Body.from_osim("person.osim")
    >>> motion = ss.Motion(["knee_angle_r"], rate=60, values=[[0.1], [0.2]], rotational=[True])
    >>> ss.forward_kinematics(body, motion, names=["RKnee", "RAnkle"]).xyz.shape
    (2, 2, 3)
    """
    values = _all_values(body, motion)
    names = body.marker_names if names is None else tuple(names)
    indices = [body.marker_index(name) for name in names]
    xyz = np.empty((motion.frames, len(indices), 3))
    for start in range(0, motion.frames, FRAMES_PER_POSE_BATCH):
        part = slice(start, start + FRAMES_PER_POSE_BATCH)
        xyz[part] = all_poses(body.tree, values[part])[2][:, indices]
    xyz.setflags(write=False)
    return Markers(names, motion.rate, xyz, "y_up", start=motion.start)


def body_poses(body: Body, motion: Motion) -> dict[str, np.ndarray]:
    """Pose of each rigid body in ground (y_up), `x_ground = pose @ x_body`.

    Parameters
    ----------
    body : Body
    motion : Motion
        Coordinates that it lacks are at their default, or follow their coupler.

    Returns
    -------
    {str: (frames, 4, 4) array}
        By body, m, read-only; NaN in frames with NaN values.

    Raises
    ------
    InputError
        For a coordinate that the body does not have.
    """
    values = _all_values(body, motion)
    poses = np.zeros((motion.frames, body.tree.bodies, 4, 4))
    for start in range(0, motion.frames, FRAMES_PER_POSE_BATCH):
        part = slice(start, start + FRAMES_PER_POSE_BATCH)
        R, p, _ = all_poses(body.tree, values[part])
        poses[part, :, :3, :3], poses[part, :, :3, 3], poses[part, :, 3, 3] = R, p, 1.0
        poses[part][~np.isfinite(p).all(-1)] = np.nan
    poses.setflags(write=False)
    return {name: poses[:, i + 1] for i, name in enumerate(body.bodies)}


def neutral_motion(body: Body, values: Mapping[str, float] | None = None) -> Motion:
    """One frame with all coordinates at their default, except those in `values` (rad, m); couplers are followed."""
    row = body.coordinates.default.copy()
    for name, value in (values or {}).items():
        row[body.coordinates.index(name)] = value
    return Motion(body.coordinates.names, 1.0, follow_couplers(body, row[None]), body.coordinates.rotational)


def neutral_poses(body: Body, values: Mapping[str, float] | None = None) -> dict[str, np.ndarray]:
    """Poses (4, 4) of the bodies in the neutral pose: {name: pose}."""
    return {name: pose[0] for name, pose in body_poses(body, neutral_motion(body, values)).items()}


def neutral_markers(body: Body, poses: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
    """Markers (markers, 3) m in the neutral pose, or in the pose of `poses` (as from `neutral_poses`)."""
    poses = neutral_poses(body) if poses is None else poses
    carried = zip((poses[name] for name in body.marker_bodies), body.marker_offsets, strict=True)
    return np.array([pose[:3, :3] @ offset + pose[:3, 3] for pose, offset in carried]).reshape(-1, 3)


def follow_couplers(body: Body, values: np.ndarray) -> np.ndarray:
    """A copy of `values` (frames, coordinates) with the driven coordinates set exactly by their couplers."""
    followed = np.array(values, float)
    apply_couplers_to_frames(body.tree, followed)
    return followed


def _all_values(body: Body, motion: Motion) -> np.ndarray:
    """Values (frames, coordinates) for all coordinates of `body`, in its order.

    Where `motion` has none: the default, or the coupler's value for a driven coordinate. Frames with a NaN are NaN.
    """
    names = body.coordinates.names
    require_known("coordinate", motion.names, names, f"body {body.name!r}")
    values = np.tile(body.coordinates.default, (motion.frames, 1))
    given = [body.coordinates.index(name) for name in motion.names]
    values[:, given] = motion.values
    largest = np.sort(np.nanmax(np.abs(values[:, body.coordinates.rotational]), axis=0, initial=0.0))
    most = float(largest[-2:][:1].max(initial=0.0))  # the second largest: a person may turn round many times
    if most > MOST_RADIANS:
        warnings.warn(f"angles reach {most:.3g} rad. Are they degrees? Radians are wanted.", stacklevel=3)
    followed = follow_couplers(body, values)
    followed[:, given] = motion.values
    for i in np.flatnonzero(body.coordinates.locked):
        moved = followed[np.isfinite(followed[:, i]) & (followed[:, i] != body.coordinates.default[i]), i]
        if moved.size:
            where = f"the coordinate {names[i]!r} is locked at {body.coordinates.default[i]:g} in the model"
            raise InputError(f"{where}, the motion has {moved[0]:g}. Unlock it, or leave it out of the motion.")
    followed[~np.isfinite(followed).all(1)] = np.nan  # a pose is known entirely or not at all
    return followed
