import pytest
from tools.lifting_baselines.options import LIFTING_PRESETS, LiftingOptions, lifting_options

from simspine.core.errors import InputError


@pytest.mark.parametrize("name", LIFTING_PRESETS)
def test_presets_are_options(name):
    assert lifting_options(name).method == "simple"


def test_single_keys_change_the_rest_stays():
    changed = lifting_options("tiny", **{"training.epochs": 7, "points": "spine", "method": None})
    plain = lifting_options("tiny")
    assert changed.training == plain.training.model_copy(update={"epochs": 7})
    assert (changed.points, changed.method, changed.source) == ("spine", plain.method, plain.source)


def test_a_file_says_what_differs_from_a_preset(tmp_path):
    file = tmp_path / "lifting.yaml"
    file.write_text("preset: tiny\nmethod: ridge\ntraining: {batch: 8}\n")
    assert lifting_options(file) == lifting_options("tiny", **{"method": "ridge", "training.batch": 8})
    assert lifting_options(file, method="mean").method == "mean"


@pytest.mark.parametrize(("text", "said"), [
    ("method: magic", "method: Input should be"), ("preset: huge", "unknown preset 'huge'"), ("- 1", "not a mapping"),
    ("training: {epoch: 3}", "  - unknown key 'epoch' in training. Did you mean 'epochs'"),
    ("test: [S1]", "S1 cannot be trained on and tested on"),
    ("source: {every: 50, context: 7}", "does not divide"), ("network: {dropout: 1}", "dropout: Input should be less"),
    ("train: {}", "train: Input should be"), ("test: {a: 1}", "test: Input should be"),
    ("training: {epochs: true}", r"training.epochs: Input should be a whole number \(found true\)."),
])  # fmt: skip
def test_faults_are_named_with_the_file(tmp_path, text, said):
    file = tmp_path / "lifting.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        lifting_options(file)
    assert str(file) in str(caught.value)


def test_options_are_plain_for_checkpoints():
    found = lifting_options("cpu")
    assert LiftingOptions.model_validate(found.model_dump(mode="json")) == found


def test_a_key_of_what_is_no_section_is_refused(tmp_path):
    file = tmp_path / "lifting.yaml"
    file.write_text("training: []")
    assert lifting_options(file, **{"training.epochs": 3}).training.epochs == 3  # nothing is left of the list
    with pytest.raises(InputError, match="training: "):
        lifting_options(file)
