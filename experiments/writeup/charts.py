"""The directive `chart`: an interactive figure by Vega-Lite, its script bundled, and a still picture without it."""

import functools
import importlib
import importlib.util
import json
from collections.abc import Mapping

import vl_convert
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from experiments.study import topics
from experiments.study.figures.charts import Interactive
from experiments.writeup.words import site_language, words


@functools.cache
def all_charts() -> Mapping[str, tuple[str, Interactive]]:
    """Returns (topic, interactive figure) by name, of every topic's `charts` where it has such a file."""
    found = {}
    for topic in topics.TOPICS:
        if importlib.util.find_spec(f"experiments.{topic}.charts") is not None:
            charts = importlib.import_module(f"experiments.{topic}.charts").CHARTS
            found |= {name: (topic, interactive) for name, interactive in charts.items()}
    return found


class chart(nodes.General, nodes.Element):  # noqa: N801, docutils names its nodes so
    """An interactive figure: its name, its specification as JSON, its title and its note."""


class _Chart(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        if name not in all_charts():
            raise self.error(f"there is no chart {name!r}; choose one of {', '.join(all_charts())}")
        topic, interactive = all_charts()[name]
        if not self.config.jaxnotes_out_dir or topic not in self.env.app.jaxnotes_results:
            return []
        language = site_language(self.config)
        specification = interactive.draw(self.env.app.jaxnotes_results[topic], language).to_dict()
        title = interactive.title[language]
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
