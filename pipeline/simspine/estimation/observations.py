"""Observations of the estimator: markers, their kinds, their weights and the model of their errors.

`NoiseLevels` holds the standard deviations of the errors, as configured or as learnt from all recordings of a person
(`simspine.estimation.noise`). `observe` makes the `Observations` of a recording from them, for every engine.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from simspine.anatomy.marker_sets import pelvis_skin_pair, read_skin_table
from simspine.anatomy.priors import MarkerErrors, SharedError
from simspine.core.skeletons import SPINE_REGIONS, is_skin_marker, is_tape_dot
from simspine.core.types import FROM_DETECTOR, Markers, Origin
from simspine.estimation.options import KinematicsOptions

# Views that agree to a millimetre show points marked by hand or projected, not a detector's, which err by centimetres.
# The standard deviation is three times the triangulated one, since some errors are common to all views. It is no less
# than the usual misfit of a body, unless the fit to the person learns a smaller one.
VIEW_DISAGREEMENT_FACTOR = 3.0
USUAL_BODY_MISFIT_M = 0.003  # m


ON_SKIN = "skin"  # kind of a marker on the skin that was not inferred; the kind of any other point is its origin


def are_of_kind(markers: Markers, *kinds: str) -> np.ndarray:
    """(markers,) bool: whether a marker is of one of these kinds, origins or `ON_SKIN`."""
    skin = set(is_skin_marker(markers.names)) - set(markers.names_of(Origin.INFERRED))
    named = zip(markers.names, markers.origins, strict=True)
    return np.array([(ON_SKIN if name in skin else origin) in kinds for name, origin in named], bool)


@dataclass(frozen=True)
class NoiseLevels:
    """Standard deviations of the points' errors, and how long the errors last.

    detected_sd, given_sd: m, of a coordinate of a point of weight 1, from a detector and from motion capture. skin_sd:
    m, of a marker on the skin, without the error of its place on the body. region_sd: m, of the offset that detected
    points of a spinal region share in a trial. correlation_s: integral of the autocorrelation of a point's error, s.
    weight_factors: {marker: factor on its weight in the marker set}, 1 where absent. misfit_sd: m, of the body's
    misfit in lasting errors, of detected points if there are any.
    """

    detected_sd: float
    given_sd: float
    skin_sd: float
    region_sd: float
    correlation_s: float
    weight_factors: Mapping[str, float] = field(default_factory=dict)
    misfit_sd: float = USUAL_BODY_MISFIT_M

    @classmethod
    def of_options(cls, options: KinematicsOptions) -> "NoiseLevels":
        """The configured levels."""
        return cls(
            detected_sd=options.marker_sd_m,
            given_sd=options.given_sd_m,
            skin_sd=read_skin_table().noise,
            region_sd=options.region_sd_m,
            correlation_s=options.error_correlation_s,
        )

    def given_view_agreement(self, *trials: Markers) -> "NoiseLevels":
        """These levels, or smaller ones for detected points whose views agree better (median of all trials)."""
        variances = [np.zeros(0)]
        for markers in trials:
            if markers.covariance is not None:
                detected = are_of_kind(markers, *FROM_DETECTOR)
                variances.append(np.einsum("tmii->tm", markers.covariance[:, detected]).ravel() / 3)
        variance = np.concatenate(variances)
        if not np.isfinite(variance).any():
            return self
        sd = max(USUAL_BODY_MISFIT_M, VIEW_DISAGREEMENT_FACTOR * float(np.sqrt(np.nanmedian(variance))))
        return replace(self, detected_sd=min(sd, self.detected_sd), region_sd=min(sd, self.region_sd))


def detector_error_share(sd: float) -> float:
    """The detector's share in the variance of lasting errors of deviation `sd`, m; the rest is the body's misfit."""
    return max(0.0, 1 - (USUAL_BODY_MISFIT_M / sd) ** 2)


@dataclass(frozen=True, eq=False)
class Observations:
    """Markers of a recording, y_up, with their weights and errors. weights: (frames, markers), factors on the precision
    of a point of weight 1; 0 where a marker is no measurement. errors: the model of the markers' errors."""

    markers: Markers
    weights: np.ndarray
    errors: MarkerErrors

    @property
    def precision(self) -> np.ndarray:
        """(frames, markers) m⁻²: precision of a coordinate; 0 where a marker is no measurement."""
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
    """A recording with the weights and the error model of its markers.

    marker_weights: of the marker set, 1 where absent. places_fitted: whether places of skin markers are fitted to the
    person; otherwise each recording has errors of these places. detector_bias: {region: (forward, up, right) m}, the
    learnt mean of the offset that the region's points share; zero where absent.
    """
    shared = shared_errors(markers, levels.region_sd, detector_bias or {})
    spine_points = {name for names in SPINE_REGIONS.values() for name in names}
    errors = MarkerErrors(
        sd=levels.detected_sd,
        correlation_time=levels.correlation_s,
        slow_markers=tuple(name for name in markers.names_of(*FROM_DETECTOR) if name in spine_points),
        body_misfit_time=options.error_correlation_s,
        body_misfit_sd=levels.misfit_sd,
        shared_errors=(*shared, *(() if places_fitted else skin_place_errors(markers))),
        loss="huber",
        loss_threshold_sd=options.loss_from_sd,
    )
    return Observations(markers, observation_weights(markers, marker_weights, levels, engine=options.engine), errors)


def observation_weights(
    markers: Markers, marker_weights: Mapping[str, float], levels: NoiseLevels, engine: str = "trajectory"
) -> np.ndarray:
    """(frames, markers): weight of the marker set × confidence × factor of the marker's kind.

    The factor of motion capture is the ratio of the variances, detected to given. An inferred point is no measurement:
    the trajectory engine leaves it out; the frame-wise engine, without priors, keeps it with its low weight. The
    trajectory engine weighs a skin marker by its own variance; the frame-wise engine, by its marker set and origin.
    """
    factors = levels.weight_factors
    marker_weight = [marker_weights.get(name, 1.0) * factors.get(name, 1.0) for name in markers.names]
    weights = np.tile(marker_weight, (markers.frames, 1))
    confidence = np.ones(weights.shape) if markers.weight is None else markers.weight
    given_factor = (levels.detected_sd / levels.given_sd) ** 2
    kind_factor = np.where(markers.of_origin(Origin.GIVEN), given_factor, 1.0)
    inferred = are_of_kind(markers, Origin.INFERRED)
    if engine != "trajectory":
        return np.where(inferred, weights, kind_factor * weights * confidence)
    kind_factor[inferred] = 0.0
    kind_factor[are_of_kind(markers, ON_SKIN)] = (levels.detected_sd / levels.skin_sd) ** 2
    dots = is_tape_dot(markers.names)
    if dots:  # the dots near a knot slide over the bone together, so they count as one marker
        kind_factor[np.isin(markers.names, dots)] *= min(1.0, len(_tape_knots(dots)) / len(dots))
    return kind_factor * weights * confidence


def shared_errors(
    markers: Markers, region_sd: float, detector_bias: Mapping[str, tuple[float, float, float]]
) -> tuple[SharedError, ...]:
    """Errors that detected points share throughout a recording; markers of motion capture share none.

    The points of a spinal region share an offset, whose mean is the detector's bias. The dots of a tape share the
    errors of its places on the bones.
    """
    detected = markers.names_of(*FROM_DETECTOR)
    members = {region: tuple(name for name in detected if name in names) for region, names in SPINE_REGIONS.items()}
    region_errors = [
        SharedError(region, names, region_sd, mean=detector_bias.get(region, (0.0, 0.0, 0.0)), in_ground_frame=True)
        for region, names in members.items()
        if len(names) > 1 and region_sd > 0
    ]
    return (*region_errors, *_tape_errors(is_tape_dot(detected)))


def skin_place_errors(markers: Markers) -> tuple[SharedError, ...]:
    """Errors of the places of single skin markers on their bones, with the table's standard deviations.

    Both posterior superior iliac spines share a deviation. So they constrain the rotation and the lateral tilt of the
    pelvis, and hardly its tilt in the sagittal plane.
    """
    table = read_skin_table()
    places = table.of_single_markers(markers.names)
    place_errors = [SharedError(name, (name,), place.sd) for name, place in places.items()]
    if pelvis := pelvis_skin_pair(places):
        place_errors.append(SharedError("pelvis", pelvis, table.pelvis_sd, shares=(1.0,) * len(pelvis)))
    return tuple(place_errors)


def _tape_errors(dots: Sequence[str]) -> Iterator[SharedError]:
    """Errors at knots along the tape. A dot between two knots has both errors, linearly interpolated."""
    if not dots:
        return
    table, knots = read_skin_table(), _tape_knots(dots)
    along = np.array([table.along(name) for name in dots])
    for k, knot in enumerate(knots):
        shares = np.interp(along, knots, np.eye(len(knots))[k])
        landmark = table.landmark_at(float(knot))
        (place,) = table.of([landmark]).values()
        near = np.flatnonzero(shares)
        if near.size:
            names = tuple(dots[int(i)] for i in near)
            yield SharedError(f"tape at {landmark}", names, place.sd, shares=tuple(float(shares[i]) for i in near))


def _tape_knots(dots: Sequence[str]) -> np.ndarray:
    """(knots,) m along the skin, from the first dot to the last, about one correlation length apart."""
    table = read_skin_table()
    along = [table.along(name) for name in dots]
    first, last = min(along), max(along)
    return np.linspace(first, last, max(2, round((last - first) / table.correlation) + 1))
