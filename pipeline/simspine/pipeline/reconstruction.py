"""`Reconstruction`: a solved trial as users of the library get it, which writes itself as a data set or a report.

What writes is loaded when it is asked for: `report` is the one place where the core imports a satellite.
"""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from simspine.pipeline.solved_trial import SolvedTrial


@dataclass(frozen=True, eq=False)
class Reconstruction(SolvedTrial):
    """Everything the pipeline says about one trial; fields as in `SolvedTrial`."""

    def save(self, path: str | PathLike) -> Path:
        """Write the trial as a data set of its own: one HDF5 file, read by `simspine.open_dataset`. Returns its path.

        Raises `InputError` where `path` does not end in .h5, and if points do not follow from the angles.
        """
        from simspine.pipeline.publish import write_trials

        return write_trials(path, [self])

    def report(self, path: str | PathLike) -> Path:
        """Write the report of the trial: one page of HTML that needs nothing else. Returns its path."""
        from simspine.pipeline.page import write_trial_report

        return write_trial_report(path, self)
