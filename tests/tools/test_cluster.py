"""The Slurm of two nodes: where it cannot be started, that is said, and nothing is done."""

import pytest
from tools.cluster import slurm
from tools.cluster.__main__ import main


@pytest.mark.parametrize(
    ("root", "installed", "own", "said"),
    [
        (True, False, False, "munged, slurmctld"),
        (False, True, False, "only root"),
        (True, True, True, "a cluster of its own"),
        (True, True, False, ""),
    ],
)
def test_what_is_missing(tmp_path, monkeypatch, root, installed, own, said):
    monkeypatch.setattr(slurm.shutil, "which", lambda name: name if installed else None)
    monkeypatch.setattr(slurm.os, "geteuid", lambda: 0 if root else 1000)
    monkeypatch.setattr(slurm, "CONF", tmp_path / "slurm.conf")
    if own:
        slurm.CONF.touch()
    found = slurm.missing()
    assert said in found
    assert bool(found) == bool(said)


def test_it_is_skipped_with_a_line(monkeypatch, capsys):
    monkeypatch.setattr(slurm.shutil, "which", lambda name: None)
    assert main() == 0
    assert capsys.readouterr().out.startswith("skipped: munged")
