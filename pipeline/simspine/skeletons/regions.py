"""Regions of the 37 SIMSPINE points, in which detectors err alike, as the tables of the SIMSPINE paper group them.

Nose and head top count as cervical there, the sacrum as lumbar.
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
