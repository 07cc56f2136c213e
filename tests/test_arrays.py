"""Shapes and runs of frames."""

import inspect
import itertools
import pickle
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simspine as ss
from simspine.core.arrays import (
    autocorrelation_time,
    frame_ranges,
    median_of_known,
    require_numbers,
    rms_of_known,
    runs_of_frames,
)
from simspine.core.errors import InputError


@given(st.lists(st.integers(0, 50)))
def test_runs_give_back_their_frames(frames):
    spans = runs_of_frames(frames)
    assert [k for a, b in spans for k in range(a, b)] == sorted(set(frames))
    assert all(b < c for (_, b), (c, _) in itertools.pairwise(spans))


def test_ranges_are_written_as_people_do():
    assert frame_ranges(np.flatnonzero([1, 0, 1, 1, 1, 0, 0, 1])) == "0, 2–4, 7"
    assert frame_ranges(()) == ""


def test_a_wrong_shape_is_named():
    assert require_numbers("angles", [[1, 2]], (1, 2)).dtype == float
    with pytest.raises(InputError, match=r"angles has shape \(1, 2\), expected \(2,\)"):
        require_numbers("angles", [[1, 2]], (2,))


def test_rmse_by_hand():
    error = np.array([[3.0, 1, np.nan], [4.0, 1, np.nan]])
    np.testing.assert_allclose(rms_of_known(error, 0), [np.sqrt(12.5), 1, np.nan])
    np.testing.assert_allclose(rms_of_known(error, 1), [np.sqrt(5), np.sqrt(8.5)])


def test_autocorrelation_times():
    """Of noise that is new in each frame 1, of an autoregression with φ = 0.8 (1 + φ) / (1 − φ) = 9; gaps or not."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(20_000, 4))
    assert autocorrelation_time(values) == pytest.approx(1, abs=0.05)
    for frame in range(1, len(values)):
        values[frame] += 0.8 * values[frame - 1]
    assert autocorrelation_time(values) == pytest.approx(9, rel=0.1)
    values[rng.random(values.shape) < 0.2] = np.nan
    assert autocorrelation_time(values) == pytest.approx(9, rel=0.1)
    assert autocorrelation_time(np.ones((50, 1))) == pytest.approx(50, rel=0.02)
    assert autocorrelation_time(np.zeros((50, 1))) == autocorrelation_time(np.full((50, 1), np.nan)) == 1


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7])
def test_medians_are_numpys_and_nan_of_nothing(count):
    values = np.random.default_rng(count).normal(size=(40, count))
    values[np.random.default_rng(1).random(values.shape) < 0.3] = np.nan
    values[0] = np.nan
    known = np.isfinite(values).any(-1)
    np.testing.assert_allclose(median_of_known(values)[known], np.nanmedian(values[known], -1))
    assert np.isnan(median_of_known(values)[~known]).all()


@pytest.mark.parametrize("given", [[1 + 1j], ["1"], [[1], [1, 2]], np.array(["2026-01-01"], "M8[D]"), None])
def test_what_is_no_number_is_refused_by_name(given):
    with pytest.raises(InputError, match=r"angles is not made of numbers|angles has shape"):
        require_numbers("angles", given, (1,))


def test_masked_numbers_are_missing():
    given = [np.ma.array([1.0, 9.0], mask=[False, True])] * 2
    np.testing.assert_array_equal(require_numbers("points", given), [[1.0, np.nan]] * 2)


XYZ, MARKERS = np.zeros((3, 1, 3)), ss.Markers(["C7"], 50, np.zeros((3, 1, 3)))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ss.smooth(XYZ), "smooth: markers is a ndarray, expected Markers"),
        (lambda: ss.smooth(MARKERS, max_gap_s="long"), "max_gap_s is a str, expected float"),
        (lambda: ss.smooth(MARKERS, order=4.5), "order is a float, expected int"),
        (lambda: ss.spine_from_joints(XYZ), "joints is a ndarray, expected Markers"),
        (lambda: ss.triangulate(MARKERS, ()), "keypoints is a Markers, expected Keypoints"),
        (lambda: ss.write_calibration("Calib.toml", ["c1"]), "cameras is a list of str, expected .*Camera"),
        (lambda: ss.write_trc(MARKERS, "a.trc"), r"path is a Markers, expected str \| PathLike\."),
        (lambda: ss.merge(MARKERS, "mocap.trc"), r"mocap is a str, expected Markers \| None\."),
        (lambda: ss.read_keypoints("pose"), "folders is a str, expected Sequence"),
        (lambda: ss.read_keypoints(np.array("pose")), "folders is a ndarray, expected Sequence"),
        (lambda: ss.inverse_kinematics("coupled", MARKERS), "body is a str, expected Body"),
        (lambda: ss.Options(detection={"person": np.zeros(2)}), "person: .*expected three coordinates x, y, z"),
    ],
)
def test_an_argument_of_another_kind_is_named(call, said):
    with pytest.raises(InputError, match=said):
        call()


@pytest.mark.parametrize("name", [name for name in ss.__all__ if inspect.isfunction(getattr(ss, name))])
def test_every_public_function_refuses_another_kind_and_can_be_pickled(name):
    function = getattr(ss, name)
    parameters = inspect.signature(function).parameters.values()
    with pytest.raises(InputError):
        function(
            *(object() for one in parameters if one.default is one.empty and one.kind == one.POSITIONAL_OR_KEYWORD)
        )
    assert pickle.loads(pickle.dumps(function)) is function


def test_anything_that_is_a_number_a_path_or_a_list_is_taken(tmp_path):
    for gap in (0, np.float32(0.2), np.int64(1), True):
        assert ss.smooth(MARKERS, cutoff_hz=None, max_gap_s=gap) == MARKERS.with_(filled=np.zeros((3, 1), bool))
    ss.write_trc(str(tmp_path / "a.trc"), MARKERS.with_(xyz=XYZ + 1, frame="y_up"))
    assert ss.read_trc(tmp_path / "a.trc").names == ("C7",)
    for call in (
        partial(ss.fit_trials, {"a": MARKERS}, marker_set=tmp_path / "no.yaml"),
        partial(ss.infer_image, "no.png", tmp_path / "no.onnx"),
    ):
        with pytest.raises(InputError, match=r"no\.png cannot be read|does not exist"):
            call()
