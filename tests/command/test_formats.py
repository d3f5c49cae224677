"""Findings for other programs: GitHub's escapes, SARIF's required fields, and the place in the user's own file."""

import json

import pytest

from jaxnotes import diagnosis
from jaxnotes.command import formats, inputs

PLACE = inputs.Place("models/a b.py", 7)


@pytest.fixture
def findings():
    remedy = diagnosis.Remedy("use 50% fewer layers", "less depth")
    sure = diagnosis.Finding("vanishing-gradient", ("Dense_0", "Dense_1"), "10^-9", ("causes.depth",), (remedy,))
    unsure = diagnosis.Finding("targets", (), "one class", (), (remedy,), hint=True, source="a rule")
    return diagnosis.Findings([sure, unsure], ("vanishing", "targets"))


def test_an_annotation_is_one_line_with_its_escapes(findings):
    error, notice = formats.github(findings, inputs.Place("models/a,b:c.py", 7)).splitlines()
    assert error.startswith(
        "::error file=models/a%2Cb%3Ac.py,line=7,title=jaxnotes vanishing-gradient::vanishing-gradient: Dense_0"
    )
    assert "%0A  evidence: 10^-9%0A" in error and "use 50%25 fewer layers" in error
    assert notice.startswith("::notice file=") and "title=jaxnotes targets (hint)::" in notice
    assert formats.github(diagnosis.Findings(), PLACE) == ""


def test_sarif_has_what_its_schema_requires(findings):
    log = json.loads(formats.sarif(findings, PLACE, "1.2"))
    assert set(log) == {"$schema", "version", "runs"} and log["version"] == "2.1.0"  # required: version, runs
    (run,) = log["runs"]  # required: tool
    driver = run["tool"]["driver"]  # required: name
    assert driver["name"] == "jaxnotes-diagnose" and driver["version"] == "1.2"
    assert [rule["id"] for rule in driver["rules"]] == list(diagnosis.KINDS)  # required: id
    assert all(rule[field]["text"] for rule in driver["rules"] for field in ("shortDescription", "fullDescription", "help"))
    first, second = run["results"]
    assert first["message"]["text"] == str(findings[0])  # required: message
    assert [result["level"] for result in run["results"]] == ["error", "note"]
    assert all(driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])
    (place,) = first["locations"]
    assert place["physicalLocation"] == {"artifactLocation": {"uri": "models/a%20b.py"}, "region": {"startLine": 7}}
    assert [entry["fullyQualifiedName"] for entry in place["logicalLocations"]] == ["Dense_0", "Dense_1"]
    assert "logicalLocations" not in second["locations"][0]


def test_a_file_outside_the_working_directory_is_absolute(findings, tmp_path):
    log = json.loads(formats.sarif(findings, inputs.Place(str(tmp_path / "m.py"), 1), "1"))
    uri = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == (tmp_path / "m.py").as_uri()


def test_the_place_is_the_line_of_the_function(tmp_path):
    (tmp_path / "m.py").write_text("import math\n\n\ndef build():\n    pass\n\nfrom math import sin\n")
    assert inputs.place(f"{tmp_path / 'm.py'}:build") == (str(tmp_path / "m.py"), 4)
    assert inputs.place(f"{tmp_path / 'm.py'}:sin").line == 1
