"""Which findings are effects of others: what is wrong with the data or the loss shows again in the layers and the step."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from jaxnotes.diagnosis._finding import Finding
from jaxnotes.probe import Report

FIRST_LAYERS = 2  # whose readings follow the inputs
_LOSS_AND_STEP = ("loss-at-start", "large-update", "small-update")
# fmt: off
EFFECTS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "inputs": (
        "initialisation", "saturated-units", "dead-units", "vanishing-gradient", "exploding-gradient",
        "constant-representation", "low-rank-representation", "residual-growth", "outlier-channels", "number-format",
        "cancellation", *_LOSS_AND_STEP,
    ),
    "targets": ("exploding-gradient", *_LOSS_AND_STEP),
    "labels": ("loss", *_LOSS_AND_STEP),
    "shapes": ("labels", "targets", *_LOSS_AND_STEP),
    "output-activation": ("loss", "targets", "no-gradient", *_LOSS_AND_STEP),
    "loss": ("large-update", "small-update"),
    "vanishing-gradient": ("small-update",),
    "exploding-gradient": ("loss-at-start", "low-rank-representation", "outlier-channels"),
    "saturated-units": ("small-update", "low-rank-representation", "outlier-channels"),
    "dead-units": ("small-update", "low-rank-representation", "outlier-channels"),
    "no-gradient": ("small-update",),
    "dropout": ("low-rank-representation", "outlier-channels"),
    "attention": ("no-gradient",),
    "number-format": ("no-gradient",),
    "equal-units": ("initialisation", "no-gradient"),
    "linear-network": ("small-update",),
    "initialisation": ("loss-at-start", "small-update", "outlier-channels"),
    "constant-representation": ("low-rank-representation",),
    "residual-growth": ("loss-at-start",),
    "stale-statistics": ("exploding-gradient", "loss-at-start"),
})
# fmt: on


def without_effects(findings: Iterable[Finding], report: Report) -> list[Finding]:
    """Returns the findings without those that others explain.

    A hint explains nothing, but for one of statistics that no step has updated: all readings behind them are then of a mode
    that the model was perhaps not meant to be read in.
    """
    findings = list(findings)
    explain = [found for found in findings if not found.hint or found.kind == "stale-statistics"]
    effects = {effect for found in explain for effect in EFFECTS.get(found.kind, ())}
    first = {layer.label for layer in report.layers[:FIRST_LAYERS]}

    def stays(found: Finding) -> bool:
        if found.kind == "initialisation":  # the weights' own size, unless it is of layers that read the inputs
            return found.kind not in effects or len(found.layers) > FIRST_LAYERS and not first & set(found.layers)
        return found.kind not in effects

    return [found for found in findings if stays(found)]
