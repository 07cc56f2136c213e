"""Memory and open files do not grow while work is repeated."""

import subprocess
import sys
from pathlib import Path

import pytest
from tools.faults.soak import Use, judge, main, repeat

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


LEAKS = """
import subprocess
import sys
from pathlib import Path
from tools.faults.soak import judge, use_of
kept, uses = [], []
for _ in range(30):
    kept.append({leak})
    uses.append(use_of())
print(judge("leak", uses).good)
"""


@pytest.mark.parametrize("leak", ["b'x' * 2**21", "open(sys.executable)"])
def test_memory_and_files_that_grow_are_found(leak):
    """A program of its own that keeps 2 MiB a round, and one that keeps a file open."""
    code = LEAKS.format(leak=leak)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "False"


def test_a_program_that_keeps_nothing_is_good(tmp_path):
    path = tmp_path / "x"
    path.touch()
    assert judge("none", repeat(lambda: path.read_bytes(), 0.05)).good


def test_what_loading_takes_does_not_count():
    uses = [Use(100.0 + 50 * min(number, 3), 5 + min(number, 3)) for number in range(40)]
    found = judge("x", uses)
    assert [found.rounds, found.begin, found.end, found.good] == [40, Use(250.0, 8), Use(250.0, 8), True]
    late = [Use(100.0 + 50 * (number > 20), 5) for number in range(40)]
    assert [judge("x", late).good, judge("x", late, loading=21).good] == [False, True]


@pytest.mark.slow
@pytest.mark.long
def test_annotating_for_a_minute_and_the_run_of_a_subject():
    with pytest.raises(SystemExit) as end:
        main(["--annotate", "60", "--run", "900", "--subjects", "1"])
    assert not end.value.code
