"""Rounds of active learning on the drawn recording, with a detector that learns to be nearer each time."""

import json
import shlex
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from drawn_recording import FRAMES, VIEWS, off_by, true_points
from served_recording import Served

from simspine.annotation.labels import (
    Edit,
    PointStatus,
    Visibility,
    append_edits,
    apply_edits,
    journal_file,
    pseudo_labels,
    start_journal,
)
from simspine.annotation.recording import Target, open_target
from simspine.annotation.rounds import (
    Round,
    advance_round,
    command_hook,
    draw_frames,
    minutes_per_image,
    open_frames,
    read_rounds,
    round_figures,
    rounds_json,
    rounds_text,
    with_proposals,
)
from simspine.annotation.server import labels_of
from simspine.cli.main import main
from simspine.core.errors import InputError
from simspine.core.types import Keypoints

DETECTOR = """
import json, sys
from pathlib import Path
labels, images, out, number = sys.argv[1:5]
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
Path(out, "seen.json").write_text(json.dumps([sorted(known), number]))
"""


@pytest.fixture
def plain(drawn, tmp_path):
    return open_target(Target(str(drawn[0]), home=tmp_path / "annotations"))


@pytest.fixture
def hook(tmp_path):
    """A command that runs the detector above."""
    from simspine.core.skeletons import load_skeleton

    table = load_skeleton("spinetrack37")
    truth = true_points().select([table.to_simspine[name] for name in table.names])
    content = {f"cam{v + 1:02d}": truth.xy[:, v].tolist() for v in range(VIEWS)}
    folder = tmp_path / "a folder; touch never"
    folder.mkdir()
    (folder / "truth.json").write_text(json.dumps(content))
    (folder / "learn.py").write_text(DETECTOR)
    return (
        f"{shlex.quote(sys.executable)} {shlex.quote(str(folder / 'learn.py'))} {{labels}} {{images}} {{out}} {{round}}"
    )


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


def test_errors_moves_and_control_of_a_round():
    xy = np.tile([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0]], (3, 1, 1, 1))
    before = pseudo_labels(Keypoints(("a", "b", "c"), 1.0, xy, np.ones((3, 1, 3))))
    accepted = [
        Edit(f, 0, name, *xy[f, 0, i], Visibility.SEEN, PointStatus.ACCEPTED)
        for f in (0, 1) for i, name in enumerate("abc") if (f, name) != (0, "a")
    ]  # fmt: skip
    after = apply_edits(before, [
        *accepted, Edit(0, 0, "a", 3.0, 4.0, Visibility.SEEN, PointStatus.CORRECTED),
        Edit(1, 0, "c", None, None, Visibility.ABSENT, PointStatus.CORRECTED),
        Edit(2, 0, "a", 50.0, 0.0, Visibility.SEEN, PointStatus.CORRECTED),  # a frame that is not in the batch
    ])  # fmt: skip
    found = round_figures(before, after, Round((1, 0), (1,)), [])
    assert (found.images, found.minutes) == (2, None)
    assert found.batch.count == 6
    assert found.batch.moved == pytest.approx(2 / 6, abs=1e-4)
    assert found.points["a"].median_px == 2.5  # of 5 and 0
    assert found.points["c"].moved == 0.5
    assert found.control.median_px == 0.0
    assert found.points["a"].median_share == pytest.approx(0.05)  # in a box of 100 by 100; the other has no area


def test_minutes_leave_pauses_out():
    times = [(0.0, 1), (10.0, 1), (30.0, 2), (None, 2), (1000.0, 2), (1006.0, 2), (1010.0, 3)]
    decision = Edit(0, 0, "a", 1.0, 1.0, Visibility.SEEN, PointStatus.CORRECTED)
    edits = [replace(decision, frame=frame, time=time) for time, frame in times]
    assert minutes_per_image(edits, [1, 2], 2) == pytest.approx((10 + 20 + 6) / 60 / 4, abs=1e-3)
    assert minutes_per_image(edits[:1], [1], 2) is None


def test_a_fifth_of_a_batch_is_drawn_at_random(plain):
    frames, control = draw_frames(plain.start, plain, 5, 1)
    assert len(frames) == len(set(frames)) == 5
    assert len(control) == 1
    assert frames[-1:] == control
    assert draw_frames(plain.start, plain, 5, 1) == (frames, control)
    assert len({tuple(draw_frames(plain.start, plain, 5, number)[1]) for number in range(9)}) > 1


def test_rounds_from_the_first_batch_to_better_proposals(plain, hook):
    said = []
    rounds = advance_round(plain, "anna", 5, None, said.append)
    assert [(one.figures, one.hook) for one in rounds] == [(None, "")]
    first = rounds[0].frames
    assert advance_round(plain, "anna", 5, None, said.append) == rounds
    assert said[-1].startswith("round 1: 5 of 5 frames are to be corrected")
    correct(plain, "anna", first)
    rounds = advance_round(plain, "anna", 5, None, said.append)
    assert "--hook" in said[-1]
    figures = rounds[0].figures
    assert figures.batch.median_px == pytest.approx(6 * np.sqrt(2 * np.log(2)), rel=0.1)  # Rayleigh's median
    assert figures.batch.moved > 0.99
    assert figures.minutes == pytest.approx((5 * VIEWS - 1) / 60 / (5 * VIEWS), abs=1e-3)
    rounds = advance_round(plain, "anna", 5, command_hook(hook, "walk", said.append), said.append)
    assert len(rounds) == 2
    assert "learn.py" in rounds[0].hook
    assert set(rounds[1].frames) == set(range(FRAMES)) - set(first)
    seen, number = json.loads((plain.home / "rounds" / "01" / "out" / "seen.json").read_text())
    assert seen == sorted(plain.image_name(f, v) for f in first for v in range(VIEWS))
    assert number == "1"
    current = with_proposals(plain)
    truth = true_points().select(current.start.names)
    np.testing.assert_allclose(current.start.xy - truth.xy, np.broadcast_to([2.0, 0.0], truth.xy.shape), atol=1e-3)
    assert labels_of(current, "anna").status[list(first)].all()  # decisions stay above proposals
    assert open_frames(rounds) == rounds[1].frames
    correct(plain, "anna", rounds[1].frames)
    rounds = advance_round(plain, "anna", 5, None, said.append)
    assert rounds[1].figures.batch.median_px == pytest.approx(2.0, abs=1e-3)
    text = rounds_text(rounds)
    assert "waits for a detector" in text
    assert [line.split()[0] for line in text.splitlines()[1:3]] == ["1", "2"]


def test_a_hook_that_fails_is_run_again_and_nothing_else(plain, hook, tmp_path):
    frames = advance_round(plain, "anna", 2, None, str)[0].frames
    correct(plain, "anna", frames)
    broken = command_hook(f"{shlex.quote(sys.executable)} -c 'raise SystemExit(3)' {{out}}", "walk", str)
    with pytest.raises(InputError, match="ended with 3"):
        advance_round(plain, "anna", 2, broken, str)
    idle = command_hook(f"{shlex.quote(sys.executable)} -c pass {{out}}", "walk", str)
    with pytest.raises(InputError, match="cam01_json"):
        advance_round(plain, "anna", 2, idle, str)
    rounds = read_rounds(plain)
    assert (len(rounds), rounds[0].figures is None, rounds[0].hook) == (1, False, "")
    assert len(advance_round(plain, "anna", 2, command_hook(hook, "walk", str), str)) == 2
    assert not (tmp_path / "never").exists()


def test_nothing_that_stands_in_the_folder_is_run(plain, tmp_path):
    correct(plain, "anna", advance_round(plain, "anna", 2, None, str)[0].frames)
    rounds = advance_round(plain, "anna", 2, None, str)
    path = plain.home / "rounds" / "rounds.json"
    path.write_text(rounds_json([replace(rounds[0], hook=f"touch {tmp_path}/run")]))
    with pytest.raises(InputError, match=r"proposals\.h5"):
        advance_round(plain, "anna", 2, None, str)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("template", "message"),
    [("learn.py {labels}", "no {out}"), ("learn.py {out} {lables}", "lables"), ("learn.py '{out}", "quotation")],
)
def test_a_hook_that_cannot_be_meant_is_refused(template, message):
    with pytest.raises(InputError, match=message):
        command_hook(template, "walk", str)


def test_a_program_that_is_not_there_is_named(plain):
    frames = advance_round(plain, "anna", 2, None, str)[0].frames
    correct(plain, "anna", frames)
    with pytest.raises(InputError, match="no-such-program cannot be started"):
        advance_round(plain, "anna", 2, command_hook("no-such-program {out}", "walk", str), str)


@pytest.mark.parametrize("content", ["{", "[3]", '[{"frames": [0]}]', '[{"frames": [0], "control": [], "figures": 3}]'])
def test_a_broken_file_is_named(plain, content):
    advance_round(plain, "anna", 2, None, str)
    (plain.home / "rounds" / "rounds.json").write_text(content)
    with pytest.raises(InputError, match=r"rounds\.json: not rounds of annotation"):
        read_rounds(plain)


def test_a_kill_before_the_next_draw_trains_nothing_again(plain, hook, monkeypatch):
    correct(plain, "anna", advance_round(plain, "anna", 2, None, str)[0].frames)
    with monkeypatch.context() as patch:
        patch.setattr("simspine.annotation.rounds.draw_frames", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            advance_round(plain, "anna", 2, command_hook(hook, "walk", str), str)
    rounds = advance_round(plain, "anna", 2, lambda _: pytest.fail("trained again"), str)
    assert len(rounds) == 2


def test_what_a_failed_hook_has_left_is_not_anothers(plain, hook, tmp_path):
    fails = tmp_path / "fails.py"
    fails.write_text("import subprocess, sys\nsubprocess.run(sys.argv[1:], check=True)\nsys.exit(4)\n")
    frames = advance_round(plain, "anna", 2, None, str)[0].frames
    correct(plain, "anna", frames)
    with pytest.raises(InputError, match="ended with 4"):
        advance_round(plain, "anna", 2, command_hook(f"{sys.executable} {fails} {hook}", "walk", str), str)
    idle = command_hook(f"{shlex.quote(sys.executable)} -c pass {{out}}", "walk", str)
    with pytest.raises(InputError, match="cam01_json"):
        advance_round(plain, "anna", 2, idle, str)


def test_the_commands(drawn, plain, hook, tmp_path):
    common = [str(drawn[0]), "--out", str(plain.home), "--annotator", "anna"]

    def run(*arguments):
        return CliRunner().invoke(main, ["annotations", *arguments])

    assert "no round has begun" in run("progress", *common).output
    done = run("round", *common, "--batch", "2")
    assert done.exit_code == 0, done.output
    correct(plain, "anna", read_rounds(plain)[0].frames)
    done = run("round", *common, "--hook", hook)
    assert done.exit_code == 0, done.output
    assert "round 2: " in done.output
    done = run("progress", *common, "--json", str(tmp_path / "p.json"))
    assert done.exit_code == 0, done.output
    written = json.loads((tmp_path / "p.json").read_text())
    assert [one["hook"] == "" for one in written] == [False, True]
    assert "frame" in run("rank", *common, "--batch", "3").output
    both = run("round", *common, "--hook", hook, "--training", "tiny")
    assert both.exit_code == 2


SLOW_SAVING = """const quick = fetch;
window.fetch = async (what, how) => {
  if (what === "api/edits") await new Promise((done) => setTimeout(done, 600));
  return quick(what, how);
};"""  # an annotator is often faster than a busy machine saves


def test_the_page_of_a_round_leads_through_its_batch(browser, plain, hook):
    """By keys to the end of the batch; then the page says what to do."""
    advance_round(plain, "anna", 2, None, str)
    correct(plain, "anna", read_rounds(plain)[0].frames)
    rounds = advance_round(plain, "anna", 2, command_hook(hook, "walk", str), str)
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
    figures = advance_round(plain, "anna", 2, None, str)[1].figures
    assert figures.batch.moved == 0.0  # accepted as proposed
    assert figures.minutes is not None


def test_rounds_of_another_recording_are_refused(plain, tmp_path):
    from drawn_recording import write_recording

    advance_round(plain, "anna", 2, None, str)
    write_recording(tmp_path / "other", off_by(true_points(), 3.0), frames=4)
    other = open_target(Target(str(tmp_path / "other"), home=plain.home))
    with pytest.raises(InputError, match="--out"):
        with_proposals(other)
