"""Markers on the skin as a table of the page: which there were, where each was seen, and how the body lies to it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simspine.report.content import PageTable, number
from simspine.skeletons.skin_names import landmark, of_tape, on_skin

if TYPE_CHECKING:
    from simspine.ik.result import Result
    from simspine.triangulation.report import TriangulationReport

FOLDED = "Markers on the skin"
NOTE = (
    "Frames in space: those in which two views show it at the same place. Reprojection: how far it is in the images "
    "from the place in space, median. Beside the body: how far it is from its place on the fitted body, median and "
    "90th percentile. What of that stays the same throughout is the marker's own place (palpation, depth of the "
    "tissue), which is found with the motion; what changes is skin that moves over the bone."
)


def skin_table(triangulation: "TriangulationReport | None", ik: "Result | None") -> tuple[PageTable, ...]:
    """A folded table with a row for each marker on the skin, the dots of a tape in one; none where there are none."""
    if triangulation is None or not on_skin(triangulation.names):
        return ()
    dots = of_tape(triangulation.names)
    groups: dict[str, tuple[str, ...]] = {
        landmark(name): (name,) for name in on_skin(triangulation.names) if name not in dots
    }
    if dots:
        groups[f"tape, {len(dots)} dots, {landmark(dots[0])} to {landmark(dots[-1])}"] = dots
    columns = ("Over", "Frames in space", "Frames by view", "Reprojection, px", "Beside the body, mm")
    rows = tuple(_row(label, names, triangulation, ik) for label, names in groups.items())
    return (PageTable(columns, rows, NOTE, FOLDED),)


def _row(
    label: str, names: Sequence[str], triangulation: "TriangulationReport", ik: "Result | None"
) -> tuple[str, ...]:
    """Of a tape the frames are the dots' mean."""
    found = triangulation.of(names)
    by_view = np.isfinite(found.error_px).sum(0).mean(1)
    views = ", ".join(f"{view} {count:.0f}" for view, count in zip(found.views, by_view, strict=True) if count)
    error = found.error_px[found.used]
    beside = np.zeros(0)
    if ik is not None:
        columns = [ik.marker_names.index(name) for name in names if name in ik.marker_names]
        beside = 1000 * ik.marker_error[:, columns]
        beside = beside[np.isfinite(beside)]
    distances = f"{number(np.median(beside), 0)} ({np.percentile(beside, 90):.0f})" if beside.size else number(None)
    frames = f"{found.kept.sum(0).mean():.0f} of {len(found.kept)}"
    return (label, frames, views or "none", number(np.median(error) if error.size else None), distances)
