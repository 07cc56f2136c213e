"""The stage quality: which frames of a solved trial can be trusted; the others filled in where that is asked for."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from simspine.body.options import BodyOptions
from simspine.ik.options import KinematicsOptions
from simspine.pipeline.fill_gaps import fill_rejected
from simspine.pipeline.options import Options
from simspine.pipeline.solved_trial import SolvedTrial
from simspine.pipeline.solving import marker_set_of
from simspine.pipeline.stage import Stage
from simspine.pipeline.verdict import judge
from simspine.pipeline.view_fit import view_fits
from simspine.quality.findings import Finding
from simspine.quality.options import QualityOptions

OF_TRIAL = tuple(field.name for field in fields(SolvedTrial) if field.name != "verdict")


def judge_trial(
    quality: QualityOptions,
    ik: KinematicsOptions,
    body: BodyOptions,
    *,
    skeleton: str,
    findings: Sequence[Finding],
    **of_trial: Any,
) -> dict[str, Any]:
    """The verdict; result and spine with what was filled in. findings: of the stages before. of_trial: `SolvedTrial`'s
    fields."""
    found = SolvedTrial(**of_trial)
    verdict = judge(
        found.sized, found.result, found.spine, found.markers, found.triangulation, view_fits(found), findings
    )
    found = replace(found, verdict=verdict.of(found.subject, found.trial))
    if quality.fill_gaps:
        found = fill_rejected(found, marker_set_of(body, skeleton), Options(quality=quality, ik=ik, body=body))
    return {"result": found.result, "spine": found.spine, "verdict": found.verdict}


QUALITY = Stage(
    "quality",
    judge_trial,
    takes=(*OF_TRIAL, "skeleton", "findings"),
    gives=("result", "spine", "verdict"),
    sections=("quality", "ik", "body"),
)
