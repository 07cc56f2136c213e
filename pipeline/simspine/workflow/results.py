"""What the stages keep of a trial, written and read back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from simspine.anatomy.body import Body
from simspine.anatomy.recipes import read_recipe
from simspine.anatomy.vertebrae import ClinicalParameters, SpineKinematics
from simspine.core.errors import InputError
from simspine.estimation.fit_person import SizedBody
from simspine.estimation.person import Person
from simspine.estimation.result import Posterior, Result
from simspine.io.dataset_write import forced_from_json, forced_to_json
from simspine.io.hdf5 import open_hdf5_file, read_store, write_store
from simspine.quality.findings import Finding, Verdict
from simspine.reconstruction.solved_trial import SolvedTrial
from simspine.vision.triangulation import TriangulationReport
from simspine.workflow.inputs import timing_in
from simspine.workflow.record import STAGE_NAMES, RunPaths, read_json, read_task_manifest

_SPINE_FIELDS = (
    "levels", "angles", "lla", "tka", "lla_sd", "tka_sd", "lla_change_sd", "tka_change_sd", "angles_sd", "repaired",
)  # fmt: skip


def camera_findings(path: Path) -> tuple[Finding, ...]:
    """What the stage triangulate found about the cameras."""
    return tuple(Finding.from_dict(entry) for entry in json.loads(read_store(path, ["findings"])["findings"]))


def mocap_findings(path: Path) -> tuple[Finding, ...]:
    """What the stage merge found odd about motion capture. path: of the markers."""
    with open_hdf5_file(path) as file:
        odd = "findings" in file
    return camera_findings(path) if odd else ()


def read_sized_body(paths: RunPaths) -> SizedBody:
    """The person's body as the stage scale left it."""
    scaling = read_json(paths.scaling)
    if "recipe" not in scaling:
        raise InputError(f"{paths.scaling} does not name its recipe; run `simspine scale` again.")
    factors = {body: entry["factor"] for entry in scaling["factors"] for body in entry["bodies"]}
    person = None if scaling.get("person") is None else Person.from_dict(scaling["person"])
    return SizedBody(Body.from_osim(paths.model), read_recipe(scaling["recipe"]), factors, person)


def save_result(path: Path, result: Result) -> None:
    """Of inverse kinematics."""
    parts = {field.name: getattr(result, field.name) for field in fields(Result) if field.name != "posterior"}
    known = result.posterior
    write_store(
        path,
        **parts,
        response=None if known is None else known.response,
        deviation=None if known is None else dict(known.derived),
    )


def load_result(path: Path, without: Sequence[str] = ()) -> Result:
    """What `save_result` wrote. without: of what was derived from the posterior."""
    stored = read_store(path, without=[f"deviation/{name}" for name in without])
    parts = {field.name: _plain_values(stored[field.name]) for field in fields(Result) if field.name != "posterior"}
    known = stored["response"]
    return Result(**parts, posterior=None if known is None else Posterior(known, stored["deviation"]))


def save_spine(path: Path, spine: SpineKinematics, poses: Mapping[str, np.ndarray]) -> None:
    """poses: of the body, {name: (frames, 4, 4)}, y_up."""
    parts = {name: getattr(spine, name) for name in _SPINE_FIELDS}
    parts |= {"levels": list(spine.levels), "forced": forced_to_json(spine.forced)}
    clinical = None if spine.clinical is None else _clinical_parts(spine.clinical)
    write_store(path, spine_markers=spine.markers, **parts, centres=spine.centres, clinical=clinical, poses=dict(poses))


def load_spine(path: Path) -> SpineKinematics:
    stored = read_store(path, ["spine_markers", "centres", "clinical", "forced", *_SPINE_FIELDS])
    markers = stored["spine_markers"]
    parts = {name: _plain_values(stored[name]) for name in _SPINE_FIELDS}
    forced = forced_from_json(stored["forced"], str(path))
    clinical = stored["clinical"]
    if clinical is not None:
        said = forced_from_json(clinical["forced"], f"{path}: clinical")
        clinical = ClinicalParameters(**{**clinical, "forced": said})
    return SpineKinematics(
        rate=markers.rate, start=markers.start, markers=markers, centres=stored["centres"], forced=forced,
        clinical=clinical, **parts,
    )  # fmt: skip


def _clinical_parts(clinical: ClinicalParameters) -> dict:
    return {
        "names": list(clinical.names),
        "units": list(clinical.units),
        "values": clinical.values,
        "deviation": clinical.deviation,
        "forced": forced_to_json(clinical.forced),
    }


def triangulation_report(path: Path) -> TriangulationReport:
    """How well the points fit the images. path: of the points."""
    stored = read_store(path, ["report"])["report"]
    return TriangulationReport(**{name: _plain_values(value) for name, value in stored.items()})


def _plain_values(value):
    """Lists of names come back from a file as lists; the types hold tuples."""
    return tuple(value) if isinstance(value, list) else value


_SPINE_RESULT_FIELDS = ("angles", "markers", "centres", "clinical")  # derived from the posterior, kept with the spine


def read_trial(
    paths: RunPaths,
    name: str,
    videos: Sequence[Path] = (),
    judged: bool = True,
    images: bool = True,
    derived: bool = False,
    keypoints: bool = True,
) -> SolvedTrial:
    """What the stages found in a trial; what comes from images and the verdict where their files are there.

    judged: False leaves the verdict out, and what was filled in after it, for the stage that makes them. images: False
    leaves out what comes from images; keypoints: False, only keypoints, which pictures want. derived: with
    what was derived from the posterior, which the spine has by itself. Always left out, for the memory of long trials,
    are the points before they were merged.
    """
    verdict = Verdict.from_dict(read_json(paths.quality(name))) if judged and paths.quality(name).is_file() else None
    filled = verdict is not None and verdict.filled
    kinematics = paths.filled(name, "kinematics") if filled else paths.kinematics(name)
    seen: dict = {}
    if images and paths.keypoints(name).is_file() and paths.points(name).is_file():
        seen = {
            "cameras": tuple(read_store(paths.cameras(name), ["cameras"])["cameras"]),
            "triangulation": triangulation_report(paths.points(name)),
        }
        if keypoints:
            stored = read_store(paths.keypoints(name))
            seen |= {"keypoints": stored["keypoints"], "timing": timing_in(stored)}
    return SolvedTrial(
        subject=paths.subject,
        trial=name,
        markers=read_store(paths.markers(name), ["markers"])["markers"],
        sized=read_sized_body(paths),
        result=load_result(kinematics, () if derived else _SPINE_RESULT_FIELDS),
        spine=load_spine(paths.filled(name, "vertebrae") if filled else paths.vertebrae(name)),
        verdict=verdict,
        videos=tuple(videos),
        **seen,
    )


def seconds_of(paths: RunPaths, trials: Sequence[str]) -> dict[str, float]:
    """Computing time per stage of a subject, s, out of the manifests; only of stages that have some."""
    spent: dict[str, float] = {}
    for stage in STAGE_NAMES:
        found = (read_task_manifest(paths.manifest(stage, trial)) for trial in (None, *trials))
        if entries := [entry["seconds"] for entry in found if entry]:
            spent[stage] = round(sum(entries), 3)
    return spent
