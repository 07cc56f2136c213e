"""A calibration board to print, at its true size."""

import os
from pathlib import Path

import numpy as np

from simspine.detection.board import Board, opencv_board
from simspine.errors import InputError
from simspine.formats.atomic import atomic_path

FORMATS = (".pdf", ".svg", ".png")
MARGIN = 1.0  # white around the board, in squares: detectors need it
_INCH, _DPI, _NOTE = 0.0254, 600, 0.008  # m; dots per inch of a PNG; m for the line of text


def write_board(path: str | os.PathLike, board: Board) -> None:
    """Write the board as PDF, SVG or PNG, by the ending of the name; to be printed at 100 %.

    Around it is a white margin, below it a line that says what it is. Raises `InputError` for another ending.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        raise InputError(f"{path}: a board is written as {', '.join(FORMATS)}, not as {ending or 'nothing'}.")
    margin = MARGIN * board.square
    width, height = board.columns * board.square + 2 * margin, board.rows * board.square + 2 * margin + _NOTE
    figure = Figure(figsize=(width / _INCH, height / _INCH), facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-margin, width - margin), ylim=(height - margin, -margin))
    axes.set_axis_off()
    for cells, colour in black_and_white(board):
        axes.add_collection(PolyCollection(list(cells), facecolors=colour, edgecolors="none", antialiaseds=False))
    text = f"{board}, squares of {1000 * board.square:g} mm"
    text += f", markers of {1000 * board.marker:g} mm" if board.marker else ""
    place = (board.columns * board.square / 2, height - margin - _NOTE / 2)
    axes.text(*place, f"{text}. Print at 100 % and measure.", ha="center", va="center", fontsize=7, color="0.4")
    metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(ending[1:])
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=ending[1:], dpi=_DPI, metadata=metadata)


def black_and_white(board: Board) -> list[tuple[np.ndarray, str]]:
    """What to paint, one over the other: rectangles (n, 4, 2) m from the board's upper left corner, and a colour."""
    import cv2

    rows, columns = np.mgrid[: board.rows, : board.columns]
    if not board.marker:
        black = (rows + columns) % 2 == 0
        return [(_cells(columns[black], rows[black], board.square, (0, 0)), "black")]
    made = opencv_board(board)
    places = [np.asarray(corners)[:, :2] for corners in made.getObjPoints()]  # of the markers, upper left corner first
    taken = {tuple((place.mean(0) // board.square).astype(int)) for place in places}
    black = np.array([[(c, r) not in taken for c in range(board.columns)] for r in range(board.rows)])
    painted = [(_cells(columns[black], rows[black], board.square, (0, 0)), "black")]
    dictionary = made.getDictionary()
    bits = dictionary.markerSize + 2
    dark = []
    for number, place in zip(made.getIds().ravel(), places, strict=True):
        image = cv2.aruco.generateImageMarker(dictionary, int(number), bits)
        down, right = np.nonzero(image == 0)
        dark.append(_cells(right, down, board.marker / bits, place.min(0)))
    return [*painted, (np.concatenate(dark), "black")]


def _cells(column: np.ndarray, row: np.ndarray, side: float, origin) -> np.ndarray:
    corner = np.stack([column, row], -1)[:, None] + np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    return np.asarray(origin) + side * corner
