"""Between two rounds simspine's own detector learns from what was corrected, and proposes points for every image."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import yaml
from dotted_people import HEIGHT, POINTS, WIDTH, picture, places
from small_videos import write_video

from simspine.annotation.exchange import advance_round, with_proposals
from simspine.annotation.labels import (
    Edit,
    PointStatus,
    Visibility,
    append_edits,
    apply_edits,
    journal_file,
    start_journal,
)
from simspine.annotation.recording import Target, open_target
from simspine.core.errors import InputError
from simspine.core.skeletons import load_skeleton
from simspine.learning.spine_runs import person_boxes, training_hook


@pytest.fixture
def photographs(tmp_path):
    """Six images of a person made of dots; (recording, (6, 37, 3) px)."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    rng = np.random.default_rng(3)
    truth = np.stack([places(rng) for _ in range(6)])
    for i, keypoints in enumerate(truth):
        cv2.imwrite(str(folder / f"{i}.png"), picture(keypoints))
    return open_target(Target(str(folder), home=tmp_path / "annotations")), truth


def test_a_round_with_simspines_own_detector(photographs, tmp_path):
    recording, truth = photographs
    table, path = load_skeleton("spinetrack37"), journal_file(recording.home, "anna")
    first = advance_round(recording, "anna", 4, None, str)[0].frames
    start_journal(path, recording.name, recording.views, recording.start.names)
    append_edits(path, [
        Edit(frame, 0, table.to_simspine[name], *truth[frame, i, :2], Visibility.SEEN, PointStatus.CORRECTED)
        for frame in first for i, name in enumerate(table.names)
    ])  # fmt: skip
    said = []
    rounds = advance_round(recording, "anna", 4, training_hook("tiny", said.append), said.append)
    assert len(rounds) == 2
    assert rounds[0].hook == "simspine train spine, tiny"
    assert "4 people to learn from, 0 to judge by" in said
    out = recording.home / "rounds" / "01" / "out"
    files = sorted((out / "photographs_json").glob("*.json"))
    assert [file.stem for file in files] == [f"photographs_{i:06d}" for i in range(6)]
    flat = np.array(json.loads(files[0].read_text())["people"][0]["pose_keypoints_2d"]).reshape(-1, 3)
    assert flat.shape == (POINTS, 3)
    start = with_proposals(recording).start
    placed = flat[:, 2] > 0
    names = [table.to_simspine[name] for name in table.names]
    got = start.xy[0, 0, [start.names.index(name) for name in names]]
    np.testing.assert_allclose(got[placed], flat[placed, :2], atol=1e-3)
    assert (np.abs(flat[placed, :2] - [WIDTH / 2, HEIGHT / 2]) < [WIDTH, HEIGHT]).all()


def test_the_person_is_between_where_they_were_seen(tmp_path):
    """In a video; single photographs say nothing about one another."""
    write_video(tmp_path / "walk.mp4", 5)
    recording = open_target(Target(str(tmp_path / "walk.mp4"), home=tmp_path / "annotations"))
    corners = {0: [(10.0, 20.0), (30.0, 40.0)], 4: [(18.0, 20.0), (38.0, 44.0)]}
    edits = [
        Edit(frame, 0, name, *corner, Visibility.SEEN, PointStatus.CORRECTED)
        for frame, places in corners.items() for name, corner in zip(("Nose", "LKnee"), places, strict=True)
    ]  # fmt: skip
    found = person_boxes(replace(recording, start=apply_edits(recording.start, edits)))
    np.testing.assert_allclose(found[:, 0, 0], [10, 12, 14, 16, 18])
    np.testing.assert_allclose(found[2, 0], [14, 20, 34, 42])
    assert np.isnan(person_boxes(recording)).all()


def test_settings_that_cannot_serve_are_refused_before_training(tmp_path):
    some = {"folder": str(tmp_path)}
    for content, message in (
        ({"data": {"train": [some, some]}}, "two sets"),
        ({"data": {"points": "trunk"}}, "all 37 points"),
    ):
        (tmp_path / "s.yaml").write_text(yaml.safe_dump({"preset": "tiny", **content}))
        with pytest.raises(InputError, match=message):
            training_hook(str(tmp_path / "s.yaml"), str)
