"""Files as laboratories have them, each read as the table beside them says, or refused with its message."""

import re
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pytest
from small_c3d import write_small_c3d

from simspine.anatomy.body import Body
from simspine.core.errors import InputError
from simspine.io.c3d import read_c3d
from simspine.io.keypoint_json import read_keypoints
from simspine.io.mot import read_mot, read_sto
from simspine.io.trc import read_trc

CORPUS = Path(__file__).parents[1] / "corpus"
TABLE = tomllib.loads((CORPUS / "expected.toml").read_text(encoding="utf-8"))
CASES = TABLE["case"]
READERS = {
    "trc": read_trc, "mot": read_mot, "sto": read_sto, "c3d": read_c3d, "osim": Body.from_osim,
    "openpose": lambda folder: read_keypoints([folder], rate=50),
}  # fmt: skip
KEYS = {"file", "options", "holds", "says", "refused", "c3d", "names", "name", "rate", "start", "frame", "frames",
        "time", "only", "missing", "zero", "turned", "copies"}  # fmt: skip
READ = [case for case in CASES if "refused" not in case]
REFUSED = [case for case in CASES if "refused" in case]


def title(case: dict) -> str:
    return case["file"] + "".join(f" {key}={value}" for key, value in case.get("options", {}).items())


def path_of(case: dict, tmp_path: Path) -> Path:
    if "c3d" not in case:
        return CORPUS / case["file"]
    path = tmp_path / Path(case["file"]).name
    write_small_c3d(path, TABLE["contents"]["points"], case["c3d"])
    return path


def read(case: dict, path: Path):
    """What the reader returns, and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = READERS[case["file"].split("/")[0]](path, **case.get("options", {}))
    return found, [str(warning.message) for warning in caught]


def expected(case: dict) -> dict:
    """The content, with the changes of the case: `values` (rows, columns, …) and what else is said of it."""
    content = TABLE["contents"][case["holds"]] | {key: case[key] for key in KEYS & case.keys()}
    if "values" not in content:
        return content
    values = np.array(content["values"], float)[: case.get("frames")]
    if "only" in case:
        values = values[:, case["only"]]
    if "copies" in case:
        values = np.tile(values, (1, case["copies"], 1))
        content["names"] = [f"{name}{i}" for i in range(case["copies"]) for name in content["names"]]
    if "turned" in case:
        axes = [("x", "y", "z").index(axis[-1]) for axis in case["turned"].split()]
        values = values[..., axes] * [-1 if axis.startswith("-") else 1 for axis in case["turned"].split()]
    for place in case.get("missing", ()):
        values[tuple(np.atleast_1d(place))] = np.nan
    for place in case.get("zero", ()):
        values[tuple(np.atleast_1d(place))] = 0
    return content | {"values": values}


@pytest.mark.parametrize("case", READ, ids=title)
def test_read(case, tmp_path):
    path, content = path_of(case, tmp_path), expected(case)
    found, said = read(case, path)
    patterns = case.get("says", [])
    assert len(said) == len(patterns), said
    for pattern in patterns:
        assert any(re.search(pattern, text) and path.name in text for text in said), (pattern, said)
    kind = case["file"].split("/")[0]
    if kind == "osim":
        assert (found.name, list(found.bodies)) == (content["name"], content["bodies"])
        assert list(found.coordinates.names) == content["coordinates"]
        return
    assert list(found.names) == content["names"]
    values = content["values"]
    if kind == "sto":
        np.testing.assert_allclose(found.values, values)
        np.testing.assert_allclose(found.time, content["time"], atol=1e-12)
        return
    assert found.rate == content["rate"]
    if kind == "mot":
        assert found.rotational.tolist() == content["rotational"]
        np.testing.assert_allclose(found.values, np.where(content["rotational"], np.radians(values), values), atol=1e-7)
    elif kind == "openpose":
        np.testing.assert_allclose(found.xy[:, 0], values[..., :2])
        np.testing.assert_allclose(found.confidence[:, 0], np.nan_to_num(values[..., 2]))
    else:
        np.testing.assert_allclose(found.xyz, values, atol=1e-6 if kind == "c3d" else 1e-12)
        assert found.frame == content.get("frame", "y_up")
    if kind != "openpose":
        assert found.start == pytest.approx(content.get("start", 0.0), abs=1e-9)


@pytest.mark.parametrize("case", REFUSED, ids=title)
def test_refused(case, tmp_path):
    path = path_of(case, tmp_path)
    with pytest.raises(InputError, match=case["refused"]) as caught:
        read(case, path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_table_and_the_folder_agree():
    """No file that no case reads, no case misspelled, and as many as the page says."""
    listed = {case["file"] for case in CASES if "c3d" not in case}
    there = {path.parent if path.suffix == ".json" else path for path in CORPUS.rglob("*") if path.is_file()}
    of_fuzzing = {"fuzz", "fuzz_found"}  # seeds of tools.fuzz_readers, and what it found
    there = {path for path in there if path.relative_to(CORPUS).parts[0] not in of_fuzzing}
    assert {path.relative_to(CORPUS).as_posix() for path in there} - {"expected.toml"} == listed
    assert [key for case in CASES for key in case if key not in KEYS] == []
    assert all(("refused" in case) != ("holds" in case) for case in CASES)
    assert len({title(case) for case in CASES}) == len(CASES)
    assert len({case["file"] for case in CASES}) >= 60
    assert len(REFUSED) >= 15
