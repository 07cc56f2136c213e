"""What people say of points in images: where they are, whether they are seen, and who decided that."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from simspine.errors import InputError, unknown_name
from simspine.formats.outlines import Ring
from simspine.types import Keypoints, read_only


class Visibility(IntEnum):
    """Whether a point shows, with COCO's numbers."""

    ABSENT = 0  # outside the image, or nobody can tell where
    HIDDEN = 1  # something covers it; its place is known nevertheless
    SEEN = 2


class PointStatus(IntEnum):
    """What a person did about a point. Kept with it to the last file."""

    UNSEEN = 0  # nobody has looked at it yet: a pseudo-label
    ACCEPTED = 1  # looked at, and left as it was
    CORRECTED = 2  # placed or moved by hand
    DERIVED = 3  # moved because others were: along the spine's curve, or to where the other views see it


@dataclass(frozen=True)
class Edit:
    """One decision. x, y: px; None for a point that is absent."""

    frame: int
    view: int
    point: str
    x: float | None
    y: float | None
    visibility: Visibility
    status: PointStatus


@dataclass(frozen=True)
class OutlineEdit:
    """A decision about a person's outline in an image. rings: of corners x, y px, as `simspine.formats.outlines`; None
    where there is no person."""

    frame: int
    view: int
    rings: tuple[Ring, ...] | None
    status: PointStatus


@dataclass(frozen=True, eq=False)
class Labels:
    """Points of one person in a recording.

    names: of the points. xy: (frames, views, points, 2) px, NaN = none. visibility, status: (frames, views, points) of
    the numbers of `Visibility` and `PointStatus`. confidence: (frames, views, points) 0…1 of the pseudo-labels.
    """

    names: tuple[str, ...]
    xy: np.ndarray
    visibility: np.ndarray
    status: np.ndarray
    confidence: np.ndarray

    def __post_init__(self):
        xy = read_only("Labels", "xy", self.xy, (None, None, len(self.names), 2))
        object.__setattr__(self, "xy", xy)
        for field, dtype in (("visibility", np.int8), ("status", np.int8), ("confidence", float)):
            array = read_only("Labels", field, getattr(self, field), xy.shape[:3], dtype)
            object.__setattr__(self, field, array)

    @property
    def frames(self) -> int:
        return self.xy.shape[0]

    @property
    def labelled(self) -> np.ndarray:
        """(frames, views, points) bool: where there is a place."""
        return (self.visibility > 0) & np.isfinite(self.xy).all(-1)

    @property
    def decided(self) -> np.ndarray:
        """(frames, views, points) bool: what somebody has looked at or moved."""
        return self.status != PointStatus.UNSEEN


def pseudo_labels(keypoints: Keypoints) -> Labels:
    """What nobody has looked at yet. A point without a place is absent until it is given one."""
    placed = np.isfinite(keypoints.xy).all(-1)
    return Labels(
        keypoints.names,
        keypoints.xy,
        np.where(placed, Visibility.SEEN, Visibility.ABSENT),
        np.full(placed.shape, PointStatus.UNSEEN),
        keypoints.confidence,
    )


def edited(labels: Labels, edits: Iterable[Edit]) -> Labels:
    """The labels after some decisions, the last of each point counting. `InputError` for one that is nowhere."""
    xy, visibility, status = labels.xy.copy(), labels.visibility.copy(), labels.status.copy()
    index = {name: i for i, name in enumerate(labels.names)}
    for edit in edits:
        check(labels, edit)
        at = edit.frame, edit.view, index[edit.point]
        xy[at] = (np.nan, np.nan) if edit.x is None or edit.y is None else (edit.x, edit.y)
        visibility[at], status[at] = edit.visibility, edit.status
    return Labels(labels.names, xy, visibility, status, labels.confidence)


def check(labels: Labels, edit: Edit | OutlineEdit) -> None:
    """`InputError` unless the edit is of a frame, a view and a point that there are."""
    frames, views = labels.xy.shape[:2]
    if isinstance(edit, Edit) and edit.point not in labels.names:
        raise unknown_name("point", edit.point, labels.names)
    if not (0 <= edit.frame < frames and 0 <= edit.view < views):
        raise InputError(
            f"an edit of frame {edit.frame} in view {edit.view}; there are {frames} frames in {views} views, counted "
            "from 0."
        )


def counts(labels: Labels) -> dict[str, int]:
    """{name of a status: number of points that have a place or were decided}."""
    some = labels.labelled | labels.decided
    return {status.name.lower(): int((some & (labels.status == status)).sum()) for status in PointStatus}
