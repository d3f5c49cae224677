"""Tables learned from text: which words come together, and what a pretrained table is worth to a small task."""

from collections import Counter
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.embedding.glove import correlation, unit_rows
from experiments.embedding.settings import Embedding
from experiments.study.measurement import Evidence, curve, exact, interval
from experiments.study.seeds import side_by_side
from jaxnotes import datasets, training
from jaxnotes.layers.embedding import embedding
from jaxnotes.layers.linear import linear, linear_init
from jaxnotes.models.pair_embedding import negative_sampling_loss, pair_embedding_init

COMMON = 100  # the most frequent words, which say little of their neighbours
CLASSES, SNIPPET = 10, 20  # articles told apart, and words of a text
SIZES = ("tiny", "small", "medium", "large")
POINTS = 10  # of the drawn learning curve


def corpus(settings: Embedding) -> tuple[list[str], list[np.ndarray]]:
    """The learned words, the most frequent first but for the COMMON ones, and each article as their indices."""
    articles = list(datasets.wikipedia_articles().values())
    counts = Counter(word for words in articles for word in words)
    vocabulary = [word for word, _ in counts.most_common(COMMON + settings.learned_words)][COMMON:]
    rows = {word: row for row, word in enumerate(vocabulary)}
    return vocabulary, [np.asarray([rows[word] for word in words if word in rows], np.int32) for words in articles]


def pairs_within(articles: list[np.ndarray], window: int) -> np.ndarray:
    """[pairs, 2] words and contexts at most `window` apart, both ways."""
    found = []
    for words in articles:
        for distance in range(1, window + 1):
            near = np.stack([words[:-distance], words[distance:]], 1) if len(words) > distance else np.zeros((0, 2), np.int32)
            found += [near, near[:, ::-1]]
    return np.concatenate(found)


@partial(jax.jit, static_argnames=("settings",))
def skip_gram(key: Array, pairs: Array, *, settings: Embedding) -> Array:
    """[POINTS + 1, words, width] left tables along the way of skip-gram with negative sampling (Mikolov et al. 2013)."""
    of_params, of_batches = jax.random.split(key)
    n, steps = settings.learned_words, settings.learned_steps // POINTS
    optimizer = optax.adam(3e-3)

    def step(carry, step_key: Array):
        params, state = carry
        chosen = pairs[jax.random.randint(step_key, (settings.learned_batch,), 0, len(pairs))]
        loss = partial(negative_sampling_loss, left=chosen[:, 0], right=chosen[:, 1], negatives=settings.negatives)
        updates, state = optimizer.update(jax.grad(loss)(params), state)
        return (optax.apply_updates(params, updates), state), None

    def stretch(carry, keys: Array):
        return jax.lax.scan(step, carry, keys)[0], carry[0]["left"]["table"]

    params = pair_embedding_init(of_params, n, n, settings.learned_width)
    keys = jax.random.split(of_batches, steps * POINTS).reshape(POINTS, steps)
    (params, _), tables = jax.lax.scan(stretch, (params, optimizer.init(params)), keys)
    return jnp.concatenate([tables, params["left"]["table"][None]])


def learned(settings: Embedding, key: Array) -> dict[str, Evidence]:
    """embedding.learned: cosines of words that people call similar, minus those of random pairs, on the way of training."""
    vocabulary, articles = corpus(settings)
    rows = {word: row for row, word in enumerate(vocabulary)}
    generator = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    everything = generator.permutation(np.concatenate(articles))
    texts = {"trained": articles, "shuffled": np.split(everything, np.cumsum([len(a) for a in articles])[:-1])}
    pairs = {name: jnp.asarray(pairs_within(text, settings.window)) for name, text in texts.items()}
    rated, ratings = datasets.word_pairs("wordsim353")
    indices = np.asarray([[rows.get(word.lower(), -1) for word in pair] for pair in rated])
    similar = indices[(indices >= 0).all(1) & (ratings >= np.median(ratings))]
    random = generator.integers(0, len(vocabulary), (5000, 2))
    keys = jax.random.split(key, settings.learned_seeds)
    curves, ends = {}, {}
    for name, of_text in pairs.items():
        tables = side_by_side(lambda k, p=of_text: np.asarray(skip_gram(k, p, settings=settings)), keys)
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
    """Mean cosines of the similar and of the random pairs."""
    unit = unit_rows(table)
    return tuple(float((unit[p[:, 0]] * unit[p[:, 1]]).sum(1).mean()) for p in (similar, random))


def snippets(settings: Embedding) -> tuple[list[str], list[np.ndarray], list[np.ndarray]]:
    """Words, and for each of the longest articles its texts of SNIPPET words to train on (first part) and to test on."""
    articles = sorted(datasets.wikipedia_articles().values(), key=len, reverse=True)[:CLASSES]
    vocabulary = sorted({word for words in articles for word in words})
    rows = {word: row for row, word in enumerate(vocabulary)}
    train, test = [], []
    for words in articles:
        whole = np.asarray([rows[word] for word in words[: len(words) // SNIPPET * SNIPPET]], np.int32).reshape(-1, SNIPPET)
        cut = len(whole) * 3 // 5
        train.append(whole[:cut])
        test.append(whole[cut:])
    return vocabulary, train, test


@partial(jax.jit, static_argnames=("settings",))
def fit_texts(
    key: Array, table: Array, rate: Array, words: Array, x: Array, labels: Array, test: tuple[Array, Array], *, settings
) -> Array:
    """[2] accuracies on the first half of the test texts and on the second: a linear layer over the mean word vector.

    Table and layer learn, full batch, by Adam; of the table only the rows `words`, to which `x` points, since Adam leaves a
    row as it is that never had a gradient. `words` may be filled up with indices beyond the table.
    """
    params = {"table": table[words], "output": linear_init(key, table.shape[1], CLASSES)}
    apply = lambda params, x: linear(params["output"], embedding({"table": params["table"]}, x).mean(1))  # noqa: E731
    optimizer = optax.scale_by_adam()

    def step(carry, _):
        params, state = carry
        gradient = jax.grad(lambda p: training.cross_entropy(apply(p, x), labels))(params)
        updates, state = optimizer.update(gradient, state)
        return (jax.tree.map(lambda p, u: p - rate * u, params, updates), state), None

    (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), None, settings.transfer_steps)
    learned = {**params, "table": table.at[words].set(params["table"], mode="drop")}
    right = (jnp.argmax(apply(learned, test[0]), 1) == test[1]).astype(jnp.float32)
    return jnp.stack([right[::2].mean(), right[1::2].mean()])


def _used(texts: np.ndarray, vocabulary: int) -> tuple[np.ndarray, np.ndarray]:
    """The words of the texts, filled up to a power of two so that few programs are compiled, and the texts in terms of them."""
    words, inverse = np.unique(texts, return_inverse=True)
    filled = np.full(1 << (len(words) - 1).bit_length(), vocabulary)
    filled[: len(words)] = words
    return filled.astype(np.int32), inverse.reshape(texts.shape).astype(np.int32)


def transfer(settings: Embedding, key: Array) -> dict[str, Evidence]:
    """embedding.transfer: which article a text of 20 words is from, GloVe's table against a random one, both learning."""
    vocabulary, train, test = snippets(settings)
    found = datasets.glove()
    rows = found.rows()
    known = np.asarray([rows.get(word, -1) for word in vocabulary])
    pretrained = np.where(known[:, None] >= 0, found.vectors[np.maximum(known, 0)], 0)
    pretrained = jnp.asarray(pretrained / pretrained[known >= 0].std())
    classes = np.arange(CLASSES, dtype=np.int32)
    held = jnp.asarray(np.concatenate(test)), jnp.asarray(np.repeat(classes, [len(t) for t in test]))
    of_tuning, *of_seeds = jax.random.split(key, 1 + settings.transfer_seeds)
    measurements, gains, arrays = [], [], {"examples": np.asarray(settings.transfer_examples)}
    accuracies = {"glove": [], "random": []}
    for name, n in zip(SIZES, settings.transfer_examples, strict=True):
        labels = jnp.asarray(np.repeat(classes, n))
        measurements.append(
            exact(f"examples-{name}", n, unit="texts a class", source=f"of {SNIPPET} words, {CLASSES} articles")
        )
        for arm in accuracies:

            def once(item, arm=arm, n=n, labels=labels) -> np.ndarray:
                rate, seed = item
                of_texts, of_table, of_layer = jax.random.split(seed, 3)
                generator = np.random.default_rng(np.asarray(jax.random.key_data(of_texts)))
                words, x = _used(np.concatenate([t[generator.permutation(len(t))[:n]] for t in train]), len(vocabulary))
                table = pretrained if arm == "glove" else jax.random.normal(of_table, pretrained.shape)
                return np.asarray(fit_texts(of_layer, table, jnp.float32(rate), words, x, labels, held, settings=settings))

            tried = side_by_side(once, [(rate, of_tuning) for rate in settings.transfer_rates])
            best = settings.transfer_rates[int(np.argmax([first for first, _ in tried]))]
            values = np.asarray([second for _, second in side_by_side(once, [(best, seed) for seed in of_seeds])])
            accuracies[arm].append(values)
            source = f"Adam at its tuned learning rate {best:.1g}, {settings.transfer_steps} steps"
            measurements.append(interval(f"accuracy-{arm}-{name}", values, unit="fraction of the test texts", source=source))
        gain = accuracies["glove"][-1] - accuracies["random"][-1]
        gains.append(
            interval(f"gain-{name}", gain, unit="fraction of the test texts", source="GloVe minus random table, seeds paired")
        )
    for arm, values in accuracies.items():
        arrays |= curve(f"accuracy-{arm}", np.stack(values, 1))
    return {"embedding.transfer": Evidence((*gains, *measurements), arrays)}
