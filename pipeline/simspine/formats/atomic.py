"""The one place where files come into being: written beside the target, flushed, renamed.

A run that is killed leaves the old file or the new one and nothing between. What may stay behind is a hidden
`.name.<host>-<process>-<random>.tmp.suffix`, which no reader of this package looks at. The next writing of the
same file removes it if its process is gone; of another machine, once it is a day old.
"""

import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from simspine.errors import InputError

STALE_S = 24 * 3600.0  # age at which a temporary file's process must be gone
FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))  # what writing says without a name
HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:6]


@contextmanager
def atomic_path(target: str | os.PathLike, sync: bool = True) -> Iterator[Path]:
    """A temporary path beside `target`, with its suffix, that becomes `target` when the block ends well.

    Missing parent folders are created. If the block raises, the temporary file is removed and an old `target` is as it
    was. `sync=False` leaves out the flush to disk (for the thousands of small files of a keypoint folder): still
    whole or absent after a killed process, not after a power cut. Raises `InputError` where `target` names no file.
    """
    target = Path(target)
    if not target.name:
        raise InputError(f"a name for the file to write is missing: '{target}' is a folder.")
    target.parent.mkdir(parents=True, exist_ok=True)
    suffix = target.suffix
    stem = target.name.removesuffix(suffix)
    temporary = target.with_name(f".{stem}.{HOST}-{os.getpid()}-{secrets.token_hex(6)}.tmp{suffix}")
    if sync:  # not for thousands of files: each time the folder is listed
        _remove_stale(target.parent, stem, suffix)
    try:
        yield temporary
        if sync:
            _flush(temporary)
        os.replace(temporary, target)  # atomic on one file system (POSIX rename, Windows MoveFileEx)
    except BaseException as error:  # KeyboardInterrupt too: ctrl-C must not leave rubbish
        with suppress(OSError):  # where nothing can be written, nothing can be removed either
            temporary.unlink(missing_ok=True)
        _name_as_user_does(error, temporary, target)
        raise
    if sync:
        with suppress(OSError):  # folders cannot be opened on Windows; the rename itself has happened
            _flush(target.parent)


@contextmanager
def atomic_folder(target: str | os.PathLike, ours: re.Pattern[str]) -> Iterator[Path]:
    """A temporary folder beside `target` that takes its place when the block ends well; else nothing is left of it.

    ours: names of the files that an old `target` may hold, which is replaced as a whole. Raises `InputError` where it
    holds others, or is a file.
    """
    target = Path(target)
    if not target.name:
        raise InputError(f"a name for the folder to write is missing: '{target}' would be replaced as a whole.")
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file, and a folder is to be written; name another one.")
    others = [path.name for path in target.iterdir() if not ours.fullmatch(path.name)] if target.exists() else []
    if others:
        raise InputError(
            f"{target} holds other files, {min(others)} for one, and would be replaced as a whole; name another folder."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{HOST}-{os.getpid()}-{secrets.token_hex(6)}.tmp")
    try:
        temporary.mkdir()
        yield temporary
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        _name_as_user_does(error, temporary, target)
        raise


def _name_as_user_does(error: BaseException, temporary: Path, target: Path) -> None:
    """An error of the system about a temporary path, or what is in it, is one about the target; so is one of a full
    disk, which bears no name by itself."""
    if not isinstance(error, OSError):
        return
    found = None if error.filename is None else os.fsdecode(error.filename)
    if found is None and error.errno in FULL:
        error.filename = str(target)
    elif found is not None and Path(found).is_relative_to(temporary):
        error.filename = str(target / Path(found).relative_to(temporary))


def _remove_stale(folder: Path, stem: str, suffix: str) -> None:
    """Remove what killed processes left of the same target."""
    ours = re.compile(re.escape(f".{stem}.") + r"([0-9a-f]{6})-(\d+)-[0-9a-f]{12}\.tmp" + re.escape(suffix))
    for path in folder.glob(".*.tmp*"):
        if found := ours.fullmatch(path.name):
            with suppress(OSError):  # another process may have removed it, or finished it
                old = time.time() - path.lstat().st_mtime > STALE_S
                if old or (found[1] == HOST and not _lives(int(found[2]))):
                    path.unlink()


def _lives(process: int) -> bool:
    """Whether there is such a process on this machine; taken as True where asking is not harmless (Windows)."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def write_text(path: str | os.PathLike, text: str, sync: bool = True) -> None:
    """Write `text` as UTF-8 with `\\n` line ends, atomically (see `atomic_path`)."""
    with atomic_path(path, sync) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_lines(path: str | os.PathLike, lines: Iterable[str]) -> None:
    """Write lines, given without their ends, as `write_text` does; one is in memory at a time."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
