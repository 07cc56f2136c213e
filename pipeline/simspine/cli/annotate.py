"""simspine annotate, simspine annotations: place and correct points in images; export, train with, validate them."""

from contextlib import closing, suppress
from functools import wraps
from pathlib import Path

import click

from simspine.cli import options
from simspine.cli.options import FILE_PATH, FOLDER_PATH, Within, json_option, result_trial_options, say, with_options
from simspine.core.errors import InputError, names_text

_NO_SPINE_POINT_EXIT_CODE = 3  # exit code of a validation that saw no point of the spine


_target_choice = with_options([
    click.argument("source", metavar="FOLDER|RESULTS"),
    click.option("--config", "config_path", type=FILE_PATH,
                 help="Configuration of the results.  [default: their config.yaml]"),
    result_trial_options,
    click.option("--out", "home", type=FOLDER_PATH, help="Folder for them.  [default: annotations, in FOLDER]"),
    click.option("--skin", default="", metavar="C7,T7,…", help="Skin markers to be placed as well."),
])  # fmt: skip


def target_options(command):
    """Options that name a recording; the command gets it as `target`."""

    @wraps(command)
    def with_target(source, config_path, subject, trial, home, skin, **rest):
        from simspine.annotation.recording import Target

        config_path = config_path and options.packaged_config(config_path)
        levels = tuple(level.strip() for level in skin.split(",") if level.strip())
        target = Target(source, config_path, subject, trial, home=home, skin=levels)
        return command(target=target, **rest)

    return _target_choice(with_target)


def _user_name() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):  # the process's user number has no name
        return "annotator"


def _open_recording(target):
    """The recording; a note about missing points goes to standard error."""
    from simspine.annotation.exchange import with_proposals
    from simspine.annotation.recording import open_target

    recording = with_proposals(open_target(target))
    if recording.note:
        say(f"note: {recording.note}", err=True)
    return recording


def _exclusive_annotator(recording, annotator: str):
    """Context manager: no other process may record decisions of an annotator, because neither would see the other's."""
    from simspine.annotation.labels import journal_file
    from simspine.workflow.up_to_date import hold_lock

    file = journal_file(recording.home, annotator)
    busy = f"{annotator} is annotating {recording.name} in another process ({file})"
    advice = "Stop that process, or choose another name by --annotator."
    return hold_lock(file.with_name(f".{file.stem}.lock"), busy, 0.0, advice)


def _next_round(target, annotator: str, batch: int, trains):
    """The recording's rounds after `advance_round`. One process draws and trains: all annotators share the rounds."""
    from simspine.annotation.exchange import advance_round
    from simspine.annotation.recording import open_target
    from simspine.workflow.up_to_date import hold_lock

    recording = open_target(target)
    busy = f"another process draws frames of {recording.name}, or trains with them"
    alone = hold_lock(recording.home / "rounds" / ".lock", busy, 0.0, "Wait for it.")
    with _exclusive_annotator(recording, annotator), alone:
        return advance_round(recording, annotator, batch, hook=trains, say=say)


annotator_option = click.option("--annotator", default=_user_name, show_default="your user name", help="Your name.")


training_option = click.option(
    "--training", metavar="PRESET|FILE", help="Train simspine's own: cpu, paper, tiny or a file of settings."
)


def _training_hook(settings: str | None):
    if settings is None:
        return None
    from simspine.learning.spine_runs import training_hook

    return training_hook(settings, say)


@click.command("annotate")
@target_options
@annotator_option
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of this computer.  [default: a free one]")
@click.option(
    "--batch", type=click.IntRange(1, 500), default=20, show_default=True, help="Frames handed out at a time."
)
@click.option("--again", type=FILE_PATH, help="JSON of `annotations validate`: begin with the frames named in it.")
@click.option("--open/--no-open", "opened", default=True, help="Open the page in the browser.  [default: open]")
@training_option
def annotate_command(target, annotator, batch, again, training, **page):
    """Place and correct points in the views of a recording, on a page of your browser.

    RESULTS: a results folder, whose points are the first guess. FOLDER: videos, a folder of images per camera, or
    images; with a calibration file where there is one. Every change is on the disk at once. Only this computer can open
    the page. Stop with ctrl-C.

    With --training rounds follow one another: a batch is drawn; when it is corrected and the page is stopped, a
    detector is trained, its points are taken, and the page opens with the next batch.
    """
    from simspine.annotation.exchange import open_frames
    from simspine.annotation.validation import frames_to_annotate

    if again is not None and training is not None:
        raise InputError("--again names the frames, --training draws them; leave one of the two out.")
    trains, before = _training_hook(training), None
    if trains is None:
        _serve_page(target, annotator, batch, () if again is None else frames_to_annotate(again), **page)
        return
    while True:
        rounds = _next_round(target, annotator, batch, trains)
        if rounds == before or not open_frames(rounds):
            return
        before = rounds
        _serve_page(target, annotator, batch, (), **page)


def _serve_page(target, annotator: str, batch: int, named: tuple[int, ...], *, port: int, opened: bool) -> None:
    """The page until ctrl-C. named: frames to begin with, before those of the open round."""
    from simspine.annotation.exchange import open_frames, read_rounds
    from simspine.annotation.server import AnnotationServer, Session

    recording = _open_recording(target)
    rounds = read_rounds(recording)
    views = f"{len(recording.views)} view" if len(recording.views) == 1 else f"{len(recording.views)} views"
    say(f"{recording.name}: {recording.frames} frames in {views}", err=True)
    with _exclusive_annotator(recording, annotator):
        first = named or open_frames(rounds)
        in_round = len(rounds) if first and not named else 0
        server = AnnotationServer(Session(recording, annotator, batch, first, in_round=in_round), port)
        say(server.address)
        say(f"annotations: {server.session.project()['file']}", err=True)
        if opened:
            options.show_on_desktop(server.address_for_once)
        with closing(server.session.images), server, suppress(KeyboardInterrupt):
            server.serve_forever()
        refused = server.session.refusal
        say(f"stopped; {f'not saved: {refused}' if refused else 'everything is saved'}.", err=True)


@click.group("annotations")
def annotations_group():
    """Use annotations: files of other programs, rounds of training, biomechanical validation."""


@annotations_group.command("export")
@target_options
@annotator_option
@click.option("--format", "form", type=click.Choice(["coco", "openpose"]), required=True, help="Format of the file.")
@click.option("--file", "path", type=FILE_PATH, required=True, help="File to write; for openpose a folder.")
@click.option("--all", "everything", is_flag=True, help="Include images that nobody has annotated.")
@click.option("--images", type=FOLDER_PATH, help="Folder to write the images to, under the names in the file.")
def export_labels_command(target, annotator, form, path, everything, images):
    """Write the points, with their status, for another program."""
    from simspine.annotation.exchange import labelled_images_of, write_annotation_file, write_images
    from simspine.annotation.server import labels_of
    from simspine.io.atomic import require_new

    require_new(path)
    recording = _open_recording(target)
    labels = labels_of(recording, annotator)
    # Images first: writing them is refused where they would replace others.
    count = images and write_images(images, recording, labelled_images_of(recording, labels, not everything))
    say(write_annotation_file(form, path, recording, labels=labels, decided_only=not everything))
    if images is not None:
        say(f"{count} images in {images}")


@annotations_group.command("import")
@target_options
@annotator_option
@click.option("--file", "path", type=FILE_PATH, required=True, help="COCO file to read.")
@click.option("--accept", is_flag=True, help="Accept detected points that were left as they were proposed.")
def import_labels_command(target, annotator, path, accept):
    """Read another program's COCO file as decisions of an annotator.

    Points that were moved are corrected. Points as they were proposed stay open, and replace no decision.
    """
    from simspine.annotation.exchange import decisions_of_file
    from simspine.annotation.labels import append_edits, journal_file, start_journal
    from simspine.annotation.server import labels_of
    from simspine.io.coco import read_coco_labels, to_simspine

    recording = _open_recording(target)
    file = journal_file(recording.home, annotator)
    labels = to_simspine(read_coco_labels(path, recording.first_images))
    with _exclusive_annotator(recording, annotator):
        found = decisions_of_file(recording, labels_of(recording, annotator), labels, str(path), accept=accept)
        start_journal(file, recording.name, recording.views, recording.start.names, images=recording.images)
        append_edits(file, found.edits)
    say(f"{len(found.edits)} decisions added to {file}")
    if found.open_points:
        say(f"{found.open_points} points are as they were proposed, and stay open." + " Add --accept?" * (not accept))
    if found.missing_points:
        say(f"{found.missing_points} points that were decided about are not in the file; they stay as they were.")
    if found.strange:
        say(f"{len(found.strange)} images are not of this recording, left out: {names_text(found.strange, 5)}")


@annotations_group.command("propose")
@click.argument("labels", type=FILE_PATH)
@click.option("--out", "path", type=FILE_PATH, required=True, help="COCO file to write.")
@click.option("--least-height", type=Within(0, 1), default=0.4, show_default=True, help="As a share of the image's.")
@click.option("--curves", is_flag=True, help="By two curves, points equally spaced, as SpineTrack's annotation began.")
def propose_command(labels, path, least_height, curves):
    """Propose points of the spine for people in COCO labels.

    From the limbs in LABELS, for the largest person of each image whose trunk is in sight, by a model of real spines.
    """
    from simspine.annotation.exchange import propose_spines
    from simspine.io.atomic import require_new
    from simspine.io.coco import write_coco_labels

    require_new(path)
    found = propose_spines(labels, least_height, curves)
    write_coco_labels(path, found)
    say(f"{path}: {len(found.file_names)} people")


@annotations_group.command("round")
@target_options
@annotator_option
@click.option("--batch", "size", type=click.IntRange(1, 500), default=20, show_default=True, help="How many frames.")
@training_option
def round_command(target, annotator, size, training):
    """Draw frames; once they are corrected, train, and draw the next.

    Any other detector can be trained on labels.json (COCO) and images/ of the round's folder. Write its points to out/
    there, <view>_json/<view>_000012.json as OpenPose does, for every image; then give the same command again.
    """
    _next_round(target, annotator, size, _training_hook(training))


@annotations_group.command("clicks")
@target_options
@annotator_option
def clicks_command(target, annotator):
    """Print skin markers for a configuration (skin_markers.clicks)."""
    from simspine.annotation.exchange import clicks_as_yaml
    from simspine.annotation.server import labels_of

    recording = _open_recording(target)
    say(clicks_as_yaml(recording, labels_of(recording, annotator)))


@annotations_group.command("validate")
@click.argument("candidate", type=FILE_PATH)
@click.option("--reference", type=FILE_PATH, help="Results of the same recording with a body detector to compare with.")
@result_trial_options
@json_option
@click.pass_context
def validate_points_command(context, candidate: Path, reference, subject, trial, json_path):
    """Compare each triangulated point with the fitted body (RMSE).

    CANDIDATE: a results folder of a recording with several calibrated views. 2–4 cm are usual; points beyond 10 cm
    should be annotated again, and their frames are listed. Exit code 1: the spine is worse than the reference, or than
    4 cm without one; 3: no point of the spine was seen, so that the spine cannot be validated.
    """
    from simspine.annotation.validation import (
        body_validation_json,
        body_validation_text,
        read_result,
        validate_against_body,
    )
    from simspine.workflow.camera_files import write_figures

    reference_result = None if reference is None else read_result(reference, subject, trial)
    names = str(candidate), "" if reference is None else str(reference)
    validation = validate_against_body(read_result(candidate, subject, trial), reference_result, names)
    say(body_validation_text(validation))
    write_figures(json_path, body_validation_json(validation))
    context.exit(_NO_SPINE_POINT_EXIT_CODE if validation.unseen else 0 if validation.passed else 1)
