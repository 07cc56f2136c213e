"""People in one image, and in the images of a video, of one camera: `detect_image`, `detect_video`."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path

import numpy as np

from simspine.io.image_streams import (
    CameraImage,
    OneCameraSource,
    Photographs,
    camera_images,
    open_camera,
    read_image,
    require_image,
)
from simspine.vision.one_camera import DetectedPerson, PeopleWatcher, WatchSettings, options_for_camera
from simspine.vision.options import BLAZEPOSE_MODELS, DetectionOptions
from simspine.vision.points import IMAGE_DETECTORS


@dataclass(frozen=True, eq=False)
class DetectedFrame:
    """One image of a video with its people.

    Attributes
    ----------
    number : int
        Number of the image, from 0.
    time : float
        Time of the image, s.
    image : (height, width, 3) array of uint8
        BGR.
    people : tuple of DetectedPerson
    """

    number: int
    time: float
    image: np.ndarray
    people: tuple[DetectedPerson, ...]


def detect_image(
    image: np.ndarray | str | PathLike, model: str | PathLike = "blazepose", people: int = 4, infer_spine: bool = True
) -> tuple[DetectedPerson, ...]:
    """Find people in one image: 37 points each, nine of them along the spine.

    Positions are px of the image. Angles of vertebrae need several cameras (`reconstruct`).

    Parameters
    ----------
    image : (height, width, 3) array of uint8, or path
        BGR, as OpenCV reads it.
    model : str or path
        'blazepose' (same as 'heavy'); 'full', its faster network; 'blazepose_spine' (experimental); a size of SpinePose
        ('medium', 'v1/large'), whose weights the package spinepose downloads; or an ONNX file that gives SimCC or heat
        maps.
    people : int
        The most people in an image.
    infer_spine : bool
        Infer points of the spine that the model does not give; they are marked as inferred.

    Returns
    -------
    tuple of DetectedPerson

    Raises
    ------
    InputError
        For a file or an array that is no image, and for an unknown model.

    Examples
    --------
    >>> people = ss.detect_image("person.png")
    >>> people[0].points.shape, people[0].scores.shape, people[0].spine.shape
    ((37, 2), (37,), (97, 2))
    """
    if isinstance(image, str | PathLike):
        image = read_image(Path(image))
    settings = WatchSettings(options_of_model(model, people), smooth=False, infer_spine=infer_spine)
    with closing(PeopleWatcher(settings)) as watcher:
        return watcher.watch_image(require_image(image), time=0.0)


def detect_video(
    source: str | PathLike,
    model: str | PathLike = "blazepose",
    people: int = 4,
    infer_spine: bool = True,
    *,
    smooth: bool = True,
) -> Iterator[DetectedFrame]:
    """Find people in each image of a video, one after the other; a person keeps the same number in all images.

    Parameters
    ----------
    source : path
        A video, a folder of photographs (independent pictures), or a webcam by its number ('0').
    model, people, infer_spine
        As of `detect_image`.
    smooth : bool
        Smooth the points over time (One-Euro filter).

    Returns
    -------
    iterator of DetectedFrame
        Each image is processed when the iterator reaches it.

    Raises
    ------
    InputError
        For a source that cannot be read, and for an unknown model.

    Examples
    --------
    >>> for frame in ss.detect_video("person.avi"):
    ...     for person in frame.people:
    ...         print(frame.number, person.number, person.points.shape, person.inferred.sum())
    0 1 (37, 2) 9
    1 1 (37, 2) 9
    """
    camera = open_camera(fspath(source))
    options = options_for_camera(options_of_model(model, people), camera)
    settings = WatchSettings(options, smooth and not isinstance(camera, Photographs), infer_spine)
    return _detected_frames(camera, settings)


def _detected_frames(camera: OneCameraSource, settings: WatchSettings) -> Iterator[DetectedFrame]:
    with closing(PeopleWatcher(settings)) as watcher:
        for shot, people in watch_camera(camera, watcher):
            yield DetectedFrame(shot.number, shot.time, shot.image, people)


def watch_camera(
    camera: OneCameraSource, watcher: PeopleWatcher
) -> Iterator[tuple[CameraImage, tuple[DetectedPerson, ...]]]:
    """Each image with its people."""
    for shot in camera_images(camera):
        if isinstance(camera, Photographs):  # photographs are independent of each other
            watcher.reset_identities()
        yield shot, watcher.watch_image(shot.image, shot.time)


def options_of_model(model: str | PathLike, people: int) -> DetectionOptions:
    """Detection options for a model: a network of BlazePose, a detector's name, or a network of SpinePose's kind."""
    name = fspath(model)
    if name in BLAZEPOSE_MODELS:
        return DetectionOptions(model=name, people=people)
    if name in IMAGE_DETECTORS:
        return DetectionOptions.model_validate({"detector": name, "people": people})
    return DetectionOptions(detector="spinepose", model=name, people=people)
