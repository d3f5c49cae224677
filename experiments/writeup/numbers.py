"""Roles that put measured numbers into text: a name that results do not have fails the build.

`` {number}`causes.vanish/slope-tanh` `` gives value and interval, `` {value}`…` `` the value alone, `` {predicted}`…` `` the
prediction, `` {setting}`causes/depth` `` a setting of the run; `` {change}`…` `` and the other forms of `phrases` are words.
"""

import re
from collections.abc import Callable

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

from experiments.study import phrases
from experiments.study.formatting import format_number
from experiments.study.mathematics import FORMULA
from experiments.study.measurement import Measurement
from experiments.writeup.words import site_language

# Before a digit: at the front of a number, or of its exponent.
_MINUS = re.compile(r"(?<![A-Za-z0-9-])-(?=\.?\d|inf)|(?<=\de)-(?=\d)")
_POWER = re.compile(r"((?<=[\d.])e|\b10\^)(−?[\d.]*\d)(?!\w)")  # 1.2e−5 and 10^−5
_ONE = re.compile(r"(?<![\w.])1e(?=−?\d+(?!\w))")  # 1e−12 is 10^−12


class measured_number(nodes.inline):  # noqa: N801, docutils names its nodes so
    """A number that comes from results; the check of digits passes over it."""


class UnknownName(ValueError):
    """A page names a measurement or setting that the results do not have."""


def find(app: Sphinx, name: str) -> Measurement:
    """Returns the measurement `claim/name`.

    Raises:
      UnknownName: there is none; the message lists those of the claim.
    """
    claim, _, measurement = name.partition("/")
    topic = claim.partition(".")[0]
    measured = app.jaxnotes_results.get(topic)
    if measured is None or claim not in measured.claims:
        raise UnknownName(f"the page asks for {name!r}, and the results have no claim {claim!r}")
    try:
        return measured.claims[claim].evidence[measurement]
    except KeyError as error:
        raise UnknownName(f"the page asks for {name!r}: {error.args[0]}") from None


def typographic(text: str) -> str:
    """Returns a text whose numbers have a true minus, as print has it; the hyphens of its names and words stay."""
    return _MINUS.sub("−", text)


def typeset(text: str) -> list[nodes.Node]:
    """Returns a text as print has it: formulas between dollars set, numbers with a true minus, `1.2e-5` as a power of ten."""
    found: list[nodes.Node] = []
    for i, part in enumerate(FORMULA.split(text)):
        if i % 2:
            found.append(nodes.math(part, part, classes=["linear"]))
            continue
        words, *powers = _POWER.split(_ONE.sub("10^", typographic(part)))
        found.append(nodes.Text(words))
        for mark, power, after in zip(powers[::3], powers[1::3], powers[2::3], strict=True):
            found += [nodes.Text("10" if mark == "10^" else " × 10"), nodes.superscript("", power), nodes.Text(after)]
    return found


def filled(text: str, **attributes) -> measured_number:
    """Returns a text that the build itself filled in, typeset."""
    return measured_number("", "", *typeset(text), **attributes)


class _Number(SphinxRole):
    def __init__(self, show) -> None:
        self.show = show

    def run(self):
        if not self.config.jaxnotes_out_dir:  # messages are extracted, which hold the role and not its number
            return [measured_number(self.rawtext, self.text)], []
        try:
            text = self.show(self.env.app, self.text)
        except UnknownName as error:
            # Sphinx turns warnings into a failed build; going on shows all wrong names at once.
            return [], [self.inliner.reporter.error(str(error), line=self.lineno)]
        return [filled(text, classes=["measured"])], []


def _setting(app: Sphinx, name: str) -> str:
    topic, _, setting = name.partition("/")
    settings = app.jaxnotes_results[topic].run.settings if topic in app.jaxnotes_results else {}
    if setting not in settings:
        raise UnknownName(f"the page asks for the setting {name!r}; there are {sorted(settings)}")
    return phrases.setting(settings[setting], site_language(app.config))


def _predicted(app: Sphinx, name: str) -> str:
    prediction = find(app, name).prediction
    if prediction is None:
        raise UnknownName(f"the page asks for the prediction of {name!r}, which has none")
    return format_number(prediction, 3)


def _phrase(form: str) -> Callable[[Sphinx, str], str]:
    return lambda app, name: phrases.phrase(find(app, name), form, site_language(app.config))


ROLES = {
    **{form: _phrase(form) for form in phrases.FORMS},
    "value": lambda app, name: format_number(find(app, name).value, 3),
    "predicted": _predicted,
    "setting": _setting,
}


def setup(app: Sphinx) -> None:
    for name, show in ROLES.items():
        app.add_role(name, _Number(show))
    passing = (lambda self, node: self.visit_inline(node), lambda self, node: self.depart_inline(node))
    app.add_node(measured_number, html=passing, text=(lambda self, node: None, lambda self, node: None))
