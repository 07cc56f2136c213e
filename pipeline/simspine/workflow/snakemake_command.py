"""Snakemake's own command, with two things changed: `python -m simspine.workflow.snakemake_command`.

Its working state can be kept in a folder that is named (`--state FOLDER`, before all else), not in `.snakemake` where
the command is started. Jobs that go to other machines or environments look for it there, so for these it stays.

The limit of jobs a second that it sets itself is left out.

With a limit (100/1s where none is given) Snakemake 9.27 goes through all waiting jobs again a second after each time it
did, and each job that ends begins such a series of its own: with 700 jobs that is half a core after 400 of them.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from snakemake.cli import args_to_api, parse_args
from snakemake.exceptions import print_exception
from snakemake.logging import LoggerManager

SNAKEMAKE_RATE_LIMIT = (100, 1)  # jobs, s


def run_snakemake(words: Sequence[str]) -> int:
    """Exit code of `snakemake words…`. A limit in the words or in a profile is kept, if it is another."""
    try:
        state = None
        if words[:1] == ["--state"]:
            state, words = Path(words[1]), words[2:]
        parser, args = parse_args(words)
        limit = args.max_jobs_per_timespan
        if limit is not None and (limit.max_jobs, limit.timespan) == SNAKEMAKE_RATE_LIMIT:
            args.max_jobs_per_timespan = None
        if state is not None and args.executor in (None, "local") and not args.software_deployment_method:
            _keep_state_in(state.absolute())
        return 0 if args_to_api(args, parser) else 1
    except Exception as error:
        print_exception(error)
        return 1


def _keep_state_in(folder: Path) -> None:
    from snakemake import workflow  # imports the command line, which must be there first

    persistence = workflow.FilePersistence

    def kept(**options):
        return persistence(**options | {"path": folder})

    workflow.FilePersistence = kept
    LoggerManager.setup_logfile = lambda *_, **__: None  # what it says is kept by whoever started it


if __name__ == "__main__":
    sys.exit(run_snakemake(sys.argv[1:]))
