"""The one list of stages from a recording to the spine. `reconstruct` and `fit_trials` run it in memory; the workflow
runs the same stages and adds load and save."""

from collections.abc import Mapping, Sequence

from simspine.pipeline.detecting import DETECT
from simspine.pipeline.judging import QUALITY
from simspine.pipeline.locating import CAMERAS, MERGE, TRIANGULATE
from simspine.pipeline.options import Options
from simspine.pipeline.solving import IK, SCALE, VERTEBRAE
from simspine.pipeline.stage import Known, Stage

STAGES = (DETECT, CAMERAS, TRIANGULATE, MERGE, SCALE, IK, VERTEBRAE, QUALITY)


def run_stages(trials: Mapping[str, Known], options: Options, stages: Sequence[Stage] = STAGES) -> dict[str, Known]:
    """What the stages find in all trials of a person. trials: {trial: {name: what is known before}}."""
    known = dict(trials)
    for stage in stages:
        known = stage.run(known, options)
    return known
