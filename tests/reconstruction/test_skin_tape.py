"""A tape with dots: from two drawn views into space, as errors that neighbours share, and what is refused."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from drawn_tape import DOTS, RADIUS_PX, RATE, SIZE, SPACING, cameras, dots_at, drawn, seen

from simspine.anatomy.marker_sets import Tape, read_skin_table
from simspine.anatomy.priors import likeliest_variance
from simspine.core.errors import InputError
from simspine.core.skeletons import SIMSPINE_SKELETON, load_skeleton, skin_landmark
from simspine.core.types import Keypoints, Markers, Origin
from simspine.estimation.noise import learnt_noise
from simspine.estimation.observations import NoiseLevels, observation_weights, observe, shared_errors
from simspine.estimation.options import KinematicsOptions
from simspine.vision.follow_skin_markers import check_clicked_images, follow_skin_markers
from simspine.vision.triangulation import triangulate

pytestmark = pytest.mark.usefixtures("two_rounds")

FRAMES, CLICKED, COVERED = 12, 2, 9


class _Back:
    """One view's video of the tape; a dot is covered in some frames."""

    rate, frames, size = RATE, FRAMES, SIZE

    def __init__(self, view):
        self.view = view

    def at(self, rows):
        for frame in sorted(rows):
            yield drawn(self.view, frame, (COVERED,) if 4 <= frame < 8 else ())

    def __iter__(self):
        return self.at(range(FRAMES))


def tape(numbers=(1, DOTS), right=0, **changes):
    """Clicked in both views on the dots of these numbers; in the right one on those `right` farther down."""
    at = [seen(view, CLICKED + 1)[CLICKED] for view in (0, 1)]
    clicks = {
        n: {"left": {CLICKED: tuple(at[0][n - 1])}, "right": {CLICKED: tuple(at[1][n - 1 + right])}} for n in numbers
    }
    return replace(Tape(DOTS, SPACING, "C7", "L5", clicks, RADIUS_PX), **changes)


def followed(of):
    names = load_skeleton(SIMSPINE_SKELETON).names
    nothing = Keypoints(names, RATE, np.full((FRAMES, 2, len(names), 2), np.nan), np.zeros((FRAMES, 2, len(names))))
    return follow_skin_markers(nothing, cameras(), [_Back(0), _Back(1)], {}, tape=of)


def test_the_dots_in_space_are_where_they_were_drawn():
    of = tape()
    found = triangulate(followed(of).select(of.names), cameras()).xyz
    error = np.linalg.norm(found - [dots_at(frame) for frame in range(FRAMES)], axis=-1)
    lost = np.isnan(error)
    assert lost[4:8, COVERED - 1].all()
    assert lost.sum() == 4
    assert np.nanmax(error) < 0.001
    assert np.nanmedian(error) < 0.0003


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (tape(spacing=0.04), "20.0 mm apart by the cameras, and 40 mm by `spacing_mm`"),
        (tape(numbers=(1, DOTS - 1), right=1), "of left is dot 9 of right"),
    ],
)
def test_views_that_do_not_agree_are_refused(of, said):
    with pytest.raises(InputError, match=said):
        followed(of)


def test_the_clicked_images_alone_tell_that_numbers_are_wrong():
    """No person is needed for it; clicks on the dots they name are taken."""
    good = tape()
    for view, name in enumerate(("left", "right")):
        check_clicked_images(_Back(view), name, good)
    miscounted = tape(clicks={1: good.clicks[1], DOTS - 1: good.clicks[DOTS]})
    with pytest.raises(InputError, match=rf"right: .*dots 1 and {DOTS - 1} of the tape in frame {CLICKED},.*no even"):
        check_clicked_images(_Back(1), "right", miscounted)


def test_clicks_outside_the_image_are_refused():
    clicks = {1: {"left": {0: (5000.0, 3.0)}}, 2: {"left": {0: (50.0, 3.0)}}}
    with pytest.raises(InputError, match=r"dot 1 of the tape is clicked at 5000, 3 px in frame 0 of left.*460×640"):
        followed(tape(clicks=clicks))


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        ("T13", "L5", "unknown level of the tape 'T13'"),
        ("L5", "C7", "`last` must be a level below"),
        ("C7", "LPSIS", "spine"),
    ],
)
def test_levels_that_cannot_be_are_refused(first, last, said):
    with pytest.raises(InputError, match=said):
        tape(first=first, last=last)


def test_dots_are_named_by_their_place_along_the_skin():
    """Equal steps along the skin, from the first level to the last one; levels increase downwards."""
    names, table = tape().names, read_skin_table()
    assert (names[0], names[-1]) == ("C7.00_skin", "L5.00_skin")
    along = np.array([table.along(name) for name in names])
    np.testing.assert_allclose(np.diff(along), (table.along("L5") - table.along("C7")) / (DOTS - 1), atol=0.0005)


def test_neighbouring_dots_err_alike_and_distant_ones_apart():
    """Of the covariance that the shared errors make: each dot has about the table's, neighbours nearly the same."""
    names = tape().names
    markers = Markers(names, RATE, np.zeros((2, DOTS, 3)), origin=(Origin.DETECTED,) * DOTS)
    covariance = np.zeros((DOTS, DOTS))
    for error in shared_errors(markers, region_sd=0.04, detector_bias={}):
        share = np.array([error.share_by_marker.get(name, 0.0) for name in names])
        covariance += error.sd_by_axis[1] ** 2 * np.outer(share, share)
    sd = np.sqrt(covariance.diagonal())
    table = np.array([place.sd[1] for place in read_skin_table().of(map(skin_landmark, names)).values()])
    assert ((sd > 0.6 * table) & (sd < 1.1 * table)).all()
    correlation = covariance / np.outer(sd, sd)
    assert np.diag(correlation, 1).min() > 0.85
    assert np.abs(np.diag(correlation, 12)).max() < 0.05


def test_the_dots_of_a_tape_count_as_a_few_markers():
    names = ("T7_skin", *tape().names)
    markers = Markers(names, RATE, np.zeros((2, DOTS + 1, 3)), origin=(Origin.DETECTED,) * (DOTS + 1))
    weights = observation_weights(markers, {}, NoiseLevels.of_options(KinematicsOptions()))[0]
    assert 4 < weights[1:].sum() / weights[0] < 7  # 445 mm, one every 100 mm


def test_a_tape_shows_nothing_of_the_offset_that_a_region_shares():
    """Offsets of 3 mm at the tape's knots leave the deviation of regions that is learnt from an offset of 30 mm."""
    options, names = KinematicsOptions(region_sd_m=0.04), ("Hip", "Spine_01", *tape().names)
    zeros, levels = np.zeros((2, len(names), 3)), NoiseLevels.of_options(options)
    markers = Markers(names, RATE, zeros, origin=(Origin.DETECTED,) * len(names))
    seen = observe(markers, {}, options, levels, places_fitted=True)
    lumbar = np.array([error.name == "lumbar" for error in seen.errors.shared_errors])
    offsets = np.repeat(np.where(lumbar, 0.03, 0.003), 3)[None]
    problem = SimpleNamespace(
        observations=[seen], errors=seen.errors, precision=seen.precision, independent=np.array([2.0])
    )
    solution, unknown = SimpleNamespace(offsets=offsets), np.zeros(offsets.shape)
    fit = SimpleNamespace(solution=solution, offset_variance=unknown, residual=zeros, marker_variance=zeros)
    learnt = learnt_noise(levels, problem, fit, configured=levels, correlation_s=1.0)
    assert lumbar.sum() == 1 < len(lumbar)
    assert learnt.region_sd == pytest.approx(likeliest_variance(0.03**2, 3, 0.04**2) ** 0.5)
