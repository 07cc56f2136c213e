"""All validation figures of a data set, under the names their files and the report's page use."""

from typing import TYPE_CHECKING

from simspine.report.figures.gallery import kinematics_gallery
from simspine.report.figures.rom import lumbar_profile, neck_by_action
from simspine.report.figures.violins import curvature_violins
from simspine.validation.curvature import as_records

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figures(dataset) -> "dict[str, Figure]":
    """{'lla_tka', 'lumbar_rom', 'neck_rom', 'kinematics' or 'kinematics_1' …: figure}; what the data lack is left out.

    dataset: a `Dataset`, an open `DatasetFile`, or `Record`s of `simspine.validation.records`. The numbers are those of
    `simspine.validation.tables`.
    """
    some = as_records(dataset)
    pages = kinematics_gallery(some) if some else []
    found = {
        "lla_tka": curvature_violins(some) if some else None,
        "lumbar_rom": lumbar_profile(some),
        "neck_rom": neck_by_action(some),
    }
    found |= {f"kinematics_{i + 1}" if len(pages) > 1 else "kinematics": page for i, page in enumerate(pages)}
    return {name: figure for name, figure in found.items() if figure is not None}
