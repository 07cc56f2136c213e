"""How sure the 62 axes of the paper are, out of the deviations of a body's own coordinates."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from simspine.body.kinematics import follow_couplers
from simspine.body.model import Body
from simspine.body.paper_axes import COMPOSED, paper_axes, to_paper_axes
from simspine.geometry import wrap
from simspine.ik.spine_uncertainty import columns_between
from simspine.types import Motion

STEP = 1e-5  # rad
NOTHING: Mapping[str, np.ndarray] = MappingProxyType({})
NECK = ("neck_flexion", "neck_bending", "neck_rotation")


def known_deviations(
    body: Body, levels: Mapping[str, np.ndarray | None], lumbar_flexion: np.ndarray | None
) -> dict[str, np.ndarray]:
    """{composed axis: (frames,) rad} of those that are a published figure, whose deviation has all covariances in it.

    levels: {level: (frames, 3) deviations of its angles}. lumbar_flexion: (frames,) deviation of that of T12 on the
    sacrum. The neck's axes are the level 'neck', the abdomen's flexion is the lumbar one, where they span the same
    bodies.
    """
    spans = {axis.name: axis.spans for axis in paper_axes(body)}
    found: dict[str, np.ndarray] = {}
    neck = levels.get("neck")
    if neck is not None and spans["neck_flexion"] == ("T1", "head"):
        found |= {name: neck[:, k] for k, name in enumerate(NECK)}
    if lumbar_flexion is not None and spans["Abs_r3"] == ("sacrum", "T12"):
        found["Abs_r3"] = lumbar_flexion
    return found


def paper_axes_deviation(body: Body, motion: Motion, known: Mapping[str, np.ndarray] = NOTHING) -> np.ndarray | None:
    """(frames, 62) rad, m: standard deviations of `to_paper_axes`; NaN where a frame is not solved, None where `motion`
    has no deviations. motion: of all the body's coordinates, in its order.

    known: {axis: (frames,) rad} of composed axes whose deviation was found from the covariances (`known_deviations`).
    Axes as solved have those of their coordinates. Other composed axes have them by linear propagation from the
    coordinates between the bodies that the axis spans, whose errors count as independent, since their covariances are
    not kept: rough, as errors of neighbouring levels are not independent (docs/how-to/data-set.md).
    """
    if motion.deviation is None:
        return None
    axes, base = paper_axes(body), to_paper_axes(body, motion)
    found = np.zeros(base.values.shape)
    for i, axis in enumerate(axes):
        if axis.how != COMPOSED and axis.name in motion.names:
            found[:, i] = motion.deviation[:, motion.names.index(axis.name)]
    spans = {
        axis.spans: [i for i, other in enumerate(axes) if other.spans == axis.spans] for axis in axes if axis.spans
    }
    between = {span: columns_between(body, span) for span in spans}
    for column in sorted({int(c) for columns in between.values() for c in columns}):
        coordinate = int(body.tree.free[column])
        moved = np.array(motion.values)
        moved[:, coordinate] += STEP
        changed = to_paper_axes(body, motion.with_(values=follow_couplers(body, moved), deviation=None))
        own = [i for span, columns in between.items() if column in columns for i in spans[span]]
        slope = wrap(changed.values[:, own] - base.values[:, own]) / STEP
        found[:, own] = np.hypot(found[:, own], slope * motion.deviation[:, [coordinate]])
    for name, deviation in known.items():
        found[:, base.names.index(name)] = deviation
    return np.where(np.isfinite(base.values), found, np.nan)
