import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from promise import SAME_M
from scipy.spatial.transform import Rotation
from scipy.stats import chi2
from spine_by_rule import SPINE, infer_spine
from tools.marker_atlas.survey import survey
from tools.spine_shape_statistics import vector_parameters

from simspine.anatomy import spine_from_joints as module
from simspine.anatomy.body import neutral_markers
from simspine.anatomy.recipes import build_body
from simspine.anatomy.shape_model import CHAIN_LEVELS, CHAIN_VECTOR_COUNT, chain_positions, packaged_shape_model
from simspine.anatomy.spine_from_joints import (
    EAR_POINTS,
    REQUIRED_JOINTS,
    infer_spine_points,
    spine_from_joints,
    spine_on_curves,
)
from simspine.core.errors import InputError
from simspine.core.skeletons import VERTEBRA_OF
from simspine.core.types import Markers, Origin
from simspine.synthesis.bodies import body_landmarks
from simspine.synthesis.population import make_subject
from simspine.synthesis.virtual_trial import make_trial, true_markers, true_points

SIX = (*REQUIRED_JOINTS, *EAR_POINTS)


@pytest.fixture(scope="module")
def neutral():
    """Vertebral centres (25, 3), joint centres and ears {name: (3,)} of the full-body model, x forward, y up."""
    atlas = survey()
    body = build_body("coupled", "centres")
    joints = dict(zip(body.marker_names, neutral_markers(body), strict=True))
    ears = {ear: atlas.point(*body_landmarks()[ear]) for ear in EAR_POINTS}
    return np.array([atlas.centroid(level) for level in CHAIN_LEVELS]), joints | ears


def middle(joints, part):
    return (joints["L" + part] + joints["R" + part]) / 2


def markers(joints, sd=None):
    xyz = np.stack([joints[name] for name in SIX if name in joints], -2)
    xyz = xyz[None] if xyz.ndim == 2 else xyz
    covariance = None if sd is None else np.broadcast_to(sd**2 * np.eye(3), (*xyz.shape, 3))
    return Markers([name for name in SIX if name in joints], 50, xyz, "y_up", covariance=covariance)


def test_places_are_those_of_the_full_body_model(neutral):
    centres, joints = neutral
    at = dict(zip(CHAIN_LEVELS, centres, strict=True))
    to_hips = middle(joints, "Hip") - at["S1"]
    last = at["S1"] - at["L5"]
    assert module.HIP_FROM_SACRUM[0] == pytest.approx(np.linalg.norm(to_hips), abs=5e-4)
    turned = np.arctan2(to_hips[0], -to_hips[1]) - np.arctan2(last[0], -last[1])
    assert np.degrees(module.HIP_FROM_SACRUM[1]) == pytest.approx(np.degrees(turned), abs=0.5)
    np.testing.assert_allclose(module.SHOULDER_FROM_T2_M, (middle(joints, "Shoulder") - at["T2"])[:2], atol=5e-4)
    np.testing.assert_allclose(module.T3_TO_T1, (at["T1"] - at["T3"])[:2], atol=5e-4)
    # The model's C1 is the ring's centroid, that of the scans is above C2: ears → C2, less C1–C2 of the scans
    typical = chain_positions(packaged_shape_model().mean)
    to_c1 = at["C2"] - (typical[1] - typical[0]) - middle(joints, "Ear")
    assert module.EAR_FROM_C1[0] == pytest.approx(np.linalg.norm(to_c1[:2]), abs=1e-3)
    pitch = np.arctan2(to_c1[0], -to_c1[1]) - packaged_shape_model().mean[CHAIN_VECTOR_COUNT]
    assert np.degrees(module.EAR_FROM_C1[1]) == pytest.approx(np.degrees(pitch), abs=2)


@pytest.mark.parametrize("action", ["Walking", "Photo", "Sitting"])
def test_sides_exchanged_in_all_joints_are_said_where_a_nose_shows_it(action):
    """A whole body with every left point named right faces backwards; only what lies in front tells."""
    seen = true_points(make_trial(make_subject(11, 0), action, 1, 40)).select([*SIX, "Nose"])
    other = {"L": "R", "R": "L"}
    exchanged = seen.select([other.get(name[0], name[0]) + name[1:] for name in seen.names]).xyz
    with pytest.warns(UserWarning, match="left and right seem exchanged .*: the nose is behind"):
        spine_from_joints(seen.with_(xyz=exchanged))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert spine_from_joints(seen).present.all()
        spine_from_joints(seen.select(SIX).with_(xyz=exchanged[:, : len(SIX)]))  # nothing shows it


def test_the_neutral_model_is_found(neutral):
    """From six joints its 24 centres to 5 mm on average, and no one (C1, another place, apart) by more than 12 mm."""
    centres, joints = neutral
    spine = spine_from_joints(markers(joints))
    miss = np.linalg.norm(spine.xyz[0] - centres, axis=1)
    assert miss.mean() < 0.005
    assert miss[1:].max() < 0.012
    assert spine.names == CHAIN_LEVELS
    assert set(spine.origin) == {Origin.INFERRED}


@settings(max_examples=10, deadline=None)
@given(st.tuples(*[st.floats(-3, 3)] * 3), st.tuples(*[st.floats(-50, 50)] * 3), st.sampled_from(["any", "standing"]))
def test_result_moves_with_the_joints(neutral, turn, shift, posture):
    _, joints = neutral
    bent = joints | {"LShoulder": joints["LShoulder"] + [0.1, 0, 0.02], "LEar": joints["LEar"] + [0.03, 0.01, 0]}
    R = Rotation.from_rotvec(turn).as_matrix()
    here = spine_from_joints(markers(bent, 0.01), posture)
    there = spine_from_joints(markers({n: R @ p + shift for n, p in bent.items()}, 0.01), posture)
    np.testing.assert_allclose(there.xyz, here.xyz @ R.T + shift, atol=1e-5)
    np.testing.assert_allclose(there.covariance, R @ here.covariance @ R.T, atol=1e-6)


def test_mirrored_joints_give_the_mirrored_spine(neutral):
    _, joints = neutral
    bent = joints | {"LShoulder": joints["LShoulder"] + [0.05, 0.03, 0], "LHip": joints["LHip"] + [0.02, -0.03, 0]}
    swap = {"L": "R", "R": "L"}
    mirrored = {swap[n[0]] + n[1:]: p * [1, 1, -1] for n, p in bent.items() if n in SIX}
    a, b = spine_from_joints(markers(bent)), spine_from_joints(markers(mirrored))
    np.testing.assert_allclose(b.xyz, a.xyz * [1, 1, -1], atol=1e-5)


def test_ellipsoids_cover_samples_of_the_model():
    """Spines of the prior with their mid-points and facing drawn from the spreads stated, seen in any pose."""
    rng, frames, posture = np.random.default_rng(5), 150, "standing"
    mean, cov = module._with_joints(*packaged_shape_model().prior(posture))
    x = chain_positions(rng.multivariate_normal(mean, cov, frames))
    levels, mix = module._observation_matrix()
    seen = (x[:, levels].reshape(frames, -1) @ mix.T).reshape(frames, 3, 3)
    up = seen[:, 1] - seen[:, 2]
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    right = np.array([0, 0, 1.0]) - up * up[:, 2:]
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    frame = np.stack([np.cross(up, right), up, right], -1)
    errors = (module.EARS_ERROR, module.SHOULDERS_ERROR, module.HIPS_ERROR)
    for i, sd in enumerate(errors):
        seen[:, i] += np.einsum("fij,fj->fi", frame, rng.normal(0, sd, (frames, 3)))
    joints = {}
    for i, (part, half) in enumerate((("Ear", 0.07), ("Shoulder", 0.18), ("Hip", 0.085))):
        angle = rng.normal(0, module.FACING_LINE_SD, frames)
        line = np.einsum("fij,jf->fi", frame, np.stack([np.sin(angle), 0 * angle, np.cos(angle)]))
        joints |= {"L" + part: seen[:, i] - half * line, "R" + part: seen[:, i] + half * line}
    R = Rotation.random(frames, rng=rng).as_matrix()
    spine = spine_from_joints(markers({n: np.einsum("fij,fj->fi", R, p) for n, p in joints.items()}), posture)
    d = spine.xyz - np.einsum("fij,fkj->fki", R, x[:, 1:-1])
    q = np.einsum("fli,flij,flj->fl", d, np.linalg.inv(spine.covariance), d) < chi2.ppf(0.9, 3)
    assert 0.85 < q[:, CHAIN_LEVELS.index("T1") :].mean() < 0.95
    assert 0.80 < q.mean() < 0.97


@pytest.mark.slow
def test_nearer_to_true_spines_than_the_rule():
    """Virtual people, whose spines neither knows; joints and ears as they are."""
    ours, rules = [], []
    for index, action in ((0, "Walking"), (2, "Sitting")):
        trial = make_trial(make_subject(3, index), action, 1, 20)
        seen, true = true_points(trial), true_markers(trial).select(list(trial.truth.vertebrae))
        spine = spine_from_joints(seen)
        named = true.xyz[:, true.indices([VERTEBRA_OF[name] for name in SPINE])]
        found = spine.xyz[:, spine.indices([VERTEBRA_OF[name] for name in SPINE])]
        ours.append(np.linalg.norm(found - named, axis=-1).mean())
        rules.append(np.linalg.norm(infer_spine(seen.xyz, seen.names) - named, axis=-1).mean())
    assert np.mean(ours) < 0.75 * np.mean(rules)
    assert np.mean(ours) < 0.03


def test_less_known_joints_tell_less(neutral):
    _, joints = neutral
    size = [np.trace(spine_from_joints(markers(joints, sd)).covariance.sum((0, 1))) for sd in (None, 0.01, 0.03)]
    assert size[0] < size[1] < size[2]
    without = spine_from_joints(markers({n: p for n, p in joints.items() if n not in EAR_POINTS}))
    neck = CHAIN_LEVELS.index("C3")
    assert np.trace(without.covariance[0, neck]) > 2 * np.trace(spine_from_joints(markers(joints)).covariance[0, neck])


def test_missing_joints(neutral):
    _, joints = neutral
    frames = {name: np.repeat(joints[name][None], 5, 0) for name in SIX}
    frames["LHip"][1] = np.nan
    frames["REar"][2] = np.nan
    frames["LShoulder"][3] += 4.0  # nobody's
    spine = spine_from_joints(markers(frames))
    assert np.isnan(spine.xyz[[1, 3]]).all()
    assert np.isnan(spine.covariance[[1, 3]]).all()
    without = spine_from_joints(markers({n: p for n, p in joints.items() if n not in EAR_POINTS}))
    np.testing.assert_allclose(spine.xyz[2], without.xyz[0], atol=2e-3)
    given = markers({name: np.repeat(joints[name][None], 5, 0) for name in SIX})
    weight = np.ones(given.xyz.shape[:2])
    weight[1, given.index("LHip")] = weight[2, given.index("REar")] = weight[3, given.index("LShoulder")] = 0.0
    np.testing.assert_array_equal(spine_from_joints(given.with_(weight=weight)).xyz, spine.xyz)  # as if missing
    np.testing.assert_allclose(spine.xyz[0], spine.xyz[4], atol=SAME_M)  # neighbours in a batch change nothing else
    with pytest.raises(InputError, match=r"without RHip; points present: LHip, LShoulder"):
        spine_from_joints(markers({n: p for n, p in joints.items() if n != "RHip"}))


def test_what_somebody_saw_stays_and_the_rest_is_inferred(neutral):
    _, joints = neutral
    names = (*SIX, "Spine_03", "Neck", "Hip", "Nose_2")
    xyz = np.concatenate([[joints[n] for n in SIX], np.ones((4, 3))])[None].repeat(2, 0)
    xyz[1, 0] = np.nan
    xyz[:, 6:8] = np.nan  # two columns without a point in any frame
    origin = [Origin.DETECTED] * 8 + [Origin.GIVEN, Origin.DETECTED]
    before = Markers(
        names, 50, xyz, "y_up", weight=np.full((2, 10), 0.6), covariance=np.full((2, 10, 3, 3), 1e-4 * np.eye(3)),
        origin=origin, filled=np.zeros((2, 10), bool),
    )  # fmt: skip
    after = infer_spine_points(before)
    moved = after.indices(("Spine_03", "Neck"))
    still = (*SIX, "Hip", "Nose_2")
    assert after.select(still) == before.select(still)
    assert set(after.names_of(Origin.INFERRED)) == set(VERTEBRA_OF) - {"Hip"}
    spine = spine_from_joints(before)
    np.testing.assert_array_equal(after.xyz[:, moved], spine.xyz[:, spine.indices(("L1", "C7"))])
    np.testing.assert_array_equal(after.covariance[:, moved], spine.covariance[:, spine.indices(("L1", "C7"))])
    np.testing.assert_allclose(after.weight[:, moved], [[0.06, 0.06], [0, 0]])
    whole = after.with_(origin=(Origin.DETECTED,) * len(after.names))
    assert infer_spine_points(whole) is whole
    legs = before.select(("LHip", "RHip"))
    assert infer_spine_points(legs) is legs


def test_vectors_at_the_ends_leave_the_rest_as_learned():
    mean, cov = module._with_joints(*packaged_shape_model().prior())
    inner = np.arange(3 * (CHAIN_VECTOR_COUNT + 2)).reshape(3, -1)[:, 1:-1].ravel()
    np.testing.assert_allclose(mean[inner], packaged_shape_model().mean)
    np.testing.assert_allclose(cov[np.ix_(inner, inner)], packaged_shape_model().covariance)
    assert np.linalg.eigvalsh(cov).min() > 1e-7
    lengths = np.exp(vector_parameters(chain_positions(mean))[: CHAIN_VECTOR_COUNT + 2])
    np.testing.assert_allclose(lengths[[0, -1]], [module.EAR_FROM_C1[0], module.HIP_FROM_SACRUM[0]], rtol=1e-6)


@pytest.mark.parametrize("head", [EAR_POINTS, ("Nose",), ("Head",)])
def test_points_on_two_curves_are_those_of_the_rule(head):
    """Of the rule the lengths are summed otherwise. The spacing is even, and the curves meet without a corner."""
    names = (*REQUIRED_JOINTS, *head)
    middles = np.array([[300, 400]] * 2 + [[310, 200]] * 2 + [[330, 140]] * len(head))
    xy = middles + np.random.default_rng(4).normal(0, 15, middles.shape)
    found = spine_on_curves(dict(zip(names, np.c_[xy, np.ones(len(xy))], strict=True)))
    np.testing.assert_allclose([found[name] for name in SPINE], infer_spine(xy, names), atol=0.05)
    trunk = np.array([found[name] for name in SPINE[:7]])
    steps = np.linalg.norm(np.diff(trunk, axis=0), axis=1)
    assert np.ptp(steps) < 0.01 * steps.mean()
    assert spine_on_curves({name: np.ones(3) for name in REQUIRED_JOINTS}) == {}
