"""Triangulated points and motion capture → the one marker set that inverse kinematics fits."""

from simspine.merging.join import MergeReport, merge, merge_with_report
from simspine.merging.names import base_name, label_inferred
from simspine.merging.times import Shift, resample, time_shift
from simspine.merging.world import check_same_world, in_frame

__all__ = [
    "MergeReport",
    "Shift",
    "base_name",
    "check_same_world",
    "in_frame",
    "label_inferred",
    "merge",
    "merge_with_report",
    "resample",
    "time_shift",
]
