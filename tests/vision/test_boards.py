"""Calibration by a board: corners with known noise, rendered images; the truth lies in what is said of it."""

import numpy as np
import pytest
from board_scene import corners_seen, on_the_floor, render, ring, shown_to
from scipy.spatial.transform import Rotation

from simspine.core.errors import InputError
from simspine.vision.board import Board, find_board
from simspine.vision.board_calibration import BoardViews, calibrate_boards, image_coverage

CHARUCO, OTHER = Board(7, 5, 0.1, 0.075), Board(8, 5, 0.1, 0.075)


def viewed(cameras, board, xy) -> BoardViews:
    return BoardViews(board, tuple(c.name for c in cameras), tuple(c.size for c in cameras), xy)


def scene(board, lens="perspective", frames=32, seed=0, noise=0.1):
    """Cameras, places of the board (the last on the floor), and what was seen of it."""
    cameras = ring(4, lens, seed)
    places = [*shown_to(cameras, board, frames, seed + 1), on_the_floor(board)]
    return cameras, places, viewed(cameras, board, corners_seen(cameras, board, places, noise, seed + 3))


def errors(found, cameras, floor):
    """Distances (m), angles (rad) and relative focal lengths off, in the world of the board on the floor."""
    R, t = floor[0] @ np.diag([1.0, -1.0, -1.0]), floor[1]
    place = [np.linalg.norm(a.centre - R.T @ (b.centre - t)) for a, b in zip(found.cameras, cameras, strict=True)]
    turn = [Rotation.from_matrix(a.R @ (b.R @ R).T).magnitude() for a, b in zip(found.cameras, cameras, strict=True)]
    focal = [a.K[0, 0] / b.K[0, 0] - 1 for a, b in zip(found.cameras, cameras, strict=True)]
    return np.array(place), np.array(turn), np.abs(focal)


class TestCorners:
    @pytest.mark.parametrize("lens", ["perspective", "rational", "fisheye"])
    def test_exact_corners_give_the_truth(self, lens):
        """Weak priors hold a few coefficients; the image of the lens is the truth's all the same."""
        cameras, places, views = scene(CHARUCO, lens, noise=1e-4)
        found = calibrate_boards(views, len(places) - 1, lens)
        place, turn, focal = errors(found, cameras, places[-1])
        assert place.max() < 5e-4
        assert np.degrees(turn.max()) < 0.02
        assert focal.max() < 1e-3
        assert found.error_px.max() < 0.05

    @pytest.mark.parametrize("lens", ["perspective", "fisheye"])
    def test_truth_lies_within_the_standard_deviations(self, lens):
        """Independent noise of 0.1 px: errors over deviations, root mean square over cameras and quantities, are 1."""
        scores = []
        for seed in range(4):
            cameras, places, views = scene(OTHER, lens, seed=seed)
            found = calibrate_boards(views, len(places) - 1, lens)
            off = errors(found, cameras, places[-1])
            scores.append(np.array(off) / [found.position, found.rotation, found.focal])
            assert np.all(found.wrong <= 2)
            assert found.error_px == pytest.approx([0.1 * np.sqrt(2)] * 4, rel=0.1)
        scores = np.concatenate(scores, axis=1)
        assert np.all(scores < 4)
        np.testing.assert_array_less(np.abs(np.sqrt(np.mean(scores**2, 1)) - 1), 0.45)

    def test_wrong_corners_do_not_decide(self):
        """One of a hundred corners is another one, 5 to 40 px away."""
        cameras, places, views = scene(CHARUCO)
        rng, xy = np.random.default_rng(5), views.xy.copy()
        bad = rng.random(xy.shape[:3]) < 0.01
        xy[bad] += rng.choice([-1, 1], (bad.sum(), 2)) * rng.uniform(5, 40, (bad.sum(), 2))
        found = calibrate_boards(viewed(cameras, CHARUCO, xy), floor=len(places) - 1)
        place, turn, focal = errors(found, cameras, places[-1])
        assert place.max() < 0.01
        assert np.degrees(turn.max()) < 0.3
        assert focal.max() < 0.005
        used = bad & np.isfinite(xy).all(-1)
        assert 0.9 * used.sum() < found.wrong.sum() <= used.sum()

    def test_lenses_are_opencvs(self):
        """`cv2.calibrateCamera` on the same views; the priors and robust weights make the difference."""
        import cv2

        cameras, _, views = scene(OTHER)
        found = calibrate_boards(views, len(views.xy) - 1)
        for v, camera in enumerate(found.cameras):
            rows = np.flatnonzero(views.seen[:, v])
            there = [np.isfinite(views.xy[row, v, :, 0]) for row in rows]
            points = [OTHER.corners[some].astype(np.float32) for some in there]
            pixels = [views.xy[row, v, some].astype(np.float32)[:, None] for row, some in zip(rows, there, strict=True)]
            rms, K, *_ = cv2.calibrateCamera(points, pixels, cameras[v].size, None, None)
            assert camera.K[0, 0] == pytest.approx(K[0, 0], abs=3 * found.focal[v] * K[0, 0])
            np.testing.assert_allclose(camera.K[:2, 2], K[:2, 2], atol=3)
            assert found.error_px[v] == pytest.approx(rms, rel=0.1)


class TestRefused:
    def test_a_camera_that_shares_no_view(self):
        cameras, _, views = scene(CHARUCO)
        xy = views.xy.copy()
        xy[np.isfinite(xy[:, 2, :, 0]).any(1)[:, None] & (np.arange(4) != 2)] = np.nan
        with pytest.raises(InputError, match=r"to 'cam3' and another camera.*cam1, cam2, cam4 \| cam3"):
            calibrate_boards(viewed(cameras, CHARUCO, xy), len(xy) - 1)

    def test_too_few_views(self):
        cameras, _, views = scene(CHARUCO)
        xy = views.xy.copy()
        xy[np.flatnonzero(views.seen[:, 1])[3:], 1] = np.nan
        with pytest.raises(InputError, match=r"camera 'cam2' shows the board in 3 of 33 frames.*4 are needed"):
            calibrate_boards(viewed(cameras, CHARUCO, xy), len(xy) - 1)

    def test_a_board_always_held_alike(self):
        """Facing the camera at one distance: focal length and distance cannot be told apart."""
        (camera,) = ring(1)
        away = camera.R.T
        mid = OTHER.corners.mean(0)
        places = []
        for x, y in [(-0.3, -0.2), (0.3, -0.2), (0, 0), (-0.3, 0.2), (0.3, 0.2), (0.1, 0.1)]:
            place = camera.centre + away @ np.array([x, y, 2.0])
            places.append((away, place - away @ mid))
        xy = corners_seen([camera], OTHER, places, 0.3)
        with pytest.raises(InputError, match=r"focal length of camera 'cam1' is known to \d+ % only.*Tilt"):
            calibrate_boards(viewed([camera], OTHER, xy), 0)

    def test_a_floor_without_board(self):
        _, places, views = scene(CHARUCO)
        for floor in (len(places), -1):
            with pytest.raises(InputError, match=f"no camera shows the board in frame {floor}"):
                calibrate_boards(views, floor=floor)

    def test_an_unknown_lens(self):
        with pytest.raises(InputError, match="unknown lens 'wide'; expected one of perspective, rational, fisheye"):
            calibrate_boards(scene(CHARUCO)[2], 0, "wide")

    def test_videos_that_are_not_synchronous_are_said_to_be_so(self):
        cameras, _, views = scene(CHARUCO)
        rng = np.random.default_rng(0)
        shift = rng.normal(0, 25, (len(views.xy), 1, 2))  # px: the board has moved on
        xy = views.xy.copy()
        xy[:, 1] += shift * 0.6
        with pytest.warns(UserWarning, match=r"camera 'cam\d'.*Do all videos start at the same instant"):
            calibrate_boards(viewed(cameras, CHARUCO, xy), len(xy) - 1)

    def test_a_camera_that_shares_too_few_views_to_be_placed(self):
        cameras, _, views = scene(CHARUCO)
        xy, common = views.xy.copy(), np.flatnonzero(views.seen[:, 1] & (views.seen.sum(1) > 1))
        xy[common[3:, None], [0, 2, 3]] = np.nan
        xy[common[:3], 1] = xy[common[[1, 2, 0]], 1]  # of other instants
        with pytest.raises(InputError, match=r"camera 'cam.'.*these. Only [123] views of the board are shared"):
            calibrate_boards(viewed(cameras, CHARUCO, xy), len(xy) - 1)


class TestViews:
    def test_coverage_counts_cells(self):
        xy = np.full((2, 1, len(CHARUCO.corners), 2), np.nan)
        xy[0, 0, :8] = [[60 + 120 * i, 60] for i in range(8)]  # the upper row of 8 × 6 cells
        xy[1, 0, :8] = [[60, 60 + 100 * min(i, 5)] for i in range(8)]
        views = BoardViews(CHARUCO, ("a",), ((960, 720),), xy)
        assert image_coverage(views, 0) == pytest.approx((8 + 4) / 48)


@pytest.mark.slow
def test_rendered_boards():
    """Images with blur and noise through known lenses; wanted: 0.1°, 5 mm, 0.5 %, and truth within what is said.

    Through fisheye lenses, of which perspective ones are the easier case (tests/workflow/test_board_calibration.py)."""
    board, lens = Board(8, 5, 0.14, 0.105), "fisheye"
    cameras = ring(4, lens)
    places = [*shown_to(cameras, board, 36), on_the_floor(board, (0.0, 0.0))]
    there = np.isfinite(corners_seen(cameras, board, places, 0.0)).any((2, 3))
    xy, rng = np.full((*there.shape, len(board.corners), 2), np.nan), np.random.default_rng(0)
    for f, v in np.argwhere(there):
        xy[f, v] = find_board(board, render(cameras[v], board, *places[f], rng))
    found = calibrate_boards(viewed(cameras, board, xy), lens=lens, floor=len(places) - 1)
    off = errors(found, cameras, places[-1])
    assert off[0].max() < 0.005
    assert np.degrees(off[1].max()) < 0.1
    assert off[2].max() < 0.005
    scores = np.array(off) / [found.position, found.rotation, found.focal]
    assert scores.max() < 4
    assert np.all(np.sqrt(np.mean(scores**2, 1)) < 2)
