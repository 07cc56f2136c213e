"""All validation figures of a data set, under the names their files use; and the same, with the tables, for a page."""

from typing import TYPE_CHECKING

from simspine.report import content, embed
from simspine.report.figures.rom import lumbar_profile, neck_by_action
from simspine.report.figures.violins import curvature_violins
from simspine.validation.curvature import as_records
from simspine.validation.tables import NOTES, TITLES, cells, tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figures(dataset) -> "dict[str, Figure]":
    """{'lla_tka', 'lumbar_rom', 'neck_rom': figure}; what the data lack is left out.

    dataset: a `Dataset`, an open `DatasetFile`, or `Record`s of `simspine.validation.records`. The numbers are those of
    `simspine.validation.tables`.
    """
    some = as_records(dataset)
    found = {
        "lla_tka": curvature_violins(some) if some else None,
        "lumbar_rom": lumbar_profile(some),
        "neck_rom": neck_by_action(some),
    }
    return {name: figure for name, figure in found.items() if figure is not None}


# Title, what it shows, how to read it.
_ABOUT = {
    "lla_tka": (
        "Curvature by action",
        "Distribution of lumbar lordosis and thoracic kyphosis in each action, with published values",
        "Shaded: a published range of standing adults. Dashed grey is the model's, orange mostly assumed.",
    ),
    "lumbar_rom": (
        "Range of motion of the lumbar levels",
        "Range of motion from T12–L1 to L5–S1 about three axes, beside published ranges",
        "Where points are hollow, a prior or a coupler gave the curve its shape: no finding about the levels.",
    ),
    "neck_rom": (
        "Range of motion of the neck",
        "Range of motion of the head on the trunk in each action about three axes",
        "Daily actions use a small part of what people can.",
    ),
}


def pictures(dataset, prefix: str = "validation") -> tuple[content.Picture, ...]:
    """The figures as SVG for a page. prefix: of their ids, so that they clash with no other on it."""
    made = []
    for name, figure in figures(dataset).items():
        title, alt, caption = _ABOUT[name]
        made.append(content.Picture(title, alt, caption, svg=embed.svg(figure, f"{prefix}-{name}")))
    return tuple(made)


def text_tables(dataset) -> tuple[content.PageTable, ...]:
    """The tables as text for a page, folded under their titles; empty ones are left out."""
    made = []
    for name, rows in tables(as_records(dataset)).items():
        if rows:
            header, lines = cells(name, rows)
            made.append(content.PageTable(header, lines, NOTES[name], TITLES[name]))
    return tuple(made)
