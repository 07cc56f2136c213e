"""Parquet shards, a frame per row, with a card: what a user of Hugging Face `datasets` loads."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from simspine.errors import InputError
from simspine.formats._extra import exchange_package
from simspine.formats.atomic import write_text
from simspine.formats.dataset_tree import TrialData
from simspine.formats.limits import check_announced
from simspine.formats.takes import Take, Takes, other_points

GROUP = 2048  # rows in a row group: what one read touches at least, and what one damaged page spoils
SHARD = 100_000  # rows in a file

UNITS = {"time": "s", "markers": "m, y up", "markers_vertebral": "m, y up", "centres": "m, y up",
         "kinematics": "deg; m", "kinematics_sd": "deg; m",
          "level_angles": "rad", "lla": "rad", "tka": "rad", "lla_sd": "rad", "tka_sd": "rad",
          "clinical": "rad; m", "clinical_sd": "rad; m"}  # fmt: skip


def write_parquet(folder: Path, split: str, takes: Takes, *, points: bool = True, shard: int = SHARD) -> list[int]:
    """Write data/<split>-<i>-of-<n>.parquet; returns the rows of each shard. points=False leaves the points out.

    `folder` should be new: shards of an earlier export are not removed. Rejected frames are there, with valid = false.
    """
    arrow = exchange_package("pyarrow", "Parquet")
    parquet = exchange_package("pyarrow.parquet", "Parquet")
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    rows: list[int] = []
    writer = None
    try:
        for table in _tables(arrow, takes, points):
            start = 0
            while start < table.num_rows:
                if writer is None:
                    writer = parquet.ParquetWriter(
                        data / f".{split}-{len(rows)}", table.schema, compression="zstd", write_page_checksum=True
                    )
                    rows.append(0)
                count = min(GROUP, table.num_rows - start, shard - rows[-1])
                writer.write_table(table.slice(start, count), row_group_size=GROUP)
                start, rows[-1] = start + count, rows[-1] + count
                if rows[-1] >= shard:
                    writer.close()
                    writer = None
    finally:
        if writer is not None:
            writer.close()
    if not rows:
        raise InputError(f"the split {split!r} has no frame; nothing is written.")
    for i in range(len(rows)):
        (data / f".{split}-{i}").rename(data / f"{split}-{i:05d}-of-{len(rows):05d}.parquet")
    return rows


def _tables(arrow, takes: Takes, points: bool) -> Iterator[Any]:
    for take in takes():
        columns, names = _columns(take, points)
        arrays = {key: _array(arrow, value) for key, value in columns.items()}
        units = {key: {"unit": UNITS[key]} if key in UNITS else None for key in arrays}
        fields = [arrow.field(key, array.type, metadata=units[key]) for key, array in arrays.items()]
        schema = arrow.schema(fields, metadata={"simspine": json.dumps(names)})
        yield arrow.table(list(arrays.values()), schema=schema)


def _columns(take: Take, points: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    trial, frames = take.trial, take.trial.markers.frames
    columns = {
        "subject": [take.subject] * frames, "trial": [take.name] * frames, "frame": np.arange(frames, dtype=np.int32),
        "time": trial.markers.time, "valid": trial.valid,
        "status": list(trial.status) if trial.status is not None else [""] * frames,
        **(_places(trial) if points else {}),
        "kinematics": trial.degrees, "kinematics_sd": trial.degrees_sd, "level_angles": trial.angles,
        "lla": trial.lla, "tka": trial.tka, "lla_sd": trial.lla_sd, "tka_sd": trial.tka_sd,
        "clinical": trial.clinical, "clinical_sd": trial.clinical_sd,
        "clinical_decided": np.tile(trial.clinical_decided, (frames, 1)) if trial.clinical_decided else None,
    }  # fmt: skip
    names = {
        "markers": list(trial.markers.names) if points else [], "kinematics": list(trial.motion.names),
        "level_angles": list(trial.levels), "units": UNITS,
        "clinical": list(trial.clinical_names), "clinical_units": list(trial.clinical_units),
        **({} if trial.centres is None else {"centres": list(trial.centres.names)}),
    }  # fmt: skip
    return {key: value for key, value in columns.items() if value is not None}, names


def _places(trial: TrialData) -> dict[str, np.ndarray]:
    """The points at the released places, and where they are known at the vertebrae's centroids, and all of these."""
    columns = {"markers": trial.markers.xyz}
    for name, points in other_points(trial).items():
        columns["centres" if name == "centres" else f"markers_{name}"] = points.xyz
    return columns


def _array(arrow, value):
    """Lists of fixed length for arrays of more than one axis."""
    if isinstance(value, list) or value.ndim == 1:
        return arrow.array(value)
    flat = arrow.array(np.ascontiguousarray(value).reshape(-1).tolist() if value.dtype.kind == "U" else value.ravel())
    for size in reversed(value.shape[1:]):
        flat = arrow.FixedSizeListArray.from_arrays(flat, size)
    return flat


def write_card(folder: Path, name: str, rows: dict[str, int], names: dict[str, list[str]], notice: str = "") -> None:
    """README.md with the header that the Hub and `datasets` read: which files make up which split."""
    files = "\n".join(f"  - split: {split}\n    path: data/{split}-*.parquet" for split in rows)
    size = sum(rows.values())
    bins = ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"), (1e7, "1M<n<10M"))
    category = next((label for limit, label in bins if size < limit), "10M<n<100M")
    lists = "\n".join(f"`{key}`: {', '.join(values)}\n" for key, values in names.items() if values)
    points = (
        "| markers | points (see below) at the released places, y up: forward kinematics of `kinematics` | m |\n"
        if names.get("markers")
        else ""
    )
    if names.get("centres"):
        points += (
            "| markers_vertebral | the same points, those along the spine at the centroids of their vertebrae | m |\n"
            "| centres | centroids of the vertebrae (see below) | m |\n"
        )
    clinical = (
        "| clinical, clinical_sd | clinical parameters (see below) and their standard deviations | rad; m |\n"
        "| clinical_decided | what each of them rests on in the row's trial: the data, assumptions or the model | |\n"
        if names.get("clinical")
        else ""
    )
    counts = ", ".join(f"{split} {count} frames" for split, count in rows.items())
    write_text(
        folder / "README.md",
        f"""---
pretty_name: {name}
license: other
tags: [biomechanics, spine, pose-estimation]
size_categories: ["{category}"]
configs:
- config_name: default
  data_files:
{files}
---

# {name}

Spine kinematics, a frame per row: {counts}. Made with simspine.

{notice}

| column | meaning | unit |
|---|---|---|
| subject, trial, frame | where the row comes from; frames count from 0 | |
| time | | s |
| valid, status | solved and not rejected; kept, corrected, rejected, or inferred: rejected and filled in | |
{points}| kinematics, kinematics_sd | coordinates of the body and their standard deviations | deg; m |
| level_angles | per level flexion, bending to the right, turning to the left | rad |
| lla, tka, lla_sd, tka_sd | lumbar lordosis, thoracic kyphosis | rad |
{clinical}
{lists}""",
    )


def read_parquet(folder: Path, split: str) -> dict[str, np.ndarray]:
    """The columns of all shards of a split as arrays: (rows, …)."""
    parquet = exchange_package("pyarrow.parquet", "Parquet")
    files = sorted((Path(folder) / "data").glob(f"{split}-*.parquet"))
    if not files:
        raise InputError(f"{folder}/data holds no shard of the split {split!r}.")
    parts: dict[str, list[np.ndarray]] = {}
    for file in files:
        try:
            shard = parquet.ParquetFile(file, page_checksum_verification=True)
            groups = (shard.metadata.row_group(i) for i in range(shard.metadata.num_row_groups))
            check_announced(str(file), sum(group.total_byte_size for group in groups), file.stat().st_size)
            table = shard.read()
            columns = {key: _numpy(table[key].combine_chunks()) for key in table.column_names}
        except InputError:
            raise
        except Exception as error:  # damaged files end in many ways
            raise InputError(f"{file}: cannot be read as Parquet; cut short or damaged? ({error})") from None
        for key, values in columns.items():
            parts.setdefault(key, []).append(values)
    return {key: np.concatenate(values) for key, values in parts.items()}


def _numpy(column) -> np.ndarray:
    shape, rows = [], len(column)
    while hasattr(column.type, "list_size"):
        shape.append(column.type.list_size)
        column = column.flatten()
    values = np.array(column.to_pylist()) if shape == [] else column.to_numpy(zero_copy_only=False)
    return values.reshape(rows, *shape)
