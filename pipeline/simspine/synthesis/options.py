"""Settings of a virtual capture: the section `virtual` of a configuration."""

from typing import Literal

from pydantic import Field

from simspine.core.settings import Section

SMALL_VIRTUAL_CAPTURE = {"subjects": 2, "actions": ["Greeting", "Phoning", "Sitting", "Walking"], "frames": 300}


class Virtual(Section):
    """What `simspine capture virtual` writes to the folder that `capture.human36m` names."""

    preset: Literal["small", "large"] = "small"
    """small: 2 subjects, 4 actions, 300 frames a trial. large: 7 subjects, 15 actions, as long as in Human3.6M."""
    seed: int = Field(1, ge=0)
    """Decides everything random: on one machine, the same seed gives the same bytes."""
    subjects: int | None = Field(None, ge=1, le=7)
    """Number of people; default: the preset's."""
    actions: list[str] | None = Field(None, min_length=1)
    """Actions, with two trials each; default: the preset's."""
    frames: int | None = Field(None, ge=20)
    """Frames of every trial; default: the preset's."""
    detections: str = "finetuned"
    """Errors of the 2D points: exact, finetuned or zero-shot; or a YAML file with other figures."""
    cameras: str | None = None
    """Calibration file of a rig; default: four cameras like those of Human3.6M."""

    def resolved(self) -> "Virtual":
        """The settings with missing values from the preset; `frames` None means lengths as in Human3.6M."""
        preset = SMALL_VIRTUAL_CAPTURE if self.preset == "small" else {"subjects": 7}
        return self.model_copy(update={key: value for key, value in preset.items() if getattr(self, key) is None})
