"""The directive `spoken`: the spoken answers of every page on one sheet, taken from the pages after their translation.

MyST's `include` would take them from the sources, so that each answer would have to be translated twice.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from experiments.study.topics import TOPICS

SHORT, LONG = "in-thirty-seconds", "say-it-aloud"  # the identifiers of the sections on every page, in either language


class spoken(nodes.General, nodes.Element):  # noqa: N801, docutils names its nodes so
    """Stands where the answers will."""


class _Spoken(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        return [spoken()]


def _fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for place in list(doctree.findall(spoken)):
        place.replace_self([section for topic in TOPICS if topic in app.env.found_docs for section in _answers(app, topic)])


def _answers(app: Sphinx, topic: str) -> list[nodes.section]:
    page = app.env.get_doctree(topic)
    short, kept = (_copy(page, topic, anchor) for anchor in (SHORT, LONG))
    next(kept.findall(nodes.title)).replace_self(next(page.findall(nodes.title)).deepcopy())
    kept.insert(1, short)
    page.children = []
    page += kept
    app.env.apply_post_transforms(page, topic)  # its links are right on the sheet too: both lie in one folder
    return [kept]


def _copy(page: nodes.document, topic: str, anchor: str) -> nodes.section:
    """Returns a copy of a section: Sphinx translates originals, which have an identifier, and no copies."""
    found = [section for section in page.findall(nodes.section) if any(name.endswith(anchor) for name in section["ids"])]
    if len(found) != 1:
        raise ValueError(f"page {topic} has {len(found)} sections with the label ({topic}-{anchor})=; it needs one")
    return found[0].deepcopy()


def setup(app: Sphinx) -> None:
    app.add_node(spoken)
    app.add_directive("spoken", _Spoken)
    app.connect("doctree-resolved", _fill, priority=400)  # before the check of digits
