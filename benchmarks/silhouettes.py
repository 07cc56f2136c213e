"""Silhouettes as evidence of where the spine is: what trunk contours add to limbs without spine points.

    python -m benchmarks.silhouettes [--subjects 8] [--frames 40] [--seed 5] [--preset finetuned]
                                     [--actions Walking,Sitting] [--json FILE]

Synthetic subjects (docs/virtual-capture.md) among four cameras in a ring, 3.5 m away; of what the virtual detector sees
only points that BlazePose has are kept. Around L5, L3, L1 and T8 each subject has trunk sections that the estimator
does not assume: super-ellipses, squarer behind than in front, skewed, with a groove over the spine, clothes, breath,
soft tissue, and turned against the trunk. Contours err by a lasting shift of each view and side and by slower and
faster noise, px (one is 2 mm there); where an arm touches the contour there is none.

Compared are inverse kinematics without contours; with those of the ring; with those of a fifth camera in profile as
well; and with the skin over the spine known exactly, where only the depth of the vertebra is unknown (the bound). For
each: LLA and TKA, degrees; where vertebrae are fore and aft, mm; where the rear of the section was found, mm. rmse,
bias; motion: rmse after each trial's mean error; sd: as stated; coverage of the 90 % interval.
"""

import argparse
import json
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simspine.benchmark.methods import OWN_POINTS
from simspine.benchmark.virtual_trials import true_spine
from simspine.body.options import ScalingOptions
from simspine.capture.detections import detect
from simspine.capture.presets import read_preset
from simspine.capture.rig import looking
from simspine.capture.truth import TruthTrial, capsules, make_subject, make_trial, points
from simspine.detection.options import FilterOptions, MergeOptions, TriangulationOptions
from simspine.geometry import in_frame, project
from simspine.ik.options import KinematicsOptions
from simspine.pipeline.fit_person import body_of_person
from simspine.pipeline.kinematics import read_spine, solve_kinematics
from simspine.pipeline.options import Options
from simspine.pipeline.points import Outline, locate_points, make_markers
from simspine.silhouettes.levels import CONTOURS, DEPTH_SD, GROOVE, GROOVE_SD, LEVELS
from simspine.skeletons import load
from simspine.skeletons.inferred_names import base_name
from simspine.types import Camera, Keypoints, Markers, Origin

UNSEEN = (
    "Hip", "Spine_01", "Spine_02", "Spine_03", "Spine_04", "Spine_05", "Neck", "Neck_02", "Neck_03", "Head",
    "RLatissimus", "LLatissimus", "RClavicle", "LClavicle",
)  # fmt: skip
# Where the points are on the body: the virtual capture's, and the vertebral centroids behind the outline.
PLACES = """
name: silhouettes
from: vertebral
markers:
  Spine_01_silhouette: {body: lumbar5, offset: [0.011735, 0.019379, 0.0], weight: 1.0}
  Spine_02_silhouette: {body: lumbar3, offset: [-0.003572, 0.022307, 0.0], weight: 1.0}
  Spine_03_silhouette: {body: lumbar1, offset: [-0.005646, 0.019271, 0.0], weight: 1.0}
  Spine_04_silhouette: {body: torso, offset: [-0.043995, 0.239751, 0.0], weight: 1.0}
"""
FAT_SD, OWN_SD = 0.008, 0.005  # m, of a vertebra's depth: common to a person's levels, and each level's own

# Contours: lasting shift of a view and side; slow (1 s) and white noise; px.
SHIFT_PX, SLOW_PX, WHITE_PX = 2.5, 2.0, 1.0
ARM = 0.012  # m: an arm nearer than this to a tangent hides it
RADIUS, HEIGHT, FOCAL, SIZE = 3.5, 1.5, 1680.0, (1080, 1920)  # of the rig: m, m, px, px
RING, PROFILE = (40.0, 140.0, -40.0, -140.0), 90.0  # azimuths, degrees from where the subject faces on average


def camera(azimuth: float, facing: float, centre: np.ndarray) -> Camera:
    """One that looks at `centre` (m, z_up) from `azimuth` degrees off the direction `facing` (rad)."""
    turn = facing + np.radians(azimuth)
    eye = np.array([centre[0] + RADIUS * np.cos(turn), centre[1] + RADIUS * np.sin(turn), HEIGHT])
    R = looking(eye, centre)
    K = np.array([[FOCAL, 0, SIZE[0] / 2], [0, FOCAL, SIZE[1] / 2], [0, 0, 1]])
    return Camera(f"{azimuth:g}", SIZE, K, np.zeros(5), R, -R @ eye)


def trunk(markers: Markers, at: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Axis point and directions right and forward, (frames, 3) each, of the trunk's section at a share of its axis."""

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
        depth.append(level.depth + fat + rng.normal(0, OWN_SD))
    return Person(np.array(outline), np.array(depth))


def skin_points(trial: TruthTrial, person: Person) -> np.ndarray:
    """(levels, frames, 3) m: the skin over the spine, straight behind each vertebra in the section's plane."""
    true = points(trial)
    at = [true.xyz[:, true.index(level.point)] for level in LEVELS]
    back = [trunk(true, level.at)[2] for level in LEVELS]
    return np.array([p - d * f for p, d, f in zip(at, person.depth, back, strict=True)])


def look(trial: TruthTrial, person: Person, cameras: list[Camera], rng: np.random.Generator) -> Keypoints:
    """Contours of the trunk in each view, where no arm hides them."""
    true, parts, skin = points(trial), capsules(trial), skin_points(trial, person)
    arms = [i for i, name in enumerate(parts.names) if name.split("_")[0] in ("upper", "forearm", "hand")]
    time = np.arange(trial.frames) / true.rate
    twist = rng.normal(0, np.radians(4)) + np.radians(2) * np.sin(2 * np.pi * 0.4 * time + rng.uniform(0, 6))
    breath = 0.004 * np.sin(2 * np.pi * 0.25 * time + rng.uniform(0, 6))
    shift = rng.normal(0, SHIFT_PX, (len(cameras), 2)) + SLOW_PX * _wander(rng, trial.frames, (len(cameras), 2))
    xy = np.full((trial.frames, len(cameras), len(CONTOURS), 2), np.nan)
    for row, (level, outline, behind) in enumerate(zip(LEVELS, person.outline, skin, strict=True)):
        origin, right, forward = trunk(true, level.at)
        right, forward = _turned(right, forward, twist)
        share = np.clip(outline[:, 1] / outline[:, 1].max(), 0, 1)
        y = outline[:, 1] + breath[:, None] * share
        wall = behind[:, None] + outline[:, 0, None] * right[:, None] + y[..., None] * forward[:, None]
        wall += 0.003 * _wander(rng, trial.frames, (3,))[:, None]
        up = np.cross(right, forward)
        for view, camera_ in enumerate(cameras):
            foot, head = project([camera_], np.stack([origin, origin + 0.05 * up]))[0]
            across = _unit(head - foot)[:, ::-1] * [-1.0, 1.0]
            seen = project([camera_], wall)[0]
            for side, sign in enumerate((1.0, -1.0)):
                touch = (sign * ((seen - foot[:, None]) * across[:, None]).sum(-1)).argmax(1)
                frames = np.arange(trial.frames)
                hidden = _near(camera_.centre, wall[frames, touch], parts.ends[:, arms], parts.radii[arms] + ARM)
                error = shift[:, view, side] + rng.normal(0, WHITE_PX, trial.frames)
                edge = seen[frames, touch] + error[:, None] * across
                xy[:, view, 2 * row + side] = np.where(hidden[:, None], np.nan, edge)
    return Keypoints(CONTOURS, true.rate, xy, np.isfinite(xy).all(-1).astype(float))


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


def _wander(rng: np.random.Generator, frames: int, shape: tuple[int, ...], rate: float = 50.0) -> np.ndarray:
    """(frames, …) Ornstein–Uhlenbeck of variance one and one second."""
    keep = np.exp(-1 / rate)
    out = rng.standard_normal((frames, *shape))
    for t in range(1, frames):
        out[t] = keep * out[t - 1] + np.sqrt(1 - keep**2) * out[t]
    return out


def rig_around(trial: TruthTrial) -> list[Camera]:
    """The ring and the camera in profile, around where the subject is and faces on average."""
    origin, _, forward = trunk(points(trial), 0.5)
    ahead = forward.mean(0)
    facing = float(np.arctan2(ahead[1], ahead[0]))
    return [camera(azimuth, facing, origin.mean(0)) for azimuth in (*RING, PROFILE)]


def located(trial: TruthTrial, rig: list[Camera], preset: str, seed: int) -> Markers:
    """What the ring's four cameras see of the limbs, in space (z_up)."""
    exact, parts, ring = points(trial), capsules(trial), rig[: len(RING)]
    detected = detect(exact, ring, parts.ends, parts.radii, read_preset(preset), seed, trial.subject.name, trial.trial)
    kept = [name for name in load("simspine37").names if name not in UNSEEN]
    return locate_points(detected.keypoints.select(kept), ring, TriangulationOptions())[0]


def ways(trial: TruthTrial, person: Person, rig: list[Camera], seen: Markers, rng) -> dict[str, Markers]:
    """{way: markers that inverse kinematics fits}."""
    contours = look(trial, person, rig, rng)

    def markers(views: int) -> Markers:
        part = contours.with_(xy=contours.xy[:, :views], confidence=contours.confidence[:, :views])
        outline = Outline(part, rig[:views]) if views else None
        return make_markers(seen, FilterOptions(), MergeOptions(), outline=outline)[0]

    found = {"without": markers(0), "ring": markers(len(RING)), "ring + profile": markers(len(rig))}
    rest = found["without"].select([n for n in found["without"].names if base_name(n) not in _POINTS])
    ahead = [trunk(points(trial), level.at)[2] * level.depth for level in LEVELS]
    known = in_frame(
        Markers(_MARKERS, seen.rate, np.stack(list(skin_points(trial, person) + np.array(ahead)), 1)), "y_up"
    )
    depth = np.broadcast_to((FAT_SD**2 + OWN_SD**2) * np.eye(3), (*known.xyz.shape[:2], 3, 3))
    found["skin known"] = rest.with_(
        names=(*rest.names, *_MARKERS),
        xyz=np.concatenate([rest.xyz, known.xyz], 1),
        weight=np.concatenate([rest.weight, np.ones(known.xyz.shape[:2])], 1),
        covariance=np.concatenate([rest.covariance, depth], 1),
        origin=(*rest.origins, *(Origin.SILHOUETTE for _ in _MARKERS)),
        filled=None,
    )
    return found


_POINTS, _MARKERS = tuple(level.point for level in LEVELS), tuple(level.marker for level in LEVELS)


def skin_error(trial: TruthTrial, person: Person, markers: Markers) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{level: error and sd of the skin over the spine, fore and aft, mm}, of the levels that have a marker."""
    found, true = {}, in_frame(points(trial), "y_up")
    for level, depth in zip(LEVELS, person.depth, strict=True):
        if level.marker not in markers.names:
            continue
        i, ahead = markers.index(level.marker), trunk(true, level.at)[2]
        off = markers.xyz[:, i] - true.xyz[:, true.index(level.point)] + (depth - level.depth) * ahead
        sd = np.sqrt(markers.covariance[:, i, 0, 0] - DEPTH_SD**2)
        found[f"skin {level.vertebra}"] = (1e3 * (off * ahead).sum(-1), 1e3 * sd)
    return found


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
    known = [(error[np.isfinite(error)], sd[np.isfinite(error)]) for error, sd in pairs if np.isfinite(error).any()]
    error, sd = (np.concatenate([pair[i] for pair in known]) for i in (0, 1))
    moving = np.concatenate([e - e.mean() for e, _ in known])
    return {
        "rmse": float(np.sqrt((error**2).mean())), "bias": float(error.mean()),
        "motion": float(np.sqrt((moving**2).mean())), "sd": float(sd.mean()),
        "coverage": float((np.abs(error) < 1.645 * sd).mean()),
    }  # fmt: skip


def study(options: argparse.Namespace, places: str) -> dict[str, dict[str, dict[str, float]]]:
    pooled: dict = defaultdict(lambda: defaultdict(list))
    limits = ScalingOptions(max_asymmetry=0.3, min_factor=0.5)
    for index in range(options.subjects):
        subject, rng = make_subject(options.seed, index), np.random.default_rng([options.seed, index])
        person = make_person(rng)
        trials = [make_trial(subject, action, 1, options.frames) for action in options.actions.split(",")]
        rigs = [rig_around(trial) for trial in trials]
        seen = [located(trial, rig, options.preset, options.seed) for trial, rig in zip(trials, rigs, strict=True)]
        chosen = [ways(*item, rng) for item in zip(trials, [person] * len(trials), rigs, seen, strict=True)]
        for way in chosen[0]:
            own = [found[way] for found in chosen]
            sized, _ = body_of_person(own, "articulated", places, Options(scaling=limits))
            for trial, markers in zip(trials, own, strict=True):
                result = solve_kinematics(sized, markers, places, KinematicsOptions(), None, OWN_POINTS)
                figures = judge(read_spine(sized, result, OWN_POINTS), trial)
                if way.startswith("ring"):
                    figures |= skin_error(trial, person, markers)
                for figure, pair in figures.items():
                    pooled[way][figure].append(pair)
    return {way: {figure: summary(pairs) for figure, pairs in rows.items()} for way, rows in pooled.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=8)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--preset", default="finetuned")
    parser.add_argument("--actions", default="Walking,Sitting")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        places = Path(folder, "silhouettes.yaml")
        places.write_text(PLACES)
        table = study(options, str(places))
    for way, rows in table.items():
        print(way)
        for figure, row in rows.items():
            print(f"  {figure:8}", "  ".join(f"{name} {value:6.2f}" for name, value in row.items()))
    if options.json:
        options.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
