"""A diagnosis for the terminal, as a page and as JSON."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import jinja2
import matplotlib
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jaxnotes.command import files, style
from jaxnotes.command.profile import profile
from jaxnotes.diagnosis import Findings, Verified, describe
from jaxnotes.diagnosis._finding import listed
from jaxnotes.probe import Report

TEMPLATE = Path(__file__).with_name("report.html")
NARROW = (0, 3, 5, 6, 7, 8, 11, 12)  # the columns that a terminal of 80 characters holds


class Notes(NamedTuple):
    """What is known of the claims that findings name, and of their kinds.

    Attributes:
      statements: claim -> what it says.
      verdicts: claim -> whether measurement bears it out.
      pages: kind of finding -> address of its page, seen from the report.
    """

    statements: Mapping[str, str]
    verdicts: Mapping[str, str]
    pages: Mapping[str, str] = MappingProxyType({})


NO_NOTES = Notes({}, {})


def show(console: Console, report: Report, findings: Findings, verified: Sequence[Verified], notes: Notes = NO_NOTES) -> None:
    """Prints the table of layers, then the findings with their remedies."""
    wide = console.width >= 150 or not console.is_terminal
    if not console.is_terminal:
        console = Console(width=200)  # a file or a pipe: no line is broken
    head, *body = report.rows() if wide else [[row[i] for i in NARROW] for row in report.rows()]
    table = Table(
        *head, title=f"{report.framework} model, {report.examples} examples, loss {report.loss:.4g}", title_justify="left"
    )
    for row in body:
        table.add_row(*map(Text, row))  # names are no marks
    console.print(table)
    for note in report.notes:
        console.print(f"note: {note}", markup=False, highlight=False)
    if not findings:
        console.print(findings.summary, markup=False, highlight=False)
    for found in findings:
        console.print(str(found), markup=False, highlight=False)
        judged = [f"{claim} {notes.verdicts[claim]}" for claim in found.claims if claim in notes.verdicts]
        if judged:
            console.print(f"  verdicts: {', '.join(judged)}", markup=False, highlight=False)
    for entry in verified:
        console.print(str(entry), markup=False, highlight=False)


def write(
    out_dir: Path,
    report: Report,
    findings: Findings,
    verified: Sequence[Verified],
    command: str,
    notes: Notes = NO_NOTES,
) -> tuple[Path, Path]:
    """Writes diagnosis.html with the figure inside, diagnosis.json and the figure's files; returns the first two paths."""
    with matplotlib.rc_context(style.PARAMETERS):
        drawn = profile(report)
        pictures = {suffix: style.render(drawn, suffix) for suffix in style.FORMATS}
        stacked = style.render(profile(report, stacked=True), "svg")
    for suffix, content in pictures.items():
        files.write_bytes(out_dir / "figures" / f"diagnosis.{suffix}", content)
    html_path, json_path = out_dir / "diagnosis.html", out_dir / "diagnosis.json"
    page = _page(report, findings, verified, command, notes, pictures["svg"].decode(), base64.b64encode(stacked).decode())
    files.write_text(html_path, page)
    files.write_text(json_path, numbers(report, findings, verified, command) + "\n")
    return html_path, json_path


def numbers(report: Report, findings: Findings, verified: Sequence[Verified], command: str) -> str:
    """Returns all numbers as a JSON document: what diagnosis.json holds and --format=json prints."""
    document = {
        "schema": 1,
        "command": command,
        "report": report.as_dict(),
        "checks": list(findings.checks),
        "ignored": list(findings.ignored),
        "findings": [found.as_dict() for found in findings],
        "verified": [entry.as_dict() for entry in verified],
    }
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)


def _page(
    report: Report,
    findings: Findings,
    verified: Sequence[Verified],
    command: str,
    notes: Notes,
    picture: str,
    stacked: str,
) -> str:
    template = jinja2.Environment(autoescape=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        report=report,
        findings=findings,
        kinds={found.kind: describe(found.kind) for found in findings},
        pages=notes.pages,
        verified=verified,
        listed=listed,
        figure=picture[picture.index("<svg") :],
        stacked=stacked,
        rows=report.rows(),
        narrow=NARROW,
        statements=notes.statements,
        verdicts=notes.verdicts,
        command=command,
    )
