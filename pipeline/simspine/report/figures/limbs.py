"""Angles of pelvis, trunk and the joints of the limbs over time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simspine.report import style
from simspine.report.figures.common import fill_band, legend, line_key, new_figure, shade_rejected, time_axis
from simspine.report.style import BLUE, INK, VERMILLION
from simspine.spine.parameters import ClinicalParameters
from simspine.types import ForcedKind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NORMAL_95 = 1.96  # standard deviations to either side
# Panels: title, with what is positive where the name does not say it, and parameters; all of them angles.
_PANELS = (
    ("Pelvic tilt (+: sacrum behind the hips)", ("pelvic_tilt",)),
    ("Trunk inclination (+: forwards)", ("trunk_inclination",)),
    ("Lumbar flexion, T12 on S1 (+: bending forward)", ("lumbar_flexion",)),
    ("Hip flexion", ("hip_flexion_r", "hip_flexion_l")),
    ("Hip adduction", ("hip_adduction_r", "hip_adduction_l")),
    ("Knee flexion", ("knee_flexion_r", "knee_flexion_l")),
    ("Ankle dorsiflexion (+: toes up)", ("ankle_dorsiflexion_r", "ankle_dorsiflexion_l")),
    ("Shoulder elevation (0: hanging)", ("shoulder_elevation_r", "shoulder_elevation_l")),
)
_COLUMNS = 2


def limb_curves(time: np.ndarray, clinical: ClinicalParameters, status: Sequence[str] | None = None) -> "Figure | None":
    """A panel for each angle that is known, right and left in one; None where none is.

    time: (frames,) s. status: per frame kept, corrected, rejected or inferred (shaded).
    """
    panels = [(title, [name for name in names if _known(clinical, name)]) for title, names in _PANELS]
    panels = [(title, names) for title, names in panels if names]
    if not panels:
        return None
    rows = -(-len(panels) // _COLUMNS)
    with style.styled():
        figure = new_figure(0.6 + 1.75 * rows)
        grid = figure.subplots(rows, _COLUMNS, sharex=True, squeeze=False)
        for number, axes in enumerate(grid.flat):
            if number >= len(panels):
                axes.set_visible(False)
                continue
            title, names = panels[number]
            for name in names:
                _draw(axes, time, clinical, name)
            shade_rejected(axes, time, status, labelled=False)
            axes.set(title=title, ylabel="°")
            time_axis(axes, time, labelled=number + _COLUMNS >= len(panels))
        keys = [line_key("right", color=BLUE), line_key("left", color=VERMILLION, linestyle=(0, (5, 2)))]
        legend(figure, [*keys, line_key("pelvis and trunk", color=INK)], 3)
    return figure


def _known(clinical: ClinicalParameters, name: str) -> bool:
    """Whether a parameter is there and not the model's own."""
    if name not in clinical.names or not np.isfinite(clinical.of(name)).any():
        return False
    return all(fact.kind is ForcedKind.SUM for fact in clinical.forced.get(name, ()))


def _draw(axes: "Axes", time: np.ndarray, clinical: ClinicalParameters, name: str) -> None:
    side = name.rpartition("_")[2]
    colour, dashes = {"r": (BLUE, "-"), "l": (VERMILLION, (0, (5, 2)))}.get(side, (INK, "-"))
    values, sd = np.degrees(clinical.of(name)), clinical.sd(name)
    if sd is not None:
        reach = NORMAL_95 * np.degrees(sd)
        fill_band(axes, time, values - reach, values + reach, color=colour, alpha=0.16)
    axes.plot(time, values, color=colour, linestyle=dashes, linewidth=1.4)
