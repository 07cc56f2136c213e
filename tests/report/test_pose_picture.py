import numpy as np

from simspine.anatomy.curvature import SPINE_CHAIN_MARKERS
from simspine.report.figure_style import KHAKI, LILAC, ORANGE, SKY, VERMILLION, to_bgr
from simspine.report.overlay import PersonLayer, draw_layers, legend_below

GREY = np.full((600, 400, 3), 120, np.uint8)


def spine():
    return {name: (200, 500 - 45 * i) for i, name in enumerate(SPINE_CHAIN_MARKERS)}


def colour(picture, x, y):
    return tuple(int(v) for v in picture[y, x])


def test_left_and_right_have_their_colours():
    points = {"LElbow": (300, 200), "LWrist": (300, 400), "RElbow": (100, 200), "RWrist": (100, 400)}
    picture = draw_layers(GREY, [PersonLayer(points)])
    assert colour(picture, 300, 300) == to_bgr(KHAKI)
    assert colour(picture, 100, 300) == to_bgr(LILAC)
    assert colour(picture, 300, 200) == colour(picture, 100, 200) == to_bgr(SKY)  # detected points
    assert picture.shape == GREY.shape
    assert (GREY == 120).all()


def test_a_detected_spine_is_filled_and_an_inferred_one_hollow_and_broken():
    seen = draw_layers(GREY, [PersonLayer(spine())])
    guessed = draw_layers(GREY, [PersonLayer(spine(), inferred=set(SPINE_CHAIN_MARKERS))])
    estimated = draw_layers(GREY, [PersonLayer(spine(), estimated=set(SPINE_CHAIN_MARKERS))])
    assert (estimated != seen).any(2).sum() > 50
    assert (estimated != guessed).any(2).sum() > 50
    assert colour(seen, 200, 500) == to_bgr(SKY)
    assert colour(guessed, 200, 500) not in (to_bgr(SKY), to_bgr(ORANGE))
    along = np.arange(150, 490)
    red = np.array([colour(seen, 200, y) in (to_bgr(VERMILLION), to_bgr(SKY)) for y in along])  # a line with points
    orange = np.array([colour(guessed, 200, y) == to_bgr(ORANGE) for y in along])
    assert red.mean() > 0.85
    assert 0.2 < orange.mean() < 0.8
    assert not (guessed == np.array(to_bgr(VERMILLION))).all(-1).any()


def test_less_sure_points_are_smaller():
    def area(confidence):
        picture = draw_layers(GREY, [PersonLayer({"LWrist": (200, 300), "LKnee": (200, 20)}, {"LWrist": confidence})])
        return int((picture[250:350] == np.array(to_bgr(SKY))).all(-1).sum())

    assert area(1.0) > 2 * area(0.3) > 0


def test_one_point_of_the_spine_is_no_curve_and_nobody_is_nothing():
    draw_layers(GREY, [PersonLayer({"Hip": (200, 300)}), PersonLayer({})])
    draw_layers(GREY, [PersonLayer({"Hip": (200, 300), "Neck": (200, 100)}, inferred={"Hip"}, label="person 1")])
    np.testing.assert_array_equal(draw_layers(GREY, []), GREY)


def test_points_beyond_the_image_and_labels_at_its_rim_do_no_harm():
    points = {name: np.subtract(point, [190, 480]) for name, point in spine().items()}
    assert draw_layers(GREY, [PersonLayer(points, label="person 12 · 0.93")]).shape == GREY.shape


def test_the_legend_holds_what_is_asked_for():
    below = legend_below(GREY, {"inferred"})
    assert below.shape[1] == GREY.shape[1]
    assert (below == np.array(to_bgr(ORANGE))).all(-1).any()
    assert not (below == np.array(to_bgr(VERMILLION))).all(-1).any()
