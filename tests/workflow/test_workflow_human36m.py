"""The workflow on copies of Human3.6M: whose cameras, which 2D points, motion capture merged, faults named."""

import json
import re

import numpy as np
import pytest
import yaml
from command_line import call, succeeded
from numpy.testing import assert_allclose
from small_project import Project, ring
from small_videos import write_video

from simspine.core.errors import InputError
from simspine.core.geometry import markers_in_frame, project_points
from simspine.core.skeletons import load_skeleton, read_correspondence
from simspine.core.types import Keypoints, Origin
from simspine.io.calibration import write_calibration
from simspine.io.hdf5 import read_store, write_store
from simspine.io.human36m.copy import write_pose
from simspine.io.human36m.names import HUMAN36M_CAMERA_SIZES, official_name
from simspine.workflow.config import read_config
from simspine.workflow.inputs import Context, capture_of_config
from simspine.workflow.jobs import CAPTURE_JOB, mark_of, marks_before_detect, run_stage
from simspine.workflow.stage_files import plan_export

LIMBS = [pair.point for pair in read_correspondence("human36m")]
FRAMES = 14


def cameras_of(subject):
    """Four cameras named like the data set's, turned a little for each subject."""
    turn = np.radians({"S1": 0, "S5": 7, "S11": 15}[subject])
    R = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    return [c.with_(name=name, R=c.R @ R.T) for c, name in zip(ring(), HUMAN36M_CAMERA_SIZES, strict=True)]


def joints32(markers):
    """(frames, 32, 3) m, z_up: the twelve limb joints from the body's markers, all others near the hips."""
    table, world = load_skeleton("human36m32"), markers_in_frame(markers, "z_up")
    middle = world.xyz[:, world.indices(["LHip", "RHip"])].mean(1, keepdims=True)
    joints = np.repeat(middle, 32, 1) + np.linspace(0, 0.1, 32)[:, None]
    joints[:, [table.index(name) for name in LIMBS]] = world.xyz[:, world.indices(LIMBS)]
    return joints[:FRAMES]


def write_copy(root, truth, trials, move=lambda xyz: xyz):
    """CDF files and 2D points of a detector; trials: {subject: [canonical trial]}."""
    table, world = load_skeleton("simspine37"), markers_in_frame(truth.markers, "z_up")
    known = [name for name in table.names if name in world.names]
    for subject, names in trials.items():
        xy = np.full((FRAMES, 4, len(table), 2), np.nan)
        xy[:, :, [table.index(n) for n in known]] = project_points(
            cameras_of(subject), world.xyz[:FRAMES, world.indices(known)]
        ).swapaxes(0, 1)
        confidence = np.isfinite(xy).all(-1) * 0.9
        for trial in names:
            path = root / subject / "MyPoseFeatures/D3_Positions" / f"{official_name(subject, trial)}.cdf"
            write_pose(path, 1000 * move(joints32(truth.markers)))
            write_store(
                root / "detections" / subject / f"{trial}.h5",
                keypoints=Keypoints(table.names, 50.0, xy, confidence),
                cameras=cameras_of(subject),
                skeleton="simspine37",
            )


def settings(folder, **changes) -> dict:
    root = folder / "copy"
    base = {
        "name": "copy",
        "results": str(folder / "results"),
        "capture": {"human36m": str(root), "detections": str(root / "detections"), "actions": ["Walking_1"]},
        "detection": {"detector": "import"},
        "filter": {"cutoff_hz": None},
    }
    return base | changes


TRIALS = {"S1": ["Walking_1"], "S5": ["Walking_1"]}


@pytest.fixture
def copy(tmp_path, truth):
    """Two subjects with a rig of their own each."""
    write_copy(tmp_path / "copy", truth, TRIALS)
    for subject in TRIALS:
        write_calibration(tmp_path / f"copy/Calib_{subject}.toml", cameras_of(subject))
    project = Project(tmp_path)
    project.write(settings(tmp_path))
    project.write(project.settings | {"capture": project.settings["capture"] | {"subjects": list(TRIALS)}})
    return project


def test_each_subject_has_its_own_cameras_and_the_limbs_come_from_motion_capture(copy, truth):
    copy.run("detect", "triangulate", "merge")
    expected = markers_in_frame(truth.markers, "z_up")
    for subject in TRIALS:
        stored = read_store(copy.results / subject / "keypoints/Walking_1.h5")
        for camera, wanted in zip(stored["cameras"], cameras_of(subject), strict=True):
            assert camera.name == wanted.name
            assert_allclose(camera.R, wanted.R, atol=1e-9)
        markers = markers_in_frame(read_store(copy.results / subject / "markers/Walking_1.h5")["markers"], "z_up")
        origin = dict(zip(markers.names, markers.origin, strict=True))
        assert {name for name, o in origin.items() if o is Origin.GIVEN} == set(LIMBS)
        assert_allclose(markers.select(LIMBS).xyz, expected.select(LIMBS).xyz[:FRAMES], atol=1e-6)
        spine = ["Hip", "Spine_01", "Spine_04", "Neck"]
        assert_allclose(markers.select(spine).xyz, expected.select(spine).xyz[:FRAMES], atol=1e-4)
        assert markers.rate == 50
        assert markers.covariance is not None
        assert_allclose(np.trace(markers.covariance[0, markers.index("LKnee")]), 3 * 0.006**2)
        merging = read_store(copy.results / subject / "markers/Walking_1.h5", ["merging"])["merging"]
        assert merging["misfit_m"] < 1e-3
        assert set(merging["replaced"]) == set(LIMBS)


def test_a_change_of_the_motion_capture_merges_again_and_detects_nothing_again(copy, truth, capsys):
    copy.run("detect", "triangulate", "merge")
    capsys.readouterr()
    write_pose(
        copy.folder / "copy/S1/MyPoseFeatures/D3_Positions" / f"{official_name('S1', 'Walking_1')}.cdf",
        1000 * joints32(truth.markers) + 1,
    )
    copy.run("detect", "triangulate", "merge")
    said = capsys.readouterr().out
    assert "merge S1: Walking_1 done" in said
    for line in ("detect S1: ", "triangulate S1: S1, ", "merge S5: "):  # the cameras are the subject's
        assert f"{line}Walking_1 up to date" in said


def test_another_formula_of_the_lens_detects_again(copy):
    """The formula is in no file: 'human36m' turns the tangential numbers of the same calibration into other lenses."""
    copy.run("detect")
    exports = [task.settings for task in plan_export(Context(copy.config, "S1"))]
    before = read_store(copy.results / "S1/keypoints/Walking_1.h5", ["cameras"])["cameras"]
    copy.change(capture=copy.settings["capture"] | {"lens": "human36m"})
    copy.run("detect")
    after = read_store(copy.results / "S1/keypoints/Walking_1.h5", ["cameras"])["cameras"]
    assert all(not np.array_equal(a.distortion, b.distortion) for a, b in zip(before, after, strict=True))
    assert exports != [task.settings for task in plan_export(Context(copy.config, "S1"))]


@pytest.mark.parametrize(
    ("move", "message"),
    [
        (lambda xyz: xyz * [1, -1, 1], "mirrored|exchanged"),
        (lambda xyz: xyz[..., [1, 2, 0]], "mocap_frame: y_up"),
    ],
)
def test_a_mirrored_or_permuted_copy_is_not_processed(copy, truth, refused, move, message):
    write_copy(copy.folder / "copy", truth, {"S1": ["Walking_1"]}, move)
    copy.run("detect", "triangulate")
    said = refused(copy, "merge", "--subject", "S1", "--quiet")
    assert "S1/points/Walking_1.h5" in said.replace("\n", "")
    assert re.search(message, said)


def test_points_of_cameras_in_another_order_and_of_unknown_ones(copy, refused):
    file = copy.folder / "copy/detections/S1/Walking_1.h5"
    stored = read_store(file)
    keypoints, order = stored["keypoints"], [2, 0, 3]
    some = keypoints.with_(xy=keypoints.xy[:, order], confidence=keypoints.confidence[:, order])
    cameras = [stored["cameras"][i] for i in order]
    write_store(file, keypoints=some, cameras=cameras, skeleton="simspine37")
    copy.run("detect")
    kept = read_store(copy.results / "S1/keypoints/Walking_1.h5")["cameras"]
    assert [camera.name for camera in kept] == [camera.name for camera in cameras]
    write_store(
        file, keypoints=some, cameras=[c.with_(name=f"cam{i}") for i, c in enumerate(cameras)], skeleton="simspine37"
    )
    assert "3 views, cam0, cam1, cam2; calibrated are 54138969" in refused(copy, "detect", "--subject", "S1")
    write_store(file, keypoints=some)
    assert "keypoints, cameras and skeleton are wanted" in refused(copy, "detect", "--subject", "S1")
    file.unlink()
    assert "file of 2D points" in refused(copy, "detect", "--subject", "S1")


def test_videos_are_looked_at_where_the_motion_capture_is(copy, monkeypatch):
    """Boxes from projected joints; as many frames as there is motion capture; no network looks for people."""
    from simspine.vision import points

    folder = copy.folder / "copy/S1/Videos"
    folder.mkdir()
    name = official_name("S1", "Walking_1")
    for i, camera in enumerate(HUMAN36M_CAMERA_SIZES):
        write_video(folder / f"{name}.{camera}.mp4", frames=FRAMES + 3 + i)
    seen = {}

    def detect_videos(videos, make, progress, boxes, frames, together, resample):
        seen.update(videos=videos, boxes=boxes, frames=frames)
        raise InputError("seen enough")

    monkeypatch.setattr(points, "detect_videos", detect_videos)
    monkeypatch.setattr("simspine.io.video.check_sizes", lambda *_: [])
    copy.write(copy.settings | {"detection": {"detector": "spinepose"}})
    with pytest.raises(InputError, match="seen enough"):
        run_stage("detect", copy.config, "S1", None, quiet=True)
    assert seen["frames"] == FRAMES
    assert [video.path.name.split(".")[1] for video in seen["videos"]] == list(HUMAN36M_CAMERA_SIZES)
    pixels = project_points(cameras_of("S1"), load_positions(copy, "S1")).swapaxes(0, 1)
    inside = (pixels > seen["boxes"][:, :, None, :2]) & (pixels < seen["boxes"][:, :, None, 2:])
    assert inside.all()


def load_positions(project, subject):
    return (
        capture_of_config(project.config.subjects[subject].trials["Walking_1"], subject, project.config)
        .motion_capture()
        .xyz
    )


@pytest.fixture
def real(tmp_path, truth):
    """A copy whose cameras are in one JSON for all subjects: nothing says that it is not the data set itself."""
    write_copy(tmp_path / "copy", truth, {"S1": ["Walking_1"], "S11": ["Directions_1", "Directions_2"]})
    rigs = {
        subject: {
            c.name: {
                "size": c.size,
                "K": c.K.tolist(),
                "dist_k1k2p1p2k3": c.distortion.tolist(),
                "R_world_to_cam": c.R.tolist(),
                "t_m": c.t.tolist(),
            }
            for c in cameras_of(subject)
        }
        for subject in ("S1", "S11")
    }
    (tmp_path / "rigs.json").write_text(json.dumps(rigs))
    for trial in ("Directions_1", "Directions_2"):
        for camera in HUMAN36M_CAMERA_SIZES:
            file = tmp_path / "copy/S11/Videos" / f"{official_name('S11', trial)}.{camera}.mp4"
            file.parent.mkdir(exist_ok=True)
            file.touch()
    project = Project(tmp_path)
    capture = {"subjects": ["S11"], "actions": ["Directions"], "cameras": str(tmp_path / "rigs.json")}
    base = settings(tmp_path)
    project.write(base | {"capture": base["capture"] | capture})
    return project


def test_the_corrupt_video_is_left_out_and_the_trial_kept(real):
    real.write(real.settings | {"detection": {"detector": "spinepose"}})
    config = real.config
    videos = {
        name: [path.name.split(".")[1] for path in capture_of_config(trial, "S11", config).videos]
        for name, trial in config.subjects["S11"].trials.items()
    }
    assert videos == {
        "Directions_1": list(HUMAN36M_CAMERA_SIZES),
        "Directions_2": [c for c in HUMAN36M_CAMERA_SIZES if c != "54138969"],
    }
    assert "54138969" in config.known_faults["S11/Directions_2"]


def test_cameras_out_of_a_json_of_several_subjects(real, truth):
    config = real.config
    capture = capture_of_config(config.subjects["S11"].trials["Directions_1"], "S11", config)
    for camera, wanted in zip(capture.cameras(), cameras_of("S11"), strict=True):
        assert_allclose(camera.R, wanted.R, atol=1e-12)


def test_a_trial_has_its_subjects_rig(real, tmp_path):
    """Of a file that holds several."""
    trial = {"keypoints": [str(tmp_path)] * 4, "calibration": str(tmp_path / "rigs.json"), "rate": 50.0}
    people = {"S1": {"trials": {"a": trial}}, "S11": {"trials": {"a": trial}}, "Ada": {"trials": {"a": trial}}}
    real.write({"name": "x", "results": "r", "subjects": people})
    config = real.config

    def turned(subject, name):
        return capture_of_config(config.subjects[subject].trials[name], subject, config).cameras()[0].R

    assert_allclose(turned("S1", "a"), cameras_of("S1")[0].R)
    assert_allclose(turned("S11", "a"), cameras_of("S11")[0].R)
    with pytest.raises(InputError, match="several rigs"):
        turned("Ada", "a")


def test_planning_reads_no_file(real, monkeypatch):
    """Which files a subject has is known from their names."""
    import simspine.io.human36m.copy as cdf

    monkeypatch.setattr(cdf, "read_pose", lambda *_: pytest.fail("a pose file was read"))
    trials = real.config.subject("S11").trials.values()
    captures = [capture_of_config(trial, "S11", real.config) for trial in trials]
    assert all(path.suffix == ".cdf" for capture in captures for path in capture.mocap)
    assert sum(len(capture.mocap) for capture in captures) == len(captures) == 2
    assert all(capture.stored.suffix == ".h5" for capture in captures)


def doctor(project):
    return call("doctor", "--config", project.file)


def test_doctor_says_what_a_copy_holds(copy):
    said = succeeded(doctor(copy))
    assert f"usable: 2 trials, {2 * FRAMES} frames" in said
    assert "2 trials of 2 subjects" in said


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda root: (root / "detections/S5/Walking_1.h5").unlink(), "S5/Walking_1: file of 2D points"),
        (lambda root: next((root / "S1").rglob("*.cdf")).write_bytes(b""), "the file is empty"),
        (lambda root: next((root / "S1").rglob("*.cdf")).unlink(), "S1"),
        (lambda root: [path.unlink() for path in root.glob("Calib_*.toml")], "no camera parameters"),
    ],
)
def test_doctor_names_what_is_wrong(copy, spoil, words):
    spoil(copy.folder / "copy")
    done = doctor(copy)
    assert done.exit_code == 1, done.output
    assert "fault" in done.output
    assert words in done.output


def test_doctor_before_a_virtual_capture_is_made(tmp_path):
    file = tmp_path / "v.yaml"
    base = settings(tmp_path, virtual={})
    base["capture"].pop("actions")
    file.write_text(yaml.safe_dump(base))
    said = succeeded(call("doctor", "--config", file))
    assert "not made yet" in said
    config = read_config(file)
    assert marks_before_detect(config, "S1", "Walking_1") == [str(mark_of(config, CAPTURE_JOB, "S1"))]


def test_doctor_on_a_part_of_the_data_set_is_short_and_names_the_settings(copy):
    whole = {key: value for key, value in copy.settings["capture"].items() if key not in ("actions", "subjects")}
    copy.change(capture=whole)
    done = call("doctor", "--config", copy.file)
    assert done.exit_code == 1
    lines = done.output.splitlines()
    about = lines[next(i for i, line in enumerate(lines) if "Human3.6M copy" in line) :]
    assert "name what the copy holds in capture.subjects and capture.actions" in done.output
    assert len(about) < 14, done.output
