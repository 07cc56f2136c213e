"""Labels of rendered pictures: against OpenCV's projection, against rays, and on disk."""

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
from command_line import call, failed, succeeded
from pycocotools import mask as coco_mask
from ray_hits import ray_hits

from simspine.core.errors import InputError
from simspine.core.geometry import project_one
from simspine.core.skeletons import load_skeleton
from simspine.io.coco import read_coco, run_lengths
from simspine.synthesis.raster import Material, join_meshes
from simspine.synthesis.rendered_crops import (
    RENDER_RECORD_FILE,
    RenderSettings,
    begin_pictures,
    draw_sample,
    label_picture,
    points_in_sight,
    write_pictures,
)
from simspine.synthesis.rendered_people import BODY_DENSITY, build_of, enclosed_volume, person_mesh
from simspine.synthesis.rendered_scenes import (
    Sensor,
    box_mesh,
    draw_camera,
    expose_picture,
    finer_camera,
    take_picture,
    to_srgb,
)
from simspine.synthesis.shading import shadow_map
from simspine.workflow.up_to_date import hold_lock

NATIVE = load_skeleton("spinetrack37")
NAMES = load_skeleton("simspine37").names


def shot(who, light, frame, number=0, things=(), size=(192, 256)):
    """A picture without anything behind, its camera and its mesh."""
    rng = np.random.default_rng(number)
    body = person_mesh(who.person, who.maps[frame])
    camera = draw_camera(rng, body.points[::40], who.floor, size)
    mesh = join_meshes([body, *things])
    shadow = shadow_map(body.points, body.triangles, light.way)
    behind = np.zeros((size[1], size[0], 3), np.float32)
    return take_picture(camera, mesh, len(body.triangles), light, shadow, behind, 2), camera, mesh


def test_points_are_where_opencv_projects_them(who):
    sample = draw_sample(who, RenderSettings(), 5, 1)
    camera, xyz = sample.camera, who.points[sample.frame]
    K, d = camera.K, camera.distortion
    px = cv2.projectPoints(xyz, cv2.Rodrigues(camera.R)[0], camera.t, K, d)[0][:, 0]
    order = [NAMES.index(NATIVE.to_simspine[name]) for name in NATIVE.names]
    shown = sample.labels.keypoints[:, 2] > 0
    assert shown.sum() > 20
    np.testing.assert_allclose(sample.labels.keypoints[shown, :2], px[order][shown], atol=1e-6)
    local = xyz[order] @ camera.R.T + camera.t
    np.testing.assert_allclose(sample.labels.camera_xyz, local, atol=1e-9)


def test_what_is_in_sight_is_so_by_rays(who, light):
    """A ray from the camera to each point: hidden where it meets a surface farther before the point than its reach."""
    checked = hidden = 0
    for number in range(4):
        picture, camera, mesh = shot(who, light, 40 * number, number)
        xyz = who.points[40 * number]
        found = points_in_sight(picture, camera, xyz, who.reach)
        inside = (project_one(camera, xyz) >= 0).all(1) & (project_one(camera, xyz) < np.array(camera.size) - 1).all(1)
        for i in np.flatnonzero(inside):
            hits = ray_hits(camera.centre, xyz[i] - camera.centre, mesh.points, mesh.triangles)
            length = np.linalg.norm(xyz[i] - camera.centre)
            before = (1 - hits[0]) * length if len(hits) else -1.0
            if abs(before - who.reach[i]) > 0.02:  # not where half a pixel decides
                checked += 1
                hidden += before > who.reach[i]
                assert found[i] == (before <= who.reach[i]), NAMES[i]
    assert checked > 80
    assert hidden > 5


def test_a_wall_before_somebody_hides_all_of_them(who, light):
    picture, camera, _ = shot(who, light, 10, 1)
    xyz = who.points[10]
    middle = (camera.centre + 3 * xyz.mean(0)) / 4
    turn = camera.R.T  # a board across the line of sight
    wall = box_mesh(middle, np.array([3.0, 3.0, 0.05]), turn, Material((0.5, 0.5, 0.5)))
    covered, camera, _ = shot(who, light, 10, 1, [wall])
    assert points_in_sight(picture, camera, xyz, who.reach).sum() > 15
    assert not points_in_sight(covered, camera, xyz, who.reach).any()
    assert label_picture(covered, camera, xyz, who.reach) is None


def test_the_mask_is_the_outline_of_the_surface(who, light):
    """Against filled polygons of all triangles, drawn by OpenCV at the finer scale."""
    picture, camera, mesh = shot(who, light, 70, 2)
    px = project_one(finer_camera(camera, 2), mesh.points)
    drawn = np.zeros((512, 384), np.uint8)
    for triangle in mesh.triangles:
        cv2.fillConvexPoly(drawn, np.round(px[triangle]).astype(np.int32), 1)
    coarse = cv2.resize(drawn.astype(np.float32), (192, 256), interpolation=cv2.INTER_AREA)
    mask = picture.mask > 0.5
    assert (mask & (coarse > 0.5)).sum() / (mask | (coarse > 0.5)).sum() > 0.96  # OpenCV draws borders a pixel wider


def test_run_lengths_are_cocos():
    mask = np.zeros((3, 4), bool)
    mask[0, 0] = mask[2, 1] = mask[:, 2] = True
    assert run_lengths(mask) == {"size": [3, 4], "counts": [0, 1, 4, 4, 3]}
    wide = np.random.default_rng(0).random((40, 30)) < 0.5
    rle = coco_mask.frPyObjects(run_lengths(wide), 40, 30)
    np.testing.assert_array_equal(coco_mask.decode(rle).astype(bool), wide)


def test_a_finer_camera_sees_the_same_places(who, light):
    _, camera, mesh = shot(who, light, 5)
    fine = project_one(finer_camera(camera, 2), mesh.points[:50])
    np.testing.assert_allclose((fine - 0.5) / 2, project_one(camera, mesh.points[:50]), atol=1e-9)


def test_a_cube_has_its_volume_and_people_their_mass(who):
    cube = box_mesh(np.array([1.0, 2, 3]), np.array([0.2, 0.3, 0.5]), np.eye(3), Material((1, 1, 1)))
    assert enclosed_volume(cube.points, cube.triangles) == pytest.approx(0.03)
    body = who.person.body
    builds = [build_of(body, 1.0, {}, mass) for mass in (45.0, 55.0, 65.0)]
    assert builds == sorted(builds)
    assert BODY_DENSITY > 900


def test_the_srgb_curve_is_the_standards():
    grey = np.full((1, 1, 3), 0.2140, np.float32)
    assert (to_srgb(grey) == 127).all() or (to_srgb(grey) == 128).all()
    assert (to_srgb(np.full((1, 1, 3), 2.0, np.float32)) == 255).all()
    red = to_srgb(np.array([[[1.0, 0, 0]]], np.float32))
    np.testing.assert_array_equal(red, [[[0, 0, 255]]])


def test_a_pixel_without_a_colour_is_black_and_changes_no_other():
    grey = np.full((8, 8, 3), 0.2, np.float32)
    lost = grey.copy()
    grey[1, 1], lost[1, 1] = 0, np.nan
    noisy = Sensor(noise=(0.02, 0.0))
    image, wanted = (expose_picture(some, noisy, np.random.default_rng(0)) for some in (lost, grey))
    np.testing.assert_array_equal(image, wanted)
    assert image[1, 1].max() == 0


def test_noise_is_as_strong_as_stated():
    grey = np.full((200, 200, 3), 0.24, np.float32)
    image = expose_picture(grey, Sensor(noise=(0.02, 0.0)), np.random.default_rng(0)).astype(float)
    slope = 255 * 1.055 / 2.4 * 0.24 ** (1 / 2.4 - 1)  # of the sRGB curve there
    assert image.std() == pytest.approx(slope * 0.02 * np.sqrt(0.24), rel=0.1)


def test_a_set_on_disk_reads_as_spinetrack(tmp_path, who):
    settings = RenderSettings(seed=2, images=4, people=1, size=(96, 128), samples=1, actions=("Walking",))
    assert write_pictures(tmp_path / "set", settings) == 4
    found = read_coco(tmp_path / "set/annotations/person_keypoints_train-unreal.json")
    assert len(found["file_name"]) == 4
    assert {path.name for path in (tmp_path / "set/images/train-unreal").iterdir()} == set(found["file_name"].tolist())
    labelled = found["keypoints"][..., 2] > 0
    assert labelled.mean() > 0.6
    content = json.loads((tmp_path / "set/annotations/person_keypoints_train-unreal.json").read_text())
    for row, image in zip(content["annotations"], content["images"], strict=True):
        assert sum(row["segmentation"]["counts"]) == 96 * 128
        assert sum(row["segmentation"]["counts"][1::2]) == row["area"]
        camera = image["camera"]  # a reader's own projection, with nothing of ours
        local = np.array(row["keypoints_camera_m"]).reshape(37, 3)
        px = cv2.projectPoints(local, np.zeros(3), np.zeros(3), np.array(camera["K"]), np.array(camera["distortion"]))[
            0
        ]
        points = np.array(row["keypoints"]).reshape(37, 3)
        np.testing.assert_allclose(points[points[:, 2] > 0, :2], px[points[:, 2] > 0, 0], atol=0.02)
    again = tmp_path / "again"
    write_pictures(again, settings)
    for path in sorted((tmp_path / "set").rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (again / path.relative_to(tmp_path / "set")).read_bytes(), path
    with pytest.raises(InputError, match="a set of rendered pictures of other settings, which would be replaced"):
        write_pictures(again, replace(settings, images=2))
    record = json.loads((again / RENDER_RECORD_FILE).read_text())
    (again / RENDER_RECORD_FILE).write_text(json.dumps(record | {"complete": False}))  # as of a run that was stopped
    write_pictures(again, replace(settings, images=2))
    assert len(list((again / "images/train-unreal").iterdir())) == 2


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(InputError, match="holds files"):
        write_pictures(tmp_path, RenderSettings(images=1, people=1))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]
    assert not (tmp_path / RENDER_RECORD_FILE).exists()


def test_pictures_behind_a_link_and_those_of_other_names_stay(tmp_path):
    mine, out = tmp_path / "mine", tmp_path / "out"
    for folder in (mine, out / "images" / "train-unreal"):
        folder.mkdir(parents=True)
        (folder / "000001.jpg").touch()
        (folder / "beach1.jpg").touch()
    begin_pictures(out, {})
    assert [path.name for path in (out / "images" / "train-unreal").iterdir()] == ["beach1.jpg"]
    shutil.rmtree(out / "images")
    (out / "images").mkdir()
    (out / "images" / "train-unreal").symlink_to(mine)
    begin_pictures(out, {})
    assert len(list(mine.iterdir())) == 2


def test_two_cannot_write_to_one_folder(tmp_path):
    with hold_lock(tmp_path / ".lock", "busy"):
        done = call("capture", "render", "--out", tmp_path, "--images", "1")
    assert (done.exit_code, "another process is rendering" in done.output) == (2, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "large"], "192x256"),
        (["--action", "Wlking"], "Walking"),
        (["--backgrounds", "nowhere"], "does not exist"),
    ],
)
def test_wrong_options_are_named(tmp_path, options, message):
    assert message in failed(call("capture", "render", "--out", tmp_path / "set", "--images", "1", *options))
    assert not (tmp_path / "set").exists()


def test_pictures_stand_before_the_users_images(who, tmp_path):
    path = tmp_path / "green.png"
    cv2.imwrite(str(path), np.full((300, 300, 3), (0, 255, 0), np.uint8))
    greens = []
    for number in range(6):
        image = draw_sample(who, RenderSettings(samples=1, backgrounds=(path,)), 8, number).image.astype(int)
        greens.append((image[..., 1] > image[..., 0] + 80).mean())
    assert max(greens) > 0.3


def test_the_preset_has_fixed_cameras(tmp_path):
    """Their axes and places stay; each picture is another part of their image. A person whose motion is short."""
    words = ["capture", "render", "--out", str(tmp_path), "--preset", "spinetrack", "--size", "64x64", "--quiet"]
    succeeded(call(*words, "--images", "12", "--people", "1", "--action", "Waiting"))
    content = json.loads((tmp_path / "annotations/person_keypoints_train-unreal.json").read_text())
    cameras = [image["camera"] for image in content["images"]]
    places = {tuple(np.round(-np.array(c["R"]).T @ c["t"], 5)) for c in cameras}
    assert 1 < len({str(c["R"]) for c in cameras}) == len(places) <= 5
    assert len({str(c["K"]) for c in cameras}) == 12
    stated = json.loads((tmp_path / RENDER_RECORD_FILE).read_text())["settings"]
    assert (stated["fixed_cameras"], stated["people"], stated["actions"]) == (5, 1, ["Waiting"])
