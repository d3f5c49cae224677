"""Rules and criteria in the page's language: a measurement's name as code, what is asked of it in words."""

from docutils import nodes

from experiments.study.formatting import format_measurement
from experiments.study.results import Judged
from experiments.study.rules import Claim, parse
from experiments.writeup.numbers import filled

# Rules in words: what stands before and after the value of a criterion, `{}` for a tolerance.
TERMS = {
    "en": {
        "above": ("is above ", ""),
        "below": ("is below ", ""),
        "equals": ("equals ", ""),
        "within": ("is within {} of ", ""),
        "prediction": " its prediction",
        "holds": "Holds when ",
        "holds-if": "Holds under the condition when ",
        "fails": "Fails when ",
        "undecided": "Undecided otherwise.",
        "and": "; ",
        "stop": ".",
        "measured": " (measured {})",
    },
    "zh": {
        "above": ("高于 ", ""),
        "below": ("低于 ", ""),
        "equals": ("等于 ", ""),
        "within": ("与 ", " 相差不超过 {}"),
        "prediction": "预测值",
        "holds": "成立：",
        "holds-if": "有条件成立：",
        "fails": "不成立：",
        "undecided": "其余情形：无法判定。",
        "and": "；",
        "stop": "。",
        "measured": "（测得 {}）",
    },
}


def criterion(text: str, language: str) -> list[nodes.Node]:
    """Returns `NAME above VALUE` as its name, the words of the relation and its value."""
    match, terms = parse(text), TERMS[language]
    relation = match["relation"] or "within"
    before, after = (part.format(match["tolerance"]) for part in terms[relation])
    value = match["value"]
    if value == "prediction":  # which brings the space that its language wants
        before, after, shown = before.rstrip(), after.lstrip(), nodes.Text(terms[value])
    else:
        shown = filled(value) if value.lstrip("-")[0].isdigit() else nodes.literal("", value)
    return [nodes.literal("", match["name"]), filled(f" {before}"), shown, filled(after)]


def rule(claim: Claim, language: str) -> nodes.bullet_list:
    """Returns a line for each verdict with its criteria, and when the claim is undecided."""
    terms, items = TERMS[language], []
    for verdict, listed in claim.criteria.items():
        line: list[nodes.Node] = [nodes.Text(terms[verdict])]
        for i, text in enumerate(listed):
            line += [nodes.Text(terms["and"])] * bool(i) + criterion(text, language)
        items.append(nodes.list_item("", nodes.paragraph("", "", *line, nodes.Text(terms["stop"]))))
    return nodes.bullet_list("", *items, nodes.list_item("", nodes.paragraph("", terms["undecided"])))


def straddling(judged: Judged, language: str) -> list[nodes.Node]:
    """Returns the criteria that the sample leaves open, each with the interval that straddles its bound; else nothing."""
    terms, found = TERMS[language], []
    for text, outcome in judged.judgement.outcomes.items():
        if outcome == "undecided":
            measurement = judged.evidence[parse(text)["name"]]
            interval = filled(terms["measured"].format(format_measurement(measurement)))
            found += [nodes.Text(terms["and"])] * bool(found) + [*criterion(text, language), interval]
    return found
