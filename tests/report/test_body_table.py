"""What was found of a person's body, as the page shows it."""

import numpy as np
import pytest

from simspine.anatomy.person_variation import SACRAL_TILT
from simspine.anatomy.recipes import build_body, read_recipe
from simspine.estimation.fit_person import SizedBody
from simspine.estimation.person import Person
from simspine.report.tables import FoundVariation, body_table
from simspine.report.trial_page import variations_of


def test_a_row_has_value_spread_and_share():
    """Half the spread is left: three quarters of the variance are decided."""
    (table,) = body_table([FoundVariation("depth of the hips", -8.66, 6.0, 12.0, "mm", "forwards")])
    row = tuple(cell.replace("\u00a0", " ") for cell in table.rows[0])
    assert row == ("Depth of the hips", "−8.7 ± 6.0 mm", "forwards", "± 12.0 mm", "75 %")
    assert table.folded


def test_nothing_decided_is_never_negative():
    assert FoundVariation("neck height", 0.0, 13.0, 12.0, "%", "higher").decided == 0.0


def test_no_fit_no_table():
    assert body_table(()) == ()


@pytest.fixture(scope="module")
def body():
    return build_body("articulated", "simspine37")


def test_variations_come_from_the_recipe_and_the_person(body):
    """Units and directions of those that the articulated body has."""
    recipe, empty = read_recipe("articulated"), np.empty((0, 0))
    anatomy = {v.name: (0.5 * v.sd, 0.3 * v.sd) for v in recipe.anatomy}
    person = Person((), np.empty(0), empty, empty, 1, {}, {}, anatomy, {})
    found = {v.name: v for v in variations_of(SizedBody(body, recipe, {}, person))}
    assert set(found) == set(anatomy)
    for variation in recipe.anatomy:
        own = found[variation.name]
        factor = 100 if variation.stretch else 1e3
        assert own.spread == pytest.approx(factor * variation.sd)
        assert (own.value / own.spread, own.sd / own.spread) == pytest.approx((0.5, 0.3))
        assert own.unit == ("%" if variation.stretch else "mm")
    directions = {name: v.positive for name, v in found.items()}
    assert directions["lumbar height"] == "higher"
    assert directions["depth of the shoulders"] == "forwards"
    assert directions["height of the head"] == "upwards"
    assert directions["width of the shoulders"] == "outwards"
    assert variations_of(SizedBody(body, recipe, {})) == ()


def test_the_sacral_endplate_is_among_them_where_the_fit_had_it(body):
    one = np.radians([[4.0]]) ** 2
    person = Person((SACRAL_TILT,), np.radians([-3.0]), one, 1 / one, 1, {}, {}, {}, {})
    (found,) = variations_of(SizedBody(body, read_recipe("articulated"), {}, person))
    assert (found.value, found.sd, found.spread, found.unit) == (*map(pytest.approx, (-3, 4, 6.9)), "°")
    row = tuple(cell.replace("\u00a0", " ") for cell in body_table([found])[0].rows[0])
    assert row == ("Slope of the sacral endplate", "−3.0 ± 4.0°", "steeper", "± 6.9°", "66 %")
