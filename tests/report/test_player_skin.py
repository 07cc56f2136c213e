"""The skin on a page: where the bodies take it, by the page's own script as by the package."""

from dataclasses import replace

import numpy as np
import pytest
from opened_page import Opened
from PIL import Image
from player_data import unpack
from skinned_scene import SHIFTS, skinned_scene

from simspine.anatomy.skin import posed_skin, skin_asset, surface_normals
from simspine.report import page
from simspine.report.bones import strongest_carriers
from simspine.report.page import write_report
from simspine.report.scene import pack_scene


@pytest.fixture(scope="module")
def scene():
    return skinned_scene()


@pytest.fixture(scope="module")
def window(browser, scene, tmp_path_factory):
    file = tmp_path_factory.mktemp("skin") / "skin.html"
    write_report(file, page.ReportContent("walk", trials=(page.TrialSection("walk", player=pack_scene(scene)),)))
    with Opened(browser, file.as_uri()) as opened:
        yield opened
        assert opened.complaints == []


def test_the_strongest_carriers_share_the_whole():
    carriers = np.array([[4, 1, 3, 2, 0, 5, 6], [7, 0, 0, 0, 0, 0, 0]])
    weights = np.array([[0.1, 0.4, 0.03, 0.25, 0.2, 0.0, 0.02], [1.0, 0, 0, 0, 0, 0, 0]])
    some, whole = strongest_carriers(carriers, weights)
    assert some[0].tolist() == [1, 2, 0, 4, 3, 6]
    np.testing.assert_allclose(whole[0] / 255, [0.4, 0.25, 0.2, 0.1, 0.03, 0.02], atol=6 / 255)
    assert whole.sum(1).tolist() == [255, 255]
    assert whole[1].tolist() == [255, 0, 0, 0, 0, 0]


def test_a_page_holds_a_fine_and_a_coarse_skin(scene):
    packed = pack_scene(scene)
    head, arrays = unpack(packed.header, packed.block)
    assert [head["bodies"][i] for i in head["skin"]] == list(scene.skin.segments)
    fine, coarse = len(arrays["skin/faces"]), len(arrays["skin-moving/faces"])
    assert fine == len(skin_asset().triangles)
    assert coarse < 0.5 * fine
    assert len(packed.block) < 950_000


def test_the_script_puts_the_skin_where_the_package_does(window, scene):
    expected = posed_skin(scene.skin, scene.poses)
    for frame in range(len(SHIFTS)):
        found = window.do(
            "p.stage.skin.fill(argument, true); return [...p.stage.skin.mesh.geometry.attributes.position.array]", frame
        )
        off = np.linalg.norm(np.reshape(found, (-1, 3)) - expected[frame], axis=1)
        assert np.median(off) < 2e-4
        assert np.percentile(off, 99) < 2e-3
        assert off.max() < 4e-3  # points with more than six carriers


def test_its_normals_are_those_of_the_surface(window, scene):
    found = window.do("p.stage.skin.fill(1, true); return [...p.stage.skin.mesh.geometry.attributes.normal.array]")
    found = np.reshape(found, (-1, 3))
    expected = surface_normals(posed_skin(scene.skin, scene.poses)[1], skin_asset().triangles)
    same = np.einsum("ij,ij->i", found, expected) / np.maximum(np.linalg.norm(found, axis=1), 1e-30)
    assert np.percentile(same, 2) > 0.95  # 16-bit places: the smallest triangles turn a little
    assert np.median(same) > 0.999


def test_the_box_shows_and_hides_it(window):
    box = window.root.get_by_label("skin", exact=True)
    assert not box.is_checked()
    before = window.picture()
    box.check()
    shown = np.abs(window.picture() - before).max(-1) > 25
    assert 0.02 < shown.mean() < 0.5
    box.uncheck()
    assert (np.abs(window.picture() - before).max(-1) > 25).mean() < 1e-3


def test_a_body_without_skin_offers_none(browser, tmp_path, scene):
    bare = page.TrialSection("bare", player=pack_scene(replace(scene, skin=None)))
    write_report(tmp_path / "bare.html", page.ReportContent("bare", trials=(bare,)))
    with Opened(browser, (tmp_path / "bare.html").as_uri()) as window:
        assert window.root.get_by_label("skin", exact=True).is_hidden()
        assert window.complaints == []


def test_a_view_is_saved_as_a_picture(window, tmp_path):
    window.root.get_by_label("skin", exact=True).check()
    with window.page.expect_download() as download:
        window.part("save").click()
    assert download.value.suggested_filename == "walk_0.00s.png"
    download.value.save_as(tmp_path / "view.png")
    image = np.asarray(Image.open(tmp_path / "view.png").convert("RGBA")).astype(int)
    assert (image[..., 3] == 255).all()  # with its ground
    shown = np.abs(image[..., :3] - image[:, :1, :3]).max(-1) > 40
    assert 0.02 < shown.mean() < 0.5
    window.root.get_by_label("skin", exact=True).uncheck()
