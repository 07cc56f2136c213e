"""What the model forces survives our store; anything else there is refused."""

import pytest

from simspine.core.errors import InputError
from simspine.core.types import Forced
from simspine.io.dataset_write import forced_from_json, forced_to_json
from simspine.io.hdf5 import read_store, write_store

FORCED = {
    "L5-S1": (),
    "L4-L5": (Forced("coupled", ("flexion",), "L5_S1", 13 / 7), Forced("coupled", ("lateral bending",), "L5_S1")),
    "tka": (Forced("rigid", ("flexion",), spans=("T3", "T12"), body="torso"),),
}


def test_facts_survive_the_store(tmp_path):
    write_store(tmp_path / "a.h5", forced=forced_to_json(FORCED))
    assert forced_from_json(read_store(tmp_path / "a.h5")["forced"], "a.h5") == FORCED


@pytest.mark.parametrize(
    "odd",
    [
        {"L4-L5": "flexion = 1.857 × L5_S1_Flex_Ext"},
        {"L4-L5": [{"kind": "glued", "planes": []}]},
        {"L4-L5": [{"kind": "locked"}]},
        {"L4-L5": [{"kind": "coupled", "planes": ["flexion"], "ratio": "much"}]},
        ["L4-L5"],
        None,
    ],
)
def test_anything_else_is_refused_with_a_way_out(odd):
    with pytest.raises(InputError, match=r"a\.h5: not facts .*expected .*again"):
        forced_from_json(odd, "a.h5")
