"""Labels of a recording as COCO or OpenPose files, and COCO files back as decisions of an annotator; rounds of
annotation, in which a detector is trained on such files.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml
from pydantic import TypeAdapter

from simspine.anatomy.spine_from_joints import REQUIRED_JOINTS, spine_in_image, spine_on_curves
from simspine.annotation.labels import (
    Edit,
    Labels,
    PointStatus,
    Visibility,
    finished_frames,
    frame_batch,
    pseudo_labels,
    rank_frames,
)
from simspine.annotation.recording import Images, RecordedViews, at_images, keypoints_of_files, laid_over
from simspine.annotation.server import labels_of
from simspine.core.errors import InputError, names_text
from simspine.core.skeletons import is_skin_marker, load_skeleton, skin_landmark
from simspine.core.types import Keypoints
from simspine.io import coco
from simspine.io.atomic import atomic_path, write_text
from simspine.io.hdf5 import read_store, write_store
from simspine.io.image_streams import Stills
from simspine.io.keypoint_json import people_file, require_no_others, write_people_json
from simspine.io.text_tables import parse_content, read_bytes, repeated_names

SAME_PX = 0.05  # a point that differs by less in another program's file was not moved
OPENPOSE_SCORES = {Visibility.SEEN: 1.0, Visibility.HIDDEN: 0.5, Visibility.ABSENT: 0.0}  # OpenPose has only scores


def clicks_as_yaml(recording: RecordedViews, labels: Labels) -> str:
    """YAML of {landmark: {view: [[frame, x, y], …]}}, the skin markers that a person placed in two views or more; null
    for absent ones. Frames are the videos' own, from 0."""
    clicks = {}
    for name in is_skin_marker(labels.names):
        i = labels.names.index(name)
        views = {view: _clicks_of(recording, labels, v, i) for v, view in enumerate(recording.views)}
        placed = {view: rows for view, rows in views.items() if any(row[1] is not None for row in rows)}
        if len(placed) > 1:
            clicks[skin_landmark(name)] = placed
    if not clicks:
        raise InputError(f"{recording.name}: no marker on the skin was placed in two views. Open it with --skin C7,….")
    return yaml.safe_dump({"clicks": clicks}, default_flow_style=None, sort_keys=False, allow_unicode=True).rstrip()


def _clicks_of(recording: RecordedViews, labels: Labels, view: int, point: int) -> list[list[float | None]]:
    frames = np.flatnonzero(labels.confirmed[:, view, point])
    places = labels.xy[frames, view, point].round(1).astype(object)
    places[labels.visibility[frames, view, point] == Visibility.ABSENT] = None
    return [[int(recording.rows[frame, view]), *place] for frame, place in zip(frames, places.tolist(), strict=True)]


def labelled_images_of(recording: RecordedViews, labels: Labels, decided_only: bool = True) -> coco.LabelledImages:
    """Labels, one row per image. decided_only: leave out images and inferred points without a decision."""
    rows = [
        (frame, view)
        for frame in range(recording.frames)
        for view in range(len(recording.views))
        if not decided_only or labels.decided[frame, view].any()
    ]
    if not rows:
        raise InputError(f"{recording.name}: nobody has decided about a point yet. Annotate first, or add --all.")
    index = tuple(np.array(rows).T)
    points = np.concatenate([np.nan_to_num(labels.xy[index]), labels.visibility[index][..., None]], -1)
    points[(points[..., 2] == 0) | (labels.guessed[index] & decided_only)] = 0.0
    return coco.LabelledImages(
        names=labels.names,
        file_names=tuple(recording.image_name(frame, view) for frame, view in rows),
        sizes=np.array([recording.sources[view].size for _, view in rows]),
        points=points,
        status=labels.status[index],
    )


def propose_spines(path: Path, least_height: float, curves: bool = False) -> coco.LabelledImages:
    """The largest person of each image of a COCO file whose trunk is in sight, with points of the spine proposed.

    least_height: of the person, as a share of the image's height. The spine's points are computed from hips, shoulders
    and head, by `spine_in_image` or `spine_on_curves`; they are labelled hidden and not decided.
    """
    table, people = load_skeleton("spinetrack37"), coco.read_coco(path)
    names = tuple(table.to_simspine[name] for name in table.names)
    points = coco.in_spinetrack_order(people["keypoints"], tuple(people["names"].tolist()), str(path))
    trunk = points[:, [names.index(name) for name in REQUIRED_JOINTS], 2] == coco.COCO_VISIBLE
    tall = people["bbox"][:, 3] >= least_height * people["size"][:, 1]
    good = np.flatnonzero(trunk.all(1) & tall & ~people["crowd"])
    if not len(good):
        wanted = f"{least_height:g} of the image's height with hips and shoulders in sight"
        raise InputError(f"{path}: nobody of {len(points)} is {wanted}; lower --least-height, or name another file.")
    largest = {str(people["file_name"][i]): i for i in good[np.argsort(people["area"][good], kind="stable")]}
    rows = sorted(largest.values())
    points = np.where(points[rows, :, 2:] > 0, points[rows], 0.0)
    status = np.where(points[..., 2] > 0, PointStatus.ACCEPTED, PointStatus.UNSEEN)
    for person in points:
        seen = {name: np.array([x, y, 1.0]) for name, (x, y, v) in zip(names, person, strict=True) if v > 0}
        for name, (x, y, *_) in (spine_on_curves if curves else spine_in_image)(seen).items():
            if name not in seen:
                person[names.index(name)] = x, y, coco.COCO_HIDDEN
    files = tuple(str(people["file_name"][i]) for i in rows)
    return coco.LabelledImages(names, files, sizes=people["size"][rows].astype(int), points=points, status=status)


def write_annotation_file(
    form: str, out: Path, recording: RecordedViews, labels: Labels, decided_only: bool = True
) -> Path:
    """Write the labels as `coco`, a file, or as `openpose`, a folder; returns its path.

    openpose: `<view>_json/<view>_000012.json`, 37 points in SpineTrack's order; score 1: seen, 0.5: hidden, 0: absent.
    A workflow reads them with `detection: {detector: import}`.
    """
    if (out.suffix.lower() == ".json") != (form == "coco"):
        wanted = "a file that ends in .json" if form == "coco" else "a folder"
        raise InputError(f"{out}: {form} is written to {wanted}. Choose another name, or another --format.")
    images = labelled_images_of(recording, labels, decided_only)
    if form == "coco":
        coco.write_coco_labels(out, images, recording.first_images)
        return out
    ordered, places = coco.to_spinetrack(images), _frame_view_by_image(recording)
    images_of = [places[name] for name in ordered.file_names]
    # Numbered as in the videos: whoever reads them with the recording's delays must not shift them twice.
    files = [people_file(out, recording.views[view], int(recording.rows[frame, view])) for frame, view in images_of]
    require_no_others(files)
    for i, file in enumerate(files):
        score = np.array([OPENPOSE_SCORES[Visibility(int(v))] for v in ordered.points[i, :, 2]])
        flat = np.concatenate([ordered.points[i, :, :2].round(3), score[:, None]], 1).ravel().tolist()
        write_people_json(file, [{"pose_keypoints_2d": flat}])
    return out


def write_images(folder: Path, recording: RecordedViews, images: coco.LabelledImages) -> int:
    """Write the labelled images as JPEG under their names; returns their number. None of the recording is replaced."""
    originals = {file.resolve() for one in recording.sources if isinstance(one, Stills) for file in one.files}
    if replaced := [folder / name for name in images.file_names if (folder / name).resolve() in originals]:
        raise InputError(f"{replaced[0]} is an image of the recording, and would be replaced; name another folder.")
    place_of_image, source = _frame_view_by_image(recording), Images(recording)
    try:
        for path, name in ((folder / name, name) for name in images.file_names):
            if path.exists() and path.read_bytes() != source.jpeg(*place_of_image[name]):
                raise InputError(f"{path} is another image, and would be replaced; name another folder.")
        for name in images.file_names:
            with atomic_path(folder / name) as temporary:
                temporary.write_bytes(source.jpeg(*place_of_image[name]))
    finally:
        source.close()
    return len(images.file_names)


@dataclass(frozen=True)
class FileDecisions:
    """What a file of labels says about a recording. edits: decisions. open_points: number of points that it leaves as
    they were proposed. missing_points: of those decided about, without a place in it; they stay. strange: its images
    that are not of the recording."""

    edits: list[Edit]
    open_points: int
    missing_points: int
    strange: tuple[str, ...]


def decisions_of_file(
    recording: RecordedViews, labels: Labels, images: coco.LabelledImages, where: str, *, accept: bool = False
) -> FileDecisions:
    """Decisions that change the labels to those of a file. Images are matched by name, or by the end of their path.

    Other programs keep no `status`, so a point counts as corrected if it was moved. A point as it was proposed is no
    decision, and replaces none, unless the file says so. accept: it is accepted, if a detector saw it.
    """
    place_of_image = _places_in_recording(recording, images, where)
    frames, views = np.array(list(place_of_image.values())).T
    index = frames[:, None], views[:, None], [labels.names.index(name) for name in images.names]
    xyv, status = images.points[list(place_of_image)], images.status[list(place_of_image)]
    decided, as_now = labels.decided[index], _is_at(labels, index, xyv)
    unsaid, absent = status == PointStatus.UNSEEN, xyv[..., 2] == 0
    unmoved = unsaid & ~absent & _is_at(recording.start, index, xyv)
    accepted = unmoved & ~decided & ~labels.guessed[index] & accept
    corrected = unsaid & ~absent & ~unmoved & ~(decided & as_now)
    status = np.select([accepted, corrected], [PointStatus.ACCEPTED, PointStatus.CORRECTED], status)
    changed = (status != PointStatus.UNSEEN) & ~(as_now & (status == labels.status[index]))
    edits = [
        _edit((int(frames[i]), int(views[i])), images.names[k], xyv[i, k], status=PointStatus(int(status[i, k])))
        for i, k in np.argwhere(changed)
    ]
    return FileDecisions(
        edits,
        open_points=int((unmoved & ~decided & ~accepted).sum()),
        missing_points=int((unsaid & absent & decided & (labels.visibility[index] > 0)).sum()),
        strange=tuple(name for i, name in enumerate(images.file_names) if i not in place_of_image),
    )


def _edit(at: tuple[int, int], point: str, xyv: np.ndarray, status: PointStatus) -> Edit:
    x, y = (float(value) if xyv[2] else None for value in xyv[:2])
    return Edit(*at, point, x, y=y, visibility=Visibility(int(xyv[2])), status=status)


def _places_in_recording(
    recording: RecordedViews, images: coco.LabelledImages, where: str
) -> dict[int, tuple[int, int]]:
    """{index of an image of a file: its frame and view}, of the images that are of the recording. `InputError` for none
    and for points or images that do not fit it."""
    if unknown := [name for name in images.names if name not in recording.start.names]:
        raise InputError(f"{where}: the recording has no {', '.join(unknown[:6])}. Leave them out, or add --skin.")
    places = _frame_view_by_image(recording)
    found = {i: _place_of(places, name) for i, name in enumerate(images.file_names)}
    matched = {i: place for i, place in found.items() if place is not None}
    if repeated := repeated_names(recording.image_name(*at) for at in matched.values()):
        raise InputError(f"{where}: several of its images are {repeated} of the recording; leave in only its own.")
    if not matched:
        named, own = images.file_names[0] if images.file_names else "none", recording.image_name(0, 0)
        raise InputError(f"{where}: none of its images is of this recording: {named}, not {own}.")
    for i, (_, view) in matched.items():
        sizes = ["×".join(map(str, size)) for size in (images.sizes[i], recording.sources[view].size)]
        if len(set(sizes)) > 1:
            text = f"{where}: {images.file_names[i]} is {sizes[0]} px, in the recording {sizes[1]} px."
            raise InputError(f"{text} Was it scaled? Export points of images as large as the recording's.")
    return matched


def _place_of(places: dict[str, tuple[int, int]], name: str) -> tuple[int, int] | None:
    """Frame and view of an image by its name, or by the end of its path."""
    return places.get(name) or places.get("/".join(name.split("/")[-2:])) or places.get(name.split("/")[-1])


def _is_at(labels: Labels, index: tuple, xyv: np.ndarray) -> np.ndarray:
    """(images, points) bool: whether points of the labels are where x, y, v say, and seen as they say. index: (frames,
    views, points) of the labels."""
    far = np.hypot(*np.moveaxis(labels.xy[index] - xyv[..., :2], -1, 0)) >= SAME_PX  # False for NaN
    return (xyv[..., 2] == labels.visibility[index]) & ((xyv[..., 2] == 0) | ~far)


def _frame_view_by_image(recording: RecordedViews) -> dict[str, tuple[int, int]]:
    """{name of an image: (frame, view)}, also under its name without the folder where that is unique."""
    full = {recording.image_name(f, v): (f, v) for f in range(recording.frames) for v in range(len(recording.views))}
    short: dict[str, list[tuple[int, int]]] = {}
    for name, place in full.items():
        short.setdefault(name.split("/")[-1], []).append(place)
    return {name: place[0] for name, place in short.items() if len(place) == 1} | full


# Rounds of annotation: choose frames, let people correct them, train a detector on them, start again from its points.
# `rounds/rounds.json` next to the annotators' journals lists the steps done; `rounds/02/` holds the first guess of
# round 2 (`proposals.h5`) and its results (`labels.json`, `images/`, `out/`). The next call repeats a step that was
# killed. Active learning by uncertainty: Settles 2009, "Active learning literature survey" (University of
# Wisconsin-Madison, report 1648).

MOVED_PX = 0.5  # points that differ by less from their proposal were not moved


@dataclass(frozen=True)
class Round:
    """A round. frames: its batch. corrected: all decided about and exported. hook: how a detector was trained."""

    frames: tuple[int, ...]
    corrected: bool = False
    hook: str = ""


@dataclass(frozen=True)
class RoundFiles:
    """Training data of a detector. labels: COCO file of all finished frames; their images are in `images`. out: folder
    to which the detector writes `<view>_json/<view>_000012.json`. recording: its start holds the decisions so far."""

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
        named = f"frames {min(frames)} to {max(frames)}"
        raise InputError(f"{path}: {named}; this recording has {recording.frames}, from 0 on. Choose another --out.")
    return rounds


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
        write_store(_proposals_file(recording, 1), keypoints=recording.first_guess, images=list(recording.images))
        return _with_next_batch(recording, rounds, annotator, size=size, say=say)
    number, last = len(rounds), rounds[-1]
    folder = _rounds_folder(recording) / f"{number:02d}"
    decided = replace(recording, start=labels_of(recording, annotator))
    files = RoundFiles(number, folder / "labels.json", folder / "images", out=folder / "out", recording=decided)
    current = with_proposals(recording)
    if not last.corrected:
        labels = labels_of(current, annotator)
        done = finished_frames(labels)
        if unfinished := [str(frame) for frame in last.frames if not done[frame]]:
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
        points = laid_over(current.first_guess, proposed)
        write_store(_proposals_file(recording, number + 1), keypoints=points, images=list(recording.images))
        rounds = _keep_rounds(recording, (*rounds[:-1], replace(last, hook=trained_by)))
        say(f"round {number}: the detector has proposed points for {count} of {recording.frames} frames")
    return _with_next_batch(recording, rounds, annotator, size=size, say=say)


def _with_next_batch(
    recording: RecordedViews, rounds: tuple[Round, ...], annotator: str, *, size: int, say: Callable[[str], None]
) -> tuple[Round, ...]:
    number = len(rounds) + 1
    labels = labels_of(_starting_from(recording, number), annotator)
    need = np.sum([*rank_frames(labels, recording.rate, recording.cameras).values()], axis=0)
    frames = frame_batch(need, recording.rate, size, finished_frames(labels))
    if not frames:
        say("every frame is finished: there is nothing to draw.")
        return rounds
    say(f"round {number}: {len(frames)} frames drawn. `simspine annotate` has them.")
    return _keep_rounds(recording, (*rounds, Round(tuple(frames))))


def _export_finished_frames(recording: RecordedViews, labels: Labels, files: RoundFiles) -> int:
    """Write images and labels of finished frames only, since others mix decisions with pseudo-labels."""
    finished = finished_frames(labels)[:, None, None]
    decided = replace(labels, status=np.where(finished, labels.status, PointStatus.UNSEEN))
    images = labelled_images_of(recording, decided)
    coco.write_coco_labels(files.labels, images)
    return write_images(files.images, recording, images)


def _read_proposed(recording: RecordedViews, files: RoundFiles) -> Keypoints:
    """The points that a detector has written, by frame of the recording."""
    points = keypoints_of_files(files.out, recording.views, recording.rate, recording.rows)
    folders = ", ".join(f"{view}_json" for view in recording.views)
    if points is None:
        raise InputError(f"{files.out}: no folders {folders}. Expected files such as <view>_json/<view>_000012.json.")
    placed = at_images(points, recording.rows, recording.rate)
    if not np.isfinite(placed.xy).any():
        raise InputError(f"{files.out}: no point in {folders}; the detector has found nobody.")
    return placed


def _starting_from(recording: RecordedViews, number: int) -> RecordedViews:
    """The recording with the proposals of a round as first guess."""
    path = _proposals_file(recording, number)
    stored = read_store(path)
    proposed, images = stored["keypoints"], tuple(stored.get("images", recording.images))
    if images != recording.images:
        raise InputError(f"{path}: its points are of other images than this recording's. Choose another --out.")
    if proposed.xy.shape[:2] != recording.start.xy.shape[:2]:
        found = f"{proposed.xy.shape[:2]} frames and views, the recording {recording.start.xy.shape[:2]}"
        raise InputError(f"{path}: {found}. Choose another folder with --out.")
    points = laid_over(recording.first_guess, proposed)
    unmoved = np.isclose(points.xy, recording.start.xy, rtol=0.0, atol=MOVED_PX).all(-1)
    return replace(recording, start=pseudo_labels(points, recording.start.guessed & unmoved))


def _keep_rounds(recording: RecordedViews, rounds: tuple[Round, ...]) -> tuple[Round, ...]:
    write_text(_rounds_folder(recording) / "rounds.json", _ROUNDS.dump_json(rounds, indent=1).decode() + "\n")
    return rounds


def _proposals_file(recording: RecordedViews, number: int) -> Path:
    return _rounds_folder(recording) / f"{number:02d}" / "proposals.h5"


def _rounds_folder(recording: RecordedViews) -> Path:
    return recording.home / "rounds"
