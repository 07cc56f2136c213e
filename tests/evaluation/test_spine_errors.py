"""Figures against errors put in on purpose."""

from dataclasses import replace

import numpy as np
import pytest
from tools.bench.spine_errors import TrialSpine, every_nth_frame, spine_error_figures, spine_errors_of

from simspine.anatomy.curvature import SPINE_MARKERS
from simspine.anatomy.vertebrae import SpineKinematics
from simspine.core.errors import InputError
from simspine.core.types import Markers

RATE, FRAMES = 50.0, 200
LEVELS = ("L5-S1", "L4-L5")
REGIONS = {"lumbar": LEVELS}


def spine(offset=0.0, turn=0.0, lla=0.0, sd=None, seed=0, levels=LEVELS):
    """A spine that sways; points off by `offset` (m), angles by `turn`, LLA by `lla` (rad); sd: of everything."""
    rng = np.random.default_rng(seed)
    place = np.random.default_rng(9).normal(0, 0.2, (len(SPINE_MARKERS), 3))
    sway = 0.1 * np.sin(2 * np.pi * np.arange(FRAMES) / RATE)
    xyz = place + sway[:, None, None] + offset
    angles = np.zeros((FRAMES, len(levels), 3)) + 0.1 * sway[:, None, None] + turn
    curve = 0.8 + sway
    covariance = None
    if sd is not None:
        xyz = xyz + rng.normal(0, sd, xyz.shape)
        angles = angles + rng.normal(0, sd, angles.shape)
        lla = lla + rng.normal(0, sd, FRAMES)
        covariance = np.tile(sd**2 * np.eye(3), (*xyz.shape[:2], 1, 1))
    known = {} if sd is None else {k: np.full(s, sd) for k, s in
                                   (("lla_sd", FRAMES), ("tka_sd", FRAMES), ("angles_sd", angles.shape))}  # fmt: skip
    kinematics = SpineKinematics(
        rate=RATE, start=0.0, levels=levels, angles=angles, lla=curve + lla, tka=curve,
        markers=Markers(SPINE_MARKERS, RATE, xyz, "y_up", covariance=covariance),
        repaired=np.zeros((FRAMES, len(levels)), bool), **known,
    )  # fmt: skip
    return TrialSpine(kinematics, Markers(("L1", "L3", "S1"), RATE, xyz[:, :3], "y_up"), np.zeros(FRAMES, bool))


def test_nothing_wrong_is_zero_everywhere():
    found = spine_error_figures([spine_errors_of(spine(), spine(), LEVELS)], REGIONS)
    for name in ("liveliness", "lla_correlation", "tka_correlation"):
        assert found.pop(name) == pytest.approx(1)
    np.testing.assert_allclose(list(found.values()), 0, atol=1e-9)


def test_constant_errors():
    one = spine_errors_of(spine(offset=[0.003, 0.0, 0.004], turn=0.02, lla=-0.05), spine(), LEVELS)
    found = spine_error_figures([one, one], REGIONS)
    assert found["mpjpe_mm"] == pytest.approx(5)
    assert found["vertebrae_mm"] == pytest.approx(5)
    assert found["p_mpjpe_mm"] == pytest.approx(0, abs=1e-6)
    assert found["lla_bias_deg"] == pytest.approx(np.degrees(-0.05))
    assert found["lla_rmse_deg"] == pytest.approx(np.degrees(0.05))
    assert found["lla_sd_deg"] == pytest.approx(0, abs=1e-9)
    assert found["lla_motion_rmse_deg"] == pytest.approx(0, abs=1e-9)
    assert found["tka_rmse_deg"] == pytest.approx(0, abs=1e-9)
    assert found["lumbar_flexion_rmse_deg"] == pytest.approx(np.degrees(0.02))
    assert found["lumbar_flexion_motion_rmse_deg"] == pytest.approx(0, abs=1e-9)  # the posture's, not the motion's
    assert found["velocity_mm_s"] == pytest.approx(0, abs=1e-6)
    assert found["jitter_m_s2"] == pytest.approx(0, abs=1e-9)


def test_a_wave_of_error_has_its_speed_and_acceleration():
    time, amplitude, omega = np.arange(FRAMES) / RATE, 0.002, 2 * np.pi * 2.0
    offset = np.zeros((FRAMES, 1, 3))
    offset[:, 0, 1] = amplitude * np.sin(omega * time)
    found = spine_error_figures([spine_errors_of(spine(offset=offset), spine(), LEVELS)], REGIONS)
    assert found["velocity_mm_s"] == pytest.approx(1e3 * amplitude * omega / np.sqrt(2), rel=0.02)
    assert found["jitter_m_s2"] == pytest.approx(amplitude * omega**2 / np.sqrt(2), rel=0.02)


def test_damped_motion_is_not_lively():
    true = spine()
    damped = replace(true.kinematics, markers=true.kinematics.markers.with_(xyz=0.5 * true.kinematics.markers.xyz))
    found = spine_error_figures([spine_errors_of(replace(true, kinematics=damped), true, LEVELS)], REGIONS)
    assert found["liveliness"] == pytest.approx(0.5)
    assert found["jitter_m_s2"] > 0


def test_errors_as_large_as_believed_are_covered_nine_times_in_ten_and_have_a_size_of_one_standard_deviation():
    honest = spine_error_figures([spine_errors_of(spine(sd=0.01, seed=s), spine(), LEVELS) for s in range(5)], REGIONS)
    for name in ("lla", "lumbar_flexion", "lumbar_axial", "points"):
        assert honest[f"coverage_{name}"] == pytest.approx(0.9, abs=0.03)
    assert honest["coverage_tka"] == 1.0  # no error at all there
    for name in ("lla", "angles", "points"):
        assert honest[f"normalised_{name}"] == pytest.approx(1, abs=0.06)
    unsure = spine(sd=0.01)
    sure = replace(unsure, kinematics=replace(unsure.kinematics, lla_sd=unsure.kinematics.lla_sd / 3))
    believed, sized, none = (
        spine_error_figures([spine_errors_of(s, spine(), LEVELS)], REGIONS) for s in (unsure, sure, spine())
    )
    assert sized["coverage_lla"] < 0.6
    assert sized["normalised_lla"] == pytest.approx(3 * believed["normalised_lla"])
    assert "coverage_lla" not in none
    assert not [name for name in none if name.startswith("normalised")]


def test_vertebrae_moved_and_turned_as_a_whole_are_aligned_and_scaled_ones_are_not():
    turned = spine()
    xyz = turned.centres.xyz
    quarter = xyz @ np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]).T + 1.0
    found = spine_error_figures(
        [spine_errors_of(replace(turned, centres=turned.centres.with_(xyz=quarter)), turned, LEVELS)], REGIONS
    )
    assert found["vertebrae_mm"] > 100
    assert found["vertebrae_aligned_mm"] == pytest.approx(0, abs=1e-6)
    larger = turned.centres.with_(xyz=1.1 * xyz)
    found = spine_error_figures([spine_errors_of(replace(turned, centres=larger), turned, LEVELS)], REGIONS)
    middle = np.linalg.norm(xyz - xyz.mean(1, keepdims=True), axis=-1)
    assert found["vertebrae_aligned_mm"] == pytest.approx(100 * middle.mean(), rel=1e-3)


def test_correlation_of_motion_counts_where_there_is_motion():
    true = spine()
    half = replace(true.kinematics, lla=0.5 * true.kinematics.lla + 0.3, tka=-true.kinematics.tka)
    found = spine_error_figures([spine_errors_of(replace(true, kinematics=half), true, LEVELS)], REGIONS)
    assert found["lla_correlation"] == pytest.approx(1)
    assert found["tka_correlation"] == pytest.approx(-1)
    still = replace(true, kinematics=replace(true.kinematics, lla=0.8 + 0.1 * (true.kinematics.lla - 0.8)))
    assert "lla_correlation" not in spine_error_figures(
        [spine_errors_of(true, still, LEVELS)], REGIONS
    )  # 1.1° of motion
    constant = replace(true, kinematics=replace(true.kinematics, lla=np.full(FRAMES, 0.8)))
    assert "lla_correlation" not in spine_error_figures([spine_errors_of(constant, true, LEVELS)], REGIONS)


def test_coverage_of_changes_leaves_out_what_lasts():
    """Off by 3 sd throughout, and by 1 and 2 sd in turns: never inside, and always inside."""
    true = spine()
    sd = {f"{name}{kind}_sd": np.full(FRAMES, 0.01) for name in ("lla", "tka") for kind in ("", "_change")}
    own = replace(true.kinematics, **sd,
                  angles_sd=np.full((FRAMES, 2, 3), 0.01), lla=true.kinematics.lla + 0.03,
                  tka=true.kinematics.tka + 0.02 + 0.02 * (-1) ** np.arange(FRAMES))  # fmt: skip
    found = spine_error_figures([spine_errors_of(replace(true, kinematics=own), true, LEVELS)], REGIONS)
    assert (found["coverage_lla"], found["coverage_lla_change"]) == (0, 1)
    assert (found["coverage_tka"], found["coverage_tka_change"]) == (0.5, 0)


def test_coverage_of_vertebral_centres():
    true, rng = spine(), np.random.default_rng(5)
    noisy = spine(sd=0.01)
    xyz = true.centres.xyz + rng.normal(0, 0.002, true.centres.xyz.shape)
    covariance = np.tile(0.002**2 * np.eye(3), (FRAMES, 3, 1, 1))
    centres = true.centres.with_(xyz=xyz, covariance=covariance)
    assert spine_error_figures([spine_errors_of(replace(noisy, centres=centres), true, LEVELS)], REGIONS)[
        "coverage_centres"
    ] == pytest.approx(0.9, abs=0.03)


def test_every_other_frame_keeps_the_speeds_of_neighbours():
    time = np.arange(FRAMES) / RATE
    offset = np.zeros((FRAMES, 1, 3))
    offset[:, 0, 1] = 0.002 * np.sin(2 * np.pi * 2.0 * time)
    whole = spine_errors_of(spine(offset=offset), spine(), LEVELS)
    half = every_nth_frame(whole, 2)
    np.testing.assert_array_equal(half.velocity, whole.velocity[::2])
    np.testing.assert_array_equal(half.true["lla"], whole.true["lla"][::2])
    assert len(half.lla) == len(half.rejected) == FRAMES // 2
    assert spine_error_figures([half], REGIONS)["jitter_m_s2"] == pytest.approx(
        spine_error_figures([whole], REGIONS)["jitter_m_s2"], rel=0.05
    )


def test_a_level_the_body_lacks_is_rigid():
    one = spine_errors_of(spine(levels=("L5-S1",)), spine(turn=0.02), LEVELS)
    np.testing.assert_allclose(one.angles[:, 1], -spine(turn=0.02).kinematics.angles[:, 1])


def test_frames_without_result_or_rejected_are_counted_and_left_out():
    estimate = spine(offset=[0.01, 0, 0])
    xyz = np.array(estimate.kinematics.markers.xyz)
    xyz[:20] = np.nan
    kinematics = replace(estimate.kinematics, markers=estimate.kinematics.markers.with_(xyz=xyz))
    gone = replace(estimate, kinematics=kinematics, rejected=np.arange(FRAMES) >= FRAMES - 30)
    found = spine_error_figures([spine_errors_of(gone, spine(), LEVELS)], REGIONS)
    assert found["failed_share"] == pytest.approx(50 / FRAMES)
    assert found["mpjpe_mm"] == pytest.approx(10)


def test_trials_of_another_length_are_refused():
    short = spine()
    cut = replace(short.kinematics, lla=short.kinematics.lla[:10], tka=short.kinematics.tka[:10],
                  angles=short.kinematics.angles[:10], repaired=short.kinematics.repaired[:10],
                  markers=short.kinematics.markers.with_(xyz=short.kinematics.markers.xyz[:10]))  # fmt: skip
    with pytest.raises(InputError, match="they must agree"):
        spine_errors_of(replace(short, kinematics=cut), spine(), LEVELS)
    with pytest.raises(InputError, match="no trials"):
        spine_error_figures([], REGIONS)
