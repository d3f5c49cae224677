"""The directive `evidence`: all that shows a claim's verdict, from results: condition, figure, numbers, code, rule, command."""

import inspect
import pkgutil
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

from experiments.study import agreement
from experiments.study.formatting import format_measurement, format_number
from experiments.study.measurement import Fit, Measurement, Search
from experiments.study.results import Judged, figure_files
from experiments.study.rules import VERDICTS, Change
from experiments.writeup import criteria
from experiments.writeup.claims import badge, judged_claim, quoted, said_link
from experiments.writeup.folding import fold
from experiments.writeup.numbers import UnknownName, filled, measured_number
from experiments.writeup.words import site_language, words

LONG = 400  # characters of a derivation's source, above which it is folded
WIDE = 360  # points of width, above which a picture takes two columns of a paper
_SENTENCE = re.compile(r"(?<=\.) |(?<=。)")
_SIZE = re.compile(r'<svg[^>]* width="([\d.]+)pt" height="([\d.]+)pt"')


class Evidence(SphinxDirective):
    """All that shows a claim's verdict; its content is the derivation, which is folded where it is long.

    `code` names the functions that compute the claim, as `package.module.function`, one or more by space; `written-for` is the
    verdict that the prose around it explains: where the results have another, the page says so. With `figure-above` the figure
    is left out, because the page shows it at its head.
    """

    required_arguments = 1
    has_content = True
    option_spec = {
        "code": directives.unchanged_required,
        "written-for": lambda word: directives.choice(word, VERDICTS),
        "figure-above": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        derivation = self.parse_content_to_nodes()
        if not self.config.jaxnotes_out_dir:
            return derivation  # whose messages are extracted
        try:
            judged = judged_claim(self.env.app, self.arguments[0])
            code = [_code(name) for name in self.options.get("code", "").split()]
        except UnknownName as error:
            raise self.error(str(error)) from error
        label, language = words(self.config), site_language(self.config)
        found: list[nodes.Node] = [] if "figure-above" in self.options else [claim_figure(self.env, judged, language)]
        found += self._verdict(judged, label, language)
        folds = _folds(self.env.app, judged, code, label, language)
        if sum(map(len, self.content)) > LONG:
            folds.insert(0, fold(label["derivation"], *derivation))
        else:
            found += derivation
        return [nodes.container("", *found, nodes.container("", *folds, classes=["folds"]), classes=["evidence"])]

    def _verdict(self, judged: Judged, label: dict[str, str], language: str) -> list[nodes.Node]:
        """Returns what goes with the verdict: the condition or counterexample, or what is undecided about it."""
        found, judgement = [], judged.judgement
        if self.options.get("written-for", judged.verdict) != judged.verdict:
            found.append(_literal_line(label["written-for"], label[self.options["written-for"]]))
        if judgement.text:
            name = "condition" if judged.verdict == "holds-if" else "counterexample"
            found.append(quoted(f"{label[name]}{label['colon']}", judgement.text[language]))
        if judged.evidence.unconvincing:
            found.append(_literal_line(label["unconvincing"], ", ".join(judged.evidence.unconvincing)))
        if straddling := criteria.straddling(judged, language):
            found.append(nodes.paragraph("", "", nodes.strong("", label["straddling"]), *straddling))
        return found


def _folds(
    app: Sphinx, judged: Judged, code: list[nodes.literal_block], label: dict[str, str], language: str
) -> list[nodes.Node]:
    """Returns what opens on a click: numbers, published numbers, code, rule with its history and command, training."""
    claim, evidence = judged.claim, judged.evidence
    found = [fold(label["numbers"], _table(evidence.measurements, label, language))]
    if claim.published:
        found.append(fold(label["published"], published_table([judged], label, language)))
    if code:
        found.append(fold(label["code"], *code))
    rule: list[nodes.Node] = [criteria.rule(claim, language)]
    same = agreement.of_claim(app.jaxnotes_agreement, claim.identifier)
    if same is not None and len(same.verdicts) > 1:
        rule.append(nodes.paragraph("", "", measured_number("", _same(same, label))))
    command = app.jaxnotes_results[claim.topic].run.command
    rule += [_heading(label["command"]), nodes.literal_block("", command, language="console")]
    if claim.history:
        rule += [_heading(label["history"]), _history(claim.history, label, language)]
    found.append(fold(label["rule"], *rule))
    training: list[nodes.Node] = []
    if evidence.fits:
        training += [_heading(label["fits"]), _fits(evidence.fits, label)]
    if evidence.searches:
        training += [_heading(label["searches"]), _searches(evidence.searches, label)]
    if training:
        found.append(fold(label["training"], *training))
    return found


class Hero(SphinxDirective):
    """The figure of one claim at the head of its page, with the claim and its verdict under it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        if not self.config.jaxnotes_out_dir:
            return []
        try:
            judged = judged_claim(self.env.app, self.arguments[0])
        except UnknownName as error:
            raise self.error(str(error)) from error
        picture = claim_figure(self.env, judged, site_language(self.config))
        claim = nodes.paragraph("", "", said_link(self.env, judged), nodes.Text(" "), badge(judged.verdict, self.config))
        return [nodes.container("", picture, claim, classes=["hero"])]


def claim_figure(environment: BuildEnvironment, judged: Judged, language: str) -> nodes.figure:
    """The picture over its caption; a click opens it at full size, by the link that Sphinx makes of a picture with a size.

    It is loaded when in view, and has its size, since pictures without one are all in view before they are there. Who does not
    see it is told the caption's first sentence, what it draws.
    """
    uri, caption = f"/figures/{figure_files(judged.claim.identifier, 'quick')[0]}", judged.claim.caption[language]
    image = nodes.image(uri=uri, alt=first_sentence(caption), classes=["claim-figure"], loading="lazy")
    drawing = Path(environment.srcdir) / uri.lstrip("/")
    size = _SIZE.search(drawing.read_text(encoding="utf-8")) if drawing.is_file() else None  # else Sphinx says what is missing
    width, height = map(float, size.groups()) if size else (1.0, 1.0)
    if size:
        image["width"], image["height"] = (f"{points * 4 / 3:.0f}" for points in (width, height))  # in pixels
    shape, name = "wide" if width > WIDE else "narrow", judged.claim.identifier.replace(".", "-")
    return nodes.figure("", image, nodes.caption("", caption), classes=["drawn", shape], ids=[f"figure-{name}"])


def first_sentence(text: str) -> str:
    """Returns the first sentence of a text in either language."""
    return _SENTENCE.split(text)[0]


def _heading(text: str) -> nodes.paragraph:
    return nodes.paragraph("", "", nodes.strong("", text))


def _literal_line(label: str, text: str) -> nodes.paragraph:
    return nodes.paragraph("", "", nodes.strong("", label), nodes.literal("", text))


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
            filled(format_measurement(m), classes=["value"]),
            filled("–" if m.prediction is None else format_number(m.prediction), classes=["value"]),
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
        chosen = filled(f"{search.rate:.2g}")
        rows.append([nodes.literal("", name), chosen, filled(tried)])
    return nodes.container("", table([label["measurement"], label["rate"], label["rates"]], rows), classes=["scroll"])


def _fits(fits: Mapping[str, Fit], label: dict[str, str]) -> nodes.container:
    """Returns how far each network was trained: state, training accuracy, and what the last fifth of its run still brought."""
    shown = lambda value: filled("–" if value is None else format_number(value), classes=["value"])
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
        for report in judged.claim.published:
            # Where it stands and what it says in words is in English, as the source of a measurement is.
            english = language == "en"
            where = f", {report.where}; {report.setting}" if english else ""
            theirs = report.value if english or not report.theirs else "–"
            rows.append(
                [
                    nodes.literal("", f"{judged.claim.identifier}/{report.measurement}"),
                    filled(theirs, classes=[] if report.theirs else ["value"]),
                    filled(format_measurement(judged.evidence[report.measurement]), classes=["value"]),
                    measured_number("", label[judged.agreement(report)]),
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
        head = measured_number("", label["changed"].format(change.date, label[f"{change.change}-change"]))
        both = [nodes.literal("", change.before), nodes.Text(" → "), nodes.literal("", change.after), nodes.Text(label["stop"])]
        items.append(nodes.list_item("", nodes.paragraph("", "", head, *both, measured_number("", change.why[language]))))
    return nodes.bullet_list("", *items)


def table(titles: list[str], rows: list[list[nodes.Node]], classes: tuple[str, ...] = ()) -> nodes.table:
    """Returns a docutils table of inline nodes."""
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in titles), cols=len(titles))
    head = nodes.row("", *(nodes.entry("", nodes.paragraph("", "", measured_number("", title))) for title in titles))
    body = [nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in row)) for row in rows]
    group += [nodes.thead("", head), nodes.tbody("", *body)]
    return nodes.table("", group, classes=list(classes))


def setup(app: Sphinx) -> None:
    app.add_directive("evidence", Evidence)
    app.add_directive("hero", Hero)
    app.add_directive("published", PublishedNumbers)
