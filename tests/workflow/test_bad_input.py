"""What goes wrong with people's data: one message that says what was found, wanted and where; results untouched."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from command_line import call
from small_c3d import write_small_c3d

from simspine.core.errors import InputError
from simspine.core.geometry import change_frame
from simspine.core.settings import models_folder
from simspine.core.types import Markers, Origin
from simspine.io.calibration import write_calibration
from simspine.io.hdf5 import read_store
from simspine.io.trc import read_trc, write_trc
from simspine.workflow.inputs import capture_of_config

# Cameras and videos


def test_video_that_does_not_exist(filmed, refused):
    (filmed.folder / "cam02.mp4").unlink()
    assert "cam02.mp4 does not exist" in refused(filmed, "detect")


def test_videos_for_the_detector_that_imports(filmed, refused):
    filmed.change(detection={"detector": "import"})
    assert "but the trial gives videos" in refused(filmed, "detect")


def test_calibration_that_is_a_folder(copied, refused):
    copied.trial(calibration=str(copied.folder))
    assert "is a folder." in refused(copied, "detect")


# Keypoints


def test_folders_are_of_the_cameras_after_which_they_are_named(copied, truth):
    """In a calibration of another order, with one more camera, however names are spelt, else by their last numbers;
    other folders are in the file's order. Names of cameras for some folders only, or twice, are refused."""
    trial, cameras = copied.config.subjects["S01"].trials["bow"], truth.cameras
    write_calibration(
        copied.folder / "cameras.toml",
        [cameras[2], cameras[0].with_(name="cam09", t=cameras[0].t + 0.5), cameras[0], cameras[3], cameras[1]],
    )
    found = capture_of_config(trial, "S01", copied.config).cameras()
    assert [camera.name for camera in found] == [camera.name for camera in cameras]
    assert found[1].t == pytest.approx(cameras[1].t)
    others = [shutil.move(folder, f"{folder[:-10]}{k}_json") for k, folder in enumerate(trial.keypoints)]

    def cameras_of(*folders):
        renamed = trial.model_copy(update={"keypoints": [str(folder) for folder in folders]})
        return [camera.name for camera in capture_of_config(renamed, "S01", copied.config).cameras()]

    assert cameras_of(*others) == ["cam03", "cam09", "cam01", "cam04", "cam02"]
    upper = shutil.copytree(others[0], copied.folder / "pose/bow/CAM01_json")
    third = shutil.copytree(others[2], copied.folder / "pose/bow/cam03_json")
    assert cameras_of(upper, third) == ["cam01", "cam03"]
    refusal = r"only cam01.* of the keypoints .*CAM01.* are named after cameras of \S+cameras.toml. Name all"
    for folders in ([upper, *others[1:]], [third, upper, *others[2:]], [third, upper, upper]):
        with pytest.raises(InputError, match=refusal):
            cameras_of(*folders)
    assert cameras_of(third, *others[1:3]) == ["cam03", "cam01", "cam02"]
    tables = [copied.folder / name for name in ("cam01.csv", "Cam03.csv")]  # of DeepLabCut
    for table in tables:
        table.touch()
    assert cameras_of(*tables) == ["cam01", "cam03"]


def test_keypoint_folder_that_does_not_exist(copied, refused):
    shutil.rmtree(copied.folder / "pose/bow/cam02_json")
    assert "cam02_json does not exist" in refused(copied, "detect")


def test_skeleton_that_does_not_exist(copied, refused):
    copied.change(detection={"detector": "import", "skeleton": "spinetrac37"})
    message = refused(copied, "detect")
    assert "Did you mean 'spinetrack37'?" in message
    assert "halpe26" in message


def test_nobody_in_the_keypoints(copied, refused):
    for file in copied.folder.glob("pose/bow/*/*.json"):
        file.write_text('{"version": 1.3, "people": []}')
    assert "nobody was detected" in refused(copied, "detect")


# Motion capture


def mocap_of(project, names=None, missing=()) -> Path:
    """Write the project's own markers as motion capture, renamed or with markers missing."""
    markers = read_trc(project.results / "S01/markers/bow.trc")
    xyz = markers.xyz.copy()
    xyz[:, markers.indices(missing)] = np.nan
    path = project.folder / "mocap.trc"
    write_trc(path, markers.with_(names=names or markers.names, xyz=xyz))
    project.trial(mocap=str(path))
    return path


def merged(project) -> tuple[Markers, str]:
    """The markers after the stage, and what it said."""
    done = call("merge", "--config", project.file)
    assert done.exit_code == 0, done.output
    return read_store(project.results / "S01/markers/bow.h5")["markers"], done.stderr


def test_empty_trc(copied, refused):
    path = mocap_of(copied)
    path.write_text("")
    message = refused(copied, "merge")
    assert "the file is empty" in message
    assert str(path) in message


def test_names_that_do_not_match(copied, refused):
    names = read_trc(copied.results / "S01/markers/bow.trc").names
    mocap_of(copied, names=[f"skin{name}" for name in names])
    message = refused(copied, "merge")
    assert "mocap.trc" in message
    for name in names:
        assert f"skin{name}" in message
        assert f" {name}," in message or f" {name}." in message


def test_motion_capture_of_varying_step(copied, refused):
    path = mocap_of(copied)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:12] + lines[13:]) + "\n")
    message = refused(copied, "merge")
    assert str(path) in message
    assert "not uniform" in message
    assert "mocap_resample" in message
    copied.trial(mocap=str(path), mocap_resample=30)
    markers, _ = merged(copied)
    assert set(markers.origin) == {Origin.GIVEN}


def test_motion_capture_with_z_up(copied, refused):
    """A TRC file does not say which way is up; the error says how to say it."""
    path = mocap_of(copied)
    markers = read_trc(path)
    write_trc(path, markers.with_(xyz=change_frame(markers.xyz, "y_up", "z_up")))
    message = refused(copied, "merge")
    assert "it is z_up: say so (`mocap_frame: z_up` in a configuration)" in message
    copied.trial(mocap=str(path), mocap_frame="z_up")
    found, _ = merged(copied)
    np.testing.assert_allclose(found.xyz[:, found.indices(markers.names)], markers.xyz, atol=1e-5)


def as_c3d(project, **make) -> Path:
    """The project's own markers as a C3D file, made as `write_small_c3d` says."""
    markers = read_trc(mocap_of(project))
    path = project.folder / "mocap.c3d"
    content = {"names": markers.names, "values": markers.xyz, "rate": markers.rate}
    write_small_c3d(path, content, {"Y_SCREEN": ["+Y"]} | make)
    project.trial(mocap=str(path))
    return path


def test_c3d_has_no_times_to_resample(copied, refused):
    path = as_c3d(copied)
    copied.trial(mocap=str(path), mocap_resample=30)
    assert "a C3D file has none; leave it out" in refused(copied, "merge")


def test_c3d_that_begins_later_than_the_videos(copied, refused):
    """Its first frame's number is its time; who cropped both says so."""
    path = as_c3d(copied, first=501)
    assert "share no time. Set the start times (`mocap_start`)" in refused(copied, "merge")
    copied.trial(mocap=str(path), mocap_start=0)
    markers, _ = merged(copied)
    assert set(markers.origin) == {Origin.GIVEN}
    assert markers.start == 0


def test_motion_capture_in_other_files(copied, refused):
    path = mocap_of(copied).rename(copied.folder / "mocap.tsv")
    copied.trial(mocap=str(path))
    assert "mocap.tsv: motion capture is read from .trc and .c3d files" in refused(copied, "merge")


def test_doctor_counts_the_markers_that_are_points(copied):
    names = read_trc(mocap_of(copied)).names
    done = call("doctor", "--config", copied.file)
    assert f", {len(names)} of {len(names)} markers of motion capture" in done.output
    mocap_of(copied, names=[f"skin{name}" for name in names])
    done = call("doctor", "--config", copied.file)
    assert done.exit_code != 0
    assert "name a `merge.correspondence`" in done.output


def test_marker_without_any_data_is_left_out(copied):
    """The point of that name keeps what the cameras saw of it; the others are replaced."""
    mocap_of(copied, missing=["LKnee"])
    markers, said = merged(copied)
    assert "left out, missing or of weight 0 in every frame of the motion capture: LKnee" in said
    assert markers.present.all()
    origin = dict(zip(markers.names, markers.origin, strict=True))
    assert origin.pop("LKnee") is Origin.DETECTED
    assert set(origin.values()) == {Origin.GIVEN}


def test_motion_capture_without_any_data(copied, refused):
    mocap_of(copied, missing=read_trc(copied.results / "S01/markers/bow.trc").names)
    assert "all 33 markers of the motion capture" in refused(copied, "merge")


# Configuration


def test_configuration_that_does_not_exist(copied, refused):
    assert "nowhere.yaml does not exist" in refused(copied, "ik", config=Path("nowhere.yaml"))


def test_weight_of_a_marker_that_does_not_exist(copied, refused):
    copied.change(ik={"weights": {"LKne": 2.0}})
    message = refused(copied, "ik")
    assert "unknown marker 'LKne' in ik.weights of the configuration. Did you mean 'LKnee'?" in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--subject", "S1"], "unknown subject 'S1' in the configuration. Did you mean 'S01'? Available: S01."),
        (["--trial", "bov"], "unknown trial 'bov' in subject S01. Did you mean 'bow'? Available: bow."),
    ],
)
def test_unknown_subject_and_trial(copied, refused, arguments, words):
    assert words in refused(copied, "ik", *arguments)


# Models


def test_base_model_that_is_not_opensims(copied, refused):
    base = copied.folder / "base.osim"
    base.write_text("junk")
    recipe = yaml.safe_load((models_folder() / "coupled.yaml").read_text()) | {"base": {"file": str(base)}}
    (copied.folder / "mine.yaml").write_text(yaml.safe_dump(recipe))
    copied.change(body={"recipe": str(copied.folder / "mine.yaml")})
    message = refused(copied, "scale")
    assert f"{base} is not an OpenSim model" in message
    assert "it is not XML" in message


@pytest.mark.parametrize("stage", ["ik", "vertebrae"])
def test_scaled_model_replaced_by_something_else(copied, refused, stage):
    (copied.results / "S01/model/S01.osim").write_text("junk")
    assert "S01.osim is not an OpenSim model" in refused(copied, stage)


# Files of our own


@pytest.mark.parametrize(
    ("stage", "before"),
    [
        ("triangulate", "detect"),
        ("merge", "triangulate"),
        ("scale", "merge"),
        ("ik", "merge"),
        ("vertebrae", "ik"),
        ("quality", "vertebrae"),
        ("export", "quality"),
        ("report", "export"),
        ("summary", "export"),
    ],
)
def test_stage_before_its_predecessor(copied, refused, stage, before):
    shutil.rmtree(copied.results)
    assert f"Run `simspine {before}` with the same configuration first" in refused(copied, stage)
    assert not copied.results.exists()


@pytest.mark.parametrize(
    ("file", "stage", "words"),
    [
        ("S01/keypoints/bow.h5", "triangulate", "cannot be read as HDF5"),
        ("S01/model/scaling.json", "vertebrae", "Run `simspine scale`"),
    ],
)
def test_damaged_results(copied, refused, file, stage, words):
    (copied.results / file).write_text("x")
    message = refused(copied, stage)
    assert file in message
    assert words in message


FINDING = '{"code": "x", "severity": "error", "message": "", "suggestion": "", "frames": [[0, 1000000000000]]}'


@pytest.mark.parametrize(
    "text",
    ["x", "[]", '{"frames": 16, "findings": "abc"}', '{"frames": 16, "findings": [null]}', '{"frames": "1"}',
     '{"frames": 1000000000000, "findings": []}', '{"frames": 16, "findings": [' + FINDING + "]}",
     '{"frames": 16, "findings": [' + FINDING.replace("[0, 1000000000000]", "[0, 1]").replace("error", "fatal") + "]}"],
)  # fmt: skip
def test_damaged_verdict_stops_the_data_set(copied, text):
    (copied.results / "S01/quality/bow.json").write_text(text)
    old = (copied.results / "synthetic.h5").read_bytes()
    done = call("export", "--config", copied.file)
    assert done.exit_code == 2
    assert "quality/bow.json: " in done.stderr
    assert (copied.results / "synthetic.h5").read_bytes() == old


def test_results_below_a_file(copied, refused):
    (copied.folder / "file").write_text("")
    copied.change(results=str(copied.folder / "file"))
    assert f"{copied.folder / 'file'} is no folder" in refused(copied, "detect")


def test_results_folder_that_nobody_can_write(copied, refused):
    """/proc takes no folders, not even root's."""
    copied.change(results="/proc/simspine")
    message = refused(copied, "detect")
    assert "/proc/simspine" in message


def test_disk_full(copied, refused, monkeypatch):
    import errno
    import os

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert "No space left on device" in refused(copied, "detect", "--force")


def as_a_user_sees_it(project) -> subprocess.CompletedProcess:
    """A process of its own."""
    command = [Path(sys.executable).with_name("simspine"), "detect", "--config", project.file]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=project.folder)
    assert done.returncode == 2
    assert done.stdout in ("", "S01 bow: detecting: begun\n")
    return done


def test_nothing_but_the_message_is_seen(copied):
    copied.trial(calibration="nowhere.toml")
    said = as_a_user_sees_it(copied).stderr
    assert said == f"error: calibration nowhere.toml does not exist (looked from {copied.folder}).\n"


def test_the_decoders_own_complaints_do_not_bury_the_message(filmed):
    (filmed.folder / "cam02.mp4").write_bytes((filmed.folder / "cam02.mp4").read_bytes()[:600])
    (said,) = as_a_user_sees_it(filmed).stderr.splitlines()
    assert said.startswith(f"error: {filmed.folder / 'cam02.mp4'} cannot be opened as a video")
