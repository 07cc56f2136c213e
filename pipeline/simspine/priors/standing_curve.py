"""A person's own standing curve: what is assumed of it, of postures about it, and what is left to assume of these.

It is a difference to people's mean curve, in extension, one number a level. It moves nothing by itself: levels'
postures scatter about it. It counts from bones of the model's shape; what is published of curves counts from
endplates. So where the sacrum's endplate tilts in a person's sacrum, which no point shows, the two differ at the lowest
level, and a spine that leaves the sacrum steeply tells of a steep endplate. How much it tells hangs on the mean of the
lowest disc, of which publications differ; what it is off by is one more unknown, that no recording of one person shows.

Lordosis grows with the pelvic incidence, and so does the slope of the sacrum of who stands. The incidence is that of
the model, what the hips lie elsewhere, and the tilt of the endplate: so hips far in front of the sacrum tell of a
hollow back, and a hollow back of a steep endplate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from simspine.priors.assumptions import LinearPrior
from simspine.priors.rhythm import AXES, LevelPrior

SACRAL_TILT = "tilt of the sacral endplate"  # rad, forward against the model's
LOWEST_MEAN = "mean of the lowest disc"  # rad, what people's mean that is assumed is off by


def curve_names(levels: Sequence[LevelPrior]) -> tuple[str, ...]:
    """Names of the unknowns of the curve; at the end `LOWEST_MEAN` and `SACRAL_TILT`, if anything is said of them."""
    own = (_own(name) for name in dict.fromkeys(n for p in levels if in_flexion(p) for n in p.combination))
    mean = [LOWEST_MEAN] if _unsure(levels) else []
    return (*own, *mean, *([SACRAL_TILT] if _tilted(levels) else []))


def on_curve(levels: Sequence[LevelPrior], hips: Mapping[str, float]) -> list[LinearPrior]:
    """What is assumed of anyone's curve, between endplates, and of the endplate that it counts from.

    hips: {variation of the body: rad of pelvic incidence for one of it}.
    """
    lowest = ((SACRAL_TILT, _tilted(levels)), (LOWEST_MEAN, _unsure(levels)))
    found = [LinearPrior({unknown: 1.0}, 0.0, sd, "endplates") for unknown, at in lowest for sd in at.values()]
    tilt = {SACRAL_TILT: 1.0} if _tilted(levels) else {}
    for name, prior in _single(levels):
        row = {_own(name): 1.0} | {unknown: 1.0 for unknown, at in lowest if name in at}
        for unknown, part in (tilt | dict(hips)).items() if prior.on_incidence else ():
            row[unknown] = row.get(unknown, 0.0) - prior.on_incidence * part
        found.append(LinearPrior(row, 0.0, prior.curve, prior.source))
    return found


def _tilted(levels: Sequence[LevelPrior]) -> dict[str, float]:
    """{coordinate whose level counts from an endplate that tilts: rad, its sd}; at most one."""
    return {name: prior.tilt for name, prior in _single(levels) if prior.tilt}


def _unsure(levels: Sequence[LevelPrior]) -> dict[str, float]:
    """{coordinate of whose level people's mean is unsure: rad, its sd}; at most one."""
    return {name: prior.mean_sd for name, prior in _single(levels) if prior.mean_sd}


def _single(levels: Sequence[LevelPrior]) -> list[tuple[str, LevelPrior]]:
    """The priors on one coordinate, in flexion, by its name."""
    priors = (prior for prior in levels if in_flexion(prior) and len(prior.combination) == 1)
    return [(name, prior) for prior in priors for name in prior.combination]


def about_curve(levels: Sequence[LevelPrior]) -> list[LinearPrior]:
    """Priors on the posture of the moment, about a curve that is unknown."""
    return [_about(prior) if in_flexion(prior) else prior.of_anyone() for prior in levels]


def _about(prior: LevelPrior) -> LinearPrior:
    away = {_own(name): -c for name, c in prior.combination.items()}
    about = prior.about(prior.mean, prior.motion)
    return replace(about, combination={**about.combination, **away})


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
        sd = float(np.hypot(prior.motion, prior.lasting * np.sqrt(left)))
        found.append(prior.about(prior.mean + float(row @ mean), sd))
    return found


def in_flexion(prior: LevelPrior) -> bool:
    return all(name.endswith(AXES[0]) for name in prior.combination)


def _own(coordinate: str) -> str:
    return f"own {coordinate}"
