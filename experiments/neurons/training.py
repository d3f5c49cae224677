"""Networks with and without activations trained on XOR, two moons and MNIST, each at its own best learning rate."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.neurons.settings import Neurons
from experiments.study.measurement import Evidence, Measurement, interval, mean_interval
from jaxnotes import datasets, training
from jaxnotes.layers.activations import by_name
from jaxnotes.layers.initializers import Initializer, he_normal, lecun_normal, xavier_normal
from jaxnotes.models.mlp import mlp, mlp_init

ARMS = {"identity": lecun_normal, "tanh": xavier_normal, "relu": he_normal}  # each with the initialisation that suits it
XOR_DEVIATION, MOONS_DEVIATION = 0.3, 0.1  # of the noise around the clusters, and around the half circles
GRID = 60  # points a side of the drawn decision regions
VALIDATION = 1000  # MNIST training examples held out for choosing learning rates


class Sets(NamedTuple):
    """Inputs and labels of training, validation and test, and the inputs at which the figure draws the margin."""

    train: tuple[Array, Array]
    validation: tuple[Array, Array]
    test: tuple[Array, Array]
    drawn: Array


class Outcome(NamedTuple):
    """Results of trained networks, seeds in front, and the learning rate that they were trained with."""

    accuracy: np.ndarray  # on the test set
    loss: np.ndarray  # on the test set, nats
    train_losses: np.ndarray  # [seeds, steps]
    margin: np.ndarray  # [seeds, drawn] logit of class 1 minus that of class 0
    learning_rate: np.ndarray


def xor(key: Array, points: int) -> tuple[Array, Array]:
    """Gaussian clusters at (±1, ±1), as many points in each; the class is whether the signs differ."""
    corners = jnp.asarray([[-1.0, -1.0], [1.0, 1.0], [-1.0, 1.0], [1.0, -1.0]])
    labels = jnp.asarray([0, 0, 1, 1], jnp.int32)
    noise = XOR_DEVIATION * jax.random.normal(key, (points // 4, 4, 2))
    return (corners[None] + noise).reshape(points, 2), jnp.tile(labels, points // 4)


def two_moons(key: Array, points: int) -> tuple[Array, Array]:
    """Two interleaved half circles with Gaussian noise, centred."""
    of_angle, of_noise = jax.random.split(key)
    angle = jax.random.uniform(of_angle, (points // 2,), maxval=jnp.pi)
    outer = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    both = jnp.concatenate([outer, jnp.asarray([[1.0, 0.5]]) - outer]) - jnp.asarray([[0.5, 0.25]])
    labels = jnp.repeat(jnp.arange(2, dtype=jnp.int32), points // 2)
    return both + MOONS_DEVIATION * jax.random.normal(of_noise, both.shape), labels


TASKS = {"xor": xor, "moons": two_moons}


def activation(arm: Array, x: Array) -> Array:
    """The activation of the arm of this index: arms, which differ in data only, share a program."""
    return jax.lax.select_n(arm, *(by_name(name)(x) for name in ARMS))


def initializer(arm: Array) -> Initializer:
    """That of the arm of this index."""
    return lambda *shape: jax.lax.select_n(arm, *(draw(*shape) for draw in ARMS.values()))


def expressive(settings: Neurons, key: Array) -> dict[str, Evidence]:
    """neurons.expressive: every arm on every task; arms share data, batches and keys, so that seeds pair."""
    of_xor, of_moons, of_mnist = jax.random.split(key, 3)
    toys = {name: _toy_sets(settings, k, TASKS[name]) for name, k in zip(TASKS, (of_xor, of_moons), strict=True)}
    images = _mnist_sets()
    outcomes = {}
    of_own = _runner(settings, 2, 2, settings.points, settings.toy_steps, own_data=True)
    shared = _runner(settings, images.drawn.shape[1], 10, settings.mnist_batch, settings.mnist_steps, own_data=False)
    for arm in ARMS:
        for task, k in zip(TASKS, (of_xor, of_moons), strict=True):
            outcomes[task, arm] = _trained(settings, of_own, arm, toys[task], k)
        outcomes["mnist", arm] = _trained(settings, shared, arm, images, of_mnist)
    return {"neurons.expressive": Evidence(tuple(_measurements(settings, outcomes)), _arrays(outcomes, toys))}


def _toy_sets(settings: Neurons, key: Array, draw: Callable) -> Sets:
    """Data of every seed, on axis 0; the first is the one on which the learning rate is chosen."""
    line = jnp.linspace(-2.0, 2.0, GRID)
    drawn = jnp.stack(jnp.meshgrid(line, line), axis=-1).reshape(GRID * GRID, 2)
    runs = settings.train_seeds + 1

    def of_run(run_key: Array) -> tuple:
        return tuple(draw(k, settings.points) for k in jax.random.split(run_key, 3))

    sets = jax.jit(jax.vmap(of_run))(jax.random.split(jax.random.fold_in(key, 1), runs))
    return Sets(*sets, jnp.broadcast_to(drawn, (runs, *drawn.shape)))


def _mnist_sets() -> Sets:
    images = datasets.mnist()
    train, test = datasets.standardise(images.train_images), datasets.standardise(images.test_images)
    kept = (train[VALIDATION:], images.train_labels[VALIDATION:])
    held_out = (train[:VALIDATION], images.train_labels[:VALIDATION])
    return Sets(kept, held_out, (test, images.test_labels), test[:1])


def _trained(settings: Neurons, runner: Callable, arm: str, data: Sets, key: Array) -> Outcome:
    keys = jax.random.split(jax.random.fold_in(key, 0), settings.train_seeds + 1)
    return jax.tree.map(np.asarray, runner(list(ARMS).index(arm), keys, np.asarray(settings.learning_rates, np.float32), data))


def _runner(settings: Neurons, n_in: int, n_out: int, batch: int, steps: int, *, own_data: bool) -> Callable:
    """A compiled `(arm, keys, rates, data) -> Outcome`: the learning rate by validation loss on the first key, then the others.

    Search and seeds are one scan, so that the training loop is compiled once. With `own_data` the data of each key lies on
    axis 0, else all share it.
    """
    run = partial(_train_once, settings, n_in, n_out, batch, steps)

    def all_runs(arm: Array, keys: Array, rates: Array, data: Sets) -> Outcome:
        tried = rates.shape[0]
        which = jnp.concatenate([jnp.zeros(tried, jnp.int32), jnp.arange(1, keys.shape[0], dtype=jnp.int32)])
        offered = jnp.concatenate([rates, jnp.full(keys.shape[0] - 1, jnp.nan)])  # NaN: take the best of the search

        def one(best: tuple[Array, Array], item: tuple[Array, Array]) -> tuple[tuple[Array, Array], Outcome]:
            index, offer = item
            rate = jnp.where(jnp.isnan(offer), best[1], offer)
            own = jax.tree.map(lambda a: a[index], data) if own_data else data
            validation, outcome = run(arm, keys[index], rate, own)
            better = ~jnp.isnan(offer) & (validation < best[0])
            return jax.tree.map(partial(jnp.where, better), (validation, rate), best), outcome

        _, outcomes = jax.lax.scan(one, (jnp.asarray(jnp.inf), rates[0]), (which, offered))
        return jax.tree.map(lambda leaf: leaf[tried:], outcomes)

    return jax.jit(all_runs)


def _train_once(
    settings: Neurons, n_in: int, n_out: int, batch: int, steps: int, arm: Array, key: Array, rate: Array, data: Sets
) -> tuple[Array, Outcome]:
    """(validation loss, outcome) of one run of Adam at one learning rate."""
    of_params, of_batches = jax.random.split(key)
    apply = partial(mlp, activation=partial(activation, arm))
    optimizer = optax.inject_hyperparams(optax.adam)(learning_rate=1e-3)

    def loss(params: Any, examples: tuple[Array, Array]) -> Array:
        return training.cross_entropy(apply(params, examples[0]), examples[1])

    params = mlp_init(of_params, n_in, settings.train_width, settings.train_depth, n_out, initializer=initializer(arm))
    state = training.init_state(params, optimizer)
    state.optimizer_state.hyperparams["learning_rate"] = rate
    indices = datasets.minibatch_indices(of_batches, data.train[1].shape[0], batch, steps)
    state, losses = training.train_on(loss, optimizer)(state, data.train, indices)
    logits, drawn = apply(state.params, data.test[0]), apply(state.params, data.drawn)
    test_loss = training.cross_entropy(logits, data.test[1])
    accuracy = training.accuracy(logits, data.test[1])
    outcome = Outcome(accuracy, test_loss, losses, drawn[:, 1] - drawn[:, 0], rate)
    return loss(state.params, data.validation), outcome


def _measurements(settings: Neurons, outcomes: dict[tuple[str, str], Outcome]) -> list[Measurement]:
    measured = []
    for (task, arm), outcome in outcomes.items():
        steps = settings.mnist_steps if task == "mnist" else settings.toy_steps
        tuned = (
            f"Adam at its tuned learning rate {outcome.learning_rate[0]:.1g} of {len(settings.learning_rates)}, {steps} steps"
        )
        chance = 0.5 if (task, arm) == ("xor", "identity") else None
        unit = "fraction of the test set"
        measured.append(interval(f"accuracy-{task}-{arm}", outcome.accuracy, unit=unit, prediction=chance, source=tuned))
        if task != "xor" and arm != "identity":
            gain = outcome.accuracy - outcomes[task, "identity"].accuracy
            measured.append(interval(f"gain-{task}-{arm}", gain, unit=unit, source=f"accuracy {arm} − identity, seeds paired"))
    source = "ln 2: the convex loss of a linear classifier is least where it says nothing"
    loss = outcomes["xor", "identity"].loss
    measured.append(interval("loss-xor-identity", loss, unit="nats", prediction=np.log(2), source=source))
    return measured


def _arrays(outcomes: dict[tuple[str, str], Outcome], toys: dict[str, Sets]) -> dict[str, np.ndarray]:
    """What the figure draws: points and margins of the first seed, and accuracies by arm."""
    arrays = {"arms": np.asarray(list(ARMS))}
    for task, sets in toys.items():
        arrays |= {f"{task}-points": np.asarray(sets.test[0][1]), f"{task}-labels": np.asarray(sets.test[1][1])}
        arrays |= {f"{task}-{arm}-margin": outcomes[task, arm].margin[0].reshape(GRID, GRID) for arm in ARMS}
    for task in (*toys, "mnist"):
        values = np.stack([outcomes[task, arm].accuracy for arm in ARMS], axis=1)
        low, high = mean_interval(values)
        arrays |= {f"{task}-mean": values.mean(0), f"{task}-low": low, f"{task}-high": high}
    return arrays
