"""Files as users of other programs reported them in public threads: read right, or refused with a cure.

Each test names its threads. The numbers are made here.
"""

import re
import struct
import warnings

import h5py
import numpy as np
import pytest
from command_line import call, failed, succeeded
from small_c3d import write_small_c3d
from small_videos import write_video

from simspine.core.errors import InputError
from simspine.core.types import Camera, Keypoints
from simspine.io.calibration import read_calibration
from simspine.io.keypoint_json import read_keypoints, write_keypoints
from simspine.io.mot import read_mot, read_sto
from simspine.io.trc import read_trc
from simspine.io.video import match_cameras_to_views, open_video

RNG = np.random.default_rng(11)
NAMES, RATE, FRAMES = ("LASI", "RASI", "C7"), 100.0, 5
XYZ = np.array([[0.0, 1, 0], [0.2, 1.1, 0.1], [0, 0.4, 0.3]]) + np.cumsum(RNG.normal(0, 0.001, (FRAMES, 3, 3)), 0)
KEYS = ["DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units"]
KEYS += ["OrigDataRate", "OrigDataStartFrame", "OrigNumFrames"]
VALUES = ["100", "100", "5", "3", "m", "100", "1", "5"]
AXES = [f"{axis}{i}" for i in (1, 2, 3) for axis in "XYZ"]


def write_marker_file(
    path, xyz=XYZ, keys=KEYS, values=VALUES, axes=AXES, mark="\t", labels=None, number="{:.5f}", start=0.0, end="\n"
):
    """A TRC file; `number` prints a coordinate, '' a missing one."""
    lines = ["PathFileType\t4\t(X/Y/Z)\tx.trc", mark.join(keys), mark.join(values[: len(keys)])]
    lines += [
        labels or mark.join(["Frame#", "Time", *(f"{name}{2 * mark}" for name in NAMES)]),
        mark.join(["", "", *axes]),
        "",
    ]
    for k, row in enumerate(xyz):
        cells = [number.format(value) if value == value else "" for value in row.ravel()]
        lines.append(mark.join([str(k + 1), f"{start + k / RATE:.4f}", *cells]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(end.join([*lines, ""]).encode())
    return path


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"axes": [f"{axis}{i}" for i in (5, 6, 7) for axis in "XYZ"]}, id="opensim-core#2345"),
        pytest.param({"axes": ["X0", "Y0", "Z1", "X1", "Y1", "Z2", "X2", "Y2", "Z3"]}, id="pyC3D2OSIM#1"),
        pytest.param({"keys": KEYS[:-1]}, id="opensim-core#2289"),
        pytest.param({"labels": "Frame#\tTime\tLASI \t \t \tRASI \t \t \tC7 \t \t "}, id="opensim-gui#1102"),
        pytest.param({"values": [*VALUES[:6], "0", "5"]}, id="opensim-core#3648"),
        pytest.param({"start": 3.2}, id="pose2sim#24"),
        pytest.param({"end": "\r\n"}, id="line ends of Windows"),
    ],
)
def test_marker_files_that_opensim_refuses(tmp_path, changed):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read_trc(write_marker_file(tmp_path / "a.trc", **changed))
    assert (found.names, found.rate) == (NAMES, RATE)
    assert found.xyz == pytest.approx(XYZ, abs=1e-5)
    assert found.start == pytest.approx(changed.get("start", 0.0))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param(
            {"mark": " ", "values": [*VALUES[:2], "9", *VALUES[3:]]},
            "says NumFrames 9, the file holds 5",
            id="openma#59",
        ),
        pytest.param({"values": ["1O0", *VALUES[1:]]}, "DataRate is 1O0; the Time column counts", id="damaged rate"),
        pytest.param({"values": ["", *VALUES[1:]]}, "DataRate is missing", id="no rate"),
        pytest.param({"values": ["98", *VALUES[1:]]}, "says DataRate 98, the Time column 100", id="near rate"),
        pytest.param({"values": [*VALUES[:4], "mm", *VALUES[5:]]}, "read as m", id="AddBiomechanics#278"),
    ],
)
def test_a_header_that_is_wrong_is_said(tmp_path, changed, said):
    with pytest.warns(UserWarning, match=said):
        found = read_trc(write_marker_file(tmp_path / "a.trc", **changed))
    assert found.rate == RATE
    assert found.xyz == pytest.approx(XYZ, abs=1e-5)


def test_names_with_other_letters_and_unlabelled_markers(tmp_path):
    """opensim-core#2506: a folder and a file of other alphabets; opensim-creator#1068: a marker called *60."""
    labels = "Frame#\tTime\tLASI\t\t\tRASI\t\t\t*60"
    path = write_marker_file(tmp_path / "Ñoño 五路/Übung.trc", labels=labels)
    said = succeeded(call("init", path, "--out", tmp_path / "c.yaml"))
    assert "not used: *60" in said


def test_a_file_whose_markers_are_never_there(tmp_path):
    """pose2sim#143: a marker file of NaN alone; one marker that is never there is a warning."""
    told = failed(call("init", write_marker_file(tmp_path / "a.trc", XYZ * np.nan), "--out", tmp_path / "c.yaml"))
    assert "none of the 3 markers is seen in any frame" in told
    some = XYZ.copy()
    some[:, 1] = np.nan
    said = succeeded(call("init", write_marker_file(tmp_path / "b.trc", some), "--out", tmp_path / "c.yaml"))
    assert "1 markers are seen in no frame: RASI" in said


def test_storage_files_without_counts(tmp_path):
    """opensim-core#2120: version 2 has neither nRows nor nColumns."""
    rows = "".join(f"{k / 50:.3f}\t{k * 0.1}\t{k}\n" for k in range(5))
    (tmp_path / "a.sto").write_text(f"x\nversion=2\ninDegrees=yes\nendheader\ntime\tpelvis_tx\thip_flexion_r\n{rows}")
    assert read_sto(tmp_path / "a.sto").names == ("pelvis_tx", "hip_flexion_r")
    found = read_mot(tmp_path / "a.sto")
    assert found.rate == 50
    assert found.values[3] == pytest.approx([0.3, np.radians(3)])


def test_two_people_in_one_file_are_named(tmp_path):
    """biorbd#226."""
    labels = ("LASI", "RASI", "C7", "LSHO", "RSHO", "LKNE", "RKNE")
    for others in (labels, ("LANK", "RANK", "T10")):  # also where the second person has none of the first one's
        names = [f"Ada:{label}" for label in labels] + [f"Bob:{label}" for label in others]
        values = RNG.normal(0, 0.3, (FRAMES, len(names), 3))
        write_small_c3d(tmp_path / "a.c3d", {"names": names, "values": values, "rate": RATE}, {"Y_SCREEN": ["+Y"]})
        said = failed(call("init", tmp_path / "a.c3d", "--out", tmp_path / "c.yaml"))
        assert "the markers are those of Ada, Bob; expected one person's" in said


def test_segment_frames_are_no_markers(tmp_path):
    """qualisys/paf-documentation#2: Theia's names of segments."""
    names = ("LAB", "LAR", "LFA", "LFT", "LHA", "LSK", "LTH", "LTO")
    content = {"names": names, "values": RNG.normal(0, 0.3, (FRAMES, 8, 3)), "rate": RATE}
    write_small_c3d(tmp_path / "a.c3d", content, {"Y_SCREEN": ["+Y"]})
    assert "plugin_gait" in failed(call("init", tmp_path / "a.c3d", "--out", tmp_path / "c.yaml"))


# Videos.


def turn_video(path, degrees):
    """Write a rotation into the track header of an MP4 file, as telephones do."""
    one = 1 << 16
    a, b = {90: (0, one), 180: (-one, 0), 270: (0, -one)}[degrees]
    content = bytearray(path.read_bytes())
    at = content.find(b"tkhd") + 44  # version 0: behind times, number, duration, layer and volume
    content[at : at + 36] = struct.pack(">9i", a, b, 0, -b, a, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


@pytest.mark.parametrize(("degrees", "quarters"), [(90, 3), (180, 2), (270, 1)])
def test_videos_are_turned_as_their_rotation_says(tmp_path, degrees, quarters):
    """DeepLabCut#1935, freemocap/skellysync#20; a calibration of the unturned images is refused (opencap-core#6)."""
    path = write_video(tmp_path / "cam1.mp4")
    plain = next(iter(open_video(path)))
    turn_video(path, degrees)
    video = open_video(path)
    image, wanted = next(iter(video)), np.rot90(plain, quarters)
    assert video.size == image.shape[1::-1] == wanted.shape[1::-1]
    assert np.abs(image.astype(int) - wanted).mean() < 1
    cameras = [camera("cam1", plain.shape[1::-1])]
    if quarters == 2:
        assert match_cameras_to_views([video], cameras) == cameras
    else:
        with pytest.raises(InputError, match="rotated after calibration"):
            match_cameras_to_views([video], cameras)


def camera(name, size=(96, 54)):
    return Camera(name, size, [[80, 0, 48], [0, 80, 27], [0, 0, 1]], np.zeros(5), np.eye(3), np.zeros(3))


def test_videos_of_a_folder_in_another_alphabet(tmp_path):
    """freemocap#664."""
    (tmp_path / "五路拖拉慢 x").mkdir()
    assert open_video(write_video(tmp_path / "五路拖拉慢 x/cam1.mp4")).frames == 12


def test_videos_without_content_and_cameras_of_another_recording(tmp_path):
    """freemocap#105: files of 1 kB; pose2sim#39: the calibration of a demonstration; anipose#97: other names."""
    path = write_video(tmp_path / "cam1.mp4")
    with pytest.raises(InputError, match="rescaled or cropped after calibration"):
        match_cameras_to_views([open_video(path)], [camera("cam1", (1088, 1920))])
    with pytest.raises(InputError, match="Video110374 has none"):
        match_cameras_to_views(["Video110374", "Video110376"], [camera("10374"), camera("10376")])
    path.write_bytes(path.read_bytes()[:1024])
    with pytest.raises(InputError, match="cut short"):
        open_video(path)


@pytest.mark.parametrize("axes", [["Y1", "X1", "Z1"], ["x", "z", "y"]])
def test_axes_in_another_order_are_refused(tmp_path, axes):
    with pytest.raises(InputError, match=f"line 5: the axes are {' '.join(axes)} …, expected X Y Z"):
        read_trc(write_marker_file(tmp_path / "a.trc", axes=axes * len(NAMES)))


# Calibrations.


@pytest.mark.parametrize("name", ["motive.cal", "session.qca.txt"])
def test_binary_calibrations_say_what_is_read(tmp_path, name):
    """pose2sim#26: OptiTrack's .cal; pose2sim#56: a .qca file renamed."""
    (tmp_path / name).write_bytes(bytes(range(256)) * 4)
    with pytest.raises(InputError, match=r"no text\. Calibrations are read of Pose2Sim, Anipose"):
        read_calibration(tmp_path / name)


# Points in images.


POINTS = tuple(f"p{i}" for i in range(4))
SEEN = Keypoints(POINTS, 50.0, RNG.uniform(10, 900, (12, 3, 4, 2)), np.full((12, 3, 4), 0.75))


def write_tables(folder, mark=",", individuals=(), comma=False, end="\n", before=b""):
    """DeepLabCut's tables of `SEEN`, one a view."""
    paths = []
    for view in range(SEEN.views):
        head = [["scorer"] + ["net"] * 12] + ([["individuals", *individuals]] if individuals else [])
        head += [["bodyparts", *np.repeat(POINTS, 3)], ["coords"] + ["x", "y", "likelihood"] * 4]
        cells = np.concatenate([SEEN.xy[:, view], SEEN.confidence[:, view, :, None]], -1).reshape(12, -1)
        rows = [[str(k), *(f"{value:.4f}" for value in row)] for k, row in enumerate(cells)]
        text = end.join(mark.join(row) for row in [*head, *rows]) + end
        paths.append(folder / f"cam{view}.csv")
        paths[-1].write_bytes(before + (text.replace(".", ",") if comma else text).encode())
    return paths


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({}, id="anipose#136"),
        pytest.param({"individuals": ["m1"] * 12}, id="keypoint-moseq#92"),
        pytest.param({"mark": ";", "comma": True}, id="decimal commas of a spreadsheet"),
        pytest.param({"end": "\r\n", "before": b"\xef\xbb\xbf"}, id="byte order mark"),
    ],
)
def test_tables_of_deeplabcut(tmp_path, changed):
    found = read_keypoints(write_tables(tmp_path, **changed), POINTS, rate=50)
    assert found.xy == pytest.approx(SEEN.xy, abs=1e-4)
    assert found.confidence == pytest.approx(SEEN.confidence)


def test_frames_without_a_row_stay_frames(tmp_path):
    """sleap#1651, sleap#2173: rows of frames without a prediction are left out; the first column counts frames."""
    paths = write_tables(tmp_path)
    lines = paths[1].read_text().split("\n")
    paths[1].write_text("\n".join(lines[:7] + lines[9:]))  # frames 4 and 5
    with pytest.warns(UserWarning, match=r"cam1\.csv: 2 frames have no row"):
        found = read_keypoints(paths, POINTS, rate=50)
    assert np.isnan(found.xy[4:6, 1]).all()
    assert found.xy[6:] == pytest.approx(SEEN.xy[6:], abs=1e-4)
    as_numbers = [re.sub(r"^(\d+),", r"\1.0,", line) for line in lines]  # and a last row of empty cells
    paths[1].write_text("\n".join([*as_numbers[:7], *as_numbers[9:], "," * lines[2].count(",")]))
    with pytest.warns(UserWarning, match=r"cam1\.csv: 2 frames have no row"):
        assert read_keypoints(paths, POINTS, rate=50).xy[6:] == pytest.approx(SEEN.xy[6:], abs=1e-4)
    paths[1].write_text("\n".join(lines[:8]))
    with pytest.warns(UserWarning, match=r"the tables end after \[12, 5, 12\] frames"):
        read_keypoints(paths, POINTS, rate=50)
    paths[1].write_text("\n".join([*lines[:5], lines[4], *lines[5:]]))
    with pytest.raises(InputError, match="its first column is to count frames, but goes from 1 to 1"):
        read_keypoints(paths, POINTS, rate=50)


def test_several_animals_are_refused(tmp_path):
    """movement#977: body parts that are of no individual; sleap#1853: tracks."""
    with pytest.raises(InputError, match="holds several individuals"):
        read_keypoints(write_tables(tmp_path, individuals=["m1"] * 9 + ["single"] * 3), POINTS, rate=50)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["tracks"], file["node_names"] = np.zeros((2, 2, 4, 12)), np.array([b"a", b"b", b"c", b"d"])
    with pytest.raises(InputError, match="holds 2 tracks"):
        read_keypoints([tmp_path / "a.h5"] * 2, rate=50)


def test_files_are_in_the_order_of_their_numbers(tmp_path):
    """pose2sim#2: 1.json, 2.json, … 10.json."""
    folders = write_keypoints(tmp_path, SEEN)
    for folder in folders:
        for path in sorted(folder.iterdir()):
            path.rename(folder / f"{int(path.stem[-6:])}.json")
    assert read_keypoints(folders, POINTS, rate=50).xy == pytest.approx(SEEN.xy)
