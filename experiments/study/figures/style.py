"""What all figures share: the library's look for figures, and notes of settings and seeds above a panel."""

import textwrap
from collections.abc import Iterable

from experiments.study.measurement import Measurement
from jaxnotes.command.style import COLORS, MARKERS, ONE_COLUMN, TWO_COLUMNS, measured, new_figure, theory

__all__ = [
    "COLORS",
    "MARKERS",
    "ONE_COLUMN",
    "TWO_COLUMNS",
    "legend_below",
    "measured",
    "new_figure",
    "seeds_note",
    "settings_note",
    "theory",
]


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
