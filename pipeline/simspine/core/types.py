"""The few types that cross module borders.

Frozen dataclasses over read-only NumPy arrays, checked and copied when they are made. Annotations state what a field
holds; it may be given as anything that NumPy can read, names and origins as lists. Inside the program lengths are
metres, angles radians, times seconds and frames right-handed. Millimetres and degrees exist in files only.
"""

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Self

import numpy as np

from simspine.core.arrays import Unchanging, require_finite_number, require_numbers, require_texts_in_one_line
from simspine.core.errors import InputError, index_of_name, require_known

MAX_CAMERA_DISTANCE_M = 200.0  # cameras farther apart, or from the origin, were not given in metres
MAX_IMAGE_SIDE_PX = 100_000
MOST_RADIANS = 20.0  # rad, more than three turns; larger angles are probably degrees
MAX_WEIGHT = 1e6  # of a marker; squares of larger ones exceed the precision of the solvers
MIN_FRAME_RATE_HZ = 1.0  # a lower rate means that times were in milliseconds
MAX_FRAME_RATE_HZ = 10_000.0  # cameras and motion capture have some 25 to 2000 frames/s; more is a slip
MAX_RATE_DIFFERENCE_SHARE = 0.01  # a film's rate is written up to 0.1 % apart; other rates, 24 and 25, are 4 % apart


class Origin(StrEnum):
    """How a point came to be known. It stays with the point to the last file.

    Attributes
    ----------
    DETECTED
        Seen by a detector, or triangulated from points that were.
    ESTIMATED
        Placed by a detector's network from other evidence; the point itself was not seen.
    INFERRED
        Inferred from other points; it carries no measurement of its own.
    GIVEN
        From motion capture or another outside source.
    """

    DETECTED = "detected"
    ESTIMATED = "estimated"
    INFERRED = "inferred"
    GIVEN = "given"


FROM_DETECTOR = (Origin.DETECTED, Origin.ESTIMATED)  # points that a detector gave in images; the fit weighs both alike


class ForcedKind(StrEnum):
    """How a body model removes an angle's own degree of freedom."""

    LOCKED = "locked"  # the coordinate stays at its default
    COUPLED = "coupled"  # the coordinate is a function of another one
    RIGID = "rigid"  # both ends are on one rigid body: the angle is constant
    SUM = "sum"  # one coordinate turns several levels: the data decide their sum, the model its distribution


@dataclass(frozen=True)
class Forced(Unchanging):
    """A fact of the model about an angle, known before any data.

    planes: of `simspine.anatomy.curvature.MOTION_PLANES`. driver: the coordinate that sets the angle (coupled, sum).
    ratio: of the angle's coordinate to the driver, for a sum over all its levels; None where it is not constant.
    spans: the levels of a sum, or the two vertebrae on one rigid body. body: that rigid body.
    """

    kind: ForcedKind
    planes: tuple[str, ...]
    driver: str = ""
    ratio: float | None = None
    spans: tuple[str, ...] = ()
    body: str = ""

    def __post_init__(self):
        ratio = None if self.ratio is None else float(self.ratio)
        self._set(kind=ForcedKind(self.kind), planes=tuple(self.planes), spans=tuple(self.spans), ratio=ratio)


WORLD_FRAMES = ("z_up", "y_up")  # z_up: cameras, Human3.6M; y_up: OpenSim. See geometry.change_frame.
LENS_COEFFICIENTS = {  # of each lens model: names in OpenCV's order, allowed numbers of them
    "perspective": ("k1 k2 p1 p2 k3 k4 k5 k6 s1 s2 s3 s4", (5, 8, 12)),
    "fisheye": ("k1 k2 k3 k4", (4,)),
}


def _is_unchanging(value) -> bool:
    """Whether `value` is a read-only array that owns its data, or a view of arrays that are all read-only."""
    while type(value) is np.ndarray and not value.flags.writeable:
        if value.base is None:
            return True
        value = value.base
    return False


def _equal_values(a: Any, b: Any) -> bool:
    """Whether two fields have equal content; NaN equals NaN."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return list(a) == list(b) and all(_equal_values(a[key], b[key]) for key in a)
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (a != a and b != b)
    return type(a) is type(b) and a == b


def read_only_array(
    owner: str, field: str, value, shape: tuple[int | None, ...], dtype=float, infinite: bool = True
) -> np.ndarray:
    """`value` as a read-only array; an `InputError` names owner, field, what was found and what was wanted.

    infinite: False refuses infinite values. A read-only array is not copied: a long trial's take most of the memory.
    """
    kept = _is_unchanging(value) and value.dtype == dtype
    array = value if kept else np.array(require_numbers(f"{owner}.{field}", value, dtype=dtype))
    if array.ndim != len(shape) or any(n is not None and n != m for n, m in zip(shape, array.shape, strict=True)):
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise InputError(f"{owner}.{field} has shape {array.shape}, expected ({wanted}).")
    if not infinite and np.isinf(array).any():
        raise InputError(f"{owner}.{field} holds infinite values; mark with NaN what is not known.")
    array.setflags(write=False)
    return array


class HoldsArrays(Unchanging):
    """Base of immutable objects with arrays as fields."""

    def _set_arrays(self, shapes: Mapping[str, tuple[int | None, ...]], dtype=float, infinite: bool = True) -> None:
        """Make fields read-only arrays of these shapes; None stays where None is the field's default."""
        owner, defaults = type(self).__name__, {field.name: field.default for field in fields(self)}  # type: ignore[arg-type]
        for name, shape in shapes.items():
            value = getattr(self, name)
            if value is not None or defaults[name] is not None:
                self._set(**{name: read_only_array(owner, name, value, shape, dtype=dtype, infinite=infinite)})

    def _set_deviations(self, shapes: Mapping[str, tuple[int | None, ...]]) -> None:
        """`_set_arrays` for standard deviations: none is negative or infinite."""
        self._set_arrays(shapes, infinite=False)
        for name in shapes:
            if (deviation := getattr(self, name)) is not None and (deviation < 0).any():
                raise InputError(
                    f"{type(self).__name__}.{name} holds negative standard deviations; was the file changed?"
                )


@dataclass(frozen=True, eq=False)
class Frozen(HoldsArrays):
    """Base of the types: fields set once, in `__post_init__`; comparison by content; no hash."""

    def __eq__(self, other) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(_equal_values(getattr(self, field.name), getattr(other, field.name)) for field in fields(self))

    def with_(self, **changes) -> Self:
        """A copy with some fields changed, checked anew."""
        return replace(self, **changes)


@dataclass(frozen=True, eq=False)
class _Named(Frozen):
    """Base of the types with named columns over time."""

    names: tuple[str, ...]
    rate: float

    def __post_init__(self):
        owner = type(self).__name__
        names = require_texts_in_one_line(f"{owner}.names", self.names)
        rate = require_finite_number(f"{owner}.rate", self.rate)
        if repeated := sorted(name for name, count in Counter(names).items() if count > 1):
            raise InputError(f"{owner}.names must be unique; repeated: {', '.join(repeated)}.")
        if rate <= 0:
            raise InputError(f"{owner}.rate is {rate}, expected a positive number of frames per second.")
        self._set(names=names, rate=rate)

    def index(self, name: str) -> int:
        """Column of `name`; raises `InputError` listing the names there are."""
        return index_of_name(name, self.names, f"name in {type(self).__name__}")

    def indices(self, names: Iterable[str]) -> list[int]:
        return [self.index(name) for name in names]


class Clocked:
    """Base of the types with frames at even times: `rate` of them per second, the first at `start`, s."""

    rate: float
    start: float

    @property
    @abstractmethod
    def frames(self) -> int:
        """Number of frames."""

    @property
    def time(self) -> np.ndarray:
        """(frames,) s."""
        return self.start + np.arange(self.frames) / self.rate


class _PointSet(_Named):
    """Base of named points, each with an origin; without one they count as detected."""

    origin: tuple[Origin, ...] | None

    def _check_origin(self, origin: Iterable[Origin]) -> None:
        origin = tuple(origin)
        require_known("origin", origin, list(Origin))
        origin = tuple(Origin(o) for o in origin)
        if len(origin) != len(self.names):
            owner, count = type(self).__name__, len(self.names)
            raise InputError(f"{owner}.origin has {len(origin)} entries, expected one for each of {count} names.")
        self._set(origin=origin)

    @property
    def origins(self) -> tuple[Origin, ...]:
        """(points,): how each point came to be known."""
        return self.origin or (Origin.DETECTED,) * len(self.names)

    def of_origin(self, *origins: Origin) -> np.ndarray:
        """(points,) bool: whether each point has one of the origins."""
        return np.array([origin in origins for origin in self.origins], bool)

    def names_of(self, *origins: Origin) -> tuple[str, ...]:
        """Names of the points that have one of the origins."""
        return tuple(name for name, origin in zip(self.names, self.origins, strict=True) if origin in origins)


@dataclass(frozen=True, eq=False)
class Camera(Frozen):
    """A calibrated camera: `x_cam = R @ x_world + t`, image axes right and down, looking along +z (OpenCV).

    Equations: `simspine.core.geometry`.

    Attributes
    ----------
    name : str
    size : (int, int)
        Width and height, px.
    K : (3, 3) array
        [[fx, skew, cx], [0, fy, cy], [0, 0, 1]], px.
    distortion : array
        OpenCV's coefficients in its order, as few as hold all that are not 0: (5,) k1 k2 p1 p2 k3, (8,) with k4 k5 k6
        of the rational model, (12,) with s1 s2 s3 s4 of the thin prism model. Of a fisheye lens (4,) k1 k2 k3 k4.
    R : (3, 3) array
        Rotation from world (z up) to camera.
    t : (3,) array
        Translation, m.
    lens : str
        'perspective' or 'fisheye'.
    """

    name: str
    size: tuple[int, int]
    K: np.ndarray
    distortion: np.ndarray
    R: np.ndarray
    t: np.ndarray
    lens: str = "perspective"

    def __post_init__(self):
        owner = f"Camera {self.name!r}"
        size = tuple(np.nan_to_num(require_numbers(f"{owner}.size", self.size)).round().ravel().tolist())
        if len(size) != 2 or not 0 < min(size) <= max(size) <= MAX_IMAGE_SIDE_PX:
            raise InputError(f"{owner}.size is {self.size}, expected (width, height) in pixels.")
        distortion = _lens_coefficients(owner, self.lens, self.distortion)
        values = {"K": self.K, "distortion": distortion, "R": self.R, "t": np.ravel(self.t)}
        (name,) = require_texts_in_one_line("Camera.name", [self.name])
        self._set(name=name, size=tuple(map(int, size)), lens=str(self.lens))
        for (field, value), shape in zip(values.items(), ((3, 3), (None,), (3, 3), (3,)), strict=True):
            array = read_only_array(owner, field, value, shape)
            if not np.isfinite(array).all():
                raise InputError(f"{owner}.{field} holds values that are not finite.")
            self._set(**{field: array})
        if np.abs(self.R @ self.R.T - np.eye(3)).max() > 1e-4 or np.linalg.det(self.R) < 0:
            raise InputError(f"{owner}.R is not a rotation matrix (determinant {np.linalg.det(self.R):.3f}).")
        if self.K[0, 0] <= 0 or self.K[1, 1] <= 0:
            raise InputError(f"{owner}.K has focal lengths {self.K[0, 0]:g}, {self.K[1, 1]:g} px; expected positive.")
        upper, lower = self.K[[0, 0, 1], [1, 2, 2]], self.K[[1, 2, 2], [0, 0, 1]]
        if lower.any() or self.K[2, 2] != 1:
            looks = " It looks transposed: hand in K.T." if lower.any() and not upper.any() else ""
            raise InputError(
                f"{owner}.K is {self.K.tolist()}, not upper triangular with 1 in its corner; expected "
                f"[[fx, skew, cx], [0, fy, cy], [0, 0, 1]] in px.{looks}"
            )

    def with_unchecked(self, **changes) -> Self:
        """A copy with some fields changed to valid values: checks would take most of the time of derivatives."""
        copy = object.__new__(type(self))
        copy._set(**vars(self) | changes)
        return copy

    @property
    def centre(self) -> np.ndarray:
        """Optical centre in the world, (3,) m."""
        return -self.R.T @ self.t


def _lens_coefficients(owner: str, lens: str, given) -> np.ndarray:
    """The coefficients at the shortest of OpenCV's lengths that holds all that are not 0."""
    if lens not in LENS_COEFFICIENTS:
        raise InputError(f"{owner}.lens is {lens!r}, expected one of {', '.join(LENS_COEFFICIENTS)}.")
    names, lengths = LENS_COEFFICIENTS[lens]
    given = require_numbers(f"{owner}.distortion", given).ravel()
    needed = int(given.nonzero()[0].max(initial=-1)) + 1
    if needed > lengths[-1] or (lens == "perspective" and needed > 2 and given.size not in (4, 5, 8, 12, 14)):
        raise InputError(
            f"{owner}.distortion has {given.size} coefficients, expected at most {lengths[-1]} for a {lens} lens: "
            f"{names}, in sets of 4{', 5, 8 or 12' if lens == 'perspective' else ''}."
        )
    length = next(n for n in lengths if n >= needed)
    return np.concatenate([given[:needed], np.zeros(length - needed)])


@dataclass(frozen=True, eq=False)
class Keypoints(_PointSet):
    """2D points of one person in several synchronised views.

    Attributes
    ----------
    names : tuple of str
        Names of the points.
    rate : float
        Frames/s.
    xy : (frames, views, points, 2) array
        px, as in the (distorted) image; NaN = none.
    confidence : (frames, views, points) array
        0…1; 0 where xy is NaN.
    origin : tuple of Origin
        Origin of each point; detected by default.
    """

    xy: np.ndarray
    confidence: np.ndarray
    origin: tuple[Origin, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        self._set_arrays({"xy": (None, None, len(self.names), 2)})
        self._set_arrays({"confidence": self.xy.shape[:3]})
        xy, confidence = self.xy, self.confidence
        unknown = ~(np.isfinite(xy).all(-1) & np.isfinite(confidence))
        if (confidence[unknown] != 0).any():
            confidence = np.where(unknown, 0.0, confidence)
        if confidence.size and (confidence.min() < 0 or confidence.max() > 1 + 1e-9):
            raise InputError(
                f"Keypoints.confidence spans {confidence.min():g}…{confidence.max():g}, expected 0…1. "
                "Rescale the detector's scores before handing them in."
            )
        confidence = np.minimum(confidence, 1.0)
        self._set(confidence=read_only_array("Keypoints", "confidence", confidence, xy.shape[:3]))
        self._check_origin(self.origin or (Origin.DETECTED,) * len(self.names))

    @property
    def frames(self) -> int:
        return self.xy.shape[0]

    @property
    def views(self) -> int:
        return self.xy.shape[1]

    def select(self, names: Sequence[str]) -> "Keypoints":
        """The named points, in the order given."""
        i = self.indices(names)
        origin, selected = tuple(self.origin[k] for k in i), (self.xy[:, :, i], self.confidence[:, :, i])
        for array in selected:
            array.setflags(write=False)
        return Keypoints(tuple(names), self.rate, *selected, origin)


@dataclass(frozen=True, eq=False)
class Markers(_PointSet, Clocked):
    """3D points over time.

    Attributes
    ----------
    names : tuple of str
    rate : float
        Frames/s.
    xyz : (frames, markers, 3) array
        m; NaN = missing.
    frame : str
        'z_up' (cameras, world) or 'y_up' (OpenSim).
    weight : (frames, markers) array, optional
        0 or more; 0 leaves a point out.
    covariance : (frames, markers, 3, 3) array, optional
        m².
    origin : tuple of Origin, optional
        Origin of each marker.
    filled : (frames, markers) array of bool, optional
        True where a gap was interpolated.
    start : float
        Time of the first frame, s.
    """

    xyz: np.ndarray
    frame: str = "z_up"
    weight: np.ndarray | None = None
    covariance: np.ndarray | None = None
    origin: tuple[Origin, ...] | None = None
    filled: np.ndarray | None = None
    start: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        if self.frame not in WORLD_FRAMES:
            raise InputError(f"Markers.frame is {self.frame!r}, expected one of {', '.join(WORLD_FRAMES)}.")
        self._set_arrays({"xyz": (None, len(self.names), 3)}, infinite=False)
        shape = self.xyz.shape
        self._set_arrays({"weight": shape[:2], "covariance": (*shape, 3)}, infinite=False)
        self._set_arrays({"filled": shape[:2]}, bool)
        self._set(start=require_finite_number(f"{type(self).__name__}.start", self.start))
        if self.weight is not None and not ((self.weight >= 0) & (self.weight <= MAX_WEIGHT)).all():
            raise InputError(f"Markers.weight must be finite and not negative, at most {MAX_WEIGHT:g}.")
        if self.covariance is not None and (np.einsum("tmii->tmi", self.covariance) < 0).any():
            raise InputError("Markers.covariance holds negative variances.")
        if self.origin is not None:
            self._check_origin(self.origin)

    @property
    def frames(self) -> int:
        return self.xyz.shape[0]

    @cached_property
    def present(self) -> np.ndarray:
        """(frames, markers) bool: where a position exists."""
        known = np.isfinite(self.xyz).all(-1)
        known.setflags(write=False)
        return known

    def without_zero_weights(self) -> "Markers":
        """The markers with those of weight 0 missing."""
        if self.weight is None or self.weight.all():
            return self
        return self.with_(xyz=np.where(self.weight[..., None] > 0, self.xyz, np.nan))

    def select(self, names: Sequence[str]) -> "Markers":
        """The named markers, in the order given."""
        i = self.indices(names)
        arrays = {field: getattr(self, field) for field in ("xyz", "weight", "covariance", "filled")}
        selected = {field: None if array is None else array[:, i] for field, array in arrays.items()}
        for array in selected.values():
            if array is not None:
                array.setflags(write=False)
        return self.with_(names=names, origin=None if self.origin is None else [self.origin[k] for k in i], **selected)


@dataclass(frozen=True, eq=False)
class Motion(_Named, Clocked):
    """Coordinates of a body over time.

    Attributes
    ----------
    names : tuple of str
        Names of the coordinates.
    rate : float
        Frames/s.
    values : (frames, coordinates) array
        rad where rotational, else m; NaN = frame not solved.
    rotational : (coordinates,) array of bool
    deviation : (frames, coordinates) array, optional
        Standard deviations of `values`, in its units.
    start : float
        Time of the first frame, s.
    """

    values: np.ndarray
    rotational: np.ndarray
    deviation: np.ndarray | None = None
    start: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        self._set_arrays({"values": (None, len(self.names))}, infinite=False)
        self._set_deviations({"deviation": self.values.shape})
        self._set_arrays({"rotational": (len(self.names),)}, bool)
        self._set(start=require_finite_number(f"{type(self).__name__}.start", self.start))

    @property
    def frames(self) -> int:
        return self.values.shape[0]

    def every(self, step: int) -> "Motion":
        """The first frame and every step-th after it, without deviation."""
        return self.with_(values=self.values[::step], rate=self.rate / step, deviation=None)

    def column(self, name: str) -> np.ndarray:
        """(frames,) values of one coordinate."""
        return self.values[:, self.index(name)]
