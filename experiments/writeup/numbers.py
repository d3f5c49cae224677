"""Roles that put measured numbers into text: a name that results do not have fails the build.

`` {number}`causes.vanish/slope-tanh` `` gives value and interval, `` {value}`…` `` the value alone, `` {predicted}`…` `` the
prediction, `` {setting}`causes/depth` `` a setting of the run.
"""

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

from experiments.study.formatting import format_measurement, format_number
from experiments.study.measurement import Measurement

# Before a digit: at the front of a number, or of its exponent.
_MINUS = re.compile(r"(?<![A-Za-z0-9-])-(?=\.?\d|inf)|(?<=\de)-(?=\d)")


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
        return [measured_number(self.rawtext, typographic(text), classes=["measured"])], []


def _setting(app: Sphinx, name: str) -> str:
    topic, _, setting = name.partition("/")
    settings = app.jaxnotes_results[topic].run.settings if topic in app.jaxnotes_results else {}
    if setting not in settings:
        raise UnknownName(f"the page asks for the setting {name!r}; there are {sorted(settings)}")
    value = settings[setting]
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _predicted(app: Sphinx, name: str) -> str:
    prediction = find(app, name).prediction
    if prediction is None:
        raise UnknownName(f"the page asks for the prediction of {name!r}, which has none")
    return format_number(prediction, 3)


ROLES = {
    "number": lambda app, name: format_measurement(find(app, name)),
    "value": lambda app, name: format_number(find(app, name).value, 3),
    "predicted": _predicted,
    "setting": _setting,
}


def setup(app: Sphinx) -> None:
    for name, show in ROLES.items():
        app.add_role(name, _Number(show))
    passing = (lambda self, node: self.visit_inline(node), lambda self, node: self.depart_inline(node))
    app.add_node(measured_number, html=passing, text=(lambda self, node: None, lambda self, node: None))
