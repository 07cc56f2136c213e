"""How far off plain triangulation of virtual detections is, by region, beside what the SIMSPINE paper reports."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from mean_distances import mpjpe, p_mpjpe

from simspine.core.skeletons import POINTS_BY_REGION, SPINE_REGIONS
from simspine.core.types import Markers
from simspine.synthesis.virtual_detector import Preset, RegionErrors

# Khan et al., SIMSPINE (CVPR 2026), tables 3 and 4, means over actions, mm: (MPJPE, P-MPJPE, aligned per region) of
# detections of four views triangulated linearly with confidences as weights.
PAPER = MappingProxyType(
    {
        "finetuned": {
            "cervical": (36.50, 19.68),
            "thoracic": (41.07, 20.67),
            "lumbar": (37.13, 12.21),
            "spine": (38.50, 26.67),
            "body": (27.27, 24.21),
            "all": (31.82, 29.53),
        },
        "zero-shot": {
            "cervical": (54.39, 26.88),
            "thoracic": (69.90, 23.40),
            "lumbar": (48.13, 9.92),
            "spine": (58.92, 39.01),
            "body": (42.74, 42.25),
            "all": (49.30, 46.48),
        },
    }
)
BODY_OFFSET = 0.3  # of the limbs' MPJPE: too few figures to fit it
Measured = Mapping[str, tuple[float, float]]


def region_errors(estimate: Markers, truth: Markers) -> dict[str, tuple[float, float]]:
    """{region: (MPJPE, P-MPJPE) mm} of the paper's regions, of the fifteen 'spine' points, and of all 37."""
    sets = dict(POINTS_BY_REGION) | {"spine": sum(SPINE_REGIONS.values(), ()), "all": truth.names}
    pairs = {name: (estimate.select(points).xyz, truth.select(points).xyz) for name, points in sets.items()}
    return {name: (1e3 * mpjpe(a, b), 1e3 * p_mpjpe(a, b)) for name, (a, b) in pairs.items()}


def fitted(preset: Preset, measure: Callable[[Preset], Measured], target: Measured, rounds: int = 8) -> Preset:
    """The preset with offsets and noise such that `measure` gives the target's errors.

    Noise decides a region's P-MPJPE, since alignment takes away what its points have in common; offset and noise
    together its MPJPE. Each round corrects both as if errors added up in squares. Limbs: the noise by the MPJPE.
    """
    for _ in range(rounds):
        found = measure(preset)
        regions = {name: _corrected(name, preset.regions[name], found[name], target[name]) for name in POINTS_BY_REGION}
        preset = preset.model_copy(update={"regions": regions})
    return preset


def _corrected(
    name: str, region: RegionErrors, found: tuple[float, float], target: tuple[float, float]
) -> RegionErrors:
    if name == "body":
        return RegionErrors(offset_m=BODY_OFFSET * target[0] / 1e3, noise=region.noise * target[0] / found[0])
    growth = target[1] / found[1]
    rest = max(found[0] ** 2 - (1e3 * region.offset_m) ** 2, 0.0) * growth**2
    offset = np.sqrt(max(target[0] ** 2 - rest, 0.0)) / 1e3
    return RegionErrors(
        offset_m=float(region.offset_m + 0.7 * (offset - region.offset_m)), noise=float(region.noise * growth**0.7)
    )
