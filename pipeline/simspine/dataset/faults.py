"""What verification finds, in words: file, trial, frames, what is wrong."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Fault:
    """One thing found wrong. frames: '128–255', counted from 0; '' where it is not a matter of frames.

    severity: `fault` means that the file is not what was exported or contradicts itself; `doubt`, that it is as
    exported but looks odd.
    """

    file: str
    what: str
    trial: str = ""
    frames: str = ""
    severity: Literal["fault", "doubt"] = "fault"

    def __str__(self) -> str:
        place = [self.file, self.trial, f"frames {self.frames}" if self.frames else ""]
        return f"{self.severity}: {', '.join(part for part in place if part)}: {self.what}"
