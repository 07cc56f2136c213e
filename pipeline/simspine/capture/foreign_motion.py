"""What people of another anatomy do: an action is a function that adds to a course."""

from collections.abc import Callable

import numpy as np

from simspine.capture.foreign_anatomy import ForeignSubject, read_foreign
from simspine.capture.foreign_body import ForeignPose
from simspine.capture.foreign_course import BENDING, FLEXION, TURN, ForeignCourse, events
from simspine.capture.foreign_gait import walk


def _quiet(c: ForeignCourse, size: float = 1.0) -> None:
    """Sway, breathing, small corrections of posture; how somebody carries themselves in this trial."""
    rng = c.draw("carriage")
    breath = np.sin(2 * np.pi * c.time / rng.uniform(3.2, 4.8) + rng.uniform(0, 6))
    c.hips[:, 0] += c.wander("sway_x", 0.006)
    c.hips[:, 2] += c.wander("sway_z", 0.005)
    for axis, sd in ((FLEXION, 0.7), (BENDING, 0.5), (TURN, 0.6)):
        c.pelvis[:, axis] += np.radians(c.wander(f"pelvis{axis}", sd * size))
        for region, factor in (("lumbar", 0.8), ("thoracic", 0.8), ("neck", 1.8), ("head", 1.0)):
            lasting = (2.0 if axis == FLEXION else 0.6) * rng.standard_normal()
            c.add(region, axis, factor * c.wander(f"{region}{axis}", sd * size) + lasting)
    c.add("thoracic", FLEXION, -0.6 * breath)
    shrug, reach = (read_foreign()["girdle"][name] for name in ("shrug", "protraction"))
    for k in range(2):
        c.girdle[:, k, 0] += np.radians(
            c.wander(f"shrug{k}", shrug, 15, 3) + shrug * rng.standard_normal() / 2 + 0.4 * breath
        )
        c.girdle[:, k, 1] += np.radians(c.wander(f"protraction{k}", reach, 20, 3) + reach * rng.standard_normal() / 2)
        for j, sd in enumerate((2.0, 1.0, 2.5, 2.0)):
            c.arms[:, k, j] += np.radians(c.wander(f"arm{k}{j}", sd) + (2 * sd * rng.standard_normal() if j else 0))


def _standing(c: ForeignCourse) -> None:
    _quiet(c)
    looks, sizes = events(c.draw("looks"), c.time, ((2.5, 0.4), (1.2, 0.2), (1.2, 0.5), (1.2, 0.2)))
    c.add("neck", TURN, 14 * sizes[:, 0] @ looks)
    c.add("head", TURN, 18 * sizes[:, 0] @ looks)
    c.add("neck", FLEXION, 6 * sizes[:, 1] @ looks)


def _bending(c: ForeignCourse) -> None:
    """The trunk 60° forward and more; the lumbar spine leads, the pelvis follows and the hips move back."""
    _quiet(c)
    rng = c.draw("rhythm")
    times = ((1.2, 0.3), (2.2, 0.15), (1.2, 0.4), (2.2, 0.15))
    down, sizes = events(c.draw("bends"), c.time, times)
    lead = rng.uniform(0.05, 0.2)  # how much the spine is ahead
    deep = 66 + 5 * sizes[:, 0]
    pelvis = rng.uniform(0.38, 0.52)
    lumbar = (1 - pelvis) * rng.uniform(0.72, 0.85)
    thoracic = 1 - pelvis - lumbar
    spine, hip = deep @ (down * (1 + lead * (1 - down))), deep @ (down * (1 - lead * (1 - down)))
    c.pelvis[:, FLEXION] += np.radians(pelvis * hip)
    c.hips[:, 0] -= 0.24 * np.sin(np.radians(pelvis * hip))
    c.add("lumbar", FLEXION, lumbar * spine)
    c.add("thoracic", FLEXION, thoracic * spine)
    c.add("lumbar", BENDING, 2 * sizes[:, 1] @ down)
    c.add("neck", FLEXION, -rng.uniform(0.0, 0.35) * spine)
    c.add("head", FLEXION, -rng.uniform(0.0, 0.1) * spine)
    c.arms[:, :, 0] += np.radians(12 * spine / 66)[:, None]
    c.girdle[:, :, 1] += np.radians(14 * spine / 66)[:, None]


def _side_bending(c: ForeignCourse) -> None:
    _quiet(c)
    rng = c.draw("rhythm")
    bends, sizes = events(c.draw("bends"), c.time, ((0.8, 0.3), (1.6, 0.15), (0.8, 0.4), (1.6, 0.15)))
    way = np.where(np.arange(len(bends)) % 2, -1, 1) * (1 + 0.2 * sizes[:, 0])
    course = way @ bends
    lumbar, thoracic, pelvis = rng.uniform(13, 18), rng.uniform(13, 18), rng.uniform(1, 5)
    c.pelvis[:, BENDING] += np.radians(pelvis * course)
    c.hips[:, 2] -= 0.035 * course
    c.add("lumbar", BENDING, lumbar * course)
    c.add("thoracic", BENDING, thoracic * course)
    c.add("neck", BENDING, rng.uniform(0, 6) * course)
    c.add("lumbar", TURN, rng.uniform(-2.5, 1.0) * course)  # turning goes with bending, differently in each
    c.add("thoracic", TURN, rng.uniform(-3, 3) * course)
    c.add("lumbar", FLEXION, rng.uniform(0, 3) * course**2)


def _twisting(c: ForeignCourse) -> None:
    _quiet(c)
    rng = c.draw("rhythm")
    turns, sizes = events(c.draw("turns"), c.time, ((0.7, 0.3), (1.5, 0.15), (0.8, 0.4), (1.5, 0.15)))
    course = (np.where(np.arange(len(turns)) % 2, -1, 1) * (1 + 0.15 * sizes[:, 0])) @ turns
    c.pelvis[:, TURN] += np.radians(rng.uniform(6, 14) * course)
    c.add("lumbar", TURN, rng.uniform(5, 9) * course)
    c.add("thoracic", TURN, rng.uniform(22, 30) * course)
    c.add("thoracic", BENDING, rng.uniform(-3, 3) * course)
    c.add("neck", TURN, rng.uniform(-10, 15) * course)
    c.arms[:, :, 0] += np.radians(rng.uniform(5, 20))
    c.arms[:, :, 2] += np.radians(rng.uniform(50, 85))
    c.arms[:, :, 3] += np.radians(rng.uniform(10, 45))


def _sitting(c: ForeignCourse) -> None:
    """On a seat as high as the knees: the pelvis tilted back, the lordosis flatter, slumping and straightening."""
    _quiet(c, 0.8)
    rng, sizes = c.draw("seat"), c.subject.sizes
    slump, depth = events(c.draw("slumps"), c.time, ((2.0, 0.4), (2.2, 0.2), (2.0, 0.4), (2.2, 0.2)))
    slump = (0.75 + 0.25 * depth[:, 0]) @ slump
    back = rng.uniform(16, 28)
    c.planted = False
    c.feet[:, :, 0] = sizes["thigh"] * rng.uniform(0.85, 1.05)
    c.feet[:, :, 2] *= rng.uniform(1.0, 1.6)
    c.hips[:, 1] = sizes["ankle_height"] + sizes["shank"] * rng.uniform(0.93, 1.02)
    c.hips[:, [0, 2]] *= 0.3
    c.pelvis[:, FLEXION] -= np.radians(back + 8 * slump)
    c.add("lumbar", FLEXION, rng.uniform(1.0, 1.3) * back + 9 * slump)
    c.add("thoracic", FLEXION, rng.uniform(0, 4) + 5 * slump)
    c.add("neck", FLEXION, -3 - 4 * slump)
    looks, turned = events(c.draw("looks"), c.time, ((2.0, 0.4), (1.2, 0.2), (1.2, 0.5), (1.2, 0.2)))
    c.add("neck", TURN, 15 * turned[:, 0] @ looks)
    c.add("head", TURN, 15 * turned[:, 0] @ looks)
    c.add("thoracic", TURN, 5 * turned[:, 0] @ looks)
    c.arms[:, :, 0] += np.radians(rng.uniform(10, 28))
    c.arms[:, :, 2] += np.radians(rng.uniform(40, 62))
    c.arms[:, :, 3] += np.radians(rng.uniform(5, 20))


def _reaching(c: ForeignCourse) -> None:
    """Both arms overhead, or one more than the other; the back straightens and leans to the lower arm's side."""
    _quiet(c)
    rng = c.draw("rhythm")
    up, sizes = events(c.draw("reaches"), c.time, ((1.0, 0.3), (1.8, 0.15), (1.2, 0.4), (1.8, 0.15)))
    high = np.stack([148 + 12 * sizes[:, 0], 148 + 12 * sizes[:, 1]])  # R, L
    raised = np.stack([high[0] @ up, high[1] @ up], -1)
    c.arms[:, :, 0] += np.radians(raised)
    c.arms[:, :, 1] += np.radians((8 * sizes[:, 2]) @ up)[:, None]
    c.arms[:, :, 2] += np.radians(20 * np.sin(np.radians(raised)) ** 2)
    both, lean = raised.mean(1) / 148, (raised[:, 0] - raised[:, 1]) / 24
    c.add("thoracic", FLEXION, -rng.uniform(4, 10) * both)
    c.add("lumbar", FLEXION, -rng.uniform(1, 6) * both)
    c.add("thoracic", BENDING, -4 * lean)
    c.add("neck", FLEXION, -rng.uniform(0, 15) * both)
    c.girdle[:, :, 0] += np.radians(rng.uniform(2, 8) * raised / 148)
    c.hips[:, 0] += 0.012 * both


def _walking(c: ForeignCourse) -> None:
    """On a treadmill, at the person's own pace."""
    _quiet(c, 0.7)
    walk(c)


_ACTIONS: dict[str, Callable[[ForeignCourse], None]] = {
    "standing": _standing,
    "bending": _bending,
    "side_bending": _side_bending,
    "twisting": _twisting,
    "walking": _walking,
    "sitting": _sitting,
    "reaching": _reaching,
}
FOREIGN_ACTIONS = tuple(_ACTIONS)


def foreign_pose(subject: ForeignSubject, action: str, frames: int) -> ForeignPose:
    """All coordinates of a trial, 50 Hz."""
    course = ForeignCourse(subject, action, frames)
    _ACTIONS[action](course)
    return course.pose()
