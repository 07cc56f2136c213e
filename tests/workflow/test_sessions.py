"""`simspine add-spine` on small sessions of other programs, in their layouts, of a person whose spine is known."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.spatial.transform import Rotation
from small_c3d import write_small_c3d
from small_project import ring
from small_videos import write_video

from simspine.anatomy.body import forward_kinematics
from simspine.anatomy.marker_sets import read_marker_set
from simspine.anatomy.recipes import VIRTUAL_SUFFIX, build_body
from simspine.cli.main import main
from simspine.core.geometry import markers_in_frame, project_points
from simspine.core.skeletons import load_skeleton
from simspine.core.types import Keypoints, Markers, Motion
from simspine.io.c3d import read_markers
from simspine.io.calibration import write_calibration
from simspine.io.keypoint_json import write_keypoints
from simspine.io.mot import read_mot
from simspine.io.trc import write_trc
from simspine.workflow.config import read_config

FRAMES, RATE = 12, 50.0
LEVELS = ("T8", "T12", "L3", "S1")
FAR = 0.06  # m, of an unseen vertebra from the truth; wrong axes, units or sides are far beyond


def person(layout: str, recipe: str = "articulated") -> tuple[Markers, Markers]:
    """Points of a layout on a person who stands and sways, z up, by their native names; and centres of vertebrae."""
    body = build_body(recipe, layout, skin_of(layout), 0.007)
    c = body.coordinates
    values = np.tile(c.default, (FRAMES, 1))
    values[:, c.names.index("pelvis_ty")] = 0.95
    values[:, c.names.index("pelvis_tilt")] += 0.05 * np.sin(np.arange(FRAMES) / 4)
    whole = forward_kinematics(body, Motion(c.names, RATE, values, c.rotational))
    whole = markers_in_frame(whole, "z_up")
    centres = whole.select([level + VIRTUAL_SUFFIX for level in LEVELS]).with_(names=LEVELS)
    return whole, centres


def skin_of(layout: str) -> list[str]:
    return [name for name in set(read_marker_set(layout).names.values()) if name.endswith("_skin")]


def native(layout: str, whole: Markers) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and places of all points of a detector's layout; those without a counterpart are where the nose is."""
    skeleton = load_skeleton(layout)
    places = [whole.xyz[:, whole.index(skeleton.to_simspine.get(name, "Nose"))] for name in skeleton.names]
    return skeleton.names, np.stack(places, 1)


def write_wide(path, names, xyz, first: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [([first] if first else []) + [f"{name}_{axis}" for name in names for axis in "xyz"]]
    rows += [([str(k)] if first else []) + [f"{value:.9g}" for value in row.ravel()] for k, row in enumerate(xyz)]
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")


def read_wide(path) -> dict[str, np.ndarray]:
    head, *rows = [line.split(",") for line in path.read_text().splitlines()]
    cells = np.array(rows, float)
    return {level: np.stack([cells[:, head.index(f"{level}_{axis}")] for axis in "xyz"], 1) for level in LEVELS}


def add(folder, *more):
    """The command's output; no file of the session is changed, and a second call writes nothing."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = CliRunner().invoke(main, ["add-spine", str(folder), *more])
    assert done.exit_code == 0, done.output
    assert all(path.read_bytes() == content for path, content in before.items())
    again = CliRunner().invoke(main, ["add-spine", str(folder), *more])
    assert again.exit_code == 2
    assert "exists already; nothing of a session is written over" in again.output
    return done.output


def check_near(found: dict[str, np.ndarray], centres: Markers, unit: float = 1.0) -> None:
    for level, places in found.items():
        far = np.linalg.norm(places * unit - centres.xyz[:, centres.index(level)], axis=1)
        assert far.max() < FAR, (level, far.max())


def check_markers(path, centres: Markers) -> None:
    written = markers_in_frame(read_markers(path), "z_up")
    check_near({level: written.xyz[:, written.index(level)] for level in LEVELS}, centres)


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
    write_wide(tmp_path / "walk/pose-3d/take1.csv", names, 1000 * xyz @ turn.T, "fnum")
    said = add(tmp_path, "--rate", "50")
    assert "session of Anipose" in said
    found = read_wide(tmp_path / "walk/pose-3d/take1_spine.csv")
    check_near({level: places @ turn for level, places in found.items()}, centres, 0.001)
    assert "L3_error" in (tmp_path / "walk/pose-3d/take1_spine.csv").read_text().splitlines()[0]


def test_caliscope(tmp_path):
    whole, centres = person("blazepose33")
    names, xyz = native("blazepose33", whole)
    write_wide(tmp_path / "recordings/walk/POSE/xyz_POSE_labelled.csv", names, xyz, "sync_index")
    assert "session of Caliscope" in add(tmp_path, "--rate", "50")
    target = tmp_path / "recordings/walk/SIMSPINE/xyz_SIMSPINE_spine_labelled"
    check_near(read_wide(target.with_suffix(".csv")), centres)
    check_markers(target.with_suffix(".trc"), centres)


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
    write_small_c3d(tmp_path / "walk.c3d", content, {"Y_SCREEN": ["+Y"], "X_SCREEN": ["+X"]})
    assert "session of Vicon" in add(tmp_path)
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
    check_markers(project / "walk/pose-3d/walk_spine.trc", centres)
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
