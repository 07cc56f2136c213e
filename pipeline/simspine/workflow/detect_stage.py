"""The stage detect: images, folders of 2D points, or a file of simspine's → keypoints/<trial>.h5. It holds 37 points
per view of the person followed, and the cameras in the order of the views. In a recording of several subjects, the
first one's stage stores all people, and the other subjects' stages read theirs from that file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from simspine.core import skeletons
from simspine.core.errors import InputError
from simspine.core.types import Camera, Origin
from simspine.io.hdf5 import read_store, write_store
from simspine.reconstruction.detection import DETECT, Delays, TrialSource, detect_people
from simspine.vision.detector import Detections, read_detections
from simspine.vision.follow_skin_markers import SkinClicks
from simspine.vision.spinepose import network_files
from simspine.workflow.config_recordings import SharedSubject, Trial
from simspine.workflow.inputs import (
    RECORDING_CODE,
    CaptureSource,
    Context,
    check_clicks_of,
    findings_json,
    heard_warnings,
)
from simspine.workflow.up_to_date import RunPaths, StageTask


def plan_detect(context: Context) -> list[StageTask]:
    person = context.config.subject(context.subject)
    if isinstance(person, SharedSubject):
        return [_shared_people(context, person)]
    return [_detection_task(context, name, person.trials[name]) for name in context.filmed]


def _detection_task(context: Context, name: str, trial: Trial) -> StageTask:
    capture = context.capture(name)
    settings = context.config.detection.model_dump(mode="json", exclude={"infer_spine"})  # of the stage merge
    settings |= _about_trial(trial) | {"skin_markers": trial.model_dump(mode="json")["skin_markers"]}
    settings["lens"] = getattr(context.config.capture, "lens", None)
    return StageTask(
        name=name,
        inputs=_inputs_of(context, capture),
        outputs=(context.paths.keypoints(name),),
        settings=settings,
        work=partial(_detect, context, name, trial),
    )


def _detect(context: Context, name: str, trial: Trial) -> None:
    capture, clicks = context.capture(name), trial.skin_markers
    skin = None
    if clicks is not None:  # wrong clicks are refused before hours of detection
        check_clicks_of(clicks, capture)
        skin = SkinClicks(clicks.by_frame(), clicks.radius_px, clicks.tape_on_skin())
    with context.progress(f"{name}: detecting") as progress, heard_warnings(RECORDING_CODE, capture.detected) as heard:
        recording = replace(_recording(context, name, trial, capture), skin=skin, progress=progress)
        seen = DETECT(context.config, recording=recording)
    about = _about_views(seen) | findings_json(heard)
    write_store(context.paths.keypoints(name), keypoints=seen["keypoints"], **about)


def _shared_people(context: Context, person: SharedSubject) -> StageTask:
    """The task of one of several people of a recording; that of the first person follows all of them together."""
    ((name, trial),) = person.trials.items()
    out = context.paths.keypoints(name)
    shared = RunPaths(context.paths.results, f"{person.group}_1").people(name)
    if person.rank > 1:

        def take_own() -> None:
            stored = read_store(shared)
            keypoints = stored["people"][person.rank - 1]
            write_store(out, keypoints=keypoints, **{key: value for key, value in stored.items() if key != "people"})

        return StageTask(name=name, inputs=(shared,), outputs=(out,), settings={"rank": person.rank}, work=take_own)
    capture, options = context.capture(name), context.config.detection

    def detect_all() -> None:
        label = f"{name}: detecting"
        with context.progress(label) as progress, heard_warnings(RECORDING_CODE, capture.detected) as heard:
            recording = replace(_recording(context, name, trial, capture), progress=progress)
            people = detect_people(options, recording=recording)
        if len(people) < (person.people or 1):
            text = f"{person.group}/{name}: {len(people)} people are seen in two views or more for long enough"
            advice = f"Set subjects.{person.group}.people to {max(len(people), 1)}, or see docs/detection.md."
            raise InputError(f"{text}, {person.people} were announced. {advice}")
        views = _about_views(people[0]) | findings_json(heard)
        write_store(shared, people=[one["keypoints"] for one in people[: person.people]], **views)
        write_store(out, keypoints=people[0]["keypoints"], **views)

    settings = options.model_dump(mode="json", exclude={"infer_spine"}) | _about_trial(trial)
    settings |= {"people": person.people}
    inputs = _inputs_of(context, capture)
    return StageTask(name=name, inputs=inputs, outputs=(shared, out), settings=settings, work=detect_all)


def _inputs_of(context: Context, capture: CaptureSource) -> tuple[Path, ...]:
    """Files of the trial, and those of the network that detects points in its images where they are the user's."""
    options = context.config.detection
    runs_network = options.detector == "spinepose" and not capture.keypoints
    known = capture.mocap if capture.given.capture and not capture.stored else ()  # guides detection
    return (*capture.detected, *known, *(network_files(options.network) if runs_network else ()))


def _about_trial(trial: Trial) -> dict:
    clocks = {} if trial.delays is None else {"delays": trial.delays, "drift": trial.drift}
    return {"rate": trial.rate} | clocks


def _about_views(seen: Mapping[str, Any]) -> dict:
    """Contents of a keypoints file besides the points: cameras, skeleton, and the timing of the views where frames of
    the same number are not simultaneous."""
    timing = {} if seen["timing"] is None else {"timing": asdict(seen["timing"])}
    return {"cameras": list(seen["cameras"]), "skeleton": seen["skeleton"]} | timing


def _recording(context: Context, name: str, trial: Trial, capture: CaptureSource) -> TrialSource:
    """The source of the trial's points; no video is opened here."""
    options = context.config.detection
    cameras, delays = capture.cameras(), None if trial.delays is None else Delays(trial.delays, trial.drift)
    if capture.stored:
        return replace(_stored_keypoints(capture.stored, cameras), delays=delays)
    if capture.keypoints:
        detections, skeleton = read_detection_folders(name, trial, capture, cameras=cameras, skeleton=options.skeleton)
        return TrialSource(cameras, detections=detections, skeleton=skeleton.name, videos=capture.videos, delays=delays)
    if options.detector == "import":
        raise InputError(f"trial {name!r}: detector 'import' reads `keypoints` folders, but the trial gives videos.")
    known = capture.motion_capture() if trial.capture is not None else None  # in the cameras' world and time
    return TrialSource(cameras, videos=capture.videos, delays=delays, mocap=known)


def _stored_keypoints(path: Path, cameras: Sequence[Camera]) -> TrialSource:
    content = read_store(path)
    for item in ("keypoints", "cameras", "skeleton"):
        if item not in content:
            raise InputError(f"{path}: holds {', '.join(content)}; keypoints, cameras and skeleton are wanted.")
    keypoints, views = content["keypoints"], [camera.name for camera in content["cameras"]]
    by_name = {camera.name: camera for camera in cameras}
    if len(views) != keypoints.views or any(view not in by_name for view in views):
        raise InputError(f"{path}: {keypoints.views} views, {', '.join(views)}; calibrated are {', '.join(by_name)}.")
    points = np.concatenate([keypoints.xy, keypoints.confidence[..., None]], -1)[:, :, None]
    detections = Detections(keypoints.names, keypoints.rate, points, estimated=keypoints.names_of(Origin.ESTIMATED))
    return TrialSource([by_name[view] for view in views], detections=detections, skeleton=content["skeleton"])


def read_detection_folders(
    name: str, trial: Trial, capture: CaptureSource, cameras: Sequence[Camera], skeleton: str | None
) -> tuple[Detections, skeletons.Skeleton]:
    """All people in the folders of keypoints; `InputError` unless there is a folder for each camera."""
    assert trial.rate is not None  # `Trial` requires it with keypoints
    if len(cameras) != len(capture.keypoints):
        found = f"{len(capture.keypoints)} folders of keypoints and {len(cameras)} cameras ({capture.calibration})"
        raise InputError(f"trial {name!r} has {found}. Give one folder per camera, in their order.")
    return read_detections(capture.keypoints, trial.rate, skeleton)
