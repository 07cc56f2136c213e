"""Synthetic subjects: stature, proportions and spine, sampled from published distributions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files

import numpy as np

from simspine.anatomy.recipes import read_recipe
from simspine.anatomy.split_torso import CLAVICLE_MOTIONS, Articulation, girdle_angle
from simspine.synthesis.signals import random_stream, read_table

SHIFT_DIRECTIONS = ("forward", "up", "right")  # translations of a level, along the axes of the vertebra below


@dataclass(frozen=True)
class Levels:
    """Published figures of the levels, from the sacrum up; arrays (levels,) or (levels, 3: flexion, bending, rotation).

    regions: {region: indices of its levels}. spacing, spacing_sd: m, distance of neighbouring vertebral centres; NaN
    where none is published (or, at C1's ring, where it is no height). motion: rad, range of motion; motion_cv: its
    coefficient of variation between people.
    """

    names: tuple[str, ...]
    regions: Mapping[str, np.ndarray]
    spacing: np.ndarray
    spacing_sd: np.ndarray
    motion: np.ndarray
    motion_cv: np.ndarray


@cache
def read_population() -> dict:
    """The content of `tables/population.yaml`: units in the keys, angles in degrees."""
    return read_table("population.yaml")


@cache
def read_levels() -> Levels:
    import pandas  # here, since every command reads the options of a virtual capture

    with files(__package__).joinpath("tables/levels.csv").open() as file:
        table = pandas.read_csv(file)
    kinds = ("flexion", "bending", "rotation")
    return Levels(
        names=tuple(table["level"]),
        regions={region: np.flatnonzero(table["region"] == region) for region in table["region"].unique()},
        spacing=table["spacing_mm"].to_numpy() / 1e3,
        spacing_sd=table["spacing_sd_mm"].to_numpy() / 1e3,
        motion=np.radians(table[[f"{kind}_deg" for kind in kinds]].to_numpy()),
        motion_cv=table[[f"{kind}_cv" for kind in kinds]].to_numpy(),
    )


@cache
def population_articulation() -> Articulation:
    """The articulation of the articulated body: its torso in single vertebrae."""
    plan = read_recipe("articulated").articulation
    assert plan is not None  # this recipe has one
    return plan


def truncated_normal(
    rng: np.random.Generator, mean, sd, size: tuple[int, ...] | None = None, limit: float = 2.5
) -> np.ndarray:
    """Normally distributed numbers; those more than `limit` sd from the mean are redrawn."""
    shape = np.broadcast_shapes(np.shape(mean), np.shape(sd)) if size is None else size
    z = rng.standard_normal(shape)
    while np.any(far := np.abs(z) > limit):
        z = np.where(far, rng.standard_normal(shape), z)
    return np.asarray(mean) + np.asarray(sd) * z


# One person's spine: sizes of vertebrae and discs, standing curve, and shares of the levels in the motion.
# All values come from published means and spreads (tables/, docs/virtual-capture.md), none from the priors of this
# package's estimators, so that the spine is an independent reference.


Stream = Callable[..., np.random.Generator]


@dataclass(frozen=True, eq=False)
class SyntheticSpine:
    """A person's spine; levels from L5–S1 to C1–skull as in `Levels`, 25 of them.

    spacing: (levels,) m between the centres of neighbouring vertebrae, NaN where none is published (neighbours then set
    the size). vertebra: (levels,) height of the vertebra above each level relative to its neighbours'; discs fill the
    rest of the spacing. lordosis, kyphosis: standing LLA and TKA, rad. lordosis_parts (5,), kyphosis_parts (9,): shares
    of the levels, from below, in the deviation from the mean curve; sum 1. own_curve: (levels, 2) rad, deviation of
    each level in flexion and bending. curve: (levels,) rad, extension relative to the generic curve, or None; if given,
    lordosis, kyphosis and the flexion of own_curve have no effect. wedge: (levels, 2) rad, tilt of the lower and the
    upper endplate of the vertebra above each level. sacral_tilt: rad, backward tilt of the sacrum's endplate. centre:
    (levels, 3) m, centre of rotation relative to that of the generic body. shares: (levels, 3), in a region's flexion,
    bending and rotation; sum 1 per region. change: (levels, 3), change of the share with the amount of motion.
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


def sample_spine(draw: Stream, sex: str, stature: float, hips_forward: float = 0.0) -> SyntheticSpine:
    """Draw a spine. draw(quantity): the generator of a quantity; stature: m; hips_forward: m, forward shift of the hip
    centres from those of the generic pelvis.
    """
    table, levels = read_population(), read_levels()
    count = len(levels.names)
    rad = np.radians
    kyphosis = table["kyphosis"][sex]
    sacral_tilt = float(rad(truncated_normal(draw("sacral endplate"), 0.0, table["sacral_tilt_sd"])))
    by_level = np.array(list(table["lordosis_by_level"].values()))
    return SyntheticSpine(
        spacing=_draw_spacing(draw, stature),
        vertebra=1 + table["vertebra_cv"] * truncated_normal(draw("vertebral heights"), np.zeros(count), 1.0),
        lordosis=_draw_lordosis(draw, hips_forward / table["pelvic_radius_m"] - sacral_tilt),
        kyphosis=float(rad(truncated_normal(draw("kyphosis"), *kyphosis))),
        lordosis_parts=_draw_parts(draw("lordosis by level"), by_level, table["lordosis_share_cv"]),
        kyphosis_parts=_draw_parts(draw("kyphosis by level"), np.ones(9), table["kyphosis_share_cv"]),
        own_curve=_own_curve(draw),
        wedge=rad(table["wedge_sd"]) * truncated_normal(draw("endplates"), np.zeros((count, 2)), 1.0),
        sacral_tilt=sacral_tilt,
        centre=truncated_normal(
            draw("joint centres"), np.zeros((count, 3)), np.array([*table["joint_centre_sd_m"], 0.0])
        ),
        shares=_draw_level_shares(draw),
        change=table["share_change_sd"]
        * truncated_normal(draw("change of shares"), np.zeros((count, 3)), 1.0, limit=2.0),
        rotation_per_bending=_by_region(draw("rotation with bending"), table["rotation_per_bending"], each=False),
        shift=_draw_level_shifts(draw),
        c7_behind_hips=float(truncated_normal(draw("plumb line"), *table["c7_behind_hips_m"].values())),
        head_tilt=float(rad(truncated_normal(draw("head tilt"), *table["head_tilt"].values()))),
    )


def _draw_lordosis(draw: Stream, incidence: float) -> float:
    """Lordosis, rad. incidence: rad, pelvic incidence minus its mean. The total spread equals the published one."""
    table = read_population()
    figures, hips = table["lordosis"], table["hips_m"]["forward"][1] / table["pelvic_radius_m"]
    from_incidence = figures["on_incidence"] * np.hypot(np.radians(table["sacral_tilt_sd"]), hips)
    own = np.sqrt(np.radians(figures["sd"]) ** 2 - from_incidence**2)
    return float(
        truncated_normal(draw("lordosis"), np.radians(figures["mean"]), own) + figures["on_incidence"] * incidence
    )


def _draw_spacing(draw: Stream, stature: float) -> np.ndarray:
    """(levels,) m: published mean × stature factor × trunk factor × level factor; their total spread is as published.

    The stature and trunk factors, common to all levels, have the spread of the whole arc; the level factor the rest.
    """
    table, levels = read_population(), read_levels()
    relative = levels.spacing_sd / levels.spacing
    spread = stature_spread()
    trunk = np.sqrt(max(table["spine_arc_cv"] ** 2 - spread**2, 0.0))
    own = np.sqrt(np.maximum(relative**2 - table["spine_arc_cv"] ** 2, 0.02**2))
    common = 1 + trunk * float(truncated_normal(draw("trunk"), 0.0, 1.0))
    ratio = stature / table["spine_reference_stature_m"]
    return levels.spacing * ratio * common * (1 + own * truncated_normal(draw("spacing"), np.zeros(len(own)), 1.0))


def stature_spread() -> float:
    """Coefficient of variation of stature, both sexes pooled."""
    both = list(read_population()["stature_m"].values())
    mean = np.mean([m for m, _ in both])
    return float(np.sqrt(np.mean([sd**2 + (m - mean) ** 2 for m, sd in both])) / mean)


def _draw_parts(rng: np.random.Generator, mean: np.ndarray, cv: float) -> np.ndarray:
    parts = mean * np.exp(cv * truncated_normal(rng, np.zeros(len(mean)), 1.0))
    return parts / parts.sum()


def _own_curve(draw: Stream) -> np.ndarray:
    """(levels, 2) rad: deviations with sum 0 in each region, so that lordosis and kyphosis stay as drawn."""
    table, levels = read_population(), read_levels()
    sd = np.radians([table["level_angle_sd"], table["level_bend_sd"]])
    own = sd * truncated_normal(draw("own curve"), np.zeros((len(levels.names), 2)), 1.0)
    for i in levels.regions.values():
        own[i] -= own[i].mean(0)
    return own


def _draw_level_shares(draw: Stream) -> np.ndarray:
    levels = read_levels()
    motion = levels.motion * np.maximum(
        1 + levels.motion_cv * truncated_normal(draw("shares of motion"), np.zeros(levels.motion.shape), 1.0), 0.15
    )
    for i in levels.regions.values():
        motion[i] /= motion[i].sum(0)
    return motion


def _draw_level_shifts(draw: Stream) -> np.ndarray:
    table = read_population()
    forward = _by_region(draw("forward shift"), table["forward_per_flexion"])
    down = _by_region(draw("downward shift"), table["down_per_flexion"])
    right = _by_region(draw("sideways shift"), table["right_per_bending"])
    return np.column_stack([forward, -down, right])


def _by_region(rng: np.random.Generator, figures: Mapping[str, tuple[float, float]], each: bool = True) -> np.ndarray:
    """(levels,) numbers whose mean and sd depend on the region. each: one number per level, else one per region."""
    levels = read_levels()
    out = np.zeros(len(levels.names))
    for region, i in levels.regions.items():
        out[i] = truncated_normal(rng, *figures[region], size=(len(i),) if each else (1,), limit=2.0)
    return out


# Scapulohumeral rhythm: clavicles move up and back as the arm is raised, and forward as it reaches forward.
# Arm angles are the model's: flexion about the axis to the right, then adduction about the rotated forward axis; at 0
# the upper arm hangs down. The estimator assumes no such rhythm.


SETTING_PHASE_RAD = np.radians(30.0)  # the clavicle hardly moves before the arm is raised this far (Inman 1944; C)
SETTING_TRANSITION_RAD = np.radians(10.0)  # width of the transition after this phase


@dataclass(frozen=True)
class SyntheticGirdle:
    """A person's shoulder girdle. rest: {motion: rad} of the clavicles with hanging arms, relative to the generic body.
    width: length of the clavicles relative to the rib cage. elevation, retraction: of the clavicle, per angle of the
    upper arm beyond `SETTING_PHASE_RAD`; forward: protraction per this angle of an arm that points forward, to which
    the retraction is opposed. unrest: rad, sd of slow motion independent of the arm.
    """

    rest: Mapping[str, float]
    width: float
    elevation: float
    retraction: float
    forward: float
    unrest: float

    def at(self, side: str, flexion: np.ndarray, adduction: np.ndarray) -> dict[str, np.ndarray]:
        """{coordinate: rad from rest} of a side ('r' or 'l') at its arm's angles (frames,) rad."""
        raised = np.arccos(np.clip(np.cos(flexion) * np.cos(adduction), -1.0, 1.0))
        beyond = SETTING_TRANSITION_RAD * np.logaddexp(0.0, (raised - SETTING_PHASE_RAD) / SETTING_TRANSITION_RAD)
        ahead = np.sin(flexion) * np.cos(adduction)  # forward part of the upper arm's direction
        moved = {"elevation": self.elevation * beyond, "protraction": (self.forward * ahead - self.retraction) * beyond}
        return {girdle_angle(motion, side): moved[motion] for motion in CLAVICLE_MOTIONS}


def sample_girdle(draw: Stream) -> SyntheticGirdle:
    """Draw a shoulder girdle. draw(quantity): the generator of a quantity."""
    table = read_population()["girdle"]

    def drawn(name: str) -> float:
        return float(truncated_normal(draw("girdle", name), *table[name]))

    return SyntheticGirdle(
        rest={motion: float(np.radians(drawn(f"rest_{motion}"))) for motion in CLAVICLE_MOTIONS},
        width=drawn("width"),
        elevation=drawn("elevation_per_raise"),
        retraction=drawn("retraction_per_raise"),
        forward=drawn("protraction_forward"),
        unrest=float(np.radians(table["unrest_sd"])),
    )


@dataclass(frozen=True, eq=False)
class SyntheticSubject:
    """A person. stature in m, mass in kg.

    proportions: size of segments (pelvis, thorax, head, upper_arm, forearm, foot) relative to a generic body of this
    stature, and `thigh_over_shank` relative to the generic ratio; legs fill the rest of the stature. hips: (forward,
    up) m, shift of the hip centres from those of the scaled generic pelvis.
    """

    seed: int
    index: int
    name: str
    sex: str
    stature: float
    mass: float
    proportions: Mapping[str, float]
    spine: SyntheticSpine
    girdle: SyntheticGirdle
    hips: tuple[float, float]

    def stream(self, *quantity: str) -> np.random.Generator:
        """The generator of one quantity of this person."""
        return random_stream(self.seed, "subject", str(self.index), *quantity)


def subject_name(index: int) -> str:
    """Name of a subject: S1, S5, S6, S7, S8, S9, S11 as in Human3.6M, then S12, S13, …"""
    names = read_population()["names"]
    return names[index] if index < len(names) else f"S{12 + index - len(names)}"


def make_subject(seed: int, index: int) -> SyntheticSubject:
    """Make subject number `index` (from 0) of the capture with this seed; equal arguments give an equal subject.

    Each quantity has a separate random stream, so that a new quantity does not change the others.
    """
    table = read_population()
    name = subject_name(index)
    draw = partial(random_stream, int(seed), "subject", str(index))
    sexes = table["sexes"]
    sex = sexes[index] if index < len(sexes) else str(draw("sex").choice(["female", "male"]))
    stature = float(truncated_normal(draw("stature"), *table["stature_m"][sex]))
    build = table["body_mass_index"]
    body_mass_index = float(np.clip(truncated_normal(draw("mass"), build["mean"], build["sd"]), *build["range"]))
    proportions = {
        segment: float(1 + sd * truncated_normal(draw("proportions", segment), 0.0, 1.0))
        for segment, sd in table["proportions"].items()
    }
    forward, up = (float(truncated_normal(draw("hips", way), *table["hips_m"][way])) for way in ("forward", "up"))
    spine = sample_spine(draw, sex, stature, hips_forward=forward)
    return SyntheticSubject(
        seed=int(seed), index=int(index), name=name, sex=sex, stature=stature, mass=body_mass_index * stature**2,
        proportions=proportions, spine=spine, girdle=sample_girdle(draw), hips=(forward, up),
    )  # fmt: skip
