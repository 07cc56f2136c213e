"""The picture of docs/accuracy.md: what each way to see a person tells of the curvature of the spine.

    python -m benchmarks.what_to_record benchmarks/what_to_record.csv docs/images/what-to-record.png

The table holds root mean square errors in degrees; where each was measured is in its last column.
"""

import argparse
import csv
from pathlib import Path

import matplotlib.pyplot as plt

SHOWN = {
    "lla": ("lumbar lordosis (LLA)", "#0072B2", "o"),
    "tka": ("thoracic kyphosis (TKA)", "#D55E00", "s"),
    "lla_change": ("change of LLA within a trial", "#009E73", "D"),
}


def draw(rows: list[dict[str, str]], path: Path) -> None:
    """Rows from above, a heading before the first of each group of people."""
    figure, axes = plt.subplots(figsize=(8.6, 7.6), layout="constrained")
    y, before, places = 0.0, "", []
    for row in rows:
        if row["people"] != before:
            y += 0.9 if before else 0.0
            before = row["people"]
            axes.text(-0.02, y, before, transform=axes.get_yaxis_transform(), ha="right", va="center", weight="bold")
            y += 0.8
        places.append((y, row))
        y += 0.8
    for name, (label, colour, symbol) in SHOWN.items():
        known = [(float(row[name]), y) for y, row in places if row[name]]
        axes.scatter(*zip(*known, strict=True), color=colour, marker=symbol, s=46, label=label, zorder=3)
    axes.set_yticks([y for y, _ in places], [row["seen"] for _, row in places])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(y, -0.6)
    axes.set_xlim(-0.3, 24.5)
    axes.set_xticks(range(0, 21, 5))
    axes.grid(axis="x", color="0.85")
    axes.grid(axis="y", color="0.93")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel("root mean square error, degrees")
    axes.legend(loc="lower right", frameon=True)
    figure.savefig(path, dpi=120)


def main() -> None:
    """The picture from the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("picture", type=Path)
    given = parser.parse_args()
    with open(given.table, encoding="utf-8", newline="") as file:
        draw(list(csv.DictReader(file)), given.picture)


if __name__ == "__main__":
    main()
