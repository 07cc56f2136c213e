"""Terms of the inverse-kinematics objective E(z), z (frames, free coordinates). One file per term.

A term has `cost(z) -> (frames,)` and `add(z, system, gradient, newton)`, which adds half its Hessian to a
`BandedSystem` and half its gradient (frames, free). Nothing else knows about it. The halves make the Gauss–Newton
Hessian of Σ w d² simply Σ w JᵀJ; where the weights are inverse variances, E/2 is the negative log posterior and the
system at the minimum is the posterior's precision.
"""

from typing import Protocol

import numpy as np

from simspine.ik.banded import BandedSystem


class Term(Protocol):
    """What the solver asks of a term. `newton`: include the second-order part, where the term has one."""

    data: bool  # a measurement (True) or an assumption (False)

    def cost(self, z: np.ndarray) -> np.ndarray: ...

    def add(self, z: np.ndarray, system: BandedSystem, gradient: np.ndarray, newton: bool) -> None: ...

    def window(self, frames: slice) -> "Term":
        """The term of a part of the trial."""
        ...
