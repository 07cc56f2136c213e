"""A release's papers: what is pinned, its licences, its bill of materials, known vulnerabilities, the changelog."""

import json
import re
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tools.release.check import changelog_faults, other_bytes, version_faults, vulnerability_faults
from tools.release.licences import Licence, licences, listing, read_policy, refused
from tools.release.locked import Pinned, read_lock
from tools.release.sbom import bill, packages
from tools.release.vulnerabilities import OLDEST, read_copy, vulnerable

import simspine

ROOT = Path(__file__).parents[2]
NUMPY = Pinned("numpy", "2.1.0", ("ab" * 32,), "")
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def lock() -> tuple[Pinned, ...]:
    return read_lock(ROOT / "requirements.lock")


def record(name: str, *, versions=(), events=(), **more) -> dict:
    affected = {"package": {"ecosystem": "PyPI", "name": name}, "versions": list(versions)}
    if events:
        affected["ranges"] = [{"type": "ECOSYSTEM", "events": list(events)}]
    return {"id": "PYSEC-1", "summary": "it breaks", "modified": NOW.isoformat(), "affected": [affected]} | more


def test_every_pin_of_the_lock_is_read(lock):
    text = (ROOT / "requirements.lock").read_text()
    assert len(lock) == len(re.findall(r"^[a-z]", text, re.MULTILINE))
    assert sum(len(pin.checksums) for pin in lock) == text.count("--hash=sha256:")
    assert all(re.fullmatch("[0-9a-f]{64}", checksum) for pin in lock for checksum in pin.checksums)


def test_a_pin_without_a_checksum_is_refused(tmp_path):
    (tmp_path / "lock").write_text("numpy==2.1.0\n")
    with pytest.raises(ValueError, match=r"numpy==2\.1\.0 has no checksum"):
        read_lock(tmp_path / "lock")


def test_every_locked_package_has_a_licence_that_may_be_there(lock):
    policy = read_policy()
    found = licences(lock, policy)
    assert refused(found, policy) == []
    table = listing(found, policy)
    assert table.count("\n") == len(lock) + 2
    assert "| hypothesis |" in table
    assert "MPL-2.0 | copyleft of its own files |" in table
    assert "LGPL-2.1" in table


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("MIT",), ""),
        (("MIT OR GPL-3.0-only",), ""),  # one of them is enough
        (("MIT AND GPL-3.0-only",), "MIT AND GPL-3.0-only"),
        (("GNU General Public License v3 (GPLv3)",), "GNU General Public License v3 (GPLv3)"),
        ((), "no licence is known"),
    ],
)
def test_other_licences_are_named(words, wanted):
    policy = read_policy()
    lines = refused(licences([NUMPY], policy, lambda name: words), policy)
    assert lines == ([f"numpy 2.1.0: {wanted}"] if wanted else [])


def test_the_bill_is_cyclonedx_and_lists_all(lock):
    """Required keys and forms of CycloneDX 1.6; the same lock gives the same bill."""
    found = bill("simspine", "0.1.0", lock, [Licence("numpy", lock[0].version, "BSD-3-Clause")])
    assert (found["bomFormat"], found["specVersion"], found["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch("urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", found["serialNumber"])
    assert packages(found) == {(pin.name, pin.version) for pin in lock}
    references = [component["bom-ref"] for component in found["components"]]
    assert len(references) == len(set(references))
    assert set(found["dependencies"][0]["dependsOn"]) == set(references)
    for component in found["components"]:
        assert component["purl"] == f"pkg:pypi/{component['name']}@{component['version']}"
        assert component["hashes"]
    assert json.dumps(found) == json.dumps(
        bill("simspine", "0.1.0", lock, [Licence("numpy", lock[0].version, "BSD-3-Clause")])
    )
    assert found["serialNumber"] != bill("simspine", "0.1.0", lock[1:], ())["serialNumber"]


@pytest.mark.parametrize(
    ("events", "hit"),
    [
        ([{"introduced": "0"}], True),
        ([{"introduced": "0"}, {"fixed": "2.1.0"}], False),
        ([{"introduced": "2.0"}, {"fixed": "2.1.1"}], True),
        ([{"introduced": "0"}, {"last_affected": "2.1.0"}], True),
        ([{"introduced": "0"}, {"last_affected": "2.0.9"}], False),
        ([{"introduced": "2.2"}], False),
        ([{"introduced": "0"}, {"fixed": "1.0"}, {"introduced": "2.1"}, {"fixed": "2.2"}], True),
    ],
)
def test_versions_inside_a_range_are_vulnerable(events, hit):
    assert bool(vulnerable([NUMPY], [record("NumPy", events=events)])) == hit


def test_what_a_record_names_is_found_once():
    named = record("numpy", versions=["2.1.0"])
    assert vulnerable([NUMPY], [named, named]) == ["numpy 2.1.0: PYSEC-1 it breaks"]
    assert vulnerable([NUMPY], [record("numpy", versions=["2.1.1"]), record("scipy", versions=["2.1.0"])]) == []
    assert vulnerable([NUMPY], [named | {"withdrawn": NOW.isoformat()}]) == []


@pytest.mark.parametrize("packed", [False, True])
def test_a_copy_of_the_database_is_a_folder_or_an_archive(tmp_path, packed):
    (tmp_path / "records").mkdir()
    file = tmp_path / "records/PYSEC-1.json"
    file.write_text(json.dumps(record("numpy", versions=["2.1.0"])))
    copy = file.parent
    if packed:
        copy = tmp_path / "all.zip"
        with zipfile.ZipFile(copy, "w") as archive:
            archive.write(file, file.name)
    assert vulnerability_faults([NUMPY], copy) == ["numpy 2.1.0: PYSEC-1 it breaks"]


def test_a_check_that_was_not_made_is_a_fault(tmp_path):
    assert "NOT CHECKED" in vulnerability_faults([NUMPY], None)[0]
    assert "NOT CHECKED" in vulnerability_faults([NUMPY], tmp_path)[0]
    assert "neither a folder nor" in vulnerability_faults([NUMPY], tmp_path / "missing")[0]
    old = record("scipy", versions=["1"], modified=(NOW - timedelta(days=OLDEST + 1)).isoformat())
    (tmp_path / "old.json").write_text(json.dumps(old))
    with pytest.raises(ValueError, match=f"{OLDEST + 1} days old"):
        read_copy(tmp_path)


def test_the_changelog_has_the_version_and_nothing_unreleased():
    assert changelog_faults("# C\n\n## Unreleased\n\n## 0.2.0 (2026-01-01)\n\n- New.\n", "0.2.0") == []
    lacking = changelog_faults("# C\n\n## Unreleased\n\n- New.\n\n## 0.1.0\n\n- First.\n", "0.2.0")
    assert len(lacking) == 2
    assert "nothing under `## 0.2.0`" in lacking[0]


def test_each_file_states_the_version():
    assert version_faults(simspine.__version__, ROOT) == []
    assert version_faults("9.9.9", ROOT) == [
        "CITATION.cff lacks the line version: 9.9.9",
        'pipeline/simspine/__init__.py lacks the line __version__ = "9.9.9"',
    ]


def test_two_builds_are_compared_byte_by_byte(tmp_path):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "simspine-1-py3-none-any.whl").write_bytes(b"wheel")
    assert other_bytes(tmp_path / "a", tmp_path / "b") == []
    (tmp_path / "b/simspine-1-py3-none-any.whl").write_bytes(b"wheeL")
    (tmp_path / "a/simspine-1.tar.gz").write_bytes(b"")
    assert other_bytes(tmp_path / "a", tmp_path / "b") == ["simspine-1-py3-none-any.whl", "simspine-1.tar.gz"]
