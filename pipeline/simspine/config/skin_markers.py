"""Markers on the skin, clicked in a few images: what a configuration, or a file of clicks, says of them."""

from collections.abc import Mapping
from itertools import combinations
from math import hypot, isfinite

from pydantic import Field, field_validator, model_validator

from simspine.body.skin import read_skin_table
from simspine.body.tape import Tape
from simspine.errors import InputError, unknown_name
from simspine.settings import Section, SettingsError
from simspine.yaml_files import shown

Click = tuple[int, float | None, float | None]
ROW = "write [frame, x, y], or [frame, null, null] from where it is hidden"


def _without_default(schema: dict) -> None:
    """Snakemake would fill it in where a file or nothing stands in the section's place, and fail."""
    schema.pop("default")


class SkinTape(Section):
    """A tape with a row of dots along the spine; the first dot is the one nearest to the head."""

    dots: int = Field(ge=4, le=100)
    """How many dots it has."""
    spacing_mm: float = Field(ge=5, le=100)
    """From the middle of a dot to the middle of the next one."""
    first: str
    """Level over which the first dot is: C7, T1 … L5, S1."""
    last: str
    """Level over which the last dot is."""
    clicks: dict[int, dict[str, list[Click]]]
    """{number of a dot, from 1 at the top: {view: [[frame, x, y], …]}}; two dots or more in a frame that has any."""
    radius_px: float = Field(4.0, ge=2, le=60, json_schema_extra=_without_default)
    """Of a dot in the images, px; 4 if left out."""

    @field_validator("clicks", mode="before")
    @classmethod
    def _understood(cls, clicks):
        if not isinstance(clicks, Mapping) or not clicks:
            raise ValueError("clicks of the tape: expected {number of a dot: {view: [[frame, x, y], …]}}")
        clicks = {  # a workflow manager hands keys on as text
            int(number) if isinstance(number, str) and number.isdecimal() else number: views
            for number, views in clicks.items()
        }
        for number, views in clicks.items():
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ValueError(f"clicks of the tape: {number!r} is no dot's number; they count from 1 at the top")
            _check_views(f"dot {number}", views)
        found = list(dict.fromkeys(str(view) for views in clicks.values() for view in views))
        if len(found) < 2:
            raise ValueError(
                f"the tape is clicked in {', '.join(found) or 'no view'}: two views must see it to be placed in space"
            )
        return clicks

    @model_validator(mode="after")
    def _on_a_spine(self):
        above = [number for number in self.clicks if number > self.dots]
        if above:
            raise ValueError(f"clicks of the tape: dot {above[0]} is clicked, but it has {self.dots} (`dots`)")
        hidden = [n for n, views in self.clicks.items() for rows in views.values() for _, x, _ in rows if x is None]
        if hidden:
            raise ValueError(f"clicks of dot {hidden[0]}: null is not needed; a dot that is hidden is found out")
        _check_apart({f"dot {number}": views for number, views in self.clicks.items()}, self.radius_px)
        _check_rows_of_dots(self.clicks)
        self.on_skin()  # raises what the levels have against them
        return self

    def on_skin(self) -> Tape:
        """The tape as the pipeline takes it."""
        clicks = {
            number: {
                view: {frame: (x, y) for frame, x, y in rows if x is not None and y is not None}
                for view, rows in views.items()
            }
            for number, views in self.clicks.items()
        }
        return Tape(self.dots, self.spacing_mm / 1000, self.first, self.last, clicks, self.radius_px)


class SkinMarkers(Section):
    """Markers on the skin, clicked in a few images and followed from there (docs/how-to/skin-markers.md)."""

    clicks: dict[str, dict[str, list[Click]]] = Field(default_factory=dict)
    """{landmark: {view: [[frame, x, y], …]}}: C7, T1 … S1, LPSIS, RPSIS; frames from 0; px; null: hidden from there."""
    radius_px: float = Field(6.0, ge=2, le=60, json_schema_extra=_without_default)
    """Of a marker in the images, px; 6 if left out."""
    tape: SkinTape | None = Field(None, json_schema_extra=_without_default)
    """A row of dots along the spine, as one object."""

    @model_validator(mode="before")
    @classmethod
    def _something(cls, data):
        if isinstance(data, Mapping) and "clicks" not in data and not data.get("tape"):
            raise ValueError("clicks: required, but missing (or a `tape`)")
        return data

    @field_validator("clicks", mode="before")
    @classmethod
    def _understood(cls, clicks):
        if not isinstance(clicks, Mapping) or not clicks:
            raise ValueError("clicks: expected {landmark: {view: [[frame, x, y], …]}}, with one landmark at least")
        known = read_skin_table().places
        for landmark, views in clicks.items():
            if landmark not in known:
                raise ValueError(str(unknown_name("marker on the skin", str(landmark), known)))
            _check_views(landmark, views)
            if len(views) < 2:
                raise ValueError(
                    f"{landmark} is clicked in {', '.join(map(str, views)) or 'no view'}: two views must see a marker "
                    "for it to be placed in space; click it in another one, or leave it out"
                )
        return clicks

    @model_validator(mode="after")
    def _on_different_markers(self):
        _check_apart(self.clicks, self.radius_px)
        return self

    def tape_on_skin(self) -> Tape | None:
        """The tape as the pipeline takes it, if there is one."""
        return None if self.tape is None else self.tape.on_skin()

    def by_frame(self) -> dict[str, dict[str, dict[int, tuple[float, float] | None]]]:
        """{landmark: {view: {frame: (x, y) or None}}}."""
        return {
            landmark: {
                view: {frame: None if x is None or y is None else (x, y) for frame, x, y in rows}
                for view, rows in views.items()
            }
            for landmark, views in self.clicks.items()
        }


def skin_markers_from(value) -> "SkinMarkers | str | None":
    """Clicks as they stand in YAML; a path, and nothing, stay what they are. `ValueError` in one line of text."""
    if value is None or isinstance(value, str | SkinMarkers):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"expected clicks, or the name of a YAML file of them; found {shown(value)}")
    try:
        return SkinMarkers.model_validate(value)
    except SettingsError as wrong:
        raise ValueError("; ".join(line.rstrip(".") for line in wrong.faults)) from None


def _check_views(name, views) -> None:
    """`ValueError` unless these are clicks of one marker by view."""
    if not isinstance(views, Mapping):
        raise ValueError(f"clicks of {name}: expected {{view: [[frame, x, y], …]}}, found {shown(views)}")
    for view, rows in views.items():
        _check_rows(f"clicks of {name} in {view}", rows)


def _check_apart(clicks: Mapping[str, Mapping[str, list[Click]]], radius: float) -> None:
    """`ValueError` where two markers are clicked at one place, within the radius of one."""
    places = [
        (landmark, view, frame, x, y)
        for landmark, views in clicks.items()
        for view, rows in views.items()
        for frame, x, y in rows
        if x is not None and y is not None
    ]
    for (first, view, frame, x, y), (second, *where, u, v) in combinations(places, 2):
        if first != second and where == [view, frame] and hypot(x - u, y - v) < radius:
            raise ValueError(
                f"{first} and {second} are clicked at the same place, {x:g}, {y:g} px in frame {frame} of {view}; "
                "click each on its own marker"
            )


def _check_rows_of_dots(clicks: Mapping[int, Mapping[str, list[Click]]]) -> None:
    """`ValueError` unless each frame that is clicked has two dots or more, and they follow one another by number."""
    rows: dict[tuple[str, int], dict[int, complex]] = {}
    for number in sorted(clicks):
        for view, at in clicks[number].items():
            for frame, x, y in at:
                assert x is not None  # null was refused
                assert y is not None
                rows.setdefault((view, frame), {})[number] = complex(x, y)
    for (view, frame), row in rows.items():
        numbers, places = list(row), list(row.values())
        if len(row) < 2:
            raise ValueError(
                f"clicks of the tape: {view} has a click on dot {numbers[0]} only in frame {frame}; click two dots or "
                "more in the same frame, the first and the last one in sight"
            )
        way = places[-1] - places[0]
        along = [((place - places[0]) * way.conjugate()).real for place in places]
        for k in range(1, len(row)):
            if along[k] <= along[k - 1]:
                raise ValueError(
                    f"clicks of the tape: in frame {frame} of {view}, dots {', '.join(map(str, numbers))} do not "
                    f"follow one another by number; dot {numbers[k]} is not beyond dot {numbers[k - 1]}"
                )


def _check_rows(where: str, rows) -> None:
    """`ValueError` unless these are clicks of one marker in one view."""
    if not isinstance(rows, list | tuple) or not rows:
        raise ValueError(f"{where}: found {shown(rows)}; expected a list of clicks: {ROW}")
    frames = []
    for row in rows:
        if not isinstance(row, list | tuple) or len(row) != 3:
            raise ValueError(f"{where}: {shown(row)} is no click; {ROW}")
        frame, x, y = row
        if isinstance(frame, bool) or not isinstance(frame, int) or frame < 0:
            raise ValueError(f"{where}: frame {shown(frame)}; frames are whole numbers from 0")
        if (x is None) != (y is None) or not all(v is None or _is_number(v) for v in (x, y)):
            raise ValueError(f"{where}: {shown(list(row))} is no click; {ROW}")
        frames.append(frame)
    twice = sorted({frame for frame in frames if frames.count(frame) > 1})
    if twice:
        raise ValueError(f"{where}: frame {twice[0]} is clicked more than once")
    if all(row[1] is None for row in rows):
        raise ValueError(f"{where}: the marker is hidden in all of them; leave the view out")


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def clicks_in_file(data, path) -> SkinMarkers:
    """The clicks of a YAML file that was read; `InputError` that names it."""
    try:
        found = skin_markers_from(data if isinstance(data, Mapping) else [data])  # text is no path of another file
    except ValueError as error:
        raise InputError(f"{path}: {error}. See docs/how-to/skin-markers.md.") from None
    assert isinstance(found, SkinMarkers)
    return found
