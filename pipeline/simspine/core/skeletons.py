"""Skeletons, names of markers, regions of the spine, correspondences with motion capture, axes of body segments.

Each skeleton is a table (CSV). `translate` turns a detector's points into the 37 SIMSPINE points that the
rest of the program uses. A point that lies elsewhere on the body has no counterpart, however similar its name: the
`Hip` of Human3.6M is the mid-point of the hip joints, the `Hip` of SIMSPINE is on the sacrum. The column `note` says
why.
"""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import combinations, pairwise
from os.path import commonprefix
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from simspine.core.errors import InputError, index_of_name, naming_content, require_file, require_known
from simspine.core.types import Keypoints, Markers, Origin

# How a marker's name shows that it was inferred.
INFERRED_SUFFIX = "_inferred"


def add_inferred_suffix(markers: Markers) -> Markers:
    """Markers of origin INFERRED get `_inferred` in their name, so that a format without room for origins shows it."""
    inferred = markers.names_of(Origin.INFERRED)
    return markers.with_(names=tuple(base_name(n) + INFERRED_SUFFIX if n in inferred else n for n in markers.names))


def split_inferred_suffix(markers: Markers, frames: np.ndarray) -> Markers:
    """Move the positions in `frames` (frames,) bool, of all markers, to new columns whose names end in `_inferred`.
    For formats that cannot mark a frame."""
    if not frames.any():
        return markers
    inferred = frames[:, None, None]
    return Markers(
        (*markers.names, *(base_name(name) + INFERRED_SUFFIX for name in markers.names)),
        markers.rate,
        np.concatenate([np.where(inferred, np.nan, markers.xyz), np.where(inferred, markers.xyz, np.nan)], 1),
        markers.frame,
        start=markers.start,
    )


def base_name(name: str) -> str:
    """The point's name without the suffix `_inferred`."""
    return name.removesuffix(INFERRED_SUFFIX)


# Spellings of names.
_SIDE_OF_WORD = {"L": "L", "LT": "L", "LEFT": "L", "R": "R", "RT": "R", "RIGHT": "R"}
_NAME_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_VERTEBRA_NAME = re.compile(r"([CTLS])V?0*(\d{1,2})")
_THORACIC_NAME, _MOST_CLUSTER_MARKERS = re.compile(r"TH0*([1-9]|1[0-2])"), 4  # TH1 to TH4 may be a cluster
_NAME_SEPARATOR = re.compile(r"([:_.\s|-]+)")  # a group, so that `split` keeps it
_LETTER = re.compile("[A-Za-z]")
_MIN_PREFIXED_NAMES = 6  # fewer names that begin with `LFoot_` may be markers of a left foot


def plain_name(name: str) -> str:
    """A name in capitals, with its side first, and without separators and a subject before a colon.

    'Ada:L_asi', 'ASI left' and 'Lt. ASI' are 'LASI'; 'CV7' and 'C07' are 'C7'.
    """
    words = [word.upper() for word in _NAME_WORD.findall(name.rpartition(":")[2])]
    at_either_end = [(words[0], words[1:]), (words[-1], words[:-1])] if len(words) > 1 else []
    for side, others in at_either_end:
        if side in _SIDE_OF_WORD:
            moved = _SIDE_OF_WORD[side] + "".join(others)
            if not _VERTEBRA_NAME.fullmatch(moved):  # LT1 is not L1
                return moved
    plain = "".join(words)
    vertebra = _VERTEBRA_NAME.fullmatch(plain)
    return plain if vertebra is None else f"{vertebra[1]}{vertebra[2]}"


def thoracic_names(names: Sequence[str]) -> dict[str, str]:
    """{'Th4': 'T4'} for names of thoracic vertebrae; {} where they may be markers of a thigh or thorax.

    They are vertebrae if one number is above 4 and the set also has vertebrae of another region, such as C7 or L3.
    """
    plain = {name: plain_name(name) for name in names}
    numbers = {name: int(found[1]) for name, one in plain.items() if (found := _THORACIC_NAME.fullmatch(one))}
    regions = {found[1] for one in plain.values() if (found := _VERTEBRA_NAME.fullmatch(one))}
    if not regions or "T" in regions or max(numbers.values(), default=0) <= _MOST_CLUSTER_MARKERS:
        return {}
    return {name: f"T{number}" for name, number in numbers.items()}


def subject_prefix(names: Sequence[str]) -> str:
    """The beginning of all names up to a separator and a side, such as a subject's name; '' without any.

    Raises `InputError` for markers of two people.
    """
    parts = _NAME_SEPARATOR.split(commonprefix(names))  # noqa: RUF071 - of letters: names are not paths
    prefix = ""
    for word, separator in zip(parts[:-1:2], parts[1::2], strict=True):
        if not word or word.upper() in _SIDE_OF_WORD:
            break
        prefix += word + separator
    if not prefix:
        _require_one_subject(names)
        return ""
    is_subject = ":" in prefix or len(names) >= _MIN_PREFIXED_NAMES
    leaves_names = all(_LETTER.search(name.removeprefix(prefix)) for name in names)
    return prefix if is_subject and leaves_names else ""


def _require_one_subject(names: Sequence[str]) -> None:
    """Raise `InputError` where the names of a whole body, vertebrae or both sides, stand after two beginnings."""
    names_of: dict[str, set[str]] = {}
    for name in names:
        subject, *rest = _NAME_SEPARATOR.split(name, maxsplit=1)
        if subject and subject.upper() not in _SIDE_OF_WORD:
            names_of.setdefault(subject, set()).update(map(plain_name, filter(_LETTER.search, rest)))
    for one, other in combinations(names_of, 2):
        both = names_of[one] & names_of[other]
        whole = [n for n in both if _VERTEBRA_NAME.fullmatch(n) or {f"L{n[1:]}", f"R{n[1:]}"} <= both]
        if len(both) >= _MIN_PREFIXED_NAMES and 2 * len(whole) >= len(both):
            raise InputError(f"the markers are those of {one}, {other}; expected one person's. Export each alone.")


# How a marker's name shows that it is on the skin.
SKIN_SUFFIX = "_skin"
_TAPE_DOT_NAME = re.compile(r"([CTLS]\d+)\.(\d\d)")


def is_skin_marker(names: Iterable[str]) -> tuple[str, ...]:
    """The names of skin markers among `names`: `C7_skin`, `LPSIS_skin`."""
    return tuple(name for name in names if name.endswith(SKIN_SUFFIX))


def without_skin_markers(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if not name.endswith(SKIN_SUFFIX))


def skin_landmark(name: str) -> str:
    """The landmark under a skin marker: `C7_skin` → 'C7'."""
    return name.removesuffix(SKIN_SUFFIX)


def levels_of_tape_dot(landmark: str) -> tuple[str, float] | None:
    """The level above a tape dot, and the dot's share of the way to the next level: 'T7.40' → ('T7', 0.4)."""
    match = _TAPE_DOT_NAME.fullmatch(landmark)
    return None if match is None else (match[1], int(match[2]) / 100)


def is_tape_dot(names: Iterable[str]) -> tuple[str, ...]:
    """The names of tape dots among `names`: `T7.40_skin`."""
    return tuple(name for name in is_skin_marker(names) if levels_of_tape_dot(skin_landmark(name)) is not None)


SIMSPINE_SKELETON = "simspine37"

# Skeletons by number of points. Where two have the same number, a file of 2D points means the one that detectors write.
_BY_SIZE = {15: "simspine15", 25: "body25", 26: "halpe26", 32: "human36m32", 33: "blazepose33"}
_BY_SIZE |= {17: "coco17", 37: "spinetrack37", 133: "coco_wholebody133", 136: "halpe136"}


@dataclass(frozen=True)
class Skeleton:
    """A set of named points, in the order its files and networks use.

    parents: index of each point's parent in a drawing tree, -1 for the root. swaps: index of the mirrored point (its
    own on the mid-line). levels: vertebral level ('L5', 'sacrum', …) or ''. to_simspine: native name → SIMSPINE name,
    only where both are the same place on the body. sigmas: of object keypoint similarity; weights: of a point in
    training; both () where no source states them.
    """

    name: str
    names: tuple[str, ...]
    parents: tuple[int, ...]
    swaps: tuple[int, ...]
    levels: tuple[str, ...]
    to_simspine: Mapping[str, str]
    sigmas: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Position of `name`; raises `InputError` listing the names there are."""
        return index_of_name(name, self.names, "point", f"skeleton {self.name!r}")

    def from_simspine(self, name: str) -> int | None:
        """Position of the point that is SIMSPINE's `name`, or None."""
        return next((i for i, native in enumerate(self.names) if self.to_simspine.get(native) == name), None)


def skeleton_names() -> tuple[str, ...]:
    return table_names_in("tables")


def table_names_in(folder: str) -> tuple[str, ...]:
    """Names of the CSV files in a folder beside this module."""
    names = (entry.name for entry in files(__package__).joinpath(folder).iterdir())
    return tuple(sorted(name.removesuffix(".csv") for name in names if name.endswith(".csv")))


@cache
def load_skeleton(name: str) -> Skeleton:
    """The skeleton `name`; raises `InputError` listing those there are."""
    require_known("skeleton", (name,), skeleton_names())
    text = files(__package__).joinpath("tables", f"{name}.csv").read_text(encoding="utf-8")
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
        sigmas=tuple(float(row["sigma"]) for row in rows if "sigma" in row),
        weights=tuple(float(row["weight"]) for row in rows if "weight" in row),
    )


def skeleton_of_size(points: int) -> Skeleton:
    """The skeleton that a detector's file or network with this many points means (17: COCO, 37: SpineTrack)."""
    if points not in _BY_SIZE:
        known = ", ".join(f"{size} ({name})" for size, name in sorted(_BY_SIZE.items()))
        raise InputError(f"no skeleton with {points} points is known. Known: {known}. Name the skeleton explicitly.")
    return load_skeleton(_BY_SIZE[points])


def skeleton_of_names(names: Sequence[str]) -> Skeleton:
    """The skeleton whose points these are, or some of its points; raises `InputError` listing those there are.

    Skin markers are ignored. A skeleton with exactly these points comes first (HALPE's 26 names are SIMSPINE's, at
    other places), then SIMSPINE's, then the one with the fewest other points.
    """
    wanted = set(names) - set(is_skin_marker(names))
    fitting = [skeleton for skeleton in map(load_skeleton, skeleton_names()) if wanted <= set(skeleton.names)]
    if not fitting:
        raise InputError(
            f"no skeleton has the {len(names)} points {', '.join(names[:5])} …; known: {', '.join(skeleton_names())}; "
            "rename the points to one of them (simspine.core.skeletons.load_skeleton(name).names)."
        )
    return min(fitting, key=lambda one: (set(one.names) != wanted, one.name != SIMSPINE_SKELETON, len(one)))


def translate(keypoints: Keypoints, skeleton: Skeleton | str) -> Keypoints:
    """Native points of a detector as the 37 SIMSPINE points.

    Parameters
    ----------
    keypoints : Keypoints
        May lack points of the skeleton.
    skeleton : str or Skeleton
        Skeleton of `keypoints`, such as 'spinetrack37'.

    Returns
    -------
    Keypoints
        The 37 points in their order; those without a counterpart are NaN with confidence 0. Markers on the skin follow
        them unchanged.

    Raises
    ------
    InputError
        For a name that is not the skeleton's.
    """
    skeleton = load_skeleton(skeleton) if isinstance(skeleton, str) else skeleton
    target = load_skeleton(SIMSPINE_SKELETON)
    xy = np.full((*keypoints.xy.shape[:2], len(target), 2), np.nan)
    confidence = np.zeros(xy.shape[:3])
    origin = [Origin.DETECTED] * len(target)
    skin = is_skin_marker(keypoints.names)
    for i, native in enumerate(keypoints.names):
        if native in skin:
            continue
        skeleton.index(native)
        if native in skeleton.to_simspine:
            j = target.index(skeleton.to_simspine[native])
            xy[:, :, j], confidence[:, :, j] = keypoints.xy[:, :, i], keypoints.confidence[:, :, i]
            origin[j] = keypoints.origin[i]
    translated = Keypoints(target.names, keypoints.rate, xy, confidence, origin=tuple(origin))
    return with_points_added(translated, keypoints.select(skin))


def with_points_added(keypoints: Keypoints, more: Keypoints) -> Keypoints:
    """The points of both, which must have the same frames and views."""
    return Keypoints(
        names=(*keypoints.names, *more.names),
        rate=keypoints.rate,
        xy=np.concatenate([keypoints.xy, more.xy], 2),
        confidence=np.concatenate([keypoints.confidence, more.confidence], 2),
        origin=(*keypoints.origin, *more.origin),
    )


# Regions of the 37 points: of SIMSPINE's, as the tables of its paper group them, and of SpineTrack's evaluation.
# In SIMSPINE nose and head top count as cervical, the sacrum as lumbar. SpineTrack's head, clavicles and
# latissimus count in `all` only.
_SPINE_POINTS_BY_REGION = {
    "cervical": ("Nose", "Head", "Neck", "Neck_02", "Neck_03"),
    "thoracic": ("Spine_04", "Spine_05", "RLatissimus", "LLatissimus", "RClavicle", "LClavicle"),
    "lumbar": ("Hip", "Spine_01", "Spine_02", "Spine_03"),
}
SPINE_REGIONS = MappingProxyType(_SPINE_POINTS_BY_REGION)
GROUND_SEGMENTS = ("pelvis", "thorax")  # segments whose angles are relative to the ground
POINTS_BY_REGION = MappingProxyType(
    _SPINE_POINTS_BY_REGION
    | {
        "body": tuple(
            n for n in load_skeleton(SIMSPINE_SKELETON).names if n not in sum(_SPINE_POINTS_BY_REGION.values(), ())
        )
    }
)

_SPINETRACK_NAMES = load_skeleton("spinetrack37").names
SPINETRACK_REGIONS = MappingProxyType({
    "body": _SPINETRACK_NAMES[:17],
    "feet": _SPINETRACK_NAMES[20:26],
    "spine": ("neck_03", "neck_02", "neck", *(f"spine_0{k}" for k in range(5, 0, -1)), "hip"),
    "all": _SPINETRACK_NAMES,
})  # fmt: skip
# The nine points of files that SpinePose writes with `--spine-only`: from the sacrum upwards.
SPINEPOSE_SPINE = SPINETRACK_REGIONS["spine"][::-1]


# Points along the spine and the vertebrae they are named after. A point has one of two places on its vertebra.
# `released`: where the SIMSPINE release has its markers, near the tips of the spinous processes. `vertebral`: the
# centroid of the vertebra, as its paper defines the points (docs/marker-atlas.md).
_SIMSPINE_TABLE = load_skeleton(SIMSPINE_SKELETON)
# The nine points along the spine, from below, and the vertebra of each.
VERTEBRA_OF = {
    name: level.replace("sacrum", "S1")
    for name, level in zip(_SIMSPINE_TABLE.names, _SIMSPINE_TABLE.levels, strict=True)
    if level
}


def points_at_vertebrae(markers: Markers, centres: Markers) -> Markers:
    """`markers` with the points along the spine moved to the centroids of their vertebrae; the others stay.

    centres: centroids by level (C1 … L5, S1), of the same frames and axes. Covariances are kept where both have them.
    Raises `InputError` where frames differ or a vertebra is missing.
    """
    if (markers.frames, markers.frame) != (centres.frames, centres.frame):
        raise InputError(
            f"markers have {markers.frames} frames in {markers.frame!r}, centres {centres.frames} in "
            f"{centres.frame!r}; both must be alike."
        )
    along = [name for name in markers.names if name in VERTEBRA_OF]
    to, source = markers.indices(along), centres.indices([VERTEBRA_OF[name] for name in along])
    xyz = np.array(markers.xyz)
    xyz[:, to] = centres.xyz[:, source]
    covariance = None
    if markers.covariance is not None and centres.covariance is not None:
        covariance = np.array(markers.covariance)
        covariance[:, to] = centres.covariance[:, source]
    return markers.with_(xyz=xyz, covariance=covariance)


# Correspondences of a motion capture's markers (or joints) with SIMSPINE points, and their weights: CSV tables with the
# columns joint, point, role, weight, sd_m, note. A joint without a point is not used; its note says why. The code
# released with SIMSPINE overwrites Hip, Spine_04, Neck and Nose with joints of Human3.6M that lie elsewhere.
CORRESPONDENCE_COLUMNS = ("joint", "point", "role", "weight", "sd_m", "note")


class PointCorrespondence(NamedTuple):
    """marker: its name in the motion capture. point: SIMSPINE's name of the same place on the body.

    weight: on the scale of a triangulated point's confidence, 0…1. sd: standard deviation of a coordinate, m, errors
    of placing the joint included.
    """

    marker: str
    point: str
    weight: float = 1.0
    sd: float = 0.006


def read_correspondence(name: str) -> tuple[PointCorrespondence, ...]:
    """The pairs of a packaged table, by name, or of a CSV file, by path. `InputError` names the faulty line."""
    if name.lower().endswith(".csv"):
        require_file(name)
        with naming_content(name, "a readable table of correspondences"):
            text = Path(name).read_text(encoding="utf-8-sig")
    else:
        require_known("table of correspondences", (name,), table_names_in("correspondences"))
        text = files(__package__).joinpath("correspondences", f"{name}.csv").read_text(encoding="utf-8")
    with naming_content(name, "a readable table of cells; save it anew as CSV"):
        rows = csv.DictReader(text.splitlines())
        if tuple(rows.fieldnames or ()) != CORRESPONDENCE_COLUMNS:
            raise InputError(f"{name} begins with {rows.fieldnames}, expected {','.join(CORRESPONDENCE_COLUMNS)}.")
        wanted = [(number, row) for number, row in enumerate(rows, start=2) if row["point"]]
    pairs = [_point_correspondence(row, f"{name}, line {number}") for number, row in wanted]
    for field in ("marker", "point"):
        values = [getattr(pair, field) for pair in pairs]
        if repeated := sorted({v for v in values if values.count(v) > 1}):
            raise InputError(f"{name}: {field} named twice: {', '.join(repeated)}.")
    if not pairs:
        raise InputError(f"{name}: no joint has a point.")
    return tuple(pairs)


def _point_correspondence(row: dict, where: str) -> PointCorrespondence:
    require_known("point", (row["point"],), load_skeleton(SIMSPINE_SKELETON).names, where)
    with naming_content(where, f"two numbers: weight {row['weight']!r} and sd_m {row['sd_m']!r}"):
        weight, sd = float(row["weight"]), float(row["sd_m"])
    if not (0 < weight < 1e6 and 0 < sd < 1):
        raise InputError(f"{where}: weight {weight:g} must be positive, sd_m {sd:g} m between 0 and 1.")
    return PointCorrespondence(row["joint"], row["point"], weight, sd)


# Axes of the body segment of each of the 37 points, from the points alone: columns forward, up, right.
# Trunk and head: from landmarks. Limbs: the trunk's axes carried along the chain by the least rotation from one segment
# to the next, which has no jumps as long as no joint folds flat on itself.


# Frame: (below, above) of its up axis, (left, right) of its right axis.
_TRUNK_FRAMES = {
    "pelvis": ("Hip", "Spine_03", "LHip", "RHip"),
    "thorax": ("Spine_03", "Neck", "LShoulder", "RShoulder"),
    "head": ("Neck_03", "Head", "LEar", "REar"),
}
_FRAME_OF_POINT = {name: "pelvis" for name in ("Hip", "Spine_01", "Spine_02", "Spine_03", "LHip", "RHip")}
_FRAME_OF_POINT |= {name: "head" for name in ("Neck_03", "Head", "Nose", "LEye", "REye", "LEar", "REar")}
# Limb: the frame it hangs on, where its first segment points when the frames agree (forward, up, right), joints.
_LIMB_CHAINS = {
    "arm": ("thorax", (0.5**0.5, -(0.5**0.5), 0.0), ("Shoulder", "Elbow", "Wrist")),
    "leg": ("pelvis", (0.0, -1.0, 0.0), ("Hip", "Knee", "Ankle")),
}
_FOOT_POINTS = ("BigToe", "SmallToe", "Heel")  # turn with the shank: toes bend too little to matter


def point_axes(names: Sequence[str], xyz: np.ndarray) -> np.ndarray:
    """(frames, points, 3, 3) axes of 37 points xyz (frames, points, 3), in its frame; columns forward, up, right."""
    positions = {name: xyz[:, i] for i, name in enumerate(names)}
    trunk = {
        part: upright_axes(positions[above] - positions[below], positions[right] - positions[left])
        for part, (below, above, left, right) in _TRUNK_FRAMES.items()
    }
    axes = {name: trunk[_FRAME_OF_POINT.get(name, "thorax")] for name in names}
    for frame, start, joints in _LIMB_CHAINS.values():
        for side in "LR":
            turned, before = trunk[frame], trunk[frame] @ np.array(start)
            for near, far in pairwise(joints):
                along = unit_vectors(positions[side + far] - positions[side + near])
                turned, before = axes_after_least_rotation(turned, before, along), along
                axes[side + far] = turned
    for side in "LR":
        axes |= {side + part: axes[f"{side}Ankle"] for part in _FOOT_POINTS}
    return np.stack([axes[name] for name in names], 1)


def upright_axes(up: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(…, 3, 3) columns forward, up, right; up (…, 3) is kept, right (…, 3) made perpendicular to it."""
    up = unit_vectors(up)
    right = unit_vectors(right - (right * up).sum(-1, keepdims=True) * up)
    return np.stack([np.cross(up, right), up, right], -1)


def axes_after_least_rotation(axes: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Axes (frames, 3, 3) after the least rotation that takes the unit vectors source (frames, 3) to target."""
    v, cosine = np.cross(source, target), (source * target).sum(-1)[:, None, None]
    skew = np.cross(np.eye(3), v[:, None, :]).transpose(0, 2, 1) * -1
    # Rodrigues: R = 1 + [v] + [v]²/(1 + cos)
    return axes + skew @ axes + skew @ (skew @ axes) / np.maximum(1 + cosine, 1e-6)


def unit_vectors(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)
