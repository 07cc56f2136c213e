"""Pictures with the people seen by one camera drawn on them, and a window that shows such pictures live."""

from collections.abc import Sequence

import numpy as np

from simspine.core.errors import InputError
from simspine.report.overlay import PersonLayer, draw_layers
from simspine.vision.one_camera import FILE_SPINE_INDICES, DetectedPerson


def draw(
    image: np.ndarray, people: Sequence[DetectedPerson], spine_only: bool = False, caption: str = ""
) -> np.ndarray:
    """Draw people on an image: sides in colours, the spine as a curve, points that were not seen hollow and dashed.

    Parameters
    ----------
    image : (height, width, 3) array of uint8
        BGR, as OpenCV reads it.
    people : sequence of DetectedPerson
        As from `detect_image`.
    spine_only : bool
        Draw only the nine points along the spine.
    caption : str
        Written into a corner.

    Returns
    -------
    array
        (height, width, 3) uint8, BGR: a new picture; the image is not changed.

    Raises
    ------
    InputError
        If `image` is not such an array.

    Examples
    --------
    >>> frame = next(ss.detect_video("person.avi"))
    >>> ss.draw(frame.image, frame.people).shape == frame.image.shape
    True
    """
    return draw_layers(image, [_layer_of_person(person, spine_only) for person in people], caption)


def _layer_of_person(person: DetectedPerson, spine_only: bool) -> PersonLayer:
    chosen = FILE_SPINE_INDICES if spine_only else range(len(person.names))
    return PersonLayer(
        points={person.names[i]: person.points[i] for i in chosen},
        confidence=dict(zip(person.names, person.scores, strict=True)),
        estimated={person.names[i] for i in np.flatnonzero(person.estimated)},
        inferred={person.names[i] for i in np.flatnonzero(person.inferred)},
        label=f"person {person.number} · {person.mean_confidence:.2f}",
    )


# A window for live pictures.


QUIT_KEYS = (27, ord("q"))  # escape, q


class LiveWindow:
    """An open window. `InputError` where the installed OpenCV has no windows, or there is no screen."""

    def __init__(self, name: str):
        import cv2

        self._name = name
        try:
            cv2.namedWindow(name, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        except cv2.error:
            raise InputError(
                "no window can be opened: the installed OpenCV is a build without windows, or there is no screen. Say "
                "--no-view and name files to write (--output, --save-path), or install opencv-python in place of "
                "opencv-python-headless."
            ) from None

    def show(self, picture: np.ndarray) -> bool:
        """Show a picture; False once the window was closed, or q or escape was pressed."""
        import cv2

        cv2.imshow(self._name, picture)
        pressed = cv2.waitKey(1) & 0xFF
        return pressed not in QUIT_KEYS and cv2.getWindowProperty(self._name, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Close the window."""
        import cv2

        cv2.destroyWindow(self._name)
