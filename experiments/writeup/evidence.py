"""The directive `evidence`: all that shows a claim's verdict, from results: condition, figure, numbers, code, rule, command."""

import inspect
import pkgutil
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from experiments.study import agreement
from experiments.study.formatting import format_measurement, format_number
from experiments.study.measurement import Fit, Measurement, Search
from experiments.study.results import Judged, figure_files
from experiments.study.rules import VERDICTS, Change, decide
from experiments.writeup.claims import judged_claim, quoted
from experiments.writeup.numbers import UnknownName, measured_number, typographic
from experiments.writeup.words import site_language, words

_SIZE = re.compile(r'<svg[^>]* width="([\d.]+)pt" height="([\d.]+)pt"')


class Evidence(SphinxDirective):
    """All that shows a claim's verdict.

    `code` names the functions that compute the claim, as `package.module.function`, one or more by space; `written-for` is the
    verdict that the prose around it explains: where the results have another, the page says so.
    """

    required_arguments = 1
    option_spec = {"code": directives.unchanged_required, "written-for": lambda word: directives.choice(word, VERDICTS)}

    def run(self) -> list[nodes.Node]:
        identifier, app = self.arguments[0], self.env.app
        if not self.config.jaxnotes_out_dir:
            return []
        try:
            judged = judged_claim(app, identifier)
            source = {name: _code(name) for name in self.options.get("code", "").split()}
        except UnknownName as error:
            raise self.error(str(error)) from error
        label, language = words(self.config), site_language(self.config)
        claim, judgement = judged.claim, judged.judgement
        run = app.jaxnotes_results[claim.topic].run
        found: list[nodes.Node] = []
        if self.options.get("written-for", judged.verdict) != judged.verdict:
            found.append(_literal_line(label["written-for"], label[self.options["written-for"]]))
        if judgement.text:
            name = "condition" if judged.verdict == "holds-if" else "counterexample"
            found.append(quoted(f"{label[name]}{label['colon']}", judgement.text[language]))
        if judged.evidence.unconvincing:
            found.append(_literal_line(label["unconvincing"], ", ".join(judged.evidence.unconvincing)))
        undecided = [criterion for criterion, outcome in judgement.outcomes.items() if outcome == "undecided"]
        if undecided:
            found.append(_literal_line(label["straddling"], "; ".join(undecided)))
        found.append(_figure(Path(self.env.srcdir), identifier, f"{label['figure']}: {claim.statement[language]}"))
        found.append(_folded(label["numbers"], _table(judged.evidence.measurements, label, language)))
        if claim.published:
            found.append(_folded(label["published"], published_table([judged], label, language)))
        found += [_folded(f"{label['code']}: {name.rpartition('.')[2]}", block) for name, block in source.items()]
        command = nodes.literal_block("", run.command, language="console")
        found.append(_folded(label["rule"], nodes.paragraph("", "", nodes.literal("", claim.rule))))
        same = agreement.of_claim(app.jaxnotes_agreement, identifier)
        if same is not None and len(same.verdicts) > 1:
            found.append(nodes.paragraph("", "", measured_number("", _same(same, label))))
        if judged.evidence.fits:
            found.append(_folded(label["fits"], _fits(judged.evidence.fits, label)))
        if judged.evidence.searches:
            found.append(_folded(label["searches"], _searches(judged.evidence.searches, label)))
        if claim.history:
            found.append(_folded(label["history"], _history(claim.history, label, language)))
        found.append(_folded(label["command"], command))
        return [nodes.container("", *found, classes=["evidence"])]


class folded(nodes.General, nodes.Element):  # noqa: N801, docutils names its nodes so
    """What opens on a click; `summary` is what shows before."""


def _folded(summary: str, *content: nodes.Node) -> folded:
    return folded("", *content, summary=summary)


def _figure(source: Path, identifier: str, alternative: str) -> nodes.image:
    """The picture, loaded when in view; with its size, since pictures without one are all in view before they are there."""
    uri = f"/figures/{figure_files(identifier, 'quick')[0]}"
    image = nodes.image(uri=uri, alt=alternative, classes=["claim-figure"], loading="lazy")
    drawing = source / uri.lstrip("/")
    size = _SIZE.search(drawing.read_text(encoding="utf-8")) if drawing.is_file() else None  # else Sphinx says what is missing
    if size:
        image["width"], image["height"] = (f"{float(points) * 4 / 3:.0f}" for points in size.groups())  # in pixels
    return image


def _literal_line(label: str, text: str) -> nodes.paragraph:
    return nodes.paragraph("", "", nodes.strong("", label), nodes.Text(" "), nodes.literal("", text))


def _code(name: str) -> nodes.literal_block:
    """Returns the source of a function of this project, as it runs."""
    try:
        text = inspect.getsource(pkgutil.resolve_name(name))
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UnknownName(f"the page asks for the code of {name!r}: {error}") from error
    return nodes.literal_block("", f"# {name}\n{text}", language="python")


def _table(measurements: tuple[Measurement, ...], label: dict[str, str], language: str) -> nodes.container:
    """Name, value, prediction, unit and seeds; where each comes from is said in English only, the language of its code."""
    titles = [label[name] for name in ("measurement", "value", "predicted", "seeds")]
    rows = [
        [
            nodes.literal("", m.name),
            measured_number("", typographic(format_measurement(m)), classes=["value"]),
            measured_number("", "–" if m.prediction is None else typographic(format_number(m.prediction)), classes=["value"]),
            measured_number("", str(m.n)),
        ]
        for m in measurements
    ]
    if language == "en":
        titles.append(label["source"])
        for row, m in zip(rows, measurements, strict=True):
            row.append(measured_number("", "; ".join(filter(None, (m.unit, m.source)))))
    return nodes.container("", table(titles, rows), classes=["scroll"])


def _searches(searches: Mapping[str, Search], label: dict[str, str]) -> nodes.container:
    """Returns a table of the learning rates: what was trained, the rate chosen, all rates tried with their mean scores."""
    rows = []
    for name, search in searches.items():
        means = (sum(scores) / len(scores) for scores in search.scores)
        tried = ", ".join(f"{rate:.2g}: {mean:.3g}" for rate, mean in zip(search.rates, means, strict=True))
        chosen = measured_number("", typographic(f"{search.rate:.2g}"))
        rows.append([nodes.literal("", name), chosen, measured_number("", typographic(tried))])
    return nodes.container("", table([label["measurement"], label["rate"], label["rates"]], rows), classes=["scroll"])


def _fits(fits: Mapping[str, Fit], label: dict[str, str]) -> nodes.container:
    """Returns how far each network was trained: state, training accuracy, and what the last fifth of its run still brought."""
    shown = lambda value: measured_number("", "–" if value is None else typographic(format_number(value)), classes=["value"])
    rows = []
    for name, fit in fits.items():
        state = measured_number("", label[f"state-{fit.state}"])
        rows.append([nodes.literal("", name), state, shown(fit.train_accuracy), shown(fit.remaining)])
    titles = [label[name] for name in ("measurement", "state", "train-accuracy", "remaining")]
    return nodes.container("", table(titles, rows), classes=["scroll"])


def _same(same: agreement.Agreement, label: dict[str, str]) -> str:
    return label["same"].format(*same.seeds, *same.arithmetics)


def published_table(found: Sequence[Judged], label: dict[str, str], language: str) -> nodes.container:
    """Returns what papers report for measurements of some claims: theirs, ours, whether they agree, where it stands."""
    titles = [label[name] for name in ("measurement", "theirs", "ours", "agrees", "source", "checked")]
    rows = []
    for judged in found:
        by_name = {m.name: m for m in judged.evidence.measurements}
        for report in judged.claim.published:
            # Where it stands and what it says in words is in English, as the source of a measurement is.
            english = language == "en"
            where = f", {report.where}; {report.setting}" if english else ""
            theirs = report.value if english or not report.theirs else "–"
            rows.append(
                [
                    nodes.literal("", f"{judged.claim.identifier}/{report.measurement}"),
                    measured_number("", typographic(theirs), classes=[] if report.theirs else ["value"]),
                    measured_number("", typographic(format_measurement(by_name[report.measurement])), classes=["value"]),
                    measured_number("", label[decide(report.criterion, by_name)]),
                    measured_number("", f"{report.source}{where}"),
                    measured_number("", label[report.checked]),
                ]
            )
    return nodes.container("", table(titles, rows), classes=["scroll", "published"])


class PublishedNumbers(SphinxDirective):
    """All published numbers of all claims in one table."""

    def run(self) -> list[nodes.Node]:
        if not self.config.jaxnotes_out_dir:
            return []
        found = [judged for measured in self.env.app.jaxnotes_results.values() for judged in measured.claims.values()]
        return [published_table(found, words(self.config), site_language(self.config))]


def _history(history: Sequence[Change], label: dict[str, str], language: str) -> nodes.bullet_list:
    """Returns each change with its date, what was before and after, and why."""
    items = []
    for change in history:
        head = measured_number("", f"{change.date}, {label[f'{change.change}-change']}: ")
        both = [nodes.literal("", change.before), nodes.Text(" → "), nodes.literal("", change.after), nodes.Text(". ")]
        items.append(nodes.list_item("", nodes.paragraph("", "", head, *both, measured_number("", change.why[language]))))
    return nodes.bullet_list("", *items)


def table(titles: list[str], rows: list[list[nodes.Node]], classes: tuple[str, ...] = ()) -> nodes.table:
    """Returns a docutils table of inline nodes."""
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in titles), cols=len(titles))
    head = nodes.row("", *(nodes.entry("", nodes.paragraph("", "", measured_number("", title))) for title in titles))
    body = [nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in row)) for row in rows]
    group += [nodes.thead("", head), nodes.tbody("", *body)]
    return nodes.table("", group, classes=list(classes))


def _visit(translator, node: folded) -> None:
    translator.body.append(f"<details><summary>{translator.encode(node['summary'])}</summary>\n")


def _depart(translator, node: folded) -> None:
    translator.body.append("</details>\n")


def setup(app: Sphinx) -> None:
    app.add_node(folded, html=(_visit, _depart), text=(lambda self, node: None, lambda self, node: None))
    app.add_directive("evidence", Evidence)
    app.add_directive("published", PublishedNumbers)
