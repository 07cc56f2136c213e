"""The spine from hips, shoulders and ears: vertebral centres with covariance where the back was not observed.

The chain of inter-centroid vectors gets one at either end, from the middle of the ears to C1 and from S1 to the middle
of the hip joints, each turning with its neighbour; the middle of the shoulders goes along with T1 to T3. Three
mid-points are then observed, with spreads for what moves them against the spine, and the lines through hips and
shoulders say where the trunk faces (`OrientationPrior`; its tilts stay free, the mid-points decide them). The rest is
`posterior.complete`: size, curvature and lean are what real spines have that pass there.

Places are those of the neutral full-body model (a test compares). Spreads are conventions of ours, chosen before any
result was looked at, where no source is given.
"""

from functools import cache

import numpy as np

from simspine.errors import InputError
from simspine.skeletons.vertebrae import VERTEBRA_OF
from simspine.spine.shape.chain import LEVELS, VECTORS
from simspine.spine.shape.model import ShapeModel, shipped
from simspine.spine.shape.orientation import OrientationPrior
from simspine.spine.shape.posterior import complete
from simspine.types import Markers, Origin

JOINTS = ("LHip", "RHip", "LShoulder", "RShoulder")
EARS = ("LEar", "REar")

# From S1 to the middle of the hips: length m, pitch against L5-S1's. Its spread given L5-S1: that of the pelvic
# incidence, ± 9° (Boulay 2005, n = 149; Chen 2019, n = 320: ± 8–9°) and 5° for the vector of L5 against the endplate.
HIP = (0.1102, np.radians(40.5))
HIP_SD = (0.08, np.radians(10.0), np.radians(5.0))  # log length, pitch, tilt
# From the middle of the ears to C1: the head nods and tilts on C1 (25° and 10° in all, White & Panjabi 1978) and the
# ear canal's place varies by a centimetre.
EAR = (0.026, np.radians(2.0))
EAR_SD = (0.30, np.radians(15.0), np.radians(15.0))
SHOULDER = (0.0320, -0.0013)  # m: forward, up of T2's centre, where T3 to T1 leads as below
T3_TO_T1 = (0.0117, 0.0389)

HIPS_ERROR = (0.010, 0.010, 0.010)  # m, forward, up, right: places that detectors mean by a joint differ by so much
SHOULDERS_ERROR = (0.020, 0.020, 0.012)  # the girdle moves on the thorax
EARS_ERROR = (0.008, 0.008, 0.008)
LINE_SD = np.radians(10.0)  # of either line against where the trunk as a whole faces: twist, one arm reaching forward
UNOBSERVED = 1.0  # m: standard deviation of mid-ears that are missing
TRUNK = (0.25, 0.9)  # m: mid-hips to mid-shoulders; others are no trunk
CONFIDENCE = 0.1  # of the least sure joint's
LEAST_WIDTH = 0.05  # m: hips or shoulders closer together tell no direction


def spine_from_joints(joints: Markers, posture: str = "any", model: ShapeModel | None = None) -> Markers:
    """Vertebral centres C1…L5, S1 (names) with covariance, in the frame of `joints`; their origin is INFERRED.

    joints: with LHip, RHip, LShoulder, RShoulder, in any frame, m; both ears too if there (without them the neck is as
    sure as the trunk makes it). Their covariance adds to the spreads if there. posture and model: as for
    `complete_spine`. Frames are independent of each other. NaN where a hip or shoulder is missing or the four are
    nobody's (mid-hips and mid-shoulders nearer than 0.25 or further than 0.9 m). Such a point says nothing about
    the spine that the joints do not say. Raises `InputError` where a joint has no column, or for an unknown posture.
    """
    absent = [name for name in JOINTS if name not in joints.names]
    if absent:
        raise InputError(
            f"the spine cannot be inferred without {', '.join(absent)}; points present: {', '.join(joints.names)}."
        )
    ears = set(EARS) <= set(joints.names)
    points = {name: joints.xyz[:, joints.index(name)] for name in (*JOINTS, *(EARS if ears else ()))}
    middle = {part: (points["L" + part] + points["R" + part]) / 2 for part in ("Hip", "Shoulder")}
    trunk = np.linalg.norm(middle["Shoulder"] - middle["Hip"], axis=1)
    across = {part: points["R" + part] - points["L" + part] for part in ("Hip", "Shoulder")}
    with np.errstate(invalid="ignore"):
        good = (trunk > TRUNK[0]) & (trunk < TRUNK[1])
        good &= np.maximum(*(np.linalg.norm(a, axis=1) for a in across.values())) > LEAST_WIDTH
    xyz = np.full((joints.frames, len(LEVELS), 3), np.nan)
    covariance = np.full((joints.frames, len(LEVELS), 3, 3), np.nan)
    if good.any():
        prior = _facing(
            {part: a[good] for part, a in across.items()},
            {part: _sum_of_covariances(joints, part, good) for part in across},
            (middle["Shoulder"] - middle["Hip"])[good],
        )
        hips, shoulders = middle["Hip"][good], middle["Shoulder"][good]
        head = (points["LEar"] + points["REar"])[good] / 2 if ears else np.full_like(hips, np.nan)
        lost = ~np.isfinite(head).all(1)
        y = np.stack([np.where(lost[:, None], shoulders, head), shoulders, hips], 1)
        C = np.stack(
            [
                _turned(sd, prior.rotation) + _sum_of_covariances(joints, part, good) / 4
                for part, sd in (("Ear", EARS_ERROR), ("Shoulder", SHOULDERS_ERROR), ("Hip", HIPS_ERROR))
            ],
            1,
        )
        C[lost, 0] = UNOBSERVED**2 * np.eye(3)
        mean, cov = _with_joints(*(model or shipped()).prior(posture))
        levels, mix = _observed()
        x, X = complete(mean, cov, levels, y, C, prior, mix)
        xyz[good], covariance[good] = x[:, 1:-1], X[:, 1:-1]
    return Markers(
        LEVELS, joints.rate, xyz, joints.frame, covariance=covariance,
        origin=(Origin.INFERRED,) * len(LEVELS), start=joints.start,
    )  # fmt: skip


def infer_points(markers: Markers) -> Markers:
    """The markers with those points of the spine that were observed in no frame in the centres of their vertebrae.

    Their vertebrae: `VERTEBRA_OF`. Positions, and covariances where the markers have any, are those of
    `spine_from_joints`; the points' origin is INFERRED. What was detected or given stays. Unchanged where hips or
    shoulders have no column.
    """
    known = {markers.names[i] for i in np.flatnonzero(markers.present.any(0))}
    points = [point for point in VERTEBRA_OF if point not in known]
    if not points or not set(JOINTS) <= known:
        return markers
    spine = spine_from_joints(markers).select([VERTEBRA_OF[point] for point in points])
    there, joints = spine.present, markers.indices(JOINTS)
    added = {"xyz": spine.xyz, "covariance": spine.covariance}
    if markers.weight is not None:
        added["weight"] = np.where(there, CONFIDENCE * markers.weight[:, joints].min(1, keepdims=True), 0.0)
    if markers.filled is not None:
        added["filled"] = there & markers.filled[:, joints].any(1, keepdims=True)
    rest = markers.select([name for name in markers.names if name not in points])
    both = ((field, getattr(rest, field), values) for field, values in added.items())
    return markers.with_(
        names=(*rest.names, *points),
        origin=(*rest.origins, *(Origin.INFERRED,) * len(points)),
        **{field: np.concatenate([old, new], 1) for field, old, new in both if old is not None},
    )


def _with_joints(mean: np.ndarray, cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Statistics of the vectors C1…S1 → with those from the ears and to the hips."""
    n, m = VECTORS, VECTORS + 2
    T, shift, spread = np.zeros((3 * m, 3 * n)), np.zeros(3 * m), np.zeros(3 * m)
    for kind in range(3):
        T[kind * m + 1 : (kind + 1) * m - 1, kind * n : (kind + 1) * n] = np.eye(n)
    sizes, pitches, tilts = 0, m, 2 * m
    for end, nearest, (length, pitch), sd in ((0, 0, EAR, EAR_SD), (m - 1, n - 1, HIP, HIP_SD)):
        T[sizes + end, :n] = 1 / n  # they grow with the spine as a whole
        shift[sizes + end] = np.log(length) - mean[:n].mean()
        T[pitches + end, n + nearest], shift[pitches + end] = 1.0, pitch
        spread[[sizes + end, pitches + end, tilts + end]] = sd
    T[tilts, 2 * n] = 1.0  # the head goes along with C1 sideways, too; hips and sacrum are one bone
    return T @ mean + shift, T @ cov @ T.T + np.diag(spread**2)


@cache
def _observed() -> tuple[np.ndarray, np.ndarray]:
    """Centres, by index in the longer chain, and how mid-ears, mid-shoulders and mid-hips follow from them (9, 15)."""
    t1 = LEVELS.index("T1") + 1
    g = complex(*SHOULDER) / complex(*T3_TO_T1)  # turns and stretches T3 → T1 into T2 → mid-shoulders
    G = np.array([[g.real, -g.imag, 0], [g.imag, g.real, 0], [0, 0, 0]])
    mix = np.zeros((3, 3, 5, 3))
    mix[0, :, 0] = mix[1, :, 2] = mix[2, :, 4] = np.eye(3)
    mix[1, :, 1], mix[1, :, 3] = G, -G
    return np.array([0, t1, t1 + 1, t1 + 2, VECTORS + 2]), mix.reshape(9, 15)


def _facing(across: dict[str, np.ndarray], errors: dict[str, np.ndarray], up: np.ndarray) -> OrientationPrior:
    """Where the trunk faces: the lines from left to right (frames, 3), weighed by how well they are known, square to
    the line from hips to shoulders. errors: covariance (frames, 3, 3) of the lines' difference vectors.
    """
    up = up / np.linalg.norm(up, axis=1, keepdims=True)
    total, precision = np.zeros_like(up), np.zeros(len(up))
    for part, line in across.items():
        line = line - (line * up).sum(1, keepdims=True) * up
        width = np.maximum(np.linalg.norm(line, axis=1), 1e-9)
        right = line / width[:, None]
        ahead = np.cross(up, right)
        noise = np.einsum("fi,fij,fj->f", ahead, errors[part], ahead) / width**2
        sharp = np.where(width > LEAST_WIDTH, 1 / (LINE_SD**2 + noise), 0.0)
        total, precision = total + sharp[:, None] * right, precision + sharp
    right = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9)
    rotation = np.stack([np.cross(up, right), up, right], -1)
    return OrientationPrior(rotation, precision[:, None] * [0.0, 1.0, 0.0])


def _sum_of_covariances(joints: Markers, part: str, frames: np.ndarray) -> np.ndarray:
    """(frames, 3, 3) m² of left plus right; zero where it is not known."""
    if joints.covariance is None or "L" + part not in joints.names or "R" + part not in joints.names:
        return np.zeros((frames.sum(), 3, 3))
    return np.nan_to_num(joints.covariance[:, joints.indices(("L" + part, "R" + part))][frames].sum(1))


def _turned(sd, R: np.ndarray) -> np.ndarray:
    return R @ np.diag(np.square(sd)) @ R.swapaxes(-1, -2)
