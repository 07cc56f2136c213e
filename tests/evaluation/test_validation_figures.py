"""Figures show the tables' numbers, and what is forced as forced."""

import re

import numpy as np
import pytest
from click.testing import CliRunner
from figure_text import texts

from simspine.anatomy.clinical import PUBLISHED_BANDS
from simspine.cli.main import main
from simspine.evaluation.validation_records import trial_records
from simspine.evaluation.validation_tables import curvature_table, lumbar_rom
from simspine.io.dataset_write import Dataset, write_dataset
from simspine.report.dataset_figures import (
    curvature_violins,
    lumbar_range_figure,
    validation_figures,
    validation_pictures,
    validation_text_tables,
)
from simspine.report.figure_style import FORCED_LABEL, GREY, PURPLE


def test_every_figure_has_titles_units_and_a_legend(small_dataset):
    made = validation_figures(small_dataset)
    assert list(made) == ["lla_tka", "lumbar_rom", "neck_rom"]
    for name, figure in made.items():
        assert figure.legends, name
        assert "°" in texts(figure), name
        assert any(axes.get_title(loc="left") for axes in figure.axes), name


def test_violins_stand_at_the_table_s_means(small_dataset):
    axes = curvature_violins(small_dataset).axes[0]
    actions = {record.action for record in trial_records(small_dataset)}
    rows = [row for row in curvature_table(small_dataset) if row.name in actions]
    ours = [c for c in axes.containers if c.lines[0].get_marker() == "o"]
    paper = [c for c in axes.containers if c.lines[0].get_marker() == "D"]
    np.testing.assert_allclose([c.lines[0].get_ydata()[0] for c in ours], [row.lla_mean_deg for row in rows])
    assert [c.lines[0].get_ydata()[0] for c in paper] == [36.09, 36.08]
    assert [label.get_text() for label in axes.figure.axes[1].get_xticklabels()] == [row.name for row in rows]


def test_bars_beside_the_violins_are_the_intervals_of_the_table(small_dataset):
    """How well an angle is known is drawn by itself: a violin's width says how often frames had it."""
    axes = curvature_violins(small_dataset).axes[0]
    actions = {record.action for record in trial_records(small_dataset)}
    rows = [row for row in curvature_table(small_dataset) if row.name in actions]
    bars = [line.get_ydata() for line in axes.get_lines() if line.get_color() == PURPLE]
    wanted = [row.lla_mean_deg + 1.96 * row.lla_uncertainty_deg * np.array([-1, 1]) for row in rows]
    np.testing.assert_allclose(bars, wanted)


def test_constant_curvature_is_a_line_not_a_crash(small_dataset):
    figure = curvature_violins(small_dataset)
    assert len(figure.axes[0].collections) > len(figure.axes[1].collections)  # no violin of a rigid thorax
    assert FORCED_LABEL in texts(figure)


def test_forced_levels_are_hollow_and_grey(small_dataset):
    axes = lumbar_range_figure(small_dataset).axes[0]
    rows = [row for row in lumbar_rom(small_dataset) if row.plane == "flexion" and row.level != "lumbar"]
    points = [container.lines[0] for container in axes.containers]
    np.testing.assert_allclose([p.get_ydata()[0] for p in points], [row.rom_mean_deg for row in rows])
    grey = [p.get_color() == GREY and p.get_markerfacecolor() == "white" for p in points]
    assert grey == [row.decided == "set by the model" for row in rows]
    assert grey == [True] * 5 + [False]


def test_nothing_to_draw_gives_no_figures():
    assert validation_figures(Dataset({})) == {}
    assert validation_pictures(Dataset({})) == validation_text_tables(Dataset({})) == ()


def test_parts_for_a_page_hold_what_the_files_hold(small_dataset):
    made = validation_pictures(small_dataset)
    assert len(made) == len(validation_figures(small_dataset))
    ids = [name for picture in made for name in re.findall(r'\bid="([^"]+)"', picture.svg)]
    assert len(ids) == len(set(ids))
    tables = validation_text_tables(small_dataset)
    assert [len(table.rows) for table in tables] == [9 + len(PUBLISHED_BANDS), 21, 12]
    assert sum("set by the model" in row for row in tables[1].rows) == 5


def test_command_writes_tables_and_figures(small_dataset, tmp_path):
    write_dataset(tmp_path / "small.h5", small_dataset)
    done = CliRunner().invoke(main, ["validate", str(tmp_path)], catch_exceptions=False)  # a folder with one file
    assert done.exit_code == 0, done.output
    made = {path.name for path in (tmp_path / "validation").iterdir()}
    names = ("lla_tka", "lumbar_rom", "neck_rom")
    wanted = {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
    assert made == wanted | {f"{name}.csv" for name in names} | {"validation.md"}
    page = (tmp_path / "validation/validation.md").read_text(encoding="utf-8")
    assert all(f"({name}.png)" in page for name in names)
    assert "set by the model" in page


@pytest.mark.parametrize("arguments", [["nothing.h5"], ["--config", "nothing.yaml"]])
def test_what_is_missing_is_named(arguments):
    done = CliRunner().invoke(main, ["validate", *arguments])
    assert done.exit_code == 2
    assert arguments[-1] in done.output
