"""Everything that a release needs, made and checked: `make release-check`, docs/releasing.md.

    python -m tools.release.check OUT [--revision v0.2.0] [--vulnerabilities all.zip]

Writes to OUT: wheel and sdist of the revision, `sbom.cdx.json`, `licences.md`, `SHA256SUMS`. Ends with exit code 1 and
a line for each thing that is missing or wrong; a check that could not be made counts as wrong.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tools.release.licences import licences, listing, read_policy, refused
from tools.release.locked import read_lock
from tools.release.sbom import bill
from tools.release.vulnerabilities import read_copy, vulnerable

ROOT = Path(__file__).parents[2]
NEEDED = ("LICENSE", "configs/demo.yaml", "simspine/__init__.py")  # ends of names that the wheel must hold


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def changelog_faults(text: str, version: str) -> list[str]:
    """What the changelog lacks for a version: its heading, something below it, and an empty section Unreleased."""
    sections = re.split(r"^## ", text, flags=re.MULTILINE)
    by_heading = {section.partition("\n")[0].split()[0].strip("[]"): section for section in sections[1:]}
    faults = []
    if len(by_heading.get(version, "").splitlines()) < 2:
        faults.append(f"CHANGELOG.md has nothing under `## {version}`")
    if re.search(r"^- ", by_heading.get("Unreleased", ""), re.MULTILINE):
        faults.append("CHANGELOG.md still lists changes under `## Unreleased`: move them below the version")
    return faults


def tag_faults(version: str, revision: str) -> list[str]:
    """The revision is the tag of the version."""
    wanted = f"v{version}"
    tags = git("tag", "--points-at", revision).split()
    return [] if wanted in tags else [f"{revision} is not tagged {wanted} (tags there: {', '.join(tags) or 'none'})"]


def version_faults(version: str, source: Path) -> list[str]:
    """Files of a source tree that state another version."""
    stated = {"CITATION.cff": f"version: {version}", "pipeline/simspine/__init__.py": f'__version__ = "{version}"'}
    return [
        f"{name} lacks the line {line}"
        for name, line in stated.items()
        if line not in (source / name).read_text(encoding="utf-8").splitlines()
    ]


def other_bytes(folder: Path, again: Path) -> list[str]:
    """Names of wheels and sdists that are not, byte by byte, in both folders."""
    found = [{path.name: path.read_bytes() for path in place.glob("simspine-*")} for place in (folder, again)]
    return sorted(name for name in found[0].keys() | found[1].keys() if found[0].get(name) != found[1].get(name))


def build(source: Path, out: Path) -> list[str]:
    """Wheel and sdist of a source tree into `out`, twice; what is wrong with them."""
    again = source.with_name("again")
    shutil.copytree(source, again)  # newer, and at another place
    for place, folder in ((source, out), (again, again / "dist")):
        command = [sys.executable, "-m", "uv", "build", "--quiet", "--out-dir", str(folder), str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return [f"wheel and sdist were not built: {done.stderr.strip()[-300:]}"]
    if differing := other_bytes(out, again / "dist"):
        return [f"two builds differ in {', '.join(differing)}"]
    wheels, sdists = list(out.glob("*.whl")), list(out.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sdists) != 1:
        return [f"{out} should hold one wheel and one sdist; clear it first"]
    names = zipfile.ZipFile(wheels[0]).namelist()
    faults = [f"{wheels[0].name} lacks {end}" for end in NEEDED if not any(name.endswith(end) for name in names)]
    with tarfile.open(sdists[0]) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    return faults + [f"{sdists[0].name} lacks {name}" for name in ("LICENSE", "CHANGELOG.md") if name not in inside]


def vulnerability_faults(pins, copy: Path | None) -> list[str]:
    """Locked packages with known vulnerabilities; without a copy of the database, that nothing was checked."""
    if copy is None:
        return ["vulnerabilities were NOT CHECKED: give --vulnerabilities, a copy of OSV's PyPI records"]
    try:
        return vulnerable(pins, read_copy(copy))
    except ValueError as fault:
        return [f"vulnerabilities were NOT CHECKED: {fault}"]


def check(out: Path, revision: str, copy: Path | None) -> Iterator[tuple[str, list[str]]]:
    """Each step's name and what it found wrong."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.mkdir()
        archive = Path(folder) / "source.tar"
        git("archive", "--output", str(archive), revision)
        with tarfile.open(archive) as tree:
            tree.extractall(source, filter="data")
        version = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
        yield f"version {version}", [*tag_faults(version, revision), *version_faults(version, source)]
        yield "changelog", changelog_faults((source / "CHANGELOG.md").read_text(encoding="utf-8"), version)
        pins, policy = read_lock(source / "requirements.lock"), read_policy()
        found = licences(pins, policy)
        (out / "licences.md").write_text(listing(found, policy), encoding="utf-8")
        yield f"licences of {len(pins)} packages", refused(found, policy)
        sbom = json.dumps(bill("simspine", version, pins, found), indent=1)
        (out / "sbom.cdx.json").write_text(sbom + "\n", encoding="utf-8")
        yield "bill of materials", []
        yield "vulnerabilities", vulnerability_faults(pins, copy)
        yield "wheel and sdist", build(source, out)
    made = sorted(path for path in out.iterdir() if path.is_file() and path.name not in ("SHA256SUMS", ".gitignore"))
    sums = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in made)
    (out / "SHA256SUMS").write_text(sums, encoding="utf-8")
    yield "checksums", []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--revision", default="HEAD", help="a tag or a commit (default: HEAD)")
    parser.add_argument("--vulnerabilities", type=Path, help="folder or ZIP archive of OSV's records for PyPI")
    given = parser.parse_args()
    wrong = 0
    for step, faults in check(given.out, given.revision, given.vulnerabilities):
        print(f"{'ok  ' if not faults else 'FAIL'} {step}")
        for fault in faults:
            print(f"     {fault}")
        wrong += len(faults)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
