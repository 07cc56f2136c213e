"""Readers of other people, in a process of their own: a file that makes them crash, hang or fill the memory is refused.

ezc3d (C3D) is C++ and trusts what a file says; the netCDF readers follow references through HDF5, which does so as
well; cdflib follows an index without end and unpacks whatever a file holds. What they find comes back as plain arrays
and JSON. Starting the process takes 0.3 to 0.5 s.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from simspine.errors import InputError, missing_file, require_path
from simspine.formats._child import REFUSED
from simspine.formats.limits import ALWAYS, TIMES

SECONDS, PER_BYTE = 10.0, 1e-6  # s; files are read at 50 MB/s and more
_CHILD = (sys.executable, "-P", "-c", "from simspine.formats._child import main; main()")


def read_guarded(kind: str, *paths: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays by name, and what else the files say, of a reader of `simspine.formats._child`.

    Raises `InputError` naming the file where it is missing, cannot be read, or ends its reader.
    """
    for path in paths:
        require_path(path)
        if not Path(path).is_file():
            raise InputError(f"{path}: {missing_file(path)}.")
    size = sum(Path(path).stat().st_size for path in paths)
    memory, seconds = ALWAYS + TIMES * size, SECONDS + PER_BYTE * size
    where = ", ".join(map(str, paths))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory(prefix="simspine-") as folder:
        out = Path(folder) / "found.npz"
        environment["TMPDIR"] = folder  # what a reader leaves goes with the folder
        command = [*_CHILD, kind, str(out), str(memory), str(round(seconds) + 1), *map(os.path.abspath, paths)]
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=seconds, check=False, env=environment, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired:
            raise InputError(f"{where}: its reader found no end in {seconds:.0f} s; damaged?") from None
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        if said and done.returncode == REFUSED:
            raise InputError(said[0])
        if done.returncode:
            why = said[0][:300] if said and done.returncode == 1 else f"its reader ended with {done.returncode}"
            raise InputError(f"{where}: cannot be read as {kind}; cut short or damaged? ({why})")
        with np.load(out, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
    return arrays, json.loads(arrays.pop("said").tobytes())


def c3d_parts(path: str | os.PathLike) -> dict[str, Any]:
    """What `ezc3d.c3d` returns: header, parameters, and of the data points and their residuals."""
    arrays, said = read_guarded("C3D", path)
    return said | {"data": {"points": arrays["points"], "meta_points": {"residuals": arrays["residuals"]}}}
