"""Tables learned from text by skip-gram: whether training moves words together that people call similar."""

from collections import Counter
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.embedding import data
from experiments.embedding.ratings import cosines, rank_correlation, rated_pairs, resampled
from experiments.embedding.settings import Embedding
from experiments.study import convergence
from experiments.study.measurement import Evidence, Measurement, curve
from experiments.study.seeds import side_by_side
from experiments.study.tuning import adam, tuned
from jaxnotes import training
from jaxnotes.models.pair_embedding import negative_sampling_loss, pair_embedding_init

COMMON = 100  # the most frequent words, which say little of their neighbours
POINTS = 10  # of the drawn learning curve
EVERY = 10  # of the articles, one is held out, by whose loss the rate is chosen
HELD = 20_000  # pairs of the held-out articles that count


def corpus(settings: Embedding) -> tuple[list[str], list[np.ndarray]]:
    """Returns the learned words, the most frequent first but for the COMMON ones, and each article as their indices."""
    articles = list(data.wikipedia_articles().values())
    counts = Counter(word for words in articles for word in words)
    vocabulary = [word for word, _ in counts.most_common(COMMON + settings.learned_words)][COMMON:]
    rows = {word: row for row, word in enumerate(vocabulary)}
    return vocabulary, [np.asarray([rows[word] for word in words if word in rows], np.int32) for words in articles]


def shuffled(articles: list[np.ndarray], generator: np.random.Generator) -> list[np.ndarray]:
    """Returns articles of the same lengths with all words in random order."""
    everything = generator.permutation(np.concatenate(articles))
    return np.split(everything, np.cumsum([len(words) for words in articles])[:-1])


def pairs_within(articles: list[np.ndarray], window: int) -> np.ndarray:
    """Returns [pairs, 2] words and contexts at most `window` apart, both ways."""
    found = []
    for words in articles:
        for distance in range(1, window + 1):
            near = np.stack([words[:-distance], words[distance:]], 1) if len(words) > distance else np.zeros((0, 2), np.int32)
            found += [near, near[:, ::-1]]
    return np.concatenate(found)


@partial(jax.jit, static_argnames=("settings",))
def skip_gram(rate: Array, key: Array, pairs: Array, held: Array, *, settings: Embedding) -> dict[str, Array]:
    """Trains by skip-gram with negative sampling (Mikolov et al. 2013).

    Returns:
      "tables" [POINTS + 1, words, width], the left tables on the way of training, the first and the last included, "losses"
      [steps], and "held", the loss on the held-out pairs.
    """
    key_params, key_batches, key_held = jax.random.split(key, 3)
    n, steps = settings.learned_words, settings.learned_steps // POINTS
    optimizer = adam(rate, steps * POINTS)

    def loss(params: dict, chosen: Array) -> Array:
        return negative_sampling_loss(params, chosen[:, 0], chosen[:, 1], negatives=settings.negatives)

    def of_step(params: dict, key_step: Array) -> Array:
        return loss(params, pairs[jax.random.randint(key_step, (settings.learned_batch,), 0, len(pairs))])

    def stretch(state: training.TrainState, keys: Array) -> tuple[training.TrainState, tuple[Array, Array]]:
        before = state.params["left"]["table"]
        state, losses = training.train(of_step, optimizer)(state, keys)
        return state, (before, losses)

    state = training.init_state(pair_embedding_init(key_params, n, n, settings.learned_width), optimizer)
    keys = jax.random.split(key_batches, steps * POINTS).reshape(POINTS, steps)
    state, (tables, losses) = jax.lax.scan(stretch, state, keys)
    tables = jnp.concatenate([tables, state.params["left"]["table"][None]])
    return {
        "tables": tables,
        "losses": losses.ravel(),
        "held": loss(state.params, jax.random.permutation(key_held, held)[:HELD]),
    }


def learned(settings: Embedding, key: Array) -> dict[str, Evidence]:
    """embedding.learned: cosines of words that people call similar, before and after training and on shuffled text."""
    key_text, key_runs, key_mixed = jax.random.split(key, 3)
    vocabulary, articles = corpus(settings)
    generator = np.random.default_rng(np.asarray(jax.random.key_data(key_text)))
    held, own = (_pairs(part, settings) for part in (articles[::EVERY], _others(articles)))
    run = partial(skip_gram, pairs=own, held=held, settings=settings)
    chosen = tuned(
        run, lambda made: -made["held"], settings, key_runs, rates=settings.learned_rates, seeds=settings.learned_seeds
    )
    mixed = partial(
        skip_gram,
        jnp.float32(chosen.rate),
        pairs=_pairs(_others(shuffled(articles, generator)), settings),
        held=held,
        settings=settings,
    )
    keys = jax.random.split(key_mixed, settings.learned_seeds)
    control = side_by_side(lambda key: jax.tree.map(np.asarray, mixed(key)), list(keys))
    found = {"trained": chosen.runs, "shuffled": jax.tree.map(lambda *leaves: np.stack(leaves), *control)}
    pairs = _RatedPairs(vocabulary, generator)
    measured = {name: pairs.cosines(runs["tables"]) for name, runs in found.items()}
    measurements = _measured(pairs, measured, settings, generator)
    arrays = {"steps": np.arange(POINTS + 1) * (settings.learned_steps // POINTS)}
    for name, (similar, random) in measured.items():
        arrays |= curve(f"gap-{name}", pairs.gap(similar, random))
    arrays |= {"ratings": pairs.ratings, "cosines": measured["trained"][0][:, -1].mean(0)}
    fits = {name: convergence.fit(runs["losses"]) for name, runs in found.items()}
    return {"embedding.learned": Evidence(measurements, arrays, {"trained": chosen.search}, fits)}


def _pairs(articles: list[np.ndarray], settings: Embedding) -> Array:
    return jnp.asarray(pairs_within(articles, settings.window))


def _others(text: list[np.ndarray]) -> list[np.ndarray]:
    return [words for place, words in enumerate(text) if place % EVERY]


class _RatedPairs:
    """Pairs of wordsim353 whose words are learned, and random pairs."""

    def __init__(self, vocabulary: list[str], generator: np.random.Generator):
        rows = {word: row for row, word in enumerate(vocabulary)}
        indices, ratings = rated_pairs("wordsim353", rows)
        different = indices[:, 0] != indices[:, 1]
        self.indices, self.ratings = indices[different], ratings[different]
        self.random = generator.integers(0, len(vocabulary), (5000, 2))
        self.similar = self.ratings >= np.median(self.ratings)

    def cosines(self, tables: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns cosines of the rated pairs [seeds, points, pairs], and the mean one of random pairs [seeds, points]."""
        rated, random = [], []
        for table in tables.reshape(-1, *tables.shape[2:]):
            rated.append(cosines(table, self.indices))
            random.append(cosines(table, self.random).mean())
        return np.asarray(rated).reshape(*tables.shape[:2], -1), np.asarray(random).reshape(tables.shape[:2])

    def gap(self, rated: np.ndarray, random: np.ndarray) -> np.ndarray:
        """Returns the mean cosine of similar pairs minus that of random pairs."""
        return rated[..., self.similar].mean(-1) - random


def _measured(
    pairs: _RatedPairs, measured: dict, settings: Embedding, generator: np.random.Generator
) -> tuple[Measurement, ...]:
    """Returns means over seeds, with intervals by resampling the pairs."""
    over = partial(resampled, generator=generator)
    similar = np.flatnonzero(pairs.similar)
    (trained, random), (other, other_random) = measured["trained"], measured["shuffled"]
    ends = {"initial": (trained[:, 0], random[:, 0]), "trained": (trained[:, -1], random[:, -1])}
    ends["shuffled"] = (other[:, -1], other_random[:, -1])
    rise = (trained[:, -1] - trained[:, 0]).mean(0)[similar]
    said = f"{len(similar)} similar pairs (wordsim353), mean of {settings.learned_seeds} seeds, pairs resampled"
    measurements = [over("similar-change", len(similar), lambda i: rise[i].mean(), source=f"cosine after minus before; {said}")]
    sources = {
        "initial": "before training",
        "trained": f"after {settings.learned_steps} steps of skip-gram",
        "shuffled": "trained at the same rate on the same words in random order",
    }
    for name, (rated, other) in ends.items():
        gaps = rated.mean(0)[similar] - other.mean()
        source = f"mean cosine of similar minus random pairs, {sources[name]}; {said}"
        prediction = None if name == "trained" else 0
        measurements.append(
            over(f"gap-{name}", len(similar), lambda i, g=gaps: g[i].mean(), prediction=prediction, source=source)
        )
    ranked = lambda i, rated: np.mean([rank_correlation(one[i], pairs.ratings[i]) for one in rated])
    said = f"Spearman with the ratings of {len(pairs.ratings)} pairs (wordsim353), mean over seeds, pairs resampled"
    for name in ("trained", "shuffled"):
        of = partial(ranked, rated=ends[name][0])
        prediction = None if name == "trained" else 0
        measurements.append(
            over(f"rank-correlation-{name}", len(pairs.ratings), of, prediction=prediction, source=f"{said}; {sources[name]}")
        )
    return tuple(measurements)
