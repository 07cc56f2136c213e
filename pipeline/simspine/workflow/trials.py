"""All that the stages found in a trial, read back together."""

from collections.abc import Sequence
from pathlib import Path

from simspine.formats.store import load
from simspine.pipeline.solved_trial import SolvedTrial
from simspine.workflow.context import timing_in
from simspine.workflow.manifest import read_manifest
from simspine.workflow.paths import STAGES, Paths
from simspine.workflow.stage_results import load_result, load_spine, load_verdict, read_sized_body, triangulation_report

_OF_SPINE = ("angles", "markers", "centres", "clinical")  # derived from the posterior, kept with the spine


def read_trial(
    paths: Paths,
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
    verdict = load_verdict(paths.quality(name)) if judged and paths.quality(name).is_file() else None
    filled = verdict is not None and verdict.filled
    kinematics = paths.filled(name, "kinematics") if filled else paths.kinematics(name)
    seen: dict = {}
    if images and paths.keypoints(name).is_file() and paths.points(name).is_file():
        seen = {
            "cameras": tuple(load(paths.cameras(name), ["cameras"])["cameras"]),
            "triangulation": triangulation_report(paths.points(name)),
        }
        if keypoints:
            stored = load(paths.keypoints(name))
            seen |= {"keypoints": stored["keypoints"], "timing": timing_in(stored)}
    return SolvedTrial(
        paths.subject,
        name,
        load(paths.markers(name), ["markers"])["markers"],
        read_sized_body(paths),
        load_result(kinematics, () if derived else _OF_SPINE),
        load_spine(paths.filled(name, "vertebrae") if filled else paths.vertebrae(name)),
        verdict,
        videos=tuple(videos),
        **seen,
    )


def seconds_of(paths: Paths, trials: Sequence[str]) -> dict[str, float]:
    """Computing time per stage of a subject, s, out of the manifests; only of stages that have some."""
    spent: dict[str, float] = {}
    for stage in STAGES:
        found = (read_manifest(paths.manifest(stage, trial)) for trial in (None, *trials))
        if entries := [entry["seconds"] for entry in found if entry]:
            spent[stage] = round(sum(entries), 3)
    return spent
