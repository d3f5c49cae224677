"""What opens on a click: folds, and cards with a question whose answer is hidden."""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from experiments.writeup.words import words


class folded(nodes.General, nodes.Element):  # noqa: N801, docutils names its nodes so
    """What opens on a click; `summary` is what shows before."""


def fold(summary: str, *content: nodes.Node) -> folded:
    """Returns what opens on a click, behind a summary."""
    return folded("", *content, summary=summary)


class card(nodes.General, nodes.Element):  # noqa: N801, docutils names its nodes so
    """A question with its answer."""


class Card(SphinxDirective):
    """A question, its first paragraph, behind which the answer opens on a click."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        return [card("", *self.parse_content_to_nodes())]


class More(SphinxDirective):
    """What a reader can do without at first, folded."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        return [fold(words(self.config)["more"], *self.parse_content_to_nodes())]


def _visit(translator, node: folded) -> None:
    translator.body.append(f"<details><summary>{translator.encode(node['summary'])}</summary>\n")


def _depart(translator, node: folded) -> None:
    translator.body.append("</details>\n")


def _visit_card(translator, node: card) -> None:
    """The question as the summary, without the paragraph that it is in the source."""
    translator.body.append('<details class="question"><summary>')
    for part in node.pop(0).children:
        part.walkabout(translator)
    translator.body.append("</summary>\n")


def setup(app: Sphinx) -> None:
    silent = (lambda self, node: None, lambda self, node: None)
    app.add_node(folded, html=(_visit, _depart), text=silent)
    app.add_node(card, html=(_visit_card, _depart), text=silent)
    app.add_directive("card", Card)
    app.add_directive("more", More)
