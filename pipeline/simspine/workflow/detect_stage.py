"""Images, folders of 2D points, or a file of ours → keypoints/<trial>.h5: 37 points per view of the person followed,
and the cameras in the order of the views. Of a recording that several subjects share, the first one's stage keeps
all people, and the others take theirs from it.
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
from simspine.workflow.inputs import CaptureSource, Context, check_clicks_of
from simspine.workflow.up_to_date import RunPaths, StageTask


def plan_detect(context: Context) -> list[StageTask]:
    person = context.config.subject(context.subject)
    if isinstance(person, SharedSubject):
        return [_shared_people(context, person)]
    return [_detection_task(context, name, person.trials[name]) for name in context.filmed]


def _detection_task(context: Context, name: str, trial: Trial) -> StageTask:
    capture = context.capture(name)
    settings = context.config.detection.model_dump(mode="json", exclude={"infer_spine"})  # that is done by merge
    settings |= _about_trial(trial) | {"skin_markers": trial.model_dump(mode="json")["skin_markers"]}
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
    with context.progress(f"{name}: detecting") as progress:
        recording = replace(_recording(context, name, trial, capture), skin=skin, progress=progress)
        seen = DETECT(context.config, recording=recording)
    write_store(context.paths.keypoints(name), keypoints=seen["keypoints"], **_about_views(seen))


def _shared_people(context: Context, person: SharedSubject) -> StageTask:
    """One of several people of a recording: all are followed together, by the stage of the first."""
    ((name, trial),) = person.trials.items()
    out = context.paths.keypoints(name)
    of_all = RunPaths(context.paths.results, f"{person.group}_1").people(name)
    if person.rank > 1:

        def take() -> None:
            stored = read_store(of_all)
            own = stored["people"][person.rank - 1]
            write_store(out, keypoints=own, **{key: value for key, value in stored.items() if key != "people"})

        return StageTask(name=name, inputs=(of_all,), outputs=(out,), settings={"rank": person.rank}, work=take)
    capture, options = context.capture(name), context.config.detection

    def find() -> None:
        with context.progress(f"{name}: detecting") as progress:
            recording = replace(_recording(context, name, trial, capture), progress=progress)
            found = detect_people(options, recording=recording)
        if len(found) < (person.people or 1):
            raise InputError(
                f"{person.group}/{name}: {len(found)} people are seen in two views or more for long enough, "
                f"{person.people} were announced. Set subjects.{person.group}.people to {max(len(found), 1)}, or see "
                "docs/detection.md for what makes people hard to find."
            )
        views = _about_views(found[0])
        write_store(of_all, people=[one["keypoints"] for one in found[: person.people]], **views)
        write_store(out, keypoints=found[0]["keypoints"], **views)

    settings = options.model_dump(mode="json", exclude={"infer_spine"}) | _about_trial(trial)
    settings |= {"people": person.people}
    return StageTask(
        name=name, inputs=_inputs_of(context, capture), outputs=(of_all, out), settings=settings, work=find
    )


def _inputs_of(context: Context, capture: CaptureSource) -> tuple[Path, ...]:
    """Files of the trial, and of the network that looks at its images where it is the user's own."""
    options = context.config.detection
    own = options.detector == "spinepose" and not capture.keypoints
    return capture.detected + (network_files(options.network) if own else ())


def _about_trial(trial: Trial) -> dict:
    """Settings of the trial that its points depend on."""
    late = {} if trial.delays is None else {"delays": trial.delays, "drift": trial.drift}
    return {"rate": trial.rate} | late


def _about_views(seen: Mapping[str, Any]) -> dict:
    """What a file holds of a trial's views besides the points: which frames belong together where not those of the
    same number."""
    timing = {} if seen["timing"] is None else {"timing": asdict(seen["timing"])}
    return {"cameras": list(seen["cameras"]), "skeleton": seen["skeleton"]} | timing


def _recording(context: Context, name: str, trial: Trial, capture: CaptureSource) -> TrialSource:
    """What the trial's points come from; videos are not looked at here."""
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
    """One person's points out of a file of ours; each view gets the camera of the same name."""
    content = read_store(path)
    for item in ("keypoints", "cameras", "skeleton"):
        if item not in content:
            raise InputError(f"{path}: holds {', '.join(content)}; keypoints, cameras and skeleton are wanted.")
    keypoints, views = content["keypoints"], [camera.name for camera in content["cameras"]]
    by_name = {camera.name: camera for camera in cameras}
    if len(views) != keypoints.views or any(view not in by_name for view in views):
        raise InputError(
            f"{path}: {keypoints.views} views of {', '.join(views)}; the calibration has {', '.join(by_name)}."
        )
    people = np.concatenate([keypoints.xy, keypoints.confidence[..., None]], -1)[:, :, None]
    seen = Detections(keypoints.names, keypoints.rate, people, estimated=keypoints.names_of(Origin.ESTIMATED))
    return TrialSource([by_name[view] for view in views], detections=seen, skeleton=content["skeleton"])


def read_detection_folders(
    name: str, trial: Trial, capture: CaptureSource, cameras: Sequence[Camera], skeleton: str | None
) -> tuple[Detections, skeletons.Skeleton]:
    """All people in the folders of keypoints; `InputError` unless there are as many as cameras."""
    assert trial.rate is not None  # `Trial` wants one with keypoints
    if len(cameras) != len(capture.keypoints):
        raise InputError(
            f"trial {name!r} has {len(capture.keypoints)} folders of keypoints, but {capture.calibration} holds "
            f"{len(cameras)} cameras ({', '.join(c.name for c in cameras)}). Give one folder per camera, in order."
        )
    return read_detections(capture.keypoints, trial.rate, skeleton)
