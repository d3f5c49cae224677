"""A diagnosis for the terminal, as a page and as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path

import jinja2
from rich.console import Console
from rich.table import Table

from experiments.study import figures, files, results, rules, topics
from jaxnotes.diagnosis import Findings, Verified
from jaxnotes.probe import Report

TEMPLATE = Path(__file__).with_name("diagnosis.html")
NARROW = (0, 3, 5, 6, 7, 8, 11, 12)  # the columns that a terminal of 80 characters holds


def verdicts(out_dir: Path) -> dict[str, str]:
    """Verdicts of the notes' claims that were measured in this folder, by identifier."""
    found, claims = {}, rules.load_claims()
    for topic in topics.TOPICS:
        measured = results.load(out_dir, topic)
        if measured is not None:
            found |= {
                claim: rules.judge(claims[claim], evidence.measurements).verdict for claim, evidence in measured.claims.items()
            }
    return found


def show(console: Console, report: Report, findings: Findings, verified: Sequence[Verified], out_dir: Path) -> None:
    """Prints the table of layers, then the findings with their remedies."""
    wide = console.width >= 150 or not console.is_terminal
    if not console.is_terminal:
        console = Console(width=200)  # a file or a pipe: no line is broken
    head, *body = report.rows() if wide else [[row[i] for i in NARROW] for row in report.rows()]
    table = Table(
        *head, title=f"{report.framework} model, {report.examples} examples, loss {report.loss:.4g}", title_justify="left"
    )
    for row in body:
        table.add_row(*row)
    console.print(table)
    known = verdicts(out_dir)
    for note in report.notes:
        console.print(f"note: {note}", markup=False, highlight=False)
    if not findings:
        console.print("[green]no findings[/green]: the readings are those of a healthy model")
    for found in findings:
        console.print(str(found), markup=False, highlight=False)
        judged = [f"{claim} {known[claim]}" for claim in found.claims if claim in known]
        if judged:
            console.print(f"  verdicts: {', '.join(judged)}", markup=False, highlight=False)
    for entry in verified:
        console.print(str(entry), markup=False, highlight=False)


def write(out_dir: Path, report: Report, findings: Findings, verified: Sequence[Verified], command: str) -> tuple[Path, Path]:
    """Writes diagnosis.html with the figure inside, diagnosis.json and the figure's files; returns the first two paths."""
    drawn = figures.profile(report)
    pictures = {suffix: figures.render(drawn, suffix) for suffix in results.FIGURE_FORMATS}
    for suffix, content in pictures.items():
        files.write_bytes(out_dir / "figures" / f"diagnosis.{suffix}", content)
    svg = pictures["svg"].decode()
    template = jinja2.Environment(autoescape=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    page = template.render(
        report=report,
        findings=findings,
        verified=[str(entry) for entry in verified],
        figure=svg[svg.index("<svg") :],
        rows=report.rows(),
        statements={claim: entry.statement["en"] for claim, entry in rules.load_claims().items()},
        verdicts=verdicts(out_dir),
        command=command,
    )
    document = {
        "schema": 1,
        "command": command,
        "report": report.as_dict(),
        "findings": [found.as_dict() for found in findings],
        "verified": [entry.as_dict() for entry in verified],
    }
    html_path, json_path = out_dir / "diagnosis.html", out_dir / "diagnosis.json"
    files.write_text(html_path, page)
    files.write_text(json_path, json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return html_path, json_path
