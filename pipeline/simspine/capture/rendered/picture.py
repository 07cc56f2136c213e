"""One camera's picture of a scene: colours, and what of it is whom."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simspine.rendering.mesh import Light, Mesh
from simspine.rendering.projection import projected
from simspine.rendering.raster import Visible, rasterise
from simspine.rendering.shade import Drawn, ShadowMap, shade
from simspine.types import Camera


@dataclass(frozen=True, eq=False)
class RenderedPicture:
    """colours: (height, width, 3) float32, linear. masks: (people, height, width) 0…1, how much of a pixel each person
    covers. seen: what is nearest in each pixel, at `scale` times the picture's size. first: (people + 1,) the first
    triangle of each person; from the last on nothing is a person.
    """

    colours: np.ndarray
    masks: np.ndarray
    seen: Visible
    scale: int
    first: np.ndarray


def finer(camera: Camera, scale: float) -> Camera:
    """The camera with `scale` times as many pixels across; the middle of a pixel stays the middle of its block."""
    K = camera.K * np.array([[scale], [scale], [1.0]])
    K[:2, 2] += (scale - 1) / 2
    return camera.with_(size=tuple(round(scale * pixels) for pixels in camera.size), K=K)


def take_picture(
    camera: Camera,
    mesh: Mesh,
    people: Sequence[int],
    light: Light,
    shadow: ShadowMap,
    behind: np.ndarray,
    scale: int = 1,
) -> RenderedPicture:
    """A picture of a mesh that begins with people. people: how many triangles each of them has.

    behind: (height, width, 3) linear colours of what is behind. scale: samples a side of each pixel; edges of what is
    drawn are then as soft as a lens would show them. Colours are worked out once a pixel.
    """
    fine = finer(camera, scale)
    px, depth = projected(fine, mesh.points)
    seen = rasterise(px, depth, mesh.triangles, fine.size)
    first = np.cumsum([0, *people])
    colours, count = shade(mesh, Drawn(px, depth, seen), camera.centre, light, shadow, behind, first)
    return RenderedPicture(colours, count * np.float32(1 / scale**2), seen, scale, first)
