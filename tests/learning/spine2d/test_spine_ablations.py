"""Which settings are compared."""

import pytest

from simspine.errors import InputError
from simspine.learning.spine2d.ablations import FRACTIONS, by_fractions, by_losses, run_detector_ablation
from simspine.learning.spine2d.options import spine_preset


@pytest.fixture
def options(dotted):
    data = {
        "train": [{"folder": str(dotted), "split": "val2017"}, {"folder": str(dotted)}], "points": "trunk",
        "test": {"folder": str(dotted), "split": "val2017"},
    }  # fmt: skip
    return spine_preset("tiny", data=data, teacher="body.pt")


def switched_off(losses):
    return {name for name in ("position", "distill", "structure", "spine", "spread") if getattr(losses, name) == 0}


def test_losses_are_switched_off_as_in_the_papers_rows(options):
    found = {name: switched_off(own.losses) for name, own in by_losses(options).items()}
    assert found == {
        "position": {"distill", "structure", "spine"}, "+ distill": {"structure", "spine"},
        "+ distill + spine": {"structure"}, "+ distill + structure": {"spine"}, "all": set(),
    }  # fmt: skip
    alone = by_losses(options.model_copy(update={"teacher": None}))
    assert list(alone) == ["position", "+ spine", "+ structure", "all"]


def test_fractions_are_of_the_last_set(options):
    found = [[own.fraction for own in changed.data.train] for changed in by_fractions(options).values()]
    assert found == [[1.0, fraction] for fraction in FRACTIONS]


def test_faults_come_before_any_work(options, tmp_path):
    with pytest.raises(InputError, match="unknown setting to change 'colour'"):
        run_detector_ablation(options, "colour", tmp_path)
    without = options.model_copy(update={"data": options.data.model_copy(update={"test": None})})
    with pytest.raises(InputError, match=r"data\.train and data\.test are needed"):
        run_detector_ablation(without, "losses", tmp_path)
