"""The data of the topic embedding, against the counts that were published with them."""

import importlib.util

import numpy as np
import pytest

from experiments.embedding import data
from jaxnotes.datasets import MissingPackageError


def test_googles_analogies():
    """Mikolov et al. (2013): 8,869 semantic and 10,675 syntactic questions."""
    categories, questions = data.analogy_questions()
    assert questions.shape == (19544, 4) and len(set(categories)) == 14
    syntactic = np.asarray([category.startswith("gram") for category in categories])
    assert (~syntactic).sum() == 8869 and syntactic.sum() == 10675
    assert questions[0].tolist() == ["Athens", "Greece", "Baghdad", "Iraq"]


@pytest.mark.parametrize("name, pairs, best", [("wordsim353", 353, {"tiger"}), ("simlex999", 999, None)])
def test_rated_pairs(name, pairs, best):
    words, ratings = data.word_pairs(name)
    assert words.shape == (pairs, 2) and ratings.shape == (pairs,)
    assert ratings.min() >= 0 and ratings.max() <= 10
    assert best is None or set(words[ratings.argmax()]) == best  # a word and itself


def test_other_pairs_are_refused():
    with pytest.raises(ValueError, match="choose one of wordsim353, simlex999"):
        data.word_pairs("wordsim")


def test_lees_news():
    texts, ratings = data.lee_documents()
    assert len(texts) == 50 and ratings.shape == (50, 50)
    np.testing.assert_array_equal(ratings, ratings.T)
    np.testing.assert_array_equal(np.diag(ratings), 1)


def test_the_southern_women_went_89_times():
    attended = data.davis_women()
    assert attended.shape == (18, 14) and attended.sum() == 89


def test_the_karate_club_has_78_friendships_and_two_sides():
    friends, sides = data.karate_club()
    assert friends.shape == (34, 34) and friends.sum() == 2 * 78 and (friends == friends.T).all()
    assert sides[0] == 0 and sides[33] == 1 and sides.sum() == 17


def test_wikipedia_is_words_alone():
    articles = data.wikipedia_articles()
    assert len(articles) > 90
    assert all(word.isalpha() and word.islower() for words in articles.values() for word in words[:100])


@pytest.mark.parametrize(
    "markup, words",
    [
        ("'''Ada''' met [[Charles Babbage|Babbage]] in [[London]].", ["ada", "met", "babbage", "in", "london"]),
        ("== Early life ==\nborn<ref>a book</ref><!-- no -->{{cite|{{x}}}} 1815", ["born"]),
        ("[[File:a.png|thumb|a [[cat]]]]{|\n| cell\n|}see [http://x.org there] <b>now</b>", ["see", "there", "now"]),
    ],
)
def test_markup_is_left_out(markup, words):
    assert data._words_of(markup) == words


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for read, package in ((data.analogy_questions, "gensim"), (data.karate_club, "networkx")):
        with pytest.raises(MissingPackageError, match=f"pip install {package}"):
            read()


def test_half_of_the_film_reviews_praise():
    texts, praise = data.film_reviews()
    assert len(texts) == 200 and praise.sum() == 100
    assert texts[0].split() == ["simplistic", ",", "silly", "and", "tedious", "."] and not praise[0]
