"""Figures say what they show: titles, units, legends; forced and inferred things look different."""

import re
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pytest
from figure_text import texts

from simspine.core.errors import InputError
from simspine.core.types import Markers
from simspine.report import canvas
from simspine.report.figure_style import BLUE, ORANGE
from simspine.report.level_figures import (
    POINT_STATES_DRAWN,
    availability_figure,
    point_states,
    range_profile,
)
from simspine.report.spine_figures import posture_figure

TIME = 2.0 + np.arange(40) / 20
STATUS = ["rejected" if f in (5, 6, 7, 20) else "kept" for f in range(40)]


def test_the_spine_of_one_frame_is_seen_in_both_planes_on_one_scale():
    """Levels that lie above what was measured are dashed; the others carry intervals of 1.96 deviations."""
    names = ("C2", "C7", "T6", "L3", "S1")
    place = np.array([[10, 520, 0], [0, 430, 5], [-60, 310, 9], [15, 95, 4], [0, 0, 0.0]])
    deviation = np.full((5, 3), 10.0)
    skin = np.array([[-100, 440, 5], [-90, 5, 0.0]])
    figure = posture_figure(names, place, deviation, skin)
    side, behind = figure.axes
    for axes, across in ((side, 0), (behind, 2)):
        solid = next(line for line in axes.get_lines() if line.get_color() == BLUE)
        dashed = next(line for line in axes.get_lines() if line.get_color() == ORANGE)
        np.testing.assert_allclose(solid.get_xdata()[1:], place[1:, across])
        assert np.isnan(solid.get_xdata()[0])
        assert dashed.is_dashed()
        assert dashed.get_xdata()[0] == place[0, across]
        edge = axes.collections[0].get_paths()[0].vertices
        assert np.ptp(edge[np.isclose(edge[:, 1], 310), 0]) == pytest.approx(2 * 19.6)
        assert axes.get_aspect() == 1
    assert {"C7", "T6", "L3", "S1", "above S1 (mm)"} <= set(texts(figure).split(" | "))


def markers():
    names = ("LHip", "RHip", "LShoulder", "RShoulder", "Hip", "Neck")
    xyz = np.array([[0, 1, -0.1], [0, 1, 0.1], [0, 1.5, -0.2], [0, 1.5, 0.2], [-0.1, 1, 0], [-0.1, 1.5, 0]])
    xyz = np.tile(xyz, (4, 1, 1))
    return Markers(names, 10, xyz, "y_up", origin=["detected"] * 4 + ["inferred"] * 2)


def test_states_and_availability():
    source = markers()
    xyz = source.xyz.copy()
    xyz[2, 0] = np.nan
    filled = np.zeros((4, 6), bool)
    filled[1, 1] = filled[1, 4] = True
    state = point_states(source.with_(xyz=xyz, filled=filled))
    words = np.array(POINT_STATES_DRAWN)[state]
    assert words[2, 0] == "missing"
    assert words[1, 1] == words[1, 4] == "filled"
    assert words[0, 4] == "inferred"
    assert (words == "detected").sum() == 14
    figure = availability_figure(source.time, source.names, state, ["kept"] * 4)
    said = texts(figure)
    for wanted in ("detected 58.3 %", "inferred 29.2 %", "filled 8.3 %", "missing 4.2 %", "time (s)", "LShoulder"):
        assert wanted in said, wanted


def test_everything_missing_still_draws():
    figures = [
        range_profile(["L5-S1"], np.full((40, 1, 3), np.nan), None, np.full((1, 3), np.nan)),
        availability_figure(TIME[:4], ["x"], np.zeros((4, 1), int)),
    ]
    for figure in figures:
        assert canvas.figure_svg(figure, "empty").startswith("<svg")


class Collector(HTMLParser):
    def __init__(self):
        super().__init__()
        self.ids, self.attributes, self.tags, self.data = [], [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_data(self, data):
        self.data += data


def test_svg_for_the_page():
    names = ["<script>alert(1)</script>", "a $x^2 & b"]

    def drawn():
        state = np.full((4, 2), POINT_STATES_DRAWN.index("detected"))
        return canvas.figure_svg(availability_figure(TIME[:4], names, state), "fig-1")

    text = drawn()
    page = Collector()
    page.feed(text)
    assert page.tags[0] == "svg"
    assert "script" not in page.tags
    assert names[0] in page.data
    assert names[1] in page.data  # a dollar sign is no formula
    assert page.ids
    assert all(name.startswith("fig-1-") for name in page.ids)
    assert len(set(page.ids)) == len(page.ids)
    used = {m for _, value in page.attributes for m in re.findall(r"url\(#([^)]*)\)", value or "")}
    used |= {value[1:] for name, value in page.attributes if name == "href"}
    assert used <= set(page.ids)
    assert "http" not in text
    assert "currentColor" in text
    assert "#1b1f24" not in text
    assert "var(--blue, #0072b2)" in text
    assert text == drawn()  # deterministic
    figure = availability_figure(TIME[:4], ["x"], np.zeros((4, 1), int))
    with pytest.raises(InputError, match="is not an id"):
        canvas.figure_svg(figure, '1"><script>')


def test_matplotlib_stays_as_it_was():
    before = dict(mpl.rcParams)
    canvas.figure_svg(availability_figure(TIME[:4], ["x"], np.zeros((4, 1), int)), "x")
    assert dict(mpl.rcParams) == before
    import sys

    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_a_rounding_of_the_layout_changes_no_byte():
    """Layout engines leave axes where they were but for the last digit."""
    from matplotlib.figure import Figure

    def drawn(shift):
        figure = Figure(figsize=(2, 2))
        for left in (0.1 + shift, 0.6):
            figure.add_axes((left, 0.1, 0.3, 0.8)).plot([0, 1])
        return canvas.figure_svg(figure, "some")

    assert drawn(0.0) == drawn(1e-14)
    assert drawn(0.0).count('<clipPath id="some-clip') == 2
