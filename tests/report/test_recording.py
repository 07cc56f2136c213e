"""Rerun recordings, read back with Rerun's own reader."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from player_scene import FRAMES, RATE

from simspine.anatomy.curvature import SPINE_CHAIN_MARKERS
from simspine.core.errors import InputError
from simspine.core.geometry import change_frame, project_one
from simspine.core.types import Keypoints, Markers
from simspine.report.figure_style import YELLOW
from simspine.report.rerun_recording import write_recording


@pytest.fixture(scope="module")
def chunks(scene, tmp_path_factory):
    """{place: all its columns joined} of what changes, and the places of what stays."""
    import rerun.chunk as reader

    path = tmp_path_factory.mktemp("rerun") / "trial.rrd"
    xyz = change_frame(scene.spine.xyz, "y_up", "z_up")
    points = Markers(("LHip", "LKnee", *SPINE_CHAIN_MARKERS[:7]), RATE, xyz, "z_up")
    seen = np.stack([project_one(camera, xyz[:, :2]) for camera in scene.cameras], 1)
    keypoints = Keypoints(("a", "b"), RATE, seen, np.ones(seen.shape[:3]))
    trial = SimpleNamespace(
        cameras=scene.cameras, keypoints=keypoints, model_points=points, markers=points,
        used_keypoints_of=lambda frames: keypoints, video_frames=lambda view: np.arange(FRAMES),
    )  # fmt: skip
    write_recording(path, scene, trial)
    assert [p.name for p in path.parent.iterdir()] == ["trial.rrd"]
    moving, still = {}, set()
    for chunk in reader.RrdReader(path).stream():
        if chunk.is_static:
            still.add(chunk.entity_path)
            continue
        batch = chunk.to_record_batch()
        columns = moving.setdefault(chunk.entity_path, {})
        for name in batch.schema.names:
            columns.setdefault(name, []).extend(batch.column(name).to_pylist())
    return moving, still


def test_bodies_move_as_they_were_handed_in(chunks, scene):
    moving, _ = chunks
    for name, pose in scene.poses.items():
        known = np.isfinite(pose).all((1, 2))
        found = moving[f"/body/bones/{name}"]
        places = np.array(found["Transform3D:translation"], float)[:, 0]
        np.testing.assert_allclose(places, pose[known, :3, 3], atol=1e-6)
        seconds = [t.total_seconds() if hasattr(t, "total_seconds") else t / 1e9 for t in found["time"]]
        np.testing.assert_allclose(seconds, scene.spine.time[known], atol=1e-6)


def test_curves_and_points_are_there(chunks, scene):
    moving, still = chunks
    values = np.array(moving["/curves/LLA"]["Scalars:scalars"], float)[:, 0]
    np.testing.assert_allclose(values, scene.curves[0].values)
    assert len(moving["/curves/TKA"]["time"]) == FRAMES - 1  # one value is missing
    counts = [len(points) for points in moving["/body/points/detected"]["Points3D:positions"]]
    assert counts == [1 if 5 <= f < 9 else 2 for f in range(FRAMES)]
    for camera in scene.cameras:
        spot = moving[f"/body/cameras/{camera.name}/points"]["Points2D:positions"]
        wanted = project_one(camera, change_frame(scene.spine.xyz[:, :2], "y_up", "z_up"))
        np.testing.assert_allclose(np.array(spot, float), wanted, rtol=1e-5)
        limbs = moving[f"/body/cameras/{camera.name}/fitted"]
        assert len(limbs["LineStrips2D:strips"][0]) == 2  # from the sacrum to the hip, and to the knee
        inks = [0xFFFFFFFF, int(f"{YELLOW[1:]}ff", 16)]
        assert limbs["LineStrips2D:colors"][0] == inks
        assert f"/body/cameras/{camera.name}" in still
    assert {"/body/bones/pelvis/bone", "/body/bones/T6/vertebra"} <= still


def test_rejected_frames_are_said(chunks):
    moving, _ = chunks
    texts = [text[0] for text in moving["/quality"]["TextLog:text"]]
    assert texts == ["rejected: curvature_speed", "kept", "corrected", "kept"]


def test_without_the_package_the_error_names_the_extra(scene, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(InputError, match=r"simspine\[rerun\]"):
        write_recording(tmp_path / "x.rrd", scene)
    assert list(tmp_path.iterdir()) == []
