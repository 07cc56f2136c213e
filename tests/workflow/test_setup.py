"""`simspine init` and `simspine doctor`."""

import shutil
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pandas as pd
import pytest
from command_line import call, succeeded
from restamped import restamp, time_scale
from small_videos import HEIGHT, WIDTH, drop_camera, write_frames, write_video

from simspine.core.errors import InputError
from simspine.core.types import Keypoints
from simspine.io.calibration import write_calibration
from simspine.io.hdf5 import read_store
from simspine.workflow import detect_stage
from simspine.workflow.config import read_config
from simspine.workflow.config_recordings import Trial
from simspine.workflow.inputs import CaptureSource
from simspine.workflow.jobs import run_stage
from simspine.workflow.setup import OPENCV_REQUIREMENT


@pytest.fixture
def videos(filmed):
    return filmed, sorted(filmed.folder.glob("cam*.mp4"))


def test_init_writes_a_configuration_that_works(videos):
    project, files = videos
    out = project.folder / "mine.yaml"
    done = call("init", *files, "--calibration", project.folder / "cameras.toml", "--out", out, "--subject", "Ada")
    assert done.exit_code == 0, done.output
    assert f"Next: simspine run {out}" in done.output
    config = read_config(out)
    assert list(config.subjects) == ["Ada"]
    assert config.subjects["Ada"].trials["trial"].videos == [str(file) for file in files]
    assert config.results == "results/mine"
    assert config.cameras.refine == "auto"
    for file, camera in zip(files, ("cam01", "cam02", "cam03", "cam04"), strict=True):
        assert f"{file.name}: camera {camera}, " in done.output
    assert call("doctor", "--config", out).exit_code == 0


def test_init_says_how_long_videos_are_and_which_cameras_have_none(videos):
    project, files = videos
    write_video(files[1], rate=25.0, frames=45)
    done = call(
        "init", *files[:3], "--calibration", project.folder / "cameras.toml", "--out", project.folder / "mine.yaml"
    )
    assert f"{files[1].name}: camera cam02, 45 frames at 25 Hz, 1.8 s\n" in done.output
    assert "Cameras without a video: cam04\n" in done.output


@pytest.mark.parametrize("fault", ["camera", "exists", "name"])
def test_init_writes_nothing_where_something_does_not_fit(videos, fault):
    project, files = videos
    out, name = project.folder / "mine.yaml", "mine"
    if fault == "camera":
        drop_camera(project)
    elif fault == "exists":
        out.write_text("name: precious\n")
    else:
        name = "not/a name"
    done = call("init", *files, "--calibration", project.folder / "cameras.toml", "--out", out, "--name", name)
    assert done.exit_code == 2
    wanted = {"camera": "cam04 has none", "exists": "exists already", "name": "name: "}
    assert wanted[fault] in done.stderr
    assert "Traceback" not in done.output
    assert out.exists() == (fault == "exists")
    if fault == "exists":
        assert out.read_text() == "name: precious\n"


@pytest.mark.parametrize("other", [{"frames": 9}, {"rate": 29.9}])
def test_init_of_videos_of_other_lengths_or_rates_has_their_delays_found(videos, other):
    project, files = videos
    write_video(files[2], **other)
    out = project.folder / "mine.yaml"
    done = call("init", *files, "--calibration", project.folder / "cameras.toml", "--out", out, "--subject", "Ada")
    assert "their delays will be found" in done.output
    assert read_config(out).subjects["Ada"].trials["trial"].delays == "find"
    assert call("doctor", "--config", out).exit_code == 0


@pytest.mark.parametrize(("given", "doubled"), [("videos", range(6, 32, 7)), ("session", range(16, 32))])
def test_init_of_uneven_videos_has_them_resampled(videos, given, doubled):
    """Some frames are shown twice as long: where others were dropped, or where it got darker."""
    project, files = videos
    for file in files:
        write_video(file, frames=32, rate=25)
        tick = time_scale(file) // 25
        restamp(file, [tick * (1 + (frame in doubled)) for frame in range(32)])
    out = project.folder / "new/mine.yaml"
    what = [*files, "--calibration", project.folder / "cameras.toml"]
    if given == "session":
        for name, moved in (("videos", files), ("calibration", [project.folder / "cameras.toml"])):
            (project.folder / "walk" / name).mkdir(parents=True)
            for file in moved:
                file.rename(project.folder / "walk" / name / file.name)
        what = [project.folder / "walk"]
    said = " ".join(succeeded(call("init", *what, "--out", out)).split())
    assert "cam01.mp4 has an uneven frame rate, 25 frames/s usually, with steps of 40 to 80 ms" in said
    assert "4 of 4 videos are like that. The videos are resampled by their time stamps, at 25 frames/s" in said
    assert read_config(out).detection.resample == 25
    (trial,) = read_config(out).subjects["S01"].trials.values()
    assert trial.delays is None
    assert call("doctor", "--config", out).exit_code == 0


def test_init_of_videos_of_clearly_different_rates_has_them_resampled(videos):
    """And `doctor` says the rate and the length after resampling."""
    project, files = videos
    for file, rate in zip(files, (24, 50, 50, 24), strict=True):
        write_video(file, frames=2 * rate, rate=rate)
    out = project.folder / "mine.yaml"
    done = call("init", *files, "--calibration", project.folder / "cameras.toml", "--out", out)
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "the videos have 24 and 50 frames/s. The videos are resampled by their time stamps, at 50 frames/s" in said
    assert read_config(out).detection.resample == 50
    found = call("doctor", "--config", out)
    assert found.exit_code == 0
    assert "4 videos, 98 frames at 50 Hz, 2.0 s, resampled by their time stamps" in " ".join(found.output.split())


def test_a_video_that_breaks_off_is_found_before_any_work(videos):
    """Containers without an index at their end announce all frames of a copy that stopped."""
    project, files = videos
    images = [np.random.default_rng(row).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8) for row in range(12)]
    cut = write_frames(files[1].with_suffix(".avi"), images, 30.0, "MJPG")
    given = [files[0], cut, *files[2:]]
    settings = ("--calibration", project.folder / "cameras.toml", "--out", project.folder / "mine.yaml")
    assert call("init", *given, *settings).exit_code == 0
    whole = cut.read_bytes()
    cut.write_bytes(whole[: len(whole) * 6 // 10])
    said = call("doctor", project.folder / "mine.yaml")
    assert said.exit_code == 1
    assert f"{cut}: frame" in said.output
    (project.folder / "mine.yaml").unlink()
    again = call("init", *given, *settings)
    assert again.exit_code == 2
    assert "of 12 cannot be decoded" in again.stderr


def test_init_without_files_explains_itself():
    done = call("init", "--calibration", "c.toml")
    assert done.exit_code == 2
    assert "FILES" in done.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("clips", "clips holds no videos; expected one per camera"),
        ("clips/*.mp4", "clips/*.mp4 does not exist"),  # as a shell hands it on where nothing fits
    ],
)
def test_init_of_an_empty_folder_says_that_no_video_is_there(tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    done = call("init", given, "--calibration", "c.toml")
    assert done.exit_code == 2
    assert said in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["clips"]


def _table_of_deeplabcut(path: Path, keypoints: Keypoints, view: int) -> Path:
    rows = np.concatenate([keypoints.xy[:, view], keypoints.confidence[:, view, :, None]], -1)
    levels = [["DLC"], keypoints.names, ["x", "y", "likelihood"]]
    head = pd.MultiIndex.from_product(levels, names=["scorer", "bodyparts", "coords"])
    pd.DataFrame(rows.reshape(len(rows), -1), columns=head).to_csv(path)
    return path


def _named(folder: Path, keypoints: Keypoints, kind: str) -> list[Path]:
    """2D points of the cameras 4, 1 and 2, by folders or tables; the tables' names end in a number of the network."""
    if kind == "folders":
        return [folder / f"pose/bow/cam{k:02d}_json" for k in (4, 1, 2)]
    tables = {k: folder / f"cam{k:02d}DLC_resnet50_walkMay3shuffle1_100000.csv" for k in (4, 1, 2)}
    return [_table_of_deeplabcut(path, keypoints, k - 1) for k, path in tables.items()]


@pytest.mark.parametrize("kind", ["folders", "tables"])
def test_init_of_2d_points_finds_their_cameras_in_any_order(copied, truth, monkeypatch, kind):
    monkeypatch.chdir(copied.folder)
    files = _named(copied.folder, truth.keypoints, kind)
    done = call("init", *files, "--calibration", "cameras.toml", "--rate", "30", "--trial", "bow", "--out", "mine.yaml")
    assert done.exit_code == 0, done.output
    for file in files:
        assert f"{file}: camera {file.name[:5]}\n" in done.output
    assert "16 frames at 30 Hz, 37 points, of spinetrack37\n" in done.output
    config = read_config(Path("mine.yaml"))
    assert config.cameras.refine == "auto"
    run_stage("detect", config, None, None, force=False, quiet=True)
    found = read_store(Path("results/mine/S01/keypoints/bow.h5"))
    assert [camera.name for camera in found["cameras"]] == ["cam04", "cam01", "cam02"]
    ankle, seen = found["keypoints"].names.index("RAnkle"), truth.keypoints.names.index("right_ankle")
    expected = truth.keypoints.xy[:, [3, 0, 1], seen]
    np.testing.assert_allclose(found["keypoints"].xy[:, :, ankle], expected)


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        (["cam01_json", "cam02_json"], ["--calibration", "cameras.toml"], "the frame rate of their videos (--rate 60)"),
        (["cam01.csv"], ["--calibration", "cameras.toml", "--rate", "30"], "2D points need two views or more"),
        (["cam01_json", "cam02_json"], ["--rate", "30"], "videos and 2D points need a calibration"),
        (["cam01_json", "cam01.csv"], ["--calibration", "cameras.toml", "--rate", "30"], "is a table, others are"),
        (["cam01_json", "left_json"], ["--calibration", "cameras.toml", "--rate", "30"], "left has none"),
    ],
)
def test_init_of_2d_points_that_lack_something_says_what(copied, monkeypatch, given, options, said):
    shutil.copy(copied.folder / "cameras.toml", copied.folder / "pose/bow")
    monkeypatch.chdir(copied.folder / "pose/bow")
    Path("cam01.csv").write_text("a,b\n1,2\n")
    shutil.copytree("cam02_json", "left_json")
    done = call("init", *given, *options)
    assert done.exit_code == 2
    assert said in done.stderr
    assert not Path("configs").exists()


@pytest.mark.parametrize(
    ("names", "cameras"),
    [
        (("view3", "view1"), ["camera_3", "camera_1"]),  # by their numbers
        (("left", "right", "front"), ["camera_1", "camera_2", "camera_3"]),  # by the file's order
        (("camera_2", "right", "front"), "only camera_2 of the keypoints camera_2, right, front are named after"),
    ],
)
def test_cameras_of_keypoints_by_names_else_by_order(copied, truth, names, cameras):
    path = copied.folder / "three.toml"
    write_calibration(path, [c.with_(name=f"camera_{k}") for k, c in enumerate(truth.cameras[:3], 1)])
    folders = tuple(copied.folder / f"{name}_json" for name in names)
    trial = Trial(keypoints=list(map(str, folders)), calibration=str(path), rate=30)
    source = CaptureSource(trial, path, keypoints=folders)
    if isinstance(cameras, str):
        with pytest.raises(InputError, match=cameras):
            source.cameras()
    else:
        assert [camera.name for camera in source.cameras()] == cameras


def test_doctor_is_content_with_a_good_project(copied):
    said = succeeded(call("doctor", "--config", copied.file))
    assert "S01/bow: 4 folders of keypoints, 4 cameras" in said
    assert "body: recipe coupled" in said
    assert "fault" not in said


HEADLESS, WINDOWED = "opencv-python-headless", "opencv-python"


@pytest.mark.parametrize(
    ("packages", "code"),
    [
        ({HEADLESS: "4.14.0.94"}, 0),
        ({WINDOWED: "4.14.0.94", HEADLESS: "4.14.0.94"}, 0),
        ({WINDOWED: "5.0.0.93", HEADLESS: "4.14.0.94"}, 1),
    ],
)
def test_doctor_finds_a_second_opencv(tmp_path, monkeypatch, packages, code):
    """As the extra spinepose leaves it: two packages whose files are in one folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("simspine.workflow.setup.packages_distributions", lambda: {"cv2": [*packages, *packages]})
    monkeypatch.setattr("simspine.workflow.setup.version", lambda name: packages.get(name) or version(name))
    found = call("doctor")
    text = " ".join(found.output.split())
    assert found.exit_code == code
    said = " and ".join(f"{name} {packages[name]}" for name in sorted(packages))
    assert f"OpenCV {cv2.__version__} is loaded, from {said}" in text
    cure = f"pip uninstall {WINDOWED}; pip install --force-reinstall --no-deps '{OPENCV_REQUIREMENT}'"
    assert (cure in text) is (len(packages) == 2)


def test_doctor_finds_a_damaged_opencv(tmp_path, monkeypatch):
    """What is left where one of two packages is removed: an empty folder `cv2`, which Python imports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "cv2", ModuleType("cv2"))
    found = call("doctor")
    text = " ".join(found.output.split())
    assert found.exit_code == 1
    assert "OpenCV cannot be loaded" in text
    assert f"pip install --force-reinstall --no-deps '{OPENCV_REQUIREMENT}'" in text


def test_opencv_is_required_in_one_range():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert OPENCV_REQUIREMENT in project["dependencies"]
    assert OPENCV_REQUIREMENT.replace(HEADLESS, WINDOWED) in project["optional-dependencies"]["spinepose"]


FAULTS = {
    "S01/bow: calibration nowhere.toml does not exist": lambda p: p.trial(calibration="nowhere.toml"),
    "S01/bow: trial 'bow' has 4 folders of keypoints": drop_camera,
    "cam02_json: no .json file": lambda p: [f.unlink() for f in p.folder.glob("pose/bow/cam02_json/*")],
    "mocap file nowhere.trc does not exist": lambda p: p.trial(mocap="nowhere.trc"),
    "[red]odd[/red] name.toml does not exist": lambda p: p.trial(calibration="[red]odd[/red] name.toml"),
    "/file is no folder": lambda p: ((p.folder / "file").write_text(""), p.change(results=str(p.folder / "file"))),
}


FILMED_FAULTS = {
    "needs the package spinepose": {"detector": "spinepose"},
    "reads `keypoints` folders, but the trial gives videos": {"detector": "import"},
    "is the point [0.0, 0.0, 99.0]; no camera sees it": {"person": [0.0, 0.0, 99.0]},
}


@pytest.mark.parametrize("words", FILMED_FAULTS)
def test_doctor_refuses_detection_that_cannot_work(videos, words):
    project, _ = videos
    project.change(detection=FILMED_FAULTS[words])
    done = call("doctor", "--config", project.file)
    assert done.exit_code == 1, done.output
    assert words in " ".join(done.output.split())
    assert done.output.count("fault  ") == 1


def test_clicks_on_a_tape_that_shows_no_row_are_refused_before_the_detector_runs(videos, refused, monkeypatch):
    project, _ = videos
    tape = {"dots": 20, "spacing_mm": 20, "first": "C7", "last": "L5", "radius_px": 2}
    clicks = {1: (10, 8), 20: (80, 45)}
    tape["clicks"] = {n: {view: [[3, *xy]] for view in ("cam01", "cam02")} for n, xy in clicks.items()}
    project.trial(skin_markers={"tape": tape})
    monkeypatch.setattr(detect_stage, "DETECT", lambda *_, **__: pytest.fail("the detector runs"))
    done = call("doctor", "--config", project.file)
    assert done.exit_code == 1, done.output
    said = "cam01: between the clicks on dots 1 and 20 of the tape in frame 3"
    assert f"S01/bow: {said}" in " ".join(done.output.split())
    assert said in refused(project, "detect")


def test_doctor_is_content_with_a_point_that_cameras_see(videos):
    project, _ = videos
    project.change(detection={"person": [0.0, 0.0, 1.0]})
    assert call("doctor", "--config", project.file).exit_code == 0


@pytest.mark.parametrize("words", FAULTS)
def test_doctor_finds_the_fault_and_exits_with_1(copied, words):
    FAULTS[words](copied)
    before = copied.contents()
    done = call("doctor", "--config", copied.file)
    assert done.exit_code == 1, done.output
    assert words in done.output
    assert done.output.count("fault  ") == 1
    assert copied.contents() == before


def test_doctor_looks_at_every_trial_before_it_gives_up(copied):
    settings = copied.settings
    trials = settings["subjects"]["S01"]["trials"]
    for name in ("b", "c"):
        trials[name] = trials["bow"] | {"calibration": f"{name}.toml"}
    copied.write(settings)
    done = call("doctor", "--config", copied.file)
    assert "S01/b: calibration b.toml" in done.output
    assert "S01/c: calibration c.toml" in done.output
    assert done.output.count("fault  ") == 2
