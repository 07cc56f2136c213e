import json
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simspine.core import skeletons
from simspine.core.errors import InputError
from simspine.core.skeletons import load_skeleton
from simspine.core.types import Keypoints
from simspine.io.keypoint_json import read_keypoints, read_people_json, write_keypoints
from simspine.vision.detector import read_detections

NAMES = ("a", "b", "c")


def put(folder, frames):
    """frames: {file name: list of people, each a list of (x, y, score)}."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, people in frames.items():
        people = [{"person_id": [-1], "pose_keypoints_2d": np.ravel(p).tolist()} for p in people]
        (folder / name).write_text(json.dumps({"version": 1.3, "people": people}))
    return folder


def person(x, score=0.9):
    return [[x, x + 1, score], [x + 2, x + 3, score], [x + 4, x + 5, score]]


@pytest.mark.parametrize(("people", "points", "last"), [(4000, 26, 300), (1, 100_000, 500)])
def test_small_files_do_not_fill_the_memory(tmp_path, people, points, last):
    """A crowd in one of many frames, or a person of many points: each frame would have as many."""
    put(tmp_path, {"0.json": [[(1, 2, 0.5)] * points] * people, f"{last}.json": []})
    with pytest.raises(InputError, match=r"0\.json: announces [\d,]+ MB of numbers in a file of"):
        read_people_json([tmp_path])


def test_a_small_table_does_not_fill_the_memory(tmp_path):
    """One row, at frame 1000, of many body parts."""
    names = [f"part{i}" for i in range(20_000)]
    head = [["scorer", *["s"] * 60_000], ["bodyparts", *np.repeat(names, 3)]]
    rows = [*head, ["coords", *["x", "y", "likelihood"] * 20_000], ["1000", *["1"] * 60_000]]
    (tmp_path / "a.csv").write_text("\n".join(",".join(row) for row in rows))
    with pytest.raises(InputError, match=r"a\.csv: announces 480 MB of numbers"):
        read_people_json([tmp_path / "a.csv"])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 300))
def test_round_trip(tmp_path_factory, seed, first):
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0, 1, (3, 2, 3))
    confidence[rng.uniform(size=confidence.shape) < 0.3] = 0.0
    confidence[0, 0], confidence[2, 1] = 0.5, 0.0  # the first frame has a person, one image has none
    xy = np.where(confidence[..., None] > 0, rng.uniform(-50, 2000, (3, 2, 3, 2)), np.nan)
    keypoints = Keypoints(NAMES, 60, xy, confidence)
    folders = write_keypoints(tmp_path_factory.mktemp("pose"), keypoints, first=first)
    assert read_keypoints(folders, NAMES, 60) == keypoints


@pytest.mark.parametrize(("first", "frames", "alarm"), [(0, 4, False), (0, 6, False), (0, 3, True), (2, 4, True)])
def test_frames_of_an_earlier_recording_are_not_mixed_in(tmp_path, first, frames, alarm):
    """Those beyond its end would follow the new frames, as if the recording went on."""
    old, new = (Keypoints(NAMES, 60, np.full((n, 2, 3, 2), 9.0 * n), np.ones((n, 2, 3))) for n in (4, frames))
    folders = write_keypoints(tmp_path, old)
    (folders[0] / ".hidden.json").write_text("{}")
    words = "would count as a frame of these points; name another folder"
    with pytest.raises(InputError, match=words) if alarm else nullcontext():
        write_keypoints(tmp_path, new, first=first)
    assert read_keypoints(folders, NAMES, 60) == (old if alarm else new)


def test_layout_is_pose2sims(tmp_path):
    keypoints = Keypoints(NAMES, 60, np.ones((2, 2, 3, 2)), np.ones((2, 2, 3)))
    folders = write_keypoints(tmp_path / "pose", keypoints, ("left", "right"))
    assert [f.name for f in folders] == ["left_json", "right_json"]
    assert sorted(p.name for p in folders[1].iterdir()) == ["right_000000.json", "right_000001.json"]
    content = json.loads((folders[0] / "left_000001.json").read_text())
    assert content["version"] == 1.3
    assert content["people"][0]["pose_keypoints_2d"] == [1.0] * 9


def test_pose2sim_reads_what_we_write(tmp_path):
    from Pose2Sim import triangulation

    rng = np.random.default_rng(0)
    keypoints = Keypoints(NAMES, 60, rng.uniform(0, 1000, (2, 2, 3, 2)), rng.uniform(0.1, 1, (2, 2, 3)))
    folders = write_keypoints(tmp_path, keypoints)
    files = [str(f / f"cam0{v + 1}_000001.json") for v, f in enumerate(folders)]
    x, y, score = triangulation.extract_files_frame_f(files, [0, 1, 2])
    np.testing.assert_array_equal(x[0], keypoints.xy[1, :, :, 0])
    np.testing.assert_array_equal(y[0], keypoints.xy[1, :, :, 1])
    np.testing.assert_array_equal(score[0], keypoints.confidence[1])


def test_files_missing_in_one_view_are_nan(tmp_path):
    a = put(tmp_path / "a", {f"v2_cam1_{i:04d}.json": [person(i)] for i in (7, 8, 10)})
    b = put(tmp_path / "b", {f"v2_cam2_{i:04d}_keypoints.json": [person(i)] for i in (8, 9)})
    keypoints = read_keypoints([a, b], NAMES, 50)
    assert keypoints.xy.shape == (4, 2, 3, 2)
    assert np.isnan(keypoints.xy[:, :, 0, 0]).tolist() == [[False, True], [False, False], [True, False], [False, True]]
    np.testing.assert_array_equal(keypoints.xy[1, :, 0, 0], [8, 8])


def test_score_zero_is_no_point(tmp_path):
    points = person(5)
    points[1] = [0, 0, 0]
    keypoints = read_keypoints([put(tmp_path / "a", {"1.json": [points]})], NAMES, 50)
    assert np.isnan(keypoints.xy[0, 0, :, 0]).tolist() == [False, True, False]
    assert keypoints.confidence[0, 0].tolist() == [0.9, 0.0, 0.9]


@pytest.mark.parametrize("place", [0, -1])
def test_places_of_points_that_are_not_there(tmp_path, place):
    """0 0 or −1 −1 with a score, as some programs write a point that they did not find; 0 and 5 is a place."""
    shown = person(5)
    shown[0][:2], shown[1][:2] = [place, place], [place, 5]
    with pytest.warns(UserWarning, match="1 points at 0 0 or −1 −1 have a score above 0"):
        keypoints = read_keypoints([put(tmp_path / "a", {"0.json": [shown]})], rate=60)
    assert np.isnan(keypoints.xy[0, 0, 0]).all()
    np.testing.assert_array_equal(keypoints.xy[0, 0, 1], [place, 5])


@pytest.mark.parametrize(("factor", "doubtful"), [(1 / 1000, True), (1, False)])
def test_coordinates_as_shares_of_the_image_are_doubted(tmp_path, factor, doubtful, recwarn):
    shown = np.array(person(500)) * [factor, factor, 1]
    read_keypoints([put(tmp_path / "a", {"0.json": [shown]})], rate=60)
    assert any("shares of the image, not px" in str(one.message) for one in recwarn) is doubtful


def test_several_people(tmp_path):
    a = put(tmp_path / "a", {"0.json": [person(1, 0.3), person(2, 0.8)], "1.json": [], "2.json": [person(3, 0.4)]})
    b = put(tmp_path / "b", {"0.json": [person(4, 0.7)], "1.json": [person(5), person(6), person(7)], "2.json": []})
    names, people = read_people_json([a, b], NAMES)
    assert names == NAMES
    assert people.shape == (3, 2, 3, 3, 3)
    first = people[..., 0, 0]
    np.testing.assert_array_equal(first[0], [[1, 2, np.nan], [4, np.nan, np.nan]])
    np.testing.assert_array_equal(first[1], [[np.nan] * 3, [5, 6, 7]])
    with pytest.warns(UserWarning, match="2 of 3 frames show several people"):
        chosen = read_keypoints([a, b], NAMES, 50).xy[:, :, 0, 0]  # the greatest sum of scores, image by image
    np.testing.assert_array_equal(chosen, [[2, 4], [np.nan, 5], [3, np.nan]])


def test_names_from_the_number_of_points(tmp_path):
    a = put(tmp_path / "a", {"0.json": [np.ones((26, 3))]})
    assert read_keypoints([a], rate=50).names == skeletons.skeleton_of_size(26).names
    assert read_keypoints([a], "halpe26", 50).names == skeletons.load_skeleton("halpe26").names
    spine = put(tmp_path / "spine", {"0.json": [np.ones((9, 3))]})  # of SpinePose's --spine-only
    native = skeletons.load_skeleton("spinetrack37").names
    assert read_keypoints([spine], rate=50).names == tuple(native[i] for i in (19, 26, 27, 28, 29, 30, 18, 35, 36))
    b = put(tmp_path / "b", {"0.json": [np.ones((4, 3))]})
    assert read_keypoints([b], rate=50).names == ("point_00", "point_01", "point_02", "point_03")


def test_rate_is_assumed_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="60 frames/s assumed"):
        assert read_keypoints([put(tmp_path / "a", {"0.json": [person(1)]})], NAMES).rate == 60.0


def test_scores_over_one(tmp_path):
    a = put(tmp_path / "a", {"0.json": [person(1, 1.04)]})
    with pytest.warns(UserWarning, match="cut to 1"):
        assert read_keypoints([a], NAMES, 50).confidence.max() == 1.0
    b = put(tmp_path / "b", {"0.json": [person(1, 95)]})
    with pytest.raises(InputError, match="scores reach 95, expected x, y and a score of 0…1 each"):
        read_keypoints([b], NAMES, 50)


@pytest.mark.parametrize(("score", "read"), [(1.0001, 1.0), (1.02, 1.0), (-0.01, 0.0), (0.5, 0.5)])
def test_scores_of_tables_beyond_their_range_by_rounding(tmp_path, score, read, recwarn):
    """DeepLabCut's refined likelihoods; the table at fault is named."""
    for name, likelihood in (("good.csv", 0.9), ("a.csv", score)):
        head = "scorer,n,n,n\nbodyparts,Nose,Nose,Nose\ncoords,x,y,likelihood\n"
        (tmp_path / name).write_text(f"{head}0,100,50,{likelihood}\n1,101,51,0.9\n")
    found = read_keypoints([tmp_path / "good.csv", tmp_path / "a.csv"], ["Nose"], rate=30)
    assert found.confidence[:, :, 0].tolist() == [[0.9, read], [0.9, 0.9]]
    said = [str(one.message) for one in recwarn]
    assert [text for text in said if "a.csv: scores reach 1.02; cut to 1" in text] == said[: score > 1.01]


def test_hidden_and_foreign_files_are_not_read(tmp_path):
    a = put(tmp_path / "a", {"0.json": [person(1)]})
    (a / ".0.abc.tmp.json").write_text("{")
    (a / "notes 2.txt").write_text("x")
    assert read_keypoints([a], NAMES, 50).frames == 1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("1.json", "{", "1.json: not a keypoint file"),
        ("1.json", "[]", "1.json: not a keypoint file"),
        ("1.json", '{"keypoints": [[1, 2]]}', "as OpenPose writes them, which ss.write_keypoints makes of arrays"),
        ("1.json", '{"people": [{"pose_keypoints_2d": [1, 2]}]}', "1.json: pose_keypoints_2d has 2 numbers"),
        ("1.json", '{"people": [{"pose_keypoints_2d": [1, 2, 0,9]}]}', "not x y score each. Decimal commas"),
        ("1.json", '{"people": [{"pose_keypoints_2d": [1, 2, 0.5]}]}', "people with 1 and 3 points"),
        ("x.json", "{}", "no frame number in the file's name; expected a file for each image"),
        ("9" * 60 + ".json", "{}", "no frame number"),
        ("00.json", "{}", "is there twice"),
        ("20240101120000.json", '{"people": []}', "are numbered 0 to 20240101120000"),
    ],
)
def test_refused_files(tmp_path, name, text, message):
    a = put(tmp_path / "a", {"0.json": [person(1)]})
    (a / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_keypoints([a], NAMES, 50)


def test_the_file_of_one_image(tmp_path):
    put(tmp_path, {"photo.json": [person(1)], "12.json": [person(7)]})
    read = read_keypoints([tmp_path / "photo.json", tmp_path / "12.json"], NAMES, 50)
    assert read.frames == 1
    np.testing.assert_allclose(read.xy[0, :, 0, 0], [1, 7])


def test_refused_folders(tmp_path):
    a = put(tmp_path / "a", {"0.json": [person(1)]})
    (tmp_path / "empty").mkdir()
    for folders, message in (
        ([], "no keypoint folder"),
        ([a, tmp_path / "none"], "none: no such folder"),
        ([a, tmp_path / "empty"], "no .json file"),
        ([tmp_path / "a.slp"], "a.slp: no such folder of keypoint files; a table must be .csv or .h5"),
    ):
        with pytest.raises(InputError, match=message):
            read_keypoints(folders, NAMES, 50)
    with pytest.raises(InputError, match="3 points, the skeleton 2"):
        read_keypoints([a], ("a", "b"), 50)
    with pytest.raises(InputError, match="nobody"):
        read_keypoints([put(tmp_path / "b", {"0.json": []})], rate=50)


def test_camera_names(tmp_path):
    keypoints = Keypoints(NAMES, 60, np.ones((1, 2, 3, 2)), np.ones((1, 2, 3)))
    for cameras in (("a",), ("a", "a")):
        with pytest.raises(InputError, match="2 views"):
            write_keypoints(tmp_path, keypoints, cameras)
    with pytest.raises(InputError, match="first frame is -1, expected 0 or more"):  # a sign is no part of a number
        write_keypoints(tmp_path, keypoints, first=-1)


def folders_numbered(tmp_path, *numbers):
    """A folder for each list of numbers; each file holds one person, at x = its place in the list."""
    folders = []
    for view, own in enumerate(numbers):
        folders.append(tmp_path / f"cam{view}_json")
        folders[-1].mkdir()
        for place, number in enumerate(own):
            pose = [value for _ in range(17) for value in (float(place + 1), 5.0, 0.9)]
            text = json.dumps({"people": [{"pose_keypoints_2d": pose}]})
            (folders[-1] / f"x_{number:06d}.json").write_text(text)
    return folders


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([range(1, 13), range(12)], "cam0_json: 1 to 12, 12 files; .*cam1_json: 0 to 11, 12 files"),
        ([range(8), range(8), range(500, 508)], "numbered apart"),
        ([range(20), [*range(1000, 1008), *range(1012, 1019)]], "numbered apart.*cam1_json: 1000 to 1018, 15 files"),
        ([[0, 40, 80, 120, 160, 200]] * 2, "rise by 40"),
        ([range(6), [0, 17, 33, 50, 67, 83]], "milliseconds"),
        ([[0, 8, 17, 25, 33, 42, 50]] * 2, "do not count frames"),
    ],
)
def test_numbers_that_do_not_count_the_same_frames(tmp_path, numbers, message):
    with pytest.raises(InputError, match=message):
        read_keypoints(folders_numbered(tmp_path, *numbers), rate=50)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([range(20), range(3, 19)], "begin or end apart.*cam1_json: 3 to 18, 16 files"),
        ([range(20), range(12)], "begin or end apart.*cam1_json: 0 to 11, 12 files"),
        ([range(0, 20, 2)] * 2, "9 frames have a file in no folder"),
        ([[0, 1, 2, 3, 9, 10]] * 2, "5 frames have a file in no folder"),
        ([range(20), range(0, 20, 2)], "Did its camera take fewer frames a second"),
        ([range(12), [*range(4), *range(6, 12)]], r"cam1_json: no file for 2 frames of the other folders \(4–5\)"),
        ([range(300, 340), {*range(300, 340)} - {303, 311}], r"no file for 2 frames .*\(303, 311\), .*nobody\.$"),
        ([range(1, 61), range(1, 61), range(1, 61, 3)], "Did its camera take fewer frames a second"),
    ],
)
def test_numbers_that_may_be_meant_are_reported(tmp_path, numbers, message):
    folders = folders_numbered(tmp_path, *numbers)
    with pytest.warns(UserWarning, match=message):
        found = read_keypoints(folders, rate=50)
    first = min(map(min, numbers))
    for view, own in enumerate(numbers):
        for place, number in enumerate(own):
            assert found.xy[number - first, view, 0, 0] == place + 1
    assert np.isfinite(found.xy[:, :, 0, 0]).sum() == sum(map(len, numbers))


def test_folders_that_begin_anywhere_together_are_read_silently(tmp_path, recwarn):
    found = read_keypoints(folders_numbered(tmp_path, range(700, 710), range(700, 708)), rate=50)
    assert found.frames == 10
    assert not recwarn


# A person from the front, arms a little away from the body: x to the image's right, y down, px.
FRONT = {
    "Nose": (500, 120), "LEye": (508, 112), "REye": (492, 112), "LEar": (520, 116), "REar": (480, 116),
    "Neck": (500, 190), "Head": (500, 80), "LShoulder": (545, 195), "RShoulder": (455, 195), "LElbow": (575, 280),
    "RElbow": (425, 280), "LWrist": (595, 360), "RWrist": (405, 360), "MidHip": (500, 370), "LHip": (525, 370),
    "RHip": (475, 370), "LKnee": (530, 490), "RKnee": (470, 490), "LAnkle": (532, 610), "RAnkle": (468, 610),
    "LBigToe": (550, 640), "RBigToe": (450, 640), "LSmallToe": (560, 636), "RSmallToe": (440, 636),
    "LHeel": (528, 622), "RHeel": (472, 622),
}  # fmt: skip
FACE, LEGS = ("LEye", "REye", "LEar", "REar", "Nose"), ("Knee", "Ankle", "Toe", "Heel")


@pytest.mark.parametrize("unseen", [(), FACE, LEGS, ("LShoulder", "LElbow", "LWrist", "LEar", "LEye")])
@pytest.mark.parametrize("turn", [0, 90, 180])
@pytest.mark.parametrize("skeleton", ["body25", "body25b"])
def test_the_two_orders_of_25_points_are_told_apart(tmp_path, skeleton, turn, unseen):
    """Of a person who stands, lies or stands on the hands, without a face, legs, or a side in view."""
    names = load_skeleton(skeleton).names
    rng = np.random.default_rng(5)
    angle = np.radians(turn)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    for frame in range(5):
        pose = []
        for name in names:
            seen = not any(part in name for part in unseen)
            x, y = turned @ FRONT[name] + 900 + rng.normal(0, 6, 2)
            pose += [x, y, 0.8] if seen else [0.0, 0.0, 0.0]
        (tmp_path / f"{frame:03d}.json").write_text(json.dumps({"people": [{"pose_keypoints_2d": pose}]}))
    assert read_keypoints([tmp_path], rate=50).names == names
    detections, known = read_detections([tmp_path], 50.0)
    assert known.name == skeleton
    assert detections.names == names


@pytest.mark.parametrize("lost", [(), (0, 8), (3, 4)])
def test_15_points_of_openpose_are_not_taken_for_simspines(tmp_path, lost):
    """A person 300 px tall, bent to the side: OpenPose's MPI model begins with the head and the right arm."""
    trunk = [[500 - 2 * k * k, 400 - 20 * k] for k in range(9)]
    ours = [*trunk, [350, 200], [345, 215], [420, 270], [340, 290], [430, 300], [380, 320]]
    sides = [[-40, 300], [-60, 350], [-70, 400], [40, 300], [60, 350], [70, 400]]
    legs = [[-20, 410], [-25, 480], [-25, 550], [20, 410], [25, 480], [25, 550]]
    mpi = [[0, 250], [0, 290], *sides, *legs, [0, 340]]
    for name, points in (("ours", ours), ("mpi", mpi)):
        shown = [[x + 600, y, 0.0 if i in lost else 0.8] for i, (x, y) in enumerate(points)]
        folder = put(tmp_path / name, {"0.json": [shown], "1.json": [shown]})
        if name == "ours":
            assert read_keypoints([folder], rate=50).names == load_skeleton("simspine15").names
        else:
            with pytest.raises(InputError, match="MPI model"):
                read_keypoints([folder], rate=50)
            assert read_keypoints([folder], [f"p{i}" for i in range(15)], rate=50).frames == 2


@pytest.mark.parametrize("seen", [True, False])
def test_25_points_of_neither_order(tmp_path, seen):
    """Points anywhere; and a person of whom nothing is seen."""
    points = np.column_stack([np.random.default_rng(2).uniform(0, 500, (25, 2)), np.full(25, 0.9)])
    pose = (points * seen).ravel().tolist()
    (tmp_path / "000.json").write_text(json.dumps({"people": [{"pose_keypoints_2d": pose}]}))
    with pytest.raises(InputError, match=r"BODY_25 or BODY_25B of OpenPose. Say so: skeleton 'body25' or 'body25b'"):
        read_keypoints([tmp_path], rate=50)
    assert read_keypoints([tmp_path], "body25b", 50).names[18] == "Head"
