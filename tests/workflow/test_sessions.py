"""`simspine add-spine` on small sessions of other programs, in their layouts, of a person whose spine is known."""

import json
import re
import shutil
import tomllib
import warnings

import numpy as np
import pytest
import tomli_w
import xarray
from command_line import call, failed, succeeded
from restamped import restamp, time_scale
from scipy.spatial.transform import Rotation
from session_person import (
    FRAMES,
    LEVELS,
    RATE,
    add,
    check_markers,
    check_near,
    long_rows,
    native,
    person,
    read_wide,
    write_opencap,
    write_wide,
)
from small_c3d import write_small_c3d
from small_project import ring
from small_videos import write_video

import simspine as ss
from simspine.anatomy.marker_sets import read_marker_set
from simspine.core.errors import InputError
from simspine.core.geometry import markers_in_frame, project_points
from simspine.core.skeletons import load_skeleton
from simspine.core.types import Keypoints, Markers
from simspine.io.c3d import read_markers
from simspine.io.calibration import write_calibration
from simspine.io.keypoint_json import write_keypoints, write_people_json
from simspine.io.mot import read_mot
from simspine.io.trc import write_trc
from simspine.reconstruction import sessions
from simspine.reconstruction.session_files import _number_in, _pose2sim_project, read_session, size_of_person
from simspine.reconstruction.sessions import rate_of_session
from simspine.vision.person_frame import vertical_of_world
from simspine.workflow.config import read_config
from simspine.workflow.inputs import progress_bar
from simspine.workflow.sessions import grouped_messages

pytestmark = pytest.mark.usefixtures("two_rounds")


def test_freemocap_in_millimetres(tmp_path):
    names, xyz, centres = native("blazepose33")
    write_wide(tmp_path / "output_data/mediapipe_body_3d_xyz.csv", names, 1000 * xyz)
    (tmp_path / "synchronized_videos").mkdir()
    write_video(tmp_path / "synchronized_videos/cam1.mp4", frames=FRAMES, rate=RATE)
    assert "session of FreeMoCap" in add(tmp_path)
    config = tmp_path / "new/config.yaml"
    succeeded(call("init", tmp_path, "--out", config))
    settings = read_config(config)
    assert settings.body.markers == "blazepose33"
    assert settings.cameras.refine is False  # there are none
    (trial,) = settings.subjects["S01"].trials.values()
    assert read_markers(trial.markers).rate == pytest.approx(RATE)
    check_near(read_wide(tmp_path / "output_data/simspine_spine_3d_xyz.csv"), centres, 0.001)


def test_a_rate_that_the_files_state_otherwise_is_refused(tmp_path):
    """It had no effect."""
    xyz = np.random.default_rng(0).uniform(0.5, 1.5, (FRAMES, 2, 3))
    write_small_c3d(tmp_path / "walk.c3d", {"names": ["C7", "LASI"], "values": xyz, "rate": RATE}, {})
    with pytest.raises(InputError, match=f"its files state {RATE:g} frames/s, and 77 was given"):
        read_session(tmp_path, rate=77)
    assert read_session(tmp_path, rate=RATE).trials[0].source.rate == pytest.approx(RATE)


def test_freemocap_with_its_yolo_tracker(tmp_path):
    """FreeMoCap 1.8 puts `face_` before all names of a tracker whose points it does not sort into body and hands."""
    names, xyz, _ = native("coco17")
    write_wide(tmp_path / "output_data/yolo_body_3d_xyz.csv", [f"face_{name}" for name in names], 1000 * xyz)
    (trial,) = read_session(tmp_path, rate=RATE).trials
    assert (trial.marker_set, trial.source.names[5:7]) == ("coco17", ("LShoulder", "RShoulder"))
    np.testing.assert_allclose(trial.source.xyz, xyz, atol=1e-6)


def test_a_point_without_one_of_its_columns_is_named(tmp_path):
    """As where a column was lost in a table calculation; the other points stay."""
    names, xyz, _ = native("blazepose33")
    path = tmp_path / "output_data/mediapipe_body_3d_xyz.csv"
    write_wide(path, names, 1000 * xyz)
    path.write_text(path.read_text().replace("left_knee_z", "left_knee_depth", 1))
    with pytest.warns(UserWarning, match=r"body_3d_xyz\.csv: no column _y or _z of left_knee, left out"):
        (trial,) = read_session(tmp_path, rate=RATE).trials
    assert "LKnee" not in trial.source.names
    assert "RKnee" in trial.source.names


def test_anipose_in_the_first_cameras_world_and_unknown_units(tmp_path):
    """z points down and forward, as a camera looks; the table that is added has the session's own coordinates."""
    names, xyz, centres = native("coco17")
    turn = Rotation.from_euler("xyz", [110, 20, 0], degrees=True).as_matrix()
    table = tmp_path / "walk/pose-3d/take1.csv"
    write_wide(table, names, 1000 * xyz @ turn.T, "fnum")
    (tmp_path / "config.toml").write_text('project = "p"\n[labeling]\nscheme = [["nose", "left_eye"]]\n')
    said = add(tmp_path, "--rate", "50")
    assert "session of Anipose" in said
    assert "anipose --config config_spine.toml label-3d" in said
    found = read_wide(tmp_path / "walk/pose-3d-spine/take1.csv")
    check_near({level: places @ turn for level, places in found.items()}, centres, 0.001)
    head = (tmp_path / "walk/pose-3d-spine/take1.csv").read_text().splitlines()[0]
    assert head.startswith(table.read_text().splitlines()[0])  # the viewer joins limbs and vertebrae of one file
    assert "L3_error" in head
    config = tomllib.loads((tmp_path / "config_spine.toml").read_text())
    assert config["project"] == "p"
    assert config["pipeline"]["pose_3d"] == "pose-3d-spine"
    ours, theirs = config["labeling"]["scheme"][::-1]
    assert theirs == ["nose", "left_eye"]
    assert set(LEVELS) <= set(ours) <= {name.removesuffix("_x") for name in head.split(",")}


def test_anipose_takes_the_rate_of_the_trials_own_video(tmp_path):
    """All trials had the rate of the first video below the folder."""
    names, xyz, _ = native("coco17")
    (tmp_path / "videos-raw").mkdir()
    expected = {"walk1": 50.0, "walk10": 100.0, "walk": 25.0, "walk_b": 60.0}
    for name, rate in expected.items():
        write_wide(tmp_path / f"pose-3d/{name}.csv", names, 1000 * xyz, "fnum")
        write_video(tmp_path / f"videos-raw/{name}_cam1.mp4", frames=4, rate=rate)
    assert {trial.name: trial.source.rate for trial in read_session(tmp_path).trials} == expected
    (tmp_path / "videos-raw/walk_cam1.mp4").rename(tmp_path / "videos-raw/cam1_walk.mp4")
    with pytest.raises(InputError, match="no name shows whose points are read"):
        read_session(tmp_path)
    assert {trial.source.rate for trial in read_session(tmp_path, rate=RATE).trials} == {RATE}


@pytest.mark.parametrize(
    ("config", "more", "message"),
    [
        ("labeling = 5", "", "config.toml: not a configuration of Anipose"),
        ("labeling = [1]", "", "config.toml: not a configuration of Anipose"),
        ("pipeline = 'x'", "", "config.toml: not a configuration of Anipose"),
        ("[labeling]\nscheme = 5", "", "config.toml: not a configuration of Anipose"),
        ("labeling =", "", "config.toml: not valid TOML"),
        ("", ",nose_error,nose_error", "take1.csv: several columns are called nose_error"),
        ("", ",nose_x", "take1.csv: several columns are called nose_x"),
    ],
)
def test_anipose_files_that_are_refused_before_any_work(tmp_path, config, more, message):
    names, xyz, _ = native("coco17")
    path = tmp_path / "walk/pose-3d/take1.csv"
    write_wide(path, names, xyz)
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([f"{head}{more}", *(row + ",1" * more.count(",") for row in rows)]) + "\n")
    (tmp_path / "config.toml").write_text(config)
    with pytest.raises(InputError, match=message):
        read_session(tmp_path, rate=RATE)


def test_lines_that_anipose_lost_are_named(tmp_path):
    """Frames 5 to 7 were cut out of the table; what follows would be three frames early."""
    names, xyz, _ = native("coco17")
    path = tmp_path / "walk/pose-3d/take1.csv"
    write_wide(path, names, xyz, "fnum")
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:6] + lines[9:]) + "\n")
    with pytest.raises(InputError, match=r"take1\.csv: frames are not in a row after fnum 4"):
        read_session(tmp_path, rate=RATE)


def test_anipose_leaves_out_points_that_its_own_viewer_leaves_out(tmp_path):
    names, xyz, centres = native("coco17")
    xyz = xyz.copy()
    wild = names.index("left_wrist")
    xyz[4:, wild] += 3.0
    path = tmp_path / "walk/pose-3d/take1.csv"
    write_wide(path, names, xyz)
    head, *rows = path.read_text().splitlines()
    rows = [f"{row},{0 if k < 4 else 80},{3 if k < 6 else 1}" for k, row in enumerate(rows)]
    path.write_text("\n".join([f"{head},left_wrist_error,left_wrist_ncams", *rows]) + "\n")
    add(tmp_path, "--rate", "50")
    added = tmp_path / "walk/pose-3d-spine/take1.csv"
    check_near(read_wide(added), centres)
    head, *rows = (line.split(",") for line in added.read_text().splitlines())
    cameras = [float(row[head.index("L3_ncams")]) for row in rows]
    assert cameras == [3.0] * 6 + [2.0] * (FRAMES - 6)  # its viewer hides points of fewer than two


def caliscope_session(folder, names, xyz, left_out=()):
    """As Caliscope 0.11 writes it: the labelled table has no number of the frame, and no row where nothing was seen."""
    seen = [k for k in range(len(xyz)) if k not in left_out]
    write_wide(folder / f"xyz_{folder.name}_labelled.csv", names, xyz[seen])
    rows = long_rows(xyz, seen, first=3)
    head = "sync_index,object_id,keypoint_id,x_coord,y_coord,z_coord,frame_time"
    (folder / f"xyz_{folder.name}.csv").write_text("\n".join([head, *rows]) + "\n")


def test_caliscope_with_frames_in_which_nothing_was_seen(tmp_path):
    """The frame rate is that of its times; points are called as Caliscope's HALPE model calls them. One point was never
    seen, so that the names alone would be SpineTrack's, whose neck and hip are elsewhere. Two frames have no result."""
    names, xyz, centres = native("halpe26")
    sides = {"L": "left_", "R": "right_"}
    plain = [f"{sides[name[0]]}{name[1:].lower()}" if name[:2].isupper() else name.lower() for name in names]
    caliscope_session(tmp_path / "recordings/walk/RTMPOSE_M_HALPE26", plain[:-1], xyz[:, :-1], left_out=(5, 6))
    said = add(tmp_path, code=1)
    assert "session of Caliscope" in said
    assert "did not solve 2 of 12 frames" in said
    assert said.count("walk: error") == 1
    target = tmp_path / "recordings/walk/ONNX_SIMSPINE/xyz_ONNX_SIMSPINE"
    seen = [k for k in range(FRAMES) if k not in (5, 6)]
    kept = centres.with_(xyz=centres.xyz[seen])
    check_near(read_wide(target.with_name(f"{target.name}_labelled.csv")), kept)
    check_markers(target.with_suffix(".trc"), centres)
    assert read_markers(target.with_suffix(".trc")).rate == pytest.approx(RATE)
    head, *rows = (line.split(",") for line in target.with_suffix(".csv").read_text().splitlines())
    indices = {int(row[head.index("sync_index")]) for row in rows}
    assert indices == {k + 3 for k in seen}
    card = tomllib.loads(target.with_name("SIMSPINE.toml").read_text())
    found = {}
    for level in LEVELS:
        own = [row for row in rows if int(row[head.index("keypoint_id")]) == card["points"][level]]
        found[level] = np.array([[float(row[head.index(f"{axis}_coord")]) for axis in "xyz"] for row in own])
    check_near(found, kept)


def test_caliscope_tables_that_do_not_agree_are_refused(tmp_path):
    names, xyz, _ = native("blazepose33")
    folder = tmp_path / "recordings/walk/POSE"
    caliscope_session(folder, names, xyz)
    write_wide(folder / "xyz_POSE_labelled.csv", names, xyz[:-1])
    assert f"points in {FRAMES} frames, but its labelled table has {FRAMES - 1} rows" in refusal(tmp_path)
    (folder / "xyz_POSE.csv").unlink()
    assert "xyz_POSE.csv is missing" in refusal(tmp_path)


@pytest.mark.parametrize("turned", [False, True], ids=["z_up", "a_cameras_world"])
def test_a_person_who_lies_is_not_stood_up_where_the_cameras_say_so(tmp_path, turned):
    """Anipose's calibration next to the points: the images are upright, so the person lies."""
    names, xyz, centres = native("coco17")
    lying = Rotation.from_euler("y", -90, degrees=True).as_matrix()  # on the back
    lift = np.array([1.0, 0.0, 1.0])
    world = ring()[1].R if turned else np.eye(3)
    places = (xyz @ lying.T + lift) @ world.T
    write_wide(tmp_path / "walk/pose-3d/take1.csv", names, places)
    tables = {
        f"cam_{k}": {
            "name": camera.name,
            "size": list(camera.size),
            "matrix": camera.K.tolist(),
            "distortions": camera.distortion.tolist(),
            "rotation": Rotation.from_matrix(camera.R @ world.T).as_rotvec().tolist(),
            "translation": camera.t.tolist(),
        }
        for k, camera in enumerate(ring())
    }
    (tmp_path / "calibration").mkdir()
    (tmp_path / "calibration/calibration.toml").write_text(tomli_w.dumps(tables))
    said = add(tmp_path, "--rate", "50")
    assert ("as the cameras were held" in said) is turned
    assert "as the person stood" not in said
    found = read_wide(tmp_path / "walk/pose-3d-spine/take1.csv")
    truth = centres.with_(xyz=(centres.xyz @ lying.T + lift) @ world.T)
    check_near(found, truth)


def test_easymocap(tmp_path):
    _, xyz, centres = native("body25")
    folder = tmp_path / "output/keypoints3d"
    folder.mkdir(parents=True)
    for k, row in enumerate(xyz):
        points = [[*map(float, place), 0.9] for place in row]
        (folder / f"{k:06d}.json").write_text(json.dumps([{"id": 0, "keypoints3d": points}]))
    assert "session of EasyMocap" in add(tmp_path, "--rate", "50")
    frames = [json.loads(path.read_text())[0] for path in sorted((tmp_path / "output/keypoints3d_spine").glob("*"))]
    assert len(frames) == FRAMES
    places = np.array([frame["keypoints3d"] for frame in frames])[..., :3]
    check_near({level: places[:, frames[0]["names"].index(level)] for level in LEVELS}, centres)


def test_easymocap_with_a_second_person_who_comes_later(tmp_path):
    _, xyz, _ = native("body25")
    (tmp_path / "keypoints3d").mkdir()
    for k, row in enumerate(xyz):
        people = [{"id": who, "keypoints3d": (row + np.array([who, 0, 0])).tolist()} for who in range(1 + (k > 4))]
        (tmp_path / f"keypoints3d/{k:06d}.json").write_text(json.dumps(people))
    first, second = read_session(tmp_path, rate=RATE).trials
    assert first.targets != second.targets
    assert second.source.present.any(1).tolist() == [k > 4 for k in range(FRAMES)]
    out = tmp_path / "two.yaml"  # one height would have sized both
    assert "one height or mass for 0, 1: leave it out" in failed(
        call("init", tmp_path, "--rate", str(RATE), "--height", "1.8", "--out", out)
    )
    with pytest.raises(InputError, match="one height or mass for 0, 1: leave it out"):
        ss.reconstruct(read_session(tmp_path, rate=RATE), height=1.8)
    assert not out.exists()


def test_trials_of_one_name_are_told_apart_or_refused(tmp_path):
    """Anipose numbers takes anew in each session; Caliscope keeps the points of several trackers."""
    names, xyz, _ = native("coco17")
    for session in ("a", "b"):
        write_wide(tmp_path / session / "pose-3d/take1.csv", names, xyz)
    assert [trial.name for trial in read_session(tmp_path, rate=RATE).trials] == ["a_take1", "b_take1"]
    for tracker in ("HOLISTIC", "POSE"):
        caliscope_session(tmp_path / "c/recordings/walk" / tracker, names, xyz)
    assert "perhaps of two trackers" in refusal(tmp_path / "c")


def test_vicon(tmp_path):
    labels = [name for name in read_marker_set("plugin_gait").own if not name.endswith("JC")]
    whole, centres = person("plugin_gait")
    known = read_marker_set("plugin_gait")
    own = [label for label in labels if known.names.get(label) in whole.names and label not in ("SACR", "S2")]
    own = [label for label in own if label not in ("T1", "T3", "T5", "T7", "T9", "T11", "L2", "L4")]
    xyz = markers_in_frame(whole.select([known.names[label] for label in own]), "y_up").xyz
    own.append("BACK1")  # of no set
    content = {"names": [f"Ada:{label}" for label in own], "values": np.append(xyz, xyz[:, :1], 1), "rate": RATE}
    write_small_c3d(tmp_path / "walk.C3D", content, {"Y_SCREEN": ["+Y"], "X_SCREEN": ["+X"]})
    (tmp_path / "notes.txt").write_text("not a recording")
    said = succeeded(call("init", tmp_path, "--out", tmp_path / "mine.yaml"))
    assert f"\nwalk: {len(own) - 1} of {len(own)} markers are known, {FRAMES} frames at 50 Hz" in said
    assert "not used: BACK1." in said
    assert "session of Vicon, Qualisys or Theia, 1 trial(s)" in add(
        tmp_path
    )  # also where *.c3d and *.C3D are the same files
    check_markers(tmp_path / "walk_spine.c3d", centres)
    for command in ("init", "run"):  # as by *.c3d: vertebrae would be taken for markers on the skin
        said = failed(call(command, *sorted(tmp_path.glob("*.[cC]3[dD]"))))
        assert "walk_spine.c3d was written by `simspine add-spine`: it holds a result. Leave it out." in said


def test_theia(tmp_path):
    """C3D without points: poses of segments, whose origins are the joint centres. As its files have them: mm, z up."""
    import ezc3d

    whole, centres = person("theia")
    place_of = read_marker_set("theia").names
    labels = ["worldbody_4X4", *(label for label in place_of if label.endswith("_4X4"))]
    poses = np.tile(np.eye(4)[..., None, None], (1, 1, len(labels), FRAMES))
    places = whole.select([place_of[label] for label in labels[1:]]).xyz
    poses[:3, 3, 1:] = 1000 * places.transpose(2, 1, 0)
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [RATE]
    file["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Z"])
    file.add_parameter("ROTATION", "LABELS", labels)
    file["data"]["points"], file["data"]["rotations"] = np.zeros((4, 0, FRAMES)), poses
    file.write(str(tmp_path / "walk.c3d"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the room lies at 0 0 0, and is no marker that was not seen
        read = read_markers(tmp_path / "walk.c3d")
    assert (read.names, read.rate, read.frame) == (tuple(labels), RATE, "z_up")
    np.testing.assert_allclose(read.xyz[:, 1:], places, atol=1e-6)
    add(tmp_path)
    check_markers(tmp_path / "walk_spine.c3d", centres)
    assert read_markers(tmp_path / "walk_spine.c3d").frame == "z_up"  # of the session


def test_sports2d_each_person_by_itself(tmp_path):
    whole, centres = person("halpe26")
    names = tuple(name for name in load_skeleton("halpe26").names if name in whole.names)
    folder = tmp_path / "film_Sports2D"
    folder.mkdir()
    for number in (0, 1):
        write_trc(folder / f"film_Sports2D_m_person{number:02}.trc", whole.select(names))
    assert "session of Sports2D, 2 trial(s)" in add(tmp_path)
    for number in (0, 1):
        check_markers(folder / f"film_Sports2D_m_person{number:02}_spine.trc", centres)


def test_limbs_out_of_the_plane_of_a_film_are_short(tmp_path):
    """Sports2D: the left arm points at the camera, so that its forearm appears 18 % shorter than the right one."""
    whole, centres = person("halpe26")
    names = tuple(name for name in load_skeleton("halpe26").names if name in whole.names)
    xyz = np.array(whole.select(names).xyz)
    elbow, wrist = names.index("LElbow"), names.index("LWrist")
    xyz[:, wrist] = xyz[:, elbow] + 0.82 * (xyz[:, wrist] - xyz[:, elbow])
    write_trc(tmp_path / "film_m_person00.trc", Markers(names, RATE, xyz, "z_up"))
    assert "add-spine` --max-asymmetry" in refusal(tmp_path, "--max-asymmetry", "0.1")
    assert re.search("limbs outside the plane of the film appear short", add(tmp_path))
    check_markers(tmp_path / "film_m_person00_spine.trc", centres)


def write_movement(path, names, xyz, people=("ada",), version="NETCDF4", **about):
    """As movement does: its arrays by xarray. xyz: (frames, points, 3, people)."""
    axes = {"time": np.arange(len(xyz)) / RATE, "space": list("xyz"), "keypoints": list(names)}
    position = xarray.DataArray(xyz.swapaxes(1, 2), {**axes, "individuals": list(people)}, (*axes, "individuals"))
    data = xarray.Dataset({"position": position}, attrs={"source_software": "DeepLabCut", "ds_type": "poses", **about})
    data.to_netcdf(path, format=version, engine="h5netcdf" if version == "NETCDF4" else "scipy")


def test_movement_with_two_people(tmp_path):
    """Points of DeepLabCut or SLEAP in space; what is added is read by xarray as movement reads it."""
    names, xyz, centres = native("coco17")
    aside = np.array([1.5, 0.4, 0.0])
    write_movement(tmp_path / "walk.nc", names, 100 * np.stack([xyz, xyz + aside], -1), ("ada", "bob"), fps=RATE)
    assert "session of movement, 2 trial(s)" in add(tmp_path)
    for who, moved in (("ada", 0 * aside), ("bob", aside)):
        with xarray.open_dataset(tmp_path / f"walk_{who}_spine.nc", engine="h5netcdf") as found:
            assert found.position.dims == ("time", "space", "keypoints", "individuals")
            assert found.confidence.dims == ("time", "keypoints", "individuals")
            assert found.attrs["fps"] == RATE
            np.testing.assert_allclose(found.time, np.arange(FRAMES) / RATE)
            places = {level: found.position.sel(keypoints=level, individuals=who).values for level in LEVELS}
        check_near(places, centres.with_(xyz=centres.xyz + moved), 0.01)


def test_where_the_second_person_cannot_be_solved_nothing_is_written(tmp_path, monkeypatch):
    """Else the same command, given again, would refuse the files of the first."""
    names, xyz, _ = native("coco17")
    write_movement(tmp_path / "walk.nc", names, np.stack([xyz, xyz + 1.5], -1), ("ada", "bob"), fps=RATE)
    solve_person = sessions._solve_person

    def stop(session, own, *arguments):
        if own[0].person == "bob":
            raise KeyboardInterrupt
        return solve_person(session, own, *arguments)

    monkeypatch.setattr(sessions, "_solve_person", stop)
    assert call("add-spine", tmp_path).exit_code == 130
    assert [path.name for path in tmp_path.iterdir()] == ["walk.nc"]


def test_movement_files_that_are_refused(tmp_path):
    names, xyz, _ = native("coco17")
    path = tmp_path / "walk.nc"
    xarray.Dataset({"speed": ("time", np.zeros(3))}).to_netcdf(path, engine="h5netcdf")
    assert "no position in it" in refusal(tmp_path)
    flat = xarray.DataArray(xyz[..., :2, None], dims=("time", "keypoints", "space", "individuals"),
                            coords={"keypoints": list(names), "space": ["x", "y"], "time": np.arange(FRAMES) / RATE,
                                    "individuals": ["ada"]})  # fmt: skip
    xarray.Dataset({"position": flat}).to_netcdf(path, engine="h5netcdf")
    assert "points of 2 coordinates, in images" in refusal(tmp_path)
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(40))
    assert "cannot be read as HDF5" in refusal(tmp_path)


@pytest.mark.parametrize("version", ["NETCDF3_CLASSIC", "NETCDF3_64BIT"])
def test_movement_in_netcdf_3_is_refused_with_a_cure_that_works(tmp_path, monkeypatch, version):
    names, xyz, _ = native("coco17")
    write_movement(tmp_path / "OLD.nc", names, xyz[..., None], ("ada",), version=version, fps=RATE)
    monkeypatch.chdir(tmp_path)
    (cure,) = re.findall(r"In Python: (xarray\S+\(.*\))\.", refusal(tmp_path))
    eval(cure, {"xarray": xarray})
    (tmp_path / "OLD.nc").unlink()
    (trial,) = read_session(tmp_path).trials
    np.testing.assert_allclose(trial.source.xyz[:, trial.source.index("LKnee")], xyz[:, names.index("left_knee")])


def refusal(folder, *more) -> str:
    """What the command says of a session that it refuses: one error and nothing of NumPy's."""
    said = failed(call("add-spine", folder, *more))
    assert said.count("error: ") == 1
    assert not re.search("RuntimeWarning|slice|invalid value|divide", said)
    return " ".join(said.split())


@pytest.mark.parametrize(
    ("files", "tool", "lacking"),
    [
        (["pose/c1_json/c1_000000.json"], "Pose2Sim", "no calibration"),
        (["videos/c1.mp4"], "Pose2Sim", "no calibration"),
        (["Config.toml", "walk/videos/c1.mp4"], "Pose2Sim", "file in a folder with calib in its name"),
        (["walk/pose-2d/take1.h5"], "Anipose", "anipose triangulate"),
        (["synchronized_videos/c1.mp4"], "FreeMoCap", "output_data/…_body_3d_xyz.csv is missing"),
        (["camera_array.toml", "recordings/walk/cam_0.mp4"], "Caliscope", "Run its reconstruction"),
        (["MarkerData/PreAugmentation/walk.trc"], "OpenCap", "no .trc file outside PreAugmentation/"),
        (["film_Sports2D/film_Sports2D_px_person00.trc"], "Sports2D", "`to_meters = true`"),
        (["annots/c1/000000.json"], "EasyMocap", "Run its triangulation"),
        (["openpose/c1/000000_keypoints.json", "intri.yml"], "EasyMocap", "Run its triangulation"),
        (["Walk.x2d", "Walk.xcp"], "Vicon, Qualisys or Theia", "Export the trials as C3D"),
        (["Walk.qtm"], "Vicon, Qualisys or Theia", "Export the trials as C3D"),
        (["Config.toml", "calibration/Calib.toml"], "Pose2Sim", "neither 2D points nor videos"),
        (
            ["videos/cam1DLC_resnet50_walkshuffle1_1000.csv"],
            "DeepLabCut or SLEAP",
            "init cam1.csv cam2.csv --calibration FILE --rate 60",
        ),
        (["walk_DLC_3D.csv"], "DeepLabCut or SLEAP", "only its 2D tables are read"),
        (["cam1.analysis.h5"], "DeepLabCut or SLEAP", "only its 2D tables are read"),
    ],
)
def test_what_a_half_session_lacks(tmp_path, files, tool, lacking):
    session = tmp_path / "session"  # calibrations are looked for in the folder above as well
    for name in files:
        (session / name).parent.mkdir(parents=True, exist_ok=True)
        (session / name).write_text("{}")
    said = refusal(session)
    assert f"looks like a session of {tool}, but" in said
    assert lacking in said


@pytest.mark.parametrize(
    "files",
    [
        ["Config.toml", "static/page.html"],
        ["third_party/pose2sim/model.osim", "configs/c.toml", "Snakefile"],
        ["pose/readme.md", "videos/raw/readme"],
        ["output_data/sums.csv"],
        ["recordings/voice/take.wav"],
        ["annots/notes.txt", "openpose/c1/000000_keypoints.json"],
        ["MarkerData/readme.txt"],
    ],
)
def test_a_folder_of_a_common_name_is_no_session(tmp_path, files):
    folder = tmp_path / "alone" / "session"  # calibrations of other tests may lie one folder up
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    assert "is no session that is known: OpenCap (MarkerData/)" in refusal(folder)


def test_sessions_without_a_single_place_are_refused(tmp_path):
    names, xyz, _ = native("blazepose33")
    write_wide(tmp_path / "a/output_data/mediapipe_body_3d_xyz.csv", names, 0 * xyz)
    (tmp_path / "b").mkdir()
    write_opencap(tmp_path / "b", lambda labels, xyz: 0 * xyz)
    empty = Keypoints(load_skeleton("coco17").names, RATE, np.zeros((3, 2, 17, 2)), np.zeros((3, 2, 17)))
    for folder in write_keypoints(tmp_path / "c/pose", empty, ["c1", "c2"]):
        for path in folder.iterdir():
            path.write_text(json.dumps({"people": [{"pose_keypoints_2d": [0.0] * 51}]}))
    (tmp_path / "c/calibration").mkdir()
    write_calibration(
        tmp_path / "c/calibration/Calib.toml", [c.with_(name=f"c{k}") for k, c in enumerate(ring()[:2], 1)]
    )
    for folder in "abc":
        assert "every point is missing or at 0 0 0 in every frame" in refusal(tmp_path / folder, "--rate", "50")
        assert not list(tmp_path.rglob("*_spine*"))


def test_frames_with_errors_give_exit_code_1_and_progress_is_shown(tmp_path, monkeypatch):
    """A third of the person is elsewhere in one frame: no body explains it."""

    def torn(labels, xyz):
        xyz[5, ::3] += [4.0, 0.0, 0.0]
        return xyz

    write_opencap(tmp_path, torn)
    monkeypatch.setattr("simspine.workflow.inputs.PROGRESS_LINE_INTERVAL_S", 0.0)
    done = call("add-spine", tmp_path)
    assert done.exit_code == 1, done.output
    assert "walk: error: " in done.output
    assert re.search(r"walk: steps: 2 of 4, about \d+ s left", done.output)
    assert (tmp_path / "MarkerData/walk_spine.trc").is_file()


def test_messages_of_one_kind_are_said_once():
    said = [f"camera 'cam{k}' turned by {k}.5°." for k in range(4)] + ["a marker jumped in frames 3, 4."]
    assert grouped_messages(said) == [said[0] + " (3 more of this kind.)", said[-1]]


def test_a_trial_whose_own_name_ends_in_spine_is_read(tmp_path):
    write_opencap(tmp_path)
    (tmp_path / "MarkerData/walk.trc").rename(tmp_path / "MarkerData/low_spine.trc")
    assert [trial.name for trial in read_session(tmp_path).trials] == ["low_spine"]
    (tmp_path / "MarkerData/low_spine_spine.trc").write_text("added")
    assert [trial.name for trial in read_session(tmp_path).trials] == ["low_spine"]


def write_pose2sim(trial, apart=None):
    """2D points of a person in four views, and the calibration; returns the centres of vertebrae.

    apart: m, to a second person, whom the last view does not show; in the others the order of the two and their scores
    change from image to image.
    """
    _, xyz, centres = native("halpe26")
    cameras, chance = ring(), np.random.default_rng(3)
    people = [project_points(cameras, xyz + offset) for offset in ([0, 0, 0], apart) if offset is not None]
    for view, camera in enumerate(cameras):
        for frame in range(FRAMES):
            seen = people[: 1 if view == 3 else 2]
            shown = [np.insert(one[view, frame], 2, chance.uniform(0.8, 0.95), axis=1) for one in seen]
            entries = [{"pose_keypoints_2d": shown[k].ravel().tolist()} for k in chance.permutation(len(seen))]
            write_people_json(trial / f"pose/{camera.name}_json/{camera.name}_{frame:06d}.json", entries)
    write_calibration(trial.parent / "calibration/Calib.toml", list(cameras))
    (trial.parent / "Config.toml").write_text("[project]\nframe_rate = 50\n")
    return centres


def test_pose2sim_from_its_2d_points(tmp_path):
    project = tmp_path / "Session"
    centres = write_pose2sim(project / "walk")
    config = tmp_path / "config.yaml"
    succeeded(call("init", project, "--out", config))
    assert read_config(config).cameras.refine == "auto"
    trial = read_config(config).subjects["S01"].trials["walk"]
    assert (len(trial.keypoints), trial.rate) == (4, RATE)
    said = add(project)
    assert "session of Pose2Sim" in said
    assert re.search(r"Lumbar lordosis, L1–S1: \d+° ± \d+° \(95 %\), ", said)
    assert "people are seen for long" not in said
    check_markers(project / "walk/kinematics/walk_spine.trc", centres)
    assert read_mot(project / "walk/kinematics/walk_spine.mot").rate == pytest.approx(RATE)


@pytest.mark.parametrize(("filmed", "stated"), [(25, 50), (100, 50), (50, 50.05)])
def test_another_rate_than_that_of_the_videos_is_named(tmp_path, filmed, stated):
    """A calibration is often filmed at another rate."""
    write_pose2sim(tmp_path / "S/walk")
    (tmp_path / "S/Config.toml").write_text(f"[project]\nframe_rate = {stated}\n")
    for video, rate in (("calibration/cam01.mp4", 30), ("walk/videos/cam01.mp4", filmed)):
        (tmp_path / "S" / video).parent.mkdir(exist_ok=True)
        write_video(tmp_path / "S" / video, frames=FRAMES, rate=rate)
    assert rate_of_session(tmp_path / "S", None) == pytest.approx(filmed)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        (trial,) = read_session(tmp_path / "S").trials
    said = [str(one.message).partition("cam01.mp4 ")[2] for one in heard]
    about = f"has {filmed} frames/s, the session's settings say {stated:g}, which is taken."
    assert [text.partition(" If")[0] for text in said] == ([] if filmed == 50 else [about])
    assert trial.source.rate == stated


def test_one_of_two_people_in_pose2sims_points_is_followed_throughout(tmp_path):
    centres = write_pose2sim(tmp_path / "Session/walk", apart=[0.9, -0.7, 0.0])
    said = " ".join(add(tmp_path / "Session").split())
    assert "2 people are seen for long" in said
    assert "detection.person" in said
    check_markers(tmp_path / "Session/walk/kinematics/walk_spine.trc", centres)


def test_frame_range_of_pose2sim_is_obeyed_and_named(tmp_path):
    """Times of the added files are those of Pose2Sim's own: frame 3 at 3 / 50 s. The last of the range is left out."""
    project, about = tmp_path / "Session", "[project]\nframe_rate = 50\nframe_range = "
    centres = write_pose2sim(project / "walk")
    (project / "Config.toml").write_text(f"{about}[3, 9]\n")
    assert "frames 3 to 8 of 0 to 11 are read, as frame_range says" in " ".join(add(project).split())
    added = read_markers(project / "walk/kinematics/walk_spine.trc")
    np.testing.assert_allclose(added.time, np.arange(3, 9) / RATE, atol=1e-6)
    np.testing.assert_allclose(read_mot(project / "walk/kinematics/walk_spine.mot").time, added.time, atol=1e-6)
    check_markers(project / "walk/kinematics/walk_spine.trc", centres.with_(xyz=centres.xyz[3:9]))
    for all_frames in ("'auto'", "'all'", "[]", "[0, 12]", "[0, 500]"):
        (project / "Config.toml").write_text(f"{about}{all_frames}\n")
        (trial,) = read_session(project).trials
        assert (len(trial.source.people), trial.start) == (FRAMES, 0.0)
    for wrong, said in (
        ("[12, 20]", "the 2D points are of frames 0 to 11"),
        ("[3]", "not a configuration of Pose2Sim"),
    ):
        (project / "Config.toml").write_text(f"{about}{wrong}\n")
        assert said in refusal(project)


def test_a_frame_range_of_videos_that_pose2sim_has_not_detected_in_is_named(tmp_path):
    for folder in ("videos", "calibration"):
        (tmp_path / folder).mkdir()
    write_calibration(tmp_path / "calibration/Calib.toml", list(ring()))
    (tmp_path / "Config.toml").write_text("[project]\nframe_range = [3, 9]\n")
    with pytest.warns(UserWarning, match="frame_range of Config.toml counts for 2D points; videos are read whole"):
        (trial,) = read_session(tmp_path).trials
    assert trial.source == tmp_path


def test_a_trial_that_pose2sim_leaves_out_of_its_batch_is_left_out_and_named(tmp_path):
    """Else a trial without a person would stop all others."""
    for trial in ("walk", "empty"):
        write_pose2sim(tmp_path / trial)
    (tmp_path / "Config.toml").write_text("[project]\nframe_rate = 50\nexclude_from_batch = ['empty']\n")
    with pytest.warns(UserWarning, match=r"empty is left out, as exclude_from_batch of .*Config\.toml says"):
        assert [trial.name for trial in read_session(tmp_path).trials] == ["walk"]


def test_a_run_of_a_session_leads_to_the_command_for_sessions(tmp_path):
    write_pose2sim(tmp_path / "Session/walk")
    assert f"simspine add-spine {tmp_path / 'Session'}" in " ".join(failed(call("run", tmp_path / "Session")).split())


def test_a_camera_without_2d_points_is_named(tmp_path):
    write_pose2sim(tmp_path / "Session/walk")
    shutil.rmtree(tmp_path / "Session/walk/pose/cam02_json")
    assert "no folder of 2D points for cam02 of" in refusal(tmp_path / "Session")


def pose2sim_rate(folder):
    return _number_in(_pose2sim_project(folder), "frame_rate", folder / "Config.toml")


def test_what_is_said_of_a_trial_in_the_folder_above_counts(tmp_path):
    """Pose2Sim lets a trial's Config.toml say only what differs from the session's."""
    (tmp_path / "walk").mkdir()
    (tmp_path / "Config.toml").write_text("[project]\nframe_rate = 120\nparticipant_mass = 61.0\n")
    assert (pose2sim_rate(tmp_path / "walk"), size_of_person(tmp_path / "walk")) == (120.0, (None, 61.0))
    (tmp_path / "walk/Config.toml").write_text("[project]\nframe_rate = 50\nparticipant_height = 1.66\n")
    assert (pose2sim_rate(tmp_path / "walk"), size_of_person(tmp_path / "walk")) == (50.0, (1.66, 61.0))


@pytest.mark.parametrize("number", ["inf", "nan", "-1", "0", "1" + "0" * 400])
@pytest.mark.parametrize("key", ["frame_rate", "participant_height", "participant_mass"])
def test_impossible_numbers_of_pose2sim_are_refused_by_file_and_name(tmp_path, key, number):
    (tmp_path / "Config.toml").write_text(f"[project]\n{key} = {number}\n")
    with pytest.raises(InputError, match=rf"Config.toml: {key} is -?\w+; expected a positive number"):
        (pose2sim_rate if key == "frame_rate" else size_of_person)(tmp_path)


def test_other_folders_are_refused_with_what_is_read(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    said = refusal(tmp_path)
    tools = ["Pose2Sim", "Sports2D", "OpenCap", "FreeMoCap", "Caliscope", "Anipose", "EasyMocap", "movement", "Vicon"]
    assert all(name in said for name in tools)
    write_wide(tmp_path / "output_data/mediapipe_body_3d_xyz.csv", ("nose",), np.zeros((2, 1, 3)))
    assert "pass rate=" in refusal(tmp_path)
    refused = call("init", tmp_path, "--rate", "50", "--out", tmp_path / "c.yaml")
    assert "pass rate=" not in refused.output


@pytest.mark.parametrize("given", ["", "two/first/MarkerData", "two/second/pose/c1_json", "two/second/calibration"])
def test_a_folder_around_or_inside_a_session_is_refused_with_the_sessions_name(tmp_path, given):
    for file in ("first/MarkerData/walk.trc", "second/pose/c1_json/c1_000000.json", "second/calibration/Calib.toml"):
        (tmp_path / "two" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "two" / file).write_text("{}")
    said = refusal(tmp_path / given)
    assert ("first looks like one of OpenCap" in said) is ("second" not in given)
    assert ("second looks like one of Pose2Sim" in said) is ("first" not in given)
    assert "is no session itself" in failed(call("init", tmp_path / given, "--out", tmp_path / "c.yaml"))


def test_the_spine_of_a_child(tmp_path):
    """The advice can be followed: a person of 1.1 m, 0.62 of the model."""
    centres = write_opencap(tmp_path, lambda labels, xyz: 0.62 * xyz)
    said = refusal(tmp_path)
    assert "--min-factor 0.5" in said
    assert "error: walk: all segments together would be scaled by 0.62" in said
    assert not list(tmp_path.rglob("*_spine*"))
    add(tmp_path, "--min-factor", "0.5")
    check_markers(tmp_path / "MarkerData/walk_spine.trc", centres.with_(xyz=0.62 * centres.xyz))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "33 points in 0 rows"),
        ("1,2\n", "row 2 has 2 cells, the header 99"),
        (",".join(["abc"] * 99) + "\n", "not numbers in all rows"),
    ],
)
def test_damaged_tables_are_refused(tmp_path, text, message):
    head = ",".join(f"{name}_{axis}" for name in load_skeleton("blazepose33").names for axis in "xyz")
    (tmp_path / "output_data").mkdir()
    (tmp_path / "output_data/a_body_3d_xyz.csv").write_text(head + "\n" + text)
    assert message in refusal(tmp_path, "--rate", "30")


@pytest.mark.parametrize("text", ['[{"id": 0}]', "[1]", '[{"id": 0, "keypoints3d": [[1, 2]]}]'])
def test_damaged_files_of_easymocap_are_refused(tmp_path, text):
    (tmp_path / "keypoints3d").mkdir()
    (tmp_path / "keypoints3d/000000.json").write_text(text)
    said = refusal(tmp_path, "--rate", "30")
    assert "keypoints3d" in said
    assert "not files of people" in said or "expected" in said


def test_other_layouts_of_easymocap_are_not_taken_for_body25(tmp_path):
    """`--body h36m` and `coco`: 17 points in another order, of which no body comes."""
    (tmp_path / "keypoints3d").mkdir()
    people = [{"id": 0, "keypoints3d": [[1, 2, 3, 1]] * 17}]
    (tmp_path / "keypoints3d/000000.json").write_text(json.dumps(people))
    said = refusal(tmp_path, "--rate", "30")
    assert "people have the shapes [(17, 4)]; expected (points, 3 or 4), one for all, in the order of BODY_25" in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: [*row[:-1], str(1000 * float(row[-1]))], "Are its times in milliseconds"),
        (lambda row: [row[0].replace("14", "1000000014"), *row[1:]], "sync_index is 3 to 1e"),
        (lambda row: [row[0].replace("14", "1414"), *row[1:]], "sync_index is 3 to 1414 in 12 rows"),
        (lambda row: [row[0].replace("14", "inf"), *row[1:]], "sync_index is 3 to inf"),
        (lambda row: [str(float(row[0]) / 2), *row[1:]], "sync_index is 1.5 to 7"),
    ],
    ids=["milliseconds", "a_gap_that_fills_the_memory", "a_gap_of_most_frames", "infinite", "halves"],
)
def test_times_and_numbers_of_frames_that_cannot_be(tmp_path, change, message):
    names, xyz, _ = native("blazepose33")
    folder = tmp_path / "recordings/walk/POSE"
    caliscope_session(folder, names, xyz)
    head, *rows = (folder / "xyz_POSE.csv").read_text().splitlines()
    changed = [",".join(change(row.split(","))) for row in rows]
    (folder / "xyz_POSE.csv").write_text("\n".join([head, *changed]) + "\n")
    with pytest.raises(InputError, match=message):
        read_session(tmp_path)


def test_a_new_person_in_each_frame_does_not_fill_the_memory(tmp_path):
    """Each of 100 people would have a table of 100 frames of 900 points."""
    (tmp_path / "keypoints3d").mkdir()
    for number in range(100):
        people = [{"id": number, "keypoints3d": [[1, 2, 3, 1]] * 900}]
        (tmp_path / f"keypoints3d/{number:06d}.json").write_text(json.dumps(people).replace(" ", ""))
    with pytest.raises(InputError, match=r"keypoints3d/000000\.json: announces 288 MB"):
        read_session(tmp_path, rate=RATE)


@pytest.mark.parametrize("ids", [("a/b", "../../c"), (0, "a"), (None, 0), (True, 1), (0, 0)])
def test_ids_of_people_that_are_no_numbers_of_their_own(tmp_path, ids):
    row = native("body25")[1][0].tolist()
    (tmp_path / "keypoints3d").mkdir()
    people = [{"id": number, "keypoints3d": row} for number in ids]
    (tmp_path / "keypoints3d/000000.json").write_text(json.dumps(people))
    with pytest.raises(InputError, match="an id is no whole number of one person alone"):
        read_session(tmp_path, rate=RATE)


def freemocap(folder, turn=None):
    names, xyz, _ = native("blazepose33")
    xyz = xyz if turn is None else xyz @ turn.T
    write_wide(folder / "output_data/mediapipe_body_3d_xyz.csv", names, 1000 * xyz)


@pytest.mark.parametrize("degrees", [5, 15])
def test_a_person_who_leans_even_when_most_upright_is_named(tmp_path, degrees, recwarn):
    freemocap(tmp_path / "take", Rotation.from_euler("x", degrees, degrees=True).as_matrix())
    read_session(tmp_path / "take", rate=RATE)
    leans = [str(one.message) for one in recwarn if "the person leans by" in str(one.message)]
    assert len(leans) == (degrees > 9)
    assert all("Nothing was turned" in text for text in leans)


@pytest.mark.parametrize("fault", ["there", "name"])
def test_init_of_a_session_writes_over_nothing_and_leaves_nothing(tmp_path, fault):
    freemocap(tmp_path / "take")
    file = tmp_path / "mine_markers/take.trc"
    if fault == "there":
        file.parent.mkdir()
        file.write_text("of somebody")
    name = "mine" if fault == "there" else "no/name"
    words = ["init", str(tmp_path / "take"), "--rate", "50", "--name", name, "--out", str(tmp_path / "mine.yaml")]
    done = call(*words)
    assert done.exit_code == 2
    assert ("exists already, and would be written over" if fault == "there" else "name: ") in done.stderr
    assert not (tmp_path / "mine.yaml").exists()
    assert [path.read_text() for path in tmp_path.glob("*_markers/*")] == (["of somebody"] if fault == "there" else [])


def test_trials_whose_names_become_one_are_refused(tmp_path):
    xyz = markers_in_frame(person("plugin_gait")[0], "y_up")
    for name in ("walk 1", "walk_1"):
        write_trc(tmp_path / f"MarkerData/{name}.trc", xyz)
    done = call("init", tmp_path, "--out", tmp_path / "c.yaml")
    assert done.exit_code == 2
    assert "two trials of S01 would be 'walk_1', the second is 'walk_1'" in done.stderr
    assert not (tmp_path / "c.yaml").exists()


def test_trials_whose_spine_would_be_one_file_are_refused(tmp_path):
    xyz = markers_in_frame(person("plugin_gait")[0], "y_up")
    for place in ("s1/a", "s2/a"):
        write_trc(tmp_path / f"MarkerData/{place}/walk.trc", xyz)
    before = sorted(tmp_path.rglob("*"))
    said = refusal(tmp_path)
    assert "the spine of two trials would be one file" in said
    assert "walk_spine.mot" in said
    assert sorted(tmp_path.rglob("*")) == before


def test_a_person_in_a_single_place_is_refused():
    with pytest.raises(InputError, match="were always in one place"):
        vertical_of_world(load_skeleton("simspine37").names, np.ones((FRAMES, 37, 3)), ())


def spine_is_at(found, centres):
    spine = markers_in_frame(found.spine.centres, "z_up")
    check_near({level: spine.xyz[:, spine.index(level)] for level in LEVELS}, centres)


@pytest.mark.parametrize("tool", ["Pose2Sim", "FreeMoCap"])
def test_a_session_is_reconstructed_in_memory(tmp_path, tool):
    """By its folder alone; where no file has the frame rate, as `read_session` with a rate gives it."""
    if tool == "Pose2Sim":
        centres = write_pose2sim(tmp_path / "one/walk")
        before = sorted(tmp_path.rglob("*"))
        found = ss.reconstruct(str(tmp_path / "one"))
    else:
        _, centres = person("blazepose33")
        freemocap(tmp_path / "one")
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(InputError, match="pass rate="):
            ss.reconstruct(tmp_path / "one")
        ((_, found),) = ss.reconstruct(ss.read_session(tmp_path / "one", rate=RATE)).items()
    spine_is_at(found, centres)
    assert found.markers.rate == pytest.approx(RATE)
    assert sorted(tmp_path.rglob("*")) == before


def test_several_trials_of_a_session_in_memory_are_those_that_add_spine_writes(tmp_path):
    """Also what is said of the person, and what of the result, which comes last."""
    centres = write_opencap(tmp_path)
    (tmp_path / "sessionMetadata.yaml").write_text("mass_kg: 70.0\nheight_m: 1.75\n")
    shutil.copy(tmp_path / "MarkerData/walk.trc", tmp_path / "MarkerData/sit.trc")
    with pytest.raises(InputError, match="holds 2 trials: sit, walk; expected one"):
        ss.reconstruct(tmp_path)
    solved = ss.reconstruct(ss.read_session(tmp_path))
    assert sorted(solved) == ["sit", "walk"]
    spine_is_at(solved["walk"], centres)
    said = add(tmp_path)
    assert "session of OpenCap" in said
    assert re.match(r"walk: Thoracic kyphosis, .* ± \d+°", said.splitlines()[-1])
    check_markers(tmp_path / "MarkerData/walk_spine.trc", centres)
    assert (tmp_path / "OpenSimData/Kinematics/walk_spine.osim").is_file()
    written = read_mot(tmp_path / "OpenSimData/Kinematics/walk_spine.mot")
    np.testing.assert_allclose(written.values, solved["walk"].motion.values, atol=1e-6)


def test_what_does_not_go_with_a_session_is_refused(tmp_path):
    write_opencap(tmp_path)
    with pytest.raises(InputError, match="expected no cameras and no mocap"):
        ss.reconstruct(ss.read_session(tmp_path), ring())
    with pytest.raises(InputError, match="no cameras were given"):
        ss.reconstruct([tmp_path / "a.mp4", tmp_path / "b.mp4"])
    with pytest.raises(InputError, match="is no folder; name the folder of a session"):
        ss.reconstruct(tmp_path / "nowhere")


def test_a_video_of_uneven_rate_behind_points_is_named(tmp_path):
    """Points have as many rows as the video has frames, so that their times are the video's."""
    file = tmp_path / "synchronized_videos/cam1.mp4"
    file.parent.mkdir()
    write_video(file, frames=24, rate=25)
    tick = time_scale(file) // 25
    restamp(file, [tick * (1 + 2 * (frame == 9)) for frame in range(24)])
    with pytest.warns(UserWarning, match=r"cam1.mp4 has an uneven frame rate.*the points of .* are taken to be at"):
        sessions.rate_of_session(tmp_path, None)
    assert sessions.rate_of_session(tmp_path, 50.0) == 50.0


def test_movement_of_which_every_second_frame_was_chosen(tmp_path):
    """xarray keeps `fps` then; the times tell the rate. Axes of space may be in any order."""
    names, xyz, _ = native("coco17")
    path = tmp_path / "all/walk.nc"
    path.parent.mkdir()
    write_movement(path, names, xyz[..., None], fps=RATE, time_unit="seconds")
    with xarray.open_dataset(path, engine="h5netcdf") as found:
        found.isel(time=slice(None, None, 2), space=[2, 0, 1]).to_netcdf(tmp_path / "half.nc", engine="h5netcdf")
    with pytest.warns(UserWarning, match="the header says DataRate 50, the Time column 25; took the latter"):
        (trial,) = read_session(tmp_path).trials
    assert trial.source.rate == 25.0
    np.testing.assert_allclose(trial.source.xyz[:, trial.source.index("LKnee")], xyz[::2, names.index("left_knee")])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"time": [0, 1, 2, 3, 7, 8, 9, 10]}, "the time column is not uniform: 0.06 s is followed by 0.14 s"),
        ({"time": [0, 2, 1, 3, 4, 5]}, "the time column is not uniform"),
        ({"time": [0, 0, 0]}, "time column does not increase"),
        ({"space": [0, 0, 0]}, "coordinates x, x, x; expected x, y and z"),
    ],
)
def test_movement_with_uneven_times_or_other_axes_is_refused(tmp_path, change, said):
    names, xyz, _ = native("coco17")
    write_movement(tmp_path / "walk.nc", names, xyz[..., None], fps=RATE, time_unit="seconds")
    with xarray.open_dataset(tmp_path / "walk.nc", engine="h5netcdf") as found:
        chosen = found.isel(change).load()
    chosen.to_netcdf(tmp_path / "walk.nc", engine="h5netcdf")
    assert said in refusal(tmp_path)


@pytest.mark.parametrize("lines", [0, 5])
def test_files_without_markers_are_named_and_left_out(tmp_path, lines):
    """A neutral.trc that was begun, or has a header alone. Where no other file is there, the session is refused."""
    write_opencap(tmp_path)
    (walk := tmp_path / "MarkerData/walk.trc").rename(whole := tmp_path / "MarkerData/zwalk.trc")
    for path in (walk, walk.with_name("neutral.trc")):
        path.write_text("\n".join(whole.read_text().splitlines()[:lines]))
    with pytest.warns(UserWarning, match=r"left out of the session: \S+neutral\.trc.* \S+/walk\.trc") as caught:
        assert [trial.name for trial in read_session(tmp_path).trials] == ["zwalk"]
    assert len(caught) == 1
    whole.unlink()
    with pytest.raises(InputError, match=r"neutral\.trc"):
        read_session(tmp_path)


def test_hidden_files_are_no_trials(tmp_path):
    """macOS puts them next to files on foreign disks; a killed process may leave one."""
    write_opencap(tmp_path)
    (tmp_path / "MarkerData/._walk.trc").write_bytes(b"\0\5\x16\7")
    shutil.copy(tmp_path / "MarkerData/walk.trc", tmp_path / "MarkerData/.walk_spine.5bce98-7-00.tmp.trc")
    assert [trial.name for trial in read_session(tmp_path).trials] == ["walk"]


def test_where_a_file_cannot_be_written_no_other_stays(tmp_path, monkeypatch):
    """By ctrl-C, which is no error of the kind that a full disk gives."""
    write_opencap(tmp_path)

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("simspine.workflow.sessions.write_mot", fail)
    before = sorted(tmp_path.rglob("*"))
    assert call("add-spine", tmp_path).exit_code
    assert sorted(tmp_path.rglob("*")) == before  # nor a new folder


def test_easymocap_with_a_lost_frame_is_refused(tmp_path):
    (tmp_path / "keypoints3d").mkdir()
    for number in (0, 1, 3):
        (tmp_path / f"keypoints3d/{number:06d}.json").write_text("[]")
    assert "keypoints3d: 3 files, numbered 0 to 3; give frames of nobody one" in refusal(tmp_path, "--rate", "50")


@pytest.mark.parametrize("name", ["notes.txt", "mine.json"])
def test_what_others_put_where_a_command_was_killed_stays(tmp_path, name):
    """The lock says that files were half-written; other files in the folder are the user's."""
    _, xyz, _ = native("body25")
    (tmp_path / "keypoints3d").mkdir()
    for k, row in enumerate(xyz):
        (tmp_path / f"keypoints3d/{k:06d}.json").write_text(json.dumps([{"id": 0, "keypoints3d": row.tolist()}]))
    added = tmp_path / "keypoints3d_spine"
    added.mkdir()
    (added / name).write_text("mine")
    (tmp_path / ".keypoints3d_spine.lock").touch()
    assert "keypoints3d_spine exists already" in refusal(tmp_path, "--rate", "50")
    assert (added / name).read_text() == "mine"


def test_a_name_neither_commands_the_terminal_nor_breaks_a_table(tmp_path, capsys):
    path = tmp_path / "walk\n\x1b[31m.trc"
    write_trc(path, Markers(("Hip",), RATE, np.ones((2, 1, 3)), "y_up"))
    assert read_markers(path).names == ("Hip",)
    with pytest.MonkeyPatch.context() as patch, progress_bar("\x1b[31mwalk[/]", quiet=False) as show:
        patch.setattr("simspine.workflow.inputs.PROGRESS_LINE_INTERVAL_S", 0.0)
        show(1, 3)
        show(2, 3)
    assert "�[31mwalk[/]: 2 of 3" in capsys.readouterr().out
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout.isatty", lambda: True)
        patch.setenv("TERM", "xterm")
        with progress_bar("\x1b[31mwalk[/]", quiet=False) as show:
            show(1, 3)
