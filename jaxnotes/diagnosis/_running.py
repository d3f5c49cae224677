"""Findings about how the model is run: batch size, running statistics, dropout, clipping."""

import math

from jaxnotes.diagnosis._finding import Finding, Remedy
from jaxnotes.diagnosis._thresholds import STANDARD, Thresholds
from jaxnotes.probe import Layer, Report

CARRY = {
    "linen": "mutable=['batch_stats'], and keep what apply returns",
    "nnx": "update them in the training step, with nnx.jit or by returning the model's state",
    "equinox": "keep the State that the model returns",
    "haiku": "keep the state that apply returns beside the outputs",
    "keras": "keep the non-trainable variables that stateless_call returns, as fit does",
}
GIVE_KEY = {
    "linen": "give a key: read(…, key=…); in training rngs={'dropout': key}, a new one each step",
    "haiku": "give a key: read(…, key=…); in training as the argument rng of apply, a new one each step",
    "nnx": "make the layer with a stream of random numbers: nnx.Dropout(rate, rngs=rngs)",
    "equinox": "give a key: read(…, key=…); in training one per example, split from a new one each step",
}


def small_batch(report: Report, thresholds: Thresholds = STANDARD) -> list[Finding]:
    """Batch normalisation in training mode with few examples."""
    found = [layer for layer in report.layers if "BatchNorm" in layer.kind and layer.mode == "training"]
    if not found or report.examples >= thresholds.small_batch_examples:
        return []
    noise = math.sqrt(2 / max(report.examples - 1, 1))
    evidence = f"{report.examples} examples per batch: the variance of a feature is estimated to within {noise:.0%}"
    remedies = (
        Remedy("use layer or group normalisation", "statistics of one example: no dependence on the batch"),
        Remedy("use at least 16 examples per batch", f"the variance to within {math.sqrt(2 / 15):.0%}"),
    )
    return [Finding("small-batch", tuple(layer.label for layer in found), evidence, ("norms.batch-size",), remedies)]


def stale_statistics(report: Report, thresholds: Thresholds = STANDARD) -> list[Finding]:
    """Running statistics unlike those of the batch: good in training mode, bad at inference."""
    if report.examples < thresholds.stale_statistics_least_examples:
        return []
    distance = thresholds.stale_statistics_standard_deviations
    log_variance = math.log(thresholds.stale_statistics_variance_factor)
    found = [
        r
        for r in report.running
        if (r.mean_distance > distance or r.log_variance_distance > log_variance)
        and r.mode == "inference"  # in training nothing reads them, and after n steps m^n of the initial ones is left
    ]
    if not found:
        return []
    worst = max(found, key=lambda r: max(r.mean_distance / distance, r.log_variance_distance / log_variance))
    evidence = (
        f"{worst.name}: running means are {worst.mean_distance:.2g} standard deviations from the batch's, "
        f"variances differ by a factor {math.exp(min(worst.log_variance_distance, 300)):.3g}"
        + (", as they are still those of a new layer" if worst.initial else "")
    )
    remedies = (
        Remedy(
            "carry the updated statistics from step to step", CARRY.get(report.framework, "keep what the training step returns")
        ),
        Remedy(
            "lower the momentum or run some batches in training mode before inference",
            "after n batches m^n of the old value is left",
        ),
        Remedy("look whether inference inputs are scaled as the training inputs", "statistics follow the data"),
    )
    chosen = worst.initial and report.train is None
    if chosen:  # a model before its first step, read as it stands: whether it is to infer is not known
        evidence += "; read in inference mode, which is the model's own default"
        remedies = (Remedy("read(…, train=True) where the model trains", "statistics of the batch are used"), *remedies)
    layers = tuple(r.name for r in found)
    return [Finding("stale-statistics", layers, evidence, ("norms.running",), remedies, hint=chosen)]


def dropout(report: Report, thresholds: Thresholds = STANDARD) -> list[Finding]:
    """Dropout that acts at inference or on the outputs, has no key, or leaves few units."""
    if report.missing_key:
        evidence = "the model draws random numbers and was given no key"
        remedy = Remedy(GIVE_KEY.get(report.framework, "give a key: read(…, key=…)"), "every step drops other units")
        return [Finding("dropout", (), evidence, ("dropout.subnetworks",), (remedy,))]
    acting = [layer for layer in report.layers if "Dropout" in layer.kind and layer.mode == "training"]
    if acting and report.train is False:
        evidence = "the model was told not to train, and units are dropped all the same"
        remedy = Remedy("pass the switch on: deterministic=not train", "outputs no longer random, and their mean unchanged")
        return [Finding("dropout", tuple(layer.label for layer in acting), evidence, ("dropout.scale",), (remedy,))]
    return [*_on_outputs(acting), *_too_many(acting, thresholds)]


def dropout_of_all(report: Report, thresholds: Thresholds = STANDARD) -> list[Finding]:
    """Layers that drop everything: Equinox then divides 0 by 0."""
    everything = [layer for layer in report.layers if layer.mode == "training" and layer.dropout_rate == 1]
    return _too_many(everything, thresholds)


def _on_outputs(acting: list[Layer]) -> list[Finding]:
    found = [layer for layer in acting if layer.is_output and layer.dropout_rate > 0]
    if not found:
        return []
    evidence = f"{found[0].label} sets {found[0].dropout_rate:.0%} of the model's outputs to 0 in training"
    remedy = Remedy("put dropout before the last layer, not behind it", "each output is trained at every step")
    return [Finding("dropout", (found[0].label,), evidence, ("dropout.scale",), (remedy,))]


def _too_many(acting: list[Layer], thresholds: Thresholds) -> list[Finding]:
    """Certain where next to no unit of an example is left; a high rate of a wide layer may be meant, or be the rate to keep."""
    kept = lambda layer: (1 - layer.dropout_rate) * layer.units
    few = [layer for layer in acting if layer.dropout_rate > 0.5 and kept(layer) < thresholds.dropout_kept_units]
    high = [layer for layer in acting if layer.dropout_rate > thresholds.dropout_rate]
    if not few and not high:
        return []
    first = min(few or high, key=kept)
    evidence = f"{first.label} drops {first.dropout_rate:.0%} of {first.units} units and leaves {kept(first):.3g} on average"
    remedies = (
        Remedy("drop less: 0.5 of hidden units, 0.2 of inputs", "the rates of Srivastava et al. 2014, section 3"),
        Remedy(
            f"pass {1 - first.dropout_rate:.2g} where {first.dropout_rate:.2g} was meant as the share to keep",
            "the frameworks' argument is the share to drop",
        ),
    )
    labels = tuple(layer.label for layer in few or high)
    return [Finding("dropout", labels, evidence, ("dropout.subnetworks",), remedies, hint=not few)]


def clipping(report: Report, thresholds: Thresholds = STANDARD) -> list[Finding]:
    """A limit that always acts, or never."""
    norm = report.gradient_norm
    if report.clip_norm is None or not 0 < norm < math.inf:
        return []
    measured = f"the norm of the batch's gradient is {norm:.3g}, the limit is {report.clip_norm:.3g}"
    remedy = Remedy(f"set the limit to about {2 * norm:.2g}, twice this norm", "acts on rare large gradients only")
    if norm > thresholds.clipping_always_factor * report.clip_norm:
        evidence = f"clipping always acts: {measured}; every step has the same length, whatever the gradient"
    elif norm < thresholds.clipping_never_factor * report.clip_norm:
        evidence = f"clipping never acts: {measured}"
    else:
        return []
    return [Finding("clipping", (), evidence, ("remedies.clip",), (remedy,))]
