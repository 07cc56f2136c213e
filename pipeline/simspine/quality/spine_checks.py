"""Checks of the spine: curvature, jumps, wraps, ranges, and whether its shape is one that people have."""

from collections.abc import Iterator, Mapping

import numpy as np

from simspine.anatomy.complete_spine import (
    MIN_POINTS_FOR_SHAPE,
    PLAUSIBLE_SPINE_SPAN_M,
    Plausibility,
    shape_plausibility,
)
from simspine.anatomy.curvature import MOTION_PLANES
from simspine.anatomy.shape_model import CHAIN_LEVELS
from simspine.anatomy.vertebrae import SpineKinematics, forced_sentence
from simspine.core.arrays import evenly_spread
from simspine.core.errors import names_text
from simspine.core.skeletons import GROUND_SEGMENTS, VERTEBRA_OF
from simspine.core.types import FROM_DETECTOR, Markers, Motion, Origin
from simspine.quality.findings import (
    LEVEL_ENVELOPES,
    THRESHOLDS,
    Envelope,
    Finding,
    Severity,
    Threshold,
    warning,
    where_true,
)
from simspine.quality.observability import forced_mask

PELVIS_COORDINATES = ("pelvis_tilt", "pelvis_list", "pelvis_rotation")
_CURVATURE_NAMES = {"lla": "lumbar lordosis (LLA)", "tka": "thoracic kyphosis (TKA)"}
_JUMP_LIMITS = dict.fromkeys(GROUND_SEGMENTS, "jump_segment") | {"neck": "jump_neck"}  # of all others: jump_level
_JUMP_LIMITS |= dict.fromkeys(("lumbar", "thorax-pelvis"), "jump_curvature")
_RANGE_PERCENTILES = (1, 99)  # per cent: as `simspine.evaluation.validation_tables` takes a range of motion


def check_curvature_bounds(spine: SpineKinematics) -> Iterator[Finding]:
    """Frames whose LLA or TKA no person reaches: rejected."""
    for name, words in _CURVATURE_NAMES.items():
        values = getattr(spine, name)
        low, high = THRESHOLDS[f"{name}_low"], THRESHOLDS[f"{name}_high"]
        outside = (values < low.value_si) | (values > high.value_si)
        if outside.any():
            text = (
                f"{words} is {_range_text(values[outside])}° in {outside.sum()} frames, expected {low.value:g} to "
                f"{high.value:g}°."
            )
            yield Finding(f"{name}_implausible", Severity.ERROR, text, frames=outside, where=name)


def check_curvature_speed(spine: SpineKinematics) -> Iterator[Finding]:
    """Frames where LLA or TKA changes faster than people move: a warning; jumps are faster still (`check_jumps`)."""
    limit = THRESHOLDS["curvature_speed"]
    for name, words in _CURVATURE_NAMES.items():
        speed = np.abs(np.diff(getattr(spine, name))) * spine.rate
        fast = speed > limit.value_si
        if fast.any():
            frames = np.flatnonzero(fast)
            yield warning(
                f"{name}_fast",
                f"{words} changes by up to {np.degrees(speed[fast].max()):.0f} °/s, expected below "
                f"{limit.value:g} °/s.",
                frames=(*frames, *(frames + 1)),
                where=name,
            )


def check_jumps(spine: SpineKinematics) -> Iterator[Finding]:
    """Discontinuities of level angles, curvature and position: rejected.

    Where a value leaves and comes back, the frames between are rejected. Where it stays, either side may be right, so
    the frames on both sides of the step are. Levels that jump together (as coupled ones do) make one finding.
    """
    series = [
        (
            f"{MOTION_PLANES[axis]} of {level}",
            spine.angles[:, k, axis],
            THRESHOLDS[_JUMP_LIMITS.get(level, "jump_level")],
        )
        for k, level in enumerate(spine.levels)
        for axis in range(3)
    ]
    series += [(words, getattr(spine, name), THRESHOLDS["jump_curvature"]) for name, words in _CURVATURE_NAMES.items()]
    series += [("position of the spine", spine.markers.xyz.mean(1), THRESHOLDS["jump_position"])]
    together: dict[tuple[int, ...], list[tuple[float, str, Threshold]]] = {}
    for what, values, limit in series:
        faulty, speed = jump_frames(values, spine.rate, limit.value_si)
        if faulty.any():
            together.setdefault(where_true(faulty), []).append((speed / limit.value_si, what, limit))
    for frames, jumps in together.items():
        ratio, what, limit = max(jumps, key=lambda item: item[0])
        unit = limit.unit.replace("deg", "°")
        others = [name for _, name, _ in jumps if name != what]
        text = (
            f"{what} jumps by up to {ratio * limit.value:.0f} {unit} from one frame to the next, expected below "
            f"{limit.value:g} {unit}" + (f"; with it {names_text(others)}." if others else ".")
        )
        yield Finding("jump", Severity.ERROR, text, frames=frames, where=what)


def jump_frames(values: np.ndarray, rate: float, limit: float) -> tuple[np.ndarray, float]:
    """(frames,) bool, frames to reject because of jumps, and the largest speed of a jump (per second).

    values: (frames,) or (frames, 3), NaN = missing; steps across gaps do not count. limit: speed above which a step is
    a jump; with coming back within `spike_frames` it is one.
    """
    spike = THRESHOLDS["spike_frames"].value_si
    values = np.asarray(values, float).reshape(len(values), -1)
    step = np.linalg.norm(np.diff(values, axis=0), axis=-1)
    jump = step * rate > limit
    faulty = np.zeros(len(values), bool)
    jumps = np.flatnonzero(jump).tolist()
    while jumps:
        k = jumps.pop(0)  # the jump is between frames k and k + 1
        # It is back at m + 1 if motion below the limit could have led there from frame k.
        back = next(
            (
                m
                for m in jumps
                if m - k <= spike and np.linalg.norm(values[m + 1] - values[k]) <= (m + 1 - k) * limit / rate
            ),
            None,
        )
        if back is None:
            faulty[[k, k + 1]] = True
        else:
            faulty[k + 1 : back + 1] = True
            jumps = [m for m in jumps if m > back]
    return faulty, float(step[jump].max() * rate) if jump.any() else 0.0


def check_wraps(spine: SpineKinematics) -> Iterator[Finding]:
    """Levels whose angles passed gimbal lock or a half turn and were made continuous: corrected.

    Segments relative to the ground are left out: a person who turns round does pass half a turn.
    """
    for level, repaired in zip(spine.levels, spine.repaired.T, strict=True):
        if level not in GROUND_SEGMENTS and repaired.any():
            text = f"the angles of {level} wrapped around in {repaired.sum()} frames; made continuous."
            yield Finding("wrap_repaired", Severity.INFO, text, frames=repaired, where=level)


def _published_ranges(spine: SpineKinematics, shares: np.ndarray) -> Iterator[tuple[Envelope, int, int]]:
    """The published range, the level and the axis of each angle that has one, unless it was mostly assumed: a warning
    would be about the assumption. shares: (levels, 3) that the data decided (`level_shares`), NaN = unknown."""
    for k, level in enumerate(spine.levels):
        for axis in range(3):
            if level in LEVEL_ENVELOPES and not shares[k, axis] < THRESHOLDS["assumed"].value_si:
                yield LEVEL_ENVELOPES[level], k, axis


def check_level_ranges(spine: SpineKinematics, shares: np.ndarray) -> Iterator[Finding]:
    """Levels beyond the published range of motion times a factor: a warning, as neutral poses and people differ.

    shares: as of `_published_ranges`. Where the kinematics have standard deviations, a value must be `range_sd` of them
    beyond a limit.
    """
    factor = THRESHOLDS["range_factor"]
    margins = np.zeros_like(spine.angles)
    if spine.angles_sd is not None:
        margins = THRESHOLDS["range_sd"].value_si * np.nan_to_num(spine.angles_sd)
    for envelope, k, axis in _published_ranges(spine, shares):
        low, high = envelope.limits[axis] * factor.value_si
        values, margin = spine.angles[:, k, axis], margins[:, k, axis]
        beyond = (values + margin < low) | (values - margin > high)
        if not beyond.any():
            continue
        forced = forced_sentence(spine.forced.get(envelope.level, ()))
        yield warning(
            "level_range",
            f"{MOTION_PLANES[axis]} of {envelope.level} is {_range_text(values[beyond])}° in {beyond.sum()} frames, "
            f"expected {np.degrees(low):.1f} to {np.degrees(high):.1f}° ({factor.value:g} × {envelope.source}).",
            f"Not evidence about this level, which the model forces: {forced}."
            if forced
            else "Check the points above and below this level.",
            frames=beyond,
            where=envelope.level,
        )


def level_extents(spine: SpineKinematics, shares: np.ndarray) -> Iterator[Finding]:
    """Levels whose travel over the trial is larger than people's total range: a warning.

    An angle may stay within its range about an unknown neutral pose and still travel too far. Travel: percentile 1
    to 99 of the trial's frames. Angles set by the model or mostly assumed (shares) are left out.
    """
    factor = THRESHOLDS["range_factor"]
    forced = forced_mask(spine.levels, spine.forced)
    for envelope, k, axis in _published_ranges(spine, shares):
        values, most = spine.angles[:, k, axis], envelope.extent[axis]
        values = values[np.isfinite(values)]
        if not values.size or forced[k, axis]:
            continue
        travel = float(np.ptp(np.percentile(values, _RANGE_PERCENTILES)))
        if travel > factor.value_si * most:
            yield warning(
                "level_extent",
                f"{MOTION_PLANES[axis]} of {envelope.level} travels {np.degrees(travel):.1f}° over the trial, people "
                f"at most {np.degrees(most):.1f}° ({envelope.source}), expected below {factor.value:g} times that.",
                where=envelope.level,
            )


def check_coordinate_ranges(
    motion: Motion, ranges: Mapping[str, tuple[float, float]], response: Mapping[str, float]
) -> Iterator[Finding]:
    """Angles beyond the model's own ranges: a warning. The solver holds clamped coordinates inside; others may leave.

    ranges: {coordinate: (lower, upper)} rad, of those to check. Left out: translations and the pelvis's angles,
    which only place the person. response: {coordinate: share that the data decided}; those that were mostly assumed are
    left out.
    """
    slack = THRESHOLDS["coordinate_slack"].value_si
    for name, values, rotational in zip(motion.names, motion.values.T, motion.rotational, strict=True):
        assumed = response.get(name, 1.0) < THRESHOLDS["assumed"].value_si
        if name not in ranges or not rotational or name in PELVIS_COORDINATES or assumed:
            continue
        low, high = ranges[name]
        beyond = (values < low - slack) | (values > high + slack)
        if beyond.any():
            yield warning(
                "coordinate_range",
                f"{name} is {_range_text(values[beyond])}° in {beyond.sum()} frames, the model's range is "
                f"{np.degrees(low):.1f} to {np.degrees(high):.1f}°.",
                frames=beyond,
                where=name,
            )


def _range_text(values: np.ndarray) -> str:
    """rad → '3.1 to 4.0' degrees."""
    low, high = (f"{np.degrees(value):.1f}" for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


LEVEL_OF = {point: level for point, level in VERTEBRA_OF.items() if level != "S1"}  # S1's is elsewhere


def check_fitted_shape(centres: Markers) -> Iterator[Finding]:
    """Whether the fitted spine is plausible. centres: centres by level (C1 … L5, S1), any axes; NaN = not solved."""
    levels = {name: name for name in centres.names if name in CHAIN_LEVELS}
    return _shape_findings(("the fitted spine", "shape_fitted"), centres, levels, skin=None)


def check_measured_shape(measured: Markers) -> Iterator[Finding]:
    """Whether the spine points that a detector saw or estimated, or that were given, are plausible. Inferred points
    only repeat the rule that placed them."""
    real = measured.names_of(*FROM_DETECTOR, Origin.GIVEN)
    levels = {name: LEVEL_OF[name] for name in real if name in LEVEL_OF}
    return _shape_findings(
        ("the spine's points", "shape_measured"), measured, levels, skin=THRESHOLDS["shape_skin"].value_si
    )


def _shape_findings(
    about: tuple[str, str], points: Markers, levels: Mapping[str, str], skin: float | None
) -> Iterator[Finding]:
    """Warnings of an odd size or shape. about: what is checked, in words, and the code. levels: {point: vertebra}.

    skin: m, standard deviation per axis added to the points' own covariance.
    """
    what, code = about
    chosen = points.select(list(levels))
    whole = np.flatnonzero(chosen.present.all(1))
    if len(levels) < MIN_POINTS_FOR_SHAPE or not len(whole):
        return
    frames = whole[evenly_spread(len(whole), int(THRESHOLDS["shape_frames"].value_si))]
    xyz = chosen.xyz[frames]
    span = np.linalg.norm(xyz[:, :, None] - xyz[:, None], axis=-1).max((1, 2))
    shortest, longest = PLAUSIBLE_SPINE_SPAN_M
    size = (span >= shortest) & (span <= longest)
    if not size.all():
        text = f"{what} spans {span.min():.3g} to {span.max():.3g} m, expected {shortest:g} to {longest:g} m."
        advice = "Check the unit of the points, and whether they are of one person."
        yield warning(code, text, advice, frames=tuple(frames[~size]))
    xyz, frames = xyz[size], frames[size]
    if not len(frames):
        return
    covariance = None
    if skin is not None:
        measured = 0.0 if chosen.covariance is None else np.nan_to_num(chosen.covariance[frames])  # NaN: not known
        blocks = np.broadcast_to(measured + skin**2 * np.eye(3), (*xyz.shape[:2], 3, 3))
        covariance = {level: blocks[:, i] for i, level in enumerate(levels.values())}
    plausibility = shape_plausibility({level: xyz[:, i] for i, level in enumerate(levels.values())}, covariance)
    yield from _odd_shape_findings(about, plausibility, frames, THRESHOLDS["shape" if skin is None else "shape_seen"])


def _odd_shape_findings(
    about: tuple[str, str], shape: Plausibility, frames: np.ndarray, limit: Threshold
) -> Iterator[Finding]:
    what, code = about
    far = shape.whole > limit.value_si
    if far.any():
        yield warning(
            code,
            f"{what} is up to {shape.whole.max():.0f} standard deviations from real spines in {far.sum()} of "
            f"{len(frames)} frames looked at, expected below {limit.value:g}.",
            frames=tuple(frames[far]),
        )
    for k, level in enumerate(shape.levels):
        odd = shape.each[:, k] > limit.value_si
        if odd.any():
            worst = int(shape.each[:, k].argmax())
            yield warning(
                f"{code}_level",
                f"{level} of {what} lies {100 * np.linalg.norm(shape.apart[worst, k]):.1f} cm from where the others "
                f"put it, {shape.each[worst, k]:.0f} standard deviations, in {odd.sum()} of {len(frames)} frames "
                f"looked at; expected below {limit.value:g}.",
                frames=tuple(frames[odd]),
                where=level,
            )
