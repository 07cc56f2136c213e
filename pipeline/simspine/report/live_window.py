"""A window that shows pictures as they come."""

import numpy as np

from simspine.errors import InputError

QUIT = (27, ord("q"))  # escape, q


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
        """Whether to go on: False once somebody closed the window, or pressed q or escape."""
        import cv2

        cv2.imshow(self._name, picture)
        pressed = cv2.waitKey(1) & 0xFF
        return pressed not in QUIT and cv2.getWindowProperty(self._name, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Close the window."""
        import cv2

        cv2.destroyWindow(self._name)
