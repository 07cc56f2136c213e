"""How many points of a model's bones lie outside the skin drawn on them: `python benchmarks/bones_in_skin.py [people]`.

People of the virtual capture, a moment each of walking, greeting and sitting; some 20 to 40 points of each bone.
Outside: the skin's surface winds around the point by less than a half (generalised winding number, Jacobson et al.
2013, ACM Trans. Graph. 32, 33). Two skins of an average person: placed by joints and points alone (`bind`), as people
are rendered who are learnt from, and around the bones (`around_bones`), as reports and portraits draw it.
"""

import argparse
from collections.abc import Iterator, Mapping

import numpy as np
from numba import njit
from scipy.spatial import cKDTree

from simspine.body.kinematics import body_poses
from simspine.capture.truth import make_subject, make_trial
from simspine.pipeline.scene import anatomy
from simspine.report.player.bones import Bone
from simspine.report.solid import average_skin
from simspine.surface.asset import skin_asset
from simspine.surface.binding import BoundSkin
from simspine.surface.posing import posed_points, segment_maps

ACTIONS, FRAMES, MOMENT = ("Walking", "Greeting", "Sitting"), 200, 120
POINTS = 20  # of each bone
REGIONS = {
    "hands": ("hand",), "forearms": ("radius", "ulna"), "feet": ("talus", "calcn", "toes"), "skull": ("head",),
    "ribs, shoulder blades": ("T4",), "pelvis": ("pelvis", "sacrum"),
}  # fmt: skip


@njit(cache=True, error_model="numpy")
def winding(places, points, triangles):
    """(n,): how often the surface goes around each of the places (n, 3): 1 inside, 0 outside.

    The solid angles of all triangles over 4 π (Van Oosterom & Strackee 1983).
    """
    out = np.zeros(len(places))
    ways, lengths = np.empty_like(points), np.empty(len(points))
    for i in range(len(places)):
        for k in range(len(points)):
            x, y, z = points[k, 0] - places[i, 0], points[k, 1] - places[i, 1], points[k, 2] - places[i, 2]
            ways[k, 0], ways[k, 1], ways[k, 2], lengths[k] = x, y, z, np.sqrt(x * x + y * y + z * z)
        for t in range(len(triangles)):
            p, q, r = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            ax, ay, az, bx, by, bz = ways[p, 0], ways[p, 1], ways[p, 2], ways[q, 0], ways[q, 1], ways[q, 2]
            cx, cy, cz = ways[r, 0], ways[r, 1], ways[r, 2]
            volume = ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
            below = lengths[p] * lengths[q] * lengths[r] + (ax * bx + ay * by + az * bz) * lengths[r]
            below += (bx * cx + by * cy + bz * cz) * lengths[p] + (cx * ax + cy * ay + cz * az) * lengths[q]
            out[i] += np.arctan2(volume, below) / (2 * np.pi)
    return out


def region_of(body: str) -> str:
    """The part of the body that a row of the table is about."""
    return next((region for region, starts in REGIONS.items() if body.startswith(starts)), "all others")


def outside(
    skin: BoundSkin, bones: tuple[Bone, ...], poses: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, np.ndarray]]:
    """(region, (n,) m) for each bone: how far its points are outside, 0 inside. poses: {body: (4, 4)}."""
    triangles = skin_asset().triangles
    points = posed_points(skin, segment_maps(skin, {name: pose[None] for name, pose in poses.items()})[0])
    tree = cKDTree(points)
    for bone in bones:
        some = bone.points[:: max(1, len(bone.points) // POINTS)]
        places = some @ poses[bone.body][:3, :3].T + poses[bone.body][:3, 3]
        away = tree.query(places)[0]
        yield region_of(bone.body), np.where(winding(places, points, triangles) < 0.5, away, 0.0)


def main() -> None:
    """Print a table, a column of each skin."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("people", nargs="?", type=int, default=2)
    found: dict[str, dict[str, list[np.ndarray]]] = {"by joints": {}, "around bones": {}}
    for number in range(parser.parse_args().people):
        subject = make_subject(7, number)
        for action in ACTIONS:
            trial = make_trial(subject, action, 1, FRAMES)
            body = trial.body
            poses = {name: pose[MOMENT] for name, pose in body_poses(body, trial.motion).items()}
            bones = anatomy(body.osim)[0]
            for kind, skin in (("by joints", average_skin(body)), ("around bones", average_skin(body, bones))):
                for region, away in outside(skin, bones, poses):
                    for row in (region, "all"):
                        found[kind].setdefault(row, []).append(away)
    print("| bones | " + " | ".join(f"skin {kind}: outside, furthest" for kind in found) + " |\n|---|---|---|")
    for row in (*REGIONS, "all others", "all"):
        cells = []
        for kind in found:
            away = np.concatenate(found[kind][row])
            cells.append(f"{100 * (away > 0).mean():.1f} %, {1000 * away.max():.0f} mm")
        print(f"| {row} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
