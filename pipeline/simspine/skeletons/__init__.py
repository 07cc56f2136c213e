"""Which points exist, and what they correspond to: tables (CSV, one per skeleton) and their look-up.

`load(name)` gives a `Skeleton`; `translate` turns a detector's native points into the 37 SIMSPINE points that the rest
of the pipeline speaks. A point that lies elsewhere on the body has no counterpart, however similar its name: the `Hip`
of Human3.6M is the mid-point of the hip joints, the `Hip` of SIMSPINE is on the sacrum. The column `note` says why.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

import numpy as np

from simspine.errors import InputError, position, unknown_name
from simspine.skeletons.skin_names import on_skin
from simspine.types import Keypoints, Origin

TARGET = "simspine37"

# Two of our skeletons may have the same number of points; a file of 2D points then means the one detectors write.
_BY_SIZE = {15: "simspine15", 25: "body25", 26: "halpe26", 32: "human36m32", 33: "blazepose33"}
_BY_SIZE |= {17: "coco17", 37: "spinetrack37"}


@dataclass(frozen=True)
class Skeleton:
    """A set of named points, in the order its files and networks use.

    parents: index of each point's parent in a drawing tree, -1 for the root. swaps: index of the mirrored point (its
    own on the mid-line). levels: vertebral level ('L5', 'sacrum', …) or ''. to_simspine: native name → SIMSPINE name,
    only where both are the same place on the body. notes: native name → remark on the correspondence. sigmas: of
    object keypoint similarity; weights: of a point in training; both () where nobody states them.
    """

    name: str
    names: tuple[str, ...]
    parents: tuple[int, ...]
    swaps: tuple[int, ...]
    levels: tuple[str, ...]
    to_simspine: Mapping[str, str]
    notes: Mapping[str, str]
    sigmas: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Position of `name`; raises `InputError` listing the names there are."""
        return position(name, self.names, "point", f"skeleton {self.name!r}")

    def from_simspine(self, name: str) -> int | None:
        """Position of the point that is SIMSPINE's `name`, or None."""
        return next((i for i, native in enumerate(self.names) if self.to_simspine.get(native) == name), None)


def available() -> tuple[str, ...]:
    """Names of the skeletons there are."""
    return tables_in("tables")


def tables_in(folder: str) -> tuple[str, ...]:
    """Names of the CSV files in a folder beside this module."""
    names = (entry.name for entry in files(__name__).joinpath(folder).iterdir())
    return tuple(sorted(name.removesuffix(".csv") for name in names if name.endswith(".csv")))


@cache
def load(name: str) -> Skeleton:
    """The skeleton `name`; raises `InputError` listing those there are."""
    if name not in available():
        raise unknown_name("skeleton", name, available())
    text = files(__name__).joinpath("tables", f"{name}.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    names = tuple(row["name"] for row in rows)
    index = {point: i for i, point in enumerate(names)}
    return Skeleton(
        name=name,
        names=names,
        parents=tuple(index[row["parent"]] if row["parent"] else -1 for row in rows),
        swaps=tuple(index[row["swap"]] if row["swap"] else i for i, row in enumerate(rows)),
        levels=tuple(row["level"] for row in rows),
        to_simspine=MappingProxyType({row["name"]: row["simspine"] for row in rows if row["simspine"]}),
        notes=MappingProxyType({row["name"]: row["note"] for row in rows if row["note"]}),
        sigmas=tuple(float(row["sigma"]) for row in rows if "sigma" in row),
        weights=tuple(float(row["weight"]) for row in rows if "weight" in row),
    )


def by_size(points: int) -> Skeleton:
    """The skeleton that a detector's file or network with this many points means (17: COCO, 37: SpineTrack)."""
    if points not in _BY_SIZE:
        known = ", ".join(f"{size} ({name})" for size, name in sorted(_BY_SIZE.items()))
        raise InputError(f"no skeleton with {points} points is known. Known: {known}. Name the skeleton explicitly.")
    return load(_BY_SIZE[points])


def by_names(names: Sequence[str]) -> Skeleton:
    """The skeleton whose points these are, or some of its points; raises `InputError` listing those there are.

    Markers on the skin belong to any.

    SIMSPINE's own counts first, then the one with the fewest other points.
    """
    wanted = set(names) - set(on_skin(names))
    fitting = [skeleton for skeleton in map(load, available()) if wanted <= set(skeleton.names)]
    if not fitting:
        raise InputError(
            f"no skeleton has the points {', '.join(names)}. Known skeletons: {', '.join(available())}; rename the "
            "points to one of them (simspine.skeletons.load(name).names)."
        )
    return min(fitting, key=lambda skeleton: (skeleton.name != TARGET, len(skeleton)))


def translate(keypoints: Keypoints, skeleton: Skeleton | str) -> Keypoints:
    """Native points → the 37 SIMSPINE points, in their order; those without a counterpart are NaN with confidence 0.

    `keypoints` may lack points of `skeleton`; a name that is not the skeleton's is an `InputError`. Markers on the skin
    follow the 37, as they are.
    """
    skeleton = load(skeleton) if isinstance(skeleton, str) else skeleton
    target = load(TARGET)
    xy = np.full((*keypoints.xy.shape[:2], len(target), 2), np.nan)
    confidence = np.zeros(xy.shape[:3])
    origin = [Origin.DETECTED] * len(target)
    skin = on_skin(keypoints.names)
    for i, native in enumerate(keypoints.names):
        if native in skin:
            continue
        skeleton.index(native)
        if native in skeleton.to_simspine:
            j = target.index(skeleton.to_simspine[native])
            xy[:, :, j], confidence[:, :, j] = keypoints.xy[:, :, i], keypoints.confidence[:, :, i]
            origin[j] = keypoints.origin[i]
    return with_points(Keypoints(target.names, keypoints.rate, xy, confidence, tuple(origin)), keypoints.select(skin))


def with_points(keypoints: Keypoints, more: Keypoints) -> Keypoints:
    """The points of both, of the same frames and views."""
    return Keypoints(
        (*keypoints.names, *more.names),
        keypoints.rate,
        np.concatenate([keypoints.xy, more.xy], 2),
        np.concatenate([keypoints.confidence, more.confidence], 2),
        (*keypoints.origin, *more.origin),
    )
