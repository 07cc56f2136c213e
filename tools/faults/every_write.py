"""Commands with a fault at each of their changes of files, one at a time, and then given again."""

import contextlib
import errno
import json
import os
import re
import signal
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tools.faults.forks import run_in_forks
from tools.faults.runs import RESULTS_FOLDER, RUN_CONFIG_FILE, ReportLine, RunFolder, is_manifest
from tools.faults.states import CrashStates, State, comparable, read_state, write_state
from tools.faults.watch import NEED_SPACE, Change, Decide, run_watched

from simspine.core.errors import InputError
from simspine.core.skeletons import load_skeleton
from simspine.evaluation.tables import aligned_markdown
from simspine.io.coco import LabelledImages, write_coco_labels
from simspine.io.image_streams import write_picture

REFUSALS = {"disk full": errno.ENOSPC, "I/O error": errno.EIO}
CONFIGURED, RECORDING = f"--config {RUN_CONFIG_FILE}", f"photographs --annotator anna --out {RESULTS_FOLDER}/home"
RUN_COMMANDS = (
    f"job capture {CONFIGURED} --subject S1",
    f"job detect {CONFIGURED} --subject S1 --trial Walking_1",
    f"job cameras {CONFIGURED} --subject S1",
    f"job markers {CONFIGURED} --subject S1 --trial Walking_1",
    f"job scale {CONFIGURED} --subject S1",
    f"job motion {CONFIGURED} --subject S1 --trial Walking_1",
    f"job dataset {CONFIGURED}",
    f"job page {CONFIGURED}",
    f"run {RUN_CONFIG_FILE} --cores 1",
    *(f"export {CONFIGURED} --format {kind}" for kind in ("hdf5", "csv", "npz", "coco", "c3d", "bids")),
    f"export {CONFIGURED} --axes 62",
)
ANNOTATION_COMMANDS = (
    f"annotate {RECORDING} --no-open",
    f"annotations import {RECORDING} --file labels.json",
    f"annotations export {RECORDING} --format openpose --file {RESULTS_FOLDER}/points --images {RESULTS_FOLDER}/images",
    f"annotations round {RECORDING} --batch 2",
)
JOURNAL, SCRIPTED_DECISIONS = "home/anna.jsonl", 5
Program = Callable[[Sequence[str]], object]


@dataclass(frozen=True)
class WriteOutcome:
    """Of a command with a fault at each of its changes. crashes: kills and power cuts; errors: refused changes.

    states: different contents of the folder from which the command was given again. bad: a line for each fault after
    which something was not as it should be.
    """

    command: str
    changes: int
    crashes: int
    errors: int
    states: int
    bad: tuple[str, ...]


def measure_every_write(
    program: Program, most: int | None = None, only: str = "", crash: bool = True, say: ReportLine = lambda _: None
) -> Iterator[WriteOutcome]:
    """A small run and a small annotation, command by command, each from the results of those before, `run` from those
    before the last job.

    program: simspine's command line, given its words. only: a pattern; break the commands that begin so. crash: False
    for errors only. most: errors at so many changes of a command, evenly spread. Raises `InputError` where Linux does
    not ask, or a command fails by itself.
    """
    if not sys.platform.startswith("linux") or os.uname().machine != "x86_64":
        raise InputError("--every-write needs Linux on x86-64, whose kernel asks before each change of a file.")
    with tempfile.TemporaryDirectory() as folder:
        place = RunFolder(Path(folder) / "run", 1, ["Walking 1"], frames=20)
        place.results.mkdir()
        write_photographs(place.folder)
        commands = _commands_until(RUN_COMMANDS, only) + _commands_until(ANNOTATION_COMMANDS, only)
        _load_all(program, place, commands, say)
        works = {
            "run": partial(run_in_forks, program, place.folder / "forks"),
            "annotate": partial(_annotate_by_script, program),
        }
        start = read_state(place.results)
        for command in commands:
            if command.startswith("run "):  # it is to do the last job once more
                write_state(place.results, start)
            broken = BrokenCommand(place, command, partial(works.get(command.split()[0], program), command.split()))
            start = broken.start
            if re.match(only, command):
                say(command)
                yield broken.measure(most, crash, say)
            else:
                broken.undisturbed()


def _commands_until(commands: Sequence[str], only: str) -> Sequence[str]:
    """Those to the last that begins so."""
    wanted = [number for number, command in enumerate(commands, 1) if re.match(only, command)]
    return commands[: max(wanted, default=0)]


class BrokenCommand:
    """A command that is broken, and given again, in a folder. work: does what it does."""

    def __init__(self, place: RunFolder, command: str, work: Callable[[], object]):
        self.place, self.command, self.work = place, command, work
        self.said = place.folder / "said.txt"
        self.start = read_state(place.results)
        self.reference: dict[str, str] = {}
        self._outcomes: dict[str, str] = {}

    def undisturbed(self) -> CrashStates:
        """Once, with nothing in the way; its results stay."""
        self.said.write_text("")
        crashes = CrashStates(self.place.results, self._confirmed)
        code = self._run(crashes.before)
        if code:
            raise InputError(f"{self.command} failed by itself: {self.said.read_text()[-400:]}")
        self.reference = comparable(read_state(self.place.results))
        return crashes

    def measure(self, most: int | None = None, crash: bool = True, say: ReportLine = lambda _: None) -> WriteOutcome:
        """Crashes at all changes, and errors at all or at `most` of them. The results are whole afterwards."""
        crashes = self.undisturbed()
        end, changes = read_state(self.place.results), crashes.changes
        step = max(1, len(changes) // (most or len(changes) or 1))
        bad, crashed, refused = [], 0, 0
        for number, change in enumerate(changes):
            found = [(*left, "") for left in crashes.states[number]] if crash else []
            crashed += len(found)
            if number % step == step - 1:
                found += self._refusals(number)
                refused += len(REFUSALS)
            for fault, state, confirmed, broke in found:
                if why := "; ".join(filter(None, (broke, self._what_differs(state, confirmed)))):
                    bad.append(f"{fault} at {number + 1}, {change.name} {change.paths[-1]}: {why}")
                    say(f"{self.command}: {bad[-1]}")
        write_state(self.place.results, end)
        return WriteOutcome(self.command, len(changes), crashed, refused, len(self._outcomes), tuple(bad))

    def _refusals(self, number: int) -> Iterator[tuple[str, State, int, str]]:
        """Each error at a change, what it leaves, how much was confirmed before, and what was wrong with its end."""
        for fault, error in REFUSALS.items():
            write_state(self.place.results, self.start)
            code = self._run(_Refusal(number, error))
            broke = "" if code in (0, 2) else f"ended with {code}: {self.said.read_text()[-300:]}"
            yield fault, read_state(self.place.results), self._confirmed(), broke

    def _what_differs(self, state: State, confirmed: int) -> str:
        """What is not as it should be after the same command again; '' where all is well."""
        key = json.dumps([comparable(state, whole=True), confirmed], sort_keys=True)
        if key not in self._outcomes:
            write_state(self.place.results, state)
            code = self._run(lambda _: 0)
            after = read_state(self.place.results)
            found = comparable(after)
            redone = [name for name, text in state.items() if is_manifest(name) and text and after.get(name) != text]
            differing = sorted(name for name in found | self.reference if found.get(name) != self.reference.get(name))
            faults = {
                f"then ended with {code}: {self.said.read_text()[-300:]}": code,
                f"other bytes: {', '.join(differing[:5])}": differing,
                f"{self.place.left()} files left": self.place.left(),
                f"done again: {', '.join(redone)}": redone,
                "a confirmed decision is lost": (state.get(JOURNAL) or b"\n").count(b"\n") - 1 < confirmed,
            }
            self._outcomes[key] = "; ".join(what for what, is_so in faults.items() if is_so)
        return self._outcomes[key]

    def _run(self, decide: Decide) -> int:
        return run_watched(self.work, self.place.folder, self.place.results, decide=decide, said=self.said)

    def _confirmed(self) -> int:
        return self.said.read_text(errors="replace").count("confirmed\n")


class _Refusal:
    """An error at the n-th change; of a full disk, at all later ones that need space as well."""

    def __init__(self, number: int, error: int):
        self.left, self.error = number, error

    def __call__(self, change: Change) -> int:
        self.left -= 1
        lasts = self.error == errno.ENOSPC and change.name.startswith(NEED_SPACE)
        return self.error if self.left == -1 or (self.left < 0 and lasts) else 0


def write_photographs(folder: Path) -> None:
    """Eight photographs of two cameras, and labels of one of them."""
    names = load_skeleton("simspine37").names
    for camera in ("cam01", "cam02"):
        for number in range(8):
            write_picture(folder / f"photographs/{camera}/{number}.png", np.full((48, 64, 3), number, np.uint8))
    points = np.tile([10.0, 20.0, 2.0], (1, len(names), 1))
    labels = LabelledImages(names, ("cam01/0.png",), [[64, 48]], points, np.full((1, len(names)), 2))
    write_coco_labels(folder / "labels.json", labels)


def _load_all(program: Program, place: RunFolder, commands: Sequence[str], say: ReportLine) -> None:
    """The commands once in this process, whose forks then have all libraries and kernels; in results of their own."""
    text = (place.folder / RUN_CONFIG_FILE).read_text(encoding="utf-8").replace(f": {RESULTS_FOLDER}", ": loaded")
    (place.folder / f"loaded-{RUN_CONFIG_FILE}").write_text(text, encoding="utf-8")
    import snakemake.cli  # noqa: F401

    with contextlib.chdir(place.folder), contextlib.redirect_stdout(sys.stderr):
        for command in commands:
            if not command.startswith(("run ", "annotate ")):
                say(f"loading: {command}")
                words = command.replace(RUN_CONFIG_FILE, f"loaded-{RUN_CONFIG_FILE}").replace(RESULTS_FOLDER, "loaded")
                try:
                    program(words.split())
                except SystemExit as end:
                    if end.code:
                        raise InputError(f"{words} failed by itself.") from None


def _annotate_by_script(program: Program, words: Sequence[str]) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    threading.Thread(target=decide_by_script, daemon=True).start()
    program(words)


def decide_by_script() -> None:
    """Ask the annotation page's server of this process to take decisions, one by one."""
    address = ""
    while not address:
        time.sleep(0.01)
        address = next(iter(re.findall(r"http://\S+/", Path("said.txt").read_text())), "")
    try:
        urllib.request.urlopen(
            f"{address}api/project", timeout=60
        ).close()  # it answers once it can be stopped in order
        for frame in range(SCRIPTED_DECISIONS):
            journal = Path(RESULTS_FOLDER, JOURNAL).read_text(encoding="utf-8")
            if f'"f": {frame},' not in journal:
                send_decision(address, frame)
                print("confirmed", flush=True)
    finally:
        os.kill(os.getpid(), signal.SIGINT)


def send_decision(address: str, frame: int, point: str = "Hip") -> None:
    """Raises `OSError` where the server does not confirm it."""
    entry = {"f": frame, "v": 0, "p": point, "x": 10.5, "y": 20.25, "see": 2, "how": 2}
    asked = urllib.request.Request(f"{address}api/edits", json.dumps({"edits": [entry]}).encode())
    asked.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(asked, timeout=60) as answer:
        answer.read()


def every_write_table(found: Sequence[WriteOutcome]) -> str:
    """A line for each command, in Markdown."""
    rows: list[tuple[str, ...]] = [
        ("command", "changes", "crashes", "errors", "states", "not as it should be"),
        ("---", "--:", "--:", "--:", "--:", "--:"),
    ]  # fmt: skip
    for one in found:
        name = one.command.partition(" --")[0].removesuffix(" photographs")
        counts = one.changes, one.crashes, one.errors, one.states, len(one.bad)
        rows.append((name, *map(str, counts)))
    return aligned_markdown(rows)
