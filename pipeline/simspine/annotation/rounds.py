"""Rounds of active learning: draw frames, have them corrected, export them, train a detector, let it propose anew."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from simspine.annotation.exchange import labelled_images_of, write_images
from simspine.annotation.labels import (
    Labels,
    PointStatus,
    append_lines,
    finished_frames,
    frame_batch,
    journal_file,
    person_size,
    pseudo_labels,
    rank_frames,
    read_times,
    start_journal,
)
from simspine.annotation.recording import RecordedViews, at_images, keypoints_of_files
from simspine.annotation.server import labels_of
from simspine.core.errors import InputError, require_known
from simspine.core.types import Keypoints
from simspine.io.coco import write_coco_labels
from simspine.io.hdf5 import read_store, write_store
from simspine.io.text_tables import parse_content, read_bytes

# How good a round's proposals were, by what people made of them


MOVED_PX = 0.5  # nearer than this a point was left where it was proposed
PAUSE_S = 60.0  # a longer time between two decisions is no work


def round_statistics(
    proposals: Labels, labels: Labels, frames: Sequence[int], control: Sequence[int]
) -> dict[str, Any]:
    """Plain values, None for what there is not.

    proposals: what a round began with; labels: what an annotator made of it; frames: of its batch, `control` those
    drawn at random. Errors are distances from the proposal to where a person placed or accepted the point: px, and a
    share of the person's size (root of the area of the box around them). Moved: further than 0.5 px, or said absent, or
    given a place where the proposal had none.
    """
    rows = np.array(sorted(frames), int)
    own = np.isin(labels.status[rows], (PointStatus.ACCEPTED, PointStatus.CORRECTED))
    before, after = proposals.labelled[rows] & own, labels.labelled[rows] & own
    distance = np.where(before & after, np.linalg.norm(proposals.xy[rows] - labels.xy[rows], axis=-1), np.nan)
    size = person_size(np.where(after[..., None], labels.xy[rows], np.nan))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = distance / size[..., None]
    judged = before | after
    moved = judged & ((before != after) | (np.nan_to_num(distance) > MOVED_PX))
    random = np.isin(rows, list(control))
    return {
        "images": int(len(rows) * labels.xy.shape[1]),
        "all": _error_summary(distance, share, judged, moved),
        "control": _error_summary(distance[random], share[random], judged[random], moved[random]),
        "points": {
            name: _error_summary(distance[..., i], share[..., i], judged[..., i], moved[..., i])
            for i, name in enumerate(labels.names)
            if judged[..., i].any()
        },
    }


def minutes_per_image(times: Sequence[tuple[float, int]], frames: Sequence[int], views: int) -> float | None:
    """Time between decisions, pauses left out, given to the frame of the later one; None where nothing was timed.

    times: (s, frame) of each decision in order. The way to the first decision is not in it.
    """
    gaps = [
        later - earlier
        for (earlier, _), (later, frame) in pairwise(times)
        if frame in frames and 0 <= later - earlier <= PAUSE_S
    ]
    return round(sum(gaps) / 60 / (len(frames) * views), 3) if gaps else None


def _error_summary(distance: np.ndarray, share: np.ndarray, judged: np.ndarray, moved: np.ndarray) -> dict[str, Any]:
    return {
        "count": int(judged.sum()),
        "median_px": _quantile(distance, 0.5),
        "p90_px": _quantile(distance, 0.9),
        "median_share": _quantile(share, 0.5),
        "moved": round(float(moved.sum() / judged.sum()), 4) if judged.any() else None,
    }


def _quantile(values: np.ndarray, q: float) -> float | None:
    known = values[np.isfinite(values)]
    return round(float(np.quantile(known, q)), 5) if known.size else None


# What happened stands in `rounds/rounds.jsonl` next to the annotators' journals, a line per step; `rounds/02/`
# holds what round 2 began with (`proposals.h5`) and what it gave (`labels.json`, `images/`, `out/`). A killed
# step is done again by the next call. Nothing that stands in the folder is ever run.
# Active learning by uncertainty: Settles 2009, "Active learning literature survey" (University of Wisconsin-
# Madison, report 1648); the order is `simspine.annotation.labels`'s. Frames ranked worst say little about the
# others, so a fifth of each batch is drawn at random: by these a detector is followed over rounds.


ROUNDS_FOLDER, ROUNDS_FILE = "rounds", "rounds.jsonl"
RANDOM_FRAME_INTERVAL = 5  # one frame in so many of a batch is drawn at random
ROUND_STEPS = ("drawn", "corrected", "exported", "proposed")


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


TrainingHook = Callable[[RoundFiles], str]
"""Trains a detector and lets it look at the recording; returns how it was trained, for the journal."""


def read_rounds(recording: RecordedViews) -> tuple[Round, ...]:
    """All rounds of a recording, the last one open; () where there are none. `InputError` names the line that is no
    step."""
    path = _rounds_file(recording)
    if not path.exists():
        return ()
    rounds: list[Round] = []
    for number, line in enumerate(read_bytes(path).split(b"\n")[1:-1], 2):
        entry = parse_content(json.loads, line, "a step of a round", f"{path}, line {number}")
        try:
            step = entry["step"]
            if step == "drawn":
                frames, control = (tuple(map(int, entry[key])) for key in ("frames", "control"))
                rounds.append(Round(len(rounds) + 1, frames, control, frozenset({step})))
                continue
            last = rounds[-1]
            if step not in ROUND_STEPS or entry["round"] != last.number:
                raise ValueError(f"step {step!r} of round {entry['round']!r}")
            rounds[-1] = replace(
                last, done=last.done | {step}, figures=entry.get("figures", last.figures),
                hook=str(entry.get("hook", last.hook)),
            )  # fmt: skip
        except (TypeError, LookupError, ValueError, AttributeError) as error:
            raise InputError(f"{path}, line {number}: no step of a round ({error!r}).") from None
    return tuple(rounds)


def rounds_json(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """Plain values of all rounds."""
    return [
        {
            "round": one.number, "frames": list(one.frames), "control": list(one.control),
            "steps": [step for step in ROUND_STEPS if step in one.done], "hook": one.hook, "figures": one.figures,
        }
        for one in rounds
    ]  # fmt: skip


def with_proposals(recording: RecordedViews) -> RecordedViews:
    """The recording with what the newest detector proposed as first guess; as it is before there is one."""
    rounds = read_rounds(recording)
    if not rounds:
        return recording
    return replace(recording, start=_proposals(recording, rounds[-1].number))


def advance_round(
    recording: RecordedViews, annotator: str, size: int, hook: TrainingHook | None, say: Callable[[str], None]
) -> tuple[Round, ...]:
    """Go on as far as can be gone without a person: draw the first round; or, once the last one's frames are finished,
    count, export, train by the hook, take its points, and draw the next.

    Raises `InputError` for a hook that fails, or leaves no points; what was done before it stays done.
    """
    rounds = read_rounds(recording)
    if not rounds:
        _draw_round(recording, annotator, size, number=1, say=say)
        return read_rounds(recording)
    last = rounds[-1]
    files = _round_files(replace(recording, start=labels_of(recording, annotator)), last.number)
    recording = replace(recording, start=_proposals(recording, last.number))
    labels = labels_of(recording, annotator)
    left = [frame for frame in last.frames if not finished_frames(labels)[frame]]
    if left and "corrected" not in last.done:
        shown = ", ".join(map(str, left[:12])) + (" …" if len(left) > 12 else "")
        say(f"round {last.number}: {len(left)} of {len(last.frames)} frames are to be corrected: {shown}")
        return rounds
    if "corrected" not in last.done:
        _log_step(recording, last.number, "corrected", figures=_round_figures(recording, annotator, last, labels))
        say(f"round {last.number}: corrected")
    if "exported" not in last.done:
        count = _export_finished_frames(recording, labels, files)
        _log_step(recording, last.number, "exported", images=count)
        say(f"round {last.number}: {count} images in {files.images}, labels in {files.labels}")
    if "proposed" not in last.done:
        if hook is None:
            say("name what trains the detector, with --hook or --training, to go on.")
            return read_rounds(recording)
        how = hook(files)
        proposed, count = _read_proposed(recording, files)
        write_store(_round_folder(recording, last.number + 1) / "proposals.h5", keypoints=proposed)
        _log_step(recording, last.number, "proposed", hook=how)
        say(f"round {last.number}: the detector has proposed points for {count} of {recording.frames} frames")
    _draw_round(recording, annotator, size, number=last.number + 1, say=say)
    return read_rounds(recording)


def draw_frames(labels: Labels, recording: RecordedViews, size: int, number: int) -> tuple[list[int], list[int]]:
    """Frames of a batch, the worst first and then those drawn at random, and the latter; none that is finished. The
    round's number decides the draw."""
    done = finished_frames(labels)
    left = np.flatnonzero(~done)
    count = min(len(left), max(size // RANDOM_FRAME_INTERVAL, min(1, size - 1)))
    control = sorted(np.random.default_rng(number).choice(left, count, replace=False).tolist())
    done[control] = True
    ranking = rank_frames(labels, recording.rate, recording.cameras)
    return frame_batch(ranking, recording.rate, size - count, done) + control, control


def _draw_round(recording: RecordedViews, annotator: str, size: int, number: int, say: Callable[[str], None]) -> None:
    path = _round_folder(recording, number) / "proposals.h5"
    if not path.exists():
        start = recording.start
        write_store(path, keypoints=Keypoints(start.names, recording.rate, start.xy, start.confidence))
    labels = labels_of(replace(recording, start=_proposals(recording, number)), annotator)
    frames, control = draw_frames(labels, recording, size, number)
    if not frames:
        say("every frame is finished: there is nothing to draw.")
        return
    _log_step(recording, number, "drawn", frames=frames, control=control)
    say(f"round {number}: {len(frames)} frames drawn, {len(control)} of them at random. `simspine annotate` has them.")


def _round_figures(recording: RecordedViews, annotator: str, current: Round, labels: Labels) -> dict[str, Any]:
    figures = round_statistics(recording.start, labels, current.frames, current.control)
    times = read_times(journal_file(recording.home, annotator))
    return figures | {"minutes": minutes_per_image(times, current.frames, len(recording.views))}


def _export_finished_frames(recording: RecordedViews, labels: Labels, files: RoundFiles) -> int:
    """Images of finished frames only: in others pseudo-labels stand among the decisions."""
    whole = labelled_images_of(recording, labels)
    done = finished_frames(labels)
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
    path = _round_folder(recording, number) / "proposals.h5"
    kept = read_store(path, ["keypoints"])["keypoints"]
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


def _log_step(recording: RecordedViews, number: int, step: str, **more: Any) -> None:
    start_journal(_rounds_file(recording), recording.name, recording.views, recording.start.names)
    append_lines(_rounds_file(recording), [{"step": step, "round": number, **more}])


def _round_files(recording: RecordedViews, number: int) -> RoundFiles:
    folder = _round_folder(recording, number)
    return RoundFiles(
        number=number, labels=folder / "labels.json", images=folder / "images", out=folder / "out", recording=recording
    )


def _round_folder(recording: RecordedViews, number: int) -> Path:
    return recording.home / ROUNDS_FOLDER / f"{number:02d}"


def _rounds_file(recording: RecordedViews) -> Path:
    return recording.home / ROUNDS_FOLDER / ROUNDS_FILE


def open_frames(rounds: Sequence[Round]) -> tuple[int, ...]:
    """The batch of the round that is open; () where there is none."""
    return rounds[-1].frames if rounds and "corrected" not in rounds[-1].done else ()


HOOK_PLACEHOLDERS = ("labels", "images", "out", "recording", "round")
_PLACEHOLDER = re.compile(r"\{(\w*)\}")


def command_hook(template: str, source: str, say: Callable[[str], None]) -> TrainingHook:
    """A hook that runs a command without a shell: `python learn.py {labels} --images {images} --out {out}`.

    template: split into words as a shell would; then each `{…}` of `HOOK_PLACEHOLDERS` is filled in, so that a name
    with a space
    or a semicolon stays one word. source: what `{recording}` stands for. Raises `InputError` for other names in braces
    and for a template without {out}; the hook for a command that cannot be started or fails.
    """
    try:
        words = shlex.split(template)
    except ValueError as error:
        raise InputError(f"--hook {template!r}: {error}.") from None
    found = [name for word in words for name in _PLACEHOLDER.findall(word)]
    require_known("place", found, HOOK_PLACEHOLDERS, "--hook")
    if "out" not in found:
        raise InputError(f"--hook {template!r}: no {{out}} in it; the detector's points are looked for there.")

    def run(files: RoundFiles) -> str:
        shutil.rmtree(files.out, ignore_errors=True)  # what a hook that failed has left is not another's
        files.out.mkdir(parents=True)
        filled = {
            "labels": files.labels,
            "images": files.images,
            "out": files.out,
            "recording": source,
            "round": files.number,
        }
        command = [_PLACEHOLDER.sub(lambda match: str(filled[match[1]]), word) for word in words]
        say(shlex.join(command))
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
        except OSError as error:
            raise InputError(f"--hook: {command[0]} cannot be started ({error.strerror or error}).") from None
        if done.returncode:
            raise InputError(
                f"--hook: {shlex.join(command)} ended with {done.returncode}. Run the same command again "
                "when it works; what was corrected and exported stays."
            )
        return shlex.join(command)

    return run


# What has come of the rounds, as a table for the terminal

NEXT_ACTION_TEXTS = {
    "corrected": "corrected", "exported": "corrected and exported; waits for a detector",
    "proposed": "done",
}  # fmt: skip


def rounds_text(rounds: Sequence[Round], now: Sequence[int] = ()) -> str:
    """A line per round. now: finished frames of the recording, for the round that is open."""
    if not rounds:
        return "no round has begun; `simspine annotations round` draws the first."
    heads = ("round", "images", "error %", "at random", "px", "moved %", "at random", "min/image")
    lines = [" ".join(f"{head:>11}" for head in heads) + "  state"]
    for one in rounds:
        cells = (str(one.number), *([""] * 7 if one.figures is None else _round_cells(one.figures)))
        lines.append(" ".join(f"{cell:>11}" for cell in cells) + f"  {next_action(one, now)}")
    lines += ["", "error: median distance from proposal to where a person placed it, in % of the person's size."]
    lines.append("at random: in frames of the batch drawn at random; the others are those that seemed worst.")
    return "\n".join(lines)


def _round_cells(figures: Mapping[str, Any]) -> tuple[str, ...]:
    batch, control = figures["all"], figures["control"]
    return (
        str(figures["images"]),
        _number_text(batch["median_share"], 100, 2),
        _number_text(control["median_share"], 100, 2),
        _number_text(batch["median_px"], 1, 1),
        _number_text(batch["moved"], 100, 0),
        _number_text(control["moved"], 100, 0),
        _number_text(figures["minutes"], 1, 2),
    )


def next_action(one: Round, now: Sequence[int] = ()) -> str:
    """What is to be done next about a round."""
    last = [step for step in ROUND_STEPS if step in one.done][-1]
    if last != "drawn":
        return NEXT_ACTION_TEXTS[last]
    return f"{sum(frame in now for frame in one.frames)} of {len(one.frames)} frames corrected"


def _number_text(value: float | None, times: float, digits: int) -> str:
    return "–" if value is None else f"{times * value:.{digits}f}"
