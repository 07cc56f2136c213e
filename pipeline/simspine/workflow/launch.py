"""The whole workflow by one command, from any folder: Snakemake with simspine's Snakefile, as a child process.

The child is `python -m simspine.workflow.launch`: Snakemake's own command with two changes. `--state FOLDER`, before
all else, names a folder for its working state. Jobs on other machines need that state in `.snakemake`, where it stays.

Snakemake's own limit of jobs a second is left out: with 700 jobs it costs half a core.
"""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from simspine.core.errors import InputError
from simspine.core.settings import data_folder
from simspine.workflow import jobs
from simspine.workflow.config import Config, read_config
from simspine.workflow.inputs import check_inputs, progress_bar
from simspine.workflow.job_server import job_server
from simspine.workflow.up_to_date import hold_lock

PATIENCE_S = 10.0  # a run that was killed takes some seconds to end its jobs
SNAKEMAKE_RATE_LIMIT = (100, 1)  # jobs, s
RESUME_HINT = "What is done is kept; the same command continues from there."
LAST_LINES_SHOWN = 8  # last lines of Snakemake's log in the error, where it names no failed job
STEPS_LINE = re.compile(r"(\d+) of (\d+) steps")
OTHER_SETTINGS = ("--config", "-C", "--configfile", "--configfiles")
FAILED_RULE_LINE = re.compile(r"Error in rule ([^\s:]+)")


def run_workflow(
    config: Path, cores: int, options: Sequence[str] = (), dry_run: bool = False, quiet: bool = False
) -> None:
    """Run all stages of a configuration's subjects that are not done yet; their manifests decide which those are.

    config: a configuration file; relative paths in it count from the working directory. options: for Snakemake.
    dry_run: only print what would be done. A bar shows the steps done and the time left, without `quiet`. Snakemake's
    messages go to `<results>/logs/run.log`. Without work to do it is not started. `InputError` for a faulty
    configuration, another run on the same results, a stage that fails, or results that are not up to date at the end.
    """
    refuse_other_settings([option for option in options if option.split("=")[0] in OTHER_SETTINGS], [config])
    settings = read_config(config)
    check_inputs(settings)
    results = Path(settings.results)
    jobs.check_results(settings)
    jobs.check_same_recordings(settings, config)
    words = ["--snakefile", str(data_folder("configs").parent / "Snakefile"), "--configfile", str(config)]
    words += ["--cores", str(cores), "--rerun-incomplete", "--workflow-profile", "none"]  # no profile of the folder
    if dry_run:
        with TemporaryDirectory() as folder:
            if subprocess.run([*_snakemake(Path(folder)), *words, "--dry-run", *options], check=False).returncode:
                raise InputError("the workflow cannot be planned; Snakemake says above why.")
        return
    command = [*_snakemake(results / jobs.STATE), *words, *options]
    with hold_lock(results / ".lock", f"another run is at work on {results}", PATIENCE_S) as lock:
        jobs.prepare_results(results, config)
        shutil.rmtree(results / jobs.STATE, ignore_errors=True)  # of a run that was killed
        unfinished = _unfinished(settings, partly=False)
        if not options and not unfinished:
            return
        jobs.warn_of_replaced(unfinished, results)
        (results / "logs").mkdir(exist_ok=True)
        (results / "logs/run.log").unlink(missing_ok=True)  # it may be a hard link
        with open(results / "logs/run.log", "x", encoding="utf-8") as log:
            try:
                code, failed = _follow_output([*command, *(("--nolock",) if lock else ())], log, lock, quiet)
            except KeyboardInterrupt:
                print(f"stopped. {RESUME_HINT} Log: {log.name}", file=sys.stderr)
                sys.exit(128 + signal.SIGINT)
        if code:
            raise InputError(f"{_failure_error(failed, Path(log.name))}. {RESUME_HINT} Log: {log.name}")
        shutil.rmtree(results / jobs.STATE, ignore_errors=True)
        if left := _unfinished(read_config(config), partly=bool(options)):  # the configuration as it is now
            text = "the run is through, but not all of its results are up to date:"
            raise InputError("\n".join([text, *jobs.status_lines(left), RESUME_HINT]))


def run_here(config: Path) -> None:
    """Run all stages of a small configuration in this process, so that no module is loaded twice."""
    settings = read_config(config)
    check_inputs(settings)
    results = Path(settings.results)
    jobs.check_results(settings)
    jobs.check_same_recordings(settings, config)
    with hold_lock(results / ".lock", f"another run is at work on {results}", PATIENCE_S):
        jobs.prepare_results(results, config)
        for job, subject, trial in jobs.all_jobs(settings):
            jobs.run_job(settings, job, subject, trial)


def refuse_other_settings(changes: Collection[str], files: Sequence[str | Path]) -> None:
    """`InputError` where Snakemake was given settings that the configuration file does not hold."""
    if changes or len(files) > 1:
        other = next(iter(changes), files[-1])
        advice = f"change {files[0]}, or give another file"
        raise InputError(f"{other}: the configuration file alone says what is run, for later commands too; {advice}.")


def _unfinished(config: Config, partly: bool) -> list[jobs.StageState]:
    """States of stages that are not done; partly: only of those that are stale or waiting."""
    doubtful, states = (jobs.STATE_STALE, jobs.STATE_WAITING), jobs.stage_states(config)
    return [s for s in states if s.kind != jobs.STATE_DONE and (not partly or s.kind in doubtful)]


def _snakemake(state: Path) -> list[str]:
    """The command of Snakemake with a folder for its state. No module of the working directory is imported (-P)."""
    return [sys.executable, "-P", "-m", "simspine.workflow.launch", "--state", str(state)]


def _failure_error(failed: Sequence[str], log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace")
    if failed:
        killed = f"exit status {128 + signal.SIGKILL}" in text
        why = ": ended by the system (SIGKILL), as it does where memory runs out" if killed else ""
        causes = re.findall("^error: (.*?)[.]?$", text, re.MULTILINE)  # of a quiet run; another one has printed them
        why = "".join(f": {cause}" for cause in causes[:1]) or why
        return f"job {', '.join(dict.fromkeys(failed))} failed{why}"
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(["the workflow failed", *lines[-LAST_LINES_SHOWN:]])


def _follow_output(
    command: Sequence[str], log: IO[str], lock: tuple[int, ...], quiet: bool = False
) -> tuple[int, list[str]]:
    """Run Snakemake, show the output of the stages, log its own messages. Returns exit code and failed rules."""
    commands = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = os.environ | {"PATH": commands, "PYTHONSAFEPATH": "1"}
    failed: list[str] = []
    with progress_bar("steps", quiet) as progress:

        def message(line: str) -> None:
            with suppress(OSError):  # a full disk: go on reading, or Snakemake would wait forever
                log.write(line)
                log.flush()
            if found := STEPS_LINE.search(line):
                progress(int(found[1]), int(found[2]))
            if found := FAILED_RULE_LINE.search(line):
                failed.append(found[1])

        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
            env=environment, pass_fds=lock,
            preexec_fn=partial(_end_with_parent, os.getpid()) if sys.platform == "linux" else None,
        ) as child:  # fmt: skip
            assert child.stdout is not None
            assert child.stderr is not None
            reader = threading.Thread(target=_each_line, args=(child.stderr, message))
            reader.start()
            try:
                _each_line(child.stdout, message if quiet else partial(print, end="", flush=True))
                reader.join()
            except KeyboardInterrupt:  # by ctrl-C, the child got the signal, too, and ends its jobs in order
                with suppress(KeyboardInterrupt, subprocess.TimeoutExpired):  # a second interrupt ends the waiting
                    child.wait(PATIENCE_S)
                child.kill()
                child.wait()
                raise
    return child.returncode, failed


def _end_with_parent(parent: int) -> None:
    """Ask Linux to kill this process when its parent was killed (prctl, PR_SET_PDEATHSIG); its jobs may go on."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _each_line(stream: IO[str], use: Callable[[str], None]) -> None:
    for line in stream:
        use(line)


def run_snakemake(words: Sequence[str]) -> int:
    """Exit code of `snakemake words…`. A limit of jobs a second other than Snakemake's own default is kept."""
    from snakemake import cli, workflow
    from snakemake.exceptions import print_exception
    from snakemake.logging import LoggerManager

    try:
        state = None
        if words[:1] == ["--state"]:
            state, words = Path(words[1]), words[2:]
        parser, args = cli.parse_args(words)
        limit = args.max_jobs_per_timespan
        if limit is not None and (limit.max_jobs, limit.timespan) == SNAKEMAKE_RATE_LIMIT:
            args.max_jobs_per_timespan = None
        if state is None or args.executor not in (None, "local") or args.software_deployment_method:
            return 0 if cli.args_to_api(args, parser) else 1
        folder, persistence = state.absolute(), workflow.FilePersistence
        workflow.FilePersistence = lambda **options: persistence(**options | {"path": folder})
        workflow.Workflow.source_cache_path = folder / "source-cache"  # the home folder may not be writable
        LoggerManager.setup_logfile = lambda *_, **__: None  # the parent process keeps the log
        with nullcontext() if args.dryrun else job_server():
            return 0 if cli.args_to_api(args, parser) else 1
    except Exception as error:
        print_exception(error)
        return 1


if __name__ == "__main__":
    sys.exit(run_snakemake(sys.argv[1:]))
