"""Which source files decide what a stage makes."""

import subprocess
import sys

import pytest

from simspine.workflow import record
from simspine.workflow.record import PACKAGE_FOLDER, STAGE_NAMES, code_digest, source_files


def names(module: str) -> set[str]:
    return {path.relative_to(PACKAGE_FOLDER).as_posix() for path in source_files(module)}


def working_files(stage: str) -> set[str]:
    """What a stage's results depend on beside the settings, which are those of the whole configuration."""
    settings = ("/options.py", "/__init__.py")
    return {name for name in names(f"simspine.workflow.jobs.{stage}") if not name.endswith(settings)}


@pytest.mark.parametrize("stage", ["detect", "quality"])
def test_all_that_python_loads_is_among_them(stage):
    """The oracle: Python's own list of modules after the import, but for the lazy top of the package."""
    module = f"simspine.workflow.jobs.{stage}"
    script = f"import sys, {module}; print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('simspine.')))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert len(loaded) > 50
    assert {file.rpartition("/simspine/")[2] for file in loaded} <= names(module)


def test_imports_inside_functions_and_tables_count():
    found = names("simspine.workflow.detect_stage")
    assert "formats/trc.py" in found  # workflow/inputs.py imports it inside a method
    assert {"skeletons/tables/spinetrack37.csv", "detection/networks/pose_detection.tflite"} <= found


def test_detection_does_not_depend_on_what_follows_it():
    """A change of inverse kinematics must not cost the hours of detection."""
    rooms = {name.split("/")[0] for name in working_files("detect")}
    assert not rooms & {"ik", "quality", "report", "commands", "benchmark", "capture"}
    for stage in STAGE_NAMES:
        assert not {name.split("/")[0] for name in names(f"simspine.workflow.jobs.{stage}")} & {"commands", "capture"}


def test_one_byte_more_is_another_digest(tmp_path, monkeypatch):
    for name, text in {
        "a.py": "from simspine.b.c import (\n    x,\n)\n",
        "b/__init__.py": "",
        "b/c.py": "x = 1\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "b/t.csv").write_text("1")
    (tmp_path / "other.py").write_text("")
    monkeypatch.setattr(record, "PACKAGE_FOLDER", tmp_path)
    digests = set()
    for name, text in (("b/c.py", "x = 2\n"), ("b/t.csv", "2"), ("b/__init__.py", "#"), (None, None)):
        for cached in (record._digest_of_files, record._imported_modules, code_digest):
            cached.cache_clear()
        digests.add(code_digest("simspine.a"))
        if name is not None:
            (tmp_path / name).write_text(text)
    assert [path.name for path in source_files("simspine.a")] == ["a.py", "__init__.py", "c.py", "t.csv"]
    code_digest.cache_clear()
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("stage", "others"),
    [
        ("detect", {"ik", "report", "dataset", "formats/takes.py", "formats/dataset_tree.py"}),
        (
            "triangulate",
            {"ik", "formats/takes.py", "quality/assess.py", "report", "validation", "dataset", "rendering", "surface"},
        ),
        ("scale", {"report", "validation", "dataset", "rendering"}),
        ("ik", {"report", "validation", "dataset", "rendering", "evaluation"}),
    ],
)
def test_what_comes_after_a_stage_does_not_decide_it(stage, others):
    """An update of the report alone must not make somebody's half a million frames stale."""
    files = working_files(stage)
    assert f"workflow/stages/{stage}.py" in files
    assert not {file for file in files for other in others if file == other or file.startswith(f"{other}/")}
