"""Networks with and without activations, trained on XOR, two moons and MNIST-1D, each at its own learning rate."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.neurons.settings import Neurons
from experiments.neurons.tasks import DRAWN, TASKS, Examples, Sets, Task, tasks
from experiments.study import tuning
from experiments.study.convergence import fit
from experiments.study.measurement import Evidence, Measurement, curve, fraction, interval
from jaxnotes import datasets, training
from jaxnotes.layers.activations import by_name
from jaxnotes.layers.initializers import he_normal, lecun_normal, xavier_normal
from jaxnotes.models.mlp import mlp, mlp_init

ARMS = {"identity": lecun_normal, "tanh": xavier_normal, "relu": he_normal}  # each with the initialisation that suits it
GRID = 60  # points per side of the drawn decision regions


class Plan(NamedTuple):
    """What a training program is compiled for.

    Attributes:
      activation: one of ARMS.
      hidden: units of each of two hidden layers.
      classes: outputs.
      steps: of Adam.
      batch: examples per step.
    """

    activation: str
    hidden: int
    classes: int
    steps: int
    batch: int


class Trained(NamedTuple):
    """A trained network and how good it is."""

    params: dict[str, dict[str, Array]]
    losses: Array  # [steps]
    train_accuracy: Array
    validation_accuracy: Array
    test_accuracy: Array
    test_loss: Array  # nats


Trials = dict[str, dict[str, tuning.Tuned]]  # by task and activation


def expressive(settings: Neurons, key: Array) -> dict[str, Evidence]:
    """neurons.expressive: every activation on every task; on one task all have the same keys, so that seeds pair."""
    key_shown, *keys_tasks = jax.random.split(key, 1 + len(TASKS))
    named = zip(tasks(settings).items(), keys_tasks, strict=True)
    trials = {name: {arm: tuned_arm(settings, task, arm, key_task) for arm in ARMS} for (name, task), key_task in named}
    searches = {f"{task}-{arm}": tuned.search for task, arms in trials.items() for arm, tuned in arms.items()}
    shown = {name: draw(key_shown, settings.points) for name, draw in DRAWN.items()}
    fits = {
        f"{task}-{arm}": fit(tuned.runs.losses, tuned.runs.train_accuracy)
        for task, arms in trials.items()
        for arm, tuned in arms.items()
    }
    return {"neurons.expressive": Evidence(tuple(_measurements(settings, trials)), _arrays(trials, shown), searches, fits)}


def tuned_arm(settings: Neurons, task: Task, arm: str, key: Array) -> tuning.Tuned:
    """Returns networks of one activation, trained at the learning rate with the best validation accuracy."""
    plan = Plan(arm, *task[1:])

    def run(rate: Array, key: Array) -> Trained:
        key_sets, key_training = jax.random.split(key)
        return train(plan, rate, key_training, task.sets(key_sets))

    return tuning.tuned(run, lambda trained: trained.validation_accuracy, settings, key)


@partial(jax.jit, static_argnames="plan")
def train(plan: Plan, rate: Array, key: Array, sets: Sets) -> Trained:
    """Returns one network trained by Adam, whose learning rate falls from `rate` to 0."""
    key_params, key_batches = jax.random.split(key)
    apply = partial(mlp, activation=by_name(plan.activation))

    def loss(params: dict, examples: Examples) -> Array:
        return training.cross_entropy(apply(params, examples[0]), examples[1])

    x, labels = sets.train
    params = mlp_init(key_params, x.shape[1], plan.hidden, 1, plan.classes, initializer=ARMS[plan.activation])
    optimizer = tuning.adam(rate, plan.steps)
    batches = datasets.minibatch_indices(key_batches, len(labels), plan.batch, plan.steps)
    state, losses = training.train_on(loss, optimizer)(training.init_state(params, optimizer), sets.train, batches)
    own, held_out, test = (training.accuracy(apply(state.params, x), labels) for x, labels in sets)
    return Trained(state.params, losses, own, held_out, test, loss(state.params, sets.test))


def _measurements(settings: Neurons, trials: Trials) -> list[Measurement]:
    measured, unit = [], "fraction of the test set"
    for task, arms in trials.items():
        steps = settings.mnist1d_steps if task == "mnist1d" else settings.toy_steps
        linear = arms["identity"].runs.test_accuracy
        for arm, tuned in arms.items():
            chance = 0.5 if (task, arm) == ("xor", "identity") else None
            source = f"{steps} steps of Adam, {tuning.described(tuned.search)}"
            accuracy = tuned.runs.test_accuracy
            measured.append(fraction(f"accuracy-{task}-{arm}", accuracy, unit=unit, prediction=chance, source=source))
            if arm != "identity":
                source = f"accuracy {arm} − identity, seeds paired"
                measured.append(interval(f"gain-{task}-{arm}", accuracy - linear, unit=unit, source=source))
    source = "ln 2: the convex loss of a linear classifier is least where it says nothing"
    loss = trials["xor"]["identity"].runs.test_loss
    measured.append(interval("loss-xor-identity", loss, unit="nats", prediction=np.log(2), source=source))
    return measured


def _arrays(trials: Trials, shown: dict[str, Examples]) -> dict[str, np.ndarray]:
    """Returns what the figure draws: points, the margin between the classes of the first seed's networks, accuracies by arm."""
    arrays = {"arms": np.asarray(list(ARMS))}
    line = jnp.linspace(-2.0, 2.0, GRID)
    grid = jnp.stack(jnp.meshgrid(line, line), axis=-1).reshape(GRID * GRID, 2)
    for task, (points, labels) in shown.items():
        arrays |= {f"{task}-points": np.asarray(points), f"{task}-labels": np.asarray(labels)}
        for arm, tuned in trials[task].items():
            logits = mlp(jax.tree.map(lambda leaf: leaf[0], tuned.runs.params), grid, activation=by_name(arm))
            arrays[f"{task}-{arm}-margin"] = np.asarray(logits[:, 1] - logits[:, 0]).reshape(GRID, GRID)
    for task, arms in trials.items():
        arrays |= curve(task, np.stack([tuned.runs.test_accuracy for tuned in arms.values()], axis=1))
    return arrays
