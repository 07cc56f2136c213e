"""Speed and quality of the engines of inverse kinematics, and of triangulation: `simspine bench ik|triangulation`.

`bench ik` runs OpenSim's InverseKinematicsSolver (`tools.bench.opensim_engine`, with the Tool's default accuracy,
1e-5) and ours on the same body and markers. Speeds are frames per second of processor time on one thread, so that other
programs matter less; memory is the highest resident size of a process of its own.

`bench triangulation` times 4, 8 and 16 synthetic views, and compares confidence-weighted linear triangulation of all
views (dlt) with ours on the 33 points that BlazePose detects in the demonstration's four videos. Errors are distances
in the distorted image, px: `observation` of the used observations, `all` of the dropped ones as well. A method that
drops more shows smaller errors of what it uses; `bone_sd_mm` does not know about pixels: the standard deviation over
the frames of the lengths of thighs, shanks, upper arms and forearms, their median and largest.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d
from tools.bench.figures import Metric
from tools.bench.opensim_engine import solve_with_opensim

from simspine.anatomy.body import Body, follow_couplers, forward_kinematics
from simspine.anatomy.osim import opensim_api
from simspine.anatomy.priors import Smoothness
from simspine.anatomy.recipes import VIRTUAL_SUFFIX, build_body, read_prior
from simspine.core.geometry import project_points, undistort_pixels
from simspine.core.skeletons import INFERRED_SUFFIX, load_skeleton
from simspine.core.types import Camera, Keypoints, Markers, Motion
from simspine.estimation.inverse_kinematics import inverse_kinematics
from simspine.estimation.result import Result, Solver
from simspine.io.calibration import read_calibration
from simspine.io.video import demo_folder, find_project, match_cameras_to_views, open_videos
from simspine.synthesis.virtual_trial import look_at_rotation
from simspine.vision.triangulation import triangulate_with_report

# A made-up walk with a known truth. Amplitudes are of the size of level walking (Winter 2009, Biomechanics and Motor
# Control of Human Movement, ch. 4); arms hang with bent elbows, and strides differ a little from each other.


STRIDE_S = 1.1  # s
WALKING_SPEED_M_S = 1.2  # m/s
# Coordinate: mean, amplitude (rad), phase (strides). Left limbs are half a stride later.
TRUNK_COURSES = {
    "pelvis_tilt": (-0.05, 0.03, 0.0),
    "pelvis_list": (0.0, 0.06, 0.2),
    "L5_S1_Flex_Ext": (-0.02, 0.02, 0.1),
    "L5_S1_Lat_Bending": (0.0, 0.02, 0.7),
    "L5_S1_axial_rotation": (0.0, 0.03, 0.4),
    "neck_flexion": (0.05, 0.06, 0.3),
    "neck_rotation": (0.0, 0.15, 0.6),
}
LIMB_COURSES = {
    "hip_flexion": (0.15, 0.4, 0.0),
    "hip_adduction": (0.0, 0.1, 0.3),
    "hip_rotation": (0.0, 0.08, 0.6),
    "knee_angle": (0.55, 0.45, 0.75),
    "ankle_angle": (0.0, 0.2, 0.4),
    "subtalar_angle": (0.0, 0.08, 0.1),
    "mtp_angle": (-0.1, 0.1, 0.5),
    "arm_flex": (0.1, 0.35, 0.5),
    "arm_add": (-0.2, 0.08, 0.1),
    "arm_rot": (0.1, 0.15, 0.8),
    "elbow_flex": (0.7, 0.25, 0.55),
    "pro_sup": (0.9, 0.1, 0.2),
}


def walking_motion(body: Body, frames: int, rate: float = 60.0, seed: int = 0) -> Motion:
    """A walk along a slow curve, from the origin. Coordinates the body lacks are left out, others stay at default."""
    c = body.coordinates
    time = np.arange(frames) / rate
    values = _joint_courses(body, time, rate, np.random.default_rng(seed))
    heading = 0.5 * np.sin(2 * np.pi * time / 20.0)
    values[:, c.index("pelvis_rotation")] = heading
    values[:, c.index("pelvis_tx")] = np.cumsum(np.cos(heading)) * WALKING_SPEED_M_S / rate
    values[:, c.index("pelvis_tz")] = -np.cumsum(np.sin(heading)) * WALKING_SPEED_M_S / rate
    values[:, c.index("pelvis_ty")] = 0.93 + 0.02 * np.sin(4 * np.pi * time / STRIDE_S)
    return Motion(c.names, rate, follow_couplers(body, values), c.rotational)


def _joint_courses(body: Body, time: np.ndarray, rate: float, random: np.random.Generator) -> np.ndarray:
    """(frames, coordinates): each joint's wave with its wander from stride to stride, within its range."""
    c, frames = body.coordinates, len(time)
    values = np.tile(c.default, (frames, 1))
    for name, (mean, amplitude, phase) in _courses_of_both_sides().items():
        if name in c.names:
            i = c.index(name)
            wander = amplitude * gaussian_filter1d(random.normal(size=frames + 1), rate / 2, mode="wrap")[:frames]
            wave = mean + amplitude * np.sin(2 * np.pi * (time / STRIDE_S + phase)) + 3.0 * wander
            low, high = (c.lower[i], c.upper[i]) if c.clamped[i] else (-np.inf, np.inf)
            values[:, i] = np.clip(wave, low + 0.02, high - 0.02)
    return values


def _courses_of_both_sides() -> dict[str, tuple[float, float, float]]:
    right = {f"{name}_r": wave for name, wave in LIMB_COURSES.items()}
    left = {f"{name}_l": (mean, amplitude, phase + 0.5) for name, (mean, amplitude, phase) in LIMB_COURSES.items()}
    return TRUNK_COURSES | right | left


def walking_markers(body: Body, names: list[str], motion: Motion, noise: float = 0.005, seed: int = 1) -> Markers:
    """The body's markers `names` during the motion, with Gaussian noise (m) in each direction."""
    markers = forward_kinematics(body, motion).select(names)
    return markers.with_(xyz=markers.xyz + np.random.default_rng(seed).normal(0, noise, markers.xyz.shape))


# Inverse kinematics.


STUDY_SMOOTHNESS = Smoothness(acceleration=20.0)
BENCH_MARKER_SET = "simspine-release"


@dataclass(frozen=True)
class TrialSize:
    """Numbers of frames: of OpenSim, of ours, and of the longer trial for the memory."""

    opensim: int = 200
    ours: int = 5_000
    long: int = 20_000


QUICK_TRIALS = TrialSize(3, 40, 80)


def measure_ik(size: TrialSize, say: Callable[[str], None] = lambda _: None) -> list[Metric]:
    """All figures. say: called with a line before each part."""
    opensim_api()  # its import is nobody's solving time
    body, markers = coupled_case(size.ours)

    def by_trajectory(uncertainty: bool) -> Result:
        return inverse_kinematics(
            body, markers, smoothness=STUDY_SMOOTHNESS, solver=Solver(uncertainty=uncertainty, threads=1)
        )

    say(f"OpenSim, {size.opensim} frames")
    few = markers.with_(xyz=markers.xyz[: size.opensim])
    opensim, by_opensim = frames_per_second(lambda: solve_with_opensim(body, few, np.ones(few.xyz.shape[:2])), 1)
    say(f"ours, {size.ours} frames")
    plain, by_frames = frames_per_second(lambda: inverse_kinematics(body, markers))
    smooth, _ = frames_per_second(lambda: by_trajectory(uncertainty=False))
    sure, _ = frames_per_second(lambda: by_trajectory(uncertainty=True))
    cost = by_frames.cost[: size.opensim] / by_opensim.cost
    say("articulated body")
    many, _ = frames_per_second(articulated_case(max(size.ours // 5, 20)))
    say("memory, in processes of their own")
    return [
        Metric("opensim_frames_per_s", opensim, "frames/s", "higher"),
        Metric("frames_frames_per_s", plain, "frames/s", "higher"),
        Metric("trajectory_frames_per_s", smooth, "frames/s", "higher"),
        Metric("trajectory_with_uncertainty_frames_per_s", sure, "frames/s", "higher"),
        Metric("frames_to_opensim", plain / opensim, "×", "higher", goal=400),
        Metric("trajectory_to_opensim", smooth / opensim, "×", "higher", goal=400),
        Metric("trajectory_with_uncertainty_to_opensim", sure / opensim, "×", "higher", goal=350),
        Metric("frames_cost_to_opensim_max", float(np.nanmax(cost)), "×", "lower", goal=1.001),
        Metric("frames_cost_to_opensim_median", float(np.nanmedian(cost)), "×", "lower"),
        Metric("articulated_frames_per_s", many, "frames/s", "higher"),
        Metric("articulated_to_opensim_on_coupled", many / opensim, "×", "higher", goal=100),
        *_memory_metrics(size),
    ]


def _memory_metrics(size: TrialSize) -> list[Metric]:
    metrics = []
    for engine, label in (("trajectory", "trajectory"), ("uncertainty", "trajectory_with_uncertainty")):
        short, long = (_memory_of_child(engine, frames) for frames in (size.ours, size.long))
        metrics += [
            Metric(f"{label}_memory_{size.ours}_frames", short, "MiB", "lower"),
            Metric(f"{label}_memory_{size.long}_frames", long, "MiB", "lower"),
            Metric(f"{label}_memory_ratio", long / short, "×", "lower", goal=1.2),
        ]
    return metrics


def coupled_case(frames: int) -> tuple[Body, Markers]:
    """The coupled body and its walk, markers with 5 mm noise."""
    body = build_body("coupled", BENCH_MARKER_SET)
    names = [name for name in body.marker_names if not name.endswith((INFERRED_SUFFIX, VIRTUAL_SUFFIX))]
    return body, walking_markers(body, names, walking_motion(body, frames))


def articulated_case(frames: int) -> Callable[[], Result]:
    """The articulated body with its recipe's priors on the coupled body's markers, ready to be solved."""
    markers = coupled_case(frames)[1]
    body, prior = build_body("articulated", BENCH_MARKER_SET), read_prior("articulated")
    return lambda: inverse_kinematics(
        body, markers, None, smoothness=STUDY_SMOOTHNESS, prior=prior, solver=Solver(uncertainty=False)
    )


def frames_per_second(solve: Callable[[], Result], repeats: int = 2) -> tuple[float, Result]:
    """Frames per second of processor time, the best of `repeats`; kernels are compiled before."""
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        result = solve()
        best = min(best, time.process_time() - start)
    return result.motion.frames / best, result


def _memory_of_child(engine: str, frames: int) -> float:
    """MiB that a process that runs this module holds at most."""
    command = [sys.executable, "-m", "tools.bench.engines", engine, str(frames)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    return float(done.stdout.splitlines()[-1])


def highest_memory() -> float:
    """MiB that this process has held at most. Linux counts the parent's into ru_maxrss, but not into VmHWM."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


# Triangulation.


RIGID_BONES = (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
TriangulatedPoints = tuple[np.ndarray, np.ndarray, np.ndarray]  # points, errors (px) and use of the observations


def triangulate_plainly(keypoints: Keypoints, cameras: Sequence[Camera]) -> Markers:
    """Confidence-weighted linear triangulation of all views (z_up), no outlier handling; NaN with fewer than two views.

    Hartley & Zisserman 2004, ch. 12.2. Pixels are freed from lens distortion first.
    """
    xy, weight = keypoints.xy, keypoints.confidence
    ideal = np.stack([undistort_pixels(camera, xy[:, v]) for v, camera in enumerate(cameras)], 1)
    P = np.stack([np.c_[c.R, c.t] for c in cameras])  # (views, 3, 4)
    rows = ideal[..., None] * P[:, None, 2, None] - P[:, None, :2]
    rows = np.nan_to_num(rows * weight[..., None, None]).transpose(0, 2, 1, 3, 4)
    solution = np.linalg.svd(rows.reshape(*rows.shape[:2], -1, 4))[2][..., -1, :]
    seen = (weight > 0).sum(1) >= 2
    xyz = np.where(seen[..., None], solution[..., :3] / solution[..., 3:], np.nan)
    return Markers(keypoints.names, keypoints.rate, xyz, "z_up", origin=keypoints.origin)


def _by_dlt(cameras: Sequence[Camera], keypoints: Keypoints) -> TriangulatedPoints:
    xyz = triangulate_plainly(keypoints, cameras).xyz
    error = np.linalg.norm(project_points(cameras, xyz).transpose(1, 0, 2, 3) - keypoints.xy, axis=-1)
    return xyz, error, np.isfinite(error)


def _by_simspine(cameras: Sequence[Camera], keypoints: Keypoints) -> TriangulatedPoints:
    markers, report = triangulate_with_report(keypoints, cameras)
    return markers.xyz, report.error_px, report.used


def _result_and_time(method: Callable[[], TriangulatedPoints], repeats: int = 3) -> tuple[TriangulatedPoints, float]:
    """What a method gives, and the shortest of several times, s."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        found = method()
        seconds.append(time.perf_counter() - start)
    return found, round(min(seconds), 3)


def method_figures(keypoints: Keypoints, method: Callable[[], TriangulatedPoints]) -> dict[str, float]:
    """Errors, share kept, constancy of bone lengths and time of a method."""
    (xyz, error, used), seconds = _result_and_time(method)
    values = {"observation": error[used], "all": error[np.isfinite(error)]}
    result = {f"{name}_p{q}": round(float(np.percentile(v, q)), 2) for name, v in values.items() for q in (50, 90)}
    result["kept"] = round(float((used.sum(1) > 0).mean()), 4)
    joint = {name: xyz[:, m] for m, name in enumerate(keypoints.names)}
    pairs = [(joint[f"{side}_{a}"], joint[f"{side}_{b}"]) for side in ("left", "right") for a, b in RIGID_BONES]
    sd = [np.nanstd(np.linalg.norm(a - b, axis=-1)) for a, b in pairs]
    result |= {"bone_sd_mm_p50": round(1000 * float(np.median(sd)), 1), "bone_sd_mm_max": round(1000 * max(sd), 1)}
    return result | {"seconds": seconds}


def demo_detections() -> tuple[list[Camera], Keypoints]:
    """The demonstration's cameras and native BlazePose keypoints."""
    from simspine.vision.blazepose import BlazePose
    from simspine.vision.detector import detect_videos

    capture = find_project(demo_folder())
    videos = open_videos(capture.videos)
    cameras = match_cameras_to_views(videos, read_calibration(capture.calibration))
    found = detect_videos(videos, BlazePose)
    points = found.people[:, :, 0].astype(float)
    return cameras, Keypoints(load_skeleton("blazepose33").names, found.rate, points[..., :2], points[..., 2])


def synthetic_views(views: int, frames: int = 100, points: int = 33) -> tuple[list[Camera], Keypoints, np.ndarray]:
    """Cameras on a ring, points with 3 px noise and one observation in twenty grossly wrong; the true points."""
    rng = np.random.default_rng(0)
    cameras = []
    for i in range(views):
        a = 2 * np.pi * i / views
        centre = np.array([4 * np.cos(a), 4 * np.sin(a), 1.2 + 0.4 * (i % 3)])
        R = look_at_rotation(centre, np.array([0.0, 0.0, 1.0]))
        K = np.array([[1100.0, 0, 960], [0, 1100, 540], [0, 0, 1]])
        lens = np.array([-0.05, 0.14, 5e-4, -4e-4, 0.01])
        cameras.append(Camera(name=f"cam{i}", size=(1920, 1080), K=K, distortion=lens, R=R, t=-R @ centre))
    still = rng.uniform([-0.5, -0.5, 0.1], [0.5, 0.5, 1.8], (points, 3))
    swing = 0.2 * np.sin(np.arange(frames)[:, None, None] / 30 + np.arange(points)[:, None])
    xyz = still + swing * np.array([1, 0.5, 0.3])
    xy = project_points(cameras, xyz).transpose(1, 0, 2, 3)
    xy = xy + rng.normal(0, 3, xy.shape)
    xy += (rng.random(xy.shape[:3]) < 0.05)[..., None] * rng.normal(0, 150, xy.shape)
    return cameras, Keypoints(tuple(f"p{i}" for i in range(points)), 60, xy, np.ones(xy.shape[:3])), xyz


def triangulation_timing(views: int, frames: int = 100) -> dict[str, float]:
    """Time and errors of ours on `synthetic_views`."""
    cameras, keypoints, truth = synthetic_views(views, frames)
    (xyz, _, _), seconds = _result_and_time(lambda: _by_simspine(cameras, keypoints), 3 if frames < 1000 else 1)
    error = np.linalg.norm(xyz - truth, axis=-1)
    return {
        "seconds": seconds,
        "error_mm_p50": round(1000 * float(np.nanmedian(error)), 1),
        "error_mm_p99": round(1000 * float(np.nanpercentile(error, 99)), 1),
        "kept": round(float(np.isfinite(error).mean()), 4),
    }


def measure_triangulation(quick: bool = False) -> list[Metric]:
    """The table's numbers as metrics, without goals. quick: a few frames of four synthetic views only."""
    if quick:
        found = {"synthetic: 4 views": triangulation_timing(4, 20)}
    else:
        cameras, keypoints = demo_detections()
        found = {
            "demo: dlt": method_figures(keypoints, lambda: _by_dlt(cameras, keypoints)),
            "demo: simspine": method_figures(keypoints, lambda: _by_simspine(cameras, keypoints)),
            **{f"synthetic: {views} views": triangulation_timing(views) for views in (4, 8, 16)},
            "synthetic: 4 views, 10000 frames": triangulation_timing(4, 10_000),
        }

    def metric(row: str, key: str, value: float) -> Metric:
        unit = {"kept": "share", "seconds": "s"}.get(key, "mm" if "_mm" in key else "px")
        return Metric(f"{row}: {key}", value, unit, "higher" if key == "kept" else "lower")

    return [metric(row, key, value) for row, values in found.items() for key, value in values.items()]


if __name__ == "__main__":
    small_body, small_markers = coupled_case(int(sys.argv[2]))
    inverse_kinematics(
        small_body,
        small_markers,
        smoothness=STUDY_SMOOTHNESS,
        solver=Solver(uncertainty=sys.argv[1] == "uncertainty"),
    )
    print(highest_memory())
