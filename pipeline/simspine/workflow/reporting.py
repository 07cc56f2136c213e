"""report.html of a data set, out of the results' files."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import numpy as np

from simspine.config import Config
from simspine.errors import InputError
from simspine.formats.atomic import atomic_path
from simspine.formats.dataset import open_dataset
from simspine.report.content import PageTable, Picture, Provenance, ReportContent, TrialSection, number
from simspine.report.embed import webp
from simspine.report.figures.validation import pictures, text_tables
from simspine.report.overlay import overlay_sheet
from simspine.report.page import write_report
from simspine.report.player.pack import pack
from simspine.report.player.scene import MOST_FRAMES
from simspine.report.poster import poster
from simspine.report.sampling import frame_layer, sample_frames
from simspine.report.trial import INFERRED_BY, not_measured, trial_section
from simspine.report.uncertainty import assumed_statements
from simspine.sources.video import open_videos
from simspine.spine.levels import CHAIN, Level
from simspine.types import Markers
from simspine.workflow.context import Context
from simspine.workflow.dataset import provenance
from simspine.workflow.paths import Paths
from simspine.workflow.results import TrialResults, body_edges, level_table, model_points
from simspine.workflow.summary import read_summary, rows
from simspine.workflow.viewing import NOTICE, scene_of

FEW = 3  # trials that share one page
THINNED = 1000  # frames a player holds where there are many trials: 1.4 MB a page
ENOUGH = 500  # frames of a trial for a median
MOST_VIEWS = 4  # more would be too small on a picture
LICENCES = {
    "simspine": "BSD-3-Clause",
    "Pose2Sim (model, demo videos)": "BSD-3-Clause",
    "OpenSim": "Apache-2.0",
    "MediaPipe BlazePose": "Apache-2.0",
    "three.js, in this page (3D player)": "MIT",
    "SpinePose": "CC-BY-NC-4.0, code and weights: not for commercial use; only if you chose that detector",
}


def write_report_of(config: Config) -> Path:
    """Write <results>/report.html; returns its path.

    With up to `FEW` trials all is on that page. With more, each trial has a page in <results>/report/, and the first
    page links to them: it would grow beyond what a browser opens quickly.
    """
    summary = read_summary(config)
    path = Path(config.results) / "report.html"
    names = [(subject, trial) for subject in config.subjects for trial in config.trials(subject)]
    apart = len(names) > FEW
    levels = level_table(config.body.recipe)
    whole = _Whole()
    sections, links = [], []
    for order, (subject, trial) in enumerate(names, 1):
        context = Context(config, subject)
        results = TrialResults(context.paths, trial)
        most = THINNED if apart else MOST_FRAMES
        section = _section(context, results, f"t{order}", levels, results.shares(levels), most)
        whole.add(results, levels)
        if apart:
            page = path.parent / "report" / f"{subject}_{trial}.html"
            page.parent.mkdir(exist_ok=True)
            links.append(f"report/{quote(page.name)}")
            write_report(page, _trial_page(config, section))
            section = replace(section, figures=(), overlays=(), tables=(), player=None, summary=(), rejected=())
        sections.append(section)
    write_report(path, _front_page(config, summary, whole, sections, links))
    return path


class _Whole:
    """What is gathered over all trials for the box 'What is not measured': names, and as many frames as that needs.

    Two hundred long trials would not fit into memory as a whole.
    """

    def __init__(self):
        self.measured, self.spines, self.shares, self.kept = [], [], [], []

    def add(self, results: TrialResults, levels: tuple[Level, ...]) -> None:
        some = slice(None, None, max(1, results.spine.frames // ENOUGH))
        spine = results.spine
        self.measured.append(_few(results.markers, some))
        arrays = ("angles", "lla", "tka", "repaired", "lla_sd", "tka_sd", "angles_sd")
        fewer = {name: value[some] for name in arrays if (value := getattr(spine, name)) is not None}
        self.spines.append(replace(spine, markers=_few(spine.markers, some), **fewer))
        self.shares.append(results.shares(levels))
        self.kept.append(~results.verdict.rejected[some])


def _few(markers: Markers, some: slice) -> Markers:
    """Positions and origins of some frames."""
    return Markers(markers.names, markers.rate, markers.xyz[some], markers.frame, origin=markers.origin)


def _front_page(
    config: Config, summary: dict, whole: _Whole, sections: list[TrialSection], links: list[str]
) -> ReportContent:
    """The page of the data set. links: addresses of the trials' own pages, none if all are on this one."""
    origin = provenance(config)
    rule = INFERRED_BY
    rule = f"{rule}; not fitted, only drawn" if config.ik.engine == "trajectory" else rule
    inferred, forced = not_measured(whole.measured, whole.spines, rule)
    findings = [replace(finding, trial=section.name) for section in sections for finding in section.findings]
    return ReportContent(
        title=config.name,
        subtitle=", ".join(
            f"{count} {word}{'' if count == 1 else 's'}"
            for count, word in (
                (len(config.subjects), "subject"),
                (len(sections), "trial"),
                (summary["frames"], "frame"),
            )
        ),
        summary=rows(summary),
        findings=tuple(findings) if links else (),
        inferred=inferred,
        forced=forced,
        assumed=assumed_statements(whole.spines, whole.shares, whole.kept),
        overview=_overview(summary["trials"], sections, links),
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
        **_validation(Path(config.results) / f"{config.name}.h5"),
    )


def _validation(dataset: Path) -> dict[str, tuple]:
    """Figures and tables over the whole data set, where its file is there."""
    if not dataset.is_file():
        return {}
    with open_dataset(dataset) as data:
        return {"validation": pictures(data), "validation_tables": text_tables(data)}


def _trial_page(config: Config, section: TrialSection) -> ReportContent:
    """The page of one trial of many."""
    return ReportContent(
        title=section.name, subtitle=config.name, trials=(section,), notice=NOTICE, alone=True,
        home=("../report.html", f"{config.name}, all trials"),
    )  # fmt: skip


def _overview(trials: dict, sections: list[TrialSection], links: list[str]) -> PageTable | None:
    """A line per trial, where there are several."""
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
                _lights(section),
                str(entry["frames"]),
                str(entry["frames_rejected"]),
                number(entry["reprojection_px_median"], 1, "px"),
                number(entry["marker_rms_mm"], 0, "mm"),
                angle(entry, "lla"),
                angle(entry, "tka"),
            )
            for (name, entry), section in zip(trials.items(), sections, strict=True)
        ),
        links=tuple(links),
    )


def _lights(section: TrialSection) -> str:
    """'■ 1 ▲ 3' for one problem and three things to look at."""
    counts = ((sign, sum(f.light == light for f in section.findings)) for sign, light in (("■", "bad"), ("▲", "check")))
    return " ".join(f"{sign} {count}" for sign, count in counts if count) or "●"


def write_picture_of(config: Config, path: Path) -> Path:
    """One picture of the first trial that came with videos: one moment in up to four cameras, and the curvature."""
    for subject in config.subjects:
        context = Context(config, subject)
        for trial in config.trials(subject):
            if not context.capture(trial).videos:
                continue
            results = TrialResults(Paths(Path(config.results), subject), trial)
            sheet = _sheet(context, results, 1, MOST_VIEWS)
            status = [str(status) for status in results.verdict.status]
            with atomic_path(path) as temporary:
                temporary.write_bytes(poster(sheet, results.spine, status, _credit(config, subject, trial)))
            return path
    raise InputError(f"{config.name}: no trial came with videos; the picture shows the body on images.")


def _credit(config: Config, subject: str, trial: str) -> str:
    source = str(config.subjects[subject].trials[trial].folder or "")
    images = " · videos: demo data of Pose2Sim, BSD-3-Clause" if source.startswith("pose2sim:") else ""
    return f"{config.name}, {subject} · {trial}{images}"


def _section(
    context: Context, results: TrialResults, prefix: str, levels: tuple[Level, ...], shares: np.ndarray, most: int
) -> TrialSection:
    """One trial's part of a page. most: frames its player holds."""
    return trial_section(
        f"{context.subject} · {results.name}",
        prefix,
        player=pack(scene_of(results), most),
        spine=results.spine,
        verdict=results.verdict,
        triangulation=results.report,
        ik=results.result,
        measured=results.markers,
        model=model_points(results),
        centres=results.centres,
        levels=levels,
        shares=shares,
        edges=body_edges(),
        overlays=_overlays(context, results, context.config.report.sample_frames),
    )


def _overlays(context: Context, results: TrialResults, samples: int) -> tuple[Picture, ...]:
    """One sheet of sample frames × cameras; nothing where the trial came without videos."""
    if not context.capture(results.name).videos:
        return ()
    image = _sheet(context, results, samples)
    return (
        Picture(
            "On the images",
            "Detected points and the fitted body drawn on sample frames of each camera",
            "The fitted body (lines) should lie on the person. Hollow points were inferred, crossed ones left out.",
            data=webp(image),
        ),
    )


def _sheet(context: Context, results: TrialResults, samples: int, most: int | None = None) -> np.ndarray:
    """Sample frames (rows) in the cameras (columns; the first `most`) with what was detected and the fitted body."""
    paths = context.capture(results.name).videos[:most]
    frames = sample_frames(results.spine.frames, samples, results.verdict.rejected)
    columns = [_images(video, frames) for video in open_videos(paths)]
    model, keypoints, report = model_points(results), results.shown, results.report
    cameras = results.cameras[:most]
    sheet = [
        [
            (
                columns[v][frame],
                frame_layer(
                    keypoints, frame, v, camera, model=model, triangulation=report, edges=body_edges(), spine=CHAIN
                ),
            )
            for v, camera in enumerate(cameras)
        ]
        for frame in frames
    ]
    labels = [f"{results.spine.time[frame]:.2f} s" for frame in frames]
    return overlay_sheet(sheet, [camera.name for camera in cameras], labels)


def _images(video, frames):
    """{frame: image} of the frames asked for, read in one pass."""
    wanted = set(frames)
    found = {}
    for index, image in enumerate(video):
        if index in wanted:
            found[index] = image
        if index >= max(wanted):
            break
    return found
