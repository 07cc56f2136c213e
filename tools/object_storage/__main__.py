"""`simspine run --storage` against a server of object storage on this machine.

    python -m tools.object_storage

Puts the packaged recording into a bucket, runs the demonstration from there and into it, and compares all results byte
by byte with those of a run in a folder. Needs snakemake-storage-plugin-s3 and moto[server], a server for tests that
keeps objects in memory; says what is missing and does nothing else without them. Leaves nothing behind. Exit code 0 if
the results are equal (or it was skipped), 1 if not.
"""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from tools.cluster.__main__ import say

from simspine.core.settings import data_folder
from simspine.io.video import demo_folder, find_project
from simspine.workflow.bench_faults import result_checksums

NEEDED = {"snakemake_storage_plugin_s3": "snakemake-storage-plugin-s3", "moto": "moto[server]"}
BUCKET, CONFIG = "recordings", "set.yaml"
KEY = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}  # moto takes any
PATIENCE_S = 60.0
RESULTS = "results/demo"  # as the demonstration's configuration says


@contextmanager
def server() -> Iterator[str]:
    """The address of a server with an empty bucket."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + PATIENCE_S
            while socket.socket().connect_ex(("127.0.0.1", port)) and time.monotonic() < end:
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def write_project(folder: Path) -> list[Path]:
    """The demonstration with its files named one by one, below `folder`; returns these."""
    found = find_project(demo_folder("Demo_SinglePerson"))
    content = yaml.safe_load((data_folder("configs") / "demo.yaml").read_text(encoding="utf-8"))
    trial = content["subjects"]["S01"]["trials"]["balance"]
    del trial["folder"]
    trial["videos"] = [f"recording/{video.name}" for video in found.videos]
    trial["calibration"] = f"recording/{found.calibration.name}"
    (folder / "recording").mkdir(parents=True)
    for file in (*found.videos, found.calibration):
        (folder / "recording" / file.name).symlink_to(file.resolve())
    (folder / CONFIG).write_text(yaml.safe_dump(content), encoding="utf-8")
    return sorted((folder / "recording").iterdir())


def run(folder: Path, *options: str) -> int:
    """Exit code of `simspine run`."""
    command = [sys.executable, "-m", "simspine", "run", CONFIG, "--cores", "2", *options]
    return subprocess.run(command, cwd=folder, check=False).returncode


def main() -> int:
    missing = [name for module, name in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        print(f"skipped: pip install {' '.join(missing)}")
        return 0
    import boto3

    os.environ |= KEY
    with tempfile.TemporaryDirectory() as place, server() as address:
        alone, stored = Path(place) / "alone", Path(place) / "stored"
        bucket = boto3.resource("s3", endpoint_url=address, region_name="us-east-1").create_bucket(Bucket=BUCKET)
        for file in write_project(alone):
            bucket.upload_file(str(file), f"recording/{file.name}")
        stored.mkdir()
        shutil.copy(alone / CONFIG, stored)
        say("the recording is in the bucket")
        code = run(stored, "--storage", f"s3://{BUCKET}", "--", "--storage-s3-endpoint-url", address)
        say(f"the run from the bucket ended with {code}")
        if code or run(alone):
            return 1
        fetched = Path(place) / "fetched"
        for item in bucket.objects.filter(Prefix=f"{RESULTS}/"):
            (fetched / item.key).parent.mkdir(parents=True, exist_ok=True)
            bucket.download_file(item.key, str(fetched / item.key))
        there, here = result_checksums(fetched / RESULTS), result_checksums(alone / RESULTS)
        here = {name: found for name, found in here.items() if not name.endswith(".lock")}
        wrong = sorted(name for name in here if there.get(name) != here[name])
        say(f"{len(here)} files, {len(wrong)} of them are not so in the bucket")
        print("".join(f"          {name}\n" for name in wrong), end="")
        return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
