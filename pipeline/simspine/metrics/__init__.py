"""How far two results are from each other. Missing values (NaN) on either side are left out, unless said otherwise.

`distances` (points in space), `motion` (their velocities), `angles`, `keypoints` (points in images), `precision` (of
people in images), `bootstrap` and `image_intervals` (how well a mean is known).
"""

from simspine.metrics.angles import about_mean, angle_figures, angle_rmse
from simspine.metrics.bootstrap import bootstrap_mean
from simspine.metrics.distances import aligned, distances, mpjpe, n_mpjpe, p_mpjpe, scaled
from simspine.metrics.image_intervals import pck_auc_interval, precision_intervals
from simspine.metrics.keypoints import PCK_THRESHOLDS, oks, pck, pck_auc
from simspine.metrics.motion import acceleration_errors, velocity_errors
from simspine.metrics.precision import ImagePeople, MatchedPeople, average_precision, matched_people

__all__ = [
    "ImagePeople",
    "MatchedPeople",
    "PCK_THRESHOLDS",
    "about_mean",
    "acceleration_errors",
    "aligned",
    "angle_figures",
    "angle_rmse",
    "average_precision",
    "bootstrap_mean",
    "distances",
    "matched_people",
    "mpjpe",
    "n_mpjpe",
    "oks",
    "p_mpjpe",
    "pck",
    "pck_auc",
    "pck_auc_interval",
    "precision_intervals",
    "scaled",
    "velocity_errors",
]
