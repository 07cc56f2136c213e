"""How far a detector's points of the spine are from real ones, in the packaged videos.

    python benchmarks/spine_on_real_images.py

The person of the demonstration wears reflective spheres over C7, T7, T10 and, in 14 frames, the left posterior superior
iliac spine. They are followed in two views and triangulated with the refined cameras (docs/accuracy.md); what is
published of depths leads from each to the centre of the vertebra before it. A detector's points are triangulated and
filtered as in any run; T7 and T10 lie on a cubic curve through its points of the spine. Printed are the distance from
those centres, its part across the spine (the level under a marker is known to half a level only), the part that
changes within the recording (which no depth changes), the share of frames in which all that is stated as unknown
covers the error along each axis at 90 %, the distance in the images, and how far each view's points are from where the
other three views have them. Then the bounds: what a detector without any error would show against this truth, and how
well points of limbs, fitted to the truth of half the recording, give it in the other half.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy.interpolate import CubicSpline

from simspine.anatomy.body import neutral_markers
from simspine.anatomy.marker_sets import read_skin_table
from simspine.anatomy.recipes import build_body
from simspine.core.geometry import markers_in_frame, project_points
from simspine.core.settings import data_folder
from simspine.core.skeletons import base_name, load_skeleton, translate
from simspine.core.types import Camera, Keypoints, Markers, Origin
from simspine.io.calibration import read_calibration
from simspine.io.video import Video, demo_folder, open_videos
from simspine.reconstruction.cameras import judge_cameras
from simspine.vision.blazepose import BlazePoseTracker, PoseNetworks
from simspine.vision.blazepose_spine import (
    SPINE_POINTS,
    SpinePlacer,
)
from simspine.vision.follow_skin_markers import follow_skin_markers
from simspine.vision.options import (
    DEFAULT_MODELS,
    CameraOptions,
    DetectionOptions,
    FilterOptions,
    MergeOptions,
    TriangulationOptions,
)
from simspine.vision.points import detect_in_videos, follow_person, locate_points, make_markers
from simspine.vision.triangulation import triangulate
from simspine.workflow.config import read_config
from simspine.workflow.config_recordings import SkinMarkers

SPINE = {
    "Hip": "S1", "Spine_01": "L5", "Spine_02": "L3", "Spine_03": "L1", "Spine_04": "T8", "Spine_05": "T3",
    "Neck": "C7", "Neck_02": "C4", "Neck_03": "C1",
}  # fmt: skip
TARGETS = {"C7": "C7", "T7": "T7", "T10": "T10", "LPSIS": "S1"}  # marker: the vertebra that it tells of
UP = {"C7": ("C7", "T7"), "T7": ("T7", "T10"), "T10": ("T7", "T10"), "LPSIS": ("T10", "LPSIS")}  # its axis, from, to
HEIGHT = 0.007  # m, of a sphere's centre above the skin
NORMAL_90, ELLIPSE_90 = 1.645, 4.605
LIMITS = (15, 15, 10)  # mm: across the spine, median in space of S1, changes
LIMBS = tuple(side + part for part in ("Hip", "Shoulder", "Ear") for side in "LR")
RIDGES = 10.0 ** np.arange(-3, 2)  # m²; the best of them, so that limbs alone look as good as they can
DRAWS = 2000


@dataclass(frozen=True, eq=False)
class Recording:
    """What was seen of the packaged person. limbs: BlazePose's points; skin: the markers in space."""

    videos: tuple[Video, ...]
    cameras: tuple[Camera, ...]
    limbs: Keypoints
    markers: Markers
    skin: Markers


@dataclass(frozen=True, eq=False)
class Truth:
    """Of one marker's vertebra. centre: (frames, 3) m, NaN = not known; axes: (frames, 3, 3), rows forward, up, right;
    own, shared: (3,) m along them, standard deviations of the marker's lasting error and of that which markers of its
    region have in common; noise: m, of the skin's movement."""

    centre: np.ndarray
    axes: np.ndarray
    own: np.ndarray
    shared: np.ndarray
    noise: float

    @property
    def sd(self) -> np.ndarray:
        """(3,) m along the axes, of all of these."""
        return np.sqrt(self.own**2 + self.shared**2 + self.noise**2)


@dataclass(frozen=True, eq=False)
class Spine:
    """What a method says. xyz: (frames, 9, 3) m in the order of `SPINE`; covariance: (frames, 9, 3, 3) or None. seen:
    its points in the images, if it has any there; spread: (frames, views, 9, 2, 2) px², what it says of them."""

    xyz: np.ndarray
    covariance: np.ndarray | None = None
    seen: Keypoints | None = None
    spread: np.ndarray | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", nargs="*", type=Path, default=[None], help="ONNX files in place of the network's")
    options = parser.parse_args()
    recording = watch()
    truths = true_centres(recording)
    methods = baselines(recording)
    for weights in options.weights:
        seen, spread = placed(recording, weights)
        methods["blazepose_spine" if weights is None else weights.stem] = located(recording, seen, spread)
    print_tables(recording, truths, methods)
    print_bounds(recording, truths)


def watch() -> Recording:
    """The packaged recording as the demonstration has it."""
    videos, limbs, used = with_refined_cameras()
    followed = follow_skin_markers(limbs, used, videos, clicks())
    names = [name for name in followed.names if name.endswith("_skin")]
    skin = triangulate(followed.select(names), used, min_confidence=0.0)
    return Recording(tuple(videos), used, limbs, in_space(limbs, used), skin)


def with_refined_cameras() -> tuple[Sequence[Video], Keypoints, Sequence[Camera]]:
    """The packaged videos, BlazePose's points of the person, and the cameras refined by them."""
    folder = demo_folder()
    videos = open_videos(sorted((folder / "videos").glob("*.mp4")))
    cameras = read_calibration(next((folder / "calibration").iterdir()))
    limbs = detected(videos, cameras, "full")  # whatever network is judged, the truth stays the same
    judged = judge_cameras({"": (limbs, cameras)}, CameraOptions(refine=True), TriangulationOptions().min_confidence)
    return videos, limbs, judged[""].cameras


def clicks() -> Mapping:
    """The demonstration's."""
    trial = read_config(data_folder("configs") / "demo.yaml").subjects["S01"].trials["balance"]
    assert isinstance(trial.skin_markers, SkinMarkers)
    return trial.skin_markers.by_frame()


def detected(videos: Sequence[Video], cameras: Sequence[Camera], model: str) -> Keypoints:
    """The points of the person by a network of BlazePose, in all views."""
    options = DetectionOptions(detector="blazepose", model=model, people=1)
    seen = detect_in_videos(videos, options)
    return follow_person(seen, cameras, seen.skeleton, options)


def in_space(keypoints: Keypoints, cameras: Sequence[Camera]) -> Markers:
    """Triangulated, filtered, z up; what no view shows of the spine is inferred."""
    points, _ = locate_points(keypoints, cameras, TriangulationOptions())
    return markers_in_frame(make_markers(points, FilterOptions(), MergeOptions())[0], "z_up")


def placed(recording: Recording, weights: Path | None) -> tuple[Keypoints, np.ndarray]:
    """Points of the detector `blazepose_spine`, and their covariance (frames, views, 9, 2, 2) px²."""
    placer, networks = SpinePlacer(weights), PoseNetworks(DEFAULT_MODELS["blazepose_spine"])
    trackers = [BlazePoseTracker(1) for _ in recording.videos]
    rows = []
    for images in zip(*recording.videos, strict=False):
        rgb = [np.ascontiguousarray(image[..., ::-1]) for image in images]
        poses = [tracker.step(networks, image)[0] for tracker, image in zip(trackers, rgb, strict=True)]
        rows.append([(pose.points, placer.place(pose)) for pose in poses])
    points = np.array([[np.r_[own, np.c_[spine.xy, spine.confidence]] for own, spine in row] for row in rows])
    names, ours = load_skeleton("blazepose_spine46").names, load_skeleton("spinetrack37").to_simspine
    origin = tuple(Origin.ESTIMATED if name in SPINE_POINTS else Origin.DETECTED for name in names)
    native = Keypoints(names, recording.limbs.rate, points[..., :2], points[..., 2], origin)
    order = [ours[name] for name in SPINE_POINTS]
    at = [order.index(name) for name in SPINE]
    spread = np.array([[spine.covariance[at] for _, spine in row] for row in rows])
    return translate(native, "blazepose_spine46"), spread


def located(recording: Recording, keypoints: Keypoints, spread: np.ndarray) -> Spine:
    """A detector's spine in space."""
    found = spine_of(in_space(keypoints, recording.cameras))
    return Spine(found.xyz, found.covariance, keypoints, spread)


def spine_of(markers: Markers) -> Spine:
    """The nine points among markers, observed or inferred."""
    names = [base_name(name) for name in markers.names]
    at = [names.index(name) for name in SPINE]
    covariance = None if markers.covariance is None else markers.covariance[:, at]
    return Spine(markers.xyz[:, at], covariance)


def baselines(recording: Recording) -> dict[str, Spine]:
    """Inferred from the joints, which is what there is without a detector of the spine; and a straight line. Both also
    with the network that is the default."""
    heavy = in_space(detected(recording.videos, recording.cameras, "heavy"), recording.cameras)
    return {
        "inferred from joints": spine_of(recording.markers),
        "straight line": straight_line(recording.markers),
        "inferred, heavy": spine_of(heavy),
        "straight line, heavy": straight_line(heavy),
    }


def straight_line(markers: Markers) -> Spine:
    """Through mid-hips and mid-shoulders, where the model's vertebrae come nearest to that line as it stands."""
    low, high = (
        (markers.xyz[:, markers.index("L" + part)] + markers.xyz[:, markers.index("R" + part)]) / 2
        for part in ("Hip", "Shoulder")
    )
    heights = np.array([model_centre(level)[1] for level in SPINE.values()])
    hips, shoulders = model_places()["LHip"][1], model_places()["LShoulder"][1]
    share = (heights - hips) / (shoulders - hips)
    return Spine(low[:, None] + share[:, None] * (high - low)[:, None])


# Truth


def true_centres(recording: Recording) -> dict[str, Truth]:
    """{marker: its vertebra's centre}: the marker, and the way from there in the model, the person's size."""
    skin = recording.skin
    place = {name: skin.xyz[:, skin.index(f"{name}_skin")] for name in TARGETS}
    model = {name: model_marker(name) for name in TARGETS}
    size = np.nanmedian(np.linalg.norm(place["C7"] - place["T10"], axis=1)) / np.linalg.norm(model["C7"] - model["T10"])
    right = rightwards(recording.markers)
    found = {}
    for name, level in TARGETS.items():
        top, bottom = UP[name]
        axes = axes_of(place[top] - place[bottom], right)
        drawn = axes_of((model[top] - model[bottom])[None], np.array([[0.0, 0.0, 1.0]]))[0]
        way = drawn @ (model_centre(level) - model[name])
        table = read_skin_table()
        shared = table.pelvis_sd if name == "LPSIS" else (table.person_depth_sd, 0.0, 0.0)
        centre = place[name] + size * np.einsum("fij,i->fj", axes, way)
        found[name] = Truth(centre, axes, np.array(table.places[name].sd), np.array(shared), table.noise)
    return found


def axes_of(up: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(n, 3, 3) rows forward, up, right from vectors (n, 3) along the spine and to the right."""
    up = up / np.linalg.norm(up, axis=1, keepdims=True)
    right = right - (right * up).sum(1, keepdims=True) * up
    right = right / np.linalg.norm(right, axis=1, keepdims=True)
    return np.stack([np.cross(up, right), up, right], 1)


def rightwards(markers: Markers) -> np.ndarray:
    """(frames, 3): the mean of the directions of shoulders and hips."""
    lines = [
        markers.xyz[:, markers.index("R" + p)] - markers.xyz[:, markers.index("L" + p)] for p in ("Shoulder", "Hip")
    ]
    return sum(line / np.linalg.norm(line, axis=1, keepdims=True) for line in lines)


@cache
def model_places() -> dict[str, np.ndarray]:
    """{marker: (3,) m} in the neutral pose (x forward, y up, z right): centres of vertebrae, spheres, joints."""
    body = build_body("articulated", "blazepose", [f"{name}_skin" for name in TARGETS], HEIGHT)
    return dict(zip(body.marker_names, neutral_markers(body), strict=True))


def model_marker(name: str) -> np.ndarray:
    """(3,) m, there: a sphere on the skin."""
    return model_places()[f"{name}_skin"]


def model_centre(level: str) -> np.ndarray:
    """(3,) m, there: the centre of a vertebra."""
    return model_places()[f"{level}_virtual"]


# Figures


def at_targets(nine: np.ndarray) -> np.ndarray:
    """Points (..., 9, k) → those at C7, T7, T10 and S1 (..., 4, k), by a cubic curve over the model's heights."""
    return np.einsum("tn,...nk->...tk", curve(), nine)


@cache
def curve() -> np.ndarray:
    """(4, 9): weights of the nine points at the four places."""
    places = [model_centre(level) for level in SPINE.values()]
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(places, axis=0), axis=1))])
    heights = [place[1] for place in places]
    wanted = np.interp([model_centre(level)[1] for level in TARGETS.values()], heights, along)
    return CubicSpline(along, np.eye(len(SPINE)), bc_type="natural")(wanted)


def print_tables(recording: Recording, truths: Mapping[str, Truth], methods: Mapping[str, Spine]) -> None:
    print("| method | marker | frames | median mm | across | changes | forward, up, right mm | in 90 % | median px |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, spine in methods.items():
        rows = [figures(recording, truths, spine, i) for i in range(len(TARGETS))]
        for marker, row in zip(TARGETS, rows, strict=True):
            print(f"| {name} | {marker} | {row} |")
        print(f"| {name} | back (C7, T7, T10) | {over_back(recording, truths, spine)} |")
    print("\n| method | view left out: median px | 90th percentile | in a view's 90 % ellipse |\n|---|---|---|---|")
    for name, spine in methods.items():
        if spine.seen is not None:
            off = left_out(recording, spine.seen)
            inside = in_ellipse(recording, truths, spine)
            print(f"| {name} | {np.nanmedian(off):.1f} | {np.nanpercentile(off, 90):.1f} | {inside:.2f} |")


def errors(truth: Truth, spine: Spine, i: int) -> np.ndarray:
    """(frames, 3) m forward, up, right."""
    return np.einsum("fij,fj->fi", truth.axes, at_targets(spine.xyz)[:, i] - truth.centre)


def figures(recording: Recording, truths: Mapping[str, Truth], spine: Spine, i: int) -> str:
    truth = list(truths.values())[i]
    off = errors(truth, spine, i)
    off = off[np.isfinite(off).all(1)]
    mean = off.mean(0)
    changes = np.sqrt(((off - mean) ** 2).sum(1).mean())
    axes = ", ".join(f"{1000 * v:+.0f}" for v in mean)
    return (
        f"{len(off)} | {1000 * np.median(np.linalg.norm(off, axis=1)):.0f} | "
        f"{1000 * np.median(np.hypot(off[:, 0], off[:, 2])):.0f} | {1000 * changes:.0f} | {axes} | "
        f"{coverage([truth], spine, [i])} | {np.nanmedian(off_px(recording, truth, spine, i)):.1f}"
    )


def over_back(recording: Recording, truths: Mapping[str, Truth], spine: Spine) -> str:
    """The same over all frames of the three markers that are seen throughout."""
    back = [truths[name] for name in list(TARGETS)[:3]]
    off = np.concatenate([errors(truth, spine, i) for i, truth in enumerate(back)])
    px = np.concatenate([off_px(recording, truth, spine, i).ravel() for i, truth in enumerate(back)])
    length, across = np.linalg.norm(off, axis=1), np.hypot(off[:, 0], off[:, 2])
    moving = [errors(truth, spine, i) for i, truth in enumerate(back)]
    changes = np.sqrt(np.mean([np.nanvar(own, 0).sum() for own in moving]))
    return (
        f"{np.isfinite(length).sum()} | {1000 * np.nanmedian(length):.0f} | {1000 * np.nanmedian(across):.0f} | "
        f"{1000 * changes:.0f} | | {coverage(back, spine, range(3))} | {np.nanmedian(px):.1f}"
    )


def coverage(truths: Sequence[Truth], spine: Spine, which: Sequence[int]) -> str:
    """Share of (frame, axis) whose error is within 90 % of what method and truth state as unknown."""
    if spine.covariance is None:
        return "–"
    inside = []
    for truth, i in zip(truths, which, strict=True):
        own = np.einsum("n,fnij->fij", curve()[i] ** 2, spine.covariance)
        along = np.einsum("fki,fij,fkj->fk", truth.axes, own, truth.axes)
        off = errors(truth, spine, i)
        good = np.isfinite(off)
        inside.append((np.abs(off) <= NORMAL_90 * np.sqrt(along + truth.sd**2))[good])
    return f"{np.concatenate(inside).mean():.2f}"


def off_px(recording: Recording, truth: Truth, spine: Spine, i: int) -> np.ndarray:
    """(views, frames) px from the true centre: of the points detected there, or of those in space."""
    wanted = project_points(recording.cameras, truth.centre)
    if spine.seen is None:
        there = project_points(recording.cameras, at_targets(spine.xyz)[:, i])
    else:
        there = at_targets(spine.seen.select(list(SPINE)).xy)[:, :, i].swapaxes(0, 1)
    return np.linalg.norm(there - wanted, axis=-1)


def in_ellipse(recording: Recording, truths: Mapping[str, Truth], spine: Spine) -> float:
    """Share of (marker of the back, frame, view) within the 90 % ellipse of what detector and truth state."""
    assert spine.seen is not None
    assert spine.spread is not None
    nine, inside = spine.seen.select(list(SPINE)).xy, []
    for i, truth in enumerate(list(truths.values())[:3]):
        wanted = project_points(recording.cameras, truth.centre)
        steps = truth.centre[:, None] + truth.sd[:, None] * truth.axes  # a standard deviation along each axis
        sides = project_points(recording.cameras, steps) - wanted[:, :, None]
        own = np.einsum("n,fvnij->vfij", curve()[i] ** 2, spine.spread)
        off = at_targets(nine)[:, :, i].swapaxes(0, 1) - wanted
        square = np.einsum(
            "vfi,vfij,vfj->vf", off, np.linalg.inv(own + np.einsum("vfki,vfkj->vfij", sides, sides)), off
        )
        inside.append(square[np.isfinite(square)] < ELLIPSE_90)
    return float(np.concatenate(inside).mean())


def left_out(recording: Recording, seen: Keypoints) -> np.ndarray:
    """(views, frames, 9) px between a view's points and those that the other views place in space."""
    return without_a_view(seen.select(list(SPINE)), recording.cameras)


def without_a_view(spine: Keypoints, cameras: Sequence[Camera]) -> np.ndarray:
    """The same of any points."""
    found = []
    for view, camera in enumerate(cameras):
        others = [v for v in range(len(cameras)) if v != view]
        some = spine.with_(xy=spine.xy[:, others], confidence=spine.confidence[:, others])
        xyz = triangulate(some, [cameras[v] for v in others]).xyz
        found.append(np.linalg.norm(project_points([camera], xyz)[0] - spine.xy[:, view], axis=-1))
    return np.array(found)


# Bounds


def print_bounds(recording: Recording, truths: Mapping[str, Truth]) -> None:
    """What truth and limbs alone allow, mm."""
    *back, pelvis = truths.values()
    print("\n| a detector without error | median over people (5 to 95 %) mm | within the limit |\n|---|---|---|")
    rng = np.random.default_rng(1)
    drawn = np.array([[*detector_without_error(back, rng), detector_without_error([pelvis], rng)[0]]
                      for _ in range(DRAWS)])  # fmt: skip
    words = ("C7, T7, T10: median", "across", "changes", "S1: median")
    for column, word, limit in zip(1000 * drawn.T, words, (LIMITS[1], *LIMITS[::2], LIMITS[1]), strict=True):
        low, middle, high = np.percentile(column, [5, 50, 95])
        print(f"| {word} | {middle:.0f} ({low:.0f} to {high:.0f}) | {np.mean(column <= limit):.2f} |")
    fixed, *linear = ([errors_from_limbs(recording, truth, ridge) for truth in back] for ridge in (np.inf, *RIDGES))
    fixed, *linear = (1000 * np.sqrt((np.concatenate(off) ** 2).sum(-1).mean()) for off in (fixed, *linear))
    print(f"limbs alone, changes: fixed to the trunk {fixed:.0f} mm, linear in limbs {min(linear):.0f} mm at best")


def detector_without_error(truths: Sequence[Truth], rng: np.random.Generator) -> tuple[float, float, float]:
    """Median, across and changes, m, that one person's recording would show where only the truth errs."""
    common, off = rng.standard_normal(3), []
    for truth in truths:
        frames = np.isfinite(truth.centre).all(1).sum()
        moving = truth.noise * rng.standard_normal((frames, 3))
        off.append(truth.shared * common + truth.own * rng.standard_normal(3) + moving)
    together = np.concatenate(off)
    changes = np.sqrt(np.mean([own.var(0).sum() for own in off]))
    across = np.hypot(together[:, 0], together[:, 2])
    return float(np.median(np.linalg.norm(together, axis=1))), float(np.median(across)), float(changes)


def errors_from_limbs(recording: Recording, truth: Truth, ridge: float) -> np.ndarray:
    """(frames, 3) m without their mean: the truth in the trunk's axes minus its fit to the other half's frames, linear
    in the places of `LIMBS` there. ridge: m², infinite for a constant."""
    limbs = np.stack([recording.markers.xyz[:, recording.markers.index(name)] for name in LIMBS], 1)
    hips, shoulders = limbs[:, :2].mean(1), limbs[:, 2:4].mean(1)
    axes, origin = axes_of(shoulders - hips, rightwards(recording.markers)), (hips + shoulders) / 2
    wanted = np.einsum("fij,fj->fi", axes, truth.centre - origin)
    places = np.einsum("fij,fkj->fki", axes, limbs - origin[:, None]).reshape(len(wanted), -1)
    known = np.isfinite(wanted).all(1) & np.isfinite(places).all(1)
    wanted, places = wanted[known], places[known]
    off, first = np.empty_like(wanted), np.arange(len(wanted)) < len(wanted) // 2
    for half in (first, ~first):
        x, y = (values[~half] - values[~half].mean(0) for values in (places, wanted))
        u, size, v = np.linalg.svd(x, full_matrices=False)
        slopes = v.T @ ((size / (size**2 + ridge))[:, None] * (u.T @ y))
        off[half] = wanted[half] - wanted[~half].mean(0) - (places[half] - places[~half].mean(0)) @ slopes
    return off - off.mean(0)


if __name__ == "__main__":
    main()
