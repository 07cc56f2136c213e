"""A metadata.xml as Human3.6M has it, written by the index rules of public readers."""

import numpy as np
from scipy.spatial.transform import Rotation


def write_metadata(path, rigs):
    """rigs: {S1 … S11: cameras}, the same cameras for all; subjects left out get zeros."""
    first = next(iter(rigs.values()))
    vector = []
    for c in range(len(first)):
        for subject in (f"S{i}" for i in range(1, 12)):
            if subject in rigs:
                camera = rigs[subject][c]
                vector += [*Rotation.from_matrix(camera.R).as_euler("XYZ"), *(1000 * camera.centre)]
            else:
                vector += [0.0] * 6
    for camera in first:
        k1, k2, p1, p2, k3 = camera.distortion
        vector += [*camera.K[[0, 1, 0, 1], [0, 1, 2, 2]], k1, k2, k3, p1, p2]
    items = "".join(f"<item>{camera.name}</item>" for camera in first)
    numbers = " ".join(repr(float(number)) for number in np.array(vector))
    path.write_text(f"<metadata><w0>[{numbers}]</w0><dbcameras><index2id>{items}</index2id></dbcameras></metadata>")
