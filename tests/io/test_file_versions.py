"""Files of a newer layout, or of one that is no number, are refused with what was found and what to do."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from simspine.annotation.labels import read_journal
from simspine.core.errors import InputError
from simspine.dataset.recordings import read_dataset_manifest
from simspine.io.dataset_read import DatasetFile
from simspine.io.hdf5 import read_store, write_store

NUMBERS = [99, "99", "new", -1, 2.5, np.array([3, 4])]


def stored(folder: Path, number) -> None:
    write_store(folder / "result.h5", x=np.zeros(3))
    with h5py.File(folder / "result.h5", "r+") as file:
        file.attrs["simspine_schema"] = number
    read_store(folder / "result.h5")


def data_set(folder: Path, number) -> None:
    with h5py.File(folder / "set.h5", "w") as file:
        for name in ("markers_names", "kinematic_axes"):
            file[f"metadata/{name}"] = np.array([b"Hip"])
        file.attrs["schema"] = number
    with DatasetFile(folder / "set.h5"):
        pass


def manifest(folder: Path, number) -> None:
    number = number.tolist() if isinstance(number, np.ndarray) else number
    (folder / "manifest.json").write_text(json.dumps({"manifest": number, "files": {}}))
    read_dataset_manifest(folder)


def journal(folder: Path, number) -> None:
    number = number.tolist() if isinstance(number, np.ndarray) else number
    (folder / "anna.jsonl").write_text(
        json.dumps({"schema": number, "recording": "r", "views": [], "points": []}) + "\n"
    )
    read_journal(folder / "anna.jsonl")


@pytest.mark.parametrize("number", NUMBERS, ids=str)
@pytest.mark.parametrize("kind", [stored, data_set, manifest, journal], ids=lambda kind: kind.__name__)
def test_unknown_versions_are_refused(tmp_path, kind, number):
    with pytest.raises(InputError) as refused:
        kind(tmp_path, number)
    assert str(tmp_path) in str(refused.value)
