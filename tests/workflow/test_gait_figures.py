"""The figures of `simspine demo gait` in the documents are those that it prints, with all rounds of the fit."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from simspine.cli.main import main

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.slow
def test_the_documents_show_what_the_command_prints(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = CliRunner().invoke(main, ["demo", "gait"]).output.splitlines()
    tutorial = (DOCS / "tutorials/markers.md").read_text(encoding="utf-8")
    shown = re.findall(r"^walking: .*\(95 %\)$", tutorial, re.MULTILINE)
    assert shown == [line for line in printed if line.startswith("walking: ")]
    half = float(re.search(r"lumbar lordosis [\d.]+ ± ([\d.]+)", shown[1])[1])
    stated = re.search(
        r"`simspine demo gait` \([^)]*\) reach ± ([\d.]+)°", (DOCS / "how-to/record-a-spine.md").read_text()
    )
    assert float(stated[1]) == pytest.approx(half / 1.96, abs=0.06)
