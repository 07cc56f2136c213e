"""Contours through the files of the packaged recording: kept by detect, used by merge, marked to the last file."""

import numpy as np
import pytest
import yaml

from simspine.config import read_config
from simspine.formats.store import load
from simspine.formats.trc import read_trc
from simspine.pipeline.points import Outline, make_markers
from simspine.silhouettes.levels import CONTOURS, LEVELS
from simspine.types import Origin
from simspine.workflow.paths import Paths
from simspine.workflow.run import run_stage


@pytest.mark.slow
def test_points_behind_the_outline_go_through_the_files(tmp_path):
    content = {
        "name": "outlined",
        "results": str(tmp_path / "results"),
        "subjects": {"S01": {"trials": {"balance": {"folder": "pose2sim:Demo_SinglePerson"}}}},
        "detection": {"detector": "blazepose", "silhouettes": True, "people": 1},
    }
    file = tmp_path / "outlined.yaml"
    file.write_text(yaml.safe_dump(content))
    config = read_config(file)
    for stage in ("detect", "triangulate", "merge"):
        run_stage(stage, config, "S01", None, quiet=True)
    paths = Paths(tmp_path / "results", "S01")
    seen, points = load(paths.keypoints("balance")), load(paths.points("balance"))["points"]
    contours, markers = seen["contours"], load(paths.markers("balance"))["markers"]
    assert contours.names == CONTOURS
    assert contours.xy.shape == (100, 4, len(CONTOURS), 2)
    assert 0.5 < np.isfinite(contours.xy).all(-1).mean() < 1  # arms hide the others
    assert markers.names_of(Origin.SILHOUETTE) == tuple(level.marker for level in LEVELS)
    assert {level.marker for level in LEVELS} <= set(read_trc(paths.markers("balance", ".trc")).names)
    cameras = load(paths.cameras("balance"))["cameras"]
    again, _ = make_markers(points, config.filter, config.merge, outline=Outline(contours, cameras))
    assert again == markers
