"""metadata.xml: all numbers come back, two public readings of the vector, broken files."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from small_metadata import write_metadata

from simspine.core.errors import InputError
from simspine.core.types import Camera
from simspine.io.human36m import copy as metadata
from simspine.io.human36m import names


def rigs(seed=0, subjects=("S1", "S9"), ids=tuple(names.HUMAN36M_CAMERA_SIZES)):
    rng = np.random.default_rng(seed)
    lenses = [rng.normal(0, [0.2, 0.2, 1e-3, 1e-3, 5e-3]) for _ in ids]
    focal = [rng.normal([1145, 1146, 510, 505], 5) for _ in ids]
    return {
        subject: [
            Camera(
                name,
                names.HUMAN36M_CAMERA_SIZES.get(name, (800, 600)),
                [[f[0], 0, f[2]], [0, f[1], f[3]], [0, 0, 1]],
                lens,
                Rotation.random(random_state=rng.integers(1 << 30)).as_matrix(),
                rng.normal(0, 4, 3),
            )
            for name, lens, f in zip(ids, lenses, focal, strict=True)
        ]
        for subject in subjects
    }


def assert_same(a, b):
    assert [(c.name, c.size) for c in a] == [(c.name, c.size) for c in b]
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x.K, y.K)
        np.testing.assert_array_equal(x.distortion, y.distortion)
        np.testing.assert_allclose(x.R, y.R, atol=2e-15)
        np.testing.assert_allclose(x.t, y.t, atol=1e-14)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1 << 30), st.lists(st.sampled_from([f"S{i}" for i in range(1, 12)]), min_size=1, unique=True))
def test_round_trip(tmp_path_factory, seed, subjects):
    path = tmp_path_factory.mktemp("m") / "metadata.xml"
    written = rigs(seed, subjects)
    write_metadata(path, written)
    read = metadata.read_metadata(path)
    assert list(read) == names.subject_order(subjects)
    for subject in subjects:
        assert_same(written[subject], read[subject])


def vector_of(path):
    text = ElementTree.parse(path).getroot().find("w0").text
    return np.array([float(v) for v in text.split("[")[1].split("]")[0].split()])


def test_vector_is_laid_out_as_public_readers_expect(tmp_path):
    """Index rules of 3d-pose-baseline (centre, R1 R2 R3) and human36m-camera-parameters (three signs flipped, -R T)."""
    written = rigs(3)
    write_metadata(tmp_path / "metadata.xml", written)
    w0 = vector_of(tmp_path / "metadata.xml")
    assert len(w0) == 300
    for subject, cameras in written.items():
        for c, camera in enumerate(cameras):
            start = 6 * (c * 11 + int(subject[1:]) - 1)
            a, b, g, *centre = w0[start : start + 6]
            fx, fy, cx, cy, *lens = w0[264 + 9 * c : 273 + 9 * c]
            turn = Rotation.from_euler("XYZ", [a, b, g]).as_matrix()
            world = np.array([0.3, -0.2, 1.1])
            expected = camera.R @ world + camera.t
            np.testing.assert_allclose(turn @ (1000 * world - centre) / 1000, expected, atol=1e-12)
            x, y, z = -a, b, -g
            flipped = (
                np.array([[1, 0, 0], [0, np.cos(x), np.sin(x)], [0, -np.sin(x), np.cos(x)]])
                @ np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
                @ np.array([[np.cos(z), np.sin(z), 0], [-np.sin(z), np.cos(z), 0], [0, 0, 1]])
            )
            np.testing.assert_allclose(flipped, camera.R, atol=1e-14)
            np.testing.assert_allclose([fx, fy, cx, cy], camera.K[[0, 1, 0, 1], [0, 1, 2, 2]], rtol=1e-15)
            np.testing.assert_array_equal(np.array(lens)[[0, 1, 3, 4, 2]], camera.distortion)


def foreign(path, w0, extra=""):
    path.write_text(f"<H36M><w0>[{' '.join(map(str, w0))}]</w0>{extra}</H36M>")


def test_a_file_with_the_vector_alone(tmp_path):
    write_metadata(tmp_path / "whole.xml", rigs(5, names.HUMAN36M_SUBJECT_NAMES))
    foreign(tmp_path / "vector.xml", vector_of(tmp_path / "whole.xml"))
    read = metadata.read_metadata(tmp_path / "vector.xml")
    assert_same(read["S7"], rigs(5, names.HUMAN36M_SUBJECT_NAMES)["S7"])
    with pytest.raises(InputError, match=r"S2.*Available"):
        metadata.open_rigs(tmp_path / "vector.xml").cameras("S2")


def test_an_older_virtual_capture_is_refused(tmp_path):
    foreign(tmp_path / "m.xml", np.ones(300), '<simspine lens="opencv"/>')
    with pytest.raises(InputError, match=r"of a virtual capture by an earlier simspine"):
        metadata.read_metadata(tmp_path / "m.xml")


def test_broken_files(tmp_path):
    path = tmp_path / "m.xml"
    with pytest.raises(InputError, match="no such file"):
        metadata.read_metadata(path)
    path.write_text("<html><p>login</html>")
    with pytest.raises(InputError, match="not readable as XML"):
        metadata.read_metadata(path)
    path.write_text("<metadata/>")
    with pytest.raises(InputError, match="<w0>"):
        metadata.read_metadata(path)
    foreign(path, np.ones(299))
    with pytest.raises(InputError, match=r"299 numbers.*300"):
        metadata.read_metadata(path)
    foreign(path, ["x"] * 300)
    with pytest.raises(InputError, match="not numbers in <w0>"):
        metadata.read_metadata(path)
    foreign(path, np.r_[np.ones(264), np.zeros(36)])
    with pytest.raises(InputError, match=r"54138969 of S1.*focal"):
        metadata.read_metadata(path)
    foreign(path, np.ones(75), "<dbcameras><index2id><item>7</item></index2id></dbcameras>")
    with pytest.raises(InputError, match=r"cameras 7 .*no image size"):
        metadata.read_metadata(path)
