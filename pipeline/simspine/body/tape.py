"""A tape with dots along the spine, as one object: where its dots are on the body, and where they were clicked."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simspine.body.skin import PELVIS, read_skin_table
from simspine.errors import InputError, unknown_name
from simspine.skeletons.skin_names import SKIN


@dataclass(frozen=True)
class Tape:
    """A tape with evenly spaced dots on the skin over the spine.

    dots: how many. spacing: m, of neighbours, along the tape. first, last: levels ('C7', 'S1') over which the first and
    the last dot are. clicks: {number of a dot, from 1 at the top: {view: {frame: (x, y) px}}}. radius: of a dot, px.
    Raises `InputError` for levels that do not exist, or that do not lie below one another.
    """

    dots: int
    spacing: float
    first: str
    last: str
    clicks: Mapping[int, Mapping[str, Mapping[int, tuple[float, float]]]]
    radius: float = 4.0

    def __post_init__(self):
        table = read_skin_table()
        for level in (self.first, self.last):
            if level not in table.levels:
                hint = " A tape lies over the spine." if level in PELVIS else ""
                raise InputError(f"{unknown_name('level of the tape', level, table.levels)}{hint}")
        if table.along(self.first) >= table.along(self.last):
            raise InputError(
                f"the tape is from {self.first} to {self.last}; its first dot is the one nearest to the head, so "
                "`last` must be a level below `first`."
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Of the dots, by where they are along the spine, evenly spaced on the skin: 'C7.00_skin', 'C7.66_skin', …."""
        table = read_skin_table()
        ends = table.along(self.first), table.along(self.last)
        return tuple(table.landmark_at(along) + SKIN for along in np.linspace(*ends, self.dots))

    def clicks_in(self, view: str) -> Mapping[int, Mapping[int, tuple[float, float]]]:
        """{number: {frame: (x, y) px}} of one view; empty where it has none."""
        return {number: views[view] for number, views in self.clicks.items() if view in views}

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the views in which a dot is clicked."""
        return tuple(dict.fromkeys(view for views in self.clicks.values() for view in views))
