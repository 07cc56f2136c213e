"""`simspine cameras`: errors, corrections and delays of cameras, from recordings; their calibration by a board."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path

import numpy as np
import yaml

from simspine.core.arrays import NORMAL_95, evenly_spread, map_on_threads
from simspine.core.errors import InputError, printable, require_ending
from simspine.core.types import Camera, Keypoints
from simspine.io.atomic import atomic_path, require_new, write_text
from simspine.io.calibration import check_distances, write_calibration
from simspine.io.hdf5 import read_store
from simspine.io.image_streams import Stills, open_recordings
from simspine.io.text_tables import require_same_figures
from simspine.io.video import TOLERATED_FRAMES, Video
from simspine.quality.assess import CAMERA_LATE_CODE
from simspine.quality.findings import Severity
from simspine.reconstruction.cameras import compare_cameras
from simspine.vision.board import Board, find_board, opencv_board
from simspine.vision.board_calibration import BoardViews, CalibratedCameras, calibrate_boards
from simspine.vision.bundle_adjustment import CAMERA_PARAMETER_NAMES
from simspine.vision.camera_check import SURE_DISAGREEMENT_SD, join_recordings, same_rig
from simspine.vision.camera_refine import Refined, refine_cameras, refinement_table
from simspine.vision.synchronise import find_delays
from simspine.workflow.config import Config
from simspine.workflow.inputs import progress_bar, timing_in
from simspine.workflow.jobs import run_stage
from simspine.workflow.up_to_date import RunPaths

REFINEMENT_FORMATS = {  # {parameter: (unit, factor, digits)}
    **{f"rotation_{axis}": ("°", np.degrees(1.0), 2) for axis in "xyz"},
    **{f"position_{axis}": ("mm", 1000.0, 1) for axis in "xyz"},
    "focal": ("%", 100.0, 2),
    "centre_x": ("px", 1.0, 1),
    "centre_y": ("px", 1.0, 1),
}
REFINEMENT_HEADINGS = ("camera", "value", "change", "prior deviations", "shown by the recording, %")
CHECK_QUANTITIES = (
    ("shift_x_px", 1.0, 1),
    ("shift_y_px", 1.0, 1),
    ("roll", np.degrees(1.0), 2),
    ("scale", 100.0, 2),
    ("late", 1.0, 2),
)
CHECK_HEADINGS = (
    "camera", "right, px", "down, px", "clockwise, °", "too large, %", "late, frames", "error, px", "used, %",
)  # fmt: skip


@dataclass(frozen=True)
class RecordedKeypoints:
    """Cameras of one set-up, and 2D points of the people followed in all its trials. trials: 'subject/trial'."""

    cameras: list[Camera]
    keypoints: Keypoints
    trials: tuple[str, ...]


def recorded_keypoints(config: Config, subject: str | None, trial: str | None) -> RecordedKeypoints:
    """2D points of the trials asked for, joined one after another; the stage detect runs first where needed.
    `InputError` where the trials were not filmed by the same cameras."""
    subjects = list(config.subjects) if subject is None else [subject]
    parts: list[tuple[str, Keypoints, list[Camera]]] = []
    for name in subjects:
        run_stage("detect", config, name, trial)
        for each in config.trials(name, trial):
            content = read_store(RunPaths(Path(config.results), name).keypoints(each))
            parts.append((f"{name}/{each}", content["keypoints"], list(content["cameras"])))
    first, _, cameras = parts[0]
    for name, _, others in parts[1:]:
        if not same_rig(cameras, others):
            raise InputError(f"{first} and {name} were not filmed by the same cameras. Name one (--subject, --trial).")
    return RecordedKeypoints(
        cameras, join_recordings([keypoints for _, keypoints, _ in parts]), tuple(name for name, _, _ in parts)
    )


_CHECK_KEYS = {"judging_views": "others", "used_observations": "used"}  # fields of `CameraCheck`: keys of the file


def print_check(config: Config, subject: str | None, trial: str | None, out: Path | None = None) -> bool:
    """Print a line per camera, and the findings; True if one is more than information."""
    recorded = recorded_keypoints(config, subject, trial)
    compared = compare_cameras(recorded.keypoints, recorded.cameras, config.triangulation.min_confidence)
    rows = []
    for check in compared.checks:
        signed = (
            f"{factor * check.value[name]:+.{digits}f} ± {NORMAL_95 * factor * check.deviation[name]:.{digits}f}"
            for name, factor, digits in CHECK_QUANTITIES
        )
        rows.append((check.camera, *signed, f"{check.error_px:.1f}", f"{100 * check.used_observations:.0f}"))
    if rows:
        print_table(f"Cameras compared with one another: {_what_is_compared(recorded)}", CHECK_HEADINGS, rows)
    for finding in compared.findings:
        print(printable(f"{finding.severity}: {finding.message}\n    {finding.suggestion}"))
    faults = [finding for finding in compared.findings if finding.severity is not Severity.INFO]
    if not faults:
        print("No camera disagrees by more than chance and a usual calibration's error.")
    checks = [{_CHECK_KEYS.get(name, name): value for name, value in asdict(one).items()} for one in compared.checks]
    findings = [finding.to_dict() for finding in compared.findings]
    write_figures(out, {"trials": recorded.trials, "cameras": checks, "findings": findings})
    return bool(faults)


def print_refinement(config: Config, subject: str | None, trial: str | None, out: Path, figures: Path | None) -> None:
    """Write the refined calibration; print a line for each parameter of a camera that changed."""
    _require_new_calibration(out)
    recorded = recorded_keypoints(config, subject, trial)
    refined = refine_cameras(recorded.keypoints, recorded.cameras, min_confidence=config.triangulation.min_confidence)
    table = refinement_table(refined)
    errors = {"median_px": refined.median_px, "p90_px": refined.p90_px}
    write_figures(figures, {"trials": recorded.trials, "cameras": table} | errors)
    write_calibration(out, refined.cameras)  # last: the same command is refused once it is there
    print_table(f"Refined by {_what_is_compared(recorded)}", REFINEMENT_HEADINGS, _refinement_rows(refined, table))
    (before, after), (p90, p90_after) = refined.median_px, refined.p90_px
    print(f"reprojection, median: {before:.1f} → {after:.1f} px; 90th percentile: {p90:.1f} → {p90_after:.1f} px")
    print(f"{out} written. Name it as the trial's `calibration`. Parameters not shown by the recording are unchanged.")


def _refinement_rows(refined: Refined, table: Sequence[Mapping]) -> Iterator[tuple[str, ...]]:
    """For each changed parameter: camera, name, change, change over the prior's SD, and the share from the data, %."""
    prior_sd = dict(zip(CAMERA_PARAMETER_NAMES, refined.prior.deviations(), strict=True))
    for camera, changes in zip(refined.cameras, table, strict=True):
        for name in (name for name in REFINEMENT_FORMATS if name in changes):
            (change, sd), (unit, factor, digits) = changes[name], REFINEMENT_FORMATS[name]
            text = f"{factor * change:+.{digits}f} ± {NORMAL_95 * factor * sd:.{digits}f} {unit}"
            decided = f"{100 * (1 - (sd / prior_sd[name]) ** 2):.0f}"
            yield camera.name, name.replace("_", " "), text, f"{abs(change) / prior_sd[name]:.1f}", decided


def print_delays(config: Config, subject: str | None, trial: str | None, out: Path | None) -> None:
    """Print a line per view, and the delays for the configuration. Delays that may be chance count as 0."""
    name = subject or next(iter(config.subjects))
    trial = trial or config.trials(name)[0]
    seen = recorded_keypoints(config, name, trial)
    known = timing_in(read_store(RunPaths(Path(config.results), name).keypoints(trial)))
    clocks = find_delays(seen.keypoints, seen.cameras, config.triangulation.min_confidence)
    sure = np.abs(clocks.delays_frames) > SURE_DISAGREEMENT_SD * clocks.deviation
    sure_drift = np.abs(clocks.drift) > SURE_DISAGREEMENT_SD * clocks.drift_deviation
    before = np.zeros(len(clocks.delays_frames)) if known is None else known.delays_frames
    total = before + np.where(sure, clocks.delays_frames, 0.0)
    late = map(_delay_text, clocks.delays_frames, clocks.deviation, before, sure)
    drifts = map(_delay_text, clocks.drift, clocks.drift_deviation, np.zeros(len(before)), sure_drift)
    rows = list(zip(clocks.views, late, drifts, strict=True))
    rows[0] = (clocks.views[0], "the reference", "")
    print_table(f"Clocks: {_what_is_compared(seen)}", ("view", "late, frames", "later from first to last frame"), rows)
    if known is not None:
        print("The trial's own delays are undone already; the delays printed include them.")
    if not sure.any():
        print("No view is late by more than chance." if known is None else "With these delays no view is late.")
    delays = {view: round(float(frames), 2) for view, frames in zip(clocks.views, total, strict=True)}
    print(delays_as_yaml(delays))
    if sure.any():
        _warn_of_wrong_cameras(seen, config.triangulation.min_confidence)
    write_figures(out, {
        "trials": seen.trials, "late_frames": delays,
        "found_frames": dict(zip(clocks.views, (before + clocks.delays_frames).tolist(), strict=True)),
        "deviation_frames": dict(zip(clocks.views, clocks.deviation.tolist(), strict=True)),
    })  # fmt: skip


def _warn_of_wrong_cameras(seen: RecordedKeypoints, min_confidence: float) -> None:
    """Print what is wrong with the cameras and is no delay: with wrong cameras, delays are found where none are."""
    faults = []
    with suppress(InputError):  # too little was seen to compare cameras
        found = compare_cameras(seen.keypoints, seen.cameras, min_confidence).findings
        faults = [finding for finding in found if finding.severity is not Severity.INFO]
    if not any(finding.code == CAMERA_LATE_CODE for finding in faults):
        for finding in faults:
            print(printable(f"warning: {finding.message} Then these delays are wrong: see `simspine cameras check`."))


def _delay_text(value: float, deviation: float, known: float, sure: bool) -> str:
    """A delay with its 95 % interval; one that may be chance as 'not different' from the known delay."""
    if sure:
        return f"{known + value:+.2f} ± {NORMAL_95 * deviation:.2f}"
    reference = f"{known:+.2f}" if known else "0"
    return f"not different from {reference} ({known + value:+.2f} ± {NORMAL_95 * deviation:.2f})"


def delays_as_yaml(delays: Mapping[str, float]) -> str:
    """The line `delays: …` for a trial in a configuration, with names in quotes where YAML needs them. delays: {view:
    frames}, written to a millionth of a frame."""
    rounded = (round(float(late), 6) for late in delays.values())
    plain = {view: int(late) if late.is_integer() else late for view, late in zip(delays, rounded, strict=True)}
    text = yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, allow_unicode=True, width=inf)
    return f"delays: {text.strip()}"


def _what_is_compared(seen: RecordedKeypoints) -> str:
    return seen.trials[0] if len(seen.trials) == 1 else f"{len(seen.trials)} trials, {seen.keypoints.frames} frames"


def print_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table at its full width, also where the terminal is narrower."""
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Column, Table

    shown = Table(*(Column(heading, no_wrap=True) for heading in headings), title=title, title_justify="left")
    for row in rows:
        shown.add_row(*map(printable, row))
    console = Console(markup=False)
    whole = Measurement.get(console, console.options.update(max_width=1000), shown).maximum
    Console(width=max(console.width, whole), markup=False).print(shown)


def write_figures(path: Path | None, content: dict) -> None:
    """Write a command's figures as JSON if a file is named; `InputError` where that has anything but such figures."""
    if path is not None:
        require_same_figures(path, content)
        write_text(path, json.dumps(content, indent=2) + "\n")


# `simspine cameras calibrate board` and `board`: from recordings of a board to a calibration and its errors; a board.
MIN_COVERAGE = 0.5  # share of an image that the board must have covered; below it a warning is printed
LENS_TABLE_COLUMNS = ("camera", "views", "covered, %", "error, px", "wrong corners", "focal length, px ± SD")
PLACE_TABLE_COLUMNS = ("camera", "position, m", "SD, mm", "SD of rotation, °")
BoardRecording = Video | Stills


def _require_new_calibration(out: Path) -> None:
    require_new(out)
    require_ending(out, "a calibration", (".toml",))


def calibrate_by_board(
    paths: Sequence[Path], board: Board, *, floor: int, lens: str, frames: int, out: Path, figures: Path | None
) -> None:
    """Calibrate cameras from recordings of a board, write the calibration, print its errors; a fault writes nothing.

    floor: frame with the board on the floor. frames: number of images searched in each recording.
    """
    _require_new_calibration(out)
    recordings = open_recordings(paths)
    names = [recording.name for recording in recordings]
    if len(set(names)) < len(names):
        raise InputError(f"recordings give cameras their names, and two have the same: {', '.join(names)}. Rename one.")
    views, rows = find_boards_in_recordings(board, recordings, floor, frames)
    calibrated = calibrate_boards(views, int(np.flatnonzero(rows == floor)[0]), lens)
    check_distances(calibrated.cameras, out)
    write_figures(figures, _calibration_figures(calibrated))
    write_calibration(out, list(calibrated.cameras))  # last: the same command is refused once it is there
    _print_tables(calibrated, views.board)
    print(f"{out} written.")


def find_boards_in_recordings(
    board: Board, recordings: Sequence[BoardRecording], floor: int, frames: int
) -> tuple[BoardViews, np.ndarray]:
    """Corners of the board in evenly spread frames of all recordings, and the numbers of these frames."""
    # The last frames of a video may not decode.
    count = min(r.frames - TOLERATED_FRAMES if isinstance(r, Video) else r.frames for r in recordings)
    last = min(recording.frames for recording in recordings) - 1
    if not 0 <= floor <= last:
        raise InputError(f"frame {floor} is named for the floor, but the recordings have 0 to {last}.")
    rows = np.union1d(evenly_spread(max(count, 1), frames), [floor])
    xy = _corners_found(board, recordings, rows)
    if board.rows % 2 == 0 and not np.isfinite(xy).any():
        board = replace(board, legacy=True)
        xy = _corners_found(board, recordings, rows)
    for v, recording in enumerate(recordings):
        if not np.isfinite(xy[:, v]).any():
            text = f"{recording.path}: a {board} is in none of the {len(rows)} images searched"
            raise InputError(f"{text}. Check --squares and --dictionary, and the white margin around the board.")
    names, sizes = tuple(r.name for r in recordings), tuple(r.size for r in recordings)
    return BoardViews(board, names, sizes, xy), rows


def _corners_found(board: Board, recordings: Sequence[BoardRecording], rows: np.ndarray) -> np.ndarray:
    """(frames, cameras, corners, 2) px, NaN = not seen. rows: numbers of the frames, those of one instant in all."""
    xy = np.full((len(rows), len(recordings), len(board.corners), 2), np.nan)
    with progress_bar("looking for the board", quiet=False) as progress:
        done = [0]

        def work(v: int) -> None:
            for i, image in enumerate(recordings[v].at(rows.tolist())):
                xy[i, v] = find_board(board, image)
                done[0] += 1
                progress(done[0], len(rows) * len(recordings))

        map_on_threads(work, range(len(recordings)), os.cpu_count() or 1)
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
            text = f"{camera.name}: the board covered {100 * share:.0f} % of the image; the lens is guessed elsewhere."
            print(printable(text))
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
    """Write the board as PDF or PNG, by the ending of the name, for printing at 100 %. Around it is a white margin of
    one square, which detectors need. Raises `InputError` for another ending."""
    from PIL import Image

    require_ending(path, "a board", BOARD_FORMATS)
    require_new(Path(path))
    side = round(board.square / _METRES_PER_INCH * _BOARD_DPI)  # px of a square
    resolution = side * _METRES_PER_INCH / board.square  # dots per inch, at which `side` px are one square
    with atomic_path(path) as temporary:
        picture = Image.fromarray(board_picture(board, side))
        picture.save(temporary, dpi=(resolution, resolution), resolution=resolution)


def board_picture(board: Board, side: int) -> np.ndarray:
    """The board in grey, with a white margin of one square. side: of a square, px."""
    size = (board.columns * side + 2 * side, board.rows * side + 2 * side)
    return opencv_board(board).generateImage(size, marginSize=side)
