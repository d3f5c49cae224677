"""One use of each kind, each against what the same data give without an embedding."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.embedding import data
from experiments.embedding.classifier import fitted, given, labelled, tuned_classifier
from experiments.embedding.minilm import sentence_vectors
from experiments.embedding.ratings import cosines, rank_correlation, rated_pairs, resampled, unit_rows
from experiments.embedding.settings import Embedding
from experiments.study.measurement import Evidence, Measurement, exact, fraction, interval
from experiments.study.tuning import Tuned, described
from jaxnotes import datasets, training
from jaxnotes.models.pair_embedding import pair_embedding, pair_embedding_init

LEADERS = (0, 33)  # of the karate club
PAIR_WIDTH = 2  # of the tables of items and nodes
REVIEWS = {"train": 60, "validation": 10, "test": 30}  # of each class


def uses(settings: Embedding, key: Array) -> dict[str, Evidence]:
    """embedding.uses: words, sentences and paragraphs by pretrained vectors; items and nodes by tables learned on the spot."""
    key_cases, key_sentences, key_items, key_nodes = jax.random.split(key, 4)
    generator = np.random.default_rng(np.asarray(jax.random.key_data(key_cases)))
    sentences = {kind: _reviews(vectors, settings, key_sentences) for kind, vectors in _review_vectors().items()}
    nodes, picture = _nodes(settings, key_nodes)
    measurements = (
        *_words(settings, generator),
        *_sentences(sentences),
        *_paragraphs(generator),
        *_items(settings, key_items),
        *nodes,
    )
    searches = {f"sentences-{kind}": found.search for kind, found in sentences.items()}
    fits = {f"sentences-{kind}": fitted(found) for kind, found in sentences.items()}
    return {"embedding.uses": Evidence(measurements, picture, searches, fits)}


def _words(settings: Embedding, generator: np.random.Generator) -> list[Measurement]:
    """Returns the correlation with people's ratings of words by GloVe, and by the letters that they share."""
    found = datasets.glove().most_frequent(settings.candidates)
    pairs, ratings = rated_pairs("wordsim353", found.rows())
    spelled = shared_letters([(found.words[a], found.words[b]) for a, b in pairs])
    of = {"": cosines(found.vectors, pairs), "-spelling": spelled}
    said = f"Spearman with the ratings of {len(pairs)} pairs (wordsim353), pairs resampled"
    sources = {"": "cosine of GloVe's vectors", "-spelling": "letter triples that the words share"}
    over = partial(resampled, n=len(pairs), generator=generator)
    ranked = lambda i, scores: rank_correlation(scores[i], ratings[i])
    measurements = [
        over(f"word-correlation{name}", statistic=partial(ranked, scores=scores), source=f"{said}; {sources[name]}")
        for name, scores in of.items()
    ]
    gain = lambda i: ranked(i, of[""]) - ranked(i, of["-spelling"])
    return [*measurements, over("word-gain", statistic=gain, source=f"{said}; vectors minus letters")]


def shared_letters(pairs: list[tuple[str, str]]) -> np.ndarray:
    """Returns the share of the letter triples of either word that both have (Jaccard), the words' ends counted as letters."""
    triples = [[{f"<{word}>"[i : i + 3] for i in range(len(word))} for word in pair] for pair in pairs]
    return np.asarray([len(a & b) / len(a | b) for a, b in triples])


def bag_of_words(texts: tuple[str, ...]) -> np.ndarray:
    """Returns [texts, vocabulary] counts of words, each times how rare it is: ln of all texts over those that have it."""
    found = [re.findall(r"[a-z]+", text.lower()) for text in texts]
    rows = {word: row for row, word in enumerate(sorted({word for words in found for word in words}))}
    counts = np.zeros((len(texts), len(rows)))
    for text, words in enumerate(found):
        np.add.at(counts[text], [rows[word] for word in words], 1)
    return counts * np.log(len(texts) / (counts > 0).sum(0))


def mean_vectors(texts: tuple[str, ...]) -> np.ndarray:
    """Returns the mean of GloVe's vectors of each text's words."""
    found = datasets.glove()
    rows = found.rows()
    known = [[rows[word] for word in re.findall(r"[a-z]+", text.lower()) if word in rows] for text in texts]
    return np.stack([found.vectors[words].mean(0) for words in known])


def _review_vectors() -> dict[str, np.ndarray]:
    texts, _ = data.film_reviews()
    found = {"minilm": sentence_vectors(texts), "glove": mean_vectors(texts), "words": bag_of_words(texts)}
    return {kind: vectors / vectors.std() for kind, vectors in found.items()}


def _reviews(vectors: np.ndarray, settings: Embedding, key: Array) -> Tuned:
    """Returns runs that tell sentences which praise a film from others, with another split for each seed."""
    _, praise = data.film_reviews()
    ends = np.cumsum([*REVIEWS.values()])[:-1]

    def examples(generator: np.random.Generator):
        parts = zip(
            *(np.split(generator.permutation(np.flatnonzero(praise == label)), ends) for label in (False, True)), strict=True
        )
        sets = {
            name: labelled([places.astype(np.int32)[:, None] for places in part])
            for name, part in zip(REVIEWS, parts, strict=True)
        }
        return sets["train"], {name: sets[name] for name in ("validation", "test")}

    options = {"classes": 2, "steps": settings.transfer_steps, "seeds": settings.review_seeds}
    return tuned_classifier(given(vectors, learns=False), examples, settings, key, **options)


def _sentences(found: dict[str, Tuned]) -> list[Measurement]:
    sources = {"minilm": "MiniLM's sentence vectors", "glove": "means of GloVe's vectors", "words": "weighted counts of words"}
    said = {"unit": "fraction of the test sentences"}
    accuracies = {kind: runs.runs["test"] for kind, runs in found.items()}
    return [
        *(
            fraction(
                f"sentence-accuracy-{kind}",
                accuracy,
                source=f"praise or not, 200 sentences; {sources[kind]}; {described(found[kind].search)}",
                **said,
            )
            for kind, accuracy in accuracies.items()
        ),
        interval(
            "sentence-gain",
            accuracies["minilm"] - accuracies["words"],
            source="sentence vectors minus counts, seeds paired",
            **said,
        ),
        interval(
            "sentence-gain-glove",
            accuracies["glove"] - accuracies["words"],
            source="means of word vectors minus counts",
            **said,
        ),
    ]


def _paragraphs(generator: np.random.Generator) -> list[Measurement]:
    """Returns correlations with people's ratings of pairs of news texts, with intervals by resampling the texts."""
    texts, ratings = data.lee_documents()
    found = {"minilm": sentence_vectors(texts), "glove": mean_vectors(texts), "words": bag_of_words(texts)}
    found["glove"] = found["glove"] - found["glove"].mean(0)
    alike = {kind: unit @ unit.T for kind, unit in ((kind, unit_rows(vectors)) for kind, vectors in found.items())}

    def correlation(chosen: np.ndarray, kind: str) -> float:
        a, b = chosen[np.triu_indices(len(chosen), 1)[0]], chosen[np.triu_indices(len(chosen), 1)[1]]
        a, b = a[a != b], b[a != b]  # a text drawn twice is not like itself by anyone's rating
        return float(np.corrcoef(alike[kind][a, b], ratings[a, b])[0, 1])

    said = f"Pearson with people's ratings of pairs of {len(texts)} news texts, texts resampled"
    sources = {"minilm": "MiniLM's vectors", "glove": "means of GloVe's vectors, centred", "words": "weighted counts of words"}
    over = partial(resampled, n=len(texts), generator=generator)
    measurements = [
        over(f"paragraph-correlation-{kind}", statistic=partial(correlation, kind=kind), source=f"{said}; {source}")
        for kind, source in sources.items()
    ]
    for name, kind in (("paragraph-gain", "minilm"), ("paragraph-gain-glove", "glove")):
        gain = lambda chosen, kind=kind: correlation(chosen, kind) - correlation(chosen, "words")
        measurements.append(over(name, statistic=gain, source=f"{said}; {sources[kind]} minus counts"))
    return measurements


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
    """Returns the AUC of held-out attendances: learned tables, women who went to the same events, and popularity."""
    attended = data.davis_women()
    fit, found = jax.jit(fit_pairs, static_argnums=3), {"": [], "-neighbours": [], "-popularity": []}
    for key_seed in jax.random.split(key, settings.item_seeds):
        key_fit, key_split = jax.random.split(key_seed)
        generator = np.random.default_rng(np.asarray(jax.random.key_data(key_split)))
        held = np.asarray([generator.choice(np.flatnonzero(row)) for row in attended])
        known = np.ones_like(attended)
        known[np.arange(len(held)), held] = False
        params = fit(key_fit, jnp.asarray(attended), jnp.asarray(known), PAIR_WIDTH)
        scores = {"": np.asarray(params["left"]["table"] @ params["right"]["table"].T)} | _counted(attended & known)
        for name, values in scores.items():
            own = values[np.arange(len(held)), held][:, None]
            won = (own > values) + 0.5 * (own == values)
            found[name].append(won[~attended].mean())
    what = "share of (held-out event, event not attended) pairs in the right order, 18 women and 14 events"
    sources = {
        "": f"tables of width {PAIR_WIDTH}; {what}",
        "-neighbours": "women there, each by how many events she shares with this one",
        "-popularity": "number of other women there",
    }
    measurements = [fraction(f"item-auc{name}", found[name], source=source) for name, source in sources.items()]
    gain = np.asarray(found[""]) - np.maximum(found["-neighbours"], found["-popularity"])
    return [*measurements, interval("item-gain", gain, source="tables minus the better of the two others, seed by seed")]


def _counted(attended: np.ndarray) -> dict[str, np.ndarray]:
    """Returns what attendances say of each pair without an embedding."""
    others = attended.astype(float) @ attended.T
    np.fill_diagonal(others, 0)
    return {"-neighbours": others @ attended, "-popularity": np.broadcast_to(attended.sum(0), attended.shape)}


def _nodes(settings: Embedding, key: Array) -> tuple[list[Measurement], dict[str, np.ndarray]]:
    """Returns how often a member's side of the split club is that of the nearer of its two leaders, and a picture's arrays.

    Near is meant in a table that is learned from friendships, and in the friendships themselves.
    """
    friends, sides = data.karate_club()
    closed = friends | np.eye(len(friends), dtype=bool)
    fit, accuracies = jax.jit(fit_pairs, static_argnums=3), []
    for key_seed in jax.random.split(key, settings.item_seeds):
        params = fit(key_seed, jnp.asarray(closed), jnp.ones(friends.shape, bool), PAIR_WIDTH)
        unit = unit_rows(np.concatenate([params["left"]["table"], params["right"]["table"]], 1))
        accuracies.append(_nearer_leader(unit, sides))
    rows = _nearer_leader(unit_rows(closed.astype(float)), sides)
    said = "32 members of the karate club (Zachary 1977), nearer leader by cosine; chance 0.5"
    centred = unit - unit.mean(0)
    plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    measurements = [
        fraction("node-accuracy", accuracies, source=f"{said}; two tables of width {PAIR_WIDTH}"),
        exact("node-accuracy-rows", rows, source=f"{said}; rows of the matrix of friendships, {len(friends)} wide"),
        interval("node-gain", np.asarray(accuracies) - rows, source="tables minus rows"),
    ]
    return measurements, {"plane": plane, "sides": sides, "friends": friends}


def _nearer_leader(unit: np.ndarray, sides: np.ndarray) -> float:
    others = np.setdiff1d(np.arange(len(sides)), LEADERS)
    first, second = (unit[others] @ unit[leader] for leader in LEADERS)
    return float(np.mean((second > first) == sides[others]))
