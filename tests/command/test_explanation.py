"""A kind of finding, explained in the terminal."""

import io

import pytest
from rich.console import Console

from jaxnotes import diagnosis
from jaxnotes.command import explanation


@pytest.mark.parametrize("kind", diagnosis.KINDS)
def test_all_that_is_known_is_printed_and_the_example_can_be_copied(kind):
    text = io.StringIO()
    described = diagnosis.describe(kind)
    explanation.show(Console(file=text, width=60, color_system=None), described)
    shown = text.getvalue()
    assert shown.startswith(f"{kind}\n") and described.example in shown
    words = " ".join(shown.split())
    assert all(part in words for part in (described.what, described.why, described.fix, described.limits, described.sources))
    assert all(claim in words for claim in described.claims)
    assert all(f"{name} = " in words for name in described.thresholds)
