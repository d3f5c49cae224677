"""The content security policy of every page: it loads from the site alone, and runs no script but the site's and its own."""

import base64
import hashlib
import re
from pathlib import Path

from sphinx.application import Sphinx

_HEAD = '<meta charset="utf-8" />'
_SCRIPT = re.compile(r"<script(?P<attributes>[^>]*)>(?P<text>.*?)</script>", re.DOTALL)
# 'self' is the site, also where it is opened from a disk. Styles may stand in a page, as the theme's and Vega's do.
_RULES = {
    "default-src": "'none'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",  # the search page reads the pages that it shows a line of
    "form-action": "'self'",  # of the search
    "base-uri": "'none'",
}


def with_policy(html: str) -> str:
    """Returns the page with its policy in its head, which names the scripts that stand in the page by their digests.

    Raises:
      ValueError: the page has no head as Sphinx writes it.
    """
    if _HEAD not in html:
        raise ValueError(f"a page has no {_HEAD!r}, before which no script may stand: {html[:200]!r}")
    # Expressions are interpreted, and yet Vega's bundle evaluates a string for one of the charts; its place was not found.
    scripts = ["'self'", "'unsafe-eval'", *sorted({_digest(text) for text in _inline(html)})]
    rules = {"script-src": " ".join(scripts)} | _RULES
    policy = "; ".join(f"{name} {sources}" for name, sources in rules.items())
    return html.replace(_HEAD, f'{_HEAD}\n    <meta http-equiv="Content-Security-Policy" content="{policy}" />', 1)


def _inline(html: str) -> list[str]:
    """Returns the scripts in a page that run: those without a file of theirs, data aside."""
    found = _SCRIPT.finditer(html)
    return [script["text"] for script in found if not re.search(r"\bsrc=|application/json", script["attributes"])]


def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _finish(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        page.write_text(with_policy(page.read_text(encoding="utf-8")), encoding="utf-8")


def setup(app: Sphinx) -> None:
    app.connect("build-finished", _finish, priority=900)  # last, when the pages are as they stay
