"""A stage, one step from a recording to the spine, and the settings of all stages, as a configuration file has them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any, Self

from pydantic import model_validator

from simspine.anatomy.options import ScalingOptions
from simspine.core.settings import Section
from simspine.estimation.options import BodyOptions, KinematicsOptions
from simspine.quality.findings import QualityOptions
from simspine.vision.options import CameraOptions, DetectionOptions, FilterOptions, MergeOptions, TriangulationOptions

Known = Mapping[str, Any]  # {name: what is known of a trial}


@dataclass(frozen=True)
class Stage:
    """A function from types to types, and where its arguments come from. `simspine.reconstruction.stages` lists all
    stages.

    work: takes sections of the options by position, and what is known of a trial by name; returns {name: result}. A
    stage for all trials of a person together takes `trials`, {trial: {name: …}}, and returns the same. gives, takes:
    names of its results, and of its inputs: by default all keyword parameters. sections: those of `Options` that decide
    how it works, by the types of its parameters by position. of_person: whether it takes all trials of a person.
    """

    name: str
    work: Callable[..., dict[str, Any]]
    gives: tuple[str, ...]
    takes: tuple[str, ...] = ()

    def __post_init__(self):
        by_name = tuple(parameter.name for parameter in self._parameters if parameter.kind is parameter.KEYWORD_ONLY)
        object.__setattr__(self, "takes", self.takes or by_name)

    @property
    def _parameters(self) -> list[Parameter]:
        return list(signature(self.work).parameters.values())

    @property
    def sections(self) -> tuple[str, ...]:
        names = {field.annotation: name for name, field in Options.model_fields.items()}
        return tuple(names[one.annotation] for one in self._parameters if one.kind is one.POSITIONAL_OR_KEYWORD)

    @property
    def of_person(self) -> bool:
        return any(parameter.name == "trials" for parameter in self._parameters)

    def __call__(self, options: Section, **given: Any) -> dict[str, Any]:
        """The results of `work` with the stage's sections of `options`."""
        return self.work(*(getattr(options, section) for section in self.sections), **given)

    def run(self, trials: Mapping[str, Known], options: Section) -> dict[str, Known]:
        """What is known of each trial, with the stage's results added. trials: {trial: {name: what is known}}."""
        taken = {trial: {name: known[name] for name in self.takes} for trial, known in trials.items()}
        if self.of_person:
            results = self(options, trials=taken)
        else:
            results = {trial: self(options, **given) for trial, given in taken.items()}
        return {trial: {**known, **results[trial]} for trial, known in trials.items()}


class Options(Section):
    """How each stage works. The fields are the sections of a configuration file (docs/configuration.md).

    Attributes
    ----------
    detection : DetectionOptions
    cameras : CameraOptions
    triangulation : TriangulationOptions
    filter : FilterOptions
    merge : MergeOptions
    body : BodyOptions
    scaling : ScalingOptions
    ik : KinematicsOptions
    quality : QualityOptions
    """

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
