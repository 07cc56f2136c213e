"""Checks of markers, images and the solver, on which the kinematics rest. Each function yields findings."""

from collections.abc import Iterator, Sequence
from itertools import combinations, product

import numpy as np

from simspine.anatomy.clinical import SIDE_WORDS
from simspine.anatomy.curvature import SPINE_CHAIN_MARKERS
from simspine.anatomy.marker_sets import PELVIS_SKIN_MARKERS, read_skin_table
from simspine.core.arrays import frame_ranges, median_of_known, rms_of_known
from simspine.core.errors import names_text, nearest_name
from simspine.core.geometry import angle_between, triples_out_of_order
from simspine.core.skeletons import SIMSPINE_SKELETON, is_skin_marker, is_tape_dot, load_skeleton, skin_landmark
from simspine.core.types import Markers, Motion, Origin
from simspine.quality.findings import THRESHOLDS, Finding, Severity, warning, where_true
from simspine.quality.spine_checks import jump_frames
from simspine.vision.triangulation import TriangulationReport

# Are left and right, and head and feet, where they belong? Shoulders, hips, ankles and feet against one another.
HIP_PAIR, SHOULDER_PAIR = ("RHip", "LHip"), ("RShoulder", "LShoulder")
KNEE_PAIR, ANKLE_PAIR, ELBOW_PAIR = ("RKnee", "LKnee"), ("RAnkle", "LAnkle"), ("RElbow", "LElbow")
LIMB_PAIRS = {"knees": (HIP_PAIR, KNEE_PAIR), "ankles": (KNEE_PAIR, ANKLE_PAIR), "elbows": (SHOULDER_PAIR, ELBOW_PAIR)}
FOOT_PAIRS = (("RHeel", "RBigToe"), ("LHeel", "LBigToe"))
LANDMARKS = {  # {joint: Plug-in Gait's marker beside it}
    "Hip": "ASI", "Knee": "KNE", "Ankle": "ANK", "Shoulder": "SHO", "Elbow": "ELB", "Heel": "HEE", "BigToe": "TOE",
}  # fmt: skip
LEAST_BEND = 0.1  # least distance of a bent knee from the line of its leg, as a share of the leg: 23° of flexion
PERSON_JUMP_LAG_S = 0.05  # s: noise does not count as acceleration, steps do
LEVEL_HIPS = 0.5  # least horizontal share of the line between the hips for which 'forward' is defined


def check_sides(measured: Markers) -> Iterator[Finding]:
    """Frames in which left and right seem to be exchanged somewhere, or the person is upside down: warnings. Missing
    points are not checked."""
    twist = turn_between_pairs(measured, HIP_PAIR, SHOULDER_PAIR)
    for code, values, name, message in (
        ("trunk_twist", twist, "trunk_twist", "shoulders are turned against the hips by up to"),
        (
            "feet_backwards", feet_turn_angle(measured), "feet_back",
            "both feet point away from where the pelvis faces by up to",
        ),
        (
            "upside_down", body_axis_tilt(measured), "upside_down",
            "the person is upside down, the line from ankles to shoulders leans from the vertical by up to",
        ),
    ):  # fmt: skip
        limit = THRESHOLDS[name]
        odd = values > limit.value_si
        if odd.any():
            most = np.degrees(values[odd].max())
            text = f"{message} {most:.0f}° in {odd.sum()} frames, expected below {limit.value:g}°."
            yield warning(code, text, frames=odd)
    turns = {f"the {name}": turn_between_pairs(measured, *pairs) for name, pairs in LIMB_PAIRS.items()}
    for what, turn in (turns | {"nose and bent knees": front_turn_angle(measured)}).items():
        crossed = turn > THRESHOLDS["limbs_crossed"].value_si
        if 2 * crossed.sum() > np.isfinite(turn).sum():  # people cross their limbs for a while
            code = "limbs_exchanged" if what in turns else "sides_exchanged"
            text = f"{what} lie on the other side of the body in {crossed.sum()} frames, most that show them."
            yield warning(code, text, frames=crossed, where=what.removeprefix("the "))


def check_vertical(measured: Markers, centres: Markers | None = None) -> Iterator[Finding]:
    """A person who lies in all frames, or a file with another vertical axis; the points do not tell these apart.

    centres: centres of the fitted vertebrae, used where shoulders or ankles are missing.
    """
    tilt, line = body_axis_tilt(measured), "ankles to shoulders"
    if centres is not None and not np.isfinite(tilt).any():
        trunk = _pair_vector_and_middle(centres, ("C7", "S1"))[0]
        tilt, line = angle_between(trunk, _body_up(centres)), "S1 to C7"
    if not np.isfinite(tilt).any():
        return
    least, most = float(np.nanmin(tilt)), float(np.nanmax(tilt))
    if least > THRESHOLDS["lying"].value_si and most < THRESHOLDS["upside_down"].value_si:
        yield warning(
            "lying",
            f"the line from {line} is {np.degrees(least):.0f}° to {np.degrees(most):.0f}° from the "
            "vertical in all frames.",
        )


def sides_exchanged(measured: Markers) -> np.ndarray:
    """(frames,) bool: frames of the findings of `check_sides`."""
    return np.isin(np.arange(measured.frames), [i for finding in check_sides(measured) for i in finding.frames])


def turn_between_pairs(measured: Markers, first: tuple[str, str], second: tuple[str, str]) -> np.ndarray:
    """(frames,) rad, 0…π: angle between the lines of two pairs, seen along the axis through their mid-points."""
    (line, middle), (other_line, other_middle) = (_pair_vector_and_middle(measured, pair) for pair in (first, second))
    axis = other_middle - middle
    length = np.linalg.norm(axis, axis=-1, keepdims=True)
    axis = axis / np.where(length > 0, length, np.nan)
    return angle_between(*(vector - (vector * axis).sum(-1, keepdims=True) * axis for vector in (line, other_line)))


def feet_turn_angle(measured: Markers) -> np.ndarray:
    """(frames,) rad, 0…π: horizontal angle between forward of the pelvis and the foot that is nearer to it.

    NaN where a point is missing, the hips' line or a foot is too steep to tell (someone lying), or the person is upside
    down.
    """
    up, right = _body_up(measured), _pair_vector_and_middle(measured, HIP_PAIR)[0]
    forward = np.cross(up, right)  # x forward, y up, z right
    steep = np.linalg.norm(forward, axis=-1) < LEVEL_HIPS * np.linalg.norm(right, axis=-1)
    turns = []
    for heel, toe in FOOT_PAIRS:
        foot = -_pair_vector_and_middle(measured, (heel, toe))[0]
        flat = foot - (foot @ up)[:, None] * up
        upright = np.linalg.norm(flat, axis=-1) < LEVEL_HIPS * np.linalg.norm(foot, axis=-1)
        turns.append(np.where(upright, np.nan, angle_between(flat, forward)))
    upside_down = body_axis_tilt(measured) > THRESHOLDS["upside_down"].value_si
    return np.where(steep | upside_down, np.nan, np.minimum(*turns))


def front_turn_angle(measured: Markers) -> np.ndarray:
    """(frames,) rad, 0…π: angle between forward of the trunk and the nearest of: the nose, seen from mid-shoulders; a
    bent knee, seen from the middle between hip and ankle. NaN = all are missing."""
    (right, shoulders), (_, hips) = (_pair_vector_and_middle(measured, pair) for pair in (SHOULDER_PAIR, HIP_PAIR))
    forward = np.cross(shoulders - hips, right)
    turns = [angle_between(_pair_vector_and_middle(measured, ("Nose", "Nose"))[1] - shoulders, forward)]
    for hip, knee, ankle in zip(HIP_PAIR, KNEE_PAIR, ANKLE_PAIR, strict=True):
        leg, middle = _pair_vector_and_middle(measured, (hip, ankle))
        bend = _pair_vector_and_middle(measured, (knee, knee))[1] - middle
        straight = np.linalg.norm(bend, axis=-1) < LEAST_BEND * np.linalg.norm(leg, axis=-1)
        turns.append(np.where(straight, np.nan, angle_between(bend, forward)))
    return np.fmin.reduce(turns)


def body_axis_tilt(measured: Markers) -> np.ndarray:
    """(frames,) rad, 0…π: angle between the vertical and the line from mid-ankles to mid-shoulders; NaN = missing."""
    line = _pair_vector_and_middle(measured, SHOULDER_PAIR)[1] - _pair_vector_and_middle(measured, ANKLE_PAIR)[1]
    return angle_between(line, _body_up(measured))


def _body_up(measured: Markers) -> np.ndarray:
    return np.array([0.0, 1, 0] if measured.frame == "y_up" else [0.0, 0, 1])


def _pair_vector_and_middle(measured: Markers, names: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Vector from the second point to the first, and their mid-point, (frames, 3); NaN where one is no marker. The
    landmark on the skin stands for a joint that is none."""
    pair = [name if name in measured.names else name[0] + LANDMARKS.get(name[1:], "") for name in names]
    if not set(pair) <= set(measured.names):
        return np.full((measured.frames, 3), np.nan), np.full((measured.frames, 3), np.nan)
    first, second = (measured.xyz[:, i] for i in measured.indices(pair))
    return first - second, (first + second) / 2


# Checks of skin markers: are they seen, and in the order of their names?
SKIN_ORDER_CODE = "skin_marker_order"  # code of the finding that names are wrong
SKIN_LOST_CODE = "skin_marker_lost"


def check_skin_markers_lost(measured: Markers) -> Iterator[Finding]:
    """Skin markers that are known in few frames: a warning. The other frames are kept, with a less certain spine."""
    limit, dots = THRESHOLDS["skin_marker_seen"], is_tape_dot(measured.names)
    yield from _lost_dots(measured, dots, limit.value_si, f"{limit.value:g} %")
    for name in is_skin_marker(measured.names):
        if name in dots:
            continue
        seen = measured.present[:, measured.index(name)]
        if seen.mean() < limit.value_si:
            yield warning(
                SKIN_LOST_CODE,
                f"the marker over {skin_landmark(name)} is missing in {(~seen).sum()} of {seen.size} frames "
                f"(limit: {int((1 - limit.value_si) * seen.size)} frames, {100 - limit.value:g} %).",
                frames=~seen,
                where=skin_landmark(name),
            )


def _lost_dots(measured: Markers, dots: Sequence[str], least: float, limit: str) -> Iterator[Finding]:
    """One finding for all dots of a tape that are known in few frames."""
    seen = measured.present[:, measured.indices(dots)]
    few = seen.mean(0) < least
    if few.any():
        numbers = ", ".join(str(n + 1) for n in np.flatnonzero(few))
        yield warning(
            SKIN_LOST_CODE,
            f"{few.sum()} of {len(dots)} dots of the tape (number {numbers}) are known in less than {limit} of the "
            "frames.",
            "Two views must see a dot: click the tape again where it is lost (`skin_markers.tape`), or take the ± as "
            "it is.",
            frames=np.asarray((~seen[:, few]).any(1)),
            where="tape",
        )


def check_skin_marker_order(measured: Markers) -> Iterator[Finding]:
    """Skin markers whose order along the back is not that of the vertebrae they are named after: a warning.

    Of three in the order of their names the outer two must be farthest apart.
    """
    names = sorted(
        (name for name in is_skin_marker(measured.names) if skin_landmark(name) not in PELVIS_SKIN_MARKERS),
        key=read_skin_table().along,
    )
    path = measured.xyz[:, measured.indices(names)]
    for triple in triples_out_of_order(path)[:1]:
        pairs = combinations([(skin_landmark(names[n]), path[:, n]) for n in triple], 2)
        apart = [(f"{a}–{b}", np.nanmedian(np.linalg.norm(at - to, axis=-1))) for (a, at), (b, to) in pairs]
        first, second, third = (skin_landmark(names[n]) for n in triple)
        yield warning(
            SKIN_ORDER_CODE,
            f"the markers named {first}, {second} and {third} do not lie along the back in that order "
            f"({', '.join(f'{pair} {1000 * metres:.0f} mm' for pair, metres in apart)}).",
            where=f"{first}, {second}, {third}",
        )


FRONT_BACK_CODE = "trunk_front_back"  # code of the finding that front and back of the trunk are exchanged
FRONT_MARKERS = ("CLAV", "MSTR", "STRN", "LASI", "RASI")  # of `opensim_models/markers/landmarks.yaml`


def check_front_and_back(measured: Markers) -> Iterator[Finding]:
    """Markers of the trunk's front that lie behind the one on its back that is nearest in height along the trunk, in
    most frames that show both: a warning. Forward is a right angle to the trunk and the line between the hips."""
    (right, hips), (_, shoulders) = (_pair_vector_and_middle(measured, pair) for pair in (HIP_PAIR, SHOULDER_PAIR))
    up = shoulders - hips
    forward = np.cross(up, right)
    back, odd = is_skin_marker(measured.names), {}
    for name in (name for name in FRONT_MARKERS if back and name in measured.names):
        ahead = measured.xyz[:, measured.index(name), None] - measured.xyz[:, measured.indices(back)]
        heights = median_of_known(np.abs((ahead * up[:, None]).sum(-1)).T)
        if not np.isfinite(heights).any():
            continue
        nearest = int(np.nanargmin(heights))
        along = (ahead[:, nearest] * forward).sum(-1)
        if 2 * (along < 0).sum() > np.isfinite(along).sum():
            odd[name] = skin_landmark(back[nearest]), along < 0
    if odd:
        pairs = names_text([f"{name} behind {place}" for name, (place, _) in odd.items()])
        frames = np.any([behind for _, behind in odd.values()], axis=0)
        where = ", ".join(dict.fromkeys([*odd, *(place for place, _ in odd.values())]))
        yield warning(FRONT_BACK_CODE, f"{pairs} in {frames.sum()} frames.", frames=frames, where=where)


BONES = {  # {segment: joints at its ends}, for each side
    "thigh": ("Hip", "Knee"),
    "shank": ("Knee", "Ankle"),
    "upper arm": ("Shoulder", "Elbow"),
    "forearm": ("Elbow", "Wrist"),
}


def check_solver(converged: np.ndarray, reason: Sequence[str] = ()) -> Iterator[Finding]:
    """Frames that inverse kinematics did not solve: rejected. converged: (frames,) bool. reason: (frames,) text."""
    failed = ~np.asarray(converged, bool)
    if not failed.any():
        return
    reasons = sorted({text for text, odd in zip(reason, failed, strict=False) if text and odd})
    text = f"inverse kinematics did not solve {failed.sum()} of {failed.size} frames"
    text += f": {names_text(reasons, 3)}." if reasons else "."
    yield Finding("not_solved", Severity.ERROR, text, frames=failed)


def check_unknown_names(names: Sequence[str], fitted: Sequence[str]) -> Iterator[Finding]:
    """Markers left out because their name is unknown. names: all given; fitted: those in inverse kinematics.

    A point of SIMSPINE's skeleton that the body lacks, such as the eyes, is left out without a warning.
    """
    known = load_skeleton(SIMSPINE_SKELETON).names
    unknown = [name for name in names if name not in fitted and name not in known]
    if not unknown:
        return
    meant = [f"{name}: {guess}?" for name in unknown if (guess := nearest_name(name, known))]
    yield warning(
        "marker_unknown",
        f"{len(unknown)} of {len(names)} markers have names that neither the body nor SIMSPINE's skeleton has, and are "
        f"left out: {names_text(unknown)}.",
        "Give them SIMSPINE's names"
        + (f" ({names_text(meant, 3)})" if meant else "")
        + ", or take out those that the spine does not need.",
    )


def check_marker_distance(names: Sequence[str], error: np.ndarray) -> Iterator[Finding]:
    """The RMSE protocol. error: (frames, markers) m, distance between a marker and the model's, NaN = missing.

    A frame whose RMSE over its markers is above `marker_flagged` (10 cm) is rejected. A marker whose RMSE over the
    trial is above it is flagged, one above `marker_expected` (4 cm) noted; both only warn: the frames may be good
    without it.
    """
    expected, flagged = THRESHOLDS["marker_expected"], THRESHOLDS["marker_flagged"]
    per_frame = rms_of_known(error, axis=1)
    far = per_frame > flagged.value_si
    if far.any():
        most = f"up to {100 * np.nanmax(per_frame):.1f} cm (RMS) from the model in {far.sum()} frames"
        text = f"markers are {most}, expected below {flagged.value:g} cm."
        yield Finding("frame_rmse", Severity.ERROR, text, frames=far)
    for name, rmse, column in zip(names, rms_of_known(error, axis=0), error.T, strict=True):
        if not rmse > expected.value_si:
            continue
        code, limit = "marker_far", f"2 to {expected.value:g} cm"
        if rmse > flagged.value_si:
            code, limit = "marker_flagged", f"below {flagged.value:g} cm"
        text = f"{name} is {100 * rmse:.1f} cm (RMS over the trial) from the model, expected {limit}."
        yield warning(code, text, frames=column > flagged.value_si, where=name)


def check_reprojection(names: Sequence[str], error: np.ndarray) -> Iterator[Finding]:
    """Frames and points with a large median reprojection error: warnings. error: (frames, points) px, NaN = missing."""
    limit = THRESHOLDS["reprojection"]
    median = median_of_known(error)
    far = median > limit.value_si
    if far.any():
        most = f"up to {np.nanmax(median):.0f} px from its images in {far.sum()} frames"
        yield warning("reprojection", f"the median point is {most}, expected below {limit.value:g} px.", frames=far)
    points = [name for name, value in zip(names, median_of_known(error.T), strict=True) if value > limit.value_si]
    if points:
        text = f"{names_text(points)} lie more than {limit.value:g} px from their images in the median over the trial."
        yield warning("reprojection_point", text, where=names_text(points))


VIEW_POINT_CODE = "view_point_unused"  # of points that one camera shows elsewhere than the others


def check_points_of_views(report: TriangulationReport) -> Iterator[Finding]:
    """Points for which most of a camera's detections contradict the other cameras: one finding for each camera."""
    limit, least = THRESHOLDS["view_used"], THRESHOLDS["view_contributed"].value_si
    observed = np.isfinite(report.error_px)
    for camera, used, seen in zip(report.views, report.used.sum(0), observed.sum(0), strict=True):
        if used.sum() < limit.value_si * seen.sum():
            continue  # the whole camera has a finding
        share = used / np.maximum(seen, 1)
        view = report.views.index(camera)
        part = report.used[:, view].sum(1) / np.maximum(observed[:, view].sum(1), 1)
        unused = (part < limit.value_si) & observed[:, view].any(1)
        if unused.sum() > least * len(unused):
            text = f"{camera}: less than {limit.value:g} % of its points fit the other cameras in {unused.sum()} frames"
            yield warning("view_unused", f"{text} ({frame_ranges(where_true(unused))}).", frames=unused, where=camera)
        odd = (seen >= least * len(observed)) & (share < limit.value_si)
        if odd.any():
            texts = [f"{report.names[k]} {100 * share[k]:.0f} %" for k in np.flatnonzero(odd)]
            names = [report.names[k] for k in np.flatnonzero(odd)]
            sides = {SIDE_WORDS.get(name[0].lower()) if name[1:2].isupper() else None for name in names}
            side = next(iter(sides)) if len(sides) == 1 < len(names) else None
            hidden = f" All are of the {side} side: probably hidden by the body." if side else ""
            yield Finding(
                VIEW_POINT_CODE,
                Severity.INFO,
                f"{camera}: of these points less than {limit.value:g} % of the detections fit the other cameras: "
                f"{names_text(texts)}. The rest were rejected.{hidden}",
                where=", ".join([camera, *names]),
            )


def check_presence(measured: Markers) -> Iterator[Finding]:
    """Missing, interpolated and inferred markers. Many missing: a warning; interpolated: a corrected frame."""
    present = measured.present
    ever = np.any(present, axis=0)
    skin = is_skin_marker(measured.names)  # `check_skin_markers_lost` checks these
    never = [name for name, seen in zip(measured.names, ever, strict=True) if not seen and name not in skin]
    if never:
        text = f"never seen: {names_text(never)}."
        yield warning("marker_never_seen", text, where=names_text(never))
    missing = 1 - present[:, ever].mean(1) if ever.any() else np.ones(measured.frames)
    limit = THRESHOLDS["missing"]
    many = missing > limit.value_si
    if many.any():
        most = f"up to {100 * missing.max():.0f} % of the markers are missing in {many.sum()} frames"
        yield warning("markers_missing", f"{most}, expected below {limit.value:g} %.", frames=many)
    if measured.filled is not None and measured.filled.any():
        frames = np.any(measured.filled, axis=1)
        text = f"{measured.filled.sum()} missing positions in {frames.sum()} frames were interpolated."
        yield Finding("gap_filled", Severity.INFO, text, frames=frames)


_LIMB_JOINTS = ("hip_flexion", "knee_angle", "elbow_flex")  # not the shoulder's, which trade off near a gimbal lock


def unseen_limb_joints(motion: Motion) -> dict[str, np.ndarray]:
    """{joint of an arm or leg: (frames,) bool, True where its standard deviation is too large for a joint in view}."""
    if motion.deviation is None:
        return {}
    limit = THRESHOLDS["limb_unseen"].value_si
    joints = [(i, name) for i, name in enumerate(motion.names) if name[:-2] in _LIMB_JOINTS]
    return {name: np.asarray(motion.deviation[:, i] > limit) for i, name in joints}


def check_limbs_seen(motion: Motion) -> Iterator[Finding]:
    """Joints of arms and legs of which nothing was seen: one warning."""
    limit, joints = THRESHOLDS["limb_unseen"], unseen_limb_joints(motion)
    names = [name for name, odd in joints.items() if odd.any()]
    if names and motion.deviation is not None:
        unseen = np.stack([joints[name] for name in names], axis=1)
        spread = motion.deviation[:, [motion.names.index(name) for name in names]]
        yield warning(
            "limb_unseen",
            f"{names_text(names, 8)}: not known in {unseen.any(1).sum()} of {len(unseen)} frames (standard deviation "
            f"up to {np.degrees(spread[unseen].max()):.0f}°, expected below {limit.value:g}°); there they are assumed.",
            frames=np.any(unseen, axis=1),
            where=names_text(names, 8),
        )


def check_inferred(measured: Markers) -> Iterator[Finding]:
    """A finding where many of all points, or of those along the spine, are inferred; another where estimated."""
    how = {
        Origin.INFERRED: "inferred from others, not seen",
        Origin.ESTIMATED: "estimated by a network from other evidence, not seen",
    }
    limit, all_points = THRESHOLDS["inferred"], set(measured.names)
    groups = {"all": all_points, "the spine's": all_points & set(SPINE_CHAIN_MARKERS)}
    for origin, words in how.items():
        names = measured.names_of(origin)
        counts = {group: (len(points & set(names)), len(points)) for group, points in groups.items()}
        if any(count > limit.value_si * total for count, total in counts.values()):
            parts = [f"{count} of {group} {total} points" for group, (count, total) in counts.items() if total]
            text = f"{', '.join(parts)} are {words}; expected at most {limit.value:g} %."
            yield warning(f"{origin}_points", text, where=names_text(names))


def check_bone_lengths(measured: Markers) -> Iterator[Finding]:
    """Segments that change length or differ left to right: warnings. Those without markers are skipped."""
    spread_limit, deviation_limit = THRESHOLDS["segment_spread"], THRESHOLDS["segment_deviation"]
    medians: dict[tuple[str, str], float] = {}
    for bone, side in product(BONES, ("right", "left")):
        segment, ends = f"{side} {bone}", [side[0].upper() + end for end in BONES[bone]]
        if not set(ends) <= set(measured.names):
            continue
        a, b = measured.indices(ends)
        length = np.linalg.norm(measured.xyz[:, a] - measured.xyz[:, b], axis=-1)
        if not np.isfinite(length).any():
            continue
        medians[bone, side] = median = float(np.nanmedian(length))
        if median == 0:
            continue
        relative = np.abs(length / median - 1)
        spread = 1.4826 * float(np.nanmedian(relative))  # of a normal distribution, its standard deviation
        odd = relative > deviation_limit.value_si
        if spread > spread_limit.value_si or odd.any():
            yield warning(
                "bone_length",
                f"{segment} ({'–'.join(ends)}), as triangulated: in the worst frame {100 * np.nanmax(relative):.0f} % "
                f"from its median of {100 * median:.1f} cm (limit {deviation_limit.value:g} %); standard deviation "
                f"{100 * spread:.1f} % (limit {spread_limit.value:g} %).",
                frames=odd,
                where=segment,
            )
    limit = THRESHOLDS["symmetry"]
    for bone in BONES:
        right, left = (medians.get((bone, side), np.nan) for side in ("right", "left"))
        if not right + left > 0:
            continue
        difference = abs(right - left) / (right + left) * 2
        if difference > limit.value_si:
            sides = f"right {100 * right:.1f} cm, left {100 * left:.1f} cm, {100 * difference:.0f} % apart"
            yield warning("asymmetry", f"{bone}: {sides}, expected within {limit.value:g} %.", where=bone)


def check_marker_jumps(measured: Markers) -> Iterator[Finding]:
    """Markers that jump between two frames: a warning for each, or one for all if at least half of them jump."""
    limit, jumps = THRESHOLDS["marker_jump"], {}
    for k, name in enumerate(measured.names):
        faulty, speed = jump_frames(measured.xyz[:, k], measured.rate, limit.value_si)
        if faulty.any():
            jumps[name] = faulty, speed
    if not jumps:
        yield from _person_jumps(measured)
        return
    all_together = len(jumps) > 1 and len(jumps) >= measured.present.any(0).sum() / 2
    groups = [tuple(jumps)] if all_together else [(name,) for name in jumps]
    for names in groups:
        frames = np.any([jumps[name][0] for name in names], axis=0)
        who = f"{len(names)} of {len(measured.names)} markers jump" if all_together else f"{names[0]} jumps"
        yield warning(
            "marker_jump",
            f"{who} at up to {max(jumps[name][1] for name in names):.0f} m/s from one frame to the next in "
            f"{frames.sum()} frames, expected below {limit.value:g} m/s.",
            frames=frames,
            where=names_text(names),
        )


def _person_jumps(measured: Markers) -> Iterator[Finding]:
    """A warning where most markers are accelerated at once as nobody is: filtering spreads a step over some frames."""
    limit, lag = THRESHOLDS["person_jump"], max(1, round(PERSON_JUMP_LAG_S * measured.rate))
    count = measured.frames - 2 * lag
    if count < 1:
        return
    before, now, after = (measured.xyz[first : first + count] for first in (0, lag, 2 * lag))
    acceleration = np.linalg.norm(after - 2 * now + before, axis=-1) * (measured.rate / lag) ** 2
    most = np.isfinite(acceleration).sum(1) > measured.present.any(0).sum() / 2
    jumps = np.zeros(measured.frames, bool)
    jumps[lag : lag + count] = most & (median_of_known(acceleration) > limit.value_si)
    if jumps.any():
        around = np.convolve(jumps, np.ones(2 * lag + 1), "same") > 0
        text = f"most markers jump together, accelerated by up to {np.nanmax(median_of_known(acceleration)):.0f} m/s²"
        yield warning("marker_jump", f"{text}, expected below {limit.value:g} m/s².", frames=around)


CHECKS_OF_MARKERS = (
    check_presence, check_skin_markers_lost, check_skin_marker_order, check_front_and_back, check_inferred,
    check_marker_jumps, check_bone_lengths,
)  # fmt: skip
