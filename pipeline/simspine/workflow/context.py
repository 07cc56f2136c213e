"""What every stage is handed: the configuration, one subject, its files, and how to show progress."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from simspine.config import Config
from simspine.workflow.inputs import Capture, capture_of
from simspine.workflow.paths import Paths


def known_fault_in(stored: Mapping) -> dict[str, str]:
    """What the stage before said about the recording, to be handed on."""
    return {"known_fault": stored["known_fault"]} if "known_fault" in stored else {}


@dataclass(frozen=True)
class Context:
    config: Config
    subject: str
    quiet: bool = False

    @property
    def paths(self) -> Paths:
        return Paths(Path(self.config.results), self.subject)

    @property
    def trials(self) -> list[str]:
        return self.config.trials(self.subject)

    def capture(self, trial: str) -> Capture:
        return capture_of(self.config.subject(self.subject).trials[trial], self.subject, self.config)

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

    @contextmanager
    def progress(self, text: str) -> Iterator:
        """A callable (done, total) that moves a progress bar on the terminal; nothing is shown when `quiet`."""
        if self.quiet:
            yield lambda done, total: None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns) as bar:
            task = bar.add_task(f"{self.subject} {text}", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
