"""The report of a diagnosis in a browser: it fits a phone, where its panels lie one below the other."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from jaxnotes import diagnosis, probe
from jaxnotes.command import report


@pytest.fixture
def page(tmp_path, standard_promotion):
    """Of a network with long names, a finding or more, and a table of thirteen columns."""
    model = nn.Sequential(
        [part for _ in range(4) for part in (nn.Dense(8, kernel_init=nn.initializers.normal(0.001)), nn.relu)]
    )
    x, labels = jax.random.normal(jax.random.key(0), (16, 8)), jnp.arange(16) % 8
    read = probe.read((model, model.init(jax.random.key(1), x)), (x, labels), "cross_entropy")
    command = "python -m experiments.diagnose --model=a/long/path/to/some/file/of/mine.py:build --verify"
    return report.write(tmp_path, read, diagnosis.explain(read), (), command)[0]


@pytest.mark.parametrize(("width", "stacked"), [(390, True), (1280, False)])
def test_a_report_fits_its_screen(browser, page, width, stacked):
    opened = browser.new_page(viewport={"width": width, "height": 844})
    opened.goto(page.as_uri())
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    assert all(opened.evaluate("[...document.querySelectorAll('table')].map(t => t.scrollWidth <= t.clientWidth)"))
    assert opened.locator("img.stacked").is_visible() == stacked != opened.locator(".wide svg").is_visible()
    opened.close()
