"""Commands in a process of their own that need not import anything: a fork of the process that runs the tests.

Nothing that they change is left in this process, and the seconds that Python and libraries take to load are paid once.
"""

import gc
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

FAILED = 70  # exit code of a command that ends in an exception


def run_forked(command: Callable[[], object], folder: Path, **environment: str) -> CompletedProcess:
    """What `command` prints, as text, and its exit code, where it is called in a folder.

    It ends by returning or by `sys.exit`.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out, tempfile.TemporaryFile("w+", encoding="utf-8") as err:
        child = os.fork()
        if child == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os._exit(_exit_code_of(command, folder, environment))
        status = os.waitpid(child, 0)[1]
        out.seek(0)
        err.seek(0)
        return CompletedProcess([], os.waitstatus_to_exitcode(status), out.read(), err.read())


def _exit_code_of(command: Callable[[], object], folder: Path, environment: dict[str, str]) -> int:
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - this process ends soon
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    gc.freeze()  # what the collector does not go through is not copied into this process
    try:
        os.environ.update(environment)
        os.chdir(folder)
        command()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = FAILED
    sys.stdout.flush()
    sys.stderr.flush()
    return code
