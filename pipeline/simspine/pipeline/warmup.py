"""Compile the kernels once, so that the first recording does not wait for it."""

import time
from collections.abc import Callable

import numpy as np

from simspine.body.kinematics import forward_kinematics
from simspine.body.recipes import build
from simspine.ik.solve import inverse_kinematics
from simspine.pipeline.reconstruct import fit_trials
from simspine.types import Motion

RECIPES = ("articulated", "coupled", "paper")
FRAMES, RATE = 30, 60.0


def compile_kernels(say: Callable[[str], None] = lambda _: None) -> float:
    """Solve a person who stands still with each recipe and engine; Numba keeps what it compiles. Returns seconds.

    Compiled code is kept beside the package, or in the user's cache where that may not be written
    (`NUMBA_CACHE_DIR` overrides), for this kind of processor.
    """
    start = time.perf_counter()
    for recipe in RECIPES:
        body = build(recipe, "centres")
        c = body.coordinates
        still = Motion(c.names, RATE, np.tile(c.default, (FRAMES, 1)), c.rotational)
        markers = forward_kinematics(body, still)
        inverse_kinematics(body, markers)
        fit_trials({"standing": markers}, recipe)
        say(f"{recipe}: ready after {time.perf_counter() - start:.0f} s")
    return time.perf_counter() - start
