"""One person's spine: sizes of vertebrae and discs, standing curve, how it shares motion out over its levels.

Everything is drawn from published means and spreads (tables/, docs/virtual-capture.md), nothing from the priors of
this package's estimators, so that it is an independent reference. Of spacing and standing curve there is a second
family, drawn from the statistics of CT scans (`ct_spines`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from simspine.capture.population import read_levels, read_population, truncated
from simspine.errors import unknown_name

Stream = Callable[..., np.random.Generator]
FAMILIES = ("published", "scans")  # where spacing and standing curve are from


@dataclass(frozen=True, eq=False)
class SyntheticSpine:
    """A person's spine; levels from L5–S1 to C1–skull as in `population.Levels`, 25 of them.

    spacing: (levels,) m between the centres of neighbouring vertebrae, NaN where none is published (sized like the next
    ones). vertebra: (levels,) height of the vertebra above each level, relative to its neighbours'; the disc has what
    the vertebrae leave of the spacing. lordosis, kyphosis: standing LLA and TKA, rad. lordosis_parts (5,),
    kyphosis_parts (9,): parts of the levels, from below, in what differs from the generic curve; sum 1. own_curve:
    (levels, 2) rad, a level's own deviation in flexion and bending. curve: (levels,) rad, extension against the generic
    curve, where that is drawn as a whole; lordosis, kyphosis and the own flexion then have no effect. wedge:
    (levels, 2) rad, tilt of the lower and the upper endplate of the vertebra above each level. sacral_tilt: rad, of the
    sacrum's endplate. centre: (levels, 3) m, centre of rotation from the disc's middle. shares: (levels, 3) of a
    region's flexion, bending, rotation; sum 1 per region. change: (levels, 3) of the share with the amount of motion.
    rotation_per_bending: (levels,). shift: (levels, 3) m/rad: forward per flexion, up per flexion, right per bending.
    c7_behind_hips: m, when standing. head_tilt: rad, forward.
    """

    spacing: np.ndarray
    vertebra: np.ndarray
    lordosis: float
    kyphosis: float
    lordosis_parts: np.ndarray
    kyphosis_parts: np.ndarray
    own_curve: np.ndarray
    wedge: np.ndarray
    sacral_tilt: float
    centre: np.ndarray
    shares: np.ndarray
    change: np.ndarray
    rotation_per_bending: np.ndarray
    shift: np.ndarray
    c7_behind_hips: float
    head_tilt: float
    curve: np.ndarray | None = None


def sample_spine(
    draw: Stream, sex: str, stature: float, hips_forward: float = 0.0, family: str = "published"
) -> SyntheticSpine:
    """A spine. draw(quantity) gives the generator of a quantity; stature in m; hips_forward: m, how far before those of
    the generic pelvis the hips are; family: one of `FAMILIES`.

    All but spacing and curve is the same for equal streams in either family.
    """
    if family not in FAMILIES:
        raise unknown_name("family of spines", family, FAMILIES)
    spine = _published(draw, sex, stature, hips_forward)
    if family == "published":
        return spine
    from simspine.capture.ct_spines import sample_curve, sample_shape, spacing_of

    shape = sample_shape(draw, stature / read_population()["spine_reference_stature_m"], _stature_spread())
    return replace(spine, spacing=spacing_of(shape), curve=sample_curve(draw, shape, spine.sacral_tilt))


def _published(draw: Stream, sex: str, stature: float, hips_forward: float) -> SyntheticSpine:
    table, levels = read_population(), read_levels()
    count = len(levels.names)
    rad = np.radians
    kyphosis = table["kyphosis"][sex]
    sacral_tilt = float(rad(truncated(draw("sacral endplate"), 0.0, table["sacral_tilt_sd"])))
    by_level = np.array(list(table["lordosis_by_level"].values()))
    return SyntheticSpine(
        spacing=_spacing(draw, stature),
        vertebra=1 + table["vertebra_cv"] * truncated(draw("vertebral heights"), np.zeros(count), 1.0),
        lordosis=_lordosis(draw, sacral_tilt + hips_forward / table["pelvic_radius_m"]),
        kyphosis=float(rad(truncated(draw("kyphosis"), *kyphosis))),
        lordosis_parts=_parts(draw("lordosis by level"), by_level, table["lordosis_share_cv"]),
        kyphosis_parts=_parts(draw("kyphosis by level"), np.ones(9), table["kyphosis_share_cv"]),
        own_curve=_own_curve(draw),
        wedge=rad(table["wedge_sd"]) * truncated(draw("endplates"), np.zeros((count, 2)), 1.0),
        sacral_tilt=sacral_tilt,
        centre=truncated(draw("joint centres"), np.zeros((count, 3)), np.array([*table["joint_centre_sd_m"], 0.0])),
        shares=_shares(draw),
        change=table["share_change_sd"] * truncated(draw("change of shares"), np.zeros((count, 3)), 1.0, limit=2.0),
        rotation_per_bending=_by_region(draw("rotation with bending"), table["rotation_per_bending"], each=False),
        shift=_shifts(draw),
        c7_behind_hips=float(truncated(draw("plumb line"), *table["c7_behind_hips_m"].values())),
        head_tilt=float(rad(truncated(draw("head tilt"), *table["head_tilt"].values()))),
    )


def _lordosis(draw: Stream, incidence: float) -> float:
    """rad. incidence: rad, of the pelvis, against the mean; both spreads together make the published one."""
    table = read_population()
    figures, hips = table["lordosis"], table["hips_m"]["forward"][1] / table["pelvic_radius_m"]
    with_it = figures["on_incidence"] * np.hypot(np.radians(table["sacral_tilt_sd"]), hips)
    own = np.sqrt(np.radians(figures["sd"]) ** 2 - with_it**2)
    return float(truncated(draw("lordosis"), np.radians(figures["mean"]), own) + figures["on_incidence"] * incidence)


def _spacing(draw: Stream, stature: float) -> np.ndarray:
    """Published mean × (stature) × (trunk) × (level). The three spreads together make the published one.

    What all levels share is the spread of the whole arc; the rest of a level's published spread is its own.
    """
    table, levels = read_population(), read_levels()
    relative = levels.spacing_sd / levels.spacing
    spread = _stature_spread()
    trunk = np.sqrt(max(table["spine_arc_cv"] ** 2 - spread**2, 0.0))
    own = np.sqrt(np.maximum(relative**2 - table["spine_arc_cv"] ** 2, 0.02**2))
    common = 1 + trunk * float(truncated(draw("trunk"), 0.0, 1.0))
    ratio = stature / table["spine_reference_stature_m"]
    return levels.spacing * ratio * common * (1 + own * truncated(draw("spacing"), np.zeros(len(own)), 1.0))


def _stature_spread() -> float:
    """Relative sd of the stature of both sexes together."""
    both = list(read_population()["stature_m"].values())
    mean = np.mean([m for m, _ in both])
    variance = np.mean([sd**2 + (m - mean) ** 2 for m, sd in both])
    return float(np.sqrt(variance) / mean)


def _parts(rng: np.random.Generator, mean: np.ndarray, cv: float) -> np.ndarray:
    parts = mean * np.exp(cv * truncated(rng, np.zeros(len(mean)), 1.0))
    return parts / parts.sum()


def _own_curve(draw: Stream) -> np.ndarray:
    """Deviations that sum to nothing over each region, so that the curve as a whole is what it is said to be."""
    table, levels = read_population(), read_levels()
    sd = np.radians([table["level_angle_sd"], table["level_bend_sd"]])
    own = sd * truncated(draw("own curve"), np.zeros((len(levels.names), 2)), 1.0)
    for region in levels.regions:
        i = levels.within(region)
        own[i] -= own[i].mean(0)
    return own


def _shares(draw: Stream) -> np.ndarray:
    levels = read_levels()
    motion = levels.motion * np.maximum(
        1 + levels.motion_cv * truncated(draw("shares of motion"), np.zeros(levels.motion.shape), 1.0), 0.15
    )
    for region in levels.regions:
        i = levels.within(region)
        motion[i] /= motion[i].sum(0)
    return motion


def _shifts(draw: Stream) -> np.ndarray:
    table = read_population()
    forward = _by_region(draw("forward shift"), table["forward_per_flexion"])
    down = _by_region(draw("downward shift"), table["down_per_flexion"])
    right = _by_region(draw("sideways shift"), table["right_per_bending"])
    return np.column_stack([forward, -down, right])


def _by_region(rng: np.random.Generator, figures: Mapping[str, tuple[float, float]], each: bool = True) -> np.ndarray:
    """(levels,) numbers whose mean and sd depend on the region; each: one per level, else one per region."""
    levels = read_levels()
    out = np.zeros(len(levels.names))
    for region in levels.regions:
        i = levels.within(region)
        out[i] = truncated(rng, *figures[region], size=(len(i),) if each else (1,), limit=2.0)
    return out
