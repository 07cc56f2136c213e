"""Cycles of a trial beside a lab's normative bands, out of results' files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simspine.errors import InputError
from simspine.formats.atomic import atomic_path
from simspine.formats.band_table import read_bands
from simspine.pipeline.solved_trial import SolvedTrial
from simspine.report import embed
from simspine.report.content import Picture
from simspine.report.figures.cycles import cycle_figure
from simspine.spine.clinical import SIDES, clinical_angles
from simspine.spine.cycles import cycles
from simspine.types import ForcedKind
from simspine.workflow.trials import read_trial
from simspine.workflow.viewing import find_results

ENDINGS = (".png", ".svg", ".pdf")
_DPI = 160
NORMAL_95 = 1.96  # standard deviations to either side
Events = dict[str, Sequence[float]]  # {'r' or 'l': times of that foot's contacts, s}


def write_cycles(result: Path, out: Path, events: Events, bands: Path | None = None, trial: str | None = None) -> Path:
    """Draw a trial's pelvis, trunk and limbs over their cycles; returns the file's path.

    events: those of the right foot cut the right limbs, of the left the left ones; pelvis and trunk go by the right
    foot where it has some. bands: see `read_bands`. trial: 'SUBJECT/TRIAL' where the result holds several.
    """
    if out.suffix.lower() not in ENDINGS:
        raise InputError(f"{out}: expected a picture, {', '.join(ENDINGS)}.")
    table = None if bands is None else read_bands(bands, clinical_angles())
    subject, _, name = (trial or "").rpartition("/")
    found = find_results(result, subject or None, name or None)
    if found is None:
        raise InputError(f"{result}: expected a results folder, or a trial's .h5 in it.")
    read = read_trial(*found)
    figure = cycle_figure(cycles_of(read, events), table, spread_of(read))
    with atomic_path(out) as temporary:
        figure.savefig(temporary, dpi=_DPI)
    return out


def cycle_picture(found: SolvedTrial, events: Events, bands: Path | None, prefix: str) -> Picture:
    """The same as a part of a page. prefix: of its ids there."""
    table = None if bands is None else read_bands(bands, clinical_angles())
    drawn = cycle_figure(cycles_of(found, events), table, spread_of(found))
    count = " and ".join(
        f"{max(0, len(events[side]) - 1)} of the {SIDES[side]} foot" for side in SIDES if side in events
    )
    return Picture(
        "Cycles", "Angles of pelvis, trunk and limbs from contact to contact of one foot, each cycle and their mean",
        f"From contact to contact as the configuration names them, {count}: each cycle thin, their mean thick "
        "(pale, from three on: ± 1 standard deviation of the cycles); "
        "± of 95 % in the titles, as far as the recording decides an angle at all. "
        + ("No bands were given." if table is None else f"Green: mean ± 1 standard deviation of {table.source}."),
        svg=embed.svg(drawn, f"{prefix}-cycles"),
    )  # fmt: skip


def spread_of(found: SolvedTrial) -> dict[str, float]:
    """{angle: the typical ± of 95 % over the frames kept, rad} of those with standard deviations."""
    known = ((figure.name, figure.sd) for figure in found.clinical_figures if figure.unit == "deg")
    return {name: float(NORMAL_95 * np.radians(sd)) for name, sd in known if sd is not None}


def cycles_of(found: SolvedTrial, events: Events) -> dict[str, np.ndarray]:
    """{angle: (cycles, 101) rad} of those that the model does not set; rejected frames count as not known.

    Raises `InputError` for no events, and for a trial without clinical parameters.
    """
    clinical = found.spine.clinical
    if not events:
        raise InputError(f"{found.name}: there are no events: give the times of one foot's contacts, two or more.")
    if clinical is None:
        raise InputError(f"{found.name}: was solved without clinical parameters; run it again.")
    central = events.get("r", events.get("l", ()))
    out: dict[str, np.ndarray] = {}
    for name, unit in zip(clinical.names, clinical.units, strict=True):
        side = name[-1] if name.endswith(("_r", "_l")) else ""
        times = events.get(side, ()) if side else central
        forced = any(fact.kind is not ForcedKind.SUM for fact in clinical.forced.get(name, ()))
        values = np.where(found.rejected, np.nan, clinical.of(name))
        if unit == "rad" and len(times) and not forced:
            cut = cycles(found.spine.time, values, times)
            out |= {name: cut} if np.isfinite(cut).any() else {}
    return out
