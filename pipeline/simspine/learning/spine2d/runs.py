"""One detector from its options to files: weights, ONNX, figures."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from simspine.errors import InputError
from simspine.evaluation.images import evaluate_images
from simspine.evaluation.tables import Cell, EvaluationTable, TableColumn, TableRow, as_json
from simspine.formats.atomic import write_text
from simspine.learning.lifters import Say
from simspine.learning.spine2d.augmentation import mirror_order
from simspine.learning.spine2d.options import SKELETON, LabelledSet, SpineDetectorOptions
from simspine.learning.spine2d.people import LabelledPeople, read_people
from simspine.learning.torch_import import chosen_device, require_torch
from simspine.metrics import ImagePeople, pck
from simspine.skeletons import load
from simspine.skeletons.regions import SPINETRACK_REGIONS

BEFORE, AFTER, CONTROL = "untrained", "trained", "mean place in the box"
PCK_SHARES = (0.05, 0.1, 0.2)  # of the shorter side of the box
EXCHANGED, APART = "sides exchanged", 0.1  # of the shorter side: sides nearer to one another say little
COVERED = 0.9  # share of labels that ellipses should hold
ONNX = "detector.onnx"


@dataclass(frozen=True, eq=False)
class TrainedDetector:
    """folder: of weights.pt and detector.onnx. tables: of the test set; none without one. onnx_difference: largest one
    of the exported network's outputs from the trained one's."""

    folder: Path
    tables: tuple[EvaluationTable, ...]
    onnx_difference: float


def train_detector(options: SpineDetectorOptions, folder: str | Path, say: Say = lambda line: None) -> TrainedDetector:
    """Train one detector, export it, and judge it on the test set, if there is one.

    Writes to the folder: options.json, checkpoint.pt, losses.csv, weights.pt (averaged), detector.onnx, tables.json. A
    killed run goes on after its last epoch. Raises `InputError` where there is nothing to learn from, people of the
    test set are learnt from, a file cannot be read, or the checkpoint is of other data or settings.
    """
    require_torch()  # before minutes of work
    from simspine.learning.onnx_files import require_onnx
    from simspine.learning.spine2d.batches import CropReader
    from simspine.learning.spine2d.export import export_onnx
    from simspine.learning.spine2d.weights import WEIGHTS, NetworkWeights, made_network, save_weights

    require_onnx()
    _require_figures(options)
    folder, data = Path(folder), options.data
    sets = tuple(read_people(where, data.names, options.seed) for where in data.train)
    if not sets:
        raise InputError("data.train names no set of labelled images; make one with `simspine capture render`.")
    test = None if data.test is None else read_people(data.test, data.names, options.seed)
    _refuse_learnt(sets, test)
    say(", ".join(f"{len(people)} people" for people in sets) + f" to learn from, {len(test or ())} to judge by")
    training = options.training
    judged = None if test is None else CropReader((test,), options.seed, training.threads)
    shown = tuple(shown_of(where, people) for where, people in zip(data.train, sets, strict=True))
    reader = CropReader(sets, options.seed, training.threads, shown=shown)
    state, start = _fitted(options, reader, judged, folder, say)
    weights = NetworkWeights(options.network, data.names, state)
    save_weights(folder / WEIGHTS, weights)
    difference = export_onnx(folder / ONNX, weights)
    write_text(folder / "options.json", json.dumps(options.model_dump(mode="json"), indent=1) + "\n")
    if judged is None:
        return TrainedDetector(folder, (), difference)
    say("judging")
    networks = {BEFORE: start, AFTER: made_network(weights)}
    tables = judged_tables(networks, judged, CropReader(sets, options.seed))
    write_text(folder / "tables.json", as_json(tables))
    return TrainedDetector(folder, tables, difference)


def shown_of(where: LabelledSet, people: LabelledPeople) -> int:
    """How many crops of a set an epoch shows."""
    return round(len(people) / where.fraction) if where.whole_epochs else len(people)


def _fitted(options: SpineDetectorOptions, reader, judged, folder: Path, say: Say):
    """Averaged weights, and the network as it was before training."""
    from simspine.learning.checkpoints import Identity
    from simspine.learning.descent import seeded
    from simspine.learning.spine2d.network import SpineNetwork
    from simspine.learning.spine2d.teacher import read_teacher, widened
    from simspine.learning.spine2d.training import DetectorRun, fit_detector

    device = chosen_device(options.training.device)
    names = options.data.names
    teacher = None if options.teacher is None else read_teacher(options.teacher, options.network, names, device)

    def make() -> SpineNetwork:
        network = SpineNetwork(len(names), options.network)
        if teacher is not None and teacher.state is not None:
            network.load_state_dict(widened(teacher.state, teacher.names, names, options.seed))
        return network

    stated = options.model_dump(mode="json", exclude={"training": {"device", "threads"}, "data": {"test"}})
    taught = [] if options.teacher is None else [hashlib.sha256(Path(options.teacher).read_bytes()).hexdigest()]
    identity = Identity(stated, "+".join([*(people.digest for people in reader.sets), *taught]))
    run = DetectorRun(folder, identity, options, device, teacher=teacher, say=say)
    if judged is not None:
        run = replace(run, watch=partial(_mean_error, judged))
    state, history = fit_detector(make, reader, run)
    write_history(folder / "losses.csv", history)
    with seeded(options.seed, 0, "cpu"):
        return state, make()


def _mean_error(judged, network) -> float:
    from simspine.learning.spine2d.seeing import look

    return float(np.nanmean(look(network, judged).error_px))


def judged_tables(networks: Mapping, judged, learnt) -> tuple[EvaluationTable, ...]:
    """Figures of networks on a reader's first set, beside the mean places of the people learnt from (another reader's
    first set): error, PCK and how many labels the ellipses hold, then the papers' average precision and AUC.
    """
    from simspine.learning.spine2d.seeing import look, mean_places, to_images

    people: LabelledPeople = judged.sets[0]
    same = np.broadcast_to(mean_places(learnt), (len(people), len(people.names), 2))
    places, rows = {CONTROL: to_images(same, people.box, judged.size)}, []
    confidence: dict[str, np.ndarray] = {CONTROL: np.ones(same.shape[:2])}
    held: dict[str, float] = {}
    for name, network in networks.items():
        seen = look(network, judged)
        places[name], confidence[name] = seen.in_images(judged), seen.confidence
        held[name] = 100 * held_share(seen.places - seen.labels, seen.covariance)
    spine = [people.names.index(name) for name in SPINETRACK_REGIONS["spine"] if name in people.names]
    side = (people.box[:, 2:] - people.box[:, :2]).min(1)
    for name, found in places.items():
        for label, chosen in (("spine", spine), ("all", list(range(len(people.names))))):
            if chosen:
                cells: list[Cell] = [*_figures(found[:, chosen], people.keypoints[:, chosen], side), None, None]
                if label == "all":
                    cells[-2:] = exchanged_share(found, people, side), held.get(name)
                rows.append(TableRow(name, label, tuple(cells)))
    columns = (
        TableColumn("median error", "% of the box's shorter side", 1),
        *(TableColumn(f"PCK {share:g}", "", 3) for share in PCK_SHARES),
        TableColumn(EXCHANGED, "%", 1),
        TableColumn(f"within {100 * COVERED:.0f} % ellipses", "%", 1),
    )
    notes = (
        "Boxes are the labelled ones. PCK: share of labels nearer than that share of the box's shorter side.",
        f"{EXCHANGED}: of points with a left and a right, labelled more than {APART:g} of that side apart, those found "
        "nearer to the other one's label; 50 is chance.",
    )
    own = EvaluationTable("spine_detector", "Detector: error of points", columns, tuple(rows), notes)
    labels = image_people(people, people.keypoints, np.ones(len(people)))
    found_people = {
        name: image_people(people, np.dstack([found, confidence[name]]), confidence[name].mean(1))
        for name, found in places.items()
    }
    return (own, *evaluate_images(found_people, labels))


def _figures(found: np.ndarray, labels: np.ndarray, side: np.ndarray) -> tuple[float, ...]:
    """Median error in % of the side, and PCK: means over points."""
    error = np.linalg.norm(found - labels[..., :2], axis=-1) / side[:, None]
    median = 100 * float(np.median(error[labels[..., 2] > 0]))
    return median, *(float(np.nanmean(pck(found, labels, side, share))) for share in PCK_SHARES)


def exchanged_share(found: np.ndarray, people: LabelledPeople, side: np.ndarray) -> float:
    """Share in % of points (people, points, 2) nearer to the label of the other side than to their own; see `APART`."""
    other = mirror_order(people.names)
    labels, known = people.keypoints[..., :2], people.keypoints[..., 2] > 0
    apart = np.linalg.norm(labels - labels[:, other], axis=-1) > APART * side[:, None]
    told = apart & known & known[:, other] & np.isfinite(found).all(-1)
    own, wrong = (np.linalg.norm(found - place, axis=-1)[told] for place in (labels, labels[:, other]))
    return 100 * float((wrong < own).mean()) if told.any() else float("nan")


def held_share(error: np.ndarray, covariance: np.ndarray) -> float:
    """Share of errors (…, 2) within the ellipses of probability `COVERED` of Gaussians of covariance (…, 2, 2)."""
    known = np.isfinite(error).all(-1)
    far = np.einsum("ni,nij,nj->n", error[known], np.linalg.inv(covariance[known]), error[known])
    return float((far <= -2 * np.log(1 - COVERED)).mean())


def image_people(people: LabelledPeople, keypoints: np.ndarray, score: np.ndarray) -> ImagePeople:
    """People for the papers' evaluation: points (people, points, 3) in SpineTrack's order; those that are not among the
    set's are not labelled, and not found.
    """
    every = np.zeros((len(people), len(load(SKELETON)), 3))
    every[..., :2] = np.nan if keypoints is not people.keypoints else 0
    every[:, [load(SKELETON).index(name) for name in people.names]] = keypoints
    box = np.concatenate([people.box[:, :2], people.box[:, 2:] - people.box[:, :2]], 1)
    images = tuple(str(file) for file in people.files)
    return ImagePeople(images, every, box, people.area, score, np.zeros(len(people), bool))


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
