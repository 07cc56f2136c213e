"""Triangulation methods on the demonstration's four real videos, and their time with 4, 8 and 16 synthetic views.

BlazePose's 33 points are detected in the videos that Pose2Sim packages (15 s), then these are compared:

- dlt: confidence-weighted linear triangulation of all views, no outlier handling (undistorted);
- exhaustive: the same for every subset of views: the largest with a mean error of at most 25 px, else the best pair;
- simspine: this package; with sides as detected (no exchange undone), and with a tighter limit.

Errors are distances in the distorted image, px. `observation`: each used observation counts. `point`: per (frame,
point) the mean over its used views. `all`: dropped observations count as well. A method that drops more shows smaller
errors of what it uses; `bone_sd_mm` does not know about pixels: the standard deviation over the frames of the lengths
of thighs, shanks, upper arms and forearms, their median and largest.
"""

import time
from itertools import combinations
from pathlib import Path

import numpy as np

from simspine.benchmark.report import Metric
from simspine.formats.calibration import read_calibration
from simspine.geometry import project, undistort
from simspine.skeletons import load
from simspine.sources.pose2sim import demo_folder, find_project, match_cameras
from simspine.sources.video import open_videos
from simspine.triangulation import triangulate_with_report
from simspine.types import Camera, Keypoints

LIMIT = 25.0  # px, of the exhaustive search


def dlt(cameras, xy, weight):
    """Weighted linear triangulation (Hartley & Zisserman, ch. 12.2) of xy (frames, views, points, 2)."""
    ideal = np.stack([undistort(camera, xy[:, v]) for v, camera in enumerate(cameras)], 1)
    P = np.stack([np.c_[c.R, c.t] for c in cameras])  # (views, 3, 4)
    rows = ideal[..., None] * P[:, None, 2, None] - P[:, None, :2]
    rows = np.nan_to_num(rows * weight[..., None, None]).transpose(0, 2, 1, 3, 4)
    solution = np.linalg.svd(rows.reshape(*rows.shape[:2], -1, 4))[2][..., -1, :]
    return solution[..., :3] / solution[..., 3:]


def pixel_errors(cameras, xyz, xy):
    return np.linalg.norm(project(cameras, xyz).transpose(1, 0, 2, 3) - xy, axis=-1)


def plain(cameras, keypoints):
    xyz = dlt(cameras, keypoints.xy, keypoints.confidence)
    error = pixel_errors(cameras, xyz, keypoints.xy)
    return xyz, error, np.isfinite(error)


def exhaustive(cameras, keypoints):
    """Points, errors and use of the chosen subset, by trying all of them."""
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


def ours(cameras, keypoints, **options):
    markers, report = triangulate_with_report(keypoints, cameras, **options)
    return markers.xyz, report.error_px, report.used


def bone_lengths_sd(names, xyz):
    """Median and largest standard deviation (mm) over the frames of eight limb segments' lengths."""
    bones = [("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")]
    sd = [
        np.nanstd(np.linalg.norm(xyz[:, names.index(f"{side}_{a}")] - xyz[:, names.index(f"{side}_{b}")], axis=-1))
        for side in ("left", "right")
        for a, b in bones
    ]
    return [round(1000 * float(f(sd)), 1) for f in (np.median, np.max)]


def figures(method, cameras, keypoints, **options):
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        xyz, error, used = method(cameras, keypoints, **options)
        seconds.append(time.perf_counter() - start)
    count = used.sum(1)
    point = (np.where(used, error, 0).sum(1) / np.maximum(count, 1))[count > 0]
    values = {"observation": error[used], "point": point, "all": error[np.isfinite(error)]}
    result = {f"{name}_p{q}": round(float(np.percentile(v, q)), 2) for name, v in values.items() for q in (50, 90)}
    result["kept"] = round(float((count > 0).mean()), 4)
    result["used_by_view"] = [round(float(x), 3) for x in used.mean((0, 2))]
    result["bone_sd_mm"] = bone_lengths_sd(keypoints.names, xyz)
    result["seconds"] = round(min(seconds), 3)
    return result


def detections(path):
    """Native BlazePose keypoints of the demonstration, from the file if it is there, and its cameras."""
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


def synthetic(views, frames=100, points=33, seed=0):
    """Cameras on a ring, points with 3 px noise and one observation in twenty grossly wrong."""
    rng = np.random.default_rng(seed)
    cameras = []
    for i in range(views):
        a = 2 * np.pi * i / views
        centre = np.array([4 * np.cos(a), 4 * np.sin(a), 1.2 + 0.4 * (i % 3)])
        forward = np.array([0, 0, 1.0]) - centre
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        R = np.stack([right, np.cross(forward, right), forward])
        K = [[1100, 0, 960], [0, 1100, 540], [0, 0, 1]]
        cameras.append(Camera(f"cam{i}", (1920, 1080), K, [-0.05, 0.14, 5e-4, -4e-4, 0.01], R, -R @ centre))
    still = rng.uniform([-0.5, -0.5, 0.1], [0.5, 0.5, 1.8], (points, 3))
    swing = 0.2 * np.sin(np.arange(frames)[:, None, None] / 30 + np.arange(points)[:, None])
    xyz = still + swing * np.array([1, 0.5, 0.3])
    xy = project(cameras, xyz).transpose(1, 0, 2, 3)
    xy = xy + rng.normal(0, 3, xy.shape)
    xy += (rng.random(xy.shape[:3]) < 0.05)[..., None] * rng.normal(0, 150, xy.shape)
    names = [f"p{i}" for i in range(points)]
    return cameras, Keypoints(names, 60, xy, np.ones(xy.shape[:3])), xyz


def timing(views, frames=100):
    cameras, keypoints, truth = synthetic(views, frames)
    seconds = []
    for _ in range(3 if frames < 1000 else 1):
        start = time.perf_counter()
        markers, _ = triangulate_with_report(keypoints, cameras)
        seconds.append(time.perf_counter() - start)
    error = np.linalg.norm(markers.xyz - truth, axis=-1)
    return {
        "seconds": round(min(seconds), 3),
        "error_mm_p50": round(1000 * float(np.nanmedian(error)), 1),
        "error_mm_p99": round(1000 * float(np.nanpercentile(error, 99)), 1),
        "kept": round(float(np.isfinite(error).mean()), 4),
    }


def table(kept: Path | None = None, quick: bool = False) -> dict[str, dict[str, dict]]:
    """{part: {method or number of views: figures}}. kept: npz to keep the detected points in, and read them from.
    quick: a few frames of four synthetic views only."""
    if quick:
        return {"synthetic": {"4 views": timing(4, 20)}}
    cameras, keypoints = detections(kept)
    return {
        "demo": {
            "dlt": figures(plain, cameras, keypoints),
            "exhaustive": figures(exhaustive, cameras, keypoints),
            "simspine": figures(ours, cameras, keypoints),
            "simspine, sides as detected": figures(ours, cameras, keypoints, fix_swaps=False),
            "simspine, max_error_px=38": figures(ours, cameras, keypoints, max_error_px=38),
        },
        "synthetic": {f"{v} views": timing(v) for v in (4, 8, 16)} | {"4 views, 10000 frames": timing(4, 10_000)},
    }


def measure(kept: Path | None = None, quick: bool = False) -> list[Metric]:
    """The table's numbers as metrics; those in lists (by view, by bone) are left out. No goals are set."""
    metrics = []
    for part, rows in table(kept, quick).items():
        for row, values in rows.items():
            for key, value in values.items():
                if not isinstance(value, list):
                    unit = "s" if key == "seconds" else "mm" if "_mm" in key else "share" if key == "kept" else "px"
                    better = "higher" if key == "kept" else "lower"
                    metrics.append(Metric(f"{part}: {row}: {key}", value, unit, better))
    return metrics
