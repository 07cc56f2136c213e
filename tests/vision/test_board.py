"""Boards: corners where the print has them, in the printed order, however the board is held; and what is refused."""

import cv2
import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.vision.board import Board, find_board, opencv_board
from simspine.workflow.camera_files import board_picture, write_board

CHARUCO, OTHER = Board(7, 5, 0.04, 0.03), Board(6, 8, 0.04, 0.02, "5X5_100")
SIDE = 60  # px of a square


def drawn(board: Board) -> np.ndarray:
    """The print, 60 px a square, with a margin of one square, in greys."""
    image = (25 + board_picture(board, SIDE).astype(int) * 210 // 255).astype(np.uint8)
    return cv2.GaussianBlur(image, (0, 0), 0.8)


def places(board: Board) -> np.ndarray:
    """Where that print has its corners, px: between the pixels of neighbouring squares."""
    return (board.corners[:, :2] / board.square + 1) * SIDE - 0.5


@pytest.mark.parametrize("board", [CHARUCO, OTHER])
def test_corners_are_where_they_are_printed(board):
    np.testing.assert_allclose(find_board(board, drawn(board)), places(board), atol=0.15)


@pytest.mark.parametrize("board", [CHARUCO, OTHER])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_the_order_is_the_boards_however_it_is_held(board, turns):
    image = drawn(board)
    height, width = image.shape
    found = find_board(board, np.rot90(image, turns))  # counter-clockwise
    for turn in range(turns, 0, -1):  # back: (x, y) was (w − 1 − y, x), w the width before that turn
        found = np.c_[(width if turn % 2 else height) - 1 - found[:, 1], found[:, 0]]
    np.testing.assert_allclose(found, places(board), atol=0.15)


def test_parts_of_a_board_are_enough():
    image = drawn(CHARUCO)
    image[:, : 4 * SIDE] = 235
    found = find_board(CHARUCO, image)
    seen = np.isfinite(found).all(1)
    assert 6 <= seen.sum() < len(found)
    np.testing.assert_allclose(found[seen], places(CHARUCO)[seen], atol=0.3)


def test_boards_of_older_opencv_are_read_as_such():
    """Before 4.6 boards with an even number of rows began with a marker."""
    old, new = Board(7, 6, 0.04, 0.03, legacy=True), Board(7, 6, 0.04, 0.03)
    image = opencv_board(old).generateImage((9 * SIDE, 8 * SIDE), marginSize=SIDE)
    np.testing.assert_allclose(find_board(old, image), places(old), atol=0.6)
    assert not np.isfinite(find_board(new, image)).any()
    np.testing.assert_allclose(find_board(old, drawn(old)), places(old), atol=0.15)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2, 5, 0.04, 0.03), "board of 2x5 squares has too few corners"),
        ((7, 5, 0.0, 0.0), "squares of 0 mm"),
        ((7, 5, 0.04, 0.05), "squares of 40 mm with markers of 50 mm"),
        ((7, 5, float("nan"), 0.03), "squares of nan mm"),
        ((12, 10, 0.04, 0.03), "needs 60 markers, 4X4_50 has 50. Name a larger dictionary, such as 4X4_250"),
        ((7, 5, 0.04, 0.03, "4x5"), "unknown dictionary of ArUco markers '4x5'. Available: .*4X4_50"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Board(*arguments)


class TestPrints:
    @pytest.mark.parametrize("board", [CHARUCO, OTHER])
    def test_a_png_has_the_true_size(self, tmp_path, board):
        """Corners in millimetres, by the resolution that the file states."""
        write_board(tmp_path / "b.png", board)
        data = (tmp_path / "b.png").read_bytes()
        at = data.index(b"pHYs") + 4
        per_metre = int.from_bytes(data[at : at + 4], "big")
        image = cv2.imread(str(tmp_path / "b.png"), cv2.IMREAD_GRAYSCALE)
        found = find_board(board, cv2.resize(image, None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA))
        np.testing.assert_allclose((found + 0.5) / (0.2 * per_metre) - 0.04, board.corners[:, :2], atol=1e-4)

    def test_a_pdf_has_the_true_size(self, tmp_path):
        write_board(tmp_path / "a.pdf", CHARUCO)
        box = (tmp_path / "a.pdf").read_bytes().split(b"/MediaBox [")[1].split(b"]")[0].split()
        points = [(7 + 2) * 0.04 / 0.0254 * 72, (5 + 2) * 0.04 / 0.0254 * 72]
        assert [float(number) for number in box[2:]] == pytest.approx(points, abs=0.01)

    def test_a_picture_that_is_there_stays(self, tmp_path):
        (tmp_path / "b.png").write_text("mine")
        with pytest.raises(InputError, match=r"b.png exists already"):
            write_board(tmp_path / "b.png", CHARUCO)
        assert (tmp_path / "b.png").read_text() == "mine"

    def test_other_endings_are_refused(self, tmp_path):
        with pytest.raises(InputError, match=r"b.gif: the ending for a board is .pdf or .png"):
            write_board(tmp_path / "b.gif", CHARUCO)
        assert not list(tmp_path.iterdir())
