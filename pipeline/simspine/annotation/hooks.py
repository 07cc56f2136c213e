"""A user's own command as what trains a detector between two rounds."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable

from simspine.annotation.rounds import Hook, RoundFiles
from simspine.errors import InputError, require_known

PLACES = ("labels", "images", "out", "recording", "round")
_PLACE = re.compile(r"\{(\w*)\}")


def command_hook(template: str, source: str, say: Callable[[str], None]) -> Hook:
    """A hook that runs a command without a shell: `python learn.py {labels} --images {images} --out {out}`.

    template: split into words as a shell would; then each `{…}` of `PLACES` is filled in, so that a name with a space
    or a semicolon stays one word. source: what `{recording}` stands for. Raises `InputError` for other names in braces
    and for a template without {out}; the hook for a command that cannot be started or fails.
    """
    try:
        words = shlex.split(template)
    except ValueError as error:
        raise InputError(f"--hook {template!r}: {error}.") from None
    found = [name for word in words for name in _PLACE.findall(word)]
    require_known("place", found, PLACES, "--hook")
    if "out" not in found:
        raise InputError(f"--hook {template!r}: no {{out}} in it; the detector's points are looked for there.")

    def run(files: RoundFiles) -> str:
        shutil.rmtree(files.out, ignore_errors=True)  # what a hook that failed has left is not another's
        files.out.mkdir(parents=True)
        filled = {
            "labels": files.labels,
            "images": files.images,
            "out": files.out,
            "recording": source,
            "round": files.number,
        }
        command = [_PLACE.sub(lambda match: str(filled[match[1]]), word) for word in words]
        say(shlex.join(command))
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
        except OSError as error:
            raise InputError(f"--hook: {command[0]} cannot be started ({error.strerror or error}).") from None
        if done.returncode:
            raise InputError(
                f"--hook: {shlex.join(command)} ended with {done.returncode}. Mend it and run the same command again; "
                "what was corrected and exported stays."
            )
        return shlex.join(command)

    return run
