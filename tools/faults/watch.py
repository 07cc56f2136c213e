"""A process whose changes of files wait until another agrees.

The kernel asks before each system call that changes a file (seccomp with user notification, Linux on x86-64). So the
writes of HDF5, OpenSim and processes that are started count as Python's own do.
"""

import ctypes
import fcntl
import gc
import os
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

# Numbers on x86-64, and what the arguments are: f file, d folder of a path, p path, o how it is opened, b bytes, n how
# many, @ their place in the file.
CHANGES = {
    "open": (2, "po"), "openat": (257, "dpo"), "write": (1, "fbn"), "pwrite": (18, "fbn@"), "writev": (20, "f"),
    "pwritev": (296, "f"), "copy": (326, "--f"), "sendfile": (40, "f"), "allocate": (285, "f"), "truncate": (76, "p"),
    "ftruncate": (77, "f"), "fsync": (74, "f"), "fdatasync": (75, "f"), "rename": (82, "pp"), "renameat": (264, "dpdp"),
    "renameat2": (316, "dpdp"), "mkdir": (83, "p"), "mkdirat": (258, "dp"), "rmdir": (84, "p"), "unlink": (87, "p"),
    "unlinkat": (263, "dp"), "link": (86, "pp"), "linkat": (265, "dpdp"), "symlinkat": (266, "-dp"),
}  # fmt: skip
CHANGE_NAMES = {number: name for name, (number, _) in CHANGES.items()}
WRITES = ("write", "pwrite", "writev", "pwritev", "copy", "sendfile", "allocate")
NEED_SPACE = (*WRITES, "open", "openat", "fsync", "fdatasync", "mkdir", "mkdirat")
NEW_OR_WRITABLE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
SECCOMP_CALL, NO_NEW_PRIVILEGES, NEW_LISTENER = 317, 38, 8
RECEIVE, SEND, LET_HAPPEN = 0xC0502100, 0xC0182101, 1
ASK, ALLOW = 0x7FC00000, 0x7FFF0000
LOAD, JUMP_IF_EQUAL, JUMP_IF_ANY, RETURN = 0x20, 0x15, 0x45, 0x06
KILL = -1


class Change(NamedTuple):
    """What a process is about to do below its folder. paths: all that it names, '' the folder; piece: place, bytes."""

    name: str
    paths: tuple[str, ...]
    piece: tuple[int, bytes] = (0, b"")


Decide = Callable[[Change], int]
"""Before a change: 0 lets it happen, the number of an error refuses it, `KILL` ends the process."""


def run_watched(work: Callable[[], object], folder: Path, home: Path, *, decide: Decide, said: Path) -> int:
    """Exit code of `work` in a fork of this process, in a folder; what it prints goes to the file `said`.

    decide: is asked before each change below `home`.
    """
    here, there = socket.socketpair()
    process = os.fork()
    if process == 0:
        os._exit(_be_watched(work, folder, there, said))
    there.close()
    with here:
        _, listeners, _, _ = socket.recv_fds(here, 1, 1)
    if listeners:
        _answer_until_end(listeners[0], process, os.path.join(os.path.realpath(home), ""), decide)
        os.close(listeners[0])
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)  # what the command has started and left behind
    return code


def _be_watched(work: Callable[[], object], folder: Path, parent: socket.socket, said: Path) -> int:
    os.setsid()
    os.chdir(folder)
    output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout, sys.stderr = (open(stream, "w", closefd=False, encoding="utf-8") for stream in (1, 2))  # noqa: SIM115
    gc.freeze()  # what the collector does not go through is not copied into this process
    code: object = 0
    try:
        listener = _ask_before_changes()
        socket.send_fds(parent, [b"x"], [listener])
        os.close(listener)  # if the other process is killed, no change waits for its consent for good
        work()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = os.EX_SOFTWARE
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


def _ask_before_changes() -> int:
    """From now on the kernel asks before each call in `CHANGES`; the descriptor by which it does."""
    steps = [(LOAD, 0, 0, 0)]
    for number, arguments in CHANGES.values():
        if "o" in arguments:  # reading needs no consent
            flags = 16 + 8 * arguments.index("o")
            steps += [(JUMP_IF_EQUAL, 0, 4, number), (LOAD, 0, 0, flags), (JUMP_IF_ANY, 0, 1, NEW_OR_WRITABLE)]
            steps += [(RETURN, 0, 0, ASK), (RETURN, 0, 0, ALLOW)]
        else:
            steps += [(JUMP_IF_EQUAL, 0, 1, number), (RETURN, 0, 0, ASK)]
    content = b"".join(struct.pack("=HBBI", *step) for step in [*steps, (RETURN, 0, 0, ALLOW)])
    program = ctypes.create_string_buffer(content, len(content))
    head = struct.pack("@HP", len(content) // 8, ctypes.addressof(program))
    system = ctypes.CDLL(None, use_errno=True)
    system.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    listener = system.syscall(SECCOMP_CALL, 1, NEW_LISTENER, head)
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return listener


def _answer_until_end(listener: int, process: int, home: str, decide: Decide) -> None:
    ended = os.pidfd_open(process)
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    waiting.register(ended, select.POLLIN)
    while ended not in (ready := dict(waiting.poll())) and ready[listener] & select.POLLIN:  # else: nobody can ask
        asked = bytearray(80)
        with suppress(FileNotFoundError):  # killed before its question was read, or before the answer
            fcntl.ioctl(listener, RECEIVE, asked)
            change = None
            with suppress(OSError):  # a file that is not open, a text that is none: the kernel refuses it
                change = _change_asked_for(asked, home)
            answer = 0 if change is None else decide(change)
            if answer == KILL:
                os.killpg(process, signal.SIGKILL)
            else:
                flags = 0 if answer else LET_HAPPEN
                fcntl.ioctl(listener, SEND, struct.pack("=QqiI", *struct.unpack_from("=Q", asked), 0, -answer, flags))
    os.close(ended)


def _change_asked_for(asked: bytes, home: str) -> Change | None:
    """None for what is not below the folder `home`."""
    _, process, _, number = struct.unpack_from("=QIIi", asked)
    values = struct.unpack_from("=6Q", asked, 32)
    name = CHANGE_NAMES[number]
    paths: list[str] = []
    folder, buffer, place = os.readlink(f"/proc/{process}/cwd"), 0, -1
    piece = b""
    for kind, value in zip(CHANGES[name][1], values, strict=False):
        if kind == "f":
            paths.append(os.readlink(f"/proc/{process}/fd/{value}"))
            place = _place_in_file(process, value) if paths[0].startswith(home) else 0
        elif kind == "d" and value < 1 << 31:
            folder = os.readlink(f"/proc/{process}/fd/{value}")
        elif kind == "p":
            paths.append(os.path.normpath(os.path.join(folder, os.fsdecode(_memory(process, value).split(b"\0")[0]))))
        elif kind == "b":
            buffer = value
        elif kind == "n" and paths[0].startswith(home):
            piece = _memory(process, buffer, value)
        elif kind == "@":
            place = value
    if not any(f"{path}/".startswith(home) for path in paths):
        return None
    return Change(name, tuple(f"{path}/".removeprefix(home).rstrip("/") for path in paths), (place, piece))


def _place_in_file(process: int, descriptor: int) -> int:
    """Where the next write goes."""
    facts = dict(line.split(":\t", 1) for line in Path(f"/proc/{process}/fdinfo/{descriptor}").read_text().splitlines())
    if int(facts["flags"], 8) & os.O_APPEND:
        return os.stat(f"/proc/{process}/fd/{descriptor}").st_size
    return int(facts["pos"])


def _memory(process: int, start: int, size: int = 0) -> bytes:
    """Bytes of another process; without a size those up to the end of the page, or of the next where no text ends."""
    with open(f"/proc/{process}/mem", "rb", buffering=0) as memory:
        memory.seek(start)
        if size:
            return memory.read(size)
        found = memory.read(4096 - start % 4096)
        return found if b"\0" in found else found + memory.read(4096)
