"""How a virtual detector errs: the figures of one preset, by name or from a YAML file of one's own."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.resources import files
from types import MappingProxyType

import yaml

from simspine.errors import InputError, require_known, unknown_name
from simspine.skeletons.regions import REGIONS
from simspine.yaml_files import read_yaml

EXACT = "exact"


@dataclass(frozen=True)
class RegionErrors:
    """Errors of a region's points. offset_m: how far the place the detector means lies from the one meant by the truth.

    noise: standard deviation of an image coordinate, as a share of the person's size in the image, of a point neither
    foreshortened nor hidden; biases of the view are part of it.
    """

    offset_m: float
    noise: float


@dataclass(frozen=True)
class Preset:
    """One way of erring.

    regions: by name (`REGIONS`). foreshortened, occluded: by what share the noise grows when a segment points at the
    camera, and when a point is hidden. outliers, swaps, dropouts: shares of detections far off, of frames and views
    with left and right of a pair of limbs exchanged, of detections missing although in the image. confidence: log-odds
    of a typical detection.
    """

    name: str
    regions: Mapping[str, RegionErrors]
    foreshortened: float = 0.0
    occluded: float = 0.0
    outliers: float = 0.0
    swaps: float = 0.0
    dropouts: float = 0.0
    confidence: float = 40.0

    @property
    def exact(self) -> bool:
        return not self.regions


def available() -> tuple[str, ...]:
    """Names of the presets there are."""
    return (EXACT, *_table())


def read_preset(name: str) -> Preset:
    """A preset by its name, or the only one of a YAML file laid out as presets.yaml.

    Raises `InputError` for an unknown name or key, a missing figure or one out of range.
    """
    if name == EXACT:
        return Preset(EXACT, MappingProxyType({}))
    if str(name).endswith((".yaml", ".yml")):
        table = read_yaml(name)
        if not isinstance(table, dict) or len(table) != 1:
            raise InputError(f"preset {name}: expected one name with its figures below it, as in presets.yaml.")
        [(own, row)] = table.items()
        return checked(str(own), row, str(name))
    table = _table()
    if name not in table:
        raise unknown_name("preset of detections", str(name), available())
    return checked(name, table[name], "presets.yaml")


def checked(name: str, row: Mapping, where: str) -> Preset:
    """A preset out of a plain mapping."""
    known = [field.name for field in fields(Preset) if field.name != "name"]
    if not isinstance(row, Mapping) or not isinstance(row.get("regions"), Mapping):
        raise InputError(f"{where}: preset {name!r} needs regions ({', '.join(REGIONS)}) with offset_m and noise.")
    require_known("key", row, known, f"preset {name!r} of {where}")
    require_known("region", row["regions"], REGIONS, f"preset {name!r} of {where}")
    try:
        regions = {key: RegionErrors(**{k: float(v) for k, v in row["regions"][key].items()}) for key in REGIONS}
        preset = Preset(name, MappingProxyType(regions), **{k: float(v) for k, v in row.items() if k != "regions"})
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"{where}: preset {name!r} is incomplete or holds no number ({error}).") from None
    shares = {"outliers": preset.outliers, "swaps": preset.swaps, "dropouts": preset.dropouts}
    for key, value in shares.items():
        if not 0 <= value < 0.5:
            raise InputError(f"{where}: preset {name!r} has {key} {value:g}, expected a share from 0 to below 0.5.")
    sizes = [v for r in regions.values() for v in (r.offset_m, r.noise)] + [preset.foreshortened, preset.occluded]
    if not all(0 <= v < 10 for v in sizes):
        raise InputError(f"{where}: preset {name!r}: offset_m, noise, foreshortened, occluded must not be negative.")
    return preset


def _table() -> dict:
    return yaml.safe_load(files(__package__).joinpath("presets.yaml").read_text(encoding="utf-8"))
