"""The player in a real browser, from a file, with the network off: it plays, follows the hand, and stays readable."""

import csv
import itertools
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from opened_page import Opened
from player_scene import FRAMES, HOSTILE, RATE

from simspine.quality.findings import Finding
from simspine.report import page as content
from simspine.report.figure_style import BLUE, GREY, ORANGE, to_bgr
from simspine.report.page import write_report
from simspine.report.scene import pack_scene

A4_PX = 718  # between usual margins


@pytest.fixture(scope="module")
def address(scene, tmp_path_factory):
    """A page with two players, of which the second is far below."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    filler = tuple((f"{i}", "far from the second player") for i in range(60))
    trials = (
        content.TrialSection(HOSTILE, player=pack_scene(scene)),
        content.TrialSection("between", tables=(content.PageTable(("n", "why"), filler),)),
        content.TrialSection("second", player=pack_scene(scene)),
    )
    write_report(path, content.ReportContent("Players", trials=trials))
    return path.as_uri()


@pytest.fixture(scope="module")
def opened(browser, address):
    with Opened(browser, address) as window:
        yield window


@pytest.fixture
def window(opened):
    """The shared window, put back to the first frame."""
    opened.do("p.toggle(false); p.seek(0); p.setSpeed(1); p.stage.setView('side')")
    return opened


def test_it_opens_from_a_file_and_asks_nobody(window):
    assert [url for url in window.requests if not url.startswith("data:")] == [window.address]
    assert window.complaints == []


def test_only_what_is_looked_at_has_started(window):
    """Also the reason why a long page is soon painted. Until then it says that it loads."""
    assert window.page.locator(".player").nth(1).get_attribute("data-ready") is None
    said = "getComputedStyle(document.querySelectorAll('.p-stage')[{}], '::after').content"
    assert [window.page.evaluate(said.format(number)) for number in (0, 1)] == ["none", '"Loading …"']


def test_the_bones_stand_where_the_data_say(window, scene):
    """three.js' own matrices of the meshes against the poses handed in."""
    for frame in (0, 17, 33):
        window.do("p.seek(argument)", frame)
        placed = window.do("return p.stage.bones.map(([body, mesh]) => [body, mesh.matrix.elements, mesh.visible])")
        for bone, (body, elements, visible) in zip(scene.bones, placed, strict=True):
            assert visible
            assert list(scene.poses)[body] == bone.body
            np.testing.assert_allclose(np.reshape(elements, (4, 4)).T, scene.poses[bone.body][frame], atol=3e-4)
    window.do("p.seek(12)")
    visible = window.do("return p.stage.bones.map(([, mesh]) => mesh.visible)")
    assert visible == [bone.body != "T6" for bone in scene.bones]  # that frame of T6 was not solved


def test_points_gaps_and_tube(window, scene):
    window.do("p.seek(6)")
    at = window.do("return [...p.stage.dots.detected.mesh.instanceMatrix.array]")
    at = np.reshape(at, (2, 16))[:, 12:15]
    np.testing.assert_allclose(at[0], scene.points.xyz[6, 0], atol=1e-4)
    assert at[1, 1] < -50  # missing: out of sight
    ends = window.do(
        "const a = p.stage.tube.geometry.attributes.position.array, n = p.stage.tube.sides + 1;"
        "return [[...a.slice(0, 3 * n)], [...a.slice(-3 * n)]]"
    )
    for ring, point, sd in zip(ends, scene.spine.xyz[6, [0, -1]], (0.005, 0.03), strict=True):
        radii = np.linalg.norm(np.reshape(ring, (-1, 3)) - point, axis=1)
        np.testing.assert_allclose(radii, 1.96 * sd, atol=2e-4)


def test_slider_moves_the_pose_and_the_cursor(window):
    before = window.picture()
    slider = window.part("slider")
    slider.fill("10")
    assert window.frame == 10
    assert "frame 10" in window.part("frame").inner_text()
    assert slider.get_attribute("aria-valuetext").startswith("frame 10 (0–39), 0.50 s")
    changed = np.abs(window.picture() - before).max(-1) > 40
    assert 0.002 < changed.mean() < 0.5
    xs = []
    for frame in (0, 13, 39):
        slider.fill(str(frame))
        cursor = window.root.locator(".p-cursor").bounding_box()
        xs.append(cursor["x"] + cursor["width"] / 2)
    panel = window.root.locator(".p-panel").first.bounding_box()
    np.testing.assert_allclose(xs, panel["x"] + panel["width"] * np.array([0, 13, 39]) / 39, atol=1.5)


def test_curves_are_saved_as_a_table_and_as_a_picture(window, scene):
    """The table against the curves; the picture is XML that stands by itself."""
    saved = {}
    for kind in ("csv", "svg"):
        with window.page.expect_download() as started:
            window.part(kind).click()
        assert started.value.suggested_filename.endswith(f"_curves.{kind}")
        saved[kind] = Path(started.value.path()).read_text(encoding="utf-8-sig")
    head, *rows = csv.reader(saved["csv"].splitlines())
    assert head[:5] == ["frame", "time, s", "status", "Lumbar lordosis, °", "± 95 %, °"]
    assert head[5] == "Thoracic kyphosis, ° (not a result)"
    assert len(rows) == len(scene.curves[0].values)
    assert rows[10][:3] == ["10", "0.5000", "rejected"]
    values, reach, other, none = np.array([[cell or "nan" for cell in row[3:]] for row in rows], float).T
    np.testing.assert_allclose(values, scene.curves[0].values, atol=0.01)
    np.testing.assert_allclose(reach, 1.96 * 3.0, atol=0.01)
    np.testing.assert_array_equal(np.isnan(other), np.isnan(scene.curves[1].values))
    assert np.isnan(none).all()
    root = ElementTree.fromstring(saved["svg"])
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len([one for one in root.iter() if "p-curve" in one.get("class", "").split()]) == len(scene.curves)
    assert ".p-curve" in saved["svg"].partition("<style")[2], "with the page's styles"


def test_the_reading_is_the_curve(window, scene):
    window.part("slider").fill("25")
    readings = window.root.locator(".p-reading").all_inner_texts()
    assert readings[0] == f"{scene.curves[0].values[25]:.0f} ± 6°"  # 1.96 × 3°
    assert readings[1] == f"({scene.curves[1].values[25]:.1f}°)"  # set by the model: not a result
    before = "getComputedStyle(document.querySelector('.p-reading'), '::before').content"
    assert window.page.evaluate(before) == '"1.25 s: "', "whose value it is"
    window.part("slider").fill("7")
    assert window.root.locator(".p-reading").nth(1).inner_text() == "–"


def test_a_click_in_the_curves_goes_to_that_moment(window):
    window.part("plot").scroll_into_view_if_needed()
    panel = window.root.locator(".p-panel").nth(1).bounding_box()
    for share in (0.25, 0.8):
        window.page.mouse.click(panel["x"] + share * panel["width"], panel["y"] + 20)
        assert window.frame == round(share * (FRAMES - 1))


def test_it_plays_at_its_speed_and_stops(window):
    button = window.part("play")
    button.click()
    assert button.get_attribute("aria-label") == "Pause"
    drawn = "return new Promise((done) => requestAnimationFrame((now) => done([now, p.frame])))"
    start = window.do(drawn)
    window.page.wait_for_timeout(600)
    end = window.do(drawn)
    passed = (end[0] - start[0]) / 1000 * RATE
    assert abs((end[1] - start[1]) % FRAMES - passed) < 3
    button.click()
    stopped = window.frame
    window.page.wait_for_timeout(150)
    assert window.frame == stopped
    assert button.get_attribute("aria-label") == "Play"


def test_the_keyboard_does_it_all(window):
    window.part("stage").focus()
    press = window.page.keyboard.press
    for key, frame in (("End", 39), ("ArrowLeft", 38), ("Home", 0), ("ArrowRight", 1), ("PageDown", 21), ("PageUp", 1)):
        press(key)
        assert window.frame == frame, key
    press("Space")
    assert window.do("return p.playing")
    press("Space")
    assert not window.do("return p.playing")
    for key, change in (("+", -1), ("-", 1)):
        before = window.do("return p.stage.orbit.distance")
        press(key)
        assert np.sign(window.do("return p.stage.orbit.distance") - before) == change
    turn = window.do("return p.stage.orbit.turn")
    press("Shift+ArrowLeft")
    assert window.do("return p.stage.orbit.turn") != turn
    press("ArrowUp")
    assert window.do("return p.speed") == 2
    assert window.part("speed").input_value() == "2"
    window.part("slider").focus()
    press("End")
    assert window.frame == 39


def test_the_mouse_turns_and_the_wheel_zooms_only_what_was_chosen(window):
    box = window.part("stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    window.page.evaluate("document.activeElement.blur()")
    window.page.mouse.move(x, y)
    distance = window.do("return p.stage.orbit.distance")
    window.page.mouse.wheel(0, 1)
    assert window.do("return p.stage.orbit.distance") == distance  # the page scrolls
    turn = window.do("return p.stage.orbit.turn")
    window.page.mouse.down()
    window.page.mouse.move(x + 80, y + 10, steps=3)
    window.page.mouse.up()
    assert window.do("return p.stage.orbit.turn") < turn
    window.page.mouse.wheel(0, 200)
    farther = "(distance) => document.querySelector('.player').player.stage.orbit.distance > distance"
    window.page.wait_for_function(farther, arg=distance)


def test_views_look_from_where_they_say(window):
    """The pelvis faces +x here, so front is from +x, side from +z, its right."""
    for view, axis in (("front", (1, 0)), ("side", (0, 1)), ("back", (-1, 0))):
        window.root.locator(f'[data-view="{view}"]').click()
        window.do("p.stage.draw(false)")
        away = window.do("const d = p.stage.camera.position.clone().sub(p.stage.orbit.target); return [d.x, d.z]")
        np.testing.assert_allclose(np.divide(away, np.hypot(*away)), axis, atol=0.05)


def test_the_picture_is_not_blank_and_shows_the_body(window):
    whole = window.picture()
    assert len(np.unique(whole.reshape(-1, 3), axis=0)) > 500
    window.root.get_by_label("bones", exact=True).uncheck()
    without = window.picture()
    window.root.get_by_label("bones", exact=True).check()
    changed = np.abs(whole - without).max(-1) > 25
    assert 0.003 < changed.mean() < 0.4
    width = changed.shape[1]
    assert changed[:, width // 4 : -width // 4].mean() > changed[:, : width // 4].mean()  # in the middle


def test_the_view_follows_who_walks(window):
    follow = window.part("follow")
    assert not follow.is_checked()  # this body stays where it is
    away = window.do("return p.stage.roaming()")
    assert 0 < away < 0.5
    window.do("p.seek(3)")
    follow.check()
    x = window.do("return p.stage.orbit.target.x")
    window.do("p.seek(10)")
    moved = window.do("return p.stage.orbit.target.x - p.stage.middle(10).x")
    assert moved == pytest.approx(0, abs=1e-6)
    assert window.do("return p.stage.orbit.target.x") != x
    follow.uncheck()
    x = window.do("return p.stage.orbit.target.x")
    window.do("p.seek(30)")
    assert window.do("return p.stage.orbit.target.x") == x


def test_rejected_frames_are_marked(window):
    badge = window.part("badge")
    assert badge.is_hidden()
    window.do("p.seek(11)")
    assert badge.inner_text() == "rejected: curvature speed"
    assert "rejected" in window.part("slider").get_attribute("aria-valuetext")
    legend = window.root.locator(".p-legend")
    for entry, there in (("rejected-frames", True), ("pale", True), ("inferred-frames", False)):
        assert legend.locator(f'[data-legend="{entry}"]').is_visible() == there
    marks = window.part("marks").locator("i.rejected")
    assert marks.count() == 1
    np.testing.assert_allclose(float(marks.evaluate("e => parseFloat(e.style.left)")), 100 * 10 / FRAMES)
    assert window.root.locator(".p-rejected").count() == 2  # in both panels
    assert window.do("return p.stage.matter.bone.opacity") < 0.5
    window.do("p.seek(20)")
    assert badge.is_hidden()
    assert window.do("return p.stage.matter.bone.opacity") == 1


def test_every_control_has_a_name(window):
    named = window.page.evaluate(
        """() => [...document.querySelectorAll('.player button, .player input, .player select, .p-stage')].map((e) =>
        (e.getAttribute('aria-label') || e.textContent || e.closest('label')?.textContent || '').trim())"""
    )
    assert len(named) > 20
    assert all(named)
    assert "Lumbar lordosis" in window.part("stage").get_attribute("aria-label")
    assert HOSTILE in window.root.get_attribute("aria-label")


def test_light_and_dark_by_the_switch(browser, address):
    with Opened(browser, address, color_scheme="dark") as window:
        back = lambda: window.page.evaluate("getComputedStyle(document.body).backgroundColor")  # noqa: E731
        dark, night = back(), window.picture().mean()
        window.page.locator("#theme").click()
        light, day = back(), window.picture().mean()
        assert np.mean([int(n) for n in re.findall(r"\d+", dark)]) < 60
        assert np.mean([int(n) for n in re.findall(r"\d+", light)]) > 200
        assert day > night + 80
        assert window.complaints == []


def test_a_telephone_can_use_it(browser, address):
    with Opened(browser, address, 360, 740, has_touch=True, is_mobile=True) as window:
        page = window.page
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        stage = window.part("stage").bounding_box()
        assert stage["width"] > 280
        assert stage["height"] < 0.7 * 740  # the page can be scrolled beside it
        for name in ("play", "back", "next"):
            box = window.part(name).bounding_box()
            assert min(box["width"], box["height"]) >= 36, name
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 360
        window.part("play").tap()
        page.wait_for_function("() => document.querySelector('.player').player.frame > 0")
        window.part("play").tap()
        window.part("stage").scroll_into_view_if_needed()
        stage = window.part("stage").bounding_box()
        x, y = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
        turn, distance = window.do("return [p.stage.orbit.turn, p.stage.orbit.distance]")
        touch = window.context.new_cdp_session(page)

        def fingers(kind, *places):
            points = [{"x": a, "y": b, "id": i} for i, (a, b) in enumerate(places)]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        fingers("touchStart", (x, y))
        fingers("touchMove", (x + 60, y))
        fingers("touchEnd")
        assert window.do("return p.stage.orbit.turn") < turn
        fingers("touchStart", (x - 30, y), (x + 30, y))
        fingers("touchMove", (x - 60, y), (x + 60, y))
        fingers("touchEnd")
        assert window.do("return p.stage.orbit.distance") < 0.7 * distance
        assert window.complaints == []


@pytest.mark.parametrize("left", ["segments", "spine"])
def test_less_is_shown_where_less_is_known(browser, scene, tmp_path, left):
    """A model whose meshes are not installed; a released data set, which has points and nothing else."""
    poses = scene.poses if left == "segments" else {}
    some = replace(scene, name=left, poses=poses, bones=(), points=None, cameras=(), status=None, reasons=None)
    some = replace(some, spine=scene.spine.with_(covariance=None), curves=scene.curves[:1])
    page = content.TrialSection(left, player=pack_scene(some))
    write_report(tmp_path / "less.html", content.ReportContent(left, trials=(page,), alone=True))
    with Opened(browser, (tmp_path / "less.html").as_uri()) as window:
        window.do("p.seek(5)")
        whole = window.picture()
        shown = window.root.get_by_label(left, exact=True)
        assert shown.is_checked()
        shown.uncheck()
        assert (np.abs(window.picture() - whole).max(-1) > 25).any()
        for gone in ("bones", "measured points", "cameras", "uncertainty"):
            assert window.root.get_by_label(gone, exact=True).is_hidden(), gone
        assert window.root.locator(".p-panel").count() == 1
        assert window.complaints == []


def test_what_the_model_sets_is_drawn_otherwise_than_what_is_uncertain(browser, scene, tmp_path):
    plain, other = scene.curves[0], replace(scene.curves[0], note="assumed", assumed=True, result=False)
    some = replace(
        scene,
        curves=(
            plain,
            other,
            replace(other, sd=None, note="set by the model", assumed=False, forced=True),
        ),
    )
    trials = (content.TrialSection("walk", player=pack_scene(some)),)
    write_report(tmp_path / "curves.html", content.ReportContent("walk", trials=trials, alone=True))
    with Opened(browser, (tmp_path / "curves.html").as_uri(), color_scheme="light") as window:
        looks = window.page.evaluate(
            "[...document.querySelectorAll('.p-curve')].map(getComputedStyle)"
            ".map((look) => [look.stroke, look.strokeDasharray])"
        )
        rgb = [f"rgb({red}, {green}, {blue})" for blue, green, red in map(to_bgr, (BLUE, ORANGE, GREY))]
        assert [stroke for stroke, _ in looks] == rgb
        assert len({dashes for _, dashes in looks}) == 3, "solid, assumed, set by the model"
        readings = window.root.locator(".p-reading").all_inner_texts()
        in_brackets = [value.startswith("(") and value.endswith(")") for value in readings]
        assert in_brackets == [False, True, True], "as in the tables: not a result"
        assert window.root.locator(".p-note").all_text_contents() == ["assumed: not a result", "set by the model"]


def test_a_panel_says_which_side_is_no_result_and_on_which_finding_it_rests(browser, scene, tmp_path):
    """The verdict is that of the tables, given with the curve: also a measured angle can be none."""
    right, left = (replace(scene.curves[0], name=side, label=f"Hip, {side}", panel="Hip") for side in ("right", "left"))
    marked = replace(left, result=False, doubts=("left thigh",))
    finding = Finding("bone_length", "warning", "a", "b", where="left thigh")
    for name, pair, said in (
        ("one", (right, marked), "left: not a result"),
        ("both", (replace(right, result=False), marked), "not a result"),
    ):
        player = pack_scene(replace(scene, curves=pair))
        page = content.TrialSection("t", findings=(finding,), player=player)
        write_report(tmp_path / f"{name}.html", content.ReportContent("t", trials=(page,)))
        with Opened(browser, (tmp_path / f"{name}.html").as_uri()) as window:
            assert window.root.locator(".p-note").all_text_contents() == [said]
            shown = window.root.locator(".p-reading span").all_inner_texts()
            assert [text.endswith(")") for text in shown] == [name == "both", True]
            link = window.root.locator(".p-title a")
            assert (link.text_content(), link.get_attribute("href")) == ("▲ left thigh", "#check-bone_length")
            link.click()
            assert window.page.evaluate("location.hash") == "#check-bone_length"


def test_only_what_is_no_result_is_in_brackets_at_the_cursor(browser, scene, tmp_path):
    """A turn near its mean is a value like others."""
    values, sd = np.full(scene.frames, 5.0), np.full(scene.frames, 2.0)
    values[0] = 0
    turned = replace(scene.curves[0], values=values, sd=sd, change=True, label="Turn")
    player = pack_scene(replace(scene, curves=(turned, replace(turned, result=False, label="Other"))))
    write_report(tmp_path / "p.html", content.ReportContent("p", trials=(content.TrialSection("t", player=player),)))
    with Opened(browser, (tmp_path / "p.html").as_uri()) as window:
        for frame, wanted in ((0, ["0 ± 4°", "(0 ± 4°)"]), (2, ["5 ± 4°", "(5 ± 4°)"])):
            window.do(f"p.seek({frame})")
            assert window.root.locator(".p-reading span").all_inner_texts() == wanted
        assert "0: mean" in window.root.locator(".p-key").first.text_content()


def test_means_of_both_sides_fit_a_telephone(browser, scene, tmp_path):
    """Which side has dots is said with its mean, so that no edge cuts it off."""
    both = [
        replace(
            scene.curves[0],
            name=side,
            label=f"Hip, {side}",
            panel="Hip",
            stated="mean −13.4 ± 5.7°",
            chosen=True,
            band=None,
        )
        for side in ("right", "left")
    ]
    player = pack_scene(replace(scene, curves=tuple(both)))
    write_report(tmp_path / "p.html", content.ReportContent("p", trials=(content.TrialSection("t", player=player),)))
    with Opened(browser, (tmp_path / "p.html").as_uri(), 390) as window:
        key, plot = window.root.locator(".p-key"), window.part("plot").bounding_box()
        assert key.text_content() == "mean right −13.4 ± 5.7°, left (dots) −13.4 ± 5.7°"
        assert key.bounding_box()["x"] + key.bounding_box()["width"] <= plot["x"] + plot["width"]


def test_a_script_that_fails_is_said_in_the_box(browser, address):
    """Without the browser's observer of what is in view the player's script ends with an error."""
    with browser.new_context() as context:
        page = context.new_page()
        page.add_init_script("delete window.IntersectionObserver")
        page.goto(address)
        assert page.locator('[data-part="failed"]').first.is_visible()
        assert page.locator('[data-part="failed"]').nth(1).is_visible()


def test_without_webgl_it_says_so_and_the_page_stays(browser, address):
    with browser.new_context() as context:
        page = context.new_page()
        page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
        page.goto(address)
        page.locator(".player").first.scroll_into_view_if_needed()
        page.wait_for_selector(".player[data-ready=failed]")
        assert "cannot be drawn" in page.locator('[data-part="failed"]').first.inner_text()
        assert page.locator("h1").inner_text() == "Players"


def test_markers_on_the_skin_stand_in_the_legend(browser, scene, tmp_path):
    points = scene.points.with_(names=("LHip", "T7_skin", "Nose", "Head"))
    for name, shown in (("plain", scene), ("skin", replace(scene, points=points))):
        trials = (content.TrialSection("walk", player=pack_scene(shown)),)
        write_report(tmp_path / f"{name}.html", content.ReportContent("walk", trials=trials))
        with Opened(browser, (tmp_path / f"{name}.html").as_uri()) as window:
            assert not window.complaints
            assert window.root.locator('[data-legend="skin"]').is_visible() == (name == "skin")
            assert window.root.locator('[data-legend="detected"]').is_visible()


def test_markers_without_a_spine_are_shown(browser, scene, tmp_path):
    """Anyone's markers: no curve to draw, and the view turns about the points."""
    bare = replace(
        scene,
        spine=scene.spine.with_(covariance=None).select([]),
        poses={},
        bones=(),
        segments=(),
        curves=(),
        cameras=(),
    )
    trials = (content.TrialSection("markers", player=pack_scene(bare)),)
    write_report(tmp_path / "markers.html", content.ReportContent("markers", trials=trials, alone=True))
    with Opened(browser, (tmp_path / "markers.html").as_uri()) as window:
        window.do("p.seek(3)")
        middle = window.do("const m = p.stage.middle(3); return [m.x, m.y, m.z]")
        np.testing.assert_allclose(middle, np.nanmean(scene.points.xyz[3], 0), atol=1e-3)
        assert window.root.get_by_label("spine", exact=True).is_hidden()
        assert window.root.locator('[data-legend="spine"]').is_hidden()
        assert window.complaints == []


def test_names_stand_beside_the_points(window, scene):
    box = window.root.get_by_label("their names", exact=True)
    names = window.root.locator(".p-name")
    assert names.count() == 0
    window.do("p.seek(6)")
    box.check()
    window.do("p.stage.draw(true)")
    shown = dict(zip(names.all_text_contents(), names.evaluate_all("all => all.map((e) => !e.hidden)"), strict=True))
    assert shown == dict(zip(scene.points.names, np.isfinite(scene.points.xyz[6]).all(-1).tolist(), strict=True))
    window.do("p.stage.orbit.zoom(40); p.stage.draw(true)")
    boxes = [box for box in (name.bounding_box() for name in names.all()) if box]
    assert 0 < len(boxes) < sum(shown.values())
    for one, other in itertools.combinations(boxes, 2):
        assert any(abs(one[at] - other[at]) >= 0.75 * one[size] for at, size in (("x", "width"), ("y", "height")))
    window.do("p.stage.orbit.distance = 3")
    box.uncheck()
    window.do("p.stage.draw(true)")
    assert not any(names.evaluate_all("all => all.map((e) => !e.hidden)"))


def test_an_empty_place_beside_the_points_is_not_left(browser, scene, tmp_path):
    bare = replace(scene, curves=())
    trials = (content.TrialSection("markers", player=pack_scene(bare)),)
    write_report(tmp_path / "bare.html", content.ReportContent("markers", trials=trials, alone=True))
    with Opened(browser, (tmp_path / "bare.html").as_uri(), 1400) as window:
        stage, whole = (window.root.locator(part).bounding_box()["width"] for part in (".p-stage", ".p-main"))
        assert stage == pytest.approx(whole)
        assert window.root.locator('[data-legend="sd"]').is_hidden()
        assert window.complaints == []


@pytest.mark.parametrize(("width", "behind"), [(390, False), (900, True), (1440, False)])
def test_what_is_shaded_is_said_in_its_panel(browser, address, scene, width, behind):
    """Behind the title where there is room, else in a line below it; above the curves."""
    with Opened(browser, address, width) as window:
        panel, curve = window.root.locator(".p-panel").first.bounding_box(), scene.curves[0]
        key = window.root.locator(".p-key").first
        assert key.text_content() == f"{curve.stated} · green: {curve.band[2]}"
        box = key.bounding_box()
        outline = 3  # px around the letters
        assert panel["x"] <= box["x"] + outline
        assert box["x"] + box["width"] <= panel["x"] + panel["width"]
        assert box["y"] + box["height"] <= panel["y"] + outline
        title, line = window.root.locator(".p-title").first.get_attribute("y"), key.get_attribute("y")
        assert (line is None) == behind
        assert behind or float(line) > float(title)


def test_on_paper_the_curves_are_not_cut(window):
    window.do("p.plot.print(true)")
    assert window.do("return Number(p.plot.svg.getAttribute('width'))") == 660
    window.do("p.plot.print(false)")
    assert window.do("return Number(p.plot.svg.getAttribute('width'))") == window.do(
        "return p.plot.element.clientWidth"
    )


@pytest.mark.parametrize("webgl", [True, False])
def test_figures_of_curves_are_the_curves_of_the_player(browser, scene, tmp_path, webgl):
    """Also where the 3D view cannot be drawn; each in its figure, and on paper two of them side by side."""
    plain = scene.curves[0]
    sides = [replace(plain, name=side, label=f"Knee, {side}", panel="Knee") for side in ("right", "left")]
    some = replace(scene, curves=(*scene.curves, *sides))
    pictures = tuple(content.named_picture(key, curves=key) for key in ("spinal", "limbs"))
    trials = (content.TrialSection("walk", player=pack_scene(some), figures=pictures),)
    write_report(tmp_path / "figures.html", content.ReportContent("walk", trials=trials, alone=True))
    with browser.new_context(viewport={"width": 1100, "height": 900}) as context:
        page = context.new_page()
        if not webgl:
            page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
        page.goto(f"{(tmp_path / 'figures.html').as_uri()}#curves-1")  # the link opens the part
        spinal, limbs = (page.locator(f'[data-curves="{key}"]') for key in ("spinal", "limbs"))
        spinal.scroll_into_view_if_needed()
        for key in ("spinal", "limbs"):  # each is drawn when it comes into view
            page.wait_for_selector(f'[data-curves="{key}"] .p-curve')
        assert [spinal.locator("svg").count(), limbs.locator("svg").count()] == [2, 1]
        assert [limbs.locator(f".p-curve.p-{side}").count() for side in ("right", "left")] == [1, 1]
        assert limbs.locator(".p-marker").count() > 10  # dots along the left side
        drawn = spinal.locator(".p-curve").first.get_attribute("d")
        heights = [float(point.split(" ")[1]) for point in re.split("[ML]", drawn)[1:]]
        slope, foot = np.polyfit(plain.values, heights, 1)
        assert slope < 0
        np.testing.assert_allclose(np.polyval([slope, foot], plain.values), heights, atol=0.11)
        band = spinal.locator(".p-ribbon").first.get_attribute("d")
        edge = [float(point.split(" ")[1]) for point in re.split("[ML]", band.rstrip("Z"))[1:]]
        assert edge[0] - heights[0] == pytest.approx(slope * 1.96 * 3, abs=0.2)
        if webgl:
            box = spinal.locator(".p-panel").first.bounding_box()
            page.mouse.click(box["x"] + box["width"] * 26 / 39, box["y"] + 20)
            assert page.evaluate("document.querySelector('.player').player.frame") == 26
        page.set_viewport_size({"width": A4_PX, "height": 900})
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        # In one step: a layout that follows replaces what a locator has found.
        figures = "[...document.querySelectorAll('[data-curves=spinal] svg')]"
        first, second = page.evaluate(f"{figures}.map((one) => one.getBoundingClientRect().toJSON())")
        assert first["width"] == pytest.approx(660 / 2.1, abs=1)
        cells = page.evaluate(f"{figures}.map((one) => one.parentElement.clientWidth)")
        assert min(cells) >= first["width"]
        assert second["y"] == first["y"]
        assert second["x"] >= first["x"] + first["width"]
