"""What every stage is handed: the configuration, one subject, its files, and how to show progress."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from simspine.cameras.clocks import Timing
from simspine.config import Config
from simspine.errors import unknown_name
from simspine.workflow.inputs import Capture, capture_of
from simspine.workflow.paths import Paths

LINES_S = 5.0  # between two lines of progress in a log


def known_fault_in(stored: Mapping) -> dict[str, str]:
    """What the stage before said about the recording, to be handed on."""
    return {"known_fault": stored["known_fault"]} if "known_fault" in stored else {}


def timing_in(stored: Mapping) -> Timing | None:
    """Out of a file of keypoints: which frames of the views belong together, where that was said or found."""
    return Timing.from_dict(stored["timing"]) if "timing" in stored else None


def named_or_first(kind: str, name: str | None, names: Sequence[str]) -> str:
    """The one that is named, which must be among `names`; the first of them where none is."""
    if name is None:
        return names[0]
    if name not in names:
        raise unknown_name(kind, name, names)
    return name


@dataclass(frozen=True)
class Context:
    """trial: the only one it is about; None: all of the subject's. recordings_here: whether their files must be."""

    config: Config
    subject: str
    quiet: bool = False
    trial: str | None = None
    recordings_here: bool = True

    @property
    def paths(self) -> Paths:
        return Paths(Path(self.config.results), self.subject)

    @property
    def trials(self) -> list[str]:
        return self.config.trials(self.subject, self.trial)

    def capture(self, trial: str) -> Capture:
        recorded = self.config.subject(self.subject).trials[trial]
        return capture_of(recorded, self.subject, self.config, self.recordings_here)

    def known_fault(self, trial: str) -> dict[str, str]:
        """{'known_fault': what is known to be wrong with the recording}, to be kept with its results; {} if nothing."""
        name = self.config.subject(self.subject).trials[trial].capture
        text = self.config.known_faults.get(f"{self.subject}/{name}")
        return {} if text is None else {"known_fault": text}

    @contextmanager
    def busy(self, stage: str, task: str, hint: str = "") -> Iterator[None]:
        """While it lasts, the terminal says what is at work, and something moves; nothing is shown when `quiet`."""
        if self.quiet:
            yield
            return
        from rich.console import Console

        with Console().status(" ".join(filter(None, [f"{stage} {self.subject}: {task}", hint]))):
            yield

    def progress(self, text: str) -> AbstractContextManager[Callable[[int, int], None]]:
        """`progress_bar` for the subject."""
        return progress_bar(f"{self.subject} {text}", self.quiet)


@contextmanager
def progress_bar(text: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A callable (done, total) that shows how far the work is and the time left; nothing if `quiet`.

    On a terminal a bar, from the first call on; elsewhere, as in a log, a line every `LINES_S` seconds.
    """
    if quiet:
        yield lambda done, total: None
        return
    if not sys.stdout.isatty():
        yield _lines(text)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns) as bar:
        task = bar.add_task(text, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


def _lines(text: str) -> Callable[[int, int], None]:
    start = last = time.monotonic()
    first = 0

    def show(done: int, total: int) -> None:
        nonlocal start, last, first
        if not first:  # whatever is loaded before the first step is no measure of the others
            start, first = time.monotonic(), done
        elif time.monotonic() - last >= LINES_S:
            last = time.monotonic()
            left = (last - start) / (done - first) * (total - done) if done > first else float("nan")
            print(f"{text}: {done} of {total}, about {left:.0f} s left", flush=True)

    return show
