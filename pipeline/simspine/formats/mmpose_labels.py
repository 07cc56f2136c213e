"""Labelled images as MMPose's preprocessed annotations keep them: one .npz of arrays with a row per image.

Keys as in its Human3.6M preprocessing (tools/dataset_converters/preprocess_h36m.py): imgname, center, scale, part; with
joint_names, size and status besides, which its readers pass over.
"""

import os
from pathlib import Path

import numpy as np

from simspine.errors import InputError
from simspine.formats.atomic import atomic_path
from simspine.formats.labelled_images import STATUSES, LabelledImages, read_as, to_spinetrack
from simspine.formats.mmpose_npz import MARGIN, PIXEL_STD
from simspine.formats.npz import read_npz


def write_mmpose_labels(path: str | os.PathLike, images: LabelledImages) -> None:
    """SpineTrack's 37 points. imgname (n,), center (n, 2), scale (n,), part (n, 37, 3), joint_names, size, status."""
    found = to_spinetrack(images)
    kept = np.flatnonzero((found.points[..., 2] > 0).any(1))
    center, scale = np.zeros((len(kept), 2)), np.zeros(len(kept))
    for row, i in enumerate(kept):
        seen = found.points[i, found.points[i, :, 2] > 0, :2]
        low, high = seen.min(0), seen.max(0)
        center[row], scale[row] = (low + high) / 2, MARGIN * (high - low).max() / PIXEL_STD
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(
            file,
            imgname=np.array([found.file_names[i] for i in kept], str),
            center=center.astype(np.float32),
            scale=scale.astype(np.float32),
            part=found.points[kept],
            joint_names=np.array(found.names, str),
            size=found.sizes[kept],
            status=found.status[kept].astype(np.int8),
        )


def read_mmpose_labels(path: str | os.PathLike) -> LabelledImages:
    """What `write_mmpose_labels` wrote; `InputError` for a file without its arrays."""
    wanted = ("imgname", "part", "joint_names", "size")
    arrays = read_npz(Path(path))
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise InputError(f"{path}: no {', '.join(missing)}; expected an .npz with {', '.join(wanted)}.")
    try:
        points, names = np.asarray(arrays["part"], float), [str(name) for name in arrays["joint_names"]]
        files = [str(name) for name in arrays["imgname"]]
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: not labels of images ({error}).") from None
    if points.ndim != 3 or points.shape[1:] != (len(names), 3):
        raise InputError(f"{path}: part has shape {points.shape}, expected (images, {len(names)}, 3).")
    placed = np.where(points[..., 2] > 0, STATUSES.index("corrected"), 0)
    return read_as(path, names, files, arrays["size"], points, arrays.get("status", placed))
