"""The protocol of angles: known errors come back, controls are what they say, files keep everything."""

from dataclasses import replace

import numpy as np
import pytest
from small_points import write_angles

from simspine.core.errors import InputError
from simspine.core.types import Motion
from simspine.evaluation.angle_protocol import (
    CONSTANT_CONTROL,
    MEAN_CONTROL,
    angle_names,
    evaluate_angles,
    read_angles,
)
from simspine.evaluation.point_sources import PointSequence
from simspine.io.hdf5 import write_store

NAMES = angle_names(("L5-S1", "L4-L5"))


def truth(subjects=("S9", "S11"), seed=4):
    """LLA swings by 10° about 40°, everything else is random."""
    random = np.random.default_rng(seed)
    for subject in subjects:
        angle = random.normal(scale=0.1, size=(50, len(NAMES)))
        angle[:, 0] = np.radians(40 + 5 * np.sin(np.linspace(0, 6.28, 50)))
        yield PointSequence(subject, "Walking_1", np.arange(50), NAMES, angle, "angles")


def test_a_known_error_comes_back_in_degrees():
    true = tuple(truth())
    off = np.zeros(len(NAMES))
    off[0], off[NAMES.index("L4-L5 axial rotation")] = np.radians(4), np.radians(-3)
    found = [replace(s, values=s.values + off, deviation=np.full(s.values.shape, np.radians(2))) for s in true]
    curves, levels = evaluate_angles({"ours": found}, true)
    row = {c: curves.value("ours", "LLA", c) for c in ("RMSE", "bias", "bias-free", "change", "r", "coverage", "found")}
    assert row == pytest.approx(
        {"RMSE": 4, "bias": 4, "bias-free": 0, "change": 0, "r": 1, "coverage": 0, "found": 1}, abs=1e-9
    )  # 4° are two standard deviations
    assert curves.value("ours", "TKA", "coverage") == 1
    assert levels.value("ours", "L4-L5", "axial rotation RMSE") == pytest.approx(3)
    assert levels.value("ours", "L4-L5", "flexion RMSE") == pytest.approx(0, abs=1e-9)
    assert levels.value("ours", "L4-L5", "axial rotation coverage") == pytest.approx(1)  # 1.5 standard deviations


def test_controls_know_no_frame():
    """A trial's mean has the error of motion only: of a sine of 5°, 5/√2. Other people's mean is 10° off."""
    true = tuple(truth())
    training = [replace(s, values=s.values + np.radians(10)) for s in truth(("S1",))]
    curves, _ = evaluate_angles({"ours": true}, true, training)
    swing = np.degrees(np.std(true[0].values[:, 0]))
    assert curves.value(CONSTANT_CONTROL, "LLA", "RMSE") == pytest.approx(swing)
    assert curves.value(CONSTANT_CONTROL, "LLA", "bias") == pytest.approx(0, abs=1e-9)
    assert curves.value(MEAN_CONTROL, "LLA", "bias") == pytest.approx(10)
    assert curves.value(MEAN_CONTROL, "LLA", "change") == pytest.approx(swing)
    assert np.isnan(curves.value(MEAN_CONTROL, "LLA", "r"))
    without, _ = evaluate_angles({"ours": true}, true)
    assert MEAN_CONTROL not in [row.method for row in without.rows]


def test_intervals_span_from_one_person_to_the_other():
    """Off by 3° in one, 5° in the other: drawn anew, both may be the one or the other."""
    true = tuple(truth())
    found = [replace(s, values=s.values + np.radians(off)) for s, off in zip(true, (3, -5), strict=True)]
    curves, _ = evaluate_angles({"ours": found}, true)
    assert curves.value("ours", "LLA", "RMSE") == pytest.approx(np.sqrt((9 + 25) / 2))
    assert curves.value("ours", "LLA", "RMSE, 95 % by subject") == pytest.approx((3, 5))


def test_levels_and_frames_that_a_method_lacks_are_said():
    true = tuple(truth())
    some = [
        PointSequence("S9", "walking 1", np.arange(25), NAMES[:2], true[0].values[:25, :2], "angles"),
        PointSequence("S11", "Walking_1", np.arange(50), NAMES[:2], true[1].values[:, :2], "angles"),
    ]
    curves, levels = evaluate_angles({"few": some}, true)
    assert curves.value("few", "LLA", "found") == pytest.approx(0.75)
    assert curves.value("few", "LLA", "RMSE") == pytest.approx(0, abs=1e-9)
    assert np.isnan(curves.value("few", "LLA", "coverage"))
    assert np.isnan(levels.value("few", "L5-S1", "flexion RMSE"))


def test_a_table_keeps_everything(tmp_path):
    wrote = [replace(s, deviation=np.abs(s.values)) for s in truth()]
    write_angles(tmp_path / "angles.npz", wrote)
    for a, b in zip(read_angles(tmp_path / "angles.npz"), wrote, strict=True):
        assert (a.subject, a.trial, a.action, a.names) == (b.subject, b.trial, b.action, b.names)
        for name in ("frames", "values", "deviation"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_a_capture_holds_true_angles_and_trc_files_none(tmp_path):
    random = np.random.default_rng(1)
    lla, tka, levels = random.normal(size=6), random.normal(size=6), random.normal(size=(6, 2, 3))
    motion = Motion(("pelvis_tx",), 50, np.zeros((6, 1)), (False,))
    path = tmp_path / "truth/S9/S9_Walking_1.h5"
    write_store(path, motion=motion, levels=["L5-S1", "L4-L5"], angles=levels, lla=lla, tka=tka)
    (found,) = read_angles(tmp_path)
    assert found.names == NAMES
    np.testing.assert_array_equal(found.values[:, 1], tka)
    np.testing.assert_array_equal(found.values[:, NAMES.index("L4-L5 lateral bending")], levels[:, 1, 1])
    (tmp_path / "S9_x.trc").write_text("x")
    with pytest.raises(InputError, match="hold no angles"):
        read_angles(tmp_path / "S9_x.trc")


def test_nonsense_is_refused():
    true = tuple(truth())
    with pytest.raises(InputError, match="predicted twice"):
        evaluate_angles({"ours": (*true, true[0])}, true)
    with pytest.raises(InputError, match=r"predicted are S1/Walking_1; true are S9/Walking_1"):
        evaluate_angles({"ours": tuple(truth(("S1",)))}, true)
    with pytest.raises(InputError, match="shape"):
        PointSequence("S9", "x", [0, 1], ("LLA",), np.zeros((2, 2)), "angles")
    with pytest.raises(InputError, match="each may be there once"):
        PointSequence("S9", "x", [1, 1], ("LLA",), np.zeros((2, 1)), "angles")


def test_angles_in_degrees_are_refused(tmp_path):
    """A lordosis of 40° is beyond a turn of radians; levels of a few degrees are 57 times too large."""
    true = tuple(truth())
    path = tmp_path / "mine.npz"
    write_angles(path, true)
    columns = dict(np.load(path))
    np.savez(path, **columns | {"angle": np.degrees(columns["angle"])})
    with pytest.raises(InputError, match=r"mine\.npz: .*S9/Walking_1: LLA is .*in radians, within ±2π"):
        read_angles(path)
    small = [replace(s, values=s.values * 0.01) for s in true]
    noisy = [replace(s, values=np.degrees(s.values) * np.linspace(0.7, 1.3, len(NAMES))) for s in small]
    with pytest.raises(InputError, match=r"mine: .*in degrees; hand them in in radians"):
        evaluate_angles({"mine": noisy}, small)
    evaluate_angles({"too large": [replace(s, values=s.values * 5) for s in small]}, small)


def test_names_that_are_no_angles_of_the_truth_are_noted():
    true = tuple(truth())
    found = [replace(s, names=("LLA", "TKX", *NAMES[2:])) for s in true]
    for table in evaluate_angles({"mine": found, "right": true}, true):
        noted = [note for note in table.notes if "left out" in note]
        assert noted == ["mine: no angles of the truth, and left out: 'TKX' (did you mean 'TKA'?)."]
    assert not any("left out" in note for note in evaluate_angles({"right": true}, true)[0].notes)


def test_turns_of_a_person_who_walks_in_circles_are_no_degrees():
    """Twenty turns of the pelvis, counted or not, are the same rotation."""
    names = (*NAMES, "pelvis axial rotation")
    turning = np.linspace(0, 40 * np.pi, 50)[:, None]
    true = tuple(replace(s, names=names, values=np.hstack([s.values, turning])) for s in truth())
    within = np.angle(np.exp(1j * turning))
    found = [replace(s, values=np.hstack([s.values[:, :-1], within])) for s in true]
    for predicted, exact in ((found, true), (true, found)):
        _, levels = evaluate_angles({"mine": predicted}, exact)
        assert levels.value("mine", "pelvis", "axial rotation RMSE") == pytest.approx(0, abs=1e-6)
