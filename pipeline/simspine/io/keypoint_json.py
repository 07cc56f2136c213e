"""Keypoints as OpenPose and Pose2Sim keep them: a folder per camera, a JSON file per frame."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from simspine.core import skeletons
from simspine.core.errors import InputError, require_distinct_files, safe_file_name
from simspine.core.types import Keypoints
from simspine.io import text_tables
from simspine.io.atomic import write_text
from simspine.io.text_tables import ASSUMED_RATE

_POSE_KEYS = ("pose_keypoints_2d", "pose_keypoints")  # the latter in files of OpenPose before 1.3
_FARTHEST_GAP = 10  # frame numbers may span this many times the number of files


def read_keypoints(
    folders: Sequence[str | os.PathLike],
    skeleton: str | Sequence[str] | None = None,
    rate: float | None = None,
) -> Keypoints:
    """Read one person from one folder of JSON files per camera (OpenPose, Pose2Sim).

    Of several people in an image the one with the greatest sum of scores is taken, image by image; `reconstruct_people`
    chooses by consistency between views.

    Parameters
    ----------
    folders : sequence of paths
        In the order of the cameras.
    skeleton : str or sequence of str, optional
        Name of a skeleton, or names of the points in the files' order; by default the number of points tells it.
    rate : float, optional
        Frames/s. The files do not hold it; 60 with a warning by default.

    Returns
    -------
    Keypoints
        Native points, px.

    Raises
    ------
    InputError
        For folders without files, files that are not keypoints, and an unknown number of points.
    """
    names, people = read_people_json(folders, skeleton)
    if rate is None:
        text_tables.warn_assumed(
            f"{folders[0]}: keypoint files hold no frame rate; {ASSUMED_RATE:g} frames/s assumed (rate=…)."
        )
        rate = ASSUMED_RATE
    score = np.nansum(people[..., 2], axis=-1)  # (frames, views, people)
    best = score.argmax(-1)[..., None, None, None]
    chosen = np.take_along_axis(people, best, axis=2)[:, :, 0]
    return Keypoints(names, rate, chosen[..., :2], np.nan_to_num(chosen[..., 2]))


def read_people_json(
    folders: Sequence[str | os.PathLike], skeleton: str | Sequence[str] | None = None
) -> tuple[tuple[str, ...], np.ndarray]:
    """Everybody seen: names of the points and (frames, views, people, points, 3) with x px, y px, score.

    Person k of one view is not person k of another. Padded with NaN where a view has fewer people. The frame is the
    last number in a file's name; frames run from the lowest to the highest number found in any folder, and a file
    missing in one view is NaN there. A point with score 0 (OpenPose's "not found") is NaN. Scores a little over 1 (some
    networks) are cut to 1 with a warning. People without a pose (`{}`, null, a face alone) are left out; an empty file
    (0 bytes) is a frame without detection, with a warning.

    Raises `InputError` for missing or empty folders, folders of empty files, unreadable files, and people with
    different numbers of points.
    """
    if isinstance(folders, str | os.PathLike):
        raise InputError(f"read_keypoints wants a list of folders, one per camera, not the single path {folders}.")
    views = [_files_by_frame(Path(folder)) for folder in folders]
    if not views:
        raise InputError("no keypoint folder was handed in; one per camera is needed.")
    numbers = sorted({number for view in views for number in view})
    first, frames = numbers[0], numbers[-1] - numbers[0] + 1
    if frames > _FARTHEST_GAP * len(numbers) + 1000:
        raise InputError(
            f"{folders[0]}: frame numbers run from {first} to {numbers[-1]} with only {len(numbers)} files; "
            "the last number in a file's name should be its frame."
        )
    found = [_read_folder(view) for view in views]
    sizes = {len(person) for view in found for people in view.values() for person in people}
    if len(sizes) > 1:
        raise InputError(f"{folders[0]}: people with {' and '.join(map(str, sorted(sizes)))} points in one recording.")
    names = _point_names(skeleton, sizes.pop() if sizes else None, folders[0])
    most = max(len(people) for view in found for people in view.values())
    out = np.full((frames, len(views), max(most, 1), len(names), 3), np.nan)
    for v, view in enumerate(found):
        for number, people in view.items():
            for k, person in enumerate(people):
                out[number - first, v, k] = person
    score = out[..., 2]
    highest = np.nanmax(score, initial=0.0)
    if highest > 1:
        if highest > 1.5:
            raise InputError(f"{folders[0]}: scores reach {highest:g}, expected 0…1. Rescale them.")
        text_tables.warn_assumed(f"{folders[0]}: scores reach {highest:.3g}; cut to 1.")
        np.minimum(score, 1.0, out=score)
    return names, out


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
        For names of cameras that repeat or do not match the views.
    """
    cameras = tuple(cameras or (f"cam{v + 1:02d}" for v in range(keypoints.views)))
    if len(cameras) != keypoints.views or len(set(cameras)) < len(cameras):
        raise InputError(f"{folder}: {keypoints.views} views need as many different camera names, got {list(cameras)}.")
    require_distinct_files("cameras", cameras)
    stems = [safe_file_name(camera) for camera in cameras]
    folders = [Path(folder) / f"{stem}_json" for stem in stems]
    xyc = np.nan_to_num(np.concatenate([keypoints.xy, keypoints.confidence[..., None]], -1))
    xyc[keypoints.confidence == 0] = 0.0
    for v, (stem, target) in enumerate(zip(stems, folders, strict=True)):
        for i in range(keypoints.frames):
            people = [{"pose_keypoints_2d": xyc[i, v].ravel().tolist()}] if xyc[i, v, :, 2].any() else []
            write_people_json(target / f"{stem}_{first + i:06d}.json", people)
    return folders


def write_people_json(path: str | os.PathLike, people: Sequence[Mapping], about: Mapping | None = None) -> None:
    """Write everybody in one image, as OpenPose does.

    people: for each their `pose_keypoints_2d`, x y score of all points one after the other; further keys replace those
    that OpenPose leaves empty, or come in addition. about: further keys of the file.
    """
    empty: dict[str, list] = {
        f"{part}_keypoints_{d}": [] for d in ("2d", "3d") for part in ("face", "hand_left", "hand_right")
    }
    entries = [{"person_id": [-1], "pose_keypoints_2d": [], "pose_keypoints_3d": [], **empty, **one} for one in people]
    write_text(path, json.dumps({"version": 1.3, **(about or {}), "people": entries}), sync=False)


def _files_by_frame(folder: Path) -> dict[int, Path]:
    """Frame number → file, in order."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of keypoint files.")
    files: dict[int, Path] = {}
    for path in sorted(folder.glob("*.json")):
        if path.name.startswith("."):
            continue
        numbers = re.findall(r"\d+", path.stem)
        if not numbers:
            raise InputError(f"{path}: no frame number in the file's name.")
        if int(numbers[-1]) in files:
            raise InputError(f"{path}: frame {numbers[-1]} is there twice, also as {files[int(numbers[-1])].name}.")
        files[int(numbers[-1])] = path
    if not files:
        raise InputError(f"{folder}: no .json file in the folder.")
    return dict(sorted(files.items()))


def _read_folder(view: dict[int, Path]) -> dict[int, list[np.ndarray]]:
    """Frame number → people. Files of no bytes are frames without detection, unless all of them are."""
    contents = {number: text_tables.read_bytes(path) for number, path in view.items()}
    empty = [view[number] for number, content in contents.items() if not content.strip()]
    if len(empty) == len(view):
        raise InputError(f"{empty[0].parent}: all {len(empty)} files are empty (0 bytes). Detect again.")
    if empty:
        text_tables.warn_assumed(
            f"{empty[0]}: empty, as are {len(empty) - 1} more files of the folder; taken as frames without detection."
        )
    return {
        number: _people_in_file(content, view[number]) if content.strip() else []
        for number, content in contents.items()
    }


def _people_in_file(content: bytes, path: Path) -> list[np.ndarray]:
    """The people of one file, each (points, 3); a point without score is NaN. Those without a pose are left out."""
    try:
        people = json.loads(content)["people"]
        poses = [next((person[key] for key in _POSE_KEYS if person.get(key)), ()) for person in people or ()]
        arrays = [np.array(pose, float) for pose in poses]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"{path}: not a keypoint file as OpenPose writes them ({error!r}).") from None
    out = []
    for person in arrays:
        if person.ndim != 1 or person.size % 3:
            raise InputError(f"{path}: {_POSE_KEYS[0]} has {person.size} numbers, expected x y score for each point.")
        if person.size:
            person = person.reshape(-1, 3)
            seen = np.isfinite(person).all(-1) & (person[:, 2] > 0)
            out.append(np.where(seen[:, None], person, np.nan))
    return out


def _point_names(skeleton: str | Sequence[str] | None, points: int | None, where) -> tuple[str, ...]:
    """Names of the points: given, SpinePose's nine, of the known skeleton with that many, else point_00, point_01, …"""
    if skeleton is None:
        if points is None:
            raise InputError(f"{where}: nobody in any of the files, and no skeleton given to name the points.")
        if points == len(skeletons.SPINEPOSE_SPINE):
            return skeletons.SPINEPOSE_SPINE
        try:
            return skeletons.skeleton_of_size(points).names
        except InputError:
            return tuple(f"point_{i:02d}" for i in range(points))
    names = skeletons.load_skeleton(skeleton).names if isinstance(skeleton, str) else tuple(skeleton)
    if points is not None and len(names) != points:
        raise InputError(f"{where}: the files hold {points} points, the skeleton {len(names)}: {', '.join(names)}.")
    return names
