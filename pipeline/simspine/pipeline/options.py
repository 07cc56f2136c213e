"""The settings of all stages together; each stage has its own in its room. They are what a configuration file sets."""

from typing import Self

from pydantic import model_validator

from simspine.body.options import BodyOptions, ScalingOptions
from simspine.detection.options import (
    CameraOptions,
    DetectionOptions,
    FilterOptions,
    MergeOptions,
    TriangulationOptions,
)
from simspine.ik.options import KinematicsOptions
from simspine.quality.options import QualityOptions
from simspine.settings import Section


class Options(Section):
    """The settings of all stages."""

    detection: DetectionOptions = DetectionOptions()
    cameras: CameraOptions = CameraOptions()
    triangulation: TriangulationOptions = TriangulationOptions()
    filter: FilterOptions = FilterOptions()
    merge: MergeOptions = MergeOptions()
    body: BodyOptions = BodyOptions()
    scaling: ScalingOptions = ScalingOptions()
    ik: KinematicsOptions = KinematicsOptions()
    quality: QualityOptions = QualityOptions()

    @model_validator(mode="after")
    def _filling_needs_the_trajectory(self) -> Self:
        if self.quality.fill_gaps and self.ik.engine != "trajectory":
            raise ValueError(f"quality.fill_gaps needs ik.engine trajectory; {self.ik.engine} sees no other frame")
        return self
