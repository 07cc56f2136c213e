"""report.html of a data set, out of the results' files."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import quote

import numpy as np

from simspine.arrays import evenly_spread
from simspine.config import Config
from simspine.errors import InputError
from simspine.formats.atomic import atomic_path
from simspine.formats.dataset import DatasetFile
from simspine.pipeline.page import (
    FILM_BYTES,
    LICENCES,
    NOTICE,
    caveats_of,
    not_measured_in,
    overlay_picture,
    section_of,
)
from simspine.pipeline.solved_trial import SolvedTrial
from simspine.quality.clinical_figures import ClinicalFigure
from simspine.report.comparison import comparison_table
from simspine.report.content import PageTable, Provenance, ReportContent, TrialSection, number
from simspine.report.figures.validation import pictures, text_tables
from simspine.report.page import write_report
from simspine.report.player.scene import MOST_FRAMES
from simspine.report.poster import poster
from simspine.report.uncertainty import Caveats
from simspine.workflow.context import Context
from simspine.workflow.cycle_figures import Events, cycle_picture
from simspine.workflow.dataset import files_of, provenance
from simspine.workflow.manifest import Task
from simspine.workflow.processes import map_in_processes
from simspine.workflow.summary import read_summary, rows
from simspine.workflow.trials import read_trial

FEW = 3  # trials that share one page
THINNED = 1000  # frames a player holds where there are many trials: 1.4 MB a page
CURVE_POINTS = 60  # of the small picture of a trial's lordosis
MOST_VIEWS = 4  # more would be too small on a picture


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

    With up to `FEW` trials all is on that page. With more, each trial has a page in <results>/report/, and the first
    page links to them: it would grow beyond what a browser opens quickly. processes: draw these pages, each process one
    trial at a time. Raises `InputError` where results are missing or damaged.
    """
    summary = read_summary(config)
    path = Path(config.results) / "report.html"
    names = [(subject, trial) for subject in config.subjects for trial in config.trials(subject)]
    apart = len(names) > FEW
    parts = map_in_processes(
        partial(_part, config, apart),
        [(order, *name) for order, name in enumerate(names, 1)],
        processes if apart else 1,
    )
    figures: dict[str, dict[str, Sequence[ClinicalFigure]]] = {}
    for (subject, trial), part in zip(names, parts, strict=True):
        figures.setdefault(subject, {})[trial] = part.figures
    front, dataset = _front_page(config, summary, parts), path.with_name(f"{config.name}.h5")
    front = replace(front, comparisons=tuple(filter(None, map(comparison_table, figures.values()))))
    if dataset.is_file():  # figures and tables over all of it
        with DatasetFile(dataset) as data:
            front = replace(front, validation=pictures(data), validation_tables=text_tables(data))
    write_report(path, front)
    return path


def _part(config: Config, apart: bool, which: tuple[int, str, str]) -> _Part:
    """Of one trial, with its own page written where it has one (apart). which: its number, subject and name."""
    order, subject, trial = which
    found = _read(config, subject, trial)
    section, link = _section(found, config, f"t{order}", apart), ""
    if apart:
        page = Path(config.results) / "report" / f"{subject}_{trial}.html"
        link = f"report/{quote(page.name)}"
        write_report(page, _trial_page(config, section))
        section = TrialSection(section.name, section.findings)
    return _Part(section, link, _curve(found), caveats_of(found), (*found.curvature_figures, *found.clinical_figures))


def _section(found: SolvedTrial, config: Config, prefix: str, apart: bool) -> TrialSection:
    """A trial's part of the page, or of its own page where it has one (apart)."""
    most, film_bytes = (THINNED, FILM_BYTES // 3) if apart else (MOST_FRAMES, FILM_BYTES)
    section = section_of(found, prefix, config.report.sample_frames, most, film_bytes)
    return _with_cycles(section, found, config, prefix)


def _with_cycles(section: TrialSection, found: SolvedTrial, config: Config, prefix: str) -> TrialSection:
    """With the trial's angles over cycles before its other figures, where the configuration names its events."""
    contacts = config.report.events.get(found.name.replace(" · ", "/"))
    if contacts is None:
        return section
    bands = Path(config.report.bands) if config.report.bands else None
    events: Events = {side[0]: times for side, times in contacts if times}
    return replace(section, figures=(cycle_picture(found, events, bands, prefix), *section.figures))


def _curve(found: SolvedTrial) -> tuple[float, ...]:
    """Lordosis over the trial for a small picture, degrees; NaN where frames were rejected."""
    values = np.where(found.rejected, np.nan, np.degrees(found.spine.lla))
    return tuple(values[evenly_spread(len(values), CURVE_POINTS)].tolist())


def page_task(config: Config, processes: int = 1, recordings_here: bool = True) -> Task:
    """`write_report_of` as a task. recordings_here: whether they must be on this machine when the task is planned."""
    results = Path(config.results)
    names = [(subject, trial) for subject in config.subjects for trial in config.trials(subject)]
    pages = [results / "report" / f"{subject}_{trial}.html" for subject, trial in names] if len(names) > FEW else []

    def work() -> dict:
        write_report_of(config, processes)
        return {}

    contexts = {subject: Context(config, subject, recordings_here=recordings_here) for subject in config.subjects}
    videos = (video for subject, trial in names for video in contexts[subject].capture(trial).videos)
    inputs = [results / "summary.json", results / f"{config.name}.h5"]
    inputs += [Path(config.report.bands)] if config.report.bands else []
    inputs += [*dict.fromkeys(videos), *(file for subject in config.subjects for file in files_of(config, subject))]
    return Task("page", tuple(inputs), (results / "report.html", *pages), provenance(config), work)


def _read(config: Config, subject: str, trial: str) -> SolvedTrial:
    context = Context(config, subject, recordings_here=False)  # of the recordings only the videos are read
    videos = context.capture(trial).videos
    return read_trial(context.paths, trial, videos, keypoints=bool(videos))  # for pictures only


def _front_page(config: Config, summary: dict, parts: Sequence[_Part]) -> ReportContent:
    """The page of the data set."""
    sections, links = [part.section for part in parts], [part.link for part in parts if part.link]
    counts = {"subject": len(config.subjects), "trial": len(sections), "frame": summary["frames"]}
    origin, box = (
        provenance(config),
        not_measured_in([part.caveats for part in parts], fitted=config.ik.engine != "trajectory"),
    )
    findings = [replace(finding, trial=section.name) for section in sections for finding in section.findings]
    return ReportContent(
        title=config.name,
        subtitle=", ".join(f"{count} {word}{'' if count == 1 else 's'}" for word, count in counts.items()),
        summary=rows(summary),
        findings=tuple(findings) if links else (),
        inferred=box["inferred"],
        forced=box["forced"],
        assumed=box["assumed"],
        overview=_overview(summary["trials"], parts),
        trials=() if links else tuple(sections),
        provenance=Provenance(
            config_hash=config.hash,
            versions=origin["versions"],
            inputs={f"{t}: {file}": sha for t, files in origin["inputs_sha256"].items() for file, sha in files.items()},
            settings={
                "detector": config.detection.detector,
                "body": config.body.recipe,
                "inverse kinematics": config.ik.engine,
                "low-pass": f"{config.filter.cutoff_hz} Hz, order {config.filter.order}, zero phase",
            },
        ),
        licences=LICENCES,
        notice=NOTICE,
    )


def _trial_page(config: Config, section: TrialSection) -> ReportContent:
    """The page of one trial of many."""
    return ReportContent(
        title=section.name, subtitle=config.name, trials=(section,), notice=NOTICE, alone=True,
        home=("../report.html", f"{config.name}, all trials"),
    )  # fmt: skip


def _overview(trials: dict, parts: Sequence[_Part]) -> PageTable | None:
    """A line per trial, where there are several."""
    links = tuple(part.link for part in parts if part.link)
    if len(trials) < 2 and not links:
        return None

    def angle(entry: dict, key: str) -> str:
        text, sd = number(entry[f"{key}_deg_mean"]), entry.get(f"{key}_deg_sd")
        return text if text == "–" else f"{text}°{'' if sd is None else f' ± {sd:.1f}°'}"

    return PageTable(
        ("Trial", "Findings", "Frames", "Rejected", "Reprojection", "Marker RMS", "LLA", "TKA"),
        tuple(
            (
                name.replace("/", " · "),
                _lights(part.section),
                str(entry["frames"]),
                _left_out(entry),
                number(entry["reprojection_px_median"], 1, "px"),
                number(entry["marker_rms_mm"], 0, "mm"),
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


def _lights(section: TrialSection) -> str:
    """'■ 1 ▲ 3' for one problem and three things to look at."""
    counts = ((sign, sum(f.light == light for f in section.findings)) for sign, light in (("■", "bad"), ("▲", "check")))
    return " ".join(f"{sign} {count}" for sign, count in counts if count) or "●"


def write_picture_of(config: Config, path: Path) -> Path:
    """One picture of the first trial that came with videos: one moment in up to four cameras, and the curvature.

    path: ends in .png, the format written. Raises `InputError` for another ending, and where no trial has videos.
    """
    if path.suffix.lower() != ".png":
        raise InputError(f"{path}: the picture is written as PNG; name a file that ends in .png.")
    for subject in config.subjects:
        for trial in config.trials(subject):
            if not Context(config, subject).capture(trial).videos:
                continue
            found = _read(config, subject, trial)
            sheet = overlay_picture(found, 1, MOST_VIEWS)
            status = None if found.verdict is None else [str(status) for status in found.verdict.status]
            with atomic_path(path) as temporary:
                temporary.write_bytes(poster(sheet, found.spine, status, _credit(config, subject, trial)))
            return path
    raise InputError(f"{config.name}: no trial came with videos; the picture shows the body on images.")


def _credit(config: Config, subject: str, trial: str) -> str:
    source = str(config.subjects[subject].trials[trial].folder or "")
    images = " · videos: demo data of Pose2Sim, BSD-3-Clause" if source.startswith("pose2sim:") else ""
    return f"{config.name}, {subject} · {trial}{images}"
