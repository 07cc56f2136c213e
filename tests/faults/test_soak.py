"""Memory and open files do not grow while work is repeated."""

import sys

import pytest
from tools.faults.soak import Use, judge, main, repeat, use_of

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_memory_and_files_that_grow_are_found(tmp_path):
    """A program that keeps 2 MiB a round, and one that keeps a file open; a third one keeps neither."""
    kept: list = []
    path = tmp_path / "x"
    path.touch()
    for leak, good in ((lambda: kept.append(b"x" * 2**21), False), (lambda: kept.append(open(path)), False)):  # noqa: SIM115
        uses = []
        for _ in range(30):
            leak()
            uses.append(use_of())
        assert judge("leak", uses).good is good
    assert judge("none", repeat(lambda: path.read_bytes(), 0.05)).good


def test_what_loading_takes_does_not_count():
    uses = [Use(100.0 + 50 * min(number, 3), 5 + min(number, 3)) for number in range(40)]
    found = judge("x", uses)
    assert [found.rounds, found.begin, found.end, found.good] == [40, Use(250.0, 8), Use(250.0, 8), True]


@pytest.mark.slow
@pytest.mark.long
def test_annotating_and_solving_for_a_minute():
    with pytest.raises(SystemExit) as end:
        main(["--seconds", "60"])
    assert not end.value.code
