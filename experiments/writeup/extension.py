"""The Sphinx extension of the writeup: results read once a build, and the roles, directives and checks that use them."""

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config

from experiments.study import agreement, results, rules, topics
from experiments.writeup import (
    all_numbers,
    charts,
    citation,
    claims,
    digits,
    evidence,
    folding,
    front,
    kinds,
    mathml,
    numbers,
    overview,
    peers,
    policy,
    search,
    slimming,
    spoken,
)

TUTORIALS = "tutorials"


def setup(app: Sphinx) -> dict:
    """Entry point that Sphinx calls."""
    app.add_config_value("jaxnotes_out_dir", "", "env", str)
    app.connect("config-inited", _load, priority=900)
    app.connect("autodoc-process-docstring", _as_text, priority=400)  # before napoleon adds marks of its own
    for part in (
        numbers,
        all_numbers,
        citation,
        claims,
        evidence,
        folding,
        charts,
        front,
        overview,
        spoken,
        kinds,
        peers,
        mathml,
        search,
        slimming,
        digits,
        policy,
    ):
        part.setup(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True, "version": "1"}


def _load(app: Sphinx, config: Config) -> None:
    """Reads results and claims, and leaves out the pages that cannot be.

    These are the pages of topics without all their results, which an optional data package may keep back; and in Chinese the
    reference, whose docstrings are English. Without a folder of results only messages are extracted, from all pages.
    """
    app.jaxnotes_claims = rules.load_claims()
    app.jaxnotes_agreement = agreement.read()
    app.jaxnotes_results = {}
    if not config.jaxnotes_out_dir:
        return
    found = {topic: results.load(Path(config.jaxnotes_out_dir), topic) for topic in topics.TOPICS}
    app.jaxnotes_results = {topic: measured for topic, measured in found.items() if measured is not None}
    known = {claim for measured in app.jaxnotes_results.values() for claim in measured.claims}
    absent = sorted({claim.topic for name, claim in app.jaxnotes_claims.items() if name not in known})
    config.exclude_patterns += [page for topic in absent for page in (f"{topic}.md", f"{TUTORIALS}/{topic}.md")]
    if config.language != "en":
        config.exclude_patterns.append("api")
    if absent or config.language != "en":
        config.suppress_warnings += ["toc.excluded", "toc.not_readable", "ref.ref", "ref.doc", "myst.xref_missing"]


def _as_text(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Docstrings write |x| and [batch, *spatial] as mathematics has them; reStructuredText would read marks of its own."""
    code_or_mark = re.compile(r"`[^`]*`|^ *>>>.*$|[*|]", re.MULTILINE)
    escaped = code_or_mark.sub(lambda found: rf"\{found[0]}" if found[0] in "*|" else found[0], "\n".join(lines))
    lines[:] = escaped.split("\n")
