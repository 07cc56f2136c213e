"""Writing of files, whole or not at all; limits on the memory that a file may ask for.

A file is written next to its target, flushed, and renamed: a killed run leaves the old file or the new one. It may also
leave a hidden `.name.<host>-<process>-<random>.tmp.suffix`, which no reader opens. The next write of the same file
removes it if its process on this machine has ended, or once it is a day old.
"""

import errno
import hashlib
import math
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from simspine.core.errors import InputError

STALE_TEMPORARY_S = 24 * 3600.0  # s, age from which the process of a temporary file is taken to have ended
DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))  # raised without a file's name
HOST_DIGEST = hashlib.sha256(platform.node().encode()).hexdigest()[:6]


@contextmanager
def atomic_path(target: str | os.PathLike, sync: bool = True) -> Iterator[Path]:
    """A temporary path next to `target`, with its suffix, that becomes `target` if the block ends without an error.

    Missing parent folders are created. If the block raises, the temporary file is removed and an old `target` is kept.
    `sync=False` omits the flush to disk, for the thousands of small files of a keypoint folder. These are then whole or
    absent after a killed process, but not after a power cut. Raises `InputError` where `target` names no file.
    """
    target = Path(target)
    if not target.name:
        raise InputError(f"a name for the file to write is missing: '{target}' is a folder.")
    if target.absolute().parent == Path("/dev") or (target.exists() and not (target.is_file() or target.is_dir())):
        raise InputError(f"{target} is a device, a pipe or a socket; name a file.")
    if target.is_dir():
        raise InputError(f"{target} is a folder; name a file.")
    made = make_folder(target.parent, sync)
    suffix = target.suffix
    stem = target.name.removesuffix(suffix)
    temporary = target.with_name(f".{stem}.{HOST_DIGEST}-{os.getpid()}-{secrets.token_hex(6)}.tmp{suffix}")
    if sync:  # lists the folder, too slow for thousands of files
        _remove_stale(target.parent, stem, suffix)
    try:
        yield temporary
        if sync:
            _flush_to_disk(temporary)
        if target.is_file() and not target.is_symlink():
            temporary.chmod(target.stat().st_mode & 0o777)  # the permissions are kept
        os.replace(temporary, target)  # atomic on one file system (POSIX rename, Windows MoveFileEx)
    except BaseException as error:  # also KeyboardInterrupt: Ctrl-C leaves no temporary file
        with suppress(OSError):  # where nothing can be written, nothing can be removed either
            temporary.unlink(missing_ok=True)
        remove_empty(made)
        _name_target_in_error(error, temporary, target)
        raise
    if sync:
        _flush_folder(target.parent)


def require_new(path: Path) -> None:
    """`InputError` where a file, or a folder that is not empty, is there already: it may be somebody's work."""
    is_empty_folder = path.is_dir() and not any(path.iterdir())
    if path.exists() and not is_empty_folder:
        raise InputError(f"{path} exists already, and would be replaced. Name another one, or remove it.")


def make_folder(folder: Path, sync: bool = True) -> list[Path]:
    """Create a folder and its parents; returns those made. sync: flush them, so that they survive a power cut."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for place in missing if sync else ():
        _flush_folder(place.parent)
    return missing


@contextmanager
def atomic_folder(target: str | os.PathLike, ours: re.Pattern[str]) -> Iterator[Path]:
    """A temporary folder that replaces `target` if the block raises nothing. ours: pattern of names it may hold."""
    target = Path(target)
    if not target.name:
        raise InputError(f"a name for the folder to write is missing: '{target}' would be replaced as a whole.")
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file, and a folder is to be written; name another one.")
    others = [path.name for path in target.iterdir() if not ours.fullmatch(path.name)] if target.exists() else []
    if others:
        raise InputError(f"{target} would be replaced as a whole, and holds {min(others)}; name another folder.")
    place = Path(os.path.realpath(target))  # keeps a link; `..` fails while the folder is renamed
    made = make_folder(place.parent)
    _remove_stale(place.parent, place.name, "")
    temporary = place.with_name(f".{place.name}.{HOST_DIGEST}-{os.getpid()}-{secrets.token_hex(6)}.tmp")
    old = temporary.with_suffix(".tmp.old")
    try:
        temporary.mkdir()
        yield temporary
        if place.exists():
            place.rename(old)  # removed once the new one is there
        temporary.rename(place)
    except BaseException as error:
        if old.exists() and not place.exists():
            old.rename(place)
        shutil.rmtree(temporary, ignore_errors=True)
        remove_empty(made)
        _name_target_in_error(error, temporary, target)
        raise
    _flush_folder(place.parent)
    shutil.rmtree(old, ignore_errors=True)
    _remove_stale(place.parent, place.name, ".old")  # of processes that were killed between the renames


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove those of the folders, innermost first, in which nothing is."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _name_target_in_error(error: BaseException, temporary: Path, target: Path) -> None:
    """Put the target's path into a system error about a temporary path, or about a full disk, which has none."""
    if not isinstance(error, OSError):
        return
    filename = None if error.filename is None else os.fsdecode(error.filename)
    if filename is None and error.errno in DISK_FULL_ERRNOS:
        error.filename = str(target)
    elif filename is not None and Path(filename).is_relative_to(temporary):
        error.filename = str(target / Path(filename).relative_to(temporary))


def _remove_stale(folder: Path, stem: str, suffix: str) -> None:
    """Remove temporary files that ended processes left for the same target."""
    pattern = re.compile(re.escape(f".{stem}.") + r"([0-9a-f]{6})-(\d+)-[0-9a-f]{12}\.tmp" + re.escape(suffix))
    for path in folder.glob(".*.tmp*"):
        if match := pattern.fullmatch(path.name):
            with suppress(OSError):  # another process may have removed it, or finished it
                is_old = time.time() - path.lstat().st_mtime > STALE_TEMPORARY_S
                if is_old or (match[1] == HOST_DIGEST and not _process_lives(int(match[2]))):
                    if path.is_dir() and not path.is_symlink():
                        shutil.rmtree(path)
                    else:
                        path.unlink()


def _process_lives(process: int) -> bool:
    """Whether a process with this number runs here, no zombie; True on Windows, where the check could end it."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    with suppress(OSError):  # Linux: the state in /proc follows the name in brackets
        return Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "Z"
    return True


def write_text(path: str | os.PathLike, text: str, sync: bool = True) -> None:
    """Write `text` as UTF-8 with `\\n` line ends, atomically (see `atomic_path`)."""
    with atomic_path(path, sync) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_table(path: str | os.PathLike, head: Iterable[str], row_format: str, table: np.ndarray) -> None:
    """Write lines, given without their ends, then rows of numbers; one is in memory as text at a time."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in head)
        # + 0.0: no "-0.00"
        file.writelines((row_format % tuple(row.tolist())).replace("nan", "NaN") + "\n" for row in table + 0.0)


def _flush_folder(folder: Path) -> None:
    with suppress(OSError):  # folders cannot be opened on Windows; what was renamed there stays
        _flush_to_disk(folder)


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# A file states the version of its layout. Files of newer versions are refused, older ones are converted on reading.


def sha256_of_file(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_version(found: Any, newest: int, where: object) -> int:
    """The version of a file's layout as an int, 1…newest; `InputError` for any other. where: the file."""
    scalar = found.item() if getattr(found, "shape", None) == () else found
    if type(scalar) is not int or scalar < 1:
        raise InputError(f"{where}: its schema is {found!r}, which is no version of the file. The file is damaged.")
    if scalar > newest:
        raise InputError(f"{where}: schema {scalar}, this version reads up to {newest}. Update simspine.")
    return scalar


ALWAYS_ALLOWED_BYTES = 256 << 20  # bytes that a file of any size may ask for
MAX_EXPANSION_FACTOR = 200  # a larger file may ask for this many times its size; motion data compress by 2 to 10
MAX_HDF5_ENTRIES = 200_000  # arrays and groups in an HDF5 file; two hundred trials have some ten thousand
MAX_ATTRIBUTE_BYTES = 1 << 20  # of an HDF5 attribute; the library writes 64 KiB, except texts of variable length
MAX_GROUP_DEPTH = 32  # levels of nested HDF5 groups


def shape_bytes(array: Any) -> int:
    """Bytes of an array; for one without elements, those of the nested empty lists that it may become."""
    return array.nbytes or 64 * math.prod(max(length, 1) for length in array.shape or ())


def check_announced_bytes(where: str, announced: int, size: int) -> None:
    """Raise `InputError` if a file of `size` bytes announces contents of more bytes than it can hold."""
    allowed = max(ALWAYS_ALLOWED_BYTES, MAX_EXPANSION_FACTOR * size)
    if announced > allowed:
        found = f"announces {announced / 1e6:,.0f} MB of numbers in a file of {size / 1e6:,.1f} MB"
        raise InputError(f"{where}: {found}; at most {allowed / 1e6:,.0f} MB can be true. The file is damaged.")
