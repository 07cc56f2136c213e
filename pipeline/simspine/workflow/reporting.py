"""report.html of a data set, and a page for each trial where there are many, from the results' files."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from threadpoolctl import threadpool_limits

from simspine import __version__
from simspine.core.errors import InputError, naming_content
from simspine.evaluation.validation_records import trial_records
from simspine.io.atomic import write_text
from simspine.io.dataset_read import DatasetFile
from simspine.quality.findings import findings_of_dicts
from simspine.quality.observability import ClinicalFigure
from simspine.reconstruction.headline import INFERRED_SPINE_GROUP
from simspine.reconstruction.solved_trial import SolvedTrial
from simspine.report import page
from simspine.report.figures import comparison_table
from simspine.report.page import ReportContent, Statement, TrialSection, page_words
from simspine.report.scene import MOST_FRAMES
from simspine.report.statements import FILM_BYTES, REPORT_NOTICE, trial_section_of
from simspine.report.tables import held_still, stated_mean, validation_text_tables
from simspine.report.trial_sections import page_findings
from simspine.workflow.config import Config
from simspine.workflow.dataset import (
    computing_times,
    dataset_file,
    provenance_of_results,
    read_summary,
    summary_table_rows,
)
from simspine.workflow.inputs import Context, has_pages_of_trials
from simspine.workflow.results import files_of_trial, read_trial
from simspine.workflow.stage_files import solved_as_calibrated, tasks_of_trials
from simspine.workflow.up_to_date import RunPaths, StageTask, check_as_made, read_made_json
from simspine.workflow.views import ContactEvents, cycle_picture

MAX_PLAYER_FRAMES = 1000  # frames a player holds where there are many trials: 1.4 MB a page


@dataclass(frozen=True)
class _Part:
    """A trial's content for the data set's page. section: only its findings, where it has a page of its own (link)."""

    section: TrialSection
    link: str
    figures: tuple[ClinicalFigure, ...]

    def to_dict(self) -> dict:
        """JSON-able: what a page of many trials shows of each."""
        findings = [finding.to_dict() for finding in self.section.findings]
        return {"name": self.section.name, "findings": findings, "figures": [asdict(one) for one in self.figures]}

    @classmethod
    def from_dict(cls, stored: dict, link: str) -> "_Part":
        rows: list[dict[str, Any]] = [
            {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
            for row in stored["figures"]
        ]
        section = TrialSection(stored["name"], findings_of_dicts(stored["findings"]))
        return cls(section, link, tuple(ClinicalFigure(**row) for row in rows))


def page_of_trial(results: Path, subject: str, trial: str) -> Path:
    return results / "report" / f"{subject}_{trial}.html"


def plan_page(context: Context) -> list[StageTask]:
    """A page of each trial, for results with many (`has_pages_of_trials`)."""
    config, paths = context.config, context.paths
    drawn = {trial: context.capture(trial).videos for trial in context.trials}
    return tasks_of_trials(
        partial(_write_trial_page, context),
        {trial: (*files, *files_of_trial(config, paths, trial)) for trial, files in drawn.items()},
        lambda trial: (page_of_trial(paths.results, context.subject, trial), paths.page_facts(trial)),
        settings={"name": config.name, "report": config.report.model_dump()},
    )


def _write_trial_page(context: Context, trial: str) -> None:
    """The page, and what the data set's page shows of the trial."""
    config, solved = context.config, _read_trial(context.config, context.subject, trial)
    section = _whole_section(solved, config, "t1", apart=True)
    write_text(context.paths.page_facts(trial), json.dumps(_facts(solved).to_dict(), indent=1) + "\n")
    content = ReportContent(
        title=section.name, subtitle=section.recorded, trials=(section,), notice=REPORT_NOTICE, alone=True,
        home=("../report.html", f"{config.name}, all trials"),
    )  # fmt: skip
    page.write_report(page_of_trial(context.paths.results, context.subject, trial), content)


def write_report_of(config: Config) -> Path:
    """Write <results>/report.html, with many trials linked to their pages (`plan_page`); returns its path."""
    summary = read_summary(config)
    path = Path(config.results) / "report.html"
    names = [(subject, trial) for subject in config.subjects for trial in config.trials(subject)]
    if has_pages_of_trials(config):
        parts = [_stored_part(config, *name) for name in names]
    else:  # with their pictures
        solved = (_read_trial(config, *name) for name in names)
        parts = [
            replace(_facts(one), section=_whole_section(one, config, f"t{order}", apart=False))
            for order, one in enumerate(solved, 1)
        ]
    figures: dict[str, dict[str, Sequence[ClinicalFigure]]] = {}
    for (subject, trial), part in zip(names, parts, strict=True):
        figures.setdefault(subject, {})[trial] = part.figures
    front, dataset = _front_page(config, summary, parts), dataset_file(path.parent, f"{config.name}.h5")
    front = replace(front, comparisons=tuple(filter(None, map(comparison_table, figures.values()))))
    if dataset.is_file() and len(names) > 1:  # tables over all of it
        with DatasetFile(dataset) as data:
            front = replace(front, validation_tables=validation_text_tables(trial_records(data)))
    page.write_report(path, front)
    return path


def _stored_part(config: Config, subject: str, trial: str) -> _Part:
    """Of a trial with a page of its own, what was stored when that was drawn."""
    paths = RunPaths(Path(config.results), subject)
    link = f"report/{quote(page_of_trial(paths.results, subject, trial).name)}"
    stored = read_made_json(paths.page_facts(trial), paths.manifest("page", trial))
    with naming_content(paths.page_facts(trial), "what the page shows of a trial; run `simspine report` again"):
        return _Part.from_dict(stored, link)


def _facts(solved: SolvedTrial) -> _Part:
    section = TrialSection(solved.name, tuple(page_findings(solved.findings)))
    return _Part(section, "", figures=(*solved.curvature_figures, *solved.clinical_figures))


def _whole_section(found: SolvedTrial, config: Config, prefix: str, apart: bool) -> TrialSection:
    """A trial's section of the data set's page, or (apart) of a page of its own; cycles come first.

    On the data set's page, a trial whose calibration did not fit is solved with that calibration too."""
    most, film_bytes = (MAX_PLAYER_FRAMES, FILM_BYTES // 3) if apart else (MOST_FRAMES, FILM_BYTES)
    with threadpool_limits(1, "blas"):  # so that the bytes do not depend on the machine's processors
        section = trial_section_of(
            found,
            prefix,
            config.report.sample_frames,
            most=most,
            film_bytes=film_bytes,
            how=_image_sentence(found, config),
            as_calibrated=None if apart else solved_as_calibrated(Context(config, found.subject), found),
        )
        contacts = config.report.events.get(f"{found.subject}/{found.trial}")
        if contacts is None:
            return section
        events: ContactEvents = {side[0]: times for side, times in contacts if times}
        with naming_content(f"report.events.{found.subject}/{found.trial}", "contacts of feet in this trial"):
            cycles = cycle_picture(found, events, prefix)
        return replace(section, figures=(cycles, *section.figures))


def page_task(config: Config) -> StageTask:
    results = Path(config.results)
    trials = [(Context(config, subject), trial) for subject in config.subjects for trial in config.trials(subject)]
    drawn = (
        file for c, trial in trials for file in (*c.capture(trial).videos, *files_of_trial(config, c.paths, trial))
    )
    if has_pages_of_trials(config):
        drawn = (context.paths.page_facts(trial) for context, trial in trials)
    return StageTask(
        name="page",
        inputs=(results / "summary.json", results / f"{config.name}.h5", *dict.fromkeys(drawn)),
        outputs=(results / "report.html",),
        settings=provenance_of_results(config),
        work=partial(write_report_of, config),
    )


def _read_trial(config: Config, subject: str, trial: str) -> SolvedTrial:
    context = Context(config, subject)
    videos = context.capture(trial).videos
    check_as_made(context.paths, trial, "export")
    return read_trial(context.paths, trial, videos, keypoints=bool(videos))  # for pictures only


def _front_page(config: Config, summary: dict, parts: Sequence[_Part]) -> ReportContent:
    sections, links = [part.section for part in parts], [part.link for part in parts if part.link]
    counts = {"subject": len(config.subjects), "trial": len(sections), "frame": summary["frames"]}
    counted = [f"{count} {word}{'' if count == 1 else 's'}" for word, count in counts.items()]
    made = f"Computed on {computing_times(config)['made_on']} by simspine {__version__}"
    filmed = [(name, trial) for name in config.subjects for trial in config.filmed_trials(name)]
    used = ", ".join(sorted({_detector(config, *trial) for trial in filmed}))
    image_settings = {"detector": used, "filter": _low_pass(config)}
    findings = [replace(finding, trial=section.name) for section in sections for finding in section.findings]
    unused = tuple(name for name in ("blazepose", "spinepose") if name not in used)
    if "blazepose" not in unused:
        image_settings["network file"] = f"pose_landmark_{config.detection.network}.tflite"
    return ReportContent(
        title=config.name,
        subtitle=f"{sections[0].recorded if len(sections) == 1 and not links else ', '.join(counted)}. {made}.",
        summary=_rows_of_fit(summary, config),
        findings=tuple(findings) if links else (),
        overview=_overview_table(_entries_of(summary, parts), parts),
        trials=() if links else tuple(sections),
        provenance={
            "Configuration (SHA-256)": config.hash,
            "command": "simspine run CONFIG; next to this page, config.yaml is a copy of CONFIG",
            **(image_settings if used else {}),
            **{f"height of {name}": f"{one.height} m, given" for name, one in config.subjects.items() if one.height},
            "body": config.body.recipe,
            "inverse kinematics": config.ik.engine + ": simspine's own solver" * (config.ik.engine == "trajectory"),
        },
        licences={name: terms for name, terms in page_words("licences").items() if not name.lower().startswith(unused)},
        notice=REPORT_NOTICE,
        files=tuple(Statement(name.replace("NAME", config.name), text) for name, text in page_words("files").items()),
    )


# Keys of the summary that the page states elsewhere.
_STATED_ELSEWHERE = (
    "frames", "frames_rejected", "views", "lla_deg_mean", "tka_deg_mean", "spine_seen_by",
)  # fmt: skip


def _rows_of_fit(summary: dict, config: Config) -> tuple[page.Row, ...]:
    """The summary's rows on the fit. Errors of inferred points are left out where they were not fitted."""
    groups = dict(summary["marker_rms_mm_by_group"])
    if config.ik.engine == "trajectory":
        groups.pop(INFERRED_SPINE_GROUP, None)
    kept = {key: value for key, value in summary.items() if key not in _STATED_ELSEWHERE}
    kept |= {} if summary["views"] else {"views": 0}  # a file of markers: no row is about images
    return summary_table_rows(kept | {"marker_rms_mm_by_group": groups})


def _image_sentence(found: SolvedTrial, config: Config) -> str:
    """Sentences on detection and filtering of points, for a methods section; '' without images."""
    if not found.cameras:
        return ""
    detector = _detector(config, found.subject, found.trial)
    by = "given as files" if detector == "import" else f"found by the detector {detector}"
    by += " (Bazarevsky 2020)" if detector.startswith("blazepose") else ""
    filtered = f"Trajectories of points in space were {_low_pass(config)} before the body was fitted."
    return f"Points in the images were {by}. {filtered}"


def _low_pass(config: Config) -> str:
    if config.filter.cutoff_hz is None:
        return "not filtered"
    return page_words("methods")["filter"].format(cutoff=config.filter.cutoff_hz, order=config.filter.order)


def _detector(config: Config, subject: str, trial: str) -> str:
    """The detector and its network, or the file of one; 'import' where the trial's points are given as files."""
    given, network = config.subjects[subject].trials[trial].keypoints, config.detection.network
    kind = "network" if network.lower().endswith(".onnx") else config.detection.detector
    return "import" if given else f"{kind} {network}".rstrip()


def _entries_of(summary: dict, parts: Sequence[_Part]) -> list[dict]:
    """The summary's figures of each part's trial, by name: its order is that of the run, not of the configuration."""
    by_name = {name.replace("/", " · "): entry for name, entry in summary["trials"].items()}
    if by_name.keys() != {part.section.name for part in parts}:
        raise InputError("summary.json is of other trials than the configuration. Run `simspine run` again.")
    return [by_name[part.section.name] for part in parts]


def _overview_table(entries: Sequence[dict], parts: Sequence[_Part]) -> page.PageTable | None:
    links = tuple(part.link for part in parts if part.link)
    if len(entries) < 2 and not links:
        return None

    def angle(part: _Part, key: str) -> str:
        figure = next(one for one in part.figures if one.name == key)
        return f"{stated_mean(figure, held_still(part.figures))} {figure.decided_by}".strip()

    return page.PageTable(
        ("Trial", "Findings", "Frames", "Rejected", "Reprojection", "Fit RMS", "LLA", "TKA"),
        tuple(
            (
                part.section.name,
                _trial_lights(part.section),
                str(entry["frames"]),
                f"{entry['frames_rejected']}" + (f", {n} inferred" if (n := entry.get("frames_inferred")) else ""),
                page.number_text(entry["reprojection_px_median"], 1, "px"),
                page.number_text(entry["marker_rms_mm"], 0, "mm"),
                angle(part, "lla"),
                angle(part, "tka"),
            )
            for entry, part in zip(entries, parts, strict=True)
        ),
        "LLA, TKA: means, with their verdicts.",
        links=links,
    )


def _trial_lights(section: TrialSection) -> str:
    """'■ 1 ▲ 3' for one problem and three things to look at."""
    counts = ((sign, sum(f.light == light for f in section.findings)) for sign, light in (("■", "bad"), ("▲", "check")))
    return " ".join(f"{sign} {count}" for sign, count in counts if count) or "●"
