"""The tables by which a data set is judged: curvature by action and subject, range of motion by level, neck by action.

Pure functions of a data set; figures of the same numbers: `simspine.report.figures.validation`. Method and
definitions: docs/validation.md.
"""

from simspine.validation.curvature import CurvatureRow, curvature_table
from simspine.validation.motion import RangeRow, lumbar_rom, neck_rom
from simspine.validation.records import Record, records
from simspine.validation.tables import as_csv, as_markdown, tables

__all__ = [
    "CurvatureRow", "RangeRow", "Record", "as_csv", "as_markdown", "curvature_table", "lumbar_rom",
    "neck_rom", "records", "tables",
]  # fmt: skip
