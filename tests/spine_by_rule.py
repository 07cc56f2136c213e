r"""Spine points where a detector has none: two smooth curves through hips, shoulders and head, evenly spaced points.

SpineTrack starts its annotations this way (two curves driven by shoulders and hips, points at fixed intervals with
equal spacing; type of curve and intervals unpublished). Ours, with $H$, $S$, $E$ mid-way between hips, shoulders, ears:

- the base of the neck is $C = S + \tfrac14 (E - S)$;
- the tangent there mixes the slopes of trunk and neck, $\tau = (1-k)(C-H)/a + k(E-C)/b$, with $k = \tfrac13$ and
  $a = 0.82$, $b = 0.18$, the shares of trunk and neck in an upright body;
- the *trunk curve* is the parabola from $H$ to $C$ that ends along $\tau$, the *neck curve* the parabola from $C$ to
  $E$ that begins along it: one smooth line;
- `Hip` lies at 14 % of the trunk's arc (the sacrum is above the hip joints), `Neck` at its end, `Spine_01` … `Spine_05`
  between them at equal distances along the arc; `Neck_02` and `Neck_03` at 35 % and 70 % of the neck's arc.

The curves are fixed affine combinations of the joints, so curves drawn in the images of several cameras are (up to
perspective within the body) images of the curve drawn in space; only the spacing along the arc is not affine. An
inferred point says nothing about the spine that the joints do not say already. In space the shape model of real spines
comes nearer (`simspine.anatomy.spine_from_joints`); these curves stay for what is drawn in images.
"""

from collections.abc import Sequence

import numpy as np
from scipy.integrate import cumulative_trapezoid

from simspine.core.errors import InputError
from simspine.core.types import Keypoints, Origin

SPINE = ("Hip", "Spine_01", "Spine_02", "Spine_03", "Spine_04", "Spine_05", "Neck", "Neck_02", "Neck_03")
JOINTS = ("LHip", "RHip", "LShoulder", "RShoulder")
HEADS = (("LEar", "REar"), ("Nose",), ("Head",))  # what may stand for the head, best first

NECK_BASE = 0.25  # of the way from mid-shoulders to the head
TRUNK_SHARE = 0.82
BEND = 1 / 3
HIP_AT = 0.14  # of the trunk's arc
NECK_AT = (0.35, 0.70)  # of the neck's arc
CONFIDENCE = 0.1  # of the least sure point used

_TRUNK_AT = np.linspace(HIP_AT, 1.0, 7)
_SAMPLES = np.linspace(0.0, 1.0, 41)


def head_points(names: Sequence[str], present: Sequence[bool] | None = None) -> tuple[str, ...]:
    """The points that stand for the head: both ears, else the nose, else the top of the head."""
    there = {name for i, name in enumerate(names) if present is None or present[i]}
    for choice in HEADS:
        if there.issuperset(choice):
            return choice
    raise InputError(f"the spine cannot be inferred without ears, nose or head; points present: {_listed(there)}.")


def infer_spine(points: np.ndarray, names: Sequence[str], head: Sequence[str] | None = None) -> np.ndarray:
    """The nine points `SPINE` (..., 9, D) from `points` (..., len(names), D), D = 2 or 3; NaN where a joint is.

    head: points whose mean is the upper end (default: `head_points`). The result turns, moves and scales with them.
    """
    points = np.asarray(points, float)
    names, head = list(names), tuple(head or head_points(names))
    missing = [name for name in (*JOINTS, *head) if name not in names]
    if missing:
        raise InputError(
            f"the spine cannot be inferred without {', '.join(missing)}; points present: {_listed(names)}."
        )

    def middle(*wanted):
        return points[..., [names.index(name) for name in wanted], :].mean(-2)

    hips, shoulders, top = middle("LHip", "RHip"), middle("LShoulder", "RShoulder"), middle(*head)
    base = shoulders + NECK_BASE * (top - shoulders)
    trunk, neck = base - hips, top - base
    tangent = (1 - BEND) * trunk / TRUNK_SHARE + BEND * neck / (1 - TRUNK_SHARE)
    along_trunk, along_neck = tangent * TRUNK_SHARE, tangent * (1 - TRUNK_SHARE)
    # parabolas p + t v + t² w over t in 0…1: the first ends with slope along_trunk, the second begins with along_neck
    lower = _on_parabola(hips, 2 * trunk - along_trunk, along_trunk - trunk, _TRUNK_AT)
    upper = _on_parabola(base, along_neck, neck - along_neck, np.asarray(NECK_AT))
    return np.concatenate([lower, upper], -2)


def infer_missing(keypoints: Keypoints) -> Keypoints:
    """Fill those of the nine spine points that no view saw in any frame; their origin becomes `inferred`.

    Points detected anywhere in the trial are left as they are, gaps included. Confidence: 0.1 × the least confidence of
    the hips, shoulders and head points used; NaN and 0 where one of these is missing.
    """
    absent = [name for name in SPINE if name not in keypoints.names]
    if absent:
        raise InputError(
            f"no column for {', '.join(absent)}: translate the detector's points to the SIMSPINE names first "
            "(simspine.core.skeletons.translate)."
        )
    present = np.isfinite(keypoints.xy).all(-1).any((0, 1))
    fill = [name for name in SPINE if not present[keypoints.index(name)]]
    if not fill:
        return keypoints
    head = head_points(keypoints.names, present)
    spine = infer_spine(keypoints.xy, keypoints.names, head)
    used = CONFIDENCE * keypoints.confidence[:, :, keypoints.indices((*JOINTS, *head))].min(-1)
    xy, confidence, origin = keypoints.xy.copy(), keypoints.confidence.copy(), list(keypoints.origin)
    for name in fill:
        i = keypoints.index(name)
        xy[:, :, i], confidence[:, :, i], origin[i] = spine[:, :, SPINE.index(name)], used, Origin.INFERRED
    return keypoints.with_(xy=xy, confidence=confidence, origin=tuple(origin))


def _on_parabola(p: np.ndarray, v: np.ndarray, w: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Points (..., len(fractions), D) of p + t v + t² w (t in 0…1) at fractions of its arc length.

    The speed |v + 2 t w| is summed by the trapezoid rule over 40 steps; t at a given length by linear interpolation.
    """
    speed = np.linalg.norm(v[..., None, :] + 2 * _SAMPLES[:, None] * w[..., None, :], axis=-1)
    length = cumulative_trapezoid(speed, initial=0)
    wanted = fractions * length[..., -1:]
    step = np.clip((length[..., None, 1:-1] <= wanted[..., None]).sum(-1), 0, len(_SAMPLES) - 2)
    low, high = np.take_along_axis(length, step, -1), np.take_along_axis(length, step + 1, -1)
    with np.errstate(invalid="ignore"):
        part = np.where(high > low, (wanted - low) / np.where(high > low, high - low, 1.0), 0.0)
    t = ((step + part) / (len(_SAMPLES) - 1))[..., None]
    return p[..., None, :] + t * v[..., None, :] + t * t * w[..., None, :]


def _listed(names) -> str:
    return ", ".join(sorted(names)) or "none"
