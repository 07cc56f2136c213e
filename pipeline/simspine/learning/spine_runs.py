"""Train a spine detector from options to files, evaluate it, and train it between rounds of annotation."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simspine.annotation.exchange import RoundFiles, TrainingHook
from simspine.annotation.recording import RecordedViews
from simspine.core.errors import InputError, needing_extra
from simspine.core.skeletons import SPINETRACK_REGIONS, load_skeleton
from simspine.evaluation.metrics import ImagePeople, correct_keypoint_share
from simspine.evaluation.point_protocols import evaluate_images
from simspine.evaluation.tables import EvaluationTable, TableCell, TableColumn, TableRow, evaluation_json, noted_table
from simspine.io.atomic import write_text
from simspine.io.coco import read_coco_labels
from simspine.io.image_streams import ImagesInAnyOrder
from simspine.io.keypoint_json import people_file, write_people_json
from simspine.io.video import Video
from simspine.learning.options import (
    DETECTOR_SKELETON,
    SPINE_PRESETS,
    LabelledSet,
    SayLine,
    SpineDetectorOptions,
    chosen_device,
    require_torch,
    spine_options,
)
from simspine.learning.spine_samples import CropReader, LabelledPeople, read_labelled_set
from simspine.vision.blazepose import BlazePose
from simspine.vision.detector import boxes_around_points
from simspine.vision.side_swaps import mirror_indices
from simspine.vision.spinepose import SpinePose

if TYPE_CHECKING:
    from torch import Tensor

    from simspine.learning.spine_network import SpineNetwork, StartedNetwork


UNTRAINED_LABEL, TRAINED_LABEL, MEAN_PLACE_LABEL = "untrained", "trained", "mean place in the box"
PCK_SHARES = (0.05, 0.1, 0.2)  # of the shorter side of the box
SIDES_EXCHANGED_LABEL = "sides exchanged"
MIN_SIDE_SEPARATION = 0.1  # of the box's shorter side: left and right labels must be farther apart to be compared
NOMINAL_ELLIPSE_COVERAGE = 0.9  # share of labels that should lie inside the ellipses
DETECTOR_ONNX_FILE = "detector.onnx"


def train_detector(
    options: SpineDetectorOptions, folder: str | Path, say: SayLine = lambda line: None
) -> tuple[EvaluationTable, ...]:
    """Train one detector, export it, and evaluate it; returns the tables of `judged_tables` for each test set.

    Writes to the folder: options.json, checkpoint.pt, losses.csv, weights.pt (averaged), detector.onnx, tables.json. A
    killed run resumes after its last epoch. Raises `InputError` where there is no training set, training and test sets
    share images, a file cannot be read, or the checkpoint is of other data or settings."""
    require_torch()  # fail before minutes of work
    from simspine.learning.spine_network import WEIGHTS_FILE, NetworkWeights, build_network, save_weights
    from simspine.learning.spine_training import export_onnx

    with needing_extra("export", "learn"):
        import onnx  # noqa: F401
    if options.data.test:
        with needing_extra("average precision of data.test", "benchmark"):
            import pycocotools  # noqa: F401
    folder, data = Path(folder), options.data
    sets = tuple(read_labelled_set(where, data.names, options.seed) for where in data.train)
    if not sets:
        raise InputError("data.train names no set of labelled images; make one with `simspine capture render`.")
    tests = tuple(read_labelled_set(where, data.names, options.seed) for where in data.test)
    training = {file.resolve() for people in sets for file in people.files}
    if shared := [file for test in tests for file in test.files if file.resolve() in training]:
        raise InputError(
            f"{len(shared)} images are learnt from and judged by, {shared[0]} first; use sets without overlap."
        )
    counts = [" and ".join(str(len(people)) for people in group) or "0" for group in (sets, tests)]
    say(f"{counts[0]} people to learn from, {counts[1]} to judge by")
    judged = [CropReader((people,), options.seed) for people in tests]
    shown = tuple(crops_per_epoch(where, people) for where, people in zip(data.train, sets, strict=True))
    reader = CropReader(sets, options.seed, options.training.processes, shown=shown, mixing=data.mixing)
    state, start = _fit_networks(options, reader, next(iter(judged), None), folder=folder, say=say)
    weights = NetworkWeights(options.network, data.names, state)
    save_weights(folder / WEIGHTS_FILE, weights)
    export_onnx(folder / DETECTOR_ONNX_FILE, weights)
    write_text(folder / "options.json", json.dumps(options.model_dump(mode="json"), indent=1) + "\n")
    if not judged:
        return ()
    say("evaluating")
    networks = {UNTRAINED_LABEL: start, TRAINED_LABEL: build_network(weights)}
    tables = _tables_of_sets([judged_tables(networks, test, sets[0]) for test in judged], data.test)
    write_text(folder / "tables.json", evaluation_json(tables))
    return tables


def _tables_of_sets(
    tables_of_sets: Sequence[tuple[EvaluationTable, ...]], tests: tuple[LabelledSet, ...]
) -> tuple[EvaluationTable, ...]:
    """All tables in one sequence; with several sets, name and title state the set."""
    if len(tables_of_sets) == 1:
        return tables_of_sets[0]
    return tuple(
        replace(table, name=f"{table.name}_{number}", title=f"{table.title}: {where.folder}")
        for number, (tables, where) in enumerate(zip(tables_of_sets, tests, strict=True), start=1)
        for table in tables
    )


def crops_per_epoch(where: LabelledSet, people: LabelledPeople) -> int:
    return round(len(people) / where.fraction) if where.whole_epochs else len(people)


def _fit_networks(
    options: SpineDetectorOptions, reader: CropReader, judged: CropReader | None, folder: Path, say: SayLine
) -> tuple[dict[str, "Tensor"], "SpineNetwork | StartedNetwork"]:
    """Train; returns the averaged weights, and the network with its initial weights."""
    from simspine.learning.descent import DescentRun, TrainingIdentity, with_seed, write_losses
    from simspine.learning.spine_network import make_network
    from simspine.learning.spine_training import fit_detector, read_teacher, sight_people, student_weights

    device = chosen_device(options.training.device)
    names = options.data.names
    teacher = None if options.teacher is None else read_teacher(options.teacher, options.network, names, device)

    def make() -> "SpineNetwork | StartedNetwork":
        network = make_network(names, options.network)
        if teacher is not None and teacher.state is not None:
            network.load_state_dict(student_weights(teacher.state, teacher.names, names, options.seed))
        return network

    def test_error(network) -> float:
        return float("nan") if judged is None else float(np.nanmean(sight_people(network, judged).error_px))

    stated = options.model_dump(mode="json", exclude={"training": {"device", "processes"}, "data": {"test"}})
    networks = [path for path in (options.teacher, options.network.start) if path is not None]
    digests = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in networks]
    identity = TrainingIdentity(stated, "+".join([*(people.digest for people in reader.sets), *digests]))
    run = DescentRun(folder=folder, identity=identity, seed=options.seed, device=device, say=say)
    state, history = fit_detector(make, reader, options, run, teacher=teacher, watch=test_error)
    write_losses(folder / "losses.csv", history, "watched_px")
    with with_seed(options.seed, 0, "cpu"):
        return state, make()


JUDGED_COLUMNS = (
    TableColumn("median error", "% of the box's shorter side", 1),
    *(TableColumn(f"PCK {share:g}", "", 3) for share in PCK_SHARES),
    TableColumn(SIDES_EXCHANGED_LABEL, "%", 1),
    TableColumn(f"within {100 * NOMINAL_ELLIPSE_COVERAGE:.0f} % ellipses", "%", 1),
    TableColumn("parameters", "10⁶", 2),
    TableColumn("FLOPs", "10⁹", 2),
)


def judged_tables(
    networks: Mapping[str, "SpineNetwork | StartedNetwork"], judged: CropReader, learnt: LabelledPeople
) -> tuple[EvaluationTable, ...]:
    """Figures of networks on a reader's people, and of the training people's mean places as a baseline: error, PCK and
    share of labels inside the ellipses, then the papers' average precision and AUC."""
    from simspine.learning.spine_network import network_size
    from simspine.learning.spine_training import mean_places, sight_people, to_image_px

    people = judged.sets[0]
    mean = np.broadcast_to(mean_places(learnt), (len(people), len(people.names), 2))
    places, confidence = {MEAN_PLACE_LABEL: to_image_px(mean, people.box)}, {MEAN_PLACE_LABEL: np.ones(mean.shape[:2])}
    held: dict[str, tuple[float, ...]] = {}
    for name, network in networks.items():
        seen = sight_people(network, judged)
        places[name], confidence[name] = to_image_px(seen.places, people.box), seen.confidence
        inside = 100 * share_in_ellipses(seen.places - seen.labels, seen.covariance)
        held[name] = (inside, *network_size(network))
    nothing = (None, None, None)
    rows = [row for name, found in places.items() for row in _judged_rows(name, found, people, held.get(name, nothing))]
    own = noted_table(
        "spine_detector", JUDGED_COLUMNS, rows, apart=f"{MIN_SIDE_SEPARATION:g}", sides=SIDES_EXCHANGED_LABEL
    )
    labels = image_people(people, people.keypoints, np.ones(len(people)))
    found_people = {
        name: image_people(people, np.dstack([found, confidence[name]]), confidence[name].mean(1))
        for name, found in places.items()
    }
    return (own, *evaluate_images(found_people, labels))


def _judged_rows(name: str, found: np.ndarray, people: LabelledPeople, held: tuple[TableCell, ...]) -> list[TableRow]:
    """One row of the spine's points, if there are any, and one of all points."""
    side = (people.box[:, 2:] - people.box[:, :2]).min(1)
    spine = [people.names.index(point) for point in SPINETRACK_REGIONS["spine"] if point in people.names]
    rows = []
    if spine:
        figures = _judged_figures(found[:, spine], people.keypoints[:, spine], side)
        rows.append(TableRow(name, "spine", (*figures, None, None, None, None)))
    figures = _judged_figures(found, people.keypoints, side)
    return [*rows, TableRow(name, "all", (*figures, exchanged_share(found, people, side), *held))]


def _judged_figures(found: np.ndarray, labels: np.ndarray, side: np.ndarray) -> tuple[float, ...]:
    """Median error in % of the side, and PCK as the mean over points."""
    error = np.linalg.norm(found - labels[..., :2], axis=-1) / side[:, None]
    median = 100 * float(np.median(error[labels[..., 2] > 0]))
    return median, *(float(np.nanmean(correct_keypoint_share(found, labels, side, share))) for share in PCK_SHARES)


def exchanged_share(found: np.ndarray, people: LabelledPeople, side: np.ndarray) -> float:
    """Share in % of found points (people, points, 2) nearer to the label of the other side than to their own; only
    pairs farther apart than `MIN_SIDE_SEPARATION` count. side: (people,) px, of the box."""
    other = mirror_indices(people.names)
    labels, known = people.keypoints[..., :2], people.keypoints[..., 2] > 0
    apart = np.linalg.norm(labels - labels[:, other], axis=-1) > MIN_SIDE_SEPARATION * side[:, None]
    compared = apart & known & known[:, other] & np.isfinite(found).all(-1)
    own, wrong = (np.linalg.norm(found - place, axis=-1)[compared] for place in (labels, labels[:, other]))
    return 100 * float((wrong < own).mean()) if compared.any() else float("nan")


def share_in_ellipses(error: np.ndarray, covariance: np.ndarray) -> float:
    """Share of errors (…, 2) inside the ellipses that hold `NOMINAL_ELLIPSE_COVERAGE` of a Gaussian with covariance
    (…, 2, 2)."""
    known = np.isfinite(error).all(-1)
    mahalanobis = np.einsum("ni,nij,nj->n", error[known], np.linalg.inv(covariance[known]), error[known])
    return float((mahalanobis <= -2 * np.log(1 - NOMINAL_ELLIPSE_COVERAGE)).mean())


def image_people(people: LabelledPeople, keypoints: np.ndarray, score: np.ndarray) -> ImagePeople:
    """People for the papers' evaluation. keypoints: (people, points, 3) of the set's points; the result has
    SpineTrack's order. Points that the set lacks count as unlabelled, and as not found."""
    all_points = np.zeros((len(people), len(load_skeleton(DETECTOR_SKELETON)), 3))
    all_points[..., :2] = np.nan if keypoints is not people.keypoints else 0
    all_points[:, [load_skeleton(DETECTOR_SKELETON).index(name) for name in people.names]] = keypoints
    box = np.concatenate([people.box[:, :2], people.box[:, 2:] - people.box[:, :2]], 1)
    images = tuple(str(file) for file in people.files)
    return ImagePeople(
        image=images, keypoints=all_points, box=box, area=people.area, score=score, crowd=np.zeros(len(people), bool)
    )


# Between two rounds of annotation a spine detector is trained on the corrected images, and detects in the recording.
# The recording's other frames show the same person in the same room, so such a detector is for this recording only.


def training_hook(settings: str, say: Callable[[str], None]) -> TrainingHook:
    """A hook that trains with a preset or a file of settings, on the corrected images and the settings' training set.

    Raises `InputError` for settings that omit points or name two training sets."""
    require_torch()
    options = spine_options(settings if settings in SPINE_PRESETS else Path(settings))
    if options.data.points != "all":
        raise InputError(f"--training {settings}: data.points is {options.data.points}; rounds need all 37 points.")
    if len(options.data.train) > 1:
        raise InputError(
            f"--training {settings}: data.train names two sets; the corrected images are the second one. Name one."
        )

    def run(files: RoundFiles) -> str:
        train_detector(with_corrected_images(options, files), files.out / "detector", say)
        say("detecting in the recording")
        detector = SpinePose(files.out / "detector" / DETECTOR_ONNX_FILE, finder=BlazePose())
        detect_in_recording(files.recording, detector, files.out)
        return f"simspine train spine, {settings}"

    return run


def with_corrected_images(options: SpineDetectorOptions, files: RoundFiles) -> SpineDetectorOptions:
    """The options with a round's images as a further training set; if it is the only one, its size limits the batch."""
    corrected = LabelledSet(folder=str(files.images), labels=str(files.labels))
    data = options.data.model_copy(update={"train": (*options.data.train, corrected)})
    training = options.training
    if not options.data.train:
        most = max(len(read_coco_labels(files.labels).file_names), 2)
        training = training.model_copy(update={"batch": min(training.batch, most)})
    return options.model_copy(update={"data": data, "training": training})


def detect_in_recording(recording: RecordedViews, detector: SpinePose, out: Path) -> None:
    """Write a detector's points in each image as `<view>_json/<view>_000012.json`, then close the detector.

    It looks for the person in `person_boxes`; BlazePose finds the person where there is no box."""
    decoders = [ImagesInAnyOrder(source) for source in recording.sources]
    boxes = person_boxes(recording)
    try:
        for frame, numbers in enumerate(recording.rows):
            images = [decoder.at(int(row)) for decoder, row in zip(decoders, numbers, strict=True)]
            known = [box[None] if np.isfinite(box).all() else None for box in boxes[frame]]
            found = detector.detect(images, known)
            for view, row, people in zip(recording.views, numbers, found, strict=True):
                first = [
                    {"pose_keypoints_2d": np.nan_to_num(person).round(3).ravel().tolist()} for person in people[:1]
                ]
                write_people_json(people_file(out, view, int(row)), first)
    finally:
        detector.close()
        for decoder in decoders:
            decoder.close()


def person_boxes(recording: RecordedViews) -> np.ndarray:
    """(frames, views, 4) x0 y0 x1 y1 px around the recording's points, NaN without points. In videos the boxes of other
    frames are interpolated linearly."""
    xy = np.where(recording.start.labelled[..., None], recording.start.xy, np.nan)
    boxes = np.stack([boxes_around_points(xy[:, v], source.size, 0.0) for v, source in enumerate(recording.sources)], 1)
    for v, source in enumerate(recording.sources):
        known = np.flatnonzero(np.isfinite(boxes[:, v]).all(-1))
        if isinstance(source, Video) and len(known):
            frames = np.arange(len(boxes))
            boxes[:, v] = np.stack([np.interp(frames, known, boxes[known, v, k]) for k in range(4)], -1)
    return boxes
