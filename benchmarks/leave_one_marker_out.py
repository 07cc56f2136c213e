"""A first check on real data: each marker on the skin of the demonstration, predicted from all else that was seen.

    python benchmarks/leave_one_marker_out.py results/demo

For every marker on the skin that the run in the folder followed, the body is fitted to the person and the trial is
solved again without it. Printed are how far it is then from where it was seen (the constant part, and the part that
changes within the trial), the same for a marker that rides rigidly on hips and shoulders, and how often the 90 %
interval holds it. The interval is of the place on the body, of the bone under the skin (opensim_models/skin.yaml) and
of the skin's motion.
"""

import argparse
from pathlib import Path

import numpy as np

from simspine.anatomy.body import forward_kinematics
from simspine.anatomy.marker_sets import read_skin_table
from simspine.anatomy.recipes import virtual_spine_markers
from simspine.core.geometry import rigid_fit
from simspine.core.skeletons import is_skin_marker
from simspine.core.types import Markers
from simspine.estimation.fit_person import SizedBody, fit_to_person, size_body
from simspine.estimation.solve_trial import solve_kinematics
from simspine.io.hdf5 import read_store
from simspine.quality.marker_checks import sides_exchanged
from simspine.reconstruction.stage import Options
from simspine.workflow.up_to_date import RunPaths, read_json

TRUNK = ("LShoulder", "RShoulder", "LHip", "RHip")
NORMAL_90 = 1.645


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="folder of a run whose trial has skin_markers")
    parser.add_argument("--subject", default="S01")
    parser.add_argument("--trial", default="balance")
    options = parser.parse_args()
    paths, trial = RunPaths(options.results, options.subject), options.trial
    stored = read_store(paths.markers(trial))
    markers: Markers = stored["markers"]
    recipe, marker_set = read_json(paths.scaling)["recipe"], stored["skeleton"]
    sized, _ = size_body([markers], recipe, marker_set, Options().scaling)  # by the limbs
    skin = is_skin_marker(markers.names)
    print(f"{'left out':<12}{'frames':>7}{'constant mm':>22}{'changes mm':>12}{'rigid mm':>10}{'in 90 %':>9}")
    for name in skin:
        there, covariance = solved(sized, markers, marker_set, name)
        i = markers.index(name)
        seen = markers.present[:, i] & ~markers.filled[:, i]
        off = (markers.xyz[:, i] - there)[seen]
        changing = off - off.mean(0)
        place = read_skin_table().of([name])[name]
        own = np.einsum("tii->ti", covariance)[seen]
        sd = np.sqrt(own + np.array(place.sd) ** 2 + read_skin_table().noise ** 2)
        inside = (np.abs(off) <= NORMAL_90 * sd).mean()
        rigid = riding(markers, i)[seen]
        print(
            f"{name:<12}{seen.sum():>7}{'  '.join(f'{1000 * v:+5.0f}' for v in off.mean(0)):>22}"
            f"{1000 * rms(changing):>12.1f}{1000 * rms(rigid - rigid.mean(0)):>10.1f}{inside:>9.2f}"
        )


def solved(sized: SizedBody, markers: Markers, marker_set: str, left_out: str) -> tuple[np.ndarray, np.ndarray]:
    """(frames, 3) m and (frames, 3, 3) m²: where the body has the marker left out, and how well it knows."""
    kept = markers.select([name for name in markers.names if name != left_out])
    sized = fit_to_person(sized, [kept], marker_set, Options().ik, sides_exchanged)
    points = virtual_spine_markers(sized.body) | {left_out: left_out}
    result = solve_kinematics(sized, kept, marker_set, Options().ik, spine_markers=points)
    moved = forward_kinematics(sized.body, result.motion)
    return moved.xyz[:, moved.index(left_out)], result.posterior.derived["markers"][:, -1]


def riding(markers: Markers, i: int) -> np.ndarray:
    """(frames, 3): the marker beside where hips and shoulders, as a rigid body, take its mean place."""
    trunk = markers.xyz[:, markers.indices(TRUNK)]
    shape = np.nanmean(trunk, 0)
    rotation, origin = rigid_fit(np.broadcast_to(shape, trunk.shape), trunk)
    local = np.einsum("tji,tj->ti", rotation, markers.xyz[:, i] - origin)
    return local - np.nanmean(local, 0)


def rms(x: np.ndarray) -> float:
    return float(np.sqrt((x**2).sum(-1).mean()))


if __name__ == "__main__":
    main()
