"""Large files and folders: `python -m tools.faults.large [--gib 20] [--files 100000]`.

A data set file of 20 GiB, most of it a hole on the disk, is read in windows: the values must be those that were
written, within 1 GiB. A results folder of a finished trial gets 100,000 other files: `status` and `run`, which has
nothing to do, must end well. Prints seconds and the most memory of each process. Needs Linux.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
from tools.faults.runs import RUN_CONFIG_FILE, RunFolder, wait_for_run

from simspine.dataset.recordings import open_dataset
from simspine.evaluation.tables import aligned_markdown

MARKERS, WRITTEN, LENGTH = 200, 500, 9
MOST_MIB = 1024.0


def write_sparse_dataset(path: Path, size: int) -> None:
    """In the release's layout, of so many bytes. Values are written at `WRITTEN` places only: the frame's number."""
    frames = size // (8 * 3 * MARKERS)
    with h5py.File(path, "w") as file:
        file["metadata/markers_names"] = [f"m{number}".encode() for number in range(MARKERS)]
        file["metadata/kinematic_axes"] = [b"pelvis_tx"]
        file["S1/Walking_1/timestamps"] = np.arange(frames) / 50
        for name, shape in (("markers", (frames, MARKERS, 3)), ("kinematics", (frames, 1))):
            layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            space = h5py.h5s.create_simple(shape)
            h5py.h5d.create(file["S1/Walking_1"].id, name.encode(), h5py.h5t.IEEE_F64LE, space, layout)
        for first in _places(frames):
            file["S1/Walking_1/markers"][first : first + LENGTH] = np.arange(first, first + LENGTH)[:, None, None]


def _places(frames: int) -> np.ndarray:
    stride = frames // WRITTEN
    return stride * np.arange(WRITTEN)


def read_windows(path: Path) -> None:
    """All windows that were written, in this process."""
    with open_dataset(path) as data:
        windows = data.windows(LENGTH, stride=int(_places(data.frames)[1]), fields=("markers",))
        for window, first in zip(windows, _places(data.frames), strict=False):
            wanted = np.broadcast_to(np.arange(first, first + LENGTH)[:, None, None], (LENGTH, MARKERS, 3))
            np.testing.assert_array_equal(window.markers, wanted)


def measured(words: list[str], folder: Path) -> tuple[float, float]:
    """Seconds and MiB of a process of Python; `SystemExit` where it fails."""
    begun = time.monotonic()
    subprocess.run([sys.executable, *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=20.0, help="of the data set's file")
    parser.add_argument("--files", type=int, default=100_000, help="in the results")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        read_windows(given.read)
        return
    rows: list[tuple[str, ...]] = [("work", "s", "MiB"), ("---", "--:", "--:")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.h5"
        write_sparse_dataset(path, int(given.gib * 2**30))
        seconds, mib = measured(["-m", "tools.faults.large", "--read", str(path)], Path.cwd())
        rows.append((f"{WRITTEN} windows of {path.stat().st_size / 2**30:.1f} GiB", f"{seconds:.0f}", f"{mib:.0f}"))
        path.unlink()
        place = RunFolder(Path(folder) / "run", 1, ["Walking 1"], frames=20)
        code, said = wait_for_run(place.start(cores=1))
        assert not code, said
        for number in range(given.files):
            other = place.results / f"T{number // 1000}/{('keypoints', 'manifests/ik')[number % 2]}/{number}.json"
            other.parent.mkdir(parents=True, exist_ok=True)
            other.write_text("{}")
        for words in (["status", "--config", RUN_CONFIG_FILE], ["run", RUN_CONFIG_FILE, "--cores", "1"]):
            seconds, _ = measured(["-m", "simspine", *words], place.folder)
            rows.append((f"{words[0]}, {given.files} other files", f"{seconds:.0f}", ""))
    print(aligned_markdown(rows))
    sys.exit(mib >= MOST_MIB)


if __name__ == "__main__":
    main()
