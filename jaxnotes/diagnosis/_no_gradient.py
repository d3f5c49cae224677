"""Findings about parameters that nothing moves: no gradient arrives, or the optimiser leaves them alone."""

import math

from jaxnotes.diagnosis._finding import Finding, Remedy, listed
from jaxnotes.diagnosis._profile import faded
from jaxnotes.diagnosis._thresholds import Thresholds
from jaxnotes.probe import Parameter, Report

STRAIGHT_THROUGH = Remedy(
    "use a straight-through estimator, x + stop_gradient(f(x) - x), or a soft form such as softmax or Gumbel-softmax",
    "the forward pass stays as it is; the gradient passes as if f were the identity",
)
UNUSED = Remedy(
    "use these parameters in what the loss is taken of, or remove them",
    "no memory and no weight decay for what does nothing; a layer that was meant to act does",
)
UNBLOCKED = Remedy(
    "remove stop_gradient, or, if they are to stay as they are, give the optimiser the other parameters only",
    "they train, or it is said that they do not",
)
CALCULUS = "a derivative is zero behind a function of steps and where nothing depends on a value"


def no_gradient(report: Report, _: Thresholds) -> list[Finding]:
    """Parameters from which no derivative reaches the loss, by how they are cut off; or none gets any."""
    groups: dict[str, list[Parameter]] = {}
    for parameter in report.parameters:
        if parameter.cut:
            groups.setdefault(parameter.cut, []).append(parameter)
    findings = [_cut(report, cut, found) for cut, found in groups.items()]
    return findings + _without_any(report)


def _cut(report: Report, cut: str, found: list[Parameter]) -> Finding:
    share = f"{len(found)} of {len(report.parameters)} parameters get no gradient"
    if cut == "unused":
        return _finding(found, f"{share}: the loss does not depend on them", UNUSED)
    remedy = UNBLOCKED if cut == "stop_gradient" else STRAIGHT_THROUGH
    return _finding(found, f"{share}: {cut} is on every way from them to the loss, and its derivative is zero", remedy)


def _finding(found: list[Parameter], evidence: str, *remedies: Remedy, hint: bool = False) -> Finding:
    return Finding("no-gradient", _names(found), evidence, (), remedies, hint=hint, source=CALCULUS)


def _names(found: list[Parameter]) -> tuple[str, ...]:
    return tuple(parameter.name for parameter in found)


def _without_any(report: Report) -> list[Finding]:
    """Parameters whose gradient is exactly 0 for the values on the way, where that is not the work of dead units alone."""
    if report.loss_response is not None and report.loss_response.flat:
        return []  # said of the loss
    # What a larger loss brings back is a matter of the number format.
    stuck = [p for p in report.parameters if p.stuck and not p.zero_gradients_scaled < 1]
    zeros = [p for p in stuck if p.multiplies and p.rms == 0]
    if not stuck or faded(report) or zeros or any(layer.dead_fraction == 1 and layer.activation for layer in report.layers):
        return []
    evidence = (
        f"{len(stuck)} of {len(report.parameters)} parameters have a gradient of exactly 0 on this batch, also after some "
        f"small steps of the others; {_where(report)}"
    )
    remedies = (
        Remedy(
            "look at what follows the named place: a mask or a rate of dropout that is 1, outputs where the loss is flat, a "
            "choice that never falls on these parameters",
            "a gradient as soon as one entry gets through",
        ),
        Remedy("give a batch with more examples", "parameters that only some examples use get a gradient from those"),
    )
    alone = len(stuck) + sum(bool(p.cut) for p in report.parameters) == len(report.parameters)
    return [_finding(stuck, evidence, *remedies, hint=not alone and len(stuck) < len(report.parameters) / 2)]


def _where(report: Report) -> str:
    """Says behind which layer the gradient ends on its way back."""
    silent = [i for i, layer in enumerate(report.layers) if layer.log10_gradient_norm == -math.inf]
    if not silent:
        return "gradients reach every layer's output"
    last = silent[-1]
    if last + 1 == len(report.layers):
        return "the loss itself sends none back: it is flat at these outputs"
    return f"it ends between {report.layers[last + 1].label} and {report.layers[last].label}"


def frozen(report: Report, _: Thresholds) -> list[Finding]:
    """Parameters with a gradient that the optimiser does not change in its first two updates."""
    moved = [p for p in report.parameters if p.gradient_rms > 0]
    still = [p for p in moved if p.still]
    if not still:
        return []
    every = len(still) == len(moved)
    evidence = (
        f"the optimiser changes {'none' if every else f'{len(moved) - len(still)}'} of {len(moved)} parameters that have a "
    )
    evidence += "gradient" if every else f"gradient, and leaves {listed(_names(still))} as they are"
    remedies = (
        Remedy(
            "look at the optimiser's mask or labels by name, and at a rate that is 0",
            "every parameter is in a group that moves",
        ),
        Remedy("leave it so where they are frozen on purpose, as in fine-tuning", "nothing changes"),
    )
    return [_finding(still, evidence, *remedies[: 1 if every else 2], hint=not every)]


def fixed_weights(report: Report, _: Thresholds) -> list[Finding]:
    """Layers that multiply by a matrix that is no parameter: no gradient is taken for it."""
    found = report.linearity.fixed_weights
    if not found:
        return []
    kinds = {layer.name: layer.kind for layer in report.layers}
    remedy = Remedy(
        "hold it as a parameter: nnx.Param, self.param in Linen, a jax array (not NumPy's) as a field in Equinox",
        "it gets a gradient and the optimiser sees it; leave a matrix that is fixed on purpose",
    )
    sure = not report.parameters or any(
        kinds.get(name) in ("Linear", "Dense", "Conv", "Einsum", "LinearGeneral") for name in found
    )
    evidence = f"{listed(found)}: the data are multiplied by a matrix that is no parameter of the model"
    source = "a gradient is taken by the parameters only"
    return [Finding("no-gradient", found, evidence, (), (remedy,), hint=not sure, source=source)]
