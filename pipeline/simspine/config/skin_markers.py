"""Markers on the skin, clicked in a few images: what a configuration, or a file of clicks, says of them."""

from collections.abc import Mapping
from math import isfinite

from pydantic import Field, ValidationError, field_validator

from simspine.body.skin import read_skin_table
from simspine.errors import InputError, unknown_name
from simspine.pipeline.options import Section

Click = tuple[int, float | None, float | None]
ROW = "write [frame, x, y], or [frame, null, null] from where it is hidden"


def _without_default(schema: dict) -> None:
    """Snakemake would fill it in where a file or nothing stands in the section's place, and fail."""
    schema.pop("default")


class SkinMarkers(Section):
    """Markers on the skin, clicked in a few images and followed from there (docs/how-to/skin-markers.md)."""

    clicks: dict[str, dict[str, list[Click]]]
    """{landmark: {view: [[frame, x, y], …]}}: C7, T1 … L5, LPSIS, RPSIS; frames from 0; px; null: hidden from there."""
    radius_px: float = Field(6.0, ge=2, le=60, json_schema_extra=_without_default)
    """Of a marker in the images, px; 6 if left out."""

    @field_validator("clicks", mode="before")
    @classmethod
    def _understood(cls, clicks):
        if not isinstance(clicks, Mapping) or not clicks:
            raise ValueError("clicks: expected {landmark: {view: [[frame, x, y], …]}}, with one landmark at least")
        known = read_skin_table().places
        for landmark, views in clicks.items():
            if landmark not in known:
                raise ValueError(str(unknown_name("marker on the skin", str(landmark), known)))
            if not isinstance(views, Mapping):
                raise ValueError(f"clicks of {landmark}: expected {{view: [[frame, x, y], …]}}, found {views!r}")
            for view, rows in views.items():
                _check_rows(f"clicks of {landmark} in {view}", rows)
            if len(views) < 2:
                raise ValueError(
                    f"{landmark} is clicked in {', '.join(map(str, views)) or 'no view'}: two views must see a marker "
                    "for it to be placed in space; click it in another one, or leave it out"
                )
        return clicks

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
        raise ValueError(f"expected clicks, or the name of a YAML file of them; found {value!r}")
    try:
        return SkinMarkers.model_validate(value)
    except ValidationError as error:
        raise ValueError("; ".join(map(_fault, error.errors()))) from None


def _fault(error) -> str:
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return str(unknown_name("key", key, SkinMarkers.model_fields))
    if error["type"] == "missing":
        return f"{key}: required, but missing"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    return f"{key}: {error['msg']} (found {error['input']!r})"


def _check_rows(where: str, rows) -> None:
    """`ValueError` unless these are clicks of one marker in one view."""
    if not isinstance(rows, list | tuple) or not rows:
        raise ValueError(f"{where}: found {rows!r}; expected a list of clicks: {ROW}")
    frames = []
    for row in rows:
        if not isinstance(row, list | tuple) or len(row) != 3:
            raise ValueError(f"{where}: {row!r} is no click; {ROW}")
        frame, x, y = row
        if isinstance(frame, bool) or not isinstance(frame, int) or frame < 0:
            raise ValueError(f"{where}: frame {frame!r}; frames are whole numbers from 0")
        if (x is None) != (y is None) or not all(v is None or _is_number(v) for v in (x, y)):
            raise ValueError(f"{where}: {list(row)!r} is no click; {ROW}")
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
