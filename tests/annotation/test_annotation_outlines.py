"""A person's outline: in files of other programs, and drawn on the page by mouse and keys."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from served_recording import Served

from simspine.annotation.exchange import (
    FORMATS_WITH_OUTLINES,
    labelled_images_of,
    outline_edits_from,
    read_annotation_file,
    write_annotation_file,
)
from simspine.annotation.labels import (
    Edit,
    OutlineEdit,
    PointStatus,
    Visibility,
    append_edits,
    journal_file,
    read_journal,
    read_outlines,
    start_journal,
)
from simspine.cli.main import main
from simspine.core.errors import InputError
from simspine.io.coco import run_lengths
from simspine.io.labelled_images import filled_mask, has_holes, rings_from_coco, rings_to_coco, traced_outline
from simspine.vision.blazepose import Pose, Region
from simspine.vision.blazepose_spine import outline_of

SIZE = (120, 90)
SQUARE = ((9.5, 19.5), (49.5, 19.5), (49.5, 59.5), (9.5, 59.5))  # pixels 10…49, 20…59
HOLE = ((19.5, 29.5), (29.5, 29.5), (29.5, 39.5), (19.5, 39.5))
APART = ((80.25, 10.0), (110.0, 40.5), (75.0, 70.0))


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


def disc(x, y, radius):
    columns, rows = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def test_pixels_inside_are_those_whose_middle_is():
    found = filled_mask([SQUARE, HOLE], SIZE)
    wanted = np.zeros((SIZE[1], SIZE[0]), bool)
    wanted[20:60, 10:50] = True
    wanted[30:40, 20:30] = False
    np.testing.assert_array_equal(found, wanted)
    assert has_holes([SQUARE, HOLE], SIZE)
    assert not has_holes([SQUARE, APART], SIZE)
    beyond = filled_mask([((-50, -50), (300, -50), (300, 300), (-50, 300))], SIZE)
    assert beyond.all()


def test_a_traced_mask_is_the_mask():
    mask = disc(50, 40, 30) & ~disc(45, 45, 10) | disc(105, 15, 9)
    np.testing.assert_array_equal(filled_mask(traced_outline(mask), SIZE), mask)
    noise = np.random.default_rng(1).random((SIZE[1], SIZE[0])) < 0.5  # pixels that touch at corners, too
    np.testing.assert_array_equal(filled_mask(traced_outline(noise), SIZE), noise)
    assert traced_outline(np.zeros((5, 5), bool)) == ()


def test_cocos_polygons_and_runs_are_pycocotools():
    """Its own rasteriser and its packed texts are the oracle."""
    from pycocotools import mask as coco

    polygons = rings_to_coco([SQUARE], SIZE)
    np.testing.assert_array_equal(
        coco.decode(coco.merge(coco.frPyObjects(polygons, SIZE[1], SIZE[0]))), filled_mask([SQUARE], SIZE)
    )
    assert rings_from_coco(polygons, "f") == (SQUARE,)
    assert overlap(
        coco.decode(coco.merge(coco.frPyObjects(rings_to_coco([APART], SIZE), SIZE[1], SIZE[0]))).astype(bool),
        filled_mask([APART], SIZE),
    ) > 0.97  # fmt: skip
    runs = rings_to_coco([SQUARE, HOLE], SIZE)
    packed = coco.frPyObjects(runs, SIZE[1], SIZE[0])
    np.testing.assert_array_equal(coco.decode(packed), filled_mask([SQUARE, HOLE], SIZE))
    mask = disc(50, 40, 30) & ~disc(45, 45, 10)
    packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    text = {"size": packed["size"], "counts": packed["counts"].decode()}
    for form in (text, run_lengths(mask)):
        assert overlap(filled_mask(rings_from_coco(form, "f"), SIZE), mask) > 0.99


@pytest.mark.parametrize(
    "broken",
    [
        [[1, 2, 3]], [[1, 2, 3, 4]], ["x"], [[1, 2, float("nan"), 4, 5, 6]], {"size": [3], "counts": [9]},
        {"size": [3, 3], "counts": [4, 4]}, {"size": [3, 3], "counts": [12, -3]}, {"size": [3, 3], "counts": "\u00ff"},
        {"counts": "0"},
        {"size": [10**6, 10**6], "counts": [10**12]}, 7,
    ],
)  # fmt: skip
def test_what_is_no_segmentation_is_refused(broken):
    with pytest.raises(InputError, match=r"f\.json"):
        rings_from_coco(broken, "f.json")


def test_journals_keep_outlines_beside_points(tmp_path):
    path = journal_file(tmp_path, "anna")
    start_journal(path, "walk", ["cam01"], ["Nose"])
    point = Edit(0, 0, "Nose", 1.0, 2.0, Visibility.SEEN, PointStatus.CORRECTED)
    first = OutlineEdit(0, 0, (SQUARE,), PointStatus.ACCEPTED)
    last = OutlineEdit(0, 0, (SQUARE, HOLE), PointStatus.CORRECTED)
    append_edits(path, [first, point, last, OutlineEdit(1, 0, None, PointStatus.CORRECTED)])
    assert read_journal(path) == [point]
    assert read_outlines(path) == {(0, 0): last, (1, 0): OutlineEdit(1, 0, None, PointStatus.CORRECTED)}


@pytest.mark.parametrize("form", FORMATS_WITH_OUTLINES)
@pytest.mark.parametrize("rings", [(SQUARE,), (SQUARE, APART), (SQUARE, HOLE)], ids=["one", "two", "hole"])
def test_round_trip_with_outlines(form, rings, recording, tmp_path):
    drawn = {
        (1, 2): OutlineEdit(1, 2, rings, PointStatus.CORRECTED),
        (3, 0): OutlineEdit(3, 0, (APART,), PointStatus.ACCEPTED),
        (4, 0): OutlineEdit(4, 0, None, PointStatus.CORRECTED),
    }  # fmt: skip
    path = tmp_path / f"labels{'.xml' if form == 'cvat' else '.json'}"
    write_annotation_file(form, path, recording, recording.start, outlines=drawn)
    images = read_annotation_file(form, path, recording)
    assert images.file_names == (recording.image_name(1, 2), recording.image_name(3, 0))
    edits = {(edit.frame, edit.view): edit for edit in outline_edits_from(recording, {}, images)}
    assert {at: edit.status for at, edit in edits.items()} == {at: drawn[at].status for at in ((1, 2), (3, 0))}
    size = recording.sources[2].size
    assert overlap(filled_mask(edits[1, 2].rings, size), filled_mask(rings, size)) > 0.995
    if not has_holes(rings, size) or form == "label-studio":  # runs of pixels have lost their corners
        assert outline_edits_from(recording, drawn, images) == []
        np.testing.assert_allclose(np.concatenate(edits[1, 2].rings), np.concatenate(rings), atol=0.002)


def test_outlines_by_command(drawn, recording, tmp_path):
    path = journal_file(recording.home, "anna")
    start_journal(path, recording.name, recording.views, recording.start.names)
    append_edits(path, [OutlineEdit(1, 2, (SQUARE,), PointStatus.CORRECTED)])
    common = [str(drawn[0]), "--out", str(recording.home), "--format", "coco", "--file", str(tmp_path / "l.json")]
    done = CliRunner().invoke(main, ["annotations", "export", *common, "--annotator", "anna"])
    assert done.exit_code == 0, done.output
    (row,) = json.loads((tmp_path / "l.json").read_text())["annotations"]
    assert row["segmentation"] == [[10.0, 20.0, 50.0, 20.0, 50.0, 60.0, 10.0, 60.0]]
    assert row["area"] == 1600
    done = CliRunner().invoke(main, ["annotations", "import", *common, "--annotator", "ben"])
    assert done.exit_code == 0, done.output
    assert read_outlines(journal_file(recording.home, "ben")) == read_outlines(path)


def test_a_masks_outline_lies_where_its_cells_are():
    """A disc of logits in a crop that is turned: its outline is the turned disc's."""
    cells = np.hypot(*(np.mgrid[:256, :256] - np.array([100, 160])[:, None, None]))
    region = Region(60.0, 45.0, 128.0, 0.4)
    pose = Pose(np.zeros((33, 3)), region, (40.0 - cells).astype(np.float32), region, np.zeros(33))
    centre = region.to_image(np.array([160.5, 100.5]) / 256)
    found = filled_mask(outline_of(pose, SIZE), SIZE)
    assert overlap(found, disc(*(centre - 0.5), 20.0)) > 0.93


class Drawn:
    """The page in outline mode, its proposals given, so that no network decides the test."""

    def __init__(self, browser, recording):
        self.served = Served(recording)
        self.served.session.proposed_outline = lambda frame, view: {"rings": [PROPOSED] if view == 0 else []}
        self.page = browser.new_page(viewport={"width": 1400, "height": 850})
        self.complaints = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda m: m.type in ("error", "warning") and self.complaints.append(m.text))
        self.page.goto(self.served.address)
        self.page.wait_for_selector("body[data-ready=yes]")
        self.page.keyboard.press("m")
        self.page.wait_for_selector("body[data-proposed]")

    def spot(self, view, x, y):
        u, v = self.page.evaluate("([k, x, y]) => window.annotate.views[k].toScreen(x, y)", [view, x, y])
        box = self.page.locator("figure canvas").nth(view).bounding_box()
        return box["x"] + u, box["y"] + v

    def drag(self, view, start, end):
        self.page.mouse.move(*self.spot(view, *start))
        self.page.mouse.down()
        self.page.mouse.move(*self.spot(view, *end), steps=4)
        self.page.mouse.up()

    def click(self, view, x, y):
        self.page.mouse.click(*self.spot(view, x, y))

    def saved(self):
        """{view: (rings, status)} of the shown frame, once they are on the disk."""
        self.page.wait_for_function("() => !window.annotate.labels.unsaved.length && !window.annotate.labels.saving")
        frame = self.page.evaluate("window.annotate.frame")
        found = read_outlines(self.served.session._path)
        return {view: (edit.rings, edit.status) for (f, view), edit in found.items() if f == frame}

    def close(self):
        self.page.close()
        self.served.stop()


PROPOSED = ((300.0, 100.0), (420.0, 100.0), (420.0, 300.0), (300.0, 300.0))


@pytest.fixture
def outlining(browser, recording):
    found = Drawn(browser, recording)
    yield found
    found.close()
    assert found.complaints == []


def test_a_proposal_is_corrected_by_mouse_and_undone(outlining):
    assert outlining.saved() == {}  # a proposal decides nothing
    outlining.drag(0, (420, 100), (440, 90))
    ((rings, status),) = outlining.saved().values()
    assert status == PointStatus.CORRECTED
    np.testing.assert_allclose(rings[0], [(300, 100), (440, 90), (420, 300), (300, 300)], atol=1.5)
    outlining.drag(0, (300, 200), (280, 200))  # an edge gives a corner
    assert len(outlining.saved()[0][0][0]) == 5
    outlining.page.keyboard.press("Delete")
    np.testing.assert_allclose(outlining.saved()[0][0][0], rings[0], atol=1e-6)
    for _ in range(3):
        outlining.page.keyboard.press("Control+z")
    assert outlining.saved()[0] == (None, PointStatus.UNSEEN)
    assert outlining.page.evaluate("window.annotate.outline.of(0).how") == 0  # the proposal shows again
    outlining.page.keyboard.press("Control+y")
    np.testing.assert_allclose(outlining.saved()[0][0][0], rings[0], atol=1e-6)
    assert read_journal(outlining.served.session._path) == []  # no point was touched


def test_accepting_nudging_and_removing_by_keys(outlining):
    press = outlining.page.keyboard.press
    outlining.page.locator("figcaption button").nth(0).click()  # the first view alone, and active
    press("Enter")
    assert outlining.saved()[0] == ((PROPOSED,), PointStatus.ACCEPTED)
    press("n")
    press("Shift+ArrowRight")
    press("Alt+Shift+ArrowDown")
    rings, status = outlining.saved()[0]
    assert (rings[0][0], status) == ((301.0, 110.0), PointStatus.CORRECTED)
    press("i")
    assert outlining.saved()[0][0][0][1] == (360.5, 105.0)
    press("o")  # about points: does nothing here
    press("x")
    assert outlining.saved()[0] == (None, PointStatus.CORRECTED)
    assert read_journal(outlining.served.session._path) == []
    press("m")
    assert outlining.page.locator("[data-part=points]").is_visible()


def test_an_outline_with_a_hole_is_drawn_click_by_click(outlining):
    press = outlining.page.keyboard.press
    square = [(300, 150), (450, 150), (450, 300), (300, 300)]
    hole = [(340, 190), (400, 190), (400, 260)]
    for corner in square:
        outlining.click(1, *corner)
    press("Backspace")
    outlining.click(1, *square[-1])
    outlining.click(1, *square[0])  # closes
    press("d")
    for corner in hole:
        outlining.click(1, *corner)
    press("Enter")
    rings, status = outlining.saved()[1]
    assert status == PointStatus.CORRECTED
    np.testing.assert_allclose(rings[0], square, atol=1.5)
    np.testing.assert_allclose(rings[1], hole, atol=1.5)
    outlining.page.reload()
    outlining.page.wait_for_selector("body[data-ready=yes]")
    assert outlining.page.evaluate("window.annotate.points.outlines[1].rings.length") == 2


def test_an_outline_is_drawn_without_a_mouse(outlining):
    press = outlining.page.keyboard.press
    outlining.page.locator("figcaption button").nth(2).click()
    press("d")
    for keys in (["i"], ["i", *["Alt+Shift+ArrowDown"] * 3], ["i", *["Alt+Shift+ArrowLeft"] * 6]):
        for key in keys:
            press(key)
    press("Enter")
    (ring,), status = outlining.saved()[2]
    assert status == PointStatus.CORRECTED
    assert len(ring) == 3
    np.testing.assert_allclose(ring[1][1] - ring[0][1], 30.0)


def test_blazepose_proposes_an_outline(recording):
    """The drawn person may not be one for it: rings, or none; never a fault, and inside the image."""
    served = Served(recording)
    try:
        for ring in served.session.proposed_outline(0, 0)["rings"]:
            assert (np.array(ring) >= -0.5).all()
            assert (np.array(ring) < np.array(recording.sources[0].size)).all()
    finally:
        served.stop()


def test_images_with_an_outline_alone_are_written(recording):
    drawn = {(2, 1): OutlineEdit(2, 1, (SQUARE,), PointStatus.ACCEPTED)}
    found = labelled_images_of(recording, recording.start, outlines=drawn)
    assert found.file_names == (recording.image_name(2, 1),)
    assert found.outline(0).rings == (SQUARE,)
