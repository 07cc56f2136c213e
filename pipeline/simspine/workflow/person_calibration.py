"""Videos of a person who walks about → a calibration file, with how sure each place is."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simspine.cameras.from_person import FromPerson, cameras_from_person
from simspine.cameras.person_frame import check_height
from simspine.detection.options import DetectionOptions
from simspine.detection.run import Detections
from simspine.errors import InputError
from simspine.formats.atomic import write_text
from simspine.formats.calibration import read_calibration, write_calibration
from simspine.pipeline.points import detect
from simspine.skeletons import translate
from simspine.sources.pose2sim import match_cameras
from simspine.sources.video import Video, check_synchronised, open_videos
from simspine.types import Camera, Keypoints
from simspine.workflow.context import progress_bar
from simspine.workflow.rigs import print_table

WIDEST = (5.0, 170.0)  # degrees that a lens without fisheye shows


def known_lenses(intrinsics: str | Path | None, fov: float | None) -> list[Camera] | float:
    """The cameras of a calibration file, or the angle (rad) that all lenses show over the longer image side."""
    if intrinsics is None and fov is None:
        raise InputError("give the lenses: --intrinsics FILE where they are known, else their angle, --fov DEGREES.")
    if intrinsics is not None and fov is not None:
        raise InputError("--intrinsics and --fov both say what the lenses are; leave one of them out.")
    if fov is None:
        assert intrinsics is not None
        return read_calibration(intrinsics)
    if not WIDEST[0] < fov < WIDEST[1]:
        raise InputError(f"--fov {fov:g} is no lens's angle; expected degrees, {WIDEST[0]:g} to {WIDEST[1]:g}.")
    return float(np.radians(fov))


def calibrate_by_person(
    recordings: Sequence[Path],
    lenses: list[Camera] | float,
    height: float | None,
    out: Path,
    figures: Path | None = None,
    quiet: bool = False,
) -> None:
    """Write the calibration, print a line per camera, and what images cannot tell. lenses: as `known_lenses` says."""
    check_height(height)
    if len(recordings) == 1:
        raise InputError(
            f"{len(recordings)} video; cameras are placed by what two or more of them saw. Name all videos."
        )
    if out.exists():
        raise InputError(f"{out} exists already. Choose another --out.")
    videos = open_videos(recordings)
    check_synchronised(videos)
    guessed = isinstance(lenses, float)
    ordered = match_cameras(videos, lenses) if isinstance(lenses, list) else [_guess(video, lenses) for video in videos]
    options = DetectionOptions(people=1)
    with progress_bar("detecting", quiet) as progress:
        found = detect(videos, options, progress=progress)
    seen = _alone(found, found.skeleton)
    placed = cameras_from_person(seen, ordered, height, guessed)
    write_calibration(out, placed.cameras)
    _print(placed, out)
    if figures is not None:
        write_text(figures, json.dumps(_figures(placed), indent=2) + "\n")


def _guess(video: Video, angle: float) -> Camera:
    focal = max(video.size) / 2 / np.tan(angle / 2)
    K = [[focal, 0, video.size[0] / 2], [0, focal, video.size[1] / 2], [0, 0, 1]]
    return Camera(video.name, video.size, np.array(K), np.zeros(5), np.eye(3), np.zeros(3))


def _alone(detections: Detections, skeleton: str) -> Keypoints:
    """The only person looked for in each view, by SIMSPINE's names."""
    xyc = detections.people[:, :, 0].astype(float)
    confidence = np.clip(np.nan_to_num(xyc[..., 2]), 0, 1)
    return translate(Keypoints(detections.names, detections.rate, xyc[..., :2], confidence), skeleton)


def _print(found: FromPerson, out: Path) -> None:
    rows = []
    for camera, move, turn, focal in zip(
        found.cameras, found.position_sd, found.rotation_sd, found.focal_sd, strict=True
    ):
        lens = f"{camera.K[0, 0]:.0f}" + (f" ± {focal * camera.K[0, 0]:.0f}" if focal else "")
        place = " ".join(f"{value:+.3f}" for value in camera.centre)
        about = " ".join(f"{1000 * value:.0f}" for value in move)
        rows.append((camera.name, place, about, " ".join(f"{np.degrees(value):.2f}" for value in turn), lens))
    headings = ("camera", "x y z, m", "± right, down, forward, mm", "± about these, °", "focal length, px")
    print_table("Cameras beside one another, by the person they saw", headings, rows)
    frame = found.frame
    whose = "this person's height" if frame.height_known else "mean adults' height: --height narrows that"
    how = "standing" if frame.scale_from == "standing" else "limbs; nobody was seen standing straight"
    level = "where the feet stood" if frame.vertical_from == "floor" else "the upright posture"
    print(
        f"reprojection, median: {found.error_px:.1f} px; {found.used:.0%} or more of what each camera saw agrees\n"
        f"all lengths: ± {100 * frame.scale_sd:.1f} % (by {how}, with {whose})\n"
        f"vertical: ± {np.degrees(frame.tilt_sd):.1f}° (by {level}); floor at the lowest points of the feet\n"
        "The origin lies between the feet where the person stands most upright, x points to where they face: images do "
        "not tell another world.\n"
        f"{out} written. Name it as the trial's `calibration`."
    )


def _figures(found: FromPerson) -> dict:
    frame = found.frame
    return {
        "cameras": [
            {"camera": camera.name, "position_m": camera.centre.tolist(), "position_sd_m": move.tolist(),
             "rotation_sd_rad": turn.tolist(), "focal_px": float(camera.K[0, 0]), "focal_sd": float(focal)}
            for camera, move, turn, focal in zip(
                found.cameras, found.position_sd, found.rotation_sd, found.focal_sd, strict=True)
        ],
        "scale_sd": frame.scale_sd, "scale_from": frame.scale_from, "height_known": frame.height_known,
        "vertical_from": frame.vertical_from, "tilt_sd_rad": float(frame.tilt_sd), "error_px": found.error_px,
        "used": found.used,
    }  # fmt: skip
