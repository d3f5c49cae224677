"""Figures: the cut fonts against the whole ones, and what a drawn file holds."""

import io
import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from fontTools.ttLib import TTFont
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.textpath import TextPath

from experiments.study import figures
from experiments.study.figures import fonts, style

FACES = ("DejaVuSans.ttf", "DejaVuSans-Oblique.ttf", "DejaVuSans-Bold.ttf")


def whole_and_cut(face: str) -> tuple[Path, Path]:
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / face, Path(fonts.register().name) / face


@pytest.mark.parametrize("face", FACES)
def test_the_cut_fonts_have_every_character_that_the_figures_write(face):
    written = {ord(letter) for path in Path(figures.__file__).parent.glob("*.py") for letter in path.read_text("utf-8")}
    whole, cut = (characters(path) for path in whole_and_cut(face))
    assert written & whole <= cut


def characters(path: Path) -> set[int]:
    with TTFont(path) as font:
        return set(font["cmap"].getBestCmap())


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("text", ["AVATAR To. 0.5", "σ_w² = 1.5 ± ½", "‖∂L/∂h‖ → ∞"])
def test_text_has_the_shape_that_the_whole_font_gives_it(face, text):
    whole, cut = (
        TextPath((0, 0), text, size=100, prop=font_manager.FontProperties(fname=path)) for path in whole_and_cut(face)
    )
    np.testing.assert_allclose(cut.vertices, whole.vertices, atol=1.5)  # of a size of 100: kerned from another table


def test_a_pdf_holds_true_type_fonts_and_no_outlines_as_procedures():
    """Type 3, which publishers refuse, and Type 42 are the two that Matplotlib can embed."""
    fonts.register()
    with matplotlib.rc_context(style.PARAMETERS):
        figure, axes = style.new_figure()
        axes.set_xlabel("width $n$ → ∞")
        FigureCanvasAgg(figure)
        drawn = figures.render(figure, "pdf")
    assert b"/CIDFontType2" in drawn and b"/Type3" not in drawn
    assert font_manager.findfont("DejaVu Sans") == str(Path(fonts.register().name) / "DejaVuSans.ttf")


def test_an_svg_is_smaller_and_keeps_its_positions_to_a_hundredth_of_a_point():
    with matplotlib.rc_context(style.PARAMETERS):
        figure, axes = style.new_figure()
        axes.plot(np.linspace(0, 1, 7) ** 3)
        FigureCanvasAgg(figure)
        whole = io.BytesIO()
        figure.savefig(whole, format="svg")
        whole, ours = whole.getvalue().decode(), figures.render(figure, "svg").decode()
    positions = lambda svg: np.asarray(re.findall(r"-?\d[\d.]*", " ".join(re.findall(r' d="([^"]*)"', svg))), float)  # noqa: E731
    assert len(ours) < len(whole) and "<!--" not in ours
    np.testing.assert_allclose(positions(ours), positions(whole), rtol=0, atol=0.01)
