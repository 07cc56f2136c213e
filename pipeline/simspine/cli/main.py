"""The command line: read arguments, call one function, report. Heavy imports wait until a command runs."""

import copy
import errno
import gc
import json
import math
import os
import re
import signal
import sys
import time
import warnings
from itertools import takewhile
from pathlib import Path

import click

from simspine import __version__
from simspine.cli import data, options
from simspine.cli.annotate import annotate_command, annotations_group
from simspine.cli.cameras import cameras_group
from simspine.cli.detect import detect_command
from simspine.cli.options import (
    FILE_PATH,
    FOLDER_PATH,
    Within,
    config_option,
    named_config,
    packaged_config,
    quiet_option,
    say,
)
from simspine.cli.research import bench_group, benchmark_group, capture_group, train_group
from simspine.core.errors import InputError, printable, require_known

NO_MEMORY = "not enough memory. What is done is kept; give the command more memory, or cut long trials."
MESSAGES_OF_LIBRARIES = {  # by words of the system's loader, of Numba and of Python's paths
    "Symlink loop": "a link among the named paths leads to itself; remove it, or name another path.",
    "failed to map": NO_MEMORY,
    "no locator available": "compiled code can be kept in no folder; name one that you can write to (NUMBA_CACHE_DIR).",
}
STAGE_COMMANDS = {
    "triangulate": "Combine the views into 3D points with covariance.",
    "merge": "Filter, fill short gaps, and merge with motion capture where there is any.",
    "scale": "Build the body model and scale it to the person.",
    "ik": "Fit the body to the markers: joint angles.",
    "vertebrae": "Vertebral positions, angles per level, lumbar and thoracic curvature.",
    "quality": "Check every frame; report which were kept, corrected or rejected, and why.",
}
COMMAND_GROUPS = {
    "Start": ("demo", "init", "doctor", "run", "add-spine", "back", "status"),
    "Stages, which run also does": ("detect", *STAGE_COMMANDS, "export"),
    "Results": ("check", "report", "compare", "summary", "view", "overlay", "validate", "verify"),
    "Cameras and labels": ("cameras", "annotate", "annotations"),
    "Synthetic data, training, benchmarks": ("capture", "train", "bench", "benchmark", "warmup"),
}
# New objects between two garbage collections. Loading libraries and drawing figures make a hundred thousand lasting
# objects; Python's own threshold of 700 collects again and again, which takes an eighth of the time of loading.
_COLLECTED_AFTER = 50_000


def _refuse_surroundings() -> None:
    """`InputError` for a folder that was removed, and for settings of libraries that change results."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise InputError("the folder you are in was removed; change to another one.") from None
    if os.environ.get("COLUMNS") == "0":  # rich would print nothing
        del os.environ["COLUMNS"]
    if not re.fullmatch("[0-9]{1,11}", os.environ.get("SOURCE_DATE_EPOCH", "0")):
        raise InputError("SOURCE_DATE_EPOCH is not a whole number of seconds since 1970, up to 11 digits; unset it.")
    threads = os.environ.get("NUMBA_NUM_THREADS", "1")
    if not (threads.isdecimal() and int(threads)):
        raise InputError(f"NUMBA_NUM_THREADS is {threads!r:.50}, not a whole number of threads above 0; unset it.")
    if os.path.lexists(".numba_config.yaml"):
        raise InputError(".numba_config.yaml in this folder changes how simspine computes; remove it, or go elsewhere.")


class _Commands(click.Group):
    """A command group that turns bad input into one clear message and exit code 2, and each warning into one line.

    Errors of the operating system (no permission, disk full) are treated as bad input: the user can correct them.
    """

    def invoke(self, ctx):
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")  # where the terminal cannot show a character
        if sys.warnoptions:  # from PYTHONWARNINGS: no warning ends a command
            warnings.simplefilter("default")
        warnings.showwarning = lambda message, *_: click.secho(f"warning: {printable(message)}", fg="yellow", err=True)
        try:
            _refuse_surroundings()
            gc.set_threshold(_COLLECTED_AFTER)
            return super().invoke(ctx)
        except ValueError as error:
            if not isinstance(error, InputError):
                raise
            message = str(error)
        except MemoryError:
            message = NO_MEMORY
        except (ImportError, RuntimeError) as error:
            message = next((text for words, text in MESSAGES_OF_LIBRARIES.items() if words in str(error)), "")
            if not message:
                raise
        except OSError as error:
            if error.errno in (None, errno.EPIPE):  # a bug in simspine; a closed pipe, which click handles
                raise
            message = f"{error.filename or 'a file'}: {os.strerror(error.errno)}."
        except BaseException as error:
            if "KeyboardInterrupt" not in repr(error):  # Pydantic, interrupted, raises an error of its own
                raise
            say("stopped by ctrl-C.", err=True)
            sys.exit(128 + signal.SIGINT)
        click.secho(f"error: {printable(message)}", fg="red", err=True)
        sys.exit(2)

    def list_commands(self, ctx):
        return list(self.commands)  # in the order of the workflow, not of the alphabet

    def format_commands(self, ctx, formatter):
        """Write the commands in the groups of `COMMAND_GROUPS`."""
        for title, names in COMMAND_GROUPS.items():
            rows = [(name, self.commands[name].get_short_help_str(90)) for name in names]
            with formatter.section(title):
                formatter.write_dl(rows)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="simspine")
def main():
    """Posture and movement of the spine from videos or markers, with uncertainty.

    The stages detect → triangulate → merge → scale → ik → vertebrae → quality → export run one after another;
    `simspine run CONFIG` runs them all for every subject. Each skips finished work.
    """


@main.command("run")
@options.cores_option
@click.option("--dry-run", is_flag=True, help="Only list the work to do.")
@click.option("-q", "--quiet", is_flag=True, help="No progress; messages of the stages go to logs/run.log.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[CONFIG] [-- SNAKEMAKE OPTIONS]")
def run_command(cores, dry_run, quiet, words):
    """Run the whole workflow of CONFIG, a configuration file; finished work is kept.

    CONFIG may also be a folder of results; one that comes with simspine: demo, limbs-only, gait, virtual; or marker
    files (.c3d, .trc) of one person, for which configs/NAME.yaml is written first. Without it, the only configuration
    in this folder or in its configs/ is run. Relative paths in it count from the working directory. Options after --
    go to Snakemake: -- --keep-going continues past a failing subject.
    """
    from simspine.workflow.dataset import print_summary
    from simspine.workflow.launch import run_workflow

    files = [Path(word) for word in takewhile(lambda word: not word.startswith("-"), words)]
    are_markers = {file.suffix.lower() for file in files} in ({".c3d"}, {".trc"}, {".c3d", ".trc"})
    if len(files) > 1 and not are_markers:
        raise InputError(f"{files[1]}: expected one configuration, or marker files alone. Run one after the other.")
    again = not (dry_run or quiet)
    path = _config_of_markers(files, warned_by_run=again) if are_markers else packaged_config(next(iter(files), None))
    run_workflow(path, cores, words[len(files) :], dry_run=dry_run, quiet=quiet)
    if not dry_run:
        print_summary(named_config(path))


def _config_of_markers(files: list[Path], warned_by_run: bool) -> Path:
    """configs/NAME.yaml of marker files, each a trial of one person; written if it does not exist."""
    from simspine.core.settings import read_mapping
    from simspine.workflow.setup import GivenFiles, config_name, write_new_config

    name = config_name("_".join(file.stem for file in files))
    path = Path(f"configs/{name}.yaml")
    if not path.exists():
        with warnings.catch_warnings():
            if warned_by_run:
                warnings.filterwarnings("ignore", module=r"simspine\.(io|reconstruction)\.")
            say(write_new_config(GivenFiles(files), path, name=name, subject="S01").split("Next:")[0].rstrip())
        return path
    content = read_mapping(path)
    text = json.dumps(content, default=str)
    if others := [str(file) for file in files if json.dumps(str(file)) not in text]:  # the whole name, not its end
        raise InputError(f"{path} is of other files than {', '.join(others)}. Name the configuration, or move it away.")
    say(f"{path} is there, and is run as it stands; results: {content.get('results')}")
    return path


@main.command("demo")
@click.argument("which", metavar="[gait]", type=click.Choice(["video", "gait"]), default="video")
@options.cores_option
def demo_command(which, cores):
    """Try simspine on four videos of a real person, which come with it.

    `simspine demo gait`: a person standing and walking, with skin markers, six of them along the spine.
    """
    from simspine.workflow.dataset import curvature_lines, print_summary
    from simspine.workflow.launch import run_here, run_workflow

    path = packaged_config(Path("gait" if which == "gait" else "demo"))
    if which == "gait":
        run_here(path)
    else:
        run_workflow(path, cores)
    config = named_config(path)
    print_summary(config)
    for line in curvature_lines(config) if which == "gait" else ():
        say(line)


@main.command("add-spine")
@click.argument("folder", metavar="SESSION", type=FOLDER_PATH)
@click.option("--rate", type=click.FloatRange(1, 10_000), help="Frames per second, if no file of the session has it.")
@click.option("--marker-set", help="Marker set of the session.  [default: by the markers' names]")
@click.option("--min-factor", type=Within(0.3, 1), help="Children: least size of a segment relative to an adult's.")
@click.option("--max-asymmetry", type=Within(0.01, 1), help="Largest share by which left and right limbs may differ.")
@quiet_option
def add_spine_command(folder, rate, marker_set, quiet, **limits):
    """Add an estimated spine to a SESSION of another program, in its folders and formats.

    SESSION: the folder of a session of Pose2Sim, Sports2D, OpenCap, FreeMoCap, Caliscope, Anipose, EasyMocap or
    movement, or of C3D files. Files are added; no file of the session is changed. Exit code: 0, 1 where frames
    were rejected, or 2 for input that cannot be used.
    """
    from simspine.reconstruction.session_files import read_session
    from simspine.workflow.sessions import add_spine, grouped_messages

    scaling = {name: value for name, value in limits.items() if value is not None}
    with warnings.catch_warnings(record=True) as caught:
        try:
            session = read_session(folder, rate)
            say(f"{folder}: a session of {session.tool}, {len(session.trials)} trial(s)")
            added = add_spine(session, marker_set, scaling, quiet)
        finally:
            for text in grouped_messages(str(one.message) for one in caught):
                click.secho(f"warning: {printable(text)}", fg="yellow", err=True)
    for line in (*grouped_messages(added.notes), *added.files, f"To see it: {session.to_see}.", *added.results):
        say(line)
    sys.exit(1 if added.faults else 0)


@main.command("back")
@click.argument("file", type=FILE_PATH)
@click.option("--out", type=FOLDER_PATH, help="Folder for the results.  [default: <FILE>_spine next to it]")
@click.option("--line", type=FILE_PATH, help="CSV file of the midline, if FILE is a scan (.ply) without marked points.")
@click.option(
    "--unit", type=click.Choice(["m", "dm", "cm", "mm", "in"]), help="Unit of FILE.  [default: by the back's length]"
)
@click.option(
    "--frame",
    type=click.Choice(["y_up", "z_up", "y_down"]),
    help="Axes of FILE; a scan by a depth camera: y_down.  [default: y_up, or as in FILE]",
)
@click.option("--heading", type=float, help="Direction of the face, degrees from x to the left; needed without PSIS.")
@click.option("--height", type=float, help="Height of the person, m.")
@click.option("--mass", type=float, help="Mass of the person, kg.")
def back_command(file, out, line, unit, frame, heading, height, mass):
    """Estimate the spine under a line on the back: report, table and data set.

    FILE: a CSV file with columns x, y, z (and name for C7, LPSIS, RPSIS), from C7 down; markers (.trc, .c3d); or a
    scan of the back (.ply) with the midline's points painted red. Exit code: 0, or 1 where frames were rejected.
    """
    from simspine.io.atomic import require_new, sha256_of_file, write_text
    from simspine.io.back_line import read_back_line
    from simspine.io.text_tables import json_or_empty
    from simspine.reconstruction.spine_from_back import spine_from_back
    from simspine.workflow.sessions import curvature_text

    folder = out or file.with_name(f"{file.stem}_spine")
    about = folder / "provenance.json"
    made_of = {"file": os.path.relpath(file, folder), "sha256": sha256_of_file(file)}
    if not made_of.items() <= json_or_empty(about).items():  # of another file, or of what the file was before
        for name in ("provenance.json", "report.html", "spine.h5", "spine.csv"):
            require_new(folder / name)
    back = read_back_line(file, unit, line, y_down=frame == "y_down")
    result = spine_from_back(
        back.points, c7=back.c7, psis=back.psis, height=height, mass=mass,
        heading=None if heading is None else math.radians(heading),
        rate=back.rate or 30.0, frame="y_up" if frame == "y_down" else frame or back.frame or "y_up",
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    write_text(about, json.dumps({"command": "simspine back", **made_of}))
    files = [result.save(folder / "spine.h5"), result.report(folder / "report.html")]
    say(f"{back.points.shape[0]} frame(s), a line of {back.points.shape[1]} points, read in {back.unit}")
    findings = [f"{finding.severity}: {finding.message} {finding.suggestion}" for finding in result.findings]
    for text in (*map(curvature_text, result.curvature_figures), *findings, *files):
        say(text)
    sys.exit(1 if any(finding.severity == "error" for finding in result.findings) else 0)


@main.command("warmup")
def warmup_command():
    """Compile the solvers once after installation; the first recording then starts at once."""
    from simspine.workflow.setup import compile_kernels

    say("Compiling the kernels for this processor (once; up to a minute).")
    say(f"done in {compile_kernels(say):.0f} s")


@main.command("status")
@config_option()
@click.option("-q", "--quiet", is_flag=True, help="Only unfinished work.")
def status_command(config, quiet):
    """Print what is done, running, failed, stale or still to do, and why.

    All results are compared with the checksums in their manifests, and the manifests with the present inputs, settings
    and code. Exit code: 0 if all is done, 1 if not, 2 bad input. `simspine run` does what is not done.
    """
    from simspine.workflow.jobs import STATE_DONE, stage_states, status_lines

    states = stage_states(config)
    unfinished = [state for state in states if state.kind != STATE_DONE]
    for line in status_lines(unfinished if quiet else states):
        say(line)
    sys.exit(1 if unfinished else 0)


class _Job(click.Command):
    """A command that the run's job server executes, if it exists, before this process loads anything."""

    def parse_args(self, ctx, args):
        from simspine.workflow.job_server import ask_job_server

        ask_job_server(args)
        return super().parse_args(ctx, args)


@main.command("job", hidden=True, cls=_Job)
@click.argument("name")
@config_option(argument=False)
@click.option("--subject", help="Subject of the job; none for dataset and page.")
@click.option("--trial", help="Trial of the job, for detect, markers and motion.")
def job_command(name, config, subject, trial):
    """Run one job of the workflow, several stages in one process, as the Snakefile calls it.

    NAME: capture, detect, cameras, markers, scale, motion, dataset or page. Finished work is kept.
    """
    from simspine.workflow.jobs import CAPTURE_JOB, JOBS_OF_ALL, STAGES_OF_JOB, capture_step, run_job, write_job_cost
    from simspine.workflow.up_to_date import run_task

    start_time, names = time.monotonic(), (CAPTURE_JOB, *STAGES_OF_JOB, *JOBS_OF_ALL)
    require_known("job", (name,), names)
    if name == CAPTURE_JOB:
        from simspine.cli.research import write_configured

        write_configured(config, subject=subject)
        step = capture_step(config, subject)
        run_task(step.manifest, step.task, step.stage)
    else:
        run_job(config, name, subject, trial)
    write_job_cost(config, name, subject, trial, seconds=time.monotonic() - start_time)


def _add_stage(name: str, text: str) -> None:
    @main.command(name, help=text)
    @options.stage_options
    def command(config, subject, trial, force, quiet):
        from simspine.workflow.jobs import run_stage

        run_stage(name, config, subject, trial, force=force, quiet=quiet)


main.add_command(detect_command)
_alias = copy.copy(detect_command)
_alias.hidden = True
main.add_command(_alias, "spinepose")
for _name, _text in STAGE_COMMANDS.items():
    _add_stage(_name, _text)


@main.command("report")
@config_option()
def report_command(config):
    """Write the HTML report, one file; of more than three trials, a page for each as well."""
    from simspine.workflow.jobs import run_stage, warn_if_stale
    from simspine.workflow.reporting import has_pages_of_trials, write_report_of

    if has_pages_of_trials(config):
        run_stage("page", config, subject=None, trial=None)
    say(write_report_of(config))
    warn_if_stale(config)


@main.command("summary")
@config_option()
def summary_command(config):
    """Print the main figures of the results, and the paths of the files."""
    from simspine.workflow.dataset import print_summary
    from simspine.workflow.jobs import warn_if_stale

    print_summary(config)
    warn_if_stale(config)


@main.command("init")
@click.argument("files", nargs=-1, required=True, type=FILE_PATH)
@click.option("--calibration", type=FILE_PATH, help="Videos, 2D points: calibration.")
@click.option("--marker-set", help="Marker files: their marker set.  [default: by the markers' names]")
@click.option("--out", type=FILE_PATH, show_default="configs/NAME.yaml")
@click.option("--name", default="mine", show_default=True, help="Name of the data set.")
@click.option("--subject", default="S01", show_default=True)
@click.option("--trial", help="Videos, 2D points: name of the trial.  [default: trial]")
@click.option("--rate", type=click.FloatRange(1, 10_000), help="2D points, or a session without it: frames/s.")
@click.option("--height", type=float, help="Height of the person, m.")
@click.option("--mass", type=float, help="Mass of the person, kg.")
def init_command(files, calibration, marker_set, out, name, subject, trial, rate, height, mass):
    """Write a configuration for your own FILES after checking that they fit together.

    FILES: synchronised videos of one trial, one per camera, or their folder; the trial's 2D points, one folder of JSON
    files or table (.csv of DeepLabCut, .h5 of SLEAP) per camera; marker files (.c3d, .trc), each a trial; or the folder
    of a session of another program (`simspine add-spine --help` lists them).
    """
    from simspine.workflow.setup import GivenFiles, write_new_config

    person = {key: value for key, value in (("height", height), ("mass", mass)) if value is not None}
    path = out or Path(f"configs/{name}.yaml")
    given = GivenFiles(files, calibration, trial, rate)
    say(write_new_config(given, path, name=name, subject=subject, marker_set=marker_set, person=person))


@main.command("doctor")
@config_option(needed=False)
@click.option("--schema", is_flag=True, help="Print the configuration's JSON schema and stop.")
def doctor_command(config, schema):
    """Check the installation and a configuration: what fits, what is missing.

    Without CONFIG, the first in this folder or in its configs/ is checked, if there is any. Exit code: 0 a run can
    start, 1 something is missing or does not fit, 2 the configuration cannot be read.
    """
    from simspine.workflow.config import json_schema
    from simspine.workflow.setup import examine_installation

    if schema:
        say(json.dumps(json_schema(), indent=2))
        return
    if config is None and (here := options.configs_here()):
        config = named_config(here[0])
    if not examine_installation(config):
        sys.exit(1)


for _command in (
    data.export_command,
    cameras_group,
    bench_group,
    benchmark_group,
    train_group,
    capture_group,
    data.validate_dataset_command,
    data.verify_command,
    data.check_quality_command,
    data.view_command,
    data.compare_command,
    data.overlay_command,
    annotate_command,
    annotations_group,
):
    main.add_command(_command)
