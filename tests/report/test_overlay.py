"""Overlays: drawn where they should be, inside the picture, and visible."""

import time

import cv2
import numpy as np
import pytest

from simspine.anatomy.curvature import SPINE_CHAIN_MARKERS
from simspine.core.errors import InputError
from simspine.core.geometry import smooth_curve
from simspine.io.image_streams import encode_jpeg
from simspine.report import canvas
from simspine.report.figure_style import LILAC, ORANGE, SKY, VERMILLION, YELLOW, to_bgr
from simspine.report.overlay import (
    SHEET_ASPECT,
    SHEET_HEIGHT_PX,
    PersonLayer,
    draw_layers,
    legend_below,
    overlay_sheet,
    person_box,
)

GREY, TALL = np.full((400, 300, 3), 120, np.uint8), np.full((600, 400, 3), 120, np.uint8)


def changed(image, reference=GREY):
    """(n, 2) x, y of pixels that differ clearly."""
    rows, columns = np.nonzero(np.abs(image.astype(int) - reference.astype(int)).max(-1) > 25)
    return np.stack([columns, rows], -1)


def plain(layer, image=GREY):
    return draw_layers(image, [layer])


@pytest.mark.parametrize(
    ("layer", "centre"),
    [
        (PersonLayer({"Nose": (60.25, 80.5)}), (60.25, 80.5)),
        (PersonLayer({"Nose": (60, 80)}, inferred={"Nose"}), (60, 80)),
        (PersonLayer({"Nose": (60, 80)}, pruned={"Nose"}), (60, 80)),
        (PersonLayer({"Nose": (60, 80)}, swapped={"Nose"}), (60, 80)),
        (PersonLayer(body={"LHip": (200, 300)}), (200, 300)),
        (PersonLayer(body={"Hip": (200, 300), "Neck": (200, 300)}), (200, 300)),
    ],
)
def test_drawn_where_it_is(layer, centre):
    before = GREY.copy()
    image = plain(layer)
    spots = changed(image)
    assert image.shape == GREY.shape
    assert image.dtype == np.uint8
    np.testing.assert_allclose(spots.mean(0), centre, atol=0.6)
    assert np.abs(spots - centre).max() < 12
    np.testing.assert_array_equal(GREY, before)  # the frame handed in is not touched


def spine():
    return {name: (200, 500 - 45 * i) for i, name in enumerate(SPINE_CHAIN_MARKERS)}


def colour(picture, x, y):
    return tuple(int(v) for v in picture[y, x])


def test_left_and_right_have_their_colours():
    points = {"LElbow": (300, 200), "LWrist": (300, 400), "RElbow": (100, 200), "RWrist": (100, 400)}
    picture = draw_layers(TALL, [PersonLayer(points)])
    assert colour(picture, 300, 300) == to_bgr(YELLOW)
    assert colour(picture, 100, 300) == to_bgr(LILAC)
    assert colour(picture, 300, 200) == colour(picture, 100, 200) == to_bgr(SKY)  # detected points
    assert picture.shape == TALL.shape
    assert (TALL == 120).all()


def test_a_detected_spine_is_filled_and_an_inferred_one_hollow_and_broken():
    seen = plain(PersonLayer(spine()), TALL)
    guessed = draw_layers(TALL, [PersonLayer(spine(), inferred=set(SPINE_CHAIN_MARKERS))])
    estimated = draw_layers(TALL, [PersonLayer(spine(), estimated=set(SPINE_CHAIN_MARKERS))])
    assert (estimated != seen).any(2).sum() > 50
    assert (estimated != guessed).any(2).sum() > 50
    assert colour(seen, 200, 500) == to_bgr(SKY)
    assert colour(guessed, 200, 500) not in (to_bgr(SKY), to_bgr(ORANGE))
    along = np.arange(150, 490)
    red = np.array([colour(seen, 200, y) in (to_bgr(VERMILLION), to_bgr(SKY)) for y in along])  # a line with points
    orange = np.array([colour(guessed, 200, y) == to_bgr(ORANGE) for y in along])
    assert red.mean() > 0.85
    assert 0.2 < orange.mean() < 0.8
    assert not (guessed == np.array(to_bgr(VERMILLION))).all(-1).any()


def test_less_sure_points_are_smaller():
    def area(confidence):
        picture = draw_layers(TALL, [PersonLayer({"LWrist": (200, 300), "LKnee": (200, 20)}, {"LWrist": confidence})])
        return int((picture[250:350] == np.array(to_bgr(SKY))).all(-1).sum())

    assert area(1.0) > 2 * area(0.3) > 0


def test_marks_differ():
    images = [
        plain(PersonLayer({"p": (100, 100)}, **marks))
        for marks in ({}, {"inferred": {"p"}}, {"pruned": {"p"}}, {"swapped": {"p"}}, {"estimated": {"p"}})
    ]
    for i in range(5):
        for j in range(i):
            assert len(changed(images[i], images[j])) > 5, (i, j)


def test_missing_and_wild_points_do_no_harm():
    nothing = plain(PersonLayer({"a": (np.nan, 5)}, body={"b": (np.nan, np.nan)}))
    np.testing.assert_array_equal(nothing, GREY)
    wild = PersonLayer(body={"LHip": (1e9, -1e9), "LKnee": (150, 200), "Hip": (1e9, 7), "Neck": (-1e9, 8)})
    assert plain(wild).shape == GREY.shape
    outside = plain(PersonLayer({"a": (-500, -500)}))
    np.testing.assert_array_equal(outside, GREY)
    at_the_rim = PersonLayer({name: (10, 20 - 45 * i) for i, name in enumerate(spine())}, label="person 12 · 0.93")
    assert plain(at_the_rim).shape == GREY.shape
    plain(PersonLayer({"Hip": (200, 300)}))  # one point of the spine is no curve
    np.testing.assert_array_equal(draw_layers(GREY, []), GREY)


def test_crop_shows_the_person_where_they_are():
    """A dot painted into the frame must lie under the mark drawn for it, after cropping and scaling."""
    image = np.full((1920, 1080, 3), 60, np.uint8)
    points = {"a": (400, 700), "b": (520, 1100), "c": (460.0, 900)}
    for x, y in points.values():
        cv2.circle(image, (round(x), round(y)), 14, (0, 255, 0), -1)
    layer = PersonLayer({"c": points["c"]}, body={name: points[name] for name in ("a", "b")})
    box = person_box(layer.xy, (1080, 1920), SHEET_ASPECT)
    assert box[0] < 400
    assert box[2] > 520
    assert box[1] < 700
    assert box[3] > 1100
    assert (box[2] - box[0]) / (box[3] - box[1]) == pytest.approx(SHEET_ASPECT, abs=0.01)
    picture = draw_layers(image, [layer], box=box, height=960)
    assert picture.shape[0] == 960
    assert picture.shape[1] == pytest.approx(720, abs=1)
    green = (picture[..., 1] > 150) & (picture[..., 0] < 90) & (picture[..., 2] < 90)
    scale = 960 / (box[3] - box[1])
    for x, y in points.values():
        at = (np.array([x, y]) + 0.5 - box[:2]) * scale - 0.5
        rows, columns = np.nonzero(green)
        near = np.hypot(columns - at[0], rows - at[1]) < 20 * scale
        assert near.any()  # a ring of the painted dot is left around the mark …
        np.testing.assert_allclose([columns[near].mean(), rows[near].mean()], at, atol=1.0)  # … centred on it


def test_person_at_the_edge_is_padded():
    layer = PersonLayer(body={"a": (2, 10), "b": (4, 390)})
    box = person_box(layer.xy, (300, 400), SHEET_ASPECT)
    assert box[1] < 0
    picture = draw_layers(GREY, [layer], box=box, height=300)
    assert picture.shape[0] == 300
    assert (picture[0] == np.array(to_bgr(canvas.DARK))).all()


def test_where_nobody_is_the_whole_image_is_shown():
    x0, y0, x1, y1 = person_box(np.array([[np.nan, 5], [900, 10]]), (640, 480), SHEET_ASPECT)
    assert (x0 <= 0, y0 <= 0, x1 >= 640, y1 >= 480) == (True,) * 4
    assert (x1 - x0) / (y1 - y0) == pytest.approx(SHEET_ASPECT, abs=0.01)


def test_caption_and_legend_say_what_is_there():
    layer = PersonLayer(
        {"p": (100, 100), "q": (120, 120), "LHip": (90, 95)},
        confidence={"LHip": 0.2},
        inferred={"q"},
        body={"Hip": (90, 90)},
    )
    assert layer.signs == {"detected", "left", "unsure", "inferred", "body_spine"}
    bare = plain(layer)
    full = draw_layers(GREY, [layer], caption="cam01 · 0.5 s " * 40)
    rows = np.unique(changed(full, bare)[:, 1])
    assert rows.max() < 0.08 * bare.shape[0]  # the caption only takes the upper edge
    strip = legend_below(full, layer.signs)
    assert strip.shape[1] == full.shape[1]
    assert strip.max() > 200  # something is written there
    assert len(legend_below(full, ())) == 0
    below = legend_below(GREY, {"inferred"})
    assert (below == np.array(to_bgr(ORANGE))).all(-1).any()
    assert not (below == np.array(to_bgr(VERMILLION))).all(-1).any()


@pytest.mark.parametrize("sign", [sign for sign in canvas.SIGNS if "body" not in sign and sign != "spine"])
def test_the_legend_shows_each_sign_as_it_is_drawn(sign):
    marks = {} if sign == "detected" else {sign: {"LWrist"}}
    assert sign in PersonLayer({"LWrist": (1, 1)}, **marks).signs
    plain_entry = legend_below(GREY, {"detected"})
    assert sign == "detected" or (legend_below(GREY, {sign})[:, :30] != plain_entry[:, :30]).any()


def test_smooth_curve_passes_through_its_points():
    points = np.array([[0, 0], [10, 3], [25, 4], [30, 20]], float)
    curve = smooth_curve(points, per_span=10)
    assert len(curve) == 31
    np.testing.assert_allclose(curve[::10], points, atol=1e-9)
    line = smooth_curve(np.outer(np.arange(4.0), [1, 2]))
    np.testing.assert_allclose(line[:, 1], 2 * line[:, 0], atol=1e-9)  # a straight spine stays straight
    assert len(smooth_curve(np.array([[1, 1], [1, 1], [2, 2]]))) == 2  # a repeated point counts once
    assert len(smooth_curve(np.zeros((0, 2)))) == 0


def test_sheet():
    layer = PersonLayer({"p": (100, 100)})
    sheet = overlay_sheet([[(GREY, layer), None], [(GREY, layer), (GREY[:, ::2], layer)]], ["a", "b"], ["0 s", "1 s"])
    assert sheet.shape[1] == pytest.approx(2 * SHEET_HEIGHT_PX * SHEET_ASPECT + canvas.GRID_GAP_PX, abs=2)
    assert sheet.shape[0] > 2 * SHEET_HEIGHT_PX + canvas.GRID_GAP_PX
    assert encode_jpeg(sheet)[:3] == b"\xff\xd8\xff"
    back = cv2.imdecode(np.frombuffer(encode_jpeg(sheet, 95), np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(back.astype(int) - sheet).mean() < 4


def test_wrong_input_is_named():
    with pytest.raises(InputError, match="uint8"):
        draw_layers(GREY.astype(float), ())
    with pytest.raises(InputError, match="expected"):
        encode_jpeg(GREY[..., 0])


def test_text_fits_and_unicode_is_drawn():
    assert canvas.text_width("µm–°", 20) > canvas.text_width("µm", 20) > 0
    out = canvas.draw_text(canvas.blank_picture(200, 40), (4, 20), "ünï°", 20)
    assert changed(out, canvas.blank_picture(200, 40))[:, 0].max() < 4 + canvas.text_width("ünï°", 20) + 2


def test_markers_on_the_skin_carry_their_names():
    """Something dark stands right of a marker, left where there is no room; of a tape only the ends have it.

    Names of near markers are as readable as those of distant ones."""
    middle, edge = np.array([100.0, 150.0]), np.array([GREY.shape[1] - 3.0, 150.0])

    def tagged(**points):
        layer = PersonLayer({f"{name}_skin": at for name, at in points.items()})
        assert layer.signs == {"skin"}
        return (plain(layer) < 40).all(-1)

    one = tagged(C7=middle)
    assert one[140:160, 108:140].sum() > 100
    assert one[140:160, 60:95].sum() == 0
    assert tagged(C7=edge)[140:160, 250:290].sum() > 100
    near, distant = (tagged(T7=middle, T10=middle + by)[:, 110:].sum() for by in ((0, 4), (0, 60)))
    assert near == pytest.approx(distant, rel=0.03)
    row = {f"T{n}.50": np.array([100.0, 40.0 + 25 * n]) for n in range(1, 6)}
    tags = tagged(**row)[:, 108:140].sum(1)
    assert tags[55:75].any()
    assert tags[155:175].any()
    assert not tags[105:125].any()


def test_a_caption_without_end_is_cut_at_once():
    """It may be the name of a camera in a foreign file; shortening it letter by letter would take hours."""
    start = time.process_time()
    canvas.draw_tag(np.zeros((60, 90, 3), np.uint8), (0, 30), "x" * 200_000)
    assert time.process_time() - start < 5
