"""WordPiece (Schuster and Nakajima 2012) as BERT has it: lower case, no accents, cut into the longest known pieces."""

import functools
import unicodedata
from collections.abc import Iterator

LONGEST_WORD = 100  # characters; a longer word is unknown
CJK = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F))  # each a word of its own


class WordPiece:
    """Text to the numbers of its pieces.

    Args:
      pieces: the vocabulary; a piece's number is its place. Pieces that go on with a word begin with ##.
      longest: pieces of a text, the two that frame it included; the rest is cut off.
    """

    def __init__(self, pieces: list[str], longest: int):
        self.number = {piece: number for number, piece in enumerate(pieces)}
        self.longest = longest
        self._of_word = functools.cache(self._cut)

    def __call__(self, text: str) -> list[int]:
        """Returns [CLS], the text's pieces, [SEP]."""
        inside = [number for word in words(text) for number in self._of_word(word)]
        return [self.number["[CLS]"], *inside[: self.longest - 2], self.number["[SEP]"]]

    def _cut(self, word: str) -> tuple[int, ...]:
        """Returns the pieces of a word, each the longest that the vocabulary has; one unknown piece where a rest has none."""
        found, start = [], 0
        while start < len(word) <= LONGEST_WORD:
            ends = (end for end in range(len(word), start, -1) if self._piece(word, start, end) in self.number)
            end = next(ends, None)
            if end is None:
                break
            found.append(self.number[self._piece(word, start, end)])
            start = end
        return tuple(found) if found and start == len(word) else (self.number["[UNK]"],)

    @staticmethod
    def _piece(word: str, start: int, end: int) -> str:
        return word[start:end] if start == 0 else f"##{word[start:end]}"


def words(text: str) -> Iterator[str]:
    """Yields words and single punctuation marks, in lower case without accents."""
    spaced = "".join(f" {c} " if _is_cjk(c) else c for c in text if not _is_control(c))
    for word in spaced.lower().split():
        plain = "".join(c for c in unicodedata.normalize("NFD", word) if unicodedata.category(c) != "Mn")
        yield from "".join(f" {c} " if _is_punctuation(c) else c for c in plain).split()


def _is_cjk(c: str) -> bool:
    return any(first <= ord(c) <= last for first, last in CJK)


def _is_control(c: str) -> bool:
    return c in "\0\ufffd" or (c not in "\t\n\r" and unicodedata.category(c).startswith("C"))


def _is_punctuation(c: str) -> bool:
    return (c.isascii() and c.isprintable() and not c.isalnum() and c != " ") or unicodedata.category(c).startswith("P")
