"""simspine detect: the workflow's first stage; or detection of people in an image, a video or a webcam's images."""

import sys
from importlib.util import find_spec
from pathlib import Path

import click

from simspine import __version__
from simspine.cli.options import (
    FILE_PATH,
    Within,
    config_option,
    named_config,
    quiet_option,
    say,
    show_on_desktop,
    with_options,
)
from simspine.core.errors import InputError

ONLY_FOR_STAGE_OPTIONS = ("subject", "trial", "force")
ONLY_FOR_INPUT_HINT = "is for INPUT (image, folder, video, webcam); the stage reads the configuration's videos."

one_camera_options = with_options([
    click.option("-i", "--input_path", "--input-path", "input_path", help="The same as INPUT."),
    click.option("-o", "--output", "--vis-path", "--output_path", "picture", type=FILE_PATH,
                 help="Picture (.png, .jpg), video (.mp4, .webm) or, for a folder, folder with people drawn."),
    click.option("-s", "--save-path", "--json", "points", type=FILE_PATH,
                 help="Points as OpenPose JSON: a .json file for an image, else a folder with a file for each image."),
    click.option("--view/--no-view", default=None,
                 help="Show the picture: a webcam's at once, else at the end.  [default: if no file is named]"),
    click.option("--detector", help="blazepose, spinepose, …: as detection.detector.  [default: blazepose; `simspine "
                 "spinepose`: spinepose] rfdetr and yolox are accepted, but BlazePose finds the people."),
    click.option("-m", "--mode", "--model", "model",
                 help="BlazePose: full, heavy. SpinePose: small, medium, large, xlarge; or an .onnx file (SimCC or "
                 "heat maps).  [default: heavy, of a webcam full; SpinePose: medium]"),
    click.option("--model-version", type=click.Choice(["latest", "v1", "v2"]), default="latest",
                 show_default=True, help="SpinePose: of the --mode."),
    click.option("--device", type=click.Choice(["cpu", "cuda"]),
                 help="Where SpinePose's network runs.  [default: cpu]"),
    click.option("--max-detections", "--people", "people", type=click.IntRange(1, 32),
                 help="Largest number of people in an image.  [default: 4; `simspine spinepose`: 10]"),
    click.option("--spine-only", "--spine_only", is_flag=True, help="Only the nine points along the spine."),
    click.option("--nosmooth", is_flag=True, help="Points as detected in each image, not smoothed over time."),
    click.option("--infer/--no-infer", default=None,
                 help="Infer points of the spine that are not detected; they are marked.  [default: infer]"),
    click.option("--frames", type=click.IntRange(1), help="Largest number of images."),
    click.option("--enable-lifting", is_flag=True,
                 help="Points in metres in a world with a floor, with intervals: estimated from one camera, no "
                 "measurement."),
    click.option("--lift", type=FILE_PATH,
                 help="The same by your lifter, an ONNX file, such as SpinePose's.  [default: the packaged one]"),
    click.option("--fov", type=Within(5, 170),
                 help="Lifting: field of view along the image's longer side, degrees.  [default: 60, assumed]"),
    click.option("--camera-field-of-view", type=Within(5, 170), help="Lifting: along its diagonal, in place of --fov."),
    click.option("--calibration", type=FILE_PATH,
                 help="Lifting: calibration file with the camera, in place of --fov."),
    click.option("--camera",
                 help="Camera in --calibration.  [default: the one with the name of INPUT, or the only one]"),
    click.option("--primary-subject-height", type=float,
                 help="World: height of the first person, m.  [default: the mean of adults; intervals are wider]"),
    click.option("--no-metric-scale", is_flag=True, help="World: lengths as the lifter gives them, of mean adults."),
    click.option("--no-camera-pose", is_flag=True, help="World: the camera's own axes."),
    click.option("--no-ground-plane", is_flag=True, help="World: the camera is assumed level."),
    click.option("--warmup-frames", type=click.IntRange(1),
                 help="World: number of first images that determine it.  [default: 30]"),
    click.option("--hardware-acceleration/--no-hardware-acceleration", default=None,
                 help="SpinePose's network on a GPU where onnxruntime has one, or never."),
    click.option("--mixed-precision/--no-mixed-precision", default=False,
                 help="Networks run in full precision in any case."),
    click.option("--no-lifting-panel", is_flag=True, help="World: do not draw it next to the picture."),
    click.version_option(__version__, "-V", "--version", message="simspine %(version)s"),
])  # fmt: skip
FOR_LENS = ("fov", "camera_field_of_view", "calibration", "camera")
FOR_WORLD = ("primary_subject_height", "no_metric_scale", "no_camera_pose", "no_ground_plane", "warmup_frames")
PEOPLE_FINDERS = ("rfdetr", "yolox")
PEOPLE_OF_SPINEPOSE = 10  # its program's largest number of people in an image


@click.command("detect")
@click.argument("source", required=False, metavar="[INPUT | CONFIG]")
@config_option(help="The stage's configuration; with INPUT, only its `detection`.", argument=False, needed=False)
@click.option("--subject", help="Stage: subject; all of them if left out.")
@click.option("--trial", help="Stage: one trial of the subject; all of them if left out.")
@click.option("--force", is_flag=True, help="Stage: do the work again even if it is done.")
@one_camera_options
@quiet_option
@click.pass_context
def detect_command(context, source, config, subject, trial, force, quiet, **one_camera):
    """Find 2D points in each camera's video, and the person to follow.

    Without INPUT: the first stage of the workflow, on the configuration's recordings. With INPUT: people in the images
    of one camera. INPUT is an image, a folder of images, a video, or a webcam by its number (0). Each person keeps a
    number from image to image; points of the spine that the detector does not give are inferred, and marked so in
    every file. Places are px of the image: angles and vertebrae need several cameras and the workflow.
    """
    if source is not None and source.lower().endswith((".yaml", ".yml")) and config is None:
        source, config = None, named_config(Path(source))
    inputs = [text for text in (source, one_camera.pop("input_path")) if text is not None]
    command_line = click.core.ParameterSource.COMMANDLINE
    named = [name for name in context.params if context.get_parameter_source(name) is command_line]
    if len(inputs) > 1:
        raise click.UsageError("INPUT and --input_path were both given; they mean the same.")
    if inputs:
        if one_camera["detector"] in PEOPLE_FINDERS:
            say(f"--detector {one_camera['detector']}: people are found by BlazePose.", err=True)
            one_camera["detector"] = None
        if context.info_name == "spinepose" and config is None:
            one_camera["people"] = one_camera["people"] or PEOPLE_OF_SPINEPOSE
            if one_camera["model"] is None and one_camera["detector"] is None:
                if find_spec("spinepose") or one_camera["model_version"] != "latest":
                    one_camera["detector"] = "spinepose"
                else:
                    say("The package spinepose is not installed: BlazePose is used; its spine is inferred.", err=True)
        for name in (name for name in ONLY_FOR_STAGE_OPTIONS if name in named):
            raise click.UsageError(f"--{name} is for the stage, of a configuration's recordings; leave out INPUT.")
        _one_camera(inputs[0], config, quiet, one_camera)
        return
    for name in (name for name in one_camera if name in named):
        option = next(o for o in context.command.params if o.name == name)
        raise click.UsageError(f"{max(option.opts, key=len)} {ONLY_FOR_INPUT_HINT}")
    from simspine.workflow.jobs import run_stage

    run_stage("detect", config or named_config(None), subject, trial, force=force, quiet=quiet)


def _one_camera(source: str, config, quiet: bool, chosen: dict) -> None:
    from simspine.io.image_streams import Webcam, open_camera
    from simspine.vision.one_camera import WatchSettings, options_for_camera
    from simspine.workflow.one_camera import DetectionTask, default_picture, watch_source

    if chosen["mixed_precision"]:
        say("--mixed-precision: networks run in full precision.", err=True)
    if chosen["hardware_acceleration"] is not None and chosen["device"] is None:
        from simspine.vision.spinepose import fastest_device

        chosen["device"] = fastest_device() if chosen["hardware_acceleration"] else "cpu"
    camera = open_camera(source)
    options = options_for_camera(_detection_options(config, chosen), camera)
    infer = options.infer_spine if chosen["infer"] is None else chosen["infer"]
    settings = WatchSettings(options, not chosen["nosmooth"], infer)
    unnamed = chosen["picture"] is None and chosen["points"] is None
    view = unnamed if chosen["view"] is None else chosen["view"]
    live = view and isinstance(camera, Webcam)
    if unnamed and not view and isinstance(camera, Webcam):
        raise InputError(f"webcam {camera.number} would be neither kept nor shown: name an --output, or --view.")
    picture = default_picture(camera) if unnamed and not live else chosen["picture"]
    lifting = _lifting_of_options(chosen, source, draws=live or picture is not None)
    task = DetectionTask(
        picture, chosen["points"], frames=chosen["frames"], live=live, spine_only=chosen["spine_only"], lifting=lifting
    )
    if isinstance(camera, Webcam) and not quiet:
        say(f"looking at webcam {camera.number}; ctrl-C ends it, and the files hold what it saw.", err=True)
    result = watch_source(camera, settings, task, quiet)
    lifted = lifting.lines() if lifting is not None and result.shown else ()
    files = filter(None, (picture, chosen["points"]))
    for line in (*result.lines(camera.name, settings.detection.detector), *lifted, *files):
        say(line)
    if view and picture is not None and not live:
        show_on_desktop(str(picture))
    if result.stopped:
        say("stopped; the files hold what was seen until then.", err=True)
        sys.exit(130)


def _lifting_of_options(chosen: dict, source: str, draws: bool):
    """The `LiftingTask` of the options, or None. source: INPUT. draws: a picture is written or shown."""
    from simspine.vision.lifting import PACKAGED_LIFTER, WARM_UP_FRAMES, Lifter, LiftingLens, WorldChoices
    from simspine.workflow.one_camera import LiftingTask

    given = {name: f"--{name.replace('_', '-')}" for name, value in chosen.items() if value not in (None, False)}
    named = [given[name] for name in (*FOR_LENS, *FOR_WORLD) if name in given]
    if not {"lift", "enable_lifting"} & given.keys():
        if named:
            raise InputError(f"{named[0]} is for --enable-lifting; add that, or leave it out.")
        return None
    panel = draws and not chosen["no_lifting_panel"] and not chosen["no_camera_pose"]
    if chosen["points"] is None and not panel:
        raise InputError("--enable-lifting gives points in space; name where they go (--save-path).")
    lenses = [given[name] for name in FOR_LENS if name in given and name != "camera"]
    if len(lenses) > 1:
        raise InputError(f"{' and '.join(lenses)} were both given; each states the field of view. Leave one out.")
    if chosen["camera"] is not None and chosen["calibration"] is None:
        raise InputError("--camera is of the cameras in --calibration; name that file.")
    rig = chosen["calibration"]
    camera = None if rig is None else _calibrated_camera(rig, chosen["camera"], source)
    world = WorldChoices(
        chosen["primary_subject_height"],
        metric_scale=not chosen["no_metric_scale"],
        camera_pose=not chosen["no_camera_pose"],
        ground_plane=not chosen["no_ground_plane"],
        warm_up=chosen["warmup_frames"] or WARM_UP_FRAMES,
    )
    lens = LiftingLens(chosen["fov"], camera, chosen["camera_field_of_view"])
    return LiftingTask(Lifter(chosen["lift"] or PACKAGED_LIFTER), lens, world, panel)


def _calibrated_camera(path: Path, name: str | None, source: str):
    """The camera of a calibration file with this name, by default the name of the source's file, or the only one."""
    from simspine.io.calibration import read_calibration

    cameras = {camera.name: camera for camera in read_calibration(path)}
    wanted = Path(source).stem if name is None else name
    if wanted in cameras:
        return cameras[wanted]
    if name is None and len(cameras) == 1:
        return next(iter(cameras.values()))
    raise InputError(f"{path} has no camera {wanted!r}, but {', '.join(cameras)}; name one by --camera.")


def _detection_options(config, chosen: dict):
    """Section `detection` of the configuration, or its defaults, changed by the command line's options."""
    from simspine.core.settings import SettingsError
    from simspine.reconstruction.stage import Options
    from simspine.vision.options import BLAZEPOSE_MODELS, DetectionOptions

    base = DetectionOptions() if config is None else config.detection
    changes = {name: chosen[name] for name in ("detector", "device", "people") if chosen[name] is not None}
    model, version = chosen["model"], chosen["model_version"]
    if model in BLAZEPOSE_MODELS:
        changes.setdefault("detector", "blazepose")
    elif (model is not None or version != "latest") and base.detector == "blazepose":
        changes.setdefault("detector", "spinepose")
    kept = {} if changes.get("detector", base.detector) == base.detector else {"model": None}
    options = base.model_copy(update=kept | changes)
    if version != "latest" and options.detector != "spinepose":
        raise InputError(f"--model-version is of SpinePose's networks, not of {options.detector}'s. Leave it out.")
    if model is not None or version != "latest":
        network = model or options.network
        changes["model"] = network if version == "latest" or Path(network).is_file() else f"{version}/{network}"
    try:
        return Options.model_validate({"detection": {**options.model_dump(), **changes}}).detection
    except SettingsError as error:
        raise InputError(error.faults[0]) from None
