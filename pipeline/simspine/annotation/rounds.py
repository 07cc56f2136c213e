"""Rounds of active learning: a batch is drawn, corrected and exported, a detector learns from it and proposes again.

What happened stands in `rounds/rounds.jsonl` beside the annotators' journals, a line per step; `rounds/02/` holds what
round 2 began with (`proposals.h5`) and what it gave (`labels.json`, `images/`, `out/`). A killed step is done again by
the next call. Nothing that stands in the folder is ever run.

Active learning by uncertainty: Settles 2009, "Active learning literature survey" (University of Wisconsin-Madison,
report 1648); the order is `simspine.annotation.ranking`'s. Frames ranked worst say little about the others, so a fifth
of each batch is drawn at random: by these a detector is followed over rounds.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from simspine.annotation.exchange import Outlines, images_of, write_images
from simspine.annotation.journal import annotators, append_lines, journal_file, read_outlines, read_times, start_journal
from simspine.annotation.labels import Labels, pseudo_labels
from simspine.annotation.ranking import batch, finished, rank
from simspine.annotation.recording import RecordedViews, at_images, keypoints_of_files
from simspine.annotation.round_figures import minutes_per_image, round_figures
from simspine.annotation.session import labels_of
from simspine.errors import InputError
from simspine.formats._text import parsed, read_bytes
from simspine.formats.labelled_images import write_coco_labels
from simspine.formats.store import load, save
from simspine.types import Keypoints

FOLDER, FILE = "rounds", "rounds.jsonl"
RANDOM = 5  # one frame in so many of a batch is drawn at random
STEPS = ("drawn", "corrected", "exported", "proposed")


@dataclass(frozen=True)
class Round:
    """number: from 1. frames: of its batch, `control` those drawn at random. done: the steps made. figures: how good
    the proposals were, once it is corrected. hook: what a detector was trained by, '' before."""

    number: int
    frames: tuple[int, ...]
    control: tuple[int, ...]
    done: frozenset[str]
    figures: Mapping[str, Any] | None = None
    hook: str = ""


@dataclass(frozen=True)
class RoundFiles:
    """What a hook is given. labels: COCO, SpineTrack's 37 points, of all finished frames so far; their images below
    `images`. out: where it writes `<view>_json/`, points of every image of the recording, whose
    start holds what was decided so far above the first guess."""

    number: int
    labels: Path
    images: Path
    out: Path
    recording: RecordedViews


Hook = Callable[[RoundFiles], str]
"""Trains a detector and lets it look at the recording; returns how it was trained, for the journal."""


def read_rounds(recording: RecordedViews) -> tuple[Round, ...]:
    """All rounds of a recording, the last one open; () where there are none. `InputError` names the line that is no
    step."""
    path = _file(recording)
    if not path.exists():
        return ()
    rounds: list[Round] = []
    for number, line in enumerate(read_bytes(path).split(b"\n")[1:-1], 2):
        entry = parsed(json.loads, line, "a step of a round", f"{path}, line {number}")
        try:
            step = entry["step"]
            if step == "drawn":
                frames, control = (tuple(map(int, entry[key])) for key in ("frames", "control"))
                rounds.append(Round(len(rounds) + 1, frames, control, frozenset({step})))
                continue
            last = rounds[-1]
            if step not in STEPS or entry["round"] != last.number:
                raise ValueError(f"step {step!r} of round {entry['round']!r}")
            rounds[-1] = replace(
                last, done=last.done | {step}, figures=entry.get("figures", last.figures),
                hook=str(entry.get("hook", last.hook)),
            )  # fmt: skip
        except (TypeError, LookupError, ValueError, AttributeError) as error:
            raise InputError(f"{path}, line {number}: no step of a round ({error!r}).") from None
    return tuple(rounds)


def as_json(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """Plain values of all rounds."""
    return [
        {
            "round": one.number, "frames": list(one.frames), "control": list(one.control),
            "steps": [step for step in STEPS if step in one.done], "hook": one.hook, "figures": one.figures,
        }
        for one in rounds
    ]  # fmt: skip


def with_proposals(recording: RecordedViews) -> RecordedViews:
    """The recording with what the newest detector proposed as first guess; as it is before there is one."""
    rounds = read_rounds(recording)
    if not rounds:
        return recording
    return replace(recording, start=_proposals(recording, rounds[-1].number))


def advance(
    recording: RecordedViews, annotator: str, size: int, hook: Hook | None, say: Callable[[str], None]
) -> tuple[Round, ...]:
    """Go on as far as can be gone without a person: draw the first round; or, once the last one's frames are finished,
    count, export, train by the hook, take its points, and draw the next.

    Raises `InputError` for a hook that fails, or leaves no points; what was done before it stays done.
    """
    rounds = read_rounds(recording)
    if not rounds:
        _draw(recording, annotator, size, 1, say)
        return read_rounds(recording)
    last = rounds[-1]
    files = _files(replace(recording, start=labels_of(recording, annotator)), last.number)
    recording = replace(recording, start=_proposals(recording, last.number))
    labels = labels_of(recording, annotator)
    left = [frame for frame in last.frames if not finished(labels)[frame]]
    if left and "corrected" not in last.done:
        shown = ", ".join(map(str, left[:12])) + (" …" if len(left) > 12 else "")
        say(f"round {last.number}: {len(left)} of {len(last.frames)} frames are to be corrected: {shown}")
        return rounds
    if "corrected" not in last.done:
        _note(recording, last.number, "corrected", figures=_figures(recording, annotator, last, labels))
        say(f"round {last.number}: corrected")
    if "exported" not in last.done:
        count = _export(recording, labels, read_outlines(journal_file(recording.home, annotator)), files)
        _note(recording, last.number, "exported", images=count)
        say(f"round {last.number}: {count} images in {files.images}, labels in {files.labels}")
    if "proposed" not in last.done:
        if hook is None:
            say("name what trains the detector, with --hook or --training, to go on.")
            return read_rounds(recording)
        how = hook(files)
        proposed, count = _read_proposed(recording, files)
        save(_folder(recording, last.number + 1) / "proposals.h5", keypoints=proposed)
        _note(recording, last.number, "proposed", hook=how)
        say(f"round {last.number}: the detector has proposed points for {count} of {recording.frames} frames")
    _draw(recording, annotator, size, last.number + 1, say)
    return read_rounds(recording)


def draw(labels: Labels, recording: RecordedViews, size: int, number: int) -> tuple[list[int], list[int]]:
    """Frames of a batch, the worst first and then those drawn at random, and the latter; none that is finished. The
    round's number decides the draw."""
    done = finished(labels)
    left = np.flatnonzero(~done)
    count = min(len(left), max(size // RANDOM, min(1, size - 1)))
    control = sorted(np.random.default_rng(number).choice(left, count, replace=False).tolist())
    done[control] = True
    ranking = rank(labels, recording.rate, recording.cameras)
    return batch(ranking, recording.rate, size - count, done) + control, control


def _draw(recording: RecordedViews, annotator: str, size: int, number: int, say: Callable[[str], None]) -> None:
    path = _folder(recording, number) / "proposals.h5"
    if not path.exists():
        start = recording.start
        save(path, keypoints=Keypoints(start.names, recording.rate, start.xy, start.confidence))
    labels = labels_of(replace(recording, start=_proposals(recording, number)), annotator)
    frames, control = draw(labels, recording, size, number)
    if not frames:
        say("every frame is finished: there is nothing to draw.")
        return
    _note(recording, number, "drawn", frames=frames, control=control)
    say(f"round {number}: {len(frames)} frames drawn, {len(control)} of them at random. `simspine annotate` has them.")


def _figures(recording: RecordedViews, annotator: str, current: Round, labels: Labels) -> dict[str, Any]:
    everyone = {person: labels_of(recording, person) for person in annotators(recording.home)}
    times = read_times(journal_file(recording.home, annotator))
    minutes = minutes_per_image(times, current.frames, len(recording.views))
    return round_figures(recording.start, labels, current.frames, current.control, everyone) | {"minutes": minutes}


def _export(recording: RecordedViews, labels: Labels, outlines: Outlines, files: RoundFiles) -> int:
    """Images of finished frames only: in others pseudo-labels stand among the decisions."""
    whole = images_of(recording, labels, outlines=outlines)
    done = finished(labels)
    names = {
        recording.image_name(int(frame), view) for frame in np.flatnonzero(done) for view in range(len(recording.views))
    }
    images = whole.rows([name in names for name in whole.file_names])
    write_images(files.images, recording, images)
    write_coco_labels(files.labels, images)
    return len(images.file_names)


def _read_proposed(recording: RecordedViews, files: RoundFiles) -> tuple[Keypoints, int]:
    """The hook's points, and in how many frames it has any; the first guess before it stays where it has none."""
    found = keypoints_of_files(files.out, recording.views, recording.rate)
    wanted = ", ".join(f"{view}_json" for view in recording.views)
    if found is None:
        raise InputError(
            f"{files.out}: expected the folders {wanted} there, as OpenPose's; the hook has not made them."
        )
    placed = at_images(found, recording.rows, recording.rate)
    if not np.isfinite(placed.xy).any():
        raise InputError(f"{files.out}: no point in {wanted}; the hook's detector has found nobody.")
    start = recording.start
    xy, confidence = start.xy.copy(), start.confidence.copy()
    for i, name in enumerate(start.names):
        if name in placed.names:
            k = placed.names.index(name)
            here = np.isfinite(placed.xy[:, :, k]).all(-1)
            xy[:, :, i][here], confidence[:, :, i][here] = placed.xy[:, :, k][here], placed.confidence[:, :, k][here]
    count = int(np.isfinite(placed.xy).any((1, 2, 3)).sum())
    return Keypoints(start.names, recording.rate, xy, confidence), count


def _proposals(recording: RecordedViews, number: int) -> Labels:
    """What a round began with. Points that it did not know, such as new markers on the skin, are the recording's."""
    path = _folder(recording, number) / "proposals.h5"
    kept = load(path, ["keypoints"])["keypoints"]
    start = recording.start
    if kept.xy.shape[:2] != start.xy.shape[:2]:
        raise InputError(
            f"{path}: {kept.xy.shape[0]} frames in {kept.xy.shape[1]} views; this recording has {start.xy.shape[0]} in "
            f"{start.xy.shape[1]}. Choose another folder with --out."
        )
    xy, confidence = start.xy.copy(), start.confidence.copy()
    for i, name in enumerate(start.names):
        if name in kept.names:
            k = kept.names.index(name)
            xy[:, :, i], confidence[:, :, i] = kept.xy[:, :, k], kept.confidence[:, :, k]
    return pseudo_labels(Keypoints(start.names, recording.rate, xy, confidence))


def _note(recording: RecordedViews, number: int, step: str, **more: Any) -> None:
    start_journal(_file(recording), recording.name, recording.views, recording.start.names)
    append_lines(_file(recording), [{"step": step, "round": number, **more}])


def _files(recording: RecordedViews, number: int) -> RoundFiles:
    folder = _folder(recording, number)
    return RoundFiles(number, folder / "labels.json", folder / "images", folder / "out", recording)


def _folder(recording: RecordedViews, number: int) -> Path:
    return recording.home / FOLDER / f"{number:02d}"


def _file(recording: RecordedViews) -> Path:
    return recording.home / FOLDER / FILE


def open_frames(rounds: Sequence[Round]) -> tuple[int, ...]:
    """The batch of the round that is open; () where there is none."""
    return rounds[-1].frames if rounds and "corrected" not in rounds[-1].done else ()
