"""Regions of the 37 points: of SIMSPINE's, as the tables of its paper group them, and of SpineTrack's evaluation.

In SIMSPINE nose and head top count as cervical, the sacrum as lumbar. SpineTrack's head, clavicles and latissimus count
in `all` only.
"""

from types import MappingProxyType

from simspine.skeletons import TARGET, load

_SPINE = {
    "cervical": ("Nose", "Head", "Neck", "Neck_02", "Neck_03"),
    "thoracic": ("Spine_04", "Spine_05", "RLatissimus", "LLatissimus", "RClavicle", "LClavicle"),
    "lumbar": ("Hip", "Spine_01", "Spine_02", "Spine_03"),
}
SPINE_REGIONS = MappingProxyType(_SPINE)
REGIONS = MappingProxyType(_SPINE | {"body": tuple(n for n in load(TARGET).names if n not in sum(_SPINE.values(), ()))})

_BY_ORDER = load("spinetrack37").names
SPINETRACK_REGIONS = MappingProxyType({
    "body": _BY_ORDER[:17],
    "feet": _BY_ORDER[20:26],
    "spine": ("neck_03", "neck_02", "neck", *(f"spine_0{k}" for k in range(5, 0, -1)), "hip"),
    "all": _BY_ORDER,
})  # fmt: skip
