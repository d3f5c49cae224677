"""The check that no page states a number of its own: digits come from results, formulas, years, citations or code."""

import re
from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from experiments.writeup.numbers import measured_number

logger = logging.getLogger(__name__)

_YEAR = re.compile(r"(?<![\d.])(19|20)\d\d(?![\d.]\d)")
# Formulas, code, pictures, references, and what the build itself filled in.
_FREE = (
    nodes.math, nodes.math_block, nodes.literal, nodes.literal_block, nodes.image, nodes.reference, nodes.citation,
    nodes.citation_reference, nodes.footnote_reference, nodes.raw, nodes.comment, nodes.target, nodes.label, measured_number,
)  # fmt: skip
_FREE_PAGES = ("references", "genindex")
_FREE_FOLDERS = ("api/", "kinds/")  # the library's own texts, whose numbers are of theory and of their examples


def typed(document: nodes.Node) -> Iterator[str]:
    """Texts of a page that hold a number which was typed."""
    for text in document.findall(nodes.Text):
        parent = text.parent
        while parent is not None and not _is_free(parent):
            parent = parent.parent
        if parent is None and re.search(r"\d", _YEAR.sub("", text.astext())):
            yield text.astext()


def _is_free(node: nodes.Node) -> bool:
    return isinstance(node, _FREE) or "cell_output" in node.get("classes", ()) or "bibtex" in type(node).__module__


def _check(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    if docname in _FREE_PAGES or docname.startswith(_FREE_FOLDERS):
        return
    for text in typed(doctree):
        logger.warning(
            "a number is typed, not measured: %r; use {number}, {value}, {setting} or a formula", text, location=docname
        )


def setup(app: Sphinx) -> None:
    app.connect("doctree-resolved", _check)
