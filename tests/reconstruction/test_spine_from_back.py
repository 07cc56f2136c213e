"""A line on the back of a body whose spine is known; what is no back is refused."""

import re

import numpy as np
import pytest

import simspine as ss
from simspine.anatomy.body import body_poses, forward_kinematics
from simspine.anatomy.curvature import lumbar_lordosis, thoracic_kyphosis
from simspine.anatomy.marker_sets import Tape, read_skin_table
from simspine.anatomy.recipes import build_body, read_recipe
from simspine.anatomy.scaling import ScaleFactors, SegmentFactor, scale_body
from simspine.core.errors import InputError
from simspine.core.geometry import distances_along
from simspine.core.types import Markers, Motion, Origin
from simspine.estimation.fit_person import SizedBody
from simspine.estimation.options import KinematicsOptions
from simspine.estimation.solve_trial import read_spine, solve_kinematics

SIZE = 0.9
DOTS = Tape(40, 0.01, "C7", "S1", {}).names
PSIS = ("LPSIS_skin", "RPSIS_skin")


def scaled(unscaled, size):
    recipe = read_recipe("articulated")
    factors = tuple(SegmentFactor(s.name, s.bodies, size, assumed=True, reason="a test") for s in recipe.segments)
    return scale_body(unscaled, ScaleFactors(factors, 1.7 * size, size), None, recipe)


@pytest.fixture(scope="module")
def body():
    unscaled = build_body("articulated", "centres", (*DOTS, *PSIS))
    return SizedBody(scaled(unscaled, SIZE), read_recipe("articulated"), dict.fromkeys(unscaled.bodies, SIZE))


def posture(sized, **degrees) -> Motion:
    """One frame of the body; degrees by the end of a coordinate's name are shared among all that end so."""
    c = sized.body.coordinates
    values = np.array(c.default, float)
    for name, angle in degrees.items():
        chosen = [i for i, own in enumerate(c.names) if own.startswith(("L", "T")) and own.endswith(name)]
        values[chosen] += np.radians(angle) / len(chosen)
    return Motion(c.names, 30.0, values[None], c.rotational)


def seen_on(sized, motion):
    """The line and both PSIS of a posture, and its lordosis, kyphosis (degrees) and vertebral centres."""
    markers = forward_kinematics(sized.body, motion)
    poses = body_poses(sized.body, motion)
    angles = [np.degrees(of(poses, sized.vertebrae)[0]) for of in (lumbar_lordosis, thoracic_kyphosis)]
    return markers.select(DOTS).xyz[0], markers.select(PSIS).xyz[0], angles, markers


@pytest.mark.parametrize("flexion", [0, 15, -10])
def test_the_spine_under_the_line_is_found(body, flexion):
    line, psis, (lla, tka), truth = seen_on(body, posture(body, Flex_Ext=flexion))
    rec = ss.spine_from_back(line, psis=psis)
    spine = rec.spine
    assert abs(np.degrees(spine.lla[0]) - lla) < 1.645 * np.degrees(spine.lla_sd[0])
    assert abs(np.degrees(spine.tka[0]) - tka) < 1.645 * np.degrees(spine.tka_sd[0])
    levels = ("T3", "T8", "L1", "L4")
    off = spine.centres.select(levels).xyz[0] - truth.select([f"{level}_virtual" for level in levels]).xyz[0]
    assert np.abs(off[:, [0, 2]]).max() < 0.012
    assert rec.sized.factors["lumbar3"] == pytest.approx(SIZE, rel=0.05)  # a flatter back is shorter along the skin


def test_dense_points_that_err_by_a_millimetre_do_not_lengthen_the_back(body):
    """The way through them is a fifth longer than the line: the body was, and lordosis 17° larger than by the line."""
    line, psis, _, _ = seen_on(body, posture(body))
    share, dense = np.linspace(0, 1, len(line)), np.linspace(0, 1, 150)
    exact = np.column_stack([np.interp(dense, share, axis) for axis in line.T])
    noisy = exact + np.random.default_rng(0).normal(size=exact.shape) * 0.001
    assert distances_along(noisy)[-1] > 1.15 * distances_along(line)[-1]
    by_line, by_points = (ss.spine_from_back(points, psis=psis) for points in (line, noisy))
    assert by_points.sized.factors["lumbar3"] == pytest.approx(by_line.sized.factors["lumbar3"], rel=0.015)
    for key in ("lla", "tka"):
        assert np.degrees(getattr(by_points, key)) == pytest.approx(np.degrees(getattr(by_line, key)), abs=1.5)


def test_a_bent_back_is_more_bent_than_a_straight_one(body):
    angles = []
    for flexion in (0.0, -20.0):
        line, psis, truth, _ = seen_on(body, posture(body, Flex_Ext=flexion))
        spine = ss.spine_from_back(line, psis=psis).spine
        angles.append([truth[0] + truth[1], np.degrees(spine.lla[0] + spine.tka[0])])
    (straight_truth, straight), (bent_truth, bent) = angles
    assert bent - straight == pytest.approx(bent_truth - straight_truth, abs=6)


def test_sideways_curves_have_their_sign(body):
    line, psis, _, truth = seen_on(body, posture(body, Lat_Bending=25))
    centres = ss.spine_from_back(line, psis=psis).spine.centres
    ours, wanted = (m.select([name]).xyz[0, 0, 2] for m, name in ((centres, "T1"), (truth, "T1_virtual")))
    assert ours == pytest.approx(wanted, abs=0.02)
    assert abs(wanted) > 0.05


def test_where_the_person_faces_changes_no_angle(body):
    line, psis, _, _ = seen_on(body, posture(body))
    turn = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # 90° to the left
    plain, turned = ss.spine_from_back(line, psis=psis), ss.spine_from_back(line @ turn.T, psis=psis @ turn.T)
    assert turned.lla[0] == pytest.approx(plain.lla[0], abs=np.radians(0.2))
    assert turned.spine.centres.xyz[0] == pytest.approx(plain.spine.centres.xyz[0] @ turn.T, abs=0.003)


def test_depth_is_not_measured_and_said_to_be_unsure(body):
    line, psis, _, _ = seen_on(body, posture(body))
    centres = ss.spine_from_back(line, psis=psis).spine.centres
    sd = np.sqrt(np.array([centres.covariance[0, centres.index(level)][0, 0] for level in ("T6", "L3")]))
    assert (sd >= read_skin_table().person_depth_sd).all()
    assert (sd < 0.02).all()


def test_depth_under_a_tape_is_unsure_also_where_limbs_are_measured(body):
    """A tape behind a person of thicker skin: limbs do not show where the spine is, and nothing says they do."""
    limbs = ("LHip", "RHip", "LShoulder", "RShoulder", "LKnee", "RKnee", "LElbow", "RElbow")
    names = (*limbs, *DOTS)
    truth = forward_kinematics(body.body, posture(body))
    xyz = np.repeat(truth.select(names).xyz, 3, axis=0)
    thicker = 0.012
    xyz[:, len(limbs) :, 0] -= thicker  # the person faces x
    markers = Markers(names, 30.0, xyz, "y_up", origin=(Origin.DETECTED,) * len(names))
    spine = read_spine(body, solve_kinematics(body, markers, "centres", KinematicsOptions()))
    level = spine.centres.index("T6")
    off = abs(spine.centres.xyz[1, level, 0] - truth.select(["T6_virtual"]).xyz[0, 0, 0])
    sd = spine.centres.covariance[1, level, 0, 0] ** 0.5
    assert 0.005 < off < 1.645 * sd
    assert read_skin_table().person_depth_sd <= sd < 0.02


def test_depth_does_not_grow_with_the_person():
    unscaled = build_body("articulated", "centres", ("T7_skin",))
    place = read_skin_table().of(["T7_skin"])["T7_skin"]

    def behind(of):
        return of.marker_offsets[of.marker_index("T7_skin")][0]

    at = behind(unscaled) + place.depth  # of the bone
    assert behind(scaled(unscaled, 1.2)) == pytest.approx(1.2 * at - place.depth, abs=1e-6)


def test_a_heading_counts_from_the_points_own_x_axis(body):
    """With z up it had counted from y: kyphosis was 16° in the place of 31°."""
    line = seen_on(body, posture(body))[0]
    ahead = ss.spine_from_back(line, heading=0.0)
    for left in (0.0, 0.7):  # of x, in a world with z up
        turned = (
            line[:, [0, 2, 1]]
            * [1, -1, 1]
            @ np.array([[np.cos(left), np.sin(left), 0], [-np.sin(left), np.cos(left), 0], [0, 0, 1]])
        )
        found = ss.spine_from_back(turned, heading=left, frame="z_up")
        np.testing.assert_allclose([found.lla, found.tka], [ahead.lla, ahead.tka], atol=2e-3)


def test_sequences_gaps_c7_and_world_z_up(body):
    line, psis, _, _ = seen_on(body, posture(body))
    above = line[0] + np.array([0.01, 0.05, 0.0])
    frames = np.repeat(np.concatenate([above[None], line])[None], 6, axis=0)
    frames[2] = np.nan
    rec = ss.spine_from_back(frames, c7=line[0], psis=psis, rate=10.0)
    one = ss.spine_from_back(line[:, [2, 0, 1]], psis=psis[:, [2, 0, 1]], frame="z_up")
    assert rec.spine.frames == 6
    assert rec.spine.rate == 10.0
    assert np.degrees(rec.lla[0] - one.lla[0]) == pytest.approx(0, abs=4)
    assert not np.isfinite(rec.markers.xyz[2, :-2]).any()
    assert np.isfinite(rec.lla).all()


@pytest.mark.parametrize(
    ("missing", "landmarks"),
    [(np.s_[30:], ()), (np.s_[:6], ()), (np.s_[34:], ("psis",)), (np.s_[:9], ("psis", "c7")), (None, ("psis", "c7"))],
)
def test_a_frame_without_an_end_of_the_line_has_no_result(body, missing, landmarks):
    """Oracle: the other frames alone. What is left of the line would count as C7 to S1. None: C7 itself is missing."""
    line, psis, _, _ = seen_on(body, posture(body))
    frames, c7 = np.repeat(line[None], 5, axis=0), np.repeat(line[:1], 5, axis=0)
    if missing is None:
        c7[2] = np.nan
    else:
        frames[2, missing] = np.nan
    given = {name: place for name, place in {"psis": psis, "c7": c7}.items() if name in landmarks}
    rec = ss.spine_from_back(frames, **given)
    np.testing.assert_array_equal(np.isfinite(rec.markers.xyz[:, 0, 0]), [True, True, False, True, True])
    assert "not_solved" in {f.code for f in rec.findings}
    whole = ss.spine_from_back(np.repeat(line[None], 5, axis=0), **given)
    np.testing.assert_allclose(rec.lla, whole.lla, atol=np.radians(0.5))


def test_points_missing_near_an_end_take_no_frame_away(body, recwarn):
    """A scanned line has other points in every frame; what is missing is less than the distance of two dots."""
    line, psis, _, _ = seen_on(body, posture(body))
    frames = np.repeat(line[None], 4, axis=0)
    frames[1, :1] = frames[2, -1:] = frames[3, 10:20] = np.nan
    for given in ({}, {"psis": psis}):
        assert np.isfinite(ss.spine_from_back(frames, **given).markers.xyz).all()
    assert not recwarn.list


def test_an_end_that_no_frame_shows_is_named(body):
    line = np.array(seen_on(body, posture(body))[0])
    line[30:] = np.nan
    with pytest.warns(UserWarning, match="at S1 is never seen"):
        ss.spine_from_back(line)


def test_without_the_dimples_the_heading_is_needed(body):
    line, psis, (_lla, _), _ = seen_on(body, posture(body))
    turn = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    assumed = ss.spine_from_back(line)
    given = ss.spine_from_back(line @ turn.T, heading=np.pi / 2)
    assert [f.code for f in assumed.findings][:1] == ["heading_not_seen"]
    assert "assumed" in assumed.findings[0].message
    assert "was given" in given.findings[0].message
    assert np.degrees(given.lla[0]) == pytest.approx(np.degrees(assumed.lla[0]), abs=1)
    assert "heading_not_seen" not in {f.code for f in ss.spine_from_back(line, psis=psis).findings}


@pytest.mark.parametrize("turn", [60, 90, 180, -90])
def test_a_back_that_is_round_sideways_does_not_face_along_x(body, turn):
    """A kyphosis of 37° was 19° ± 7° of a person who faced along z, and −5° ± 6° of one who faced backwards."""
    line = seen_on(body, posture(body))[0]
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    turned = line @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T
    with pytest.raises(InputError, match=rf"faced {turn}° to the left of x, and 0° is assumed.*--heading"):
        ss.spine_from_back(turned)
    with pytest.raises(InputError, match=rf"faced {turn}° to the left of x, and {turn - 180}° was given"):
        ss.spine_from_back(turned, heading=np.radians(turn - 180))
    upright = ss.spine_from_back(line)
    found = ss.spine_from_back(turned, heading=np.radians(turn))
    assert np.degrees(found.tka[0] - upright.tka[0]) == pytest.approx(0, abs=0.5)


def test_the_result_is_saved_and_reported(body, tmp_path):
    line, psis, _, _ = seen_on(body, posture(body))
    rec = ss.spine_from_back(line, psis=psis, height=1.6, mass=60)
    assert ss.open_dataset(rec.save(tmp_path / "back.h5")) is not None
    assert "<html" in rec.report(tmp_path / "back.html").read_text()[:500].lower()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda line, psis: (1000 * line, 1000 * psis), "Is the unit metres"),
        (lambda line, psis: (line[::-1], None), "runs upwards"),
        (lambda line, psis: (line[:, [2, 0, 1]], psis[:, [2, 0, 1]]), "does another axis point up"),
        (lambda line, psis: (line, psis[::-1]), "exchanged"),
        (lambda line, psis: (line, psis + np.array([0, 0.45, 0])), "Are C7 and the PSIS seen, where the line begins"),
        (lambda line, psis: (line, psis[[0, 0]]), "psis are 0 m apart"),
        (lambda line, psis: (line, 1000 * psis), "psis is .* m from the line"),
        (lambda line, psis: (line[:3], None), "3 points with three coordinates; expected 8"),
        (lambda line, psis: (line[:, :2], psis), r"shape \(40, 2\)"),
        (lambda line, psis: (line, psis[:1]), r"psis has shape \(1, 3\)"),
        (lambda line, psis: (line, np.repeat(psis[None], 3, 0)), "psis has 3 frames, the line 1"),
    ],
)
def test_what_is_no_back_is_refused(body, change, said):
    line, psis, _, _ = seen_on(body, posture(body))
    line, psis = change(line, psis)
    with pytest.raises(InputError, match=said):
        ss.spine_from_back(line, psis=psis)


def flat_back(kyphosis: float, lordosis: float, points: int = 60, length: float = 0.46) -> np.ndarray:
    """A line (points, 3) of two arcs, rad, seen from the side; y up, x forward."""
    share = np.linspace(0, 1, points)
    slope = np.cumsum(np.where(share < 0.58, kyphosis / 0.58, -lordosis / 0.42)) / points
    slope -= slope.mean()
    line = np.cumsum(np.column_stack([np.sin(slope), -np.cos(slope), 0 * share]), 0) * length / points
    return line - line[0] + [0, 1.4, 0]


@pytest.mark.parametrize("kyphosis", [15, 20])
def test_a_flat_back_that_is_read_backwards_is_refused(kyphosis):
    """As of many adolescents with scoliosis: the lower back's hollow says where the front is."""
    line = flat_back(np.radians(kyphosis), np.radians(35))
    right_psis = line[-1] + np.array([[0.01, 0, -0.045], [0.01, 0, 0.045]])
    assert ss.spine_from_back(line, psis=right_psis).tka[0] > 0
    with pytest.raises(InputError, match="Are left and right PSIS exchanged"):
        ss.spine_from_back(line, psis=right_psis[::-1])
    with pytest.raises(InputError, match=r"as if the person faced -?180° to the left of x"):
        ss.spine_from_back(line * [-1, 1, 1])


def test_a_line_that_contradicts_the_height_has_a_gap_or_runs_upwards(body):
    """Oracle: the body's own height, a line with 15 cm cut out, and a line turned over."""
    line, psis, _, _ = seen_on(body, posture(body))
    codes = {f.code for f in ss.spine_from_back(line, psis=psis, height=1.55).findings}
    assert not {"stature", "back_line"} & codes
    (found,) = [f for f in ss.spine_from_back(line, psis=psis, height=2.1).findings if f.code == "stature"]
    assert "does the line begin at C7" in found.message
    height = line[0, 1] - line[:, 1]
    (found,) = [
        f
        for f in ss.spine_from_back(line[(height < 0.1) | (height > 0.25)], psis=psis).findings
        if f.code == "back_line"
    ]
    assert re.search(r"gap of 0\.1[5-9] m, which begins 0\.(09|10) m below C7", found.message)
    with pytest.raises(InputError, match="Where it runs upwards, reverse"):
        ss.spine_from_back(line[::-1], psis=psis)


def test_frames_that_contradict_the_others_are_named(body):
    """Oracle: a line that ends 6 cm early from frame 5 on; PSIS that are exchanged in frames 6 and 7."""
    line, psis, _, _ = seen_on(body, posture(body))
    lines, dimples = np.repeat(line[None], 8, 0), np.repeat(psis[None], 8, 0)
    assert "back_line" not in {f.code for f in ss.spine_from_back(lines, psis=dimples).findings}
    shorter = lines.copy()
    shorter[5:] += np.linspace(0, 1, len(line))[:, None] * (line[0] - line[-1]) * 0.06 / 0.45
    (found,) = [f for f in ss.spine_from_back(shorter, heading=0.0).findings if f.code == "back_line"]
    assert found.frames == (5,)
    turned = lines.copy()
    turned[4:] = lines[4:, ::-1]
    (found,) = [f for f in ss.spine_from_back(turned, heading=0.0).findings if f.code == "back_line"]
    assert found.frames == (4,)
    dimples[6:] = dimples[6:, ::-1]
    (found,) = [f for f in ss.spine_from_back(lines, psis=dimples).findings if f.code == "back_line"]
    assert found.frames == (6, 7)
    assert "exchanged" in found.message


def test_the_page_of_one_frame_has_values_and_a_posture_and_no_time(body, tmp_path):
    """Values with intervals of the posterior, both planes, one pose in 3D; nothing over a time that has not passed."""
    line, psis, _, _ = seen_on(body, posture(body, Flex_Ext=10))
    rec = ss.spine_from_back(line, psis=psis)
    text = rec.report(tmp_path / "report.html").read_text().replace("\u00a0", " ")
    value, reach = np.degrees(rec.tka[0]), 1.96 * max(np.degrees(rec.spine.tka_sd[0]), 8.0)  # least error in people
    assert f"Thoracic kyphosis {value:.0f} ± {reach:.0f}°" in text
    assert rec.spine.lla_sd[0] > 0.8 * np.radians(11.25), "lordosis is assumed, so without a value"
    assert "Lumbar lordosis, and so lumbar flexion:</b> not measured" in text
    assert "The spine in both planes" in text
    assert '"curves":[]' in text
    assert '"frames":1' in text
    for of_time in ("time (s)", "Pelvis and spine over time", "0.0 s", "From … to", "Hip, flexion"):
        assert of_time not in text, of_time


def test_masked_points_are_missing_ones(body):
    """Oracle: the same line with NaN."""
    line, psis, _, _ = seen_on(body, posture(body))
    spoilt, mask = line.copy(), np.zeros(line.shape, bool)
    spoilt[12] += (0.1, 0.0, 0.05)
    mask[12] = True
    missing = ss.spine_from_back(np.where(mask, np.nan, line), psis=psis)
    for given in (np.ma.array(spoilt, mask=mask), list(np.ma.array(spoilt, mask=mask))):
        assert ss.spine_from_back(given, psis=psis).tka == missing.tka
    with pytest.raises(InputError, match="from C7 down to the height of the PSIS"):
        ss.spine_from_back(line, psis=np.ma.array(psis, mask=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"psis": None, "heading": 90}, "heading is 90; expected an angle .*in radians"),
        ({"psis": None, "heading": "1"}, "heading is a str, expected float"),
        ({"psis": None, "heading": 1j}, "heading is a complex, expected float"),
        ({"psis": None, "line": [[1, 2, 3], [1, 2]]}, "line is not made of numbers"),
        ({"height": 168.0}, "height is 168.0 m"),
        ({"c7": 5}, r"c7 has shape \(1, 1, 1\); expected \(1, 3\)"),
        ({"heading": 0.0}, "Leave one of them out"),
    ],
)
def test_arguments_in_other_units_without_effect_or_no_numbers_are_refused(body, change, message):
    line, psis, _, _ = seen_on(body, posture(body))
    with pytest.raises(InputError, match=message):
        ss.spine_from_back(**{"line": line, "psis": psis, **change})
