"""One camera's picture of a scene: colours, and what of it is the person."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from simspine.geometry import project_one
from simspine.rendering.mesh import Light, Mesh
from simspine.rendering.raster import Visible, rasterise
from simspine.rendering.shade import ShadowMap, shade
from simspine.types import Camera


@dataclass(frozen=True, eq=False)
class RenderedPicture:
    """colours: (height, width, 3) float32, linear. mask: (height, width) 0…1, how much of a pixel the person covers.
    seen: what is nearest in each pixel, at `scale` times the picture's size; things: from which triangle on it is not
    the person.
    """

    colours: np.ndarray
    mask: np.ndarray
    seen: Visible
    scale: int
    things: int


def finer(camera: Camera, scale: float) -> Camera:
    """The camera with `scale` times as many pixels across; the middle of a pixel stays the middle of its block."""
    K = camera.K * np.array([[scale], [scale], [1.0]])
    K[:2, 2] += (scale - 1) / 2
    return camera.with_(size=tuple(round(scale * pixels) for pixels in camera.size), K=K)


def take_picture(
    camera: Camera, mesh: Mesh, things: int, light: Light, shadow: ShadowMap, behind: np.ndarray, scale: int = 1
) -> RenderedPicture:
    """A picture of a mesh whose triangles from `things` on are not the person.

    behind: (height, width, 3) linear colours of what is behind. scale: samples a side of each pixel; edges of what is
    drawn are then as soft as a lens would show them. Colours are worked out once a pixel.
    """
    fine = finer(camera, scale)
    px = project_one(fine, mesh.points)
    depth = mesh.points @ camera.R[2] + camera.t[2]
    depth = np.where(np.isfinite(px[:, 0]) & np.isfinite(px[:, 1]), depth, -1.0)
    seen = rasterise(px, depth, mesh.triangles, fine.size)
    drawn = shade(mesh, px, depth, seen, camera.centre, light, shadow, scale)
    out, person = np.empty_like(behind), np.empty(behind.shape[:2], np.float32)
    _compose(seen.triangle, things, scale, drawn, behind, out, person)
    return RenderedPicture(out, person, seen, scale, things)


@njit(cache=True, nogil=True)
def _compose(triangle, things, scale, drawn, behind, out, person):
    """Colours over what is behind by the share of a pixel's samples that show anything; the person's share."""
    share = np.float32(1.0) / np.float32(scale * scale)
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            anything, own = 0, 0
            for j in range(y * scale, (y + 1) * scale):
                for i in range(x * scale, (x + 1) * scale):
                    anything += triangle[j, i] >= 0
                    own += 0 <= triangle[j, i] < things
            over = anything * share
            person[y, x] = own * share
            for c in range(3):
                out[y, x, c] = over * drawn[y, x, c] + (np.float32(1.0) - over) * behind[y, x, c]
