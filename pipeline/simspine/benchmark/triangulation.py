"""Triangulation methods on the demonstration's four real videos, and their time with 4, 8 and 16 synthetic views.

BlazePose's 33 points are detected in the videos that Pose2Sim packages (15 s), then these are compared:

- dlt: confidence-weighted linear triangulation of all views, no outlier handling (undistorted);
- exhaustive: the same for every subset of views: the largest with a mean error of at most 25 px, else the best pair;
- simspine: this package; with sides as detected (no exchange undone), and with a tighter limit.

Errors are distances in the distorted image, px. `observation`: each used observation counts. `point`: per (frame,
point) the mean over its used views. `all`: dropped observations count as well. A method that drops more shows smaller
errors of what it uses; `bone_sd_mm` does not know about pixels: the standard deviation over the frames of the lengths
of thighs, shanks, upper arms and forearms, their median and largest. `used_of_view`: share of observations used.
"""

import time
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from simspine.benchmark.report import Metric
from simspine.capture.rig import looking
from simspine.formats.calibration import read_calibration
from simspine.geometry import project, undistort
from simspine.skeletons import load
from simspine.sources.pose2sim import demo_folder, find_project, match_cameras
from simspine.sources.video import open_videos
from simspine.triangulation import triangulate_with_report
from simspine.types import Camera, Keypoints

LIMIT = 25.0  # px, of the exhaustive search
BONES = (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
Cameras = Sequence[Camera]
Triangulated = tuple[np.ndarray, np.ndarray, np.ndarray]  # points, errors (px) and use of the observations


def dlt(cameras: Cameras, xy: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted linear triangulation (Hartley & Zisserman, ch. 12.2) of xy (frames, views, points, 2)."""
    ideal = np.stack([undistort(camera, xy[:, v]) for v, camera in enumerate(cameras)], 1)
    P = np.stack([np.c_[c.R, c.t] for c in cameras])  # (views, 3, 4)
    rows = ideal[..., None] * P[:, None, 2, None] - P[:, None, :2]
    rows = np.nan_to_num(rows * weight[..., None, None]).transpose(0, 2, 1, 3, 4)
    solution = np.linalg.svd(rows.reshape(*rows.shape[:2], -1, 4))[2][..., -1, :]
    return solution[..., :3] / solution[..., 3:]


def pixel_errors(cameras: Cameras, xyz: np.ndarray, xy: np.ndarray) -> np.ndarray:
    return np.linalg.norm(project(cameras, xyz).transpose(1, 0, 2, 3) - xy, axis=-1)


def plain(cameras: Cameras, keypoints: Keypoints) -> Triangulated:
    xyz = dlt(cameras, keypoints.xy, keypoints.confidence)
    error = pixel_errors(cameras, xyz, keypoints.xy)
    return xyz, error, np.isfinite(error)


def exhaustive(cameras: Cameras, keypoints: Keypoints) -> Triangulated:
    """The best of all subsets of views."""
    frames, views, points = keypoints.confidence.shape
    chosen = np.zeros((frames, points), bool)
    error, used = np.full((frames, views, points), np.nan), np.zeros((frames, views, points), bool)
    xyz = np.full((frames, points, 3), np.nan)
    for size in range(views, 1, -1):
        lowest = np.full((frames, points), np.inf)
        for subset in combinations(range(views), size):
            take = np.isin(np.arange(views), subset)[None, :, None]
            x = dlt(cameras, keypoints.xy, keypoints.confidence * take)
            e = pixel_errors(cameras, x, keypoints.xy)
            mean = np.where(take, e, 0).sum(1) / size
            better = ~chosen & (mean < lowest) & ((mean <= LIMIT) | (size == 2))
            lowest = np.where(better, mean, lowest)
            xyz, error = np.where(better[..., None], x, xyz), np.where(better[:, None], e, error)
            used = np.where(better[:, None], take, used)
        chosen |= np.isfinite(lowest)
    return xyz, error, used


def ours(cameras: Cameras, keypoints: Keypoints, **options) -> Triangulated:
    markers, report = triangulate_with_report(keypoints, cameras, **options)
    return markers.xyz, report.error_px, report.used


def _timed(method: Callable[[], Triangulated], repeats: int = 3) -> tuple[Triangulated, float]:
    """What a method gives, and the shortest of several times, s."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        found = method()
        seconds.append(time.perf_counter() - start)
    return found, round(min(seconds), 3)


def figures(keypoints: Keypoints, method: Callable[[], Triangulated]) -> dict[str, float]:
    (xyz, error, used), seconds = _timed(method)
    count = used.sum(1)
    point = (np.where(used, error, 0).sum(1) / np.maximum(count, 1))[count > 0]
    values = {"observation": error[used], "point": point, "all": error[np.isfinite(error)]}
    result = {f"{name}_p{q}": round(float(np.percentile(v, q)), 2) for name, v in values.items() for q in (50, 90)}
    result["kept"] = round(float((count > 0).mean()), 4)
    result |= {f"used_of_view_{v}": round(float(x), 3) for v, x in enumerate(used.mean((0, 2)), start=1)}
    joint = {name: xyz[:, m] for m, name in enumerate(keypoints.names)}
    pairs = [(joint[f"{side}_{a}"], joint[f"{side}_{b}"]) for side in ("left", "right") for a, b in BONES]
    sd = [np.nanstd(np.linalg.norm(a - b, axis=-1)) for a, b in pairs]
    result |= {"bone_sd_mm_p50": round(1000 * float(np.median(sd)), 1), "bone_sd_mm_max": round(1000 * max(sd), 1)}
    return result | {"seconds": seconds}


def detections(path: Path | None) -> tuple[list[Camera], Keypoints]:
    """The demonstration's cameras and native BlazePose keypoints, from the file if it is there."""
    capture = find_project(demo_folder())
    videos = open_videos(capture.videos)
    cameras = match_cameras(videos, read_calibration(capture.calibration))
    names = load("blazepose33").names
    if path is not None and path.exists():
        stored = np.load(path)
        return cameras, Keypoints(names, float(stored["rate"]), stored["xy"], stored["confidence"])
    from simspine.detection.blazepose import BlazePose
    from simspine.detection.run import detect_videos

    found = detect_videos(videos, BlazePose)
    points = found.people[:, :, 0].astype(float)
    keypoints = Keypoints(names, found.rate, points[..., :2], points[..., 2])
    if path is not None:
        np.savez(path, xy=keypoints.xy, confidence=keypoints.confidence, rate=keypoints.rate)
    return cameras, keypoints


def synthetic(
    views: int, frames: int = 100, points: int = 33, seed: int = 0
) -> tuple[list[Camera], Keypoints, np.ndarray]:
    """Cameras on a ring, points with 3 px noise and one observation in twenty grossly wrong; the true points."""
    rng = np.random.default_rng(seed)
    cameras = []
    for i in range(views):
        a = 2 * np.pi * i / views
        centre = np.array([4 * np.cos(a), 4 * np.sin(a), 1.2 + 0.4 * (i % 3)])
        R = looking(centre, np.array([0.0, 0.0, 1.0]))
        K = np.array([[1100.0, 0, 960], [0, 1100, 540], [0, 0, 1]])
        lens = np.array([-0.05, 0.14, 5e-4, -4e-4, 0.01])
        cameras.append(Camera(f"cam{i}", (1920, 1080), K, lens, R, -R @ centre))
    still = rng.uniform([-0.5, -0.5, 0.1], [0.5, 0.5, 1.8], (points, 3))
    swing = 0.2 * np.sin(np.arange(frames)[:, None, None] / 30 + np.arange(points)[:, None])
    xyz = still + swing * np.array([1, 0.5, 0.3])
    xy = project(cameras, xyz).transpose(1, 0, 2, 3)
    xy = xy + rng.normal(0, 3, xy.shape)
    xy += (rng.random(xy.shape[:3]) < 0.05)[..., None] * rng.normal(0, 150, xy.shape)
    return cameras, Keypoints(tuple(f"p{i}" for i in range(points)), 60, xy, np.ones(xy.shape[:3])), xyz


def timing(views: int, frames: int = 100) -> dict[str, float]:
    cameras, keypoints, truth = synthetic(views, frames)
    (xyz, _, _), seconds = _timed(lambda: ours(cameras, keypoints), 3 if frames < 1000 else 1)
    error = np.linalg.norm(xyz - truth, axis=-1)
    return {
        "seconds": seconds,
        "error_mm_p50": round(1000 * float(np.nanmedian(error)), 1),
        "error_mm_p99": round(1000 * float(np.nanpercentile(error, 99)), 1),
        "kept": round(float(np.isfinite(error).mean()), 4),
    }


def table(kept: Path | None = None, quick: bool = False) -> dict[str, dict[str, float]]:
    """{'part: method or number of views': figures}. kept: npz to keep the detected points in, and read them from.
    quick: a few frames of four synthetic views only."""
    if quick:
        return {"synthetic: 4 views": timing(4, 20)}
    cameras, keypoints = detections(kept)
    methods = {
        "dlt": lambda: plain(cameras, keypoints),
        "exhaustive": lambda: exhaustive(cameras, keypoints),
        "simspine": lambda: ours(cameras, keypoints),
        "simspine, sides as detected": lambda: ours(cameras, keypoints, fix_swaps=False),
        "simspine, max_error_px=38": lambda: ours(cameras, keypoints, max_error_px=38),
    }
    found = {f"demo: {name}": figures(keypoints, method) for name, method in methods.items()}
    found |= {f"synthetic: {views} views": timing(views) for views in (4, 8, 16)}
    return found | {"synthetic: 4 views, 10000 frames": timing(4, 10_000)}


def measure(kept: Path | None = None, quick: bool = False) -> list[Metric]:
    """The table's numbers as metrics. No goals are set."""

    def metric(row: str, key: str, value: float) -> Metric:
        share = key == "kept" or key.startswith("used")
        unit = "share" if share else "s" if key == "seconds" else "mm" if "_mm" in key else "px"
        return Metric(f"{row}: {key}", value, unit, "higher" if share else "lower")

    return [metric(row, key, value) for row, values in table(kept, quick).items() for key, value in values.items()]
