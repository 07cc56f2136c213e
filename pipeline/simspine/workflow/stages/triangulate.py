"""keypoints/<trial>.h5 → cameras/<trial>.h5: cameras judged by all trials of the subject together, refined if asked;
and points/<trial>.h5: points in space with covariance, and what they were made from.
"""

import json
from dataclasses import asdict

from simspine.formats.store import load, save
from simspine.pipeline.cameras import is_refined
from simspine.pipeline.locating import CAMERAS, TRIANGULATE
from simspine.workflow.context import Context, known_fault_in, timing_in
from simspine.workflow.manifest import Task


def plan(context: Context) -> list[Task]:
    options = context.config.triangulation
    tasks = [_cameras(context)]
    for name in context.trials:
        source, rig, out = context.paths.keypoints(name), context.paths.cameras(name), context.paths.points(name)

        def work(source=source, rig=rig, out=out) -> dict:
            stored, cameras = load(source), load(rig, ["cameras"])["cameras"]
            found = TRIANGULATE(
                context.config, keypoints=stored.pop("keypoints"), cameras=cameras, timing=timing_in(stored)
            )
            report = found["triangulation"]
            save(
                out, points=found["points"], skeleton=stored["skeleton"], report=asdict(report),
                **known_fault_in(stored),
            )  # fmt: skip
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
        trials = {
            name: {"keypoints": item["keypoints"], "cameras": item["cameras"], "timing": timing_in(item)}
            for name, item in stored.items()
        }
        chosen = CAMERAS(context.config, trials=trials)
        for name, found in chosen.items():
            delays = {"timing": stored[name]["timing"]} if "timing" in stored[name] else {}
            said = json.dumps([finding.to_dict() for finding in found["findings"]])
            given = list(stored[name]["cameras"])
            save(outs[name], cameras=list(found["cameras"]), given=given, findings=said, **delays)
        return {"refined": [name for name, found in chosen.items() if is_refined(found["findings"])]}

    settings = options.model_dump(mode="json") | {"min_confidence": confidence}
    return Task(context.subject, tuple(sources.values()), tuple(outs.values()), settings, work, whole=True)
