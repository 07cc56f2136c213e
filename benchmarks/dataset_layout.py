"""How fast a data set is read, by the size of its chunks and their compression.

    python -m benchmarks.dataset_layout [--frames 535000] [--trials 1] [--json figures.json] [--folder DIR] [--layouts]

Writes trials of so many frames together (as many as Human3.6M's seven subjects have): 15 points and 62 coordinates,
a smooth motion with the noise of an estimate, double precision. Times are the best of several repeats on one core, warm
(the file is in the system's cache). Scans are in processor time, so that other work on the machine does not count, and
in wall time beside. Windows are 243 frames from random places, markers and kinematics together, wall time; each pass
visits all of them, so that none is still in HDF5's own cache. With --layouts other chunks and filters are compared on a
tenth of the frames.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
from scipy.ndimage import gaussian_filter1d

import simspine as ss
from simspine.formats.dataset import Dataset, SubjectData, TrialData, write_dataset
from simspine.formats.dataset_layout import FILTERS
from simspine.skeletons import load
from simspine.types import Markers, Motion

WINDOW, RATE = 243, 50.0
NAMES = load("simspine15").names
AXES = tuple(f"coordinate_{i}" for i in range(62))


def motion(frames: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    """(frames, columns) smooth over about 0.1 s, as filtered trajectories are; low bits are noise, as in real ones."""
    return gaussian_filter1d(rng.normal(size=(frames, columns)), 6, axis=0)


def recording(frames: int, seed: int) -> TrialData:
    rng = np.random.default_rng(seed)
    xyz = 1 + 0.5 * motion(frames, 45, rng).reshape(frames, 15, 3)
    values = motion(frames, 62, rng)
    return TrialData(
        Markers(NAMES, RATE, xyz, "y_up"), Motion(AXES, RATE, values, (True,) * 62), status=("kept",) * frames
    )


def best(work, repeats: int = 5) -> tuple[float, float]:
    """Shortest (processor, wall) time of several runs, s."""
    times = []
    for _ in range(repeats):
        start = time.process_time(), time.perf_counter()
        work()
        times.append((time.process_time() - start[0], time.perf_counter() - start[1]))
    return min(t[0] for t in times), min(t[1] for t in times)


def window_times(read, places, repeats: int = 5) -> np.ndarray:
    """(windows,) wall time of each, s: the best over passes through all of them."""
    passes = np.empty((repeats, len(places)))
    for i in range(repeats):
        for k, start in enumerate(places):
            begin = time.perf_counter()
            read(int(start))
            passes[i, k] = time.perf_counter() - begin
    return passes.min(0)


def measure(path: Path, count: int = 200) -> dict[str, float]:
    """Of the data set in use, through the loader."""
    with ss.open_dataset(path) as data:
        windows, frames = data.windows(WINDOW, 1), data.frames
        places = np.random.default_rng(1).integers(0, len(windows), count)

        def window(i):
            item = windows[i]
            return item.markers, item.kinematics

        times = window_times(window, places)

        def scan():
            for trial in data.trials():
                for start in range(0, trial.frames, 4096):
                    trial.array("markers", start, start + 4096)
                    trial.array("kinematics", start, start + 4096)

        size = frames * (45 + 62) * 8
        processor, wall = best(scan)
        return {
            "frames": frames,
            "window_ms_median": 1e3 * float(np.median(times)),
            "window_ms_p95": 1e3 * float(np.percentile(times, 95)),
            "window_ms_max": 1e3 * float(np.max(times)),
            "scan_mb_s": size / processor / 1e6,
            "scan_mb_s_wall": size / wall / 1e6,
            "file_share_of_arrays": path.stat().st_size / size,
        }


def compare(values: np.ndarray, folder: Path) -> list[dict]:
    """Other layouts: frames per chunk and filters."""
    filters = {
        "none": {"fletcher32": True},
        "gzip 1, no shuffle": {"compression": "gzip", "compression_opts": 1, "fletcher32": True},
        "gzip 1": FILTERS | {"compression_opts": 1},
        "gzip 4": FILTERS,
        "gzip 6": FILTERS | {"compression_opts": 6},
        "lzf": {"compression": "lzf", "shuffle": True, "fletcher32": True},
    }
    rows, path = [], folder / "layout.h5"
    for name, options in filters.items():
        for chunk in (64, 128, 256, 1024) if name == "gzip 4" else (128,):
            start = time.process_time()
            with h5py.File(path, "w") as file:
                file.create_dataset("values", data=values, chunks=(chunk, values.shape[1]), **options)
            written = time.process_time() - start
            with h5py.File(path) as file:
                data = file["values"]
                places = np.random.default_rng(1).integers(0, len(values) - WINDOW, 100)
                times = window_times(lambda a, d=data: d[a : a + WINDOW], places)
                scan, _ = best(lambda d=data: [d[i : i + 4096] for i in range(0, len(values), 4096)])
            rows.append({
                "filters": name, "chunk": chunk, "size": path.stat().st_size / values.nbytes,
                "write_mb_s": values.nbytes / written / 1e6, "scan_mb_s": values.nbytes / scan / 1e6,
                "window_ms": 1e3 * float(np.median(times)),
            })  # fmt: skip
            line = "{filters:20} {chunk:5} frames, size {size:.3f}, MB/s: write {write_mb_s:.0f} scan {scan_mb_s:.0f}"
            print((line + ", window {window_ms:.2f} ms").format(**rows[-1]))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=535_000)
    parser.add_argument("--trials", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--folder", type=Path, help="where the file goes; a temporary folder if left out")
    parser.add_argument("--layouts", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path, each = Path(folder) / "long.h5", options.frames // options.trials
        trials = {f"trial_{i}": recording(each, i) for i in range(options.trials)}
        start = time.process_time()
        write_dataset(path, Dataset({"S1": SubjectData((), trials)}))
        figures = {"trials": options.trials, "write_s": time.process_time() - start, **measure(path)}
        print(json.dumps(figures, indent=1))
        if options.layouts:
            values = next(iter(trials.values())).motion.values
            figures["layouts"] = compare(np.degrees(values[: options.frames // 10]), Path(folder))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
