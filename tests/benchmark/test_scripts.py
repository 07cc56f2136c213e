"""The scripts beside the package start: each is imported, and those that are run say how."""

import importlib
import sys
from pathlib import Path

import pytest

SCRIPTS = sorted(path.stem for path in Path(__file__).parents[2].glob("benchmarks/*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_is_imported_and_says_how_it_is_run(name, monkeypatch, capsys):
    script = importlib.import_module(f"benchmarks.{name}")
    if name != "spine_by_rule":  # what other scripts import
        monkeypatch.setattr(sys, "argv", [name, "--help"])
        with pytest.raises(SystemExit) as stopped:
            script.main()
        assert stopped.value.code == 0
        assert capsys.readouterr().out.startswith(f"usage: {name}")


@pytest.mark.slow
def test_spines_are_inferred_beside_the_truth(monkeypatch, capsys):
    """Nearer than 10 cm to the vertebrae, from joints alone."""
    from benchmarks.inferred_spine import main

    monkeypatch.setattr(sys, "argv", ["", "--presets", "exact", "--subjects", "1", "--frames", "20"])
    main()
    rows = [line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines()[1:]]
    found = {name.strip(): float(value) for name, value in rows}
    assert found["share of frames"] > 0.9
    assert 0 < found["vertebrae, any"] < 100
    assert 0 < found["named, rule in space"] < 100
