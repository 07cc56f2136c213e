"""`simspine cameras calibrate person`: a calibration file from videos of a person, or one clear message."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from simspine.cli.main import main
from simspine.core.skeletons import load_skeleton
from simspine.io.calibration import read_calibration, write_calibration
from simspine.io.video import Video
from simspine.vision.detector import Detections
from simspine.workflow import camera_files

sys.path.append(str(Path(__file__).parents[1] / "vision"))
from rigs import walk


@pytest.fixture
def recorded(monkeypatch, tmp_path):
    """Videos that need not exist, and a detector that saw the synthetic walk as BlazePose names it; the lenses."""
    keypoints, cameras, _ = walk("exact", 3)
    table = load_skeleton("blazepose33")
    people = np.full((keypoints.frames, len(cameras), 1, len(table), 3), np.nan)
    for i, native in enumerate(table.names):
        name = table.to_simspine.get(native)
        if name is not None:
            k = keypoints.index(name)
            people[:, :, 0, i] = np.concatenate([keypoints.xy[:, :, k], keypoints.confidence[:, :, k, None]], -1)
    videos = tuple(Video(Path(f"{c.name}.mp4"), c.size, keypoints.rate, keypoints.frames) for c in cameras)
    monkeypatch.setattr(camera_files, "open_videos", lambda paths: videos)
    seen = Detections(table.names, keypoints.rate, people, skeleton=table.name)
    monkeypatch.setattr(camera_files, "detect_in_videos", lambda *_, **__: seen)
    lenses = tmp_path / "lenses.toml"
    write_calibration(lenses, list(cameras))
    return tmp_path, lenses, cameras


def call(folder: Path, *arguments):
    files = [f"{name}.mp4" for name in "abcd"]
    return CliRunner().invoke(main, ["cameras", "calibrate", "person", *files, *map(str, arguments), "--quiet"])


def test_a_calibration_with_what_is_known_of_it(recorded):
    folder, lenses, true = recorded
    out, figures = folder / "found.toml", folder / "found.json"
    done = call(folder, "--intrinsics", lenses, "--height", 1.61, "--out", out, "--json", figures)
    assert done.exit_code == 0, done.output
    assert "all lengths: ± 3.0 % (by standing, with this person's height)" in done.output
    assert "images show no other world" in done.output
    found = read_calibration(out)
    for camera, known in zip(found, true, strict=True):
        np.testing.assert_allclose(camera.K, known.K, rtol=1e-6)
    apart, wanted = (
        np.linalg.norm(cameras[0].centre - cameras[1].centre) for cameras in (found, true)
    )  # one distance, which the height alone scales
    assert apart == pytest.approx(wanted, rel=0.06)
    kept = json.loads(figures.read_text())
    assert [camera["camera"] for camera in kept["cameras"]] == [camera.name for camera in true]
    assert kept["height_known"] is True


def test_lenses_must_be_said(recorded):
    folder, lenses, _ = recorded
    out = folder / "found.toml"
    for arguments, message in (
        ((), "give the lenses: --intrinsics FILE"),
        (("--intrinsics", lenses, "--fov", 60), "both say what the lenses are"),
        (("--fov", 190), "is no lens's angle"),
        (("--intrinsics", lenses, "--height", 161), "a height of 161 m is nobody's"),
    ):
        done = call(folder, *arguments, "--out", out)
        assert done.exit_code == 2, done.output
        assert message in done.stderr
        assert not out.exists()


def test_a_file_that_is_there_stays(recorded):
    folder, lenses, _ = recorded
    there = folder / "there.toml"
    there.write_text("mine")
    done = call(folder, "--intrinsics", lenses, "--out", there)
    assert done.exit_code == 2
    assert "exists already" in done.stderr
    assert there.read_text() == "mine"
