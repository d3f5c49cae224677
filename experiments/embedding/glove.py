"""GloVe's pretrained table: its density, and analogies over the whole public question set."""

import numpy as np
from jax import Array

from experiments.embedding import data
from experiments.embedding.ratings import unit_rows
from experiments.embedding.settings import Embedding
from experiments.study.measurement import Evidence, Measurement, exact, fraction, interval
from experiments.study.seeds import side_by_side
from jaxnotes import datasets

TABLE = "GloVe 6B, 50 wide (Pennington et al. 2014)"
BLOCK = 2048  # words whose scores are held at once: those of a batch of questions then stay in the processor's cache
ASKED = 64  # words whose scores of the whole table are held at once
NEIGHBOURS = 10  # shown for each question


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
    measurements += [fraction(name, values, **share) for name, values in zip(names, right.astype(float), strict=True)]
    for name, other, source in (
        ("excluded", 0, "barring the three words as answers"),
        ("offset", 2, "the offset, with the bar"),
    ):
        gain = right[1].astype(float) - right[other]
        measurements.append(interval(f"gain-{name}", gain, unit="of the questions", source=source))
    labels = sorted(set(categories), key=categories.index)
    by_category = np.asarray([[right[i, np.asarray(categories) == label].mean() for i in range(3)] for label in labels])
    for label, values in zip(labels, by_category, strict=True):
        measurements.append(exact(f"excluded-{label.lower()}", values[1], unit="of the questions", source=f"category {label}"))
    return tuple(measurements), {"categories": np.asarray(labels), "accuracies": by_category}
