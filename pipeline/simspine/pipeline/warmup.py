"""Compile the kernels once, so that the first recording does not wait for it."""

import time
from collections.abc import Callable

import numpy as np

from simspine.body.kinematics import forward_kinematics
from simspine.body.recipes import build
from simspine.geometry import in_frame, project
from simspine.ik.solve import inverse_kinematics
from simspine.pipeline.reconstruct import fit_trials
from simspine.triangulation import triangulate
from simspine.types import Camera, Keypoints, Markers, Motion

RECIPES = ("articulated", "coupled", "paper")
FRAMES, RATE = 30, 60.0
_K = np.array([[800.0, 0, 500], [0, 800, 500], [0, 0, 1]])
_FRONT, _SIDE = [[1, 0, 0], [0, 0, -1], [0, 1, 0]], [[0, -1, 0], [0, 0, -1], [1, 0, 0]]  # 4 m away, 1 m high
CAMERAS = tuple(
    Camera(name, (1000, 1000), _K, np.zeros(5), np.array(R, float), np.array([0.0, 1, 4]))
    for name, R in (("front", _FRONT), ("side", _SIDE))
)


def compile_kernels(say: Callable[[str], None] = lambda _: None) -> float:
    """Triangulate and solve a person who stands still, with each recipe. Returns seconds; Numba keeps what it compiles.

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
        triangulate(_seen(markers), CAMERAS)
        say(f"{recipe}: ready after {time.perf_counter() - start:.0f} s")
    return time.perf_counter() - start


def _seen(markers: Markers) -> Keypoints:
    """The markers as both cameras see them."""
    xy = np.moveaxis(project(CAMERAS, in_frame(markers, "z_up").xyz), 0, 1)
    return Keypoints(markers.names, RATE, xy, np.ones(xy.shape[:3]))
