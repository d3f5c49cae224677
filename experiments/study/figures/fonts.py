"""Matplotlib's sans serif cut down to the characters of figures: cutting that again for each PDF is seven times as fast."""

import functools
import tempfile
from pathlib import Path

import matplotlib
from fontTools import subset
from matplotlib import font_manager

_FACES = ("DejaVuSans.ttf", "DejaVuSans-Oblique.ttf", "DejaVuSans-Bold.ttf")
# Western Latin, modifiers and Greek, punctuation to arrows and mathematical operators, mathematical letters.
_CHARACTERS = (*range(0x20, 0x180), *range(0x2B0, 0x400), *range(0x2000, 0x2300), *range(0x1D400, 0x1D800))
# Kerning and shapes come from other tables; these are what is slow to cut.
_LEFT_OUT = ("GSUB", "GPOS", "GDEF", "FFTM", "MATH")


@functools.cache
def register() -> tempfile.TemporaryDirectory:
    """Has Matplotlib draw with the cut faces in this process, under the names of the whole; returns the folder they lie in."""
    folder = tempfile.TemporaryDirectory(prefix="jaxnotes-fonts-")
    fonts = font_manager.fontManager.ttflist
    for face in _FACES:
        font_manager.fontManager.addfont(_cut(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / face, Path(folder.name)))
        fonts.insert(0, fonts.pop())  # of fonts with the same name the first counts
    return folder


def _cut(source: Path, folder: Path) -> Path:
    options = subset.Options(layout_features=[], legacy_kern=True, notdef_outline=True, glyph_names=True)
    options.name_IDs, options.drop_tables = ["*"], [*options.drop_tables, *_LEFT_OUT]
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=_CHARACTERS)
    with subset.load_font(str(source), options) as font:
        subsetter.subset(font)
        subset.save_font(font, str(folder / source.name), options)
    return folder / source.name
