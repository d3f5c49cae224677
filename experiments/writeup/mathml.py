"""Formulas as MathML, which browsers draw without a script, by latex2mathml."""

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx


def _inline(translator, node: nodes.math) -> None:
    translator.body.append(convert(node.astext(), display="inline"))
    raise nodes.SkipNode


def _block(translator, node: nodes.math_block) -> None:
    translator.body.append(
        f'<div class="math scroll" tabindex="0">{convert(_one_line(node.astext()), display="block")}</div>\n'
    )
    raise nodes.SkipNode


def _one_line(latex: str) -> str:
    return " ".join(latex.split())


def setup(app: Sphinx) -> None:
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
