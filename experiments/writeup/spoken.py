"""The directive `spoken`: the spoken answers of every page on one sheet, taken from the pages after their translation.

MyST's `include` would take them from the sources, so that each answer would have to be translated twice.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from experiments.study.topics import TOPICS

ANCHOR = "say-it-aloud"  # the identifier of the section on every page, in either language


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
    found = [section for section in page.findall(nodes.section) if any(ANCHOR in name for name in section["ids"])]
    if len(found) != 1:
        raise ValueError(f"page {topic} has {len(found)} sections with the label ({topic}-{ANCHOR})=; it needs one")
    title = next(page.findall(nodes.title))
    kept = found[0].deepcopy()  # Sphinx translates originals, which have an identifier, and no copies
    next(kept.findall(nodes.title)).replace_self(title.deepcopy())
    page.children = []
    page += kept
    app.env.apply_post_transforms(page, topic)  # its links are right on the sheet too: both lie in one folder
    return [kept]


def setup(app: Sphinx) -> None:
    app.add_node(spoken)
    app.add_directive("spoken", _Spoken)
    app.connect("doctree-resolved", _fill, priority=400)  # before the check of digits
