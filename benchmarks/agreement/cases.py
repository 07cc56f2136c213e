"""Trials on which the frame engine is compared with OpenSim's tool: walks with noise, the demonstration's markers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tools.bench.engines import walking_markers, walking_motion

from simspine.anatomy.body import Body
from simspine.anatomy.recipes import VIRTUAL_SUFFIX, build_body
from simspine.core.skeletons import INFERRED_SUFFIX
from simspine.core.types import Markers

MARKER_SET = "simspine-release"
NOISE = 0.005  # m


@dataclass(frozen=True, eq=False)
class Case:
    """One trial as the InverseKinematicsTool takes it. weights: (markers,), the same in all frames."""

    name: str
    body: Body
    markers: Markers
    weights: np.ndarray
    coordinate_tasks: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def frame_weights(self) -> np.ndarray:
        return np.tile(self.weights, (self.markers.frames, 1))

    def first(self, frames: int) -> "Case":
        markers = self.markers.with_(xyz=self.markers.xyz[:frames])
        return Case(self.name, self.body, markers, self.weights, self.coordinate_tasks)


def walking_case(frames: int, seed: int, noise: float = NOISE) -> Case:
    """The coupled body's walk, markers with noise (m), all of weight 1; another seed is another walk and noise."""
    body = build_body("coupled", MARKER_SET)
    names = [name for name in body.marker_names if not name.endswith((INFERRED_SUFFIX, VIRTUAL_SUFFIX))]
    markers = walking_markers(body, names, walking_motion(body, frames, seed=seed), noise, seed=100 + seed)
    return Case(f"walk {seed}", body, _as_written(markers), np.ones(len(names)))


def demo_case(results: Path) -> Case:
    """The demonstration's triangulated and merged markers on the coupled body scaled to them.

    Its stages up to scaling are run into the folder `results`, where they are not done yet. Weights and coordinate task
    are the workflow's for the frame-wise engines; confidence, which changes from frame to frame, is averaged over the
    trial, since the tool knows only constant weights.
    """
    from simspine.anatomy.recipes import default_weights, fit_markers, read_recipe
    from simspine.core.geometry import markers_in_frame
    from simspine.estimation.observations import NoiseLevels, observe
    from simspine.estimation.options import KinematicsOptions
    from simspine.io.hdf5 import read_store
    from simspine.workflow.config import check_config
    from simspine.workflow.inputs import Context
    from simspine.workflow.jobs import run_stage

    config = check_config(
        {
            "name": "demo",
            "results": str(results),
            "subjects": {"S01": {"trials": {"balance": {"folder": "pose2sim:Demo_SinglePerson"}}}},
            "detection": {"detector": "blazepose"},
            "triangulation": {"min_confidence": 0.3},
            "body": {"recipe": "coupled"},
        }
    )
    for stage in ("detect", "triangulate", "merge", "scale"):
        run_stage(stage, config, "S01", None, quiet=True)
    paths = Context(config, "S01", True).paths
    stored = read_store(paths.markers("balance"))
    recipe = read_recipe("coupled")
    body = Body.from_osim(paths.model)
    markers = markers_in_frame(fit_markers(body, stored["markers"]), "y_up")
    options = KinematicsOptions(engine="frames")
    seen = observe(markers, default_weights(recipe, stored["skeleton"]), options, NoiseLevels.of_options(options))
    return Case("demo", body, _as_written(markers), seen.weights.mean(0), recipe.coordinate_tasks)


def _as_written(markers: Markers) -> Markers:
    """Positions as the tool will read them from its file, so that both solve the very same problem; nothing else."""
    return Markers(markers.names, markers.rate, np.round(markers.xyz, 9), frame=markers.frame, start=markers.start)
