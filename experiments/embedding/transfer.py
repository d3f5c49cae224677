"""What pretrained vectors are worth to a new task: which article a short text is from, with few labelled texts and many."""

from typing import NamedTuple

import numpy as np
from jax import Array

from experiments.embedding import data
from experiments.embedding.classifier import (
    Labelled,
    Vectors,
    drawn,
    fitted,
    given,
    labelled,
    pretrained_table,
    tuned_classifier,
)
from experiments.embedding.minilm import sentence_vectors
from experiments.embedding.settings import Embedding
from experiments.study.measurement import Evidence, curve, fraction, interval
from experiments.study.tuning import described

CLASSES, SNIPPET = 10, 20  # articles told apart, and words of a text
SIZES = ("tiny", "small", "medium", "large")
SETS = ("train", "validation", "test")
ARMS = ("random", "glove", "minilm")
STEP = {
    "random": "a random table that learns",
    "glove": "GloVe's table, which learns too",
    "minilm": "MiniLM's sentence vectors, fixed",
}


class Texts(NamedTuple):
    """Texts of SNIPPET words from the longest articles.

    No text is in two of the sets: the first two fifths of an article are trained on, the next fifth chooses learning rates, and
    the last two fifths are the test.

    Attributes:
      words: [texts, SNIPPET] rows of the vocabulary.
      vocabulary: all words of the articles.
      places: of each set and class, the texts' rows in `words`.
    """

    words: np.ndarray
    vocabulary: list[str]
    places: dict[str, list[np.ndarray]]

    def sentences(self) -> list[str]:
        """Returns the texts as they are read."""
        return [" ".join(self.vocabulary[word] for word in text) for text in self.words]


def snippets(sizes: tuple[int, ...]) -> Texts:
    """Returns the texts of the CLASSES longest articles, at most so many of each for each of the SETS, spread evenly."""
    articles = sorted(data.wikipedia_articles().values(), key=len, reverse=True)[:CLASSES]
    vocabulary = sorted({word for words in articles for word in words})
    rows = {word: row for row, word in enumerate(vocabulary)}
    found, places, total = [], {name: [] for name in SETS}, 0
    for words in articles:
        whole = np.asarray([rows[word] for word in words[: len(words) // SNIPPET * SNIPPET]], np.int32).reshape(-1, SNIPPET)
        parts = np.split(whole, [len(whole) * 2 // 5, len(whole) * 3 // 5])
        for name, size, part in zip(SETS, sizes, parts, strict=True):
            chosen = part[np.linspace(0, len(part) - 1, min(size, len(part))).astype(int)]
            places[name].append(total + np.arange(len(chosen)))
            found.append(chosen)
            total += len(chosen)
    return Texts(np.concatenate(found), vocabulary, places)


def transfer(settings: Embedding, key: Array) -> dict[str, Evidence]:
    """embedding.transfer: which article a short text is from, by GloVe's table, MiniLM's sentence vectors, a random table."""
    texts = snippets(settings.transfer_texts)
    table, width = pretrained_table(texts.vocabulary), 50
    sentences = sentence_vectors(texts.sentences())
    # Word tables are read through a text's words, sentence vectors by the text's own row.
    kinds: dict[str, tuple[Vectors, np.ndarray]] = {
        "random": (drawn(len(texts.vocabulary), width, learns=True), texts.words),
        "glove": (given(table, learns=True), texts.words),
        "minilm": (given(sentences / sentences.std(), learns=False), np.arange(len(texts.words), dtype=np.int32)[:, None]),
    }
    found = {}
    for arm, (vectors, symbols) in kinds.items():
        for size, n in zip(SIZES, settings.transfer_examples, strict=True):

            def examples(generator: np.random.Generator, n: int = n, symbols: np.ndarray = symbols):
                train = [generator.permutation(places)[:n] for places in texts.places["train"]]
                return _symbols(train, symbols), {name: _symbols(texts.places[name], symbols) for name in SETS[1:]}

            options = {"classes": CLASSES, "steps": settings.transfer_steps}
            found[f"{arm}-{size}"] = tuned_classifier(vectors, examples, settings, key, **options)
    accuracy = {name: runs.runs["test"] for name, runs in found.items()}
    said = {"unit": "fraction of the test texts"}
    measurements = [
        interval(
            f"gain-{arm}-{size}",
            accuracy[f"{arm}-{size}"] - accuracy[f"random-{size}"],
            source=f"{STEP[arm]}, minus a random one, seeds paired",
            **said,
        )
        for arm in ARMS[1:]
        for size in SIZES
    ]
    for arm in ARMS:
        for size, n in zip(SIZES, settings.transfer_examples, strict=True):
            name = f"{arm}-{size}"
            source = f"{STEP[arm]}; {n} texts per class; {described(found[name].search)}, by accuracy on validation texts"
            measurements.append(fraction(f"accuracy-{name}", accuracy[name], source=source, **said))
    arrays = {"examples": np.asarray(settings.transfer_examples)}
    for arm in ARMS:
        arrays |= curve(f"accuracy-{arm}", np.stack([accuracy[f"{arm}-{size}"] for size in SIZES], axis=1))
    searches, fits = ({name: of(runs) for name, runs in found.items()} for of in (lambda runs: runs.search, fitted))
    return {"embedding.transfer": Evidence(tuple(measurements), arrays, searches, fits)}


def _symbols(places: list[np.ndarray], symbols: np.ndarray) -> Labelled:
    chosen, classes = labelled(places)
    return symbols[chosen], classes
