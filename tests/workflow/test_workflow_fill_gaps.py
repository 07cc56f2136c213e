"""Rejected frames filled in by the stages: every file and the page say that they are inferred."""

import json

import numpy as np

import simspine as ss
from simspine.io.atomic import sha256_of_file
from simspine.io.hdf5 import read_store, write_store
from simspine.io.mot import read_mot
from simspine.io.trc import read_trc
from simspine.quality.assess import verdicts_dict
from simspine.workflow.dataset import summary_table_rows
from simspine.workflow.reporting import write_report_of
from simspine.workflow.results import read_trial, read_verdicts
from simspine.workflow.up_to_date import RunPaths

SPOILT = slice(7, 9)


def _spoil(paths: RunPaths) -> None:
    """Left and right exchanged in two frames of what is fitted."""
    stored = read_store(paths.markers("bow"))
    markers = stored["markers"]
    xyz = markers.xyz.copy()
    for name in markers.names:
        if name[0] == "R" and f"L{name[1:]}" in markers.names:
            i = markers.indices((name, f"L{name[1:]}"))
            xyz[SPOILT, i] = xyz[SPOILT, i[::-1]]
    before = sha256_of_file(paths.markers("bow"))
    write_store(paths.markers("bow"), **stored | {"markers": markers.with_(xyz=xyz)})
    for manifest in (paths.manifest("merge", "bow"), paths.manifest("scale")):  # else export and page refuse the file
        manifest.write_text(manifest.read_text().replace(before, sha256_of_file(paths.markers("bow"))))


def test_filled_frames_are_marked_in_every_file_and_on_the_page(copied, truth):
    paths = RunPaths(copied.results, "S01")
    before = read_trial(paths, "bow")
    _spoil(paths)
    copied.change(quality={"fill_gaps": True})
    copied.run("ik", "vertebrae", "quality", "export")

    found = read_trial(paths, "bow")
    wanted = np.zeros(found.spine.frames, bool)
    wanted[SPOILT] = True
    np.testing.assert_array_equal(found.inferred, wanted)
    places = [trial.model_markers.xyz[SPOILT] for trial in (before, found, read_trial(paths, "bow", judged=False))]
    assert np.abs(places[1] - places[0]).max() < 0.02
    assert np.abs(places[2] - places[0]).max() > 0.05

    stem = copied.results / "export"
    trc = read_trc(stem / "markers" / "S01" / "S01_bow.trc")
    assert not trc.present[SPOILT, trc.index("Hip")].any()
    np.testing.assert_array_equal(trc.present[:, trc.index("Hip_inferred")], wanted)
    mot = stem / "kinematics" / "S01" / "S01_bow" / "S01_bow.mot"
    assert "inferredFrames=7-8\n" in mot.read_text()
    np.testing.assert_allclose(read_mot(mot).values, found.motion.values, atol=1e-6)
    with ss.open_dataset(copied.results) as data:
        trial = data["S01/bow"]
        assert trial.read().status[7:9] == ("inferred", "inferred")
        assert not trial.read().valid[SPOILT].any()
        np.testing.assert_allclose(trial.read().motion.values, found.motion.values, rtol=1e-12, atol=1e-12)
    summary = json.loads((copied.results / "summary.json").read_text())
    assert (summary["frames_rejected"], summary["frames_inferred"]) == (0, 2)
    counts = verdicts_dict(read_verdicts(copied.config))["counts"]
    assert (counts["rejected"], counts["inferred"]) == (0, 2)
    row = next(row for row in summary_table_rows(summary) if row.label == "Frames rejected")
    assert (row.value, row.light) == ("0 of 16, 2 inferred", "check")
    page = write_report_of(copied.config).read_text()
    assert "filled in: inferred, not seen" in page

    copied.change(quality={"fill_gaps": False})
    copied.run("quality", "export")
    again = read_trial(paths, "bow")
    assert not again.inferred.any()
    assert again.rejected[SPOILT].all()
