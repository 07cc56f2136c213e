"""Keypoint files of OpenPose and Pose2Sim (a folder per camera, a JSON file per frame); tables of other programs.

A table is one file per camera: DeepLabCut's CSV (scorer, bodyparts, coords), SLEAP's analysis HDF5.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, product
from pathlib import Path
from textwrap import shorten

import numpy as np

from simspine.core import skeletons
from simspine.core.arrays import frame_ranges, median_of_known
from simspine.core.errors import InputError, naming_content, require_distinct_files, safe_file_name
from simspine.core.types import Keypoints
from simspine.io import text_tables
from simspine.io.atomic import write_text
from simspine.io.text_tables import ASSUMED_RATE, load_json, warn_assumed, warn_left_out

_POSE_KEYS = ("pose_keypoints_2d", "pose_keypoints")  # the latter in files of OpenPose before 1.3
TABLE_ENDINGS = (".csv", ".h5", ".hdf5")
_TABLE_HEAD = ("scorer", "individuals", "bodyparts", "coords")  # first cells of the lines above a table
_MAX_FRAMES_PER_FILE = 10  # largest span of frame numbers, as a multiple of the number of files
_MPI_PARENTS = (1, -1, 1, 2, 3, 1, 5, 6, 14, 8, 9, 14, 11, 12, 1)  # of OpenPose's model of 15 points
_TWO_ORDERS = {25: ("body25", "body25b"), 15: ("simspine15", "MPI")}  # by the number of points
_MAX_BONE_LENGTH_RATIO = 0.8  # mean bone length in the likely order of 25 points to that in the other order
_MIN_FILES_JUDGED = 4  # least number of files in a folder from which the step of its frame numbers is judged
_MOST_FILES_LACKING = 0.25  # largest share of frames without a file, from a folder's first to its last
_MAX_SCORE = 1.5  # a detector's overshoot; larger scores are per cent or logits
_SCORE_ROUNDING = 1e-3  # above 1 that is not worth a warning
_LONGEST_LIST = 80  # characters of a list of frames in a message
_MAX_LATE_END = 2  # frames between the last frames of two folders; more give a warning
_MAX_FRAME_DIGITS = 15  # of a frame number; more are no number that an array can have
_SLEAP_AXES = ("txnf", "ftnx", "fnxt")  # track, x or y, node, frame: of SLEAP, of sleap-io, of SLEAP read by MATLAB
_MAX_FRAME_STEP = 9  # usual step of frame numbers; a larger one counts milliseconds, not frames


def read_keypoints(
    folders: Sequence[str | os.PathLike], skeleton: str | Sequence[str] | None = None, rate: float | None = None
) -> Keypoints:
    """Read one person from one folder of JSON files per camera (OpenPose, Pose2Sim), or one table (DeepLabCut, SLEAP).

    Of several people in an image the one with the greatest sum of scores is taken, image by image; `reconstruct_people`
    chooses by consistency between views.

    Parameters
    ----------
    folders : sequence of paths
        In the order of the cameras, or a .json file of an image each. Tables: .csv of DeepLabCut, .h5 of SLEAP's
        analysis; all of the same kind.
    skeleton : str or sequence of str, optional
        Name of a skeleton, or names of the points in the files' order. By default it follows from the number of points,
        for 25 points also from the lengths of the bones (BODY_25 or BODY_25B). Tables name their points.
    rate : float, optional
        Frames/s, which the files do not hold. By default 60, with a warning.

    Returns
    -------
    Keypoints
        Points of the files' skeleton: positions in px, missing points NaN, and scores from 0 to 1.

    Raises
    ------
    InputError
        For folders without files, files that are not keypoints, and an unknown number of points.
    """
    names, people = read_people_json(folders, skeleton)
    if rate is None:
        warn_assumed(f"{folders[0]}: keypoint files hold no frame rate; {ASSUMED_RATE:g} frames/s assumed (rate=…).")
        rate = ASSUMED_RATE
    score = np.nansum(people[..., 2], axis=-1)  # (frames, views, people)
    if several := int((score > 0).any(1)[:, 1:].any(1).sum()):
        said = f"{several} of {len(score)} frames show several people; in each image the one of best scores counts"
        warn_left_out(f"{folders[0]}: {said}.")
    best = score.argmax(-1)[..., None, None, None]
    chosen = np.take_along_axis(people, best, axis=2)[:, :, 0]
    return Keypoints(names, rate, chosen[..., :2], np.nan_to_num(chosen[..., 2]))


def read_people_json(
    folders: Sequence[str | os.PathLike], skeleton: str | Sequence[str] | None = None
) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the points, and all detected people (frames, views, people, points, 3) as x px, y px, score.

    Person k of one view need not be person k of another; views with fewer people are padded with NaN. The frame is the
    last number in a file's name. Frames run from the lowest to the highest number in any folder; where a view has no
    file it is NaN. A point with score 0 (OpenPose's "not found") is NaN. Scores a little over 1 (some networks) are cut
    to 1 with a warning. People without a pose (`{}`, null, only a face) are left out. An empty file (0 bytes) is a
    frame without detection, with a warning.
    """
    tables = [str(folder).lower().endswith(TABLE_ENDINGS) for folder in folders]
    if any(tables):
        if not all(tables):
            raise InputError(f"{folders[tables.index(True)]} is a table, others are folders; give one kind for all.")
        return _people_in_tables(folders, skeleton)
    views = [files_by_frame(Path(folder)) for folder in folders]
    if not views:
        raise InputError("no keypoint folder was handed in; one per camera is needed.")
    numbers = sorted({number for view in views for number in view})
    frames = numbers[-1] - numbers[0] + 1
    if frames > _MAX_FRAMES_PER_FILE * len(numbers) + 1000:
        text = f"{folders[0]}: {len(numbers)} files are numbered {numbers[0]} to {numbers[-1]}"
        raise InputError(f"{text}; the last number in a file's name should be its frame.")
    _check_numbering(views, folders)
    found = [_read_folder(view) for view in views]
    people = [person for view in found for everybody in view.values() for person in everybody]
    sizes = set(map(len, people))
    if len(sizes) > 1:
        raise InputError(f"{folders[0]}: people with {' and '.join(map(str, sorted(sizes)))} points in one recording.")
    names = _point_names(skeleton, sizes.pop() if sizes else None, folders[0], people)
    most = max(1, *(len(everybody) for view in found for everybody in view.values()))
    files = [path for view in views for path in view.values()]
    out = text_tables.missing_numbers((frames, len(views), most, len(names), 3), files)
    for v, view in enumerate(found):
        for number, people in view.items():
            for k, person in enumerate(people):
                out[number - numbers[0], v, k] = person
    hidden = (out[..., 0] == out[..., 1]) & np.isin(out[..., 0], (0, -1))
    if hidden.any():
        out[hidden] = np.nan
        warn_assumed(f"{folders[0]}: {hidden.sum()} points at 0 0 or −1 −1 have a score above 0; left out.")
    if np.nanmax(np.abs(out[..., :2]), initial=0.0) <= 2 and np.nanmax(out[..., 2], initial=0.0) > 0:
        warn_assumed(f"{folders[0]}: all coordinates are near 0. Are they shares of the image, not px?")
    _cut_scores(out, folders)
    return names, out


def _cut_scores(people: np.ndarray, paths: Sequence) -> None:
    """Cut scores of people (frames, views, …, 3) to 0…1, with a warning of those above; `InputError` if far above."""
    for view, path in enumerate(paths):
        highest = np.nanmax(people[:, view, ..., 2], initial=0.0)
        if highest > _MAX_SCORE:
            raise InputError(f"{path}: scores reach {highest:g}, expected x, y and a score of 0…1 each. Rescale them.")
        if highest > 1 + _SCORE_ROUNDING:
            warn_assumed(f"{path}: scores reach {highest:.3g}; cut to 1.")
    people[..., 2] = np.clip(people[..., 2], 0.0, 1.0)


def write_keypoints(
    folder: str | os.PathLike, keypoints: Keypoints, cameras: Sequence[str] | None = None, first: int = 0
) -> list[Path]:
    """Write `<camera>_json/<camera>_000000.json` for each view and frame, as Pose2Sim does.

    Parameters
    ----------
    folder : path
    keypoints : Keypoints
        A missing point is written as 0 0 0.
    cameras : sequence of str, optional
        Names, one per view; cam01, cam02, … by default. Pose2Sim pairs folders, sorted by their last number, with the
        cameras of its calibration file.
    first : int
        Number of the first frame.

    Returns
    -------
    list of Path
        The folders, one per view.

    Raises
    ------
    InputError
        For names of cameras that repeat or do not match the views, and a folder with files of other frames.
    """
    cameras = tuple(cameras or (f"cam{v + 1:02d}" for v in range(keypoints.views)))
    if len(cameras) != keypoints.views or len(set(cameras)) < len(cameras):
        raise InputError(f"{folder}: {keypoints.views} views need as many different camera names, got {list(cameras)}.")
    require_distinct_files("cameras", cameras)
    if first < 0:
        raise InputError(f"{folder}: the first frame is {first}, expected 0 or more.")
    files = [people_file(Path(folder), camera, first + i) for camera in cameras for i in range(keypoints.frames)]
    require_no_others(files)
    xyc = np.nan_to_num(np.concatenate([keypoints.xy, keypoints.confidence[..., None]], -1))
    xyc[keypoints.confidence == 0] = 0.0
    for file, points in zip(files, xyc.swapaxes(0, 1).reshape(len(files), *xyc.shape[2:]), strict=True):
        write_people_json(file, [{"pose_keypoints_2d": points.ravel().tolist()}] if points[:, 2].any() else [])
    return [people_file(Path(folder), camera, first).parent for camera in cameras]


def people_file(folder: Path, camera: str, frame: int) -> Path:
    """The file of everybody in one image, as Pose2Sim names it."""
    stem = safe_file_name(camera)
    return folder / f"{stem}_json" / f"{stem}_{frame:06d}.json"


def require_no_others(files: Sequence[Path]) -> None:
    """`InputError` where folders hold keypoint files besides these: readers would take all for one recording."""
    there = [path for folder in {file.parent for file in files} for path in folder.glob("[!.]*.json")]
    if others := sorted(set(there).difference(files)):
        raise InputError(f"{others[0]} would count as a frame of these points; name another folder, or remove it.")


def write_people_json(path: str | os.PathLike, people: Sequence[Mapping], about: Mapping | None = None) -> None:
    """Write everybody in one image, as OpenPose does. people: an entry each, whose keys replace OpenPose's or are
    added. about: further keys of the file."""
    parts = ("face", "hand_left", "hand_right")
    empty: dict[str, list] = {f"{part}_keypoints_{d}": [] for d in ("2d", "3d") for part in parts}
    entries = [{"person_id": [-1], "pose_keypoints_2d": [], "pose_keypoints_3d": [], **empty, **one} for one in people]
    write_text(path, json.dumps({"version": 1.3, **(about or {}), "people": entries}), sync=False)


def files_by_frame(folder: Path) -> dict[int, Path]:
    """{frame number: file} of a folder, in ascending order; the file of one image is frame 0."""
    if folder.suffix.lower() == ".json" and folder.is_file():
        return {0: folder}
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of keypoint files; a table must be .csv or .h5.")
    files: dict[int, Path] = {}
    for path in sorted(folder.glob("*.json")):
        if path.name.startswith("."):
            continue
        numbers = re.findall(r"\d+", path.stem)
        if not numbers or len(numbers[-1]) > _MAX_FRAME_DIGITS:
            raise InputError(f"{path}: no frame number in the file's name; expected a file for each image.")
        if int(numbers[-1]) in files:
            raise InputError(f"{path}: frame {numbers[-1]} is there twice, also as {files[int(numbers[-1])].name}.")
        files[int(numbers[-1])] = path
    if not files:
        raise InputError(f"{folder}: no .json file in the folder.")
    return dict(sorted(files.items()))


def _check_numbering(views: Sequence[dict[int, Path]], folders: Sequence[str | os.PathLike]) -> None:
    """Raise `InputError` unless file numbers count frames, alike in all folders; warn where this is doubtful."""
    rows = zip(folders, views, strict=True)
    ranges = "; ".join(f"{folder}: {min(view)} to {max(view)}, {len(view)} files" for folder, view in rows)
    steps = [np.diff(list(view)) for view in views if len(view) >= _MIN_FILES_JUDGED]
    usual_step = max((int(np.median(step)) for step in steps), default=1)
    uneven = any((step % int(np.median(step))).any() for step in steps)
    if usual_step > _MAX_FRAME_STEP or (usual_step > 1 and uneven):
        text = f"names of keypoint files do not count frames, but rise by {usual_step}, like milliseconds ({ranges})"
        raise InputError(f"{text}. Rename the files: 0, 1, 2, …")
    if len({min(view) for view in views}) > 1 or np.ptp([max(view) for view in views]) > _MAX_LATE_END:
        if max(map(min, views)) > min(map(max, views)) or len({(len(v), max(v) - min(v)) for v in views}) == 1:
            raise InputError(f"keypoint folders are numbered apart ({ranges}). Give files of one instant one number.")
        warn_assumed(f"folders of keypoints begin or end apart, or differ in rate; numbers count as frames: {ranges}.")
    numbers = {number for view in views for number in view}
    absent = max(numbers) - min(numbers) + 1 - len(numbers)
    for folder, view in zip(folders, views, strict=True):
        if lacking := [number for number in numbers if min(view) < number < max(view) and number not in view]:
            many = len(lacking) > _MOST_FILES_LACKING * (len(view) + len(lacking))
            named = shorten(frame_ranges(lacking), _LONGEST_LIST, placeholder=" …")
            text = f"{folder}: no file for {len(lacking)} frames of the other folders ({named}), taken to show nobody"
            warn_assumed(f"{text}.{' Did its camera take fewer frames a second?' if many else ''}")
    if absent:
        warn_assumed(f"{absent} frames have a file in no folder of keypoints, so they are empty: {ranges}.")


def _read_folder(view: dict[int, Path]) -> dict[int, list[np.ndarray]]:
    """{frame number: people}. Empty files are frames without detection; `InputError` if all are empty."""
    contents = {number: text_tables.read_bytes(path) for number, path in view.items()}
    empty = [view[number] for number, content in contents.items() if not content.strip()]
    if len(empty) == len(view):
        raise InputError(f"{empty[0].parent}: all {len(empty)} files are empty (0 bytes). Detect again.")
    if empty:
        warn_assumed(f"{empty[0]}: {len(empty)} of {len(view)} files there are empty; taken as frames without anybody.")
    return {n: list(_people_in_file(content, view[n])) if content.strip() else [] for n, content in contents.items()}


def _people_in_file(content: bytes, path: Path) -> Iterator[np.ndarray]:
    """The people of one file, each (points, 3); a point without score is NaN. Those without a pose are left out."""
    with naming_content(path, "a keypoint file as OpenPose writes them, which ss.write_keypoints makes of arrays"):
        people = load_json(content)["people"]
        poses = [next((person[key] for key in _POSE_KEYS if person.get(key)), ()) for person in people or ()]
        arrays = [np.array(pose, float) for pose in poses]
    for person in arrays:
        if person.ndim != 1 or person.size % 3:
            raise InputError(f"{path}: {_POSE_KEYS[0]} has {person.size} numbers, not x y score each. Decimal commas?")
        if person.size:
            person = person.reshape(-1, 3)
            seen = np.isfinite(person).all(-1) & (person[:, 2] > 0)
            yield np.where(seen[:, None], person, np.nan)


def _likely_order(people: Sequence[np.ndarray], where) -> str:
    """The skeleton of a number of points that come in two orders: the one whose bones are shorter."""
    points, mean = np.stack(people)[..., :2], {}
    for name in _TWO_ORDERS[points.shape[1]]:
        parents = _MPI_PARENTS if name == "MPI" else skeletons.load_skeleton(name).parents
        a, b = np.transpose([(i, k) for i, k in enumerate(parents) if k >= 0])
        bones = median_of_known(np.linalg.norm(points[:, a] - points[:, b], axis=-1).T)
        mean[name] = float(bones[np.isfinite(bones)].mean()) if np.isfinite(bones).any() else np.inf
    likely, other = sorted(mean, key=lambda name: mean[name])
    if likely == "MPI":
        raise InputError(f"{where}: its 15 points seem to be those of OpenPose's MPI model. Detect with BODY_25.")
    if "body25" in mean and not mean[likely] < _MAX_BONE_LENGTH_RATIO * mean[other]:
        raise InputError(f"{where}: BODY_25 or BODY_25B of OpenPose? Say so: skeleton 'body25' or 'body25b'.")
    return likely


def _people_in_tables(paths: Sequence, skeleton: str | Sequence[str] | None) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and people as of `read_people_json`, from one table per camera; each holds one person."""
    tables = [_table_of_points(Path(path)) for path in paths]
    names = tables[0][0]
    for path, (labels, _) in zip(paths, tables, strict=True):
        if labels != names:
            raise InputError(f"{path}: its points are {', '.join(labels)}, those of {paths[0]} {', '.join(names)}.")
    frames = [len(rows) for _, rows in tables]
    if np.ptp(frames) > _MAX_LATE_END:
        warn_assumed(f"{paths[0]}: the tables end after {frames} frames; all are taken to begin together.")
    out = text_tables.missing_numbers((max(frames), len(tables), 1, len(names), 3), paths)
    for view, (_, rows) in enumerate(tables):
        out[: len(rows), view, 0] = rows
    out[~np.isfinite(out).all(-1) | ~out[..., :2].any(-1)] = np.nan  # 0 0 stands for a point that was not seen
    _cut_scores(out, paths)
    return names_of_skeleton(names, skeleton, paths[0]), out


def names_of_skeleton(names: tuple[str, ...], skeleton: str | Sequence[str] | None, where) -> tuple[str, ...]:
    """Names of a table in the skeleton's spelling; case, separators, and how and where a side stands are ignored. A
    skeleton with exactly these points is preferred: 'hip' differs between HALPE's 26 points and SpineTrack's 37."""
    if skeleton is not None and not isinstance(skeleton, str):
        return _point_names(skeleton, len(names), where, ())
    candidates = [skeleton] if skeleton else skeletons.skeleton_names()
    fitting: dict[tuple[int, ...], tuple[str, ...]] = {}
    for name, normalise in product(candidates, (skeletons.base_name, skeletons.plain_name)):
        points = skeletons.load_skeleton(name).names
        by_spelling = dict(zip(map(normalise, points), points, strict=True))
        spelled = [by_spelling[plain] for plain in map(normalise, names) if plain in by_spelling]
        if len(set(spelled)) == len(names):
            by_side = normalise is skeletons.plain_name
            fitting.setdefault((len(points) != len(names), by_side, by_side * len(points)), tuple(spelled))
    if fitting:
        return fitting[min(fitting)]
    text = f"{where}: its points {', '.join(names)} are those of no skeleton ({', '.join(candidates)})"
    raise InputError(f"{text}. Rename them in the table, or name all in order (skeleton=[…]).")


def _table_of_points(path: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the points, and (frames, points, 3) with x px, y px, score."""
    if path.suffix.lower() != ".csv":
        return _points_in_hdf5(path)
    lines = [line.replace('"', "") for _, line in text_tables.read_lines(path)]
    mark = text_tables.cell_separator(lines[0]) or ","
    rows = [(line if mark == "," else line.replace(",", ".")).split(mark) for line in lines]
    head = {row[0]: row for row in rows[:4]}
    if not {"bodyparts", "coords"} <= head.keys():
        raise InputError(f"{path}: no table of DeepLabCut (scorer, …). Take one, SLEAP's .h5, or `ss.write_keypoints`.")
    if "individuals" in head and len(set(head["individuals"][1:])) > 1:
        raise InputError(f"{path}: holds several individuals; export a table for each.")
    rows = [row for row in rows if row[0] not in _TABLE_HEAD and "".join(row).strip()]
    values = parse_cells([row[1:] for row in rows], len(head["coords"]) - 1, path)
    values = _rows_at_frames(values, [row[0].strip() for row in rows], path)
    parts = head["bodyparts"][1:]
    names = tuple(dict.fromkeys(parts))
    wanted = ["coords", *["x", "y", "likelihood"] * len(names)]
    if head["coords"] != wanted or values.ndim != 2 or values.shape[1] != len(parts):
        raise InputError(f"{path}: expected x, y (px) and likelihood of each body part, in every line, and no z.")
    return names, values.reshape(len(values), len(names), 3)


def _rows_at_frames(values: np.ndarray, numbers: Sequence[str], path: Path) -> np.ndarray:
    """Rows placed at the frame numbers in their first cells, if these are numbers; frames without a row are NaN."""
    if not numbers or not all(re.fullmatch(r"[0-9]+(\.0*)?", number) for number in numbers):
        return values
    frames = np.array(numbers, float)
    steps = [f"{a} to {b}" for a, b in pairwise(numbers) if float(a) >= float(b)]
    if steps or frames[-1] > _MAX_FRAMES_PER_FILE * len(frames) + 1000:
        steps.append(f"{numbers[0]} to {numbers[-1]}")
        raise InputError(f"{path}: its first column is to count frames, but goes from {steps[0]}.")
    placed = text_tables.missing_numbers((int(frames[-1]) + 1, values.shape[1]), [path])
    placed[frames.astype(int)] = values
    if absent := len(placed) - len(values):
        warn_assumed(f"{path}: {absent} frames have no row, so they are empty.")
    return placed


def parse_cells(rows: Sequence[Sequence[str]], width: int, path: object) -> np.ndarray:
    """(rows, width) numbers of a table's rows after its header, NaN for empty cells; `InputError` for other rows."""
    if odd := [number for number, row in enumerate(rows, 2) if len(row) != width]:
        raise InputError(f"{path}: row {odd[0]} has {len(rows[odd[0] - 2])} cells, the header {width}; cut short?")
    with naming_content(path, "numbers in all rows after the header"):
        return np.array([[float(cell) if cell.strip() else np.nan for cell in row] for row in rows])


def _points_in_hdf5(path: Path) -> tuple[tuple[str, ...], np.ndarray]:
    from simspine.io.hdf5 import checked_values, open_checked

    with open_checked(path) as file:
        if "tracks" not in file or "node_names" not in file:
            raise InputError(
                f"{path}: not of SLEAP; make DeepLabCut's a CSV: deeplabcut.analyze_videos_converth5_to_csv."
            )
        nodes = checked_values(file["node_names"])
        names = tuple(name.decode() if isinstance(name, bytes) else str(name) for name in nodes)
        xy = checked_values(file["tracks"]).astype(float)
        with naming_content(path, f"tracks (tracks, 2, {len(names)} nodes, frames), and point_scores without the 2"):
            axes = next(a for a in _SLEAP_AXES if [xy.shape[a.index(i)] for i in "xn"] == [2, len(names)])
            xy = np.einsum(f"{axes}->tfnx", xy)
            score = np.ones(xy.shape[:3])
            if "point_scores" in file:
                score = np.einsum(f"{axes.replace('x', '')}->tfn", checked_values(file["point_scores"]).astype(float))
            points = np.concatenate([xy, np.nan_to_num(score)[..., None]], -1)
    points = points[np.isfinite(xy).any((1, 2, 3))]
    if len(points) != 1:
        raise InputError(f"{path}: holds {len(points)} tracks with points, expected 1; export a file for each.")
    return names, points[0]


def _point_names(
    skeleton: str | Sequence[str] | None, points: int | None, where, people: Sequence[np.ndarray]
) -> tuple[str, ...]:
    """Names of the points: those given, else of the skeleton with so many points, else point_00, point_01, …"""
    if skeleton is None:
        if points is None:
            raise InputError(f"{where}: nobody is in any of the files. Detect again; were the images turned?")
        if points == len(skeletons.SPINEPOSE_SPINE):
            return skeletons.SPINEPOSE_SPINE
        if points in _TWO_ORDERS and people:
            return skeletons.load_skeleton(_likely_order(people, where)).names
        try:
            return skeletons.skeleton_of_size(points).names
        except InputError:
            return tuple(f"point_{i:02d}" for i in range(points))
    names = skeletons.load_skeleton(skeleton).names if isinstance(skeleton, str) else tuple(skeleton)
    if points is not None and len(names) != points:
        raise InputError(f"{where}: the files hold {points} points, the skeleton {len(names)}: {', '.join(names)}.")
    return names
