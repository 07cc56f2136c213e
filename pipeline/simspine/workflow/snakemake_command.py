"""Snakemake's own command, without the limit of jobs a second that it sets itself: `python -m …snakemake_command`.

With a limit (100/1s where none is given) Snakemake 9.27 goes through all waiting jobs again a second after each time it
did, and each job that ends begins such a series of its own: with 700 jobs that is half a core after 400 of them.
"""

import sys
from collections.abc import Sequence

from snakemake.cli import args_to_api, parse_args
from snakemake.exceptions import print_exception

OWN_LIMIT = (100, 1)  # jobs, s


def main(words: Sequence[str]) -> int:
    """Exit code of `snakemake words…`. A limit in the words or in a profile is kept, if it is another."""
    try:
        parser, args = parse_args(words)
        limit = args.max_jobs_per_timespan
        if limit is not None and (limit.max_jobs, limit.timespan) == OWN_LIMIT:
            args.max_jobs_per_timespan = None
        return 0 if args_to_api(args, parser) else 1
    except Exception as error:
        print_exception(error)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
