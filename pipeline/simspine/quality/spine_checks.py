"""Checks of spine kinematics: curvature bounds, jumps, wraps, ranges. Pure functions → findings."""

from collections.abc import Mapping

import numpy as np

from simspine.quality.findings import Finding, Severity, listed, where_true
from simspine.quality.observability import forced_mask
from simspine.quality.thresholds import ENVELOPES, THRESHOLDS, Threshold
from simspine.spine.forced import sentence
from simspine.spine.levels import PLANES
from simspine.spine.vertebrae import SpineKinematics
from simspine.types import Motion

Thresholds = Mapping[str, Threshold]
_NAMES = {"lla": "lumbar lordosis (LLA)", "tka": "thoracic kyphosis (TKA)"}


def curvature_bounds(spine: SpineKinematics, thresholds: Thresholds = THRESHOLDS) -> list[Finding]:
    """Frames whose LLA or TKA no person reaches: rejected."""
    findings = []
    for name in ("lla", "tka"):
        values = getattr(spine, name)
        low, high = thresholds[f"{name}_low"], thresholds[f"{name}_high"]
        with np.errstate(invalid="ignore"):
            outside = (values < low.si) | (values > high.si)
        if outside.any():
            found = np.degrees(values[outside])
            findings.append(
                Finding(
                    f"{name}_implausible",
                    Severity.ERROR,
                    f"{_NAMES[name]} is {_range(found)}° in {outside.sum()} frames, expected "
                    f"{low.value:g} to {high.value:g}°.",
                    "Look at the pelvis and thorax points in these frames: one of them is probably wrong.",
                    where_true(outside),
                    name,
                )
            )
    return findings


def curvature_speed(spine: SpineKinematics, thresholds: Thresholds = THRESHOLDS) -> list[Finding]:
    """Frames where LLA or TKA changes faster than people move: a warning; from a jump on, `jumps` rejects."""
    limit = thresholds["curvature_speed"]
    findings = []
    for name in ("lla", "tka"):
        speed = np.abs(np.diff(getattr(spine, name))) * spine.rate
        with np.errstate(invalid="ignore"):
            fast = speed > limit.si
        if fast.any():
            frames = np.flatnonzero(fast)
            findings.append(
                Finding(
                    f"{name}_fast",
                    Severity.WARNING,
                    f"{_NAMES[name]} changes by up to {np.degrees(speed[fast].max()):.0f} °/s, expected below "
                    f"{limit.value:g} °/s.",
                    "If the motion was slow, lower the cut-off of the filter.",
                    (*frames, *(frames + 1)),
                    name,
                )
            )
    return findings


def jumps(spine: SpineKinematics, thresholds: Thresholds = THRESHOLDS) -> list[Finding]:
    """Discontinuities of level angles, curvature and position: rejected.

    Where a value leaves and comes back the frames between are at fault; of a step that stays nobody can say which side
    is right, so the frames on both sides of it are. Levels that jump together (as coupled ones do) make one finding.
    """
    series = [
        (f"{PLANES[axis]} of {level}", spine.angles[:, k, axis], thresholds[_jump_limit(level)])
        for k, level in enumerate(spine.levels)
        for axis in range(3)
    ]
    series += [(_NAMES[name], getattr(spine, name), thresholds["jump_curvature"]) for name in ("lla", "tka")]
    series += [("position of the spine", _middle(spine.markers.xyz), thresholds["jump_position"])]
    spike = int(thresholds["spike_frames"].si)
    together: dict[tuple[int, ...], list[tuple[float, str, Threshold]]] = {}
    for what, values, limit in series:
        faulty, speed = jump_frames(values, spine.rate, limit.si, spike)
        if faulty.any():
            together.setdefault(where_true(faulty), []).append((speed / limit.si, what, limit))
    return [_jump_finding(frames, found) for frames, found in together.items()]


def _jump_finding(frames: tuple[int, ...], found: list[tuple[float, str, Threshold]]) -> Finding:
    times, what, limit = max(found, key=lambda item: item[0])
    unit = limit.unit.replace("deg", "°")
    others = [name for _, name, _ in found if name != what]
    return Finding(
        "jump",
        Severity.ERROR,
        f"{what} jumps by up to {times * limit.value:.0f} {unit} from one frame to the next, expected below "
        f"{limit.value:g} {unit}" + (f"; with it {listed(others)}." if others else "."),
        "Look for swapped or wrong points in these frames.",
        frames,
        what,
    )


def _middle(xyz: np.ndarray) -> np.ndarray:
    """Mean (frames, 3) of points (frames, points, 3); NaN where one is missing."""
    return np.asarray(xyz).mean(1)


def jump_frames(values: np.ndarray, rate: float, limit: float, spike: int = 3) -> tuple[np.ndarray, float]:
    """Frames (frames,) bool that jumps condemn, and the largest speed found (per second).

    values: (frames,) or (frames, 3), NaN = missing; gaps are not bridged, a step has a value on both sides. limit:
    speed above which a step is a jump. spike: frames a value may be away for and still count as one that came back.
    """
    values = np.asarray(values, float).reshape(len(values), -1)
    step = np.linalg.norm(np.diff(values, axis=0), axis=-1)
    with np.errstate(invalid="ignore"):
        jump = step * rate > limit
    faulty = np.zeros(len(values), bool)
    at = list(np.flatnonzero(jump))
    while at:
        k = at.pop(0)  # the jump is between frames k and k + 1
        back = next((m for m in at if m - k <= spike and _returns(values, k, m, limit / rate)), None)
        if back is None:
            faulty[[k, k + 1]] = True
        else:
            faulty[k + 1 : back + 1] = True
            at = [m for m in at if m > back]
    return faulty, float(step[jump].max() * rate) if jump.any() else 0.0


def _returns(values: np.ndarray, before: int, last: int, step: float) -> bool:
    """Whether the value after frame `last` is as near to that of frame `before` as motion allows."""
    after = last + 1
    return bool(np.linalg.norm(values[after] - values[before]) <= step * (after - before))


def _jump_limit(level: str) -> str:
    if level in ("pelvis", "thorax"):
        return "jump_segment"
    return {"neck": "jump_neck", "lumbar": "jump_curvature", "thorax-pelvis": "jump_curvature"}.get(level, "jump_level")


def wraps(spine: SpineKinematics, thresholds: Thresholds = THRESHOLDS) -> list[Finding]:
    """Levels whose angles passed gimbal lock or a half turn and were made continuous: corrected.

    Segments in space are left out: a person who turns round passes half a turn by rights.
    """
    findings = []
    for k, level in enumerate(spine.levels):
        if level in ("pelvis", "thorax") or not spine.repaired[:, k].any():
            continue
        findings.append(
            Finding(
                "wrap_repaired",
                Severity.INFO,
                f"the angles of {level} wrapped around in {spine.repaired[:, k].sum()} frames; made continuous.",
                "No joint of the spine turns that far: check the pose in these frames.",
                where_true(spine.repaired[:, k]),
                level,
            )
        )
    return findings


def level_ranges(
    spine: SpineKinematics, thresholds: Thresholds = THRESHOLDS, shares: np.ndarray | None = None
) -> list[Finding]:
    """Levels beyond the published range of motion times a factor: a warning, as neutral poses and people differ.

    shares: (levels, 3) share of each angle that the data decided (`quality.observability.level_shares`), NaN = unknown.
    An angle that was mostly assumed is not checked: that would be a warning about the assumption. Where the kinematics
    have standard deviations, a value is beyond a limit only if it is so beyond doubt.
    """
    factor = thresholds["range_factor"]
    with np.errstate(invalid="ignore"):
        assumed = np.zeros((len(spine.levels), 3), bool) if shares is None else shares < thresholds["assumed"].si
    doubt = np.zeros_like(spine.angles)
    if spine.angles_sd is not None:
        doubt = thresholds["range_sd"].si * np.nan_to_num(spine.angles_sd)
    findings = []
    for k, level in enumerate(spine.levels):
        if level not in ENVELOPES:
            continue
        envelope = ENVELOPES[level]
        limits = envelope.limits(factor.si)
        for axis, plane in enumerate(PLANES):
            values = spine.angles[:, k, axis]
            with np.errstate(invalid="ignore"):
                room = doubt[:, k, axis]
                beyond = (values + room < limits[axis, 0]) | (values - room > limits[axis, 1])
            if assumed[k, axis] or not beyond.any():
                continue
            low, high = np.degrees(limits[axis])
            forced = sentence(spine.forced.get(level, ()))
            findings.append(
                Finding(
                    "level_range",
                    Severity.WARNING,
                    f"{plane} of {level} is {_range(np.degrees(values[beyond]))}° in {beyond.sum()} frames, expected "
                    f"{low:.1f} to {high:.1f}° ({factor.value:g} × {envelope.source}).",
                    f"Not evidence about this level, which the model forces: {forced}."
                    if forced
                    else "Check the points above and below this level.",
                    where_true(beyond),
                    level,
                )
            )
    return findings


def level_extents(
    spine: SpineKinematics, thresholds: Thresholds = THRESHOLDS, shares: np.ndarray | None = None
) -> list[Finding]:
    """Levels that move further over the trial than people can, from one end to the other: a warning.

    An angle may stay within its range about a neutral pose nobody knows and still travel too far. Travel: percentile 1
    to 99 of the trial's frames. Angles forced by the model, or mostly assumed (shares as in `level_ranges`), are left
    out.
    """
    factor = thresholds["range_factor"]
    forced = forced_mask(spine.levels, spine.forced)
    findings = []
    for k, level in enumerate(spine.levels):
        if level not in ENVELOPES:
            continue
        limits = ENVELOPES[level].extent
        for axis, plane in enumerate(PLANES):
            values = spine.angles[:, k, axis]
            values = values[np.isfinite(values)]
            little = shares is not None and shares[k, axis] < thresholds["assumed"].si
            if not values.size or little or forced[k, axis]:
                continue
            travel = float(np.ptp(np.percentile(values, _TRAVEL)))
            if travel > factor.si * limits[axis]:
                findings.append(
                    Finding(
                        "level_extent",
                        Severity.WARNING,
                        f"{plane} of {level} travels {np.degrees(travel):.1f}° over the trial, people at most "
                        f"{np.degrees(limits[axis]):.1f}° ({ENVELOPES[level].source}), expected below "
                        f"{factor.value:g} times that.",
                        "Check the points above and below this level, and how smooth the motion is.",
                        where=level,
                    )
                )
    return findings


_TRAVEL = (1, 99)  # per cent: as `simspine.validation` takes a range of motion
ROOT = ("pelvis_tilt", "pelvis_list", "pelvis_rotation")


def coordinate_ranges(
    motion: Motion,
    ranges: Mapping[str, tuple[float, float]],
    thresholds: Thresholds = THRESHOLDS,
    response: Mapping[str, float] | None = None,
) -> list[Finding]:
    """Angles beyond the model's own ranges: a warning. The solver holds clamped coordinates inside; others may leave.

    ranges: {coordinate: (lower, upper)} rad, of those to check. Left out: translations and the pelvis's own angles,
    which only say where one stands and faces. response: {coordinate: share that the data decided}; those that were
    mostly assumed are left out.
    """
    response = response or {}
    slack = thresholds["coordinate_slack"].si
    findings = []
    for k, name in enumerate(motion.names):
        if name not in ranges or not motion.rotational[k] or name in ROOT:
            continue
        if response.get(name, 1.0) < thresholds["assumed"].si:
            continue
        low, high = ranges[name]
        values = motion.values[:, k]
        with np.errstate(invalid="ignore"):
            beyond = (values < low - slack) | (values > high + slack)
        if beyond.any():
            findings.append(
                Finding(
                    "coordinate_range",
                    Severity.WARNING,
                    f"{name} is {_range(np.degrees(values[beyond]))}° in {beyond.sum()} frames, the model's range is "
                    f"{np.degrees(low):.1f} to {np.degrees(high):.1f}°.",
                    "A range of the model is a modeller's choice; look whether the pose is right.",
                    where_true(beyond),
                    name,
                )
            )
    return findings


def _range(values: np.ndarray) -> str:
    low, high = float(np.min(values)), float(np.max(values))
    return f"{low:.1f}" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f} to {high:.1f}"
