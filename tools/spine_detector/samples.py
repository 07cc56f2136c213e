"""Rendered people as BlazePose sees them, with the true places of their spines: what the spine network learns from.

    python -m tools.spine_detector.samples --out samples --people 90 --each 120 --seed 1

One file a person. Every person does the fifteen actions of the virtual capture; in half of the frames the trunk bends
and turns further, and the arms go elsewhere, at random: actions of every day bend little to the side. In half of the
pictures the trunk is bare or in a skin-tight top, so that the outline is that of the skin. Each picture goes through
BlazePose as a video's image would, so the inputs have its errors on rendered people.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from simspine.anatomy.skin import skin_asset
from simspine.core.geometry import project_one
from simspine.core.skeletons import load_skeleton
from simspine.core.types import Motion
from simspine.io.atomic import atomic_path
from simspine.io.image_streams import encode_jpeg
from simspine.synthesis import virtual_trial
from simspine.synthesis.actions import ACTION_NAMES
from simspine.synthesis.population import make_subject
from simspine.synthesis.rendered_crops import (
    Performer,
    RenderSettings,
    Sample,
    draw_sample,
    make_performer,
    virtual_person,
)
from simspine.synthesis.rendered_people import RenderedPerson
from simspine.synthesis.signals import random_stream
from simspine.vision.blazepose import Pose, PoseNetworks, region_of_box, settled_pose
from simspine.vision.blazepose_spine import SPINE_POINTS, features_of, to_crop_shares
from simspine.vision.options import DEFAULT_MODELS

STYLE = RenderSettings(size=(224, 256), samples=1)
FRAMES = 60  # of each action
BARE = 0.5  # share of pictures without loose clothes on the trunk
NATIVE = load_skeleton("spinetrack37")
SPINE = [NATIVE.index(name) for name in SPINE_POINTS[:9]]  # from the sacrum up
STEP = 0.01  # m, of the differences that tell how a place moves in the picture
FURTHER = 0.5  # share of frames bent further
# One standard deviation, degrees, over a whole region; and of joints of the arms.
BENDS = {
    "lumbar": {"Flex_Ext": 18, "Lat_Bending": 14, "axial_rotation": 5},
    "thorax": {"Flex_Ext": 9, "Lat_Bending": 12, "axial_rotation": 12},
    "neck": {"Flex_Ext": 12, "Lat_Bending": 10, "axial_rotation": 15},
}
ARMS = {"arm_flex": 30, "arm_add": 40, "arm_rot": 25, "elbow_flex": 20}
HIPS = {"hip_flexion": 20, "hip_adduction": 10}
LEAN = {"pelvis_tilt": 12, "pelvis_list": 12}


@dataclass(frozen=True, eq=False)
class Seen:
    """A person's pictures: points (n, 33, 4), mask (n, 64, 64), places (n, 37, 2) shares of the true points in
    SpineTrack's order, v (n, 37): 2 in sight, 1 hidden, 0 outside. ahead: (n, 9, 2) shares that a spine point moves
    for 1 m forward from its vertebra; axes: (n, 3, 2) shares for 1 m forward, up, right of the trunk. bare: (n,)."""

    points: np.ndarray
    mask: np.ndarray
    places: np.ndarray
    v: np.ndarray
    ahead: np.ndarray
    axes: np.ndarray
    bare: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--people", type=int, default=90)
    parser.add_argument("--each", type=int, default=120, help="pictures of each person")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", default="0/1", help="i/n: every n-th person from the i-th, to share the work")
    options = parser.parse_args()
    first, step = map(int, options.part.split("/"))
    networks = PoseNetworks(DEFAULT_MODELS["blazepose_spine"])
    for index in range(first, options.people, step):
        path = options.out / f"{index:04d}.npz"
        if not path.is_file():
            seen = look_at(agile_performer(options.seed, index), networks, options.seed, index, options.each)
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                np.savez_compressed(file, **vars(seen))
            print(f"{path}: {len(seen.v)} of {options.each} pictures", flush=True)


def agile_performer(seed: int, index: int) -> Performer:
    """Person number `index` of the virtual capture of this seed, in half the frames bent further than its actions."""
    subject = make_subject(seed, index)
    person = virtual_person(subject)
    trials = [virtual_trial.make_trial(subject, action, 1, FRAMES).motion for action in ACTION_NAMES]
    values = np.concatenate([trial.values for trial in trials])
    plain = Motion(trials[0].names, trials[0].rate, values, trials[0].rotational)
    motion = bent_further(plain, random_stream(seed, "bent further", str(index)))
    return make_performer(subject.name, person, motion)


def bent_further(motion: Motion, rng: np.random.Generator) -> Motion:
    """A motion whose frames are, in half of them, bent and turned at random, each for itself."""
    values, names = motion.values.copy(), motion.names
    chosen = rng.random(motion.frames) < FURTHER

    def add(columns: list[int], degrees: float) -> None:
        total = np.radians(degrees) * rng.standard_normal(motion.frames) * chosen
        values[:, columns] += total[:, None] / len(columns)

    for region, turns in BENDS.items():
        for turn, degrees in turns.items():
            add([i for i, name in enumerate(names) if name.endswith(turn) and region_of(name) == region], degrees)
    for joint, degrees in (ARMS | HIPS).items():
        for side in "rl":
            add([names.index(f"{joint}_{side}")], degrees)
    for joint, degrees in LEAN.items():
        add([names.index(joint)], degrees)
    return motion.with_(values=values)


def region_of(coordinate: str) -> str:
    """Region of an intervertebral joint: 'L4_L5_Flex_Ext' → 'lumbar'."""
    if coordinate.startswith("L"):
        return "lumbar"
    return "thorax" if coordinate.startswith("T") else "neck"


def look_at(who: Performer, networks: PoseNetworks, seed: int, index: int, count: int) -> Seen:
    rows = list(_rows(who, networks, seed, index, count))
    return Seen(*(np.array(column) for column in zip(*rows, strict=True)))


def _rows(who: Performer, networks: PoseNetworks, seed: int, index: int, count: int) -> Iterator[tuple]:
    tight = make_subject(seed, index).sex == "female" or index % 2 == 0
    unclothed = replace(who, person=without_top(who.person, tight))
    for number in range(count):
        bare = random_stream(seed, "clothes", str(index), str(number)).random() < BARE
        sample = draw_sample(unclothed if bare else who, STYLE, seed, 1000 * index + number)
        stored = cv2.imdecode(
            np.frombuffer(encode_jpeg(sample.image, sample.sensor.quality), np.uint8), cv2.IMREAD_COLOR
        )
        pose = _found(networks, stored, sample, random_stream(seed, "box", str(index), str(number)))
        if pose is not None:
            yield *described(pose, sample), bare


def described(pose: Pose, sample: Sample) -> tuple[np.ndarray, ...]:
    """What `Seen` holds of a picture, but for `bare`."""
    features = features_of(pose)
    places = to_crop_shares(pose, sample.labels.keypoints[:, :2]).astype(np.float32)
    mask = np.round(255 * features.mask).astype(np.uint8)
    return features.points, mask, places, sample.labels.keypoints[:, 2].astype(np.uint8), *moves(pose, sample)


def moves(pose: Pose, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """`ahead` (9, 2) and `axes` (3, 2) of a picture, see `Seen`."""
    xyz = (sample.labels.camera_xyz - sample.camera.t) @ sample.camera.R
    pairs = [[xyz[NATIVE.index(side + part)] for side in ("left_", "right_")] for part in ("hip", "shoulder")]
    right = _unit(sum(_unit(end - start) for start, end in pairs))
    low, high = (np.mean(pair, axis=0) for pair in pairs)
    forward = _unit(np.cross(np.gradient(xyz[SPINE], axis=0), right))
    up = _unit(high - low)
    trunk = np.stack([_unit(np.cross(up, right)), up, right])
    starts = np.concatenate([xyz[SPINE], np.tile((low + high) / 2, (3, 1))])
    apart = project_one(sample.camera, starts + STEP * np.concatenate([forward, trunk]))
    shares = (apart - project_one(sample.camera, starts)) / STEP @ pose.looked_in.to_crop(1)[:, :2].T
    return shares[:9].astype(np.float32), shares[9:].astype(np.float32)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def without_top(person: RenderedPerson, tight: bool) -> RenderedPerson:
    """The person with a bare trunk and arms; tight: these have the top's looks, as in a top as tight as skin."""
    asset, worn, cuts = skin_asset(), person.worn, [cut for cut, _ in person.appearance.garments]
    top = 2 + [cut.kind for cut in cuts].index("top")  # skin and eyes are the first two materials
    drawn = {tuple(row) for row in worn.triangles[worn.material < 2].tolist()}
    hidden = np.array([row for row in asset.triangles.tolist() if tuple(row) not in drawn], np.int32)
    hidden = hidden[worn.rest[hidden, 1].min(1) > person.skin.landmarks["hip_r"][1]]  # shoes and trousers stay
    kept = worn.material != top
    material = np.full(len(hidden), top if tight else 0)
    return replace(
        person,
        worn=replace(
            worn,
            triangles=np.concatenate([worn.triangles[kept], hidden]),
            material=np.concatenate([worn.material[kept], material]),
        ),
    )


def _found(networks: PoseNetworks, image: np.ndarray, sample: Sample, rng: np.random.Generator) -> Pose | None:
    """The person, looked for about where they are; None where BlazePose sees nobody."""
    left, top, wide, high = sample.labels.box
    box = np.array([left, top, left + wide, top + high]) + 0.05 * max(wide, high) * rng.standard_normal(4)
    return settled_pose(networks, np.ascontiguousarray(image[..., ::-1]), region_of_box(box))


if __name__ == "__main__":
    main()
