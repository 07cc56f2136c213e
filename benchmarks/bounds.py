"""What an estimator could tell that was trained on the very kind of people it is judged by: a bound for ours.

    python -m benchmarks.bounds --json benchmarks/bounds.json [--people 300] [--keep FOLDER]

People, motions and errors are those of `simspine bench accuracy --families`; no inverse kinematics is solved. From the
points as the stages hand them over (the spine's with their errors, limbs), LLA, TKA and the vertebrae's places are told
by the linear estimator of least mean square error, in three parts that are uncorrelated: the mean of a person over all
trials, what a trial's mean differs from it, and what a frame differs from its trial's. Each part is a ridge regression
on the same part of the features: the 37 points in axes of the trunk, as they are and smoothed over three spans of time
(with a weight for each, a smoother fit for the spectra of errors and motion: Wiener), the sagittal bends and lengths of
the chain of points, which way is up, and the trunk's length. People are held out in five folds. The ridge is the best
of them, and so is whether a figure itself is told or what it differs by from the curve through the points.

- own: trained on other people of the family. No method that does not know the family can be expected to do better; one
  that is not linear might.
- both: trained on the people of the family and of one of another anatomy, so that one estimator serves either.
- other: trained on people of another anatomy alone.

`seven`: errors of the estimator trained on all others, of the seven people in `benchmarks/points_in_space.json`.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from simspine.benchmark.baselines import angles, curve_through, generic_spine
from simspine.benchmark.point_trials import ERRORS, PointStudySize, PointTrial, observed, people
from simspine.benchmark.report import aligned, machine
from simspine.skeletons import load
from simspine.spine.levels import CHAIN
from simspine.types import Markers

OTHER = {"foreign": "published", "published": "foreign", "scans": "foreign"}  # families, and one of another anatomy
RATE, FRAMES, EVERY = 50.0, 500, 25  # frames/s, of a trial as in points_in_space.json; which count
SEED, SEVEN = 2, 7  # of those who train; those of points_in_space.json have seed 1
SPANS = (0.0, 0.06, 0.2, 0.6)  # s, sd of the Gaussians that smooth the points
BEND_SPANS = (0.04, 0.3)
FOLDS = 5
RIDGES = 10.0 ** np.arange(-9, 0.6, 0.5)
NAMES = load("simspine37").names
MIRROR = list(load("simspine37").swaps)
VERTEBRAE = (
    "C1",
    *(f"C{k}" for k in range(2, 8)),
    *(f"T{k}" for k in range(1, 13)),
    *(f"L{k}" for k in range(1, 6)),
    "S1",
)
FLAT = 1e-9  # a feature that varies by less is constant


class Truth(NamedTuple):
    """Of a trial. lla, tka: (frames,) rad. centres: (frames, vertebrae, 3) m."""

    trial: PointTrial
    lla: np.ndarray
    tka: np.ndarray
    centres: np.ndarray


@dataclass(frozen=True, eq=False)
class Sample:
    """What is known and wanted of some people; arrays (people, trials, frames, …).

    even: features that a mirror leaves as they are; odd: those whose sign it turns. sagittal: wanted of the even ones:
    LLA, TKA in rad, vertebrae's places forward and up in trunk lengths; sideways: of the odd ones, places to the right.
    Both (…, 2, wanted): as they are, and what they differ from the curve through the points. trunk: (people,) m.
    """

    even: np.ndarray
    odd: np.ndarray
    sagittal: np.ndarray
    sideways: np.ndarray
    trunk: np.ndarray

    def parts(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """(features, wanted), (rows, …), even, then odd: of a person's mean, of trials about it, of frames."""
        pairs = ((self.even, self.sagittal), (self.odd, self.sideways))
        return [part for pair in pairs for part in zip(*(_parts(values) for values in pair), strict=True)]


def _parts(values: np.ndarray) -> list[np.ndarray]:
    of_trial = values.mean(2, keepdims=True)
    of_person = of_trial.mean(1, keepdims=True)
    parts = (of_person, of_trial - of_person, values - of_trial)
    return [part.reshape(-1, *values.shape[3:]) for part in parts]


def drawn(family: str, seed: int, count: int, keep: Path | None) -> Iterator[list[Truth]]:
    """The trials of one person after another. keep: a folder where people who were drawn are found again."""
    found = [] if keep is None else [keep / f"{family}_{seed}_{i}.npz" for i in range(count)]
    if found and all(path.is_file() for path in found):
        for path in found:
            yield _read(path)
        return
    for i, trials in enumerate(people(family, PointStudySize(count, FRAMES, 1, seed))):
        known = [(t, t.truth.kinematics, t.truth.centres.select(VERTEBRAE).xyz) for t in trials]
        truths = [Truth(t, spine.lla, spine.tka, centres) for t, spine, centres in known]
        if found:
            _write(found[i], truths)
        yield truths


def _write(path: Path, truths: Sequence[Truth]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.stack([getattr(t, name) for t in truths]) for name in ("lla", "tka", "centres")}
    points = np.stack([t.trial.points.xyz for t in truths])
    arrays |= {"subject": truths[0].trial.subject, "trials": [t.trial.trial for t in truths]}
    np.savez(path, points=points.astype(np.float32), **arrays)


def _read(path: Path) -> list[Truth]:
    with np.load(path) as kept:
        subject, found = str(kept["subject"]), {name: kept[name] for name in ("points", "lla", "tka", "centres")}
        trials = [str(name) for name in kept["trials"]]
    return [
        Truth(PointTrial(subject, name, Markers(NAMES, RATE, xyz.astype(float), "y_up"), None), lla, tka, centres)
        for name, xyz, lla, tka, centres in zip(trials, *found.values(), strict=True)
    ]


def sample(truths: Sequence[Sequence[Truth]], errors: str, seed: int) -> Sample:
    """Features and what is wanted of people whose points err as `ERRORS` says."""
    rows = [_of_person(person, errors, seed) for person in truths]
    return Sample(*(np.array(column, np.float32) for column in zip(*rows, strict=True)))


def _of_person(truths: Sequence[Truth], errors: str, seed: int) -> tuple[np.ndarray, ...]:
    given = [observed(truth.trial, ERRORS[errors], seed).select(NAMES).xyz for truth in truths]
    axes = [trunk_axes(xyz) for xyz in given]
    length = float(np.mean([own for _, _, own in axes]))
    known = [features(xyz, own, length) for xyz, own in zip(given, axes, strict=True)]
    even, odd = (np.array([part[::EVERY] for part in column]) for column in zip(*known, strict=True))
    smooth = np.stack([_smoothed(xyz, 0.1)[::EVERY] for xyz in given])
    hips, turned = (np.stack([own[i][::EVERY] for own in axes]) for i in range(2))
    lla, tka, centres = (np.stack([getattr(t, name)[::EVERY] for t in truths]) for name in ("lla", "tka", "centres"))
    curve, *curved = through(smooth.reshape(-1, *smooth.shape[2:]), ERRORS[errors].scatter)
    curve, curved = curve.reshape(centres.shape), [values.reshape(lla.shape) for values in curved]
    places = np.stack([centres, curve], 2) - hips[:, :, None, None]
    local = np.einsum("ktij,ktcnj->ktcni", turned, places) / length
    turns = np.stack([np.stack(pair, -1) for pair in ((lla, tka), curved)], 2)
    sagittal = np.concatenate([turns, local[..., :2].reshape(*turns.shape[:3], -1)], -1)
    both = (np.stack([v[:, :, 0], v[:, :, 0] - v[:, :, 1]], 2) for v in (sagittal, local[..., 2]))
    return even, odd, *both, np.array(length)


def through(xyz: np.ndarray, sd: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertebrae on the curve through the points (frames, 25, 3) m, and its LLA and TKA, rad, between tangents.

    xyz: (frames, 37, 3) m of all trials. sd: of a coordinate of the spine's points, m.
    """
    points = Markers(NAMES, RATE, xyz, "y_up")
    curve = curve_through(points.select(CHAIN).xyz, sd, generic_spine())
    return curve.centre[:, [curve.names.index(name) for name in VERTEBRAE]], *angles(curve, points)


def features(xyz: np.ndarray, axes: tuple, length: float) -> tuple[np.ndarray, np.ndarray]:
    """(frames, …) even and odd ones. xyz: (frames, 37, 3) m. axes: as of `trunk_axes`. length: of the trunk, m."""
    hips, turned, _ = axes
    local = np.einsum("tij,tnj->tni", turned, xyz - hips[:, None]) / length
    even, odd = [turned[:, :2, 1], np.full((len(xyz), 1), length)], [turned[:, 2:, 1]]
    for span in SPANS:
        smooth = _smoothed(local, span)
        mirrored = smooth[:, MIRROR] * (1, 1, -1)
        even.append((smooth + mirrored).reshape(len(xyz), -1) / 2)
        odd.append((smooth - mirrored).reshape(len(xyz), -1) / 2)
    for span in BEND_SPANS:
        bends, lengths = chain(_smoothed(xyz, span))
        even += [bends, lengths / length]
    return np.hstack(even), np.hstack(odd)


def trunk_axes(xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Middle of the hips (frames, 3), axes forward, up, right as rows (frames, 3, 3), mean length to the shoulders, m.

    xyz: (frames, 37, 3) m. Limbs err by 2 mm, so the axes are sure to 0.3°.
    """
    xyz = _smoothed(xyz, 0.1)
    right = {side: xyz[:, NAMES.index(f"R{side}")] - xyz[:, NAMES.index(f"L{side}")] for side in ("Hip", "Shoulder")}
    hips, shoulders = (xyz[:, NAMES.index(f"L{side}")] + right[side] / 2 for side in ("Hip", "Shoulder"))
    up = shoulders - hips
    length = np.linalg.norm(up, axis=1)
    up = up / length[:, None]
    across = _unit(right["Hip"] - (right["Hip"] * up).sum(1, keepdims=True) * up)
    return hips, np.stack([np.cross(up, across), up, across], 1), float(length.mean())


def chain(xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sagittal bends (frames, 9) rad and lengths (frames, 9) m of the chain from the hips along the spine's points.

    Bends are seen along the hips below, along the shoulders above, in between along what lies between.
    """
    at = {name: xyz[:, NAMES.index(name)] for name in (*CHAIN, "LHip", "RHip", "LShoulder", "RShoulder")}
    places = np.stack([(at["LHip"] + at["RHip"]) / 2, *(at[name] for name in CHAIN)], 1)
    steps = np.diff(places, axis=1)
    share = np.linspace(0, 1, steps.shape[1] - 1)[:, None]
    low, high = (_unit(at[f"R{side}"] - at[f"L{side}"])[:, None] for side in ("Hip", "Shoulder"))
    across = _unit((1 - share) * low + share * high)
    below, above = (s - (s * across).sum(-1, keepdims=True) * across for s in (steps[:, :-1], steps[:, 1:]))
    bends = np.arctan2((np.cross(below, above) * across).sum(-1), (below * above).sum(-1))
    return bends, np.linalg.norm(steps, axis=-1)


def _smoothed(values: np.ndarray, span: float) -> np.ndarray:
    return values if span == 0 else gaussian_filter1d(values, span * RATE, axis=0)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


class Moments(NamedTuple):
    """Sums over rows, of features and of what is wanted; those of several people add up. yy: of squares alone."""

    count: float
    x: np.ndarray
    y: np.ndarray
    xx: np.ndarray
    xy: np.ndarray
    yy: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray) -> "Moments":
        x, y = x.astype(float), y.astype(float)
        return cls(len(x), x.sum(0), y.sum(0), x.T @ x, x.T @ y, (y**2).sum(0))

    def plus(self, other: "Moments", sign: float = 1.0) -> "Moments":
        return Moments(*(a + sign * b for a, b in zip(self, other, strict=True)))

    def estimators(self) -> Iterator["Linear"]:
        """Ridge regressions on features of unit variance, one for each of `RIDGES`."""
        mean_x, mean_y = self.x / self.count, self.y / self.count
        covariance = self.xx / self.count - np.outer(mean_x, mean_x)
        sd = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        scale = np.where(sd > FLAT, 1 / np.maximum(sd, FLAT), 0.0)
        size, ways = np.linalg.eigh(covariance * np.outer(scale, scale))
        seen = ways.T @ (scale[:, None] * (self.xy / self.count - np.outer(mean_x, mean_y)))
        for ridge in RIDGES:
            slope = scale[:, None] * (ways @ (seen / (np.maximum(size, 0.0) + ridge)[:, None]))
            yield Linear(slope, mean_y - mean_x @ slope)


class Linear(NamedTuple):
    """wanted = features @ slope + constant."""

    slope: np.ndarray
    constant: np.ndarray

    def errors(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return x @ self.slope + self.constant - y

    def square(self, of: Moments) -> np.ndarray:
        """(wanted,) sum of squared errors over the rows that made the moments."""
        s, c = self
        model = ((of.xx @ s) * s).sum(0) + 2 * c * (of.x @ s) + of.count * c**2
        return model - 2 * (s * of.xy).sum(0) - 2 * c * of.y + of.yy


@dataclass(frozen=True, eq=False)
class Level:
    """One part of a family's data. x, y: rows of a person after one another. fold: (rows,) which hold them out."""

    x: np.ndarray
    y: np.ndarray
    fold: np.ndarray
    moments: Sequence[Moments]

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray, people: int) -> "Level":
        """y: (rows, 2, wanted), as they are and beside the curve."""
        y = y.reshape(len(y), -1)
        fold = np.repeat(np.arange(people) % FOLDS, len(x) // people)
        return cls(x, y, fold, [Moments.of(x[fold == k], y[fold == k]) for k in range(FOLDS)])

    @property
    def total(self) -> Moments:
        return reduce(Moments.plus, self.moments)

    def held_out(self, others: Moments | None = None) -> tuple[np.ndarray, "Chosen"]:
        """Errors (rows, wanted) of people who are held out, and the estimator trained on all. others: of further people
        who train as well."""
        total = self.total if others is None else self.total.plus(others)
        tried = [list(total.plus(own, -1.0).estimators()) for own in self.moments]
        squares = [[e.square(own) for e in trained] for trained, own in zip(tried, self.moments, strict=True)]
        # Of each ridge, as they are and beside the curve.
        best = np.sum(squares, 0).reshape(2 * len(RIDGES), -1).argmin(0)
        errors = np.empty((len(self.y), len(best)))
        for k, trained in enumerate(tried):
            own = self.fold == k
            errors[own] = _chosen(trained, best).errors(self.x[own], self.y[own])
        return errors, _chosen(list(total.estimators()), best)


class Chosen(NamedTuple):
    """For each of what is wanted its own estimator. column: (wanted,) as it is or beside the curve."""

    linear: Linear
    column: np.ndarray

    def errors(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return self.linear.errors(x, y.reshape(len(y), -1)[:, self.column])


def _chosen(estimators: Sequence[Linear], best: np.ndarray) -> Chosen:
    """best: (wanted,) 2 × ridge, and 1 more beside the curve."""
    ridge, kind = np.divmod(best, 2)
    column = kind * len(best) + np.arange(len(best))
    slope, constant = (np.array([e[i] for e in estimators]) for i in range(2))
    return Chosen(Linear(slope[ridge, :, column].T, constant[ridge, column]), column)


def figures(parts: Sequence[np.ndarray], of: Sample) -> dict[str, float]:
    """Figures named as those of the bench. parts: errors of each of `Sample.parts`, in rows."""
    people, trials, frames = of.even.shape[:3]

    def whole(person: np.ndarray, trial: np.ndarray, frame: np.ndarray) -> np.ndarray:
        of_trial = person[:, None, None] + trial.reshape(people, trials, 1, -1)
        return of_trial + frame.reshape(people, trials, frames, -1)

    sagittal, sideways = whole(*parts[:3]), whole(*parts[3:])
    places = np.concatenate([sagittal[..., 2:].reshape(*sideways.shape, 2), sideways[..., None]], -1)
    places = np.linalg.norm(places, axis=-1) * of.trunk[:, None, None, None]
    found = {"vertebrae_mm": 1e3 * float(places.mean())}
    person, _, frame = parts[:3]
    for i, name in enumerate(("lla", "tka")):
        found[f"{name}_rmse_deg"] = _rms_degrees(sagittal[..., i])
        found[f"person_{name}_rmse_deg"] = _rms_degrees(person[:, i])
        found[f"{name}_motion_rmse_deg"] = _rms_degrees(frame[:, i])
    return {name: round(value, 3) for name, value in found.items()}


def _rms_degrees(error: np.ndarray) -> float:
    return float(np.degrees(np.sqrt(np.mean(np.square(error, dtype=float)))))


def study(samples: Mapping[str, Sample], sevens: Mapping[str, Sample]) -> list[dict]:
    """Rows {family, trained, people: figures, seven: figures} for points with one kind of error."""
    levels = {name: [Level.of(*part, people=len(own.trunk)) for part in own.parts()] for name, own in samples.items()}
    alone = {name: [level.held_out() for level in own] for name, own in levels.items()}
    rows = []
    for family, own in levels.items():
        other = OTHER[family]
        both = [level.held_out(more.total) for level, more in zip(own, levels[other], strict=True)]
        strange = [estimator for _, estimator in alone[other]]
        strangers = [e.errors(level.x, level.y) for e, level in zip(strange, own, strict=True)]
        seven = sevens[family].parts()
        for trained, errors, estimators in (
            ("own", [e for e, _ in alone[family]], [e for _, e in alone[family]]),
            ("both", [e for e, _ in both], [e for _, e in both]),
            ("other", strangers, strange),
        ):
            of_seven = [e.errors(*part) for e, part in zip(estimators, seven, strict=True)]
            found = {"people": figures(errors, samples[family]), "seven": figures(of_seven, sevens[family])}
            rows.append({"family": family, "trained": trained, **found})
    return rows


def table(rows: Sequence[Mapping]) -> str:
    """Markdown: of all people, and of the seven."""
    names = ("vertebrae_mm", *(f"{a}{name}{b}_deg" for name in ("lla", "tka") for a, b in _FIGURES))
    lines = [("points", "family", "trained", *names), ("---",) * 3 + ("---:",) * len(names)]
    for row in rows:
        shown = (f"{row['people'][name]:.2f} ({row['seven'][name]:.2f})" for name in names)
        lines.append((row["points"], row["family"], row["trained"], *shown))
    return aligned(lines)


_FIGURES = (("", "_rmse"), ("person_", "_rmse"), ("", "_motion_rmse"))


def main() -> None:
    """A table, and the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--people", type=int, default=300, help="of each family, who train and are held out in turn")
    parser.add_argument("--keep", type=Path, help="folder where people who were drawn are found again")
    given = parser.parse_args()
    everyone = {f: list(drawn(f, SEED, given.people, given.keep)) for f in OTHER}
    judged = {f: list(drawn(f, 1, SEVEN, given.keep)) for f in OTHER}
    rows = []
    for errors in ERRORS:
        samples, sevens = (
            {f: sample(own, errors, seed) for f, own in of.items()} for of, seed in ((everyone, SEED), (judged, 1))
        )
        rows += [{"points": errors, **row} for row in study(samples, sevens)]
        print(table(rows[-3 * len(OTHER) :]), flush=True)
    if given.json:
        given.json.write_text(json.dumps({"machine": machine(), "people": given.people, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
