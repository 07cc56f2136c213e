"""Cycles of a trial beside a lab's normative bands, out of results' files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simspine.errors import InputError
from simspine.formats.atomic import atomic_path
from simspine.formats.band_table import read_bands
from simspine.pipeline.solved_trial import SolvedTrial
from simspine.report.figures.cycles import cycle_figure
from simspine.spine.clinical import DEFINITIONS
from simspine.spine.cycles import cycles
from simspine.types import ForcedKind
from simspine.workflow.trials import read_trial
from simspine.workflow.viewing import find_results

ENDINGS = (".png", ".svg", ".pdf")
_DPI = 160
Events = dict[str, Sequence[float]]  # {'r' or 'l': times of that foot's contacts, s}


def write_cycles(result: Path, out: Path, events: Events, bands: Path | None = None, trial: str | None = None) -> Path:
    """Draw a trial's pelvis, trunk and limbs over their cycles; returns the file's path.

    events: those of the right foot cut the right limbs, of the left the left ones; pelvis and trunk go by the right
    foot where it has some. bands: see `read_bands`. trial: 'SUBJECT/TRIAL' where the result holds several.
    """
    if out.suffix.lower() not in ENDINGS:
        raise InputError(f"{out}: expected a picture, {', '.join(ENDINGS)}.")
    table = None if bands is None else read_bands(bands, angle_names())
    subject, _, name = (trial or "").rpartition("/")
    found = find_results(result, subject or None, name or None)
    if found is None:
        raise InputError(f"{result}: expected a results folder, or a trial's .h5 in it.")
    figure = cycle_figure(cycles_of(read_trial(*found), events), table)
    with atomic_path(out) as temporary:
        figure.savefig(temporary, dpi=_DPI)
    return out


def angle_names() -> set[str]:
    """Clinical parameters that are angles, with their side and without."""
    names = {name for name, definition in DEFINITIONS.items() if definition.unit == "rad"}
    return names | {name[:-2] for name in names if name.endswith(("_r", "_l"))}


def cycles_of(found: SolvedTrial, events: Events) -> dict[str, np.ndarray]:
    """{angle: (cycles, 101) rad} of those that the model does not set; rejected frames count as not known.

    Raises `InputError` for no events, and for a trial without clinical parameters.
    """
    clinical = found.spine.clinical
    if not events:
        raise InputError("there are no events: give the times of one foot's contacts, two or more.")
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
