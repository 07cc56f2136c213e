"""The curve a person's spine has when nothing moves it, as difference to the body's own, and what is believed of it.

A level's flexion is the person's curve, which lasts, plus the posture of the moment. That the curve of each level
differs between people is published (`prior_of`). How levels go together, and how a mean spine differs from the model,
the statistics of CT scans say (`simspine.spine.shape`). The curve enters as a belief: bones stay where they are.
"""

from dataclasses import dataclass

import numpy as np

from simspine.body.articulation import AXES, EVERYDAY, RHYTHM_LASTS, Articulation, prior_of
from simspine.errors import unknown_name
from simspine.ik.assumptions import Belief, Prior
from simspine.spine.shape.model import ShapeModel, shipped
from simspine.spine.shape.turning import SEEN, angle_statistics, standing_shift, turning

POSTURE_LASTS = 1.0  # s, of the posture of the moment; as in `prior_of`

# How a recipe may speak of the curve: (whose mean, whose spread). 'published' believes each level for itself.
CURVES = {
    "published": None,
    "scans": ("body", "published"),
    "scans-wide": ("body", "scans"),
    "scans-lying": ("lying", "scans"),
    "scans-standing": ("standing", "scans"),
}


@dataclass(frozen=True, eq=False)
class Curve:
    """Gaussian of the levels' extension when nothing moves them, from below; 0 = the body's own curve.

    levels: prefixes of coordinates. mean: (levels,) rad. covariance: (levels, levels) rad².
    """

    levels: tuple[str, ...]
    mean: np.ndarray
    covariance: np.ndarray


def curve_prior(articulation: Articulation, curve: str) -> Prior:
    """What a recipe believes of the levels. curve: one of `CURVES`."""
    if curve not in CURVES:
        raise unknown_name("curve", curve, CURVES)
    if CURVES[curve] is None:
        return prior_of(articulation)
    return prior_about(articulation, scanned_curve(articulation, shipped(), *CURVES[curve]))


def scanned_curve(
    articulation: Articulation, model: ShapeModel, mean: str = "body", spread: str = "published"
) -> Curve:
    """How the spines of scans are curved, measured like the body's own (`simspine.spine.shape.turning`).

    mean: 'body' = the body's own curve; 'lying' = the scans'; 'standing' = the scans', with what standing up adds to
    the lordosis. spread: of each level, 'scans' or 'published'; correlations are the scans'. Of the levels that scans
    say nothing of (L5-S1, above C2), everything is the recipe's, and nothing goes together.
    """
    levels = articulation.levels
    seen = [levels.index(level_name(name)) for name in SEEN]
    sd = np.array([region.axes[0].shape for region in articulation.regions for _ in region.levels])
    found, covariance = angle_statistics(model)
    own = np.sqrt(np.diag(covariance[0]))
    wanted = own if spread == "scans" else sd[seen]
    together = np.diag(sd**2)
    together[np.ix_(seen, seen)] = covariance[0] * np.outer(wanted / own, wanted / own)
    shift = np.zeros(len(levels))
    if mean != "body":
        shift[seen] = found[:, 0] - turning() @ articulation.neutral_pitch
    if mean == "standing":
        for name, angle in standing_shift().items():
            shift[levels.index(level_name(name))] += angle
    return Curve(levels, shift, together)


def level_name(name: str) -> str:
    """The prefix of a level's coordinates: 'L4-L5' → 'L4_L5', 'T12-L1' → 'L1_T12'."""
    return "L1_T12" if name == "T12-L1" else name.replace("-", "_")


def prior_about(articulation: Articulation, curve: Curve) -> Prior:
    """Beliefs whose precisions add up to the inverse covariance of curve, rhythm and posture of the moment together.

    Of flexion, per level i of a region with shares r and everyday motion T,

        q = curve + rhythm + moment,    rhythm_i ~ N(0, (spread r_i T)²),    moment = r · N(0, T²),

    and the combinations of levels in which what lasts (the first two) and the moment are independent are believed one
    by one: generalised eigenvectors of moment and total. The departure of a combination lasts as long as makes its
    variance grow at first like that of its parts. Bending and rotation are `prior_of`'s: the tilts in scans tell how
    patients lie, and centres do not show rotation.
    """
    from scipy.linalg import eigh

    axis = AXES[0]
    names = [f"{level}_{axis}" for level in curve.levels]
    moment, rhythm = _motion(articulation)
    share, combinations = eigh(moment, moment + rhythm + curve.covariance)
    source = "; ".join(f"{region.name}: {region.axes[0].source}" for region in articulation.regions)
    beliefs = []
    for part, w in zip(np.clip(share, 0.0, 1.0).tolist(), combinations.T, strict=True):
        size = float(np.linalg.norm(w))
        beliefs.append(
            Belief(
                dict(zip(names, (w / size).tolist(), strict=True)),
                float(w @ curve.mean) / size,
                1.0 / size,
                f"levels together: CT scans; {source}",
                1.0 / (part / POSTURE_LASTS + (1.0 - part) / RHYTHM_LASTS),
            )
        )
    others = (b for b in prior_of(articulation).beliefs if not any(name.endswith(axis) for name in b.combination))
    return Prior((*beliefs, *others))


def _motion(articulation: Articulation) -> tuple[np.ndarray, np.ndarray]:
    """Covariances (levels, levels) of the posture of the moment and of how people share it out."""
    count = len(articulation.levels)
    moment, rhythm, first = np.zeros((count, count)), np.zeros(count), 0
    for region in articulation.regions:
        part = slice(first, first := first + len(region.levels))
        motions = region.axes[0]
        moved = motions.shares * EVERYDAY * motions.whole
        moment[part, part] = np.outer(moved, moved)
        rhythm[part] = (motions.spread * moved) ** 2
    return moment, np.diag(rhythm)
