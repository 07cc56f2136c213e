"""Faults of settings are lines in the words of the file, and a switch is never taken for a number."""

import pickle

import pytest
from pydantic import BaseModel, Field, model_validator

from simspine.core.errors import InputError
from simspine.core.settings import Section, SettingsError
from simspine.learning.options import DescentSettings
from simspine.reconstruction.stage import Options
from simspine.vision.lifting import LifterCard


class Hall(Section):
    width_m: float = Field(3.0, gt=0)
    doors: list[int] = Field(default_factory=list)
    lit: bool = False
    floor: int | None = None

    @model_validator(mode="after")
    def _fits(self):
        if self.width_m > 50:
            raise ValueError("a hall is no street.")
        return self


class House(Section):
    hall: Hall = Hall()
    rooms: dict[str, Hall] = Field(default_factory=dict)
    kind: str


@pytest.mark.parametrize(
    ("settings", "lines"),
    [
        ({}, ["kind: required, but missing."]),
        (
            {"kind": "a", "hall": {"widht_m": 1}},
            ["unknown key 'widht_m' in hall. Did you mean 'width_m'? Available: width_m, doors, lit, floor."],
        ),
        (
            {"kind": "a", "rooms": {"east": {"door": [1]}}},
            ["unknown key 'door' in rooms.east. Did you mean 'doors'? Available: width_m, doors, lit, floor."],
        ),
        ({"kind": "a", "halls": {}}, ["unknown key 'halls'. Did you mean 'hall'? Available: hall, rooms, kind."]),
        ({"kind": "a", "hall": {"width_m": 60}}, ["hall: a hall is no street."]),
        ({"kind": 3, "hall": 4}, ["hall: Input should be a section of keys and values (found 4).",
                                  "kind: Input should be a text (found 3)."]),
        ({"kind": "a", "hall": {"doors": [1, "two"]}}, ["hall.doors.1: Input should be a whole number (found 'two')."]),
        ({"kind": "a", "hall": {"doors": [1, True]}},
         ["hall.doors: Input should be a whole number (found [1, true])."]),
        ({"kind": "a", "hall": {"floor": False}}, ["hall.floor: Input should be a whole number (found false)."]),
        ({"kind": "a", "hall": {"width_m": float("inf")}},
         ["hall.width_m: Input should be a number that is finite (found inf)."]),
    ],
)  # fmt: skip
def test_a_line_for_each_fault(settings, lines):
    for build in (House.model_validate, lambda values: House(**values)):
        with pytest.raises(InputError) as caught:
            build(settings)
        assert list(caught.value.faults) == lines
        assert str(caught.value) == "\n  - ".join(["House cannot be made of what was given:", *lines])
        assert pickle.loads(pickle.dumps(caught.value)).faults == caught.value.faults


def test_a_fault_of_the_whole_has_no_place_in_front():
    with pytest.raises(InputError) as caught:
        Hall(width_m=60)
    assert caught.value.faults == ("a hall is no street.",)


def test_changes_name_settings_that_there_are():
    assert Hall().model_copy(update={"width_m": 4.0}) == Hall(width_m=4.0)
    with pytest.raises(InputError, match=r"unknown key 'widht_m' in Hall\. Did you mean 'width_m'\?"):
        Hall().model_copy(update={"widht_m": 4.0})


def test_no_section_lets_pydantics_error_out():
    """Neither for a key that no section has nor for values that no setting takes."""
    for section in sections():
        with pytest.raises(InputError, match="unknown key 'no_such_key'"):
            section(**BESIDES.get(section.__name__, {}), no_such_key=1)
        with pytest.raises(InputError, match="cannot be made of what was given"):
            section.model_validate({name: {(1, 2): object()} for name in section.model_fields})


def test_faults_of_all_sections_come_together():
    with pytest.raises(InputError) as caught:
        Options(ik={"engin": "trajectory", "engine": "trajectry"}, filter={"order": 3}, bdoy={})
    assert [line.split(" Available")[0] for line in sorted(caught.value.faults)] == [
        "filter.order: Input should be a multiple of 2 (found 3). Order of the net filter.",
        "ik.engine: Input should be 'trajectory' or 'frames' (found 'trajectry'). Did you mean 'trajectory'?",
        "unknown key 'bdoy'. Did you mean 'body'?",
        "unknown key 'engin' in ik. Did you mean 'engine'?",
    ]


BESIDES = {"SkinMarkers": {"tape": {"dots": 4}}}  # it looks at nothing else while it has neither clicks nor a tape


def sections(kind: type[BaseModel] = Section):
    for found in kind.__subclasses__():
        yield found
        yield from sections(found)


def is_number(schema: dict) -> bool:
    kinds = schema.get("anyOf", [schema])
    return any(kind.get("type") in ("number", "integer") for kind in kinds) and not any(
        kind.get("type") == "boolean" for kind in kinds
    )


def test_no_setting_takes_a_switch_for_a_number():
    """By the JSON schema of all sections there are: each number refuses `true`, and each switch takes it."""
    looked_at = set()
    for section in sections():
        for name, schema in section.model_json_schema()["properties"].items():
            if not is_number(schema) and schema.get("type") != "boolean":
                continue
            try:
                section.model_validate({**BESIDES.get(section.__name__, {}), name: True})
                places = []
            except SettingsError as wrong:
                places = [one["loc"] for one in wrong.errors]
            assert ((name,) in places) == is_number(schema), f"{section.__name__}.{name}"
            looked_at.add(f"{section.__name__}.{name}")
    assert {"ReportOptions.sample_frames", "Trial.rate", "DescentSettings.epochs", "Hall.lit"} <= looked_at
    assert {LifterCard, DescentSettings} <= set(sections())


@pytest.mark.parametrize(
    "ik",
    [{"marker_sd_m": 1e-30}, {"region_sd_m": "1e-308"}, {"loss_from_sd": 1e308}, {"weights": {"Hip": 1e308}}],
)
def test_no_setting_is_beyond_arithmetic(ik):
    """The solvers square them, and fail on what comes out."""
    with pytest.raises(InputError, match=r"ik\.\w+: Input should be 0, or 1e-06 to 1e\+06 \(found"):
        Options(ik=ik)
