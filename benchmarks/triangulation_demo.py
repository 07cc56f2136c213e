"""Triangulation methods compared, in full (what is compared: `simspine.benchmark.triangulation`).

    python benchmarks/triangulation_demo.py [--detections points.npz] [--json figures.json]

`simspine bench triangulation` prints the same, less the figures that are lists.
"""

import argparse
import json
from pathlib import Path

from simspine.benchmark.triangulation import table


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--detections", type=Path, help="npz to keep the detected points in, and read them from")
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    found = table(arguments.detections)
    for part, rows in found.items():
        print(part)
        for name, row in rows.items():
            print(f"  {name:28s}", "  ".join(f"{key} {value}" for key, value in row.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
