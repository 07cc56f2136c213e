"""`simspine demo gait`: a recorded child with markers on the spine; its kyphosis follows the markers, and the documents
show what the command prints, with all rounds of the fit."""

import re
from pathlib import Path

import numpy as np
import pytest
from command_line import call

import simspine as ss
from simspine.core.settings import data_folder
from simspine.io.c3d import read_markers
from simspine.quality.observability import ERROR_IN_PEOPLE_DEG

pytestmark = pytest.mark.slow
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """(folder, output) of the command."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = call("demo", "gait")
    assert done.exit_code == 0, done.output
    return folder, done.output


def tilt(markers: ss.Markers, upper: str, lower: str) -> np.ndarray:
    """(frames,) deg: of the line from one marker up to another, forward from the vertical."""
    place = {name: markers.xyz[:, markers.index(name)] for name in (upper, lower, "CLAV", "T6")}
    forward = place["CLAV"] - place["T6"]
    forward[:, 2] = 0
    along = place[upper] - place[lower]
    return np.degrees(np.arctan2((along * forward).sum(1) / np.linalg.norm(forward, axis=1), along[:, 2]))


def test_kyphosis_is_measured_and_printed(demo):
    folder, printed = demo
    said = re.search(r"walking: thoracic kyphosis (.*)\(95 %\)", printed)
    mean, half, low, high, change = map(float, re.findall(r"[\d.]*\d", said[1]))
    assert "T2, T6, T10, T12" in printed
    assert (folder / "results/gait/report.html").is_file()
    with ss.open_dataset(folder / "results/gait") as data:
        recording = data["S01", "walking"]
        tka, sd, change_sd = (np.degrees(recording.array(name)) for name in ("tka", "tka_sd", "tka_change_sd"))
        table = data.to_dataframe()
    assert mean == pytest.approx(tka.mean(), abs=0.51)
    assert (low, high) == (pytest.approx(tka.min(), abs=0.51), pytest.approx(tka.max(), abs=0.51))
    stated = (max(sd.mean(), ERROR_IN_PEOPLE_DEG["tka"]), change_sd.mean())
    assert half == pytest.approx(1.96 * stated[0], abs=0.51)
    assert change == pytest.approx(1.96 * stated[1], abs=0.051)
    assert (change_sd < 0.5 * sd).all()  # what is unknown of a person's shape is no unknown change
    walking = read_markers(data_folder("third_party") / "gait/walking.c3d")
    skin = tilt(walking, "C7", "T6") - tilt(walking, "T6", "T12")
    assert np.corrcoef(skin, tka)[0, 1] > 0.85
    assert np.ptp(tka) == pytest.approx(np.ptp(skin), rel=0.3)
    own = table[table["trial"] == "walking"]
    np.testing.assert_allclose(own["tka_deg"], tka)
    np.testing.assert_allclose(own["tka_change_sd_deg"], change_sd)
    assert set(table["trial"]) == {"standing", "walking"}
    assert list(own["frame"]) == list(range(128))


def test_the_documents_show_what_the_command_prints(demo):
    printed = demo[1].splitlines()
    tutorial = (DOCS / "tutorials/markers.md").read_text(encoding="utf-8")
    shown = re.findall(r"^walking: .*\(95 %\)$", tutorial, re.MULTILINE)
    assert shown == [line for line in printed if line.startswith("walking: ")]
    half = float(re.search(r"lumbar lordosis [\d.]+ ± ([\d.]+)", shown[1])[1])
    stated = re.search(r"`simspine demo gait`\) gave ± ([\d.]+)°", (DOCS / "how-to/record-a-spine.md").read_text())
    assert float(stated[1]) == pytest.approx(half / 1.96, abs=0.5 / 1.96 + 0.05)
