"""People whose spines are drawn from the statistics of CT scans: a second family of truths for `bench accuracy`."""

from dataclasses import replace
from functools import partial

import numpy as np
from tools.spine_shape_statistics import (
    INTERVERTEBRAL_LEVEL_NAMES,
    intervertebral_angles,
    intervertebral_matrix,
    supine_to_standing_shift,
    vector_names,
)

from simspine.anatomy.curvature import NEUTRAL_LLA
from simspine.anatomy.shape_model import CHAIN_VECTOR_COUNT, packaged_shape_model
from simspine.synthesis.population import (
    Stream,
    SyntheticSubject,
    make_subject,
    population_articulation,
    read_levels,
    read_population,
    stature_spread,
    truncated_normal,
)
from simspine.synthesis.signals import random_stream


def make_ct_subject(seed: int, index: int) -> SyntheticSubject:
    """The subject of `make_subject` with spacing and standing curve of this family; all else is the same."""
    subject, draw = make_subject(seed, index), partial(random_stream, int(seed), "subject", str(index))
    shape = sample_shape(draw, subject.stature / read_population()["spine_reference_stature_m"], stature_spread())
    curve = sample_curve(draw, shape, subject.spine.sacral_tilt)
    return replace(subject, spine=replace(subject.spine, spacing=spacing_of(shape), curve=curve))


# Spacing and standing curve of a person, drawn from the statistics of CT scans (`simspine.anatomy.shape_model`).
# A second family of truths, independent of the published one, so that what is found with one can be checked with the
# other.


def sample_shape(draw: Stream, tall: float, spread: float) -> np.ndarray:
    """(72,) parameters of the chain (`simspine.anatomy.shape_model`), of a person lying.

    tall: stature relative to the mean, whose relative spread between people is `spread`: all lengths grow with it, and
    what the scans' lengths vary in common beyond it is drawn. So over many people mean and covariance are the model's.
    """
    mean, covariance = packaged_shape_model().prior("supine")
    given = np.zeros(len(mean))
    given[:CHAIN_VECTOR_COUNT] = 1.0
    rest = covariance - spread**2 * np.outer(given, given)
    factor = np.linalg.cholesky(rest)
    return mean + given * np.log(tall) + factor @ truncated_normal(draw("shape of scans"), np.zeros(len(mean)), 1.0)


def spacing_of(shape: np.ndarray) -> np.ndarray:
    """(levels,) m, NaN where the scans say nothing: at L5–S1 and above C2."""
    lengths = dict(zip(vector_names(), np.exp(shape[:CHAIN_VECTOR_COUNT]), strict=True))
    return _by_level({name: lengths[name] for name in INTERVERTEBRAL_LEVEL_NAMES}, np.nan)


def sample_curve(draw: Stream, shape: np.ndarray, sacral_tilt: float) -> np.ndarray:
    """(levels,) rad: extension against the generic body's curve when standing; 0 above C2.

    The curve of the shape, and what standing up adds. L5–S1, which scans do not have, completes the published mean of
    the lordosis and varies by its part in that one's spread. sacral_tilt: rad, of the sacrum's endplate, which the last
    disc makes up for: where it lies is where the spine stands.
    """
    curve = _standing_curve_of(shape)
    table, names = read_population(), read_levels().names
    parts = table["lordosis_by_level"]
    mean, sd = np.radians([table["lordosis"][key] for key in ("mean", "sd")])
    others = [names.index(name) for name in parts if name != "L5_S1"]
    lumbosacral = mean - NEUTRAL_LLA - _standing_curve_of(packaged_shape_model().prior("supine")[0])[others].sum()
    own = float(truncated_normal(draw("lumbosacral angle"), 0.0, sd * parts["L5_S1"] / sum(parts.values())))
    curve[names.index("L5_S1")] = lumbosacral + own + sacral_tilt
    return curve


def _standing_curve_of(shape: np.ndarray) -> np.ndarray:
    """(levels,) rad: the curve of the shape against the generic body's, and what standing up adds."""
    generic = intervertebral_matrix() @ population_articulation().neutral_pitch
    lying = dict(zip(INTERVERTEBRAL_LEVEL_NAMES, intervertebral_angles(shape)[:, 0] - generic, strict=True))
    return _by_level(lying, 0.0) + _by_level(supine_to_standing_shift(), 0.0)


def _by_level(values: dict[str, float], other: float) -> np.ndarray:
    names = read_levels().names
    out = np.full(len(names), other)
    for name, value in values.items():
        out[names.index(level_name(name))] = value
    return out


def level_name(name: str) -> str:
    """The prefix of a level's coordinates: 'L4-L5' → 'L4_L5', 'T12-L1' → 'L1_T12'."""
    return "L1_T12" if name == "T12-L1" else name.replace("-", "_")
