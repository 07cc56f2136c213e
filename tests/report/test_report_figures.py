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
from simspine.report.figure_style import BLUE, FORCED_LABEL, ORANGE, fill_band
from simspine.report.level_figures import (
    POINT_STATES_DRAWN,
    availability_figure,
    marker_error_figure,
    point_states,
    range_profile,
    reprojection_by_point_figure,
    reprojection_figure,
)
from simspine.report.scene import Curve
from simspine.report.spine_figures import curves_figure, posture_figure

TIME = 2.0 + np.arange(40) / 20
STATUS = ["rejected" if f in (5, 6, 7, 20) else "kept" for f in range(40)]


def curves(axes, length=40):
    return [line for line in axes.get_lines() if len(line.get_xdata()) == length]


def curve(label, values, sd=None, **more):
    return Curve(label, label, np.broadcast_to(np.asarray(values, float), 40), sd, **more)


def test_curves_have_units_intervals_and_rejected_frames():
    rising = np.linspace(40, 50, 40)
    figure = curves_figure(
        TIME, [curve("Lumbar lordosis", rising, np.full(40, 2.0)), curve("Plumb", 30, unit=" mm")], STATUS
    )
    for wanted in ("Lumbar lordosis (°)", "Plumb (mm)", "time (s)", "rejected frames (4 of 40)"):
        assert wanted in texts(figure), wanted
    lumbar, _ = figure.axes
    np.testing.assert_allclose(curves(lumbar)[0].get_ydata(), rising)
    edge = lumbar.collections[0].get_paths()[0].vertices[:, 1]
    assert (edge.min(), edge.max()) == pytest.approx((40 - 1.96 * 2, 50 + 1.96 * 2))


def test_assumed_and_forced_curves_are_dashed_and_a_left_side_is_not():
    """Dashes mean one thing on the page; a side is known by its dots."""
    free = [Curve(side, f"Knee, {side}", np.full(40, 5.0), panel="Knee") for side in ("right", "left")]
    held = curve("Lordosis", 40, note="set by the model", forced=True)
    guessed, partly = curve("Tilt", 9, note="assumed", assumed=True), curve("Kyphosis", 40, note="partly measured")
    figure = curves_figure(TIME, [*free, held, guessed, partly])
    knee, lordosis, tilt, kyphosis = figure.axes[:4]
    assert [(line.is_dashed(), line.get_marker()) for line in curves(knee)] == [(False, "None"), (False, "o")]
    assert [line.is_dashed() for axes in (lordosis, tilt) for line in curves(axes)] == [True, True]
    looks = {(line.get_linestyle(), tuple(line._dash_pattern[1] or ()), line.get_alpha()) for axes in
             (knee, tilt, kyphosis) for line in curves(axes)[:1]}  # fmt: skip
    assert len(looks) == 3, "measured, assumed and partly measured can be told apart"
    wanted = {FORCED_LABEL, "assumed", "partly measured: pale", "left (dots)"}
    assert wanted <= set(texts(figure).split(" | "))
    assert "Tilt (°, assumed)" in texts(figure)
    assert FORCED_LABEL not in texts(curves_figure(TIME, free))


def test_the_band_of_what_is_never_negative_ends_at_0():
    figure = curves_figure(TIME, [curve("Cobb", 3, np.full(40, 2.0), least=0.0)])
    edge = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert (edge.min(), edge.max()) == pytest.approx((0.0, 3 + 1.96 * 2))


def test_long_titles_take_two_lines_that_fit_above_their_panel():
    """Measured: a line must not be wider than its panel and the gap to the next."""
    long = [curve(f"Sideways bend of a spine, T1–L5 (largest Cobb angle {side})", 3, note="assumed") for side in "ab"]
    figure = curves_figure(TIME, long)
    figure.draw_without_rendering()
    left, right = (axes.get_window_extent() for axes in figure.axes)
    title = figure.axes[0].title.get_window_extent()
    assert title.x1 < right.x0
    assert figure.axes[0].get_title(loc="left").count("\n") == 1
    assert left.width > 0


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


def test_reprojection_reports_kept_and_swaps():
    errors = np.full((10, 2, 5), 4.0)
    errors[:, 1] = 8.0
    errors[0] = 300.0
    errors[1, 0, 0] = np.nan
    kept = errors < 100
    swapped = np.zeros_like(kept)
    swapped[2, 1, :3] = True
    said = texts(reprojection_figure(errors, kept, ["left cam", "right cam"], swapped))
    for wanted in ("median 8.0 px", "90th percentile 8.0 px", "(px, logarithmic)", "89.8 %", "90.0 %", "6.0 %",
                   "left cam", "unused ones too"):  # fmt: skip
        assert wanted in said, wanted


def test_reprojection_by_point_marks_inferred():
    errors = np.random.default_rng(1).uniform(1, 20, (10, 2, 3))
    kept = np.ones_like(errors, bool)
    kept[:, 0, 1] = False
    figure = reprojection_by_point_figure(
        errors, kept, ["Nose", "LHip", "Spine_01"], ["a", "b"], ["detected", "detected", "inferred"]
    )
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["Nose", "LHip", "Spine_01 ○"]
    cells = [t.get_text() for t in figure.axes[1].texts]
    assert cells == ["100", "100", "0", "100", "100", "100"]
    assert [t.get_text() for t in figure.axes[0].texts][2] == "–"  # no kept observation: no median
    assert "(px)" in texts(figure)


def test_marker_errors_are_millimetres_and_flagged():
    errors = np.tile([0.010, 0.120, np.nan], (9, 1))
    figure = marker_error_figure(["LHip", "Spine_02", "REye"], errors, ["detected", "inferred", "detected"])
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["Spine_02", "LHip", "REye"]  # worst first, unknown last
    assert "(mm)" in axes.get_xlabel()
    assert "flag at 100 mm" in texts(figure)
    assert "no marker in any frame" in texts(figure)
    dots = {
        round(float(line.get_xdata()[0])): line
        for line in axes.get_lines()
        if line.get_marker() == "o" and len(line.get_xdata()) == 1
    }
    assert dots[120].get_markerfacecolor() == "none"
    assert dots[10].get_markerfacecolor() != "none"
    assert "flag at" not in texts(marker_error_figure(["LHip"], np.full((9, 1), 0.01), ["detected"]))


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


def test_a_band_of_many_frames_holds_all_of_them():
    """Of 5,003 frames: at most 800 columns, none lower or higher than the frames it stands for; gaps stay."""
    from matplotlib.figure import Figure

    time = np.arange(5003) / 50
    low = np.sin(time) - 0.1 - 0.05 * np.random.default_rng(3).random(5003)
    low[2000:2400] = np.nan
    axes = Figure().subplots()
    fill_band(axes, time, low, low + 0.3)
    drawn = [path.vertices for path in axes.collections[0].get_paths()]
    assert len(drawn) == 2  # before the gap and after it
    corners = np.concatenate(drawn)
    assert len(np.unique(corners[:, 0])) <= 800
    known = np.isfinite(low)
    np.testing.assert_allclose([corners[:, 1].min(), corners[:, 1].max()], [low[known].min(), low[known].max() + 0.3])
    gap = time[~known][7:-7]  # a column is of seven frames
    assert not ((corners[:, 0] > gap[0]) & (corners[:, 0] < gap[-1])).any()


def test_wrong_shapes_are_named():
    with pytest.raises(InputError, match=r"LLA has shape \(39,\), expected \(40,\)"):
        curves_figure(TIME, [Curve("LLA", "LLA", np.zeros(39))])
    with pytest.raises(InputError, match="status has 3 entries"):
        curves_figure(TIME, [curve("LLA", 0)], status=["kept"] * 3)


def test_everything_missing_still_draws():
    nothing = np.full(40, np.nan)
    nothing_seen, none = np.full((4, 2, 3), np.nan), np.zeros((4, 2, 3), bool)
    figures = [
        curves_figure(TIME, [curve("LLA", nothing)], ["rejected"] * 40),
        range_profile(["L5-S1"], np.full((40, 1, 3), np.nan), None, np.full((1, 3), np.nan)),
        reprojection_figure(nothing_seen, none, ["a", "b"], none),
        reprojection_by_point_figure(nothing_seen, none, ["x", "y", "z"], ["a", "b"], ["detected"] * 3),
        marker_error_figure(["x"], np.full((4, 1), np.nan), ["given"]),
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
    figure = marker_error_figure(names, np.full((5, 2), 0.02), ["detected"] * 2)
    text = canvas.figure_svg(figure, "fig-1")
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
    assert text == canvas.figure_svg(
        marker_error_figure(names, np.full((5, 2), 0.02), ["detected"] * 2), "fig-1"
    )  # deterministic
    with pytest.raises(InputError, match="is not an id"):
        canvas.figure_svg(figure, '1"><script>')


def test_matplotlib_stays_as_it_was():
    before = dict(mpl.rcParams)
    canvas.figure_svg(curves_figure(TIME, [curve("LLA", 0)]), "x")
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
