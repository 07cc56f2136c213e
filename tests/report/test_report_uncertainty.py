"""What the page says and draws about the uncertainty of its figures."""

import re
from dataclasses import replace

import numpy as np
import pytest
from chart_parts import boxes, said

from simspine.anatomy.curvature import MOTION_PLANES, SPINE_MARKERS, Level
from simspine.anatomy.priors import LinearPrior, Prior
from simspine.anatomy.vertebrae import SpineKinematics
from simspine.core.types import Forced, Markers
from simspine.quality.findings import Finding
from simspine.quality.observability import (
    Observability,
    observability_of,
    observability_word,
    share_of_curvature,
    with_shares_of_sums,
)
from simspine.report import page as content
from simspine.report.level_figures import ends_of_span, range_charts, spine_region
from simspine.report.page import render_page
from simspine.report.tables import angle_table, clinical_tables
from simspine.report.trial_sections import segment_figures

FRAMES = 30
TIME = np.arange(FRAMES) / 50
NAMES = ("L5-S1", "L4-L5", "T12-L1", "T11-T12", "T1-T2", "C7-T1", "C2-C3", "C1-C2", "skull-C1")
TABLE = tuple(Level(name, "a", "b", tuple(f"{name}_{k}" for k in range(3))) for name in NAMES)
RIGID = (Forced("rigid", MOTION_PLANES, spans=("T3", "T12"), body="torso"),)
COUPLED = (Forced("coupled", ("flexion",), "L5-S1_0", 1.857),)
SHARES = np.full((9, 3), 0.1)
SHARES[2, 0], SHARES[7, 2] = 0.5, 0.9


def spine(lla_sd=2.0, tka_sd=20.0, forced=None, sd=True):
    angles = np.zeros((FRAMES, 9, 3))
    angles[:, :, 0] = np.radians(np.linspace(-1, 3, FRAMES))[:, None]
    angles[4] = np.nan
    line = np.column_stack([0.05 * np.sin(np.arange(15)), 0.05 * np.arange(15), np.zeros(15)])
    line[11:] = [[0, 0.5, -0.1], [0, 0.5, 0.1], [0, 0.3, -0.1], [0, 0.3, 0.1]]  # left, right: the person faces x
    markers = Markers(
        SPINE_MARKERS, 50, np.tile(line, (FRAMES, 1, 1)), "y_up",
        covariance=np.tile(np.diag([0.01, 0.02, 0.03]) ** 2, (FRAMES, 15, 1, 1)) if sd else None,
    )  # fmt: skip
    deviations = {
        "lla_sd": np.full(FRAMES, np.radians(lla_sd)),
        "tka_sd": np.full(FRAMES, np.radians(tka_sd)),
        "angles_sd": np.full(angles.shape, np.radians(1.0)),
    }
    return SpineKinematics(
        50, 0, NAMES, angles, np.full(FRAMES, np.radians(40)), np.full(FRAMES, np.radians(45)), markers,
        np.zeros((FRAMES, 9), bool), forced or {}, **(deviations if sd else {}),
    )  # fmt: skip


def test_a_spread_as_wide_as_among_adults_is_assumed():
    shares = [share_of_curvature("lla", sd) for sd in (None, float("nan"), 2.0, 9.0, 11.1, 11.3)]
    words = [observability_word(share, forced=False) for share in shares]
    assert [str(word) for word in words] == ["", "", "partly measured", "partly measured", "assumed", "assumed"]
    assert observability_word(shares[-1], forced=True) is Observability.FORCED


def test_charts_show_the_verdict_of_each_level():
    """Shares of 10, 50 and 90 %: assumed is hollow and dashed, partly measured pale, measured full; forced is grey."""
    s = spine()
    assert "4.0" not in " ".join(said(range_charts(NAMES, s.angles, s.angles_sd, SHARES)))  # no marker on a vertebra
    text = range_charts(NAMES, s.angles, s.angles_sd, SHARES, {"L4-L5": COUPLED}, marked=["T12-L1"])
    key, *planes = text.split('<svg class="chart')
    assert len(planes) == 3
    flexion, _, rotation = map(boxes, planes)
    assert [look for look, *_ in flexion[::-1][:4]] == ["assumed", "forced", "partly", "assumed"]  # L5-S1 is lowest
    assert [(i, look) for i, (look, *_) in enumerate(rotation[::-1]) if look == "measured"] == [(7, "measured")]
    low, high = -1 - 1.96, 3 + 1.96  # degrees: ends of the intervals, in a scale with a margin on either side
    margin = 0.5
    scale = 100 / (high - low + 2 * margin)
    mean = np.nanmean(np.degrees(s.angles[:, 0, 0]))
    for look, left, width in flexion:  # an angle that is not a result: its mean
        least, span = (-1, 4) if look == "partly" else (mean, 0)
        assert left == pytest.approx((least - low + margin) * scale, abs=0.01)
        assert width == pytest.approx(span * scale, abs=0.01)
    assert "(4.0\u00a0±\u00a02.8°)" in said(text), "partly measured, so in brackets as in the table"
    for wanted in ("measured", "partly measured", "assumed", "set by the model's couplers", "95 % interval"):
        assert wanted in said(key)


def test_ends_are_those_of_the_extreme_frames():
    angles, sd = np.zeros((5, 1, 3)), np.zeros((5, 1, 3))
    angles[:, 0, 0] = np.radians([3, np.nan, -2, 8, 1])
    sd[:, 0, 0] = np.radians([9, 9, 1, 2, 9])
    np.testing.assert_allclose(ends_of_span(angles, sd)[:, 0, 0], [-2 - 1.96, -2, 8, 8 + 2 * 1.96])
    np.testing.assert_allclose(ends_of_span(angles, None)[:, 0, 0], [-2, -2, 8, 8])
    assert np.isnan(ends_of_span(angles[:0], None)).all()


def test_regions_follow_the_anatomy():
    assert [spine_region(name) for name in NAMES] == ["lumbar"] * 3 + ["thoracic"] * 2 + ["cervical"] * 4


def test_table_of_angles():
    forced = {"L4-L5": COUPLED, "L5-S1": ()}
    shares = SHARES.copy()
    shares[0] = 0.95
    table = angle_table(spine(forced=forced), shares, TABLE)
    rows = {row[:2]: row[2:] for row in table.rows}
    of_lowest = [("L5-S1", plane) for plane in MOTION_PLANES]
    assert [*rows] == [*of_lowest, ("T12-L1", "flexion"), ("C1-C2", "axial rotation")]  # others: assumed, or set
    found = ("1.0\u00a0±\u00a02.0°", "(4.0\u00a0±\u00a02.8°)", "50 %", "partly measured")  # √2 × 1.96°
    assert rows["T12-L1", "flexion"] == found
    unmarked = angle_table(spine(forced=forced), shares, TABLE, marked=["L5-S1"])
    assert [row[:2] for row in unmarked.rows] == [*of_lowest, ("C1-C2", "axial rotation")]
    assert rows["C1-C2", "axial rotation"][-2:] == ("90 %", "measured")
    assert rows["L5-S1", "flexion"][-1] == "measured as a sum"
    assert rows["L5-S1", "lateral bending"][-1] == "measured"
    unknown = angle_table(spine(), np.full((9, 3), np.nan), TABLE)
    assert {row[-1] for row in unknown.rows} == {"no label"}


def test_the_pelvis_in_the_room_has_ranges_and_turns_about_its_mean():
    """From −1° to 3°, each ± 1 standard deviation. It turns from 100° to 110° of the calibration's axes."""
    walked = replace(spine(), levels=("pelvis", *NAMES[1:]))
    angles = walked.angles.copy()
    angles[:, 0, 2] = np.radians(np.linspace(100, 110, FRAMES))
    walked = replace(walked, angles=angles)
    figures = segment_figures(walked, np.ones(FRAMES, bool), {"pelvis": ("from thighs", "hips")})
    (table,) = clinical_tables((), None, figures)
    assert [row[0].partition(" ")[0] for row in table.rows] == ["Pelvis"] * 3
    tilt, _, rotation = ([cell.replace("\u00a0", " ") for cell in row[1:]] for row in table.rows)
    assert tilt == ["1.0 ± 2.0°", "–", "(4.0 ± 2.8°)", "from thighs"]
    assert rotation[1:] == ["−5 … 5°", "at least 10.0 ± 2.8°", "hips"]
    assert [row[0] for row in table.rows][1].startswith("Pelvis obliquity in the room (+ right side down)")
    assert not any(row[0] == "pelvis" for row in angle_table(walked, SHARES, TABLE).rows)
    assert segment_figures(spine(), np.ones(FRAMES, bool), {}) == ()


@pytest.mark.parametrize("noise", [0.5, 2.0, 20.0])
def test_a_sum_has_the_share_by_which_data_narrow_it_and_a_segment_in_space_no_verdict(noise):
    """Oracle: Bayes' rule for one observation, of noise sd, of the sum of two levels with priors of 3° and 4°: 5° of
    the sum. Each level by itself is decided little. The third level has no prior: what is known is the mean share."""
    bodies = ("sacrum", "five", "four", "three")
    chain = [Level(NAMES[i], bodies[i], bodies[i + 1], TABLE[i].coordinates) for i in range(3)]
    names = (*NAMES[:3], "sum", "lowest", "thorax")
    table = (*chain, Level("sum", "five", "three"), Level("lowest", "sacrum", "five"), Level("thorax", None, "three"))
    shares = np.array([[0.9] * 3, [0.1, 0.1, 0.9], [0.2, 0.5, 0.9], *[[np.nan] * 3] * 3])
    terms = [
        LinearPrior({name: 1.0}, 0.0, np.radians(degrees), "")
        for level, degrees in zip(chain[1:], (3.0, 4.0), strict=True)
        for name in level.coordinates
    ]
    after = np.radians((1 / 5.0**2 + 1 / noise**2) ** -0.5)
    sd = np.full((FRAMES, len(names), 3), after)
    found = with_shares_of_sums(names, table, shares, sd, Prior(terms))
    np.testing.assert_allclose(found[3], 25 / (25 + noise**2))
    np.testing.assert_allclose(found[4], 0.9)
    np.testing.assert_allclose(with_shares_of_sums(names, table, shares, sd, Prior())[3], [0.15, 0.3, 0.9])
    assert np.isnan(found[5]).all()
    words = observability_of(names, found, table=table)
    expected = {0.5: "measured", 2.0: "measured", 20.0: "assumed"}[noise]
    assert list(map(str, words[3])) == [expected] * 3
    assert set(words[5]) == {Observability.UNKNOWN}


@pytest.mark.parametrize("coupling", [0.0, 0.6])
def test_the_deviation_of_a_sum_without_data_is_that_of_drawn_people(coupling):
    """Oracle: people drawn from two levels' covariance, which the priors describe."""
    covariance = np.array([[9.0, coupling * 12.0], [coupling * 12.0, 16.0]])
    draws = np.random.default_rng(3).multivariate_normal([0.0, 0.0], covariance, 200_000)
    variances, axes = np.linalg.eigh(covariance)
    terms = [LinearPrior({"a": a, "b": b}, 0.0, v**0.5, "") for v, (a, b) in zip(variances, axes.T, strict=True)]
    assert Prior(terms).deviation_of_sum(["a", "b"]) == pytest.approx(draws.sum(1).std(), rel=0.01)
    assert Prior(terms).deviation_of_sum(["a"]) == pytest.approx(3.0)
    given_both = draws[np.abs(draws.sum(1)) < 0.2]
    assert Prior(terms).deviation_of_sum(["a"], ["a", "b"]) == pytest.approx(given_both[:, 0].std(), rel=0.03)
    assert np.isnan(Prior(terms).deviation_of_sum(["a", "c"]))


def test_the_table_of_levels_has_no_sums_and_is_left_out_where_no_level_is_a_result():
    table = (*TABLE, Level("lumbar", "a", "c"))
    summed = replace(spine(), levels=(*NAMES[:-1], "lumbar"))
    found = angle_table(summed, SHARES, table)
    rows = {row[0]: row[-2] for row in found.rows if row[1] == "flexion"}
    assert rows["T12-L1"] == "50 %"
    assert "lumbar" not in rows
    assert angle_table(summed, np.minimum(SHARES, 0.5), table, marked=[]) is None


def test_findings_of_one_kind_share_a_box():
    findings = [Finding("bone_length", "warning", f"bone {i}", "Look.", (3,), f"bone{i}") for i in range(5)]
    findings += [Finding("jump", "error", f"jump {i}", "Wait.") for i in range(2)]
    page = render_page(content.ReportContent("t", findings=tuple(findings)))
    assert page.index("jump 0") < page.index("jump 1") < page.index("Triangulated segments change their length")
    assert page.count("Look.") == 1
    for i in range(5):
        assert f"bone {i}" in page
    assert len(re.findall('<li [^>]*class="check"', page)) == 1
    assert len(re.findall('<li [^>]*class="bad"', page)) == 1
