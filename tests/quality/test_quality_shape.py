"""Shape and side checks: silent on a plausible person, and the fault is found where it was put."""

import re

import numpy as np
import pytest

from simspine.anatomy.shape_model import CHAIN_LEVELS, chain_positions, packaged_shape_model
from simspine.core.types import Markers, Origin
from simspine.quality.findings import Severity
from simspine.quality.marker_checks import (
    HIP_PAIR,
    SHOULDER_PAIR,
    check_sides,
    check_vertical,
    feet_turn_angle,
    front_turn_angle,
    turn_between_pairs,
)
from simspine.quality.spine_checks import LEVEL_OF, check_fitted_shape, check_measured_shape

FRAMES = 12
SPINE = chain_positions(packaged_shape_model().mean)


def centres(frames: int = FRAMES) -> Markers:
    return Markers(CHAIN_LEVELS, 50, np.tile(SPINE, (frames, 1, 1)), "y_up")


def moved(points: Markers, name: str, frames, shift) -> Markers:
    xyz = np.array(points.xyz)
    xyz[frames, points.index(name)] += shift
    return points.with_(xyz=xyz)


def test_a_plausible_spine_gives_no_finding():
    assert list(check_fitted_shape(centres())) == []


def test_a_vertebra_out_of_line_is_named_with_its_frames():
    findings = list(check_fitted_shape(moved(centres(), "T8", [3, 4], [0.05, 0, 0])))
    level = next(f for f in findings if f.where == "T8")
    assert level.code == "shape_fitted_level"
    assert level.severity is Severity.WARNING
    assert level.frames == (3, 4)
    assert float(re.search(r"lies ([\d.]+) cm", level.message)[1]) == pytest.approx(5, rel=0.2)
    assert {f.code for f in findings} == {"shape_fitted", "shape_fitted_level"}


def test_points_in_another_unit_are_a_finding_not_a_crash():
    (finding,) = check_fitted_shape(centres().with_(xyz=1000 * centres().xyz))
    assert finding.code == "shape_fitted"
    assert "unit" in finding.suggestion


def test_unsolved_frames_are_not_looked_at():
    points = centres()
    xyz = 1000 * points.xyz
    xyz[2:] = np.nan
    (finding,) = check_fitted_shape(points.with_(xyz=xyz))
    assert finding.frames == (0, 1)
    xyz[:] = np.nan
    assert list(check_fitted_shape(points.with_(xyz=xyz))) == []


def test_long_trials_are_thinned_evenly():
    points = centres(1000)
    (finding,) = check_fitted_shape(points.with_(xyz=1000 * points.xyz))
    chosen = finding.frames
    assert len(chosen) == 100
    assert (chosen[0], chosen[-1]) == (0, 999)
    assert set(np.diff(chosen)) <= {10, 11}


def seen(origin: Origin = Origin.DETECTED) -> Markers:
    """The eight points on the back: 6 cm behind their vertebrae."""
    xyz = np.tile([SPINE[CHAIN_LEVELS.index(level)] - [0.06, 0, 0] for level in LEVEL_OF.values()], (FRAMES, 1, 1))
    return Markers(tuple(LEVEL_OF), 50, xyz, "y_up", origin=(origin,) * len(LEVEL_OF))


def test_points_on_the_back_pass_and_an_outlier_does_not():
    assert list(check_measured_shape(seen())) == []
    findings = list(check_measured_shape(moved(seen(), "Spine_04", [5], [0.2, 0.1, 0])))
    assert "T8" in {f.where for f in findings}
    assert all(5 in f.frames for f in findings)


def test_inferred_points_prove_nothing():
    assert list(check_measured_shape(moved(seen(Origin.INFERRED), "Spine_04", [5], [0.2, 0.1, 0]))) == []


def person(frame: str = "y_up") -> Markers:
    """Standing upright, facing x (y up, z right)."""
    at = {"RHip": (0, 1, 0.1), "LHip": (0, 1, -0.1), "RShoulder": (0, 1.5, 0.18), "LShoulder": (0, 1.5, -0.18)}
    for side, z in (("R", 0.1), ("L", -0.1)):
        at |= {f"{side}Heel": (-0.05, 0, z), f"{side}BigToe": (0.15, 0, z), f"{side}Ankle": (0, 0.08, z)}
        at |= {f"{side}Knee": (0.02, 0.5, z), f"{side}Elbow": (0, 1.2, 2.5 * z)}
    xyz = np.tile(list(at.values()), (FRAMES, 1, 1)).astype(float)
    order = [0, 1, 2] if frame == "y_up" else [2, 0, 1]  # x, y, z = world Y, Z, X
    return Markers(tuple(at), 50, xyz[..., order], frame)


def on_the_skin(names) -> list[str]:
    """Names that laboratories give to markers on the skin over these points (Plug-in Gait)."""
    places = {"Hip": "ASI", "Shoulder": "SHO", "Elbow": "ELB", "Knee": "KNE", "Ankle": "ANK", "Heel": "HEE"}
    return [name[0] + (places | {"BigToe": "TOE"})[name[1:]] for name in names]


@pytest.mark.parametrize(
    ("order", "sign", "found"),
    [
        ([0, 1, 2], 1, None),
        ([0, 1, 2], -1, "feet_backwards"),  # mirrored, left with right
        ([1, 0, 2], -1, "lying"),  # x up
        ([0, 2, 1], -1, "lying"),
    ],
)
def test_markers_on_the_skin_show_sides_and_the_vertical(order, sign, found):
    points = person()
    markers = Markers(on_the_skin(points.names), 50, points.xyz[..., order] * [1, 1, sign], "y_up")
    assert [f.code for f in [*check_sides(markers), *check_vertical(markers)]] == ([found] if found else [])


def turned(names, degrees: float) -> Markers:
    """Some points turned to the left about the vertical axis through the origin, in frame 7."""
    points = person()
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    xyz = np.array(points.xyz)
    rows = points.indices(names)
    xyz[7, rows] = xyz[7, rows] @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T
    return points.with_(xyz=xyz)


@pytest.mark.parametrize("frame", ["y_up", "z_up"])
def test_a_person_who_stands_straight_is_fine(frame):
    assert list(check_sides(person(frame))) == []
    np.testing.assert_allclose(feet_turn_angle(person(frame)), 0, atol=1e-7)


@pytest.mark.parametrize("degrees", [30, 80, 180])
def test_twist_is_the_turn_between_shoulders_and_hips(degrees):
    points = turned(("RShoulder", "LShoulder"), degrees)
    assert np.degrees(turn_between_pairs(points, HIP_PAIR, SHOULDER_PAIR)[7]) == pytest.approx(degrees)
    found = [f for f in check_sides(points) if f.code == "trunk_twist"]
    assert [f.frames for f in found] == ([(7,)] if degrees > 75 else [])


def test_exchanged_hips_turn_trunk_and_feet():
    points = person()
    xyz = np.array(points.xyz)
    xyz[2:5, [0, 1]] = xyz[2:5, [1, 0]]
    assert {(f.code, f.frames) for f in check_sides(points.with_(xyz=xyz))} == {
        ("trunk_twist", (2, 3, 4)), ("feet_backwards", (2, 3, 4)),
    }  # fmt: skip


@pytest.mark.parametrize("frame", ["y_up", "z_up"])
@pytest.mark.parametrize(
    ("exchanged", "found"),
    [
        (("Knee",), ["knees", "ankles"]),
        (("Knee", "Ankle"), ["knees"]),
        (("Ankle",), ["ankles"]),
        (("Elbow",), ["elbows"]),
    ],
)
@pytest.mark.parametrize("frames", [FRAMES, FRAMES // 2 - 1])
@pytest.mark.parametrize("on_skin", [False, True])
def test_limbs_on_the_other_side_in_most_frames_are_named(frame, exchanged, found, frames, on_skin):
    points = person(frame)
    xyz = np.array(points.xyz)
    for joint in exchanged:
        pair = points.indices((f"R{joint}", f"L{joint}"))
        xyz[:frames, pair] = xyz[:frames, pair[::-1]]
    names = on_the_skin(points.names) if on_skin else points.names
    findings = [f for f in check_sides(Markers(names, 50, xyz, frame)) if f.code == "limbs_exchanged"]
    assert [(f.where, len(f.frames)) for f in findings] == (
        [(name, frames) for name in found] if frames == FRAMES else []
    )


@pytest.mark.parametrize("frame", ["y_up", "z_up"])
@pytest.mark.parametrize(
    ("seen", "degrees"),
    [("Nose", np.degrees(np.arctan2(0.15, 0.2))), ("Knee", np.degrees(np.arctan2(0.04, 0.32))), ("", None)],
)
def test_left_and_right_exchanged_everywhere_are_named_by_nose_and_bent_knees(frame, seen, degrees):
    points = person(frame)
    forward = np.array([1.0, 0, 0] if frame == "y_up" else [0, 1, 0])
    xyz = np.array(points.xyz)
    if seen == "Knee":  # straight knees say nothing
        xyz[:, points.indices(("RKnee", "LKnee"))] += 0.3 * forward
    nose = (points.xyz[:, :1] + points.xyz[:, 1:2]) / 2 + [0.2 * forward]
    nose[..., "yz".index(frame[0]) + 1] += 0.5 + 0.15  # mid-shoulders are 0.5 m above mid-hips
    given = Markers(
        ("Nose", *points.names), 50, np.concatenate([nose if seen == "Nose" else np.nan * nose, xyz], 1), frame
    )
    exchanged = [given.names.index({"R": "L", "L": "R"}.get(name[0], "N") + name[1:]) for name in given.names]
    for order, expected in ((np.arange(len(exchanged)), degrees), (exchanged, degrees is not None and 180 - degrees)):
        found = given.with_(xyz=given.xyz[:, order])
        named = [len(f.frames) for f in check_sides(found) if f.code == "sides_exchanged"]
        assert named == ([FRAMES] if expected and expected > 110 else [])
        if degrees is None:
            assert np.isnan(front_turn_angle(found)).all()
        else:
            np.testing.assert_allclose(np.degrees(front_turn_angle(found)), expected)


def test_feet_that_point_up_are_not_judged():
    """Lying on the back: what is left of the feet in the horizontal plane says nothing."""
    points = person()
    xyz = np.array(points.xyz)
    for side in "RL":
        heel, toe = points.indices((f"{side}Heel", f"{side}BigToe"))
        xyz[:, toe] = xyz[:, heel] + [-0.05, 0.2, 0.0]  # y up
    assert "feet_backwards" not in {finding.code for finding in check_sides(points.with_(xyz=xyz))}


def test_one_foot_turned_out_is_no_fault_and_lying_on_the_side_is_not_judged():
    assert list(check_sides(turned(("RHeel", "RBigToe"), 130))) == []
    lying = person().with_(xyz=person().xyz[..., [0, 2, 1]])  # the hips' line is vertical
    assert np.isnan(feet_turn_angle(lying)).all()
    assert list(check_sides(Markers(("Nose",), 50, np.zeros((3, 1, 3))))) == []
