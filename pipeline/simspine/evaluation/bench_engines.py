"""Speed and quality of the two engines of inverse kinematics, and of triangulation: `simspine bench ik|triangulation`.

`bench ik` runs OpenSim's InverseKinematicsSolver (as the engine 'opensim' has it, with the Tool's default accuracy,
1e-5) and ours on the same body and markers. Speeds are frames per second of processor time on one thread, so that other
programs matter less. The gain of a second thread is by the clock; memory is the highest resident size of a process of
its own.

`bench triangulation` times 4, 8 and 16 synthetic views, and compares methods on the 33 points that BlazePose detects in
the demonstration's four videos:

- dlt: confidence-weighted linear triangulation of all views, no outlier handling (undistorted);
- exhaustive: the same for every subset of views: the largest with a mean error of at most 25 px, else the best pair;
- simspine: this package; with sides as detected (no exchange undone), and with a tighter limit.

Errors are distances in the distorted image, px. `observation`: each used observation counts. `point`: per (frame,
point) the mean over its used views. `all`: dropped observations count as well. A method that drops more shows smaller
errors of what it uses; `bone_sd_mm` does not know about pixels: the standard deviation over the frames of the lengths
of thighs, shanks, upper arms and forearms, their median and largest. `used_of_view`: share of observations used.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from simspine.anatomy import osim as _opensim
from simspine.anatomy.body import Body, follow_couplers, forward_kinematics
from simspine.anatomy.marker_sets import read_marker_set
from simspine.anatomy.priors import Smoothness
from simspine.anatomy.recipes import VIRTUAL_SUFFIX, build_body, read_prior
from simspine.core.errors import map_on_threads
from simspine.core.geometry import project_points, undistort_pixels
from simspine.core.settings import pose2sim_folder
from simspine.core.skeletons import INFERRED_SUFFIX, load_skeleton
from simspine.core.types import Camera, Keypoints, Markers, Motion
from simspine.estimation.inverse_kinematics import inverse_kinematics
from simspine.estimation.result import Result, Solver
from simspine.evaluation.tables import Metric
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
    _opensim.opensim_api()  # its import is nobody's solving time
    reference, metrics = _coupled_metrics(size, say)
    say("articulated body")
    many, _ = frames_per_second(articulated_case(max(size.ours // 5, 20)))
    metrics += [
        Metric("articulated_frames_per_s", many, "frames/s", "higher"),
        Metric("articulated_to_opensim_on_coupled", many / reference, "×", "higher", goal=50),
    ]
    say(f"simple model, OpenSim on {size.opensim} frames")
    metrics += _simple_metrics(size)
    say("memory and start-up, in processes of their own")
    return [*metrics, *_memory_metrics(size), *_start_metrics()]


def _coupled_metrics(size: TrialSize, say: Callable[[str], None]) -> tuple[float, list[Metric]]:
    """OpenSim's speed on the coupled body, and the figures of that body."""
    body, markers = coupled_case(size.ours)

    def by_trajectory(uncertainty: bool, threads: int = 1) -> Result:
        solver = Solver(uncertainty=uncertainty, threads=threads)
        return inverse_kinematics(body, markers, smoothness=STUDY_SMOOTHNESS, solver=solver)

    say(f"OpenSim, {size.opensim} frames")
    few = first_frames(markers, size.opensim)
    opensim, by_opensim = frames_per_second(lambda: inverse_kinematics(body, few, solver=Solver(engine="opensim")), 1)
    say(f"ours, {size.ours} frames")
    plain, by_frames = frames_per_second(lambda: inverse_kinematics(body, markers))
    smooth, _ = frames_per_second(lambda: by_trajectory(uncertainty=False))
    sure, _ = frames_per_second(lambda: by_trajectory(uncertainty=True))
    cost = by_frames.cost[: size.opensim] / by_opensim.cost
    say("two threads")
    gain, best = threads_gain(lambda threads: by_trajectory(uncertainty=False, threads=threads), hash_twice)
    return opensim, [
        Metric("opensim_frames_per_s", opensim, "frames/s", "higher"),
        Metric("frames_frames_per_s", plain, "frames/s", "higher"),
        Metric("trajectory_frames_per_s", smooth, "frames/s", "higher"),
        Metric("trajectory_with_uncertainty_frames_per_s", sure, "frames/s", "higher"),
        Metric("frames_to_opensim", plain / opensim, "×", "higher", goal=250),
        Metric("trajectory_to_opensim", smooth / opensim, "×", "higher", goal=200),
        Metric("trajectory_with_uncertainty_to_opensim", sure / opensim, "×", "higher", goal=100),
        Metric("frames_cost_to_opensim_max", float(np.nanmax(cost)), "×", "lower", goal=1.001),
        Metric("frames_cost_to_opensim_median", float(np.nanmedian(cost)), "×", "lower"),
        Metric("two_threads_to_one", gain, "×", "higher", goal=1.7),
        Metric("two_threads_to_one_of_nothing_shared", best, "×", "higher"),
    ]


def _simple_metrics(size: TrialSize) -> list[Metric]:
    body, markers = simple_case(size.ours)
    few = first_frames(markers, size.opensim)
    opensim, _ = frames_per_second(lambda: inverse_kinematics(body, few, solver=Solver(engine="opensim")), 1)
    plain, _ = frames_per_second(lambda: inverse_kinematics(body, markers))
    return [
        Metric("simple_opensim_frames_per_s", opensim, "frames/s", "higher"),
        Metric("simple_frames_frames_per_s", plain, "frames/s", "higher"),
        Metric("simple_frames_to_opensim", plain / opensim, "×", "higher", goal=50),
    ]


def _memory_metrics(size: TrialSize) -> list[Metric]:
    metrics = []
    for engine, label in (("trajectory", "trajectory"), ("uncertainty", "trajectory_with_uncertainty")):
        short, long = (_measure_in_child("memory", engine, frames)["MiB"] for frames in (size.ours, size.long))
        metrics += [
            Metric(f"{label}_memory_{size.ours}_frames", short, "MiB", "lower"),
            Metric(f"{label}_memory_{size.long}_frames", long, "MiB", "lower"),
            Metric(f"{label}_memory_ratio", long / short, "×", "lower", goal=1.2),
        ]
    return metrics


def _start_metrics() -> list[Metric]:
    """Seconds of the first solutions, with kernels compiled anew and from Numba's cache."""
    with tempfile.TemporaryDirectory() as folder:
        cold, warm = (_measure_in_child("start", "uncertainty", 60, NUMBA_CACHE_DIR=folder) for _ in range(2))
    return [
        Metric("cold_start", cold["kernels"], "s", "lower", goal=20.0),
        Metric("warm_start", warm["kernels"], "s", "lower", goal=2.0),
        Metric("warm_start_with_model", warm["all"], "s", "lower"),
    ]


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


def simple_case(frames: int) -> tuple[Body, Markers]:
    """Pose2Sim's simple model, which has no couplers, with those of our markers whose bodies it has."""
    osim = _opensim.opensim_api()
    model = _opensim.load_opensim_model((pose2sim_folder() / "Model_Pose2Sim_simple.osim").read_text(encoding="utf-8"))
    bodies = {body.getName(): body for body in model.getBodySet()}
    for name, place in read_marker_set(BENCH_MARKER_SET).places.items():
        if place.body in bodies:
            model.addMarker(osim.Marker(name, bodies[place.body], osim.Vec3(*map(float, place.offset))))
    model.finalizeConnections()
    body = Body.from_text(_opensim.opensim_model_xml(model), "the simple model")
    return body, walking_markers(body, list(body.marker_names), walking_motion(body, frames))


def first_frames(markers: Markers, frames: int) -> Markers:
    return markers.with_(xyz=markers.xyz[:frames])


def frames_per_second(solve: Callable[[], Result], repeats: int = 2) -> tuple[float, Result]:
    """Frames per second of processor time, the best of `repeats`; kernels are compiled before."""
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        result = solve()
        best = min(best, time.process_time() - start)
    return result.motion.frames / best, result


def threads_gain(*works: Callable[[int], object]) -> list[float]:
    """For each work, which is handed a number of threads: time of one over that of two, on the clock, the best of five.

    They take turns, so that all see the same machine.
    """
    seconds: dict[tuple[int, int], float] = {}
    for threads in (1, 2) * 5:
        for which, work in enumerate(works):
            start = time.perf_counter()
            work(threads)
            seconds[which, threads] = min(time.perf_counter() - start, seconds.get((which, threads), np.inf))
    return [seconds[which, 1] / seconds[which, 2] for which in range(len(works))]


def hash_twice(threads: int) -> None:
    """Two equal pieces of work that share nothing: what a second thread is worth on this machine at best."""
    block = bytes(200_000_000)
    map_on_threads(lambda _: sha256(block).digest(), range(2), threads)


def _measure_in_child(what: str, engine: str, frames: int, **environment: str) -> dict:
    """Figures of a process that runs this module."""
    command = [sys.executable, "-m", "simspine.evaluation.bench_engines", what, engine, str(frames)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | environment)
    return json.loads(done.stdout.splitlines()[-1])


def highest_memory() -> float:
    """MiB that this process has held at most. Linux counts the parent's into ru_maxrss, but not into VmHWM."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _measure_alone(what: str, engine: str, frames: int) -> dict:
    """In a process of its own: highest memory, or seconds of the first solutions by both engines."""
    start = time.perf_counter()
    body, markers = coupled_case(frames)
    begun = time.perf_counter()
    inverse_kinematics(body, markers, smoothness=STUDY_SMOOTHNESS, solver=Solver(uncertainty=engine == "uncertainty"))
    if what == "memory":
        return {"MiB": highest_memory()}
    inverse_kinematics(body, markers)
    end = time.perf_counter()
    return {"kernels": end - begun, "all": end - start}


# Triangulation.


EXHAUSTIVE_LIMIT_PX = 25.0  # px, of the exhaustive search
RIGID_BONES = (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
CameraSequence = Sequence[Camera]
TriangulatedPoints = tuple[np.ndarray, np.ndarray, np.ndarray]  # points, errors (px) and use of the observations


def weighted_dlt(cameras: CameraSequence, xy: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted linear triangulation (Hartley & Zisserman, ch. 12.2) of xy (frames, views, points, 2)."""
    ideal = np.stack([undistort_pixels(camera, xy[:, v]) for v, camera in enumerate(cameras)], 1)
    P = np.stack([np.c_[c.R, c.t] for c in cameras])  # (views, 3, 4)
    rows = ideal[..., None] * P[:, None, 2, None] - P[:, None, :2]
    rows = np.nan_to_num(rows * weight[..., None, None]).transpose(0, 2, 1, 3, 4)
    solution = np.linalg.svd(rows.reshape(*rows.shape[:2], -1, 4))[2][..., -1, :]
    return solution[..., :3] / solution[..., 3:]


def pixel_errors(cameras: CameraSequence, xyz: np.ndarray, xy: np.ndarray) -> np.ndarray:
    return np.linalg.norm(project_points(cameras, xyz).transpose(1, 0, 2, 3) - xy, axis=-1)


def triangulate_plain(cameras: CameraSequence, keypoints: Keypoints) -> TriangulatedPoints:
    xyz = weighted_dlt(cameras, keypoints.xy, keypoints.confidence)
    error = pixel_errors(cameras, xyz, keypoints.xy)
    return xyz, error, np.isfinite(error)


def triangulate_best_subset(cameras: CameraSequence, keypoints: Keypoints) -> TriangulatedPoints:
    """The best of all subsets of views."""
    frames, views, points = keypoints.confidence.shape
    chosen = np.zeros((frames, points), bool)
    error, used = np.full((frames, views, points), np.nan), np.zeros((frames, views, points), bool)
    xyz = np.full((frames, points, 3), np.nan)
    for size in range(views, 1, -1):
        lowest = np.full((frames, points), np.inf)
        for subset in combinations(range(views), size):
            take = np.isin(np.arange(views), subset)[None, :, None]
            x = weighted_dlt(cameras, keypoints.xy, keypoints.confidence * take)
            e = pixel_errors(cameras, x, keypoints.xy)
            mean = np.where(take, e, 0).sum(1) / size
            better = ~chosen & (mean < lowest) & ((mean <= EXHAUSTIVE_LIMIT_PX) | (size == 2))
            lowest = np.where(better, mean, lowest)
            xyz, error = np.where(better[..., None], x, xyz), np.where(better[:, None], e, error)
            used = np.where(better[:, None], take, used)
        chosen |= np.isfinite(lowest)
    return xyz, error, used


def triangulate_ours(cameras: CameraSequence, keypoints: Keypoints, **options) -> TriangulatedPoints:
    markers, report = triangulate_with_report(keypoints, cameras, **options)
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
    (xyz, error, used), seconds = _result_and_time(method)
    count = used.sum(1)
    point = (np.where(used, error, 0).sum(1) / np.maximum(count, 1))[count > 0]
    values = {"observation": error[used], "point": point, "all": error[np.isfinite(error)]}
    result = {f"{name}_p{q}": round(float(np.percentile(v, q)), 2) for name, v in values.items() for q in (50, 90)}
    result["kept"] = round(float((count > 0).mean()), 4)
    result |= {f"used_of_view_{v}": round(float(x), 3) for v, x in enumerate(used.mean((0, 2)), start=1)}
    joint = {name: xyz[:, m] for m, name in enumerate(keypoints.names)}
    pairs = [(joint[f"{side}_{a}"], joint[f"{side}_{b}"]) for side in ("left", "right") for a, b in RIGID_BONES]
    sd = [np.nanstd(np.linalg.norm(a - b, axis=-1)) for a, b in pairs]
    result |= {"bone_sd_mm_p50": round(1000 * float(np.median(sd)), 1), "bone_sd_mm_max": round(1000 * max(sd), 1)}
    return result | {"seconds": seconds}


def demo_detections(path: Path | None) -> tuple[list[Camera], Keypoints]:
    """The demonstration's cameras and native BlazePose keypoints, from the file if it is there."""
    capture = find_project(demo_folder())
    videos = open_videos(capture.videos)
    cameras = match_cameras_to_views(videos, read_calibration(capture.calibration))
    names = load_skeleton("blazepose33").names
    if path is not None and path.exists():
        stored = np.load(path)
        return cameras, Keypoints(names, float(stored["rate"]), stored["xy"], stored["confidence"])
    from simspine.vision.blazepose import BlazePose
    from simspine.vision.detector import detect_videos

    found = detect_videos(videos, BlazePose)
    points = found.people[:, :, 0].astype(float)
    keypoints = Keypoints(names, found.rate, points[..., :2], points[..., 2])
    if path is not None:
        np.savez(path, xy=keypoints.xy, confidence=keypoints.confidence, rate=keypoints.rate)
    return cameras, keypoints


def synthetic_views(
    views: int, frames: int = 100, points: int = 33, seed: int = 0
) -> tuple[list[Camera], Keypoints, np.ndarray]:
    """Cameras on a ring, points with 3 px noise and one observation in twenty grossly wrong; the true points."""
    rng = np.random.default_rng(seed)
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
    cameras, keypoints, truth = synthetic_views(views, frames)
    (xyz, _, _), seconds = _result_and_time(lambda: triangulate_ours(cameras, keypoints), 3 if frames < 1000 else 1)
    error = np.linalg.norm(xyz - truth, axis=-1)
    return {
        "seconds": seconds,
        "error_mm_p50": round(1000 * float(np.nanmedian(error)), 1),
        "error_mm_p99": round(1000 * float(np.nanpercentile(error, 99)), 1),
        "kept": round(float(np.isfinite(error).mean()), 4),
    }


def triangulation_figures(kept: Path | None = None, quick: bool = False) -> dict[str, dict[str, float]]:
    """{'part: method or number of views': figures}. kept: npz to keep the detected points in, and read them from.
    quick: a few frames of four synthetic views only."""
    if quick:
        return {"synthetic: 4 views": triangulation_timing(4, 20)}
    cameras, keypoints = demo_detections(kept)
    methods = {
        "dlt": lambda: triangulate_plain(cameras, keypoints),
        "exhaustive": lambda: triangulate_best_subset(cameras, keypoints),
        "simspine": lambda: triangulate_ours(cameras, keypoints),
        "simspine, sides as detected": lambda: triangulate_ours(cameras, keypoints, fix_swaps=False),
        "simspine, max_error_px=38": lambda: triangulate_ours(cameras, keypoints, max_error_px=38),
    }
    found = {f"demo: {name}": method_figures(keypoints, method) for name, method in methods.items()}
    found |= {f"synthetic: {views} views": triangulation_timing(views) for views in (4, 8, 16)}
    return found | {"synthetic: 4 views, 10000 frames": triangulation_timing(4, 10_000)}


def measure_triangulation(kept: Path | None = None, quick: bool = False) -> list[Metric]:
    """The table's numbers as metrics. No goals are set."""

    def metric(row: str, key: str, value: float) -> Metric:
        share = key == "kept" or key.startswith("used")
        unit = "share" if share else "s" if key == "seconds" else "mm" if "_mm" in key else "px"
        return Metric(f"{row}: {key}", value, unit, "higher" if share else "lower")

    return [
        metric(row, key, value)
        for row, values in triangulation_figures(kept, quick).items()
        for key, value in values.items()
    ]


if __name__ == "__main__":
    print(json.dumps(_measure_alone(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
