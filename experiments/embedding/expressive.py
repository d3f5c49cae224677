"""Whether a table makes a network more expressive: what it can represent and memorise, with one-hot codes and with a table."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.embedding.settings import Embedding
from experiments.study import convergence
from experiments.study.measurement import Evidence, curve, exact, fraction, interval
from experiments.study.tuning import Tuned, adam, described, loss_score, tuned
from jaxnotes import training
from jaxnotes.layers.embedding import embedding, embedding_init
from jaxnotes.layers.linear import linear, linear_init

ZERO = 1e-4  # a singular value below this share of the largest counts as 0


def expressive(settings: Embedding, key: Array) -> dict[str, Evidence]:
    """embedding.expressive: rank and error of a linear map of symbols, and pairs memorised by a network, over the width."""
    key_map, key_pairs = jax.random.split(key)
    widths = ("one-hot", *settings.expressive_widths)
    maps = {width: _tuned(fit_map, width, settings, key_map) for width in widths}
    pairs = {width: _tuned(fit_pairs_of_symbols, width, settings, key_pairs) for width in widths}
    narrow = settings.expressive_widths[0]
    measurements = []
    for width in ("one-hot", *settings.expressive_widths):
        name = {"one-hot": "one-hot", narrow: "narrow"}.get(width, f"width-{width}")
        runs, chosen = maps[width].runs, described(maps[width].search)
        what = "random targets, one linear layer behind"
        rank = min(settings.map_symbols - 1, settings.map_targets) if width == "one-hot" else width
        measurements.append(
            exact(
                f"rank-{name}", runs["rank"].max(), prediction=rank, source=f"of the centred map; {what}; largest of the seeds"
            )
        )
        predicted = runs["least"].mean()
        measurements.append(
            interval(
                f"error-{name}",
                runs["error"],
                unit="of the targets' variance",
                prediction=predicted,
                source=f"{what}; predicted: best map of that rank (Eckart and Young 1936); {chosen}",
            )
        )
        runs, chosen = pairs[width].runs, described(pairs[width].search)
        measurements.append(
            fraction(
                f"memorised-{name}",
                runs["train"],
                unit="of the pairs",
                source=f"random labels of all pairs of symbols, {settings.pair_hidden} hidden units; {chosen}",
            )
        )
    measurements += [
        interval(
            "error-change",
            maps[narrow].runs["error"] - maps["one-hot"].runs["error"],
            source=f"width {narrow} minus one-hot codes",
        ),
        interval(
            "memorised-change",
            pairs[narrow].runs["train"] - pairs["one-hot"].runs["train"],
            source=f"width {narrow} minus one-hot codes, seeds paired",
        ),
        exact(
            "function-difference",
            _difference(settings, key),
            source="outputs with a table, and with one-hot codes and the table multiplied into the first layer; float64",
        ),
    ]
    arrays = {"widths": np.asarray(settings.expressive_widths)}
    for name, found in (
        ("error", {w: r.runs["error"] for w, r in maps.items()}),
        ("memorised", {w: r.runs["train"] for w, r in pairs.items()}),
    ):
        arrays |= curve(name, np.stack([found[w] for w in settings.expressive_widths], axis=1)) | curve(
            f"{name}-one-hot", found["one-hot"][:, None]
        )
    arrays["error-predicted"] = np.asarray([maps[w].runs["least"].mean() for w in settings.expressive_widths])
    searches = {f"{kind}-{width}": runs[width].search for kind, runs in (("map", maps), ("pairs", pairs)) for width in widths}
    fits = {f"map-{width}": convergence.fit(maps[width].runs["losses"]) for width in widths}
    fits |= {f"pairs-{width}": convergence.fit(pairs[width].runs["losses"], pairs[width].runs["train"]) for width in widths}
    return {"embedding.expressive": Evidence(tuple(measurements), arrays, searches, fits)}


def _tuned(fit, width: int | str, settings: Embedding, key: Array) -> Tuned:
    number = None if width == "one-hot" else width
    run = partial(fit, width=number, settings=settings)
    return tuned(run, lambda found: loss_score(found["losses"]), settings, key)


def symbols_init(key: Array, symbols: int, width: int | None) -> dict[str, Array]:
    """Returns a table, or nothing where width is None: one-hot codes have no parameters."""
    return {} if width is None else embedding_init(key, symbols, width)


def vectors_of(table: dict[str, Array], symbols: Array, count: int) -> Array:
    """Returns the symbols' rows, or their one-hot codes where there is no table."""
    return embedding(table, symbols) if table else jax.nn.one_hot(symbols, count)


@partial(jax.jit, static_argnames=("width", "settings"))
def fit_map(rate: Array, key: Array, *, width: int | None, settings: Embedding) -> dict[str, Array]:
    """Fits random targets of each symbol by a linear layer on its vector.

    Returns:
      "losses" [steps], "error" and "least", the shares of the targets' variance that are left and that must be left at this
      rank, and "rank" of the centred map.
    """
    key_targets, key_table, key_layer = jax.random.split(key, 3)
    count, steps = settings.map_symbols, settings.expressive_steps
    targets, every = jax.random.normal(key_targets, (count, settings.map_targets)), jnp.arange(count)
    params = {"table": symbols_init(key_table, count, width)}
    params["output"] = linear_init(key_layer, count if width is None else width, settings.map_targets)
    apply = lambda params: linear(params["output"], vectors_of(params["table"], every, count))
    optimizer = adam(rate, steps)
    fit = training.train(lambda params, _: jnp.mean((apply(params) - targets) ** 2), optimizer)
    state, losses = fit(training.init_state(params, optimizer), jnp.arange(steps))
    made = apply(state.params)
    left, whole = jnp.sum((made - targets) ** 2), jnp.sum((targets - targets.mean(0)) ** 2)
    wanted, found = (jnp.linalg.svd(m - m.mean(0), compute_uv=False) for m in (targets, made))
    least = 0.0 if width is None else jnp.sum(wanted[width:] ** 2) / whole
    return {"losses": losses, "error": left / whole, "least": jnp.asarray(least), "rank": jnp.sum(found > ZERO * found[0])}


def network(params: dict, pairs: Array, count: int) -> Array:
    """Returns logits of pairs of symbols from a hidden layer of ReLUs over both vectors."""
    both = jnp.concatenate([vectors_of(params["table"], pairs[:, i], count) for i in (0, 1)], axis=1)
    return linear(params["output"], jax.nn.relu(linear(params["hidden"], both)))


def network_init(key: Array, width: int | None, settings: Embedding) -> dict:
    """Returns the parameters of `network`."""
    key_table, key_hidden, key_output = jax.random.split(key, 3)
    count, hidden = settings.pair_symbols, settings.pair_hidden
    table = symbols_init(key_table, count, width)
    n_in = 2 * (count if width is None else width)
    return {"table": table, "hidden": linear_init(key_hidden, n_in, hidden), "output": linear_init(key_output, hidden, 2)}


@partial(jax.jit, static_argnames=("width", "settings"))
def fit_pairs_of_symbols(rate: Array, key: Array, *, width: int | None, settings: Embedding) -> dict[str, Array]:
    """Memorises a random label for every pair of symbols; returns "losses" [steps] and the share memorised, "train"."""
    key_labels, key_params = jax.random.split(key)
    count, steps = settings.pair_symbols, settings.expressive_steps
    pairs = jnp.stack(jnp.meshgrid(jnp.arange(count), jnp.arange(count)), -1).reshape(-1, 2)
    labels = jax.random.bernoulli(key_labels, 0.5, (len(pairs),)).astype(jnp.int32)
    optimizer = adam(rate, steps)
    loss = lambda params, _: training.cross_entropy(network(params, pairs, count), labels)
    state = training.init_state(network_init(key_params, width, settings), optimizer)
    state, losses = training.train(loss, optimizer)(state, jnp.arange(steps))
    return {"losses": losses, "train": training.accuracy(network(state.params, pairs, count), labels)}


def _difference(settings: Embedding, key: Array) -> float:
    """Returns how far a network behind a table is from one-hot codes with the table multiplied into its first layer."""
    count = settings.pair_symbols
    with jax.enable_x64(True):
        params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), network_init(key, settings.expressive_widths[0], settings))
        table, halves = params["table"]["table"], jnp.split(params["hidden"]["weight"], 2)
        first = {"weight": jnp.concatenate([table @ half for half in halves]), "bias": params["hidden"]["bias"]}
        coded = {"table": {}, "hidden": first, "output": params["output"]}
        pairs = jnp.stack(jnp.meshgrid(jnp.arange(count), jnp.arange(count)), -1).reshape(-1, 2)
        return float(jnp.abs(network(params, pairs, count) - network(coded, pairs, count)).max())
