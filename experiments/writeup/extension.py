"""The Sphinx extension of the writeup: results read once a build, and the roles, directives and checks that use them."""

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

from experiments import results, rules, topics
from experiments.writeup import charts, claims, digits, evidence, fonts, mathml, numbers, overview, search, slimming, spoken

TUTORIALS = "tutorials"


def setup(app: Sphinx) -> dict:
    """Entry point that Sphinx calls."""
    app.add_config_value("jaxnotes_out_dir", "", "env", str)
    app.connect("config-inited", _leave_out, priority=900)
    app.connect("builder-inited", _load)
    app.connect("autodoc-process-docstring", _as_text, priority=400)  # before napoleon adds marks of its own
    for part in (numbers, claims, evidence, charts, overview, spoken, mathml, fonts, search, slimming, digits):
        part.setup(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True, "version": "1"}


def _leave_out(app: Sphinx, config: Config) -> None:
    """Pages of topics without all their results; and in Chinese the reference, whose docstrings are English."""
    if not config.jaxnotes_out_dir:
        return
    out_dir = Path(config.jaxnotes_out_dir)
    absent = [topic for topic in topics.TOPICS if not _is_complete(out_dir, topic)]
    config.exclude_patterns += [page for topic in absent for page in (f"{topic}.md", f"{TUTORIALS}/{topic}.md")]
    if config.language != "en":
        config.exclude_patterns.append("api")
    if absent or config.language != "en":
        config.suppress_warnings += ["toc.excluded", "toc.not_readable", "ref.ref", "ref.doc", "myst.xref_missing"]


def _is_complete(out_dir: Path, topic: str) -> bool:
    """Whether all claims of a topic were measured; without an optional data package some are not."""
    measured = results.load(out_dir, topic)
    return measured is not None and all(
        c in measured.claims for c, claim in rules.load_claims().items() if claim.topic == topic
    )


def _load(app: Sphinx) -> None:
    out_dir = Path(app.config.jaxnotes_out_dir)
    found = {topic: results.load(out_dir, topic) for topic in topics.TOPICS}
    app.jaxnotes_results = {topic: measured for topic, measured in found.items() if measured is not None}


def _as_text(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Docstrings write |x| and [batch, *spatial] as mathematics has them; reStructuredText would read marks of its own."""
    lines[:] = [re.sub(r"([*|])(?=[^`]*(?:`[^`]*`[^`]*)*$)", r"\\\1", line) for line in lines]
