"""Figures as files: what makes a picture lighter leaves every pixel as it was."""

import io

import matplotlib.pyplot as plt
import numpy as np
import vl_convert
from PIL import Image

from jaxnotes.command import style


def pixels(svg: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(vl_convert.svg_to_png(svg))))


def test_a_style_said_once_for_its_group_draws_the_same_picture(monkeypatch):
    with plt.rc_context(style.PARAMETERS):
        figure, axes = plt.subplots()
        for series in range(2):
            x = np.arange(12.0)
            style.measured(axes, x, x * (series + 1), x - 1, x + 30, series=series, label=f"arm {series}")
        axes.legend()
        slim = style.render(figure, "svg").decode()
        monkeypatch.setattr(style, "_hoisted", lambda group: group[0])
        plain = style.render(figure, "svg").decode()
        plt.close(figure)
    assert len(slim) < 0.9 * len(plain)
    np.testing.assert_array_equal(pixels(slim), pixels(plain))


def test_marks_of_two_styles_keep_their_own():
    two = '<g>\n<use x="1" style="fill: red"/>\n<use x="2" style="fill: blue"/>\n</g>'
    assert style._SAME_STYLE.sub(style._hoisted, two) == two
    same = two.replace("blue", "red")
    assert style._SAME_STYLE.sub(style._hoisted, same) == '<g style="fill: red">\n<use x="1"/>\n<use x="2"/>\n</g>'
