"""The data set from the trials' results: one HDF5 file, summary, provenance, manifest."""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from simspine.core.arrays import NORMAL_95
from simspine.core.errors import InputError, names_text, naming_content, printable
from simspine.dataset import recordings
from simspine.dataset.recordings import HDF5_UNITS, MANIFEST_FILE, ManifestEntry, manifest_header
from simspine.io.atomic import write_text
from simspine.io.dataset_write import OWN_GROUP, Dataset, SubjectData, write_dataset
from simspine.io.hdf5 import open_hdf5_file, read_store
from simspine.io.text_tables import json_or_empty
from simspine.quality.observability import stated_sd
from simspine.reconstruction.headline import dataset_summary_metrics
from simspine.reconstruction.publish import package_versions
from simspine.report.page import Row
from simspine.report.summary import summary_rows
from simspine.workflow import stage_files, up_to_date
from simspine.workflow.config import Config
from simspine.workflow.results import files_of_no_trial, read_trial, write_quality
from simspine.workflow.up_to_date import STAGE_NAMES, RunPaths, StageTask, read_json, read_task_manifest

LIGHT_STYLES = {"check": "yellow", "bad": "red"}


def dataset_summary(config: Config) -> dict:
    """All headline figures; needs the results of every stage."""
    paths = [RunPaths(Path(config.results), subject) for subject in config.subjects]
    trials = {f"{p.subject}/{t}": read_json(p.exported(t, ".json")) for p in paths for t in config.trials(p.subject)}
    femurs = [read_json(p.scaling)["femur_m"] for p in paths]
    return {
        "name": config.name,
        **dataset_summary_metrics(trials),
        "femur_m": {side: float(np.mean([femur[side] for femur in femurs])) for side in ("left", "right")},
        "trials_left_out": config.skipped,
        "known_faults": config.known_faults,
        "trials": trials,
    }


def computing_times(config: Config) -> dict:
    """Computing time, s, of all stages together and of each stage that ran, and the day of the last, from manifests."""
    spent, days = dict[str, float](), set[str]()
    for stage in STAGE_NAMES:
        manifests = [
            read_task_manifest(RunPaths(Path(config.results), subject).manifest(stage, trial))
            for subject in config.subjects
            for trial in (None, *config.trials(subject))
        ]
        if made := list(filter(None, manifests)):
            spent[stage] = round(sum(entry["seconds"] for entry in made), 3)
            days |= {entry["made_on"] for entry in made}
    total = round(sum(spent.values()), 3)
    return {"made_on": max(days, default="not known"), "seconds": total, "seconds_by_stage": spent}


CLINICAL_CSV_COLUMNS = ("trial", "parameter", "unit", "mean", "sd", "low", "high", "known", "decided")


def clinical_csv(trials: Mapping[str, dict]) -> str:
    """A line per trial and clinical parameter, LLA and TKA first, with `CLINICAL_CSV_COLUMNS`; empty where nothing is
    known.

    trials: {'subject/trial': its headline figures}. The lumbopelvic rhythm and the two motions whose ratio it is have a
    row each; all three have neither low nor high.
    """
    import pandas  # here, since other commands load this module

    rows: list[dict] = []
    for trial, entry in trials.items():
        rows += [{"trial": trial, "parameter": name} | figure for name, figure in entry["clinical"].items()]
        rhythm = entry["lumbopelvic_rhythm"]
        if rhythm is not None:
            of_trial = {"trial": trial, "parameter": "lumbopelvic_rhythm", "decided": rhythm["decided"]}
            rows.append(of_trial | {"unit": "1", "mean": rhythm["ratio"], "sd": rhythm["sd"]})
            for part in ("lumbar", "pelvis"):
                about = {"parameter": f"lumbopelvic_rhythm_{part}", "unit": "deg", "mean": rhythm[f"{part}_deg"]}
                rows.append(of_trial | about)
    table = pandas.DataFrame(rows, columns=list(CLINICAL_CSV_COLUMNS))
    return table.to_csv(index=False, float_format="%.4g", lineterminator="\n")


def dataset_file(results: Path, name: str) -> Path:
    """The path of a file of the data set; `InputError` where its content is not what the manifest says, if any."""
    path = results / name
    if path.is_file() and (results / MANIFEST_FILE).is_file():
        listed = recordings.read_dataset_manifest(results)["files"].get(name)
        if listed is not None and up_to_date.file_checksum(path) != listed["sha256"]:
            raise InputError(f"{path} is not as it was made: changed, or damaged. Run `simspine run` again.")
    return path


def read_summary(config: Config) -> dict:
    path = dataset_file(Path(config.results), "summary.json")
    if "rejected_because" not in (summary := read_json(path)):
        raise InputError(f"{path}: not a whole summary: it lacks the counts of frames. Run `simspine run` again.")
    check_figures(path, summary.get("trials", {}))
    warn_of_other_configuration(path, json_or_empty(path.with_name("provenance.json")), config)
    return summary


def check_figures(path: Path, trials: Mapping[str, Any]) -> None:
    """`InputError` where figures of trials in the summary `path` are not those of the results as they are now."""
    for trial, figures in trials.items():
        subject, _, name = trial.partition("/")
        own = RunPaths(path.parent, subject).exported(name, ".json")
        if own.is_file() and json.dumps(read_json(own)) != json.dumps(figures):  # NaN is not equal to itself
            raise InputError(f"{path} is of other results of {trial} than there are now. Run `simspine run` again.")


def warn_of_other_configuration(path: Path, origin: Mapping, config: Config) -> None:
    """Warn where the provenance `origin` of a file names another configuration: texts would state its settings."""
    if origin.get("configuration_hash") != config.hash:
        warnings.warn(f"{path} was made with another configuration; run `simspine run` again.", stacklevel=3)


def summary_table_rows(summary: dict) -> tuple[Row, ...]:
    """Lines of the table, for the terminal and the report."""
    why = ", ".join(f"{code.replace('_', ' ')} {count}" for code, count in summary["rejected_because"].items())
    if summary.get("frames_inferred"):
        why += "; inferred: filled in, not seen"
    return summary_rows(summary, why)


def print_summary(config: Config) -> None:
    from rich.console import Console
    from rich.table import Table

    console, results = Console(markup=False), Path(config.results)
    table = Table(title=f"simspine · {config.name}", title_justify="left", show_header=False)
    summary = read_summary(config) | computing_times(config)
    with naming_content(results / "summary.json", "a whole summary; run `simspine run` again"):
        rows = summary_table_rows(summary)
    for row in rows:
        table.add_row(*map(printable, (row.label, row.value, row.note)), style=LIGHT_STYLES.get(row.light))
    console.print(table)
    made = {"report": "report.html", "data set": f"{config.name}.h5", "summary": "summary.json"}
    for what, name in {**made, "files per subject": "export"}.items():
        console.print(f"{what + ':':19}{results / name}", highlight=False, soft_wrap=True)


def curvature_lines(config: Config) -> Iterator[str]:
    """For each trial a line on kyphosis and one on lordosis: mean, range, 95 % intervals, in whole degrees."""
    for subject in config.subjects:
        for trial in config.trials(subject):
            solved = read_trial(RunPaths(Path(config.results), subject), trial)
            kept, spine = ~solved.rejected, solved.spine
            for text, name in (("thoracic kyphosis", "tka"), ("lumbar lordosis", "lla")):
                values = np.degrees(getattr(spine, name)[kept])
                deviations = (getattr(spine, f"{name}{kind}")[kept] for kind in ("_sd", "_change_sd"))
                sd, change_sd = (float(np.degrees(deviation.mean())) for deviation in deviations)
                yield (
                    f"{trial}: {text} {values.mean():.0f} ± {NORMAL_95 * stated_sd(name, sd):.0f}°, "
                    f"from {values.min():.0f} to {values.max():.0f}°; "
                    f"one frame minus the mean: ± {NORMAL_95 * change_sd:.1f}° (95 %)"
                )


def export_dataset(config: Config, subjects: Sequence[str]) -> Path:
    """Write <name>.h5, summary.json, clinical.csv, provenance.json and manifest.json of a data set of these subjects.

    Returns the HDF5's path. Equal results give equal bytes; computing times, which differ from run to run, go to
    timings.json, which the manifest does not list.
    """
    results, whole = Path(config.results), config
    config = config.model_copy(update={"subjects": {name: config.subjects[name] for name in subjects}})
    stated = {"configuration": whole.model_dump(mode="json"), "configuration_hash": whole.hash}
    origin = provenance_of_results(config) | stated
    trials = {subject: config.trials(subject) for subject in config.subjects}
    data = {subject: _subject_data(RunPaths(results, subject), names) for subject, names in trials.items()}
    path = results / f"{config.name}.h5"
    write_dataset(path, Dataset(data, origin))
    with open_hdf5_file(path) as file:
        keys = [f"{subject}/{name}" for subject, names in trials.items() for name in names]
        frames = {key: len(file[key]["markers"]) for key in keys}
        deviations = {key: float(file[key][OWN_GROUP].attrs["fk_deviation_m"]) for key in keys}
    write_text(results / "provenance.json", json.dumps(origin, indent=1, sort_keys=True) + "\n")
    write_quality(config)
    summary = dataset_summary(config)
    write_text(results / "summary.json", json.dumps(summary, indent=1) + "\n")
    write_text(results / "timings.json", json.dumps(computing_times(config), indent=1) + "\n")
    write_text(results / "clinical.csv", clinical_csv(summary["trials"]))
    if origin["notice"]:
        write_text(results / "NOTICE.txt", origin["notice"] + "\n")
    files = {name: ManifestEntry(kind) for name, kind in _dataset_files(origin).items()}
    files[path.name] = ManifestEntry("hdf5", sum(frames.values()), HDF5_UNITS, frames)
    for subject in config.subjects:
        files |= _release_files(results, subject, {k: n for k, n in frames.items() if k.startswith(f"{subject}/")})
    recordings.write_dataset_manifest(results, files, manifest_header(config.name, "hdf5", origin, deviations))
    configured = {f"{subject}/{name}" for subject in whole.subjects for name in whole.trials(subject)}
    others = sorted({file.name for file in results.glob("*.h5")} - {path.name})
    if left := files_of_no_trial(results, configured) + others:
        text = f"{results} still has files of {names_text(left, 12)}, which the configuration lacks"
        warnings.warn(f"{text}. Remove those that are not to be kept or passed on.", stacklevel=2)
    return path


def _dataset_files(origin: Mapping) -> dict[str, str]:
    """{name: kind} of the files next to the HDF5, without timings.json, which differs from run to run."""
    notice = {"NOTICE.txt": "text"} if origin["notice"] else {}
    quality = {"quality.json": "quality", "quality.csv": "quality"}
    return {"provenance.json": "json", "summary.json": "json", "clinical.csv": "csv"} | quality | notice


def dataset_task(config: Config) -> StageTask:
    results, origin = Path(config.results), provenance_of_results(config)
    names = [f"{config.name}.h5", *_dataset_files(origin), MANIFEST_FILE]
    inputs = [file for subject in config.subjects for file in dataset_files_of_subject(config, subject)]
    return StageTask(
        name=config.name,
        inputs=tuple(inputs),
        outputs=tuple(results / name for name in names),
        settings=origin,
        work=partial(export_dataset, config, list(config.subjects)),
    )


def dataset_files_of_subject(config: Config, subject: str) -> list[Path]:
    paths, trials = RunPaths(Path(config.results), subject), config.trials(subject)
    made = [file for trial in trials for file in (paths.quality(trial), *stage_files.files_exported(paths, trial))]
    return [paths.model, paths.scaling, *map(paths.cameras, config.filmed_trials(subject)), *made]


def _release_files(results: Path, subject: str, frames: dict[str, int]) -> dict[str, ManifestEntry]:
    """Manifest entries of the subject's files in the release's layout that exist (see the stage export)."""
    calibration = ManifestEntry("toml", units={"t": "m"})
    entries = {
        f"export/models/{subject}.osim": ManifestEntry("osim"),
        f"export/cameras/Calib_{subject}.toml": calibration,
    }
    for key, count in frames.items():
        entries[f"export/cameras/Calib_{key.replace('/', '_')}.toml"] = calibration
        for path, units in stage_files.export_files_of_trial(results, *key.split("/")).items():
            entry = ManifestEntry(path.suffix[1:], count, units, {key: count})
            entries[path.relative_to(results).as_posix()] = entry
    return {name: entry for name, entry in entries.items() if (results / name).is_file()}


def provenance_of_results(config: Config) -> dict:
    """Where the numbers come from: configuration and its hash, checksums of the inputs, versions."""
    inputs: dict[str, dict] = {}
    for subject in config.subjects:
        for stage in ("detect", "merge"):  # merge reads motion capture, and a file of the stage before
            for trial in config.trials(subject):
                entry = read_task_manifest(RunPaths(Path(config.results), subject).manifest(stage, trial))
                made_file = f"{trial}.h5" if stage == "merge" else None
                given = entry["fingerprint"]["inputs"] if entry else ()
                files = inputs.setdefault(f"{subject}/{trial}", {})
                for name, digest in (pair for pair in given if pair[0] != made_file):
                    names = (f"{name} ({k})" if k else name for k in range(len(given)))  # files of one name: numbered
                    files[next(one for one in names if files.get(one, digest) == digest)] = digest
    copy = config.capture  # a virtual one has a record of itself in its folder
    is_virtual = copy is not None and json_or_empty(Path(copy.human36m) / "capture.json").get("virtual") is True
    return {
        "configuration": config.model_dump(mode="json"),
        "configuration_hash": config.hash,
        "inputs_sha256": inputs,
        "versions": dict(package_versions()),
        "known_faults": config.known_faults,
        "trials_left_out": config.skipped,
        "seed": None if config.virtual is None else config.virtual.seed,  # of the capture; no stage uses one
        "notice": recordings.licence_notice(config.model_dump(mode="json"), is_virtual),
    }


def _subject_data(paths: RunPaths, trials: Sequence[str]) -> SubjectData:
    camera_files = map(paths.cameras, trials)
    cameras = next((tuple(read_store(path, ["cameras"])["cameras"]) for path in camera_files if path.is_file()), ())
    model = paths.model.read_text(encoding="utf-8")
    return SubjectData(cameras, {t: paths.exported(t) for t in trials}, model, f"models/{paths.subject}.osim")
