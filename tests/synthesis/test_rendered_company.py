"""Several people in one picture, and pictures of an open shutter: against where people are put and how far they go."""

import json
from dataclasses import replace

import numpy as np
import pytest

from simspine.core.geometry import project_one
from simspine.core.types import Camera
from simspine.synthesis.raster import join_meshes
from simspine.synthesis.rendered_crops import (
    Actor,
    Style,
    draw_sample,
    label_picture,
    motion_blurred,
    place_beside,
    points_in_sight,
)
from simspine.synthesis.rendered_files import RenderSettings, write_pictures
from simspine.synthesis.rendered_scenes import take_picture
from simspine.synthesis.shading import shadow_map
from simspine.synthesis.virtual_trial import look_at_rotation

SIZE = (192, 256)


def camera_at(target, away):
    eye = target + np.asarray(away, float)
    R = look_at_rotation(eye, target)
    K = np.array([[480.0, 0, 95.5], [0, 480.0, 127.5], [0, 0, 1]])
    return Camera("c", SIZE, K, np.zeros(5), R, -R @ eye)


def shot(actors, camera, light, things=()):
    bodies = [actor.mesh() for actor in actors]
    mesh = join_meshes([*bodies, *things])
    shadow = shadow_map(mesh.points, mesh.triangles, light.way)
    behind = np.zeros((SIZE[1], SIZE[0], 3), np.float32)
    counts = [len(body.triangles) for body in bodies]
    return take_picture(camera, mesh, counts, light, shadow, behind, 2), behind


def test_somebody_before_another_hides_their_points_and_takes_their_pixels(who, light):
    person = who.person
    target = who.points[20].mean(0)
    alone = Actor(who, person, 20, 0.0)
    camera = camera_at(target, (5.0, 0, 0.1))
    towards = (camera.centre - target) * [1, 1, 0]
    front = Actor(who, person, 20, 0.0, shift=0.25 * towards)  # the same posture, so it covers all behind it
    aside = Actor(who, person, 20, 0.0, shift=np.cross([0, 0, 0.25], towards))
    picture, _ = shot([alone, front], camera, light)
    assert points_in_sight(shot([alone], camera, light)[0], camera, alone.points(), who.reach).sum() > 15
    left = points_in_sight(picture, camera, alone.points(), who.reach, 0)
    assert left.sum() < 8  # hands and feet, which the one before is too far away to cover
    assert not left[[who.names.index(f"Spine_0{i}") for i in range(1, 6)]].any()
    assert points_in_sight(picture, camera, front.points(), who.reach, 1).sum() > 15
    assert picture.masks[0].sum() < 0.2 * picture.masks[1].sum()
    free, _ = shot([alone, aside], camera, light)
    single, _ = shot([alone], camera, light)
    np.testing.assert_array_equal(free.masks[0], single.masks[0])
    one, two = (
        label_picture(free, camera, who.names, actor.points(), who.reach, k) for k, actor in enumerate((alone, aside))
    )
    assert not (one.mask & two.mask).any()
    shown = two.keypoints[:, 2] > 0
    np.testing.assert_allclose(
        np.sort(two.keypoints[shown, 0]), np.sort(project_one(camera, aside.points())[:, 0][shown_in(camera, aside)])
    )


def shown_in(camera, actor):
    px = project_one(camera, actor.points())
    return ((px >= -0.5) & (px < np.array(SIZE) - 0.5)).all(1)


def test_people_stand_on_one_floor_and_clear_of_each_other(who):
    first = Actor(who, who.person, 5, 0.0).mesh()
    other = replace(who, floor=who.floor)
    for seed in range(4):
        actor, mesh = place_beside(other, np.random.default_rng(seed), who.floor, [first])
        gaps = np.linalg.norm(mesh.points[::13, None] - first.points[None, ::13], axis=-1)
        assert 0.06 < gaps.min() < 3.0
        alone = Actor(who, who.person, actor.frame, 0.0).mesh()
        assert mesh.points[:, 2].min() == pytest.approx(alone.points[:, 2].min(), abs=0.01)


def test_a_blur_is_as_wide_as_the_way_gone(who, light):
    """Somebody stiff who slides sideways at 2 m/s, 0.06 s of open shutter: 12 cm, half of it on either side."""
    target, rate = who.points[20].mean(0), 50.0
    camera = camera_at(target, (4.0, 0, 0.1))
    right = camera.R[0]
    maps = np.repeat(who.maps[20:21], 21, 0)
    maps[..., 3] += (2.0 / rate * np.arange(-10, 11))[:, None, None] * right
    sliding = replace(who, maps=maps, points=np.repeat(who.points[20:21], 21, 0), takes=np.zeros(21, int), rate=rate)
    actor = Actor(sliding, who.person, 10, 0.0)
    picture, behind = shot([actor], camera, light)
    colours = motion_blurred([actor], (), 0.06, camera, light, behind, picture)
    sharp, soft = (np.flatnonzero((image.max(-1) > 0).any(0)) for image in (picture.colours, colours))
    nearest = (actor.mesh().points @ camera.R[2] + camera.t[2]).min()
    way = 480.0 * 0.12 / np.linalg.norm(camera.centre - target)
    assert way * 0.85 - 1 < (soft[-1] - soft[0]) - (sharp[-1] - sharp[0]) < 480.0 * 0.12 / nearest + 1
    assert soft.mean() == pytest.approx(sharp.mean(), abs=1.0)
    assert colours.sum() == pytest.approx(picture.colours.sum(), rel=0.03)  # light is spread, not lost
    still = motion_blurred([actor], (), 0.0005, camera, light, behind, picture)
    assert still is picture.colours


def test_a_shutter_does_not_see_the_next_trial(who):
    two = replace(who, takes=np.repeat([0, 1], [100, who.frames - 100]))
    np.testing.assert_array_equal(two.maps_at(99, 1.0), who.maps[99])
    np.testing.assert_array_equal(two.maps_at(100, -1.0), who.maps[100])
    np.testing.assert_allclose(two.maps_at(50, 0.25 / who.rate), 0.75 * who.maps[50] + 0.25 * who.maps[51])
    np.testing.assert_allclose(two.maps_at(50, -0.25 / who.rate), 0.75 * who.maps[50] + 0.25 * who.maps[49])


def test_a_set_of_several_people_has_a_row_for_each(tmp_path):
    style = Style(size=(96, 128), samples=1, together=3, exposure=0.02)
    settings = RenderSettings(seed=2, images=6, people=3, style=style, actions=("Walking",))
    write_pictures(tmp_path, settings)
    content = json.loads((tmp_path / "annotations/person_keypoints_train-unreal.json").read_text())
    rows = content["annotations"]
    assert [row["id"] for row in rows] == list(range(1, len(rows) + 1))
    assert {row["image_id"] for row in rows} == set(range(1, 7))
    assert len(rows) > 6
    for image in content["images"]:
        own = [row for row in rows if row["image_id"] == image["id"]]
        assert len({row["person"] for row in own}) == len(own) <= 3
        assert sum(row["area"] for row in own) <= 96 * 128


def test_alone_and_unblurred_unless_asked(who):
    assert (Style().together, Style().exposure) == (1, 0.0)
    one = draw_sample(who, Style(samples=1), 5, 3)
    offered = draw_sample(who, Style(samples=1), 5, 3, [who])
    np.testing.assert_array_equal(one.image, offered.image)
