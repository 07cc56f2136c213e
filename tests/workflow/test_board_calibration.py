"""`simspine cameras calibrate board` on rendered images, and what it says to boards and recordings that do not fit."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from board_scene import corners_seen, on_the_floor, render, ring, shown_to
from command_line import call, failed, succeeded
from small_videos import write_frames

from simspine.io.calibration import read_calibration
from simspine.vision.board import Board

FRAMES = 20


def calibrate(*arguments):
    return call("cameras", "calibrate", "board", *arguments)


def board_arguments(board: Board):
    sides = ("--size-mm", f"{1000 * board.square:g}", "--marker-mm", f"{1000 * board.marker:g}")
    return ("--squares", f"{board.columns}x{board.rows}", *sides)


def rendered(folder: Path, board: Board, cameras, places) -> list[Path]:
    rng, folders = np.random.default_rng(0), []
    there = np.isfinite(corners_seen(cameras, board, places, 0.0)).any((2, 3))
    blank = np.full((cameras[0].size[1], cameras[0].size[0], 3), 105, np.uint8)
    for v, camera in enumerate(cameras):
        folders.append(folder / camera.name)
        folders[-1].mkdir(parents=True)
        for f, place in enumerate(places):
            image = render(camera, board, *place, rng) if there[f, v] else blank
            cv2.imwrite(str(folders[-1] / f"{f}.png"), image)
    return folders


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """(folders, cameras, places, board): two cameras, a ChArUco board, the last image with it on the floor."""
    board, cameras = Board(7, 5, 0.12, 0.09), ring(8)[:2]
    places = [*shown_to(cameras, board, FRAMES), on_the_floor(board, (-0.4, 0.2), 45.0)]
    return rendered(tmp_path_factory.mktemp("boards"), board, cameras, places), cameras, places, board


def test_cameras_come_out_of_folders_of_images(shown, tmp_path):
    folders, cameras, places, board = shown
    out, figures = tmp_path / "Calib.toml", tmp_path / "figures.json"
    unwritable = calibrate(*folders, *board_arguments(board), "--floor", FRAMES, "--out", out, "--json", tmp_path)
    assert (unwritable.exit_code, out.exists()) == (2, False)  # else the same command would be refused
    told = succeeded(calibrate(*folders, *board_arguments(board), "--floor", FRAMES, "--out", out, "--json", figures))
    assert "World: the board on the floor" in told
    R, t = places[-1][0] @ np.diag([1.0, -1.0, -1.0]), places[-1][1]
    said = json.loads(figures.read_text())
    for found, camera in zip(read_calibration(out), cameras, strict=True):
        assert found.name == camera.name
        assert np.linalg.norm(found.centre - R.T @ (camera.centre - t)) < 0.015
        np.testing.assert_allclose(found.K[0, 0], camera.K[0, 0], rtol=0.005)
        row = said[camera.name]
        assert row["views"] >= 8
        assert 0 < row["coverage"] < 1
        assert row["error_px"] < 0.2
        assert 0 < row["position_sd_m"] < 0.01

    assert "exists already" in failed(calibrate(*folders, *board_arguments(board), "--floor", FRAMES, "--out", out))


def test_videos_are_read_as_well(shown, tmp_path):
    """The first camera's images as a video; JPEG costs a little."""
    folders, cameras, _, board = shown
    images = [cv2.imread(str(folders[0] / f"{f}.png")) for f in range(FRAMES)]
    path = write_frames(tmp_path / "cam1.avi", images, 10, "MJPG")
    succeeded(calibrate(path, *board_arguments(board), "--floor", 0, "--out", tmp_path / "x.toml"))
    (found,) = read_calibration(tmp_path / "x.toml")
    assert found.K[0, 0] == pytest.approx(cameras[0].K[0, 0], rel=0.01)


def test_a_video_beside_a_folder_is_read_at_the_same_instants(shown, tmp_path):
    """The last frames of a video may not decode, so that they are left out: of both."""
    folders, cameras, places, board = shown
    images = [cv2.imread(str(folders[0] / f"{f}.png")) for f in range(FRAMES + 1)]
    video = write_frames(tmp_path / "cam1.avi", images, 10, "FFV1")
    succeeded(calibrate(video, folders[1], *board_arguments(board), "--floor", FRAMES, "--out", tmp_path / "x.toml"))
    R, t = places[-1][0] @ np.diag([1.0, -1.0, -1.0]), places[-1][1]
    for found, camera in zip(read_calibration(tmp_path / "x.toml"), cameras, strict=True):
        assert np.linalg.norm(found.centre - R.T @ (camera.centre - t)) < 0.015


def test_places_and_units_that_cannot_be_are_named(shown, tmp_path):
    """One camera's images under two names; the board's squares in metres where millimetres are asked for."""
    folders, _, _, board = shown
    twins = [shutil.copytree(folders[0], tmp_path / name) for name in ("left", "right")]
    said = succeeded(calibrate(*twins, *board_arguments(board), "--floor", FRAMES, "--out", tmp_path / "twins.toml"))
    assert "camera 'left' and camera 'right' are in one place" in said
    small = ("--squares", "7x5", "--size-mm", "0.12", "--marker-mm", "0.09")
    said = succeeded(calibrate(*folders, *small, "--floor", FRAMES, "--out", tmp_path / "small.toml"))
    assert "are 0.0033 m apart. Lengths must be metres" in said


class TestRefused:
    def refused(self, message, *arguments, out):
        floor = () if "--floor" in arguments else ("--floor", 0)
        said = failed(calibrate(*arguments, *floor, "--out", out))
        assert message in " ".join(said.split()), said
        assert not out.exists()

    def test_other_markers(self, shown, tmp_path):
        other = ("--squares", "7x5", "--size-mm", 120, "--dictionary", "6X6_50")
        told = f"cam1: a ChArUco board (6X6_50) of 7x5 squares is in none of the {FRAMES + 1} images"
        self.refused(told, *shown[0], *other, out=tmp_path / "x.toml")

    def test_recordings_of_other_lengths(self, shown, tmp_path):
        folders, _, _, board = shown
        (tmp_path / "cam2").mkdir()
        for f in range(4):
            (tmp_path / f"cam2/{f}.png").write_bytes((folders[1] / f"{f}.png").read_bytes())
        told = "differ in length: cam1 21, cam2 4"
        self.refused(told, folders[0], tmp_path / "cam2", *board_arguments(board), out=tmp_path / "x.toml")

    def test_options_that_do_not_go_together(self, shown, tmp_path):
        folders, _, _, board = shown
        given = board_arguments(board)
        self.refused("have 0 to 20", *folders, *given, "--floor", 21, out=tmp_path / "x.toml")
        self.refused("two have the same: cam1, cam1", folders[0], folders[0], *given, out=tmp_path / "x.toml")
        self.refused("999, such as 7x5", *folders, "--squares", "7", "--size-mm", 30, out=tmp_path / "x.toml")


def test_a_board_is_written_by_its_command(tmp_path):
    out = tmp_path / "board.png"
    wanted = ["cameras", "board", "--squares", "7x5", "--size-mm", "30", "--out", str(out)]
    said = succeeded(call(*wanted))
    assert "ChArUco board (4X4_50) of 7x5 squares" in said
    assert out.read_bytes()[:4] == b"\x89PNG"
