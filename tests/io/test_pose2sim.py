import os
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.core.types import Camera
from simspine.io.video import (
    Video,
    check_sizes,
    check_synchronised,
    demo_folder,
    find_project,
    match_cameras_to_views,
    open_videos,
)


def camera(name, size=(1088, 1920)):
    return Camera(name, size, np.diag([1000.0, 1000, 1]), np.zeros(5), np.eye(3), np.zeros(3))


def video(name, size=(1088, 1920)):
    return Video(Path(name), size, 60.0, 100)


def test_the_packaged_demo():
    capture = find_project(demo_folder())
    assert [path.name for path in capture.videos] == ["cam01.mp4", "cam02.mp4", "cam03.mp4", "cam04.mp4"]
    assert capture.calibration.name == "Calib.qca.txt"
    videos = open_videos(capture.videos)
    check_synchronised(videos)
    assert [v.size for v in videos] == [(1080, 1920), (1080, 1920), (1088, 1920), (1088, 1920)]
    assert {(v.frames, v.rate) for v in videos} == {(100, 60.0)}


def test_a_trial_uses_the_calibration_of_its_session():
    session = Path(find_spec("Pose2Sim").submodule_search_locations[0]) / "Demo_Batch"
    capture = find_project(session / "Trial_1")
    assert capture.calibration.parent.parent.name == "Demo_Batch"
    assert len(capture.videos) == 4


def test_the_demo_is_found_without_importing_pose2sim():
    import subprocess
    import sys

    code = "import sys; from simspine.io.video import demo_folder; demo_folder(); print('Pose2Sim' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_an_unknown_recording_is_named():
    with pytest.raises(InputError, match=r"'Demo_SinglePersn'.*Did you mean 'Demo_SinglePerson'.*Demo_MultiPerson"):
        demo_folder("Demo_SinglePersn")


def test_toml_before_qca_and_the_newest_of_several(tmp_path):
    (tmp_path / "videos").mkdir()
    for name in ("b.MP4", "a.mp4", "notes.txt", ".hidden.mp4"):
        (tmp_path / "videos" / name).touch()
    calibration = tmp_path / "Calibration"
    calibration.mkdir()
    for age, name in ((100, "Calib_new.toml"), (200, "Calib_old.toml"), (0, "Calib.qca.txt")):
        (calibration / name).touch()
        os.utime(calibration / name, (1e9 - age, 1e9 - age))
    with pytest.warns(UserWarning, match=r"Calibration: 2 calibrations; read Calib_new\.toml, written last"):
        capture = find_project(tmp_path)
    assert [p.name for p in capture.videos] == ["a.mp4", "b.MP4"]
    assert capture.calibration.name == "Calib_new.toml"


def test_incomplete_projects_say_what_is_missing(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        find_project(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no videos"):
        find_project(tmp_path)
    (tmp_path / "project" / "videos").mkdir(parents=True)
    (tmp_path / "project" / "videos" / "a.mp4").touch()
    with pytest.raises(InputError, match=r"no calibration \(\.toml, \.qca\.txt, \.xcp\)"):
        find_project(tmp_path / "project")


def test_cameras_are_matched_by_name_then_number_in_video_order():
    cameras = [camera(n) for n in ("cam01", "cam02", "cam10")]
    found = match_cameras_to_views([video("CAM10.mp4"), video("cam01.mp4")], cameras)
    assert [c.name for c in found] == ["cam10", "cam01"]
    composed = "R\u00fccken"
    assert match_cameras_to_views(["Ru\u0308cken.mp4"], [camera(composed), camera("vorn")])[0].name == composed
    found = match_cameras_to_views(["pose/cam2_json", Path("x/view_10.avi"), "1"], cameras)
    assert [c.name for c in found] == ["cam02", "cam10", "cam01"]
    h36m = [camera(n) for n in ("54138969", "55011271")]
    assert match_cameras_to_views(["Directions 1.55011271.mp4"], h36m)[0].name == "55011271"


@pytest.mark.parametrize("views", [["cam01.mp4", "cam03.mp4"], ["front.mp4"], ["a1.mp4", "b1.mp4"], ["cam01", "cam01"]])
def test_a_camera_missing_in_the_calibration_lists_both_sides(views):
    with pytest.raises(InputError) as fault:
        match_cameras_to_views(views, [camera("cam01"), camera("cam02")])
    message = str(fault.value)
    assert "cameras: cam01, cam02" in message
    for view in views:
        assert view.removesuffix(".mp4") in message


def test_two_cameras_with_the_same_number_are_not_guessed():
    with pytest.raises(InputError, match="left1 has none"):
        match_cameras_to_views(["left1"], [camera("a1"), camera("b1")])


def test_small_differences_in_size_warn_and_large_ones_stop():
    with pytest.warns(UserWarning, match="cam01.mp4 is 1070×1920 px, the calibration of cam01 is for 1088×1920"):
        match_cameras_to_views([video("cam01.mp4", (1070, 1920))], [camera("cam01")])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        match_cameras_to_views([video("cam01.mp4")], [camera("cam01")])
        match_cameras_to_views(
            [video("cam01.mp4", (1080, 1920))], [camera("cam01")]
        )  # 1088: padded to whole blocks of 16
    with pytest.raises(InputError, match="rotated after calibration"):
        check_sizes([video("cam01.mp4", (1920, 1088))], [camera("cam01")])
    with pytest.raises(InputError, match=r"cam01.*544×960.*rescaled.*; cam02"):
        match_cameras_to_views(
            [video("cam01.mp4", (544, 960)), video("cam02.mp4", (544, 960))], [camera("cam02"), camera("cam01")]
        )
