"""Triangulated points and motion capture → the one marker set that inverse kinematics fits."""

from simspine.merging.join import MergeReport, merge, merge_with_report
from simspine.merging.times import Shift, resample, time_shift
from simspine.merging.world import check_same_world

__all__ = [
    "MergeReport",
    "Shift",
    "check_same_world",
    "merge",
    "merge_with_report",
    "resample",
    "time_shift",
]
