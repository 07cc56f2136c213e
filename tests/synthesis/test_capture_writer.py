import json
from pathlib import Path

import cdflib
import h5py
import numpy as np
import pytest
from command_line import call, failed, succeeded
from tools.bench.engines import triangulate_plainly

from simspine.anatomy.body import Body, forward_kinematics
from simspine.core.errors import InputError
from simspine.core.geometry import change_frame, project_points
from simspine.core.skeletons import load_skeleton
from simspine.io.atomic import HOST_DIGEST, sha256_of_file
from simspine.io.hdf5 import read_store
from simspine.io.human36m.copy import open_copy
from simspine.io.mot import read_mot
from simspine.io.trc import read_trc
from simspine.synthesis import virtual_trial
from simspine.synthesis.options import Virtual
from simspine.synthesis.virtual_trial import virtual_rig, write_capture

FRAMES = 30
EXACT = Virtual(subjects=1, actions=["Walking"], frames=FRAMES, detections="exact")
TRIAL = "truth/S1/S1_Walking_2"


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    folder = tmp_path_factory.mktemp("virtual")
    assert write_capture(folder, EXACT) == ["S1/Walking_1", "S1/Walking_2"]
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_positions_read_by_cdflib_alone(capture):
    folder = capture / "S1" / "MyPoseFeatures"
    world = cdflib.CDF(folder / "D3_Positions" / "Walking.cdf").varget("Pose")
    assert world.shape == (1, FRAMES, 96)
    world = world.reshape(FRAMES, 32, 3)
    assert np.ptp(world[0, :, 2]) == pytest.approx(1550, abs=150)  # mm: ankle to head of this person


def test_the_data_sets_own_names_and_our_reader(capture):
    assert (capture / "S1/MyPoseFeatures/D3_Positions/Walking 1.cdf").is_file()  # sub-action 1 of S1
    copy = open_copy(capture)
    assert copy.trials("S1") == ["Walking_1", "Walking_2"]
    for found, wanted in zip(copy.cameras("S1"), virtual_rig(1, "S1"), strict=True):
        assert (found.name, found.size) == (wanted.name, wanted.size)
        np.testing.assert_allclose(found.K, wanted.K, rtol=1e-12)
        np.testing.assert_allclose(found.R, wanted.R, atol=1e-12)
        np.testing.assert_allclose(found.t, wanted.t, atol=1e-12)
        np.testing.assert_allclose(found.distortion, wanted.distortion, rtol=1e-12)


def test_motion_capture_is_near_the_true_joints(capture):
    seen = open_copy(capture).positions("S1", "Walking_2")
    off = np.linalg.norm(seen.xyz - read_store(capture / f"{TRIAL}.h5")["joints"], axis=-1)
    assert 0.002 < off.mean() < 0.012
    assert off.max() < 0.04


def test_detections_read_by_h5py_alone(capture):
    with h5py.File(capture / "detections" / "S1" / "Walking_2.h5") as file:
        xy, names = file["keypoints/xy"][()], [n.decode() for n in file["keypoints/names"][()]]
        assert xy.shape == (FRAMES, 4, 37, 2)
        assert json.loads(bytes(file["skeleton"][()])) == "simspine37"
        lens = file["cameras/2/K"][()]
    with h5py.File(capture / f"{TRIAL}.h5") as file:
        truth, order = file["points/xyz"][()], [n.decode() for n in file["points/names"][()]]
    assert names == order == list(load_skeleton("simspine37").names)
    camera = virtual_rig(1, "S1")[2]
    np.testing.assert_array_equal(lens, camera.K)
    expected = project_points([camera], truth)[0]
    inside = np.isfinite(xy[:, 2, :, 0])
    assert inside.mean() > 0.9
    np.testing.assert_allclose(xy[:, 2][inside], expected[inside], atol=1e-9)


def test_exact_detections_triangulate_to_the_truth(capture):
    stored, truth = read_store(capture / "detections/S1/Walking_2.h5"), read_store(capture / f"{TRIAL}.h5")
    points = triangulate_plainly(stored["keypoints"], stored["cameras"])
    assert points.present.mean() > 0.95
    assert np.nanmax(np.linalg.norm(points.xyz - truth["points"].xyz, axis=-1)) < 1e-5  # m


def test_motion_and_model_give_the_positions(capture):
    """From the files alone: forward kinematics of MOT and OSIM are the TRC, to a micrometre."""
    body = Body.from_osim(capture / "truth/models/S1.osim")
    positions = read_trc(capture / f"{TRIAL}.trc")
    # Which coordinates are lengths, a .mot does not say: the model does (`L5_S1_shift_forward`).
    angles = dict(zip(body.coordinates.names, body.coordinates.rotational.tolist(), strict=True))
    found = forward_kinematics(body, read_mot(capture / f"{TRIAL}.mot", angles)).select(positions.names)
    assert {"C1", "T6", "L5", "S1", "joint_knee_r", "Spine_03"} <= set(positions.names)
    assert np.abs(found.xyz - positions.xyz).max() < 1e-6


def test_truth_in_full_precision(capture):
    truth, positions = read_store(capture / f"{TRIAL}.h5"), read_trc(capture / f"{TRIAL}.trc")
    for key in ("points", "vertebrae"):
        turned = change_frame(truth[key].xyz, "z_up", "y_up")
        np.testing.assert_allclose(turned, positions.select(truth[key].names).xyz, atol=1e-8)
    assert truth["angles"].shape == (FRAMES, len(truth["levels"]), 3)
    for angle in (truth["lla"], truth["tka"]):
        assert angle.shape == (FRAMES,)
        assert np.degrees(np.ptp(angle)) < 30
        assert 5 < np.degrees(angle.mean()) < 80
    assert not truth["outlier"].any()


def test_parameters_of_the_people(capture):
    people = json.loads((capture / "truth/subjects.json").read_text())
    assert set(people) == {"S1"}
    assert 1.4 < people["S1"]["stature"] < 2.1
    assert len(people["S1"]["spine"]["spacing"]) == 25


def test_record(capture):
    record = json.loads((capture / "capture.json").read_text())
    assert record["virtual"] is True
    assert record["complete"] is True
    assert record["settings"]["detections"]["name"] == "exact"
    assert set(record["files"]) == set(contents(capture)) - {"capture.json"}
    assert all(sha256_of_file(capture / path) == checksum for path, checksum in record["files"].items())


def test_going_on_where_it_stopped(capture, tmp_path, monkeypatch):
    """What is whole stays, what is damaged or missing is made again, and the bytes are those of one run."""
    folder, before = tmp_path / "copy", contents(capture)
    for path, content in before.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    assert write_capture(folder, EXACT) == []
    (folder / "detections/S1/Walking_1.h5").write_bytes(b"cut short")
    (folder / "capture.json").unlink()
    (folder / "capture.json").write_text('{"virtual": true, "complete": false}')
    shown = []
    assert write_capture(folder, EXACT, lambda done, total: shown.append((done, total))) == ["S1/Walking_1"]
    assert shown == [(FRAMES, 2 * FRAMES), (2 * FRAMES, 2 * FRAMES)]
    assert contents(folder) == before

    def stop(*_, **__):
        raise KeyboardInterrupt

    (folder / f"{TRIAL}.mot").unlink()
    monkeypatch.setattr(virtual_trial, "write_trial", stop)
    with pytest.raises(KeyboardInterrupt):
        write_capture(folder, EXACT)
    monkeypatch.undo()
    assert write_capture(folder, EXACT) == ["S1/Walking_2"]
    assert contents(folder) == before


def test_other_settings_replace_files_and_leave_none_behind(tmp_path):
    two = Virtual(subjects=1, actions=["Walking_1", "Walking_2"], frames=20, detections="exact")
    write_capture(tmp_path / "capture", two)
    one = Virtual(subjects=1, actions=["Walking_2"], frames=20, detections="zero-shot")
    assert write_capture(tmp_path / "capture", one) == ["S1/Walking_2"]
    assert not [path for path in contents(tmp_path / "capture") if "Walking_1" in path or "Walking 1" in path]
    truth = read_store(tmp_path / "capture" / f"{TRIAL}.h5")
    stored = read_store(tmp_path / "capture/detections/S1/Walking_2.h5")
    off = triangulate_plainly(stored["keypoints"], stored["cameras"]).xyz - truth["points"].xyz
    assert np.nanmedian(np.linalg.norm(off, axis=-1)) > 0.01


def test_subjects_one_by_one_are_the_same_capture(tmp_path):
    both = Virtual(subjects=2, actions=["Walking_1"], frames=20, detections="exact")
    write_capture(tmp_path / "one", both)
    assert write_capture(tmp_path / "two", both, only="S5") == ["S5/Walking_1"]
    assert json.loads((tmp_path / "two/capture.json").read_text())["complete"] is False
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "two").rglob("*S5*")}
    write_capture(tmp_path / "two", both, only="S1")
    # a stage of S5 may be at work, and refuses what changes meanwhile
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_another_process_begins_the_same_capture_at_the_same_time(tmp_path, monkeypatch):
    """Between a look into the empty folder and one at its record, the other process writes both."""
    read = virtual_trial._read_record

    def while_another_begins(path):
        found = read(path)
        (tmp_path / "capture.json").write_text('{"virtual": true}')
        (tmp_path / "Calib_S5.toml").write_text("")
        return found

    monkeypatch.setattr(virtual_trial, "_read_record", while_another_begins)
    assert virtual_trial.claim_folder(tmp_path, "capture.json", "virtual", "virtual capture") == {}


def test_other_peoples_files_are_not_touched(tmp_path):
    (tmp_path / "S1").mkdir()
    (tmp_path / "S1/precious.cdf").write_bytes(b"data")
    with pytest.raises(InputError, match="no virtual capture"):
        write_capture(tmp_path, EXACT)
    assert list(contents(tmp_path)) == ["S1/precious.cdf"]
    with pytest.raises(InputError, match="is a file"):
        write_capture(tmp_path / "S1/precious.cdf", EXACT)
    with pytest.raises(InputError, match=r"unknown subject 'S7'.*S1"):
        write_capture(tmp_path / "new", EXACT, only="S7")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("path", ["../precious.txt", "S1/link/precious.txt", "absolute"])
def test_a_record_removes_nothing_outside_its_folder(tmp_path, path):
    folder, precious = tmp_path / "capture", tmp_path / "precious.txt"
    precious.write_text("mine")
    (folder / "truth/S1").mkdir(parents=True)
    (folder / "S1").mkdir()
    (folder / "S1/link").symlink_to(tmp_path)
    (folder / "capture.json").write_text('{"virtual": true}')
    path = str(precious) if path == "absolute" else path
    (folder / "truth/S1/files.json").write_text(json.dumps({"settings": "x", "files": {path: "0"}}))
    with pytest.raises(InputError, match=r"files\.json: .* is no file of this capture"):
        write_capture(folder, EXACT)
    assert precious.read_text() == "mine"


def test_a_run_that_was_killed_at_its_first_file_is_continued(tmp_path):
    """Half of the record, under its temporary name, is all that is in the folder."""
    (tmp_path / "capture").mkdir()
    (tmp_path / f"capture/.capture.{HOST_DIGEST}-999999999-0123456789ab.tmp.json").write_text('{"virt')
    write_capture(tmp_path / "capture", EXACT.model_copy(update={"frames": 5}))
    assert not list((tmp_path / "capture").glob(".*"))


def test_command(tmp_path, capture):
    config = tmp_path / "mine.yaml"
    config.write_text(
        f"name: mine\nresults: {tmp_path}\ncapture: {{human36m: {tmp_path}/capture}}\n"
        f"virtual: {{subjects: 1, actions: [Walking], frames: {FRAMES}, detections: exact}}\n"
    )
    said = succeeded(call("capture", "virtual", "--config", config, "--quiet"))
    assert "trials written: 2" in said
    assert contents(tmp_path / "capture") == contents(capture)
    again = call("capture", "virtual", "--config", config, "--quiet")
    assert "everything is there already" in again.output
    config.write_text(config.read_text().replace("exact", "finetuned"))
    other = call("capture", "virtual", "--config", config, "--out", tmp_path / "capture", "--quiet")
    assert "a virtual capture of other settings, which would be replaced" in failed(other)
    assert contents(tmp_path / "capture") == contents(capture)
    unknown = ["--subject", "S11", "--out", tmp_path / "new/deep"]
    assert "unknown subject 'S11'" in failed(call("capture", "virtual", "--config", config, *unknown))
    assert not (tmp_path / "new").exists()
    config.write_text(f"name: mine\nresults: {tmp_path}\ncapture: {{human36m: {tmp_path}/capture}}\n")
    failed(call("capture", "virtual", "--config", config))
