"""Locks that end with the process that holds them, however it ends."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from simspine.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: no such locks
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(
    path: Path, busy: str, patience_s: float | None = None, advice: str = "Wait for it, or change `results`."
) -> Iterator[tuple[int, ...]]:
    """Nobody else is in such a block of the same file; gives the lock's descriptor, for children to hold as well.

    The file is there as long as the lock is held, or after its holder was killed. () where the system has no such
    locks. busy: says what another process does that is in the block. This one waits for it, without `patience_s` as
    long as it takes; else raises `InputError` that many seconds later, with the advice.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield ()
        return
    start, told = time.monotonic(), False
    while (descriptor := _try(path)) is None:
        if patience_s is not None and time.monotonic() - start > patience_s:
            raise InputError(f"{busy}. {advice}")
        if patience_s is None and not told:
            print(f"{busy}; waiting for it.", file=sys.stderr)
            told = True
        time.sleep(0.1)
    try:
        yield () if descriptor < 0 else (descriptor,)
    finally:
        path.unlink(missing_ok=True)
        if descriptor >= 0:
            os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether a process holds the lock now."""
    if fcntl is None or not path.is_file():
        return False
    try:
        with open(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _try(path: Path) -> int | None:
    """The descriptor of the lock; None if another process has it, -1 where the file system knows no locks."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with suppress(FileNotFoundError):  # the one before removed the file: then this lock holds nobody off
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
    except BlockingIOError:
        pass
    except OSError:
        os.close(descriptor)
        return -1
    os.close(descriptor)
    return None
