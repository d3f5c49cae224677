"""Search on the Chinese pages: runs of Chinese characters are terms, and the page's script finds any part of them."""

import re

from sphinx.application import Sphinx
from sphinx.search.zh import SearchChinese

_CHINESE = re.compile(r"[\u3400-\u9fff]+")


class Chinese(SearchChinese):
    """Without a dictionary of words, which Sphinx's own needs to find anything Chinese."""

    language_name = "English"  # names the stemmer, which is that of the Latin words on these pages

    def split(self, input: str) -> list[str]:
        return _CHINESE.findall(input) + super().split(input)


def setup(app: Sphinx) -> None:
    app.add_search_language(Chinese)
