"""The shoulder girdle: a clavicle on either side, which turns about the sternoclavicular joint and carries the arm.

One body stands for clavicle and scapula together, so its angles say where the shoulder is, not how the scapula lies
on the ribs. Two rotations, named and ordered as the ISB recommends for this joint (Wu et al. 2005: protraction about
the thorax' upward axis, then elevation about the forward axis of the turned clavicle), but with the same sign on both
sides: elevation is positive upwards, protraction forwards. Both are 0 in the neutral pose. Data only; the figures and
their sources are in opensim_models/articulated.yaml.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from simspine.errors import InputError
from simspine.spine.endplates import Point, point_from

RIGHT, LEFT = "r", "l"
MOTIONS = ("protraction", "elevation")  # in the order of the joint's rotations
AXES_RIGHT = {"protraction": (0.0, 1.0, 0.0), "elevation": (-1.0, 0.0, 0.0)}  # thorax' axes: forward, up, right


def clavicle(side: str) -> str:
    """Name of the body. side: 'r' or 'l'."""
    return f"clavicle_{side}"


def girdle_angle(motion: str, side: str) -> str:
    """Name of an angle: 'clavicle_elevation_r'."""
    return f"clavicle_{motion}_{side}"


@dataclass(frozen=True)
class Clavicles:
    """joint: the arm's joint with the thorax without its side (`acromial` of acromial_r, acromial_l). centre: of the
    right sternoclavicular joint, m, in the frame of the rigid torso; the left one mirrors it. ranges: {motion: (lower,
    upper)}, rad, for each of `MOTIONS`.
    """

    joint: str
    centre: Point
    ranges: Mapping[str, tuple[float, float]]

    def __post_init__(self):
        for motion in MOTIONS:
            low, high = self.ranges[motion]
            if not low < 0 < high:
                raise InputError(f"clavicles: {motion} has the range {low} to {high} rad; expected 0 within it.")

    @cached_property
    def origins(self) -> dict[str, Point]:
        """{clavicle: centre of its joint with the sternum}."""
        x, y, z = self.centre
        return {clavicle(RIGHT): (x, y, z), clavicle(LEFT): (x, y, -z)}

    @cached_property
    def arms(self) -> dict[str, str]:
        """{joint of an arm: the clavicle it hangs from}."""
        return {f"{self.joint}_{side}": clavicle(side) for side in (RIGHT, LEFT)}

    def axes(self, side: str) -> dict[str, tuple[float, float, float]]:
        """{motion: its axis}: a turn by a positive angle about it takes that side's shoulder forwards or upwards."""
        sign = 1.0 if side == RIGHT else -1.0
        return {motion: (sign * x, sign * y, sign * z) for motion, (x, y, z) in AXES_RIGHT.items()}


def clavicles_from(data: Mapping) -> Clavicles:
    """From the entry `clavicles` of a recipe; degrees."""
    ranges = {motion: tuple(np.radians(data[motion]).tolist()) for motion in MOTIONS}
    return Clavicles(str(data["joint"]), point_from(data["centre"]), ranges)
