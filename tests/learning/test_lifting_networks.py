"""The benchmark with networks, from nothing to tables, seconds long."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from simspine.cli.main import main
from simspine.evaluation.tables import evaluation_json
from simspine.learning.lifters import fit_lifter
from simspine.learning.options import NETWORK_METHODS, lifting_preset
from simspine.learning.runs import LiftingRow, run_lifting_benchmark

pytestmark = pytest.mark.learn


def test_the_benchmark_of_networks_goes_on_where_it_stopped(tiny, tmp_path):
    rows = [LiftingRow(method, "full", "detected") for method in ("ridge", *NETWORK_METHODS)]
    lines = []
    first = run_lifting_benchmark(tiny, rows, tmp_path, say=lines.append)
    assert [table.name for table in first] == ["lifting_regions", "lifting_actions", "lifting_gain"]
    assert sum(line.startswith("epoch 4/4") for line in lines) == len(NETWORK_METHODS)
    for method in NETWORK_METHODS:
        losses = np.loadtxt(tmp_path / f"{method}-full-detected/losses.csv", delimiter=",", skiprows=1)
        assert losses.shape == (4, 3)
        assert np.isfinite(losses).all()
    lines.clear()
    again = run_lifting_benchmark(tiny, rows, tmp_path, say=lines.append)
    assert not [line for line in lines if line.startswith("epoch")]
    assert evaluation_json(again) == evaluation_json(first)


def test_a_seed_decides_everything(tiny, views, tmp_path):
    one, same = (fit_lifter(tiny, views, tmp_path / name).history for name in ("one", "same"))
    other = fit_lifter(tiny.model_copy(update={"seed": 2}), views, tmp_path / "other").history
    assert one == same
    assert one.losses != other.losses


def test_a_checkpoint_of_other_options_is_refused_by_the_command(tmp_path):
    arguments = ["train", "lifting", "--preset", "tiny", "--out", str(tmp_path)]
    assert CliRunner().invoke(main, [*arguments, "--epochs", "1"]).exit_code == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    done = CliRunner().invoke(main, [*arguments, "--epochs", "2"])
    assert done.exit_code == 2
    assert "training.epochs is 1, asked for is 2" in done.stderr
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_gpu_that_is_not_there_is_said(tiny, views, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("a GPU is there")
    from simspine.core.errors import InputError

    options = lifting_preset("tiny", **{"training.device": "cuda"})
    with pytest.raises(InputError, match="PyTorch finds no GPU"):
        fit_lifter(options, views, tmp_path)
