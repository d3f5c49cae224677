"""What the interactive figures share: Vega-Altair charts made from the arrays of results alone."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import altair as alt
import numpy as np

from experiments.study.results import Results

COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"]  # Okabe and Ito (2008)
WIDTH, HEIGHT = 300, 260  # pixels: a telephone's width with the axis beside it
POINTS = 11  # a curve has at most about so many


class Interactive(NamedTuple):
    """An interactive figure: its title by language, and what makes the chart of its topic's results in a language."""

    title: Mapping[str, str]
    draw: Callable[[Results, str], alt.TopLevelMixin]


def text(language: str, en: str, zh: str) -> str:
    """Returns the text of the language asked for."""
    return zh if language == "zh" else en


def select(name: str, options: list, label: str, start=None) -> alt.Parameter:
    """Returns a parameter with a menu of its options; it starts at the first of them unless told otherwise."""
    bind = alt.binding_select(options=options, name=f"{label} ")
    return alt.param(name=name, bind=bind, value=options[0] if start is None else start)


def inline_data(rows: list[dict], decimals: int = 4) -> alt.InlineData:
    """Returns rows as Vega-Lite takes them, numbers cut to what a screen can show."""
    return alt.InlineData(
        values=[{k: round(v, decimals) if isinstance(v, float) else v for k, v in row.items()} for row in rows]
    )


def distinct(rows: list[dict], name: str) -> list:
    """Returns the distinct values of a field, in their order."""
    return list(dict.fromkeys(row[name] for row in rows))


def kept(points: int) -> np.ndarray:
    """Returns the indices of about POINTS of a curve's points, evenly spread, its ends among them."""
    return np.unique(np.linspace(0, points - 1, min(POINTS, points)).round().astype(int))


def measured_against_predicted(rows: list[dict], x: alt.X, y: str, color: alt.Color, decimals: int = 4) -> alt.LayerChart:
    """Predictions as lines, measurements as points with intervals."""
    base = alt.Chart(inline_data(rows, decimals)).encode(x=x, color=color)
    line = base.mark_line().encode(y=alt.Y("predicted:Q", title=y))
    points = base.mark_point(filled=False).encode(y=alt.Y("mean:Q", title=y, scale=alt.Scale(zero=False)))
    bars = base.mark_rule().encode(y=alt.Y("low:Q", title=y), y2="high:Q")
    return line + bars + points
