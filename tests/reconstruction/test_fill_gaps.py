"""Rejected frames taken out and short gaps filled, against the truth that was spoilt."""

from dataclasses import replace

import numpy as np
import pytest
from small_project import dancing, of_size

import simspine as ss
from simspine.quality.findings import Finding, sum_up_findings
from simspine.reconstruction.publish import trial_data
from simspine.reconstruction.reconstruct import fit_trials
from simspine.reconstruction.stages import fill_rejected, short_gap_frames

FRAMES = 48
SHORT, LONG = slice(12, 16), slice(30, 40)  # 0.13 and 0.33 s at 30 frames/s
OPTIONS = {"quality": {"fill_gaps": True, "max_gap_s": 0.2}}


def solved(markers, options):
    return fit_trials({"t": markers}, "coupled", "spinetrack37", options=ss.Options.model_validate(options))["t"]


@pytest.fixture(scope="module")
def sound():
    """The person's markers, and what is solved of them."""
    markers = dancing(of_size(1.0), FRAMES)
    return markers, solved(markers, {})


def spoilt(markers, *where):
    """Left and right exchanged in these frames: the person's lengths stay."""
    xyz = markers.xyz.copy()
    pairs = [(name, f"L{name[1:]}") for name in markers.names if name[0] == "R" and f"L{name[1:]}" in markers.names]
    for right, left in pairs:
        i = markers.indices((right, left))
        for part in where:
            xyz[part, i] = xyz[part, i[::-1]]
    return markers.with_(xyz=xyz)


@pytest.fixture(scope="module")
def filled(sound):
    """Two stretches and the last frame spoilt, and rejected."""
    parts = (SHORT, LONG, slice(FRAMES - 1, FRAMES))
    bad = Finding("frame_rmse", "error", "Far off.", "Look.", [k for part in parts for k in range(FRAMES)[part]])
    judged = replace(sound[1], markers=spoilt(sound[0], *parts), verdict=sum_up_findings(FRAMES, [bad]))
    return fill_rejected(judged, "spinetrack37", ss.Options.model_validate(OPTIONS))


def test_through_the_library_it_is_an_option(sound):
    assert not ss.Options().quality.fill_gaps
    markers, true = sound
    markers = spoilt(markers, slice(20, 22))
    plain, found = solved(markers, {}), solved(markers, OPTIONS)
    assert plain.verdict.rejected[20:22].all()
    assert plain.verdict.counts["inferred"] == 0
    assert np.isfinite(plain.motion.values).all()
    assert found.verdict.inferred[20:22].all()
    np.testing.assert_array_equal(found.verdict.rejected, plain.verdict.rejected)
    (told,) = (finding for finding in found.findings if finding.code == "rejected_filled")
    assert told.message.startswith("the frames with errors lie in gaps of at most 0.2 s and are filled in")
    assert "the other" not in told.message
    off = [np.abs(trial.lla - true.lla)[20:22].max() for trial in (plain, found)]
    assert off[1] < 0.2 * off[0]


def test_a_short_gap_is_filled_as_it_was(sound, filled):
    """Four frames of a slow movement: to half a degree, a centimetre and a half, and within their own deviations; what
    is beside the gap is not pulled along."""
    true, found = sound[1], filled
    assert np.degrees(np.abs(found.lla - true.lla)[SHORT]).max() < 0.5
    np.testing.assert_allclose(found.model_markers.xyz[SHORT], true.model_markers.xyz[SHORT], atol=0.015)
    rotational = found.motion.rotational
    off, sd = np.abs(found.motion.values - true.motion.values)[SHORT], found.motion.deviation[SHORT]
    assert (off[:, rotational] < 3 * sd[:, rotational] + 1e-9).all()
    assert np.degrees(np.abs(found.lla - true.lla)[[*range(12), *range(16, 20)]]).max() < 1


def test_what_is_filled_is_less_sure(sound, filled):
    free = sound[1].body.coordinates.free
    before, after = (trial.motion.deviation[SHORT][:, free] for trial in (sound[1], filled))
    assert (after >= (1 - 1e-9) * before).all()
    assert np.median(after[before > 0] / before[before > 0]) > 1.5


def test_long_gaps_and_those_at_the_ends_stay_gaps(filled):
    for where in (LONG, slice(FRAMES - 1, FRAMES)):
        assert filled.verdict.rejected[where].all()
        assert not filled.verdict.inferred[where].any()
        for values in (filled.motion.values, filled.motion.deviation, filled.lla, filled.spine.lla_sd,
                       filled.spine.markers.xyz, filled.spine.centres.xyz, filled.spine.clinical.values):  # fmt: skip
            assert np.isnan(values[where]).all()


def test_filled_frames_are_marked_and_never_count_as_seen(filled):
    wanted = np.zeros(FRAMES, bool)
    wanted[SHORT] = True
    np.testing.assert_array_equal(filled.verdict.inferred, wanted)
    assert filled.rejected[SHORT].all()
    (finding,) = (finding for finding in filled.findings if finding.code == "rejected_filled")
    assert finding.frames == tuple(range(SHORT.start, SHORT.stop))
    assert "at most 0.2 s" in finding.message
    assert all(text in finding.message for text in ("3 rad/s²", "8 in pelvis", "30 in limbs"))
    assert finding.message.startswith("4 of 15 frames with errors lie in gaps")
    assert finding.message.endswith("; the other 11 stay rejected, and are gaps.")
    assert np.isnan(filled.result.marker_error[SHORT]).all()
    trial = trial_data(filled)
    assert not trial.valid[SHORT].any()
    np.testing.assert_array_equal(trial.inferred, wanted)
    np.testing.assert_array_equal(trial.markers.filled.all(1), wanted)
    assert trial.fk_deviation < 1e-6


def test_nothing_rejected_changes_nothing(sound):
    markers, true = sound
    found = solved(markers, OPTIONS)
    assert found.verdict == true.verdict
    np.testing.assert_array_equal(found.motion.values, true.motion.values)


def test_gaps_by_length():
    rejected = np.array([1, 0, 1, 1, 0, 1, 1, 1, 0, 1], bool)
    assert np.flatnonzero(short_gap_frames(rejected, 10, 0.2)).tolist() == [2, 3]
    assert np.flatnonzero(short_gap_frames(rejected, 10, 0.3)).tolist() == [2, 3, 5, 6, 7]
    assert not short_gap_frames(rejected, 10, 0.1).any()


def test_frame_by_frame_there_is_nothing_to_fill_from():
    with pytest.raises(ss.InputError, match=r"quality\.fill_gaps needs ik\.engine trajectory"):
        ss.Options.model_validate(OPTIONS | {"ik": {"engine": "frames"}})
