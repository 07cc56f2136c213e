"""Backs with registered radiographs: how near the vertebrae under a line on the skin are to those of the radiographs.

Levels are not marked on the radiographs' line of centres, so all is compared at shares of the height from C7 (0) to
the middle of the PSIS (1). Angles are between tangents of the line of centres, each a mean over ± 6 % of the height:
kyphosis at 0.10 and 0.55 (about T3 and T12), lordosis at 0.60 and 0.90 (about L1 and L4). Two readings of one
radiograph differ by 5° in either.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.interpolate import make_smoothing_spline
from tools.bench.figures import STATED_PERCENT, coverage

from simspine.core.arrays import mean_of_known
from simspine.core.errors import InputError
from simspine.evaluation.metrics import finite_values, rms_or_nan
from simspine.evaluation.tables import EvaluationTable, TableColumn, TableRow
from simspine.io.npz import read_npz
from simspine.reconstruction.spine_from_back import spine_from_back

HEIGHT_SHARES = np.arange(0.05, 0.901, 0.05)  # where places are compared
ANGLE_SHARES = {"kyphosis": (0.10, 0.55), "lordosis": (0.60, 0.90)}
TANGENT_SHARES = np.linspace(-0.06, 0.06, 7)  # about these: a mean tangent halves the readers' noise
SMOOTHING = 3e-8  # of the lines read by hand, for each of their points
ANGLE_MARGIN_MM = 5.0  # an angle counts where the radiographs' line reaches so near to both its heights
FOLDS = 10  # of the regression
RIDGE_PENALTIES = 10.0 ** np.arange(-2, 7)
SPINE_LEVELS_READ = ("C7", *(f"T{i}" for i in range(1, 13)), *(f"L{i}" for i in range(1, 6)), "S1")
Say = Callable[[str], None]


# {part: {quantity: (people,) or (people, shares)}}. Parts: 'line', the skin; 'truth', the radiographs; 'simspine', and
# its 'sd'; 'known', whether the radiographs reach there. Quantities: kyphosis and lordosis, degrees, positive where the
# upper back is round and the lower one hollow; fore and side, mm at `HEIGHT_SHARES`, forward and to the right.
Profile = dict[str, Any]
Study = dict[str, Profile]


def read_radiographed_people(folder: Path, say: Say = lambda _: None) -> dict[str, Study]:
    """{name: study}: every npz file of a folder, and the spine from each back.

    A file has `people`, and of each k `back_k` (n, 3), `centres_k` (m, 3) and `marks_k` (4, 3: C7, lowest point, both
    dimples) in mm; axes forward, up, right. Raises `InputError` where there is none, or an array is missing.
    """
    files = sorted(Path(folder).glob("*.npz"))
    if not files:
        raise InputError(f"{folder} holds no npz file; expected one a study (docs/accuracy.md says what is in it).")
    found = {}
    for file in files:
        arrays, people = read_npz(file), []
        if "people" not in arrays:
            raise InputError(
                f"{file} has no array 'people'; expected the number of people, back_k, centres_k, marks_k."
            )
        for k in range(int(arrays["people"])):
            say(f"{file.stem}: person {k + 1} of {int(arrays['people'])}")
            keys = [f"{key}_{k}" for key in ("back", "centres", "marks")]
            if missing := [key for key in keys if key not in arrays]:
                raise InputError(f"{file} has no {missing[0]!r}, though it has {int(arrays['people'])} people.")
            people.append(_compared(*(np.asarray(arrays[key], float) for key in keys)))
        found[file.stem] = {
            part: {key: np.array([person[part][key] for person in people]) for key in keys}
            for part, keys in (people[0].items() if people else ())
        }
    return found


def _compared(back: np.ndarray, centres: np.ndarray, marks: np.ndarray) -> Study:
    """Of one person."""
    top, bottom = back[:, 1].max(), marks[2:, 1].mean()
    back = back[back[:, 1] >= bottom - 2]
    back = back[np.argsort(-back[:, 1])]
    dimples = marks[2:][np.argsort(marks[2:, 2])]
    spine = spine_from_back(back / 1000, psis=dimples / 1000).spine
    assert spine.centres is not None
    ours = spine.centres.select(SPINE_LEVELS_READ)
    assert ours.covariance is not None
    assert spine.tka_sd is not None
    assert spine.lla_sd is not None
    xyz, sds = 1000 * ours.xyz[0], 1000 * np.sqrt(np.diagonal(ours.covariance[0], 0, 1, 2))
    heights_compared = top - HEIGHT_SHARES * (top - bottom)
    low, high = centres[:, 1].min(), centres[:, 1].max()

    def reached(shares: Any, margin: float = 0.0) -> np.ndarray:
        heights = top - np.asarray(shares) * (top - bottom)
        return (heights >= low - margin) & (heights <= high + margin)

    seen = reached(HEIGHT_SHARES)
    return {
        "line": _profile(back, top, bottom),
        "truth": _profile(centres, top, bottom),
        "simspine": _profile(xyz, top, bottom),
        "sd": {
            "kyphosis": float(np.degrees(spine.tka_sd[0])),
            "lordosis": float(np.degrees(spine.lla_sd[0])),
            **{key: np.interp(-heights_compared, -xyz[:, 1], sds[:, axis]) for key, axis in (("fore", 0), ("side", 2))},
        },
        "known": {angle: reached(shares, ANGLE_MARGIN_MM).all() for angle, shares in ANGLE_SHARES.items()}
        | {"fore": seen, "side": seen},
    }


def _profile(points: np.ndarray, top: float, bottom: float) -> Profile:
    """Of a line (n, 3) mm; shares count from `top` (0) to `bottom` (1), mm."""
    height, first = np.unique(points[np.argsort(points[:, 1]), 1].round(2), return_index=True)
    ordered = points[np.argsort(points[:, 1])][first]
    low, length = height[0], float(np.ptp(height))
    along = (height - low) / length

    def at(shares: np.ndarray) -> np.ndarray:
        return np.clip((bottom + (1 - shares) * (top - bottom) - low) / length, 0, 1)

    fore, side = (make_smoothing_spline(along, ordered[:, axis], lam=SMOOTHING * len(height)) for axis in (0, 2))

    def tangent(share: float) -> float:
        slopes = fore.derivative()(at(share + TANGENT_SHARES)) / length
        return float(np.degrees(np.arctan(slopes)).mean())

    kyphosis, hollow = (tangent(first) - tangent(second) for first, second in ANGLE_SHARES.values())
    places = {"fore": fore(at(HEIGHT_SHARES)), "side": side(at(HEIGHT_SHARES))}
    return {"kyphosis": kyphosis, "lordosis": -hollow, **places}


# Figures: ours, and what a simple rule gives.


def radiograph_table(studies: Mapping[str, Study]) -> EvaluationTable:
    """Root mean square errors of each study: ours, and those of simple rules to compare with.

    line: the back's own tangents and places. moved line: the line moved at each height by the others' mean distance
    from line to centres, forward and sideways. mean: of the other people. regression: ridge regression on the line's
    profile, ten-fold: what linear information allows.
    """
    columns = (
        TableColumn("kyphosis", "°", 1),
        TableColumn("lordosis", "°", 1),
        TableColumn("fore–aft"),
        TableColumn("fore–aft less person and height"),
        TableColumn("sideways"),
        TableColumn("sideways less constant and tilt"),
    )
    rows = []
    for name, study in studies.items():
        for method, estimate in {"simspine": study["simspine"], **_simple_rules(study)}.items():
            errors = errors_of_estimate(study, estimate)
            shape = errors["fore"] - mean_of_known(errors["fore"], 0)
            shape = shape - mean_of_known(shape, 1)[:, None]
            side = errors["side"]
            columns_of = (errors["kyphosis"], errors["lordosis"], errors["fore"], shape, side, _less_tilt(side))
            cells = [rms_or_nan(finite_values([values])) for values in columns_of]
            rows.append(TableRow(method, name, tuple(None if np.isnan(cell) else cell for cell in cells)))
    return EvaluationTable("radiographs", "Errors against radiographs, root mean square", columns, tuple(rows))


def _less_tilt(errors: np.ndarray) -> np.ndarray:
    """Errors (people, shares) less each person's constant and tilt, fitted by least squares: those of the shape."""
    rest = np.full(errors.shape, np.nan)
    for error, row in zip(errors, rest, strict=True):
        known = np.isfinite(error)
        if known.sum() > 1:
            heights = HEIGHT_SHARES[known]
            row[known] = error[known] - np.polyval(np.polyfit(heights, error[known], 1), heights)
    return rest


def interval_table(studies: Mapping[str, Study]) -> EvaluationTable:
    """Share of truths inside our intervals."""
    columns = tuple(TableColumn(name, "") for name in ("kyphosis", "lordosis", "fore–aft", "sideways"))
    rows = []
    for name, study in studies.items():
        errors = errors_of_estimate(study, study["simspine"])
        inside = [coverage(finite_values([errors[key] / sd])) for key, sd in study["sd"].items()]
        stated = zip(STATED_PERCENT, *inside, strict=True)
        rows += [TableRow(f"stated {percent} %", name, tuple(shares)) for percent, *shares in stated]
    return EvaluationTable("coverage", "Share inside the stated intervals", columns, tuple(rows))


def person_rows(studies: Mapping[str, Study]) -> list[dict[str, Any]]:
    """For JSON: a row for each person; angles in degrees, mean distances in mm."""
    rows = []
    for name, study in studies.items():
        errors = errors_of_estimate(study, study["simspine"])
        for k in range(len(study["truth"]["fore"])):
            row: dict[str, Any] = {"study": name, "person": f"{name}_{k}"}
            for angle in ANGLE_SHARES:
                known, true = study["known"][angle][k], float(study["truth"][angle][k])
                row[f"{angle}_radiograph_deg"] = round(true, 2) if known else None
                row[f"{angle}_deg"] = round(float(study["simspine"][angle][k]), 2)
                row[f"{angle}_sd_deg"] = round(float(study["sd"][angle][k]), 2)
            row |= {f"{key}_error_mm": round(float(np.nanmean(errors[key][k])), 2) for key in ("fore", "side")}
            rows.append(row | {"fore_sd_mm": round(float(study["sd"]["fore"][k].mean()), 2)})
    return rows


def errors_of_estimate(study: Study, estimate: Profile) -> Profile:
    """Estimates less the radiographs'; NaN where these do not reach, and where an estimate says nothing."""
    return {
        key: np.where(study["known"][key], estimate.get(key, np.nan) - truth, np.nan)
        for key, truth in study["truth"].items()
    }


def _simple_rules(study: Study) -> dict[str, Profile]:
    truth, line = study["truth"], study["line"]
    depth = {key: np.where(study["known"][key], truth[key] - line[key], np.nan) for key in ("fore", "side")}
    profile = np.hstack([line[key] - line[key].mean(1)[:, None] for key in ("fore", "side")])
    return {
        "line": {key: values for key, values in line.items() if key != "fore"},
        "moved line": {key: line[key] + _mean_of_others(shift) for key, shift in depth.items()},
        "mean": {key: _mean_of_others(truth[key]) for key in ANGLE_SHARES},
        "regression": {key: _ridge(profile, truth[key]) for key in ANGLE_SHARES}
        | {key: line[key] + _ridge(profile, values) for key, values in depth.items()},
    }


def _mean_of_others(values: np.ndarray) -> np.ndarray:
    """For each person the mean of the others, of values (people, …)."""
    return np.array([mean_of_known(np.delete(values, k, 0), 0) for k in range(len(values))])


def _ridge(features: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Ten-fold predictions of a target (people,) or (people, shares), the penalty by a second ten-fold inside."""
    columns = target.reshape(len(target), -1)
    found = np.full(columns.shape, np.nan)
    for column in range(columns.shape[1]):
        known = np.flatnonzero(np.isfinite(columns[:, column]))
        for fold in _folds(len(known)):
            test, train = known[fold], np.delete(known, fold)
            if len(train) < FOLDS:
                continue
            least = _inner_errors(features[train], columns[train, column]).argmin()
            fit = _ridge_fits(features[train], columns[train, column])
            found[test, column] = fit(features[test])[:, least]
    return found.reshape(target.shape)


def _folds(count: int) -> list[np.ndarray]:
    return [np.arange(first, count, FOLDS) for first in range(min(FOLDS, count))]


def _inner_errors(features: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Sum of squared errors (penalties,) of predictions by ten folds."""
    total = np.zeros(len(RIDGE_PENALTIES))
    for fold in _folds(len(target)):
        fit = _ridge_fits(np.delete(features, fold, 0), np.delete(target, fold))
        total += np.square(fit(features[fold]) - target[fold, None]).sum(0)
    return total


def _ridge_fits(features: np.ndarray, target: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Predictions (people, penalties) from features: with each of the penalties, by one eigendecomposition."""
    centre, mean = features.mean(0), float(target.mean())
    about = features - centre
    values, vectors = np.linalg.eigh(about.T @ about)
    weights = vectors @ ((about @ vectors).T @ (target - mean) / (values + RIDGE_PENALTIES[:, None])).T
    return lambda other: (other - centre) @ weights + mean
