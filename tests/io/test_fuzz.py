"""Damaged files for every reader, few and always the same: read, or refused by an `InputError` that names the file.

The campaign with many more: `python -m tools.fuzz_readers` (docs/reliability.md).
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tools.fuzz_readers.__main__ import case, outcome, peak, seed_file
from tools.fuzz_readers.readers import READERS

from simspine.core.errors import InputError

SLOW = {"C3D": 4, "CDF": 4, "body recipe": 10, "npz table": 25}  # fmt: skip
FILES = 40
SEED = 7
# Read from a copy; the data set's tells faults instead.
COPIED = ("OpenPose JSON", "data set, verified", *(name for name in READERS if name.startswith("session ")))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reader", READERS)
def test_damaged_files_are_read_or_refused(tmp_path, reader):
    original = seed_file(reader, tmp_path)
    path = tmp_path / READERS[reader].name
    path.write_bytes(original)
    assert outcome(reader, path)[0] == "read", "the file before any damage"
    unwanted = {}
    for number in range(SLOW.get(reader, FILES)):
        path.write_bytes(case(reader, original, SEED, number))
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 30)  # ends the process of a reader that finds no end
        found, said = outcome(reader, path)
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        if found not in ("read", "InputError"):
            unwanted[number] = found, said
    assert unwanted == {}


@pytest.mark.parametrize("reader", [reader for reader in READERS if reader not in COPIED])
def test_a_folder_and_a_file_that_is_not_there(tmp_path, reader):
    place = tmp_path / READERS[reader].name
    assert outcome(reader, place)[0] == "InputError"
    place.mkdir()
    assert outcome(reader, place)[0] == "InputError"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
@pytest.mark.parametrize("reader", [reader for reader in READERS if reader not in COPIED])
def test_pipes_and_devices_are_refused_at_once(tmp_path, reader):
    """Nobody writes to the pipe, and /dev/zero has no end: a reader that opens either is ended by the alarm."""
    place = tmp_path / READERS[reader].name
    signal.setitimer(signal.ITIMER_REAL, 30)
    os.mkfifo(place)
    assert outcome(reader, place)[0] == "InputError"
    place.unlink()
    place.symlink_to("/dev/zero")
    assert outcome(reader, place)[0] == "InputError"
    signal.setitimer(signal.ITIMER_REAL, 0)


def test_an_empty_path_is_called_so():
    from simspine.anatomy.body import Body
    from simspine.core.errors import InputError
    from simspine.io.c3d import read_c3d
    from simspine.io.calibration import read_calibration
    from simspine.io.hdf5 import read_store
    from simspine.io.human36m.copy import read_pose
    from simspine.io.npz import read_npz
    from simspine.workflow.config import read_config

    for read in (Body.from_osim, read_config, read_c3d, read_calibration, read_npz, read_store, read_pose):
        with pytest.raises(InputError, match="path handed in is empty"):
            read("")


FOUND = Path(__file__).parents[1] / "corpus/fuzz_found"


@pytest.mark.parametrize("file", sorted(FOUND.iterdir()), ids=lambda file: file.name)
def test_files_that_guided_fuzzing_found(tmp_path, file):
    """Each raised another error, took 4 GiB, had no end, or was not named: a piece of a PNG, a recipe not there."""
    reader = file.stem.replace("-", " ")
    path = tmp_path / READERS[reader].name
    path.write_bytes(file.read_bytes())
    before = peak()
    with pytest.raises(InputError, match=re.escape(path.name)):
        READERS[reader].read(path)
    assert peak() - before < 1 << 30


def test_nested_yaml_does_not_end_the_process_that_damages_it():
    """libyaml recurses: 60,000 brackets end its process, and with it the campaign."""
    damage = "yaml_tree(b'a: 1\\n' + b'[' * 60_000, random.Random(1))"
    code = f"import random; from tools.fuzz_readers.mutators import yaml_tree; {damage}"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True)
