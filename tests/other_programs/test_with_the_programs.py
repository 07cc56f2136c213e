"""`simspine add-spine` on sessions that other programs wrote, and what it adds, read by these programs.

Each test runs where its program is installed. A person whose spine is known is seen by known cameras; the program
triangulates, filters and writes, as its users have it do.
"""

import os
import runpy
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation
from session_person import FRAMES, LEVELS, RATE, add, check_markers, check_near, native, person, read_wide
from small_project import ring

from simspine.core.errors import InputError
from simspine.core.geometry import markers_in_frame, project_points
from simspine.core.skeletons import load_skeleton
from simspine.core.types import Keypoints, Markers
from simspine.io.c3d import read_markers
from simspine.io.calibration import read_calibration, write_calibration
from simspine.io.keypoint_json import write_keypoints
from simspine.io.trc import write_trc

NEAR_PX = 20.0  # in the image, of an unseen vertebra from the truth


def in_first_cameras_world(cameras, xyz):
    """Cameras and points as without a board on the floor: the first camera's axes."""
    first = cameras[0]
    moved = [c.with_(R=c.R @ first.R.T, t=c.t - c.R @ first.R.T @ first.t) for c in cameras]
    return moved, xyz @ first.R.T + first.t


def test_anipose(tmp_path):
    """Its triangulation of 2D points; its projection of the added vertebrae into the images is near the truth."""
    pytest.importorskip("tables")
    triangulate = pytest.importorskip("anipose.triangulate")
    projection = pytest.importorskip("anipose.project_2d")
    from aniposelib.cameras import Camera, CameraGroup

    names, xyz, centres = native("coco17")
    cameras, xyz = in_first_cameras_world(ring(), xyz)
    group = CameraGroup(
        [
            Camera(
                matrix=c.K,
                dist=c.distortion,
                size=c.size,
                rvec=Rotation.from_matrix(c.R).as_rotvec(),
                tvec=c.t,
                name=c.name,
            )
            for c in cameras
        ]
    )
    (tmp_path / "calibration").mkdir()
    group.dump(tmp_path / "calibration/calibration.toml")
    for own, theirs in zip(cameras, read_calibration(tmp_path / "calibration/calibration.toml"), strict=True):
        np.testing.assert_allclose(theirs.R, own.R, atol=1e-6)
        np.testing.assert_allclose(theirs.t, own.t, atol=1e-6)
    session = tmp_path / "walk"
    (session / "pose-2d").mkdir(parents=True)
    (session / "pose-3d").mkdir()
    columns = pd.MultiIndex.from_product(
        [["net"], names, ["x", "y", "likelihood"]], names=["scorer", "bodyparts", "coords"]
    )
    files = {}
    for camera, px in zip(cameras, project_points(cameras, xyz), strict=True):
        cells = np.concatenate([px, np.full((*px.shape[:2], 1), 0.95)], -1).reshape(len(px), -1)
        files[camera.name] = str(session / f"pose-2d/take1-{camera.name}.h5")
        pd.DataFrame(cells, columns=columns).to_hdf(files[camera.name], key="df")
    config = {"triangulation": {"optim": False, "ransac": False, "score_threshold": 0.6}}
    table = session / "pose-3d/take1.csv"
    triangulate.triangulate(config, str(tmp_path / "calibration"), str(session), str(session), files, str(table))
    assert "as the person stood" in add(tmp_path, "--rate", str(RATE))
    added = session / "pose-3d-spine/take1.csv"
    offsets = {camera.name: (0, 0) for camera in cameras}
    points, px, _ = projection.get_projected_points(config, str(added), group, offsets)
    assert set(names) < set(points)
    from anipose.anipose import load_config

    shown = load_config(str(tmp_path / "walk/config_spine.toml"))
    assert (session / shown["pipeline"]["pose_3d"] / "take1.csv") == added
    table = pd.read_csv(added)
    visible = [
        (table[f"{level}_ncams"] >= 2).mean() >= 0.2 and (table[f"{level}_error"] < 100).all() for level in LEVELS
    ]
    assert all(visible)  # as visualize_labels of its label_videos_3d asks
    truth = project_points(ring(), centres.xyz)
    for level in LEVELS:
        found = px[:, points.index(level)]
        wanted = truth[:, :, centres.index(level)]
        assert np.linalg.norm(found - wanted, axis=-1).max() < NEAR_PX, level


def test_caliscope(tmp_path):
    """Its triangulation and files, with a frame in which nothing was seen; read as its player reads points."""
    pytest.importorskip("caliscope")
    import caliscope
    from caliscope.cameras.camera_array import CameraArray, CameraData
    from caliscope.core.point_data import ImagePoints, WorldPoints
    from caliscope.reconstruction.reconstruct_xyz import reconstruct_xyz
    from caliscope.trackers.model_card import ModelCard

    card_file = Path(caliscope.__file__).parent / "trackers/model_cards/rtmpose_m_halpe26.toml"
    card = ModelCard.from_toml(card_file)

    class Tracker:
        name = "RTMPOSE_M_HALPE26"

        def get_point_name(self, number: int) -> str:
            return card.keypoint_id_to_name[number]

    _, xyz, centres = native("halpe26")
    cameras = ring()
    array = CameraArray(
        {
            k: CameraData(
                cam_id=k, size=c.size, matrix=c.K, distortions=c.distortion, rotation=c.R, translation=c.t, error=0.1
            )
            for k, c in enumerate(cameras)
        }
    )
    array.to_toml(tmp_path / "camera_array.toml")
    for own, theirs in zip(cameras, read_calibration(tmp_path / "camera_array.toml"), strict=True):
        np.testing.assert_allclose(theirs.centre, own.centre, atol=1e-6)
    lost = (6, 7)  # it fills gaps of one frame
    rows = [
        {
            "sync_index": 3 + k,
            "cam_id": view,
            "frame_index": 3 + k,
            "frame_time": 100 + k / RATE,
            "object_id": 0,
            "keypoint_id": i,
            "img_loc_x": x,
            "img_loc_y": y,
        }
        for view, px in enumerate(project_points(cameras, xyz))
        for k, frame in enumerate(px)
        for i, (x, y) in enumerate(frame)
        if k not in lost
    ]
    folder = tmp_path / "recordings/walk/RTMPOSE_M_HALPE26"
    folder.mkdir(parents=True)
    reconstruct_xyz(ImagePoints(pd.DataFrame(rows)), array, Tracker(), folder, xy_gap_fill=1)
    add(tmp_path, code=1)  # a frame in which nobody was seen has no result
    target = tmp_path / "recordings/walk/ONNX_SIMSPINE/xyz_ONNX_SIMSPINE.csv"
    read = WorldPoints.from_csv(target)
    assert (read.min_index, read.max_index) == (3, 3 + FRAMES - 1)
    assert 3 + 7 not in set(read.df["sync_index"])
    for index, points in read.df.groupby("sync_index"):
        if index != 3 + 6:  # the time of a filled frame is Caliscope's own
            np.testing.assert_allclose(points["frame_time"], 100 + (index - 3) / RATE, atol=1e-6)
    check_markers(target.with_suffix(".trc"), centres)
    from caliscope.trackers import tracker_registry

    tracker_registry.scan_onnx_models(target.parent)  # the folder of models, into which its user puts the card
    assert tracker_registry.is_registered(target.parent.name)
    own = tracker_registry.model_card_for(target.parent.name)
    assert len(tracker_registry.wireframe_for(target.parent.name).segments) == len(own.point_name_to_id) - 1
    for level in LEVELS:
        places = read.df[read.df["keypoint_id"] == own.point_name_to_id[level]][["x_coord", "y_coord", "z_coord"]]
        assert np.linalg.norm(places.to_numpy() - centres.xyz[: len(places), centres.index(level)], axis=1).max() < 0.08


FREEMOCAP_WRITES = """
import sys
import numpy as np
from freemocap.core_processes.post_process_skeleton_data.split_and_save import split_and_save
from skellytracker.trackers.mediapipe_tracker.mediapipe_model_info import MediapipeModelInfo

folder = sys.argv[1]
body = np.load(folder + "/body.npy")
others = np.repeat(body[:, :1], MediapipeModelInfo.num_tracked_points - body.shape[1], axis=1)
skeleton = np.concatenate([body, others], axis=1)
split_and_save(skeleton, MediapipeModelInfo(), folder + "/output_data")
np.save(folder + "/output_data/mediapipe_skeleton_3d.npy", skeleton)
"""
FREEMOCAP_READS = """
import sys
from freemocap.data_layer.data_saver.data_loader import DataLoader

loader = DataLoader(sys.argv[1])
print(loader.number_of_frames, len(loader._load_dataframe("simspine_spine_3d_xyz.csv")))
"""


@pytest.mark.skipif("FREEMOCAP_PYTHON" not in os.environ, reason="FREEMOCAP_PYTHON names no interpreter")
def test_freemocap(tmp_path):
    """Its own split into tables of body, hands and face, mm; its own loader still reads the folder.

    FreeMoCap needs an older NumPy than SIMSPINE: FREEMOCAP_PYTHON is the interpreter of its own environment.
    """

    def freemocap(script: str) -> str:
        command = [os.environ["FREEMOCAP_PYTHON"], "-c", script, str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    _, body, centres = native("blazepose33")
    np.save(tmp_path / "body.npy", 1000 * body)
    for folder in ("output_data", "synchronized_videos"):
        (tmp_path / folder).mkdir()
    freemocap(FREEMOCAP_WRITES)
    add(tmp_path, "--rate", str(RATE))
    check_near(read_wide(tmp_path / "output_data/simspine_spine_3d_xyz.csv"), centres, 0.001)
    assert freemocap(FREEMOCAP_READS).split()[-2:] == [str(FRAMES), str(FRAMES)]


def pose2sim_project(folder: Path, px_points, names) -> Path:
    project = folder / "Session"
    seen = Keypoints(names, RATE, px_points, np.full(px_points.shape[:3], 0.9))
    write_keypoints(project / "pose", seen, [camera.name for camera in ring()])
    (project / "calibration").mkdir()
    write_calibration(project / "calibration/Calib.toml", ring())
    return project


def test_the_spine_as_a_step_of_a_pose2sim_project(tmp_path):
    """By the example of the documentation. What was seen is where Pose2Sim's own triangulation has it."""
    common = pytest.importorskip("Pose2Sim.common")
    import Pose2Sim

    example = runpy.run_path(str(Path(__file__).parents[2] / "docs/how-to/pose2sim_step.py"))
    names, xyz, centres = native("halpe26")
    project = pose2sim_project(tmp_path, np.moveaxis(project_points(ring(), xyz), 0, 1), names)
    demo = Path(Pose2Sim.__file__).parent / "Demo_SinglePerson/Config.toml"
    text = demo.read_text(encoding="utf-8").replace("frame_rate = 'auto'", f"frame_rate = {RATE:g}")
    (project / "Config.toml").write_text(text, encoding="utf-8")
    added, *_ = example["run"](project, ["triangulation"])
    assert added == project / "kinematics/Session_spine.trc"
    cells, _, time, found, _ = common.read_trc(added)
    assert len(time) == FRAMES
    assert set(LEVELS) <= set(found)
    check_markers(added, centres)
    (theirs,) = (project / "pose-3d").glob("*.trc")
    own, triangulated = read_markers(added), read_markers(theirs)
    for name in ("RKnee", "LElbow", "RAnkle"):
        apart = own.xyz[:, own.index(name)] - triangulated.xyz[:, triangulated.index(name)]
        assert np.linalg.norm(apart, axis=1).max() < 0.005
    np.testing.assert_allclose(cells.to_numpy().reshape(FRAMES, -1, 3), own.xyz, atol=1e-6)


def test_the_steps_of_pose2sim_run_in_its_project_from_anywhere(tmp_path):
    """Its calibration looks for the project where it is called. After this step alone there is nothing to add to."""
    pytest.importorskip("Pose2Sim.calibration")
    import Pose2Sim

    demo = Path(Pose2Sim.__file__).parent / "Demo_SinglePerson"
    project = tmp_path / "Session"
    (project / "calibration").mkdir(parents=True)
    for name in ("Config.toml", "calibration/Calib.qca.txt"):
        (project / name).write_bytes((demo / name).read_bytes())
    example = runpy.run_path(str(Path(__file__).parents[2] / "docs/how-to/pose2sim_step.py"))
    here = Path.cwd()
    with pytest.raises(InputError):
        example["run"](project, ["calibration"])
    assert Path.cwd() == here
    cameras = read_calibration(project / "calibration/Calib_qualisys.toml")
    assert [camera.name for camera in cameras] == ["cam01", "cam02", "cam03", "cam04"]


def test_sports2d(tmp_path):
    """Its writer of points in metres, a trial that begins late, and the file that its marker augmentation adds."""
    sports2d = pytest.importorskip("Sports2D.process")
    common = pytest.importorskip("Pose2Sim.common")
    whole, centres = person("halpe26")
    names = tuple(name for name in load_skeleton("halpe26").names if name in whole.names)
    xyz = markers_in_frame(whole, "y_up").select(names).xyz
    folder = tmp_path / "walk_Sports2D"
    folder.mkdir()
    time = pd.Series(3.0 + np.arange(FRAMES) / RATE, index=range(150, 150 + FRAMES), name="time")
    axes = [pd.DataFrame(xyz[..., axis], columns=names, index=time.index) for axis in range(3)]
    table = sports2d.trc_data_from_XYZtime(*axes, time)
    for name in ("m_person00", "m_person00_LSTM", "px_person00"):
        sports2d.make_trc_with_trc_data(table, folder / f"walk_Sports2D_{name}.trc", fps=RATE)
    assert "session of Sports2D, 1 trial(s)" in add(tmp_path)
    added = folder / "walk_Sports2D_m_person00_spine.trc"
    check_markers(added, centres)
    _, _, times, found, _ = common.read_trc(added)
    assert set(LEVELS) <= set(found)
    np.testing.assert_allclose(times, time, atol=1e-6)


def test_movement(tmp_path):
    """Its data set of points in space, as it makes one of SLEAP's; its own kinematics of what was added."""
    loading = pytest.importorskip("movement.io.load_poses")
    kinematics = pytest.importorskip("movement.kinematics")
    import xarray

    names, xyz, centres = native("coco17")
    position = 1000 * xyz.swapaxes(1, 2)[..., None]
    data = loading.from_numpy(position, None, ["ada"], list(names), fps=RATE, source_software="SLEAP")
    data.to_netcdf(tmp_path / "walk.nc")
    add(tmp_path)
    found = xarray.load_dataset(tmp_path / "walk_spine.nc")
    assert (found.attrs["ds_type"], found.attrs["fps"], found.attrs["time_unit"]) == ("poses", RATE, "seconds")
    check_near(
        {level: found.position.sel(keypoints=level, individuals="ada").values for level in LEVELS}, centres, 0.001
    )
    speed = kinematics.compute_velocity(found.position).sel(keypoints="T8", individuals="ada", space="y").values
    wanted = np.gradient(1000 * centres.xyz[:, centres.index("T8"), 1], 1 / RATE)
    np.testing.assert_allclose(speed[2:-2], wanted[2:-2], atol=60)


def test_opensim_reads_markers_motion_and_model(tmp_path):
    """The files added to a session of Sports2D, OpenCap or Pose2Sim, by OpenSim's own readers."""
    opensim = pytest.importorskip("opensim")
    whole, centres = person("opencap")
    from simspine.anatomy.marker_sets import read_marker_set

    known = read_marker_set("opencap").names
    labels = [label for label, place in known.items() if label.endswith("_study") and place in whole.names]
    xyz = whole.select([known[label] for label in labels]).xyz
    (tmp_path / "MarkerData").mkdir()
    write_trc(tmp_path / "MarkerData/walk.trc", Markers(tuple(labels), RATE, xyz, "z_up"))
    add(tmp_path)
    table = opensim.TimeSeriesTableVec3(str(tmp_path / "MarkerData/walk_spine.trc"))
    assert table.getNumRows() == FRAMES
    column = table.getDependentColumn("L3")
    found = np.array([[column[k][axis] for axis in range(3)] for k in range(FRAMES)])
    wanted = markers_in_frame(centres, "y_up")
    assert np.linalg.norm(found - wanted.xyz[:, wanted.index("L3")], axis=1).max() < 0.06
    motion = opensim.TimeSeriesTable(str(tmp_path / "OpenSimData/Kinematics/walk_spine.mot"))
    model = opensim.Model(str(tmp_path / "OpenSimData/Kinematics/walk_spine.osim"))
    coordinates = {coordinate.getName() for coordinate in model.getCoordinateSet()}
    assert set(motion.getColumnLabels()) <= coordinates
    assert motion.getNumRows() == FRAMES
