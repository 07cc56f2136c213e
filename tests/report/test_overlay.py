"""Overlays: drawn where they should be, inside the picture, and visible."""

import cv2
import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.core.geometry import smooth_curve
from simspine.io.image_streams import encode_jpeg
from simspine.report import canvas
from simspine.report.overlay import (
    PERSON_BOX_ASPECT,
    OverlayLayer,
    draw_overlay,
    layer_symbols,
    overlay_sheet,
    person_box,
)

GREY = np.full((400, 300, 3), 120, np.uint8)


def changed(image, reference=GREY):
    """(n, 2) x, y of pixels that differ clearly."""
    rows, columns = np.nonzero(np.abs(image.astype(int) - reference.astype(int)).max(-1) > 25)
    return np.stack([columns, rows], -1)


def plain(layer, image=GREY):
    return draw_overlay(image, layer, height=len(image), crop=False)


@pytest.mark.parametrize(
    ("layer", "centre"),
    [
        (OverlayLayer(detected={"Nose": (60.25, 80.5)}), (60.25, 80.5)),
        (OverlayLayer(detected={"Nose": (60, 80)}, inferred=frozenset({"Nose"})), (60, 80)),
        (OverlayLayer(detected={"Nose": (60, 80)}, pruned=frozenset({"Nose"})), (60, 80)),
        (OverlayLayer(detected={"Nose": (60, 80)}, swapped=frozenset({"Nose"})), (60, 80)),
        (OverlayLayer(model={"LHip": (200, 300)}), (200, 300)),
        (OverlayLayer(model={"Hip": (200, 300), "Neck": (200, 300)}, spine=("Hip", "Neck")), (200, 300)),
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


def test_inferred_is_hollow_and_detected_is_not():
    seen = plain(OverlayLayer(detected={"p": (100, 100)}))
    inferred = plain(OverlayLayer(detected={"p": (100, 100)}, inferred=frozenset({"p"})))
    assert (seen[100, 100] != 120).any()
    assert (inferred[100, 100] == 120).all()


def test_marks_differ():
    images = [
        plain(OverlayLayer(detected={"p": (100, 100)}, **marks))
        for marks in ({}, {"inferred": {"p"}}, {"pruned": {"p"}}, {"swapped": {"p"}}, {"estimated": {"p"}})
    ]
    for i in range(5):
        for j in range(i):
            assert len(changed(images[i], images[j])) > 5, (i, j)


def test_missing_and_wild_points_do_no_harm():
    nothing = plain(OverlayLayer(detected={"a": (np.nan, 5)}, model={"b": (np.nan, np.nan)}))
    np.testing.assert_array_equal(nothing, GREY)
    wild = OverlayLayer(model={"a": (1e9, -1e9), "b": (150, 200)}, edges=(("a", "b"), ("b", "none")), spine=("x", "a"))
    assert draw_overlay(GREY, wild).shape[0] > 0
    outside = plain(OverlayLayer(detected={"a": (-500, -500)}))
    np.testing.assert_array_equal(outside, GREY)


def test_crop_shows_the_person_where_they_are():
    """A dot painted into the frame must lie under the mark drawn for it, after cropping and scaling."""
    image = np.full((1920, 1080, 3), 60, np.uint8)
    points = {"a": (400, 700), "b": (520, 1100), "c": (460.0, 900)}
    for x, y in points.values():
        cv2.circle(image, (round(x), round(y)), 14, (0, 255, 0), -1)
    layer = OverlayLayer(model={name: points[name] for name in ("a", "b")}, detected={"c": points["c"]})
    box = person_box(layer, (1080, 1920))
    assert box[0] < 400
    assert box[2] > 520
    assert box[1] < 700
    assert box[3] > 1100
    assert (box[2] - box[0]) / (box[3] - box[1]) == pytest.approx(PERSON_BOX_ASPECT, abs=0.01)
    picture = draw_overlay(image, layer, height=960)
    assert picture.shape == (960, 720, 3)
    green = (picture[..., 1] > 150) & (picture[..., 0] < 90) & (picture[..., 2] < 90)
    scale = 960 / (box[3] - box[1])
    for x, y in points.values():
        at = (np.array([x, y]) + 0.5 - box[:2]) * scale - 0.5
        rows, columns = np.nonzero(green)
        near = np.hypot(columns - at[0], rows - at[1]) < 20 * scale
        assert near.any()  # a ring of the painted dot is left around the mark …
        np.testing.assert_allclose([columns[near].mean(), rows[near].mean()], at, atol=1.0)  # … centred on it


def test_person_at_the_edge_is_padded():
    layer = OverlayLayer(model={"a": (2, 100), "b": (4, 380)})
    picture = draw_overlay(GREY, layer, height=300)
    assert picture.shape == (300, 225, 3)


def test_caption_and_legend_say_what_is_there():
    layer = OverlayLayer(
        detected={"p": (100, 100), "q": (120, 120)}, inferred={"q"}, model={"Hip": (90, 90)}, spine=("Hip",)
    )
    assert layer_symbols(layer) == {"detected", "inferred", "spine"}
    bare = draw_overlay(GREY, layer)
    full = canvas.add_legend(draw_overlay(GREY, layer, caption="cam01 · 0.5 s " * 40), layer_symbols(layer))
    assert full.shape[0] > bare.shape[0]  # the legend stands below and hides nothing
    assert full.shape[1] == bare.shape[1]
    rows = np.unique(changed(full[: bare.shape[0]], bare)[:, 1])
    assert rows.max() < 0.08 * bare.shape[0]  # the caption only takes the upper edge
    assert full[bare.shape[0] :].max() > 200  # something is written there


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
    layer = OverlayLayer(detected={"p": (100, 100)})
    sheet = overlay_sheet(
        [[(GREY, layer), None], [(GREY, layer), (GREY[:, ::2], layer)]], ["a", "b"], ["0 s", "1 s"], 200
    )
    gap = 2
    assert sheet.shape[1] == 2 * 150 + gap
    assert sheet.shape[0] > 2 * 200 + gap
    assert encode_jpeg(sheet)[:3] == b"\xff\xd8\xff"
    back = cv2.imdecode(np.frombuffer(encode_jpeg(sheet, 95), np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(back.astype(int) - sheet).mean() < 4


def test_wrong_input_is_named():
    with pytest.raises(InputError, match="uint8"):
        draw_overlay(GREY.astype(float), OverlayLayer())
    with pytest.raises(InputError, match="expected"):
        encode_jpeg(GREY[..., 0])


def test_text_fits_and_unicode_is_drawn():
    assert canvas.text_width("µm–°", 20) > canvas.text_width("µm", 20) > 0
    out = canvas.draw_text(canvas.blank_picture(200, 40), (4, 20), "ünï°", 20)
    assert changed(out, canvas.blank_picture(200, 40))[:, 0].max() < 4 + canvas.text_width("ünï°", 20) + 2


def test_markers_on_the_skin_carry_their_names():
    """Something dark stands right of a marker, nothing where it would not fit; of a tape only the ends have it."""
    middle, edge = np.array([100.0, 150.0]), np.array([GREY.shape[1] - 3.0, 150.0])

    def tagged(**points):
        layer = OverlayLayer(detected={f"{name}_skin": at for name, at in points.items()})
        assert layer_symbols(layer) == {"skin"}
        return (draw_overlay(GREY, layer, height=GREY.shape[0], crop=False) < 40).all(-1)

    one = tagged(C7=middle)
    assert one[140:160, 108:140].sum() > 100
    assert one[140:160, 60:95].sum() == 0
    assert tagged(C7=edge).sum() < one.sum() / 2
    row = {f"T{n}.50": np.array([100.0, 40.0 + 25 * n]) for n in range(1, 6)}
    tags = tagged(**row)[:, 108:140].sum(1)
    assert tags[55:75].any()
    assert tags[155:175].any()
    assert not tags[105:125].any()
