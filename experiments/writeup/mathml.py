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

from experiments.study.mathematics import to_latex

# A named function, what stands before it that it must not touch, and what after it: no space before a bracket.
_FUNCTION = re.compile(
    r"(?P<before></m(?:i|n|sup|sub|subsup|frac|style|sqrt)>)?(?P<scripts><msub>|<msup>|<mrow>)?"
    r"<m[io]>(?P<name>ln|log|exp|tanh|cos|max|min|Var|arcsin)</m[io]>"
    r"(?P<after>(?:<mrow>)?<mo[^>]*>(?:&#x00028;|\[)|</m|$)?"
)
# After an operator that closes nothing a plus or minus is a sign.
_SIGN = re.compile(r"(<mo(?![^>]*postfix)[^>]*>(?!&#x00029;|\]|&#x02032;|\}|!)[^<]*</mo>)<mo>(&#x02212;|&#x0002B;)</mo>")
# A letter with primes, and what stands beside these in the exponent.
_PRIMES = re.compile(r"<msup>(<mi>[^<]*</mi>)(?:<mi>(&#x0203[234];)</mi>|<mrow><mi>(&#x0203[234];)</mi>(.*?)</mrow>)</msup>")
_ACCENT = re.compile(r"<mover>(?=(?:<mrow>)?<mi>[^<]*</mi>(?:</mrow>)?<mo)")


_MEANT = {
    "<mo>&#x0005E;</mo>": "<mo>&#x00302;</mo>",  # the accent, not the character of keyboards
    "<mi>&#x0007E;</mi>": "<mo>&#x0223C;</mo>",
    "<mo>&#x0002F;</mo>": '<mo lspace="0em" rspace="0em">&#x0002F;</mo>',
    "<mo>&#x02202;</mo>": "<mi>&#x02202;</mi>",
    "<mo>&#x0221E;</mo>": "<mi>&#x0221E;</mi>",
}
THIN, NONE = "0.17em", "0em"


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

    What latex2mathml leaves to browsers is set as TeX does: bars that come in pairs are as high as the text; named functions
    have a thin space around them, but none at a bracket; a minus after another operator belongs to what follows; a slash has
    no space around it, and a tilde as a relation that of its kind; primes have the size of the text, since the font has
    raised them already; hats, bars and tildes over a letter are accents.
    """
    found = convert(" ".join(latex.split()), display=display)
    for bar in ("&#x0007C;", "&#x02016;"):
        side = itertools.cycle(("prefix", "postfix"))
        pair = re.compile(rf'<mo( stretchy="false")?>{bar}</mo>')
        found = pair.sub(lambda _, bar=bar, side=side: f'<mo form="{next(side)}" stretchy="false">{bar}</mo>', found)
    found = _FUNCTION.sub(_function, found)
    found = _SIGN.sub(r'\1<mo form="prefix">\2</mo>', found)
    found = _PRIMES.sub(_primed, found)
    found = _ACCENT.sub('<mover accent="true">', found)
    for written, meant in _MEANT.items():
        found = found.replace(written, meant)
    return found


def _primed(match: re.Match[str]) -> str:
    """Returns a letter with its primes beside it, and the rest of its exponent on both."""
    letter, alone, first, power = match.groups()
    primed = f'<mrow>{letter}<mo lspace="0em" rspace="0em">{alone or first}</mo></mrow>'
    return primed if alone else f"<msup>{primed}<mrow>{power}</mrow></msup>"


def _function(match: re.Match[str]) -> str:
    """Returns a named function as an operator, a thin space before it after a letter or number, and after it before one."""
    before, scripts, after = match["before"] or "", match["scripts"] or "", match["after"] or ""
    spaces = f'lspace="{THIN if before and scripts != "<mrow>" else NONE}" rspace="{NONE if after else THIN}"'
    return f"{before}{scripts}<mo {spaces}>{match['name']}</mo>{after}"


def _inline(translator, node: nodes.math) -> None:
    formula = node.astext()
    translator.body.append(mathml(to_latex(formula) if "linear" in node["classes"] else formula, "inline"))
    raise nodes.SkipNode


def _block(translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math scroll" tabindex="0">{mathml(node.astext(), "block")}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    app.add_transform(TranslatedFormulas)
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
