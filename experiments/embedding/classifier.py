"""A linear layer over the mean of a text's vectors: what each kind of vector is worth to a task with labels."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.study import convergence
from experiments.study.measurement import Fit
from experiments.study.settings import TrainingSettings
from experiments.study.tuning import Tuned, adam, tuned
from jaxnotes import datasets, training
from jaxnotes.layers.embedding import embedding
from jaxnotes.layers.linear import linear, linear_init

Labelled = tuple[np.ndarray, np.ndarray]  # rows of the table [examples, symbols], and classes [examples]


class Vectors(NamedTuple):
    """A table, and whether the classifier's training changes it too. `draw(key)` makes one that is of each seed its own."""

    draw: Callable[[Array], Array]
    learns: bool


def drawn(rows: int, width: int, *, learns: bool) -> Vectors:
    """A random table of variance 1, which knows nothing."""
    return Vectors(jax.jit(lambda key: jax.random.normal(key, (rows, width))), learns)


def given(table: np.ndarray, *, learns: bool) -> Vectors:
    """A table that is the same for every seed."""
    held = jnp.asarray(table, jnp.float32)
    return Vectors(lambda key: held, learns)


def pretrained_table(vocabulary: Sequence[str]) -> np.ndarray:
    """Returns GloVe's vectors of these words, scaled to variance 1 as a random table has it; zeros where it has none."""
    found = datasets.glove()
    rows = found.rows()
    known = np.asarray([rows.get(word, -1) for word in vocabulary])
    table = np.where(known[:, None] >= 0, found.vectors[np.maximum(known, 0)], 0)
    return table / table[known >= 0].std()


def labelled(parts: Sequence[np.ndarray]) -> Labelled:
    """Returns the examples of all classes one after another, and the class of each."""
    return np.concatenate(parts), np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])


@partial(jax.jit, static_argnames=("classes", "steps", "learns"))
def fit_classifier(
    key: Array,
    table: Array,
    rate: Array,
    words: Array,
    train: Labelled,
    held: Mapping[str, Labelled],
    *,
    classes: int,
    steps: int,
    learns: bool,
) -> dict[str, Array]:
    """Trains a linear layer over the mean vector of each example, full batch, by Adam; returns losses and accuracies.

    Where the table learns, its rows `words` do, to which the training examples point: Adam leaves a row as it is that never
    had a gradient. `words` may be filled up with indices beyond the table.

    Returns:
      "losses" [steps], "train", and the accuracy on each of the held-out sets.
    """
    x, labels = train
    optimizer = adam(rate, steps)

    def apply(params: dict, table: Array, x: Array) -> Array:
        return linear(params["output"], embedding({"table": table}, x).mean(1))

    def loss(params: dict, step: Array) -> Array:
        del step
        return training.cross_entropy(apply(params, params.get("table", rows), x), labels)

    rows = table.at[words].get(mode="clip")
    params = {"output": linear_init(key, table.shape[1], classes)} | ({"table": rows} if learns else {})
    state, losses = training.train(loss, optimizer)(training.init_state(params, optimizer), jnp.arange(steps))
    learned = table.at[words].set(state.params["table"], mode="drop") if learns else table
    found = {name: training.accuracy(apply(state.params, learned, x), classes) for name, (x, classes) in held.items()}
    fitted = training.accuracy(apply(state.params, state.params.get("table", rows), x), labels)
    return {"losses": losses, "train": fitted} | found


def words_in_use(examples: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows of the table that the examples point to, and the examples in terms of these.

    The rows are filled up to a power of two by an index beyond the table, so that few programs are compiled.
    """
    words, inverse = np.unique(examples, return_inverse=True)
    filled = np.full(1 << (len(words) - 1).bit_length(), rows)
    filled[: len(words)] = words
    return filled.astype(np.int32), inverse.reshape(examples.shape).astype(np.int32)


def tuned_classifier(
    vectors: Vectors,
    examples: Callable[[np.random.Generator], tuple[Labelled, Mapping[str, Labelled]]],
    settings: TrainingSettings,
    key: Array,
    *,
    classes: int,
    steps: int,
    seeds: int | None = None,
) -> Tuned:
    """Returns the runs of one kind of vectors, with its rate chosen by the accuracy on the held-out set "validation".

    Args:
      vectors: of the examples' symbols.
      examples: makes a seed's examples to train with and its held-out sets; arms of the same key get the same ones.
      settings: how many seeds, and the rates to begin with.
      key: random key.
      classes: how many.
      steps: of Adam.
      seeds: instead of `settings.train_seeds`.
    """

    def run(rate: Array, key: Array) -> dict[str, Array]:
        key_examples, key_table, key_layer = jax.random.split(key, 3)
        train, held = examples(np.random.default_rng(np.asarray(jax.random.key_data(key_examples))))
        table = vectors.draw(key_table)
        words, x = words_in_use(train[0], len(table))
        options = {"classes": classes, "steps": steps, "learns": vectors.learns}
        return fit_classifier(key_layer, table, rate, words, (x, train[1]), held, **options)

    return tuned(run, lambda found: found["validation"], settings, key, seeds=seeds)


def fitted(found: Tuned) -> Fit:
    """Returns how far the runs came."""
    return convergence.fit(found.runs["losses"], found.runs["train"])
