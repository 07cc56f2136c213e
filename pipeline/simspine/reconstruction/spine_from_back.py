"""From a line on the skin of the back to the spine: `spine_from_back`.

Surface scans, depth cameras, dotted tapes and a palpated line show the back's midline, but no limbs. The line becomes
the dots of a tape on a body of the line's length from C7 to S1, which then passes the same stages as any other trial
(`simspine.reconstruction.stages`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from simspine.anatomy.body import neutral_markers
from simspine.anatomy.marker_sets import PELVIS_SKIN_MARKERS, Tape, read_skin_table
from simspine.anatomy.priors import LinearPrior, widened_regions
from simspine.anatomy.recipes import Recipe, build_body, read_recipe
from simspine.anatomy.scaling import ScaleFactors, SegmentFactor, check_stature, model_stature, scale_body
from simspine.core.arrays import median_of_known, require_numbers
from simspine.core.errors import InputError
from simspine.core.geometry import change_frame, distances_along, evenly_along, thinned_line
from simspine.core.skeletons import SKIN_SUFFIX
from simspine.core.types import Markers, Origin
from simspine.estimation.fit_person import SizedBody
from simspine.io.back_line import BACK_LENGTHS_M, LINE_STRETCHES
from simspine.io.text_tables import warn_assumed
from simspine.quality.findings import Finding, warning
from simspine.reconstruction.reconstruct import Reconstruction, as_reconstructions
from simspine.reconstruction.stage import Options
from simspine.reconstruction.stages import IK, QUALITY, SUBJECT_NAME, UNSEEN, VERTEBRAE, run_stages

DOTS = 24  # along the line: a dot every 2 cm, five in one correlation length of the skin's errors
MAX_END_GAP_M = 0.02  # between the line's usual end and its last point seen in a frame: as far as dots are apart
MIN_POINTS = 8  # of a line: fewer do not show two curves
# Error of one reader who marks a line along the spine: 1/√2 of the difference of two readers, who differ by 3 mm fore
# and aft and 2.4 mm sideways (Kaiser et al. 2025, 10.1371/journal.pone.0321429).
LINE_SD_M = 0.002
# People whose back is measured often have curves that are rare in the healthy people of the priors. With spreads three
# times as wide the line decides, and the prior only fills in what the line leaves open.
CURVE_SPREAD_FACTOR = 3.0
LEVELS_UNDER_NO_LINE = ("L5_S1",)  # the line ends above the sacrum's endplate, whose tilt it does not show
HEADING_SD_RAD = float(np.radians(3.0))  # of a given heading: how exactly people stand square to a scanner
# Mean hollow of the upper back plus mean bulge of the lower back. Of the 192 people of docs/accuracy.md it is -46 to
# +3 mm; with the PSIS exchanged, it is over 10 mm in 99 % of them.
MAX_REVERSAL_M = 0.01
UPPER_BACK_SHARE = 0.6  # of the line from C7 to the PSIS
MAX_GAP_M = 0.1  # between neighbouring points of a line, and between a landmark and the line
# Full flexion lengthens the skin from C7 to S1 by some 0.1 m (Schober's and Ott's signs) and takes a second.
MAX_LENGTH_SPEED = 0.3  # m/s, three times that
MAX_LENGTH_STEP_M = 0.02  # between neighbouring frames: ends of a line err by some millimetres
# Of the back's length expected from the height: four standard deviations. Sitting heights of people of one
# stature vary by 2 cm (Gordon et al. 1989, 1988 Anthropometric Survey of U.S. Army Personnel), and a back has 0.45 m.
MAX_TRUNK_ERROR_SHARE = 0.2
PSIS_DISTANCES_M = (0.02, 0.3)  # between left and right; outside them the unit or a point is wrong
MIN_FALL_SHARE = 0.5  # of the line's length: a trunk that leans by 60°
TRUNK_SEGMENTS = ("pelvis", "torso")  # sized by the line; the others by the height, where it is given
TRIAL_NAME, SIZED_BY_LINE = "back", "as long as the line on the back"
PSIS_NAMES = tuple(name + SKIN_SUFFIX for name in PELVIS_SKIN_MARKERS)


def spine_from_back(
    line: np.ndarray,
    c7: np.ndarray | None = None,
    psis: np.ndarray | None = None,
    height: float | None = None,
    *,
    mass: float | None = None,
    heading: float | None = None,
    rate: float = 30.0,
    frame: str = "y_up",
) -> Reconstruction:
    """From a line on the skin along the back's midline to the spine under it.

    Works without limbs, for one frame or a sequence. The body is made as long from C7 to S1 as the line. The depth of
    the vertebrae under the skin is that of other people, with its spread; it is not measured.

    Parameters
    ----------
    line : (n, 3) or (frames, n, 3) array
        Points on the skin from C7 downwards, m. NaN where a point is missing; a frame without an end has no result.
    c7 : (3,) or (frames, 3) array, optional
        Skin over C7, where the line begins above it. By default the line's first point.
    psis : (2, 3) or (frames, 2, 3) array, optional
        Left and right dimple (posterior superior iliac spine), m. The line is used down to their height, and they
        show where the person faces. Without them the line's last point counts as S1.
    height : float, optional
        Height of the person, m. It sizes the limbs; the line sizes the trunk.
    mass : float, optional
        Mass of the person, kg.
    heading : float, optional
        Where the person faces, rad from the points' x axis, turning left (about the upward axis). Needed for axial
        rotation where `psis` is not given; 0 is assumed then, with a finding.
    rate : float
        Frames per second of a sequence.
    frame : 'y_up' or 'z_up'
        Of all points.

    Returns
    -------
    Reconstruction
        `spine.centres`, `spine.lla`, `spine.tka` and `spine.angles` with standard deviations; findings.

    Raises
    ------
    InputError
        Where the line is too short, too long, runs upwards, or is hollow at the upper back with the PSIS as given;
        for a height that no person has, and where both `psis` and `heading` are given.

    Notes
    -----
    A person's depth of the spine under the skin differs from the mean by 10 mm (one standard deviation), which the line
    cannot show; it is in the covariance of `spine.centres` (opensim_models/skin.yaml has the sources).

    Examples
    --------
    >>> rec = ss.spine_from_back(line, psis=dimples)
    >>> rec.lla.shape, rec.spine.centres.names[-1]  # lumbar lordosis, rad, of one frame
    ((1,), 'S1')
    """
    if psis is not None and heading is not None:
        raise InputError("psis and heading were given, and both say where the person faces. Leave one of them out.")
    check_stature(height)
    markers, length, findings = _markers_on_back(line, c7, psis=psis, rate=rate, frame=frame)
    given = None if psis is not None else float(require_numbers("heading", heading or 0.0, ()))
    if given is not None and not abs(given) <= 2 * np.pi:
        raise InputError(f"heading is {heading}; expected an angle from x to where the person faces, in radians.")
    x_axis = change_frame(np.eye(3)[0], frame, "y_up")
    of_x = float(np.arctan2(-x_axis[2], x_axis[0]))  # heading of the given x axis in the result
    facing = None if given is None else given + of_x
    known: dict[str, Any] = {
        "subject": SUBJECT_NAME,
        "trial": TRIAL_NAME,
        "markers": markers,
        "skeleton": "centres",
        "sized": _sized_body(markers.names, length, height, mass=mass, heading=facing),
    }
    if facing is not None:
        _check_heading(markers.xyz, heading, of_x)
        source = "is assumed to be along x" if heading is None else "was given"
        text = f"no PSIS are given, so where the person faces {source}; axial rotation of the pelvis is not measured."
        cure = "" if heading is None else "Give the PSIS to measure it."
        findings = (*findings, warning("heading_not_seen", text, cure))
    known["findings"] = findings
    solved = run_stages({TRIAL_NAME: UNSEEN | known}, Options(), (IK, VERTEBRAE, QUALITY))
    return as_reconstructions(solved)[TRIAL_NAME]


def _markers_on_back(
    line: np.ndarray, c7: np.ndarray | None, psis: np.ndarray | None, rate: float, frame: str
) -> tuple[Markers, float, tuple[Finding, ...]]:
    """The line as dots of a tape, with the PSIS where they are given, y_up; its length, m; what is doubtful."""
    points = _frames_of_points("line", line, frame)
    _check_upright(points, frame)
    landmarks = {}
    if psis is not None:
        landmarks["psis"] = _frames_of_points("psis", psis, frame, count=2, frames=len(points))
    if c7 is not None:
        landmarks["c7"] = _frames_of_points("c7", np.atleast_2d(c7)[..., None, :], frame, count=1, frames=len(points))
    dimples = landmarks.get("psis")
    drawn = _curves_on_back(points, {name: place.mean(1) for name, place in landmarks.items()})
    curves = [thinned_line(curve, LINE_STRETCHES) for curve in drawn]
    length = _checked_length(points, drawn, curves)
    if dimples is not None:
        row = int(np.nanargmax([curve[0, 1] - curve[-1, 1] for curve in curves]))
        _check_curves_of_back(curves[row], dimples[row])
    names = Tape(DOTS, length / (DOTS - 1), "C7", "S1", clicks={}).names
    dots = np.array([evenly_along(curve, DOTS) for curve in curves])
    if dimples is not None:
        names = (*names, *PSIS_NAMES)
        dots = np.concatenate([dots, dimples], axis=1)
    origin = (Origin.DETECTED,) * len(names)
    markers = Markers(names, rate, dots, frame="y_up", origin=origin, weight=_weights(names, len(dots)))
    return markers, length, tuple(_doubts_of_line(drawn, curves, rate, dimples))


def _frames_of_points(name: str, given: np.ndarray, frame: str, count: int = 0, frames: int = 0) -> np.ndarray:
    """(frames, points, 3) m, y_up, those of a single frame repeated; `InputError` for another shape."""
    points = require_numbers(name, given)
    points = points[None] if points.ndim == 2 else points
    if points.ndim != 3 or points.shape[2] != 3 or count not in (0, points.shape[1]):
        wanted = f"({count or 'n'}, 3) or (frames, {count or 'n'}, 3)"
        raise InputError(f"{name} has shape {np.shape(given)}; expected {wanted}, in metres.")
    if frames and len(points) not in (1, frames):
        raise InputError(f"{name} has {len(points)} frames, the line {frames}; expected as many, or one.")
    return np.broadcast_to(change_frame(points, frame, "y_up"), (frames or len(points), *points.shape[1:]))


def _curves_on_back(points: np.ndarray, landmarks: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The line of each frame from C7 to the middle of the dimples, (n, 3); NaN where too little of it, or an end of it,
    is not seen. landmarks: {'c7' or 'psis': (frames, 3)}, those given."""
    ever = np.isfinite(points).all(-1).any(0)
    for name, level, end in (("c7", "C7", ever[:1]), ("psis", "S1", ever[-1:])):
        if ever.any() and not end.any() and name not in landmarks:
            warn_assumed(f"the line's end at {level} is never seen; the nearest point that is seen counts as {level}.")
    points = points[:, ever]
    steps = median_of_known(np.linalg.norm(np.diff(points, axis=1), axis=-1).T)
    along = np.cumsum([0.0, *np.nan_to_num(steps)])
    return [
        _back_curve(points[k], along, {name: place[k] for name, place in landmarks.items()}) for k in range(len(points))
    ]


def _back_curve(points: np.ndarray, along: np.ndarray, landmarks: Mapping[str, np.ndarray]) -> np.ndarray:
    """As `_curves_on_back`, for one frame. along: (n,) m, the points' usual distances from the first one."""
    seen, nothing = np.flatnonzero(np.isfinite(points).all(1)), np.full((2, 3), np.nan)
    if len(seen) < MIN_POINTS or not np.isfinite(list(landmarks.values())).all():
        return nothing
    distances = {name: np.linalg.norm(points[seen] - place, axis=1) for name, place in landmarks.items()}
    nearest = {name: int(distance.argmin()) for name, distance in distances.items()}
    begin, end = nearest.get("c7", 0), nearest.get("psis", len(seen) - 1)
    late = begin == 0 and along[seen[0]] > MAX_END_GAP_M
    early = end == len(seen) - 1 and along[-1] - along[seen[-1]] > MAX_END_GAP_M
    if late or early:
        return nothing
    for name, distance in distances.items():
        if distance.min() > MAX_GAP_M:
            far = f"{name} is {distance.min():.3g} m from the line, expected up to {MAX_GAP_M:g} m"
            raise InputError(f"{far}. Is the unit metres, and are the axes those of the line?")
    return points[seen[begin : end + 1]] if end - begin + 1 >= MIN_POINTS else nothing


def _check_upright(points: np.ndarray, frame: str) -> None:
    """`InputError` where the line does not fall, in the frame with the steepest one. frame: of the given points."""
    seen = [line[np.isfinite(line).all(-1)] for line in points]
    chord = max((line[0] - line[-1] for line in seen if len(line)), key=lambda ends: abs(ends[1]), default=np.zeros(3))
    fall, length = float(chord[1]), float(np.linalg.norm(chord))
    if fall < MIN_FALL_SHARE * length:
        raise InputError(
            f"the line falls by {fall:.2f} m over {length:.2f} m from end to end; expected an upright back, from C7 "
            f"down. It was read as {frame}; does another axis point up? Then name that frame ('y_up' or 'z_up', on the "
            "command line --frame). Where it runs upwards, reverse the order of its points."
        )


def _checked_length(points: np.ndarray, drawn: list[np.ndarray], curves: list[np.ndarray]) -> float:
    """Length of the thinned `curves`, m. `InputError` for a line that is no back's."""
    lengths = np.array([distances_along(curve)[-1] for curve in drawn])
    if not np.isfinite(lengths).any():
        known = int(np.isfinite(points).all(-1).sum(-1).max(initial=0))
        raise InputError(
            f"the line has {known} points with three coordinates; expected {MIN_POINTS} or more, as many of them from "
            "C7 down to the height of the PSIS. Are C7 and the PSIS seen, where the line begins and ends?"
        )
    length = float(np.nanmedian(lengths))
    shortest, longest = BACK_LENGTHS_M
    if not shortest <= length <= longest:
        raise InputError(
            f"the line is {length:.3g} m long from C7 to S1, expected {shortest:g} to {longest:g} m. "
            "Is the unit metres, and are its points in order, none of them off the line?"
        )
    return float(np.nanmedian([distances_along(curve)[-1] for curve in curves]))


def _doubts_of_line(
    drawn: list[np.ndarray], curves: list[np.ndarray], rate: float, dimples: np.ndarray | None
) -> Iterator[Finding]:
    """Warnings: a gap of the line in most frames; frames that contradict those before. curves: `drawn`, thinned."""
    steps = [np.linalg.norm(np.diff(curve, axis=0), axis=1) for curve in drawn if np.isfinite(curve).all()]
    longest = float(np.median([step.max() for step in steps]))
    if longest > MAX_GAP_M:
        below = float(np.median([step[: step.argmax()].sum() for step in steps]))
        text = f"the line has a gap of {longest:.2f} m, which begins {below:.2f} m below C7; no point is known there."
        yield warning("back_line", text)
    lengths = np.array([distances_along(curve)[-1] for curve in curves])
    change = np.abs(np.diff(lengths, prepend=np.nan))
    if (jumps := change > max(MAX_LENGTH_STEP_M, MAX_LENGTH_SPEED / rate)).any():
        text = f"the line's length from C7 to S1 jumps by up to {np.nanmax(change):.2f} m between neighbouring frames."
        yield warning("back_line", text, frames=jumps)
    moved = np.linalg.norm(np.diff([curve[0] for curve in curves], axis=0, prepend=np.nan), axis=1)
    if (turned := moved > lengths / 2).any():
        text = "the line's upper end jumps by more than half its length. Are its points in another order from there on?"
        yield warning("back_line", text, frames=turned)
    known = np.flatnonzero(np.isfinite(lengths)).tolist()
    rights = [] if dimples is None else dimples[:, 1] - dimples[:, 0]
    backwards = [k for k in known if len(rights) and _reversal_of_curves(curves[k], rights[k]) > MAX_REVERSAL_M]
    if backwards:
        text = "if the PSIS are right, the upper back is hollower than the lower; left and right may be exchanged."
        yield warning("back_line", text, frames=backwards)


def _check_curves_of_back(curve: np.ndarray, dimples: np.ndarray) -> None:
    """Raise `InputError` where the upper back is hollow and the lower back round, as with left and right exchanged."""
    (least, most), apart = PSIS_DISTANCES_M, float(np.linalg.norm(dimples[1] - dimples[0]))
    if not least <= apart <= most:
        raise InputError(f"psis are {apart:.3g} m apart, expected {least} to {most} m, left and right.")
    if (reversal := _reversal_of_curves(curve, dimples[1] - dimples[0])) > MAX_REVERSAL_M:
        raise InputError(
            f"if the PSIS are right, the upper back is hollower than the lower back by {1000 * reversal:.0f} mm on "
            "average; expected it to be rounder. Are left and right PSIS exchanged? The left one comes first."
        )


def _check_heading(curves: np.ndarray, heading: float | None, of_x: float) -> None:
    """`InputError` where the back's curves clearly lie in another direction than forward: curvature would be taken in
    another plane. curves: (frames, n, 3). heading: as given (scoliosis: up to 90° off); None is along x, assumed.
    of_x: heading of the given x axis."""
    curve = curves[np.nanargmax(curves[:, 0, 1] - curves[:, -1, 1])]
    along_x, to_its_left = (-_reversal_of_curves(curve, right) for right in np.eye(3)[[2, 0]])
    faced = float(np.angle(np.exp(1j * (np.arctan2(to_its_left, along_x) - of_x))))
    off = abs(np.angle(np.exp(1j * (faced - (heading or 0.0)))))
    if np.hypot(along_x, to_its_left) > MAX_REVERSAL_M and off > (np.pi / 4 if heading is None else np.pi / 2):
        raise InputError(
            f"the back is curved as if the person faced {np.degrees(faced):.0f}° to the left of x, and "
            f"{np.degrees(heading or 0.0):.0f}° {'is assumed' if heading is None else 'was given'}; curvature would be "
            "wrong. Give the PSIS, or `heading` in rad (`simspine back --heading`, in degrees)."
        )


def _reversal_of_curves(curve: np.ndarray, right: np.ndarray) -> float:
    """Mean depth of the upper back's hollow less that of the lower back's, m: negative in people who stand.

    right: a vector to the right. NaN where the line is not known.
    """
    forward = np.cross(curve[0] - curve[-1], right)
    forward /= np.linalg.norm(forward)
    depth, along = (curve - curve[0]) @ forward, distances_along(curve)
    along = along / along[-1]
    ends = [0.0, UPPER_BACK_SHARE, 1.0]
    hollow = depth - np.interp(along, ends, np.interp(ends, along, depth))
    upper = along <= UPPER_BACK_SHARE
    return float(hollow[upper].mean() - hollow[~upper].mean())


def _weights(names: tuple[str, ...], frames: int) -> np.ndarray | None:
    """(1, markers) for a single frame: there the skin has not moved over the bone, so only the line's error
    (`LINE_SD_M`) counts. None for a sequence."""
    if frames > 1:
        return None
    on_line = np.array([name not in PSIS_NAMES for name in names])
    return np.where(on_line, (read_skin_table().noise / LINE_SD_M) ** 2, 1.0)[None]


@cache
def _recipe() -> Recipe:
    """The recipe of the articulated body, with wide priors of the curve."""
    recipe = read_recipe("articulated")
    assert recipe.articulation is not None
    regions = widened_regions(recipe.articulation.regions, CURVE_SPREAD_FACTOR, LEVELS_UNDER_NO_LINE)
    return replace(recipe, articulation=replace(recipe.articulation, regions=regions))


@cache
def _unscaled_body(names: tuple[str, ...]):
    """The body with markers on its skin, and the distance from C7 to S1 along the skin, m."""
    body = build_body(_recipe(), "centres", names)
    positions = neutral_markers(body)
    line = np.array([positions[body.marker_index(name)] for name in names if name not in PSIS_NAMES])
    return body, float(distances_along(line)[-1])


def _sized_body(
    names: tuple[str, ...], length: float, height: float | None, mass: float | None, heading: float | None
) -> SizedBody:
    """The body whose back is as long as the line. heading: rad; None where the PSIS show it."""
    body, neutral_length = _unscaled_body(names)
    recipe = _recipe()
    trunk = length / neutral_length
    stature = model_stature(body, recipe, {})
    limbs = trunk if height is None else height / stature
    sizes = dict.fromkeys(TRUNK_SEGMENTS, trunk)
    factors = tuple(
        SegmentFactor(part.name, part.bodies, sizes.get(part.name, limbs), assumed=True, reason=SIZED_BY_LINE)
        for part in recipe.segments
    )
    scale = ScaleFactors(factors, stature * limbs, limbs, height)
    doubt = ""
    if height is not None and abs(trunk / limbs - 1) > MAX_TRUNK_ERROR_SHARE:
        expected = neutral_length * limbs
        doubt = (
            f"the line is {length:.2f} m long from C7 to S1, {expected:.2f} m are usual at a height of {height:.2f} m. "
            "Is the height right, and does the line begin at C7 and end at the sacrum?"
        )
    if heading is not None:
        facing = LinearPrior({"pelvis_rotation": 1.0}, heading, HEADING_SD_RAD, source="heading as given")
        recipe = replace(recipe, priors=(*recipe.priors, facing))
    return SizedBody(scale_body(body, scale, mass, recipe), recipe, scale.by_body, doubt=doubt)
