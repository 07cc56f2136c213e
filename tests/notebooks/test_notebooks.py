"""Notebooks run from the first cell to the last on small data, and the outputs stored in them are of their code."""

import re
from pathlib import Path

import nbformat
import pytest
import yaml
from small_videos import write_beginning_of_the_demo
from tools.run_notebooks import CHECKSUM, code_checksum

from simspine.synthesis.virtual_trial import write_capture
from simspine.workflow.config import read_config
from simspine.workflow.jobs import run_stage

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
STAGES = ("detect", "triangulate", "merge", "scale", "ik", "vertebrae", "quality", "export")
FRAMES = 6  # of each video, of the first notebook
# A body to look at, not the best one: the first steps of one fit to the person.
ROUGH = {"simspine.estimation.fit_person.NOISE_ROUNDS": 1, "simspine.estimation.person_system.MAX_PERSON_STEPS": 5}


def book(number: int) -> nbformat.NotebookNode:
    return nbformat.read(next(path for path in NOTEBOOKS if path.name.startswith(f"{number}_")), as_version=4)


@pytest.fixture(scope="session")
def virtual(tmp_path_factory) -> Path:
    """Configuration of a virtual capture of two people, two trials each, gone through all stages."""
    folder = tmp_path_factory.mktemp("virtual")
    settings = yaml.safe_load((ROOT / "configs/virtual.yaml").read_text())
    settings["results"] = str(folder / "results")
    settings["virtual"] |= {"actions": ["Greeting_1", "Walking_1"], "frames": 24}
    settings["capture"] |= {"human36m": str(folder / "capture"), "detections": str(folder / "capture/detections")}
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(settings))
    config = read_config(file)
    write_capture(config.capture.human36m, config.virtual)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ROUGH.items():
            patch.setattr(name, value)
        for stage in STAGES:
            run_stage(stage, config, None, None, quiet=True)
    return file


@pytest.fixture
def videos(tmp_path) -> Path:
    """Configuration of the demonstration with the first frames of its videos."""
    settings = yaml.safe_load((ROOT / "configs/demo.yaml").read_text())
    settings["results"] = str(tmp_path / "results")
    settings["subjects"]["S01"]["trials"]["balance"] = write_beginning_of_the_demo(tmp_path, FRAMES)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path / "config.yaml"


@pytest.fixture(scope="module")
def kernel():
    """One process for all notebooks, since each would load the libraries anew."""
    from jupyter_client.manager import KernelManager

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        manager = KernelManager(kernel_name="python3")
        manager.start_kernel(cwd=str(ROOT / "notebooks"))
    yield manager
    manager.shutdown_kernel(now=True)


def run(number: int, kernel, **parameters) -> str:
    """Execute a notebook with other parameters and no name of the one before; all it printed."""
    from nbclient import NotebookClient

    notebook = book(number)
    modules = "; ".join(f"import {name.rpartition('.')[0]}; {name} = {value}" for name, value in ROUGH.items())
    notebook.cells[0] = nbformat.v4.new_code_cell(f"{modules}\n%reset -f")
    chosen = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    chosen.source += "\n" + "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    NotebookClient(notebook, km=kernel, timeout=300).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    texts = [output.get("text", "") or output.get("data", {}).get("text/markdown", "") for output in outputs]
    pictures = sum("image/png" in output.get("data", {}) for output in outputs)
    return "\n".join(texts) + f"\n{pictures} pictures"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_short_and_hold_the_outputs_of_their_code(path):
    """Stored by tools/run_notebooks.py; small, without an error, a session's counters or a machine's paths."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert notebook.metadata[CHECKSUM] == code_checksum(notebook), f"run: python -m tools.run_notebooks {path.name[0]}"
    outputs = [output for cell in code for output in cell.outputs]
    assert outputs
    assert {output.output_type for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert all(cell.execution_count is None for cell in code)
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"[\s\"'(]/(home|root|work|tmp|Users)/", text)
    assert len(text) < 500e3
    assert sum(len(cell.source.splitlines()) for cell in code) <= 100
    assert len([cell for cell in code if "parameters" in cell.metadata.get("tags", ())]) == 1
    assert notebook.cells[0].source.startswith("# ")


@pytest.mark.slow
def test_from_video_to_spine(videos, kernel):
    said = run(1, kernel, config_file=str(videos))
    assert f"1 trials, {FRAMES} frames" in said
    assert "LLA: mean" in said
    assert said.endswith("1 pictures")


@pytest.mark.slow
def test_lla_and_tka(virtual, kernel):
    said = run(2, kernel, data_file=str(virtual.parent / "results/virtual.h5"))
    assert re.search(r"\| Greeting +\| 2 +\| 2 +\| 48 +\|", said)
    assert "S5/Walking_1 LLA: moves by" in said


@pytest.mark.slow
def test_range_of_motion(virtual, kernel):
    said = run(3, kernel, data_file=str(virtual.parent / "results/virtual.h5"))
    assert "1.857 × L5_S1" in said  # from the walk, and from the model's file
    assert "L4_L5_Flex_Ext = 1.857 × L5_S1_Flex_Ext" in said
    assert re.search(r"\| L5-S1 +\| flexion +\| 2 +\|", said)


@pytest.mark.slow
def test_uncertainty_and_truth(virtual, kernel):
    said = run(4, kernel, config_file=str(virtual))
    assert "S1/Walking_1" in said
    assert "% within the 95 % band" in said
    assert "lumbar   moved by" in said


@pytest.mark.slow
def test_learning(virtual, kernel):
    said = run(5, kernel, data_file=str(virtual.parent / "results/virtual.h5"), length=9)
    assert "tested on S5" in said
    assert "always the training mean" in said


@pytest.mark.slow
@pytest.mark.long
def test_lifting(kernel, tmp_path):
    """With PyTorch or without."""
    said = run(6, kernel, work=str(tmp_path))
    assert "learn from S1, S5, predict S6" in said
    assert "features (240, 74) · targets (240, 108)" in said
    assert "ridge    MPJPE of the spine" in said
    assert "SimpleBaseline3D, full-body, GT 2D" in said
    assert re.search(r"\| ridge +\| all +\|", said)
    assert ("no PyTorch here" in said) != ("simple   MPJPE" in said)
    assert said.endswith("1 pictures")
