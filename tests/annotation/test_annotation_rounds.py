"""Rounds of active learning on the drawn recording, with a detector that learns to be nearer each time."""

import json
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
from command_line import call, failed, succeeded
from drawn_recording import FRAMES, VIEWS, off_by, true_points
from served_recording import Served

from simspine.annotation.exchange import (
    advance_round,
    open_frames,
    read_rounds,
    with_proposals,
)
from simspine.annotation.labels import (
    Edit,
    PointStatus,
    Visibility,
    append_edits,
    journal_file,
    start_journal,
)
from simspine.annotation.recording import Target, open_target
from simspine.annotation.server import labels_of
from simspine.core.errors import InputError
from simspine.workflow.up_to_date import hold_lock

DETECTOR = """
import json, sys
from pathlib import Path
labels, images, out = sys.argv[1:4]
rows = json.loads(Path(labels).read_text())
assert all((Path(images) / image["file_name"]).is_file() for image in rows["images"])
known = {image["file_name"]: row["keypoints"] for image, row in zip(rows["images"], rows["annotations"])}
truth = json.loads(Path(__file__).with_name("truth.json").read_text())
for view, frames in truth.items():
    for frame, points in enumerate(frames):
        flat = [v for x, y in points for v in (x + 2.0, y, 0.9)]  # 2 px beside the truth
        target = Path(out) / f"{view}_json" / f"{view}_{frame:06d}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps({"people": [{"pose_keypoints_2d": flat}]}))
Path(out, "seen.json").write_text(json.dumps(sorted(known)))
"""


@pytest.fixture
def plain(drawn, tmp_path):
    return open_target(Target(str(drawn[0]), home=tmp_path / "annotations"))


def test_rounds_are_not_drawn_by_two_processes_at_once(drawn, plain):
    """Nor by another annotator: the one who ends last would write over the rounds of the first."""
    command = ["annotations", "round", drawn[0], "--out", plain.home, "--batch", 2, "--annotator"]
    with hold_lock(plain.home / "rounds/.lock", "x"):
        for annotator in ("anna", "ben"):
            assert "another process draws frames of walk" in failed(call(*command, annotator))
        assert read_rounds(plain) == ()
    succeeded(call(*command, "ben"))
    assert len(read_rounds(plain)) == 1


@pytest.fixture
def other_program(tmp_path):
    """Runs the detector above on a round's folder."""
    from simspine.core.skeletons import load_skeleton

    table = load_skeleton("spinetrack37")
    truth = true_points().select([table.to_simspine[name] for name in table.names])
    content = {f"cam{v + 1:02d}": truth.xy[:, v].tolist() for v in range(VIEWS)}
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "truth.json").write_text(json.dumps(content))
    (folder / "learn.py").write_text(DETECTOR)

    def run(recording, number):
        there = recording.home / "rounds" / f"{number:02d}"
        given = [str(there / name) for name in ("labels.json", "images", "out")]
        subprocess.run([sys.executable, str(folder / "learn.py"), *given], check=True)

    return run


def correct(recording, annotator, frames, step=1.0):
    """Everything in these frames put where it truly is, a decision every `step` s."""
    truth = true_points().select(recording.start.names)
    path = journal_file(recording.home, annotator)
    start_journal(path, recording.name, recording.views, recording.start.names)
    now = 1e9
    for frame in frames:
        for view in range(len(recording.views)):
            now += step
            append_edits(path, [
                Edit(frame, view, name, *truth.xy[frame, view, i], Visibility.SEEN, PointStatus.CORRECTED, now)
                for i, name in enumerate(truth.names)
            ])  # fmt: skip


def test_rounds_from_the_first_batch_to_better_proposals(plain, other_program):
    said = []
    rounds = advance_round(plain, "anna", 5, None, said.append)
    assert [(one.corrected, one.hook) for one in rounds] == [(False, "")]
    first = rounds[0].frames
    assert advance_round(plain, "anna", 5, None, said.append) == rounds
    assert said[-1].startswith("round 1: 5 of 5 frames are to be corrected")
    correct(plain, "anna", first)
    rounds = advance_round(plain, "anna", 5, None, said.append)
    assert str(plain.home / "rounds" / "01" / "out") in said[-1]
    assert "--training" in said[-1]
    assert rounds[0].corrected
    other_program(plain, 1)
    rounds = advance_round(plain, "anna", 5, None, said.append)
    assert len(rounds) == 2
    assert rounds[0].hook == "another program"
    assert set(rounds[1].frames) == set(range(FRAMES)) - set(first)
    seen = json.loads((plain.home / "rounds" / "01" / "out" / "seen.json").read_text())
    assert seen == sorted(plain.image_name(f, v) for f in first for v in range(VIEWS))
    current = with_proposals(plain)
    truth = true_points().select(current.start.names)
    np.testing.assert_allclose(current.start.xy - truth.xy, np.broadcast_to([2.0, 0.0], truth.xy.shape), atol=1e-3)
    assert labels_of(current, "anna").status[list(first)].all()  # decisions stay above proposals
    assert open_frames(rounds) == rounds[1].frames
    correct(plain, "anna", rounds[1].frames)
    rounds = advance_round(plain, "anna", 5, None, said.append)
    assert [(one.corrected, one.hook) for one in rounds] == [(True, "another program"), (True, "")]


def test_a_folder_without_points_stops_and_changes_nothing(plain, other_program):
    correct(plain, "anna", advance_round(plain, "anna", 2, None, str)[0].frames)
    advance_round(plain, "anna", 2, None, str)
    (plain.home / "rounds" / "01" / "out").mkdir()
    with pytest.raises(InputError, match="cam01_json"):
        advance_round(plain, "anna", 2, None, str)
    rounds = read_rounds(plain)
    assert (len(rounds), rounds[0].corrected, rounds[0].hook) == (1, True, "")
    other_program(plain, 1)
    assert len(advance_round(plain, "anna", 2, None, str)) == 2


def test_a_training_that_fails_is_run_again_and_nothing_else(plain, other_program):
    correct(plain, "anna", advance_round(plain, "anna", 2, None, str)[0].frames)
    with pytest.raises(ZeroDivisionError):
        advance_round(plain, "anna", 2, lambda files: 1 / 0, str)

    def trains(files):
        other_program(plain, files.number)
        return "here"

    rounds = advance_round(plain, "anna", 2, trains, str)
    assert (len(rounds), rounds[0].hook) == (2, "here")


def test_nothing_that_stands_in_the_folder_is_run(plain, tmp_path):
    correct(plain, "anna", advance_round(plain, "anna", 2, None, str)[0].frames)
    rounds = advance_round(plain, "anna", 2, None, str)
    path = plain.home / "rounds" / "rounds.json"
    path.write_text(json.dumps([asdict(rounds[0]) | {"hook": f"touch {tmp_path}/run"}]))
    with pytest.raises(InputError, match=r"proposals\.h5"):
        advance_round(plain, "anna", 2, None, str)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", ["{", "[3]", '[{"frames": 0}]', '[{"frames": [0], "corrected": [3]}]'])
def test_a_broken_file_is_named(plain, content):
    advance_round(plain, "anna", 2, None, str)
    (plain.home / "rounds" / "rounds.json").write_text(content)
    with pytest.raises(InputError, match=r"rounds\.json: not rounds of annotation"):
        read_rounds(plain)


def test_a_kill_before_the_next_draw_trains_nothing_again(plain, other_program, monkeypatch):
    correct(plain, "anna", advance_round(plain, "anna", 2, None, str)[0].frames)
    advance_round(plain, "anna", 2, None, str)
    other_program(plain, 1)
    with monkeypatch.context() as patch:
        patch.setattr("simspine.annotation.exchange.frame_batch", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            advance_round(plain, "anna", 2, None, str)
    rounds = advance_round(plain, "anna", 2, lambda _: pytest.fail("trained again"), str)
    assert len(rounds) == 2


def test_the_commands(drawn, plain, other_program):
    common = [str(drawn[0]), "--out", str(plain.home), "--annotator", "anna"]

    def run(*arguments):
        return call("annotations", *arguments)

    succeeded(run("round", *common, "--batch", "2"))
    correct(plain, "anna", read_rounds(plain)[0].frames)
    assert run("round", *common).exit_code == 0
    other_program(plain, 1)
    said = succeeded(run("round", *common))
    assert "round 2: " in said


def test_one_command_annotates_trains_and_draws(drawn, plain, other_program, monkeypatch):
    """The page stands for a person who corrects each batch; ctrl-C then trains. A batch left open ends the rounds."""
    trained, pages = [], []

    def hook(settings, say):
        def train(files):
            other_program(plain, files.number)
            trained.append((settings, files.number))
            return settings

        return train

    def serve(server):
        pages.append(open_frames(read_rounds(plain)))
        if len(pages) < 3:
            correct(plain, "anna", pages[-1])
        raise KeyboardInterrupt

    monkeypatch.setattr("simspine.learning.spine_runs.training_hook", hook)
    monkeypatch.setattr("simspine.annotation.server.AnnotationServer.serve_forever", serve)
    words = [str(drawn[0]), "--out", str(plain.home), "--annotator", "anna", "--batch", "2", "--no-open"]
    said = succeeded(call("annotate", *words, "--training", "tiny"))
    assert [len(frames) for frames in pages] == [2, 2, 2]
    assert len({frame for frames in pages for frame in frames}) == 6  # the next batch is another one
    assert trained == [("tiny", 1), ("tiny", 2)]
    assert "round 3: 2 of 2 frames are to be corrected" in said
    assert "leave one of the two out" in failed(call("annotate", *words, "--training", "tiny", "--again", plain.home))


SLOW_SAVING = """const quick = fetch;
window.fetch = async (what, how) => {
  if (what === "api/edits") await new Promise((done) => setTimeout(done, 600));
  return quick(what, how);
};"""  # an annotator is often faster than a busy machine saves


def test_the_page_of_a_round_leads_through_its_batch(browser, plain, other_program):
    """By keys to the end of the batch; then the page says what to do."""
    advance_round(plain, "anna", 2, None, str)
    correct(plain, "anna", read_rounds(plain)[0].frames)
    advance_round(plain, "anna", 2, None, str)
    other_program(plain, 1)
    rounds = advance_round(plain, "anna", 2, None, str)
    current = with_proposals(plain)
    served = Served(current, first=open_frames(rounds), in_round=2)
    page = browser.new_page(viewport={"width": 1300, "height": 800})
    complaints = []
    page.on("console", lambda message: message.type in ("error", "warning") and complaints.append(message.text))
    try:
        page.add_init_script(SLOW_SAVING)
        page.goto(served.address)
        page.wait_for_selector("body[data-ready=yes]")
        assert page.locator("[data-part=progress]").inner_text() == "0 of 2 frames of round 2 done"
        assert not page.locator("[data-act=batch]").is_visible()
        page.keyboard.press("Enter")
        page.wait_for_selector(f"body[data-frame='{rounds[1].frames[1]}']")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Every frame of round 2 is corrected")
        page.wait_for_function("() => !window.annotate.labels.unsaved.length && !window.annotate.labels.saving")
        assert complaints == []
    finally:
        page.close()
        served.stop()
    assert advance_round(plain, "anna", 2, None, str)[1].corrected


def test_rounds_of_another_recording_are_refused(plain, tmp_path):
    from drawn_recording import write_recording

    advance_round(plain, "anna", 2, None, str)
    write_recording(tmp_path / "other", off_by(true_points(), 3.0), frames=4)
    other = open_target(Target(str(tmp_path / "other"), home=plain.home))
    with pytest.raises(InputError, match="--out"):
        with_proposals(other)
    same_length = replace(plain)
    vars(same_length)["images"] = ("0" * 32, *plain.images[1:])  # another first video at the same path
    with pytest.raises(InputError, match=r"proposals\.h5: its points are of other images than this recording's"):
        with_proposals(same_length)
