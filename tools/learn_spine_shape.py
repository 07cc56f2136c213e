"""Makes the spine shape model's statistics from a table of vertebral centres.

    python -m tools.learn_spine_shape CSV OUT.json

CSV: columns scan, level, x_mm, y_mm, z_mm; vertebral body centres of CT scans, one row each, x across, y front to back
(either sign), z along the body. The table itself is not kept. Printed: by how much levels from C7 down differ between
people, and centres lie beside the curve, with all scans and without those with an abrupt angle, as fractures make.
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np
from tools.spine_shape_statistics import learn, level_angles_and_marks, vector_names, vector_parameters

from simspine.anatomy.shape_model import CHAIN_LEVELS, CHAIN_VECTOR_COUNT, ShapeModel
from simspine.core.errors import InputError

STRENGTH = 100.0  # scans' worth of the structured covariance
MOST_OF_IT, ABRUPT = 6, np.radians(14.0)  # vectors that a scan must have; rad, of one level off the median
SOURCE = (
    "Vertebral body centroids of supine CT scans, VerSe 2019/2020 (Sekuboyina et al. 2021, Medical Image Analysis; "
    "Löffler et al. 2020, Radiology: AI), as published in the landmark tables of "
    "christianpayer/MedicalDataAugmentationTool-VerSe, commit 51569f96."
)
LICENCE = (
    "CC BY-SA 4.0 (this file, as derived from VerSe's annotations, licence CC BY-SA 4.0); changed: means and "
    "covariances were computed, S1 was added."
)
# S1 is not in the table. Its vector follows L4-L5 as in the neutral full-body model (opensim_models/endplates.yaml: L4,
# L5, S1 half a vertebra below the sacral endplate): longer by this factor, turned back by this angle. The spreads are
# wide on purpose: sacral slope alone varies by 8–10° between people.
S1_RATIO, S1_TURN = 36.041 / 34.320, np.radians(-28.567 + 0.541)
S1_SD = (0.12, np.radians(12.0), np.radians(5.0))  # log length, pitch, tilt, given L4-L5's


def shape_model_json(model: ShapeModel) -> str:
    """The file's text; 8 significant digits. Lengths in m, angles in rad."""
    n = CHAIN_VECTOR_COUNT

    def rounded(values):
        return [rounded(v) for v in values] if np.ndim(values) else float(f"{values:.8g}")

    data = {
        "format": "simspine-spine-shape",
        "version": 1,
        "provenance": model.provenance,
        "levels": list(CHAIN_LEVELS),
        "scans_per_vector": model.counts,
        "mean_log_length": rounded(model.mean[:n]),
        "mean_pitch": rounded(model.mean[n : 2 * n]),
        "covariance_sagittal": rounded(model.covariance[: 2 * n, : 2 * n]),
        "covariance_frontal": rounded(model.covariance[2 * n :, 2 * n :]),
    }
    lines = [f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in data.items()]
    return "{\n" + ",\n".join(lines).replace("], [", "],\n  [") + "\n}\n"


def read_table(path: str | Path) -> tuple[list[str], np.ndarray]:
    """Scan names, and centres (scans, 24, 3) m of C1…L5 in the trunk's frame (x forward, y up, z right), NaN = none."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = [
                (r["scan"], r["level"], *(float(r[k]) for k in ("x_mm", "y_mm", "z_mm"))) for r in csv.DictReader(file)
            ]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: not a table with columns scan, level, x_mm, y_mm, z_mm ({type(error).__name__}: {error})."
        ) from error
    scans = list(dict.fromkeys(row[0] for row in rows))
    table = np.full((len(scans), CHAIN_VECTOR_COUNT, 3), np.nan)
    index = {scan: i for i, scan in enumerate(scans)}
    for scan, level, *xyz in rows:
        if level in CHAIN_LEVELS[:-1]:
            table[index[scan], CHAIN_LEVELS.index(level)] = xyz
    if not np.isfinite(table[..., 0]).any():
        raise InputError(f"{path}: no row of a level C1 to L5.")
    return scans, in_trunk_frame(table / 1000.0)


def in_trunk_frame(table: np.ndarray) -> np.ndarray:
    """Scanner axes (across, front to back, along) → forward, up, right. The signs are found from the anatomy: C and T
    lie above L, the thoracic spine is convex backwards.
    """
    across, deep, along = np.moveaxis(table, -1, 0)
    up = -np.sign(np.nanmedian(np.diff(along, axis=1)))
    t2, t6, l1 = (CHAIN_LEVELS.index(level) for level in ("T2", "T6", "L1"))
    bulge = (
        deep[:, t6]
        - deep[:, t2]
        - (deep[:, l1] - deep[:, t2]) * (along[:, t6] - along[:, t2]) / (along[:, l1] - along[:, t2])
    )
    if not np.isfinite(bulge).any():
        raise InputError("no scan holds T2, T6 and L1, so front and back cannot be told apart.")
    forward = -np.sign(np.nanmedian(bulge))
    # right is x × y of that frame; mirrored spines count alike, so its sign is only a matter of form
    return np.stack([forward * deep, up * along, -forward * up * across], -1)


def with_s1(mean: np.ndarray, cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Statistics of 23 vectors → 24 vectors."""
    n = CHAIN_VECTOR_COUNT - 1
    T = np.zeros((3 * CHAIN_VECTOR_COUNT, 3 * n))
    shift, added = np.zeros(3 * CHAIN_VECTOR_COUNT), np.zeros((3 * CHAIN_VECTOR_COUNT, 3 * CHAIN_VECTOR_COUNT))
    for kind, offset in enumerate((np.log(S1_RATIO), S1_TURN, 0.0)):
        T[kind * CHAIN_VECTOR_COUNT : kind * CHAIN_VECTOR_COUNT + n, kind * n : (kind + 1) * n] = np.eye(n)
        last = (kind + 1) * CHAIN_VECTOR_COUNT - 1
        T[last, (kind + 1) * n - 1] = 1.0
        shift[last], added[last, last] = offset, S1_SD[kind] ** 2
    return T @ mean + shift, T @ cov @ T.T + added


def learn_shape(table: np.ndarray, strength: float = STRENGTH) -> ShapeModel:
    """The model learned from centres (scans, 24, 3) m in the trunk's frame, NaN where missing."""
    rows = vector_parameters(table)
    counts = np.isfinite(rows[:, : CHAIN_VECTOR_COUNT - 1]).sum(0)
    if counts.min() < 3:
        raise InputError(
            f"vector {vector_names()[int(counts.argmin())]} is in {counts.min()} scan(s); at least 3 are needed."
        )
    mean, cov = with_s1(*learn(rows, strength))
    provenance = {
        "source": SOURCE,
        "licence": LICENCE,
        "cohort": f"{len(table)} scans, clinical (fractures included), supine",
        "S1": "not in the data: L4-L5 turned and lengthened as in the neutral full-body model, spreads by convention",
        "strength": f"{strength:g}",
        "made_by": "python -m tools.learn_spine_shape CSV OUT.json",
    }
    return ShapeModel(mean, cov, dict(zip(vector_names(), [*counts.tolist(), 0], strict=True)), provenance)


def curve_statistics(table: np.ndarray) -> str:
    """What `level_angles_and_marks` finds between C7 and L5, as text. table: (scans, 24, 3) m."""
    n, first = CHAIN_VECTOR_COUNT - 1, CHAIN_LEVELS.index("C7")
    rows = vector_parameters(table)
    pitches, lengths = rows[:, n + first : 2 * n], np.exp(np.nanmean(rows[:, first:n], 0))
    pitches = pitches[np.isfinite(pitches).sum(1) >= MOST_OF_IT]
    angles = np.diff(pitches, axis=1)
    abrupt = np.nanmax(np.abs(angles - np.nanmedian(angles, 0)), 1) > ABRUPT
    found = []
    for name, chosen in (("all", pitches), ("without abrupt angles", pitches[~abrupt])):
        level, mark = level_angles_and_marks(chosen, lengths)
        found.append(f"{name}: {len(chosen)} scans, levels ± {np.degrees(level):.1f}°, centres ± {1e3 * mark:.1f} mm")
    return "\n".join(found)


def main(arguments: list[str]) -> None:
    if len(arguments) != 2:
        raise SystemExit("usage: python -m tools.learn_spine_shape CSV OUT.json")
    try:
        _, table = read_table(arguments[0])
        Path(arguments[1]).write_text(shape_model_json(learn_shape(table)), encoding="utf-8")
        print(curve_statistics(table))
    except InputError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main(sys.argv[1:])
