"""Pictures beside the 3D view: packed as they are, shown in step, with the body where it was projected."""

import base64
from dataclasses import replace

import cv2
import numpy as np
import pytest
from opened_page import Opened
from player_data import unpack
from player_scene import FRAMES

from simspine.io.image_streams import encode_jpeg
from simspine.report import page
from simspine.report.figure_style import LILAC, YELLOW, to_bgr
from simspine.report.page import write_report
from simspine.report.scene import Film, pack_scene

WIDTH, HEIGHT = 90, 120


def grey(frame):
    """The shade of a frame's picture."""
    return 20 + 5 * frame


def film(name="cam0", every=1, frames=FRAMES):
    """A plain picture a frame; a level line that sinks by a pixel a frame, an upright spine, one detected point."""
    pictures = [encode_jpeg(np.full((HEIGHT, WIDTH, 3), grey(k), np.uint8), 90) for k in range(0, frames, every)]
    body = np.zeros((frames, 5, 2))
    body[:, :2, 0], body[:, :2, 1] = (10, 40), 20 + np.arange(frames)[:, None]
    body[:, 2:, 0], body[:, 2:, 1] = 70, (20, 60, 100)
    seen = np.full((frames, 1, 2), (25.0, 100.0))
    seen[3] = np.nan
    return Film(name, (WIDTH, HEIGHT), pictures, every, body, [(0, 1)], (2, 3, 4), seen, [YELLOW], [LILAC])


def test_it_is_packed_as_it_is():
    from player_scene import make_scene

    packed = pack_scene(replace(make_scene(), films=(film(), film("cam1", 2))))
    header, arrays = unpack(packed.header, packed.block)
    assert packed.cameras == ("cam0", "cam1")
    assert [entry["every"] for entry in header["films"]] == [1, 2]
    assert [len(entry["ends"]) for entry in header["films"]] == [FRAMES + 1, FRAMES // 2 + 1]
    np.testing.assert_allclose(arrays["body/1"], film().body, atol=0.01)
    assert np.isnan(arrays["seen/0"][3]).all()


def test_thinned_with_the_frames():
    from player_scene import make_scene

    packed = pack_scene(replace(make_scene(), films=(film(every=4),)), most=FRAMES // 2)
    header, arrays = unpack(packed.header, packed.block)
    assert header["films"][0]["every"] == 2
    np.testing.assert_allclose(arrays["body/0"], film().body[::2], atol=0.01)


def test_points_of_the_frames_kept_are_packed_like_those_of_all():
    from player_scene import make_scene

    own, scene = film(every=4), make_scene()
    poses = {name: pose[::2] for name, pose in scene.poses.items()}
    some = replace(scene, films=(replace(own, body=own.body[::2], seen=own.seen[::2]),), poses=poses, step=2)
    a, b = (pack_scene(one, most=FRAMES // 2) for one in (replace(scene, films=(own,)), some))
    assert (a.header, a.block, a.films) == (b.header, b.block, b.films)


@pytest.fixture(scope="module")
def filmed(browser, scene, tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "film.html"
    player = pack_scene(replace(scene, films=(film(), film("cam1", 4))))
    write_report(path, page.ReportContent("film", trials=(page.TrialSection("t", player=player),)))
    with Opened(browser, path.as_uri()) as window:
        yield window


def shown(window, frame):
    """The canvas once it shows this frame's picture: (height, width, 3)."""
    window.page.wait_for_function(
        "frame => document.querySelector('[data-part=screen]').dataset.frame === String(frame)", arg=frame
    )
    address = window.page.evaluate("document.querySelector('[data-part=screen]').toDataURL('image/png')")
    file = np.frombuffer(base64.b64decode(address.partition(",")[2]), np.uint8)
    image = cv2.cvtColor(cv2.imdecode(file, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(int)


@pytest.mark.parametrize("frame", [0, 17, 39])
def test_the_picture_and_the_body_belong_to_the_frame(filmed, frame):
    filmed.do("p.film.choose(0); p.seek(argument)", frame)
    picture = shown(filmed, frame)
    assert picture[5, 80].tolist() == pytest.approx([grey(frame)] * 3, abs=3)
    level = 20 + frame
    np.testing.assert_allclose(picture[level, 25], to_bgr(YELLOW)[::-1], atol=25)  # a limb of the left
    np.testing.assert_allclose(picture[100, 25], to_bgr(LILAC)[::-1], atol=25)  # detected on the right
    spine = picture[40, 70]
    assert spine[0] > spine[2] + 60  # vermillion
    filmed.root.get_by_label("body on the pictures").uncheck()
    plain = shown(filmed, frame)
    assert plain[level, 25].tolist() == pytest.approx([grey(frame)] * 3, abs=3)
    filmed.root.get_by_label("body on the pictures").check()


def test_another_camera_shows_the_picture_last_taken(filmed):
    filmed.page.get_by_role("button", name="cam1").click()
    filmed.do("p.seek(18)")
    picture = shown(filmed, 16)  # one picture in four frames; the body is that picture's
    assert picture[5, 80].tolist() == pytest.approx([grey(16)] * 3, abs=3)
    np.testing.assert_allclose(picture[36, 25], to_bgr(YELLOW)[::-1], atol=25)
    filmed.part("stage").focus()
    filmed.page.keyboard.press("c")
    assert filmed.do("return p.film.camera") == 0
    assert filmed.page.get_by_role("button", name="cam0").get_attribute("aria-pressed") == "true"
    assert filmed.complaints == []


def test_the_camera_that_saw_most_comes_first_and_an_assumed_part_of_the_spine_is_dashed(browser, scene, tmp_path):
    fuller = replace(film("cam1"), seen=np.full((FRAMES, 1, 2), (25.0, 100.0)))
    player = pack_scene(replace(scene, films=(film(), fuller), assumed=("P0",)))
    write_report(tmp_path / "film.html", page.ReportContent("film", trials=(page.TrialSection("t", player=player),)))
    with Opened(browser, (tmp_path / "film.html").as_uri()) as window:
        assert window.do("return p.film.camera") == 1
        red, _, blue = shown(window, 0)[:, 70].T
        assert 0.2 < (red > blue + 60)[24:56].mean() < 0.8
        assert (red > blue + 60)[64:96].all()
        assert window.do("return p.stage.curve.geometry.groups.map((part) => part.materialIndex)") == [1] + [0] * 7
        assert window.root.locator('[data-legend="assumed"]').is_visible()
        assert window.complaints == []


def test_what_is_chosen_is_drawn(filmed):
    assert filmed.root.locator('[data-legend="assumed"]').is_hidden()
    pick = filmed.part("pick")
    pick.locator("summary").click()
    box = pick.get_by_label("Thoracic kyphosis")
    assert filmed.root.locator(".p-panel").count() == 2
    box.uncheck()
    assert filmed.root.locator(".p-panel").count() == 1
    box.check()
    pick.locator("summary").click()


def test_print_has_a_picture_of_the_body(filmed):
    """WebGL's canvas is empty on paper: an image takes its place."""
    filmed.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    filmed.page.emulate_media(media="print")
    image = filmed.root.locator("img.p-still")
    assert image.is_visible()
    assert filmed.page.evaluate("document.querySelector('.p-stage canvas').checkVisibility()") is False
    shades = image.evaluate(
        """async e => { await e.decode(); const c = document.createElement('canvas');
        [c.width, c.height] = [e.naturalWidth, e.naturalHeight]; const pen = c.getContext('2d'); pen.drawImage(e, 0, 0);
        return new Set(new Uint32Array(pen.getImageData(0, 0, c.width, c.height).data.buffer)).size; }"""
    )
    assert shades > 500
    filmed.page.emulate_media(media="screen")


def test_right_and_left_share_a_panel(browser, scene, tmp_path):
    right = replace(scene.curves[0], name="right", label="Hip flexion, right", panel="Hip flexion", band=None)
    left = replace(right, name="left", values=right.values - 8)
    some = replace(scene, curves=(right, left))
    trials = (page.TrialSection("walk", player=pack_scene(some)),)
    write_report(tmp_path / "pair.html", page.ReportContent("walk", trials=trials))
    with Opened(browser, (tmp_path / "pair.html").as_uri()) as window:
        assert window.root.locator(".p-panel").count() == 1
        assert window.root.locator(".p-curve").count() == 2
        window.do("p.seek(12)")
        value = right.values[12]
        reading = window.root.locator(".p-reading span").all_inner_texts()
        assert reading == [f"right {value:.0f} ± 6°", f"left {value - 8:.0f} ± 6°"]
