"""The same damaged file read by us and by another program: `python -m tools.fuzz_readers.differential --files 1000`.

Where both read it, numbers must be equal, NaN and missing entries included. A file that only one of them reads is
counted: formats leave open what is a fault, and we refuse what is no motion. Other programs run in this process; what
ends it is counted for them. C3D is read by `c3d`, TRC, MOT and STO by OpenSim, our HDF5 files by h5py, .npz by
NumPy, CDF by `pycdfpp`, pictures by Pillow. `c3d` and `pycdfpp` are not locked; without them their rows are left out.
"""

import argparse
import importlib.util
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tools.fuzz_readers.__main__ import case, fork_guarded_readers, row, seed_file
from tools.fuzz_readers.readers import READERS

from simspine.core.errors import InputError

Numbers = dict[str, np.ndarray]


@dataclass(frozen=True)
class Pair:
    """ours, theirs: numbers by name, as both understand the file. module: what theirs needs. tolerance: relative."""

    ours: Callable[[Path], Numbers]
    theirs: Callable[[Path], Numbers]
    module: str
    tolerance: float = 1e-9


def _our_trc(path: Path) -> Numbers:
    from simspine.io.trc import read_trc

    found = read_trc(path)
    return {name: found.xyz[:, i] for i, name in enumerate(found.names)}


def _their_trc(path: Path) -> Numbers:
    import opensim

    from simspine.io.trc import MAX_COORDINATE

    table = opensim.TimeSeriesTableVec3(str(path))
    scale = 0.001 if table.getTableMetaDataAsString("Units") == "mm" else 1.0
    rows, found = range(table.getNumRows()), {}
    for name in table.getColumnLabels():
        xyz = np.array([table.getDependentColumn(name).getElt(i, 0).to_numpy() for i in rows]).reshape(-1, 3)
        known = (np.abs(xyz) <= MAX_COORDINATE).all(-1, keepdims=True)  # we take others as missing
        found[name] = np.where(known, scale * xyz, np.nan)
    return found


def _our_motion(path: Path) -> Numbers:
    from simspine.io.mot import read_mot

    found = read_mot(path)
    degrees = np.where(found.rotational, np.degrees(1.0), 1.0)
    return {name: found.values[:, i] * degrees[i] for i, name in enumerate(found.names)}


def _their_motion(path: Path) -> Numbers:
    import opensim

    table = opensim.TimeSeriesTable(str(path))
    found = {name: table.getDependentColumn(name).to_numpy() for name in table.getColumnLabels()}
    return {name: np.where(np.isfinite(values), values, np.nan) for name, values in found.items()}


def _our_c3d(path: Path) -> Numbers:
    from simspine.io.c3d import read_c3d

    found = read_c3d(path)
    return {name: found.xyz[:, i] for i, name in enumerate(found.names)}


def _their_c3d(path: Path) -> Numbers:
    import c3d

    with open(path, "rb") as file:
        reader = c3d.Reader(file)
        frames = np.array([points for _, points, _ in reader.read_frames()])
        scale = 0.001 if reader.get("POINT:UNITS").string_value.strip() == "mm" else 1.0
        missing = (frames[..., 3:4] < 0) | (frames[..., :3] == 0).all(-1, keepdims=True)  # we take 0 0 0 as missing
        xyz = np.where(missing, np.nan, frames[..., :3] * scale)
        return {label.strip(" \0"): xyz[:, i] for i, label in enumerate(reader.point_labels)}


def _our_store(path: Path) -> Numbers:
    from simspine.io.hdf5 import read_store

    found = read_store(path)
    return {"big": np.asarray(found["big"]), "markers": found["markers"].xyz, "motion": found["motion"].values}


def _their_store(path: Path) -> Numbers:
    import h5py

    with h5py.File(path) as file:
        places = {"big": "big", "markers": "markers/xyz", "motion": "motion/values"}
        return {name: file[place][()] for name, place in places.items()}


def _our_npz(path: Path) -> Numbers:
    from simspine.io.npz import read_npz

    return _plain(read_npz(path))


def _their_npz(path: Path) -> Numbers:
    with np.load(path, allow_pickle=False) as file:
        return _plain({name: _or_none(file, name) for name in file.files})


def _or_none(file: Any, name: str) -> Any:
    try:
        return file[name]
    except ValueError:  # texts, which NumPy would unpickle
        return None


def _plain(found: Any) -> Numbers:
    return {
        name: value
        for name, value in dict(found).items()
        if isinstance(value, np.ndarray) and value.dtype.kind in "iufb"
    }


def _our_cdf(path: Path) -> Numbers:
    from simspine.io.human36m.copy import read_pose

    found = read_pose(path)
    return {"Pose": found.reshape(len(found), -1)}


def _their_cdf(path: Path) -> Numbers:
    import pycdfpp

    found = np.asarray(pycdfpp.load(str(path))["Pose"].values, float)
    return {"Pose": found.reshape(found.shape[-2], -1)}


def _our_picture(path: Path) -> Numbers:
    from simspine.io.image_streams import read_image

    return {"rgb": read_image(path)[..., ::-1]}


def _their_picture(path: Path) -> Numbers:
    from PIL import Image

    with Image.open(path) as picture:
        return {"rgb": np.asarray(picture.convert("RGB"))}


PAIRS = {
    "TRC": Pair(_our_trc, _their_trc, "opensim"),
    "MOT and STO": Pair(_our_motion, _their_motion, "opensim"),
    "C3D": Pair(_our_c3d, _their_c3d, "c3d", 1e-6),
    "store": Pair(_our_store, _their_store, "h5py"),
    "npz table": Pair(_our_npz, _their_npz, "numpy"),
    "CDF": Pair(_our_cdf, _their_cdf, "pycdfpp"),
    "PNG": Pair(_our_picture, _their_picture, "PIL"),
}
THEIR_SECONDS = 20
OUTCOMES = ("equal", "different", "only ours", "only theirs", "neither", "theirs ended")


def compare(pair: Pair, path: Path) -> tuple[str, str]:
    """One of `OUTCOMES`, and where they differ."""
    ours = theirs = None
    try:
        ours = pair.ours(path)
    except InputError as error:
        why = str(error)
    try:
        theirs = pair.theirs(path)
    except Exception as error:  # of other programs, for damaged files
        why = str(error)
    if ours is None or theirs is None:
        return ("neither" if ours is theirs else "only theirs" if ours is None else "only ours"), why
    if differing := [name for name in ours if not _is_same(ours[name], theirs.get(name), pair.tolerance)]:
        name = differing[0]
        return "different", f"{name}: {_shown(ours[name])} and {_shown(theirs.get(name))}"
    return "equal", ""


def _is_same(ours: np.ndarray, theirs: np.ndarray | None, tolerance: float) -> bool:
    if theirs is None or ours.shape != theirs.shape:
        return False
    return bool(np.allclose(ours, theirs, rtol=tolerance, atol=1e-12, equal_nan=True))


def _shown(values: np.ndarray | None) -> str:
    return "none" if values is None else f"{values.shape} {np.array2string(values.ravel()[:6], precision=4)}"


def compare_forked(reader: str, path: Path) -> tuple[str, str]:
    """In a fork, since other programs may end their process."""
    here, there = os.pipe()
    process = os.fork()
    if process == 0:
        signal.alarm(THEIR_SECONDS)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        try:
            answer = "\t".join(compare(PAIRS[reader], path))
        except BaseException as error:
            answer = f"different\tours raised {type(error).__name__}: {error}"
        os.write(there, answer.encode(errors="replace")[:1000])
        os._exit(0)
    os.close(there)
    with os.fdopen(here, "rb") as answer:
        found = answer.read().decode(errors="replace")
    os.waitpid(process, 0)
    kind, _, why = found.partition("\t")
    return (kind, why) if kind in OUTCOMES else ("theirs ended", "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", action="append", choices=PAIRS, help="only this one (may be repeated)")
    parser.add_argument("--files", type=int, default=1000, help="damaged files for each reader")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shown", type=int, default=10, help="differences of a reader that are shown")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    fork_guarded_readers()
    print(row(("reader", "files", *OUTCOMES)), row(["---"] + ["--:"] * (1 + len(OUTCOMES))), sep="\n", flush=True)
    differing = 0
    for reader in given.reader or PAIRS:
        if importlib.util.find_spec(PAIRS[reader].module) is None:
            continue
        counts, shown = dict.fromkeys(OUTCOMES, 0), []
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            path = Path(folder) / READERS[reader].name
            original = seed_file(reader, Path(folder))
            path.write_bytes(original)
            found = compare(PAIRS[reader], path)  # loads what both need
            if found[0] != "equal":
                sys.exit(f"{reader}, the valid file: {': '.join(found)}")
            for number in range(given.files):
                path.write_bytes(case(reader, original, given.seed, number))
                kind, why = compare_forked(reader, path)
                counts[kind] += 1
                if kind == "different":
                    shown.append(f"{reader} --seed {given.seed} --case {number}: {why}")
        print(row((reader, given.files, *counts.values())), flush=True)
        print("\n".join(shown[: given.shown]), file=sys.stderr, flush=True)
        differing += counts["different"]
    sys.exit(differing > 0)


if __name__ == "__main__":
    main()
