"""The page in a real browser, driven by mouse and keys as a person does."""

import json
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from drawn_recording import cameras, true_points
from served_recording import Served

from simspine.annotation.labels import Labels, PointStatus, Visibility, read_journal
from simspine.annotation.recording import Target, open_target
from simspine.core.geometry import project_points, undistort_pixels
from simspine.core.types import Keypoints
from simspine.vision.triangulation import triangulate


class Page:
    """A page in a window of its own, with what it complained about and asked for."""

    def __init__(self, browser, served, width=1400, height=850, **more):
        self.served = served
        self.context = browser.new_context(viewport={"width": width, "height": height}, **more)
        self.page = self.context.new_page()
        self.complaints, self.requests = [], []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda m: m.type in ("error", "warning") and self.complaints.append(m.text))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def __enter__(self):
        self.open()
        return self

    def __exit__(self, *_):
        self.context.close()

    def open(self):
        self.page.goto(self.served.address)
        self.page.wait_for_selector("body[data-ready=yes]")

    def do(self, code, argument=None):
        """Run `code` with `a` the page's program."""
        return self.page.evaluate(f"(argument) => {{ const a = window.annotate; {code} }}", argument)

    def module(self, name, code, argument=None):
        """Run `code` with `m` a module of the page."""
        return self.page.evaluate(f"async (argument) => {{ const m = await import('./{name}'); {code} }}", argument)

    def point(self, view, name):
        """{x, y, see, how} of the shown frame."""
        return self.do("return a.points[argument[0]][argument[1]]", [view, self.index(name)])

    def index(self, name):
        return self.served.session.recording.start.names.index(name)

    def spot(self, view, x, y):
        """Place in the window of a place in an image."""
        u, v = self.do("return a.views[argument[0]].toScreen(argument[1], argument[2])", [view, x, y])
        box = self.page.locator("figure canvas").nth(view).bounding_box()
        return box["x"] + u, box["y"] + v

    def drag(self, view, name, dx, dy, alone=False):
        """Drag a point by some image px."""
        at = self.point(view, name)
        self.select(name)  # where points are near each other the selected one is taken
        start, end = self.spot(view, at["x"], at["y"]), self.spot(view, at["x"] + dx, at["y"] + dy)
        self.page.mouse.move(*start)
        if alone:
            self.page.keyboard.down("Shift")
        self.page.mouse.down()
        self.page.mouse.move(*end, steps=4)
        self.page.mouse.up()
        if alone:
            self.page.keyboard.up("Shift")

    def select(self, name):
        self.page.locator(f'[data-point="{name}"]').click()

    def saved(self):
        """All decisions on the disk, once the page says so."""
        self.page.wait_for_function("() => !window.annotate.labels.unsaved.length && !window.annotate.labels.saving")
        return read_journal(self.served.session._path)

    def wait_until_drawn(self):
        """What was asked for is drawn before the next frame of the screen."""
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def picture(self, view):
        from PIL import Image

        data = self.page.locator("figure canvas").nth(view).screenshot()
        return np.asarray(Image.open(BytesIO(data)).convert("RGB")).astype(int)


@pytest.fixture(scope="module")
def window(browser):
    """Opened once, since that costs as much as a test."""
    page = Page(browser, None)
    yield page
    page.context.close()


@pytest.fixture
def opened(window, served):
    """The page of a server of the test's own; it is left before the server stops."""
    window.served = served
    window.requests.clear()
    window.complaints.clear()
    window.open()
    yield window
    window.page.goto("about:blank")
    assert window.complaints == []


def test_it_starts_with_the_worst_frame_and_asks_nobody_else(opened):
    batch = opened.served.session.summary()["batch"]
    assert opened.do("return a.frame") == batch[0]["frame"]
    assert all(url.startswith((opened.served.address, "blob:")) for url in opened.requests)
    assert opened.saved() == []  # looking decides nothing


CAMERAS = [
    cameras()[0],
    cameras()[1].with_(distortion=(0.1, -0.05, 1e-3, 2e-3, 0.02, 0.05, 0.01, -0.02)),
    cameras()[2].with_(distortion=(0.1, -0.05, 1e-3, 2e-3, 0.02, 0.05, 0.01, -0.02, 1e-3, -2e-3, 2e-3, 1e-3)),
    cameras()[3].with_(lens="fisheye", distortion=(0.05, -0.01, 0.004, -0.002)),
]


def described(camera):
    """As the page gets a camera."""
    arrays = {field: np.asarray(getattr(camera, field)).tolist() for field in ("K", "R", "t", "distortion", "size")}
    return arrays | {"lens": camera.lens}


def test_the_pages_cameras_are_simspines(opened):
    rng = np.random.default_rng(1)
    places = rng.normal((0, 0, 1), 0.5, (12, 3))
    found = opened.module(
        "camera.js",
        "const seen = (k, x) => { const p = k.project(x); return [p, k.straighten(...p)]; };"
        "return argument[0].map((c) => argument[1].map((x) => seen(new m.Camera(c), x)))",
        [[described(c) for c in CAMERAS], places.tolist()],
    )
    for camera, rows in zip(CAMERAS, found, strict=True):
        px = project_points([camera], places)[0]
        np.testing.assert_allclose([row[0] for row in rows], px, atol=1e-8)
        np.testing.assert_allclose([row[1] for row in rows], undistort_pixels(camera, px), atol=1e-8)


def test_the_page_places_points_in_space_as_simspine_does(opened):
    rng = np.random.default_rng(2)
    exact = project_points(CAMERAS, np.array([0.1, -0.2, 1.1]))
    xy = exact + rng.normal(0, 1.0, exact.shape)
    found = opened.module(
        "camera.js",
        "const [cameras, xy] = argument;"
        "return m.triangulate(cameras.map((c, i) => ({camera: new m.Camera(c), x: xy[i][0], y: xy[i][1], weight: 1})))",
        [[described(c) for c in CAMERAS], xy.tolist()],
    )
    keypoints = Keypoints(("p",), 50.0, xy[None, :, None], np.ones((1, 4, 1)))
    wanted = triangulate(keypoints, CAMERAS, huber_px=1000.0, max_error_px=1000.0).xyz[0, 0]
    np.testing.assert_allclose(found, wanted, atol=5e-4)

    def cost(place):
        return ((project_points(CAMERAS, np.asarray(place)) - xy) ** 2).sum()

    assert cost(found) <= cost(wanted) * 1.001  # what the steps minimise


def test_an_epipolar_line_runs_through_the_point_it_is_of(opened):
    truth = true_points()
    frame = opened.do("return a.frame")
    i = truth.names.index("LWrist")
    k = opened.index("LWrist")
    x, y = truth.xy[frame, 0, i]
    opened.do("Object.assign(a.points[0][argument[0]], {x: argument[1], y: argument[2], see: 2})", [k, x, y])
    for view in (1, 2, 3):
        lines = opened.do("return a.rig.lines(a.points, argument[0], argument[1])", [view, k])
        piece = np.array(next(line for line in lines if line["view"] == 0)["pieces"][0])
        a, b = piece[:-1], piece[1:]
        t = np.clip(((truth.xy[frame, view, i] - a) * (b - a)).sum(1) / ((b - a) ** 2).sum(1), 0, 1)
        assert np.linalg.norm(a + t[:, None] * (b - a) - truth.xy[frame, view, i], axis=1).min() < 0.1


def test_shares_of_a_move_along_the_spine(opened):
    line = [[0.0, 10.0 * i] for i in range(9)]
    free = opened.module("spine.js", "return m.shares(argument, argument.map(() => false), 4)", line)
    assert free[4] == 1
    np.testing.assert_allclose(free, free[::-1], atol=1e-12)
    assert free[5] > free[6] > 0
    assert free[0] == free[8] == 0  # beyond 35 % of the length
    fixed = opened.module("spine.js", "return m.shares(argument, argument.map((_, i) => i === 5), 4)", line)
    assert fixed[5:] == [0, 0, 0, 0]
    np.testing.assert_allclose(fixed[:5], free[:5])
    gap = opened.module(
        "spine.js", "return m.shares(argument.map((p, i) => (i === 3 ? null : p)), argument.map(() => false), 4)", line
    )
    assert gap[3] == 0
    assert gap[2] > 0
    places = np.array(opened.module("spine.js", "return m.curve(argument)", [[0, 0], [5, 9], [3, 20], [9, 31]]))
    for point in ([0, 0], [5, 9], [3, 20], [9, 31]):
        assert np.linalg.norm(places - point, axis=1).min() < 1e-9  # the curve runs through its points


def test_a_dragged_point_of_the_spine_takes_its_neighbours_along(opened):
    names = ["Spine_02", "Spine_03", "Spine_04", "LKnee"]
    before = {name: opened.point(1, name) for name in names}
    opened.drag(1, "Spine_03", 25, -10)
    after = {name: opened.point(1, name) for name in names}
    moved = {n: np.array([after[n]["x"] - before[n]["x"], after[n]["y"] - before[n]["y"]]) for n in names}
    np.testing.assert_allclose(moved["Spine_03"], [25, -10], atol=1.0)
    for name in ("Spine_02", "Spine_04"):
        share = moved[name] @ [25, -10] / (25**2 + 10**2)
        assert 0.1 < share < 1
        assert after[name]["how"] == PointStatus.DERIVED
    assert not moved["LKnee"].any()
    edits = opened.saved()
    assert {(e.point, e.status) for e in edits} >= {
        ("Spine_03", PointStatus.CORRECTED),
        ("Spine_02", PointStatus.DERIVED),
    }
    assert len({(e.frame, e.view) for e in edits}) == 1


def test_with_shift_it_moves_alone_and_fixed_points_stay(opened):
    opened.drag(0, "Spine_04", 6, 0, alone=True)
    assert [edit.point for edit in opened.saved()] == ["Spine_04"]
    there = opened.point(0, "Spine_04")
    opened.drag(0, "Spine_03", 0, 15)
    assert opened.point(0, "Spine_04") == there


def test_undo_and_redo_by_keys_and_button(opened):
    frame = opened.do("return a.frame")
    before = opened.do("return JSON.stringify(a.points)")
    opened.drag(2, "Spine_05", -12, 9)
    changed = opened.do("return JSON.stringify(a.points)")
    opened.drag(0, "LElbow", 20, 0)
    opened.page.keyboard.press("ArrowRight" if frame == 0 else "ArrowLeft")
    opened.page.wait_for_function(f"() => document.body.dataset.frame !== '{frame}'")
    opened.page.keyboard.press("Control+z")  # goes back to where it was done
    opened.page.wait_for_function(f"() => document.body.dataset.frame === '{frame}'")
    opened.page.wait_for_function("(text) => JSON.stringify(window.annotate.points) === text", arg=changed)
    opened.page.locator("[data-act=undo]").click()
    assert opened.do("return JSON.stringify(a.points)") == before
    assert opened.page.locator("[data-act=undo]").is_disabled()
    opened.page.keyboard.press("Control+y")
    assert opened.do("return JSON.stringify(a.points)") == changed
    opened.saved()
    session = opened.served.session
    x = opened.point(2, "Spine_05")["x"]
    assert session.labels().xy[frame, 2, opened.index("Spine_05"), 0] == pytest.approx(x, abs=1e-3)


def test_a_marker_on_the_skin_is_placed_by_a_click_in_each_view(opened):
    for view in (0, 2):
        opened.select("C7_skin")
        x, y = opened.do(  # the first place away from the points
            "const v = a.views[argument];"
            "for (let x = 30; ; x += 10) if (v.hit(x, v.height - 60) < 0) return v.toImage(x, v.height - 60)", view
        )  # fmt: skip
        opened.page.mouse.click(*opened.spot(view, x, y))
        found = opened.point(view, "C7_skin")
        assert (found["x"], found["y"]) == pytest.approx((x, y), abs=0.6)
        assert (found["see"], found["how"]) == (Visibility.SEEN, PointStatus.CORRECTED)
    assert {(e.view, e.point) for e in opened.saved()} == {(0, "C7_skin"), (2, "C7_skin")}


def test_flags_steps_and_nudges_by_keys(opened):
    opened.select("LKnee")
    opened.drag(1, "LKnee", 3, 3)
    press = opened.page.keyboard.press
    press("o")
    assert opened.point(1, "LKnee")["see"] == Visibility.HIDDEN
    press("o")
    assert opened.point(1, "LKnee")["see"] == Visibility.SEEN
    x = opened.point(1, "LKnee")["x"]
    press("Shift+ArrowRight")
    assert opened.point(1, "LKnee")["x"] == pytest.approx(x + 1)
    press("x")
    gone = {"x": None, "y": None, "see": 0, "how": 2, "sure": 0, "inferred": False}
    assert opened.point(1, "LKnee") | {"sure": 0} == gone
    first = opened.do("return a.point")
    press("n")
    assert opened.do("return a.point") != first
    press("p")
    assert opened.do("return a.point") == first
    frame = opened.do("return a.frame")
    step = "ArrowRight" if frame < 5 else "ArrowLeft"
    press(step)
    assert opened.do("return a.frame") == frame + (1 if frame < 5 else -1)
    last = opened.saved()[-1]
    assert (last.point, last.visibility, last.x) == ("LKnee", Visibility.ABSENT, None)


def test_left_and_right_are_exchanged_in_one_view(opened):
    before = {view: {name: opened.point(view, name) for name in ("LKnee", "RKnee", "Nose")} for view in (0, 1)}
    opened.drag(0, "Nose", 4, 0)  # makes this view the active one
    opened.page.keyboard.press("w")
    for here, there in (("LKnee", "RKnee"), ("RKnee", "LKnee")):
        found = opened.point(0, here)
        assert (found["x"], found["y"]) == (before[0][there]["x"], before[0][there]["y"])
        assert found["how"] == PointStatus.DERIVED
        assert opened.point(1, here) == before[1][here]
    assert {edit.view for edit in opened.saved()} == {0}


def test_accepting_a_frame_goes_on_to_the_next_of_the_batch(opened):
    batch = [entry["frame"] for entry in opened.served.session.summary()["batch"]]
    opened.drag(0, "Spine_03", 8, 0)
    opened.page.keyboard.press("Enter")
    opened.page.wait_for_function(f"() => document.body.dataset.frame === '{batch[1]}'")
    opened.saved()
    labels = opened.served.session.labels()
    status = labels.status[batch[0]]
    assert status[0, opened.index("Spine_03")] == PointStatus.CORRECTED
    assert status[0, opened.index("Spine_02")] == PointStatus.CORRECTED  # followed, and then looked at
    assert status[1, opened.index("Spine_03")] == PointStatus.ACCEPTED
    assert (status[labels.labelled[batch[0]]] > 0).all()
    assert not labels.decided[batch[1]].any()
    opened.page.wait_for_selector(f'[data-frame="{batch[0]}"].done')


INFERRED = ("Spine_02", "Neck")


@pytest.fixture
def with_guesses(recording):
    """The recording with two points of the spine that no detector saw."""
    start, inferred = recording.start, np.zeros(recording.start.status.shape, bool)
    inferred[..., [start.names.index(name) for name in INFERRED]] = True
    found = Served(replace(recording, start=replace(start, inferred=inferred)))
    yield found
    found.stop()


def test_inferred_points_stay_open_when_a_frame_is_accepted(browser, with_guesses):
    """Their places agree between the views, since they come from one place in space: that is no evidence."""
    batch = [entry["frame"] for entry in with_guesses.session.summary()["batch"]]
    with Page(browser, with_guesses) as page:
        for name in INFERRED:
            assert page.do("return a.rig.ghost(a.points, 0, argument)", page.index(name)) is None
            assert page.do("return a.rig.lines(a.points, 0, argument)", page.index(name)) == []
        assert page.do("return a.rig.ghost(a.points, 0, argument)", page.index("Spine_03")) is not None
        page.select("Neck")
        assert "inferred, not seen" in page.page.locator("[data-part=card]").inner_text()
        page.page.keyboard.press("a")  # one by itself, in the active view
        page.page.keyboard.press("Enter")
        page.page.wait_for_function(f"() => document.body.dataset.frame === '{batch[1]}'")
        assert "7 inferred points" in page.page.locator("[data-part=said]").inner_text()
        page.saved()
    labels = with_guesses.session.labels()
    status = labels.status[batch[0]]
    for name in INFERRED:
        assert (status[1:, labels.names.index(name)] == PointStatus.UNSEEN).all(), name
    assert status[0, labels.names.index("Neck")] == PointStatus.ACCEPTED
    assert (status[:, labels.names.index("Spine_03")] == PointStatus.ACCEPTED).all()
    assert batch[0] in with_guesses.session.progress()["done"]


def test_inferred_points_look_inferred(browser, with_guesses):
    """A paler diamond, where a detected point is a ring: nearer along the diagonals, by the root of a half."""
    with Page(browser, with_guesses, device_scale_factor=4) as page:
        page.select("Nose")
        ratio, bright = {}, {}
        for name in ("Spine_03", "Spine_02"):
            page.do("a.shown = {}; a.points[1].forEach((p, i) => (p.see = i === argument ? 2 : 0)); a.redraw()",
                    page.index(name))  # fmt: skip
            page.wait_until_drawn()
            at = page.point(1, name)
            u, v = page.do("return a.views[1].toScreen(argument[0], argument[1])", [at["x"], at["y"]])
            red, green, blue = np.moveaxis(page.picture(1).astype(int), 2, 0)
            rows, columns = np.nonzero((green - red > 60) & (green > blue))
            x, y = (columns + 0.5) / 4 - u, (rows + 0.5) / 4 - v
            near = np.hypot(x, y) < 12
            away, turn = np.hypot(x, y)[near], np.abs(np.arctan2(np.abs(y), np.abs(x)) - np.pi / 4)[near]
            bright[name] = np.median(green[rows, columns][near])
            ratio[name] = np.median(away[turn < 0.1]) / np.median(away[turn > np.pi / 4 - 0.1])
        assert ratio["Spine_03"] == pytest.approx(1, abs=0.05)
        assert ratio["Spine_02"] == pytest.approx(0.5**0.5, abs=0.1)
        assert bright["Spine_02"] < 0.85 * bright["Spine_03"], "paler"


def test_a_frame_that_loads_slowly_is_announced_and_takes_no_decision(browser, served):
    batch = [entry["frame"] for entry in served.session.summary()["batch"]]
    with Page(browser, served) as page:
        held = []
        page.page.route("**/api/frame/*", lambda route: held.append(route))
        page.do("a.images.clear(); a.labels.frames.delete(argument); void a.goTo(argument)", batch[1])
        page.page.wait_for_selector("body[aria-busy=true]")
        assert page.page.locator("[data-part=frame]").inner_text() == f"Loading frame {batch[1]} …"
        page.page.keyboard.press("Enter")
        page.page.wait_for_timeout(100)
        assert page.do("return [a.frame, a.labels.done.length]") == [batch[1], 0]
        for route in held:
            route.continue_()
        page.page.wait_for_function(f"() => document.body.dataset.frame === '{batch[1]}'")
        assert page.page.locator("[data-part=frame]").inner_text() == f"Frame {batch[1]}"
        assert page.page.get_attribute("body", "aria-busy") == "false"


def test_the_other_views_say_where_a_point_is(opened):
    """Placed in two views, it is where it must be in the others."""
    truth = true_points()
    frame = opened.do("return a.frame")
    i = truth.names.index("RElbow")
    for view in (0, 1):
        at, there = opened.point(view, "RElbow"), truth.xy[frame, view, i]
        opened.drag(view, "RElbow", there[0] - at["x"], there[1] - at["y"])
    opened.page.keyboard.press("r")
    for view in (2, 3):
        found = opened.point(view, "RElbow")
        assert found["how"] == PointStatus.DERIVED
        assert np.hypot(found["x"] - truth.xy[frame, view, i, 0], found["y"] - truth.xy[frame, view, i, 1]) < 2.5


def test_what_was_decided_is_there_again_after_a_reload(opened):
    opened.drag(3, "RHeel", -9, 4)
    at = opened.point(3, "RHeel")
    opened.saved()
    opened.open()
    assert opened.point(3, "RHeel") == pytest.approx(at)


def test_without_the_server_nothing_is_lost(browser, served):
    with Page(browser, served) as page:
        page.context.set_offline(True)
        page.drag(1, "LWrist", 15, 5)
        page.page.wait_for_selector("body[data-saved=lost]")
        assert "Not saved" in page.page.locator("[data-part=saved]").inner_text()
        assert read_journal(served.session._path) == []
        page.context.set_offline(False)
        page.page.wait_for_selector("body[data-saved=saved]")
        assert [edit.point for edit in page.saved()] == ["LWrist"]


def lose_an_edit(page):
    """An edit of LWrist that the server does not get, on a page that may be left all the same."""
    page.page.route("**/api/edits", lambda route: route.abort())
    page.drag(1, "LWrist", 15, 5)
    page.page.wait_for_selector("body[data-saved=lost]")
    page.page.on("dialog", lambda dialog: dialog.accept())


def test_what_a_closed_page_could_not_send_comes_with_the_next_one(browser, served):
    with Page(browser, served) as page:
        lose_an_edit(page)
        page.page.unroute("**/api/edits")
        page.page.goto("about:blank")
        page.open()
        assert [edit.point for edit in page.saved()] == ["LWrist"]


def test_of_two_tabs_the_later_one_decides(browser, served):
    """The first would have written the places it had read over what the second corrected, by accepting the frame."""
    with Page(browser, served) as page:
        frame, first = page.do("return a.frame"), page.page
        before = page.point(1, "LWrist")["x"]
        lose_an_edit(page)
        unsent = page.point(1, "LWrist")["x"]
        page.page = page.context.new_page()
        page.open()
        page.do("return a.goTo(argument)", frame)
        assert [edit.x for edit in page.saved()] == pytest.approx([unsent], abs=1e-3)
        assert unsent != before
        page.drag(2, "RKnee", 20, 10)
        page.saved()
        second, page.page = page.page, first
        page.page.unroute("**/api/edits")
        page.page.wait_for_selector("body[data-saved=elsewhere]")
        assert "another tab" in page.page.locator("[data-part=saved]").inner_text()
        page.page.keyboard.press("Enter")
        page.page.keyboard.press("Control+z")
        page.drag(1, "LKnee", 5, 5)
        page.page.wait_for_timeout(100)
        assert {edit.point for edit in read_journal(served.session._path)} == {"LWrist", "RKnee"}
        page.page.reload()
        page.page.wait_for_selector("body[data-ready=yes]")
        page.do("return a.goTo(argument)", frame)
        second.wait_for_selector("body[data-saved=elsewhere]")
        page.drag(1, "LKnee", 5, 5)
        assert [edit.point for edit in page.saved()][-1] == "LKnee"


def test_unsent_decisions_about_points_that_are_not_shown_stay(browser, recording):
    """The server was started again without the marker's name (`--skin`); they were dropped without a word."""
    served = Served(recording)
    with Page(browser, served) as page:
        edit = {"f": 0, "v": 0, "p": "T7_skin", "x": 5, "y": 6, "see": 2, "how": 2}
        store = "localStorage.setItem(a.labels.key, JSON.stringify(argument))"
        page.do(store, [edit, edit | {"p": "Nose"}])
        page.open()
        assert "1 unsent change is of points" in page.page.locator("[data-part=said]").inner_text()
        assert [edit.point for edit in page.saved()] == ["Nose"]
        assert json.loads(page.do("return localStorage.getItem(a.labels.key)")) == [edit]
    served.stop()


def test_what_could_not_be_sent_survives_a_restart_of_the_server(browser, recording, monkeypatch):
    """Also where the points are others then: decisions are kept by the names of points. Connections do not outlive an
    answer here; in use they end with the process."""
    monkeypatch.setattr("simspine.annotation.server._Handler.protocol_version", "HTTP/1.0")
    first = Served(recording)
    with Page(browser, first) as page:
        lose_an_edit(page)
        page.page.goto("about:blank")
        page.page.unroute("**/api/edits")
        first.stop()
        assert read_journal(first.session._path) == []
        start = recording.start
        order = [start.names.index("LWrist"), *(i for i, name in enumerate(start.names) if name != "LWrist")]
        turned = Labels(
            tuple(start.names[i] for i in order), start.xy[:, :, order], start.visibility[:, :, order],
            start.status[:, :, order], start.confidence[:, :, order],
        )  # fmt: skip
        page.served = Served(replace(recording, start=turned))
        page.open()
        assert [edit.point for edit in page.saved()] == ["LWrist"]
        page.served.stop()


def test_left_right_and_spine_differ_in_colour(opened):
    """The ring of a point that nobody has looked at has its side's colour."""
    opened.select("Nose")
    for name, colour in (
        ("LKnee", (0x56, 0xB4, 0xE9)),
        ("RKnee", (0xF0, 0xA0, 0x20)),
        ("Spine_01", (0x2F, 0xD3, 0x9A)),
    ):
        at = opened.point(1, name)
        u, v = (round(n) for n in opened.do("return a.views[1].toScreen(argument[0], argument[1])", [at["x"], at["y"]]))
        near = opened.picture(1)[v - 6 : v + 7, u - 6 : u + 7].reshape(-1, 3)
        assert np.abs(near - colour).sum(1).min() < 40, name


def test_the_magnifier_shows_while_a_point_is_dragged(opened):
    at = opened.point(1, "Nose")
    x, y = opened.spot(1, at["x"], at["y"])
    opened.page.mouse.move(x, y)
    opened.page.mouse.down()
    opened.page.mouse.move(x + 3, y + 3, steps=2)
    opened.wait_until_drawn()
    with_loupe = opened.picture(1)
    opened.page.mouse.up()
    opened.wait_until_drawn()
    changed = np.abs(with_loupe - opened.picture(1)).sum(-1) > 60
    rows, columns = np.nonzero(changed)
    assert np.ptp(rows) > 130  # a disc of 148 px beside the pointer
    assert np.ptp(columns) > 130


def test_zoom_and_pan_leave_the_points_on_the_image(opened):
    at = opened.point(0, "Nose")
    before = opened.spot(0, at["x"], at["y"])
    opened.page.mouse.move(*before)
    opened.page.mouse.wheel(0, -400)
    np.testing.assert_allclose(opened.spot(0, at["x"], at["y"]), before, atol=0.6)  # zoomed about the pointer
    box = opened.page.locator("figure canvas").nth(0).bounding_box()
    empty = (box["x"] + box["width"] - 8, box["y"] + box["height"] - 8)
    opened.page.mouse.move(*empty)
    opened.page.mouse.down()
    opened.page.mouse.move(empty[0] - 40, empty[1] - 30, steps=3)
    opened.page.mouse.up()
    moved = np.subtract(opened.spot(0, at["x"], at["y"]), before)
    np.testing.assert_allclose(moved, [-40, -30], atol=1.0)
    assert opened.saved() == []


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1024, 768), (390, 800)])
def test_nothing_reaches_beyond_the_window(browser, served, width, height):
    with Page(browser, served, width, height) as page:
        wide, high = page.page.evaluate(
            "() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
        )
        assert (wide, high) == (width, height)
        for canvas in page.page.locator("figure canvas").all():
            assert min(canvas.bounding_box()[side] for side in ("width", "height")) > 100
        assert page.page.locator("[data-act=accept]").bounding_box()["y"] < height
        assert page.complaints == []


def test_buttons_and_points_have_names_for_screen_readers(opened):
    unnamed = opened.page.evaluate(
        "() => [...document.querySelectorAll('button, canvas, input')].filter((n) => !n.textContent.trim() &&"
        " !n.getAttribute('aria-label') && !n.getAttribute('aria-hidden')).length"
    )
    assert unnamed == 0
    opened.page.keyboard.press("?")
    assert opened.page.locator("dialog[open]").count() == 1
    opened.page.keyboard.press("Escape")
    assert json.loads(opened.do("return JSON.stringify(a.labels.done.length)")) == 0


def test_photographs_without_cameras_are_named_and_show_no_lines(browser, tmp_path, drawn):
    """What only calibrated views have is left out; nothing is called absent that nobody looked at."""
    folder = tmp_path / "holiday"
    folder.mkdir()
    for k, image in enumerate(sorted((drawn[0] / "cam01").iterdir())[:2]):
        (folder / f"beach {k}.png").write_bytes(image.read_bytes())
    served = Served(open_target(Target(str(folder), home=tmp_path / "annotations")))
    try:
        with Page(browser, served) as p:
            text = p.page.locator("body").inner_text()
            assert "beach 0.png" in text
            assert "not placed" in text
            assert "absent" not in p.page.locator("[data-part=card]").inner_text()
            assert "No point is placed yet" in text
            assert not p.page.locator("[data-calibrated]:visible").count()
            p.page.keyboard.press("ArrowRight")
            p.page.wait_for_function("() => document.body.dataset.frame === '1'")
            assert p.page.locator("[data-part=time]").inner_text() == "beach 1.png"
            p.page.keyboard.press("x")
            assert "absent" in p.page.locator("[data-part=card] td").first.inner_text()
            assert not p.complaints
    finally:
        served.stop()
    with Page(browser, Served(open_target(Target(str(drawn[0]), home=tmp_path / "more")))) as p:
        assert p.page.locator("[data-calibrated]:visible").count() == 5
        p.served.stop()
