"""The scripts beside the package start: each is imported, and those that are run say how."""

import importlib
import sys
from pathlib import Path

import pytest

SCRIPTS = sorted(path.stem for path in Path(__file__).parents[2].glob("benchmarks/*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_is_imported_and_says_how_it_is_run(name, monkeypatch, capsys):
    script = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as stopped:
        script.main()
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {name}")
