"""keypoints/<trial>.h5 → points/<trial>.h5: points in space with covariance, and what they were made from."""

from dataclasses import asdict

from simspine.formats.store import load, save
from simspine.pipeline.points import locate_points
from simspine.workflow.context import Context, known_fault_in
from simspine.workflow.manifest import Task


def plan(context: Context) -> list[Task]:
    options = context.config.triangulation
    tasks = []
    for name in context.trials:
        source, out = context.paths.keypoints(name), context.paths.points(name)

        def work(source=source, out=out) -> dict:
            stored = load(source)
            points, report = locate_points(stored["keypoints"], stored["cameras"], options)
            save(out, points=points, skeleton=stored["skeleton"], report=asdict(report), **known_fault_in(stored))
            return report.summary()

        tasks.append(Task(name, (source,), (out,), options.model_dump(mode="json"), work))
    return tasks
