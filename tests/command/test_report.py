"""What is shown of a diagnosis: the table, the findings, and what is known of their claims."""

import io

import jax.numpy as jnp
import numpy as np
import pytest
from markupsafe import escape
from rich.console import Console

from jaxnotes import diagnosis, probe
from jaxnotes.command import report, style

NOTES = report.Notes({"causes.depth": "Depth turns a deviation into an exponential one."}, {"causes.depth": "holds"})


@pytest.fixture(scope="module")
def read():
    """Of a constant function, which is a finding."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(20, 4)), jnp.float32)
    return probe.read(lambda x: probe.tap("out", 0 * x + 1), (x, jnp.zeros((20, 4))), "squared_error")


@pytest.fixture
def findings():
    remedy = diagnosis.Remedy("use fewer layers", "the loss is exponential in depth")
    found = diagnosis.Finding("vanishing-gradient", ("out",), "10^-9 <small>", ("causes.depth", "causes.other"), (remedy,))
    return diagnosis.Findings([found])


def shown(read, findings, notes) -> str:
    text = io.StringIO()
    console = Console(file=text, width=200, force_terminal=True, color_system=None)
    report.show(console, read, findings, (), notes)
    return text.getvalue()


def test_verdicts_are_shown_where_they_are_known(read, findings):
    assert "verdicts: causes.depth holds" in shown(read, findings, NOTES)
    assert "verdicts" not in shown(read, findings, report.NO_NOTES)
    assert "no findings" in shown(read, diagnosis.Findings(), NOTES)


def test_the_page_holds_findings_claims_and_figure(tmp_path, read, findings):
    for notes in (NOTES, report.NO_NOTES):
        page, numbers = report.write(tmp_path, read, findings, (), "jaxnotes-diagnose --model=m.py:f", notes)
        text = page.read_text()
        assert "10^-9 &lt;small&gt;" in text and "use fewer layers" in text and "jaxnotes-diagnose --model=m.py:f" in text
        assert "<svg" in text and "causes.other" in text
        assert ("Depth turns a deviation" in text) == ("— holds" in text) == (notes is NOTES)
        assert numbers.stat().st_size > 100


def test_the_page_begins_with_what_to_do_first_and_its_code(tmp_path, read, findings):
    notes = report.Notes({}, {}, {"vanishing-gradient": "site/en/kinds/vanishing-gradient.html"})
    hint = diagnosis.Finding("dead-units", ("out",), "few", (), (), hint=True)
    page, _ = report.write(tmp_path, read, diagnosis.Findings([*findings, hint]), (), "c", notes)
    text = page.read_text()
    line = str(escape(diagnosis.describe("vanishing-gradient").diff.splitlines()[0]))
    parts = ["Do this first", "Use fewer layers.", line, "<svg", 'id="vanishing-gradient"', 'id="dead-units" class="hint"']
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)
    assert 'href="site/en/kinds/vanishing-gradient.html"' in text and 'href="#about-dead-units"' in text
    assert str(escape(diagnosis.describe("dead-units").why)) in text and 'id="about-dead-units"' in text


def test_a_page_without_findings_names_all_checks(tmp_path, read):
    page, _ = report.write(tmp_path, read, diagnosis.Findings(checks=("inputs", "loss")), (), "c")
    assert "<h1>No findings among 2 checks</h1>" in page.read_text() and "inputs, loss." in page.read_text()


def test_the_same_report_is_drawn_as_the_same_bytes(tmp_path, read, findings):
    for folder in ("first", "second"):
        report.write(tmp_path / folder, read, findings, (), "c")
    for suffix in style.FORMATS:
        first, second = (tmp_path / folder / "figures" / f"diagnosis.{suffix}" for folder in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()
