"""Clicks of markers on the skin, in a configuration: one clear line for each fault."""

import pytest

from simspine.core.errors import InputError
from simspine.workflow.config import check_config
from simspine.workflow.config_recordings import SkinMarkers

GOOD = {"C7": {"cam03": [[5, 642.5, 582]], "cam04": [[5, 248.0, 665.7], [14, None, None]]}}


def config(skin_markers):
    trial = {"folder": "pose2sim:Demo_SinglePerson", "skin_markers": skin_markers}
    return {"name": "x", "results": "results/x", "subjects": {"S01": {"trials": {"balance": trial}}}}


def test_clicks_by_frame():
    found = check_config(config({"clicks": GOOD})).subjects["S01"].trials["balance"].skin_markers
    assert isinstance(found, SkinMarkers)
    assert found.by_frame() == {"C7": {"cam03": {5: (642.5, 582.0)}, "cam04": {5: (248.0, 665.7), 14: None}}}


def rows(cam03):
    return {"clicks": {"C7": {"cam03": cam03, "cam04": [[5, 1, 2]]}}}


@pytest.mark.parametrize(
    ("markers", "said"),
    [
        (rows([[5, 642.5]]), r"C7.cam03.0: \[5, 642.5\] is no click; write \[frame, x, y\]"),
        (rows([5, 642.5]), r"(?s)C7.cam03.0: 5 is no click.*C7.cam03.1: 642.5 is no click"),
        (rows([[5, 642.5, None]]), r"\[5, 642.5, null\] is no click"),
        (rows([[5, 642.5, float("nan")]]), "is no click"),
        (rows([[5, "left", 582]]), "is no click"),
        (rows([[-5, 642.5, 582]]), r"\[-5, 642.5, 582\] is no click; .* frames from 0"),
        (rows([[5.5, 642.5, 582]]), r"\[5.5, 642.5, 582\] is no click"),
        (rows([[5, 1, 2], [5, 3, 4]]), "frame 5 is clicked more than once"),
        (rows([[5, None, None]]), "hidden in all of them"),
        (rows([]), "C7.cam03: .*at least 1 item"),
        ({"clicks": {"C7": {"cam03": [[5, 1, 2]]}}}, "C7 is clicked in cam03: click it in two views"),
        ({"clicks": {"T13": GOOD["C7"]}}, "unknown marker on the skin 'T13'. Available: C7, T1"),
        ({"clicks": {"C7": [[5, 1, 2]]}}, "clicks.C7: .*should be a section of keys and values"),
        ({"clicks": {}}, "clicks: .*at least 1 item"),
        (GOOD, "unknown key 'C7'|clicks: required"),
        ({"clicks": GOOD, "radius": 4}, "unknown key 'radius' in .*skin_markers. Did you mean 'radius_px'"),
        ({"clicks": GOOD, "radius_px": 0.1}, "radius_px: .*found 0.1"),
        ([1], r"skin_markers: .*should be a section of keys and values \(found \[1\]"),
    ],
)
def test_faults_are_said_in_a_line_each(markers, said):
    with pytest.raises(InputError, match=said) as in_configuration:
        check_config(config(markers))
    assert str(in_configuration.value).count("\n") == said.count("is no click") or 1  # below the heading


def tape(clicks):
    return {"tape": {"dots": 24, "spacing_mm": 20, "first": "C7", "last": "S1", "clicks": clicks}}


def on_row(**by_number):
    """Clicks at frame 5 of both views, {'dot1': (x, y), …}."""
    return {int(name[3:]): {view: [[5, *xy]] for view in ("cam03", "cam04")} for name, xy in by_number.items()}


@pytest.mark.parametrize(
    ("clicks", "said"),
    [
        (on_row(dot1=(10, 10)), "only dot 1 in frame 5 of cam03; click two or more"),
        (
            on_row(dot1=(10, 10)) | {24: {"cam03": [[5, 10, 300]], "cam04": [[6, 10, 300]]}},
            "only dot 1 in frame 5 of cam04",
        ),
        (on_row(dot1=(10, 10), dot24=(12, 11)), "dot 1 and dot 24 are clicked at one place, 10, 10 in frame 5"),
        (on_row(dot1=(10, 10), dot9=(15, 400), dot24=(12, 300)), "in frame 5 of cam03, dot 24 is not beyond dot 9"),
        (on_row(dot1=(10, 10), dot25=(12, 300)), r"dot 25 is clicked, but it has 24 \(`dots`\)"),
        (
            {1: {"cam03": [[5, 10, 10]]}, 24: {"cam03": [[5, 10, 300]]}},
            "the tape is clicked in cam03: click it in two views",
        ),
    ],
)
def test_clicks_on_a_tape_that_cannot_be_are_refused_when_read(clicks, said):
    with pytest.raises(InputError, match=said):
        check_config(config(tape(clicks)))


def test_clicks_on_a_tape_along_a_bent_back_are_taken():
    bent = on_row(dot1=(10, 10), dot9=(60, 120), dot16=(65, 200), dot24=(12, 300))
    found = check_config(config(tape(bent))).subjects["S01"].trials["balance"].skin_markers.tape_on_skin()
    assert found.clicks_in("cam04") == {number: {5: at} for number, at in zip(
        (1, 9, 16, 24), ((10, 10), (60, 120), (65, 200), (12, 300)), strict=True)}  # fmt: skip


def test_several_people_have_no_markers_on_the_skin():
    some = config({"clicks": GOOD})
    some["subjects"]["S01"]["people"] = 2
    some["detection"] = {"person": "all"}
    with pytest.raises(InputError, match="which of 2 people wears"):
        check_config(some)
