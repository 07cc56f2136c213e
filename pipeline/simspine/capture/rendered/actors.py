"""People at an instant: where they stand, beside whom, and how they blur while a shutter is open."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.spatial import cKDTree

from simspine.capture.rendered.appearance import recoloured
from simspine.capture.rendered.motions import Performer
from simspine.capture.rendered.people import RenderedPerson, person_mesh
from simspine.capture.rendered.picture import RenderedPicture, take_picture
from simspine.geometry import project_one
from simspine.rendering.mesh import Light, Mesh, joined
from simspine.rendering.shade import shadow_map
from simspine.types import Camera

_NEAR, _FAR = 0.35, 1.8  # m between somebody and who stands beside them
_CLEAR = 0.06  # m between two skins at least, by every `_EVERY`-th point of each
_EVERY, _TRIES = 13, 12
_STEP = 1.0  # px that a point may go between two instants of a blurred picture
_MOST = 24  # instants of a blurred picture


@dataclass(frozen=True, eq=False)
class Actor:
    """Somebody at a frame of their motion. breath: −1 … 1. turn (3, 3), shift (3,) m: from where they were filmed to
    where they stand, z up.
    """

    who: Performer
    person: RenderedPerson
    frame: int
    breath: float
    turn: np.ndarray = field(default_factory=lambda: np.eye(3))
    shift: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def mesh(self, later: float = 0.0) -> Mesh:
        """Their surface `later` s after the frame."""
        maps = self.turn @ self.who.maps_at(self.frame, later)
        maps[..., 3] += self.shift
        return person_mesh(self.person, maps, self.breath)

    def points(self) -> np.ndarray:
        """(37, 3) m, in the order of the performer's names."""
        return self.who.points[self.frame] @ self.turn.T + self.shift


def beside(who: Performer, rng: np.random.Generator, floor: float, bodies: Sequence[Mesh]) -> tuple[Actor, Mesh] | None:
    """Somebody put beside the first of `bodies`, clear of all of them, and their surface; None where no place is found.

    floor: m, the height of the picture's.
    """
    person = replace(who.person, appearance=recoloured(who.person.appearance, rng))
    frame, breath = int(rng.integers(who.frames)), float(rng.uniform(-1, 1))
    middle = bodies[0].points[::_EVERY].mean(0)
    trees = [cKDTree(body.points[::_EVERY]) for body in bodies]
    own = Actor(who, person, frame, breath).mesh().points[::_EVERY].mean(0)
    for _ in range(_TRIES):
        a, way, far = rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi), rng.uniform(_NEAR, _FAR)
        turn = np.array([[np.cos(a), -np.sin(a), 0.0], [np.sin(a), np.cos(a), 0.0], [0.0, 0.0, 1.0]])
        shift = middle + far * np.array([np.cos(way), np.sin(way), 0.0]) - turn @ own
        shift[2] = floor - who.floor
        actor = Actor(who, person, frame, breath, turn, shift)
        mesh = actor.mesh()
        if all(tree.query(mesh.points[::_EVERY])[0].min() > _CLEAR for tree in trees):
            return actor, mesh
    return None


def blurred(
    actors: Sequence[Actor],
    things: Sequence[Mesh],
    exposure: float,
    camera: Camera,
    light: Light,
    behind: np.ndarray,
    picture: RenderedPicture,
) -> np.ndarray:
    """(height, width, 3) float32: mean of the light that comes in while the shutter is open, `exposure` s in all.

    picture: that of the middle instant, which is returned where nobody moves by more than a pixel. Instants are so
    close that no point goes farther than a pixel between two, but for the fastest. Breath stays, and the shadow on
    what is behind.
    """
    ends = [np.concatenate([a.mesh(side * exposure / 2).points[::_EVERY] for a in actors]) for side in (-1, 1)]
    gone = np.linalg.norm(project_one(camera, ends[1]) - project_one(camera, ends[0]), axis=1)
    count = int(np.clip(np.ceil(np.nanmax(gone, initial=0.0) / _STEP), 1, _MOST))
    if count == 1:
        return picture.colours
    total = np.zeros_like(picture.colours)
    for instant in range(count):
        later = ((instant + 0.5) / count - 0.5) * exposure
        bodies = [actor.mesh(later) for actor in actors]
        counts = [len(body.triangles) for body in bodies]
        people, mesh = joined(bodies), joined([*bodies, *things])
        shadow = shadow_map(people.points, people.triangles, light.way)
        total += take_picture(camera, mesh, counts, light, shadow, behind, picture.scale).colours
    return total / np.float32(count)
