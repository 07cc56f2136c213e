import numpy as np
import pytest
from benchmarks.spine_by_rule import JOINTS, SPINE, head_points, infer_missing, infer_spine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from simspine import skeletons
from simspine.errors import InputError
from simspine.types import Keypoints, Origin

NAMES = (*JOINTS, "LEar", "REar")
# upright body, metres, z up, facing x: hips, shoulders, ears
BODY = np.array(
    [[0, 0.1, 0.9], [0, -0.1, 0.9], [0, 0.2, 1.44], [0, -0.2, 1.44], [0.02, 0.07, 1.61], [0.02, -0.07, 1.61]], float
)

bodies = arrays(float, (6, 3), elements=st.floats(-0.15, 0.15)).map(lambda noise: BODY + noise)


@settings(max_examples=60, deadline=None)
@given(
    bodies,
    st.tuples(*[st.floats(-1, 1)] * 3),
    st.tuples(*[st.floats(-5, 5)] * 3),
    st.floats(0.01, 1000),
    st.sampled_from([2, 3]),
)
def test_turns_moves_and_scales_with_the_joints(body, axis, shift, scale, dimensions):
    turn = Rotation.from_rotvec(np.pi * np.asarray(axis)).as_matrix()
    if dimensions == 2:
        c, s = np.cos(axis[0]), np.sin(axis[0])
        turn = np.array([[c, -s], [s, c]])
    body, shift = body[:, 3 - dimensions :], np.asarray(shift)[:dimensions]
    moved = infer_spine(scale * body @ turn.T + shift, NAMES)
    np.testing.assert_allclose(moved, scale * infer_spine(body, NAMES) @ turn.T + shift, atol=1e-9 * max(scale, 1))


@settings(max_examples=60, deadline=None)
@given(bodies)
def test_exchanging_sides_changes_nothing_and_mirroring_mirrors(body):
    spine = infer_spine(body, NAMES)
    np.testing.assert_allclose(infer_spine(body[[1, 0, 3, 2, 5, 4]], NAMES), spine, atol=1e-12)
    np.testing.assert_allclose(infer_spine(body * [1, -1, 1], NAMES), spine * [1, -1, 1], atol=1e-12)


def test_straight_body_gives_a_straight_evenly_spaced_spine():
    line = np.array([[0, 0.1, 0], [0, -0.1, 0], [0, 0.2, 0.8], [0, -0.2, 0.8], [0, 0.1, 1.0], [0, -0.1, 1.0]])
    spine = infer_spine(line, NAMES)
    np.testing.assert_allclose(spine[:, :2], 0, atol=1e-12)
    base = 0.8 + 0.25 * 0.2
    np.testing.assert_allclose(spine[:7, 2], base * np.linspace(0.14, 1, 7), atol=1e-3)
    np.testing.assert_allclose(spine[7:, 2], base + 0.15 * np.array([0.35, 0.7]), atol=1e-3)
    assert (np.diff(spine[:, 2]) > 0).all()


@settings(max_examples=40, deadline=None)
@given(bodies)
def test_trunk_points_are_evenly_spaced_along_the_arc(body):
    """Oracle: a dense polyline of the trunk curve, recovered from the formula as a Bézier curve."""
    hips, shoulders, ears = body[:2].mean(0), body[2:4].mean(0), body[4:].mean(0)
    base = shoulders + 0.25 * (ears - shoulders)
    tangent = (2 / 3) * (base - hips) / 0.82 + (1 / 3) * (ears - base) / 0.18
    control = base - tangent * 0.82 / 2  # the parabola's middle Bézier point
    t = np.linspace(0, 1, 4001)[:, None]
    curve = (1 - t) ** 2 * hips + 2 * t * (1 - t) * control + t**2 * base
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))]
    expected = np.stack([np.interp(np.linspace(0.14, 1, 7) * length[-1], length, axis) for axis in curve.T], 1)
    np.testing.assert_allclose(infer_spine(body, NAMES)[:7], expected, atol=2e-3 * length[-1])


def test_the_two_curves_join_smoothly():
    """Directions just before and after the base of the neck agree although the head is bent forward."""
    from benchmarks import spine_by_rule as module

    body = BODY.copy()
    body[4:, 0] += 0.12
    hips, shoulders, ears = body[:2].mean(0), body[2:4].mean(0), body[4:].mean(0)
    spine = infer_spine(body, NAMES)
    old = module._TRUNK_AT, module.NECK_AT
    try:
        module._TRUNK_AT, module.NECK_AT = np.linspace(0.999, 1, 7), (0.001, 0.002)
        near = infer_spine(body, NAMES)
    finally:
        module._TRUNK_AT, module.NECK_AT = old
    before, after = near[6] - near[5], near[7] - near[6]
    cosine = before @ after / np.linalg.norm(before) / np.linalg.norm(after)
    assert np.degrees(np.arccos(min(cosine, 1))) < 1
    corner = (
        (shoulders - hips) @ (ears - shoulders) / np.linalg.norm(shoulders - hips) / np.linalg.norm(ears - shoulders)
    )
    assert np.degrees(np.arccos(corner)) > 20  # the joints themselves do make a corner
    assert np.isfinite(spine).all()


def test_inferring_in_the_image_nearly_commutes_with_projection():
    """Drawn in an image of parallel projection ≈ image of what is drawn in space, from any side, for a bent body.

    Not exactly: even spacing along a foreshortened arc is another spacing.
    """
    body = BODY.copy()
    body[2:4, 0] += 0.25  # trunk leaning forward
    body[2:4, 1] += 0.1
    body[4:, 0] += 0.35
    trunk = np.linalg.norm(body[2:4].mean(0) - body[:2].mean(0))
    space = infer_spine(body, NAMES)
    errors = []
    for turn in Rotation.from_euler("zx", [[a, b] for a in range(0, 360, 30) for b in (-20, 0, 30)], degrees=True):
        view = turn.as_matrix()[[0, 2]]
        errors.append(np.linalg.norm(infer_spine(body @ view.T, NAMES) - space @ view.T, axis=-1))
    assert np.median(errors) < 0.01 * trunk
    assert np.max(errors) < 0.04 * trunk


def test_missing_joints_give_missing_points_only_there():
    body = np.stack([BODY] * 3)
    body[1, NAMES.index("LEar")] = np.nan
    spine = infer_spine(body, NAMES)
    assert np.isnan(spine[1]).all()
    assert np.isfinite(spine[[0, 2]]).all()
    assert np.isfinite(infer_spine(np.zeros((6, 2)), NAMES)).all()  # all joints at one place: no division by zero


def test_the_head_is_ears_then_nose_then_top():
    assert head_points(("Head", "Nose", "LEar", "REar")) == ("LEar", "REar")
    assert head_points(("Head", "Nose", "LEar")) == ("Nose",)
    assert head_points(("Head", "Nose"), [True, False]) == ("Head",)
    with pytest.raises(InputError, match="without ears, nose or head"):
        head_points(JOINTS)
    with pytest.raises(InputError, match=r"without RHip; points present: LHip"):
        infer_spine(np.zeros((4, 3)), ["LHip", "LShoulder", "RShoulder", "Nose"])


def _keypoints(without=()):
    names = skeletons.load("simspine37").names
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 500, (4, 2, 37, 2))
    confidence = rng.uniform(0.3, 1, (4, 2, 37))
    for name in without:
        xy[:, :, names.index(name)] = np.nan
    return Keypoints(names, 60, xy, confidence)


def test_only_points_missing_for_the_whole_trial_are_filled_and_flagged():
    given_points = _keypoints(without=[n for n in SPINE if n not in ("Neck", "Spine_03")])
    xy = given_points.xy.copy()
    xy[1, 0, given_points.index("Neck")] = np.nan  # a gap in a detected point stays a gap
    xy[2, 1, given_points.index("LHip")] = np.nan
    given_points = given_points.with_(xy=xy)
    filled = infer_missing(given_points)
    inferred = {n for n, o in zip(filled.names, filled.origin, strict=True) if o is Origin.INFERRED}
    assert inferred == set(SPINE) - {"Neck", "Spine_03"}
    rest = [n for n in filled.names if n not in inferred]
    assert filled.select(rest) == given_points.select(rest)
    i = filled.index("Spine_04")
    assert np.isnan(filled.xy[2, 1, i]).all()
    assert filled.confidence[2, 1, i] == 0
    used = given_points.select((*JOINTS, "LEar", "REar"))
    np.testing.assert_allclose(filled.confidence[0, 0, i], 0.1 * used.confidence[0, 0].min())
    expected = infer_spine(used.xy, used.names)[:, :, SPINE.index("Spine_04")]
    np.testing.assert_array_equal(filled.xy[:, :, i], expected)


def test_nothing_to_do_returns_the_same_points():
    full = _keypoints()
    assert infer_missing(full) is full
    with pytest.raises(InputError, match="translate"):
        infer_missing(full.select([n for n in full.names if n != "Spine_01"]))
