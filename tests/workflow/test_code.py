"""Which source files decide what a stage makes."""

import subprocess
import sys

import pytest

from simspine.workflow import up_to_date
from simspine.workflow.up_to_date import CODE_OF, PACKAGE_FOLDER, STAGE_NAMES, code_digest, source_files


def names(stage: str) -> set[str]:
    return {path.relative_to(PACKAGE_FOLDER).as_posix() for path in source_files(stage)}


@pytest.mark.parametrize(
    ("stage", "module"),
    [("detect", "reconstruction.detection"), ("ik", "reconstruction.stages"), ("merge", "reconstruction.cameras")],
)
def test_all_that_python_loads_is_among_them(stage, module):
    """The oracle: Python's own list of modules after the import; the package's lazy top holds no code of a stage."""
    mine = "m.__file__ for n, m in sys.modules.items() if n.startswith('simspine.')"
    script = f"import sys, simspine.{module}; print(*({mine}))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    files = {file.rpartition("/simspine/")[2] for file in loaded}
    assert len(files) > 15
    if stage == "detect":  # options of other stages, and whatever types they name, decide nothing about detection
        files = {file for file in files if file.split("/")[0] in ("core", "io", "vision")}
    assert files <= names(stage)


def test_every_place_that_is_named_is_there():
    for place in {place for places in CODE_OF.values() for place in places} | set(up_to_date.STAGE_CODE):
        assert (PACKAGE_FOLDER / place).exists(), place


def test_tables_and_networks_count():
    assert {"core/tables/spinetrack37.csv", "vision/networks/pose_detection.tflite"} <= names("detect")


def test_what_comes_after_a_stage_does_not_decide_it():
    """A change of inverse kinematics must not cost hours of detection, nor one of the report half a million frames."""
    rooms = {stage: {name.split("/")[0] for name in names(stage)} for stage in STAGE_NAMES}
    assert not rooms["detect"] & {"estimation", "quality", "report", "cli", "evaluation", "synthesis"}
    for stage in STAGE_NAMES:
        assert not rooms[stage] & {"cli", "report", "evaluation", "synthesis", "learning", "annotation", "dataset"}
    assert "report" in {name.split("/")[0] for name in names("page")}


def test_one_byte_more_is_another_digest(tmp_path, monkeypatch):
    for name in ("a.py", "b/__init__.py", "b/c.py", "b/t.csv", "other.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1")
    monkeypatch.setattr(up_to_date, "PACKAGE_FOLDER", tmp_path)
    monkeypatch.setattr(up_to_date, "CODE_OF", {"x": ("a.py", "b")})
    assert [path.name for path in source_files("x")] == ["a.py", "__init__.py", "c.py", "t.csv"]
    digests = []
    for name in (None, "other.py", "b/c.py", "b/t.csv", "b/__init__.py", "a.py"):
        if name is not None:
            (tmp_path / name).write_text("2")
        code_digest.cache_clear()
        digests.append(code_digest("x"))
    code_digest.cache_clear()
    assert digests[0] == digests[1]
    assert len(set(digests)) == 5
