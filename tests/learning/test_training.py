"""Training that is killed and goes on, checkpoints that are refused, and what each network sees."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from small_samples import small_samples
from tools.lifting_baselines.lifters import fit_lifter, views_of_subjects
from tools.lifting_baselines.networks import LearningData, SimpleBaseline, fit_network
from tools.lifting_baselines.options import LiftingNetwork, LiftingTraining, lifting_options
from tools.lifting_baselines.samples import Encoding

from simspine.core.errors import InputError
from simspine.learning.descent import CHECKPOINT_FILE, DescentRun, TrainingIdentity, load_checkpoint, save_checkpoint

pytestmark = pytest.mark.learn
SIZE = LiftingNetwork(width=32, dropout=0.3)
SETTINGS = LiftingTraining(epochs=6, batch=16, step_epochs=2, device="cpu")
DATA = small_samples(101)
CODE = Encoding.of(DATA)
LEARNING = LearningData(CODE.features(DATA), CODE.targets(DATA))
MAKE = partial(SimpleBaseline, 30, 42, SIZE)


def run(folder, **changes) -> DescentRun:
    return replace(DescentRun(folder, TrainingIdentity({"a": {"b": 1}}, "data"), seed=3), **changes)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return (*fit_network(MAKE, LEARNING, SETTINGS, run(folder)), folder)


@pytest.mark.parametrize("killed_after", [1, 4])
def test_a_killed_run_ends_as_if_it_had_not_been(undisturbed, tmp_path, killed_after):
    network, history, _ = undisturbed
    _, before = fit_network(MAKE, LEARNING, SETTINGS, run(tmp_path, until=killed_after))
    assert before.losses == history.losses[:killed_after]
    torch.manual_seed(99)  # what else draws random numbers does not matter
    lines = []
    again, after = fit_network(MAKE, LEARNING, SETTINGS, run(tmp_path, say=lines.append))
    assert after.losses == history.losses
    assert lines[0].endswith(f"{killed_after} of 6 epochs are done")
    assert len(lines) == 1 + 6 - killed_after
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_twice_gives_equal_bytes_with_any_number_of_threads(tmp_path):
    """A network that is large enough for its sums to be shared among threads."""
    make, before = partial(SimpleBaseline, 30, 42, LiftingNetwork(width=512)), torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        fit_network(make, LEARNING, SETTINGS, run(tmp_path / str(threads), until=2))
    torch.set_num_threads(before)
    first, second = ((tmp_path / threads / CHECKPOINT_FILE).read_bytes() for threads in "12")
    assert first == second


def test_it_learns_and_steps_down(undisturbed):
    _, history, folder = undisturbed
    assert history.losses[-1]["total"] < 0.9 * history.losses[0]["total"]  # most of the samples is noise
    assert load_checkpoint(folder / CHECKPOINT_FILE)[1]["optimiser"]["param_groups"][0]["lr"] == pytest.approx(
        1e-3 * 0.01
    )


def test_other_seeds_give_other_losses(undisturbed, tmp_path):
    _, found = fit_network(MAKE, LEARNING, SETTINGS, run(tmp_path, seed=4, until=1))
    assert found.losses[0] != undisturbed[1].losses[0]


def test_random_numbers_of_the_caller_go_on(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit_network(MAKE, LEARNING, SETTINGS, run(tmp_path, until=1))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04broken"])
def test_damaged_checkpoints_are_refused(tmp_path, content):
    (tmp_path / CHECKPOINT_FILE).write_bytes(content)
    with pytest.raises(InputError, match=r"checkpoint\.pt is no checkpoint that can be read.*Delete it"):
        fit_network(MAKE, LEARNING, SETTINGS, run(tmp_path))
    assert (tmp_path / CHECKPOINT_FILE).read_bytes() == content


class Evil:
    """Unpickled, it would write a file."""

    def __reduce__(self):
        import os

        return os.system, ("touch evil",)


def test_no_code_in_a_checkpoint_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"schema": 1, "state": Evil()}, tmp_path / CHECKPOINT_FILE)
    with pytest.raises(InputError, match="no checkpoint that can be read"):
        load_checkpoint(tmp_path / CHECKPOINT_FILE)
    assert not (tmp_path / "evil").exists()


def test_a_damaged_checkpoint_is_refused(tmp_path):
    """PyTorch itself reads on with other numbers."""
    path = tmp_path / CHECKPOINT_FILE
    save_checkpoint(path, TrainingIdentity({}, ""), {"a": torch.ones(1000)})
    content = bytearray(path.read_bytes())
    content[content.index(b"\x00\x00\x80\x3f" * 9) + 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="is damaged"):
        load_checkpoint(path)


def test_too_little_and_too_wild(tmp_path):
    with pytest.raises(InputError, match="at least two"):
        fit_network(MAKE, LearningData(LEARNING.features[:1], LEARNING.targets[:1]), SETTINGS, run(tmp_path))
    wild = LearningData(LEARNING.features, LEARNING.targets * np.inf)
    with pytest.raises(InputError, match="loss of epoch 1 is no number"):
        fit_network(MAKE, wild, SETTINGS, run(tmp_path))
    assert not list(tmp_path.iterdir())


def test_the_simple_baseline_has_the_papers_size():
    """Martinez 2017: 4 to 5 million weights at width 1024."""
    network = SimpleBaseline(74, 108, LiftingNetwork())
    linear = 74 * 1024 + 4 * 1024**2 + 1024 * 108 + 5 * 1024 + 108
    assert sum(p.numel() for p in network.parameters()) == linear + 5 * 2 * 1024


def test_a_network_lifts_better_than_the_mean_pose(views, tmp_path):
    """Of people it has learnt from, after seconds: shows that it learns, not how well it generalises."""
    changes = {"training.epochs": 15, "training.step_epochs": 15, "training.rate": 3e-3}
    options = lifting_options("tiny", **changes)
    lifter = fit_lifter(options, views, tmp_path)
    mean = fit_lifter(options.model_copy(update={"method": "mean"}), views, tmp_path / "mean")
    own = views_of_subjects(views, ["S1"])
    error = {}
    for name, some in (("network", lifter), ("mean", mean)):
        data = some.samples(own)
        error[name] = np.linalg.norm(some.lift_samples(data) - data.xyz, axis=-1).mean()
    assert error["network"] < 0.6 * error["mean"]
