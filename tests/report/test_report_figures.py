"""Figures say what they show: titles, units, legends; forced and inferred things look different."""

import re
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pytest
from figure_text import texts

from simspine.report import canvas
from simspine.report.figure_style import BLUE, LILAC, ORANGE, RED, VIOLET, YELLOW, matplotlib_style, new_figure
from simspine.report.figures import posture_figure
from simspine.report.level_figures import range_charts

TIME = 2.0 + np.arange(40) / 20
STATUS = ["rejected" if f in (5, 6, 7, 20) else "kept" for f in range(40)]
# What eyes without one kind of cones see of linear RGB (Machado 2009, severity 1), and all of them.
EYES = {
    "all cones": np.eye(3),
    "no long": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no middle": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no short": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def seen_colour(colour, eyes):
    """L*, a*, b* (CIE 1976) of '#rrggbb', for some eyes."""
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4339, 0.3762, 0.1899], [0.2126, 0.7152, 0.0722], [0.0178, 0.1094, 0.8728]])  # white = 1
    x, y, z = np.cbrt(to_xyz @ np.clip(np.array(EYES[eyes]) @ linear, 0, 1))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize(("right", "left"), [(VIOLET, RED), (LILAC, YELLOW)], ids=["light", "dark"])
def test_sides_differ_for_all_eyes_and_from_what_is_assumed(right, left, eyes):
    """By 30, over ten times the least difference that eyes tell apart."""
    for one, other in ((right, left), (right, ORANGE), (left, ORANGE)):
        assert np.linalg.norm(seen_colour(one, eyes) - seen_colour(other, eyes)) > 30


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


def test_everything_missing_still_draws():
    chart = range_charts(["L5-S1"], np.full((40, 1, 3), np.nan), None, np.full((1, 3), np.nan))
    assert "<svg" in chart
    assert "nan" not in chart


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


def test_names_of_files_are_text_in_a_chart():
    names = ["<script>alert(1)</script>", "a $x^2 & b"]
    page = Collector()
    page.feed(range_charts(names, np.full((4, 2, 3), 0.1), None, np.ones((2, 3))))
    assert "script" not in page.tags
    assert "<script>alert(1)</s…" in page.data
    assert names[1] in page.data


def drawn_names(names):
    """A figure that says these names."""
    figure = new_figure(2.0)
    axes = figure.subplots()
    axes.plot([0, 1], color=BLUE)
    axes.set_yticks(range(len(names)), names)
    return figure


def test_svg_for_the_page():
    names = ["<script>alert(1)</script>", "a $x^2 & b"]

    def drawn():
        with matplotlib_style():
            return canvas.figure_svg(drawn_names(names), "fig-1")

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


def test_matplotlib_stays_as_it_was():
    before = dict(mpl.rcParams)
    canvas.figure_svg(posture_figure(("C7", "S1"), np.eye(3)[:2]), "x")
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
