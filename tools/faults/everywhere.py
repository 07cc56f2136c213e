"""The same results elsewhere: `python -m tools.faults.everywhere [--python PATH]`.

Other Pythons, which have the wheel installed, and other sets of kernels compute the reference results of
tests/reference. A small run is done by 1, 2 and 8 workers; and it is killed, moved, and continued with the kernels of
another processor. Exit code 1 where something differs by more than rounding explains.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np
from tools.faults.runs import RunFolder, is_manifest, result_checksums, wait_for_run

from simspine.core.errors import InputError
from simspine.evaluation.tables import aligned_markdown

ROOT = Path(__file__).parents[2]
CASES = ("inverse_kinematics", "fit_trials", "demo")
FIRST, OTHER = "Haswell", "Sandybridge"  # sets of kernels that most processors run: before and after the move
MOST_APART = 1e-6  # relative, of an array, between two sets of kernels
# The same of what is computed of the inverse, in single precision (`estimation.banded.Factor`).
MOST_APART_OF_DEVIATIONS = 1e-4
DEVIATIONS = ("_sd", "covariance", "response", "_share")  # how their names end
VERSIONS = "import sys, numpy; print('Python', sys.version.split()[0] + ', NumPy', numpy.__version__)"
Row = tuple[str, str, str]


def reference_rows(python: str, kernels: str) -> Iterator[Row]:
    """What, largest difference from the stored results, and whether it is too large; for each case."""
    about = subprocess.run([python, "-c", VERSIONS], capture_output=True, text=True, check=True).stdout.strip()
    script = str(ROOT / "tests/reference/reference.py")
    for case in CASES:
        command = [python, script, "--check", "--only", case, "--kernels", kernels]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if not re.search(rf"^{case}: \d+ arrays", done.stdout, re.MULTILINE):
            raise InputError(f"{about}, {kernels}: {case} was not computed: {done.stderr[-300:]}")
        yield f"{about}, {kernels}: {case}", *judge(apart_in(done.stdout))


def apart_in(said: str) -> dict[str, float]:
    """{array: difference} of those that differ most, and of all that differ by too much for equal kernels."""
    return {name: float(apart) for apart, name in re.findall(r"^ +(\S+)  (\w+/\S+)", said, re.MULTILINE)}


def judge(apart: Mapping[str, float]) -> tuple[str, str]:
    """The largest differences of values and of deviations, and whether they are too large for other kernels."""
    values = max((value for name, value in apart.items() if not name.endswith(DEVIATIONS)), default=0.0)
    deviations = max((value for name, value in apart.items() if name.endswith(DEVIATIONS)), default=0.0)
    too_large = values > MOST_APART or deviations > MOST_APART_OF_DEVIATIONS
    return f"{values:.1e}; deviations {deviations:.1e}", "too large" if too_large else ""


def worker_rows(folder: Path) -> Iterator[Row]:
    """The same run by several workers."""
    place = RunFolder(folder / "workers", 1, ["Walking 1", "Sitting 1"])
    place.make_reference()
    for cores in (2, 8):
        code, said = wait_for_run(place.start(cores=cores))
        if code:
            raise InputError(f"{cores} workers: {said}")
        found = result_checksums(place.results)
        differing = [name for name in found | place.reference if found.get(name) != place.reference.get(name)]
        yield f"{cores} workers instead of 1", "equal bytes", ", ".join(differing)
        shutil.rmtree(place.results)


def moved_row(folder: Path) -> Row:
    """A run that is killed after some jobs, moved to another folder, and continued with other kernels."""
    whole = RunFolder(folder / "whole", 1, ["Walking 1"])
    wait_for_run(whole.start(cores=1, by=_kernels(FIRST)))
    moved = RunFolder(folder / "moved", 1, ["Walking 1"])
    run = moved.start(cores=1, by=_kernels(FIRST))
    while run.poll() is None and not (moved.results / "S1/manifests/scale.json").exists():
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    made = {path.name: path.read_text() for path in moved.results.rglob("*.json") if is_manifest(str(path))}
    moved.folder.rename(folder / "elsewhere")
    moved.folder = folder / "elsewhere"
    code, said = wait_for_run(moved.start(cores=1, by=_kernels(OTHER)))
    if code:
        raise InputError(f"the run was not continued: {said}")
    after = {path.name: path.read_text() for path in moved.results.rglob("*.json") if is_manifest(str(path))}
    redone = [name for name, text in made.items() if after[name] != text]
    apart, wrong = judge(_apart(whole.results / "faults.h5", moved.results / "faults.h5"))
    what = f"killed after {len(made)} tasks, moved, continued with {OTHER}'s kernels"
    return what, apart, f"{len(redone)} done again" if redone else wrong


def _kernels(name: str) -> list[str]:
    """A command that starts another with a set of kernels."""
    code = f"from kernels import variables; print(*(f'{{k}}={{v}}' for k, v in variables({name!r}).items()), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "tests", capture_output=True, text=True, check=True)
    return ["env", *done.stdout.splitlines()]


def _apart(one: Path, other: Path) -> dict[str, float]:
    """{array: largest difference relative to its root mean square} of two data sets."""
    found: dict[str, float] = {}
    with h5py.File(one) as a, h5py.File(other) as b:

        def compare(name: str, item) -> None:
            if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
                before, after = np.array(item, float), np.array(b[name], float)
                scale = np.sqrt(np.nanmean(before**2)) if np.isfinite(before).any() else 0.0
                if scale > 0:
                    found[name] = float(np.nanmax(np.abs(after - before))) / scale

        a.visititems(compare)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", default=[], help="another interpreter; may be repeated")
    parser.add_argument("--kernels", action="append", help="sets of kernels (default: Sandybridge)")
    parser.add_argument("--runs-only", action="store_true", help="only workers and the run that is moved")
    given = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        if not given.runs_only:
            for python in [sys.executable, *given.python]:
                for kernels in given.kernels or [OTHER]:
                    rows += reference_rows(python, kernels)
        rows += [*worker_rows(Path(name)), moved_row(Path(name))]
    print(aligned_markdown([("what", "largest relative difference", "wrong"), ("---", "---:", "---"), *rows]))
    sys.exit(any(wrong for _, _, wrong in rows))


if __name__ == "__main__":
    main()
