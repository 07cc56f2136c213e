"""Rounds of annotation: choose frames, let people correct them, train a detector on them, start again from its points.

`rounds/rounds.json` next to the annotators' journals lists the steps done; `rounds/02/` holds the first guess of round
2 (`proposals.h5`) and its results (`labels.json`, `images/`, `out/`). The next call repeats a step that was killed.
Active learning by uncertainty: Settles 2009, "Active learning literature survey" (University of Wisconsin-Madison,
report 1648).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from simspine.annotation.exchange import labelled_images_of, write_images
from simspine.annotation.labels import Labels, PointStatus, finished_frames, frame_batch, pseudo_labels, rank_frames
from simspine.annotation.recording import RecordedViews, at_images, keypoints_of_files, laid_over
from simspine.annotation.server import labels_of
from simspine.core.errors import InputError, names_text
from simspine.core.types import Keypoints
from simspine.io.atomic import write_text
from simspine.io.coco import write_coco_labels
from simspine.io.hdf5 import read_store, write_store
from simspine.io.text_tables import parse_content, read_bytes

MOVED_PX = 0.5  # points that differ by less from their proposal were not moved


@dataclass(frozen=True)
class Round:
    """A round. frames: its batch, the worst first. corrected: whether all were decided about and exported. hook: how a
    detector was trained afterwards, '' before."""

    frames: tuple[int, ...]
    corrected: bool = False
    hook: str = ""


@dataclass(frozen=True)
class RoundFiles:
    """Training data of a detector, and the folder for its points.

    labels: COCO file of all finished frames, 37 points; their images are below `images`. out: folder to which the
    detector writes points of every image, `<view>_json/<view>_000012.json`. recording: its start holds the decisions so
    far over the first guess.
    """

    number: int
    labels: Path
    images: Path
    out: Path
    recording: RecordedViews


TrainingHook = Callable[[RoundFiles], str]
"""Trains a detector and writes its points of the recording; returns how it was trained."""

_ROUNDS = TypeAdapter(tuple[Round, ...])


def read_rounds(recording: RecordedViews) -> tuple[Round, ...]:
    """All rounds of a recording, the last one open; () before the first. `InputError` for another recording's."""
    path = _rounds_folder(recording) / "rounds.json"
    if not path.exists():
        return ()
    rounds = parse_content(_ROUNDS.validate_json, read_bytes(path), "rounds of annotation", path)
    frames = [frame for one in rounds for frame in one.frames]
    if not all(0 <= frame < recording.frames for frame in frames):
        raise InputError(
            f"{path}: frames {min(frames)} to {max(frames)}; this recording has {recording.frames}, counted from 0. "
            "Choose another folder with --out."
        )
    return rounds


def rounds_json(rounds: Sequence[Round]) -> str:
    """Text of `rounds.json`."""
    return _ROUNDS.dump_json(tuple(rounds), indent=1).decode() + "\n"


def open_frames(rounds: Sequence[Round]) -> tuple[int, ...]:
    """Frames of the round that is being corrected; () where there is none."""
    return rounds[-1].frames if rounds and not rounds[-1].corrected else ()


def with_proposals(recording: RecordedViews) -> RecordedViews:
    """The recording with the proposals of the last round as first guess."""
    rounds = read_rounds(recording)
    return _starting_from(recording, len(rounds)) if rounds else recording


def advance_round(
    recording: RecordedViews, annotator: str, size: int, hook: TrainingHook | None, say: Callable[[str], None]
) -> tuple[Round, ...]:
    """Do all steps that need no person, and return all rounds.

    The first call chooses a batch of `size` frames. Once these are corrected, the next call exports them. A further
    call reads the points of a detector, trained by `hook` or written to the round's folder `out` by another program,
    and chooses the next batch. `InputError` for a hook that fails or missing points; finished steps stay.
    """
    rounds = read_rounds(recording)
    if not rounds:
        write_store(_proposals_file(recording, 1), keypoints=recording.first_guess)
        return _with_next_batch(recording, rounds, annotator, size=size, say=say)
    number, last = len(rounds), rounds[-1]
    folder = _rounds_folder(recording) / f"{number:02d}"
    decided = replace(recording, start=labels_of(recording, annotator))
    files = RoundFiles(number, folder / "labels.json", folder / "images", out=folder / "out", recording=decided)
    current = with_proposals(recording)
    if not last.corrected:
        labels = labels_of(current, annotator)
        done = finished_frames(labels)
        unfinished = [str(frame) for frame in last.frames if not done[frame]]
        if unfinished:
            shown = names_text(unfinished, 12)
            say(f"round {number}: {len(unfinished)} of {len(last.frames)} frames are to be corrected: {shown}")
            return rounds
        count = _export_finished_frames(current, labels, files)
        last = replace(last, corrected=True)
        rounds = _keep_rounds(recording, (*rounds[:-1], last))
        say(f"round {number}: corrected; {count} images in {files.images}, labels in {files.labels}")
    if not last.hook:
        if hook is None and not files.out.exists():
            say(f"Name --training; or train any detector, write its points to {files.out}, and run this again.")
            return rounds
        trained_by = "another program" if hook is None else hook(files)
        proposed = _read_proposed(current, files)
        count = int(np.isfinite(proposed.xy).any((1, 2, 3)).sum())
        write_store(_proposals_file(recording, number + 1), keypoints=laid_over(current.first_guess, proposed))
        rounds = _keep_rounds(recording, (*rounds[:-1], replace(last, hook=trained_by)))
        say(f"round {number}: the detector has proposed points for {count} of {recording.frames} frames")
    return _with_next_batch(recording, rounds, annotator, size=size, say=say)


def _with_next_batch(
    recording: RecordedViews, rounds: tuple[Round, ...], annotator: str, *, size: int, say: Callable[[str], None]
) -> tuple[Round, ...]:
    number = len(rounds) + 1
    labels = labels_of(_starting_from(recording, number), annotator)
    ranking = rank_frames(labels, recording.rate, recording.cameras)
    frames = frame_batch(ranking, recording.rate, size, finished_frames(labels))
    if not frames:
        say("every frame is finished: there is nothing to draw.")
        return rounds
    say(f"round {number}: {len(frames)} frames drawn. `simspine annotate` has them.")
    return _keep_rounds(recording, (*rounds, Round(tuple(frames))))


def _export_finished_frames(recording: RecordedViews, labels: Labels, files: RoundFiles) -> int:
    """Write images and labels of finished frames only, since others mix decisions with pseudo-labels."""
    finished = finished_frames(labels)[:, None, None]
    images = labelled_images_of(
        recording, replace(labels, status=np.where(finished, labels.status, PointStatus.UNSEEN))
    )
    write_coco_labels(files.labels, images)
    return write_images(files.images, recording, images)


def _read_proposed(recording: RecordedViews, files: RoundFiles) -> Keypoints:
    """The points that a detector has written, by frame of the recording."""
    points = keypoints_of_files(files.out, recording.views, recording.rate)
    folders = ", ".join(f"{view}_json" for view in recording.views)
    if points is None:
        raise InputError(
            f"{files.out}: no folders {folders} there. Expected files such as <view>_json/<view>_000012.json."
        )
    placed = at_images(points, recording.rows, recording.rate)
    if not np.isfinite(placed.xy).any():
        raise InputError(f"{files.out}: no point in {folders}; the detector has found nobody.")
    return placed


def _starting_from(recording: RecordedViews, number: int) -> RecordedViews:
    """The recording with the proposals of a round as first guess."""
    path = _proposals_file(recording, number)
    proposed = read_store(path, ["keypoints"])["keypoints"]
    if proposed.xy.shape[:2] != recording.start.xy.shape[:2]:
        raise InputError(
            f"{path}: frames and views are {proposed.xy.shape[:2]}; this recording has {recording.start.xy.shape[:2]}. "
            "Choose another folder with --out."
        )
    points = laid_over(recording.first_guess, proposed)
    unmoved = np.isclose(points.xy, recording.start.xy, rtol=0.0, atol=MOVED_PX).all(-1)
    return replace(recording, start=pseudo_labels(points, recording.start.guessed & unmoved))


def _keep_rounds(recording: RecordedViews, rounds: tuple[Round, ...]) -> tuple[Round, ...]:
    write_text(_rounds_folder(recording) / "rounds.json", rounds_json(rounds))
    return rounds


def _proposals_file(recording: RecordedViews, number: int) -> Path:
    return _rounds_folder(recording) / f"{number:02d}" / "proposals.h5"


def _rounds_folder(recording: RecordedViews) -> Path:
    return recording.home / "rounds"
