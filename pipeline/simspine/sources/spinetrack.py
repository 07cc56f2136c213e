"""A copy of SpineTrack, as its authors release it: annotated people in images, in four splits.

annotations/person_keypoints_<split>.json    COCO keypoints, 37 points (35 are taken as well)
images/<split>/                              not needed for evaluation of predictions
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simspine.errors import InputError, unknown_name
from simspine.formats.coco import read_coco
from simspine.skeletons import load

TRAIN, EVALUATION = ("train-real-coco", "train-real-yoga", "train-unreal"), "val2017"
SPLITS = (*TRAIN, EVALUATION)


@dataclass(frozen=True)
class SpineTrackSplit:
    """The people of one split. name: of `SPLITS`; images: the folder of its images, None where the copy has none.

    file_name: (people,); keypoints: (people, 37, 3) px in the order of the skeleton spinetrack37, v 0 where a point is
    not labelled; box: (people, 4) left, top, width, height; area: (people,) px²; crowd: (people,) bool.
    """

    name: str
    images: Path | None
    file_name: np.ndarray
    keypoints: np.ndarray
    box: np.ndarray
    area: np.ndarray
    crowd: np.ndarray

    def __len__(self) -> int:
        return len(self.file_name)


def annotation_file(root: str | os.PathLike, split: str) -> Path:
    """Where the annotations of a split are; `InputError` for a split or a file that does not exist."""
    if split not in SPLITS:
        raise unknown_name("split of SpineTrack", split, SPLITS)
    path = Path(root) / "annotations" / f"person_keypoints_{split}.json"
    if not path.is_file():
        raise InputError(
            f"{path}: no such file. Name the folder of a copy of SpineTrack, which holds annotations/ and images/."
        )
    return path


def read_split(root: str | os.PathLike, split: str = EVALUATION) -> SpineTrackSplit:
    """The people of a split. root: the folder with annotations/ and images/; `InputError` where it is none."""
    path = annotation_file(root, split)
    found = read_coco(path)
    folder = Path(root) / "images" / split
    return SpineTrackSplit(
        name=split,
        images=folder if folder.is_dir() else None,
        file_name=found["file_name"],
        keypoints=in_order(found["keypoints"], tuple(found["names"].tolist()), str(path)),
        box=found["bbox"],
        area=found["area"],
        crowd=found["crowd"],
    )


def in_order(keypoints: np.ndarray, names: tuple[str, ...], where: str) -> np.ndarray:
    """(people, 37, 3) in SpineTrack's order of keypoints (people, points, 3) with `names`; v = 0 for those not there.

    SIMSPINE's names are understood as well. Raises `InputError` for a name that is neither.
    """
    table = load("spinetrack37")
    native = {simspine: name for name, simspine in table.to_simspine.items()}
    out = np.zeros((len(keypoints), len(table), 3))
    if keypoints.ndim != 3 or keypoints.shape[1:] != (len(names), 3):
        raise InputError(f"{where}: {len(names)} names for keypoints of shape {keypoints.shape}.")
    for i, name in enumerate(names):
        name = native.get(name, name)
        if name not in table.names:
            raise unknown_name("point", name, table.names, where)
        out[:, table.index(name)] = keypoints[:, i]
    return out
