"""`verify`: a remedy applied to a copy of the model, and the model measured again."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxnotes import probe
from jaxnotes.diagnosis._explanation import explain
from jaxnotes.diagnosis._finding import Findings, Remedy
from jaxnotes.diagnosis._profile import depth_profile, ends
from jaxnotes.probe import Report
from jaxnotes.probe._report import storable


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a remedy is to change.

    Attributes:
      log10_gradient_ratio: log10 of the gradient norm at the first layers over that at the last.
      largest_saturated_fraction: over layers with an activation function; 0 without.
      largest_dead_fraction: over layers.
      loss: of the batch.
      kinds: of all findings.
    """

    log10_gradient_ratio: float
    largest_saturated_fraction: float
    largest_dead_fraction: float
    loss: float
    kinds: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Verified:
    """A remedy with what was measured before and after it.

    Attributes:
      kind: of the finding.
      remedy: what was applied.
      before: of the model as it is.
      after: of the copy.
      gone: whether the finding is no longer there.
    """

    kind: str
    remedy: Remedy
    before: Measured
    after: Measured
    gone: bool

    def as_dict(self) -> dict:
        """Returns the comparison for JSON."""
        return storable(self)

    def __str__(self) -> str:
        line = lambda m: (
            f"gradient first/last 10^{m.log10_gradient_ratio:.1f}, saturated {m.largest_saturated_fraction:.0%}, "
            f"dead {m.largest_dead_fraction:.0%}, loss {m.loss:.3g}"
        )
        return (
            f"{self.kind} → {self.remedy.action}: {'gone' if self.gone else 'still there'}\n  before: {line(self.before)}\n"
            f"  after:  {line(self.after)}"
        )


def measured(report: Report, findings: Findings) -> Measured:
    """Returns the numbers of a report that `verify` sets side by side."""
    first, last = ends([place.log10_gradient for place in depth_profile(report)])
    saturated = [x.saturated_fraction for x in report.layers if x.activation_function and x.activation_function.saturates]
    dead = [x.dead_fraction for x in report.layers if x.activation]
    kinds = tuple(dict.fromkeys(found.kind for found in findings))
    return Measured(first - last, max(saturated, default=0.0), max(dead, default=0.0), report.loss, kinds)


def verify(
    findings: Findings,
    report: Report,
    model: Any,
    batch: Any,
    loss: Any,
    *,
    thresholds: Mapping[str, float] | None = None,
    **options: Any,
) -> tuple[Verified, ...]:
    """Applies each remedy that changes parameters only to a copy of the model, and reads it again.

    Args:
      findings: of `explain`.
      report: that they are of.
      model, batch, loss, options: as they were given to `probe.read`.
      thresholds: as they were given to `explain`.

    Returns:
      One entry per remedy that could be applied; () where all need other code.
    """
    before = measured(report, findings)
    results = []
    for found in findings:
        for remedy in found.remedies:
            if not remedy.applicable:
                continue
            again = probe.read(applied(remedy, model), batch, loss, **options)
            after = measured(again, explain(again, thresholds=thresholds))
            results.append(Verified(found.kind, remedy, before, after, found.kind not in after.kinds))
    return tuple(results)


def applied(remedy: Remedy, model: Any) -> Any:
    """Returns a copy of the model, as `probe.read` takes it, with the remedy's weights rescaled and biases set to 0."""
    factors: dict[str, list[float]] = {}
    for name, factor in remedy.scales:
        factors.setdefault(name, []).append(factor)

    def change(path: tuple[str, ...], leaf: Any) -> Any:
        whole, layer = _layer_at(path), _layer_at(path[:-1])
        owner = whole if whole in factors else layer
        if owner in factors and leaf.ndim > 1:
            return _scaled(leaf, factors[owner])
        return jnp.zeros_like(leaf) if layer in remedy.zeros and leaf.ndim == 1 else leaf

    return probe.with_parameters(model, change)


def _layer_at(path: tuple[str, ...]) -> str:
    """Returns the name of the layer whose parameters lie at a path: of a module inside a function without its "params"."""
    return "/".join(name for name in path if name != "params")


def _scaled(weight: Array, factors: list[float]) -> Array:
    """Returns the weight times its factor; of weights stacked over calls each by its own."""
    stacked = next((axis for axis, size in enumerate(weight.shape) if size == len(factors) > 1), None)
    if stacked is not None:
        shape = [size if axis == stacked else 1 for axis, size in enumerate(weight.shape)]
        return weight * jnp.asarray(factors, weight.dtype).reshape(shape)
    return weight * jnp.asarray(factors[0], weight.dtype)
