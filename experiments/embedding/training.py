"""Tables learned from text: which words come together, and what a pretrained table is worth to a small task."""

from collections import Counter
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.embedding import data
from experiments.embedding.glove import correlation, unit_rows
from experiments.embedding.settings import Embedding
from experiments.study.measurement import Evidence, curve, interval
from experiments.study.seeds import side_by_side
from experiments.study.tuning import Tuned, adam, described, tuned
from jaxnotes import datasets, training
from jaxnotes.layers.embedding import embedding
from jaxnotes.layers.linear import linear, linear_init
from jaxnotes.models.pair_embedding import negative_sampling_loss, pair_embedding_init

COMMON = 100  # the most frequent words, which say little of their neighbours
CLASSES, SNIPPET = 10, 20  # articles told apart, and words of a text
SIZES = ("tiny", "small", "medium", "large")
ARMS = ("glove", "random")
POINTS = 10  # of the drawn learning curve


def corpus(settings: Embedding) -> tuple[list[str], list[np.ndarray]]:
    """Returns the learned words, the most frequent first but for the COMMON ones, and each article as their indices."""
    articles = list(data.wikipedia_articles().values())
    counts = Counter(word for words in articles for word in words)
    vocabulary = [word for word, _ in counts.most_common(COMMON + settings.learned_words)][COMMON:]
    rows = {word: row for row, word in enumerate(vocabulary)}
    return vocabulary, [np.asarray([rows[word] for word in words if word in rows], np.int32) for words in articles]


def pairs_within(articles: list[np.ndarray], window: int) -> np.ndarray:
    """Returns [pairs, 2] words and contexts at most `window` apart, both ways."""
    found = []
    for words in articles:
        for distance in range(1, window + 1):
            near = np.stack([words[:-distance], words[distance:]], 1) if len(words) > distance else np.zeros((0, 2), np.int32)
            found += [near, near[:, ::-1]]
    return np.concatenate(found)


@partial(jax.jit, static_argnames=("settings",))
def skip_gram(key: Array, pairs: Array, *, settings: Embedding) -> Array:
    """Trains by skip-gram with negative sampling (Mikolov et al. 2013).

    Returns:
      [POINTS + 1, words, width] left tables on the way of training, the first and the last included.
    """
    key_params, key_batches = jax.random.split(key)
    n, steps = settings.learned_words, settings.learned_steps // POINTS
    optimizer = optax.adam(3e-3)

    def loss(params: dict, key_step: Array) -> Array:
        chosen = pairs[jax.random.randint(key_step, (settings.learned_batch,), 0, len(pairs))]
        return negative_sampling_loss(params, chosen[:, 0], chosen[:, 1], negatives=settings.negatives)

    def stretch(state: training.TrainState, keys: Array) -> tuple[training.TrainState, Array]:
        return training.train(loss, optimizer)(state, keys)[0], state.params["left"]["table"]

    state = training.init_state(pair_embedding_init(key_params, n, n, settings.learned_width), optimizer)
    keys = jax.random.split(key_batches, steps * POINTS).reshape(POINTS, steps)
    state, tables = jax.lax.scan(stretch, state, keys)
    return jnp.concatenate([tables, state.params["left"]["table"][None]])


def learned(settings: Embedding, key: Array) -> dict[str, Evidence]:
    """embedding.learned: cosines of words that people call similar, minus those of random pairs, on the way of training."""
    vocabulary, articles = corpus(settings)
    rows = {word: row for row, word in enumerate(vocabulary)}
    generator = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    everything = generator.permutation(np.concatenate(articles))
    texts = {"trained": articles, "shuffled": np.split(everything, np.cumsum([len(a) for a in articles])[:-1])}
    pairs = {name: jnp.asarray(pairs_within(text, settings.window)) for name, text in texts.items()}
    rated, ratings = data.word_pairs("wordsim353")
    indices = np.asarray([[rows.get(word.lower(), -1) for word in pair] for pair in rated])
    similar = indices[(indices >= 0).all(1) & (ratings >= np.median(ratings))]
    random = generator.integers(0, len(vocabulary), (5000, 2))
    keys = jax.random.split(key, settings.learned_seeds)
    curves, ends = {}, {}
    for name, contexts in pairs.items():
        tables = side_by_side(lambda key, pairs=contexts: np.asarray(skip_gram(key, pairs, settings=settings)), list(keys))
        curves[name] = np.asarray([[_gap(table, similar, random) for table in way] for way in tables])  # [seeds, points, 2]
        ends[name] = [correlation(way[-1], rows, "wordsim353")[0] for way in tables]
    gap = {name: values[..., 0] - values[..., 1] for name, values in curves.items()}
    change = curves["trained"][:, -1, 0] - curves["trained"][:, 0, 0]
    what = f"mean cosine of {len(similar)} similar pairs (wordsim353) minus random pairs"
    measurements = (
        interval("similar-change", change, source="cosine of similar pairs, after minus before training"),
        interval("gap-initial", gap["trained"][:, 0], prediction=0, source=f"{what}, before training"),
        interval("gap-trained", gap["trained"][:, -1], source=f"{what}, after {settings.learned_steps} steps of skip-gram"),
        interval(
            "gap-shuffled", gap["shuffled"][:, -1], prediction=0, source=f"{what}, trained on the same words in random order"
        ),
        interval("rank-correlation-trained", ends["trained"], source="Spearman with wordsim353"),
        interval("rank-correlation-shuffled", ends["shuffled"], prediction=0, source="Spearman with wordsim353, random order"),
    )
    arrays = {"steps": np.arange(POINTS + 1) * (settings.learned_steps // POINTS)}
    for name, values in gap.items():
        arrays |= curve(f"gap-{name}", values)
    return {"embedding.learned": Evidence(measurements, arrays)}


def _gap(table: np.ndarray, similar: np.ndarray, random: np.ndarray) -> tuple[float, float]:
    """Returns mean cosines of the similar and of the random pairs."""
    unit = unit_rows(table)
    return tuple(float((unit[p[:, 0]] * unit[p[:, 1]]).sum(1).mean()) for p in (similar, random))


class Texts(NamedTuple):
    """Texts of SNIPPET words from the longest articles; sets of each article's texts, [texts, SNIPPET] rows of the vocabulary.

    No text is in two of the sets: the first two fifths of an article are trained on, the next fifth chooses learning rates, and
    the last two fifths are the test.
    """

    vocabulary: list[str]
    train: list[np.ndarray]
    validation: list[np.ndarray]
    test: list[np.ndarray]


def snippets() -> Texts:
    """Returns the texts of the CLASSES longest articles."""
    articles = sorted(data.wikipedia_articles().values(), key=len, reverse=True)[:CLASSES]
    vocabulary = sorted({word for words in articles for word in words})
    rows = {word: row for row, word in enumerate(vocabulary)}
    found = Texts(vocabulary, [], [], [])
    for words in articles:
        whole = np.asarray([rows[word] for word in words[: len(words) // SNIPPET * SNIPPET]], np.int32).reshape(-1, SNIPPET)
        sets = np.split(whole, [len(whole) * 2 // 5, len(whole) * 3 // 5])
        for texts, part in zip(found[1:], sets, strict=True):
            texts.append(part)
    return found


@partial(jax.jit, static_argnames=("steps",))
def fit_texts(
    key: Array,
    table: Array,
    rate: Array,
    words: Array,
    x: Array,
    labels: Array,
    held: dict[str, tuple[Array, Array]],
    *,
    steps: int,
) -> dict[str, Array]:
    """Trains a linear layer over the mean word vector of each text, and returns its accuracy on each of the held-out sets.

    Table and layer learn, full batch, by Adam; of the table only the rows `words`, to which `x` points, since Adam leaves a
    row as it is that never had a gradient. `words` may be filled up with indices beyond the table.
    """
    optimizer = adam(rate, steps)

    def apply(params: dict, x: Array) -> Array:
        return linear(params["output"], embedding({"table": params["table"]}, x).mean(1))

    def loss(params: dict, step: Array) -> Array:
        del step
        return training.cross_entropy(apply(params, x), labels)

    params = {"table": table[words], "output": linear_init(key, table.shape[1], CLASSES)}
    state, _ = training.train(loss, optimizer)(training.init_state(params, optimizer), jnp.arange(steps))
    learned = {**state.params, "table": table.at[words].set(state.params["table"], mode="drop")}
    return {name: training.accuracy(apply(learned, texts), classes) for name, (texts, classes) in held.items()}


def words_in_use(texts: np.ndarray, vocabulary: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the words of the texts, and the texts in terms of them.

    The words are filled up to a power of two by an index beyond the vocabulary, so that few programs are compiled.
    """
    words, inverse = np.unique(texts, return_inverse=True)
    filled = np.full(1 << (len(words) - 1).bit_length(), vocabulary)
    filled[: len(words)] = words
    return filled.astype(np.int32), inverse.reshape(texts.shape).astype(np.int32)


def transfer(settings: Embedding, key: Array) -> dict[str, Evidence]:
    """embedding.transfer: which article a text of 20 words is from, GloVe's table against a random one, both learning."""
    texts = snippets()
    table = pretrained_table(texts.vocabulary)
    found = {(arm, n): _tuned_arm(settings, texts, table, arm, n, key) for arm in ARMS for n in settings.transfer_examples}
    gains, measurements, searches = [], [], {}
    for name, n in zip(SIZES, settings.transfer_examples, strict=True):
        share = {"unit": "fraction of the test texts"}
        glove, random = (found[arm, n].runs["test"] for arm in ARMS)
        gains.append(interval(f"gain-{name}", glove - random, source="GloVe minus random table, seeds paired", **share))
        for arm in ARMS:
            runs, searches[f"{arm}-{name}"] = found[arm, n]
            chosen = f"{described(searches[f'{arm}-{name}'])}, by accuracy on validation texts"
            source = f"{n} texts per class; {settings.transfer_steps} steps of Adam; {chosen}"
            measurements.append(interval(f"accuracy-{arm}-{name}", runs["test"], source=source, **share))
    arrays = {"examples": np.asarray(settings.transfer_examples)}
    for arm in ARMS:
        arrays |= curve(f"accuracy-{arm}", np.stack([found[arm, n].runs["test"] for n in settings.transfer_examples], axis=1))
    return {"embedding.transfer": Evidence((*gains, *measurements), arrays, searches)}


def pretrained_table(vocabulary: list[str]) -> Array:
    """Returns GloVe's vectors of these words, scaled to variance 1 as a random table has it; zeros where it has none."""
    found = datasets.glove()
    rows = found.rows()
    known = np.asarray([rows.get(word, -1) for word in vocabulary])
    table = np.where(known[:, None] >= 0, found.vectors[np.maximum(known, 0)], 0)
    return jnp.asarray(table / table[known >= 0].std())


def _tuned_arm(settings: Embedding, texts: Texts, pretrained: Array, arm: str, n: int, key: Array) -> Tuned:
    """Returns the runs of an arm on n texts per class; arms are paired seed by seed: by texts and output layer."""
    held = {name: labelled(getattr(texts, name)) for name in ("validation", "test")}

    def run(rate: float, key: Array) -> dict[str, Array]:
        key_texts, key_table, key_layer = jax.random.split(key, 3)
        generator = np.random.default_rng(np.asarray(jax.random.key_data(key_texts)))
        chosen, labels = labelled([part[generator.permutation(len(part))[:n]] for part in texts.train])
        words, x = words_in_use(chosen, len(texts.vocabulary))
        table = pretrained if arm == "glove" else jax.random.normal(key_table, pretrained.shape)
        return fit_texts(key_layer, table, jnp.float32(rate), words, x, labels, held, steps=settings.transfer_steps)

    return tuned(
        run,
        lambda accuracies: accuracies["validation"],
        settings.transfer_rates,
        key,
        tuning_seeds=settings.tuning_seeds,
        seeds=settings.transfer_seeds,
    )


def labelled(texts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the texts of all classes one after another, and the class of each."""
    return np.concatenate(texts), np.repeat(np.arange(len(texts), dtype=np.int32), [len(part) for part in texts])
