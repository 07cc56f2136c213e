"""The estimator and its priors against people who exist: markers on the back in gait, and spines in two postures.

Gait: one marker of the back is left out and predicted from all others. CT: from the angles between vertebrae in one
posture, and their sum in another, the single angles there. Both are compared with simple baselines.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.interpolate import make_interp_spline
from tools.bench.baselines import BACK_MARKERS, back_marker_baselines
from tools.bench.figures import STATED_PERCENT, coverage

from simspine.anatomy.body import body_poses, forward_kinematics
from simspine.anatomy.marker_sets import read_marker_set
from simspine.anatomy.person_variation import curve_prior, is_flexion_prior, levels_given_curve
from simspine.anatomy.priors import LinearPrior, Prior, level_priors
from simspine.anatomy.recipes import read_recipe
from simspine.core.errors import InputError
from simspine.core.geometry import distances_along, markers_in_frame
from simspine.core.skeletons import SKIN_SUFFIX
from simspine.core.types import Markers
from simspine.estimation.solve_trial import solve_kinematics
from simspine.evaluation.tables import EvaluationTable, TableColumn, TableRow
from simspine.io.npz import read_npz
from simspine.reconstruction.stage import Options
from simspine.reconstruction.stages import body_of_person

COVERAGE_COLUMNS = tuple(TableColumn(f"inside {percent} %", "%", 0) for percent in STATED_PERCENT)
MARKER_SET = "plugin_gait"
PLAIN, REGISTERED = "simspine", "simspine + standing offset"
LEVELLED = "simspine, height from standing"
LEFT_OUT = ("T2", "T6", "T10", "T12")
STANDING_TRIAL = "0"
GAIT_RATE_HZ = 100.0
MISPLACED_FROM_SHARE = 0.2  # of T12 to SACR, which is about five levels
GAIT_OPTIONS = Options(scaling={"min_factor": 0.5})  # children are among them


def read_gait_people(path: Path) -> dict[str, dict[str, Markers]]:
    """{person: {trial: markers}} of an archive with arrays `NAME_0` (standing), `NAME_1`, … (frames, markers, 3) mm,
    z up, 0 or NaN = missing, and their `…_labels`. All trials of a person get the same markers.

    Raises `InputError` where labels are missing, or a person has no standing trial or no marker of the back.
    """
    stored = read_npz(path)
    people: dict[str, dict[str, Markers]] = {}
    for key in sorted(name for name in stored if not name.endswith("_labels")):
        person, _, trial = key.rpartition("_")
        xyz = np.asarray(stored[key], float)
        labels = tuple(str(label) for label in stored.get(f"{key}_labels", ()))
        if not person or xyz.ndim != 3 or xyz.shape[1:] != (len(labels), 3):
            raise InputError(
                f"{path}: {key} has the shape {xyz.shape} and {len(labels)} labels; expected NAME_TRIAL of (frames, "
                f"markers, 3) mm, and a label for each marker in {key}_labels."
            )
        missing = (xyz == 0).all(-1) | ~np.isfinite(xyz).all(-1)
        xyz = np.where(missing[..., None], np.nan, xyz / 1000)
        people.setdefault(person, {})[trial] = Markers(labels, GAIT_RATE_HZ, xyz, "z_up")
    for person, trials in people.items():
        standing = trials.get(STANDING_TRIAL)
        if standing is None or not set(BACK_MARKERS) <= set(np.array(standing.names)[standing.present.any(0)]):
            raise InputError(
                f"{path}: {person} has the trials {', '.join(trials)}; expected {person}_{STANDING_TRIAL} of the "
                f"person standing, in which the markers {', '.join(BACK_MARKERS)} are seen."
            )
    return {person: _with_same_markers(trials) for person, trials in people.items()}


def _with_same_markers(trials: Mapping[str, Markers]) -> dict[str, Markers]:
    names = tuple(dict.fromkeys(name for markers in trials.values() for name in markers.names))
    found = {}
    for trial, markers in trials.items():
        xyz = np.full((markers.frames, len(names), 3), np.nan)
        xyz[:, [names.index(name) for name in markers.names]] = markers.xyz
        found[trial] = markers_in_frame(Markers(names, markers.rate, xyz, markers.frame), "y_up")
    return found


@dataclass(frozen=True, eq=False)
class MarkerPrediction:
    """Where a marker that was left out should be in a trial, in ground.

    place: (frames, 3) m, of the body's marker. axes: (frames, 3, 3), of the vertebra below it. posture: (frames, 3,
    3) m², of the solution without what lasts. lasting: (3, 3) m², along the axes, of the body and of the marker's
    place on it. noise: m, of skin over bone, as learnt from the trials. slips: (frames, others, 3) m along the
    axes, how far the other markers of the back are seen off their places on the body. along: (others,) m along the
    back from the uppermost; at: m, of the marker itself.
    """

    place: np.ndarray
    axes: np.ndarray
    posture: np.ndarray
    lasting: np.ndarray
    noise: float
    slips: np.ndarray
    along: np.ndarray
    at: float

    @property
    def deviation(self) -> np.ndarray:
        """(frames, 3) m."""
        return self._deviation(self.lasting)

    def _deviation(self, lasting: np.ndarray) -> np.ndarray:
        in_ground = self.axes @ lasting @ np.swapaxes(self.axes, -1, -2)
        return np.sqrt(np.diagonal(self.posture + in_ground, axis1=-2, axis2=-1) + self.noise**2)

    def standing_offset(self, seen: np.ndarray) -> np.ndarray:
        """(3,) m: forward, up and right of its place, where the marker is seen (frames, 3) m in this trial."""
        return np.nanmean(np.einsum("tji,tj->ti", self.axes, seen - self.place), axis=0)

    def at_height_of(self, standing: "MarkerPrediction", seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places and deviations (frames, 3) m with the marker as high on the vertebra as in the standing trial.

        This is what a spline through the other markers needs, too: how far along the back the marker lies.

        seen: (frames, 3) m of the marker in the standing trial.
        """
        along = np.array([0.0, 1.0, 0.0])
        across = np.diag(1.0 - along)
        place = self.place + self.axes @ (along * standing.standing_offset(seen))
        return place, self._deviation(across @ self.lasting @ across)

    def registered(self, standing: "MarkerPrediction", seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places and deviations (frames, 3) m with the marker's offset on the vertebra as in the standing trial.

        The skin glides over the bone alike at neighbouring markers. What the others have slipped since the standing
        trial is taken to change along the back like a random walk, of which the line between the two nearest is the
        mean. Its variance is that of the slips from one marker to the next in this trial.

        seen: (frames, 3) m of the marker in the standing trial.
        """
        offset = standing.standing_offset(seen)
        seen_here = np.isfinite(self.slips).any((0, 2))
        along, slips = self.along[seen_here], (self.slips - np.nanmean(standing.slips, axis=0))[:, seen_here]
        full, own_slip = np.isfinite(slips).all((1, 2)), np.full_like(self.place, np.nan)
        own_slip[full] = make_interp_spline(along, slips[full], k=1, axis=1)(self.at)
        per_metre = np.nanmean(np.diff(slips, axis=1) ** 2 / np.diff(along)[:, None], axis=(0, 1))
        above, below = self.at - along[along < self.at].max(), along[along > self.at].min() - self.at
        between = per_metre * above * below / (above + below)
        posture = np.swapaxes(self.axes, -1, -2) @ self.posture @ self.axes
        own = self.axes @ (posture + between * np.eye(3)) @ np.swapaxes(self.axes, -1, -2)
        deviation = np.sqrt(np.maximum(np.diagonal(own, axis1=-2, axis2=-1), 0.0))  # sweeps are in single precision
        return self.place + np.einsum("tij,tj->ti", self.axes, offset + own_slip), deviation


def predict_left_out(trials: Mapping[str, Markers], level: str) -> dict[str, MarkerPrediction]:
    """The marker over a level in all trials of a person (y_up), from all their other markers."""
    points = read_marker_set(MARKER_SET)
    hidden = {trial: _without_marker(markers, level) for trial, markers in trials.items()}
    known = {trial: points.renamed(markers) for trial, markers in hidden.items()}
    sized, _ = body_of_person(list(known.values()), GAIT_OPTIONS.body.recipe, MARKER_SET, GAIT_OPTIONS)
    assert sized.person is not None  # the recipe has an anatomy
    name = level + SKIN_SUFFIX
    lasting = np.asarray(sized.person.place_covariance_from_body[name])
    carrier = sized.body.bodies[sized.body.tree.marker_body[sized.body.marker_index(name)] - 1]
    others = [other for other in BACK_MARKERS if other != level]
    on_back = distances_along(np.nanmean(trials[STANDING_TRIAL].select(BACK_MARKERS).xyz, axis=0))
    found = {}
    for trial, markers in known.items():
        result = solve_kinematics(sized, markers, MARKER_SET, GAIT_OPTIONS.ik, spine_markers={level: name})
        assert result.posterior is not None  # of the trajectory engine
        names = [name, *(points.renamed(hidden[trial].select(others)).names)]
        places = forward_kinematics(sized.body, result.motion, names=names).xyz
        axes = body_poses(sized.body, result.motion)[carrier][:, :3, :3]
        found[trial] = MarkerPrediction(
            place=places[:, 0],
            axes=axes,
            posture=result.posterior.derived["markers"][:, 0] - axes @ lasting @ np.swapaxes(axes, -1, -2),
            lasting=lasting,
            noise=sized.person.noise.skin_sd,
            slips=np.einsum("tji,tmj->tmi", axes, hidden[trial].select(others).xyz - places[:, 1:]),
            along=np.delete(on_back, BACK_MARKERS.index(level)),
            at=float(on_back[BACK_MARKERS.index(level)]),
        )
    return found


def _without_marker(markers: Markers, level: str) -> Markers:
    hidden = np.array([name == level for name in markers.names])[:, None]
    return markers.with_(xyz=np.where(hidden, np.nan, markers.xyz))


@dataclass(frozen=True)
class GaitScore:
    """A trial with a marker left out. error: {method: root mean square, m}. inside: {method: share of coordinates in
    each of the `STATED_PERCENT` intervals}, of methods that state any."""

    person: str
    trial: str
    level: str
    frames: int
    error: Mapping[str, float]
    inside: Mapping[str, tuple[float, ...]]


def score_gait(
    people: Mapping[str, Mapping[str, Markers]],
    levels: Sequence[str] = LEFT_OUT,
    progress: Callable[[str], None] = lambda _: None,
) -> list[GaitScore]:
    """All methods in all trials but the standing ones, in the frames in which all of them have a place."""
    scores = []
    for person, trials in people.items():
        for level in levels:
            progress(f"{person}: {level} left out")
            predictions = predict_left_out(trials, level)
            for trial in (name for name in trials if name != STANDING_TRIAL):
                scores.append(_score_trial(person, trial, level, trials=trials, predictions=predictions))
    found = [score for score in scores if score is not None]
    if not found:
        raise InputError(
            "no walking trial shows a marker to leave out with all others on the back; expected one frame."
        )
    return found


def _score_trial(
    person: str, trial: str, level: str, trials: Mapping[str, Markers], predictions: Mapping[str, MarkerPrediction]
) -> GaitScore | None:
    """None where no frame shows all markers that are needed."""
    standing, own = trials[STANDING_TRIAL], predictions[trial]
    truth = trials[trial].select([level]).xyz[:, 0]
    still, seen = predictions[STANDING_TRIAL], standing.select([level]).xyz[:, 0]
    stated = {
        REGISTERED: own.registered(still, seen),
        LEVELLED: own.at_height_of(still, seen),
        PLAIN: (own.place, own.deviation),
    }
    places = {name: place for name, (place, _) in stated.items()}
    places |= back_marker_baselines(trials[trial], standing, level)
    kept = np.isfinite([*places.values(), truth]).all((0, 2))
    if not kept.any():
        return None
    off = {name: (place - truth)[kept] for name, place in places.items()}
    return GaitScore(
        person=person,
        trial=trial,
        level=level,
        frames=int(kept.sum()),
        error={name: float(np.sqrt((each**2).sum(-1).mean())) for name, each in off.items()},
        inside={name: coverage(off[name] / sd[kept]) for name, (_, sd) in stated.items()},
    )


def misplaced_levels(people: Mapping[str, Mapping[str, Markers]]) -> dict[str, float]:
    """{person: T12 to SACR when standing, m} of people whose marker on T12 or SACR lies at another level: the share of
    C7 to SACR differs from the others' median by more than `MISPLACED_FROM_SHARE` of it."""
    standing = [trials[STANDING_TRIAL].select(("C7", "T12", "SACR")).xyz for trials in people.values()]
    c7, t12, sacrum = np.array([np.nanmean(xyz, axis=0) for xyz in standing]).swapaxes(0, 1)
    lower, whole = np.linalg.norm(t12 - sacrum, axis=-1), np.linalg.norm(c7 - sacrum, axis=-1)
    shares, found = lower / whole, {}
    for i, person in enumerate(people):
        others = np.delete(shares, i)
        if len(others) and abs(shares[i] / np.median(others) - 1) > MISPLACED_FROM_SHARE:
            found[person] = float(lower[i])
    return found


def gait_tables(scores: Sequence[GaitScore], misplaced: Mapping[str, float]) -> list[EvaluationTable]:
    """Errors by level, and how many coordinates lie in the stated intervals."""
    columns = [TableColumn(f"{level} {figure}", "mm", 1) for level in LEFT_OUT for figure in ("median", "90th")]
    rows = []
    for method in scores[0].error:
        cells: list[float] = []
        for level in LEFT_OUT:
            errors = [1000 * score.error[method] for score in scores if score.level == level]
            cells += np.percentile(errors, [50, 90]).tolist() if errors else [np.nan, np.nan]
        rows.append(TableRow(method, "", tuple(cells)))
    people = len({score.person for score in scores})
    notes = [f"Root mean square of a trial: median and 90th percentile over trials of {people} people."]
    notes += [
        f"{person}: T12 to SACR {1000 * length:.0f} mm, unlike the others; one of them is at another level."
        for person, length in misplaced.items()
    ]
    weights = [score.frames for score in scores]
    stated = [
        TableRow(method, "", tuple(100 * np.average([s.inside[method] for s in scores], axis=0, weights=weights)))
        for method in scores[0].inside
    ]
    title = "Markers of the back in gait, one left out"
    return [
        EvaluationTable("gait_error", title, tuple(columns), tuple(rows), notes=tuple(notes)),
        EvaluationTable("gait_coverage", f"{title}: stated intervals", COVERAGE_COLUMNS, tuple(stated)),
    ]


# The same people prone and supine: angles between vertebrae from T12–L1 to L4–L5, in extension.

CT_LEVELS = ("L1_T12", "L1_L2", "L2_L3", "L3_L4", "L4_L5")  # in the order of the columns
CT_POSTURES = ("supine", "prone")
MARKING_SD_DEG = 0.8  # of a vertebra, as it is marked
CT_FOLDS = 10
LEAST_CT_PEOPLE = 20  # to fit ten angles to nine tenths of them
FITTED = "fitted Gaussian"


def read_ct_pairs(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Angles (people, 5) rad, supine and prone, of an archive in degrees. `InputError` where they are not there."""
    stored = read_npz(path)
    supine, prone = (np.asarray(stored.get(name, ()), float) for name in CT_POSTURES)
    fits = supine.shape == prone.shape == (len(supine), len(CT_LEVELS)) and len(supine) >= LEAST_CT_PEOPLE
    if not fits or not np.isfinite([supine, prone]).all():
        raise InputError(
            f"{path}: {' and '.join(CT_POSTURES)} have the shapes {supine.shape} and {prone.shape}; expected "
            f"({LEAST_CT_PEOPLE} people or more, {len(CT_LEVELS)}) each, degrees, all known."
        )
    return np.radians(supine), np.radians(prone)


@dataclass(frozen=True, eq=False)
class AngleForecast:
    """Single angles of the other posture: mean and sd (people, levels) rad."""

    mean: np.ndarray
    sd: np.ndarray

    def score(self, truth: np.ndarray) -> tuple[float, tuple[float, ...]]:
        """Mean log likelihood of an angle in degrees, and coverage."""
        scaled, sd = (truth - self.mean) / self.sd, np.degrees(self.sd)
        return float((-0.5 * scaled**2 - np.log(sd) - 0.5 * np.log(2 * np.pi)).mean()), coverage(scaled)


def lumbar_posture_covariance() -> np.ndarray:
    """(10, 10) rad²: of the five angles in two postures of a person with straight hips, by the priors of the body."""
    lumbar = [region for region in read_recipe(Options().body.recipe).regions if region.name == "lumbar"]
    levels = [replace(prior, goes_with={}) for prior in level_priors(lumbar) if is_flexion_prior(prior)]
    moving = {name for prior in levels for name in prior.combination}
    terms: list[LinearPrior] = list(curve_prior(levels, {}))
    for posture in CT_POSTURES:
        for term in levels_given_curve(levels):
            own = {f"{posture} {n}" if n in moving else n: value for n, value in term.combination.items()}
            terms.append(replace(term, combination=own))
    names = list(dict.fromkeys(name for term in terms for name in term.combination))
    rows, _, precision, _ = Prior(terms).arrays(names, 1.0)
    covariance = np.linalg.inv(rows.T @ (precision[:, None] * rows))
    chosen = [names.index(f"{posture} {level}_Flex_Ext") for posture in CT_POSTURES for level in CT_LEVELS]
    return covariance[np.ix_(chosen, chosen)]


def forecast_given_total(
    given: np.ndarray, other: np.ndarray, covariance: np.ndarray, mean: np.ndarray | None = None
) -> AngleForecast:
    """The other posture's angles, given this one's and the other's total.

    covariance: (10, 10) of both. mean: (10,); by default people's mean of `given` for both, since the angles count from
    other lines than the body's.
    """
    joints = given.shape[1]
    mean = np.tile(given.mean(0), 2) if mean is None else mean
    seen = np.eye(joints + 1, 2 * joints)
    seen[joints] = np.repeat([0.0, 1.0], joints)
    values = np.column_stack([given, other.sum(1)]) - seen @ mean
    gain = covariance @ seen.T @ np.linalg.inv(seen @ covariance @ seen.T)
    left = covariance - gain @ seen @ covariance
    sd = np.sqrt(np.diag(left)[joints:])
    return AngleForecast(mean[joints:] + values @ gain[joints:].T, np.broadcast_to(sd, given.shape))


def ct_forecasts(given: np.ndarray, other: np.ndarray) -> dict[str, AngleForecast]:
    """Ours, and three whose spreads are fitted to other people (`CT_FOLDS`)."""
    joints, fold = given.shape[1], np.arange(len(given)) % CT_FOLDS
    marking = np.eye(joints, joints + 1) - np.eye(joints, joints + 1, 1)  # neighbouring angles share a vertebra
    marked = np.kron(np.eye(2), np.radians(MARKING_SD_DEG) ** 2 * marking @ marking.T)
    change = other - given
    shared = np.broadcast_to(change.mean(1, keepdims=True), change.shape)
    found = {"simspine": forecast_given_total(given, other, lumbar_posture_covariance() + marked)}
    for name, expected in (("no change", np.zeros_like(change)), ("equal shares", shared)):
        sd = np.sqrt([((change - expected)[fold != k] ** 2).mean() for k in range(CT_FOLDS)])
        found[name] = AngleForecast(given + expected, np.broadcast_to(sd[fold, None], given.shape))
    mean, spread = np.empty_like(given), np.empty_like(given)
    for k in range(CT_FOLDS):
        rest, own = fold != k, fold == k
        both = np.hstack([given, other])[rest]
        fitted = forecast_given_total(given[own], other[own], np.cov(both.T), both.mean(0))
        mean[own], spread[own] = fitted.mean, fitted.sd
    return found | {FITTED: AngleForecast(mean, spread)}


def ct_table(supine: np.ndarray, prone: np.ndarray) -> EvaluationTable:
    """Both directions: prone from supine, and supine from prone."""
    figures = TableColumn("log likelihood", "per angle", 3), TableColumn("root mean square", "°", 2)
    rows = []
    ways = [(ct_forecasts(*pair), pair[1]) for pair in ((supine, prone), (prone, supine))]
    for method in ways[0][0]:
        scores = [forecasts[method].score(truth) for forecasts, truth in ways]
        error = np.mean([(forecasts[method].mean - truth) ** 2 for forecasts, truth in ways]) ** 0.5
        likelihood = float(np.mean([score for score, _ in scores]))
        inside = 100 * np.mean([inside for _, inside in scores], axis=0)
        remark = "bound: fitted to other people of the same data" if method == FITTED else ""
        rows.append(TableRow(method, "", (likelihood, float(np.degrees(error)), *inside), remark=remark))
    notes = (f"{len(supine)} people prone and supine; single angles T12–L1 to L4–L5 given their total.",)
    return EvaluationTable("ct_postures", "CT in two postures", (*figures, *COVERAGE_COLUMNS), tuple(rows), notes=notes)
