"""One camera's picture of a scene: colours, and what of it is the person."""

from dataclasses import dataclass

import numpy as np

from simspine.geometry import project_one
from simspine.rendering.mesh import Light, Mesh
from simspine.rendering.raster import NONE, Visible, rasterise
from simspine.rendering.shade import ShadowMap, shade
from simspine.types import Camera


@dataclass(frozen=True, eq=False)
class Picture:
    """colours: (height, width, 3) float32, linear. mask: (height, width) 0…1, how much of a pixel the person covers.
    seen: what is nearest in each pixel, at `scale` times the picture's size; things: from which triangle on it is not
    the person.
    """

    colours: np.ndarray
    mask: np.ndarray
    seen: Visible
    scale: int
    things: int


def finer(camera: Camera, scale: int) -> Camera:
    """The camera with `scale` times as many pixels across; the middle of a pixel stays the middle of its block."""
    K = camera.K * np.array([[scale], [scale], [1.0]])
    K[:2, 2] += (scale - 1) / 2
    return camera.with_(size=(camera.size[0] * scale, camera.size[1] * scale), K=K)


def take_picture(
    camera: Camera, mesh: Mesh, things: int, light: Light, shadow: ShadowMap, behind: np.ndarray, scale: int = 1
) -> Picture:
    """A picture of a mesh whose triangles from `things` on are not the person.

    behind: (height, width, 3) linear colours of what is behind. scale: samples a side of each pixel; edges of what is
    drawn are then as soft as a lens would show them. Colours are worked out once a pixel or more.
    """
    fine = finer(camera, scale)
    px = project_one(fine, mesh.points)
    depth = mesh.points @ camera.R[2] + camera.t[2]
    depth = np.where(np.isfinite(px).all(1), depth, -1.0)
    seen = rasterise(px, depth, mesh.triangles, fine.size)
    drawn = shade(mesh, px, depth, seen, camera.centre, light, shadow)
    covered = (seen.triangle != NONE).astype(np.float32)
    person = ((seen.triangle != NONE) & (seen.triangle < things)).astype(np.float32)
    if scale > 1:
        drawn, covered, person = (_blocks(image, scale) for image in (drawn, covered, person))
    return Picture(drawn + behind * (1 - covered[..., None]), person, seen, scale, things)


def _blocks(image: np.ndarray, scale: int) -> np.ndarray:
    """Means over blocks of scale × scale pixels."""
    import cv2

    height, width = image.shape[:2]
    return cv2.resize(image, (width // scale, height // scale), interpolation=cv2.INTER_AREA)
