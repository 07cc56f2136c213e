"""Lists of packages that must agree: pyproject.toml, requirements.lock, environment.yml; and the schema on disk."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import time
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from simspine.io.atomic import _process_lives
from simspine.workflow.config import json_schema, read_config

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text()


@pytest.fixture(scope="module")
def maker():
    """The script .ci/environment.py as a module."""
    spec = importlib.util.spec_from_file_location("environment", ROOT / ".ci/environment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entries() -> dict[str, list[str]]:
    """Requirement of each entry of the lock → its hashes."""
    blocks = re.split(r"\n(?=\S)", LOCK.strip())
    return {block.split("\\")[0].strip(): re.findall(r"--hash=(\S+)", block) for block in blocks}


def test_environment_yml_is_what_the_lock_makes(maker):
    assert (ROOT / "environment.yml").read_text() == maker.environment(LOCK), "run `make lock`"


def test_conda_and_pip_users_get_the_same_versions(maker):
    """Read independently of the script that wrote the file."""
    *listed, pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pinned = dict(entry.split("=") for entry in listed if "=" in entry)
    assert pinned.pop("python") == "3.11"
    assert len(pinned) > 10
    locked = maker.locked(LOCK)
    for name, version in pinned.items():
        assert locked[name.removesuffix("-base")] == version, name
    *others, itself = pip["pip"]
    assert itself == "-e ."
    by_pip = dict(entry.split("==") for entry in others)
    assert by_pip | {name.removesuffix("-base"): version for name, version in pinned.items()} == locked


def test_every_direct_dependency_is_locked_within_its_bounds(maker):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    for python in ("3.11", "3.12"):
        locked = {canonicalize_name(name): version for name, version in maker.locked(LOCK, python).items()}
        for text in wanted:
            requirement = Requirement(text)
            version = locked.get(canonicalize_name(requirement.name))
            assert version is not None, f"{requirement.name} is not locked for Python {python}"
            assert requirement.specifier.contains(version), f"{requirement} but {version} is locked"


def test_the_lock_names_no_place():
    """Neither registry nor mirror: whoever installs uses their own."""
    assert "://" not in LOCK
    assert not re.search(r"--(extra-)?index-url|--find-links|--trusted-host", LOCK)


def test_every_locked_package_has_hashes():
    found = entries()
    assert len(found) > 80
    for requirement, hashes in found.items():
        Requirement(requirement)  # well-formed
        assert re.fullmatch(r"[a-z0-9-]+==\S+( ;.*)?", requirement), requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in hashes), requirement


def test_nothing_of_spineposes_licence_is_locked(maker):
    """Its code and weights are for non-commercial use only; it is an extra that users choose."""
    assert "spinepose" not in maker.locked(LOCK)
    assert "torch" not in maker.locked(LOCK)


def test_schema_on_disk_is_that_of_the_types():
    expected = json.dumps(json_schema(), indent=2) + "\n"
    assert (ROOT / "configs/schema.json").read_text() == expected, (
        "run `simspine doctor --schema > configs/schema.json`"
    )


@pytest.mark.parametrize("file", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_configurations_are_valid(file):
    """By the types, and by the schema as other tools read it."""
    import jsonschema

    read_config(file)
    jsonschema.validate(yaml.safe_load(file.read_text()), json_schema())


def test_schema_refuses_what_the_types_refuse():
    import jsonschema

    demo = yaml.safe_load((ROOT / "configs/demo.yaml").read_text())
    for wrong in ({"filterr": {}}, {"filter": {"order": 3}}, {"subjects": {}}, {"name": "a/b"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(demo | wrong, json_schema())


def test_every_setting_is_explained():
    """The schema is what editors show: no field without a description."""
    schema = json_schema()
    for name, section in [("Config", schema), *schema["$defs"].items()]:
        for key, field in section["properties"].items():
            if key not in (
                "detection",
                "cameras",
                "triangulation",
                "filter",
                "merge",
                "body",
                "scaling",
                "ik",
                "quality",
                "report",
            ):
                assert field.get("description"), f"{name}.{key}"


def test_no_oracle_is_skipped_for_want_of_a_package():
    """Packages of the lock are there, or the installation is at fault. Other programs that read our files need not be
    there: their tests are in one folder.
    """
    skip = "importor" + "skip"
    files = [path for path in (ROOT / "tests").rglob("*.py") if skip in path.read_text(encoding="utf-8")]
    assert {path.parent.name for path in files} == {"other_programs"}


@pytest.mark.skipif(shutil.which("bash") is None or not hasattr(os, "killpg"), reason="a script of Unix")
def test_the_wheels_trial_ends_with_the_checks_beside_it(tmp_path):
    """With its own processes, such as pip's: `.ci/run` left them running where another check failed."""
    script = (ROOT / ".ci/run").read_text()
    begun = script[script.index("wheel=$(mktemp)") : script.index("# Networks:")]
    command = begun.replace(".venv/bin/python tests/try_wheel.py --short", "bash -c 'sleep 60 & echo $!; wait'")
    assert command != begun
    (tmp_path / "run").write_text(f'set -euo pipefail\n{command}\nsleep 1\ncp "$wheel" {tmp_path}/process\nfalse\n')
    assert subprocess.run(["bash", tmp_path / "run"], timeout=30).returncode == 1
    time.sleep(0.2)
    assert not _process_lives(int((tmp_path / "process").read_text()))
