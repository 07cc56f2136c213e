"""report.html of a data set, and a page for each trial where there are many, out of the results' files."""

import gc
import pickle
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import numpy as np
from threadpoolctl import threadpool_limits

from simspine.core.errors import InputError, evenly_spread
from simspine.io.dataset_read import DatasetFile
from simspine.quality.observability import ClinicalFigure
from simspine.reconstruction.solved_trial import SolvedTrial
from simspine.report.page import PageTable, Provenance, ReportContent, TrialSection, number_text, write_report
from simspine.report.scene import MOST_FRAMES
from simspine.report.tables import Caveats, comparison_table, validation_text_tables
from simspine.report.trial_page import (
    DETECTOR_LICENCES,
    FILM_BYTES,
    REPORT_NOTICE,
    angles_not_measured,
    trial_caveats,
    trial_section_of,
)
from simspine.workflow.config import Config
from simspine.workflow.dataset import dataset_files_of_subject, provenance_of_results, read_summary, summary_table_rows
from simspine.workflow.inputs import Context
from simspine.workflow.results import read_trial
from simspine.workflow.up_to_date import StageTask
from simspine.workflow.views import ContactEvents, cycle_picture

# Independent pieces of work in several processes: for work in Python, which threads would do by turns.
# Not by `concurrent.futures`, whose processes wait for ever where the one that started them was killed, and go
# through all that was handed to them after ctrl-C.


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


MAX_TRIALS_ON_ONE_PAGE = 3  # trials that share one page
MAX_PLAYER_FRAMES = 1000  # frames a player holds where there are many trials: 1.4 MB a page
MAX_CURVE_POINTS = 60  # of the small picture of a trial's lordosis


@dataclass(frozen=True)
class _Part:
    """What the data set's page wants of a trial. section: its findings alone, where it has a page of its own."""

    section: TrialSection
    link: str
    curve: tuple[float, ...]
    caveats: Caveats
    figures: tuple[ClinicalFigure, ...]


def write_report_of(config: Config, processes: int = 1) -> Path:
    """Write <results>/report.html; returns its path.

    With up to `MAX_TRIALS_ON_ONE_PAGE` trials all is on that page. With more, each trial has a page in
    <results>/report/ and the first page links to them: it would grow beyond what a browser opens quickly. processes:
    draw these pages, each process one trial at a time. Raises `InputError` where results are missing or damaged.
    """
    summary = read_summary(config)
    path = Path(config.results) / "report.html"
    names = [(subject, trial) for subject in config.subjects for trial in config.trials(subject)]
    apart = len(names) > MAX_TRIALS_ON_ONE_PAGE
    parts = map_in_processes(
        partial(_trial_part, config, apart),
        [(order, *name) for order, name in enumerate(names, 1)],
        processes if apart else 1,
    )
    figures: dict[str, dict[str, Sequence[ClinicalFigure]]] = {}
    for (subject, trial), part in zip(names, parts, strict=True):
        figures.setdefault(subject, {})[trial] = part.figures
    front, dataset = _front_page(config, summary, parts), path.with_name(f"{config.name}.h5")
    front = replace(front, comparisons=tuple(filter(None, map(comparison_table, figures.values()))))
    if dataset.is_file():  # tables over all of it
        with DatasetFile(dataset) as data:
            front = replace(front, validation_tables=validation_text_tables(data))
    write_report(path, front)
    return path


def _trial_part(config: Config, apart: bool, which: tuple[int, str, str]) -> _Part:
    """Of one trial, with its own page written where it has one (apart). which: its number, subject and name."""
    order, subject, trial = which
    found = _read_part(config, subject, trial)
    section, link = _part_section(found, config, f"t{order}", apart), ""
    if apart:
        page = Path(config.results) / "report" / f"{subject}_{trial}.html"
        link = f"report/{quote(page.name)}"
        write_report(page, _trial_page(config, section))
        section = TrialSection(section.name, section.findings)
    return _Part(
        section=section,
        link=link,
        curve=_thinned_curve(found),
        caveats=trial_caveats(found),
        figures=(*found.curvature_figures, *found.clinical_figures),
    )


def _part_section(found: SolvedTrial, config: Config, prefix: str, apart: bool) -> TrialSection:
    """A trial's part of the page, or of its own page where it has one (apart)."""
    most, film_bytes = (MAX_PLAYER_FRAMES, FILM_BYTES // 3) if apart else (MOST_FRAMES, FILM_BYTES)
    section = trial_section_of(found, prefix, config.report.sample_frames, most=most, film_bytes=film_bytes)
    return _with_cycles(section, found, config, prefix)


def _with_cycles(section: TrialSection, found: SolvedTrial, config: Config, prefix: str) -> TrialSection:
    """With the trial's angles over cycles before its other figures, where the configuration names its events."""
    contacts = config.report.events.get(found.name.replace(" · ", "/"))
    if contacts is None:
        return section
    bands = Path(config.report.bands) if config.report.bands else None
    events: ContactEvents = {side[0]: times for side, times in contacts if times}
    return replace(section, figures=(cycle_picture(found, events, bands, prefix), *section.figures))


def _thinned_curve(found: SolvedTrial) -> tuple[float, ...]:
    """Lordosis over the trial for a small picture, degrees; NaN where frames were rejected."""
    values = np.where(found.rejected, np.nan, np.degrees(found.spine.lla))
    return tuple(values[evenly_spread(len(values), MAX_CURVE_POINTS)].tolist())


def page_task(config: Config, processes: int = 1) -> StageTask:
    """`write_report_of` as a task."""
    results = Path(config.results)
    names = [(subject, trial) for subject in config.subjects for trial in config.trials(subject)]
    pages = (
        [results / "report" / f"{subject}_{trial}.html" for subject, trial in names]
        if len(names) > MAX_TRIALS_ON_ONE_PAGE
        else []
    )

    def work() -> dict:
        write_report_of(config, processes)
        return {}

    contexts = {subject: Context(config, subject) for subject in config.subjects}
    videos = (video for subject, trial in names for video in contexts[subject].capture(trial).videos)
    inputs = [results / "summary.json", results / f"{config.name}.h5"]
    inputs += [Path(config.report.bands)] if config.report.bands else []
    inputs += [
        *dict.fromkeys(videos),
        *(file for subject in config.subjects for file in dataset_files_of_subject(config, subject)),
    ]
    return StageTask(
        name="page",
        inputs=tuple(inputs),
        outputs=(results / "report.html", *pages),
        settings=provenance_of_results(config),
        work=work,
    )


def _read_part(config: Config, subject: str, trial: str) -> SolvedTrial:
    context = Context(config, subject)
    videos = context.capture(trial).videos
    return read_trial(context.paths, trial, videos, keypoints=bool(videos))  # for pictures only


def _front_page(config: Config, summary: dict, parts: Sequence[_Part]) -> ReportContent:
    """The page of the data set."""
    sections, links = [part.section for part in parts], [part.link for part in parts if part.link]
    counts = {"subject": len(config.subjects), "trial": len(sections), "frame": summary["frames"]}
    origin, box = (
        provenance_of_results(config),
        angles_not_measured([part.caveats for part in parts], fitted=config.ik.engine != "trajectory"),
    )
    findings = [replace(finding, trial=section.name) for section in sections for finding in section.findings]
    return ReportContent(
        title=config.name,
        subtitle=", ".join(f"{count} {word}{'' if count == 1 else 's'}" for word, count in counts.items()),
        summary=summary_table_rows(summary),
        findings=tuple(findings) if links else (),
        inferred=box["inferred"],
        forced=box["forced"],
        assumed=box["assumed"],
        overview=_overview_table(summary["trials"], parts),
        trials=() if links else tuple(sections),
        provenance=Provenance(
            config_hash=config.hash,
            versions=origin["versions"],
            inputs={f"{t}: {file}": sha for t, files in origin["inputs_sha256"].items() for file, sha in files.items()},
            settings={
                **(_image_settings(config) if any(map(config.filmed_trials, config.subjects)) else {}),
                "body": config.body.recipe,
                "inverse kinematics": config.ik.engine,
            },
        ),
        licences=DETECTOR_LICENCES,
        notice=REPORT_NOTICE,
    )


def _image_settings(config: Config) -> dict[str, str]:
    return {
        "detector": config.detection.detector,
        "low-pass": f"{config.filter.cutoff_hz} Hz, order {config.filter.order}, zero phase",
    }


def _trial_page(config: Config, section: TrialSection) -> ReportContent:
    """The page of one trial of many."""
    return ReportContent(
        title=section.name, subtitle=config.name, trials=(section,), notice=REPORT_NOTICE, alone=True,
        home=("../report.html", f"{config.name}, all trials"),
    )  # fmt: skip


def _overview_table(trials: dict, parts: Sequence[_Part]) -> PageTable | None:
    """A line per trial, where there are several."""
    links = tuple(part.link for part in parts if part.link)
    if len(trials) < 2 and not links:
        return None

    def angle(entry: dict, key: str) -> str:
        text, sd = number_text(entry[f"{key}_deg_mean"]), entry.get(f"{key}_deg_sd")
        return text if text == "–" else f"{text}°{'' if sd is None else f' ± {sd:.1f}°'}"

    return PageTable(
        ("Trial", "Findings", "Frames", "Rejected", "Reprojection", "Marker RMS", "LLA", "TKA"),
        tuple(
            (
                name.replace("/", " · "),
                _trial_lights(part.section),
                str(entry["frames"]),
                _left_out(entry),
                number_text(entry["reprojection_px_median"], 1, "px"),
                number_text(entry["marker_rms_mm"], 0, "mm"),
                angle(entry, "lla"),
                angle(entry, "tka"),
            )
            for (name, entry), part in zip(trials.items(), parts, strict=True)
        ),
        "The small curves are lumbar lordosis over each trial, all on one scale. "
        "LLA, TKA: mean ± standard deviation of a frame.",
        links=links,
        curves=tuple(part.curve for part in parts),
    )


def _left_out(entry: dict) -> str:
    """How many frames were rejected, and filled in."""
    inferred = entry.get("frames_inferred")
    return f"{entry['frames_rejected']}" + (f", {inferred} inferred" if inferred else "")


def _trial_lights(section: TrialSection) -> str:
    """'■ 1 ▲ 3' for one problem and three things to look at."""
    counts = ((sign, sum(f.light == light for f in section.findings)) for sign, light in (("■", "bad"), ("▲", "check")))
    return " ".join(f"{sign} {count}" for sign, count in counts if count) or "●"
