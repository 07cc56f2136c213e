"""The table of SpinePose's points in several views, on points of a body whose places are known."""

import numpy as np
import pytest
from benchmarks.spine_on_real_images import SPINE
from benchmarks.spinepose_table import body_lines, table_rows
from small_project import NOISE_PX

from simspine.core.skeletons import translate


@pytest.fixture(scope="module")
def seen(truth):
    return translate(truth.keypoints, "spinetrack37")


def test_points_close_as_far_as_their_noise_allows(seen, truth):
    rows = [row.split("|")[1:-1] for row in table_rows(seen.select(list(SPINE)), truth.cameras)]
    assert [row[0].split()[0] for row in rows] == list(SPINE)
    assert all(row[1].strip() == "100 %" for row in rows)
    for closure, apart in ((float(row[2]), float(row[3])) for row in rows):  # px; own noise pulls a point towards it
        assert 0.3 * NOISE_PX < closure < apart < 3 * NOISE_PX
    lengths = np.linalg.norm(np.diff(truth.markers.select(list(SPINE)).xyz, axis=1), axis=-1)
    np.testing.assert_allclose([float(row[4]) for row in rows[:-1]], 1e3 * lengths.mean(0), atol=1.0)


def test_a_view_that_is_off_is_seen_by_the_others(seen, truth):
    spine = seen.select(list(SPINE))
    xy = spine.xy.copy()
    xy[:, 0] += [30.0, 0.0]
    exact, moved = (table_rows(points, truth.cameras) for points in (spine, spine.with_(xy=xy)))
    for before, after in zip(exact, moved, strict=True):
        assert float(after.split("|")[4]) > float(before.split("|")[4]) + 5


@pytest.mark.long
def test_points_are_compared_with_a_body(seen, truth):
    """Limbs alone stand for the reference."""
    limbs = seen.select([name for name in seen.names if name[0] in "LR"])
    said = body_lines(seen, limbs, truth.cameras, "vertebral")
    assert "RMSE in cm between triangulated points and the fitted body" in said
    assert all(f"\n{name} " in f"\n{said}" for name in SPINE)
