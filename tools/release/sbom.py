"""The software bill of materials: every locked package as CycloneDX 1.6 JSON."""

import hashlib
import uuid
from collections.abc import Iterable, Mapping

from tools.release.licences import Licence
from tools.release.locked import Pinned


def bill(name: str, version: str, pins: Iterable[Pinned], licences: Iterable[Licence]) -> dict:
    """CycloneDX 1.6 as a tree for JSON. Equal locks give equal bills: the serial number is made of the content.

    name, version: of what is released. Components are by package URL, with the SHA-256 of every file that may be
    installed and, where it does not go everywhere, with the marker as a property.
    """
    pins = tuple(pins)
    known = {(licence.package, licence.version): licence.expression for licence in licences}
    components = [_component(pin, known.get((pin.name, pin.version), "")) for pin in pins]
    root = f"pkg:pypi/{name}@{version}"
    digest = hashlib.sha256(repr((root, pins)).encode()).digest()
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=4)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": name,
                "version": version,
                "purl": root,
                "licenses": [{"license": {"id": "BSD-3-Clause"}}],
            }
        },
        "components": components,
        "dependencies": [{"ref": root, "dependsOn": [component["bom-ref"] for component in components]}],
    }


def _component(pin: Pinned, licence: str) -> dict:
    url = f"pkg:pypi/{pin.name}@{pin.version}"
    found: dict = {"type": "library", "bom-ref": url, "name": pin.name, "version": pin.version, "purl": url}
    if licence:
        found["licenses"] = [{"expression": licence}]
    found["hashes"] = [{"alg": "SHA-256", "content": checksum} for checksum in pin.checksums]
    if pin.marker:
        found["properties"] = [{"name": "python:marker", "value": pin.marker}]
    return found


def packages(found: Mapping) -> set[tuple[str, str]]:
    """(name, version) of all components of a bill."""
    return {(component["name"], component["version"]) for component in found["components"]}
