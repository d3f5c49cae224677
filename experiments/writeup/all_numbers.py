"""The directive `all-numbers`: every measurement under its claim, by the name that a paper uses, question by question."""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from experiments.study.formatting import format_measurement, format_number
from experiments.study.measurement import Measurement
from experiments.study.results import Judged, Results
from experiments.writeup.claims import badge, said_link
from experiments.writeup.evidence import table
from experiments.writeup.numbers import filled, measured_number
from experiments.writeup.words import site_language, words

COLUMNS = ("measurement", "meaning", "value", "predicted", "seeds")
MEANING = {"en": "Unit; what it is", "zh": "单位；说明"}


class _AllNumbers(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        if not self.config.jaxnotes_out_dir:
            return []
        return [self._section(topic, measured) for topic, measured in self.env.app.jaxnotes_results.items()]

    def _section(self, topic: str, measured: Results) -> nodes.section:
        label = words(self.config) | {"meaning": MEANING[site_language(self.config)]}
        rows = [_row(judged.claim.identifier, m) for judged in measured.claims.values() for m in judged.evidence.measurements]
        numbers = table([label[name] for name in COLUMNS], rows, classes=("numbers",))
        body, place = numbers[0][-1], 0
        for judged in measured.claims.values():
            body.insert(place, self._claim(judged))
            place += 1 + len(judged.evidence.measurements)
        title = nodes.title("", topic, translatable=False)
        return nodes.section("", title, nodes.container("", numbers, classes=["scroll"]), ids=[f"numbers-{topic}"])

    def _claim(self, judged: Judged) -> nodes.row:
        """Returns a row as wide as the table: the sentence that the numbers below are for, with its verdict."""
        shown = [said_link(self.env, judged), nodes.Text(" "), badge(judged.verdict, self.config)]
        return nodes.row("", nodes.entry("", nodes.paragraph("", "", *shown), morecols=len(COLUMNS) - 1))


def _row(claim: str, m: Measurement) -> list[nodes.Node]:
    """Returns the cells of a measurement; what it is, is said in the English of the code that measures it."""
    number = lambda text: filled(text, classes=["value"])
    meaning = "; ".join(filter(None, (m.unit, m.source)))
    return [
        nodes.literal("", f"{claim}/{m.name}"),
        measured_number("", meaning, classes=["language-en"]),
        number(format_measurement(m)),
        number("–" if m.prediction is None else format_number(m.prediction)),
        measured_number("", str(m.n)),
    ]


def setup(app: Sphinx) -> None:
    app.add_directive("all-numbers", _AllNumbers)
