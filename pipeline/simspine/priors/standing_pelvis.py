"""How the pelvis is held by who stands: its tilt on the thighs, which goes with the pelvic incidence.

Nothing but that says how a pelvis is turned whose hips and lowest vertebra lie elsewhere than the model's. People
differ in it, each stands nearly the same way whenever they stand; of other postures nothing is assumed.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from simspine.errors import InputError, require_known
from simspine.priors.assumptions import LinearPrior
from simspine.priors.standing_curve import SACRAL_TILT

OWN = "own tilt of the pelvis"  # rad, of this person when standing, from what is expected of anyone


@dataclass(frozen=True)
class StandingPelvis:
    """incidence: {variation of the body: rad of pelvic incidence for one of it}. combination: of coordinates; in people
    who stand it is mean ± sd, rad, at the model's pelvic incidence, and grows by `on_incidence` of what theirs is
    larger. sway: rad, sd from frame to frame.
    """

    incidence: Mapping[str, float]
    combination: Mapping[str, float]
    mean: float
    on_incidence: float
    sd: float
    sway: float
    source: str

    def of_anyone(self, tilts: bool = True) -> LinearPrior:
        """What is assumed of a person. The sacrum's slope counts from its endplate, the coordinates from the bone.

        tilts: whether the endplate's tilt in the bone is unknown.
        """
        tilt = {SACRAL_TILT: 1 - self.on_incidence} if tilts else {}
        row = {name: -self.on_incidence * part for name, part in self.incidence.items()}
        return LinearPrior({OWN: 1.0} | tilt | row, 0.0, self.sd, self.source)

    def about_own(self) -> LinearPrior:
        """What is assumed of a frame in which they stand."""
        return LinearPrior({**self.combination, OWN: -1.0}, self.mean, self.sway, self.source)


def standing_pelvis_from(entry: Mapping, anatomy: Collection[str]) -> StandingPelvis:
    """From a recipe's `pelvis` (degrees). anatomy: names of the recipe's variations.

    Raises `InputError` unless it says all of it, of variations that there are, with positive spreads.
    """
    standing = entry["standing"]
    known = {"combination", "mean", "on_incidence", "sd", "sway", "source"}
    if set(entry) != {"incidence", "standing"} or set(standing) != known:
        raise InputError(
            f"pelvis has {', '.join(entry)}; expected incidence, and standing with {', '.join(sorted(known))}."
        )
    require_known("variation", entry["incidence"], anatomy, "pelvis.incidence")
    mean, sd, sway = (float(np.radians(float(standing[key]))) for key in ("mean", "sd", "sway"))
    if not (sd > 0 and sway > 0):
        raise InputError(
            f"pelvis.standing has sd {standing['sd']} and sway {standing['sway']}; expected positive numbers."
        )
    return StandingPelvis(
        incidence={str(name): float(part) for name, part in entry["incidence"].items()},
        combination={str(name): float(part) for name, part in standing["combination"].items()},
        mean=mean,
        on_incidence=float(standing["on_incidence"]),
        sd=sd,
        sway=sway,
        source=str(standing["source"]),
    )
