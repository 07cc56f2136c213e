"""A lab's bands as written are read; what has no source, or is no band, is refused with the place."""

import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.io.band_table import read_bands

ANGLES = {"hip_flexion", "hip_flexion_r", "hip_flexion_l", "pelvic_tilt"}
SOURCE = "# source: Somebody 2001, table 3\n"
HEADER = "angle,percent,mean,sd\n"


def rows(angle="hip_flexion", mean=30, sd=5, places=range(0, 101, 10)):
    return "".join(f"{angle},{place},{mean + place / 10},{sd}\n" for place in places)


def written(tmp_path, text):
    path = tmp_path / "lab.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_bands_and_their_source(tmp_path, ends):
    text = SOURCE + HEADER + rows() + rows("hip_flexion_l", mean=20)
    path = tmp_path / "lab.csv"
    path.write_bytes(text.replace("\n", ends).encode())
    table = read_bands(path, ANGLES)
    assert table.source == "Somebody 2001, table 3"
    right, left = table.of("hip_flexion_r"), table.of("hip_flexion_l")  # the right takes what serves both
    np.testing.assert_allclose(np.degrees(right.mean), 30 + np.arange(11))
    np.testing.assert_allclose(np.degrees(left.mean), 20 + np.arange(11))
    np.testing.assert_allclose(np.degrees(right.sd), 5)
    assert table.of("pelvic_tilt") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEADER + rows(), "where the bands come from"),
        ("# source:  \n" + HEADER + rows(), "where the bands come from"),
        (SOURCE + "angle,percent,mean\n" + rows(), "columns"),
        (SOURCE + HEADER, "no bands"),
        (SOURCE + HEADER + rows("hip_flexon"), "line 3.*hip_flexion"),
        (SOURCE + HEADER + "hip_flexion,0,x,5\n", "line 3: 'x' is not a number"),
        (SOURCE + HEADER + "hip_flexion,0\n", "line 3: 1 numbers, expected percent, mean and sd"),
        (SOURCE + HEADER + "hip_flexion,0,30,7,6,1\n", "line 3: 5 numbers"),
        (SOURCE + HEADER + rows(places=range(0, 91, 9)), "0 to 100"),
        (SOURCE + HEADER + rows(places=(0, 50, 100)), "11 rows"),
        (SOURCE + HEADER + rows(places=[0, *range(0, 101, 10)]), "ascend"),
        (SOURCE + HEADER + rows(sd=0), "above 0"),
        (SOURCE + HEADER + rows(sd="nan"), "above 0"),
        (SOURCE + HEADER + rows(mean=400), "degrees"),
    ],
)
def test_what_is_no_band_is_refused(tmp_path, text, said):
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=f"lab.csv.*{said}|{said}.*lab.csv"):
        read_bands(path, ANGLES)


def test_what_spreadsheets_make_of_it_is_read_alike(tmp_path):
    """Spaces after commas; semicolons and decimal commas of Germany or France; the first line quoted and filled up."""
    plain = read_bands(written(tmp_path, SOURCE + HEADER + rows(mean=0.5)), ANGLES)
    lines = HEADER + rows(mean=0.5)
    for text in (
        SOURCE + lines.replace(",", ", "),
        SOURCE.strip() + ";;;\n" + lines.replace(",", ";").replace(".", ","),
        f'"{SOURCE.strip()}",,,\n' + lines,
    ):
        table = read_bands(written(tmp_path, text), ANGLES)
        assert table.source.startswith("Somebody 2001, table 3")
        for part in ("percent", "mean", "sd"):
            np.testing.assert_array_equal(
                getattr(table.of("hip_flexion"), part), getattr(plain.of("hip_flexion"), part)
            )
