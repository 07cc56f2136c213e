"""The same detector with some of its losses, stages or data, or without its teacher, as in the papers' figures."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

import numpy as np

from simspine.annotation.recording import RecordedViews
from simspine.annotation.rounds import RoundFiles, TrainingHook
from simspine.core.errors import InputError, unknown_name
from simspine.core.skeletons import SPINETRACK_REGIONS, load_skeleton
from simspine.evaluation.image_metrics import ImagePeople, correct_keypoint_share
from simspine.evaluation.point_protocols import evaluate_images
from simspine.evaluation.tables import EvaluationTable, TableCell, TableColumn, TableRow, evaluation_json
from simspine.io.atomic import write_text
from simspine.io.image_streams import open_images_in_any_order
from simspine.io.keypoint_json import write_people_json
from simspine.io.labelled_images import read_coco_labels
from simspine.io.video import Video
from simspine.learning.lifters import LifterSay
from simspine.learning.options import (
    DETECTOR_SKELETON,
    SPINE_PRESETS,
    CurriculumStage,
    LabelledSet,
    SpineDetectorOptions,
    chosen_device,
    read_spine_options,
    require_torch,
    spine_preset,
)
from simspine.learning.spine_samples import LabelledPeople, mirror_order, read_labelled_set
from simspine.vision.detector import boxes_around_points
from simspine.vision.spinepose import SpinePose

# One detector from its options to files: weights, ONNX, figures.


UNTRAINED_LABEL, TRAINED_LABEL, MEAN_PLACE_LABEL = "untrained", "trained", "mean place in the box"
PCK_SHARES = (0.05, 0.1, 0.2)  # of the shorter side of the box
SIDES_EXCHANGED_LABEL, MIN_SIDE_SEPARATION = (
    "sides exchanged",
    0.1,
)  # of the shorter side: sides nearer to one another say little
NOMINAL_ELLIPSE_COVERAGE = 0.9  # share of labels that ellipses should hold
DETECTOR_ONNX_FILE = "detector.onnx"


@dataclass(frozen=True, eq=False)
class TrainedDetector:
    """folder: of weights.pt and detector.onnx. tables: of the test set; none without one. onnx_difference: largest one
    of the exported network's outputs from the trained one's."""

    folder: Path
    tables: tuple[EvaluationTable, ...]
    onnx_difference: float


def train_detector(
    options: SpineDetectorOptions, folder: str | Path, say: LifterSay = lambda line: None
) -> TrainedDetector:
    """Train one detector, export it, and judge it on the test set, if there is one.

    Writes to the folder: options.json, checkpoint.pt, losses.csv, weights.pt (averaged), detector.onnx, tables.json. A
    killed run goes on after its last epoch. Raises `InputError` where there is nothing to learn from, people of the
    test set are learnt from, a file cannot be read, or the checkpoint is of other data or settings.
    """
    require_torch()  # before minutes of work
    from simspine.learning.onnx_files import require_onnx
    from simspine.learning.spine_network import WEIGHTS_FILE, NetworkWeights, build_network, save_weights
    from simspine.learning.spine_samples import CropReader
    from simspine.learning.spine_training import export_onnx

    require_onnx()
    _require_figures(options)
    folder, data = Path(folder), options.data
    sets = tuple(read_labelled_set(where, data.names, options.seed) for where in data.train)
    if not sets:
        raise InputError("data.train names no set of labelled images; make one with `simspine capture render`.")
    test = None if data.test is None else read_labelled_set(data.test, data.names, options.seed)
    _refuse_learnt(sets, test)
    say(", ".join(f"{len(people)} people" for people in sets) + f" to learn from, {len(test or ())} to judge by")
    training = options.training
    judged = None if test is None else CropReader((test,), options.seed, training.threads)
    shown = tuple(crops_per_epoch(where, people) for where, people in zip(data.train, sets, strict=True))
    reader = CropReader(sets, options.seed, training.threads, shown=shown)
    state, start = _fit_networks(options, reader, judged, folder=folder, say=say)
    weights = NetworkWeights(options.network, data.names, state)
    save_weights(folder / WEIGHTS_FILE, weights)
    difference = export_onnx(folder / DETECTOR_ONNX_FILE, weights)
    write_text(folder / "options.json", json.dumps(options.model_dump(mode="json"), indent=1) + "\n")
    if judged is None:
        return TrainedDetector(folder, (), difference)
    say("judging")
    networks = {UNTRAINED_LABEL: start, TRAINED_LABEL: build_network(weights)}
    tables = judged_tables(networks, judged, CropReader(sets, options.seed))
    write_text(folder / "tables.json", evaluation_json(tables))
    return TrainedDetector(folder, tables, difference)


def crops_per_epoch(where: LabelledSet, people: LabelledPeople) -> int:
    """How many crops of a set an epoch shows."""
    return round(len(people) / where.fraction) if where.whole_epochs else len(people)


def _fit_networks(options: SpineDetectorOptions, reader, judged, folder: Path, say: LifterSay):
    """Averaged weights, and the network as it was before training."""
    from simspine.learning.networks import TrainingIdentity, with_seed
    from simspine.learning.spine_network import SpineNetwork
    from simspine.learning.spine_training import DetectorRun, fit_detector, read_teacher, student_weights

    device = chosen_device(options.training.device)
    names = options.data.names
    teacher = None if options.teacher is None else read_teacher(options.teacher, options.network, names, device)

    def make() -> SpineNetwork:
        network = SpineNetwork(len(names), options.network)
        if teacher is not None and teacher.state is not None:
            network.load_state_dict(student_weights(teacher.state, teacher.names, names, options.seed))
        return network

    stated = options.model_dump(mode="json", exclude={"training": {"device", "threads"}, "data": {"test"}})
    taught = [] if options.teacher is None else [hashlib.sha256(Path(options.teacher).read_bytes()).hexdigest()]
    identity = TrainingIdentity(stated, "+".join([*(people.digest for people in reader.sets), *taught]))
    run = DetectorRun(folder, identity, options, device, teacher=teacher, say=say)
    if judged is not None:
        run = replace(run, watch=partial(_mean_error, judged))
    state, history = fit_detector(make, reader, run)
    write_history(folder / "losses.csv", history)
    with with_seed(options.seed, 0, "cpu"):
        return state, make()


def _mean_error(judged, network) -> float:
    from simspine.learning.spine_training import sight_people

    return float(np.nanmean(sight_people(network, judged).error_px))


def judged_tables(networks: Mapping, judged, learnt) -> tuple[EvaluationTable, ...]:
    """Figures of networks on a reader's first set, beside the mean places of the people learnt from (another reader's
    first set): error, PCK and how many labels the ellipses hold, then the papers' average precision and AUC.
    """
    from simspine.learning.spine_training import mean_places, sight_people, to_image_px

    people: LabelledPeople = judged.sets[0]
    same = np.broadcast_to(mean_places(learnt), (len(people), len(people.names), 2))
    places, rows = {MEAN_PLACE_LABEL: to_image_px(same, people.box, judged.size)}, []
    confidence: dict[str, np.ndarray] = {MEAN_PLACE_LABEL: np.ones(same.shape[:2])}
    held: dict[str, float] = {}
    for name, network in networks.items():
        seen = sight_people(network, judged)
        places[name], confidence[name] = seen.in_images(judged), seen.confidence
        held[name] = 100 * share_in_ellipses(seen.places - seen.labels, seen.covariance)
    spine = [people.names.index(name) for name in SPINETRACK_REGIONS["spine"] if name in people.names]
    side = (people.box[:, 2:] - people.box[:, :2]).min(1)
    for name, found in places.items():
        for label, chosen in (("spine", spine), ("all", list(range(len(people.names))))):
            if chosen:
                cells: list[TableCell] = [
                    *_judged_figures(found[:, chosen], people.keypoints[:, chosen], side),
                    None,
                    None,
                ]
                if label == "all":
                    cells[-2:] = exchanged_share(found, people, side), held.get(name)
                rows.append(TableRow(name, label, tuple(cells)))
    columns = (
        TableColumn("median error", "% of the box's shorter side", 1),
        *(TableColumn(f"PCK {share:g}", "", 3) for share in PCK_SHARES),
        TableColumn(SIDES_EXCHANGED_LABEL, "%", 1),
        TableColumn(f"within {100 * NOMINAL_ELLIPSE_COVERAGE:.0f} % ellipses", "%", 1),
    )
    notes = (
        "Boxes are the labelled ones. PCK: share of labels nearer than that share of the box's shorter side.",
        f"{SIDES_EXCHANGED_LABEL}: of points with a left and a right, labelled more than {MIN_SIDE_SEPARATION:g} of that side apart, those found "
        "nearer to the other one's label; 50 is chance.",
    )
    own = EvaluationTable(
        name="spine_detector", title="Detector: error of points", columns=columns, rows=tuple(rows), notes=notes
    )
    labels = image_people(people, people.keypoints, np.ones(len(people)))
    found_people = {
        name: image_people(people, np.dstack([found, confidence[name]]), confidence[name].mean(1))
        for name, found in places.items()
    }
    return (own, *evaluate_images(found_people, labels))


def _judged_figures(found: np.ndarray, labels: np.ndarray, side: np.ndarray) -> tuple[float, ...]:
    """Median error in % of the side, and PCK: means over points."""
    error = np.linalg.norm(found - labels[..., :2], axis=-1) / side[:, None]
    median = 100 * float(np.median(error[labels[..., 2] > 0]))
    return median, *(float(np.nanmean(correct_keypoint_share(found, labels, side, share))) for share in PCK_SHARES)


def exchanged_share(found: np.ndarray, people: LabelledPeople, side: np.ndarray) -> float:
    """Share in % of points (people, points, 2) nearer to the label of the other side than to their own; see
    `MIN_SIDE_SEPARATION`."""
    other = mirror_order(people.names)
    labels, known = people.keypoints[..., :2], people.keypoints[..., 2] > 0
    apart = np.linalg.norm(labels - labels[:, other], axis=-1) > MIN_SIDE_SEPARATION * side[:, None]
    told = apart & known & known[:, other] & np.isfinite(found).all(-1)
    own, wrong = (np.linalg.norm(found - place, axis=-1)[told] for place in (labels, labels[:, other]))
    return 100 * float((wrong < own).mean()) if told.any() else float("nan")


def share_in_ellipses(error: np.ndarray, covariance: np.ndarray) -> float:
    """Share of errors (…, 2) within the ellipses of probability `NOMINAL_ELLIPSE_COVERAGE` of Gaussians of covariance
    (…, 2, 2)."""
    known = np.isfinite(error).all(-1)
    far = np.einsum("ni,nij,nj->n", error[known], np.linalg.inv(covariance[known]), error[known])
    return float((far <= -2 * np.log(1 - NOMINAL_ELLIPSE_COVERAGE)).mean())


def image_people(people: LabelledPeople, keypoints: np.ndarray, score: np.ndarray) -> ImagePeople:
    """People for the papers' evaluation: points (people, points, 3) in SpineTrack's order; those that are not among the
    set's are not labelled, and not found.
    """
    every = np.zeros((len(people), len(load_skeleton(DETECTOR_SKELETON)), 3))
    every[..., :2] = np.nan if keypoints is not people.keypoints else 0
    every[:, [load_skeleton(DETECTOR_SKELETON).index(name) for name in people.names]] = keypoints
    box = np.concatenate([people.box[:, :2], people.box[:, 2:] - people.box[:, :2]], 1)
    images = tuple(str(file) for file in people.files)
    return ImagePeople(
        image=images, keypoints=every, box=box, area=people.area, score=score, crowd=np.zeros(len(people), bool)
    )


def write_history(path: Path, history) -> None:
    """A line an epoch: means of the losses, not weighted, their weighted sum, error of the test set (crop's px)."""
    names = sorted(history.losses[0])
    lines = [",".join(["epoch", *names, "watched_px"])]
    for i, (losses, watched) in enumerate(zip(history.losses, history.watched, strict=True), start=1):
        lines.append(",".join([str(i), *(repr(losses[name]) for name in names), repr(watched)]))
    write_text(path, "\n".join(lines) + "\n")


def _refuse_learnt(sets: tuple[LabelledPeople, ...], test: LabelledPeople | None) -> None:
    learnt = {file.resolve() for people in sets for file in people.files}
    both = [file for file in (test.files if test is not None else ()) if file.resolve() in learnt]
    if both:
        raise InputError(
            f"{len(both)} images are learnt from and judged by, {both[0]} first; use sets without overlap."
        )


def _require_figures(options: SpineDetectorOptions) -> None:
    if options.data.test is not None and find_spec("pycocotools") is None:
        raise InputError(
            "average precision of data.test needs pycocotools, which is not installed: pip install "
            "'simspine[benchmark]', or leave data.test out."
        )


# Between two rounds of annotation: a detector of the spine learns from what was corrected, and looks at the
# recording.
# The recording's other frames show the same person in the same room, so such a detector is one for this
# recording.


def training_hook(settings: str, say: Callable[[str], None]) -> TrainingHook:
    """A hook that trains by a preset's name or a file of settings, whose first training set, if it names one, is learnt
    from beside the corrected images. Raises `InputError` for settings that leave points out or name two sets."""
    require_torch()
    options = spine_preset(settings) if settings in SPINE_PRESETS else read_spine_options(Path(settings))
    if options.data.points != "all":
        raise InputError(f"--training {settings}: data.points is {options.data.points}; rounds need all 37 points.")
    if len(options.data.train) > 1:
        raise InputError(
            f"--training {settings}: data.train names two sets; the corrected images are the second one. Name one."
        )

    def run(files: RoundFiles) -> str:
        train_detector(with_labelled_set(options, files), files.out / "detector", say)
        say("looking at the recording")
        detect_in_recording(files.recording, SpinePose(files.out / "detector" / DETECTOR_ONNX_FILE), files.out)
        return f"simspine train spine, {settings}"

    return run


def with_labelled_set(options: SpineDetectorOptions, files: RoundFiles) -> SpineDetectorOptions:
    """The options with a round's images to learn from, besides their own set; a first round's few fill one batch."""
    own = LabelledSet(folder=str(files.images), labels=str(files.labels))
    data = options.data.model_copy(update={"train": (*options.data.train, own)})
    training = options.training
    if not options.data.train:
        most = max(len(read_coco_labels(files.labels).file_names), 2)
        training = training.model_copy(update={"batch": min(training.batch, most)})
    return options.model_copy(update={"data": data, "training": training})


def detect_in_recording(recording: RecordedViews, detector: SpinePose, out: Path) -> None:
    """Write a detector's points of every image as `<view>_json/<view>_000012.json`, and close it.

    Where the person is: see `person_boxes`; where these know nothing BlazePose looks for them.
    """
    decoders = [open_images_in_any_order(source) for source in recording.sources]
    boxes = person_boxes(recording)
    try:
        for frame, numbers in enumerate(recording.rows):
            images = [decoder.at(int(row)) for decoder, row in zip(decoders, numbers, strict=True)]
            known = [box[None] if np.isfinite(box).all() else None for box in boxes[frame]]
            found = detector.detect(images, known)
            for view, row, people in zip(recording.views, numbers, found, strict=True):
                write_people_json(out / f"{view}_json" / f"{view}_{row:06d}.json", _openpose_people(people))
    finally:
        detector.close()
        for decoder in decoders:
            decoder.close()


def person_boxes(recording: RecordedViews) -> np.ndarray:
    """(frames, views, 4) x0 y0 x1 y1 px around the recording's points; in videos, between frames with points, where a
    person who moves evenly is. NaN = not known."""
    xy = np.where(recording.start.labelled[..., None], recording.start.xy, np.nan)
    boxes = np.stack([boxes_around_points(xy[:, v], source.size, 0.0) for v, source in enumerate(recording.sources)], 1)
    for v, source in enumerate(recording.sources):
        known = np.flatnonzero(np.isfinite(boxes[:, v]).all(-1))
        if isinstance(source, Video) and len(known):
            every = np.arange(len(boxes))
            boxes[:, v] = np.stack([np.interp(every, known, boxes[known, v, k]) for k in range(4)], -1)
    return boxes


def _openpose_people(found: np.ndarray) -> Sequence[dict]:
    """The first person, as OpenPose's files have one; a point without a place is 0 0 0."""
    return [{"pose_keypoints_2d": np.nan_to_num(person).round(3).ravel().tolist()} for person in found[:1]]


VariantOptions = dict[str, SpineDetectorOptions]
DATA_FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)  # of the last set named
LOSS_ROWS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "position": (),
    "+ distill": ("distill",),
    "+ distill + spine": ("distill", "spine"),
    "+ distill + structure": ("distill", "structure"),
    "all": ("distill", "spine", "structure"),
})  # fmt: skip
_SWITCHED_LOSSES = ("distill", "spine", "structure")
_ABLATION_FIGURES = (("spine", "median error"), ("spine", "PCK 0.1"), ("all", "median error"), ("all", "PCK 0.1"))
DRAWN_FIGURES = ("spine: median error", "all: median error")
_PRECISION_COLUMNS = ("spine AP", "body AP", "all AP")


def variants_by_losses(options: SpineDetectorOptions) -> VariantOptions:
    """The options with some losses switched off, by the paper's rows; without a teacher none is distilled."""
    made = {}
    for name, kept in LOSS_ROWS.items():
        off = {part: 0.0 for part in _SWITCHED_LOSSES if part not in kept}
        label = name if options.teacher is not None else name.replace("+ distill + ", "+ ")
        made[label] = options.model_copy(update={"losses": options.losses.model_copy(update=off)})
    if options.teacher is None:
        del made["+ distill"]  # nothing is left of it
    return made


def variants_by_fractions(options: SpineDetectorOptions) -> VariantOptions:
    """The options with more and more people of the last training set, at equal numbers of steps; all others stay."""
    made = {}
    for fraction in DATA_FRACTIONS:
        change = {"fraction": fraction, "whole_epochs": True} if fraction < 1 else {"fraction": 1.0}
        last = options.data.train[-1].model_copy(update=change)
        data = options.data.model_copy(update={"train": (*options.data.train[:-1], last)})
        made[f"{100 * fraction:g} %"] = options.model_copy(update={"data": data})
    return made


def variants_by_curriculum(options: SpineDetectorOptions) -> VariantOptions:
    """The options with single stages of their curriculum throughout, with mirroring alone, and with all in turn."""
    made = {"mirroring alone": options.model_copy(update={"curriculum": (CurriculumStage(),)})}
    for number, stage in enumerate(options.curriculum, start=1):
        made[f"stage {number} alone"] = options.model_copy(update={"curriculum": (stage,)})
    return made | {"stages in turn": options}


def variants_by_teacher(options: SpineDetectorOptions) -> VariantOptions:
    """The options without their teacher, with a student that only starts from it, and as they are."""
    if options.teacher is None:
        raise InputError("to compare students a teacher is needed; name its weights.pt (`teacher`, or --teacher).")
    alone = options.losses.model_copy(update={"distill": 0.0})
    return {
        "no teacher": options.model_copy(update={"teacher": None}),
        "teacher's weights": options.model_copy(update={"losses": alone}),
        "teacher's weights and maps": options,
    }


ABLATION_VARIANTS: Mapping[str, Callable[[SpineDetectorOptions], VariantOptions]] = MappingProxyType({
    "losses": variants_by_losses,
    "teacher": variants_by_teacher,
    "curriculum": variants_by_curriculum,
    "fractions": variants_by_fractions,
})  # fmt: skip


def run_detector_ablation(
    options: SpineDetectorOptions, what: str, folder: str | Path, say: LifterSay = lambda line: None
) -> EvaluationTable:
    """One table: a detector for each value of `what` (of `ABLATION_VARIANTS`), all else as in the options, judged by
    their test
    set. Each has a folder below `folder`, and a killed run goes on.

    Raises `InputError` for another name, without a test set or training set, and as `train_detector` does.
    """
    if what not in ABLATION_VARIANTS:
        raise unknown_name("setting to change", what, ABLATION_VARIANTS)
    return run_detector_ablations(options, (what,), folder, say)[0]


def run_detector_ablations(
    options: SpineDetectorOptions, which: tuple[str, ...], folder: str | Path, say: LifterSay = lambda line: None
) -> tuple[EvaluationTable, ...]:
    """A table for each of these names, as `run_detector_ablation`; what several tables have is trained once."""
    if options.data.test is None or not options.data.train:
        raise InputError("to compare settings data.train and data.test are needed; name sets of labelled images.")
    variants = {what: ABLATION_VARIANTS[what](options) for what in which}
    trained: dict[str, TrainedDetector] = {}
    tables = []
    for what, rows in variants.items():
        made = []
        for number, (name, own) in enumerate(rows.items(), start=1):
            say(f"{what}: {name}")
            key = own.model_dump_json()
            if key not in trained:
                trained[key] = train_detector(own, Path(folder) / f"{what}-{number}", say)
            made.append(TableRow(name, "all", _ablation_cells(trained[key])))
        tables.append(_ablation_table(what, tuple(made)))
    return tuple(tables)


def _ablation_table(what: str, rows: tuple[TableRow, ...]) -> EvaluationTable:
    columns = (
        *(TableColumn(f"{part}: {name}", "%" if "error" in name else "", 1 if "error" in name else 3)
          for part, name in _ABLATION_FIGURES),
        TableColumn(SIDES_EXCHANGED_LABEL, "%", 1),
        *(TableColumn(name, "", 3) for name in _PRECISION_COLUMNS),
    )  # fmt: skip
    notes = ("Errors in % of the shorter side of the box. All of one seed: what repeats would say is not shown.",)
    return EvaluationTable(
        name=f"spine_detector_{what}", title=f"Detector by {what}", columns=columns, rows=rows, notes=notes
    )


def _ablation_cells(trained: TrainedDetector) -> tuple[TableCell, ...]:
    own, precision, *_ = trained.tables
    errors: list[TableCell] = [
        own.value(TRAINED_LABEL, part, name) for part, name in (*_ABLATION_FIGURES, ("all", SIDES_EXCHANGED_LABEL))
    ]
    return (*errors, *(precision.value(TRAINED_LABEL, "all", name) for name in _PRECISION_COLUMNS))
