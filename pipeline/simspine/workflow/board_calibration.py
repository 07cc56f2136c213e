"""`simspine cameras calibrate board`: recordings of a board in, a calibration out, and a table of how exact it is."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from simspine.arrays import evenly_spread
from simspine.cameras.board_views import BoardViews
from simspine.cameras.boards import CalibratedCameras, calibrate_boards, calibrate_lenses
from simspine.detection.board import Board, checkerboard_in, describe_finds, find_board
from simspine.errors import InputError
from simspine.formats.atomic import write_text
from simspine.formats.calibration import read_calibration, write_calibration
from simspine.sources.pose2sim import match_cameras
from simspine.sources.stills import Stills, open_recording
from simspine.sources.video import TOLERATED_FRAMES, Video, check_synchronised
from simspine.threads import map_on_threads
from simspine.types import Camera
from simspine.workflow.context import progress_bar
from simspine.workflow.rigs import print_table

COVERED = 0.5  # share of an image below which a line says so
CHECKED = 3  # images in which a checkerboard's squares are counted
LOOKED_AT = 8  # images in which something else is sought where the board is in none
LENSES = ("camera", "views", "covered, %", "error, px", "wrong corners", "focal length, px")
PLACES = ("camera", "position, m", "± mm", "rotation, ± °")
Recording = Video | Stills


@dataclass(frozen=True)
class BoardRequest:
    """What is asked for. frames: looked at in each recording, evenly spread. floor: frame in which the board lay on the
    floor. intrinsics: file of cameras whose lenses are kept. lenses_only: places are not sought."""

    board: Board
    lens: str = "perspective"
    frames: int = 200
    floor: int | None = None
    intrinsics: Path | None = None
    lenses_only: bool = False


def calibrate_by_board(
    paths: Sequence[Path], request: BoardRequest, out: Path, figures: Path | None, threads: int
) -> None:
    """Write the calibration that recordings of a board give, and print how exact it is; on errors write nothing."""
    if out.exists():
        raise InputError(f"{out} exists already. Choose another --out.")
    recordings = _opened(paths, request)
    known = None
    if request.intrinsics is not None:
        known = match_cameras([recording.name for recording in recordings], read_calibration(request.intrinsics))
        _check_sizes(recordings, known, request.intrinsics)
    views, rows = look_for(request, recordings, threads)
    if request.lenses_only:
        found = calibrate_lenses(views, request.lens)
    else:
        floor = None if request.floor is None else int(np.flatnonzero(rows == request.floor)[0])
        found = calibrate_boards(views, lens=request.lens, known=known, floor=floor)
    write_calibration(out, list(found.cameras))
    _print(found, views.board, request)
    print(f"{out} written.")
    if figures is not None:
        write_text(figures, json.dumps(_figures(found), indent=2) + "\n")


def look_for(request: BoardRequest, recordings: Sequence[Recording], threads: int) -> tuple[BoardViews, np.ndarray]:
    """The board in evenly spread frames of all recordings; and which frames these are, in the first.

    Raises `InputError` for a camera that shows the board nowhere, and says what it shows instead.
    """
    rows = [evenly_spread(_sure(recording), request.frames) for recording in recordings]
    if request.floor is not None:
        last = min(recording.frames for recording in recordings) - 1
        if not 0 <= request.floor <= last:
            raise InputError(f"frame {request.floor} is to give the floor, but the recordings have 0 to {last}.")
        rows = [np.union1d(own, [request.floor]) for own in rows]
    board = request.board
    xy = _corners(board, recordings, rows, threads)
    if board.marker and board.rows % 2 == 0 and not np.isfinite(xy).any():
        board = replace(board, legacy=True)
        xy = _corners(board, recordings, rows, threads)
    for v, recording in enumerate(recordings):
        if not np.isfinite(xy[:, v]).any():
            raise _nowhere(board, recording, rows[v])
    if not board.marker:
        _check_counts(board, recordings[0], rows[0][np.isfinite(xy[: len(rows[0]), 0, 0, 0])])
    names, sizes = tuple(r.name for r in recordings), tuple(r.size for r in recordings)
    return BoardViews(board, names, sizes, xy), rows[0]


def _sure(recording: Recording) -> int:
    """Frames of a recording that can be decoded for sure."""
    return max(recording.frames - TOLERATED_FRAMES, 1) if isinstance(recording, Video) else recording.frames


def _opened(paths: Sequence[Path], request: BoardRequest) -> list[Recording]:
    recordings = [open_recording(path) for path in paths]
    names = [recording.name for recording in recordings]
    if len(set(names)) < len(names):
        raise InputError(f"recordings give cameras their names, and two have the same: {', '.join(names)}. Rename one.")
    if request.lenses_only:
        return recordings
    videos = [recording for recording in recordings if isinstance(recording, Video)]
    if videos and len(videos) == len(recordings):
        check_synchronised(videos)
    counts = {recording.name: recording.frames for recording in recordings}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise InputError(
            f"the recordings have different numbers of images: {told}. Image k of every camera must show the same "
            "instant. For lenses alone, where this does not matter: --lenses-only."
        )
    return recordings


def _check_sizes(recordings: Sequence[Recording], cameras: Sequence[Camera], path: Path) -> None:
    for recording, camera in zip(recordings, cameras, strict=True):
        if recording.size != camera.size:
            raise InputError(
                f"{recording.path} has images of {recording.size[0]}×{recording.size[1]} px, the lens of "
                f"{camera.name!r} in {path} is for {camera.size[0]}×{camera.size[1]} px. A lens holds for one size "
                "and zoom."
            )


def _corners(board: Board, recordings: Sequence[Recording], rows: Sequence[np.ndarray], threads: int) -> np.ndarray:
    """(frames, cameras, corners, 2) px, NaN = not seen; rows: frames of each recording, which may be fewer of one."""
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


def _check_counts(board: Board, recording: Recording, rows: np.ndarray) -> None:
    """`InputError` where the checkerboard is only a part of a larger one: inner corners were counted for squares."""
    some = rows[evenly_spread(len(rows), CHECKED)]
    for row, image in zip(some, recording.at(some.tolist()), strict=True):
        columns, lines = checkerboard_in(image) or (0, 0)
        if columns * lines > board.columns * board.rows:
            raise InputError(
                f"{recording.path}, image {row}, shows a checkerboard of {columns}x{lines} squares, not "
                f"{board.columns}x{board.rows}. Count squares, not inner corners."
            )


def _nowhere(board: Board, recording: Recording, rows: np.ndarray) -> InputError:
    some = rows[evenly_spread(len(rows), LOOKED_AT)]
    finds = [(row, describe_finds(board, image)) for row, image in zip(some, recording.at(some.tolist()), strict=True)]
    told = next((f"Image {row} shows {what}. " for row, what in finds if what), "")
    advice = "Count squares, not inner corners, and leave a white margin around the board."
    if board.marker:
        advice = "Look at --squares, --dictionary and --pattern."
    return InputError(f"{recording.path}: a {board} is in none of the {len(rows)} images looked at. {told}{advice}")


def _print(found: CalibratedCameras, board: Board, request: BoardRequest) -> None:
    lenses, places = [], []
    for v, camera in enumerate(found.cameras):
        focal = f"{np.sqrt(camera.K[0, 0] * camera.K[1, 1]):.1f}"
        focal += f" ± {100 * found.focal[v]:.2f} %" if np.isfinite(found.focal[v]) else " (given)"
        shown = (f"{100 * found.coverage[v]:.0f}", f"{found.error_px[v]:.2f}", str(found.wrong[v]), focal)
        lenses.append((camera.name, str(found.seen[v]), *shown))
        place = ", ".join(f"{x:.3f}" for x in camera.centre)
        places.append((camera.name, place, f"{1000 * found.position[v]:.1f}", f"{np.degrees(found.rotation[v]):.3f}"))
    print_table(f"Lenses by a {board} of {1000 * board.square:g} mm", LENSES, lenses)
    if not request.lenses_only:
        print_table("Places", PLACES, places)
    for camera, share in zip(found.cameras, found.coverage, strict=True):
        if share < COVERED and request.intrinsics is None:
            print(f"{camera.name}: the board covered {100 * share:.0f} % of the image; the lens is a guess elsewhere.")
    if request.lenses_only:
        print("Lenses only: all cameras stand in the origin. Their places: the same command with --intrinsics.")
    elif request.floor is None:
        print("World: the first camera is the origin, z up as the cameras stand (none of them turned about its axis).")
    else:
        print("World: the board on the floor; its upper left corner is the origin, x along its upper side, z up.")


def _figures(found: CalibratedCameras) -> dict:
    columns: dict[str, Callable[[int], object]] = {
        "views": lambda v: int(found.seen[v]),
        "coverage": lambda v: float(found.coverage[v]),
        "error_px": lambda v: float(found.error_px[v]),
        "wrong_corners": lambda v: int(found.wrong[v]),
        "focal_sd": lambda v: _plain(found.focal[v]),
        "position_sd_m": lambda v: _plain(found.position[v]),
        "rotation_sd_rad": lambda v: _plain(found.rotation[v]),
    }
    return {c.name: {key: column(v) for key, column in columns.items()} for v, c in enumerate(found.cameras)}


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
