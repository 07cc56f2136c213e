"""The scripts beside the package start: each is imported, and those that are run say how."""

import importlib
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path.stem for path in ROOT.glob("benchmarks/*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_is_imported_and_says_how_it_is_run(name, monkeypatch, capsys):
    script = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as stopped:
        script.main()
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {name}")


@pytest.mark.parametrize("file", ["docs/accuracy.md", "pipeline/simspine/report/page.html.j2"])
def test_texts_say_how_many_ranges_lay_within_their_intervals(file):
    held, shown = json.loads((ROOT / "benchmarks/ranges.json").read_text())["all"]
    assert f" {held} of {shown} ranges" in (ROOT / file).read_text(encoding="utf-8")
