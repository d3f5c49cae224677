"""Chinese as it is set: no space at full-width punctuation, no italics, one term for each concept."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages import pofile

from experiments import writeup
from experiments.study import rules, topics
from experiments.writeup import criteria, words

CATALOGUES = writeup.HERE / "locale" / "zh_CN" / "LC_MESSAGES"
CHINESE = "[\u4e00-\u9fff]"
STRAY = {
    "a space after full-width punctuation": re.compile(r"[，。；：、！？（）“”《》] "),
    "a space before full-width punctuation": re.compile(r" [，。；：、！？（）“”《》]"),
    "italics": re.compile(rf"(?<![*\\])\*(?![*\s])[^*$`{{}}]*{CHINESE}[^*$`{{}}]*\*(?!\*)"),
}
# What another word on the same pages means already.
OTHER_TERMS = re.compile("批量归一化|批标准化|批规范化|批正则|稳健|跳跃连接|口头回答| nat(?![a-z])")
WITH_PIXELS = ("pooling", "invariance")


def catalogue(page: str) -> list[str]:
    """The Chinese of a page, in its order."""
    with open(CATALOGUES / f"{page}.po", "rb") as file:
        return [message.string for message in pofile.read_po(file) if message.id]


def pages() -> list[str]:
    return [str(Path(path).relative_to(CATALOGUES).with_suffix("")) for path in sorted(CATALOGUES.rglob("*.po"))]


def claims(*named: str) -> Iterator[str]:
    for claim in rules.load_claims(*named).values():
        for text in (claim.statement, claim.condition, claim.counterexample, claim.caption):
            yield text.get("zh", "")
        yield from (change.why["zh"] for change in claim.history)


def everything() -> Iterator[tuple[str, str]]:
    for page in pages():
        yield from ((page, text) for text in catalogue(page))
    for topic in topics.TOPICS:
        yield from ((f"claims of {topic}", text) for text in claims(topic))
    for texts in (words.WORDS, words.KINDS, words.PEERS, criteria.TERMS):
        yield from (("words", text) for text in texts["zh"].values() if isinstance(text, str))


@pytest.mark.parametrize("what", STRAY)
def test_chinese_is_set_as_chinese(what):
    code = re.compile(r"`[^`]*`|\$[^$]*\$")
    left = [(where, text) for where, text in everything() if STRAY[what].search(code.sub("x", text))]
    assert not left


def test_a_concept_has_one_term():
    assert not [(where, text) for where, text in everything() if OTHER_TERMS.search(text)]


@pytest.mark.parametrize("page", [*topics.TOPICS, "tutorials/norms"])
def test_batch_normalisation_has_its_name_in_brackets_at_its_first_place_alone(page):
    text = "".join(catalogue(page))
    if "批归一化" in text:
        assert text.partition("批归一化")[2].startswith("（BatchNorm）")
        assert text.count("BatchNorm") == 1


@pytest.mark.parametrize("topic", WITH_PIXELS)
def test_a_place_in_a_map_is_no_unit(topic):
    assert not [text for text in (*catalogue(topic), *claims(topic)) if "单元" in text]


def test_titles_of_answers_are_the_notes_own_word():
    titles = [text for page in topics.TOPICS for text in catalogue(page) if text == "面试回答"]
    assert len(titles) == len(topics.TOPICS)
