"""`simspine clicks`: from videos in which markers are drawn to clicks that a configuration takes, and pictures."""

import cv2
import numpy as np
import pytest
import yaml

from simspine.config import check_config, clicks_in_file
from simspine.errors import InputError
from simspine.formats.calibration import write_calibration
from simspine.formats.store import save
from simspine.geometry import project
from simspine.skeletons import TARGET, load
from simspine.types import Camera, Keypoints
from simspine.workflow import click_sheets
from simspine.workflow.paths import Paths

TRUNK = {"LShoulder": (0, 0.18, 1.45), "RShoulder": (0, -0.18, 1.45), "LHip": (0, 0.1, 1.0), "RHip": (0, -0.1, 1.0)}
MARKERS = np.array([[-0.08, 0.0, 1.45], [-0.1, 0.02, 1.3], [-0.07, 0.0, 1.15]])
FRAMES, RATE, SIZE = 4, 25.0, (480, 480)


def cameras():
    found = []
    for name, y in (("left", 1.2), ("right", -1.2)):
        place = np.array([-3, y, 1.3])
        forward = np.array([0, 0, 1.25]) - place
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 0, 1]) / np.linalg.norm(np.cross(forward, [0, 0, 1]))
        R = np.stack([right, np.cross(forward, right), forward])
        K = [[1500, 0, 240], [0, 1500, 240], [0, 0, 1]]
        found.append(Camera(name, SIZE, K, np.zeros(5), R, -R @ place))
    return found


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A trial whose stage detect is done."""
    (tmp_path / "videos").mkdir()
    at = project(cameras(), MARKERS)
    for camera, places in zip(cameras(), at, strict=True):
        file = str(tmp_path / "videos" / f"{camera.name}.mp4")
        writer = cv2.VideoWriter(file, cv2.VideoWriter_fourcc(*"mp4v"), RATE, SIZE)
        image = np.full((*SIZE, 3), (120, 150, 200), np.uint8)
        for place in places:
            cv2.circle(image, tuple(int(v) for v in np.round(place)), 6, (40, 40, 45), -1)
        for _ in range(FRAMES):
            writer.write(image)
        writer.release()
    write_calibration(tmp_path / "cameras.toml", cameras())
    names = load(TARGET).names
    xy = np.full((FRAMES, 2, len(names), 2), np.nan)
    for name, place in TRUNK.items():
        xy[:, :, names.index(name)] = project(cameras(), np.array(place))
    keypoints = Keypoints(names, RATE, xy, np.isfinite(xy).all(-1).astype(float))
    save(Paths(tmp_path / "results", "S01").keypoints("still"), keypoints=keypoints, cameras=cameras(), skeleton=TARGET)
    monkeypatch.setattr(click_sheets, "run_stage", lambda *_: None)
    videos = [str(tmp_path / "videos" / f"{camera.name}.mp4") for camera in cameras()]
    trial = {"videos": videos, "calibration": str(tmp_path / "cameras.toml")}
    return check_config(
        {"name": "x", "results": str(tmp_path / "results"), "subjects": {"S01": {"trials": {"still": trial}}}}
    )


def test_clicks_go_back_into_a_configuration_when_named(config, tmp_path):
    text = click_sheets.write_click_sheets(config, tmp_path / "out", None, None, 2, 6.0)
    for number, level in ((1, "C7"), (2, "T7"), (3, "T12")):
        text = text.replace(f"  {number}: {{", f"  {level}: {{")
    clicks = clicks_in_file(yaml.safe_load(text), "clicks.yaml").by_frame()
    for level, places in zip(("C7", "T7", "T12"), project(cameras(), MARKERS).transpose(1, 0, 2), strict=True):
        for view, place in zip(("left", "right"), places, strict=True):
            np.testing.assert_allclose(clicks[level][view][2], place, atol=1.0)
    for view in ("left", "right"):
        picture = cv2.imread(str(tmp_path / "out" / f"{view}.png"))
        yellow = (picture[..., 2] > 200) & (picture[..., 1] > 190) & (picture[..., 0] < 110)
        assert yellow.sum() > 3 * 150  # a ring around each


def test_a_frame_that_is_not_there_is_refused(config, tmp_path):
    with pytest.raises(InputError, match="there is no frame 4; S01/still has 0 to 3"):
        click_sheets.write_click_sheets(config, tmp_path / "out", None, None, 4, 6.0)
    assert not (tmp_path / "out").exists()


def test_a_trial_without_videos_is_refused(config, tmp_path):
    (tmp_path / "points").mkdir()
    trial = {"keypoints": [str(tmp_path / "points")] * 2, "calibration": str(tmp_path / "cameras.toml"), "rate": 25}
    other = check_config({"name": "x", "results": "r", "subjects": {"S01": {"trials": {"still": trial}}}})
    with pytest.raises(InputError, match="S01/still: markers on the skin are looked for in videos"):
        click_sheets.write_click_sheets(other, tmp_path / "out", None, None, 0, 6.0)
