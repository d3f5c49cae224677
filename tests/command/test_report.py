"""What is shown of a diagnosis: the table, the findings, and what is known of their claims."""

import io
from html.parser import HTMLParser

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


NAMES = ('<img src="x" onerror="alert(1)">', "</svg><script>alert(2)</script>", "scale[/b]", "$\\frac{$", "a & b")


class Marks(HTMLParser):
    """A page's tags with their attributes, and its text."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def test_names_are_shown_as_they_are_and_never_as_marks(tmp_path):
    def model(x):
        for name in NAMES:
            x = probe.tap(name, 0 * x + 1)
        return x

    x = jnp.asarray(np.random.default_rng(0).normal(size=(20, 4)), jnp.float32)
    read = probe.read(model, (x, jnp.zeros((20, 4))), "squared_error")
    findings = diagnosis.explain(read)
    assert [layer.label for layer in read.layers] == list(NAMES) and findings
    page, _ = report.write(tmp_path, read, findings, (), f"jaxnotes-diagnose --model={NAMES[0]}")
    for path in (page, tmp_path / "figures/diagnosis.svg"):
        marks = Marks(path.read_text())
        assert "script" not in {tag for tag, _ in marks.tags}
        assert all(attributes["src"].startswith("data:image/svg") for tag, attributes in marks.tags if tag == "img")
        assert not any(name.startswith("on") for _, attributes in marks.tags for name in attributes)
    marks = Marks(page.read_text())
    assert all(name in marks.text for name in NAMES)
    policy = {
        "http-equiv": "Content-Security-Policy",
        "content": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    }
    assert ("meta", policy) in marks.tags
    terminal = shown(read, findings, report.NO_NOTES)
    assert all(name in terminal for name in NAMES)


def test_the_same_report_is_drawn_as_the_same_bytes(tmp_path, read, findings):
    for folder in ("first", "second"):
        report.write(tmp_path / folder, read, findings, (), "c")
    for suffix in style.FORMATS:
        first, second = (tmp_path / folder / "figures" / f"diagnosis.{suffix}" for folder in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()
