import json
from dataclasses import replace

import pytest

from simspine.errors import InputError
from simspine.evaluation.leaderboard import (
    LeaderboardEntry,
    add_entries,
    board_sources,
    board_tables,
    main_figures,
    read_leaderboard,
)
from simspine.evaluation.tables import EvaluationTable, TableColumn, TableRow
from simspine.report.benchmark_page import benchmark_page


def entry(method="ours", value=1.0, **changes):
    return LeaderboardEntry("lifting", method, {"t: all: spine": value}, "0.1", "2026-01-02", "ab", "cd", **changes)


def test_a_result_computed_again_takes_its_own_place(tmp_path):
    path = tmp_path / "board.jsonl"
    add_entries(path, [entry(), entry("theirs")])
    add_entries(path, [entry(value=2.0), entry(options={"step": 1})])
    found = read_leaderboard(path)
    assert [(e.method, e.figures["t: all: spine"], e.options) for e in found] == [
        ("theirs", 1.0, {}), ("ours", 2.0, {}), ("ours", 1.0, {"step": 1}),
    ]  # fmt: skip
    lines = path.read_text().splitlines()
    assert len(lines) == 3
    assert all(json.loads(line)["data"] == "ab" for line in lines)


def test_only_a_methods_own_figures_over_all_data_are_kept():
    table = EvaluationTable(
        "t", "T", (TableColumn("spine"), TableColumn("Walking")),
        (
            TableRow("ours", "mean over frames", (1.23456, 5.0)),
            TableRow("ours", "95 % by trial", ((1.0, 2.0), None)),
            TableRow("ours", "Walking", (3.0, 4.0)),
            TableRow("ours", "mean over frames", (9.0, 9.0), "A paper"),
            TableRow("theirs", "mean over frames", (5.0, 5.0)),
        ),
    )  # fmt: skip
    assert main_figures([table], "ours") == {"t: mean over frames: spine": 1.2346}


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "board.jsonl"
    add_entries(path, [entry()])
    path.write_text(path.read_text() + '{"method": "x"}\n')
    with pytest.raises(InputError, match=r"board\.jsonl, line 2"):
        read_leaderboard(path)
    assert read_leaderboard(tmp_path / "none.jsonl") == ()


def test_a_file_that_is_no_text_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "points.npz"
    path.write_bytes(b"PK\x03\x04\xfb\xff")
    with pytest.raises(InputError, match=r"points\.npz: not a leaderboard"):
        add_entries(path, [entry()])
    assert path.read_bytes() == b"PK\x03\x04\xfb\xff"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"figures": [1]}, "figures is"), ({"figures": {"a": "1"}}, "figure 'a' is '1'"),
        ({"method": 3}, "method is 3"),
        ({"options": "x"}, "options is"), ({"more": 1}, "more"),
    ],
)  # fmt: skip
def test_an_entry_made_by_hand_is_checked(tmp_path, change, said):
    path = tmp_path / "board.jsonl"
    content = {"benchmark": "2d", "method": "x", "figures": {}, "version": "", "date": ""}
    path.write_text("\n" + json.dumps(content | change))
    with pytest.raises(InputError, match=rf"board\.jsonl, line 2.*{said}"):
        read_leaderboard(path)


def test_sources_say_what_differs_and_once_what_does_not():
    alike, (heading, first, second) = board_sources([
        entry(options={"step": 50, "body": True}), entry("theirs", options={"step": 1, "body": True}),
    ])  # fmt: skip
    assert alike == {"body": "yes"}
    assert first == ["1. ours", "2026-01-02", "0.1", "ab", "cd", "step 50"]
    assert second[-1] == "step 1"
    assert len(heading) == len(first)


def test_figures_of_no_table_are_listed_last():
    (only,) = board_tables([replace(entry(), figures={"score": 0.5})], [])
    assert (only.title, only.value("1. ours", "", "score")) == ("Other figures", 0.5)


def test_the_page_lists_figures_in_the_order_of_the_tables():
    columns = TableColumn("spine"), TableColumn("all")
    table = EvaluationTable("t", "T", columns, (TableRow("ours", "all", (1.0, 2.0)),))
    old = LeaderboardEntry("lifting", "old", {"a: all: spine": 4.0, "t: all: all": 2.0}, "0.1", "2026-01-02")
    first, second = board_tables([old, entry()], [table])
    assert [column.heading for column in first.columns] == ["spine [mm]", "all [mm]"]
    assert first.value("1. old", "all", "all") == 2
    assert first.value("2. ours", "all", "all") is None
    assert (second.title, second.value("1. old", "all", "spine")) == ("a", 4)
    page = benchmark_page("title", [table], {}, {}, [old, entry()])
    assert page.index("1. old") < page.index("2. ours")
