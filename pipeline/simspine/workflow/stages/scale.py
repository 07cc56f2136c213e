"""Markers of all trials → model/<subject>.osim and scaling.json: the person's body."""

import json
from collections.abc import Sequence
from pathlib import Path

from simspine.body.options import BodyOptions
from simspine.body.recipes import read_recipe
from simspine.data_files import models_folder
from simspine.errors import InputError
from simspine.formats.atomic import write_text
from simspine.formats.store import load
from simspine.pipeline.fit_person import body_of_person
from simspine.pipeline.sized_body import femur_lengths
from simspine.quality.findings import Severity
from simspine.workflow.context import Context
from simspine.workflow.manifest import Task
from simspine.workflow.paths import Paths
from simspine.workflow.stage_results import camera_findings

MOST_DOUBTS = 4  # findings about cameras that an error repeats


def plan(context: Context) -> list[Task]:
    config, paths = context.config, context.paths
    person = config.subject(context.subject)
    sources = tuple(paths.markers(name) for name in context.trials)

    def work() -> dict:
        stored = [load(source) for source in sources]
        marker_set = config.body.markers or stored[0]["skeleton"]
        trials = [item["markers"] for item in stored]
        try:
            sized, factors = body_of_person(trials, config.body.recipe, marker_set, config, person.height, person.mass)
        except InputError as error:
            raise InputError(f"{error}{_doubts(paths, context.trials)}") from None
        femur = _rounded(femur_lengths(sized.body))
        about = {"recipe": config.body.recipe, "marker_set": marker_set} | factors.as_dict() | {"femur_m": femur}
        about["person"] = None if sized.person is None else sized.person.as_dict()
        sized.body.write_osim(paths.model)
        write_text(paths.scaling, json.dumps(about, indent=1) + "\n")
        return {"stature_m": round(factors.stature, 3), "femur_m": femur, "factors": _rounded(factors.by_segment)}

    fitted = config.scaling.anatomy and read_recipe(config.body.recipe).anatomy
    settings = {
        "body": config.body.model_dump(),
        "scaling": config.scaling.model_dump(),
        "ik": config.ik.model_dump() if fitted else None,
        "infer_spine": config.detection.infer_spine,
        "height": person.height,
        "mass": person.mass,
    }
    inputs = (*sources, *body_files(config.body))
    return [Task(context.subject, inputs, (paths.model, paths.scaling), settings, work, whole=True)]


def _doubts(paths: Paths, trials: Sequence[str]) -> str:
    """What was found about the cameras, where that may be why the points fit nobody; '' where nothing was."""
    found = (finding for name in trials for finding in camera_findings(paths.cameras(name)))
    told = list(dict.fromkeys(finding.message for finding in found if finding.severity is not Severity.INFO))
    return f"\nAbout the cameras: {' '.join(told[:MOST_DOUBTS])}" if told else ""


def body_files(options: BodyOptions) -> tuple[Path, ...]:
    """Files that the body is made from besides the markers: recipes, marker sets, base model."""
    own = [Path(name) for name in (options.recipe, options.markers) if name and name.endswith((".yaml", ".yml"))]
    return (*own, read_recipe(options.recipe).base, *sorted(models_folder().rglob("*.yaml")))


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}
