"""Checks of spine kinematics: curvature bounds, jumps, wraps, ranges. Pure functions → findings."""

from collections.abc import Iterator, Mapping

import numpy as np

from simspine.quality.findings import Finding, Severity, listed, where_true
from simspine.quality.observability import forced_mask
from simspine.quality.thresholds import ENVELOPES, THRESHOLDS, Envelope, Threshold, Thresholds
from simspine.spine.forced import sentence
from simspine.spine.levels import PLANES
from simspine.spine.vertebrae import SpineKinematics
from simspine.types import Motion

ROOT = ("pelvis_tilt", "pelvis_list", "pelvis_rotation")
_NAMES = {"lla": "lumbar lordosis (LLA)", "tka": "thoracic kyphosis (TKA)"}
_IN_SPACE = ("pelvis", "thorax")  # segments whose angles are to the ground
_TRAVEL = (1, 99)  # per cent: as `simspine.validation` takes a range of motion


def curvature_bounds(spine: SpineKinematics, thresholds: Thresholds = THRESHOLDS) -> Iterator[Finding]:
    """Frames whose LLA or TKA no person reaches: rejected."""
    for name, words in _NAMES.items():
        values = getattr(spine, name)
        low, high = thresholds[f"{name}_low"], thresholds[f"{name}_high"]
        outside = (values < low.si) | (values > high.si)
        if outside.any():
            yield Finding(
                f"{name}_implausible",
                Severity.ERROR,
                f"{words} is {_range(values[outside])}° in {outside.sum()} frames, expected "
                f"{low.value:g} to {high.value:g}°.",
                "Look at the pelvis and thorax points in these frames: one of them is probably wrong.",
                where_true(outside),
                name,
            )


def curvature_speed(spine: SpineKinematics, thresholds: Thresholds = THRESHOLDS) -> Iterator[Finding]:
    """Frames where LLA or TKA changes faster than people move: a warning; from a jump on, `jumps` rejects."""
    limit = thresholds["curvature_speed"]
    for name, words in _NAMES.items():
        speed = np.abs(np.diff(getattr(spine, name))) * spine.rate
        fast = speed > limit.si
        if fast.any():
            frames = np.flatnonzero(fast)
            yield Finding(
                f"{name}_fast",
                Severity.WARNING,
                f"{words} changes by up to {np.degrees(speed[fast].max()):.0f} °/s, expected below "
                f"{limit.value:g} °/s.",
                "If the motion was slow, lower the cut-off of the filter.",
                (*frames, *(frames + 1)),
                name,
            )


def jumps(spine: SpineKinematics, thresholds: Thresholds = THRESHOLDS) -> Iterator[Finding]:
    """Discontinuities of level angles, curvature and position: rejected.

    Where a value leaves and comes back the frames between are at fault; of a step that stays nobody can say which side
    is right, so the frames on both sides of it are. Levels that jump together (as coupled ones do) make one finding.
    """
    series = [
        (f"{PLANES[axis]} of {level}", spine.angles[:, k, axis], thresholds[_jump_limit(level)])
        for k, level in enumerate(spine.levels)
        for axis in range(3)
    ]
    series += [(words, getattr(spine, name), thresholds["jump_curvature"]) for name, words in _NAMES.items()]
    series += [("position of the spine", spine.markers.xyz.mean(1), thresholds["jump_position"])]
    spike = int(thresholds["spike_frames"].si)
    together: dict[tuple[int, ...], list[tuple[float, str, Threshold]]] = {}
    for what, values, limit in series:
        faulty, speed = jump_frames(values, spine.rate, limit.si, spike)
        if faulty.any():
            together.setdefault(where_true(faulty), []).append((speed / limit.si, what, limit))
    for frames, found in together.items():
        times, what, limit = max(found, key=lambda item: item[0])
        unit = limit.unit.replace("deg", "°")
        others = [name for _, name, _ in found if name != what]
        yield Finding(
            "jump",
            Severity.ERROR,
            f"{what} jumps by up to {times * limit.value:.0f} {unit} from one frame to the next, expected below "
            f"{limit.value:g} {unit}" + (f"; with it {listed(others)}." if others else "."),
            "Look for swapped or wrong points in these frames.",
            frames,
            what,
        )


def jump_frames(values: np.ndarray, rate: float, limit: float, spike: int = 3) -> tuple[np.ndarray, float]:
    """Frames (frames,) bool that jumps condemn, and the largest speed found (per second).

    values: (frames,) or (frames, 3), NaN = missing; gaps are not bridged, a step has a value on both sides. limit:
    speed above which a step is a jump. spike: frames a value may be away for and still count as one that came back.
    """
    values = np.asarray(values, float).reshape(len(values), -1)
    step = np.linalg.norm(np.diff(values, axis=0), axis=-1)
    jump = step * rate > limit
    faulty = np.zeros(len(values), bool)
    at = np.flatnonzero(jump).tolist()
    while at:
        k = at.pop(0)  # the jump is between frames k and k + 1
        # It came back where the value is again as near as motion allows in the time since.
        back = next(
            (
                m
                for m in at
                if m - k <= spike and np.linalg.norm(values[m + 1] - values[k]) <= (m + 1 - k) * limit / rate
            ),
            None,
        )
        if back is None:
            faulty[[k, k + 1]] = True
        else:
            faulty[k + 1 : back + 1] = True
            at = [m for m in at if m > back]
    return faulty, float(step[jump].max() * rate) if jump.any() else 0.0


def _jump_limit(level: str) -> str:
    if level in _IN_SPACE:
        return "jump_segment"
    return {"neck": "jump_neck", "lumbar": "jump_curvature", "thorax-pelvis": "jump_curvature"}.get(level, "jump_level")


def wraps(spine: SpineKinematics) -> Iterator[Finding]:
    """Levels whose angles passed gimbal lock or a half turn and were made continuous: corrected.

    Segments in space are left out: a person who turns round rightly passes half a turn.
    """
    for level, repaired in zip(spine.levels, spine.repaired.T, strict=True):
        if level not in _IN_SPACE and repaired.any():
            text = f"the angles of {level} wrapped around in {repaired.sum()} frames; made continuous."
            advice = "No joint of the spine turns that far: check the pose in these frames."
            yield Finding("wrap_repaired", Severity.INFO, text, advice, where_true(repaired), level)


def _published(spine: SpineKinematics) -> Iterator[tuple[Envelope, int, int]]:
    """The published range, the level and the axis of each angle that has one."""
    for k, level in enumerate(spine.levels):
        if level in ENVELOPES:
            yield from ((ENVELOPES[level], k, axis) for axis in range(3))


def level_ranges(
    spine: SpineKinematics, thresholds: Thresholds = THRESHOLDS, shares: np.ndarray | None = None
) -> Iterator[Finding]:
    """Levels beyond the published range of motion times a factor: a warning, as neutral poses and people differ.

    shares: (levels, 3) share of each angle that the data decided (`quality.observability.level_shares`), NaN = unknown.
    An angle that was mostly assumed is not checked: that would be a warning about the assumption. Where the kinematics
    have standard deviations, a value is beyond a limit only if it is so beyond doubt.
    """
    factor = thresholds["range_factor"]
    doubt = np.zeros_like(spine.angles)
    if spine.angles_sd is not None:
        doubt = thresholds["range_sd"].si * np.nan_to_num(spine.angles_sd)
    for envelope, k, axis in _published(spine):
        low, high = envelope.limits(factor.si)[axis]
        values, room = spine.angles[:, k, axis], doubt[:, k, axis]
        beyond = (values + room < low) | (values - room > high)
        if _assumed(shares, k, axis, thresholds) or not beyond.any():
            continue
        forced = sentence(spine.forced.get(envelope.level, ()))
        yield Finding(
            "level_range",
            Severity.WARNING,
            f"{PLANES[axis]} of {envelope.level} is {_range(values[beyond])}° in {beyond.sum()} frames, expected "
            f"{np.degrees(low):.1f} to {np.degrees(high):.1f}° ({factor.value:g} × {envelope.source}).",
            f"Not evidence about this level, which the model forces: {forced}."
            if forced
            else "Check the points above and below this level.",
            where_true(beyond),
            envelope.level,
        )


def level_extents(
    spine: SpineKinematics, thresholds: Thresholds = THRESHOLDS, shares: np.ndarray | None = None
) -> Iterator[Finding]:
    """Levels that move further over the trial than people can, from one end to the other: a warning.

    An angle may stay within its range about a neutral pose nobody knows and still travel too far. Travel: percentile 1
    to 99 of the trial's frames. Angles forced by the model, or mostly assumed (shares as in `level_ranges`), are left
    out.
    """
    factor = thresholds["range_factor"]
    forced = forced_mask(spine.levels, spine.forced)
    for envelope, k, axis in _published(spine):
        values, most = spine.angles[:, k, axis], envelope.extent[axis]
        values = values[np.isfinite(values)]
        if not values.size or forced[k, axis] or _assumed(shares, k, axis, thresholds):
            continue
        travel = float(np.ptp(np.percentile(values, _TRAVEL)))
        if travel > factor.si * most:
            yield Finding(
                "level_extent",
                Severity.WARNING,
                f"{PLANES[axis]} of {envelope.level} travels {np.degrees(travel):.1f}° over the trial, people at most "
                f"{np.degrees(most):.1f}° ({envelope.source}), expected below {factor.value:g} times that.",
                "Check the points above and below this level, and how smooth the motion is.",
                where=envelope.level,
            )


def _assumed(shares: np.ndarray | None, level: int, axis: int, thresholds: Thresholds) -> bool:
    return shares is not None and bool(shares[level, axis] < thresholds["assumed"].si)


def coordinate_ranges(
    motion: Motion,
    ranges: Mapping[str, tuple[float, float]],
    thresholds: Thresholds = THRESHOLDS,
    response: Mapping[str, float] | None = None,
) -> Iterator[Finding]:
    """Angles beyond the model's own ranges: a warning. The solver holds clamped coordinates inside; others may leave.

    ranges: {coordinate: (lower, upper)} rad, of those to check. Left out: translations and the pelvis's own angles,
    which only say where one stands and faces. response: {coordinate: share that the data decided}; those that were
    mostly assumed are left out.
    """
    response = response or {}
    slack = thresholds["coordinate_slack"].si
    for name, values, rotational in zip(motion.names, motion.values.T, motion.rotational, strict=True):
        assumed = response.get(name, 1.0) < thresholds["assumed"].si
        if name not in ranges or not rotational or name in ROOT or assumed:
            continue
        low, high = ranges[name]
        beyond = (values < low - slack) | (values > high + slack)
        if beyond.any():
            yield Finding(
                "coordinate_range",
                Severity.WARNING,
                f"{name} is {_range(values[beyond])}° in {beyond.sum()} frames, the model's range is "
                f"{np.degrees(low):.1f} to {np.degrees(high):.1f}°.",
                "A range of the model is a modeller's choice; look whether the pose is right.",
                where_true(beyond),
                name,
            )


def _range(values: np.ndarray) -> str:
    """rad → '3.1 to 4.0' degrees."""
    low, high = (f"{np.degrees(value):.1f}" for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"
