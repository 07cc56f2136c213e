"""The stage that checks a trial: which frames can be trusted, and what is odd about the others."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from simspine.ik.result import Result
from simspine.pipeline.sized_body import SizedBody
from simspine.quality.assess import assess
from simspine.quality.findings import Finding, Severity, Verdict
from simspine.quality.observability import level_shares
from simspine.quality.view_checks import ViewFit
from simspine.spine.vertebrae import SpineKinematics
from simspine.triangulation import TriangulationReport
from simspine.types import Markers

UNFINISHED = 0.01  # squared standard deviations: no result is off by more than a tenth of its own for it


def judge(
    sized: SizedBody,
    result: Result,
    spine: SpineKinematics,
    markers: Markers,
    triangulation: TriangulationReport | None = None,
    views: Sequence[ViewFit] = (),
    recording: Sequence[Finding] = (),
) -> Verdict:
    """All checks of a trial. markers: those that inverse kinematics was given, y_up. views: of `view_fits`. recording:
    findings of stages before, about cameras (`judge_cameras`) and motion capture."""
    found = assess(
        spine,
        solved=result,
        measured=markers,
        triangulation=triangulation,
        ranges=sized.ranges,
        level_shares=shares(sized, result, spine),
        views=views,
    )
    return replace(found, findings=(*found.findings, *_of_body(sized), *recording))


def _of_body(sized: SizedBody) -> Iterator[Finding]:
    """A fit to the person that did not reach its minimum."""
    left = 0.0 if sized.person is None else sized.person.left
    if left > UNFINISHED:
        yield Finding(
            "person_fit",
            Severity.WARNING,
            "the fit of the body to the person's trials ran out of steps before its minimum: results may be off by "
            f"up to {left**0.5:.1g} of their standard deviations.",
            "Look for a trial whose markers are far off or exchanged and leave it out of the subject's trials; without "
            "the fit (`scaling.anatomy: false`) the body is sized by the limbs alone.",
        )


def shares(sized: SizedBody, result: Result, spine: SpineKinematics) -> np.ndarray:
    """(levels, 3) share of each level's angle that the data decided; NaN where that is not known."""
    response = None if result.posterior is None else result.posterior.response
    return level_shares(spine.levels, sized.levels, result.motion.names, response)
