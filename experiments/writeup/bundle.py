"""The files that the sites of all languages share, out of installed packages: no page loads anything from another host.

They are Vega's scripts and the part of STIX Two Math that the formulas use, since browsers bring no font for mathematics. It is
under the SIL Open Font License; ziamath carries it.
"""

from importlib import resources
from pathlib import Path

import vl_convert
from fontTools import subset

SCRIPT = "vega.js"
FONT = "stix-two-math.woff2"
_RANGES = (
    (0x20, 0x7E), (0xB1, 0xB1), (0xB7, 0xB7), (0xD7, 0xD7), (0x300, 0x304),
    (0x391, 0x3F6), (0x2010, 0x2044), (0x2061, 0x2064), (0x2070, 0x209C), (0x2100, 0x214F),
    (0x2190, 0x2199), (0x21A6, 0x21A6), (0x21D0, 0x21D4), (0x2200, 0x22FF), (0x2308, 0x230B),
    (0x23DE, 0x23DF), (0x27E8, 0x27E9), (0x1D434, 0x1D467), (0x1D538, 0x1D56B), (0x1D6A4, 0x1D6A5),
    (0x1D6E2, 0x1D71B),
)  # fmt: skip


def write(folder: Path) -> None:
    """Writes the files into a folder."""
    _write_script(folder / SCRIPT)
    _write_font(folder / FONT)


def _write_script(target: Path) -> None:
    """Vega, Vega-Lite and Vega-Embed in one file, from the package that carries them."""
    # In a function of its own: its many short names must not become the page's.
    target.write_text(f"(() => {{{vl_convert.javascript_bundle()}}})();", "utf-8")


def _write_font(target: Path) -> None:
    source = resources.files("ziamath") / "fonts" / "STIXTwoMath-Regular.ttf"
    options = subset.Options(flavor="woff2", layout_features=[], notdef_outline=True, hinting=False)
    with resources.as_file(source) as path:
        font = subset.load_font(str(path), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=[point for first, last in _RANGES for point in range(first, last + 1)])
    subsetter.subset(font)
    subset.save_font(font, target, options)
