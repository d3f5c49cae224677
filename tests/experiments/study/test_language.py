"""The networks on text: against the library's model, one character at a time against one pass, masked statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.study import language
from jaxnotes.layers.normalization import batch_norm, batch_norm_state, norm_init
from jaxnotes.models.transformer import character_model

pytestmark = pytest.mark.usefixtures("standard_promotion")
BATCH, LAYER = jnp.int32(1), jnp.int32(2)


def size(kind: str, **changes) -> language.Size:
    return language.Size(kind, 8, 2, 6, 2, 4, 10)._replace(**changes)


def test_the_transformer_with_layer_norm_is_the_library_s(key):
    params, state = language.transformer_start(key, size("transformer"))
    characters = jnp.arange(12).reshape(2, 6)
    found, _ = language.transformer(LAYER, params, state, characters, characters >= 0, True)
    expected = character_model(params, characters, heads=language.HEADS, pre_norm=True)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", language.NETWORKS)
def test_one_pass_is_one_character_at_a_time(key, kind):
    """In generation mode: the prediction from each beginning alone is what a pass over the whole says at its end."""
    params, state = language.NETWORKS[kind].init(key, size(kind))
    state = jax.tree.map(lambda a: a + 0.3, state)
    characters = jnp.asarray([[3, 1, 4, 1, 5, 9]])
    for norm in (BATCH, LAYER):
        apply = lambda x, norm=norm: language.NETWORKS[kind].apply(norm, params, state, x, x >= 0, False)[0]
        whole = apply(characters)
        for end in range(1, 7):
            np.testing.assert_allclose(apply(characters[:, :end])[:, -1], whole[:, end - 1], rtol=1e-4, atol=1e-5)


def test_masked_statistics_are_those_of_what_counts(key):
    params, state = norm_init(3), batch_norm_state(3)
    h, counted = 2 + jax.random.normal(key, (5, 3)), jnp.asarray([True, True, False, True, False])
    found, after = language.masked_batch_norm(params, state, h, counted, True)
    expected, expected_after = batch_norm(params, state, h[counted], train=True)
    np.testing.assert_allclose(found[counted], expected, rtol=1e-5, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), after, expected_after)
    _, untouched = language.masked_batch_norm(params, state, h, jnp.zeros(5, bool), True)
    jax.tree.map(np.testing.assert_array_equal, untouched, state)


def test_a_sequence_longer_than_any_in_training_takes_the_last_step_s_statistics(key):
    params, state = language.recurrent_start(key, size("rnn"))
    state["mean"] = state["mean"].at[-1].set(5.0)
    longer = jax.tree.map(lambda a: jnp.concatenate([a, a[-1:], a[-1:]]), state)
    characters = jnp.arange(8)[None]
    found, expected = (language.recurrent(BATCH, params, s, characters, characters >= 0, False)[0] for s in (state, longer))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_loss_counts_valid_positions_alone(key):
    params, state = language.recurrent_start(key, size("rnn"))
    pieces, valid = jnp.arange(14).reshape(2, 7), jnp.asarray([[True] * 6, [True] * 2 + [False] * 4])
    found, _ = language.loss(size("rnn"), LAYER, params, state, pieces, valid, True)
    other, _ = language.loss(size("rnn"), LAYER, params, state, pieces.at[1, 4:].set(20), valid, True)
    assert found == other


def test_lengths_lie_between_the_shortest_and_the_longest(key):
    pieces, valid = language.batch_of(key, jnp.arange(100), size("rnn", batch=200))
    assert pieces.shape == (200, 7) and set(np.asarray(valid.sum(1))) == {2, 3, 4, 5, 6}
    np.testing.assert_array_equal(np.diff(pieces, axis=1), 1)
    equal = language.batch_of(key, jnp.arange(100), size("rnn", shortest=6))[1]
    assert equal.all()


def test_the_text_is_in_three_parts_of_the_alphabet():
    pytest.importorskip("gensim")
    text = language.news()
    assert len(text.train) > 250_000 and min(len(text.validation), len(text.test)) > 30_000
    assert max(int(part.max()) for part in text) < len(language.ALPHABET)


def test_a_network_learns_which_character_follows(key):
    text = language.Text(*[jnp.arange(400) % 4] * 3)
    found = language.run(LAYER, text, jnp.float32(1e-2), key, size=size("rnn", steps=80))
    assert found.losses[0] > 3 and found.generation < 1.5 and found.losses.shape == (80,)
