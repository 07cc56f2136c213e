"""Where each file of a run lies. The Snakefile and the stages both take their names from here."""

from dataclasses import dataclass
from pathlib import Path

STAGES = ("detect", "triangulate", "merge", "scale", "ik", "vertebrae", "quality", "export")


@dataclass(frozen=True)
class Paths:
    """Files of one subject below the results folder."""

    results: Path
    subject: str

    @property
    def folder(self) -> Path:
        return self.results / self.subject

    def manifest(self, stage: str, trial: str | None = None) -> Path:
        """What a stage made of a trial, from what: written last. Without a trial, of all trials together."""
        place = self.folder / "manifests" / stage
        return place.with_name(f"{stage}.json") if trial is None else place / f"{trial}.json"

    def keypoints(self, trial: str) -> Path:
        return self.folder / "keypoints" / f"{trial}.h5"

    def people(self, trial: str) -> Path:
        """Everybody followed in a recording that several subjects share; in the folder of the first of them."""
        return self.folder / "keypoints" / f"{trial}_people.h5"

    def cameras(self, trial: str) -> Path:
        """The cameras that are used, and what was found about them."""
        return self.folder / "cameras" / f"{trial}.h5"

    def points(self, trial: str) -> Path:
        return self.folder / "points" / f"{trial}.h5"

    def markers(self, trial: str, suffix: str = ".h5") -> Path:
        return self.folder / "markers" / f"{trial}{suffix}"

    @property
    def model(self) -> Path:
        return self.folder / "model" / f"{self.subject}.osim"

    @property
    def scaling(self) -> Path:
        return self.folder / "model" / "scaling.json"

    def kinematics(self, trial: str, suffix: str = ".h5") -> Path:
        return self.folder / "kinematics" / f"{trial}{suffix}"

    def vertebrae(self, trial: str, suffix: str = ".h5") -> Path:
        return self.folder / "vertebrae" / f"{trial}{suffix}"

    def quality(self, trial: str) -> Path:
        return self.folder / "quality" / f"{trial}.json"

    def filled(self, trial: str, kind: str) -> Path:
        """'kinematics' or 'vertebrae' after rejected frames were filled in."""
        return self.folder / "quality" / f"{trial}_{kind}.h5"


def results_manifest(results: str, job: str) -> Path:
    """What a job over all subjects made, from what."""
    return Path(results) / "manifests" / f"{job}.json"
