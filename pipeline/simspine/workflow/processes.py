"""Independent pieces of work in several processes: for work in Python, which threads would do by turns.

Not by `concurrent.futures`, whose processes wait for ever where the one that started them was killed, and go through
all that was handed to them after ctrl-C.
"""

import gc
import pickle
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple, TypeVar

from threadpoolctl import threadpool_limits

from simspine.core.errors import InputError

T = TypeVar("T")
R = TypeVar("R")
WORKER_ENDED_ERROR = (
    "one of the processes that shared the work was ended from outside, as the system does where memory runs out. "
    "Give the command fewer cores, or more memory."
)


class _Answer(NamedTuple):
    """What a piece of work came to. warned: text, category, file and line of each warning."""

    result: Any = None
    error: Exception | None = None
    warned: tuple[tuple[str, type[Warning], str, int], ...] = ()


def map_in_processes(work: Callable[[T], R], items: Sequence[T], processes: int = 1) -> list[R]:
    """`work` of every item, in the items' order; in this process if one is enough.

    work, items and results must be such as pickle takes. In each process BLAS has one thread, in this one as well, so
    that results are the same however many there are. Warnings are given here, each once. After an error nothing more is
    begun, what is begun is done, and the error of the first item that has one is raised. Ctrl-C ends all processes;
    where this one is killed the others end when they are through with their item. Raises `InputError` where one of them
    is killed.
    """
    processes = min(processes, len(items))
    if processes <= 1:
        return [_on_one_thread(work, item) for item in items]
    results: dict[int, R] = {}
    errors: dict[int, Exception] = {}
    registry: dict = {}  # of the warnings given
    left = iter(enumerate(items))
    with _start_workers(processes) as free:
        busy: dict[Connection, int] = {}
        while free or busy:
            for pipe in free:
                if not errors and (piece := next(left, None)) is not None:
                    busy[pipe] = piece[0]
                    with suppress(ConnectionError):  # it was killed: its answer is the end of the file
                        pipe.send((work, piece[1]))
            ready = wait(list(busy)) if busy else []
            free = [pipe for pipe in busy if pipe in ready]
            for pipe in free:
                answer, order = _answer_task(pipe), busy.pop(pipe)
                for warned in answer.warned:
                    warnings.warn_explicit(*warned, registry=registry)
                if answer.error is None:
                    results[order] = answer.result
                else:
                    errors[order] = answer.error
    if errors:
        raise errors[min(errors)]
    return [results[order] for order in range(len(items))]


def _answer_task(pipe: Connection) -> _Answer:
    try:
        return pipe.recv()
    except (EOFError, ConnectionError):
        return _Answer(error=InputError(WORKER_ENDED_ERROR))


@contextmanager
def _start_workers(processes: int) -> Iterator[list[Connection]]:
    """So many processes while the block lasts, a pipe to each; an error in the block ends them at once."""
    context = get_context("spawn")  # a fork would copy locks that other threads hold
    started = []
    try:
        for _ in range(processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve_items, args=(theirs, gc.get_threshold()), daemon=True)
            process.start()
            theirs.close()  # the other end is then closed when that process ends
            started.append((process, ours))
        yield [pipe for _, pipe in started]
    except BaseException:
        for process, _ in started:
            process.terminate()
        raise
    finally:
        for _, pipe in started:
            pipe.close()
        for process, _ in started:
            process.join()


def _serve_items(pipe: Connection, thresholds: tuple[int, int, int]) -> None:
    """A process's life: work on what comes, until the pipe is closed. thresholds: of looking for cycles of objects."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's ctrl-C goes to all; the one that started this ends it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as an exception: files that are begun are removed
    gc.set_threshold(*thresholds)
    with suppress(EOFError, ConnectionError):
        while True:
            work, item = pipe.recv()
            pipe.send(_try_item(work, item))


def _try_item(work: Callable[[T], R], item: T) -> _Answer:
    result, failure = None, None
    with warnings.catch_warnings(record=True) as heard:
        try:
            result = _on_one_thread(work, item)
        except Exception as error:
            failure = _sendable(error)
    return _Answer(result, failure, tuple((str(w.message), w.category, w.filename, w.lineno) for w in heard))


def _on_one_thread(work: Callable[[T], R], item: T) -> R:
    with threadpool_limits(1, "blas"):
        return work(item)


def _sendable(error: Exception) -> Exception:
    """The error, with its traceback as a note; a plain one with its words if pickle cannot take it to and fro."""
    where = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(f"In another process:\n{where}")
    return error
