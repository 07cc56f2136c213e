"""Is the spine one that people have? Vertebrae fitted and points measured against the shape of real spines."""

from collections.abc import Iterator, Mapping

import numpy as np

from simspine.quality.findings import Finding, Severity
from simspine.quality.thresholds import THRESHOLDS, Threshold, Thresholds
from simspine.skeletons.vertebrae import VERTEBRA_OF
from simspine.spine.shape.chain import LEVELS
from simspine.spine.shape.complete import SPAN
from simspine.spine.shape.plausible import FEWEST, Plausibility, shape_plausibility
from simspine.types import FROM_DETECTOR, Markers, Origin

LEVEL_OF = {point: level for point, level in VERTEBRA_OF.items() if level != "S1"}  # on the sacrum lies no S1 centre


def fitted_shape(centres: Markers, thresholds: Thresholds = THRESHOLDS) -> Iterator[Finding]:
    """The fitted body's vertebrae. centres: vertebral centres by level (C1 … L5, S1), any frame; NaN = not solved."""
    levels = {name: name for name in centres.names if name in LEVELS}
    return _findings(("the fitted spine", "shape_fitted"), centres, levels, thresholds, None)


def measured_shape(measured: Markers, thresholds: Thresholds = THRESHOLDS) -> Iterator[Finding]:
    """The spine points that a detector saw or estimated, or that were given; inferred ones repeat the rule that placed
    them."""
    real = measured.names_of(*FROM_DETECTOR, Origin.GIVEN)
    levels = {name: LEVEL_OF[name] for name in real if name in LEVEL_OF}
    return _findings(
        ("the spine's points", "shape_measured"), measured, levels, thresholds, thresholds["shape_skin"].si
    )


def _findings(
    about: tuple[str, str], points: Markers, levels: Mapping[str, str], thresholds: Thresholds, skin: float | None
) -> Iterator[Finding]:
    """about: what is checked, in words, and the code. levels: {point: vertebra}.

    skin: m, standard deviation per axis added to the points' own covariance.
    """
    what, code = about
    chosen = points.select(list(levels))
    frames = looked_at(chosen, int(thresholds["shape_frames"].si))
    if len(levels) < FEWEST or not len(frames):
        return
    xyz = chosen.xyz[frames]
    span = np.linalg.norm(xyz[:, :, None] - xyz[:, None], axis=-1).max((1, 2))
    size = (span >= SPAN[0]) & (span <= SPAN[1])
    if not size.all():
        text = f"{what} spans {span.min():.3g} to {span.max():.3g} m, expected {SPAN[0]:g} to {SPAN[1]:g} m."
        advice = "Check the unit of the points, and whether they are of one person."
        yield Finding(code, Severity.WARNING, text, advice, tuple(frames[~size]))
    xyz, frames = xyz[size], frames[size]
    if not len(frames):
        return
    covariance = None
    if skin is not None:
        own = 0.0 if chosen.covariance is None else np.nan_to_num(chosen.covariance[frames])  # NaN: not known
        blocks = np.broadcast_to(own + skin**2 * np.eye(3), (*xyz.shape[:2], 3, 3))
        covariance = {level: blocks[:, i] for i, level in enumerate(levels.values())}
    found = shape_plausibility({level: xyz[:, i] for i, level in enumerate(levels.values())}, covariance)
    yield from _odd(about, found, frames, thresholds["shape" if skin is None else "shape_seen"])


def looked_at(points: Markers, most: int) -> np.ndarray:
    """Indices of at most `most` frames in which all points are there, evenly chosen."""
    whole = np.flatnonzero(points.present.all(1)) if points.names else np.empty(0, int)
    return whole[np.unique(np.linspace(0, len(whole) - 1, min(most, len(whole))).astype(int))]


def _odd(about: tuple[str, str], found: Plausibility, frames: np.ndarray, limit: Threshold) -> Iterator[Finding]:
    what, code = about
    far = found.whole > limit.si
    if far.any():
        yield Finding(
            code,
            Severity.WARNING,
            f"{what} is up to {found.whole.max():.0f} standard deviations from real spines in {far.sum()} of "
            f"{len(frames)} frames looked at, expected below {limit.value:g}.",
            "Look at its points from the side in these frames: order, distances, a point of another person.",
            tuple(frames[far]),
        )
    for k, level in enumerate(found.levels):
        odd = found.each[:, k] > limit.si
        if odd.any():
            at = int(found.each[:, k].argmax())
            yield Finding(
                f"{code}_level",
                Severity.WARNING,
                f"{level} of {what} lies {100 * np.linalg.norm(found.apart[at, k]):.1f} cm from where the others "
                f"put it, {found.each[at, k]:.0f} standard deviations, in {odd.sum()} of {len(frames)} frames "
                f"looked at; expected below {limit.value:g}.",
                "Check this vertebra's point; if its neighbours are flagged too, the one farthest off is to blame.",
                tuple(frames[odd]),
                level,
            )
