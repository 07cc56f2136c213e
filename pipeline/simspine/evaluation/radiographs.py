"""Backs with registered radiographs: how near the vertebrae under a line on the skin are to those of the radiographs.

Levels are not marked on the radiographs' line of centres, so all is compared at shares of the height from C7 (0) to
the middle of the PSIS (1). Angles are between tangents of the line of centres, each a mean over ± 6 % of the height:
kyphosis at 0.10 and 0.55 (about T3 and T12), lordosis at 0.60 and 0.90 (about L1 and L4). Whoever reads a radiograph
twice differs by 5° in either.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.interpolate import make_smoothing_spline
from scipy.stats import norm

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
LEVELS_PERCENT = (50, 80, 90, 95)
FOLDS = 10  # of the regression
RIDGE_PENALTIES = 10.0 ** np.arange(-2, 7)
SPINE_LEVELS_READ = ("C7", *(f"T{i}" for i in range(1, 13)), *(f"L{i}" for i in range(1, 6)), "S1")
Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class HeightProfile:
    """A line along the spine at `HEIGHT_SHARES`. fore, side: (shares,) mm, forward and to the right; kyphosis,
    lordosis: degrees, positive where the upper back is round and the lower one hollow."""

    fore: np.ndarray
    side: np.ndarray
    kyphosis: float
    lordosis: float


@dataclass(frozen=True, eq=False)
class RadiographedPerson:
    """One person. back, centres: profiles of the skin and of the radiographs. estimate: ours, and fore_sd (shares,) mm,
    kyphosis_sd, lordosis_sd, degrees. seen: (shares,) whether the radiographs reach there; usable: {angle: whether}."""

    name: str
    back: HeightProfile
    centres: HeightProfile
    estimate: HeightProfile
    fore_sd: np.ndarray
    kyphosis_sd: float
    lordosis_sd: float
    seen: np.ndarray
    usable: Mapping[str, bool]


def read_radiographed_people(folder: Path, say: Say = lambda _: None) -> dict[str, list[RadiographedPerson]]:
    """{study: its people}: every npz file of a folder, and the spine from each back.

    A file has `people`, and of each k `back_k` (n, 3), `centres_k` (m, 3) and `marks_k` (4, 3: C7, lowest point, both
    dimples) in mm; axes forward, up, right. Raises `InputError` where there is none, or an array is missing.
    """
    files = sorted(Path(folder).glob("*.npz"))
    if not files:
        raise InputError(f"{folder} holds no npz file; expected one a study (docs/accuracy.md says what is in it).")
    found = {}
    for file in files:
        arrays = read_npz(file)
        if "people" not in arrays:
            raise InputError(
                f"{file} has no array 'people'; expected the number of people, back_k, centres_k, marks_k."
            )
        people = []
        for k in range(int(arrays["people"])):
            say(f"{file.stem}: person {k + 1} of {int(arrays['people'])}")
            for key in ("back", "centres", "marks"):
                if f"{key}_{k}" not in arrays:
                    raise InputError(f"{file} has no array '{key}_{k}', though it has {int(arrays['people'])} people.")
            back, centres, marks = (np.asarray(arrays[f"{key}_{k}"], float) for key in ("back", "centres", "marks"))
            people.append(_compared(f"{file.stem}_{k}", back, centres, marks))
        found[file.stem] = people
    return found


def _compared(name: str, back: np.ndarray, centres: np.ndarray, marks: np.ndarray) -> RadiographedPerson:
    top, bottom = back[:, 1].max(), marks[2:, 1].mean()
    back = back[back[:, 1] >= bottom - 2]
    back = back[np.argsort(-back[:, 1])]
    dimples = marks[2:][np.argsort(marks[2:, 2])]
    found = spine_from_back(back / 1000, psis=dimples / 1000)
    spine = found.spine
    assert spine.centres is not None
    ours = spine.centres.select(SPINE_LEVELS_READ)
    assert ours.covariance is not None
    assert spine.tka_sd is not None
    assert spine.lla_sd is not None
    xyz, covariance = 1000 * ours.xyz[0], 1e6 * ours.covariance[0]
    heights = top - HEIGHT_SHARES * (top - bottom)
    reach = centres[:, 1].min(), centres[:, 1].max()
    usable = {
        angle: all(
            reach[0] - ANGLE_MARGIN_MM <= top - share * (top - bottom) <= reach[1] + ANGLE_MARGIN_MM for share in shares
        )
        for angle, shares in ANGLE_SHARES.items()
    }
    return RadiographedPerson(
        name=name,
        back=_profile(back, top, bottom),
        centres=_profile(centres, top, bottom),
        estimate=_profile(xyz, top, bottom),
        fore_sd=np.interp(-heights, -xyz[:, 1], np.sqrt(covariance[:, 0, 0])),
        kyphosis_sd=float(np.degrees(spine.tka_sd[0])),
        lordosis_sd=float(np.degrees(spine.lla_sd[0])),
        seen=(heights >= reach[0]) & (heights <= reach[1]),
        usable=usable,
    )


def _profile(points: np.ndarray, top: float, bottom: float) -> HeightProfile:
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
    return HeightProfile(fore(at(HEIGHT_SHARES)), side(at(HEIGHT_SHARES)), kyphosis, -hollow)


# Figures: ours, and what a simple rule gives.


def radiograph_table(people: Mapping[str, Sequence[RadiographedPerson]]) -> EvaluationTable:
    """Root mean square errors of each study: ours, and those of simple rules to compare with.

    line: the back's own tangents and places. moved line: the line moved forward by the mean depth of the others. mean:
    of the other people. regression: ridge regression on the line's profile, ten-fold: what linear information allows.
    """
    columns = (
        TableColumn("kyphosis", "°", 1),
        TableColumn("lordosis", "°", 1),
        TableColumn("fore–aft"),
        TableColumn("fore–aft less person and height"),
        TableColumn("sideways"),
    )
    rows = []
    for study, some in people.items():
        for method, estimates in _estimates(some).items():
            errors = _errors(some, estimates)
            fore = errors["fore"] - _mean_of_known(errors["fore"], 0)
            shape = fore - _mean_of_known(fore, 1)
            columns_of = (errors["kyphosis"], errors["lordosis"], errors["fore"], shape, errors["side"])
            cells = [rms_or_nan(finite_values([values])) for values in columns_of]
            rows.append(TableRow(method, study, tuple(None if np.isnan(cell) else cell for cell in cells)))
    return EvaluationTable("radiographs", "Errors against radiographs, root mean square", columns, tuple(rows))


def interval_table(people: Mapping[str, Sequence[RadiographedPerson]]) -> EvaluationTable:
    """Share of truths inside our intervals."""
    columns = tuple(TableColumn(name, "") for name in ("kyphosis", "lordosis", "fore–aft"))
    rows = []
    for study, some in people.items():
        standardised = _standardised_errors(some)
        for percent in LEVELS_PERCENT:
            limit = norm.ppf(0.5 + percent / 200)
            inside = tuple(float(np.mean(np.abs(values) <= limit)) for values in standardised.values())
            rows.append(TableRow(f"stated {percent} %", study, inside))
    return EvaluationTable("coverage", "Share inside the stated intervals", columns, tuple(rows))


def person_rows(people: Mapping[str, Sequence[RadiographedPerson]]) -> list[dict[str, Any]]:
    """For JSON: a row for each person; angles in degrees, mean distances in mm."""
    rows = []
    for study, some in people.items():
        for person in some:
            fore, side = (
                np.where(person.seen, getattr(person.estimate, key) - getattr(person.centres, key), np.nan)
                for key in ("fore", "side")
            )
            row: dict[str, Any] = {"study": study, "person": person.name}
            for angle in ANGLE_SHARES:
                usable = person.usable[angle]
                row[f"{angle}_radiograph_deg"] = round(getattr(person.centres, angle), 2) if usable else None
                row[f"{angle}_deg"] = round(getattr(person.estimate, angle), 2)
                row[f"{angle}_sd_deg"] = round(getattr(person, f"{angle}_sd"), 2)
            row["fore_error_mm"], row["side_error_mm"] = (round(float(np.nanmean(e)), 2) for e in (fore, side))
            row["fore_sd_mm"] = round(float(person.fore_sd.mean()), 2)
            rows.append(row)
    return rows


def _estimates(people: Sequence[RadiographedPerson]) -> dict[str, dict[str, np.ndarray]]:
    """{method: {kyphosis, lordosis: (people,), fore, side: (people, shares)}}; NaN where a method says nothing."""
    truth, back, ours = (_stacked([getattr(p, key) for p in people]) for key in ("centres", "back", "estimate"))
    seen = np.array([p.seen for p in people])
    nothing = {key: np.full_like(values, np.nan) for key, values in truth.items()}
    depth = _mean_of_others(np.where(seen, truth["fore"] - back["fore"], np.nan))
    profile = np.hstack([back["fore"] - back["fore"].mean(1)[:, None], back["side"] - back["side"].mean(1)[:, None]])
    regression = {key: _ridge(profile, truth[key]) for key in ("kyphosis", "lordosis")}
    for key in ("fore", "side"):
        regression[key] = back[key] + _ridge(profile, np.where(seen, truth[key] - back[key], np.nan))
    return {
        "simspine": ours,
        "line": {**back, "fore": nothing["fore"]},
        "moved line": {**nothing, "fore": back["fore"] + depth},
        "mean": {**nothing, **{key: _mean_of_others(truth[key]) for key in ("kyphosis", "lordosis")}},
        "regression": regression,
    }


def _stacked(profiles: Sequence[HeightProfile]) -> dict[str, np.ndarray]:
    return {
        key: np.array([getattr(profile, key) for profile in profiles])
        for key in ("kyphosis", "lordosis", "fore", "side")
    }


def _errors(people: Sequence[RadiographedPerson], estimate: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Estimates less the radiographs'; NaN where these do not reach."""
    truth = _stacked([person.centres for person in people])
    seen = np.array([person.seen for person in people])
    usable = {angle: np.array([person.usable[angle] for person in people]) for angle in ANGLE_SHARES}
    return {key: np.where(usable.get(key, seen), estimate[key] - truth[key], np.nan) for key in truth}


def _standardised_errors(people: Sequence[RadiographedPerson]) -> dict[str, np.ndarray]:
    errors = _errors(people, _stacked([person.estimate for person in people]))
    sd = {key: np.array([getattr(person, f"{key}_sd") for person in people]) for key in (*ANGLE_SHARES, "fore")}
    ratios = {key: errors[key] / sd[key] for key in sd}
    return {key: values[np.isfinite(values)] for key, values in ratios.items()}


def _mean_of_known(values: np.ndarray, axis: int) -> np.ndarray:
    known = np.isfinite(values)
    return np.nansum(values, axis, keepdims=True) / np.maximum(known.sum(axis, keepdims=True), 1)


def _mean_of_others(values: np.ndarray) -> np.ndarray:
    """For each person the mean of the others, of values (people, …)."""
    known = np.isfinite(values)
    return (np.nansum(values, 0) - np.nan_to_num(values)) / np.maximum(known.sum(0) - known, 1)


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
            penalty = min(RIDGE_PENALTIES, key=lambda p: _inner_error(features[train], columns[train, column], p))
            found[test, column] = _ridge_fit(features[train], columns[train, column], penalty)(features[test])
    return found.reshape(target.shape)


def _folds(count: int) -> list[np.ndarray]:
    return [np.arange(first, count, FOLDS) for first in range(min(FOLDS, count))]


def _inner_error(features: np.ndarray, target: np.ndarray, penalty: float) -> float:
    total = 0.0
    for fold in _folds(len(target)):
        fit = _ridge_fit(np.delete(features, fold, 0), np.delete(target, fold), penalty)
        total += float(np.square(fit(features[fold]) - target[fold]).sum())
    return total


def _ridge_fit(features: np.ndarray, target: np.ndarray, penalty: float) -> Callable[[np.ndarray], np.ndarray]:
    centre, mean = features.mean(0), float(target.mean())
    about = features - centre
    weights = np.linalg.solve(about.T @ about + penalty * np.eye(about.shape[1]), about.T @ (target - mean))
    return lambda other: (other - centre) @ weights + mean
