"""What the stages keep of a trial: each result written to its file and read back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from simspine.body.model import Body
from simspine.body.recipes import read_recipe
from simspine.errors import InputError
from simspine.formats.forced import forced_from_json, forced_to_json
from simspine.formats.hdf5 import open_file
from simspine.formats.store import load, save
from simspine.ik.result import Posterior, Result
from simspine.pipeline.person import Person
from simspine.pipeline.sized_body import SizedBody
from simspine.quality.findings import Finding, Verdict
from simspine.spine.parameters import ClinicalParameters
from simspine.spine.vertebrae import SpineKinematics
from simspine.triangulation import TriangulationReport
from simspine.workflow.manifest import read_json
from simspine.workflow.paths import Paths

_SPINE = (
    "levels",
    "angles",
    "lla",
    "tka",
    "lla_sd",
    "tka_sd",
    "lla_change_sd",
    "tka_change_sd",
    "angles_sd",
    "repaired",
)


def camera_findings(path: Path) -> tuple[Finding, ...]:
    """What the stage triangulate found about the cameras."""
    return _findings(path)


def mocap_findings(path: Path) -> tuple[Finding, ...]:
    """What the stage merge found odd about motion capture. path: of the markers."""
    with open_file(path) as file:
        odd = "findings" in file
    return _findings(path) if odd else ()


def _findings(path: Path) -> tuple[Finding, ...]:
    return tuple(Finding.from_dict(entry) for entry in json.loads(load(path, ["findings"])["findings"]))


def read_sized_body(paths: Paths) -> SizedBody:
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
    save(
        path,
        **parts,
        response=None if known is None else known.response,
        deviation=None if known is None else dict(known.derived),
    )


def load_result(path: Path, without: Sequence[str] = ()) -> Result:
    """What `save_result` wrote. without: of what was derived from the posterior."""
    stored = load(path, without=[f"deviation/{name}" for name in without])
    parts = {field.name: _plain(stored[field.name]) for field in fields(Result) if field.name != "posterior"}
    known = stored["response"]
    return Result(**parts, posterior=None if known is None else Posterior(known, stored["deviation"]))


def save_spine(path: Path, spine: SpineKinematics, poses: Mapping[str, np.ndarray]) -> None:
    """poses: of the body, {name: (frames, 4, 4)}, y_up."""
    parts = {name: getattr(spine, name) for name in _SPINE}
    parts |= {"levels": list(spine.levels), "forced": forced_to_json(spine.forced)}
    clinical = None if spine.clinical is None else _clinical_parts(spine.clinical)
    save(path, spine_markers=spine.markers, **parts, centres=spine.centres, clinical=clinical, poses=dict(poses))


def load_spine(path: Path) -> SpineKinematics:
    stored = load(path, ["spine_markers", "centres", "clinical", "forced", *_SPINE])
    markers = stored["spine_markers"]
    parts = {name: _plain(stored[name]) for name in _SPINE}
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


def load_verdict(path: Path) -> Verdict:
    return Verdict.from_dict(read_json(path))


def triangulation_report(path: Path) -> TriangulationReport:
    """How well the points fit the images. path: of the points."""
    stored = load(path, ["report"])["report"]
    return TriangulationReport(**{name: _plain(value) for name, value in stored.items()})


def _plain(value):
    """Lists of names come back from a file as lists; the types hold tuples."""
    return tuple(value) if isinstance(value, list) else value
