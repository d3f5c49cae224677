"""Figures: what a drawn file holds."""

import io
import re

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from jaxnotes.command import style


def test_a_pdf_holds_true_type_fonts_and_no_outlines_as_procedures():
    """Type 3, which publishers refuse, and Type 42 are the two that Matplotlib can embed."""
    with matplotlib.rc_context(style.PARAMETERS):
        figure, axes = style.new_figure()
        axes.set_xlabel("width $n$ → ∞")
        FigureCanvasAgg(figure)
        drawn = style.render(figure, "pdf")
    assert b"/CIDFontType2" in drawn and b"/Type3" not in drawn


def test_an_svg_is_smaller_and_keeps_its_positions_to_a_hundredth_of_a_point():
    with matplotlib.rc_context(style.PARAMETERS):
        figure, axes = style.new_figure()
        axes.plot(np.linspace(0, 1, 7) ** 3)
        FigureCanvasAgg(figure)
        whole = io.BytesIO()
        figure.savefig(whole, format="svg")
        whole, ours = whole.getvalue().decode(), style.render(figure, "svg").decode()
    positions = lambda svg: np.asarray(re.findall(r"-?\d[\d.]*", " ".join(re.findall(r' d="([^"]*)"', svg))), float)
    assert len(ours) < len(whole) and "<!--" not in ours
    np.testing.assert_allclose(positions(ours), positions(whole), rtol=0, atol=0.01)
