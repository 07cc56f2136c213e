"""Before a run: do the cameras agree, as far as 2D points of the people are known already?"""

from simspine.cameras.recordings import joined, same_rig
from simspine.config import Config, SharedSubject
from simspine.detection.run import Detections
from simspine.errors import InputError
from simspine.formats.store import load
from simspine.pipeline.cameras import compare_cameras
from simspine.pipeline.delays import follow_in_step
from simspine.pipeline.points import follow_person
from simspine.quality.findings import Severity, listed
from simspine.types import Camera, Keypoints
from simspine.workflow.context import Context
from simspine.workflow.copies import FAULT, NOTE, OK, Say
from simspine.workflow.manifest import why_not_done
from simspine.workflow.stages import detect

CHECK = "[yellow]check[/]    "
OF_SEVERITY = {Severity.INFO: NOTE, Severity.WARNING: CHECK, Severity.ERROR: FAULT}
LATER = "cameras are compared once people are detected, by `simspine cameras check` and by every run"


def examine_cameras(config: Config, say: Say) -> bool:
    """Say how the cameras of each set-up agree, by points that are given or detected already; nothing is written.

    Trials of a data set are left out. True unless views are mixed up, so that no run makes sense. Inputs that cannot be
    read are passed over: whoever looks at the inputs says so.
    """
    rigs: list[tuple[list[str], list[Camera], list[Keypoints]]] = []
    later = []
    for subject, person in config.subjects.items():
        for name in (name for name, trial in person.trials.items() if trial.capture is None):
            try:
                known = _known_points(config, subject, name)
            except InputError:
                continue
            if known is None:
                later.append(f"{subject}/{name}")
                continue
            keypoints, cameras = known
            for names, others, seen in rigs:
                if same_rig(others, cameras) and seen[0].names == keypoints.names:
                    names.append(f"{subject}/{name}")
                    seen.append(keypoints)
                    break
            else:
                rigs.append(([f"{subject}/{name}"], cameras, [keypoints]))
    good = [_examined(names, cameras, joined(seen), config, say) for names, cameras, seen in rigs]
    if later:
        say(NOTE, f"{listed(later)}: {LATER}")
    return all(good)


def _examined(names: list[str], cameras: list[Camera], seen: Keypoints, config: Config, say: Say) -> bool:
    """Lines about one set-up; False where views are mixed up."""
    where = listed(names)
    try:
        compared = compare_cameras(seen, cameras, config.triangulation.min_confidence)
    except InputError as error:
        say(NOTE, f"{where}: the cameras could not be compared: {error}")
        return True
    for finding in compared.findings:
        say(OF_SEVERITY[finding.severity], f"{where}: {finding.message} {finding.suggestion}")
    if not compared.findings:
        say(OK, f"{where}: {len(cameras)} cameras agree with one another")
    return not compared.mixed_up


def _known_points(config: Config, subject: str, name: str) -> tuple[Keypoints, list[Camera]] | None:
    """2D points of the person followed, and the cameras in the order of the views: as the stage detect made them of the
    inputs as they are, or as the trial gives them. None where people must be looked for in images."""
    context = Context(config, subject, quiet=True)
    capture, trial = context.capture(name), config.subject(subject).trials[name]
    kept = context.paths.keypoints(name)
    tasks = [task for task in detect.plan(context) if kept in task.outputs]
    module = detect.__name__
    if all(why_not_done(context.paths.manifest("detect", task.name), task, module) is None for task in tasks):
        content = load(kept)
        return content["keypoints"], list(content["cameras"])
    if not capture.keypoints or isinstance(config.subject(subject), SharedSubject):
        return None
    cameras = capture.cameras()
    detections, skeleton = detect.read_folders(name, trial, capture, cameras, config.detection.skeleton)

    def follow(seen: Detections) -> list[Keypoints]:
        return [follow_person(seen, cameras, skeleton.name, config.detection)]

    (keypoints,), _ = follow_in_step(detections, cameras, detect.delays_of(trial), follow, skeleton.name)
    return keypoints, cameras
