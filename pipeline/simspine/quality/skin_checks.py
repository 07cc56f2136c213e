"""Checks of markers on the skin: are they seen, and do they lie where their names say?"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from simspine.arrays import median_of_rows
from simspine.body.skin import PELVIS, read_skin_table
from simspine.quality.findings import Finding, Severity, where_true
from simspine.quality.thresholds import THRESHOLDS, Thresholds
from simspine.skeletons.skin_names import landmark, of_tape, on_skin
from simspine.types import Markers

ORDER = "skin_marker_order"  # code of the finding that names are wrong
LOST = "skin_marker_lost"


def lost(measured: Markers, thresholds: Thresholds = THRESHOLDS) -> Iterator[Finding]:
    """Markers on the skin that are known in few frames: the spine is seen less in the others, which stay kept."""
    limit, dots = thresholds["skin_marker_seen"], of_tape(measured.names)
    yield from _lost_dots(measured, dots, limit.si, f"{limit.value:g} %")
    for name in on_skin(measured.names):
        if name in dots:
            continue
        seen = measured.present[:, measured.index(name)]
        if seen.mean() < limit.si:
            yield Finding(
                LOST,
                Severity.WARNING,
                f"the marker over {landmark(name)} is known in {seen.sum()} of {seen.size} frames, expected "
                f"{limit.value:g} % or more.",
                "Two views must see it: click it again where it is lost (`skin_markers`), or take the ± as it is.",
                where_true(~seen),
                where=landmark(name),
            )


def _lost_dots(measured: Markers, dots: Sequence[str], least: float, said: str) -> Iterator[Finding]:
    """One finding for all dots of a tape that are known in few frames."""
    seen = measured.present[:, measured.indices(dots)]
    few = seen.mean(0) < least
    if few.any():
        numbers = ", ".join(str(n + 1) for n in np.flatnonzero(few))
        yield Finding(
            LOST,
            Severity.WARNING,
            f"{few.sum()} of {len(dots)} dots of the tape (number {numbers}) are known in less than {said} of the "
            "frames.",
            "Two views must see a dot: click the tape again where it is lost (`skin_markers.tape`), or take the ± as "
            "it is.",
            where_true(np.asarray((~seen[:, few]).any(1))),
            where="tape",
        )


def order(measured: Markers) -> Iterator[Finding]:
    """Markers on the skin that do not follow one another along the back as the vertebrae they are named after do.

    Of three in the order of their names the outer two must be farthest apart.
    """
    table = read_skin_table()
    names = sorted((name for name in on_skin(measured.names) if landmark(name) not in PELVIS), key=table.along)
    path, count = measured.xyz[:, measured.indices(names)], len(names)
    distances = np.linalg.norm(path[:, :, None] - path[:, None], axis=-1)
    apart = median_of_rows(distances.reshape(len(path), count**2).T).reshape(count, count)
    for i, j, k in combinations(range(len(names)), 3):
        if apart[i, k] < max(apart[i, j], apart[j, k]):
            first, second, third = (landmark(names[n]) for n in (i, j, k))
            yield Finding(
                ORDER,
                Severity.WARNING,
                f"the markers named {first}, {second} and {third} do not lie along the back in that order "
                f"({first}–{second} {1000 * apart[i, j]:.0f} mm, {second}–{third} {1000 * apart[j, k]:.0f} mm, "
                f"{first}–{third} {1000 * apart[i, k]:.0f} mm).",
                "One of them has another vertebra's name, or was clicked on another marker; until that is mended the "
                "spine's angles are wrong.",
                where=f"{first}, {second}, {third}",
            )
            return
