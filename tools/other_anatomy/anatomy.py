"""People of another anatomy: sampled from published sizes, and nothing of the estimator's body or tables.

Lengths in m, angles in rad; axes x forward, y up, z right. Figures and sources: `foreign.yaml`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import yaml

from simspine.synthesis.signals import random_stream

MOTION_AXES = 3  # flexion, bending to the right, turning to the left


@dataclass(frozen=True, eq=False)
class ForeignSpine:
    """Sizes and standing curve; arrays from below.

    vertebrae: S1 … C1. levels: L5-S1 … skull-C1, region: of each. height, wedge: (25,) of the vertebral bodies,
    in the middle, wedge lordotic positive; S1's: twice what its endplate leans back in its body. disc, disc_angle,
    sideways: (25,) of the levels, standing. centre: (25, 2) of rotation, before and above the middle of the disc.
    shares: (25, 3) of the region's flexion, bending, rotation.
    """

    vertebrae: tuple[str, ...]
    levels: tuple[str, ...]
    region: tuple[str, ...]
    height: np.ndarray
    wedge: np.ndarray
    disc: np.ndarray
    disc_angle: np.ndarray
    sideways: np.ndarray
    centre: np.ndarray
    shares: np.ndarray

    def within(self, region: str) -> np.ndarray:
        """Indices of a region's levels."""
        return np.flatnonzero(np.array(self.region) == region)


@dataclass(frozen=True, eq=False)
class ForeignSubject:
    """A person of another anatomy, as drawn.

    sizes: lengths, m, by name. gains: of the shoulder girdle with the arm's elevation, rad/rad, and toes_out, rad.
    places: (3,) m by name: shoulder from T1, sternum from T3, latissimus from T7, acromion from the shoulder, head's
    points from the condyles, the right foot's from below the ankle. lordosis, kyphosis, slope, tilt, head_pitch:
    standing, rad.
    """

    seed: int
    index: int
    sex: str
    stature: float
    sizes: Mapping[str, float]
    gains: Mapping[str, float]
    places: Mapping[str, np.ndarray]
    spine: ForeignSpine
    lordosis: float
    kyphosis: float
    slope: float
    tilt: float
    head_pitch: float

    @property
    def name(self) -> str:
        return f"F{self.index + 1:02d}"

    @property
    def incidence(self) -> float:
        """Pelvic incidence, rad."""
        return self.slope + self.tilt

    def stream(self, *labels: str) -> np.random.Generator:
        """Random numbers of one quantity of this person."""
        return random_stream(self.seed, "foreign", str(self.index), *labels)

    def scaled(self, factor: float) -> "ForeignSubject":
        """The same person with all lengths but the stature multiplied."""
        spine = {name: factor * getattr(self.spine, name) for name in ("height", "disc", "centre")}
        return replace(
            self,
            sizes={name: factor * length for name, length in self.sizes.items()},
            places={name: factor * place for name, place in self.places.items()},
            spine=replace(self.spine, **spine),
        )


@cache
def read_foreign() -> dict:
    """`foreign.yaml` as it is: mm and degrees."""
    return yaml.safe_load((Path(__file__).parent / "foreign.yaml").read_text("utf-8"))


def draw_normal(rng: np.random.Generator, figure, unit: float = 1.0) -> float:
    """A draw from [mean, sd], within 2.5 sd."""
    mean, sd = figure
    return unit * (mean + sd * _limited_normals(rng))


def _limited_normals(rng: np.random.Generator, shape=None) -> np.ndarray:
    return np.clip(rng.standard_normal(shape), -2.5, 2.5)


def sample_subject(seed: int, index: int) -> ForeignSubject:
    """Everything that is drawn of a person; the slope of the sacrum follows from balance, see `balanced_slope`."""
    table = read_foreign()

    def draw(label: str) -> np.random.Generator:
        return random_stream(seed, "foreign", str(index), label)

    sex = ("female", "male")[int(draw("sex").integers(2))]
    stature = draw_normal(draw("stature"), table["stature_m"][sex])
    size = stature / 1.7
    sizes = _segment_sizes(draw("sizes"), table, sex, stature)
    spine, curve = _foreign_spine(draw, table, size)
    before = draw_normal(draw("balance"), table["pelvis"]["c7_before_s1_mm"], size / 1e3)
    slope = balanced_slope(spine, before)
    tilt = np.radians(draw_normal(draw("tilt"), table["pelvis"]["tilt"]))
    spine = _with_sacrum(spine, draw("sacrum"), table["pelvis"]["table"], slope + tilt)
    pitch = np.radians(draw_normal(draw("head"), table["curve"]["head"]))
    spine = _with_neck(spine, draw("neck"), table["curve"], slope=slope, pitch=pitch)
    return ForeignSubject(
        seed=seed,
        index=index,
        sex=sex,
        stature=stature,
        sizes=sizes,
        gains=_motion_gains(draw("gains"), table),
        places=_marker_offsets(draw("places"), table, size, sizes),
        spine=spine,
        lordosis=curve[0],
        kyphosis=curve[1],
        slope=slope,
        tilt=tilt,
        head_pitch=pitch,
    )


def _segment_sizes(rng: np.random.Generator, table: dict, sex: str, stature: float) -> dict[str, float]:
    size = stature / 1.7
    out = {name: stature * mean * (1 + cv * _limited_normals(rng)) for name, (mean, cv) in table["segments"].items()}
    out |= {name: draw_normal(rng, figure[sex], size / 1e3) for name, figure in table["breadths_mm"].items()}
    out["pelvis"] = draw_normal(rng, table["pelvis"]["thickness_mm"], size / 1e3)
    return out


def _motion_gains(rng: np.random.Generator, table: dict) -> dict[str, float]:
    girdle = table["girdle"]
    out = {name: draw_normal(rng, girdle[name]) for name in girdle if name.endswith("_per_elevation")}
    return out | {"toes_out": np.radians(draw_normal(rng, table["foot"]["toes_out"]))}


def _marker_offsets(
    rng: np.random.Generator, table: dict, size: float, sizes: Mapping[str, float]
) -> dict[str, np.ndarray]:
    girdle, spread, foot = table["girdle"], table["head_sd_mm"], table["foot"]
    mm = size / 1e3
    ahead, above = draw_normal(rng, girdle["before_t1_mm"], mm), draw_normal(rng, girdle["above_t1_mm"], mm)
    inner = [draw_normal(rng, girdle[f"sternum_{way}_mm"], mm) for way in ("before_t3", "above_t3", "half")]
    places = {
        "shoulder": np.array([ahead, above, sizes["shoulders"] / 2]),
        "sternum": np.array(inner),
        "acromion": mm * np.array(girdle["acromion_from_shoulder_mm"], float),
        "latissimus": mm * (np.array(girdle["latissimus_mm"]) + girdle["latissimus_sd_mm"] * _limited_normals(rng, 3)),
    }
    head = (1 + 0.3 * (size - 1)) * (1 + spread["size"] * _limited_normals(rng)) / 1e3  # heads vary less than statures
    for name, at in table["head_mm"].items():
        for side in ("R", "L") if at[2] else ("",):
            place = head * (np.array(at) + np.array(spread[name]) * _limited_normals(rng, 3))
            places[side + name] = place * (1, 1, -1 if side == "L" else 1)
    for name in ("Heel", "ball", "BigToe", "SmallToe"):
        jitter = foot["sd"] * _limited_normals(rng, 3) * (1, 0.3, 1)
        places[name] = sizes["foot"] * np.maximum(np.array(foot[name]) + jitter, (-1, 0, -1))
    return places


def _foreign_spine(draw, table: dict, size: float) -> tuple[ForeignSpine, tuple[float, float]]:
    names, levels = tuple(table["vertebrae"]), table["levels"]
    region = tuple(entry["region"] for entry in levels.values())
    rng, spread = draw("vertebrae"), table["height_cv"]
    height, wedge = np.array(list(table["vertebrae"].values()), float).T
    growth = size * (1 + spread["common"] * _limited_normals(rng))
    height = height / 1e3 * growth * (1 + spread["own"] * _limited_normals(rng, len(names)))
    height[0] = height[1]  # S1's centroid lies half of L5's height below its endplate
    height[names.index("C2")] = height[names.index("C3")]  # and C2's half of C3's above
    disc, disc_sd, angle = np.array([entry["disc"] for entry in levels.values()], float).T
    disc = (disc + disc_sd * _limited_normals(draw("discs"), len(disc))) / 1e3 * growth
    centre = np.array([table["rotation_centre_mm"][name] for name in region], float)
    centre += np.array(table["rotation_centre_mm"]["sd"]) * _limited_normals(draw("centres"), centre.shape)
    curve = _spine_curvature(draw("curve"), table["curve"])
    wedge, angle = _share_curve(
        draw("wedges"), table["curve"], (names, tuple(levels)), means=(wedge, angle), curve=curve
    )
    spine = ForeignSpine(
        vertebrae=names,
        levels=tuple(levels),
        region=region,
        height=height,
        wedge=wedge,
        disc=disc,
        disc_angle=angle,
        sideways=np.radians(table["curve"]["sideways"]) * _limited_normals(draw("sideways"), len(levels)),
        centre=centre / 1e3 * growth,
        shares=_level_shares(draw("shares"), levels, region, table["share_concentration"]),
    )
    return spine, curve


def _spine_curvature(rng: np.random.Generator, figures: dict) -> tuple[float, float]:
    """Lordosis and kyphosis, rad, correlated."""
    r = figures["kyphosis_on_lordosis"]
    a, b = rng.standard_normal(2)
    (lla, lla_sd), (tka, tka_sd) = figures["lordosis"], figures["kyphosis"]
    return np.radians(lla + lla_sd * a), np.radians(tka + tka_sd * (r * a + np.sqrt(1 - r**2) * b))


def _share_curve(rng, figures: dict, names, means, curve) -> tuple[np.ndarray, np.ndarray]:
    """Wedges of the vertebrae and angles of the discs, rad, whose sums are the lordosis and the kyphosis drawn."""
    (vertebrae, levels), (wedge, angle) = names, map(np.radians, means)
    wedge = wedge + np.radians(figures["wedge_sd"]) * _limited_normals(rng, len(wedge))
    wedge[[0, -1]] = 0
    wedge[vertebrae.index("C2")] = 0
    angle = angle * (1 + figures["disc_cv"] * _limited_normals(rng, len(angle)))
    bodies = slice(vertebrae.index("L5"), vertebrae.index("L1") + 1)
    discs = slice(levels.index("L5-S1"), levels.index("L1-L2") + 1)
    angle[discs] *= (curve[0] - wedge[bodies].sum()) / angle[discs].sum()
    bodies = slice(vertebrae.index("T12"), vertebrae.index("T3") + 1)
    discs = slice(levels.index("T11-T12"), levels.index("T3-T4") + 1)
    factor = -curve[1] / (wedge[bodies].sum() + angle[discs].sum())
    wedge[bodies] *= factor
    angle[discs] *= factor
    return wedge, angle


def _level_shares(rng: np.random.Generator, levels: dict, region: tuple[str, ...], concentration: float) -> np.ndarray:
    mean = np.array([entry["shares"] for entry in levels.values()], float)
    out = np.empty_like(mean)
    for name in dict.fromkeys(region):
        at = np.flatnonzero(np.array(region) == name)
        for axis in range(MOTION_AXES):
            out[at, axis] = rng.dirichlet(concentration * mean[at, axis])
    return out


def sagittal_curve(spine: ForeignSpine, slope: float) -> tuple[np.ndarray, np.ndarray]:
    """Standing, in the sagittal plane: centroids (26, 2) m from the sacral endplate's centre, and angles (26,) rad.

    By these the vertebrae S1 … C1 and the skull lean back. slope: of S1's endplate.
    """
    lean = [-slope - spine.wedge[0] / 2]
    place = [np.array([0.0, 0.0]) - spine.height[0] / 2 * _up_direction(lean[0])]
    height, wedge = np.append(spine.height, 0.0), np.append(spine.wedge, 0.0)
    for i, (disc, angle) in enumerate(zip(spine.disc, spine.disc_angle, strict=True)):
        upper = lean[i] + wedge[i] / 2  # of the upper endplate
        at = place[i] + height[i] / 2 * _up_direction(lean[i]) + disc * _up_direction(upper + angle / 2)
        lean.append(upper + angle + wedge[i + 1] / 2)
        place.append(at + height[i + 1] / 2 * _up_direction(lean[-1]))
    return np.array(place), np.array(lean)


def _up_direction(lean: float) -> np.ndarray:
    return np.array([-np.sin(lean), np.cos(lean)])


def balanced_slope(spine: ForeignSpine, before: float) -> float:
    """The sacral slope, rad, with which C7's centroid stands `before` (m) the middle of the sacral endplate."""
    place, _ = sagittal_curve(spine, 0.0)
    x, y = place[spine.vertebrae.index("C7")]  # a slope turns the whole about the endplate's middle
    return float(np.arcsin(np.clip(before / np.hypot(x, y), -1, 1)) - np.arctan2(x, y))


def _with_sacrum(spine: ForeignSpine, rng, figures: dict, incidence: float) -> ForeignSpine:
    """The endplate of S1 as it is tilted in its body: the sacral table angle, which goes with the pelvic incidence."""
    more = incidence - np.radians(figures["incidence"])
    tilt = figures["on_incidence"] * more + np.radians(draw_normal(rng, [0.0, figures["sd"]]))
    wedge = spine.wedge.copy()
    wedge[0] = -2 * tilt
    return replace(spine, wedge=wedge)


def _with_neck(spine: ForeignSpine, rng, figures: dict, slope: float, pitch: float) -> ForeignSpine:
    """The neck's angles: its lordosis goes with the slope of T1, and the skull looks where it is drawn to."""
    names, levels = spine.vertebrae, spine.levels
    _, lean = sagittal_curve(spine, slope)
    t1 = -np.degrees(lean[names.index("T1")] + spine.wedge[names.index("T1")] / 2)
    wanted = np.radians(draw_normal(rng, figures["neck"]) + figures["neck_on_slope"] * (t1 - 25))
    bodies = slice(names.index("C7"), names.index("C3") + 1)
    discs = slice(levels.index("C6-C7"), levels.index("C2-C3") + 1)
    angle = spine.disc_angle.copy()
    angle[discs] += (wanted - spine.wedge[bodies].sum() - angle[discs].sum()) / 5
    spine = replace(spine, disc_angle=angle)
    _, lean = sagittal_curve(spine, slope)
    missing = pitch - lean[-1]
    angle = angle.copy()
    angle[-2:] += missing * np.array([0.4, 0.6])
    return replace(spine, disc_angle=angle)
