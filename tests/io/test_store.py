import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simspine.core.errors import InputError
from simspine.core.types import Camera, Keypoints, Markers, Motion, Origin
from simspine.io.hdf5 import read_store, write_store

RNG = np.random.default_rng(0)
CAMERA = Camera(
    "cam ä", (1088, 1920), np.diag([1000.5, 1001, 1]), [0.1, -0.2, 0.001, 0.002, 0.3], np.eye(3), [0.1, 2, 3]
)
FISHEYE = CAMERA.with_(name="3", lens="fisheye", distortion=[0.1, 0.2, 0.3, 0.4])
XY = RNG.uniform(0, 1000, (20, 2, 3, 2))
XY[3, 1, 2] = np.nan
KEYPOINTS = Keypoints(("a", "b", "ç"), 59.94, XY, RNG.uniform(0, 1, (20, 2, 3)), ("detected", "inferred", "given"))
XYZ = RNG.normal(size=(20, 3, 3))
XYZ[4, 1] = np.nan
MARKERS = Markers(
    ("a", "b", "c"),
    50,
    XYZ,
    "y_up",
    RNG.uniform(0, 1, (20, 3)),
    RNG.random(size=(20, 3, 3, 3)),
    (Origin.INFERRED, Origin.GIVEN, Origin.DETECTED),
    RNG.uniform(size=(20, 3)) < 0.5,
    start=1.25,
)
BARE = Markers(("a",), 50, np.zeros((0, 1, 3)))
MOTION = Motion(("x", "y"), 60, RNG.normal(size=(20, 2)), [True, False], RNG.uniform(size=(20, 2)), start=-0.5)


def test_types_come_back_whole(tmp_path):
    items = {
        "cameras": [
            CAMERA,
            CAMERA.with_(name="2", distortion=np.arange(12)),
            FISHEYE,
        ],
        "keypoints": KEYPOINTS,
        "markers": MARKERS,
        "bare": BARE,
        "motion": MOTION,
        "plain": MOTION.with_(deviation=None),
    }
    write_store(tmp_path / "x.h5", **items)
    back = read_store(tmp_path / "x.h5")
    assert list(back) == list(items)
    assert back == items
    assert back["markers"].origin == MARKERS.origin
    assert back["keypoints"].origin == KEYPOINTS.origin
    assert back["bare"].filled is None


def test_estimated_points_come_back_and_schema_3_is_read(tmp_path):
    points = KEYPOINTS.with_(origin=("estimated",) * len(KEYPOINTS.names))
    write_store(tmp_path / "x.h5", points=points, others=KEYPOINTS)
    assert read_store(tmp_path / "x.h5")["points"].origin == points.origin
    with h5py.File(tmp_path / "x.h5", "a") as file:
        del file["points"]
        file.attrs["simspine_schema"] = 3
    assert read_store(tmp_path / "x.h5")["others"] == KEYPOINTS


def test_cameras_of_schema_2_have_no_lens(tmp_path):
    write_store(tmp_path / "x.h5", camera=CAMERA)
    with h5py.File(tmp_path / "x.h5", "a") as file:
        file.attrs["simspine_schema"] = 2
        del file["camera"].attrs["lens"]
    assert read_store(tmp_path / "x.h5")["camera"] == CAMERA


def test_diagnostics(tmp_path):
    items = {
        "none": None,
        "number": np.float64(0.1),
        "count": np.int64(3),
        "flag": np.bool_(True),
        "text": "Größe\n",
        "empty": {},
        "nested": {"a": [1, 2.5, None, True, {"b": "c"}], "nan": [float("inf")]},
        "arrays": {"x": np.arange(3), "deeper": {"camera": CAMERA, "n": 1}},
    }
    write_store(tmp_path / "x.h5", **items)
    back = read_store(tmp_path / "x.h5")
    assert list(back) == list(items)
    np.testing.assert_array_equal(back["arrays"].pop("x"), np.arange(3))
    assert back["arrays"]["deeper"] == {"camera": CAMERA, "n": 1}
    for key in items.keys() - {"arrays"}:
        assert back[key] == items[key], key


dtypes = st.sampled_from(["f8", "f4", "i8", "i4", "u1", "?", "U5"])


@settings(max_examples=40, deadline=None)
@given(dtypes.flatmap(lambda d: arrays(d, st.lists(st.integers(0, 4), max_size=3).map(tuple))))
def test_arrays_come_back_exactly(tmp_path_factory, array):
    if array.dtype.kind == "U":  # lone surrogates are no text; NUL ends one in NumPy and HDF5 alike
        array = np.array([s.encode("utf-8", "ignore").decode().split("\0")[0] for s in array.flat] or [], "U5").reshape(
            array.shape
        )
    path = tmp_path_factory.mktemp("store") / "x.h5"
    write_store(path, x=array)
    back = read_store(path)["x"]
    assert (back.shape, back.dtype.kind) == (array.shape, array.dtype.kind)
    assert array.dtype.kind == "U" or back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_large_arrays_have_checksums_and_are_not_compressed(tmp_path):
    x = RNG.normal(size=(100, 500))
    write_store(tmp_path / "x.h5", x=x)
    with h5py.File(tmp_path / "x.h5") as file:
        assert (file["x"].compression, file["x"].fletcher32) == (None, True)
    np.testing.assert_array_equal(read_store(tmp_path / "x.h5")["x"], x)


def test_layout_can_be_read_without_us(tmp_path):
    write_store(tmp_path / "x.h5", markers=MARKERS, keypoints=KEYPOINTS)
    with h5py.File(tmp_path / "x.h5") as file:
        assert file.attrs["simspine_schema"] == 4
        group = file["markers"]
        assert (group.attrs["type"], group.attrs["frame"], group.attrs["rate"]) == (b"Markers", b"y_up", 50.0)
        assert group["xyz"].attrs["units"] == b"m"
        assert file["keypoints/xy"].attrs["units"] == b"px"
        assert [n.decode() for n in file["keypoints/names"]] == ["a", "b", "ç"]
        assert [o.decode() for o in group["origin"]] == ["inferred", "given", "detected"]


def test_single_items(tmp_path):
    write_store(tmp_path / "x.h5", a=1, b=2)
    assert read_store(tmp_path / "x.h5", ["b"]) == {"b": 2}
    with pytest.raises(InputError, match=r"unknown item 'c'.*Available: a, b"):
        read_store(tmp_path / "x.h5", ["c"])


class TestRefused:
    def test_not_hdf5(self, tmp_path):
        (tmp_path / "x.h5").write_text("hello")
        with pytest.raises(InputError, match=r"x\.h5: cannot be read as HDF5"):
            read_store(tmp_path / "x.h5")

    def test_foreign(self, tmp_path):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["a"] = 1
        with pytest.raises(InputError, match="not written by simspine"):
            read_store(tmp_path / "x.h5")

    @pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
    def test_cut_short(self, tmp_path, share):
        write_store(tmp_path / "x.h5", m=MARKERS, x=RNG.normal(size=10_000))
        content = (tmp_path / "x.h5").read_bytes()
        (tmp_path / "x.h5").write_bytes(content[: int(share * len(content))])
        with pytest.raises(InputError, match=r"x\.h5"):
            read_store(tmp_path / "x.h5")

    def test_damaged(self, tmp_path):
        write_store(tmp_path / "x.h5", x=RNG.normal(size=10_000))
        content = bytearray((tmp_path / "x.h5").read_bytes())
        content[len(content) // 2] ^= 0xFF
        (tmp_path / "x.h5").write_bytes(content)
        with pytest.raises(InputError, match=r"x\.h5.*damaged"):
            read_store(tmp_path / "x.h5")

    @pytest.mark.parametrize("value", [3, {"a": 1}])
    def test_an_item_of_another_kind(self, tmp_path, value):
        write_store(tmp_path / "x.h5", x=value)
        with h5py.File(tmp_path / "x.h5", "r+") as file:
            file["x"].attrs["type"] = "dict"  # of no group
        with pytest.raises(InputError, match=r"x\.h5.*damaged"):
            read_store(tmp_path / "x.h5")

    @pytest.mark.parametrize(
        "item",
        [object(), np.array([object()]), np.array([1j]), {"a": object()}, {1: np.zeros(2)}, {"a/b": np.zeros(2)}],
    )
    def test_cannot_be_stored(self, tmp_path, item):
        write_store(tmp_path / "x.h5", a=1)
        with pytest.raises(InputError, match=r"x\.h5: x"):
            write_store(tmp_path / "x.h5", x=item)
        assert read_store(tmp_path / "x.h5") == {"a": 1}  # the old file is as it was
