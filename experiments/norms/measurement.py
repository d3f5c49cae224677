"""Batch against layer normalisation: axes, batch size, kinds of network, running statistics."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.norms.networks import NETWORKS, NORMS
from experiments.norms.settings import Norms
from experiments.norms.training import momentum_gap, train_both
from experiments.study import digits
from experiments.study.measurement import Evidence, Measurement, curve, exact, interval
from experiments.study.seeds import over_seeds, side_by_side
from experiments.study.topic import Topic
from experiments.study.tuning import Tuned, described
from jaxnotes.layers.normalization import MOMENTUM, batch_norm, batch_norm_state, layer_norm, norm_init

SHARE = "fraction of the test set"


def axes(settings: Norms, key: Array) -> dict[str, Evidence]:
    """norms.axes: moments along either axis, and which inputs an output depends on, by the Jacobian's exact zeros."""

    def of_seed(key: Array) -> dict[str, Array]:
        shape = (settings.batch, settings.features)
        x = 3 + 2 * jax.random.normal(key, shape, jnp.float64)
        params, state = norm_init(shape[1], jnp.float64), batch_norm_state(shape[1], jnp.float64)
        forms = {"batch": lambda x: batch_norm(params, state, x, train=True)[0], "layer": partial(layer_norm, params)}
        found = {}
        for axis, (name, form) in enumerate(forms.items()):
            y, jacobian = form(x), jnp.abs(jax.jacrev(form)(x))  # [example, feature, example, feature]
            examples, features = (jnp.eye(n, dtype=bool) for n in shape)
            found[f"mean-{name}"], found[f"variance-{name}"] = jnp.abs(y.mean(axis)).max(), jnp.abs(y.var(axis) - 1).max()
            found[f"examples-{name}"] = jnp.where(examples[:, None, :, None], 0, jacobian).max()
            found[f"features-{name}"] = jnp.where(features[None, :, None, :], 0, jacobian).max()
            few = slice(6)
            found[f"picture-{name}"] = jacobian[few, few, few, few].reshape(36, 36)
        return found

    with jax.enable_x64(True):
        found = over_seeds(of_seed, key, settings.seeds)
    along = {"batch": "over the batch, per feature", "layer": "over the features, per example"}
    measurements = []
    for name in NORMS:
        epsilon = "largest difference from 1; ε makes it a little less"
        measurements += [
            interval(f"mean-error-{name}", found[f"mean-{name}"], prediction=0, source=f"largest |mean| {along[name]}"),
            interval(f"variance-error-{name}", found[f"variance-{name}"], source=f"{along[name]}; {epsilon}"),
            interval(f"other-examples-{name}", found[f"examples-{name}"], source="largest |∂output/∂input| of another example"),
            interval(f"other-features-{name}", found[f"features-{name}"], source="largest |∂output/∂input| of another feature"),
        ]
    return {"norms.axes": Evidence(tuple(measurements), {name: found[f"picture-{name}"][0] for name in NORMS})}


def batch_size(settings: Norms, key: Array) -> dict[str, Evidence]:
    """norms.batch-size: test accuracy against batch size at equal epochs, and what a batch of one lets through."""
    key_signal, key_trained = jax.random.split(key)
    data, sizes, seen = digits.load(flat=False), settings.batch_sizes, f"{settings.examples_seen} examples seen"
    options = {"rates": settings.learning_rates, "tuning_seeds": settings.tuning_seeds, "seeds": settings.train_seeds}
    found = {
        size: train_both(
            data, key_trained, name="mlp", batch=size, steps=settings.examples_seen // size, by_batch=True, **options
        )
        for size in sizes
    }
    by_norm = {norm: np.stack([found[size][norm].runs.inference for size in sizes], 1) for norm in NORMS}
    source = f"layer minus batch normalisation at batches of {sizes[0]}; {seen}, tuned learning rates"
    gain = by_norm["layer"][:, 0] - by_norm["batch"][:, 0]
    measurements, arrays = [interval("gain-small", gain, unit=SHARE, source=source)], {"sizes": np.asarray(sizes)}
    for norm, values in by_norm.items():
        best = values.mean(0).argmax()
        source = f"best batch size ({sizes[best]}) minus batches of {sizes[0]}; {seen}, tuned learning rates"
        measurements.append(interval(f"drop-{norm}", values[:, best] - values[:, 0], unit=SHARE, source=source))
        measurements += [_accuracy(f"accuracy-{norm}-{size}", found[size][norm]) for size in sizes]
        arrays |= curve(f"inference-{norm}", values)
        arrays |= curve(f"training-{norm}", np.stack([found[size][norm].runs.training for size in sizes], 1))
    with jax.enable_x64(True):
        for norm, signal in over_seeds(partial(signal_of_one, settings), key_signal, settings.seeds).items():
            expected = 0 if norm == "batch" else None
            source = "largest |∂output/∂input| in training at a batch of 1"
            measurements.append(interval(f"signal-one-{norm}", signal, prediction=expected, source=source))
    searches = {f"{norm}-{size}": found[size][norm].search for size in sizes for norm in NORMS}
    return {"norms.batch-size": Evidence(tuple(measurements), arrays, searches)}


def signal_of_one(settings: Norms, key: Array) -> dict[str, Array]:
    """Returns by norm the largest |∂output/∂input| in training at a batch of one example."""
    x = jax.random.normal(key, (1, settings.features), jnp.float64)
    params, state = norm_init(settings.features, jnp.float64), batch_norm_state(settings.features, jnp.float64)
    forms = {"batch": lambda x: batch_norm(params, state, x, train=True)[0], "layer": partial(layer_norm, params)}
    return {name: jnp.abs(jax.jacrev(form)(x)).max() for name, form in forms.items()}


def _accuracy(name: str, trained: Tuned) -> Measurement:
    return interval(name, trained.runs.inference, unit=SHARE, source=f"Adam; {described(trained.search)}")


def domains(settings: Norms, key: Array) -> dict[str, Evidence]:
    """norms.domains: both norms in an MLP, a CNN, an RNN and a Transformer."""
    data, measurements, accuracies, searches = digits.load(flat=False), [], [], {}
    batch, steps = settings.domain_batch, settings.domain_steps
    options = {"rates": settings.learning_rates, "tuning_seeds": settings.tuning_seeds}
    for name, seeds in zip(NETWORKS, settings.domain_seeds, strict=True):
        found = train_both(data, key, name=name, batch=batch, steps=steps, seeds=seeds, **options)
        own, other = ("layer", "batch") if name in ("rnn", "transformer") else ("batch", "layer")
        change = found[own].runs.inference - found[other].runs.inference
        source = f"{own} minus {other} normalisation, {steps} steps of {batch} examples, seeds paired, tuned learning rates"
        measurements.append(interval(f"gain-{name}", change, unit=SHARE, source=source))
        accuracies += [_accuracy(f"accuracy-{name}-{norm}", found[norm]) for norm in NORMS]
        searches |= {f"{name}-{norm}": found[norm].search for norm in NORMS}
    arrays = {"networks": np.asarray(list(NETWORKS)), "batch": np.asarray(batch)}
    return {"norms.domains": Evidence((*measurements, *accuracies), arrays, searches)}


def running(settings: Norms, key: Array) -> dict[str, Evidence]:
    """norms.running: what is kept, what it is for, and how far moving statistics fall behind by momentum."""
    key_checks, key_gaps = jax.random.split(key)
    with jax.enable_x64(True):
        found = over_seeds(partial(running_checks, settings), key_checks, settings.seeds)
    data, momenta, steps = digits.load(flat=False), settings.momenta, settings.momentum_steps
    gap = partial(momentum_gap, jnp.asarray(momenta, jnp.float32), data=data, batch=settings.domain_batch, steps=steps)
    gaps = side_by_side(lambda key: np.asarray(gap(key=key)), list(jax.random.split(key_gaps, settings.train_seeds)))
    by_running, by_batch = np.moveaxis(np.stack(gaps), 1, 0)
    gaps, usual = by_running - by_batch, momenta.index(MOMENTUM)
    sizes = {name: len(jax.tree.leaves(state)) for name, state in (("batch", batch_norm_state(1)), ("layer", {}))}
    source = f"test accuracy by running minus by batch statistics, {steps} steps"
    measurements = [
        interval("gap-usual", gaps[:, usual], unit=SHARE, source=f"{source}, momentum {momenta[usual]:g}"),
        interval("gap-slow", gaps[:, -1], unit=SHARE, source=f"{source}, momentum {momenta[-1]:g}"),
        exact("momentum-usual", MOMENTUM, source="weight of the old value"),
        *(
            exact(f"state-{name}", size, unit="numbers per feature", source="kept for inference")
            for name, size in sizes.items()
        ),
        interval("mode-change-batch", found["mode-batch"], source="largest difference between training and inference output"),
        interval("mode-change-layer", found["mode-layer"], prediction=0, source="its one form is used in both"),
        interval("neighbours-training", found["training"], source="change of an example's output when the others change"),
        interval("neighbours-inference", found["inference"], prediction=0, source="the same at inference"),
        interval(
            "average-error",
            found["average"],
            prediction=0,
            source=f"running mean after {settings.updates} batches, against Σ (1 − m) mᵏ μ",
        ),
    ]
    arrays = {"momenta": np.asarray(momenta), "steps": np.asarray(steps)}
    arrays |= curve("running", by_running) | curve("batch", by_batch)
    return {"norms.running": Evidence(tuple(measurements), arrays)}


def running_checks(settings: Norms, key: Array) -> dict[str, Array]:
    """Returns differences between modes and neighbours, and the running mean against its closed form."""
    key_x, key_others = jax.random.split(key)
    shape = (settings.updates, settings.batch, settings.features)
    batches = 3 + 2 * jax.random.normal(key_x, shape, jnp.float64)
    params, start = norm_init(shape[2], jnp.float64), batch_norm_state(shape[2], jnp.float64)
    state, _ = jax.lax.scan(lambda s, x: (batch_norm(params, s, x, train=True)[1], None), start, batches)
    ages = jnp.arange(settings.updates)[::-1]
    expected = jnp.tensordot((1 - MOMENTUM) * MOMENTUM**ages, batches.mean(1), 1)
    x = batches[-1]
    others = x.at[1:].set(jax.random.normal(key_others, (shape[1] - 1, shape[2]), jnp.float64))
    outputs = {train: [batch_norm(params, state, h, train=train)[0] for h in (x, others)] for train in (True, False)}
    return {
        "mode-batch": jnp.abs(outputs[True][0] - outputs[False][0]).max(),
        "mode-layer": jnp.abs(layer_norm(params, x)[:1] - layer_norm(params, x[:1])).max(),
        "training": jnp.abs(outputs[True][0][0] - outputs[True][1][0]).max(),
        "inference": jnp.abs(outputs[False][0][0] - outputs[False][1][0]).max(),
        "average": jnp.abs(state["mean"] - expected).max(),
    }


TOPIC = Topic("norms", Norms, (axes, batch_size, domains, running))
