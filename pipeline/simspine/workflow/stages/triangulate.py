"""keypoints/<trial>.h5 → cameras/<trial>.h5: cameras judged by all trials of the subject together, refined if asked;
and points/<trial>.h5: points in space with covariance, and what they were made from.
"""

import json
from dataclasses import asdict

from simspine.formats.store import load, save
from simspine.pipeline.cameras import judge_cameras, with_timing
from simspine.pipeline.points import locate_points
from simspine.workflow.context import Context, known_fault_in, timing_in
from simspine.workflow.manifest import Task


def plan(context: Context) -> list[Task]:
    options = context.config.triangulation
    tasks = [_cameras(context)]
    for name in context.trials:
        source, rig, out = context.paths.keypoints(name), context.paths.cameras(name), context.paths.points(name)

        def work(source=source, rig=rig, out=out) -> dict:
            stored, cameras = load(source), load(rig, ["cameras"])["cameras"]
            points, report = locate_points(stored.pop("keypoints"), cameras, options, timing_in(stored))
            save(out, points=points, skeleton=stored["skeleton"], report=asdict(report), **known_fault_in(stored))
            return report.summary()

        tasks.append(Task(name, (source, rig), (out,), options.model_dump(mode="json"), work))
    return tasks


def _cameras(context: Context) -> Task:
    """One task for the subject, since the same set-up filmed several trials."""
    options, confidence = context.config.cameras, context.config.triangulation.min_confidence
    sources = {name: context.paths.keypoints(name) for name in context.trials}
    outs = {name: context.paths.cameras(name) for name in context.trials}

    def work() -> dict:
        stored = {name: load(source) for name, source in sources.items()}
        recordings = {name: (item["keypoints"], item["cameras"]) for name, item in stored.items()}
        judged = judge_cameras(recordings, options, confidence)
        for name, found in judged.items():
            timing, delays = timing_in(stored[name]), {}
            if timing is not None:
                found, delays = with_timing(found, timing), {"timing": timing.to_dict()}
            said = json.dumps([finding.to_dict() for finding in found.findings])
            save(outs[name], cameras=list(found.cameras), given=list(recordings[name][1]), findings=said, **delays)
        return {"refined": [name for name, found in judged.items() if found.refinement is not None]}

    settings = options.model_dump(mode="json") | {"min_confidence": confidence}
    return Task(context.subject, tuple(sources.values()), tuple(outs.values()), settings, work, whole=True)
