"""Findings for other programs: as GitHub annotations and as SARIF 2.1.0, each at the line of the user's own file."""

import json
import os
import urllib.parse
from pathlib import Path

from jaxnotes import diagnosis
from jaxnotes.command.inputs import Place
from jaxnotes.diagnosis import Finding, Findings

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def github(findings: Findings, place: Place) -> str:
    """Returns one workflow command per finding, which GitHub shows at the line in a pull request; a hint is a notice.

    Line breaks, and in properties colons and commas, are percent-encoded, as GitHub asks for.
    """
    return "\n".join(_annotation(found, place) for found in findings)


def _annotation(found: Finding, place: Place) -> str:
    level = "notice" if found.hint else "error"
    properties = {"file": Path(place.path).as_posix(), "line": str(place.line), "title": f"jaxnotes {found.title}"}
    written = ",".join(f"{name}={_escaped(text, ':,')}" for name, text in properties.items())
    return f"::{level} {written}::{_escaped(str(found))}"


def _escaped(text: str, further: str = "") -> str:
    """Returns the text with %, line breaks and further characters as percent and two hexadecimal digits."""
    return "".join(f"%{ord(letter):02X}" if letter in "%\r\n" + further else letter for letter in text)


def sarif(findings: Findings, place: Place, version: str) -> str:
    """Returns a SARIF 2.1.0 log (OASIS standard) of one run: a rule for each kind, a result for each finding.

    Layers are logical locations. The path is relative to the working directory where the file lies below it.
    """
    kinds = list(diagnosis.KINDS)
    driver = {"name": "jaxnotes-diagnose", "version": version, "rules": [_rule(kind) for kind in kinds]}
    results = [_result(found, kinds.index(found.kind), place) for found in findings]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1, ensure_ascii=False)


def _rule(kind: str) -> dict:
    described = diagnosis.describe(kind)
    return {
        "id": kind,
        "shortDescription": {"text": described.what},
        "fullDescription": {"text": described.why},
        "help": {"text": f"{described.fix}\nNot seen: {described.limits}"},
    }


def _result(found: Finding, rule: int, place: Place) -> dict:
    location: dict = {
        "physicalLocation": {"artifactLocation": {"uri": _uri(place.path)}, "region": {"startLine": place.line}},
    }
    if found.layers:
        location["logicalLocations"] = [{"fullyQualifiedName": layer, "kind": "member"} for layer in found.layers]
    return {
        "ruleId": found.kind,
        "ruleIndex": rule,
        "level": "note" if found.hint else "error",
        "message": {"text": str(found)},
        "locations": [location],
    }


def _uri(path: str) -> str:
    """Returns a relative reference for a file below the working directory, else an absolute file URI."""
    relative = os.path.relpath(path)
    if relative.startswith(os.pardir):
        return Path(path).resolve().as_uri()
    return urllib.parse.quote(Path(relative).as_posix())
