"""Recipes of containers take the steps of `make env`, from files that are there. Nothing is built."""

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from simspine.cli.main import main

ROOT = Path(__file__).parents[1]
DOCKER, APPTAINER = ROOT / "containers/Dockerfile", ROOT / "containers/simspine.def"
INSTRUCTIONS = {"FROM", "RUN", "COPY", "ENV", "USER", "WORKDIR", "ENTRYPOINT", "CMD"}


def instructions() -> list[tuple[str, str]]:
    """(instruction, rest) of each line of the Dockerfile, continued lines joined."""
    text = DOCKER.read_text().replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest) for word, rest in lines]


def section(name: str) -> list[str]:
    found = re.search(rf"^%{name}\n((?:[ \t]+.*\n|\n)+)", APPTAINER.read_text(), re.MULTILINE)
    assert found, name
    return [line.strip() for line in found.group(1).splitlines() if line.strip()]


def installs() -> dict[str, list[str]]:
    """Commands that install, of each recipe."""
    docker = [part for word, rest in instructions() if word == "RUN" for part in rest.split(" && ")]
    return {
        "docker": [line for line in docker if "install" in line],
        "apptainer": [line for line in section("post") if "install" in line],
    }


def test_the_dockerfile_has_known_instructions_and_one_base():
    words = [word for word, _ in instructions()]
    assert set(words) <= INSTRUCTIONS
    bases = {rest.split()[0] for word, rest in instructions() if word == "FROM"}
    (base,) = bases
    assert re.search(rf"^From: {re.escape(base)}$", APPTAINER.read_text(), re.MULTILINE)
    version = re.fullmatch(r"python:(3\.\d+)-slim-\w+", base).group(1)
    assert f"--python-version {version} " in (ROOT / "Makefile").read_text()  # of the lock


def test_nobody_has_rights_in_the_image():
    assert [rest for word, rest in instructions() if word == "USER"][-1] != "root"
    order = [word for word, _ in instructions()]
    assert order.index("USER") > max(i for i, word in enumerate(order) if word == "RUN")


@pytest.mark.parametrize("recipe", ["docker", "apptainer"])
def test_the_steps_are_those_of_make_env(recipe):
    """The installer's version, hashes, the package without what it would fetch beside the lock."""
    makefile = (ROOT / "Makefile").read_text()
    uv = re.search(r"^UV_VERSION := (\S+)$", makefile, re.MULTILINE).group(1)
    wanted = [
        {word for word in shlex.split(line) if word.startswith("-") or word == "requirements.lock"}
        for line in re.findall(r"^\t\$\(BIN\)/uv pip install (.*)$", makefile, re.MULTILINE)
    ]
    quiet = {"--quiet", "--editable"}
    installer, lock, package = installs()[recipe]
    assert installer == f"python -m pip install --no-cache-dir uv=={uv}"
    assert wanted[0] - quiet <= set(shlex.split(lock)), "the lock, hashes checked"
    assert wanted[1] - quiet <= set(shlex.split(package))
    assert shlex.split(package)[-1] == "."


def test_files_are_there_and_the_package_has_what_it_is_built_from():
    ignored = set(re.findall(r"^(\w+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = built["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {
        "pyproject.toml", built["project"]["readme"], *built["project"]["license-files"], *wheel["force-include"],
        *(path.split("/")[0] for path in wheel["packages"]),
    }  # fmt: skip
    assert not needed & ignored
    copied = {line.split()[0] for line in section("files")}
    assert needed | {"requirements.lock"} == copied
    assert all((ROOT / name).exists() for name in copied)


def test_commands_of_the_recipes_exist():
    text = DOCKER.read_text() + APPTAINER.read_text()
    assert isinstance(main, click.Group)
    for name in re.findall(r"(?:RUN|exec) simspine ([a-z]+)", text):
        assert name in main.commands, name
    assert "simspine --version" in text


def test_the_conda_recipe_has_the_dependencies_of_the_project():
    """Names as conda-forge, bioconda and opensim-org have them; one package comes as a wheel, as the recipe says."""
    recipe = yaml.safe_load((ROOT / "containers/conda/recipe.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    conda_names = {
        "matplotlib": "matplotlib-base",
        "opencv-python-headless": "py-opencv",
        "snakemake": "snakemake-minimal",
    }
    wanted = {"python": SpecifierSet(project["project"]["requires-python"])}
    for text in project["project"]["dependencies"]:
        requirement = Requirement(text)
        wanted[conda_names.get(requirement.name, requirement.name)] = requirement.specifier
    listed = dict(entry.split(maxsplit=1) for entry in recipe["requirements"]["run"])
    (wheels,) = [re.findall(r'"([^"]+)"', line) for line in recipe["build"]["script"] if '"' in line]
    found = {name: SpecifierSet(bounds) for name, bounds in listed.items()}
    found |= {Requirement(text).name: Requirement(text).specifier for text in wheels}
    assert found == wanted
    assert recipe["package"] == {"name": project["project"]["name"], "version": project["project"]["version"]}
    entry = [" = ".join(item) for item in project["project"]["scripts"].items()]
    assert recipe["build"]["python"]["entry_points"] == entry
    assert (ROOT / "containers/conda" / recipe["source"]["path"]).resolve() == ROOT
    assert (ROOT / recipe["about"]["license_file"]).is_file()
