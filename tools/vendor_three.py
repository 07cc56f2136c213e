"""Make `pipeline/simspine/report/player/three.js`: three.js, cut down to what the player's own scripts use.

    python -m tools.vendor_three

Needs npm and its registry. The packed release must have the checksum below; esbuild leaves out what the player does not
use. The result and its SHA-256 are committed, so users need neither. To take another release, change `VERSION` and
`SHA512`, run this, and look at the player.
"""

import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from simspine.core.errors import InputError

VERSION = "0.187.0"
SHA512 = (
    "422bbb47e0a687c0acb59b18d6e24e4969d595fa3b66d34b57b985f0996d9372"
    "c1dc0b43bbd71166572744a90093c638cfa28ac37e73ed8ed4addee3598f1eb4"
)
ESBUILD = "0.28.2"
PLAYER = Path(__file__).parents[1] / "pipeline/simspine/report/player"
LIBRARY = PLAYER / "three.js"
CHECKSUM = PLAYER / "three.js.sha256"


def used_names(folder: Path = PLAYER / "script") -> list[str]:
    """What the scripts take from the library, in alphabetical order."""
    scripts = (path.read_text(encoding="utf-8") for path in folder.glob("*.js"))
    return sorted({name for script in scripts for name in re.findall(r"\bTHREE\.(\w+)", script)})


def release(folder: Path) -> Path:
    """three's package, unpacked into `folder`. Raises `InputError` where it is not the file expected."""
    subprocess.run(["npm", "pack", f"three@{VERSION}", "--silent"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    packed = folder / f"three-{VERSION}.tgz"
    found = hashlib.sha512(packed.read_bytes()).hexdigest()
    if found != SHA512:
        raise InputError(
            f"three {VERSION} from npm has SHA-512 {found}, expected {SHA512}. Find out why before you use it."
        )
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def build(package: Path) -> str:
    """A script that defines the global `THREE`; its licence stands at the top."""
    entry = package / "entry.js"
    entry.write_text(f"export {{ {', '.join(used_names())} }} from './build/three.module.js';\n", encoding="utf-8")
    command = ["npx", "--yes", f"esbuild@{ESBUILD}", entry.name, "--bundle", "--minify", "--format=iife"]
    command += ["--global-name=THREE", "--target=es2020", "--charset=ascii", "--legal-comments=none"]
    command += ["--supported:template-literal=false"]  # shaders are templates of many lines: one line for all
    script = subprocess.run(command, cwd=package, check=True, capture_output=True, text=True, encoding="utf-8").stdout
    licence = (package / "LICENSE").read_text(encoding="utf-8").strip()
    return f"/* three.js {VERSION}, the parts that simspine's player uses\n\n{licence}\n*/\n{script}"


def main() -> None:
    """Write the library and its checksum."""
    with tempfile.TemporaryDirectory() as folder:
        script = build(release(Path(folder)))
    LIBRARY.write_text(script, encoding="utf-8", newline="\n")
    checksum = hashlib.sha256(LIBRARY.read_bytes()).hexdigest()
    CHECKSUM.write_text(f"{checksum}  {LIBRARY.name}\n", encoding="utf-8", newline="\n")
    sys.stdout.write(f"{LIBRARY}: {LIBRARY.stat().st_size} bytes, SHA-256 {checksum}\n")


if __name__ == "__main__":
    main()
