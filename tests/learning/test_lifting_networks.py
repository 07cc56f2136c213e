"""What decides a network of a lifter, and when it is refused."""

import pytest
import torch
from click.testing import CliRunner
from tools.lifting_baselines.__main__ import main
from tools.lifting_baselines.lifters import fit_lifter
from tools.lifting_baselines.options import lifting_options

pytestmark = pytest.mark.learn


def test_a_seed_decides_everything(tiny, views, tmp_path):
    one, same = (fit_lifter(tiny, views, tmp_path / name).history for name in ("one", "same"))
    other = fit_lifter(tiny.model_copy(update={"seed": 2}), views, tmp_path / "other").history
    assert one == same
    assert one.losses != other.losses


def test_a_checkpoint_of_other_options_is_refused_by_the_command(tmp_path):
    arguments = ["--preset", "tiny", "--out", str(tmp_path)]
    assert CliRunner().invoke(main, [*arguments, "--epochs", "1"]).exit_code == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    done = CliRunner().invoke(main, [*arguments, "--epochs", "2"])
    assert done.exit_code == 1
    assert "training.epochs is 1, asked for is 2" in done.stderr
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_gpu_that_is_not_there_is_said(tiny, views, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("a GPU is there")
    from simspine.core.errors import InputError

    options = lifting_options("tiny", **{"training.device": "cuda"})
    with pytest.raises(InputError, match="PyTorch finds no GPU"):
        fit_lifter(options, views, tmp_path)
