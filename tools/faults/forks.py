"""`simspine run` whose processes are forks: Python and its libraries are loaded once, not three times in each run."""

import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from simspine.workflow.launch import run_snakemake

CLIENT = """#!{python} -SE
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect(os.environ["FORKS"])
    socket.send_fds(server, [json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()], [0, 1, 2])
    sys.exit(int(server.recv(9) or 1))
"""


def run_in_forks(program: Callable[[Sequence[str]], object], place: Path, words: Sequence[str]) -> None:
    """The command in this process. place: a folder for the commands `python` and `simspine`, which ask for a fork."""
    place.mkdir(exist_ok=True)
    for name in ("python", "simspine"):
        client = place / name
        if not client.exists():
            client.write_text(CLIENT.format(python=sys.executable))
            client.chmod(0o755)
    listener = socket.socket(socket.AF_UNIX)
    os.environ["FORKS"] = str(place / f"{os.getpid()}.socket")
    listener.bind(os.environ["FORKS"])
    listener.listen()
    if os.fork() == 0:
        _serve(listener, program)
    sys.executable = str(place / "python")
    program(words)


def _serve(listener: socket.socket, program: Callable[[Sequence[str]], object]) -> None:
    """Until the process is killed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        asking, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            code = 1
            with suppress(BaseException):
                code = _answer(asking, program)
            asking.send(str(code).encode())
            os._exit(0)
        asking.close()


def _answer(asking: socket.socket, program: Callable[[Sequence[str]], object]) -> int:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    said, files, _, _ = socket.recv_fds(asking, 1 << 18, 3)
    words, folder, environment = json.loads(said)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdout, sys.stderr = (open(number, "w", closefd=False, encoding="utf-8") for number in (1, 2))  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = words
    try:
        if words[1:4] == ["-P", "-m", run_snakemake.__module__]:
            return run_snakemake(words[4:])
        program(words[1:])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0
