"""Pictures of the people that one camera sees, and a window that shows them as they come."""

from collections.abc import Sequence

import numpy as np

from simspine.core.errors import InputError
from simspine.report.overlay import PersonLayer, draw_layers
from simspine.vision.one_camera import FILE_SPINE_INDICES, DetectedPerson


def draw(
    image: np.ndarray, people: Sequence[DetectedPerson], spine_only: bool = False, caption: str = ""
) -> np.ndarray:
    """Draw people on an image: sides in colours, the spine as a curve, what was not seen hollow and dashed.

    Parameters
    ----------
    image : (height, width, 3) array of uint8
        BGR, as OpenCV reads it.
    people : sequence of DetectedPerson
        As of `detect_image`.
    spine_only : bool
        Draw only the nine points along the spine.
    caption : str
        Written into a corner.

    Returns
    -------
    array
        (height, width, 3) uint8: a new picture; the image stays as it is.

    Raises
    ------
    InputError
        For what is no image.

    Examples
    --------
    >>> frame = next(ss.detect_video("person.avi"))
    >>> ss.draw(frame.image, frame.people).shape == frame.image.shape
    True
    """
    return draw_layers(image, [_layer_of_person(person, spine_only) for person in people], caption)


def _layer_of_person(seen: DetectedPerson, spine_only: bool) -> PersonLayer:
    chosen = FILE_SPINE_INDICES if spine_only else range(len(seen.names))
    return PersonLayer(
        points={seen.names[i]: seen.points[i] for i in chosen},
        confidence=dict(zip(seen.names, seen.scores, strict=True)),
        estimated={seen.names[i] for i in np.flatnonzero(seen.estimated)},
        inferred={seen.names[i] for i in np.flatnonzero(seen.inferred)},
        label=f"person {seen.number} · {seen.mean_confidence:.2f}",
    )


# A window that shows pictures as they come.


QUIT_KEYS = (27, ord("q"))  # escape, q


class LiveWindow:
    """Opened at once. `InputError` where the installed OpenCV has no windows, or there is no screen."""

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
        """False once the window was closed, or q or escape was pressed."""
        import cv2

        cv2.imshow(self._name, picture)
        pressed = cv2.waitKey(1) & 0xFF
        return pressed not in QUIT_KEYS and cv2.getWindowProperty(self._name, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Close the window."""
        import cv2

        cv2.destroyWindow(self._name)
