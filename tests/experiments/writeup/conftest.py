"""The browser of the tests that open pages."""

import os
import shutil

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-quic",
)  # fmt: skip
HOW = "no browser: install Chromium (Debian: apt-get install chromium) to run the tests of the site's scripts and looks"


@pytest.fixture(scope="module")
def browser():
    """Closed after its file: its driver's greenlets and threads must not stand under the programs of the files that follow."""
    if BROWSER is None:
        if os.environ.get("JAXNOTES_BROWSER") == "required":
            pytest.fail(HOW)
        pytest.skip(HOW)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=BROWSER, args=list(OPTIONS))
        yield started
        started.close()
