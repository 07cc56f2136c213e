"""What the estimator is given: points, the kind of each, and how far it may be off; made in one place.

`NoiseLevels` says how large errors are, as configured or as learnt from all recordings of a person
(`simspine.estimation.noise`). `observe` makes `Observations` of a recording from them, for every engine.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from simspine.anatomy.marker_sets import pelvis_skin_pair, read_skin_table
from simspine.anatomy.priors import MarkerErrors, SharedError
from simspine.core.skeletons import SPINE_REGIONS, is_skin_marker, is_tape_dot
from simspine.core.types import FROM_DETECTOR, Markers, Origin
from simspine.estimation.options import KinematicsOptions

# Views that agree to a millimetre come from a source that knows its points (marked by hand, projected), not from a
# detector whose idea of a point is centimetres off. Three times what their disagreement says, since some errors are
# common to all views; and never less than bodies misfit as a rule, unless a fit to the person learns better.
VIEW_DISAGREEMENT_FACTOR = 3.0
USUAL_BODY_MISFIT_M = 0.003  # m


class PointKind(StrEnum):
    """How the place of a point is known."""

    MOTION_CAPTURE = "motion capture"
    DETECTED = "detected"
    SKIN = "skin"
    ESTIMATED = "estimated"
    INFERRED = "inferred"


KIND_OF_ORIGIN = {
    Origin.GIVEN: PointKind.MOTION_CAPTURE,
    Origin.DETECTED: PointKind.DETECTED,
    Origin.ESTIMATED: PointKind.ESTIMATED,
    Origin.INFERRED: PointKind.INFERRED,
}


def point_kinds(markers: Markers) -> tuple[PointKind, ...]:
    """The kind of each marker. A marker on the skin is one, whether it was detected or captured."""
    skin = set(is_skin_marker(markers.names))
    return tuple(
        PointKind.SKIN if name in skin and origin is not Origin.INFERRED else KIND_OF_ORIGIN[origin]
        for name, origin in zip(markers.names, markers.origins, strict=True)
    )


def are_of_kind(markers: Markers, *kinds: PointKind) -> np.ndarray:
    """(markers,) bool: those of one of the kinds."""
    return np.array([kind in kinds for kind in point_kinds(markers)], bool)


@dataclass(frozen=True)
class NoiseLevels:
    """How large errors of points are.

    detected_sd, given_sd: m, of a coordinate of a point of weight 1, from a detector and from motion capture. skin_sd:
    m, of a marker on the skin, without what is unknown of its place on the body. region_sd: m, of the error that
    detected points of a spinal region share in a trial. correlation_s: s, correlation time of a point's error.
    weight_factors: {marker: by how much more it counts than its marker set says}. lasting_share, misfit_share:
    {marker: share of its variance that lasts, and that the body's misfit makes}. shared_lasting_share: of the variance
    of errors that points share.
    """

    detected_sd: float
    given_sd: float
    skin_sd: float
    region_sd: float
    correlation_s: float
    weight_factors: Mapping[str, float] = field(default_factory=dict)
    lasting_share: Mapping[str, float] = field(default_factory=dict)
    misfit_share: Mapping[str, float] = field(default_factory=dict)
    shared_lasting_share: float = 1.0

    @classmethod
    def of_options(cls, options: KinematicsOptions) -> "NoiseLevels":
        """As configured."""
        return cls(
            detected_sd=options.marker_sd_m,
            given_sd=options.given_sd_m,
            skin_sd=read_skin_table().noise,
            region_sd=options.region_sd_m,
            correlation_s=options.error_correlation_s,
        )

    def given_view_agreement(self, markers: Markers) -> "NoiseLevels":
        """With smaller deviations of a detector's points where views agree better than these say."""
        detected = are_of_kind(markers, PointKind.DETECTED, PointKind.ESTIMATED)
        if markers.covariance is None or not detected.any():
            return self
        variance = np.einsum("tmii->tm", markers.covariance[:, detected]) / 3
        if not np.isfinite(variance).any():
            return self
        sd = max(USUAL_BODY_MISFIT_M, VIEW_DISAGREEMENT_FACTOR * float(np.sqrt(np.nanmedian(variance))))
        return replace(self, detected_sd=min(sd, self.detected_sd), region_sd=min(sd, self.region_sd))


def detector_error_share(sd: float) -> float:
    """Share of the detector in the variance of lasting errors, whose standard deviation is `sd`, m; the rest is the
    body's misfit."""
    return max(0.0, 1 - (USUAL_BODY_MISFIT_M / sd) ** 2)


@dataclass(frozen=True, eq=False)
class Observations:
    """markers: of a recording, y_up. weights: (frames, markers), by which the precision of a point of weight 1 is
    multiplied; 0 where it is no measurement. errors: what is assumed of the markers' errors."""

    markers: Markers
    weights: np.ndarray
    errors: MarkerErrors

    @property
    def precision(self) -> np.ndarray:
        """(frames, markers) m⁻², of a coordinate; 0 where it is no measurement."""
        return self.weights / self.errors.sd**2


def observe(
    markers: Markers,
    marker_weights: Mapping[str, float],
    options: KinematicsOptions,
    levels: NoiseLevels,
    *,
    places_fitted: bool = False,
    detector_bias: Mapping[str, tuple[float, float, float]] | None = None,
) -> Observations:
    """A recording with what is assumed of its errors.

    marker_weights: of the marker set, 1 where absent. places_fitted: the places of markers on the skin are fitted to
    the person; otherwise they are unknown in each recording. detector_bias: {region: (forward, up, right) m} of the
    person, where it was learnt; by default zero.
    """
    shared = shared_errors(markers, levels.region_sd, detector_bias or {})
    spine = {name for names in SPINE_REGIONS.values() for name in names}
    errors = MarkerErrors(
        sd=levels.detected_sd,
        correlation_time=levels.correlation_s,
        slow_markers=tuple(name for name in markers.names_of(*FROM_DETECTOR) if name in spine),
        body_misfit_time=options.error_correlation_s,
        lasting_variance_share=levels.lasting_share,
        misfit_variance_share=levels.misfit_share,
        shared_error_variance_share=levels.shared_lasting_share,
        shared_errors=(*shared, *(() if places_fitted else skin_place_errors(markers))),
        loss="huber",
        loss_threshold_sd=options.loss_from_sd,
    )
    return Observations(markers, observation_weights(markers, marker_weights, levels, engine=options.engine), errors)


def observation_weights(
    markers: Markers, marker_weights: Mapping[str, float], levels: NoiseLevels, engine: str = "trajectory"
) -> np.ndarray:
    """(frames, markers): weight of the marker set × confidence × what its kind is worth.

    Motion capture is worth more by the ratio of the variances. An inferred point is no measurement: the trajectory
    engine, which has priors for what is not observed, leaves it out; the frame-wise ones, which have none, keep it with
    its low weight. In the trajectory engine a marker on the skin is worth what its own error says; the frame-wise
    engines take the marker set's word instead.
    """
    factors = levels.weight_factors
    by_name = [marker_weights.get(name, 1.0) * factors.get(name, 1.0) for name in markers.names]
    weights = np.tile(by_name, (markers.frames, 1))
    confidence = np.ones(weights.shape) if markers.weight is None else markers.weight
    captured = (levels.detected_sd / levels.given_sd) ** 2
    worth = np.where(markers.of_origin(Origin.GIVEN), captured, 1.0)
    inferred = are_of_kind(markers, PointKind.INFERRED)
    if engine != "trajectory":
        return np.where(inferred, weights, worth * weights * confidence)
    worth[inferred] = 0.0
    worth[are_of_kind(markers, PointKind.SKIN)] = (levels.detected_sd / levels.skin_sd) ** 2
    dots = is_tape_dot(markers.names)
    if dots:  # the skin moves over the bone with all dots of a knot, which together count as one marker
        worth[np.isin(markers.names, dots)] *= min(1.0, len(_tape_knots(dots)) / len(dots))
    return worth * weights * confidence


# Errors that points have in common.


def shared_errors(
    markers: Markers, region_sd: float, detector_bias: Mapping[str, tuple[float, float, float]]
) -> tuple[SharedError, ...]:
    """Errors that a detector's points share throughout a recording; markers of motion capture share none.

    Points of one region of the spine err together, about the detector's bias; dots of a tape by how well the bone under
    them is known.
    """
    detected = markers.names_of(*FROM_DETECTOR)
    members = {region: tuple(name for name in detected if name in names) for region, names in SPINE_REGIONS.items()}
    found = [
        SharedError(region, names, region_sd, mean=detector_bias.get(region, (0.0, 0.0, 0.0)), in_ground_frame=True)
        for region, names in members.items()
        if len(names) > 1 and region_sd > 0
    ]
    return (*found, *_tape_errors(is_tape_dot(detected)))


def skin_place_errors(markers: Markers) -> tuple[SharedError, ...]:
    """How far the bone under each single marker on the skin may be from its place in the table.

    Both posterior superior iliac spines of a person lie elsewhere on the sacrum than the model's; so they show where
    the pelvis faces and which side is higher, and hardly how it is tilted.
    """
    table = read_skin_table()
    places = table.of_single_markers(markers.names)
    found = [SharedError(name, (name,), place.sd) for name, place in places.items()]
    if pelvis := pelvis_skin_pair(places):
        found.append(SharedError("pelvis", pelvis, table.pelvis_sd, shares=(1.0,) * len(pelvis)))
    return tuple(found)


def _tape_errors(dots: Sequence[str]) -> Iterator[SharedError]:
    """Dots of a tape err alike with their neighbours: errors at knots along it, and in between a mixture of both."""
    if not dots:
        return
    table, knots = read_skin_table(), _tape_knots(dots)
    along = np.array([table.along(name) for name in dots])
    for k, knot in enumerate(knots):
        shares = np.interp(along, knots, np.eye(len(knots))[k])
        level = table.landmark_at(float(knot))
        (place,) = table.of([level]).values()
        chosen = np.flatnonzero(shares)
        if chosen.size:
            names = tuple(dots[int(i)] for i in chosen)
            yield SharedError(f"tape at {level}", names, place.sd, shares=tuple(float(shares[i]) for i in chosen))


def _tape_knots(dots: Sequence[str]) -> np.ndarray:
    """(knots,) m along the skin, from the first dot to the last, about one correlation length apart."""
    table = read_skin_table()
    along = [table.along(name) for name in dots]
    first, last = min(along), max(along)
    return np.linspace(first, last, max(2, round((last - first) / table.correlation) + 1))
