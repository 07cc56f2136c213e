"""Each step of the published procedure against geometry known beforehand."""

import numpy as np
import pytest
from scipy.signal import butter, freqz
from tools.bench import baselines as peer

from simspine.anatomy.curvature import SPINE_CHAIN_MARKERS
from simspine.core.errors import InputError
from simspine.core.types import Markers, Origin

RATE = 50.0
NECK = SPINE_CHAIN_MARKERS.index("Neck")


def straight(frames=3, points=9, step=0.05):
    """A chain along y, bowed a little forward."""
    chain = np.zeros((frames, points, 3))
    chain[..., 1] = np.arange(points) * step
    chain[..., 0] = 0.01 * np.sin(np.arange(points))
    return chain


def test_gain_of_the_low_pass_is_that_of_the_first_order_design_squared():
    time = np.arange(2000) / RATE
    b, a = butter(1, 5 / (RATE / 2))
    for frequency in (1.0, 5.0, 10.0):
        wave = np.sin(2 * np.pi * frequency * time)
        path = np.repeat(wave[:, None, None], 3, -1)
        out = peer.lowpass_as_released(Markers(("p",), RATE, path)).xyz[500:1500, 0, 0]
        gain = abs(freqz(b, a, [frequency], fs=RATE)[1][0]) ** 2
        np.testing.assert_allclose(out, gain * wave[500:1500], atol=1e-6)  # zero phase
    assert abs(freqz(b, a, [5.0], fs=RATE)[1][0]) ** 2 == pytest.approx(0.5)  # −6 dB, not −3 dB


def test_short_runs_and_gaps_are_left_alone():
    path = np.random.default_rng(0).normal(size=(40, 1, 3))
    path[5] = path[20] = np.nan
    out = peer.lowpass_as_released(Markers(("p",), RATE, path)).xyz
    np.testing.assert_array_equal(out[:5], path[:5])  # shorter than the padding
    assert np.isnan(out[[5, 20]]).all()
    assert np.isfinite(out[21:]).all()
    assert not np.allclose(out[21:], path[21:])


def test_sixteen_points_are_replaced_and_the_human36m_spine_lands_on_t8():
    names = tuple(dict.fromkeys((*peer.REPLACED_JOINTS.values(), "Spine_03", "REye")))
    points = Markers(names, RATE, np.zeros((6, len(names), 3)))
    joints = tuple(peer.REPLACED_JOINTS)
    place = np.arange(len(joints) * 3, dtype=float).reshape(-1, 3)
    mocap = Markers(joints, RATE, np.tile(place, (4, 1, 1)))
    merged = peer.replace_joints(points, mocap)
    assert len(joints) == 16
    assert merged.frames == 4  # the shorter one's
    np.testing.assert_array_equal(merged.xyz[2, merged.index("Spine_04")], place[joints.index("Spine")])
    np.testing.assert_array_equal(merged.xyz[2, merged.index("LKnee")], place[joints.index("LKnee")])
    assert not merged.xyz[:, merged.indices(["Spine_03", "REye"])].any()
    assert merged.origin[merged.index("Neck")] is Origin.GIVEN
    assert merged.origin[merged.index("REye")] is Origin.DETECTED
    with pytest.raises(InputError, match="must share frame and rate"):
        peer.replace_joints(points, mocap.with_(rate=60.0))


def test_re_anchoring_scales_along_and_across_and_does_not_turn():
    chain = straight(frames=1)
    axis = chain[0, NECK] - chain[0, 0]
    moved = peer.reanchor_points(chain, np.array([[1.0, 2, 3]]), np.array([[1.0, 2, 3]]) + 1.5 * axis, NECK)
    np.testing.assert_allclose(moved[0], [1, 2, 3] + 1.5 * (chain[0] - chain[0, 0]), atol=1e-12)
    # onto an axis at a right angle: what lies across keeps its direction in space, here along the new axis
    turned = peer.reanchor_points(
        np.array([[[0, 0, 0], [0.1, 0.5, 0], [0, 1.0, 0]]]), np.zeros((1, 3)), np.array([[1.0, 0, 0]]), 2
    )
    np.testing.assert_allclose(turned[0], [[0, 0, 0], [0.5 + 0.1, 0, 0], [1, 0, 0]], atol=1e-12)


def test_opposed_axes_reverse_the_chain_and_no_axis_leaves_it():
    chain = straight(frames=2)
    hip, neck = chain[:, -1], chain[:, -1] - (chain[:, NECK] - chain[:, 0])
    reversed_ = peer.reanchor_points(chain, hip, neck, NECK)
    np.testing.assert_allclose(reversed_[:, 0], hip, atol=1e-12)
    assert (np.diff(reversed_[..., 1], axis=1) < 0).all()
    np.testing.assert_array_equal(peer.reanchor_points(chain, hip, hip, NECK), chain)


def test_the_second_point_is_pulled_in_to_twice_the_next_distance():
    chain = straight(frames=2)
    chain[1, 1] = chain[1, 2] - [0, 0.01, 0]
    pulled = peer.pull_in_first_point(chain)
    np.testing.assert_array_equal(pulled[0], chain[0])
    assert np.linalg.norm(pulled[1, 1] - pulled[1, 0]) == pytest.approx(0.02)
    np.testing.assert_array_equal(pulled[1, 2:], chain[1, 2:])


def test_midpoints_run_up_the_chain():
    chain = np.array([[[0.0], [4.0], [0.0], [8.0]]])
    np.testing.assert_array_equal(peer.smooth_by_midpoints(chain)[0, :, 0], [0, 0, 4, 8])


def test_blending_where_model_and_measurement_agree_only_smooths():
    names = (
        "RShoulder",
        "LShoulder",
        *SPINE_CHAIN_MARKERS,
        *peer.POINTS_FROM_MODEL,
        "RLatissimus",
        "LLatissimus",
        "REye",
    )
    rng = np.random.default_rng(1)
    xyz = rng.normal(size=(4, len(names), 3))
    xyz[:, 2 : 2 + 9] = straight(4) + np.array([0.3, 0.9, 0.1])
    measured = Markers(names, RATE, xyz, "y_up")
    out = peer.blend_model_and_measured(measured, measured)
    chain = measured.select(SPINE_CHAIN_MARKERS).xyz
    wanted = 0.8 * chain + 0.2 * peer.smooth_by_midpoints(chain)
    np.testing.assert_allclose(out.select(SPINE_CHAIN_MARKERS).xyz, wanted, atol=1e-12)
    np.testing.assert_array_equal(out.select(("REye", "Head")).xyz, measured.select(("REye", "Head")).xyz)
    t8, t3 = chain[:, 4], chain[:, 5]
    shoulder = measured.xyz[:, 0]
    np.testing.assert_allclose(out.xyz[:, out.index("RLatissimus")], (t8 + t3) / 2 + 0.6 * (shoulder - t3), atol=1e-12)


def test_blending_takes_hip_and_neck_from_the_measurement_whatever_the_model_says():
    names = ("RShoulder", "LShoulder", *SPINE_CHAIN_MARKERS, *peer.POINTS_FROM_MODEL, "RLatissimus", "LLatissimus")
    xyz = np.zeros((1, len(names), 3))
    xyz[:, 2 : 2 + 9] = straight(1)
    model = Markers(names, RATE, xyz, "y_up")
    shift = np.array([0.12, 0.02, 0.0])  # the hips' middle instead of the sacrum
    out = peer.blend_model_and_measured(model, model.with_(xyz=xyz + shift))
    hip, neck = out.index("Hip"), out.index("Neck")
    np.testing.assert_allclose(out.xyz[0, hip], shift, atol=1e-12)
    assert np.linalg.norm(out.xyz[0, neck] - (xyz[0, neck] + shift)) < 0.01
    np.testing.assert_array_equal(out.xyz[0, out.index("Head")], xyz[0, names.index("Head")])
