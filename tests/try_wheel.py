"""Build the wheel, install it into empty environments, run the demonstration there: `python tests/try_wheel.py`.

Every Python from 3.11 to 3.13 that is found, with uv; the first of them with pip as well, which takes ten times as
long. With `--short`, pip has the first of them and uv the last, no others, and uv installs what pip would fetch. Each
installation must be free of conflicts (`pip check`) and find its data files; where uv made it, it runs the
demonstration from an empty folder: of gait with `--short`, else that of four videos. Needs a package registry. Not
collected by pytest: it takes minutes and installs some 100 packages.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).parent / "uv"
PYTHONS = ("3.11", "3.12", "3.13")


def call(*command, folder: Path) -> str:
    """What a command prints; ends the script with its output if it fails."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run([str(part) for part in command], cwd=folder, env=kept, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def pythons() -> dict[str, Path]:
    """Version → interpreter: on the path, or installed by pyenv."""
    named = [found for version in PYTHONS if (found := shutil.which(f"python{version}"))]
    found: dict[str, Path] = {}
    for path in [*map(Path, named), *sorted(Path.home().glob(".pyenv/versions/*/bin/python"))]:
        code = "import sys; print('%d.%d' % sys.version_info[:2], sys.implementation.name)"
        done = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
        version, _, name = done.stdout.strip().partition(" ")
        if version in PYTHONS and name == "cpython":
            found.setdefault(version, path)
    return dict(sorted(found.items()))


def install(tool: str, python: Path, wheel: Path, place: Path, *, only_the_wheel: bool) -> Path:
    """The folder of commands of a new environment that holds the wheel and nothing else.

    only_the_wheel: pip finds what the wheel depends on installed, and installs the wheel alone.
    """
    if tool == "pip":
        call(python, "-m", "venv", place, folder=ROOT)
        if only_the_wheel:
            call(UV, "pip", "install", "--quiet", "--python", place / "bin/python", wheel, folder=ROOT)
            call(UV, "pip", "uninstall", "--quiet", "--python", place / "bin/python", "simspine", folder=ROOT)
        call(place / "bin/python", "-m", "pip", "install", "--quiet", "--no-compile", wheel, folder=ROOT)
    else:
        call(UV, "venv", "--quiet", "--python", python, place, folder=ROOT)
        call(UV, "pip", "install", "--quiet", "--python", place / "bin/python", wheel, folder=ROOT)
    call(UV, "pip", "check", "--python", place / "bin/python", folder=ROOT)
    return place / "bin"


def demonstrate(commands: Path, folder: Path) -> str:
    """Both commands of the README from an empty folder; a line of what came out."""
    folder.mkdir()
    call(commands / "simspine", "demo", folder=folder)
    summary = json.loads((folder / "results/demo/summary.json").read_text())
    assert summary["frames"] == 100
    assert summary["views"] == 4
    assert (folder / "results/demo/report.html").stat().st_size > 1e5
    again = call(commands / "simspine", "run", "demo", folder=folder)
    assert " done\n" not in again, f"a second run repeated work:\n{again}"
    return f"reprojection {summary['reprojection_px_median']} px, femur {summary['femur_m']}"


def demonstrate_gait(commands: Path, folder: Path) -> str:
    """The demonstration of gait from an empty folder; a line of what came out."""
    folder.mkdir()
    call(commands / "simspine", "demo", "gait", folder=folder)
    pages = list(folder.glob("results/*/report.html"))
    assert [page.stat().st_size > 1e5 for page in pages] == [True]
    return f"{pages[0].parent.name}: {pages[0].stat().st_size / 1e6:.1f} MB of report"


def main() -> None:
    found = pythons()
    print("Python:", ", ".join(f"{version} ({path})" for version, path in found.items()))
    with tempfile.TemporaryDirectory(prefix="simspine-wheel-") as name:
        place = Path(name)
        call(UV, "build", "--quiet", "--wheel", "--out-dir", place, ROOT, folder=ROOT)
        (wheel,) = place.glob("*.whl")
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
        versions, short = list(found), "--short" in sys.argv
        with_uv = versions[-1:] if short else versions
        for tool, version in [("pip", versions[0]), *(("uv", version) for version in with_uv)]:
            start = time.monotonic()
            commands = install(tool, found[version], wheel, place / f"{tool}-{version}", only_the_wheel=short)
            seconds, result = time.monotonic() - start, ""
            call(commands / "simspine", "doctor", "demo", folder=place)
            if tool == "uv":
                shown = demonstrate_gait if short else demonstrate
                result = "; " + shown(commands, place / f"empty-{version}")
            print(f"Python {version}, {tool}: installed in {seconds:.0f} s{result}", flush=True)


if __name__ == "__main__":
    main()
