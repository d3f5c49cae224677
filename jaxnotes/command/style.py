"""One look for all figures: a paper's column width, colour-blind-safe colours, theory as lines, measurements as points."""

import io
import re
from typing import Any

import numpy as np
from matplotlib.figure import Figure

FORMATS = ("svg", "pdf", "png")
ONE_COLUMN = 3.4  # inches
TWO_COLUMNS = 7.0

# Okabe and Ito (2008): distinct for all common kinds of colour vision, and in grey.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

# Matplotlib's parameters under which figures are drawn and rendered.
PARAMETERS: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.0,
    "lines.markersize": 3,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "mathtext.fontset": "dejavusans",
    "svg.hashsalt": "jaxnotes",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
}


def new_figure(
    panels: int = 1, *, width: float | None = None, height: float = 2.3, share_y: bool = False, stacked: bool = False
):
    """Returns a figure with panels side by side, or stacked: one column wide for one panel, else two columns.

    Returns:
      (figure, axes): one Axes for a single panel, else an array of them.
    """
    figure = Figure(figsize=(width or (ONE_COLUMN if panels == 1 else TWO_COLUMNS), height))
    return figure, figure.subplots(*(panels, 1) if stacked else (1, panels), sharey=share_y)


def theory(axes, x, y, *, series: int = 0, label: str | None = None, **options) -> None:
    """Draws a prediction as a line in the colour of its series."""
    axes.plot(x, y, **{"ls": "-", "color": COLORS[series], "label": label, "zorder": 1, **options})


def measured(axes, x, mean, low, high, *, series: int = 0, label: str | None = None, most: int = 25, **options) -> None:
    """Draws a measurement as points with 95% intervals; of a long curve, at most `most` evenly spaced points."""
    x, mean, low, high = (np.asarray(values, float) for values in (x, mean, low, high))
    if len(x) > most:
        kept = np.unique(np.linspace(0, len(x) - 1, most).round().astype(int))
        x, mean, low, high = x[kept], mean[kept], low[kept], high[kept]
    error = np.maximum([mean - low, high - mean], 0)
    look = {"fmt": MARKERS[series], "color": COLORS[series], "elinewidth": 0.8, "capsize": 1.5, "mfc": "white", "mew": 0.8}
    axes.errorbar(x, mean, error, **{"label": label, "zorder": 2, **look, **options})


def render(figure, suffix: str) -> bytes:
    """Returns a figure as a file of one of FORMATS; the same figure gives the same bytes under the same parameters."""
    buffer = io.BytesIO()
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}[suffix]
    figure.savefig(buffer, format=suffix, metadata=metadata, dpi=200)
    return _slimmed(buffer.getvalue()) if suffix == "svg" else buffer.getvalue()


def _slimmed(svg: bytes) -> bytes:
    """A picture without comments and indents, positions cut to a hundredth of a point, which neither screen nor print shows."""
    text = re.sub(r"<!--.*?-->", "", svg.decode("utf-8"), flags=re.DOTALL)
    text = re.sub(r' d="[^"]*"| [xy]="[^"]*"|translate\([^)]*\)', lambda part: re.sub(r"(\.\d\d)\d+", r"\1", part[0]), text)
    text = re.sub(r"\n\s*", "\n", text)
    return _SAME_STYLE.sub(_hoisted, text).encode("utf-8")


# A group of nothing but marks or lines of one style, as a curve's points and its error bars are.
_SAME_STYLE = re.compile(
    r'<g(?P<group>(?: (?!style)[^ =>]+="[^"]*")*)>\n'
    r'(?P<marks><(?:use|path) [^>]*?style="(?P<style>[^"]*)"/>\n(?:<(?:use|path) [^>]*?style="(?P=style)"/>\n)+)</g>'
)


def _hoisted(group: re.Match[str]) -> str:
    """The group with the style said once, on the group, from which its marks take it."""
    style = f' style="{group["style"]}"'
    return f"<g{group['group']}{style}>\n{group['marks'].replace(style, '')}</g>"
