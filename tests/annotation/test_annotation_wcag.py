"""The annotation page for eyes and hands that are not perfect: contrast, and all of it with the tab key."""

import pytest
from page_audit import low_contrast, tab_walk


@pytest.mark.parametrize(
    ("width", "scheme"), [(1400, "light"), pytest.param(1400, "dark", marks=pytest.mark.long), (390, "dark")]
)
def test_contrast_and_tab_key(browser, served, width, scheme):
    with browser.new_context(viewport={"width": width, "height": 850}, color_scheme=scheme) as context:
        page = context.new_page()
        page.goto(served.address)
        page.wait_for_selector("body[data-ready=yes]")
        assert low_contrast(page) == []
        assert tab_walk(page).faults == []


def test_the_slider_of_frames_goes_by_its_keys(browser, served):
    page = browser.new_page(viewport={"width": 1400, "height": 850})
    page.goto(served.address)
    page.wait_for_selector("body[data-ready=yes]")
    page.get_by_role("slider", name="Frame").focus()
    last = len(served.session.recording.start.xy) - 1
    for key, frame in (("Home", 0), ("ArrowRight", 1), ("End", last), ("ArrowLeft", last - 1)):
        page.keyboard.press(key)
        page.wait_for_selector(f"body[data-frame='{frame}']")
    page.keyboard.press("ArrowDown")  # the next point, not a frame before
    assert page.locator("body").get_attribute("data-frame") == str(last - 1)
    page.close()


def test_an_open_dialog_takes_the_keys_and_gives_them_back(browser, served):
    page = browser.new_page()
    page.goto(served.address)
    page.wait_for_selector("body[data-ready=yes]")
    button = page.get_by_role("button", name="Keys")
    button.focus()
    page.keyboard.press("Enter")
    assert page.locator("dialog[open]").count() == 1
    assert low_contrast(page) == []
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert button.evaluate("e => e === document.activeElement")
    page.close()
