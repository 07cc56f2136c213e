"""pyarrow and Hugging Face `datasets` read the shards."""

import json

import numpy as np
import pytest
from small_takes import FILLED, PARAMETERS, REJECTED, UNSOLVED, make_take

from simspine.core.errors import InputError
from simspine.io.exchange import read_parquet, write_card, write_parquet

FRAMES = 9


@pytest.fixture(scope="module")
def take():
    return make_take()


@pytest.fixture(scope="module")
def written(tmp_path_factory, take):
    folder = tmp_path_factory.mktemp("parquet")
    other = make_take(name="Sitting", subject="S5", seed=1)
    rows = write_parquet(folder, "train", lambda: [take, other], shard=7)
    names = {"markers": list(take.trial.markers.names), "clinical": list(PARAMETERS)}
    write_card(folder, "tiny", {"train": sum(rows)}, names, "A notice.")
    return folder, (take, other), rows


def test_shards(written):
    folder, _, rows = written
    assert rows == [7, 7, 4]
    names = sorted(path.name for path in (folder / "data").iterdir())
    assert names == [f"train-{i:05d}-of-00003.parquet" for i in range(3)]


def test_pyarrow_reads_equal_values(written):
    from pyarrow import dataset

    folder, takes, _ = written
    data = dataset.dataset(folder / "data", format="parquet")
    table = data.to_table()
    assert table.column("trial").to_pylist() == ["Walking_1"] * FRAMES + ["Sitting"] * FRAMES
    xyz = np.array(table.column("markers").to_pylist())
    np.testing.assert_array_equal(xyz, np.concatenate([take.trial.markers.xyz for take in takes]))
    said = json.loads(data.schema.metadata[b"simspine"])
    assert said["markers"] == list(takes[0].trial.markers.names)
    assert data.schema.field("markers").metadata[b"unit"] == b"m, y up"
    assert table.column("frame").to_pylist() == [*range(FRAMES)] * 2
    valid = np.array(table.column("valid"))
    assert set(np.flatnonzero(~valid[:FRAMES])) == {UNSOLVED, REJECTED, FILLED}
    assert table.column("status").to_pylist()[FILLED] == "inferred"


def test_hugging_face_datasets_loads_it(written, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    folder, (take, _), _ = written
    data = datasets.load_dataset("parquet", data_dir=str(folder), cache_dir=str(tmp_path), split="train")
    assert len(data) == 2 * FRAMES
    row = data[4]
    np.testing.assert_array_equal(row["markers"], take.trial.markers.xyz[4])
    np.testing.assert_allclose(row["kinematics"][0], np.degrees(take.trial.motion.values[4, 0]))
    assert row["lla"] == take.trial.lla[4]
    whole = datasets.load_dataset(str(folder), cache_dir=str(tmp_path))  # by the card
    assert list(whole) == ["train"]
    assert len(whole["train"]) == 2 * FRAMES


def test_read_back(written):
    folder, takes, _ = written
    found = read_parquet(folder, "train")
    np.testing.assert_array_equal(found["markers"], np.concatenate([take.trial.markers.xyz for take in takes]))
    np.testing.assert_array_equal(found["level_angles"], np.concatenate([take.trial.angles for take in takes]))
    assert list(found["subject"][[0, -1]]) == ["S1", "S5"]
    text = (folder / "README.md").read_text()
    assert "A notice." in text
    assert "data/train-*.parquet" in text
    assert "\n| markers |" in text
    assert "\n| kinematics, kinematics_sd |" in text
    assert "\n| clinical, clinical_sd |" in text
    assert "\n`clinical`: pelvic_tilt, sagittal_vertical_axis\n" in text


def test_clinical_parameters_come_back_with_what_decided_them(written):
    """Of each row's own trial, by our reader and by pyarrow."""
    from pyarrow import dataset

    folder, takes, _ = written
    found = read_parquet(folder, "train")
    for name in ("clinical", "clinical_sd"):
        np.testing.assert_array_equal(found[name], np.concatenate([getattr(take.trial, name) for take in takes]))
    wanted = [list(take.trial.clinical_decided) for take in takes for _ in range(FRAMES)]
    assert found["clinical_decided"].tolist() == wanted
    data = dataset.dataset(folder / "data", format="parquet")
    assert data.to_table().column("clinical_decided").to_pylist() == wanted
    said = json.loads(data.schema.metadata[b"simspine"])
    assert (said["clinical"], said["clinical_units"]) == (list(PARAMETERS), ["rad", "m"])
    assert data.schema.field("clinical_sd").metadata[b"unit"] == b"rad; m"


def test_without_points_and_bad_input(take, tmp_path):
    write_parquet(tmp_path, "train", lambda: [take], points=False)
    assert "markers" not in read_parquet(tmp_path, "train")
    with pytest.raises(InputError, match="no shard"):
        read_parquet(tmp_path, "test")
    with pytest.raises(InputError, match="no frame"):
        write_parquet(tmp_path / "none", "train", lambda: [])
    path = next((tmp_path / "data").iterdir())
    content = bytearray(path.read_bytes())
    content[200] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        read_parquet(tmp_path, "train")
