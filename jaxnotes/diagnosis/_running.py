"""Findings about how the model is run: batch size, running statistics, dropout, clipping."""

import math

from jaxnotes.diagnosis._finding import Finding, Remedy
from jaxnotes.probe import Report

SMALL_BATCH = 8  # examples
STALE_DISTANCE = 1.0  # standard deviations of the batch
STALE_LOG_VARIANCE = math.log(4)
ALWAYS = 10.0  # times the limit
NEVER = 0.01


def small_batch(report: Report) -> list[Finding]:
    """Batch normalisation in training mode with few examples."""
    found = [layer for layer in report.layers if "BatchNorm" in layer.kind and layer.mode == "training"]
    if not found or report.examples >= SMALL_BATCH:
        return []
    noise = math.sqrt(2 / max(report.examples - 1, 1))
    evidence = f"{report.examples} examples per batch: the variance of a feature is estimated to within {noise:.0%}"
    remedies = (
        Remedy("use layer or group normalisation", "statistics of one example: no dependence on the batch"),
        Remedy("use at least 16 examples per batch", f"the variance to within {math.sqrt(2 / 15):.0%}"),
    )
    return [Finding("small-batch", tuple(layer.label for layer in found), evidence, ("norms.batch-size",), remedies)]


def stale_statistics(report: Report) -> list[Finding]:
    """Running statistics unlike those of the batch: good in training mode, bad at inference."""
    if report.examples < 2 * SMALL_BATCH:
        return []
    found = [
        r
        for r in report.running
        if (r.mean_distance > STALE_DISTANCE or r.log_variance_distance > STALE_LOG_VARIANCE)
        and not (r.initial and r.mode == "training")  # before the first step they say nothing
    ]
    if not found:
        return []
    worst = max(found, key=lambda r: max(r.mean_distance / STALE_DISTANCE, r.log_variance_distance / STALE_LOG_VARIANCE))
    evidence = (
        f"{worst.name}: running means are {worst.mean_distance:.2g} standard deviations from the batch's, "
        f"variances differ by a factor {math.exp(min(worst.log_variance_distance, 300)):.3g}"
        + (", as they are still the initial 0 and 1" if worst.initial else "")
    )
    remedies = (
        Remedy(
            "carry the updated statistics from step to step", "in Flax: mutable=['batch_stats'], and keep what apply returns"
        ),
        Remedy(
            "lower the momentum or run some batches in training mode before inference",
            "after n batches m^n of the old value is left",
        ),
        Remedy("look whether inference inputs are scaled as the training inputs", "statistics follow the data"),
    )
    return [Finding("stale-statistics", tuple(r.name for r in found), evidence, ("norms.running",), remedies)]


def dropout(report: Report) -> list[Finding]:
    """Dropout that acts at inference, or has no key."""
    if report.missing_key:
        evidence = "the model draws random numbers and was given no key"
        remedy = Remedy(
            "give a key: read(…, key=…); in training rngs={'dropout': key}, a new one each step", "every step drops other units"
        )
        return [Finding("dropout", (), evidence, ("dropout.subnetworks",), (remedy,))]
    left_on = (
        tuple(x.label for x in report.layers if "Dropout" in x.kind and x.mode == "training") if report.train is False else ()
    )
    if not left_on:
        return []
    evidence = "the model was told not to train, and units are dropped all the same"
    remedy = Remedy("pass the switch on: deterministic=not train", "outputs no longer random, and their mean unchanged")
    return [Finding("dropout", left_on, evidence, ("dropout.scale",), (remedy,))]


def clipping(report: Report) -> list[Finding]:
    """A limit that always acts, or never."""
    if report.clip_norm is None or not report.gradient_norms:
        return []
    low, high = min(report.gradient_norms), max(report.gradient_norms)
    measured = (
        f"gradient norms of {len(report.gradient_norms)} parts of the batch lie in [{low:.3g}, {high:.3g}], "
        f"the limit is {report.clip_norm:.3g}"
    )
    suggested = 2 * sorted(report.gradient_norms)[len(report.gradient_norms) // 2]
    remedy = Remedy(f"set the limit to about {suggested:.2g}, twice the median norm", "acts on rare large gradients only")
    if low > ALWAYS * report.clip_norm:
        evidence = f"clipping always acts: {measured}; every step has the same length, whatever the gradient"
    elif high < NEVER * report.clip_norm:
        evidence = f"clipping never acts: {measured}"
    else:
        return []
    return [Finding("clipping", (), evidence, ("remedies.clip",), (remedy,))]
