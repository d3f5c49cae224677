"""Batch against layer normalisation: axes, batch size, kinds of network, running statistics."""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.norms.networks import NETWORKS, NORMS
from experiments.norms.settings import Norms
from experiments.norms.text import text
from experiments.norms.training import run, train_norms
from experiments.study import convergence, digits
from experiments.study.measurement import Evidence, Fit, Measurement, curve, exact, fraction, interval
from experiments.study.seeds import over_seeds, paired
from experiments.study.topic import Topic
from experiments.study.tuning import Tuned, described, tuned
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
    for name in ("batch", "layer"):
        epsilon = "largest difference from 1; ε makes it a little less"
        measurements += [
            interval(f"mean-error-{name}", found[f"mean-{name}"], prediction=0, source=f"largest |mean| {along[name]}"),
            interval(f"variance-error-{name}", found[f"variance-{name}"], source=f"{along[name]}; {epsilon}"),
            interval(f"other-examples-{name}", found[f"examples-{name}"], source="largest |∂output/∂input| of another example"),
            interval(f"other-features-{name}", found[f"features-{name}"], source="largest |∂output/∂input| of another feature"),
        ]
    return {"norms.axes": Evidence(tuple(measurements), {name: found[f"picture-{name}"][0] for name in ("batch", "layer")})}


def batch_size(settings: Norms, key: Array) -> dict[str, Evidence]:
    """norms.batch-size: test accuracy against batch size at equal epochs, and what a batch of one lets through.

    The drop of a norm is from the best common batch, the one of the larger sizes with the best mean accuracy over the norms,
    down to the smallest: no drop is 0 by construction.
    """
    key_signal, key_trained = jax.random.split(key)
    data = digits.load(flat=False)
    measurements, accuracies, arrays, searches, fits = [], [], {}, {}, {}
    for name, sizes, examples in (
        ("mlp", settings.batch_sizes, settings.examples_seen),
        ("cnn", settings.cnn_batch_sizes, settings.cnn_examples_seen),
    ):
        seen = f"{examples} examples seen"
        trained = {
            size: train_norms(data, key_trained, settings, name=name, batch=size, steps=examples // size) for size in sizes
        }
        by_norm = {norm: np.stack([trained[size][norm].runs.test[:, 0] for size in sizes], 1) for norm in NORMS}
        common = 1 + np.mean([values.mean(0)[1:] for values in by_norm.values()], 0).argmax()
        for norm, values in by_norm.items():
            source = f"{name.upper()}: best common size ({sizes[common]}) minus batches of {sizes[0]}; {seen}"
            measurements.append(interval(f"drop-{name}-{norm}", values[:, common] - values[:, 0], unit=SHARE, source=source))
            arrays |= curve(f"{name}-{norm}", values)
        for norm in ("layer", "group"):
            source = f"{name.upper()}: {norm} minus batch normalisation at batches of {sizes[0]}; {seen}, tuned learning rates"
            ahead = by_norm[norm][:, 0] - by_norm["batch"][:, 0]
            measurements.append(interval(f"gain-{name}-{norm}", ahead, unit=SHARE, source=source))
        arms = {f"{name}-{norm}-{size}": trained[size][norm] for size in sizes for norm in NORMS}
        accuracies += [_accuracy(f"accuracy-{arm}", of) for arm, of in arms.items()]
        searches |= {arm: of.search for arm, of in arms.items()}
        # Of batch normalisation at small batches, those below the best common one, the claim says that it does badly.
        fits |= _fits(arms, controls=tuple(f"{name}-batch-{size}" for size in sizes[:common]))
        arrays[f"{name}-sizes"] = np.asarray(sizes)
    with jax.enable_x64(True):
        for norm, signal in over_seeds(partial(signal_of_one, settings), key_signal, settings.seeds).items():
            expected = 0 if norm == "batch" else None
            source = "largest |∂output/∂input| in training at a batch of 1"
            measurements.append(interval(f"signal-one-{norm}", signal, prediction=expected, source=source))
    return {"norms.batch-size": Evidence((*measurements, *accuracies), arrays, searches, fits)}


def signal_of_one(settings: Norms, key: Array) -> dict[str, Array]:
    """Returns by norm the largest |∂output/∂input| in training at a batch of one example."""
    x = jax.random.normal(key, (1, settings.features), jnp.float64)
    params, state = norm_init(settings.features, jnp.float64), batch_norm_state(settings.features, jnp.float64)
    forms = {"batch": lambda x: batch_norm(params, state, x, train=True)[0], "layer": partial(layer_norm, params)}
    return {name: jnp.abs(jax.jacrev(form)(x)).max() for name, form in forms.items()}


def _accuracy(name: str, trained: Tuned) -> Measurement:
    return fraction(name, trained.runs.test[:, 0], unit=SHARE, source=f"Adam; {described(trained.search)}")


def _fits(trained: Mapping[str, Tuned], controls: tuple[str, ...] = ()) -> dict[str, Fit]:
    return convergence.fits(trained, lambda runs: runs.train[:, 0], controls)


def domains(settings: Norms, key: Array) -> dict[str, Evidence]:
    """norms.domains: batch against layer normalisation in an MLP and a CNN on images, in an RNN and a Transformer on text."""
    data = digits.load(flat=False)
    key_images, key_text = jax.random.split(key)
    gains, measurements, searches, fits = [], [], {}, {}
    for name in NETWORKS:
        size = {"batch": settings.domain_batch, "steps": settings.domain_steps}
        found = train_norms(data, key_images, settings, name=name, norms=("batch", "layer"), **size)
        source = f"batch minus layer normalisation, {size['steps']} steps of {size['batch']} digits, seeds paired"
        change = paired(found["batch"].runs.test[:, 0], found["layer"].runs.test[:, 0])
        gains.append(interval(f"gain-{name}", change, unit=SHARE, source=source))
        arms = {f"{name}-{norm}": arm for norm, arm in found.items()}
        measurements += [_accuracy(f"accuracy-{arm}", of) for arm, of in arms.items()]
        searches |= {arm: of.search for arm, of in arms.items()}
        fits |= _fits(arms)
    on_text, more, others = text(settings, key_text)
    found = (*gains, *on_text, *measurements)
    return {"norms.domains": Evidence(found, {"batch": np.asarray(settings.domain_batch)}, searches | more, fits | others)}


def running(settings: Norms, key: Array) -> dict[str, Evidence]:
    """norms.running: what is kept, what it is for, and how far moving statistics fall behind by momentum."""
    key_checks, key_gaps = jax.random.split(key)
    with jax.enable_x64(True):
        found = over_seeds(partial(running_checks, settings), key_checks, settings.seeds)
    data, momenta, steps = digits.load(flat=False), settings.momenta, settings.momentum_steps
    one = partial(
        run, jnp.int32(NORMS.index("batch")), data, momenta=momenta, name="mlp", batch=settings.domain_batch, steps=steps
    )
    trained = tuned(one, lambda run: run.validation[0], settings, key_gaps)
    by_running, by_batch = trained.runs.test, trained.runs.by_batch
    gaps, slowest, order = by_running - by_batch, int(np.argmax(momenta)), np.argsort(momenta)
    sizes = {name: len(jax.tree.leaves(state)) for name, state in (("batch", batch_norm_state(1)), ("layer", {}))}
    source = f"test accuracy by running minus by batch statistics, {steps} steps, {described(trained.search)}"
    measurements = [
        interval("gap-usual", gaps[:, 0], unit=SHARE, source=f"{source}, momentum {momenta[0]:g}"),
        interval("gap-slow", gaps[:, slowest], unit=SHARE, source=f"{source}, momentum {momenta[slowest]:g}"),
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
    arrays = {"momenta": np.asarray(momenta)[order], "steps": np.asarray(steps)}
    arrays |= curve("running", by_running[:, order]) | curve("batch", by_batch[:, order])
    return {"norms.running": Evidence(tuple(measurements), arrays, {"mlp": trained.search}, _fits({"mlp": trained}))}


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


TOPIC = Topic("norms", Norms, (axes, batch_size, domains, running), optional=("gensim",), edition=6)
