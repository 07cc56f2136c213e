"""`simspine add-spine` on small sessions of other programs, in their layouts, of a person whose spine is known."""

import json

import numpy as np
import pytest
import tomli_w
from click.testing import CliRunner
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
    write_wide,
)
from small_c3d import write_small_c3d
from small_project import ring
from small_videos import write_video

from simspine.anatomy.marker_sets import read_marker_set
from simspine.cli.main import main
from simspine.core.geometry import markers_in_frame, project_points
from simspine.core.skeletons import load_skeleton
from simspine.core.types import Keypoints, Markers
from simspine.io.c3d import read_markers
from simspine.io.calibration import write_calibration
from simspine.io.keypoint_json import write_keypoints
from simspine.io.mot import read_mot
from simspine.io.trc import write_trc
from simspine.workflow.config import read_config


def test_freemocap_in_millimetres(tmp_path):
    whole, centres = person("blazepose33")
    names, xyz = native("blazepose33", whole)
    write_wide(tmp_path / "output_data/mediapipe_body_3d_xyz.csv", names, 1000 * xyz)
    (tmp_path / "synchronized_videos").mkdir()
    write_video(tmp_path / "synchronized_videos/cam1.mp4", frames=FRAMES, rate=RATE)
    assert "session of FreeMoCap" in add(tmp_path)
    config = tmp_path / "new/config.yaml"
    done = CliRunner().invoke(main, ["init", str(tmp_path), "--out", str(config)])
    assert done.exit_code == 0, done.output
    settings = read_config(config)
    assert settings.body.markers == "blazepose33"
    (trial,) = settings.subjects["S01"].trials.values()
    assert read_markers(trial.markers).rate == pytest.approx(RATE)
    check_near(read_wide(tmp_path / "output_data/simspine_spine_3d_xyz.csv"), centres, 0.001)


def test_anipose_in_the_first_cameras_world_and_unknown_units(tmp_path):
    """z points down and forward, as a camera looks; the table that is added has the session's own coordinates."""
    whole, centres = person("coco17")
    names, xyz = native("coco17", whole)
    turn = Rotation.from_euler("xyz", [110, 20, 0], degrees=True).as_matrix()
    table = tmp_path / "walk/pose-3d/take1.csv"
    write_wide(table, names, 1000 * xyz @ turn.T, "fnum")
    said = add(tmp_path, "--rate", "50")
    assert "session of Anipose" in said
    found = read_wide(tmp_path / "walk/pose-3d/take1_spine.csv")
    check_near({level: places @ turn for level, places in found.items()}, centres, 0.001)
    head = (tmp_path / "walk/pose-3d/take1_spine.csv").read_text().splitlines()[0]
    assert head.startswith(table.read_text().splitlines()[0])  # the viewer joins limbs and vertebrae of one file
    assert "L3_error" in head


def test_anipose_leaves_out_points_that_its_own_viewer_leaves_out(tmp_path):
    whole, centres = person("coco17")
    names, xyz = native("coco17", whole)
    xyz = xyz.copy()
    wild = names.index("left_wrist")
    xyz[4:, wild] += 3.0
    path = tmp_path / "walk/pose-3d/take1.csv"
    write_wide(path, names, xyz)
    head, *rows = path.read_text().splitlines()
    rows = [f"{row},{0 if k < 4 else 80}" for k, row in enumerate(rows)]
    path.write_text("\n".join([f"{head},left_wrist_error", *rows]) + "\n")
    add(tmp_path, "--rate", "50")
    check_near(read_wide(tmp_path / "walk/pose-3d/take1_spine.csv"), centres)


def caliscope_session(folder, names, xyz, left_out=()):
    """As Caliscope 0.11 writes it: the labelled table has no number of the frame, and no row where nothing was seen."""
    seen = [k for k in range(len(xyz)) if k not in left_out]
    write_wide(folder / "xyz_POSE_labelled.csv", names, xyz[seen])
    rows = long_rows(xyz, seen, first=3)
    head = "sync_index,object_id,keypoint_id,x_coord,y_coord,z_coord,frame_time"
    (folder / "xyz_POSE.csv").write_text("\n".join([head, *rows]) + "\n")


def test_caliscope_with_frames_in_which_nothing_was_seen(tmp_path):
    """The frame rate is that of its times; points are called as Caliscope's HALPE model calls them."""
    whole, centres = person("halpe26")
    names, xyz = native("halpe26", whole)
    sides = {"L": "left_", "R": "right_"}
    plain = [f"{sides[name[0]]}{name[1:].lower()}" if name[:2].isupper() else name.lower() for name in names]
    caliscope_session(tmp_path / "recordings/walk/POSE", plain, xyz, left_out=(5, 6))
    assert "session of Caliscope" in add(tmp_path)
    target = tmp_path / "recordings/walk/SIMSPINE/xyz_SIMSPINE_spine"
    seen = [k for k in range(FRAMES) if k not in (5, 6)]
    kept = centres.with_(xyz=centres.xyz[seen])
    check_near(read_wide(target.with_name(f"{target.name}_labelled.csv")), kept)
    check_markers(target.with_name(f"{target.name}_labelled.trc"), centres)
    assert read_markers(target.with_name(f"{target.name}_labelled.trc")).rate == pytest.approx(RATE)
    head, *rows = (line.split(",") for line in target.with_suffix(".csv").read_text().splitlines())
    indices = {int(row[head.index("sync_index")]) for row in rows}
    assert indices == {k + 3 for k in seen}


def test_caliscope_tables_that_do_not_agree_are_refused(tmp_path):
    names, xyz = native("blazepose33", person("blazepose33")[0])
    folder = tmp_path / "recordings/walk/POSE"
    caliscope_session(folder, names, xyz)
    write_wide(folder / "xyz_POSE_labelled.csv", names, xyz[:-1])
    refused = CliRunner().invoke(main, ["add-spine", str(tmp_path)])
    assert refused.exit_code == 2
    assert f"points in {FRAMES} frames, but its labelled table has {FRAMES - 1} rows" in refused.output
    (folder / "xyz_POSE.csv").unlink()
    refused = CliRunner().invoke(main, ["add-spine", str(tmp_path)])
    assert refused.exit_code == 2
    assert "xyz_POSE.csv is missing" in refused.output


@pytest.mark.parametrize("turned", [False, True], ids=["z_up", "a_cameras_world"])
def test_a_person_who_lies_is_not_stood_up_where_the_cameras_say_so(tmp_path, turned):
    """Anipose's calibration next to the points: the images are upright, so the person lies."""
    whole, centres = person("coco17")
    names, xyz = native("coco17", whole)
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
    found = read_wide(tmp_path / "walk/pose-3d/take1_spine.csv")
    truth = centres.with_(xyz=(centres.xyz @ lying.T + lift) @ world.T)
    check_near(found, truth)


def test_easymocap(tmp_path):
    whole, centres = person("body25")
    _, xyz = native("body25", whole)
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


def test_opencap_by_its_markers_and_what_it_says_of_the_person(tmp_path):
    whole, centres = person("opencap")
    known = read_marker_set("opencap")
    labels = [label for label, place in known.names.items() if label.endswith("_study") and place in whole.names]
    xyz = whole.select([known.names[label] for label in labels]).xyz
    (tmp_path / "MarkerData").mkdir()
    write_trc(tmp_path / "MarkerData/walk.trc", Markers(tuple(labels), RATE, xyz, "z_up"))
    (tmp_path / "sessionMetadata.yaml").write_text("mass_kg: 70.0\nheight_m: 1.75\n")
    assert "session of OpenCap" in add(tmp_path)
    check_markers(tmp_path / "MarkerData/walk_spine.trc", centres)
    assert read_mot(tmp_path / "OpenSimData/Kinematics/walk_spine.mot").frames == FRAMES
    assert (tmp_path / "OpenSimData/Kinematics/walk_spine.osim").is_file()


def test_vicon(tmp_path):
    labels = [name for name in read_marker_set("plugin_gait").own if not name.endswith("JC")]
    whole, centres = person("plugin_gait")
    known = read_marker_set("plugin_gait")
    own = [label for label in labels if known.names.get(label) in whole.names and label not in ("SACR", "S2")]
    own = [label for label in own if label not in ("T1", "T3", "T5", "T7", "T9", "T11", "L2", "L4")]
    xyz = markers_in_frame(whole.select([known.names[label] for label in own]), "y_up").xyz
    content = {"names": [f"Ada:{label}" for label in own], "values": xyz, "rate": RATE}
    (tmp_path / "notes.txt").write_text("not a recording")
    write_small_c3d(tmp_path / "walk.C3D", content, {"Y_SCREEN": ["+Y"], "X_SCREEN": ["+X"]})
    assert "session of Vicon, 1 trial(s)" in add(tmp_path)  # also where *.c3d and *.C3D are the same files
    check_markers(tmp_path / "walk_spine.c3d", centres)


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


def test_pose2sim_from_its_2d_points(tmp_path):
    whole, centres = person("halpe26")
    names, xyz = native("halpe26", whole)
    cameras = ring()
    xy = np.moveaxis(project_points(cameras, xyz), 0, 1)
    seen = Keypoints(names, RATE, xy, np.full(xy.shape[:3], 0.9))
    project = tmp_path / "Session"
    write_keypoints(project / "walk/pose", seen, [camera.name for camera in cameras])
    (project / "calibration").mkdir()
    write_calibration(project / "calibration/Calib.toml", list(cameras))
    (project / "Config.toml").write_text("[project]\nframe_rate = 50\n")
    config = tmp_path / "config.yaml"
    done = CliRunner().invoke(main, ["init", str(project), "--out", str(config)])
    assert done.exit_code == 0, done.output
    trial = read_config(config).subjects["S01"].trials["walk"]
    assert (len(trial.keypoints), trial.rate) == (len(cameras), RATE)
    assert "session of Pose2Sim" in add(project)
    check_markers(project / "walk/kinematics/walk_spine.trc", centres)
    assert read_mot(project / "walk/kinematics/walk_spine.mot").rate == pytest.approx(RATE)


def test_other_folders_are_refused_with_what_is_read(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    refused = CliRunner().invoke(main, ["add-spine", str(tmp_path)])
    assert refused.exit_code == 2
    for name in ("Pose2Sim", "Sports2D", "OpenCap", "FreeMoCap", "Caliscope", "Anipose", "EasyMocap", "Vicon"):
        assert name in refused.output
    write_wide(tmp_path / "output_data/mediapipe_body_3d_xyz.csv", ("nose",), np.zeros((2, 1, 3)))
    refused = CliRunner().invoke(main, ["add-spine", str(tmp_path)])
    assert "name --rate" in refused.output
    refused = CliRunner().invoke(main, ["init", str(tmp_path), "--rate", "50", "--out", str(tmp_path / "c.yaml")])
    assert "name --rate" not in refused.output


def test_the_spine_of_a_child(tmp_path):
    """The advice can be followed: a person of 1.1 m, 0.62 of the model."""
    whole, centres = person("opencap")
    known = read_marker_set("opencap")
    labels = [label for label, place in known.names.items() if label.endswith("_study") and place in whole.names]
    xyz = 0.62 * whole.select([known.names[label] for label in labels]).xyz
    (tmp_path / "MarkerData").mkdir()
    write_trc(tmp_path / "MarkerData/walk.trc", Markers(tuple(labels), RATE, xyz, "z_up"))
    refused = CliRunner().invoke(main, ["add-spine", str(tmp_path)])
    assert refused.exit_code == 2
    assert "--min-factor 0.5" in refused.output
    assert not list(tmp_path.rglob("*_spine*"))
    add(tmp_path, "--min-factor", "0.5")
    check_markers(tmp_path / "MarkerData/walk_spine.trc", centres.with_(xyz=0.62 * centres.xyz))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "33 points in 0 rows"),
        ("1,2\n", "row 2 has 2 cells, the header 99"),
        (",".join(["abc"] * 99) + "\n", "expected numbers"),
    ],
)
def test_damaged_tables_are_refused(tmp_path, text, message):
    head = ",".join(f"{name}_{axis}" for name in load_skeleton("blazepose33").names for axis in "xyz")
    (tmp_path / "output_data").mkdir()
    (tmp_path / "output_data/a_body_3d_xyz.csv").write_text(head + "\n" + text)
    found = CliRunner().invoke(main, ["add-spine", str(tmp_path), "--rate", "30"])
    assert found.exit_code == 2
    assert message in " ".join(found.output.split())


@pytest.mark.parametrize("text", ['[{"id": 0}]', "[1]", '[{"id": 0, "keypoints3d": [[1, 2]]}]'])
def test_damaged_files_of_easymocap_are_refused(tmp_path, text):
    (tmp_path / "keypoints3d").mkdir()
    (tmp_path / "keypoints3d/000000.json").write_text(text)
    found = CliRunner().invoke(main, ["add-spine", str(tmp_path), "--rate", "30"])
    assert found.exit_code == 2
    assert "keypoints3d" in found.output
    assert "expected" in found.output
