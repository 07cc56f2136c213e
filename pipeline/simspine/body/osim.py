"""An `opensim.Model` compiled to a `Tree`, through OpenSim's API, so that every version of the file format works."""

from itertools import pairwise

import numpy as np

from simspine.body import _opensim
from simspine.body.tree import Functions, Tree, numbered_slots, slot_paths
from simspine.errors import InputError

# Axes of joints that are special cases of the general one: three rotations, then three translations.
_SPECIAL = {
    "PinJoint": "z-- ---",
    "SliderJoint": "--- x--",
    "UniversalJoint": "xy- ---",
    "GimbalJoint": "xyz ---",
    "BallJoint": "xyz ---",
    "PlanarJoint": "z-- xy-",
    "FreeJoint": "xyz xyz",
    "WeldJoint": "--- ---",
}
_STILL = (np.zeros(3), -1, -1)
_DEGREE = 3


def compile_tree(model, coordinates, marker_bodies: tuple[str, ...], marker_offsets: np.ndarray) -> Tree:
    """The model's joints, couplers and markers as flat arrays.

    coordinates: `simspine.body.model.Coordinates` of the model. marker_bodies: body that carries each marker;
    marker_offsets: (markers, 3) m. Raises `InputError` naming whatever the tree cannot represent.
    """
    _refuse_constraints(model)
    table = _FunctionTable()
    names, free = coordinates.names, np.flatnonzero(coordinates.free)
    bodies = {"ground": 0} | {body.getName(): i + 1 for i, body in enumerate(model.getBodySet())}
    joints = _in_order(list(model.getJointSet()), bodies)
    count = len(joints)
    to_joint, from_joint = np.zeros((count, 3, 4)), np.zeros((count, 3, 4))
    axes, function, argument = np.zeros((count, 6, 3)), np.full((count, 6), -1), np.full((count, 6), -1)
    for j, joint in enumerate(joints):
        to_joint[j] = _transform(joint.getParentFrame().findTransformInBaseFrame())
        from_joint[j] = _inverse(_transform(joint.getChildFrame().findTransformInBaseFrame()))
        for m, (axis, number, coordinate) in enumerate(_axes(joint, table, names)):
            axes[j, m], function[j, m], argument[j, m] = axis, number, coordinate
    parent = np.array([bodies[_base(joint.getParentFrame())] for joint in joints], int)
    child = np.array([bodies[_base(joint.getChildFrame())] for joint in joints], int)
    coupled, driver, coupling = _couplings(model, table, names)
    functions = table.pack()
    slot, slot_kind, slot_coordinate, slot_joint = numbered_slots(argument)
    path_first, path = slot_paths(parent, child, slot_joint, len(bodies))
    clamped = coordinates.clamped[free]
    return Tree(
        parent=parent, child=child, to_joint=to_joint, from_joint=from_joint,
        axes=axes, function=function, argument=argument,
        slot=slot, slot_kind=slot_kind, slot_coordinate=slot_coordinate, slot_joint=slot_joint,
        path_first=path_first, path=path, column=_columns(coordinates.free, coupled, driver),
        coupled=coupled, driver=driver, coupling=coupling, functions=functions,
        marker_body=np.array([bodies[name] for name in marker_bodies], int),
        marker_offset=np.array(marker_offsets, float).reshape(-1, 3),
        bodies=len(bodies), free=free, rest=np.array(coordinates.default, float),
        lower=np.where(clamped, coordinates.lower[free], -np.inf),
        upper=np.where(clamped, coordinates.upper[free], np.inf),
        turning=np.array(coordinates.rotational[free], bool),
        periodic=_periodic(function, argument, functions, driver, len(names))[free] & ~clamped,
    )  # fmt: skip


def _periodic(function, argument, functions: Functions, driver: np.ndarray, count: int) -> np.ndarray:
    """(coordinates,) bool: drives rotations only, each as it is or reversed, and no other coordinate."""
    periodic = np.zeros(count, bool)
    for c in set(argument.ravel().tolist()) - {-1, *driver.tolist()}:
        plain = [functions.slope(f) in (1.0, -1.0) for f in function[argument == c]]
        periodic[c] = all(plain) and (np.nonzero(argument == c)[1] < 3).all()
    return periodic


def _refuse_constraints(model) -> None:
    for constraint in model.getConstraintSet():
        kind = constraint.getConcreteClassName()
        if kind != "CoordinateCouplerConstraint" and constraint.get_isEnforced():
            raise InputError(
                f"the model's constraint {constraint.getName()!r} is a {kind}, which ties bodies in a loop; only "
                "CoordinateCouplerConstraint can be represented. Remove it from the model, or disable it."
            )


def _in_order(joints: list, bodies: dict[str, int]) -> list:
    """Joints such that each parent body is placed before its children."""
    ordered, placed = [], {"ground"}
    while joints:
        ready = [joint for joint in joints if _base(joint.getParentFrame()) in placed]
        if not ready:
            raise InputError("the model's joints do not form a tree: " + ", ".join(j.getName() for j in joints))
        ordered += ready
        placed |= {_base(joint.getChildFrame()) for joint in ready}
        joints = [joint for joint in joints if joint not in ready]
    return ordered


def _base(frame) -> str:
    return frame.findBaseFrame().getName()


def _transform(transform) -> np.ndarray:
    """(3, 4) rotation and origin of a SimTK::Transform."""
    R, p = transform.R().asMat33(), transform.p()
    return np.array([[*(R.get(i, k) for k in range(3)), p.get(i)] for i in range(3)])


def _inverse(pose: np.ndarray) -> np.ndarray:
    R, p = pose[:, :3], pose[:, 3]
    return np.column_stack([R.T, -R.T @ p])


def _axes(joint, table: "_FunctionTable", names: tuple[str, ...]):
    """For each of the six axes of a joint: direction, function number, coordinate; −1 where nothing is there."""
    kind = joint.getConcreteClassName()
    if kind == "CustomJoint":
        yield from _custom_axes(joint, table, names)
    elif kind in _SPECIAL:
        order = iter(names.index(joint.get_coordinates(i).getName()) for i in range(joint.numCoordinates()))
        for axis in _SPECIAL[kind].replace(" ", ""):
            moves = axis != "-"
            yield (np.eye(3)["xyz".index(axis)], table.linear(1.0, 0.0), next(order)) if moves else _STILL
    else:
        raise InputError(
            f"joint {joint.getName()!r} is a {kind}; known are CustomJoint, {', '.join(_SPECIAL)}. "
            "Rewrite it as a CustomJoint."
        )


def _custom_axes(joint, table: "_FunctionTable", names: tuple[str, ...]):
    transform = _opensim.api().CustomJoint.safeDownCast(joint).getSpatialTransform()
    for m in range(6):
        axis = transform.getTransformAxis(m)
        drivers = coordinate_names(axis)
        if len(drivers) > 1:
            raise InputError(
                f"an axis of joint {joint.getName()!r} depends on {len(drivers)} coordinates; at most one."
            )
        vector = np.array([axis.getAxis().get(i) for i in range(3)])
        function = axis.getFunction()
        if not drivers and abs(_value(function, 0.0)) == 0.0:
            yield _STILL
        else:
            number = table.add(function, f"joint {joint.getName()!r}")
            yield vector / np.linalg.norm(vector), number, names.index(drivers[0]) if drivers else -1


def coordinate_names(axis) -> list[str]:
    """Names of the coordinates that drive one axis of a CustomJoint."""
    return [axis.get_coordinates(i) for i in range(axis.getCoordinateNames().size())]


def enforced_couplers(model):
    """(dependent coordinate, its driver, the `CoordinateCouplerConstraint`) of an `opensim.Model`'s enforced couplers.

    Raises `InputError` where several coordinates drive one.
    """
    cast = _opensim.api().CoordinateCouplerConstraint.safeDownCast
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


def _couplings(model, table: "_FunctionTable", names: tuple[str, ...]):
    """Enforced couplers, drivers first: dependent coordinates, drivers, functions."""
    found = {}
    for dependent, driver, coupler in enforced_couplers(model):
        scale = _opensim.api().PropertyHelper.getValueDouble(coupler.getPropertyByName("scale_factor"))
        number = table.add(coupler.getFunction(), f"coupler {coupler.getName()!r}", scale)
        found[names.index(dependent)] = (names.index(driver), number)
    ordered: list[tuple[int, int, int]] = []
    while found:
        ready = [c for c, (driver, _) in found.items() if driver not in found]
        if not ready:
            raise InputError("couplers form a ring: " + ", ".join(names[c] for c in found))
        ordered += [(c, *found.pop(c)) for c in ready]
    return tuple(np.array(ordered, int).reshape(-1, 3).T.copy())


def _columns(free: np.ndarray, coupled: np.ndarray, driver: np.ndarray) -> np.ndarray:
    column = np.where(free, np.cumsum(free) - 1, -1)
    for c, d in zip(coupled, driver, strict=True):
        column[c] = column[d]
    return column


def _value(function, x: float) -> float:
    return function.calcValue(_opensim.api().Vector(1, float(x)))


class _FunctionTable:
    """Collects functions as piecewise polynomials."""

    def __init__(self) -> None:
        self._pieces: list[list[tuple[float, float, np.ndarray]]] = []

    def linear(self, slope: float, intercept: float) -> int:
        return self._append([(-np.inf, 0.0, np.array([intercept, slope]))])

    def add(self, function, where: str, scale: float = 1.0) -> int:
        """Number of an OpenSim function, times `scale`."""
        osim = _opensim.api()
        kind = function.getConcreteClassName()
        if kind == "MultiplierFunction":
            inner = osim.MultiplierFunction.safeDownCast(function)
            return self.add(inner.getFunction(), where, scale * inner.getScale())
        if kind == "Constant":
            return self.linear(0.0, scale * _value(function, 0.0))
        if kind == "LinearFunction":
            line = osim.LinearFunction.safeDownCast(function)
            return self.linear(scale * line.getSlope(), scale * line.getIntercept())
        if kind == "PolynomialFunction":
            listed = osim.PolynomialFunction.safeDownCast(function).getCoefficients()
            falling = np.array([listed.get(i) for i in range(listed.size())])
            return self._append([(-np.inf, 0.0, scale * falling[::-1])])
        if kind in ("SimmSpline", "PiecewiseLinearFunction"):
            cast = getattr(osim, kind).safeDownCast(function)
            return self._append(_sampled(function, [cast.getX(i) for i in range(cast.getSize())], scale))
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


def _sampled(function, knots: list[float], scale: float):
    """A spline's cubic on each interval, from four samples of it, which determine it; straight beyond the ends, as
    OpenSim continues both kinds."""
    if len(knots) < 2:
        raise InputError("a spline of the model has fewer than two points.")
    u = np.linspace(0, 1, _DEGREE + 1)
    inverse = np.linalg.inv(np.vander(u, increasing=True))
    pieces = []
    for a, b in pairwise(knots):
        values = [scale * _value(function, a + s * (b - a)) for s in u]
        pieces.append((a, a, inverse @ values / (b - a) ** np.arange(_DEGREE + 1)))
    before = np.polynomial.Polynomial(pieces[0][2])
    width = knots[-1] - knots[-2]
    after = np.polynomial.Polynomial(pieces[-1][2])
    first = (-np.inf, knots[0], np.array([before(0.0), before.deriv()(0.0)]))
    last = (knots[-1], knots[-1], np.array([after(width), after.deriv()(width)]))
    return [first, *pieces, last]
