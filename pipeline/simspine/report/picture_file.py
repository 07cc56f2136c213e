"""A picture as a file."""

from pathlib import Path

import numpy as np

from simspine.formats.atomic import atomic_path


def write_picture(path: Path, picture: np.ndarray, sync: bool = True) -> None:
    """Write a picture (height, width, 3) uint8, BGR, as its ending says (.png, .jpg, …), atomically.

    sync: see `atomic_path`.
    """
    import cv2

    with atomic_path(path, sync) as temporary:
        temporary.write_bytes(cv2.imencode(path.suffix.lower(), picture)[1].tobytes())
