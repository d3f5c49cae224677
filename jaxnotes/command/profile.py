"""The profile of a user's own model: gradient, activations and blocked units, layer by layer."""

import math
from collections.abc import Sequence

import numpy as np

from jaxnotes.command import style
from jaxnotes.diagnosis import predicted_gradients
from jaxnotes.probe import Report

MOST_NAMES = 14  # on the axis; beyond it layers are numbered


def profile(report: Report, *, stacked: bool = False):
    """Returns a figure of a report: log10 gradient norms with theory for a plain stack, sizes, and shares of blocked units.

    Its panels lie side by side, or one below the other, for narrow screens. To be drawn and rendered under `style.PARAMETERS`.
    """
    width, height = (style.ONE_COLUMN, 7.5) if stacked else (style.TWO_COLUMNS, 2.9)
    figure, (gradients, sizes, blocked) = style.new_figure(3, width=width, height=height, stacked=stacked)
    places = np.arange(1, len(report.layers) + 1)
    _gradients(gradients, report, places)
    series(sizes, places, [_log10(layer.activation_rms) for layer in report.layers], 0, "RMS of the output")
    series(sizes, places, [0.5 * _log10(layer.partial_jacobian) for layer in report.layers], 1, "gain from the layer before")
    sizes.set_ylabel("log10")
    series(blocked, places, [layer.saturated_fraction for layer in report.layers], 2, "saturated entries")
    series(blocked, places, [layer.dead_fraction for layer in report.layers], 3, "dead units")
    blocked.set_ylim(-0.03, 1.03)
    blocked.set_ylabel("share")
    for axes in (gradients, sizes, blocked):
        _name_layers(axes, report, places)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)  # above the axes: no point is hidden
    title = f"{report.framework}, {report.examples} examples, loss {report.loss:.3g}"
    figure.suptitle(title, fontsize=6.5, color="#444444")
    return figure


def _gradients(axes, report: Report, places: np.ndarray) -> None:
    predicted = predicted_gradients(report)
    if predicted:
        levels = [predicted[layer.label] for layer in report.layers]
        style.theory(axes, places, levels, series=0, label="mean-field theory")
    series(axes, places, [layer.log10_gradient_norm for layer in report.layers], 0, "gradient of the loss")
    jacobians = [layer.log10_jacobian_norm for layer in report.layers]
    errors = 1.96 * np.asarray([layer.log10_jacobian_error for layer in report.layers])
    if np.isfinite(jacobians).any():
        keep = np.isfinite(jacobians)
        centre = np.asarray(jacobians)[keep]
        error = np.nan_to_num(errors[keep])
        style.measured(axes, places[keep], centre, centre - error, centre + error, series=1, label="Jacobian of the output")
    axes.set_ylabel("log10 norm")


def series(axes, places: np.ndarray, readings: Sequence[float], number: int, label: str) -> None:
    """Draws one reading as points, where it applies."""
    values = np.asarray(readings, float)
    keep = np.isfinite(values)
    if keep.any():
        look = {"marker": style.MARKERS[number], "color": style.COLORS[number], "mfc": "white", "mew": 0.8}
        axes.plot(places[keep], values[keep], linestyle="none", label=label, **look)


def _name_layers(axes, report: Report, places: np.ndarray) -> None:
    if len(places) <= MOST_NAMES:
        labels = [_short(layer.label) for layer in report.layers]
        axes.set_xticks(places, labels, rotation=60, ha="right", fontsize=6, parse_math=False)  # a name is no formula
    else:
        axes.set_xlabel("layer call")


def _short(label: str, most: int = 18) -> str:
    return label if len(label) <= most else "…" + label[-most + 1 :]


def _log10(value: float) -> float:
    return math.log10(value) if value > 0 else math.nan
