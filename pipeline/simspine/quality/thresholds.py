"""Every limit quality control uses, with unit, reason and source. Angles are given in degrees and used in radians.

source: a publication, or 'chosen' with what it was derived from. Nothing else in the package decides on a bare number.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from simspine.errors import InputError, unknown_name


@dataclass(frozen=True)
class Threshold:
    """A limit as people write it: value in `unit`. `si`: the same in m, rad, s."""

    name: str
    value: float
    unit: str
    reason: str
    source: str

    @property
    def si(self) -> float:
        return self.value * _TO_SI[self.unit]


_DEGREE = np.radians(1.0)
_TO_SI = {"deg": _DEGREE, "deg/s": _DEGREE, "cm": 0.01, "m/s": 1.0, "px": 1.0, "frames": 1.0, "%": 0.01, "1": 1.0}

_STANDING = "standing mean 49.8 ± 11.2 (Asian Spine J 2019, n=627), bending range 51 forward, 16 back (Pearcy 1985)"
_THORACIC = "standing 20–60 (SRS), bending range 22 forward, 14 back (Jiang 2025)"
_LORDOSIS_SPEED = "fastest bending: lordosis speeds span 114 °/s in the young (PLoS ONE 2012, e50135, n=429)"

_ALL = (
    # curvature
    Threshold("lla_low", -24, "deg", "flatter than the flattest back fully bent", f"chosen: {_STANDING}, less 2 SD"),
    Threshold("lla_high", 88, "deg", "more hollow than any back bent backwards", f"chosen: {_STANDING}, plus 2 SD"),
    Threshold("tka_low", 6, "deg", "no thoracic kyphosis left", f"chosen: {_THORACIC}"),
    Threshold("tka_high", 82, "deg", "more round than any back bent forward", f"chosen: {_THORACIC}"),
    Threshold("curvature_speed", 150, "deg/s", "faster than people bend", f"chosen: {_LORDOSIS_SPEED}"),
    # continuity
    Threshold(
        "jump_level", 250, "deg/s", "one level at twice the speed of the whole back", f"chosen: {_LORDOSIS_SPEED}"
    ),
    Threshold("jump_curvature", 400, "deg/s", "a jump, not a motion", f"chosen, over three times {_LORDOSIS_SPEED}"),
    Threshold(
        "jump_neck", 1000, "deg/s", "faster than vigorous head shaking",
        "chosen: 250 rad/s² at about 3 Hz make some 760 °/s (Funk 2015, J Appl Biomech 31:170)",
    ),
    Threshold("jump_segment", 1000, "deg/s", "a trunk turns slower than a shaken head", "chosen: as jump_neck"),
    Threshold("jump_position", 15, "m/s", "faster than the fastest sprinters (about 12 m/s)", "chosen"),
    Threshold("marker_jump", 50, "m/s", "faster than any part of the body", "chosen: a pitcher's hand has some 40"),
    Threshold("spike_frames", 3, "frames", "away for at most so long and back again: a spike, not a step", "chosen"),
    # ranges
    Threshold(
        "range_factor", 1.25, "1", "levels may exceed the published range of motion by this factor",
        "chosen: room for differences between studies and people",
    ),
    Threshold(
        "range_sd", 2, "1", "a level is beyond a range if it is so by this many of its standard deviations",
        "chosen: about 95 %; without standard deviations any excess counts",
    ),
    Threshold("coordinate_slack", 1, "deg", "beyond the model's own range by more than rounding", "chosen"),
    # shape
    Threshold(
        "shape", 7, "1", "fitted vertebrae: standard deviations from real spines, as a normal distribution has them",
        "chosen: beyond all of 64 CT scans of patients, at most 6.2 as a whole and 6.7 for one vertebra "
        "(docs/spine-shape.md)",
    ),
    Threshold(
        "shape_seen", 5, "1", "the same of points measured on the back", "chosen: once in three million if all is well"
    ),
    Threshold(
        "shape_skin", 1.5, "cm", "points seen on the back lie this differently behind their vertebrae, per axis",
        "chosen: about a quarter of the 6 cm that back surface and vertebral body are apart",
    ),
    Threshold("shape_frames", 100, "frames", "evenly chosen frames whose shape is checked", "chosen: half a second"),
    # left and right
    Threshold(
        "trunk_twist", 75, "deg", "shoulders turned further against the hips: sides are exchanged at one end",
        "chosen: T1 on L1 24.9 (Fujimori 2012) and L1–S1 5 (Pearcy 1985) to one side, doubled for the shoulder girdle",
    ),
    Threshold(
        "feet_back", 110, "deg", "both feet further from where the pelvis faces: sides or front and back are exchanged",
        "chosen: hips turn out by 45 to 60",
    ),
    Threshold(
        "upside_down", 120, "deg", "the line from ankles to shoulders: 0 standing, 90 lying, 180 head down",
        "chosen: lying, and a slope of 30",
    ),
    # markers against the model
    Threshold(
        "marker_expected", 4, "cm", "points triangulated from images lie this near to a fitted body",
        "2–4 cm for a state-of-the-art body model (SpineTrack paper, CVPRW 2025)",
    ),
    Threshold(
        "marker_flagged", 10, "cm", "a point that far off is wrong",
        "the same paper sends such keypoints back to the annotators",
    ),
    # images
    Threshold(
        "reprojection", 25, "px", "a point this far from its images is not where the cameras see it",
        "chosen: 90th percentile of BlazePose with the best cameras on 1080×1920 video, 23 px",
    ),
    # cameras beside one another
    Threshold(
        "camera_shift", 5, "px", "an image that lies this far from the others' puts points centimetres off",
        "chosen: 5 px are 1 cm at 4 m; cameras of right calibrations differ by 1–2 px on synthetic detections",
    ),
    Threshold("camera_roll", 0.5, "deg", "a camera that was turned about its axis after calibration", "chosen"),
    Threshold("camera_scale", 1.5, "%", "a camera that zoomed or moved, or whose video was rescaled", "chosen"),
    Threshold("camera_late", 0.5, "frames", "points of fast limbs do not meet", "chosen: what half a frame can be"),
    Threshold("skin_marker_seen", 50, "%", "the spine's ± grows where one is lost", "chosen: half of the frames"),
    Threshold(
        "view_contributed", 20, "%", "a camera that gives fewer of the points hardly sees the person",
        "chosen: 44–100 % in all cameras of two demonstrations; 0 and 11 % where one had followed somebody else",
    ),
    Threshold(
        "view_used", 50, "%", "a camera most of whose points do not fit those of the others",
        "chosen: 84–100 % in all cameras of two demonstrations",
    ),
    Threshold(
        "view_distance", 30, "px", "the body stands beside the person in this camera's images",
        "chosen: 8–30 px in all cameras of two demonstrations on 1080×1920 video; 43 px where a camera had followed "
        "somebody else",
    ),
    # what is measured at all
    Threshold("missing", 30, "%", "with more of the markers missing the pose hangs on the rest", "chosen"),
    Threshold(
        "assumed", 20, "%", "an angle that follows the data less than this is the prior's: its range is not checked",
        "chosen: share of the data in the estimate (Rodgers 2000, Inverse Methods, ch. 3)",
    ),
    Threshold("measured", 80, "%", "from here on an angle is called measured", "chosen: as assumed"),
    Threshold(
        "imprecise", 5, "deg", "a measured angle with a larger standard deviation is called imprecise",
        "errors beyond 5 may mislead the reading of a gait analysis (McGinley 2009, Gait Posture 29:360)",
    ),
    Threshold("inferred", 30, "%", "more than this of the points carries no measurement of its own", "chosen"),
    Threshold(
        "segment_spread", 5, "%", "bones do not change length: robust spread of a segment over the trial",
        "chosen: 2 cm on a 40 cm thigh",
    ),
    Threshold("segment_deviation", 15, "%", "one frame's segment against its median", "chosen: 3 × segment_spread"),
    Threshold("symmetry", 10, "%", "left and right segments of one person", "chosen: 2 × segment_spread"),
)  # fmt: skip

Thresholds = Mapping[str, Threshold]
THRESHOLDS: Thresholds = {threshold.name: threshold for threshold in _ALL}


def with_values(changes: Mapping[str, float]) -> dict[str, Threshold]:
    """The thresholds with some values changed, in their own units; raises `InputError` naming those there are."""
    changed = dict(THRESHOLDS)
    for name, value in changes.items():
        if name not in changed:
            raise unknown_name("threshold", name, THRESHOLDS)
        if not np.isfinite(value):
            raise InputError(f"threshold {name!r} is {value}, expected a number in {changed[name].unit}.")
        changed[name] = replace(changed[name], value=float(value), source="set by the user")
    return changed


@dataclass(frozen=True)
class Envelope:
    """How far a level may turn from the neutral pose, (low, high) degrees: flexion, bending right, turning left.

    flexion_total: flexion and extension together, where these bounds are wider because neutral poses differ.
    """

    level: str
    flexion: tuple[float, float]
    bending: tuple[float, float]
    rotation: tuple[float, float]
    source: str
    flexion_total: float | None = None

    @property
    def extent(self) -> np.ndarray:
        """(3,) rad: published total range of motion, both directions together."""
        total = np.ptp(self.limits(), axis=1)
        if self.flexion_total is not None:
            total[0] = np.radians(self.flexion_total)
        return total

    def limits(self, factor: float = 1.0) -> np.ndarray:
        """(3, 2) rad: low and high, each times `factor`."""
        return np.radians([self.flexion, self.bending, self.rotation]) * factor


def _level(name: str, flexion: float, bending: float, rotation: float, source: str) -> Envelope:
    # The neutral pose may be anywhere within the total flexion–extension range, so that range bounds each direction.
    return Envelope(name, (-flexion, flexion), (-bending, bending), (-rotation, rotation), source, flexion)


_WP = "White & Panjabi 1978, 1990, upper ends of ranges (partly from memory: check before citing)"
_TW = (
    "flexion: the larger of Wilke 2017 and White & Panjabi 1990; bending: White & Panjabi 1990, upper ends (from "
    "memory: check before citing); rotation: the larger of White & Panjabi 1978 and Fujimori 2012"
)
_CW = "White & Panjabi 1978 (C2–C3 from memory: check before citing)"
_UW = "the larger of White & Panjabi 1978 and Panjabi 1988"
_ENVELOPES = (
    _level("L5-S1", 24, 3, 5, _WP),
    _level("L4-L5", 21, 6, 2, _WP),
    _level("L3-L4", 17, 8, 2, _WP),
    _level("L2-L3", 18, 6, 2, _WP),
    _level("L1-L2", 16, 6, 2, _WP),
    _level("T12-L1", 12, 8, 2, _WP),
    _level("T11-T12", 20, 13, 2, _TW),
    _level("T10-T11", 14, 10, 2.6, _TW),
    _level("T9-T10", 8, 7, 4, _TW),
    _level("T8-T9", 8, 7, 6, _TW),
    _level("T7-T8", 8, 8, 8, _TW),
    _level("T6-T7", 8, 7, 8, _TW),
    _level("T5-T6", 8, 7, 8, _TW),
    _level("T4-T5", 8, 7, 9, _TW),
    _level("T3-T4", 7, 7, 9, _TW),
    _level("T2-T3", 8, 7, 9, _TW),
    _level("T1-T2", 14, 6, 9, _TW),
    _level("C7-T1", 9, 4, 2, _CW),
    _level("C6-C7", 17, 7, 6, _CW),
    _level("C5-C6", 20, 8, 7, _CW),
    _level("C4-C5", 20, 11, 7, _CW),
    _level("C3-C4", 15, 11, 7, _CW),
    _level("C2-C3", 10, 10, 3, _CW),
    _level("C1-C2", 22.4, 6.7, 40, _UW),
    _level("skull-C1", 25, 5.5, 5, _UW),
    Envelope(
        "thoracic", (-13.8, 22.2), (-15.6, 15.6), (-24.9, 24.9),
        "Jiang 2025 in vivo; bending Fujimori 2014, rotation Fujimori 2012, both T1 on L1",
    ),
    Envelope(
        "lumbar", (-16, 51), (-17, 18), (-5, 5), "Pearcy 1985, biplanar X-ray, L1–S1 of young men"
    ),
    Envelope(
        "neck", (-63, 64), (-49, 49), (-77, 77),
        "AnatomyStandard 2020 (C0–C7); rotation: White & Panjabi, sum of levels",
    ),
)  # fmt: skip

ENVELOPES: Mapping[str, Envelope] = {envelope.level: envelope for envelope in _ENVELOPES}
