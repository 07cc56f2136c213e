"""Compile the kernels once, so that the first recording does not wait for it."""

import time
from collections.abc import Callable

import numpy as np

from simspine.anatomy.body import forward_kinematics
from simspine.anatomy.recipes import build_body
from simspine.core.geometry import markers_in_frame, project_points
from simspine.core.types import Camera, Keypoints, Markers, Motion
from simspine.estimation.inverse_kinematics import inverse_kinematics
from simspine.reconstruction.reconstruct import fit_trials
from simspine.vision.triangulation import triangulate

WARMUP_RECIPES = ("articulated", "coupled", "paper")
WARMUP_FRAMES, WARMUP_RATE_HZ = 30, 60.0
_FRONT_ROTATION, _SIDE_ROTATION = [[1, 0, 0], [0, 0, -1], [0, 1, 0]], [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
WARMUP_CAMERAS = tuple(
    Camera(
        name=name,
        size=(1000, 1000),
        K=np.array([[800.0, 0, 500], [0, 800, 500], [0, 0, 1]]),
        distortion=np.zeros(5),
        R=np.array(R, float),
        t=np.array([0.0, 1, 4]),  # 4 m away, 1 m high
    )
    for name, R in (("front", _FRONT_ROTATION), ("side", _SIDE_ROTATION))
)


def compile_kernels(say: Callable[[str], None] = lambda _: None) -> float:
    """Triangulate and solve a person who stands still, with each recipe. Returns seconds.

    Numba keeps compiled code beside the package, or in the user's cache where that may not be written
    (`NUMBA_CACHE_DIR` overrides), for this kind of processor.
    """
    start = time.perf_counter()
    for recipe in WARMUP_RECIPES:
        body = build_body(recipe, "centres")
        c = body.coordinates
        still = Motion(c.names, WARMUP_RATE_HZ, np.tile(c.default, (WARMUP_FRAMES, 1)), c.rotational)
        markers = forward_kinematics(body, still)
        inverse_kinematics(body, markers)
        fit_trials({"standing": markers}, recipe)
        triangulate(_keypoints_of_markers(markers), WARMUP_CAMERAS)
        say(f"{recipe}: ready after {time.perf_counter() - start:.0f} s")
    return time.perf_counter() - start


def _keypoints_of_markers(markers: Markers) -> Keypoints:
    """The markers as both cameras see them."""
    xy = np.moveaxis(project_points(WARMUP_CAMERAS, markers_in_frame(markers, "z_up").xyz), 0, 1)
    return Keypoints(markers.names, WARMUP_RATE_HZ, xy, np.ones(xy.shape[:3]))
