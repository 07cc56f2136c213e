"""Write environment.yml from requirements.lock, so that conda users get the versions that were tested.

conda-forge provides the compiled scientific packages; pip, which conda calls, the rest of the lock and simspine itself.
"""

import re
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
FROM_CONDA_FORGE = [
    "numpy", "scipy", "h5py", "matplotlib", "click", "jinja2", "lazy-loader", "numba", "pillow", "pydantic", "pyyaml",
    "rich", "threadpoolctl", "tomli-w", "hypothesis", "pytest", "pytest-xdist", "ruff",
]  # fmt: skip
CONDA_NAME = {"matplotlib": "matplotlib-base"}  # without the GUI toolkits


def locked(text: str, python: str = "3.11") -> dict[str, str]:
    """Package → version of the lock, for one Python."""
    lines = re.findall(r"^([a-z0-9-]+==[^\\]*)\\$", text, re.MULTILINE)
    requirements = [Requirement(line) for line in lines]
    target = {"python_version": python, "python_full_version": f"{python}.0"}
    chosen = [r for r in requirements if r.marker is None or r.marker.evaluate(target)]
    return {r.name: str(r.specifier).removeprefix("==") for r in chosen}


def environment(lock: str) -> str:
    versions = locked(lock)
    lines = [
        "# Made from requirements.lock by `make lock`; do not edit. For conda and mamba users:",
        "#   conda env create -f environment.yml && conda activate simspine",
        "# pip adds what conda-forge does not carry (OpenSim, LiteRT, …), at tested versions.",
        "name: simspine",
        "channels:",
        "  - conda-forge",
        "  - nodefaults",
        "dependencies:",
        "  - python=3.11",
        "  - pip",
        "  - make",
        *(f"  - {CONDA_NAME.get(name, name)}={versions[name]}" for name in FROM_CONDA_FORGE),
        "  - pip:",
        *(f"    - {name}=={version}" for name, version in versions.items() if name not in FROM_CONDA_FORGE),
        "    - -e .",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (ROOT / "environment.yml").write_text(environment((ROOT / "requirements.lock").read_text()))
