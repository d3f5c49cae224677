"""Batch against layer normalisation: axes, batch size, kinds of network, running statistics."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.norms.networks import NETWORKS, NORMS
from experiments.norms.settings import Norms
from experiments.norms.training import Outcome, load, momentum_gap, search
from experiments.study.measurement import Evidence, curve, exact, interval
from experiments.study.seeds import over_seeds
from experiments.study.topic import Topic
from jaxnotes.layers.normalization import MOMENTUM, batch_norm, batch_norm_state, layer_norm, norm_init

SHARE = "fraction of the test set"


def axes(settings: Norms, key: Array) -> dict[str, Evidence]:
    """norms.axes: moments along either axis, and which inputs an output depends on, by the Jacobian's exact zeros."""

    def of_seed(seed_key: Array) -> dict[str, Array]:
        shape = (settings.batch, settings.features)
        x = 3 + 2 * jax.random.normal(seed_key, shape, jnp.float64)
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
            found[f"picture-{name}"] = jacobian[few, few, few, few].transpose(0, 1, 2, 3).reshape(36, 36)
        return found

    with jax.enable_x64(True):
        found = over_seeds(of_seed, key, settings.seeds)
    along = {"batch": "over the batch, a feature", "layer": "over the features, an example"}
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
    of_signal, *of_sizes = jax.random.split(key, 1 + len(settings.batch_sizes))
    data, outcomes = load(), []
    for size, of_size in zip(settings.batch_sizes, of_sizes, strict=True):
        outcomes.append(
            search(
                settings.learning_rates,
                data,
                of_size,
                name="mlp",
                batch=size,
                steps=settings.examples_seen // size,
                seeds=settings.train_seeds,
                by_batch=True,
            )
        )
    by_norm = {norm: np.stack([found[norm].inference for found in outcomes], 1) for norm in NORMS}
    gain = by_norm["layer"] - by_norm["batch"]
    smallest, seen = settings.batch_sizes[0], f"{settings.examples_seen} examples seen, tuned learning rates"
    measurements = [
        interval(
            "gain-small", gain[:, 0], unit=SHARE, source=f"layer minus batch normalisation at batches of {smallest}; {seen}"
        ),
        exact("smallest", smallest, unit="examples", source="smallest batch"),
    ]
    arrays = {"sizes": np.asarray(settings.batch_sizes)}
    for norm in NORMS:
        best = by_norm[norm].mean(0).argmax()
        source = f"best batch size ({settings.batch_sizes[best]}) minus batches of {smallest}; {seen}"
        measurements.append(interval(f"drop-{norm}", by_norm[norm][:, best] - by_norm[norm][:, 0], unit=SHARE, source=source))
        measurements += [
            _accuracy(f"accuracy-{norm}-{size}", o[norm]) for size, o in zip(settings.batch_sizes, outcomes, strict=True)
        ]
        arrays |= curve(f"inference-{norm}", by_norm[norm])
        arrays |= curve(f"training-{norm}", np.stack([found[norm].training for found in outcomes], 1))
    with jax.enable_x64(True):
        for norm, signal in over_seeds(partial(_one_example, settings), of_signal, settings.seeds).items():
            source = "largest |∂output/∂input| in training at a batch of 1"
            measurements.append(
                interval(f"signal-one-{norm}", signal, prediction=0 if norm == "batch" else None, source=source)
            )
    return {"norms.batch-size": Evidence(tuple(measurements), arrays)}


def _one_example(settings: Norms, key: Array) -> dict[str, Array]:
    x = jax.random.normal(key, (1, settings.features), jnp.float64)
    params, state = norm_init(settings.features, jnp.float64), batch_norm_state(settings.features, jnp.float64)
    forms = {"batch": lambda x: batch_norm(params, state, x, train=True)[0], "layer": partial(layer_norm, params)}
    return {name: jnp.abs(jax.jacrev(form)(x)).max() for name, form in forms.items()}


def _accuracy(name: str, outcome: Outcome):
    return interval(name, outcome.inference, unit=SHARE, source=f"Adam at its tuned learning rate {outcome.learning_rate:.1g}")


def domains(settings: Norms, key: Array) -> dict[str, Evidence]:
    """norms.domains: both norms in an MLP, a CNN, an RNN and a Transformer."""
    data, measurements, rest = load(), [], []
    batch, steps, rates = settings.domain_batch, settings.domain_steps, settings.domain_rates
    keys = jax.random.split(key, len(NETWORKS))
    for name, of_network, seeds in zip(NETWORKS, keys, settings.domain_seeds, strict=True):
        found = search(rates, data, of_network, name=name, batch=batch, steps=steps, seeds=seeds)
        own, other = ("layer", "batch") if name in ("rnn", "transformer") else ("batch", "layer")
        change = found[own].inference - found[other].inference
        source = f"{own} minus {other} normalisation, {steps} steps of {batch} examples, seeds paired, tuned learning rates"
        measurements.append(interval(f"gain-{name}", change, unit=SHARE, source=source))
        rest += [_accuracy(f"accuracy-{name}-{norm}", found[norm]) for norm in NORMS]
    measurements.append(exact("batch", batch, unit="examples", source="examples a step"))
    return {"norms.domains": Evidence((*measurements, *rest), {"networks": np.asarray(list(NETWORKS))})}


def running(settings: Norms, key: Array) -> dict[str, Evidence]:
    """norms.running: what is kept, what it is for, and how far moving statistics fall behind by momentum."""
    of_checks, of_gaps = jax.random.split(key)
    with jax.enable_x64(True):
        found = over_seeds(partial(_running_checks, settings), of_checks, settings.seeds)
    data, keys = load(), jax.random.split(of_gaps, settings.train_seeds)
    run = jax.jit(
        lambda keys, momenta, data: jax.lax.map(
            lambda k: jax.lax.map(
                lambda m: momentum_gap(m, k, data, batch=settings.domain_batch, steps=settings.momentum_steps), momenta
            ),
            keys,
        )
    )
    by_running, by_batch = map(np.asarray, run(keys, jnp.asarray(settings.momenta, jnp.float32), data))
    gaps, usual = by_running - by_batch, settings.momenta.index(MOMENTUM)
    sizes = {name: len(jax.tree.leaves(state)) for name, state in (("batch", batch_norm_state(1)), ("layer", {}))}
    source = f"test accuracy by running minus by batch statistics, {settings.momentum_steps} steps"
    measurements = [
        interval("gap-usual", gaps[:, usual], unit=SHARE, source=f"{source}, momentum {settings.momenta[usual]:g}"),
        interval("gap-slow", gaps[:, -1], unit=SHARE, source=f"{source}, momentum {settings.momenta[-1]:g}"),
        exact("momentum-usual", settings.momenta[usual], source="weight of the old value"),
        exact("momentum-slow", settings.momenta[-1], source="weight of the old value"),
        exact("steps", settings.momentum_steps, unit="steps", source="training steps before the comparison"),
        *(exact(f"state-{name}", size, unit="numbers a feature", source="kept for inference") for name, size in sizes.items()),
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
    arrays = {"momenta": np.asarray(settings.momenta)} | curve("running", by_running) | curve("batch", by_batch)
    return {"norms.running": Evidence(tuple(measurements), arrays)}


def _running_checks(settings: Norms, key: Array) -> dict[str, Array]:
    """Differences between modes and neighbours, and the running mean against its closed form."""
    of_x, of_others = jax.random.split(key)
    shape = (settings.updates, settings.batch, settings.features)
    batches = 3 + 2 * jax.random.normal(of_x, shape, jnp.float64)
    params, start = norm_init(shape[2], jnp.float64), batch_norm_state(shape[2], jnp.float64)
    state, _ = jax.lax.scan(lambda s, x: (batch_norm(params, s, x, train=True)[1], None), start, batches)
    ages = jnp.arange(settings.updates)[::-1]
    expected = jnp.tensordot((1 - MOMENTUM) * MOMENTUM**ages, batches.mean(1), 1)
    x = batches[-1]
    others = x.at[1:].set(jax.random.normal(of_others, (shape[1] - 1, shape[2]), jnp.float64))
    outputs = {train: [batch_norm(params, state, h, train=train)[0] for h in (x, others)] for train in (True, False)}
    return {
        "mode-batch": jnp.abs(outputs[True][0] - outputs[False][0]).max(),
        "mode-layer": jnp.abs(layer_norm(params, x)[:1] - layer_norm(params, x[:1])).max(),
        "training": jnp.abs(outputs[True][0][0] - outputs[True][1][0]).max(),
        "inference": jnp.abs(outputs[False][0][0] - outputs[False][1][0]).max(),
        "average": jnp.abs(state["mean"] - expected).max(),
    }


TOPIC = Topic("norms", Norms, (axes, batch_size, domains, running))
