"""Synthetic projects: a body of known size in known poses, seen by four known cameras."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from aimed import aimed

from simspine.anatomy.body import Body, follow_couplers, forward_kinematics
from simspine.anatomy.recipes import VIRTUAL_SUFFIX, build_body
from simspine.anatomy.scaling import measure_factors, scale_body
from simspine.core.geometry import change_frame, project_points
from simspine.core.skeletons import INFERRED_SUFFIX, load_skeleton
from simspine.core.types import Camera, Keypoints, Markers, Motion
from simspine.io.calibration import write_calibration
from simspine.io.keypoint_json import write_keypoints
from simspine.workflow.config import Config, read_config
from simspine.workflow.jobs import run_stage

STAGES = ("detect", "triangulate", "merge", "scale", "ik", "vertebrae", "quality", "export")
RATE, FRAMES, NOISE_PX = 30.0, 16, 0.5
SIZE = 1.06  # of the person relative to the generic model, in every segment
SWING = {  # rad, half-way through the trial: a bow to the left with bent arms and one bent leg
    "pelvis_tilt": -0.15,
    "pelvis_list": 0.08,
    "hip_flexion_r": 0.5,
    "hip_flexion_l": 0.3,
    "knee_angle_r": 0.6,
    "knee_angle_l": 0.35,
    "L5_S1_Flex_Ext": -0.12,
    "L5_S1_Lat_Bending": 0.06,
    "L5_S1_axial_rotation": 0.04,
    "neck_flexion": -0.1,
    "arm_flex_r": 0.4,
    "elbow_flex_r": 0.6,
    "elbow_flex_l": 0.4,
}
ARMS = {"arm_add_r": 0.1, "arm_add_l": 0.1, "elbow_flex_r": 0.6, "elbow_flex_l": 0.6}  # rad: not the model's T-pose


def ring(views: int = 4) -> list[Camera]:
    """Cameras on a circle of 4 m, at different heights, with lenses that distort."""
    cameras = []
    for k in range(views):
        angle = 2 * np.pi * k / views + 0.4
        centre = np.array([4 * np.cos(angle), 4 * np.sin(angle), 1.0 + 0.3 * (k % 2)])
        R = aimed(centre, [0, 0, 1.0])
        K = [[1500.0, 0, 960], [0, 1500.0, 540], [0, 0, 1]]
        cameras.append(Camera(f"cam{k + 1:02d}", (1920, 1080), K, (-0.05, 0.02, 1e-3, -1e-3, 0), R, -R @ centre))
    return cameras


def dance(body: Body, frames: int = FRAMES) -> Motion:
    """Half a slow swing from upright and back, so slow that a 6 Hz low-pass leaves it alone."""
    coordinates = body.coordinates
    share = np.sin(np.pi * np.arange(frames) / (2 * (frames - 1))) ** 2
    values = np.tile(coordinates.default, (frames, 1))
    for name, size in ARMS.items():
        values[:, coordinates.index(name)] = size
    for name, size in SWING.items():
        values[:, coordinates.index(name)] += size * share
    values[:, coordinates.index("pelvis_tx")] = 0.1 * share
    values[:, coordinates.index("pelvis_ty")] = 0.98 - 0.02 * share
    return Motion(coordinates.names, RATE, follow_couplers(body, values), coordinates.rotational)


def detectable(markers: Markers) -> Markers:
    """Without points that no detector gives: virtual and inferred ones."""
    return markers.select([name for name in markers.names if not name.endswith((INFERRED_SUFFIX, VIRTUAL_SUFFIX))])


def dancing(body: Body, frames: int = FRAMES) -> Markers:
    """Markers of the swing, y up."""
    return detectable(forward_kinematics(body, dance(body, frames)))


def seen_by(cameras: list[Camera], markers: Markers, seed: int, shift: np.ndarray | float = 0.0) -> Keypoints:
    """The 37 points by SpineTrack's names, with noise; those without a marker (eyes, ears) are missing.

    shift: m, of all markers in the world."""
    table = load_skeleton("spinetrack37")
    xy = np.full((markers.frames, len(cameras), len(table), 2), np.nan)
    for i, native in enumerate(table.names):
        if (name := table.to_simspine[native]) in markers.names:
            xyz = change_frame(markers.xyz[:, markers.index(name)], "y_up", "z_up") + shift
            xy[:, :, i] = project_points(cameras, xyz).transpose(1, 0, 2)
    xy = xy + np.random.default_rng(seed).normal(0, NOISE_PX, xy.shape)
    return Keypoints(table.names, RATE, xy, np.full(xy.shape[:3], 0.9))


def of_size(factor: float) -> Body:
    """The recipe's body with every segment enlarged by `factor`."""
    body = build_body("coupled", "spinetrack37")
    c = body.coordinates
    hanging = c.default.copy()
    hanging[[c.index("arm_add_r"), c.index("arm_add_l")]] = 0.0  # the pose in which the recipe measures segments
    markers = forward_kinematics(body, Motion(c.names, RATE, np.tile(hanging, (5, 1)), c.rotational))
    return scale_body(body, measure_factors(body, markers.with_(xyz=factor * markers.xyz)))


@dataclass(frozen=True)
class Truth:
    body: Body
    motion: Motion
    markers: Markers  # y_up
    cameras: list[Camera]
    keypoints: Keypoints  # the 37 points, by SpineTrack's names
    size: float = SIZE


@dataclass(frozen=True)
class Project:
    """A folder with a configuration, its inputs and its results."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def settings(self) -> dict:
        return yaml.safe_load(self.file.read_text())

    @property
    def config(self) -> Config:
        return read_config(self.file)

    def write(self, settings: dict) -> None:
        self.file.write_text(yaml.safe_dump(settings, sort_keys=False))

    def trial(self, **changes) -> None:
        """Change the section of the trial."""
        settings = self.settings
        settings["subjects"]["S01"]["trials"]["bow"].update(changes)
        self.write(settings)

    def change(self, **sections) -> None:
        self.write(self.settings | sections)

    def run(self, *stages: str, trial: str | None = None, force: bool = False) -> None:
        for stage in stages:
            run_stage(stage, self.config, None, trial, force=force, quiet=True)

    def contents(self) -> dict[str, bytes]:
        """All files of the results, by name."""
        files = (path for path in self.results.rglob("*") if path.is_file())
        return {path.relative_to(self.results).as_posix(): path.read_bytes() for path in files}


def write_inputs(folder: Path, truth: Truth, trial: str = "bow") -> dict:
    """Calibration and keypoint folders; the trial's section of the configuration."""
    write_calibration(folder / "cameras.toml", truth.cameras)
    folders = write_keypoints(folder / "pose" / trial, truth.keypoints, [camera.name for camera in truth.cameras])
    return {"keypoints": [str(f) for f in folders], "calibration": str(folder / "cameras.toml"), "rate": RATE}
