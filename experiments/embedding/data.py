"""The data of the topic: word analogies and similarities, texts, two social networks; all inside installed packages."""

import bz2
import html
import re
from collections import Counter
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxnotes import datasets


def analogy_questions() -> tuple[tuple[str, ...], np.ndarray]:
    """Google's 19,544 questions `a is to b as c is to d` (Mikolov et al. 2013), from gensim.

    Returns:
      The category of each question, and its words [questions, 4], with their capitals.

    Raises:
      MissingPackageError: gensim is not installed.
    """
    categories, questions = [], []
    for line in _gensim("questions-words.txt").splitlines():
        if line.startswith(":"):
            category = line[1:].strip()
        else:
            categories.append(category)
            questions.append(line.split())
    return tuple(categories), np.asarray(questions)


# Kinds of words, each a column of a category of the analogy questions.
_KINDS = {
    "capitals": ("capital-world", 0),
    "countries": ("capital-world", 1),
    "cities": ("city-in-state", 0),
    "states": ("city-in-state", 1),
    "currencies": ("currency", 1),
    "nationalities": ("gram6-nationality-adjective", 1),
    "adjectives": ("gram1-adjective-to-adverb", 0),
    "adverbs": ("gram1-adjective-to-adverb", 1),
    "negations": ("gram2-opposite", 1),
    "comparatives": ("gram3-comparative", 1),
    "superlatives": ("gram4-superlative", 1),
    "participles": ("gram5-present-participle", 1),
    "past tenses": ("gram7-past-tense", 1),
    "things": ("gram8-plural", 0),
    "plurals": ("gram8-plural", 1),
    "third persons": ("gram9-plural-verbs", 1),
}


def word_kinds() -> dict[str, list[str]]:
    """Kinds of lower-case words, from the analogy questions; a word of several kinds is left out.

    Raises:
      MissingPackageError: gensim is not installed.
    """
    categories, questions = analogy_questions()
    columns = {
        kind: {question[column].lower() for question in questions[[c == category for c in categories]]}
        for kind, (category, column) in _KINDS.items()
    }
    counts = Counter(word for words in columns.values() for word in words)
    return {kind: sorted(word for word in words if counts[word] == 1) for kind, words in columns.items()}


def film_reviews() -> tuple[tuple[str, ...], Bool[np.ndarray, "reviews"]]:
    """200 sentences of film reviews and whether they praise the film (Pang and Lee 2005), from gensim; half of them do.

    Raises:
      MissingPackageError: gensim is not installed.
    """
    lines = [line.split(maxsplit=1) for line in _gensim("pang_lee_polarity.cor", "cp1252").splitlines() if line.strip()]
    return tuple(text for _, text in lines), np.asarray([label == "__label__pos" for label, _ in lines])


def word_pairs(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of words with people's mean rating of their similarity, from gensim.

    Args:
      name: "wordsim353" (Finkelstein et al. 2002: relatedness) or "simlex999" (Hill et al. 2015: similarity proper).

    Returns:
      Words [pairs, 2] and ratings [pairs], 0 to 10.

    Raises:
      MissingPackageError: gensim is not installed.
      ValueError: another name.
    """
    files = {"wordsim353": "wordsim353.tsv", "simlex999": "simlex999.txt"}
    if name not in files:
        raise ValueError(f"no word pairs {name!r}; choose one of {', '.join(files)}")
    rows = [line.split("\t") for line in _gensim(files[name]).splitlines() if line and not line.startswith("#")]
    return np.asarray([row[:2] for row in rows]), np.asarray([float(row[2]) for row in rows])


def lee_documents() -> tuple[tuple[str, ...], Float[np.ndarray, "documents documents"]]:
    """50 short news texts and people's mean rating of each pair's similarity (Lee, Pincombe and Welsh 2005), from gensim.

    Returns:
      The texts, and the symmetric ratings from 0 to 1 with 1 on the diagonal.

    Raises:
      MissingPackageError: gensim is not installed.
    """
    upper = np.triu(np.loadtxt(_gensim("similarities0-1.txt").splitlines()))
    return tuple(_gensim("lee.cor", "latin-1").splitlines()), upper + np.triu(upper, 1).T


def wikipedia_articles() -> dict[str, list[str]]:
    """About 100 articles of the English Wikipedia (CC BY-SA 3.0) as lower-case words without markup, from gensim.

    Raises:
      MissingPackageError: gensim is not installed.
    """
    packed = _gensim_file("enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2").read_bytes()
    pages = re.findall(r"<title>(.*?)</title>.*?<text[^>]*>(.*?)</text>", bz2.decompress(packed).decode(), re.DOTALL)
    articles = {title: _words_of(html.unescape(text)) for title, text in pages if not text.startswith("#REDIRECT")}
    return {title: words for title, words in articles.items() if words and ":" not in title}


def _words_of(markup: str) -> list[str]:
    """Returns the words of a page's running text: no comments, references, tables, templates, links' targets or headings."""
    text = re.sub(
        r"<!--.*?-->|<ref[^>]*/>|<ref.*?</ref>|<math.*?</math>|^=+.*?=+\s*$", " ", markup, flags=re.DOTALL | re.MULTILINE
    )
    nested = 1
    while nested:  # the innermost first
        text, nested = re.subn(r"\{\{[^{}]*\}\}|\{\|[^{}]*?\|\}", " ", text)
    text = re.sub(r"\[\[(?:File|Image|Category|[a-z-]+):[^\[\]]*(?:\[\[[^\[\]]*\]\][^\[\]]*)*\]\]", " ", text)
    text = re.sub(r"\[\[(?:[^|\[\]]*\|)?([^\[\]]*)\]\]", r"\1", text)
    text = re.sub(r"\[?https?://\S+|<[^>]*>", " ", text)
    return re.findall(r"[a-z]+", text.lower())


def davis_women() -> Bool[np.ndarray, "women events"]:
    """Which of 18 women went to which of 14 events (Davis, Gardner and Gardner 1941), from networkx.

    Raises:
      MissingPackageError: networkx is not installed.
    """
    datasets.package_folder("networkx")
    import networkx

    graph = networkx.davis_southern_women_graph()
    women, events = graph.graph["top"], graph.graph["bottom"]
    return networkx.bipartite.biadjacency_matrix(graph, women, events).toarray() > 0


def karate_club() -> tuple[Bool[np.ndarray, "members members"], Int[np.ndarray, "members"]]:
    """Friendships of a club's 34 members and the side each took when it split (Zachary 1977), from networkx.

    Returns:
      The adjacency matrix, and 0 for the instructor's side (member 0) or 1 for the officers' (member 33).

    Raises:
      MissingPackageError: networkx is not installed.
    """
    datasets.package_folder("networkx")
    import networkx

    graph = networkx.karate_club_graph()
    sides = [int(graph.nodes[member]["club"] == "Officer") for member in graph]
    return networkx.to_numpy_array(graph) > 0, np.asarray(sides, np.int32)


def _gensim_file(name: str) -> Path:
    return datasets.package_folder("gensim") / "test" / "test_data" / name


def _gensim(name: str, encoding: str = "utf-8") -> str:
    return _gensim_file(name).read_text(encoding)
