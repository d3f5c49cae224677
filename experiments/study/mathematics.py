"""Formulas in the texts of claims, between dollars: `$x̂ = (x − μ_B)/√(σ_B² + ε)$`.

They are written in characters that a terminal shows, so that where formulas cannot be set, dropping the dollars is enough;
`to_latex` gives what the site and a paper set.
"""

import re
import unicodedata

FORMULA = re.compile(r"\$([^$]+)\$")
# In LaTeX that needs no package.
SYMBOLS = {
    "∂": r"\partial", "σ": r"\sigma", "χ": r"\chi", "φ": r"\varphi", "μ": r"\mu", "ε": r"\varepsilon", "η": r"\eta",
    "γ": r"\gamma", "β": r"\beta", "π": r"\pi", "−": "-", "·": r"\cdot", "×": r"\times", "→": r"\to", "∞": r"\infty",
    "≈": r"\approx", "≤": r"\le", "≥": r"\ge", "~": r"\sim", "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}",
    "²": "^2", "x̂": r"\hat{x}", "x̃": r"\tilde{x}",
}  # fmt: skip
_SYMBOL = re.compile("|".join(sorted(map(re.escape, SYMBOLS), key=len, reverse=True)))
_EXPECTATION = re.compile(r" ?\bE (?=[a-zφχ])")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")  # set upright
_FUNCTIONS = ("ln", "log", "exp", "tanh", "max")
_ROOT = re.compile(r"√(?:\(([^()]*)\)|(\w))")
_POWER = re.compile(r"\^(?:\(([^()]*)\)|([−-]?[\d.]+))")


def plain(text: str) -> str:
    """Returns a text without its dollars."""
    return text.replace("$", "")


def to_latex(formula: str) -> str:
    """Returns a formula, without its dollars, as LaTeX.

    Raises:
      ValueError: a character that no rule here covers; the message names it.
    """
    text = unicodedata.normalize("NFC", formula)
    text = _WORD.sub(lambda word: rf"\{word[0]}" if word[0] in _FUNCTIONS else rf"\mathrm{{{word[0]}}}", text)
    text = _EXPECTATION.sub(r"\\,\\mathbb{E}\\,", text)
    text = _ROOT.sub(lambda root: rf"\sqrt{{{root[1] or root[2]}}}", text)
    text = _POWER.sub(lambda power: f"^{{{power[1] or power[2]}}}", text)
    text = _SYMBOL.sub(lambda symbol: SYMBOLS[symbol[0]] + (" " if SYMBOLS[symbol[0]][-1:].isalpha() else ""), text)
    unknown = sorted({character for character in text if not character.isascii()})
    if unknown:
        raise ValueError(f"no LaTeX is known for {unknown} in {formula!r}; add it to mathematics.SYMBOLS")
    return text
