"""Files of the stages, written and read back; quality, validation and benchmark tables."""

import json
import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from simspine import __version__
from simspine.anatomy.body import Body
from simspine.anatomy.recipes import read_recipe
from simspine.anatomy.vertebrae import ClinicalParameters, SpineKinematics
from simspine.core.errors import InputError, file_version, names_text, naming_content, printable
from simspine.core.types import Origin
from simspine.dataset.recordings import open_dataset
from simspine.estimation.fit_person import SizedBody
from simspine.estimation.person import Person
from simspine.estimation.result import Posterior, Result
from simspine.evaluation.tables import EvaluationTable, evaluation_json
from simspine.evaluation.validation_records import trial_records
from simspine.io.atomic import require_new, write_text
from simspine.io.dataset_write import forced_from_json, forced_to_json
from simspine.io.hdf5 import open_hdf5_file, read_store, write_store
from simspine.io.text_tables import require_same_figures
from simspine.quality.assess import VerdictsByTrial, verdicts_csv, verdicts_dict
from simspine.quality.findings import (
    Finding,
    Severity,
    Status,
    Verdict,
    findings_by_kind,
    findings_of_dicts,
    worst_severity,
)
from simspine.reconstruction.solved_trial import SolvedTrial
from simspine.vision.triangulation import TriangulationReport
from simspine.workflow.config import Config
from simspine.workflow.inputs import timing_in
from simspine.workflow.up_to_date import RunPaths, file_checksum, read_json, require_made

SEVERITY_STYLES = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "cyan", None: "green"}
AS_WRITTEN = "as this version of simspine writes it; make it again with `simspine run`"  # of results
ALL_FILES = "**/*"  # of a folder, for its checksum
_ADDED_TO_TRIAL = re.compile("_(people|kinematics|vertebrae)$")  # in names of files, see `RunPaths`
EXAMPLES_PER_CODE = 3  # findings of one code that the terminal shows


def read_verdict(path: Path) -> Verdict:
    """The verdict on a trial, from the stage quality's file. Raises `InputError` where it is damaged."""
    with naming_content(path, "a verdict; run `simspine quality` again"):
        return Verdict.from_dict(read_json(path))


def read_verdicts(config: Config) -> dict[tuple[str, str], Verdict]:
    """{(subject, trial): verdict} of the stage quality. Raises `InputError` where it has not run."""
    return {
        (subject, trial): read_verdict(RunPaths(Path(config.results), subject).quality(trial))
        for subject in config.subjects
        for trial in config.trials(subject)
    }


def write_quality(config: Config) -> VerdictsByTrial:
    """Write quality.csv and quality.json into the results; returns the verdicts."""
    verdicts = read_verdicts(config)
    results = Path(config.results)
    write_text(results / "quality.csv", verdicts_csv(verdicts))
    write_text(results / "quality.json", json.dumps(verdicts_dict(verdicts), indent=1, ensure_ascii=False) + "\n")
    return verdicts


def print_quality(config: Config, verdicts: VerdictsByTrial) -> None:
    """Print counts of frames per trial, then a few findings of each code with their suggestions."""
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, highlight=False)
    table = Table(title=f"simspine · {config.name} · quality", title_justify="left")
    for column in ("trial", "frames", *map(str, Status), "worst finding"):
        table.add_column(column, justify="left" if column in ("trial", "worst finding") else "right")
    for (subject, trial), verdict in verdicts.items():
        counts = [str(verdict.counts[status]) for status in Status]
        worst = worst_severity(verdict.findings)
        cells = (f"{subject}/{trial}", str(verdict.frames), *counts, str(worst or "none"))
        table.add_row(*cells, style=SEVERITY_STYLES[worst])
    console.print(table)
    for found in findings_by_kind(
        finding for key, verdict in verdicts.items() for finding in verdict.of(*key).findings
    ):
        style = SEVERITY_STYLES[found[0].severity]
        for f in found[:EXAMPLES_PER_CODE]:
            frames = f" · frames {f.span}" if f.frames else ""
            head = printable(f"{f.severity} {f.code} · {f.subject}/{f.trial}{frames}")
            console.print(head, style=style)
            console.print(f"  {printable(f'{f.message} {f.suggestion}')}", soft_wrap=True)
        if len(found) > EXAMPLES_PER_CODE:
            console.print(f"  … and {len(found) - EXAMPLES_PER_CODE} more", style=style)
    console.print(f"all findings: {Path(config.results) / 'quality.csv'}, quality.json", soft_wrap=True)


VALIDATION_HEAD = "# Validation of "  # begins validation.md


def write_validation(dataset: Path, out: Path) -> list[Path]:
    """Write <table>.csv, and validation.md with all, into `out`; returns them. dataset: a file, or folder of one."""
    from simspine.evaluation import validation_tables as tables  # here, since it loads pandas

    with open_dataset(dataset) as file:
        records = trial_records(file)
    if not records:
        raise InputError(f"{dataset}: holds no trial, so there is nothing to validate.")
    folder = dataset if dataset.is_dir() else dataset.parent
    if others := files_of_no_trial(folder, {f"{record.subject}/{record.trial}" for record in records}):
        found = f"{folder} has files of {len(others)} more that are no trials of the data set ({names_text(others)})"
        warnings.warn(f"{found}. They are not in the tables.", stacklevel=2)
    if not (head := out / "validation.md").is_file() or not head.read_bytes().startswith(VALIDATION_HEAD.encode()):
        require_new(out)
    made, text = [], [f"{VALIDATION_HEAD}{dataset.stem}", ""]
    for name, rows in tables.validation_tables_of(records).items():
        made.append(out / f"{name}.csv")
        write_text(made[-1], tables.validation_csv(rows))
        text.append(tables.validation_markdown(name, rows))
    made.append(out / "validation.md")
    write_text(made[-1], "\n".join(text))
    return made


def files_of_no_trial(results: Path, trials: Collection[str]) -> list[str]:
    """SUBJECT/TRIAL of the stages' files in a results folder, other than `trials`."""
    stored = (file for file in results.glob("*/*/*.h5") if file.parents[1].name != "exchange")
    names = {f"{file.parents[1].name}/{_ADDED_TO_TRIAL.sub('', file.stem)}" for file in stored}
    names |= {f"{file.parents[2].name}/{file.stem}" for file in results.glob("*/manifests/*/*.json")}
    return sorted(names.difference(trials))


def named_files(arguments: Sequence[str]) -> dict[str, Path]:
    """{name: file} of 'name=file' or 'file', which is named after itself; `InputError` for a name given twice."""
    files: dict[str, Path] = {}
    for argument in arguments:
        name, mark, path = argument.partition("=")
        file = Path(path if mark and not Path(argument).exists() else argument)
        label = name if mark and not Path(argument).exists() else file.stem
        if not label or label in files:
            raise InputError(f"two results are called {label!r}; give each a name of its own: NAME=FILE.")
        files[label] = file
    return files


def write_benchmark_results(
    path: Path,
    tables: Sequence[EvaluationTable],
    protocol: str,
    predictions: Mapping[str, Path],
    truth: Path,
    options: Mapping[str, Any],
) -> None:
    """Write tables and their provenance as JSON. predictions: {name: file}; options: settings of the protocol."""
    about = {"protocol": f"simspine benchmark {protocol}", "simspine": __version__, "date": date.today().isoformat()}
    about |= {"truth": f"SHA-256 {file_checksum(truth, ALL_FILES)}"}
    methods = {name: file_checksum(file, ALL_FILES) for name, file in predictions.items()}
    text = evaluation_json(tables, about=about, settings=dict(options), methods=methods)
    require_same_figures(path, json.loads(text))
    write_text(path, text)


# Fields of `SpineKinematics` that its file holds under their names; rate and start are those of the markers.
_SPINE_FIELDS = [field.name for field in fields(SpineKinematics) if field.name not in ("rate", "start", "markers")]


def stored_findings(path: Path) -> tuple[Finding, ...]:
    """Findings in a file of a stage: detect's and merge's about the recording, triangulate's about cameras; () without
    any."""
    with open_hdf5_file(path) as file:
        if "findings" not in file:
            return ()
    return findings_of_dicts(json.loads(read_store(path, ["findings"])["findings"]))


def read_sized_body(paths: RunPaths) -> SizedBody:
    """The person's body from the files of the stage scale."""
    scaling = read_json(paths.scaling)
    with naming_content(paths.scaling, "a scaling of this version; run `simspine scale` again"):
        recipe = scaling["recipe"]
        factors = {str(body): float(entry["factor"]) for entry in scaling["factors"] for body in entry["bodies"]}
        person = None if scaling.get("person") is None else Person.from_dict(scaling["person"])
        doubt = scaling["doubt"]
    body = _body_in_file(paths.model, *file_version(paths.model))
    return SizedBody(body, read_recipe(recipe), factors, person=person, doubt=doubt)


@lru_cache(maxsize=2)
def _body_in_file(path: Path, *_: int) -> Body:
    """`Body.from_osim`, cached while the file is unchanged."""
    return Body.from_osim(path)


def save_result(path: Path, result: Result) -> None:
    parts = {field.name: getattr(result, field.name) for field in fields(Result) if field.name != "posterior"}
    posterior = result.posterior
    write_store(
        path,
        **parts,
        response=None if posterior is None else posterior.response,
        deviation=None if posterior is None else dict(posterior.derived),
    )


def load_result(path: Path, without: Sequence[str] = ()) -> Result:
    """Read a file of `save_result`. without: names of derived standard deviations to leave out."""
    stored = read_store(path, without=[f"deviation/{name}" for name in without])
    with naming_content(path, AS_WRITTEN):
        parts = {field.name: _plain_values(stored[field.name]) for field in fields(Result) if field.name != "posterior"}
        response = stored["response"]
        return Result(**parts, posterior=None if response is None else Posterior(response, stored["deviation"]))


def save_spine(path: Path, spine: SpineKinematics) -> None:
    parts = {name: getattr(spine, name) for name in _SPINE_FIELDS} | {"forced": forced_to_json(spine.forced)}
    if spine.clinical is not None:
        parts["clinical"] = vars(spine.clinical) | {"forced": forced_to_json(spine.clinical.forced)}
    write_store(path, spine_markers=spine.markers, **parts)


def load_spine(path: Path) -> SpineKinematics:
    parts = read_store(path, ["spine_markers", *_SPINE_FIELDS])
    with naming_content(path, AS_WRITTEN):
        markers, clinical = parts.pop("spine_markers"), parts["clinical"]
        parts["forced"] = forced_from_json(parts["forced"], str(path))
        if clinical is not None:
            clinical["forced"] = forced_from_json(clinical["forced"], f"{path}: clinical")
            parts["clinical"] = ClinicalParameters(**clinical)
        return SpineKinematics(rate=markers.rate, start=markers.start, markers=markers, **parts)


def _plain_values(value):
    """A tuple for a list: files return tuples of names as lists."""
    return tuple(value) if isinstance(value, list) else value


# Names of standard deviations derived from the posterior, which the file of the spine holds as well.
_SPINE_RESULT_FIELDS = ("angles", "markers", "centres", "clinical")


def files_of_trial(config: Config, paths: RunPaths, trial: str) -> tuple[Path, ...]:
    """Files that `read_trial` reads, those of the last stage first."""
    seen = paths.seen_files(trial) if trial in config.filmed_trials(paths.subject) else ()
    filled = paths.filled_files(trial) if config.quality.fill_gaps else ()
    made = (paths.quality(trial), paths.vertebrae(trial), paths.kinematics(trial), paths.markers(trial))
    return (*made, *filled, paths.model, paths.scaling, *seen)


def read_trial(
    paths: RunPaths,
    name: str,
    videos: Sequence[Path] = (),
    judged: bool = True,
    derived: bool = False,
    keypoints: bool = True,
) -> SolvedTrial:
    """Results of the stages for a trial; those from images, and the verdict, only where their files exist.

    judged: with the verdict and filled frames. keypoints: with 2D points, which only pictures need. derived: with the
    posterior's derived standard deviations. Points before merging are never read, to save memory.
    """
    verdict = read_verdict(paths.quality(name)) if judged and paths.quality(name).is_file() else None
    kinematics, vertebrae = paths.kinematics(name), paths.vertebrae(name)
    if verdict is not None and verdict.filled:
        kinematics, vertebrae = paths.filled_files(name)
    for made in (paths.markers(name), kinematics, vertebrae):
        require_made(made)
    seen: dict = {}
    markers = read_store(paths.markers(name), ["markers"])["markers"]
    if paths.keypoints(name).is_file() and paths.points(name).is_file():
        report = read_store(paths.points(name), ["report"])["report"]
        seen = {
            "cameras": tuple(read_store(paths.cameras(name), ["cameras"])["cameras"]),
            "triangulation": TriangulationReport(**{key: _plain_values(value) for key, value in report.items()}),
        }
        if keypoints or Origin.GIVEN in markers.origins:  # the frames are those of motion capture
            stored = read_store(paths.keypoints(name))
            seen |= {"keypoints": stored["keypoints"], "timing": timing_in(stored)}
    return SolvedTrial(
        subject=paths.subject,
        trial=name,
        markers=markers,
        sized=read_sized_body(paths),
        result=load_result(kinematics, () if derived else _SPINE_RESULT_FIELDS),
        spine=load_spine(vertebrae),
        verdict=verdict,
        videos=tuple(videos),
        **seen,
    )
