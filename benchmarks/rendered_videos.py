"""From rendered video to spine, against the truth.

    python benchmarks/rendered_videos.py RESULTS CAPTURE [SUBJECT TRIAL]

Prints the table of docs/rendered-people.md: how far joints and vertebrae found by the workflow (configs/rendered.yaml)
are from those of the virtual capture that was filmed.
"""

import argparse
from pathlib import Path

import numpy as np

from simspine.formats.store import load
from simspine.geometry import in_frame
from simspine.types import Markers

GROUPS = {
    "hips, knees, ankles": ("LHip", "RHip", "LKnee", "RKnee", "LAnkle", "RAnkle"),
    "shoulders, elbows, wrists": ("LShoulder", "RShoulder", "LElbow", "RElbow", "LWrist", "RWrist"),
    "nose, eyes, ears": ("Nose", "LEye", "REye", "LEar", "REar"),
    "heels, toes": ("LHeel", "RHeel", "LBigToe", "RBigToe", "LSmallToe", "RSmallToe"),
}


def off(found: Markers, true: Markers, names) -> np.ndarray:
    """(frames, names) mm."""
    names = [name for name in names if name in found.names and name in true.names]
    a, b = in_frame(found, "z_up").select(names).xyz, true.select(names).xyz
    frames = min(len(a), len(b))
    return 1000 * np.linalg.norm(a[:frames] - b[:frames], axis=-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("capture", type=Path)
    parser.add_argument("subject", nargs="?", default="S1")
    parser.add_argument("trial", nargs="?", default="Walking_1")
    given = parser.parse_args()
    results, capture, subject, trial = given.results, given.capture, given.subject, given.trial
    true = load(capture / "truth" / subject / f"{subject}_{trial}.h5")
    points = load(results / subject / "points" / f"{trial}.h5")
    spine = load(results / subject / "vertebrae" / f"{trial}.h5")
    print("| what | median, mm | 90th percentile |\n|---|---|---|")
    for name, members in GROUPS.items():
        error = off(points["points"], true["points"], members)
        print(f"| {name}, triangulated | {np.nanmedian(error):.0f} | {np.nanpercentile(error, 90):.0f} |")
    centres = spine["centres"]
    for region, letter in (("lumbar", "L"), ("thoracic", "T"), ("cervical", "C")):
        error = off(centres, true["vertebrae"], [n for n in true["vertebrae"].names if n[0] == letter])
        print(f"| {region} vertebrae, solved | {np.nanmedian(error):.0f} | {np.nanpercentile(error, 90):.0f} |")
    for name in ("lla", "tka"):
        error = np.degrees(np.asarray(spine[name]) - np.asarray(true[name])[: len(spine[name])])
        print(
            f"| {name.upper()}, degrees: mean error, sd about it | {np.nanmean(error):.1f} | {np.nanstd(error):.1f} |"
        )


if __name__ == "__main__":
    main()
