"""Symbols that were rarely or never seen with a label: a pretrained table, a table of the task's own, and one-hot codes."""

import numpy as np
from jax import Array

from experiments.embedding import data
from experiments.embedding.classifier import drawn, fitted, given, pretrained_table, tuned_classifier
from experiments.embedding.settings import Embedding
from experiments.study.measurement import Evidence, curve, fraction, interval
from experiments.study.tuning import described

ARMS = {"one-hot": "one-hot codes", "scratch": "a random table that learns", "pretrained": "GloVe's table, fixed"}


class Words:
    """Words of known kind, half of which are labelled.

    A share of the labels is wrong. Of the labelled words three quarters, with their true kind, are the set "rare", and of the
    others half are the set "unseen"; the rest chooses learning rates.
    """

    def __init__(self, wrong: float):
        self.wrong = wrong
        kinds = data.word_kinds()
        self.vocabulary = [word for words in kinds.values() for word in words]
        self.kind = np.repeat(np.arange(len(kinds), dtype=np.int32), [len(words) for words in kinds.values()])
        self.kinds = len(kinds)

    def examples(self, generator: np.random.Generator):
        """Returns a seed's words to train with and its held-out sets."""
        order = generator.permutation(len(self.kind)).astype(np.int32)
        seen, unseen = np.split(order, [len(order) // 2])
        labels = self.kind[seen]
        fooled = generator.random(len(seen)) < self.wrong
        labels = np.where(fooled, (labels + generator.integers(1, self.kinds, len(seen))) % self.kinds, labels).astype(np.int32)
        validation = np.concatenate([seen[: len(seen) // 4], unseen[: len(unseen) // 2]])
        sets = {"validation": validation, "rare": seen[len(seen) // 4 :], "unseen": unseen[len(unseen) // 2 :]}
        return (seen[:, None], labels), {name: (words[:, None], self.kind[words]) for name, words in sets.items()}


def generalisation(settings: Embedding, key: Array) -> dict[str, Evidence]:
    """embedding.generalisation: the kind of a word that had one label, a wrong one at times, and of a word that had none."""
    words = Words(settings.wrong_labels)
    count, table = len(words.vocabulary), pretrained_table(words.vocabulary)
    kinds = {
        "one-hot": given(np.eye(count), learns=False),
        "scratch": drawn(count, table.shape[1], learns=True),
        "pretrained": given(table, learns=False),
    }
    options = {"classes": words.kinds, "steps": settings.kinds_steps}
    found = {arm: tuned_classifier(vectors, words.examples, settings, key, **options) for arm, vectors in kinds.items()}
    common = np.bincount(words.kind).max() / count
    said = {"unit": "fraction of the words"}
    measurements = []
    for group in ("unseen", "rare"):
        base = found["one-hot"].runs[group]
        for arm in ("pretrained", "scratch"):
            source = f"{ARMS[arm]}, minus one-hot codes, seeds paired"
            measurements.append(interval(f"gain-{arm}-{group}", found[arm].runs[group] - base, source=source, **said))
    for arm, text in ARMS.items():
        source = f"{text}; {words.kinds} kinds of {count} words; {described(found[arm].search)}"
        unseen, rare = found[arm].runs["unseen"], found[arm].runs["rare"]
        measurements.append(fraction(f"accuracy-{arm}-unseen", unseen, source=source, **said))
        right = 1 - settings.wrong_labels if arm == "one-hot" else None  # codes repeat the labels
        measurements.append(fraction(f"accuracy-{arm}-rare", rare, prediction=right, source=source, **said))
    arrays = {"most-common": np.asarray(common)}
    for arm in ARMS:
        arrays |= curve(f"accuracy-{arm}", np.stack([found[arm].runs[group] for group in ("unseen", "rare")], axis=1))
    searches, fits = ({name: of(runs) for name, runs in found.items()} for of in (lambda runs: runs.search, fitted))
    return {"embedding.generalisation": Evidence(tuple(measurements), arrays, searches, fits)}
