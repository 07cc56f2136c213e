"""Calibration by a board: from its recordings to a calibration file and a table of errors; and the board to print."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from simspine.core.arrays import evenly_spread, map_on_threads
from simspine.core.errors import InputError
from simspine.io.atomic import atomic_path
from simspine.io.calibration import write_calibration
from simspine.io.image_streams import Stills, open_recording
from simspine.io.video import TOLERATED_FRAMES, Video, check_synchronised
from simspine.vision.board import Board, find_board, opencv_board
from simspine.vision.board_bundle import BoardViews
from simspine.vision.board_calibration import CalibratedCameras, calibrate_boards
from simspine.workflow.camera_files import print_table, write_figures
from simspine.workflow.inputs import progress_bar

MIN_COVERAGE = 0.5  # share of an image that the board must have covered; below it a warning is printed
LENS_TABLE_COLUMNS = ("camera", "views", "covered, %", "error, px", "wrong corners", "focal length, px")
PLACE_TABLE_COLUMNS = ("camera", "position, m", "± mm", "rotation, ± °")
BoardRecording = Video | Stills


@dataclass(frozen=True)
class BoardRequest:
    """Options of a calibration. frames: number of images searched in each recording, evenly spread. floor: number of
    the frame in which the board lies on the floor."""

    board: Board
    floor: int
    lens: str = "perspective"
    frames: int = 200


def calibrate_by_board(
    paths: Sequence[Path], request: BoardRequest, out: Path, figures: Path | None, threads: int
) -> None:
    """Calibrate cameras from recordings of a board, write the calibration, print its errors; a fault writes nothing."""
    if out.exists():
        raise InputError(f"{out} exists already. Choose another --out.")
    recordings = _open_recordings(paths)
    views, rows = find_boards_in_recordings(request, recordings, threads)
    calibrated = calibrate_boards(views, int(np.flatnonzero(rows == request.floor)[0]), request.lens)
    write_calibration(out, list(calibrated.cameras))
    _print_tables(calibrated, views.board)
    print(f"{out} written.")
    write_figures(figures, _calibration_figures(calibrated))


def find_boards_in_recordings(
    request: BoardRequest, recordings: Sequence[BoardRecording], threads: int
) -> tuple[BoardViews, np.ndarray]:
    """Corners of the board in evenly spread frames of all recordings, and numbers of these frames in the first one."""
    # The last frames of a video may not decode.
    counts = [r.frames - TOLERATED_FRAMES if isinstance(r, Video) else r.frames for r in recordings]
    rows = [evenly_spread(max(count, 1), request.frames) for count in counts]
    last = min(recording.frames for recording in recordings) - 1
    if not 0 <= request.floor <= last:
        raise InputError(f"frame {request.floor} is named for the floor, but the recordings have 0 to {last}.")
    rows = [np.union1d(frames, [request.floor]) for frames in rows]
    board = request.board
    xy = _corners_found(board, recordings, rows, threads)
    if board.rows % 2 == 0 and not np.isfinite(xy).any():
        board = replace(board, legacy=True)
        xy = _corners_found(board, recordings, rows, threads)
    for v, recording in enumerate(recordings):
        if not np.isfinite(xy[:, v]).any():
            raise InputError(
                f"{recording.path}: a {board} is in none of the {len(rows[v])} images searched. Check --squares and "
                "--dictionary, and leave a white margin around the board."
            )
    names, sizes = tuple(r.name for r in recordings), tuple(r.size for r in recordings)
    return BoardViews(board, names, sizes, xy), rows[0]


def _open_recordings(paths: Sequence[Path]) -> list[BoardRecording]:
    recordings = [open_recording(path) for path in paths]
    names = [recording.name for recording in recordings]
    if len(set(names)) < len(names):
        raise InputError(f"recordings give cameras their names, and two have the same: {', '.join(names)}. Rename one.")
    videos = [recording for recording in recordings if isinstance(recording, Video)]
    if videos and len(videos) == len(recordings):
        check_synchronised(videos)
    counts = {recording.name: recording.frames for recording in recordings}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise InputError(
            f"the recordings have different numbers of images: {listed}. Image k of every camera must show the same "
            "instant."
        )
    return recordings


def _corners_found(
    board: Board, recordings: Sequence[BoardRecording], rows: Sequence[np.ndarray], threads: int
) -> np.ndarray:
    """(frames, cameras, corners, 2) px, NaN = not seen. rows: frame numbers of each recording, maybe fewer of one."""
    xy = np.full((max(map(len, rows)), len(recordings), len(board.corners), 2), np.nan)
    with progress_bar("looking for the board", quiet=False) as progress:
        done = [0]

        def work(v: int) -> None:
            for i, image in enumerate(recordings[v].at(rows[v].tolist())):
                xy[i, v] = find_board(board, image)
                done[0] += 1
                progress(done[0], sum(map(len, rows)))

        map_on_threads(work, range(len(recordings)), threads)
    return xy


def _print_tables(result: CalibratedCameras, board: Board) -> None:
    lenses, places = [], []
    for v, camera in enumerate(result.cameras):
        focal = f"{np.sqrt(camera.K[0, 0] * camera.K[1, 1]):.1f}"
        focal += f" ± {100 * result.focal[v]:.2f} %"
        shown = (f"{100 * result.coverage[v]:.0f}", f"{result.error_px[v]:.2f}", str(result.wrong[v]), focal)
        lenses.append((camera.name, str(result.seen[v]), *shown))
        place = ", ".join(f"{x:.3f}" for x in camera.centre)
        places.append((camera.name, place, f"{1000 * result.position[v]:.1f}", f"{np.degrees(result.rotation[v]):.3f}"))
    print_table(f"Lenses by a {board} of {1000 * board.square:g} mm", LENS_TABLE_COLUMNS, lenses)
    print_table("Places", PLACE_TABLE_COLUMNS, places)
    for camera, share in zip(result.cameras, result.coverage, strict=True):
        if share < MIN_COVERAGE:
            print(f"{camera.name}: the board covered {100 * share:.0f} % of the image; the lens is guessed elsewhere.")
    print("World: the board on the floor; its upper left corner is the origin, x along its upper side, z up.")


def _calibration_figures(result: CalibratedCameras) -> dict:
    """{camera: {name: value}}; None for unknown values."""
    columns = {
        "views": result.seen, "coverage": result.coverage, "error_px": result.error_px, "wrong_corners": result.wrong,
        "focal_sd": result.focal, "position_sd_m": result.position, "rotation_sd_rad": result.rotation,
    }  # fmt: skip
    plain = {key: [x if np.isfinite(x) else None for x in np.asarray(xs).tolist()] for key, xs in columns.items()}
    return {c.name: {key: values[v] for key, values in plain.items()} for v, c in enumerate(result.cameras)}


BOARD_FORMATS = (".pdf", ".png")
_METRES_PER_INCH, _BOARD_DPI = 0.0254, 600


def write_board(path: str | os.PathLike, board: Board) -> None:
    """Write the board as PDF or PNG, by the ending of the name, for printing at 100 %.

    Around it is a white margin of one square, which detectors need. Raises `InputError` for another ending.
    """
    from PIL import Image

    ending = Path(path).suffix.lower()
    if ending not in BOARD_FORMATS:
        raise InputError(f"{path}: a board is written as {', '.join(BOARD_FORMATS)}, not as {ending or 'nothing'}.")
    side = round(board.square / _METRES_PER_INCH * _BOARD_DPI)  # px of a square
    resolution = side * _METRES_PER_INCH / board.square  # dots per inch, at which `side` px are one square
    with atomic_path(path) as temporary:
        picture = Image.fromarray(board_picture(board, side))
        picture.save(temporary, dpi=(resolution, resolution), resolution=resolution)


def board_picture(board: Board, side: int) -> np.ndarray:
    """The board in grey, with a white margin of one square. side: of a square, px."""
    size = (board.columns * side + 2 * side, board.rows * side + 2 * side)
    return opencv_board(board).generateImage(size, marginSize=side)
