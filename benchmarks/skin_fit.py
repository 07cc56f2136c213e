"""How the skin of rendered people lies on their bones: `python benchmarks/skin_fit.py [people]`.

Prints the tables of docs/rendered-people.md and draws its figures. People are the virtual capture's, each with a shape
and look of their own; the garments are left out of the measuring.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from simspine.body.kinematics import neutral_markers, neutral_poses
from simspine.body.skin import read_skin_table
from simspine.capture.bodies import truth_body, unscaled
from simspine.capture.rendered.appearance import plain_appearance
from simspine.capture.rendered.people import (
    DENSITY,
    RenderedPerson,
    build_of,
    make_person,
    person_of,
    volume,
    weight_shape,
)
from simspine.capture.rendered.sheet import portrait, save_sheet
from simspine.capture.subjects import make_subject
from simspine.rendering.rays import ray_hits
from simspine.skeletons import load
from simspine.surface.asset import skin_asset
from simspine.surface.posing import posed_points, segment_maps

IMAGES = Path(__file__).parents[1] / "docs" / "images"
FLEXED = 60.0  # degrees, all levels T1 to S1 together
LIMBS = {
    "knee": ("tibia_r", "femur_r"),
    "elbow": ("ulna_r", "humerus_r"),
    "ankle": ("talus_r", "tibia_r"),
    "wrist": ("hand_r", "ulna_r"),
}


def pose(person: RenderedPerson, degrees: float = 0.0, kind: str = "Flex_Ext") -> dict[str, np.ndarray]:
    """Poses (4, 4) standing, the levels T1 to S1 moved by so much in all."""
    names = [n for n in person.body.coordinates.names if n.endswith(kind) and n[0] in "TL" and n[1].isdigit()]
    default = dict(zip(person.body.coordinates.names, person.body.coordinates.default, strict=True))
    sign = -1.0 if kind == "Flex_Ext" else 1.0
    return neutral_poses(person.body, {n: default[n] + sign * np.radians(degrees) / len(names) for n in names})


def surface(person: RenderedPerson, poses: dict[str, np.ndarray]) -> np.ndarray:
    """(n, 3) m, y up."""
    maps = segment_maps(person.skin, {name: value[None] for name, value in poses.items()})
    return posed_points(person.skin, maps[0])


def depths(person: RenderedPerson, poses: dict[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """{level: (from the spinous process, from the centroid)} mm to the skin, straight back in the vertebra's axes."""
    skin, table = surface(person, poses), read_skin_table()
    triangles, found = skin_asset().triangles, {}
    generic = neutral_poses(unscaled()[1])
    for level in table.levels:
        place = table.places[level]
        carrier = place.vertebra if place.vertebra in person.body.bodies else place.body
        carrier = {f"L{i}": f"lumbar{i}" for i in range(1, 6)}.get(carrier, carrier)
        origin = np.array(table.origins[place.body]) + generic["pelvis"][:3, 3]
        size = np.linalg.norm(poses["T1"][:3, 3] - poses["lumbar5"][:3, 3]) / 0.4335
        offset = (origin + place.bone - generic[carrier][:3, 3]) * size
        tip = (poses[carrier] @ [*offset, 1])[:3]
        back = -poses[carrier][:3, 0]
        marker = person.body.marker_index(level)
        owner = person.body.marker_bodies[marker]
        centre = (poses[owner] @ [*person.body.marker_offsets[marker], 1])[:3]
        hits = [ray_hits(at, back, skin, triangles) for at in (tip, centre)]
        found[level] = tuple(1000 * hit[0] if len(hit) else np.nan for hit in hits)
    return found


def joints(person: RenderedPerson, poses: dict[str, np.ndarray]) -> dict[str, float]:
    """mm from a joint's centre to the middle of the limb's section there, along the coarser of its two axes."""
    skin, found, asset = surface(person, poses), {}, skin_asset()
    main_carrier = np.array(asset.segments)[asset.carriers[:, 0]]
    for name, (at, above) in LIMBS.items():
        centre, start = poses[at][:3, 3], poses[above][:3, 3]
        along = (centre - start) / np.linalg.norm(centre - start)
        off = skin - centre
        limb = np.isin(main_carrier, (at, above, "radius_r"))
        near = limb & (np.abs(off @ along) < 0.02) & (np.linalg.norm(off, axis=1) < 0.10)
        ring = off[near] - np.outer(off[near] @ along, along)
        axes = np.linalg.svd(ring - ring.mean(0))[2][:2]
        middle = [(ring @ axis).max() + (ring @ axis).min() for axis in axes]
        found[name] = 1000 * float(np.hypot(*middle)) / 2
    tree = cKDTree(skin)
    for name, body in (("hip", "femur_r"), ("shoulder", "humerus_r")):
        found[f"{name}, below the skin"] = 1000 * float(tree.query(poses[body][:3, 3])[0])
    return found


def face_and_feet(person: RenderedPerson, poses: dict[str, np.ndarray]) -> dict[str, float]:
    """mm from points that should lie on the skin to it."""
    tree, markers = cKDTree(surface(person, poses)), neutral_markers(person.body, poses)
    names = ("Nose", "Head", "REye", "REar", "RBigToe", "RSmallToe", "RHeel")
    return {name: 1000 * float(tree.query(markers[person.body.marker_index(name)])[0]) for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("people", nargs="?", type=int, default=12)
    count = parser.parse_args().people
    load("simspine37")
    people = []
    for i in range(count):
        subject = make_subject(7, i)
        people.append(
            (
                subject,
                make_person(truth_body(subject).body, subject.sex == "female", subject.mass, np.random.default_rng(i)),
            )
        )
    upright = [depths(p, pose(p)) for _, p in people]
    bent = [depths(p, pose(p, FLEXED)) for _, p in people]
    table = read_skin_table()
    print(
        f"| level | published | process to skin | bent {FLEXED:.0f}° | centroid to skin | bent |\n" + 6 * "|---" + "|"
    )
    for level in table.levels:
        row = [np.array([d[level] for d in group]) for group in (upright, bent)]
        cells = [f"{np.nanmean(r[:, c]):.0f} ± {np.nanstd(r[:, c]):.0f}" for c in (0, 1) for r in row]
        print(f"| {level} | {1000 * table.places[level].depth:.0f} | " + " | ".join(cells) + " |")
    for what, measure in (("joint centres", joints), ("points on the skin", face_and_feet)):
        rows = [measure(p, pose(p)) for _, p in people]
        print(
            f"\n{what}, mm: "
            + ", ".join(
                f"{n} {np.mean([r[n] for r in rows]):.0f} ± {np.std([r[n] for r in rows]):.0f}" for n in rows[0]
            )
        )
    mass = [(s.mass, DENSITY * volume(surface(p, pose(p)), skin_asset().triangles)) for s, p in people]
    print("\nmass − skin's, kg:", np.round([a - b for a, b in mass], 1))
    heights = [np.ptp(surface(p, pose(p))[:, 1]) - s.stature for s, p in people]
    print("stature of the skin − the body's, mm:", np.round(1000 * np.array(heights)))
    pictures(people)


def pictures(people) -> None:
    """Postures of one person, and several people."""
    subject = people[1][0]
    body = truth_body(subject).body
    plain = person_of(
        body,
        float(subject.sex == "female"),
        weight_shape(build_of(body, float(subject.sex == "female"), {}, subject.mass)),
        plain_appearance(),
    )
    moves = ((0.0, "Flex_Ext"), (FLEXED, "Flex_Ext"), (40.0, "axial_rotation"), (35.0, "Lat_Bending"))
    rows = [[portrait(plain, pose(plain, *move), azimuth, spine=True) for azimuth in (0, 90, 180)] for move in moves]
    save_sheet(IMAGES / "rendered-postures.jpg", [rows[0] + rows[1], rows[2] + rows[3]])
    save_sheet(IMAGES / "rendered-people.jpg", [[portrait(p, pose(p), a) for _, p in people[:8]] for a in (20, 160)])


if __name__ == "__main__":
    main()
