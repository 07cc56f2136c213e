"""OpenSim without its log: models held in memory as text, and compiled to a `Tree`.

The one module that imports `opensim`. It goes through OpenSim's API, so that every version of the file format works.
"""

import locale
import tempfile
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np

from simspine.anatomy.tree import IDENTITY_FUNCTION, Functions, Tree, slots_of_joints
from simspine.core.errors import InputError


def opensim_api():
    """The `opensim` module, without its log file in the working directory and its messages.

    Errors are raised as exceptions all the same. Raises `InputError` in a locale with a decimal comma, by which OpenSim
    reads 0.5 as 0.
    """
    import opensim

    if locale.localeconv()["decimal_point"] != ".":
        text = f"a decimal comma in the locale {locale.setlocale(locale.LC_NUMERIC)}; OpenSim would misread"
        raise InputError(f"{text} models. Call locale.setlocale(locale.LC_NUMERIC, 'C') first.")
    opensim.Logger.removeFileSink()
    opensim.Logger.setLevelString("off")
    return opensim


def load_opensim_model(osim: str):
    """A fresh `opensim.Model` from the XML text of an `.osim` file, its system not yet made (`initSystem`)."""
    with _temporary_model_file() as path:
        path.write_text(osim, encoding="utf-8")
        return opensim_api().Model(str(path))


def opensim_model_xml(model) -> str:
    """The XML text of an `opensim.Model`, in the file version of the installed OpenSim."""
    with _temporary_model_file() as path:
        try:
            model.printToXML(str(path))
        except RuntimeError as error:
            if "Failed to write" not in str(error):
                raise
            raise InputError(
                f"{tempfile.gettempdir()}: OpenSim could not write a temporary model there. Is the disk full, or are "
                "files limited in size? The variable TMPDIR may name another folder."
            ) from None
        return path.read_text(encoding="utf-8")


@contextmanager
def _temporary_model_file() -> Iterator[Path]:
    """A temporary file that passes a model to or from OpenSim. Errors of the system name its folder."""
    with tempfile.TemporaryDirectory(prefix="simspine-") as folder:
        try:
            yield Path(folder) / "model.osim"
        except OSError as error:
            error.filename = f"the temporary file of a model for OpenSim in {tempfile.gettempdir()}"
            raise


def scale_opensim_model(model, factors: Mapping[str, float], mass: float) -> bool:
    """Scale bodies isotropically by their factors, and to a total mass, kg; returns whether OpenSim succeeded."""
    osim, scales = opensim_api(), opensim_api().ScaleSet()
    for name, factor in factors.items():
        scale = osim.Scale()
        scale.setSegmentName(name)
        scale.setScaleFactors(osim.Vec3(factor, factor, factor))
        scale.setApply(True)
        scales.cloneAndAppend(scale)
    return model.scale(model.getWorkingState(), scales, True, float(mass))


# Axes of joints that are special cases of the general one: three rotations, then three translations.
_AXES_OF_JOINT_TYPE = {
    "PinJoint": "z-- ---",
    "SliderJoint": "--- x--",
    "UniversalJoint": "xy- ---",
    "GimbalJoint": "xyz ---",
    "BallJoint": "xyz ---",
    "PlanarJoint": "z-- xy-",
    "FreeJoint": "xyz xyz",
    "WeldJoint": "--- ---",
}
_FIXED_AXIS = (np.zeros(3), -1, -1)
_SPLINE_DEGREE = 3


def compile_tree(model, coordinates, marker_bodies: tuple[str, ...], marker_offsets: np.ndarray) -> Tree:
    """The model's joints, couplers and markers as flat arrays.

    coordinates: `simspine.anatomy.body.Coordinates` of the model. marker_bodies: body that carries each marker;
    marker_offsets: (markers, 3) m. Raises `InputError` naming whatever the tree cannot represent.
    """
    _warn_of_left_out(model)
    table = _FunctionTable()
    names, free = coordinates.names, np.flatnonzero(coordinates.free)
    bodies = {"ground": 0} | {body.getName(): i + 1 for i, body in enumerate(model.getBodySet())}
    joints = _joint_arrays(_in_order(list(model.getJointSet())), bodies, table, names)
    coupled, driver, coupling = _coupler_table(model, table, names)
    functions, clamped = table.pack(), coordinates.clamped[free]
    column = np.where(coordinates.free, np.cumsum(coordinates.free) - 1, -1)
    for dependent, by in zip(coupled, driver, strict=True):
        column[dependent] = column[by]
    periodic = _drives_rotations_only(
        joints["function"], joints["argument"], functions, driver=driver, count=len(names)
    )
    return Tree(
        **joints,
        **slots_of_joints(joints["parent"], joints["child"], joints["argument"], len(bodies)),
        column=column,
        coupled=coupled,
        driver=driver,
        coupling=coupling,
        functions=functions,
        marker_body=np.array([bodies[name] for name in marker_bodies], int),
        marker_offset=np.array(marker_offsets, float).reshape(-1, 3),
        bodies=len(bodies),
        free=free,
        rest=np.array(coordinates.default, float),
        lower=np.where(clamped, coordinates.lower[free], -np.inf),
        upper=np.where(clamped, coordinates.upper[free], np.inf),
        turning=np.array(coordinates.rotational[free], bool),
        periodic=periodic[free] & ~clamped,
    )


def _joint_arrays(joints: list, bodies: dict[str, int], table: "_FunctionTable", names: tuple[str, ...]):
    """The fields of `Tree` that describe the joints."""
    count = len(joints)
    axes, function, argument = np.zeros((count, 6, 3)), np.full((count, 6), -1), np.full((count, 6), -1)
    for j, joint in enumerate(joints):
        for m, described in enumerate(_joint_axes(joint, table, names)):
            axes[j, m], function[j, m], argument[j, m] = described
    parents, children = ([joint.getParentFrame() for joint in joints], [joint.getChildFrame() for joint in joints])
    return {
        "parent": np.array([bodies[_base_frame_name(frame)] for frame in parents], int),
        "child": np.array([bodies[_base_frame_name(frame)] for frame in children], int),
        "to_joint": np.array([_place_in_base(frame) for frame in parents]).reshape(-1, 3, 4),
        "from_joint": np.array([_inverse_pose(_place_in_base(frame)) for frame in children]).reshape(-1, 3, 4),
        "axes": axes,
        "function": function,
        "argument": argument,
    }


def _drives_rotations_only(
    function: np.ndarray, argument: np.ndarray, functions: Functions, driver: np.ndarray, count: int
) -> np.ndarray:
    """(coordinates,) bool: whether it drives rotations only, each with slope ±1, and no other coordinate."""
    periodic = np.zeros(count, bool)
    for c in set(argument.ravel().tolist()) - {-1, *driver.tolist()}:
        plain = [functions.slope(f) in (1.0, -1.0) for f in function[argument == c]]
        periodic[c] = all(plain) and (np.nonzero(argument == c)[1] < 3).all()
    return periodic


def _warn_of_left_out(model) -> None:
    """A warning for each constraint that a tree of joints cannot hold, and for coordinates prescribed over time."""
    if prescribed := [c.getName() for c in model.getCoordinateSet() if c.getDefaultIsPrescribed()]:
        warnings.warn(
            f"the model prescribes {', '.join(prescribed)} as functions of time, which are left out: solved as free.",
            stacklevel=2,
        )
    for constraint in model.getConstraintSet():
        kind = constraint.getConcreteClassName()
        if kind != "CoordinateCouplerConstraint" and constraint.get_isEnforced():
            warnings.warn(
                f"the model's constraint {constraint.getName()!r} is a {kind}, which ties bodies in a loop; it is left "
                "out, so that a solved pose may break it.",
                stacklevel=2,
            )


def _in_order(joints: list) -> list:
    """Joints such that each parent body is placed before its children."""
    ordered, placed = [], {"ground"}
    while joints:
        ready = [joint for joint in joints if _base_frame_name(joint.getParentFrame()) in placed]
        for joint in ready or joints[:1]:
            child = _base_frame_name(joint.getChildFrame())
            if not ready or child in placed:
                said = f"joint {joint.getName()!r} of the model does not lead from the ground out to a body of its own"
                raise InputError(f"{said}: its child is {child!r}. Exchange its parent and child, or remove it.")
            placed.add(child)
        ordered += ready
        joints = [joint for joint in joints if joint not in ready]
    return ordered


def _base_frame_name(frame) -> str:
    return frame.findBaseFrame().getName()


def _place_in_base(frame) -> np.ndarray:
    """(3, 4) rotation and origin of a frame in the body that carries it."""
    transform = frame.findTransformInBaseFrame()
    R, p = transform.R().asMat33(), transform.p()
    return np.array([[*(R.get(i, k) for k in range(3)), p.get(i)] for i in range(3)])


def _inverse_pose(pose: np.ndarray) -> np.ndarray:
    R, p = pose[:, :3], pose[:, 3]
    return np.column_stack([R.T, -R.T @ p])


def _joint_axes(joint, table: "_FunctionTable", names: tuple[str, ...]):
    """For each of the six axes of a joint: direction, number of the function, coordinate; −1 where there is none."""
    kind = joint.getConcreteClassName()
    if kind == "CustomJoint":
        yield from _custom_axes(joint, table, names)
    elif kind in _AXES_OF_JOINT_TYPE:
        order = iter(names.index(joint.get_coordinates(i).getName()) for i in range(joint.numCoordinates()))
        for axis in _AXES_OF_JOINT_TYPE[kind].replace(" ", ""):
            yield (np.eye(3)["xyz".index(axis)], IDENTITY_FUNCTION, next(order)) if axis != "-" else _FIXED_AXIS
    else:
        raise InputError(
            f"joint {joint.getName()!r} is a {kind}; known are CustomJoint, {', '.join(_AXES_OF_JOINT_TYPE)}. "
            "Rewrite it as a CustomJoint."
        )


def _custom_axes(joint, table: "_FunctionTable", names: tuple[str, ...]):
    transform = opensim_api().CustomJoint.safeDownCast(joint).getSpatialTransform()
    for m in range(6):
        axis = transform.getTransformAxis(m)
        drivers = axis_coordinate_names(axis)
        if len(drivers) > 1:
            raise InputError(
                f"an axis of joint {joint.getName()!r} depends on {len(drivers)} coordinates; at most one."
            )
        vector = np.array([axis.getAxis().get(i) for i in range(3)])
        function = axis.getFunction()
        if not drivers and abs(_function_value(function, 0.0)) == 0.0:
            yield _FIXED_AXIS
        else:
            number = table.add(function, f"joint {joint.getName()!r}")
            yield vector / np.linalg.norm(vector), number, names.index(drivers[0]) if drivers else -1


def check_functions_of_axes(model_xml: ElementTree.Element, where: str) -> None:
    """Raise `InputError` for functions of joints that OpenSim would replace without a word, or that lack an argument,
    for which it reads memory at random."""
    known = opensim_api().OpenSimObject.getDefaultInstanceOfType
    for axis in model_xml.iter("TransformAxis"):
        kinds = [element.tag for element in axis.iter() if element.tag[0].isupper()][1:]
        if unknown := next((kind for kind in kinds if known(kind) is None), ""):
            fault = f"<{unknown}>, no function that OpenSim knows. Rewrite it as a SimmSpline"
        elif set(kinds) <= {"Constant", "MultiplierFunction"} or (axis.findtext("coordinates") or "").strip():
            continue
        else:
            fault = f"<{kinds[-1]}>, but no coordinate. Name its coordinate, or write a Constant"
        raise InputError(f"{where}: an axis of a joint ({axis.get('name')}) has the function {fault}.")


def axis_coordinate_names(axis) -> list[str]:
    """Names of the coordinates that drive one axis of a CustomJoint."""
    return [axis.get_coordinates(i) for i in range(axis.getCoordinateNames().size())]


def enforced_couplers(model):
    """(dependent coordinate, its driver, the `CoordinateCouplerConstraint`) of an `opensim.Model`'s enforced couplers.

    Raises `InputError` where several coordinates drive one.
    """
    cast = opensim_api().CoordinateCouplerConstraint.safeDownCast
    for constraint in model.getConstraintSet():
        coupler = cast(constraint)
        if coupler is None or not coupler.get_isEnforced():
            continue
        drivers = coupler.getIndependentCoordinateNames()
        if drivers.getSize() != 1:
            raise InputError(
                f"coupler {coupler.getName()!r} has {drivers.getSize()} independent coordinates; only one is supported."
            )
        yield coupler.getDependentCoordinateName(), drivers.get(0), coupler


def _coupler_table(model, table: "_FunctionTable", names: tuple[str, ...]):
    """Enforced couplers, drivers first: dependent coordinates, drivers, functions."""
    pending = {}
    for dependent, driver, coupler in enforced_couplers(model):
        scale = opensim_api().PropertyHelper.getValueDouble(coupler.getPropertyByName("scale_factor"))
        number = table.add(coupler.getFunction(), f"coupler {coupler.getName()!r}", scale)
        pending[names.index(dependent)] = (names.index(driver), number)
    ordered: list[tuple[int, int, int]] = []
    while pending:
        ready = [c for c, (driver, _) in pending.items() if driver not in pending]
        if not ready:
            raise InputError("couplers form a ring: " + ", ".join(names[c] for c in pending))
        ordered += [(c, *pending.pop(c)) for c in ready]
    return tuple(np.array(ordered, int).reshape(-1, 3).T.copy())


def _function_value(function, x: float) -> float:
    return function.calcValue(opensim_api().Vector(1, float(x)))


class _FunctionTable:
    """Collects functions as piecewise polynomials."""

    def __init__(self) -> None:
        self._pieces: list[list[tuple[float, float, np.ndarray]]] = []
        self.linear(1.0, 0.0)  # `IDENTITY_FUNCTION`

    def linear(self, slope: float, intercept: float) -> int:
        return self._append([(-np.inf, 0.0, np.array([intercept, slope]))])

    def add(self, function, where: str, scale: float = 1.0) -> int:
        """Number of an OpenSim function, times `scale`."""
        osim = opensim_api()
        kind = function.getConcreteClassName()
        if kind == "MultiplierFunction":
            inner = osim.MultiplierFunction.safeDownCast(function)
            return self.add(inner.getFunction(), where, scale * inner.getScale())
        if kind == "Constant":
            return self.linear(0.0, scale * _function_value(function, 0.0))
        if kind == "LinearFunction":
            line = osim.LinearFunction.safeDownCast(function)
            return self.linear(scale * line.getSlope(), scale * line.getIntercept())
        if kind == "PolynomialFunction":
            listed = osim.PolynomialFunction.safeDownCast(function).getCoefficients()
            falling = np.array([listed.get(i) for i in range(listed.size())])
            return self._append([(-np.inf, 0.0, scale * falling[::-1])])
        if kind in ("SimmSpline", "PiecewiseLinearFunction"):
            cast = getattr(osim, kind).safeDownCast(function)
            knots = [cast.getX(i) for i in range(cast.getSize())]
            if len(knots) < 2 or (np.diff(knots) <= 0).any():
                raise InputError(f"{where} uses a {kind} of x = {knots}; expected two points or more, x increasing.")
            return self._append(_sample_spline(function, knots, scale))
        raise InputError(
            f"{where} uses a {kind}; known are Constant, LinearFunction, PolynomialFunction, SimmSpline, "
            "PiecewiseLinearFunction and MultiplierFunction of these."
        )

    def pack(self) -> Functions:
        width = max((len(c) for pieces in self._pieces for _, _, c in pieces), default=1)
        flat = [piece for pieces in self._pieces for piece in pieces]
        coefficients = np.zeros((len(flat), width))
        for row, (_, _, values) in zip(coefficients, flat, strict=True):
            row[: len(values)] = values
        first = np.cumsum([0, *(len(pieces) for pieces in self._pieces)])
        return Functions(first, np.array([p[0] for p in flat]), np.array([p[1] for p in flat]), coefficients)

    def _append(self, pieces) -> int:
        self._pieces.append(pieces)
        return len(self._pieces) - 1


def _sample_spline(function, knots: list[float], scale: float):
    """A spline's cubic on each interval, from four samples; straight beyond the ends, as in OpenSim."""
    u = np.linspace(0, 1, _SPLINE_DEGREE + 1)
    inverse = np.linalg.inv(np.vander(u, increasing=True))
    pieces = []
    for a, b in pairwise(knots):
        values = [scale * _function_value(function, a + s * (b - a)) for s in u]
        pieces.append((a, a, inverse @ values / (b - a) ** np.arange(_SPLINE_DEGREE + 1)))
    before = np.polynomial.Polynomial(pieces[0][2])
    width = knots[-1] - knots[-2]
    after = np.polynomial.Polynomial(pieces[-1][2])
    first = (-np.inf, knots[0], np.array([before(0.0), before.deriv()(0.0)]))
    last = (knots[-1], knots[-1], np.array([after(width), after.deriv()(width)]))
    return [first, *pieces, last]
