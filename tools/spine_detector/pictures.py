"""Pictures of the spine detector's points on the packaged recordings: docs/images/detector.jpg.

    python -m tools.spine_detector.pictures docs/images/detector.jpg

Each row is one image of every camera, cut about a person: three of the recording with markers on the skin, two of the
recording of two people. Red: the spine, with the 90 % ellipse of each point in yellow; blue: latissimus and clavicle
points; green rings: the markers, where they are in space, behind the body as well.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from benchmarks.spine_on_real_images import ELLIPSE_90, TARGETS, watch

from simspine.core.geometry import project_points
from simspine.core.types import Camera, Markers
from simspine.io.video import demo_folder, find_project, open_videos
from simspine.vision.blazepose import Pose, PoseNetworks, Region, settled_pose
from simspine.vision.blazepose_spine import HIP_INDICES, SHOULDER_INDICES, SpinePlacer
from simspine.vision.options import DEFAULT_MODELS

SIDE = 432  # px that a picture is drawn with; the sheet has half of it
SPINE = 9  # of the 13 points
SHARE = 0.62  # of BlazePose's crop
ROWS, COMPANY_ROWS = (5, 40, 78), (20, 60)  # frames
RED, YELLOW, BLUE, GREEN = (40, 40, 230), (60, 200, 255), (230, 140, 30), (60, 220, 60)  # BGR


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    recording = watch()
    rings = rings_of(recording.skin, recording.cameras)
    company = open_videos(find_project(demo_folder("Demo_MultiPerson")).videos)
    placer, networks = SpinePlacer(), PoseNetworks(DEFAULT_MODELS["blazepose_spine"])
    rows = [*zip(*(view.at(ROWS) for view in recording.videos), strict=True)]
    pictures = [
        [drawn(networks, placer, image, ring) for image, ring in zip(row, rings[frame], strict=True)]
        for frame, row in zip(ROWS, rows, strict=True)
    ]
    pictures += [
        [drawn(networks, placer, image) for image in row]
        for row in zip(*(view.at(COMPANY_ROWS) for view in company), strict=True)
    ]
    sheet = np.vstack([np.hstack(row) for row in pictures])
    small = cv2.resize(sheet, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(options.picture), small, [cv2.IMWRITE_JPEG_QUALITY, 82])


def rings_of(skin: Markers, cameras: Sequence[Camera]) -> np.ndarray:
    """(frames, views, markers, 2) px; NaN where a marker is not known."""
    at = [skin.index(f"{name}_skin") for name in TARGETS]
    return np.stack(project_points(cameras, skin.xyz[:, at]), axis=1)


def drawn(
    networks: PoseNetworks, placer: SpinePlacer, image: np.ndarray, rings: np.ndarray | None = None
) -> np.ndarray:
    """The surest person of a BGR image, upright, with all that is drawn on them: (SIDE, SIDE, 3)."""
    rgb = np.ascontiguousarray(image[..., ::-1])
    pose = next(found for region in networks.find(rgb) if (found := settled_pose(networks, rgb, region)) is not None)
    spine = placer.place(pose)
    to_picture = about(pose).to_crop(SIDE)
    picture = cv2.warpAffine(image, to_picture, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    places = spine.xy @ to_picture[:, :2].T + to_picture[:, 2]
    spread = to_picture[:, :2] @ spine.covariance @ to_picture[:, :2].T
    draw_spine(picture, places, spread)
    if rings is not None:
        for place in (rings @ to_picture[:, :2].T + to_picture[:, 2])[np.isfinite(rings).all(1)]:
            cv2.circle(picture, place.round().astype(int).tolist(), 9, GREEN, 2, cv2.LINE_AA)
    return picture


def about(pose: Pose) -> Region:
    """Upright, about the middle of the trunk."""
    middle = pose.points[[*HIP_INDICES, *SHOULDER_INDICES], :2].mean(0)
    return Region(float(middle[0]), float(middle[1]), SHARE * pose.looked_in.side, 0.0)


def draw_spine(picture: np.ndarray, places: np.ndarray, spread: np.ndarray) -> None:
    """Points (13, 2) px with their covariance (13, 2, 2) px² on a picture, in place."""
    spine = places[:SPINE].round().astype(int)
    for place, own in zip(spine, spread, strict=False):
        (small, large), axes = np.linalg.eigh(own)
        lengths = np.sqrt(ELLIPSE_90 * np.array([large, small])).round().astype(int).tolist()
        turn = float(np.degrees(np.arctan2(axes[1, 1], axes[0, 1])))
        cv2.ellipse(picture, place.tolist(), lengths, turn, 0, 360, YELLOW, 2, cv2.LINE_AA)
    cv2.polylines(picture, [spine], False, RED, 2, cv2.LINE_AA)
    for place in spine.tolist():
        cv2.circle(picture, place, 4, RED, -1, cv2.LINE_AA)
    for place in places[SPINE:].round().astype(int).tolist():
        cv2.circle(picture, place, 4, BLUE, -1, cv2.LINE_AA)


if __name__ == "__main__":
    main()
