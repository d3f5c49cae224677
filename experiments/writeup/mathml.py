"""Formulas as MathML, which browsers draw without a script, by latex2mathml."""

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.locale import init as init_locale
from sphinx.transforms import SphinxTransform
from sphinx.transforms.i18n import Locale
from sphinx.util.i18n import docname_to_domain


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
    app.add_transform(TranslatedFormulas)
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
