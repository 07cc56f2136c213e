"""Lifted points in the files of `simspine detect`, and what is said of them there and on the screen."""

from dataclasses import dataclass

import numpy as np

from simspine.pipeline.lifted_people import LiftingLens, PeopleLifter
from simspine.pipeline.lifter import LiftedPose, Lifter
from simspine.types import Origin

SCALE = (
    "one camera does not show how large somebody is: lengths are those of the people the lifter learnt from, fitted to "
    "what is seen, and depth is the least certain. Not triangulated, no measurement"
)


@dataclass(frozen=True, eq=False)
class Lifting:
    """What lifts people, and what is known of the camera's lens."""

    lifter: Lifter
    lens: LiftingLens

    def begin(self) -> PeopleLifter:
        """For one recording."""
        return PeopleLifter(self.lifter, self.lens)

    @property
    def about(self) -> dict:
        """For a file that holds lifted points."""
        card = self.lifter.card
        return {
            "origin": str(Origin.ESTIMATED), "point_names": list(card.points), "root": card.points[0],
            "unit": "m", "axes": "camera: x right, y down, z ahead; relative to the root",
            "lens": self.lens.words, "scale": SCALE, "lifter": self.lifter.path.name, "sha256": self.lifter.sha256,
            "method": card.method, "frames": card.frames, "interval_s": card.interval_s,
            "image_points": list(card.seen), "trained_on": card.trained_on, "training_data_sha256": card.data,
        }  # fmt: skip

    def lines(self) -> list[str]:
        """For people to read."""
        card = self.lifter.card
        frames = "" if card.frames == 1 else f", {card.frames} frames over {2 * card.reach_s:.1f} s"
        return [
            f"lifted by {self.lifter.path.name} ({card.method}{frames}; learnt from {card.trained_on}): "
            f"{len(card.points)} points of a person in space, relative to {card.points[0]}, all of them estimated",
            f"field of view: {self.lens.words}",
            f"scale: {SCALE}.",
        ]


def lifted_entry(pose: LiftedPose | None) -> dict:
    """Of one person of a JSON file; nothing where nothing is known."""
    if pose is None:
        return {}
    deviations = {} if pose.sd is None else {"lifted_points_3d_sd": _flat(pose.sd)}
    return {"lifted_points_3d": _flat(pose.xyz)} | deviations


def _flat(values: np.ndarray) -> list[float]:
    """x y z of all points one after the other, to 0.01 mm."""
    return np.round(values, 5).ravel().tolist()
