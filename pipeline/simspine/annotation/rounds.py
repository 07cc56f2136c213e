"""Rounds of annotation: draw frames, have them corrected, train a detector on them, take its points, draw anew.

`rounds/rounds.json` next to the annotators' journals says what was done; `rounds/02/` holds what round 2 began with
(`proposals.h5`) and what it gave (`labels.json`, `images/`, `out/`). A killed step is done again by the next call.
Active learning by uncertainty: Settles 2009, "Active learning literature survey" (University of Wisconsin-Madison,
report 1648). Frames ranked worst say little about the others, so one in five is drawn at random.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from simspine.annotation.exchange import labelled_images_of, write_images
from simspine.annotation.labels import (
    Edit,
    Labels,
    PointStatus,
    finished_frames,
    frame_batch,
    journal_file,
    person_size,
    pseudo_labels,
    rank_frames,
    read_journal,
)
from simspine.annotation.recording import RecordedViews, at_images, keypoints_of_files, laid_over
from simspine.annotation.server import labels_of
from simspine.core.errors import InputError
from simspine.core.types import Keypoints
from simspine.io.atomic import write_text
from simspine.io.coco import write_coco_labels
from simspine.io.hdf5 import read_store, write_store
from simspine.io.text_tables import parse_content, read_bytes

RANDOM_FRAME_INTERVAL = 5  # one frame in so many of a batch is drawn at random
MOVED_PX = 0.5  # a point that is nearer than this was left where it was proposed
PAUSE_S = 60.0  # a longer time between two decisions is no work


@dataclass(frozen=True)
class ProposalErrors:
    """How far proposals were from where a person placed or accepted the points.

    count: of points. median_px; median_share: of the person's size, the root of the area of the box around them. moved:
    share of the points that were moved by more than 0.5 px, said absent, or placed where nothing was proposed.
    """

    count: int
    median_px: float | None
    median_share: float | None
    moved: float | None


@dataclass(frozen=True)
class RoundFigures:
    """batch: errors in all frames; control: in those drawn at random; points: of each point that somebody decided.
    minutes: of work per image, None where no decision was timed."""

    images: int
    batch: ProposalErrors
    control: ProposalErrors
    points: Mapping[str, ProposalErrors]
    minutes: float | None


@dataclass(frozen=True)
class Round:
    """frames: of its batch; control: those of them that were drawn at random. figures: None until all frames are
    corrected. hook: how a detector was trained afterwards, '' before."""

    frames: tuple[int, ...]
    control: tuple[int, ...]
    figures: RoundFigures | None = None
    hook: str = ""


@dataclass(frozen=True)
class RoundFiles:
    """What a detector is trained on, and where its points go.

    labels: COCO file of all finished frames, 37 points; their images are below `images`. out: where points of every
    image are written, `<view>_json/<view>_000012.json`. recording: starts with the decisions so far, over the first
    guess.
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
    """As `rounds.json` has them."""
    return _ROUNDS.dump_json(tuple(rounds), indent=1).decode() + "\n"


def open_frames(rounds: Sequence[Round]) -> tuple[int, ...]:
    """Frames of the round that is being corrected; () where there is none."""
    return rounds[-1].frames if rounds and rounds[-1].figures is None else ()


def with_proposals(recording: RecordedViews) -> RecordedViews:
    """The recording with the points that the last round began with as first guess."""
    rounds = read_rounds(recording)
    return _starting_from(recording, len(rounds)) if rounds else recording


def advance_round(
    recording: RecordedViews, annotator: str, size: int, hook: TrainingHook | None, say: Callable[[str], None]
) -> tuple[Round, ...]:
    """Do all steps that need no person, and return all rounds.

    The first call draws a batch of `size` frames. Once these are corrected the next call exports them. Another one
    takes the points of a detector, which `hook` trains or another program has written to the round's folder `out`, and
    draws the next batch. Raises `InputError` for a hook that fails or points that are none; what was done before stays.
    """
    rounds = read_rounds(recording)
    if not rounds:
        write_store(_proposals_file(recording, 1), keypoints=recording.first_guess)
        return _with_next_batch(recording, rounds, annotator, size=size, say=say)
    number, last = len(rounds), rounds[-1]
    files = _files_of_round(replace(recording, start=labels_of(recording, annotator)), number)
    current = with_proposals(recording)
    if last.figures is None:
        labels = labels_of(current, annotator)
        done = finished_frames(labels)
        left = [str(frame) for frame in last.frames if not done[frame]]
        if left:
            shown = ", ".join(left[:12]) + (" …" if len(left) > 12 else "")
            say(f"round {number}: {len(left)} of {len(last.frames)} frames are to be corrected: {shown}")
            return rounds
        count = _export_finished_frames(current, labels, files)
        path = journal_file(recording.home, annotator)
        edits = read_journal(path, recording.name, recording.views, recording.images)
        last = replace(last, figures=round_figures(current.start, labels, last, edits=edits))
        rounds = _keep_rounds(recording, (*rounds[:-1], last))
        say(f"round {number}: corrected; {count} images in {files.images}, labels in {files.labels}")
    if not last.hook:
        if hook is None and not files.out.exists():
            say(f"Name --training; or train any detector, write its points to {files.out}, and run this again.")
            return rounds
        how = "another program" if hook is None else hook(files)
        proposed = _read_proposed(current, files)
        count = int(np.isfinite(proposed.xy).any((1, 2, 3)).sum())
        write_store(_proposals_file(recording, number + 1), keypoints=laid_over(current.first_guess, proposed))
        rounds = _keep_rounds(recording, (*rounds[:-1], replace(last, hook=how)))
        say(f"round {number}: the detector has proposed points for {count} of {recording.frames} frames")
    return _with_next_batch(recording, rounds, annotator, size=size, say=say)


def draw_frames(labels: Labels, recording: RecordedViews, size: int, number: int) -> tuple[list[int], list[int]]:
    """Unfinished frames of a batch, the worst first and then those drawn at random, and the latter alone. The round's
    number decides the draw."""
    done = finished_frames(labels)
    left = np.flatnonzero(~done)
    count = min(len(left), max(size // RANDOM_FRAME_INTERVAL, min(1, size - 1)))
    control = sorted(np.random.default_rng(number).choice(left, count, replace=False).tolist())
    done[control] = True
    ranking = rank_frames(labels, recording.rate, recording.cameras)
    return frame_batch(ranking, recording.rate, size - count, done) + control, control


def _with_next_batch(
    recording: RecordedViews, rounds: tuple[Round, ...], annotator: str, *, size: int, say: Callable[[str], None]
) -> tuple[Round, ...]:
    number = len(rounds) + 1
    frames, control = draw_frames(labels_of(_starting_from(recording, number), annotator), recording, size, number)
    if not frames:
        say("every frame is finished: there is nothing to draw.")
        return rounds
    say(f"round {number}: {len(frames)} frames drawn, {len(control)} of them at random. `simspine annotate` has them.")
    return _keep_rounds(recording, (*rounds, Round(tuple(frames), tuple(control))))


def _export_finished_frames(recording: RecordedViews, labels: Labels, files: RoundFiles) -> int:
    """Write images and labels of finished frames; in the others pseudo-labels stand among the decisions."""
    finished = finished_frames(labels)[:, None, None]
    images = labelled_images_of(
        recording, replace(labels, status=np.where(finished, labels.status, PointStatus.UNSEEN))
    )
    write_coco_labels(files.labels, images)
    return write_images(files.images, recording, images)


def _read_proposed(recording: RecordedViews, files: RoundFiles) -> Keypoints:
    """The points that a detector has given, by frame of the recording."""
    found = keypoints_of_files(files.out, recording.views, recording.rate)
    wanted = ", ".join(f"{view}_json" for view in recording.views)
    if found is None:
        raise InputError(
            f"{files.out}: no folders {wanted} there. Expected files such as <view>_json/<view>_000012.json."
        )
    placed = at_images(found, recording.rows, recording.rate)
    if not np.isfinite(placed.xy).any():
        raise InputError(f"{files.out}: no point in {wanted}; the detector has found nobody.")
    return placed


def _starting_from(recording: RecordedViews, number: int) -> RecordedViews:
    """The recording with what a round began with as first guess."""
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


def _files_of_round(recording: RecordedViews, number: int) -> RoundFiles:
    folder = _rounds_folder(recording) / f"{number:02d}"
    return RoundFiles(number, folder / "labels.json", folder / "images", out=folder / "out", recording=recording)


def _proposals_file(recording: RecordedViews, number: int) -> Path:
    return _rounds_folder(recording) / f"{number:02d}" / "proposals.h5"


def _rounds_folder(recording: RecordedViews) -> Path:
    return recording.home / "rounds"


# How good a round's proposals were, by what people made of them


def round_figures(proposals: Labels, labels: Labels, batch: Round, edits: Sequence[Edit]) -> RoundFigures:
    """proposals: what the round began with; labels: what an annotator made of it by these edits."""
    rows = np.array(sorted(batch.frames), int)
    own = labels.confirmed[rows]
    before, after = proposals.labelled[rows] & own, labels.labelled[rows] & own
    distance = np.where(before & after, np.linalg.norm(proposals.xy[rows] - labels.xy[rows], axis=-1), np.nan)
    size = person_size(np.where(after[..., None], labels.xy[rows], np.nan))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = distance / size[..., None]
    judged = before | after
    moved = judged & ((before != after) | (np.nan_to_num(distance) > MOVED_PX))

    def errors(at: Any) -> ProposalErrors:
        count = int(judged[at].sum())
        return ProposalErrors(
            count=count,
            median_px=_median(distance[at]),
            median_share=_median(share[at]),
            moved=round(float(moved[at].sum() / count), 4) if count else None,
        )

    views = own.shape[1]
    return RoundFigures(
        images=len(rows) * views,
        batch=errors(...),
        control=errors(np.isin(rows, batch.control)),
        points={name: errors(np.s_[..., i]) for i, name in enumerate(labels.names) if judged[..., i].any()},
        minutes=minutes_per_image(edits, batch.frames, views),
    )


def minutes_per_image(edits: Sequence[Edit], frames: Sequence[int], views: int) -> float | None:
    """Time between decisions on the page, pauses left out, given to the frame of the later one; None without times.

    edits: in the order they were made. The time until the first decision is not counted.
    """
    timed = [(edit.time, edit.frame) for edit in edits if edit.time is not None]
    gaps = [later - earlier for (earlier, _), (later, frame) in pairwise(timed) if frame in frames]
    work = [gap for gap in gaps if 0 <= gap <= PAUSE_S]
    return round(sum(work) / 60 / (len(frames) * views), 3) if work else None


def rounds_text(rounds: Sequence[Round], finished: Sequence[int] = ()) -> str:
    """A line per round. finished: frames of the recording, for the round that is open."""
    if not rounds:
        return "no round has begun; `simspine annotations round` draws the first."
    heads = ("round", "images", "error %", "at random", "px", "moved %", "at random", "min/image")
    lines = [" ".join(f"{head:>11}" for head in heads) + "  state"]
    for number, one in enumerate(rounds, 1):
        if one.figures is None:
            cells = [""] * 7
            state = f"{len(set(one.frames) & set(finished))} of {len(one.frames)} frames corrected"
        else:
            batch, control = one.figures.batch, one.figures.control
            cells = [
                str(one.figures.images),
                _cell(batch.median_share, 100, 2), _cell(control.median_share, 100, 2), _cell(batch.median_px, 1, 1),
                _cell(batch.moved, 100, 0), _cell(control.moved, 100, 0), _cell(one.figures.minutes, 1, 2),
            ]  # fmt: skip
            state = "done" if one.hook else "corrected; waits for a detector"
        lines.append(" ".join(f"{cell:>11}" for cell in (str(number), *cells)) + f"  {state}")
    lines += ["", "error: median distance from proposal to where a person placed it, in % of the person's size."]
    lines.append("at random: in frames of the batch drawn at random; the others are those that seemed worst.")
    return "\n".join(lines)


def _median(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return round(float(np.median(known)), 5) if known.size else None


def _cell(value: float | None, times: float, digits: int) -> str:
    return "–" if value is None else f"{times * value:.{digits}f}"
