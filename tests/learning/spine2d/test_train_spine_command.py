"""`simspine train spine` from the command line."""

import pytest
from command_line import call, succeeded

pytestmark = pytest.mark.learn


def test_it_trains_prints_figures_and_goes_on(dotted, tmp_path):
    config, out = tmp_path / "mine.yaml", tmp_path / "out"
    config.write_text(
        f"preset: tiny\ndata:\n  train: [{{folder: {dotted}}}]\n  test: {{folder: {dotted}, split: val2017}}\n"
        "  points: trunk\n"
    )
    command = ["train", "spine", str(config), "--out", str(out), "--epochs", "1", "--seed", "4"]
    said = succeeded(call(*command))
    assert "mean place in the box" in said
    assert "18 people to learn from, 7 to judge by" in said
    assert (out / "detector.onnx").is_file()
    again = call(*command)
    assert "1 of 1 epochs are done" in again.output
    other = call(*command[:-1], "5")
    assert other.exit_code != 0
