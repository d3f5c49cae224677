"""The directive `chart`: an interactive figure by Vega-Lite, its script bundled, and a still picture without it."""

import json

import vl_convert
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from experiments.writeup.chart_specs import CHARTS
from experiments.writeup.words import language, words


class chart(nodes.General, nodes.Element):  # noqa: N801, docutils names its nodes so
    """An interactive figure: its name, its specification as JSON, its title and its note."""


class _Chart(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        if name not in CHARTS:
            raise self.error(f"there is no chart {name!r}; choose one of {', '.join(CHARTS)}")
        if not self.config.jaxnotes_out_dir or CHARTS[name].topic not in self.env.app.jaxnotes_results:
            return []
        of_language = language(self.config)
        specification = CHARTS[name].draw(self.env.app.jaxnotes_results, of_language).to_dict()
        title = CHARTS[name].title[of_language]
        return [chart(name=name, specification=specification, title=title, note=words(self.config)["static"])]


def _visit(translator, node: chart) -> None:
    """The picture in the page, the specification beside it as data: a script then draws in the picture's place."""
    picture = vl_convert.vegalite_to_svg(node["specification"])
    data = json.dumps(node["specification"], ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    title = translator.encode(node["title"])
    translator.body.append(
        f'<figure class="chart" id="chart-{node["name"]}" aria-label="{title}"><figcaption>{title}</figcaption>'
        f'<div class="chart-picture" role="img" aria-label="{title}">{picture}</div><div class="chart-live" hidden></div>'
        f'<script type="application/json" class="chart-data">{data}</script>'
        f"<noscript><p>{translator.encode(node['note'])}</p></noscript></figure>\n"
    )
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    app.add_node(chart, html=(_visit, None), text=(lambda self, node: None, lambda self, node: None))
    app.add_directive("chart", _Chart)
