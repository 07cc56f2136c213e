"""Camera parameters of a copy: the official metadata.xml, its contents as JSON, or any JSON/TOML the user has."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simspine.errors import InputError, unknown_name
from simspine.formats._text import parsed, read_bytes
from simspine.sources.human36m.camera_model import to_opencv
from simspine.sources.human36m.metadata import LENSES, Metadata, read_metadata
from simspine.sources.human36m.parameters_json import is_parameters, parameters
from simspine.types import Camera

# Looked for in a copy, in this order; {subject} is filled in.
SHARED_FILES = ("metadata.xml", "cameras.json", "camera-parameters.json")
SUBJECT_FILES = ("cameras/Calib_{subject}.toml", "Calib_{subject}.toml", "{subject}.toml", "{subject}.json")


@dataclass(frozen=True)
class Rigs:
    """Where the cameras of each subject are read from.

    place: a file that holds all subjects (metadata.xml, JSON) or one rig (TOML, JSON), or a folder with a file per
    subject. lens: whose formula the tangential numbers belong to, 'human36m' or 'opencv'. metadata: the contents, if
    they were read already.
    """

    place: Path
    lens: str
    metadata: Metadata | None = None

    def cameras(self, subject: str) -> list[Camera]:
        """The rig of one subject in metres, with OpenCV's lens that is the same as that of `lens`."""
        given = self.given(subject)
        return [to_opencv(camera) for camera in given] if self.lens == "human36m" else given

    def given(self, subject: str) -> list[Camera]:
        """The rig of one subject in metres, with the numbers of the file."""
        if self.metadata is not None:
            if subject not in self.metadata.rigs:
                raise unknown_name("subject", subject, self.metadata.rigs, str(self.place))
            return self.metadata.cameras(subject)
        from simspine.formats.calibration import read_calibration

        return read_calibration(self.file(subject), subject)

    def file(self, subject: str) -> Path:
        """The file the subject's cameras are in."""
        if not self.place.is_dir():
            return self.place
        for pattern in SUBJECT_FILES:
            path = self.place / pattern.format(subject=subject)
            if path.is_file():
                return path
        wanted = ", ".join(pattern.format(subject=subject) for pattern in SUBJECT_FILES)
        raise InputError(f"no camera file for {subject} in {self.place}; looked for {wanted}.")


def open_rigs(place: str | os.PathLike, lens: str | None = None) -> Rigs:
    """Camera parameters from a file or a folder.

    lens: whose formula p1 and p2 belong to. If None: what a metadata.xml says or is known to mean, the data set's for
    the JSON of human36m-camera-parameters, and OpenCV's for other JSON and TOML, whose formats are defined by it.
    (Where such a file was converted from metadata.xml number by number, say `lens="human36m"`; the report about a copy
    finds out.)
    """
    place = Path(place)
    if lens is not None and lens not in LENSES:
        raise unknown_name("lens", lens, LENSES)
    if place.is_dir():
        shared = next((place / name for name in SHARED_FILES if (place / name).is_file()), None)
        return Rigs(place, lens or "opencv") if shared is None else open_rigs(shared, lens)
    if not place.is_file():
        raise InputError(f"camera parameters {place} do not exist.")
    if place.suffix.lower() == ".xml":
        metadata = read_metadata(place)
        return Rigs(place, lens or metadata.lens, metadata)
    if place.suffix.lower() == ".json":
        content = parsed(json.loads, read_bytes(place), "valid JSON", place)
        if is_parameters(content):
            metadata = parameters(content, str(place))
            return Rigs(place, lens or metadata.lens, metadata)
    return Rigs(place, lens or "opencv")


def find_rigs(folders: Sequence[Path], subjects: Sequence[str], lens: str | None = None) -> Rigs | None:
    """The first of the usual files in the first of the folders that has one; None if there is none."""
    for folder in folders:
        per_subject = (pattern.format(subject=subject) for subject in subjects for pattern in SUBJECT_FILES)
        if any((folder / name).is_file() for name in (*SHARED_FILES, *per_subject)):
            return open_rigs(folder, lens)
    return None
