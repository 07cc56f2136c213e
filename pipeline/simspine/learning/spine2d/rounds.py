"""Between two rounds of annotation: a detector of the spine learns from what was corrected, and looks at the recording.

The recording's other frames show the same person in the same room, so such a detector is one for this recording.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from simspine.annotation.recording import RecordedViews
from simspine.annotation.rounds import Hook, RoundFiles
from simspine.detection.boxes import extent
from simspine.detection.spinepose import SpinePose
from simspine.errors import InputError
from simspine.formats.keypoint_json import write_people
from simspine.formats.labelled_images import read_coco_labels
from simspine.learning.spine2d.options import (
    SPINE_PRESETS,
    LabelledSet,
    SpineDetectorOptions,
    read_spine_options,
    spine_preset,
)
from simspine.learning.spine2d.runs import ONNX, train_detector
from simspine.learning.torch_import import require_torch
from simspine.sources.any_order import decoder_of
from simspine.sources.video import Video


def training_hook(settings: str, say: Callable[[str], None]) -> Hook:
    """A hook that trains by a preset's name or a file of settings, whose first training set, if it names one, is learnt
    from beside the corrected images. Raises `InputError` for settings that leave points out or name two sets."""
    require_torch()
    options = spine_preset(settings) if settings in SPINE_PRESETS else read_spine_options(Path(settings))
    if options.data.points != "all":
        raise InputError(f"--training {settings}: data.points is {options.data.points}; rounds need all 37 points.")
    if len(options.data.train) > 1:
        raise InputError(
            f"--training {settings}: data.train names two sets; the corrected images are the second one. Name one."
        )

    def run(files: RoundFiles) -> str:
        train_detector(with_set(options, files), files.out / "detector", say)
        say("looking at the recording")
        look_at(files.recording, SpinePose(files.out / "detector" / ONNX), files.out)
        return f"simspine train spine, {settings}"

    return run


def with_set(options: SpineDetectorOptions, files: RoundFiles) -> SpineDetectorOptions:
    """The options with a round's images to learn from, besides their own set; a first round's few fill one batch."""
    own = LabelledSet(folder=str(files.images), labels=str(files.labels))
    data = options.data.model_copy(update={"train": (*options.data.train, own)})
    training = options.training
    if not options.data.train:
        most = max(len(read_coco_labels(files.labels).file_names), 2)
        training = training.model_copy(update={"batch": min(training.batch, most)})
    return options.model_copy(update={"data": data, "training": training})


def look_at(recording: RecordedViews, detector: SpinePose, out: Path) -> None:
    """Write a detector's points of every image as `<view>_json/<view>_000012.json`, and close it.

    Where the person is: see `person_boxes`; where these know nothing BlazePose looks for them.
    """
    decoders = [decoder_of(source) for source in recording.sources]
    boxes = person_boxes(recording)
    try:
        for frame, numbers in enumerate(recording.rows):
            images = [decoder.at(int(row)) for decoder, row in zip(decoders, numbers, strict=True)]
            known = [box[None] if np.isfinite(box).all() else None for box in boxes[frame]]
            found = detector.detect(images, known)
            for view, row, people in zip(recording.views, numbers, found, strict=True):
                write_people(out / f"{view}_json" / f"{view}_{row:06d}.json", _people(people))
    finally:
        detector.close()
        for decoder in decoders:
            decoder.close()


def person_boxes(recording: RecordedViews) -> np.ndarray:
    """(frames, views, 4) x0 y0 x1 y1 px around the recording's points; in videos, between frames with points, where a
    person who moves evenly is. NaN = not known."""
    xy = np.where(recording.start.labelled[..., None], recording.start.xy, np.nan)
    boxes = np.stack([extent(xy[:, v], source.size, 0.0) for v, source in enumerate(recording.sources)], 1)
    for v, source in enumerate(recording.sources):
        known = np.flatnonzero(np.isfinite(boxes[:, v]).all(-1))
        if isinstance(source, Video) and len(known):
            every = np.arange(len(boxes))
            boxes[:, v] = np.stack([np.interp(every, known, boxes[known, v, k]) for k in range(4)], -1)
    return boxes


def _people(found: np.ndarray) -> Sequence[dict]:
    """The first person, as OpenPose's files have one; a point without a place is 0 0 0."""
    return [{"pose_keypoints_2d": np.nan_to_num(person).round(3).ravel().tolist()} for person in found[:1]]
