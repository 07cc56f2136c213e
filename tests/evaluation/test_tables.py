"""Tables: what every way of writing one must hold, and that nothing of others passes for ours."""

import csv
import json
from importlib.resources import files

import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.evaluation.tables import (
    EvaluationTable,
    TableColumn,
    TableRow,
    evaluation_json,
    evaluation_markdown,
    published_rows,
)

TABLE = EvaluationTable(
    "small",
    "Errors of 50 %",
    (TableColumn("spine"), TableColumn("share", "", 1)),
    (
        TableRow("our_method", "mean", (12.345, None)),
        TableRow("our_method", "95 %", ((1.0, 2.5), float("nan"))),
        TableRow("theirs | old", "mean", (9.0, 0.25), "A paper, Table 1"),
    ),
    ("A note.",),
)


def test_markdown_has_the_same_cells_in_all_rows():
    rows = [" ".join(line.split()) for line in evaluation_markdown(TABLE).splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {6}
    assert "| our_method | mean | 12.35 | | |" in rows
    assert "| theirs / old | mean | 9.00 | 0.2 | published, other data: A paper, Table 1 |" in rows
    lines = evaluation_markdown(TABLE).splitlines()
    assert (lines[0], lines[-1]) == ("## Errors of 50 %", "A note.")
    assert len({len(line) for line in lines if line.startswith("|")}) == 1


def test_json_keeps_numbers_in_full_and_has_no_nan():
    found = json.loads(evaluation_json([TABLE], version="1"), parse_constant=pytest.fail)
    assert found["version"] == "1"
    rows = found["tables"][0]["rows"]
    assert [row["cells"] for row in rows] == [
        {"spine": 12.345, "share": None}, {"spine": [1.0, 2.5], "share": None}, {"spine": 9.0, "share": 0.25},
    ]  # fmt: skip
    assert [row["source"] for row in rows] == ["", "", "A paper, Table 1"]


def test_cells_are_found_by_name_and_nonsense_is_refused():
    assert TABLE.value("our_method", "mean", "spine") == 12.345
    with pytest.raises(InputError, match="unknown column"):
        TABLE.value("our_method", "mean", "neck")
    with pytest.raises(InputError, match="unknown row"):
        TABLE.value("their_method", "mean", "spine")


def published(table):
    rows = csv.DictReader(files("simspine.evaluation").joinpath("published.csv").read_text().splitlines())
    return [row for row in rows if row["table"] == table]


@pytest.mark.parametrize("table", ["multiview_mpjpe", "lifting_regions"])
def test_the_papers_columns_are_means_over_points(table):
    """What the sizes of the regions were told from: spine = (5 cervical + 6 thoracic + 4 lumbar) / 15, all rows."""
    kind = "" if table == "multiview_mpjpe" else "MPJPE "
    names = [f"{kind}{name}" for name in ("cervical", "thoracic", "lumbar", "spine")]
    rows = published_rows(table, [TableColumn(name) for name in names])
    assert len(rows) == (18 if table == "multiview_mpjpe" else 4)
    for row in rows:
        c, t, lumbar, spine = row.cells
        assert (5 * c + 6 * t + 4 * lumbar) / 15 == pytest.approx(spine, abs=0.011)


def test_all_published_figures_are_named_and_plausible():
    for table in ("multiview_mpjpe", "multiview_p_mpjpe", "lifting_actions", "lifting_regions", "images_ap"):
        rows = published(table)
        assert rows
        for row in rows:
            assert row["source"].startswith(("SimSpine (CVPR 2026), Table", "SpineTrack (CVPRW 2025), Table"))
            assert 0 < float(row["value"]) < (1 if row["unit"] == "share" else 110)
    mean = published_rows("multiview_mpjpe", [TableColumn("all")])
    over = {row.method: row.cells[0] for row in mean if row.label == "mean over frames"}
    assert over == {"triangulation, GT 2D": 7.85, "triangulation, fine-tuned": 31.82, "triangulation, zero-shot": 49.3}
    actions = [r.cells[0] for r in mean if r.method.endswith("fine-tuned") and r.label != "mean over frames"]
    assert np.mean(actions) == pytest.approx(31.70, abs=0.01)
