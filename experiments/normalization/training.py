"""Networks with and without batch normalisation trained on MNIST by SGD, with readings on the way."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax import Array

from experiments.normalization import network
from experiments.normalization.network import Arm, Forward, Shape
from experiments.normalization.settings import Normalization
from experiments.study import convergence
from experiments.study.measurement import Fit
from experiments.study.tuning import Tuned, loss_score, tuned
from jaxnotes import datasets

Examples = tuple[Array, Array]  # images [n, 196] and labels


class Moment(NamedTuple):
    """A network about to take a step: what a reading is made of."""

    params: Any
    gradients: Any
    moved: Any  # the parameters after the step
    passed: Forward
    batch: Examples
    keys: Array | None  # of this step's noise
    next_keys: Array | None  # of the next step's


class Run(NamedTuple):
    """What one training run shows."""

    losses: Array  # [steps] nats
    readings: Any  # leaves [points, …]
    params: Any  # at the end
    accuracy: Array  # on the training set, at the end, with its own statistics


@partial(jax.jit, static_argnames=("settings", "shape", "steps", "read", "noisy"))
def train(
    arm: Arm,
    data: Examples,
    rate: Array,
    key: Array,
    *,
    settings: Normalization,
    shape: Shape,
    steps: int | None = None,
    read: Callable[[Moment, Arm], Any] | None = None,
    noisy: bool = False,
) -> Run:
    """Trains one network by SGD.

    Args:
      arm: data, so that all arms share a program.
      data: the training digits.
      rate: learning rate.
      key: the key of parameters, batches and noise.
      settings: steps and batch.
      shape: of the network.
      steps: instead of the settings'.
      read: `read(moment, arm)` is called at the start of each of `settings.points` equal stretches of the training.
      noisy: whether an arm of this program has noise.
    """
    key_params, key_batches, key_noise = jax.random.split(key, 3)
    steps, optimizer = steps or settings.steps(shape), optax.sgd(rate)
    params = network.init(arm, key_params, data[0].shape[1], shape)
    indices = datasets.minibatch_indices(key_batches, len(data[1]), settings.train_batch, steps)
    keys = jax.random.split(key_noise, (steps + 1, shape.depth + 1)) if noisy else None

    def take_step(carry: tuple[Any, Any], at: tuple) -> tuple[tuple[Any, Any], tuple[Array, Moment]]:
        (params, state), (chosen, keys, next_keys) = carry, at
        batch = data[0][chosen], data[1][chosen]
        value_and_gradient = jax.value_and_grad(partial(network.loss, arm), has_aux=True)
        (value, passed), gradients = value_and_gradient(params, batch, keys)
        updates, state = optimizer.update(gradients, state)
        moved = optax.apply_updates(params, updates)
        return (moved, state), (value, Moment(params, gradients, moved, passed, batch, keys, next_keys))

    def take_stretch(carry: tuple[Any, Any], at: tuple) -> tuple[tuple[Any, Any], tuple[Array, Any]]:
        _, (_, moment) = take_step(carry, jax.tree.map(lambda a: a[0], at))
        reading = None if read is None else read(moment, arm)
        carry, losses = jax.lax.scan(lambda *step: _without_moment(*take_step(*step)), carry, at)
        return carry, (losses, reading)

    stretches = jax.tree.map(
        lambda a: a.reshape(settings.points, steps // settings.points, *a.shape[1:]),
        (indices, keys[:-1], keys[1:]) if noisy else (indices, None, None),
    )
    (params, _), (losses, readings) = jax.lax.scan(take_stretch, (params, optimizer.init(params)), stretches)
    passed = network.forward(arm, params, data[0], keys[-1] if noisy else None)
    return Run(losses.ravel(), readings, params, network.accuracy(passed.logits, data[1]))


def _without_moment(carry: Any, seen: tuple[Array, Moment]) -> tuple[Any, Array]:
    return carry, seen[0]


def train_arm(
    settings: Normalization,
    arm: Arm,
    data: Examples,
    key: Array,
    *,
    shape: Shape | None = None,
    read: Callable[[Moment, Arm], Any] | None = None,
    noisy: bool = False,
    rates: Sequence[float] | None = None,
) -> Tuned:
    """Returns the runs of an arm at the rate of the lowest final loss; arms that get the same key are paired seed by seed.

    shape: of the network; the settings' MLP where None. rates: in place of the settings' initial grid.
    """
    shape = settings.mlp if shape is None else shape
    one = partial(train, arm, data, settings=settings, shape=shape, read=read, noisy=noisy)
    return tuned(one, lambda run: loss_score(run.losses), settings, key, rates=rates)


def fits(found: Mapping[str, Tuned], controls: Sequence[str] = ()) -> dict[str, Fit]:
    """Returns how far each training came; controls need not train."""
    return convergence.fits(found, lambda runs: runs.accuracy, controls)


def smooth(losses: np.ndarray, points: int) -> np.ndarray:
    """Returns [seeds, points] the mean loss of each stretch."""
    return losses.reshape(len(losses), points, -1).mean(2)


def point_steps(settings: Normalization, shape: Shape | None = None) -> np.ndarray:
    """Returns the step at which each stretch starts; of the settings' MLP where None."""
    steps = settings.steps(settings.mlp if shape is None else shape)
    return np.arange(settings.points) * (steps // settings.points)
