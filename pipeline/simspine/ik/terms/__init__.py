"""Terms of the inverse-kinematics objective E(z), z (frames, free coordinates). One file per term.

A term has `cost(z, gradient)`, which also adds half its gradient (frames, free), and `curve(z, system, newton)`, which
adds half its Hessian to a `BandedSystem`. Nothing else knows about it. The halves make the Gauss–Newton Hessian of
Σ w d² simply Σ w JᵀJ; where the weights are inverse variances, E/2 is the negative log posterior and the
system at the minimum is the posterior's precision.
"""

from typing import Protocol

import numpy as np

from simspine.ik.banded import BandedSystem


class Term(Protocol):
    """What the solver asks of a term."""

    def cost(self, z: np.ndarray, gradient: np.ndarray | None = None) -> np.ndarray:
        """(frames,). Adds half the gradient to `gradient`, where one is given."""
        ...

    def curve(self, z: np.ndarray, system: BandedSystem, newton: bool) -> None:
        """newton: include the second-order part, where the term has one."""
        ...

    def window(self, frames: slice) -> "Term":
        """The term of a part of the trial."""
        ...

    def sampled(self, frames: slice, count: int) -> "Term":
        """The term of one frame in `count`, each of which stands for so many; frames: which they are."""
        ...
