"""What quality control says: findings, and a verdict per frame. Plain data that writes itself as JSON."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from pydantic import Field

from simspine.core.errors import InputError, frame_ranges, runs_of_frames, unknown_name
from simspine.core.settings import Section

# What becomes of rejected frames.


class QualityOptions(Section):
    """What becomes of rejected frames."""

    fill_gaps: bool = False
    """Take rejected frames out, smooth over them, and fill short gaps; what is filled stays marked as inferred."""
    max_gap_s: float = Field(0.2, gt=0)
    """Filling: longer gaps, and those at the ends of a trial, stay gaps, s."""


# Every limit quality control uses, with unit, reason and source. Angles are given in degrees and used in radians.
# source: a publication, or 'chosen' with what it was derived from. Nothing else in the package decides on a bare
# number.


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


_RAD_PER_DEGREE = np.radians(1.0)
_TO_SI = {
    "deg": _RAD_PER_DEGREE,
    "deg/s": _RAD_PER_DEGREE,
    "cm": 0.01,
    "m/s": 1.0,
    "px": 1.0,
    "frames": 1.0,
    "%": 0.01,
    "1": 1.0,
}

_LORDOSIS_SOURCE = (
    "standing mean 49.8 ± 11.2 (Asian Spine J 2019, n=627), bending range 51 forward, 16 back (Pearcy 1985)"
)
_KYPHOSIS_SOURCE = "standing 20–60 (SRS), bending range 22 forward, 14 back (Jiang 2025)"
_LORDOSIS_SPEED = "fastest bending: lordosis speeds span 114 °/s in the young (PLoS ONE 2012, e50135, n=429)"

_ALL_THRESHOLDS = (
    # curvature
    Threshold(
        name="lla_low",
        value=-24,
        unit="deg",
        reason="flatter than the flattest back fully bent",
        source=f"chosen: {_LORDOSIS_SOURCE}, less 2 SD",
    ),
    Threshold(
        name="lla_high",
        value=88,
        unit="deg",
        reason="more hollow than any back bent backwards",
        source=f"chosen: {_LORDOSIS_SOURCE}, plus 2 SD",
    ),
    Threshold(
        name="tka_low", value=6, unit="deg", reason="no thoracic kyphosis left", source=f"chosen: {_KYPHOSIS_SOURCE}"
    ),
    Threshold(
        name="tka_high",
        value=82,
        unit="deg",
        reason="more round than any back bent forward",
        source=f"chosen: {_KYPHOSIS_SOURCE}",
    ),
    Threshold(
        name="curvature_speed",
        value=150,
        unit="deg/s",
        reason="faster than people bend",
        source=f"chosen: {_LORDOSIS_SPEED}",
    ),
    # continuity
    Threshold(
        name="jump_level",
        value=250,
        unit="deg/s",
        reason="one level at twice the speed of the whole back",
        source=f"chosen: {_LORDOSIS_SPEED}",
    ),
    Threshold(
        name="jump_curvature",
        value=400,
        unit="deg/s",
        reason="a jump, not a motion",
        source=f"chosen, over three times {_LORDOSIS_SPEED}",
    ),
    Threshold(
        name="jump_neck",
        value=1000,
        unit="deg/s",
        reason="faster than vigorous head shaking",
        source="chosen: 250 rad/s² at about 3 Hz make some 760 °/s (Funk 2015, J Appl Biomech 31:170)",
    ),
    Threshold(
        name="jump_segment",
        value=1000,
        unit="deg/s",
        reason="a trunk turns slower than a shaken head",
        source="chosen: as jump_neck",
    ),
    Threshold(
        name="jump_position",
        value=15,
        unit="m/s",
        reason="faster than the fastest sprinters (about 12 m/s)",
        source="chosen",
    ),
    Threshold(
        name="marker_jump",
        value=50,
        unit="m/s",
        reason="faster than any part of the body",
        source="chosen: a pitcher's hand has some 40",
    ),
    Threshold(
        name="spike_frames",
        value=3,
        unit="frames",
        reason="away for at most so long and back again: a spike, not a step",
        source="chosen",
    ),
    # ranges
    Threshold(
        name="range_factor",
        value=1.25,
        unit="1",
        reason="levels may exceed the published range of motion by this factor",
        source="chosen: room for differences between studies and people",
    ),
    Threshold(
        name="range_sd",
        value=2,
        unit="1",
        reason="a level is beyond a range if it is so by this many of its standard deviations",
        source="chosen: about 95 %; without standard deviations any excess counts",
    ),
    Threshold(
        name="coordinate_slack",
        value=1,
        unit="deg",
        reason="beyond the model's own range by more than rounding",
        source="chosen",
    ),
    # shape
    Threshold(
        name="shape",
        value=7,
        unit="1",
        reason="fitted vertebrae: standard deviations from real spines, as a normal distribution has them",
        source="chosen: beyond all of 64 CT scans of patients, at most 6.2 as a whole and 6.7 for one vertebra "
        "(docs/spine-shape.md)",
    ),
    Threshold(
        name="shape_seen",
        value=5,
        unit="1",
        reason="the same of points measured on the back",
        source="chosen: once in three million if all is well",
    ),
    Threshold(
        name="shape_skin",
        value=1.5,
        unit="cm",
        reason="points seen on the back lie this differently behind their vertebrae, per axis",
        source="chosen: about a quarter of the 6 cm that back surface and vertebral body are apart",
    ),
    Threshold(
        name="shape_frames",
        value=100,
        unit="frames",
        reason="evenly chosen frames whose shape is checked",
        source="chosen: half a second",
    ),
    # left and right
    Threshold(
        name="trunk_twist",
        value=75,
        unit="deg",
        reason="shoulders turned further against the hips: sides are exchanged at one end",
        source="chosen: T1 on L1 24.9 (Fujimori 2012) and L1–S1 5 (Pearcy 1985) to one side, doubled for the shoulder girdle",
    ),
    Threshold(
        name="feet_back",
        value=110,
        unit="deg",
        reason="both feet further from where the pelvis faces: sides or front and back are exchanged",
        source="chosen: hips turn out by 45 to 60",
    ),
    Threshold(
        name="upside_down",
        value=120,
        unit="deg",
        reason="the line from ankles to shoulders: 0 standing, 90 lying, 180 head down",
        source="chosen: lying, and a slope of 30",
    ),
    # markers against the model
    Threshold(
        name="marker_expected",
        value=4,
        unit="cm",
        reason="points triangulated from images lie this near to a fitted body",
        source="2–4 cm for a state-of-the-art body model (SpineTrack paper, CVPRW 2025)",
    ),
    Threshold(
        name="marker_flagged",
        value=10,
        unit="cm",
        reason="a point that far off is wrong",
        source="the same paper sends such keypoints back to the annotators",
    ),
    # images
    Threshold(
        name="reprojection",
        value=25,
        unit="px",
        reason="a point this far from its images is not where the cameras see it",
        source="chosen: 90th percentile of BlazePose with the best cameras on 1080×1920 video, 23 px",
    ),
    # cameras beside one another
    Threshold(
        name="camera_shift",
        value=5,
        unit="px",
        reason="an image that lies this far from the others' puts points centimetres off",
        source="chosen: 5 px are 1 cm at 4 m; cameras of right calibrations differ by 1–2 px on synthetic detections",
    ),
    Threshold(
        name="camera_roll",
        value=0.5,
        unit="deg",
        reason="a camera that was turned about its axis after calibration",
        source="chosen",
    ),
    Threshold(
        name="camera_scale",
        value=1.5,
        unit="%",
        reason="a camera that zoomed or moved, or whose video was rescaled",
        source="chosen",
    ),
    Threshold(
        name="camera_late",
        value=0.5,
        unit="frames",
        reason="points of fast limbs do not meet",
        source="chosen: what half a frame can be",
    ),
    Threshold(
        name="skin_marker_seen",
        value=50,
        unit="%",
        reason="the spine's ± grows where one is lost",
        source="chosen: half of the frames",
    ),
    Threshold(
        name="view_contributed",
        value=20,
        unit="%",
        reason="a camera that gives fewer of the points hardly sees the person",
        source="chosen: 44–100 % in all cameras of two demonstrations; 0 and 11 % where one had followed somebody else",
    ),
    Threshold(
        name="view_used",
        value=50,
        unit="%",
        reason="a camera most of whose points do not fit those of the others",
        source="chosen: 84–100 % in all cameras of two demonstrations",
    ),
    Threshold(
        name="view_distance",
        value=30,
        unit="px",
        reason="the body stands beside the person in this camera's images",
        source="chosen: 8–30 px in all cameras of two demonstrations on 1080×1920 video; 43 px where a camera had followed "
        "somebody else",
    ),
    # what is measured at all
    Threshold(
        name="missing",
        value=30,
        unit="%",
        reason="with more of the markers missing the pose hangs on the rest",
        source="chosen",
    ),
    Threshold(
        name="assumed",
        value=20,
        unit="%",
        reason="an angle that follows the data less than this is the prior's: its range is not checked",
        source="chosen: share of the data in the estimate (Rodgers 2000, Inverse Methods, ch. 3)",
    ),
    Threshold(
        name="measured",
        value=80,
        unit="%",
        reason="from here on an angle is called measured",
        source="chosen: as assumed",
    ),
    Threshold(
        name="imprecise",
        value=5,
        unit="deg",
        reason="a measured angle with a larger standard deviation is called imprecise",
        source="errors beyond 5 may mislead the reading of a gait analysis (McGinley 2009, Gait Posture 29:360)",
    ),
    Threshold(
        name="inferred",
        value=30,
        unit="%",
        reason="more than this of the points carries no measurement of its own",
        source="chosen",
    ),
    Threshold(
        name="segment_spread",
        value=5,
        unit="%",
        reason="bones do not change length: robust spread of a segment over the trial",
        source="chosen: 2 cm on a 40 cm thigh",
    ),
    Threshold(
        name="segment_deviation",
        value=15,
        unit="%",
        reason="one frame's segment against its median",
        source="chosen: 3 × segment_spread",
    ),
    Threshold(
        name="symmetry",
        value=10,
        unit="%",
        reason="left and right segments of one person",
        source="chosen: 2 × segment_spread",
    ),
)

ThresholdsByName = Mapping[str, Threshold]
THRESHOLDS: ThresholdsByName = {threshold.name: threshold for threshold in _ALL_THRESHOLDS}


def thresholds_with_values(changes: Mapping[str, float]) -> dict[str, Threshold]:
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


def _level_envelope(name: str, flexion: float, bending: float, rotation: float, source: str) -> Envelope:
    # The neutral pose may be anywhere within the total flexion–extension range, so that range bounds each direction.
    return Envelope(
        level=name,
        flexion=(-flexion, flexion),
        bending=(-bending, bending),
        rotation=(-rotation, rotation),
        source=source,
        flexion_total=flexion,
    )


_WHITE_PANJABI = "White & Panjabi 1978, 1990, upper ends of ranges (partly from memory: check before citing)"
_THORACIC_SOURCE = (
    "flexion: the larger of Wilke 2017 and White & Panjabi 1990; bending: White & Panjabi 1990, upper ends (from "
    "memory: check before citing); rotation: the larger of White & Panjabi 1978 and Fujimori 2012"
)
_CERVICAL_SOURCE = "White & Panjabi 1978 (C2–C3 from memory: check before citing)"
_UPPER_CERVICAL_SOURCE = "the larger of White & Panjabi 1978 and Panjabi 1988"
_ALL_ENVELOPES = (
    _level_envelope("L5-S1", 24, 3, rotation=5, source=_WHITE_PANJABI),
    _level_envelope("L4-L5", 21, 6, rotation=2, source=_WHITE_PANJABI),
    _level_envelope("L3-L4", 17, 8, rotation=2, source=_WHITE_PANJABI),
    _level_envelope("L2-L3", 18, 6, rotation=2, source=_WHITE_PANJABI),
    _level_envelope("L1-L2", 16, 6, rotation=2, source=_WHITE_PANJABI),
    _level_envelope("T12-L1", 12, 8, rotation=2, source=_WHITE_PANJABI),
    _level_envelope("T11-T12", 20, 13, rotation=2, source=_THORACIC_SOURCE),
    _level_envelope("T10-T11", 14, 10, rotation=2.6, source=_THORACIC_SOURCE),
    _level_envelope("T9-T10", 8, 7, rotation=4, source=_THORACIC_SOURCE),
    _level_envelope("T8-T9", 8, 7, rotation=6, source=_THORACIC_SOURCE),
    _level_envelope("T7-T8", 8, 8, rotation=8, source=_THORACIC_SOURCE),
    _level_envelope("T6-T7", 8, 7, rotation=8, source=_THORACIC_SOURCE),
    _level_envelope("T5-T6", 8, 7, rotation=8, source=_THORACIC_SOURCE),
    _level_envelope("T4-T5", 8, 7, rotation=9, source=_THORACIC_SOURCE),
    _level_envelope("T3-T4", 7, 7, rotation=9, source=_THORACIC_SOURCE),
    _level_envelope("T2-T3", 8, 7, rotation=9, source=_THORACIC_SOURCE),
    _level_envelope("T1-T2", 14, 6, rotation=9, source=_THORACIC_SOURCE),
    _level_envelope("C7-T1", 9, 4, rotation=2, source=_CERVICAL_SOURCE),
    _level_envelope("C6-C7", 17, 7, rotation=6, source=_CERVICAL_SOURCE),
    _level_envelope("C5-C6", 20, 8, rotation=7, source=_CERVICAL_SOURCE),
    _level_envelope("C4-C5", 20, 11, rotation=7, source=_CERVICAL_SOURCE),
    _level_envelope("C3-C4", 15, 11, rotation=7, source=_CERVICAL_SOURCE),
    _level_envelope("C2-C3", 10, 10, rotation=3, source=_CERVICAL_SOURCE),
    _level_envelope("C1-C2", 22.4, 6.7, rotation=40, source=_UPPER_CERVICAL_SOURCE),
    _level_envelope("skull-C1", 25, 5.5, rotation=5, source=_UPPER_CERVICAL_SOURCE),
    Envelope(
        level="thoracic",
        flexion=(-13.8, 22.2),
        bending=(-15.6, 15.6),
        rotation=(-24.9, 24.9),
        source="Jiang 2025 in vivo; bending Fujimori 2014, rotation Fujimori 2012, both T1 on L1",
    ),
    Envelope(
        level="lumbar",
        flexion=(-16, 51),
        bending=(-17, 18),
        rotation=(-5, 5),
        source="Pearcy 1985, biplanar X-ray, L1–S1 of young men",
    ),
    Envelope(
        level="neck",
        flexion=(-63, 64),
        bending=(-49, 49),
        rotation=(-77, 77),
        source="AnatomyStandard 2020 (C0–C7); rotation: White & Panjabi, sum of levels",
    ),
)

LEVEL_ENVELOPES: Mapping[str, Envelope] = {envelope.level: envelope for envelope in _ALL_ENVELOPES}


class Severity(StrEnum):
    """What a finding means for its frames."""

    INFO = "info"  # noticed and put right: the frames it names are 'corrected'
    WARNING = "warning"  # look at it: the frames are kept
    ERROR = "error"  # the frames are rejected (masked, never deleted)


class Status(StrEnum):
    KEPT = "kept"
    CORRECTED = "corrected"
    REJECTED = "rejected"
    INFERRED = "inferred"  # rejected, and what it holds was filled in from the frames around: no observation


REJECTED_FILLED_CODE = "rejected_filled"  # code of the finding whose rejected frames were filled in


@dataclass(frozen=True)
class Finding:
    """One thing that quality control noticed.

    Attributes
    ----------
    code : str
        Stable word for it.
    severity : Severity
        'info', 'warning' or 'error'.
    message : str
        What was found and what is expected, with numbers.
    suggestion : str
        What to do.
    frames : tuple of int
        () where it concerns the trial as a whole.
    where : str
        Marker, level or coordinate.
    subject, trial : str
        Whose it is; '' where that is not known.
    """

    code: str
    severity: Severity
    message: str
    suggestion: str
    frames: tuple[int, ...] = ()
    where: str = ""
    subject: str = ""
    trial: str = ""

    def __post_init__(self):
        object.__setattr__(self, "severity", Severity(self.severity))
        object.__setattr__(self, "frames", tuple(sorted({int(k) for k in self.frames})))

    @property
    def span(self) -> str:
        """Frames as people write them: '3–7, 12'."""
        return frame_ranges(self.frames)

    def to_dict(self) -> dict:
        """JSON-able; frames as half-open runs [first, after last]; subject and trial where known."""
        whose = {"subject": self.subject, "trial": self.trial}
        return {
            **{key: name for key, name in whose.items() if name},
            "code": self.code,
            "severity": str(self.severity),
            "where": self.where,
            "message": self.message,
            "suggestion": self.suggestion,
            "frames": [list(run) for run in runs_of_frames(self.frames)],
        }

    @classmethod
    def from_dict(cls, stored: Mapping) -> "Finding":
        """The finding that `to_dict` stored."""
        return cls(**{**stored, "frames": [k for first, end in stored["frames"] for k in range(first, end)]})


@dataclass(frozen=True)
class Verdict:
    """Which frames of a trial can be trusted.

    Attributes
    ----------
    status : tuple of Status
        Of each frame: 'kept', 'corrected', 'rejected' or 'inferred'.
    reasons : tuple of tuples of str
        Of each frame: codes of the findings that decided it.
    findings : tuple of Finding
    """

    status: tuple[Status, ...]
    reasons: tuple[tuple[str, ...], ...]
    findings: tuple[Finding, ...]

    @property
    def frames(self) -> int:
        return len(self.status)

    @property
    def rejected(self) -> np.ndarray:
        """(frames,) bool, the mask to use: frames whose own values are not to be trusted, those filled in included.
        They stay in the files."""
        return np.array([status in (Status.REJECTED, Status.INFERRED) for status in self.status], bool)

    @property
    def inferred(self) -> np.ndarray:
        """(frames,) bool: rejected frames that were filled in from the frames around."""
        return np.array([status is Status.INFERRED for status in self.status], bool)

    @property
    def filled(self) -> bool:
        """Whether rejected frames were taken out, and short gaps of them filled."""
        return any(finding.code == REJECTED_FILLED_CODE for finding in self.findings)

    @property
    def corrected(self) -> np.ndarray:
        """(frames,) bool."""
        return np.array([status is Status.CORRECTED for status in self.status], bool)

    @property
    def counts(self) -> dict[str, int]:
        """Frames per status."""
        found = Counter(self.status)
        return {str(status): found[status] for status in Status}

    @property
    def reason_counts(self) -> dict[str, dict[str, int]]:
        """{status: {code: frames}}: why frames were corrected or rejected (and then filled in, or not); a frame counts
        for each of its reasons."""
        masks = {Status.CORRECTED: self.corrected, Status.REJECTED: self.rejected}
        return {
            str(status): dict(sorted(Counter(code for k in where_true(mask) for code in self.reasons[k]).items()))
            for status, mask in masks.items()
        }

    @property
    def worst(self) -> Severity | None:
        """The gravest severity among the findings; None where there are none."""
        return worst_severity(self.findings)

    def of(self, subject: str, trial: str) -> "Verdict":
        """The same verdict, its findings marked with whose they are."""
        marked = tuple(replace(finding, subject=subject, trial=trial) for finding in self.findings)
        return replace(self, findings=marked)

    def to_dict(self) -> dict:
        """JSON-able. 'status' maps each status other than kept to runs [first, after last]."""
        masks = {
            str(other): np.array([status is other for status in self.status], bool)
            for other in Status
            if other is not Status.KEPT
        }
        return {
            "frames": self.frames,
            "counts": self.counts,
            "reason_counts": self.reason_counts,
            "status": {
                status: [list(run) for run in runs_of_frames(where_true(mask))] for status, mask in masks.items()
            },
            "findings": [finding.to_dict() for finding in self.findings],
        }

    @classmethod
    def from_dict(cls, stored: Mapping) -> "Verdict":
        """The verdict that `to_dict` stored; status and reasons follow from its findings."""
        return sum_up_findings(stored["frames"], [Finding.from_dict(entry) for entry in stored["findings"]])


def sum_up_findings(frames: int, findings: Iterable[Finding]) -> Verdict:
    """Sum up: an error rejects its frames, an info marks them corrected, a warning changes nothing.

    A finding without frames concerns the trial as a whole and decides no frame. Rejected frames that the finding
    `REJECTED_FILLED_CODE` names are inferred.
    """
    findings = tuple(findings)
    filled = {k for finding in findings if finding.code == REJECTED_FILLED_CODE for k in finding.frames}
    codes: dict[Severity, list[list[str]]] = {severity: [[] for _ in range(frames)] for severity in Severity}
    for finding in findings:
        if finding.frames and not 0 <= finding.frames[0] <= finding.frames[-1] < frames:
            raise InputError(
                f"finding {finding.code!r} names frame {finding.frames[-1]} of a trial of {frames} frames."
            )
        for k in finding.frames:
            if finding.code not in codes[finding.severity][k]:
                codes[finding.severity][k].append(finding.code)
    status, reasons = [], []
    for k, (error, info) in enumerate(zip(codes[Severity.ERROR], codes[Severity.INFO], strict=True)):
        bad = Status.INFERRED if k in filled else Status.REJECTED
        status.append(bad if error else Status.CORRECTED if info else Status.KEPT)
        reasons.append(tuple(error or info))
    return Verdict(tuple(status), tuple(reasons), findings)


def worst_severity(findings: Iterable[Finding]) -> Severity | None:
    """The gravest severity; None of nothing."""
    return max((finding.severity for finding in findings), key=tuple(Severity).index, default=None)


def where_true(mask: np.ndarray) -> tuple[int, ...]:
    """Indices of a (frames,) bool array."""
    return tuple(int(k) for k in np.flatnonzero(mask))


def names_text(names: Sequence[str], most: int = 5) -> str:
    """'a, b and 3 more'."""
    names = list(names)
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:most])} and {len(names) - most} more"
