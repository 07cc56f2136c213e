from pathlib import Path

import numpy as np
import pytest
from tools.marker_atlas.page import page
from tools.marker_atlas.survey import survey

from simspine.anatomy.body import neutral_markers
from simspine.anatomy.curvature import read_endplates
from simspine.anatomy.marker_sets import read_marker_set
from simspine.anatomy.recipes import build_body, read_recipe
from simspine.core.skeletons import load_skeleton

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def atlas():
    return survey()


def test_the_committed_page_is_the_generated_one(atlas):
    assert (DOCS / "marker-atlas.md").read_text(encoding="utf-8") == page(atlas), (
        f"run: python -m tools.marker_atlas.page {DOCS.name}"
    )


def test_every_keypoint_is_on_the_page(atlas):
    text = page(atlas)
    for name in load_skeleton("simspine37").names:
        assert f"`{name}`" in text
    assert "nan" not in text


def test_figures_of_the_page(atlas):
    """By hand from the set-up files: Hip at (−156, 4), hips at (−64, −81) in the pelvis; lumbar x −36.9…−47.7."""
    text = page(atlas)
    assert f"`Hip` is {np.hypot(156.26 - 63.93, 4.09 + 81.34):.0f} mm" in text
    assert "lumbar points are 37–48 mm behind the origins" in text


def test_released_points_are_bone(atlas):
    """Sacrum to C1: within 8 mm of a vertex of the mesh of the vertebra they are named after; below the neck at the tip
    of the spinous process, farther from the centroid than from the tip."""
    for name, entry in atlas.spine.items():
        point, level = atlas.at(atlas.release[name]), entry["level"]
        assert np.linalg.norm(atlas.mesh(level) - point, axis=1).min() < 8e-3
        if name.startswith("Spine"):
            assert (
                np.linalg.norm(point - atlas.process(level)) < 9e-3 < np.linalg.norm(point - atlas.centroid(level)) / 4
            )


@pytest.mark.slow
def test_the_figure_is_drawn(atlas, tmp_path):
    from PIL import Image
    from tools.marker_atlas.figure import draw

    draw(atlas, tmp_path / "figure.png", dpi=60)
    picture = np.asarray(Image.open(tmp_path / "figure.png").convert("RGB"), int)
    assert (picture.min(-1) < 250).mean() > 0.15  # not blank
    blue, vermillion = np.array([0, 114, 178]), np.array([213, 94, 0])
    for colour in (blue, vermillion):
        assert (np.abs(picture - colour).sum(-1) < 60).sum() > 30


def test_vertebral_set_is_the_centroids():
    places, vertebrae = read_marker_set("vertebral").places, read_endplates()
    levels = ("S1", "L5", "L3", "L1", "T8", "T3", "C7", "C4", "C1")
    points = ("Hip", "Spine_01", "Spine_02", "Spine_03", "Spine_04", "Spine_05", "Neck", "Neck_02", "Neck_03")
    for point, level in zip(points, levels, strict=True):
        assert places[point].body == vertebrae[level].body
        np.testing.assert_allclose(places[point].offset, vertebrae[level].centroid, atol=1e-6)
    released = read_marker_set("simspine-release").places
    assert {name: places[name] for name in set(released) - set(points)} == {
        name: released[name] for name in set(released) - set(points)
    }


def test_vertebral_set_on_the_articulated_body():
    """There a point in a vertebra's centroid is its body's origin."""
    body = build_body("articulated", "vertebral")
    for point, carrier in {"Spine_04": "T8", "Spine_05": "T3", "Neck": "C7", "Neck_02": "C4", "Neck_03": "C1"}.items():
        i = body.marker_index(point)
        assert body.marker_bodies[i] == carrier
        np.testing.assert_allclose(body.marker_offsets[i], 0, atol=1e-9)
    np.testing.assert_allclose(neutral_markers(body), neutral_markers(build_body("coupled", "vertebral")), atol=1e-9)


def test_the_flexion_task_leaves_room():
    """OpenSim multiplies a task's weight by the sum of the markers' weights; at 0.1 it nearly forbids flexion."""
    assert read_recipe("coupled").coordinate_tasks == {"L5_S1_Flex_Ext": (0.0, 0.01)}
    assert read_recipe("articulated").coordinate_tasks == {}
