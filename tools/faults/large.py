"""Large files and folders: `python -m tools.faults.large [--gib 20] [--files 100000] [--hours 2]`.

A data set file of 20 GiB, most of it a hole on the disk, is read in windows: the values must be those that were
written, within 1 GiB. A results folder of a finished trial gets 100,000 other files: `status` and `run`, which has
nothing to do, must end well. A video of two hours, whose frames show their number, is read forwards and at places from
its end to its begin. Prints seconds and the most memory of each process; of the video after each fourth. Needs Linux.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
from tools.faults.runs import RUN_CONFIG_FILE, RunFolder, wait_for_run
from tools.fuzz_readers.__main__ import peak

from simspine.dataset.recordings import open_dataset
from simspine.evaluation.tables import aligned_markdown
from simspine.io.image_streams import ImagesInAnyOrder
from simspine.io.video import open_video

MARKERS, WRITTEN, LENGTH = 200, 500, 9
FRAMES_AN_HOUR, BITS, BLOCK = 30 * 3600, 18, 16  # of a video at 30 frames/s; px of a bit of a frame's number
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
            np.testing.assert_array_equal(window["markers"], wanted)


def write_numbered_video(path: Path, numbers: Iterable[int]) -> None:
    """Each frame shows its number in black and white blocks, a block a bit."""
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 30, (BITS * BLOCK, 2 * BLOCK))
    for number in numbers:
        bits = np.array([255 * (number >> bit & 1) for bit in range(BITS)], np.uint8)
        writer.write(np.broadcast_to(bits.repeat(BLOCK)[None, :, None], (2 * BLOCK, BITS * BLOCK, 3)).copy())
    writer.release()


def number_shown(image: np.ndarray) -> int:
    """What a frame of a numbered video shows."""
    bits = image[BLOCK, BLOCK // 2 :: BLOCK, 1] > 127
    return int(bits @ (1 << np.arange(BITS)))


def read_numbered_video(path: Path) -> list[tuple[str, ...]]:
    """A row for each fourth of the frames, and one for frames in any order; `AssertionError` for a wrong frame."""
    video, rows, begun = open_video(path), [], time.monotonic()
    for number, image in enumerate(video):
        assert number_shown(image) == number
        if (number + 1) % (video.frames // 4) == 0:
            rows.append((f"video, to frame {number + 1}", f"{time.monotonic() - begun:.0f}", f"{peak() / 2**20:.0f}"))
    assert number + 1 == video.frames
    images, begun = ImagesInAnyOrder(video), time.monotonic()
    for number in range(video.frames - 1, 0, -(video.frames // 50)):
        assert number_shown(images.at(number)) == number
    return [*rows, ("video, 50 frames backwards", f"{time.monotonic() - begun:.0f}", f"{peak() / 2**20:.0f}")]


def measured(words: list[str], folder: Path) -> tuple[float, float]:
    """Seconds and MiB of a process of Python; `SystemExit` where it fails."""
    begun = time.monotonic()
    subprocess.run([sys.executable, *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=20.0, help="of the data set's file")
    parser.add_argument("--files", type=int, default=100_000, help="in the results")
    parser.add_argument("--hours", type=float, default=2.0, help="of the video")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        read_windows(given.read)
        return
    rows: list[tuple[str, ...]] = [("work", "s", "MiB"), ("---", "--:", "--:")]
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "long.mp4"
        write_numbered_video(video, range(int(given.hours * FRAMES_AN_HOUR)))
        rows += read_numbered_video(video)
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
