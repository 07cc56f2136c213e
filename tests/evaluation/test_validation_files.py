"""Validation tables on the page and as files."""

import pytest
from command_line import call, failed, succeeded

from simspine.io.dataset_write import write_dataset
from simspine.report.tables import validation_text_tables


def test_tables_of_a_page_hold_what_the_files_hold(small_records):
    assert validation_text_tables([]) == ()
    tables = validation_text_tables(small_records)
    assert [len(table.rows) for table in tables] == [9, 21, 12]
    assert sum("set by the model" in row for row in tables[1].rows) == 5


def test_command_writes_tables(small_dataset, tmp_path):
    write_dataset(tmp_path / "small.h5", small_dataset)
    succeeded(call("validate", tmp_path, catch_exceptions=False))  # a folder with one file
    made = {path.name for path in (tmp_path / "validation").iterdir()}
    names = ("lla_tka", "lumbar_rom", "neck_rom")
    assert made == {f"{name}.csv" for name in names} | {"validation.md"}
    page = (tmp_path / "validation/validation.md").read_text(encoding="utf-8")
    assert "set by the model" in page
    succeeded(call("validate", tmp_path))  # its own files are replaced
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/lla_tka.csv").write_text("mine")
    assert "mine exists already" in failed(call("validate", tmp_path, "--out", tmp_path / "mine"))


@pytest.mark.parametrize("arguments", [["nothing.h5"], ["--config", "nothing.yaml"]])
def test_what_is_missing_is_named(arguments):
    assert arguments[-1] in failed(call("validate", *arguments))
