"""A person's own standing curve: what is assumed of it, of postures about it, and what is left to assume of these.

It is a difference to people's mean curve, in extension, one number a level. It moves nothing by itself: levels'
postures scatter about it.
"""

from collections.abc import Sequence

import numpy as np

from simspine.priors.assumptions import LinearPrior
from simspine.priors.rhythm import AXES, LevelPrior


def curve_names(levels: Sequence[LevelPrior]) -> tuple[str, ...]:
    """Names of the unknowns of the curve."""
    return tuple(_own(name) for name in dict.fromkeys(n for p in levels if in_flexion(p) for n in p.combination))


def on_curve(levels: Sequence[LevelPrior]) -> list[LinearPrior]:
    """What is assumed of anyone's curve."""
    return [
        LinearPrior({_own(name): c for name, c in prior.combination.items()}, 0.0, prior.curve, prior.source)
        for prior in levels
        if in_flexion(prior)
    ]


def about_curve(levels: Sequence[LevelPrior]) -> list[LinearPrior]:
    """Priors on the posture of the moment, about a curve that is unknown."""
    return [_about(prior) if in_flexion(prior) else prior.of_anyone() for prior in levels]


def _about(prior: LevelPrior) -> LinearPrior:
    away = {_own(name): -c for name, c in prior.combination.items()}
    return LinearPrior({**prior.combination, **away}, prior.mean, prior.motion, prior.source, prior.correlation_time)


def about_known_curve(
    levels: Sequence[LevelPrior], names: Sequence[str], mean: np.ndarray, covariance: np.ndarray, anyone: np.ndarray
) -> list[LinearPrior]:
    """Priors on the posture of the moment about a curve of which something is known.

    names: of (k,) unknowns, those of `curve_names` among them; mean, covariance: what is known of them. anyone: (k, k)
    covariance of what is assumed of them. With as much known as of anyone these are the priors of `rhythm_and_posture`.
    """
    found = []
    for prior in levels:
        if not in_flexion(prior):
            found.append(prior.of_anyone())
            continue
        row = np.zeros(len(names))
        for name, c in prior.combination.items():
            row[list(names).index(_own(name))] = c
        left = (row @ covariance @ row) / (row @ anyone @ row)
        sd = float(np.hypot(prior.motion, prior.curve * np.sqrt(left)))
        found.append(
            LinearPrior(prior.combination, prior.mean + float(row @ mean), sd, prior.source, prior.correlation_time)
        )
    return found


def in_flexion(prior: LevelPrior) -> bool:
    return all(name.endswith(AXES[0]) for name in prior.combination)


def _own(coordinate: str) -> str:
    return f"own {coordinate}"
