"""The directive `citation`: how to cite the project, from CITATION.cff, the one place where that is written."""

from collections.abc import Mapping
from typing import Any

import yaml  # of the extra `site`, through myst-nb
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from experiments.study.fingerprint import ROOT
from experiments.writeup.numbers import measured_number

PATH = ROOT / "CITATION.cff"


class _Citation(SphinxDirective):
    """A line to cite in prose, and the BibTeX entry."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(PATH))
        stored = yaml.safe_load(PATH.read_text(encoding="utf-8"))
        line = nodes.paragraph("", "", measured_number("", sentence(stored)), translatable=False)
        return [line, nodes.literal_block("", bibtex(stored), language="bibtex")]


def sentence(stored: Mapping[str, Any]) -> str:
    """Returns authors, title, version and address as one line."""
    names = ", ".join(_name(author) for author in stored["authors"])
    return f"{names}. {stored['title']}. Version {stored['version']}. {stored['repository-code']}"


def bibtex(stored: Mapping[str, Any]) -> str:
    """Returns a CITATION.cff (version 1.2) of software as an entry of BibTeX, of a type that all styles know."""
    fields = {
        "author": " and ".join(f"{{{_name(author)}}}" if "name" in author else _name(author) for author in stored["authors"]),
        "title": f"{{{stored['title']}}}",
        "howpublished": rf"\url{{{stored['repository-code']}}}",
        "note": f"Version {stored['version']}",
    }
    if "date-released" in stored:
        fields["year"] = str(stored["date-released"])[:4]
    key = stored["title"].partition(":")[0]
    return "\n".join([f"@misc{{{key},", *(f"  {name} = {{{text}}}," for name, text in fields.items()), "}"])


def _name(author: Mapping[str, str]) -> str:
    """Returns an author's name: of a person family name first, as BibTeX sorts."""
    return author["name"] if "name" in author else f"{author['family-names']}, {author['given-names']}"


def setup(app: Sphinx) -> None:
    app.add_directive("citation", _Citation)
