"""Formulas as MathML, which browsers draw without a script, by latex2mathml.

docutils' own converter sets a letter's index under it where the letter has a hat or bar, and reads `f(1,1)` as one number.
"""

import itertools
import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.locale import init as init_locale
from sphinx.transforms import SphinxTransform
from sphinx.transforms.i18n import Locale
from sphinx.util.i18n import docname_to_domain

_FUNCTION = re.compile(r"<mi>(ln|log|exp|tanh|cos)</mi>(?=<m)(?!(?:<mrow>)?<mo[^>]*>&#x00028;)")  # before no bracket
_SIGN = re.compile(r"((?:&#x00028;|&#x0002C;|&#x0003D;)</mo>)<mo>&#x02212;</mo>")


class TranslatedFormulas(SphinxTransform):
    """Puts a displayed formula's translation in its place before Sphinx does, by reStructuredText's `::`, which is no MyST."""

    default_priority = Locale.default_priority - 1

    def apply(self, **kwargs) -> None:
        folders = [self.env.srcdir / folder for folder in self.config.locale_dirs]
        catalog, _ = init_locale(
            folders, self.config.language, docname_to_domain(self.env.docname, self.config.gettext_compact)
        )
        for formula in self.document.findall(nodes.math_block):
            formula.rawsource = catalog.gettext(formula.rawsource or formula.astext())
            formula[:] = [nodes.Text(formula.rawsource)]


def mathml(latex: str, display: str) -> str:
    """Returns a formula as MathML; `display` is inline or block.

    What latex2mathml leaves to browsers is set as TeX does: bars that come in pairs are as high as the text, named functions
    have a thin space around them, a minus after an opening bracket, a comma or an equals sign belongs to what follows, and a
    hat is the accent, not the character of keyboards.
    """
    found = convert(" ".join(latex.split()), display=display)
    for bar in ("&#x0007C;", "&#x02016;"):
        side = itertools.cycle(("prefix", "postfix"))
        pair = re.compile(rf'<mo( stretchy="false")?>{bar}</mo>')
        found = pair.sub(lambda _, bar=bar, side=side: f'<mo form="{next(side)}" stretchy="false">{bar}</mo>', found)
    found = _FUNCTION.sub(r'<mo lspace="0.17em" rspace="0.17em">\1</mo>', found)
    return _SIGN.sub(r'\1<mo form="prefix">&#x02212;</mo>', found).replace("<mo>&#x0005E;</mo>", "<mo>&#x00302;</mo>")


def _inline(translator, node: nodes.math) -> None:
    translator.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def _block(translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math scroll" tabindex="0">{mathml(node.astext(), "block")}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    app.add_transform(TranslatedFormulas)
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
