"""Bones or skin of a person as one mesh that moves with the bodies of a model, for pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simspine.body.model import Body
from simspine.errors import InputError
from simspine.geometry import frame_rotation
from simspine.rendering.overlaid import draw_over
from simspine.report.player.bones import Bone
from simspine.surface.around_bones import around_bones
from simspine.surface.asset import rest_surface, skin_asset
from simspine.surface.binding import BoundSkin, bind
from simspine.surface.posing import blend, normals, segment_maps
from simspine.types import Camera

# BGR, 0…255.
BONE_COLOURS = {"bone": (205, 226, 235), "rib": (205, 226, 235), "vertebra": (92, 190, 246)}
SKIN_COLOUR = (206, 176, 128)  # no skin's own, so that it stands out from the person's


@dataclass(frozen=True, eq=False)
class Solid:
    """points: (n, 3) m at rest. carriers, weights: (n, k) numbers of the maps that move each point, and their shares.
    maps: (frames, maps, 3, 4), rest → world, z up; NaN = not known. triangles: (t, 3). colours: (t, 3) BGR, 0…255.
    skin: whether it is the person's outside.
    """

    points: np.ndarray
    carriers: np.ndarray
    weights: np.ndarray
    maps: np.ndarray
    triangles: np.ndarray
    colours: np.ndarray
    skin: bool = False

    def at(self, frame: int) -> np.ndarray:
        """(n, 3) m, z up: where the points are in a frame; NaN where that is not known."""
        return blend(self.points, self.carriers, self.weights, np.ascontiguousarray(self.maps[frame]))

    def draw(self, picture: np.ndarray, camera: Camera, frame: int, opacity: float = 1.0) -> None:
        """Draw a frame into a camera's picture (height, width, 3) uint8, BGR. Parts that are not known are left out."""
        points = self.at(frame)
        draw_over(picture, camera, points, normals(points, self.triangles), self.triangles, self.colours, opacity)


def solid_bones(bones: Sequence[Bone], poses: Mapping[str, np.ndarray]) -> Solid:
    """The bones of the bodies whose poses are known: {body: (frames, 4, 4)}, y up.

    Raises `InputError` where there are none.
    """
    shown = [bone for bone in bones if bone.body in poses]
    if not shown:
        raise InputError("the result holds no bones of a body: its model is missing, or names no mesh that is there.")
    bodies = list(dict.fromkeys(bone.body for bone in shown))
    counts = [len(bone.points) for bone in shown]
    starts = np.cumsum([0, *counts[:-1]])
    carriers = np.repeat([bodies.index(bone.body) for bone in shown], counts)[:, None]
    colours = [np.tile(BONE_COLOURS[bone.kind], (len(bone.triangles), 1)) for bone in shown]
    triangles = [np.asarray(bone.triangles, np.int64) + start for bone, start in zip(shown, starts, strict=True)]
    return Solid(
        np.concatenate([bone.points for bone in shown]),
        carriers,
        np.ones(carriers.shape),
        frame_rotation("y_up", "z_up") @ np.stack([poses[name][:, :3] for name in bodies], 1),
        np.concatenate(triangles),
        np.concatenate(colours),
    )


def solid_skin(skin: BoundSkin, poses: Mapping[str, np.ndarray]) -> Solid:
    """A person's skin in the poses {body: (frames, 4, 4)}, y up."""
    asset = skin_asset()
    maps = frame_rotation("y_up", "z_up") @ segment_maps(skin, poses)
    colours = np.tile(SKIN_COLOUR, (len(asset.triangles), 1))
    return Solid(skin.points, asset.carriers, asset.weights, maps, asset.triangles, colours, True)


def average_skin(body: Body, bones: Sequence[Bone] = ()) -> BoundSkin:
    """The skin of an average person, between man and woman, at a body's sizes; nothing else of it is this person's.

    bones: it is laid around them (`around_bones`). Raises `InputError` for a body without single vertebrae.
    """
    skin = bind(rest_surface(0.5), body)
    points: dict[str, list[np.ndarray]] = {}
    for bone in bones:
        if bone.body in body.bodies:
            points.setdefault(bone.body, []).append(bone.points)
    return around_bones(skin, body, {name: np.concatenate(parts) for name, parts in points.items()}) if points else skin
