"""What all figures share: the library's look, curves and points of the evidence, notes of settings and seeds above a panel."""

import textwrap
from collections.abc import Iterable, Sequence

import numpy as np

from experiments.study.measurement import Evidence, Measurement
from jaxnotes.command.style import COLORS, MARKERS, ONE_COLUMN, TWO_COLUMNS, measured, new_figure, theory

__all__ = [
    "COLORS",
    "MARKERS",
    "ONE_COLUMN",
    "TWO_COLUMNS",
    "curve",
    "legend_below",
    "measured",
    "new_figure",
    "points",
    "rows",
    "seeds_note",
    "settings_note",
    "theory",
]


def curve(
    axes, evidence: Evidence, name: str, x=None, *, series: int, label: str | None = None, line: str | None = None, **options
) -> None:
    """Draws a curve of the evidence: points with intervals and, where it has one, its prediction as a line.

    Args:
      name: of the arrays `NAME-mean`, `NAME-low`, `NAME-high` and `NAME-predicted`, as `measurement.curve` makes them.
      x: 0, 1, … where None.
      line: label of the prediction.
      options: as `measured` takes them.
    """
    arrays = evidence.arrays
    x = np.arange(arrays[f"{name}-mean"].size) if x is None else x
    if f"{name}-predicted" in arrays:
        theory(axes, x, arrays[f"{name}-predicted"], series=series, label=line)
    measured(axes, x, *(arrays[f"{name}-{part}"] for part in ("mean", "low", "high")), series=series, label=label, **options)


def points(axes, x, found: Sequence[Measurement], *, series: int, label: str | None = None) -> None:
    """Draws measurements as points with their intervals, one at each x."""
    bounds = zip(*((measurement.value, measurement.low, measurement.high) for measurement in found), strict=True)
    measured(axes, x, *bounds, series=series, label=label)


def rows(
    axes, found: Sequence[Measurement], labels: Sequence[str], *, series: int = 0, shift: float = 0.0, label: str | None = None
) -> None:
    """Draws measurements with their intervals, one per row from the top; `shift` moves the points and not the labels."""
    places = np.arange(len(found))[::-1]
    values = np.asarray([measurement.value for measurement in found])
    errors = [values - [measurement.low for measurement in found], [measurement.high for measurement in found] - values]
    look = {"fmt": MARKERS[series], "color": COLORS[series], "mfc": "white", "capsize": 1.5, "elinewidth": 0.8, "ms": 4}
    axes.errorbar(values, places + shift, xerr=errors, label=label, **look)
    axes.set_yticks(places, labels)
    axes.set_ylim(-0.6, len(found) - 0.4)


def seeds_note(measurements: Iterable[Measurement]) -> str:
    """Returns the seeds behind what a panel shows: "n = 6", or "n = 6 to 12" where the series have different ones."""
    counts = {measurement.n for measurement in measurements}
    return f"n = {min(counts)}" if len(counts) == 1 else f"n = {min(counts)} to {max(counts)}"


def settings_note(axes, text: str, columns: int = 56) -> None:
    """Writes the settings behind a panel, small above its axes, in lines of so many characters: 56 fill a column."""
    axes.set_title(textwrap.fill(text, columns), fontsize=6.5, color="#444444", loc="left")


def legend_below(axes) -> None:
    """Puts a legend in two columns under the axis' label, for panels whose points may lie anywhere."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
