"""GloVe's pretrained table: its density, analogies over the whole public question set, and one use of each kind."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.embedding import data
from experiments.embedding.settings import Embedding
from experiments.study.measurement import Evidence, Measurement, exact, interval
from experiments.study.seeds import side_by_side
from jaxnotes import datasets, training
from jaxnotes.models.pair_embedding import pair_embedding, pair_embedding_init

TABLE = "GloVe 6B, 50 wide (Pennington et al. 2014)"
BLOCK = 2048  # words whose scores are held at once: those of a batch of questions then stay in the processor's cache
ASKED = 64  # words whose scores of the whole table are held at once
NEIGHBOURS = 10  # shown for each question
RANDOM_TABLES = 8  # that words and sentences are compared with


def dense(settings: Embedding, key: Array) -> dict[str, Evidence]:
    """embedding.dense: how many entries of the table are not 0, how wide it is, and whether rows differ."""
    del settings, key
    found = datasets.glove()
    rows, width = found.vectors.shape
    distinct = len({row.tobytes() for row in found.vectors + 0})  # + 0 makes -0 equal 0
    measurements = (
        exact("nonzero-share", np.mean(found.vectors != 0), unit="of the entries", source=TABLE),
        exact("dimension-share", width / rows, unit="of the vocabulary", source=f"{width} columns for {rows} words"),
        exact("distinct-share", distinct / rows, unit="of the rows", source=TABLE),
    )
    edges = np.linspace(-4, 4, 81)
    density = np.histogram(found.vectors, edges, density=True)[0]
    return {"embedding.dense": Evidence(measurements, {"edges": edges, "density": density, "shape": np.asarray([rows, width])})}


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Returns rows of Euclidean norm 1; a row of zeros stays."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)


def nearest(queries: np.ndarray, table: np.ndarray, barred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Finds the row of the highest score for each query, with the barred rows as answers and without, in one pass.

    Args:
      queries: [queries, width].
      table: [rows, width] of unit rows.
      barred: [queries, k] rows that may not answer; below 0 is none.

    Returns:
      (with, without), each [queries].
    """
    place = np.arange(len(queries))
    best, score = np.zeros(len(queries), int), np.full(len(queries), -np.inf, np.float32)
    for start in range(0, len(table), BLOCK):
        scores = queries @ table[start : start + BLOCK].T
        for column in barred.T:
            inside = (column >= start) & (column < start + scores.shape[1])
            scores[place[inside], column[inside] - start] = -np.inf
        found = scores.argmax(1)
        better = scores[place, found] > score
        best, score = np.where(better, found + start, best), np.where(better, scores[place, found], score)
    own = np.einsum("qd,qkd->qk", queries, table[np.maximum(barred, 0)])
    own = np.where(barred >= 0, own, -np.inf)
    over = own.max(1) > score
    return np.where(over, barred[place, own.argmax(1)], best), best


def analogy(settings: Embedding, key: Array) -> dict[str, Evidence]:
    """embedding.analogy: a is to b as c is to the word nearest to b − a + c, over all questions, and for king and queen."""
    del key
    found = datasets.glove().most_frequent(settings.candidates)
    rows = found.rows()
    table = unit_rows(found.vectors)
    categories, words = data.analogy_questions()
    indices = np.asarray([[rows.get(word.lower(), -1) for word in question] for question in words])
    known = np.flatnonzero((indices >= 0).all(1))
    right = np.zeros((3, len(indices)), bool)  # with, without, without the offset; a question with an unknown word is wrong

    def answered(batch: np.ndarray) -> np.ndarray:
        a, b, c, d = indices[batch].T
        with_own, without = nearest(table[b] - table[a] + table[c], table, indices[batch, :3])
        return np.stack([with_own == d, without == d])

    batches = [known[i : i + settings.question_batch] for i in range(0, len(known), settings.question_batch)]
    right[:2, known] = np.concatenate(side_by_side(answered, batches), axis=1)
    right[2, known] = without_offset(table, indices[known])
    measurements, arrays = _analogy_measured(settings, categories, right, len(known), _queen(found, table, rows))
    first = [int(known[np.asarray(categories)[known] == label][0]) for label in arrays["categories"]]
    examples = [("man", "king", "woman", "queen"), *(tuple(word.lower() for word in words[i]) for i in first)]
    return {"embedding.analogy": Evidence(measurements, arrays | _neighbours(found, table, rows, examples))}


def _neighbours(found: datasets.WordVectors, table: np.ndarray, rows: dict[str, int], examples: list) -> dict[str, np.ndarray]:
    """Returns the words nearest to b − a + c with their cosines, for the king and queen and a question of each category."""
    words, cosines = [], []
    for a, b, c, _ in examples:
        goal = table[rows[b]] - table[rows[a]] + table[rows[c]]
        scores = table @ (goal / np.linalg.norm(goal))
        best = np.argsort(-scores)[:NEIGHBOURS]
        words.append([found.words[i] for i in best])
        cosines.append(scores[best])
    return {"examples": np.asarray(examples), "neighbours": np.asarray(words), "cosines": np.asarray(cosines)}


def without_offset(table: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Returns whether the word nearest to c alone, the three words barred, is d.

    Many questions share a c, so that the four nearest words of each are found once; one of them at least is not barred.
    """
    asked, place = np.unique(indices[:, 2], return_inverse=True)

    def four(batch: np.ndarray) -> np.ndarray:
        scores = table[batch] @ table.T
        best = np.argpartition(scores, -4, axis=1)[:, -4:]
        order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
        return np.take_along_axis(best, order, 1)

    near = np.concatenate(side_by_side(four, [asked[i : i + ASKED] for i in range(0, len(asked), ASKED)]))[place]
    allowed = (near[:, :, None] != indices[:, None, :3]).all(2)
    return near[np.arange(len(near)), allowed.argmax(1)] == indices[:, 3]


def _queen(found: datasets.WordVectors, table: np.ndarray, rows: dict[str, int]) -> dict[str, int]:
    """Returns the rank of queen among the words nearest to king − man + woman, the three words counted and not."""
    king, man, woman, queen = (rows[word] for word in ("king", "man", "woman", "queen"))
    scores = table @ (table[king] - table[man] + table[woman])
    above = np.flatnonzero(scores > scores[queen])
    return {"queen-rank": 1 + len(above), "queen-rank-excluded": 1 + len(set(above) - {king, man, woman})}


def _analogy_measured(
    settings: Embedding, categories: tuple[str, ...], right: np.ndarray, known: int, ranks: dict[str, int]
) -> tuple[tuple[Measurement, ...], dict[str, np.ndarray]]:
    source = f"{TABLE}; {len(categories)} questions, {known} of them of known words; {settings.candidates} words may answer"
    share = {"unit": "of the questions", "source": source}
    measurements = [exact(name, rank, source="words nearest to king − man + woman by cosine") for name, rank in ranks.items()]
    names = ("accuracy", "accuracy-excluded", "accuracy-no-offset")
    measurements += [interval(name, values, **share) for name, values in zip(names, right.astype(float), strict=True)]
    gain = right[1].astype(float) - right[0]
    measurements.append(interval("gain-excluded", gain, unit="of the questions", source="barring the three words as answers"))
    labels = sorted(set(categories), key=categories.index)
    by_category = np.asarray([[right[i, np.asarray(categories) == label].mean() for i in range(3)] for label in labels])
    for label, values in zip(labels, by_category, strict=True):
        measurements.append(exact(f"excluded-{label.lower()}", values[1], unit="of the questions", source=f"category {label}"))
    return tuple(measurements), {"categories": np.asarray(labels), "accuracies": by_category}


def correlation(vectors: np.ndarray, rows: dict[str, int], name: str) -> tuple[float, int]:
    """Returns Spearman's rank correlation of cosines with people's ratings, and the number of pairs of known words."""
    from scipy import stats  # not above: takes half a second in every process that asks a topic for its settings

    pairs, ratings = data.word_pairs(name)
    indices = np.asarray([[rows.get(word.lower(), -1) for word in pair] for pair in pairs])
    known = (indices >= 0).all(1)
    unit = unit_rows(vectors[indices[known].ravel()]).reshape(-1, 2, vectors.shape[1])
    return float(stats.spearmanr((unit[:, 0] * unit[:, 1]).sum(1), ratings[known]).statistic), int(known.sum())


def uses(settings: Embedding, key: Array) -> dict[str, Evidence]:
    """embedding.uses: words and sentences by GloVe against a random table; items and nodes by tables learned on the spot."""
    found = datasets.glove().most_frequent(settings.candidates)
    rows = found.rows()
    key_random, key_items, key_nodes = jax.random.split(key, 3)
    generator = np.random.default_rng(np.asarray(jax.random.key_data(key_random)))
    # One at a time: a table takes 80 MB.
    drawn = (generator.standard_normal(found.vectors.shape, np.float32) for _ in range(RANDOM_TABLES))
    by_chance = [(correlation(table, rows, "wordsim353")[0], _sentences(table, rows)) for table in drawn]
    related, similar = (correlation(found.vectors, rows, name) for name in ("wordsim353", "simlex999"))
    sentences, rated = _sentences(found.vectors, rows), "Pearson with people's ratings, 50 news texts as mean vectors"
    measurements = (
        exact("word-correlation", related[0], source=f"Spearman, wordsim353, {related[1]} pairs; {TABLE}"),
        interval("word-correlation-random", [words for words, _ in by_chance], source="random tables"),
        exact("word-correlation-simlex", similar[0], source=f"Spearman, simlex999, {similar[1]} pairs"),
        exact("sentence-correlation", sentences, source=f"{rated}; {TABLE}"),
        interval("sentence-correlation-random", [sentences for _, sentences in by_chance], source="random tables"),
        *_items(settings, key_items),
    )
    accuracy, picture = _nodes(settings, key_nodes)
    return {"embedding.uses": Evidence((*measurements, accuracy), picture)}


def _sentences(vectors: np.ndarray, rows: dict[str, int]) -> float:
    """Returns the correlation of people's ratings of pairs of texts with the cosines of the texts.

    A text's vector is the mean of its words', less the mean over all texts.
    """
    texts, ratings = data.lee_documents()
    words = [[rows[word] for word in text.lower().split() if word.strip(".,") in rows and word in rows] for text in texts]
    means = np.stack([vectors[indices].mean(0) for indices in words])
    unit = unit_rows(means - means.mean(0))
    pairs = np.triu_indices(len(texts), 1)
    return float(np.corrcoef((unit @ unit.T)[pairs], ratings[pairs])[0, 1])


def fit_pairs(key: Array, positive: Array, known: Array, width: int, steps: int = 300) -> dict:
    """Returns tables whose scores are the log-odds of a 0/1 matrix where it is known, by Adam with weight decay."""
    params = pair_embedding_init(key, *positive.shape, width)
    optimizer = optax.adamw(0.03, weight_decay=0.3)
    left, right = jnp.meshgrid(*(jnp.arange(n) for n in positive.shape), indexing="ij")

    def loss(params, _) -> Array:
        scores = pair_embedding(params, left, right)
        losses = jax.nn.softplus(jnp.where(positive, -scores, scores))
        return jnp.sum(jnp.where(known, losses, 0)) / jnp.sum(known)

    fit = training.train(loss, optimizer)
    return fit(training.init_state(params, optimizer), jnp.arange(steps))[0].params


def _items(settings: Embedding, key: Array) -> list[Measurement]:
    """Returns the AUC of held-out attendances among events not attended: learned tables, and the events' popularity."""
    attended = data.davis_women()
    fit, learned, popular = jax.jit(fit_pairs, static_argnums=3), [], []
    for key_seed in jax.random.split(key, settings.seeds):
        key_fit, key_split = jax.random.split(key_seed)
        generator = np.random.default_rng(np.asarray(jax.random.key_data(key_split)))
        held = np.asarray([generator.choice(np.flatnonzero(row)) for row in attended])
        known = np.ones_like(attended)
        known[np.arange(len(held)), held] = False
        params = fit(key_fit, jnp.asarray(attended), jnp.asarray(known), 4)
        scores = np.asarray(params["left"]["table"] @ params["right"]["table"].T)
        popularity = np.broadcast_to((attended & known).sum(0), attended.shape)
        for values, found in ((scores, learned), (popularity, popular)):
            own = values[np.arange(len(held)), held][:, None]
            won = (own > values) + 0.5 * (own == values)
            found.append(won[~attended].mean())
    what = "share of (held-out event, event not attended) pairs in the right order, 18 women and 14 events"
    return [
        interval("item-auc", learned, source=f"tables of width 4; {what}"),
        interval("item-auc-popularity", popular, source=f"number of other women there; {what}"),
    ]


def _nodes(settings: Embedding, key: Array) -> tuple[Measurement, dict[str, np.ndarray]]:
    """Returns how often a member's side of the split club is that of the nearer of its two leaders, and a picture's arrays.

    Near is meant in a table that is learned from friendships.
    """
    friends, sides = data.karate_club()
    fit, accuracies = jax.jit(fit_pairs, static_argnums=3), []
    others = np.setdiff1d(np.arange(len(sides)), (0, 33))
    for key_seed in jax.random.split(key, settings.seeds):
        closed = friends | np.eye(len(friends), dtype=bool)
        params = fit(key_seed, jnp.asarray(closed), jnp.ones(friends.shape, bool), 4)
        unit = unit_rows(np.concatenate([params["left"]["table"], params["right"]["table"]], 1))
        guess = unit[others] @ unit[33] > unit[others] @ unit[0]
        accuracies.append(np.mean(guess == sides[others]))
    source = "32 members of the karate club (Zachary 1977), nearer leader by cosine; chance 0.5"
    centred = unit - unit.mean(0)
    plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    return interval("node-accuracy", accuracies, source=source), {"plane": plane, "sides": sides, "friends": friends}
