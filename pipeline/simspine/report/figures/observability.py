"""How a figure shows observability: filled = measured, hollow = assumed, dashed grey = set by the model."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from simspine.quality.observability import Observability
from simspine.report.figures.common import line_key, patch_key
from simspine.report.style import BLUE, FORCED_LABEL, GREY, ORANGE

if TYPE_CHECKING:
    from matplotlib.artist import Artist

PALE = "#a9cfe8"  # blue on white at about a third


@dataclass(frozen=True)
class Look:
    """edge, face: colours ('none': hollow). dash: of its outline. label: for the legend."""

    edge: str
    face: str
    label: str
    dash: Literal["-", "--"] = "-"


LOOKS = {
    Observability.MEASURED: Look(BLUE, BLUE, "measured"),
    Observability.PARTLY: Look(BLUE, PALE, "partly measured"),
    Observability.SUM: Look(BLUE, "none", "measured as a sum over levels"),
    Observability.ESTIMATED: Look(BLUE, "none", "estimated, not seen", "--"),
    Observability.PARTLY_ESTIMATED: Look(BLUE, "none", "partly estimated, not seen", "--"),
    Observability.ASSUMED: Look(ORANGE, "none", "mostly assumed"),
    Observability.VERY_UNCERTAIN: Look(ORANGE, "none", "very uncertain", "--"),
    Observability.FORCED: Look(GREY, "none", FORCED_LABEL, "--"),
    Observability.UNKNOWN: Look(BLUE, PALE, "this data set"),
}


def look(word: str) -> Look:
    """Of a `Observability`, or its text."""
    return LOOKS[Observability(word)]


def handles(words: Iterable[str], marker: bool = False) -> "list[Artist]":
    """Legend entries of the words that occur, in a fixed order; as points where `marker`, else as patches."""
    found = [shown for word, shown in LOOKS.items() if word in set(words)]
    if marker:
        return [
            line_key(s.label, color=s.edge, marker="o", markerfacecolor=face(s), markersize=6, linewidth=0)
            for s in found
        ]
    return [patch_key(s.label, facecolor=s.face, edgecolor=s.edge, linestyle=s.dash) for s in found]


def face(shown: Look) -> str:
    """Colour of a point's face: white where hollow, so that lines do not show through."""
    return "white" if shown.face == "none" else shown.face
