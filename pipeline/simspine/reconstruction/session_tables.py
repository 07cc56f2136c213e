"""Tables of the spine in the format of each program whose sessions are read, for its own viewer."""

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import tomli_w

from simspine.io.atomic import atomic_folder, write_text

CALISCOPE_TRACKER = "SIMSPINE"  # Caliscope writes ONNX_ before the names of model cards
ANIPOSE_MIN_CAMERAS = 2.0  # its viewer hides points seen by fewer cameras


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    write_text(path, table.to_csv(index=False, float_format="%.9g", lineterminator="\n"))


def write_wide(path: Path, names: Sequence[str], xyz: np.ndarray) -> None:
    """A row for each frame, with columns NAME_x, NAME_y, NAME_z."""
    _write_csv(path, _wide_table(names, xyz))


def _wide_table(names: Sequence[str], xyz: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(xyz.reshape(len(xyz), -1), columns=[f"{name}_{axis}" for name in names for axis in "xyz"])


def write_anipose(own: pd.DataFrame, settings: dict, path: Path, names: Sequence[str], xyz: np.ndarray) -> None:
    """The session's own table with the vertebrae as further points: Anipose's viewer joins points of one file.

    Anipose needs an error, a score and a number of cameras for each point, and hides those of too few cameras. A
    vertebra was in no image: it gets the error 0, the score 1 and the median number of cameras of the other points.
    For a path that ends in .toml: settings, as of `_anipose_settings`, with the line of vertebrae.
    """
    if path.suffix == ".toml":
        labeling = settings["labeling"]
        lines = [*labeling["scheme"], list(names)] if labeling["scheme"] else []  # without one, all points are drawn
        return write_text(path, tomli_w.dumps({**settings, "labeling": {**labeling, "scheme": lines}}))
    cameras = own.loc[:, own.columns.str.endswith("_ncams")].median(axis=1).fillna(0.0)
    quality = {"error": 0.0, "ncams": np.maximum(cameras, ANIPOSE_MIN_CAMERAS), "score": 1.0}
    columns = {f"{name}_{key}": np.broadcast_to(value, len(own)) for name in names for key, value in quality.items()}
    added = pd.concat([_wide_table(names, xyz), pd.DataFrame(columns)], axis=1)
    ordered = [f"{name}_{part}" for name in names for part in (*"xyz", *quality)]
    return _write_csv(path, pd.concat([own, added[ordered]], axis=1))


def write_caliscope(frames: pd.DataFrame, path: Path, names: Sequence[str], xyz: np.ndarray) -> None:
    """Caliscope's two tables: one row per frame (…_labelled.csv), or per point. frames: sync_index and frame_time.

    For a path that ends in .toml: a model card, with which Caliscope lists the tables as a tracker's and draws lines.
    """
    if path.suffix == ".toml":
        model = {"name": CALISCOPE_TRACKER, "model_path": f"{CALISCOPE_TRACKER}.onnx", "format": "simcc"}
        lines = {f"{a}_{b}": {"color": "y", "points": [a, b]} for a, b in pairwise(names)}
        numbers = {name: i for i, name in enumerate(names)}
        card = {"model": {**model, "input_size": [192, 256]}, "points": numbers, "segments": lines}
        return write_text(path, tomli_w.dumps(card))
    if path.stem.endswith("_labelled"):
        return write_wide(path, names, xyz[frames.index])
    rows = frames.loc[frames.index.repeat(len(names))].assign(object_id=0)
    rows["keypoint_id"] = np.tile(np.arange(len(names)), len(frames))
    rows[["x_coord", "y_coord", "z_coord"]] = xyz[frames.index].reshape(-1, 3)
    order = ["sync_index", "object_id", "keypoint_id", "x_coord", "y_coord", "z_coord", "frame_time"]
    return _write_csv(path, rows[order].dropna())


def write_easymocap(files: Sequence[str], folder: Path, names: Sequence[str], xyz: np.ndarray) -> None:
    """One JSON file per frame: a person with keypoints3d, x y z and confidence of each vertebra from C1 to S1."""
    with atomic_folder(folder, ours=re.compile("")) as temporary:
        for file, row in zip(files, xyz, strict=True):
            points = [[*map(float, place), 1.0] if np.isfinite(place).all() else [0.0] * 4 for place in row]
            write_text(temporary / file, json.dumps([{"id": 0, "names": names, "keypoints3d": points}]), sync=False)
