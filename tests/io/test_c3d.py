"""ezc3d reads labels, units, rates and missing points; also a header read byte by byte."""

import errno
import os
import struct
import time
import warnings
from dataclasses import replace

import numpy as np
import pytest
from full_disk import limited
from small_c3d import write_small_c3d
from small_takes import FILLED, UNSOLVED

from simspine.core.errors import InputError
from simspine.core.geometry import markers_in_frame
from simspine.core.types import Markers
from simspine.io.c3d import read_c3d, read_markers, write_c3d
from simspine.io.trc import read_trc, without_subject_name, write_trc


@pytest.fixture(scope="module")
def written(tmp_path_factory, take37):
    path = tmp_path_factory.mktemp("c3d") / "S1_Walking_1.c3d"
    write_c3d(path, take37, notice="for the licence holder only")
    return path, take37


def test_ezc3d_reads_equal_values(written):
    import ezc3d

    path, take = written
    data = ezc3d.c3d(str(path))
    point = data["parameters"]["POINT"]
    assert point["UNITS"]["value"] == ["mm"]
    assert point["RATE"]["value"][0] == 50
    assert tuple(point["LABELS"]["value"]) == take.trial.markers.names
    assert point["Y_SCREEN"]["value"] == ["+Y"]
    xyz = data["data"]["points"][:3].transpose(2, 1, 0)
    present = take.trial.markers.present
    np.testing.assert_allclose(xyz[present], 1e3 * take.trial.markers.xyz[present], atol=1e-3)
    residuals = data["data"]["meta_points"]["residuals"][0].T
    np.testing.assert_array_equal(residuals < 0, ~present)
    assert not present[UNSOLVED].any()
    ours = data["parameters"]["SIMSPINE"]
    assert (ours["SUBJECT"]["value"], ours["TRIAL"]["value"]) == (["S1"], ["Walking_1"])
    assert ours["REJECTED"]["value"] == ["4 6"]
    assert ours["INFERRED"]["value"] == [str(FILLED + 1)]
    assert ours["NOTICE"]["value"] == ["for the licence holder only"]


def test_header_by_bytes(written):
    """Section header of the C3D user guide: points, first and last frame, rate."""
    path, take = written
    header = path.read_bytes()[:512]
    assert header[1] == 0x50
    points, _, first, last = struct.unpack("<HHHH", header[2:10])
    assert (points, last - first + 1) == (37, take.trial.markers.frames)
    assert struct.unpack("<f", header[20:24]) == (50.0,)


def test_axes_and_first_frame_of_a_laboratory(tmp_path, take37):
    """Frame 351 at 50 Hz is at 7 s; the points of a laboratory with z up are where they were."""
    late = replace(take37.trial, markers=take37.trial.markers.with_(start=7.0))
    write_c3d(tmp_path / "y.c3d", replace(take37, trial=late), frame="z_up")
    first, last = struct.unpack("<HH", (tmp_path / "y.c3d").read_bytes()[6:10])
    assert (first, last) == (351, 350 + late.markers.frames)
    read = read_c3d(tmp_path / "y.c3d")
    assert (read.frame, read.start) == ("z_up", 7.0)
    expected = markers_in_frame(late.markers, "z_up").xyz
    np.testing.assert_allclose(read.xyz[late.markers.present], expected[late.markers.present], atol=1e-6)


@pytest.mark.skipif(os.name == "nt", reason="limits of a file's size are POSIX")
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_a_full_disk_leaves_no_part_of_a_file(written, tmp_path, share):
    """Here the limit of a file's size, after which ezc3d goes on without a word."""
    path, take = written
    with limited(int(share * path.stat().st_size)), pytest.raises(OSError, match=r"y\.c3d") as caught:
        write_c3d(tmp_path / "y.c3d", take)
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_bad_input(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_c3d(tmp_path / "x.c3d")
    (tmp_path / "bad.c3d").write_bytes(b"no C3D at all" * 100)
    with pytest.raises(InputError, match=r"bad\.c3d: cannot be read as C3D; cut short or damaged\? \(File must be a"):
        read_c3d(tmp_path / "bad.c3d")


def long_trial(path, frames, first=1, integer=False, **trial):
    """A point that moves by 0.1 mm a frame, one at rest and a hidden one; the header cut to its 16 bits afterwards."""
    import ezc3d

    file = ezc3d.c3d()
    point = file["parameters"]["POINT"]
    point["RATE"]["value"], point["UNITS"]["value"], point["LABELS"]["value"] = [100.0], ["mm"], ["A", "B", "C", "D"]
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Y"])
    for name, value in trial.items():
        file.add_parameter("POINT" if name == "LONG_FRAMES" else "TRIAL", name, value)
    data = np.ones((4, 4, frames))
    data[:3] = np.array([[0, 500, 900, 300], [1000, 0, 900, 1700], [300, 200, 100, 50]])[..., None]
    data[0, 0] = np.arange(frames) * 0.1
    file["data"]["points"] = data
    residuals = np.zeros((1, 4, frames))
    residuals[0, 2, 7] = residuals[0, 2, -1] = -1
    file["data"]["meta_points"]["residuals"] = residuals
    file.write(str(path))
    content = bytearray(path.read_bytes())
    content[6:10] = struct.pack("<HH", first & 0xFFFF, min(first + frames - 1, 0xFFFF))
    path.write_bytes(content)
    return path


WORDS_70100 = [70_100 & 0xFFFF, 70_100 >> 16]


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"LONG_FRAMES": [70_100.0]},
        {"ACTUAL_START_FIELD": [1, 0], "ACTUAL_END_FIELD": WORDS_70100},
        {"ACTUAL_START_FIELD": [1, 0], "ACTUAL_END_FIELD": [WORDS_70100[0] - 65_536, 1]},  # words with a sign
    ],
)
def test_more_frames_than_a_header_can_say(tmp_path, said):
    markers = read_c3d(long_trial(tmp_path / "a.c3d", 70_100, **said))
    assert markers.frames == 70_100
    np.testing.assert_allclose(markers.xyz[:, 0, 0], 1e-4 * np.arange(70_100), atol=1e-6)
    np.testing.assert_array_equal(np.flatnonzero(~markers.present[:, 2]), [7, 70_099])


def test_a_part_of_a_long_recording(tmp_path):
    """Frames 65,000 to 66,499: the header's last frame is at its limit, its fields of the trial say how many."""
    said = {"ACTUAL_START_FIELD": [65_000, 0], "ACTUAL_END_FIELD": [66_499 - 65_536, 1]}
    markers = read_c3d(long_trial(tmp_path / "a.c3d", 1500, 65_000, **said))
    assert markers.frames == 1500
    assert markers.start == pytest.approx(649.99)


def test_fields_of_a_recording_that_this_is_a_part_of(tmp_path):
    """Trimmed files may keep the fields of the whole: the header and the data agree on 300 frames."""
    said = {"ACTUAL_START_FIELD": [1, 0], "ACTUAL_END_FIELD": [9000, 0]}
    assert read_c3d(long_trial(tmp_path / "a.c3d", 300, **said)).frames == 300


def test_a_long_file_that_was_cut(tmp_path):
    path = long_trial(tmp_path / "a.c3d", 70_100, LONG_FRAMES=[70_100.0])
    path.write_bytes(path.read_bytes()[: -512 * 40])
    with pytest.raises(InputError, match=r"65535 of its 70100 frames can be read"):
        read_c3d(path)


@pytest.mark.parametrize("full", [False, True])
def test_an_endless_tail_of_zeros_is_not_read(tmp_path, full):
    """A sparse file takes no room on the disk, but took 50 s and all of its size in memory."""
    path = long_trial(tmp_path / "a.c3d", 66_000 if full else 20)
    os.truncate(path, 3 << 30)
    started = time.process_time()
    if full:
        with pytest.raises(InputError, match="Export it in parts"):
            read_c3d(path)
    else:
        assert read_c3d(path).frames == 20
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("unit", "metres"), [("in", 0.0254), ("inches", 0.0254), ("ft", 0.3048), ("dm", 0.1), ("", 1e-3)]
)
def test_units_of_a_person(tmp_path, unit, metres):
    content = {"names": ["A", "B", "C"], "rate": 100.0}
    person = np.array([[[0.1, 1.7, 0.02], [0.01, 0.9, 0.2], [0.1, 0.01, 0.3]]] * 3)
    content["values"] = person / metres / 1000  # `write_small_c3d` takes m and writes mm
    write_small_c3d(tmp_path / "a.c3d", content, {"UNITS": [unit], "X_SCREEN": ["+X"], "Y_SCREEN": ["+Y"]})
    with warnings.catch_warnings():
        warnings.simplefilter("error" if unit else "ignore")
        found = read_c3d(tmp_path / "a.c3d")
    np.testing.assert_allclose(found.xyz, person, atol=1e-5)


def test_labels_in_windows_1252_can_be_written_again(tmp_path):
    """Found by fuzzing: ezc3d leaves what is no UTF-8 as lone surrogates, on which every writer failed."""
    person = np.array([[[0.1, 1.7, 0.02], [0.01, 0.9, 0.2], [0.1, 0.01, 0.3]]] * 3)
    content = {"names": ["#paule", "B", "C"], "rate": 100.0, "values": person}
    write_small_c3d(tmp_path / "a.c3d", content, {"X_SCREEN": ["+X"], "Y_SCREEN": ["+Y"]})
    (tmp_path / "a.c3d").write_bytes((tmp_path / "a.c3d").read_bytes().replace(b"#paule", "Épaule".encode("cp1252")))
    found = read_c3d(tmp_path / "a.c3d")
    assert found.names == ("Épaule", "B", "C")
    write_trc(tmp_path / "a.trc", found)
    assert read_trc(tmp_path / "a.trc").names == found.names


def test_more_frames_in_whole_numbers(tmp_path):
    """The older format: words of 16 bits times a scale, here 0.25 mm; the fourth word below 0 marks what is missing."""
    path = long_trial(tmp_path / "a.c3d", 66_000, LONG_FRAMES=[66_000.0])
    content = bytearray(path.read_bytes())
    (block,) = struct.unpack("<H", content[16:18])
    data = np.frombuffer(bytes(content[512 * (block - 1) :]), "<f4", 66_000 * 16).reshape(-1, 4)
    words = np.c_[np.round(data[:, :3] / 0.25), np.where(data[:, 3] < 0, -1, 0)].astype("<i2")
    content[12:16] = struct.pack("<f", 0.25)
    at = content.index(b"SCALE")
    place = content.index(struct.pack("<f", -1.0), at)
    content[place : place + 4] = struct.pack("<f", 0.25)
    path.write_bytes(bytes(content[: 512 * (block - 1)]) + words.tobytes())
    markers = read_c3d(path)
    assert markers.frames == 66_000
    x = (0.25e-3 * np.round(np.arange(66_000) * 0.1 / 0.25)).astype(float)
    np.testing.assert_allclose(markers.xyz[:, 0, 0], x, atol=0.26e-3)
    np.testing.assert_array_equal(np.flatnonzero(~markers.present[:, 2]), [7, 65_999])


@pytest.mark.parametrize("scale", [np.nan, np.inf])
def test_a_scale_that_is_no_number(tmp_path, scale):
    path = long_trial(tmp_path / "a.c3d", 50)
    content = bytearray(path.read_bytes())
    place = content.index(struct.pack("<f", -1.0), content.index(b"SCALE"))
    content[place : place + 4] = struct.pack("<f", scale)
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="POINT:SCALE is"):
        read_c3d(path)


@pytest.mark.parametrize("hidden", ["missing", "zero"])
def test_points_that_are_all_missing_are_refused(tmp_path, hidden):
    content = {"names": ["A", "B"], "values": np.ones((3, 2, 3)), "rate": 100.0}
    write_small_c3d(tmp_path / "a.c3d", content, {hidden: [(frame, point) for frame in range(3) for point in (0, 1)]})
    marked = "100%" if hidden == "missing" else "0%"
    with pytest.raises(InputError, match=f"all points are missing, {marked} by residual −1"):
        read_c3d(tmp_path / "a.c3d")


@pytest.mark.parametrize(("axis", "frame"), [("z", "z_up"), ("y", "y_up")])
def test_a_file_that_does_not_say_which_axis_points_up(tmp_path, axis, frame):
    """A standing person reaches farthest upwards; a trial of several paces along Y reaches farther only in time."""
    standing = np.array([[0, 0, 0.1], [0.2, 0.3, 0.9], [0.1, 0.2, 1.7]])
    xyz = standing + np.linspace(0, 5, 8)[:, None, None] * [0, 1, 0]
    file = tmp_path / "walk.c3d"
    values = xyz if axis == "z" else xyz[..., [0, 2, 1]]
    write_small_c3d(file, {"names": ["LANK", "LASI", "C7"], "values": values, "rate": 100.0}, {})
    with pytest.warns(UserWarning, match=f"does not say what is up; took {axis.upper()}"):
        found = read_c3d(file)
    assert found.frame == frame


@pytest.mark.parametrize(("screen", "frame"), [("+X", "z_up"), ("-Y", "z_up")])
def test_one_axis_for_right_and_up_says_nothing(tmp_path, screen, frame):
    standing = np.tile([[0, 0, 0.1], [0.2, 0.3, 0.9], [0.1, 0.2, 1.7]], (6, 1, 1))
    content = {"names": ["LANK", "LASI", "C7"], "values": standing, "rate": 50.0}
    write_small_c3d(tmp_path / "a.c3d", content, {"X_SCREEN": [screen], "Y_SCREEN": [screen]})
    with pytest.warns(UserWarning, match="does not say what is up; took Z"):
        assert read_c3d(tmp_path / "a.c3d").frame == frame


NAMES = ("LASI", "RASI", "LPSI", "RPSI", "C7", "T10", "LKNE")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([f"Patient 1:{name}" for name in NAMES], NAMES),
        ([f"P01_{name}" for name in NAMES], NAMES),
        ([f"lab_P_01_{name}" for name in NAMES], NAMES),
        (["L_ASI", "L_PSI"], ["L_ASI", "L_PSI"]),
        ([f"L_{name}" for name in NAMES], [f"L_{name}" for name in NAMES]),
        (["Ada:LASI", *NAMES[1:]], ["Ada:LASI", *NAMES[1:]]),
        (["Ada:LASI", "Bob:RASI"], ["Ada:LASI", "Bob:RASI"]),
        (["foot_1", "foot_2"], ["foot_1", "foot_2"]),
    ],
)
def test_names_of_a_subject_before_all_labels(tmp_path, names, found):
    xyz = np.random.default_rng(3).uniform(0, 1.7, (4, len(names), 3))
    write_trc(tmp_path / "x.trc", Markers(names, 50.0, xyz, "y_up"))
    markers = without_subject_name(read_markers(tmp_path / "x.trc"), "x.trc")
    assert markers.names == tuple(found)
    np.testing.assert_allclose(markers.xyz, xyz, atol=1e-7)


def test_long_names_with_many_underscores_are_read_at_once(tmp_path):
    """A regular expression that looks for the prefix they share takes hours."""
    names = ("_" * 30_000, *(f"a_{'a_' * 8000}{k}" for k in range(3)))
    write_trc(tmp_path / "x.trc", Markers(names, 50.0, np.random.default_rng(1).uniform(size=(5, 4, 3)), "y_up"))
    start = time.process_time()
    assert without_subject_name(read_markers(tmp_path / "x.trc"), "x.trc").names == names
    assert time.process_time() - start < 5


@pytest.mark.parametrize(("rate", "header", "message"), [(200.0, 50.0, "POINT:RATE is 200"), (50.0, 0.0, None)])
def test_two_rates_that_differ_are_named(tmp_path, rate, header, message, recwarn):
    xyz = np.random.default_rng(1).uniform(size=(5, 4, 3))
    content = {"names": "ABCD", "values": xyz, "rate": rate}
    write_small_c3d(tmp_path / "x.c3d", content, {"header_rate": header, "Y_SCREEN": ["+Z"]})
    assert read_c3d(tmp_path / "x.c3d").rate == rate
    assert [message in str(one.message) for one in recwarn if "rate" in str(one.message)] == [True] * bool(message)


@pytest.mark.parametrize("rate", [2.4e-41, 0.05, 1e9])
def test_rates_at_which_nobody_is_filmed(tmp_path, rate):
    xyz = np.random.default_rng(1).uniform(size=(5, 4, 3))
    write_small_c3d(tmp_path / "x.c3d", {"names": "ABCD", "values": xyz, "rate": rate}, {})
    with pytest.raises(InputError, match="neither POINT:RATE nor the header tells the frame rate"):
        read_c3d(tmp_path / "x.c3d")


def test_two_numbers_of_points_are_refused(tmp_path):
    """The reader would take points of one frame for those of another."""
    content = {"names": ["A", "B", "C"], "rate": 50.0, "values": np.arange(36.0).reshape(4, 3, 3)}
    write_small_c3d(tmp_path / "a.c3d", content, {"USED": 2})
    with pytest.raises(InputError, match="3 points by its header, 2 by POINT:USED"):
        read_c3d(tmp_path / "a.c3d")
