"""A process that forks for each job of a run: libraries, kernels and tables are loaded once, not once a job. Linux
only.

`simspine job` asks it over a socket without a file. Without an answer, the asking process does the job itself.
"""

import gc
import hmac
import importlib
import json
import os
import pickle
import runpy
import secrets
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from inspect import signature
from typing import Any

from simspine.core.kernels import load_kernels

SERVER_VARIABLE = "SIMSPINE_JOB_SERVER"
PRELOADED = (
    "simspine.cli.main", "simspine.workflow.detect_stage", "simspine.workflow.stage_files", "simspine.workflow.dataset",
)  # fmt: skip
STARTED = b"+"  # sent by a fork before it begins
MOST_BYTES = 1 << 18  # largest message


@contextmanager
def job_server() -> Iterator[None]:
    """Run a server during the block, whose forks do the jobs."""
    if sys.platform != "linux":
        yield
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind("")  # a name that the kernel chooses
        listener.listen(socket.SOMAXCONN)
        name = f"{listener.getsockname().hex()} {secrets.token_hex(16)}"  # address, and a secret of this run
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, str(listener.fileno())],
            stdin=subprocess.PIPE,  # closed when the run ends, for whatever reason
            pass_fds=[listener.fileno()],
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1", SERVER_VARIABLE: name},
        )
    with server:
        os.environ[SERVER_VARIABLE] = name
        try:
            yield
        finally:
            del os.environ[SERVER_VARIABLE]


def ask_job_server(words: Sequence[str]) -> None:
    """Have a fork do `simspine job WORDS`, and exit with its code. Returns if no server of this user answers."""
    name = os.environ.pop(SERVER_VARIABLE, "")
    if not name:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        try:
            server.connect(bytes.fromhex(name.partition(" ")[0]))
            if not _has_same_user(server):
                return
            message = json.dumps([name, words, os.getcwd(), dict(os.environ)]).encode()
            socket.send_fds(server, [message], [0, 1, 2])
            started = server.recv(1)
        except (OSError, ValueError):
            return
        if started == STARTED:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C reaches the fork as well, which ends in order
            code = server.recv(MOST_BYTES)
            if not code:  # killed, perhaps because memory ran out
                os.kill(os.getpid(), signal.SIGKILL)
            sys.exit(int(code))


def _has_same_user(other: socket.socket) -> bool:
    """Whether the process at the other end belongs to this user."""
    size = struct.calcsize("3i")
    _, user, _ = struct.unpack("3i", other.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return user == os.getuid()


def _serve_jobs(listener: socket.socket) -> None:
    """Fork for each job until the run has ended; load what forks report."""
    interrupt, own_name = signal.signal(signal.SIGINT, signal.SIG_IGN), os.environ.pop(SERVER_VARIABLE)
    _load(PRELOADED)
    reports, report_socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    while True:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        ready, _, _ = select.select([reports, listener, sys.stdin], [], [])
        if reports in ready:
            _load(*pickle.loads(reports.recv(MOST_BYTES)))
        elif listener not in ready:
            break
        else:
            asking, _ = listener.accept()
            gc.freeze()  # pages that no collection touches stay shared
            if _has_same_user(asking) and os.fork() == 0:
                listener.close()
                reports.close()
                signal.signal(signal.SIGINT, interrupt)
                _do_job(asking, report_socket, own_name)
            asking.close()
    listener.close()
    with suppress(ChildProcessError):  # so that their processor time counts as the run's
        while os.wait():
            pass


def _do_job(asking: socket.socket, report_socket: socket.socket, own_name: str) -> None:
    """In a fork: do the job as a process of its own would, and report what was loaded. own_name: of the server."""
    from threadpoolctl import threadpool_limits

    modules, kernels, tables, code = set(sys.modules), _loaded_kernels(), _loaded_tables(), 1
    try:
        message, files, _, _ = socket.recv_fds(asking, MOST_BYTES, 3)
        name, words, folder, environment = json.loads(message)
        if not hmac.compare_digest(name, own_name):
            os._exit(code)
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        # New objects, since Python's present ones describe the server's own streams.
        sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = ["simspine", "job", *words]
        threading.Thread(target=_end_with, args=(asking,), daemon=True).start()
        asking.send(STARTED)
        threads = environment.get("OPENBLAS_NUM_THREADS", "")
        with threadpool_limits(int(threads) if threads.isdecimal() else 1, "blas"):
            runpy.run_module("simspine", run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    with suppress(Exception):  # later forks load again what is not reported
        new = [name for name in sys.modules if name not in modules and name != "__main__"]
        report_socket.send(pickle.dumps((new, _loaded_kernels() - kernels, _loaded_tables() - tables)))
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
        asking.send(str(code).encode())
    os._exit(code)


def _end_with(asking: socket.socket) -> None:
    """End this process when the asking process has ended."""
    with suppress(OSError):
        asking.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)


def _loaded_kernels() -> set[tuple[str, str, Any]]:
    """(module, name, types) of the package's compiled functions in this process."""
    return {
        (name, kernel, types)
        for name, module in list(sys.modules.items())
        if name.startswith("simspine.")
        for kernel, value in list(vars(module).items())
        if getattr(getattr(value, "py_func", None), "__module__", None) == name
        for types in value.signatures
    }


def _loaded_tables() -> set[tuple[str, str]]:
    """(module, name) of the package's functions without arguments whose result is kept in this process."""
    return {
        (name, function)
        for name, module in list(sys.modules.items())
        if name.startswith("simspine.")
        for function, value in list(vars(module).items())
        if getattr(value, "__module__", None) == name and hasattr(value, "cache_info")
        if value.cache_info().currsize and not signature(value).parameters
    }


def _load(modules: Iterable[str], kernels: Iterable[tuple] = (), tables: Iterable[tuple[str, str]] = ()) -> None:
    """Load what a fork has loaded, for later forks; those load what cannot be loaded here."""
    for name in modules:
        with suppress(Exception):
            importlib.import_module(name)
    load_kernels()
    for name, kernel, types in kernels:
        with suppress(Exception):
            getattr(sys.modules[name], kernel).compile(types)
    for name, function in tables:
        with suppress(Exception):
            getattr(sys.modules[name], function)()


if __name__ == "__main__":
    _serve_jobs(socket.socket(fileno=int(sys.argv[1])))
