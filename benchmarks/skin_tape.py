"""What markers on the skin, and a tape with dots, tell of a spine: people drawn from the prior, errors as assumed.

    python benchmarks/skin_tape.py --people 12

Each person stands and sways a little. Their limbs are seen 1 cm off, markers and dots off their bones as
opensim_models/skin.yaml says: each marker by itself, the dots of a tape by errors that change along it. A tape over
which the first or last level is misjudged shifts as a whole with it, which is such an error.
"""

import argparse
from dataclasses import replace

import numpy as np

from simspine.benchmark.standing import standing
from simspine.body.kinematics import body_poses, forward_kinematics
from simspine.body.recipes import build, read_recipe
from simspine.body.skin import read_skin_table
from simspine.body.tape import Tape
from simspine.ik.options import KinematicsOptions
from simspine.pipeline.kinematics import read_spine, solve_kinematics
from simspine.pipeline.sized_body import SizedBody
from simspine.pipeline.weights import shared_errors
from simspine.skeletons.skin_names import of_tape, on_skin
from simspine.types import Markers, Motion, Origin

LIMBS = tuple(side + point for side in "LR" for point in ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle"))
FOUR = ("C7_skin", "T7_skin", "T10_skin", "LPSIS_skin")
NINE = tuple(f"{name}_skin" for name in ("C7", "T4", "T7", "T10", "L1", "L3", "L5", "LPSIS", "RPSIS"))
TAPE = Tape(24, 0.02, "C7", "S1", {}).names
SETS = {
    "limbs": (), "four markers": FOUR, "nine markers": NINE, "tape C7–S1": TAPE,
    "tape C7–S1, both PSIS": (*TAPE, "LPSIS_skin", "RPSIS_skin"),
}  # fmt: skip
RATE, FRAMES, NORMAL_90 = 10.0, 12, 1.645
LIMB_OFF, LIMB_NOISE = 0.01, 0.003  # m


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=12)
    people = parser.parse_args().people
    names = tuple(dict.fromkeys((*NINE, *TAPE)))
    generic = SizedBody(build("articulated", "blazepose", names), read_recipe("articulated"), {})
    errors: dict[str, list] = {name: [] for name in SETS}
    for seed in range(people):
        motion, seen = drawn(generic, names, seed)
        truth = true_spine(generic, motion, seen)
        for name, skin in SETS.items():
            result = solve_kinematics(generic, seen.select((*LIMBS, *skin)), "blazepose", KinematicsOptions())
            errors[name].append(compared(truth, read_spine(generic, result)))
    print(f"{'seen':<24}" + "".join(f"{angle + ' rms':>10}{'±':>7}{'in 90 %':>9}" for angle in ("LLA", "TKA")))
    for name, rows in errors.items():
        off, sd = np.degrees(np.moveaxis(np.array(rows), -1, 0))  # (people, angles) each
        inside = (np.abs(off) <= NORMAL_90 * sd).mean(0)
        rms = np.sqrt((off**2).mean(0))
        print(f"{name:<24}" + "".join(f"{rms[k]:>10.1f}{sd[:, k].mean():>7.1f}{inside[k]:>9.2f}" for k in (0, 1)))


def drawn(generic: SizedBody, names: tuple[str, ...], seed: int) -> tuple[Motion, Markers]:
    """A person's motion, and their points with errors."""
    rng = np.random.default_rng(seed)
    motion = standing(generic, FRAMES, RATE, rng)
    exact = forward_kinematics(generic.body, motion).select((*LIMBS, *names))
    exact = exact.with_(origin=(Origin.DETECTED,) * len(exact.names))
    return motion, exact.with_(xyz=exact.xyz + _errors(generic, motion, exact, rng))


def _errors(generic: SizedBody, motion: Motion, exact: Markers, rng: np.random.Generator) -> np.ndarray:
    """(frames, markers, 3) m."""
    off = np.zeros(exact.xyz.shape)
    limbs, skin, dots = exact.indices(LIMBS), on_skin(exact.names), of_tape(exact.names)
    off[:, limbs] = rng.normal(0, LIMB_OFF, (len(limbs), 3)) + rng.normal(0, LIMB_NOISE, (FRAMES, len(limbs), 3))
    poses, local = body_poses(generic.body, motion), {name: np.zeros((FRAMES, 3)) for name in skin}
    for error in shared_errors(KinematicsOptions(), exact):
        once = rng.normal(0, error.by_axis)
        for name in set(error.markers) & set(skin):
            local[name] += error.share_of[name] * once
    moving, along = {}, rng.normal(0, 0.5 * read_skin_table().noise, (FRAMES, 3))
    for name in skin:  # the skin moves over the bone with a whole tape, and with each marker by itself
        moving[name] = along if name in dots else rng.normal(0, 0.5 * read_skin_table().noise, (FRAMES, 3))
        carrier = generic.body.marker_bodies[generic.body.marker_index(name)]
        turned = np.einsum("tij,tj->ti", poses[carrier][:, :3, :3], local[name] + moving[name])
        off[:, exact.index(name)] = turned
    return off


def true_spine(generic: SizedBody, motion: Motion, seen: Markers):
    """The spine of the motion drawn, read by the same code as a result's."""
    found = solve_kinematics(generic, seen.select(LIMBS), "blazepose", KinematicsOptions())
    values = np.stack([motion.column(name) for name in found.motion.names], 1)
    return read_spine(
        generic, replace(found, motion=motion.with_(names=found.motion.names, values=values), posterior=None)
    )


def compared(truth, found) -> list[tuple[float, float]]:
    """[(error, sd) of LLA, of TKA] rad, in the middle frame."""
    k = FRAMES // 2
    return [(getattr(found, a)[k] - getattr(truth, a)[k], getattr(found, f"{a}_sd")[k]) for a in ("lla", "tka")]


if __name__ == "__main__":
    main()
