"""Mean-field predictions for the model that was read: the gain of each layer, and what a remedy would make of it."""

import dataclasses
import math
from functools import lru_cache

import numpy as np

from jaxnotes import meanfield
from jaxnotes.probe import Activation, Layer, Report

LARGEST_MEASURED_VARIANCE = 1e6  # beyond it quadrature has nothing to add


@dataclasses.dataclass(frozen=True)
class Gain:
    """A weight layer whose output an activation function reads.

    Attributes:
      layer: the row.
      activation: the function that reads it.
      now: χ at the pre-activation variance that was measured, with the next weight layer's variance.
      critical: the weight variance σ_w² at which χ = 1.
    """

    layer: Layer
    activation: Activation
    now: float
    critical: float

    @property
    def log10_gradient(self) -> float:
        """log10 of what the layer makes of the gradient's norm."""
        return 0.5 * math.log10(max(self.now, 1e-300))


def gains(report: Report) -> list[Gain]:
    """Each weight layer with an activation function before the last; the model's own activation function, whatever it is."""
    weighted = [layer for layer in report.layers if not math.isnan(layer.weight_variance)]
    found = []
    for layer, following in zip(weighted, weighted[1:], strict=False):
        activation = layer.activation_function
        if activation is None:
            continue
        variance = min(layer.activation_rms**2, LARGEST_MEASURED_VARIANCE)
        try:
            now = float(meanfield.chi(activation.function, following.weight_variance, 0.0, q=variance))
            critical = critical_variance(activation)
        except (ValueError, TypeError):
            continue  # an activation function that the theory does not cover
        found.append(Gain(layer, activation, now, critical))
    return found


@lru_cache(maxsize=64)
def critical_variance(activation: Activation) -> float:
    """σ_w² at which a wide stack with this activation function neither shrinks nor grows gradients."""
    return float(np.asarray(meanfield.critical_weight_variance(activation.function, 0.0)))


def log10_gradient_ratio(found: list[Gain]) -> float:
    """Returns the predicted log10 of the gradient norm at the first of these layers over that at the last."""
    return sum((gain.log10_gradient for gain in found), 0.0)


def predicted_gradients(report: Report) -> dict[str, float] | None:
    """log10 gradient norm that theory gives each weight layer of a plain stack, from the one measured at the last; else None.

    A plain stack is one weight layer after the other with an activation function between, and no other layer: ‖∂loss/∂h_l‖² is
    then χ times that of the next layer, whatever the widths (Schoenholz et al. 2017, eq. 10).
    """
    weighted = [layer for layer in report.layers if not math.isnan(layer.weight_variance)]
    found = gains(report)
    if len(weighted) != len(report.layers) or len(found) != len(weighted) - 1 or len(weighted) < 2:
        return None
    predicted = {weighted[-1].label: weighted[-1].log10_gradient_norm}
    level = weighted[-1].log10_gradient_norm
    for gain in reversed(found):
        level += gain.log10_gradient
        predicted[gain.layer.label] = level
    return dict(reversed(predicted.items()))
