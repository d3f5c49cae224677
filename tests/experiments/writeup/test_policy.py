"""The pages' content security policy: the scripts that may run are those that stand in the page, by their digests."""

import pytest

from experiments.writeup import policy

PAGE = """<html><head>
    <meta charset="utf-8" />
    <script>alert('Hello, world.');</script>
    <script src="_static/a.js"></script>
    <script type="application/json">{"a": 1}</script>
</head></html>"""


def test_a_page_names_its_inline_scripts_and_loads_from_the_site_alone():
    """The script and its digest are the example of the specification, Content Security Policy Level 3."""
    made = policy.with_policy(PAGE)
    rules = dict(rule.split(" ", 1) for rule in made.partition('content="')[2].partition('"')[0].split("; "))
    assert rules["script-src"] == "'self' 'unsafe-eval' 'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"
    assert rules["default-src"] == rules["base-uri"] == "'none'"
    assert not any(word in made for word in ("http:", "https:", "*"))
    assert made.index("Content-Security-Policy") < made.index("<script")


def test_a_page_without_the_usual_head_is_refused():
    with pytest.raises(ValueError, match="no '<meta charset"):
        policy.with_policy("<p>")
