import numpy as np

from simspine.report.figure_style import KHAKI, LILAC, ORANGE, VERMILLION, to_bgr
from simspine.report.people_pictures import SPINE_CURVE_POINTS, DrawnPerson, draw_people, with_legend

GREY = np.full((600, 400, 3), 120, np.uint8)


def at(x, y, confidence=1.0):
    return np.array([x, y, confidence])


def spine():
    return {name: at(200, 500 - 45 * i) for i, name in enumerate(SPINE_CURVE_POINTS)}


def colour(picture, x, y):
    return tuple(int(v) for v in picture[y, x])


def test_left_and_right_have_their_colours():
    points = {"LElbow": at(300, 200), "LWrist": at(300, 400), "RElbow": at(100, 200), "RWrist": at(100, 400)}
    picture = draw_people(GREY, [DrawnPerson(points)])
    assert colour(picture, 300, 300) == colour(picture, 300, 200) == to_bgr(KHAKI)
    assert colour(picture, 100, 300) == colour(picture, 100, 200) == to_bgr(LILAC)
    assert picture.shape == GREY.shape
    assert (GREY == 120).all()


def test_a_detected_spine_is_filled_and_an_inferred_one_hollow_and_broken():
    seen = draw_people(GREY, [DrawnPerson(spine())])
    guessed = draw_people(GREY, [DrawnPerson(spine(), frozenset(SPINE_CURVE_POINTS))])
    estimated = draw_people(GREY, [DrawnPerson(spine(), estimated=frozenset(SPINE_CURVE_POINTS))])
    assert (estimated != seen).any(2).sum() > 50
    assert (estimated != guessed).any(2).sum() > 50
    assert colour(seen, 200, 500) == to_bgr(VERMILLION)
    assert colour(guessed, 200, 500) not in (to_bgr(VERMILLION), to_bgr(ORANGE))
    along = np.arange(150, 490)
    red, orange = (np.array([colour(p, 200, y) == to_bgr(c) for y in along]) for p, c in
                   ((seen, VERMILLION), (guessed, ORANGE)))  # fmt: skip
    assert red.mean() > 0.85
    assert 0.2 < orange.mean() < 0.8
    assert not (guessed == np.array(to_bgr(VERMILLION))).all(-1).any()


def test_less_sure_points_are_smaller():
    def area(confidence):
        picture = draw_people(GREY, [DrawnPerson({"LWrist": at(200, 300, confidence), "LKnee": at(200, 20)})])
        return int((picture[250:350] == np.array(to_bgr(KHAKI))).all(-1).sum())

    assert area(1.0) > 2 * area(0.3) > 0


def test_one_point_of_the_spine_is_no_curve_and_nobody_is_nothing():
    draw_people(GREY, [DrawnPerson({"Hip": at(200, 300)}), DrawnPerson({})])
    draw_people(GREY, [DrawnPerson({"Hip": at(200, 300), "Neck": at(200, 100)}, frozenset({"Hip"}), "person 1")])
    np.testing.assert_array_equal(draw_people(GREY, []), GREY)


def test_points_beyond_the_image_and_labels_at_its_rim_do_no_harm():
    points = {name: point - [190, 480, 0] for name, point in spine().items()}
    assert draw_people(GREY, [DrawnPerson(points, label="person 12 · 0.93")]).shape == GREY.shape


def test_the_legend_stands_below():
    picture = with_legend(GREY, ["spine_inferred"])
    np.testing.assert_array_equal(picture[:600], GREY)
    below = picture[600:]
    assert (below == np.array(to_bgr(ORANGE))).all(-1).any()
    assert not (below == np.array(to_bgr(VERMILLION))).all(-1).any()
