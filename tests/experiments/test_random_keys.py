"""Random keys: the known answers of Threefry, and the very draws of JAX's own keys."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.random_keys import random_key, threefry_2x32


@pytest.mark.parametrize(
    "rounds, key, counter, expected",  # the known answers that come with Random123, kat_vectors: threefry2x32
    [
        (20, (0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        (20, (0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        (20, (0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
        (13, (0, 0), (0, 0), (0x9D1C5EC6, 0x8BD50731)),
        (13, (0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0xFD36D048, 0x2D17272C)),
        (13, (0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xBA3E4725, 0xF27D669E)),
    ],
)
def test_known_answers(rounds, key, counter, expected):
    found = threefry_2x32(jnp.asarray(key, jnp.uint32), *jnp.asarray(counter, jnp.uint32), rounds)
    assert tuple(int(word) for word in found) == expected


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1, -1])
@pytest.mark.parametrize(
    "draw",
    [
        lambda key: jax.random.normal(key, (7, 33)),
        lambda key: jax.random.normal(key, ()),
        lambda key: jax.random.bits(key, (5, 3), jnp.uint8),
        lambda key: jax.random.bits(key, (5, 3), jnp.uint16),
        lambda key: jax.random.bernoulli(key, 0.3, (0, 4)),
        lambda key: jax.random.permutation(key, 100),
        lambda key: jax.random.randint(jax.random.fold_in(key, 2**32 - 5), (11,), -4, 1000),
        lambda key: jax.vmap(lambda one: jax.random.uniform(one, (3,)))(jax.random.split(key, (2, 5))[1]),
        lambda key: jax.lax.map(lambda i: jax.random.gumbel(jax.random.fold_in(key, i), (3,)), jnp.arange(4)),
    ],
)
def test_draws_are_those_of_jax(draw, seed):
    np.testing.assert_array_equal(draw(random_key(seed)), draw(jax.random.key(seed)))


def test_draws_in_float64_are_those_of_jax():
    with jax.enable_x64(True):
        np.testing.assert_array_equal(
            jax.random.normal(random_key(3), (50,), float), jax.random.normal(jax.random.key(3), (50,), float)
        )


def test_draws_with_fewer_rounds_hash_with_fewer_rounds():
    key = random_key(5, 13)
    words = jax.random.key_data(key)
    first, second = threefry_2x32(words, jnp.zeros(6, jnp.uint32), jnp.arange(6, dtype=jnp.uint32), 13)
    np.testing.assert_array_equal(jax.random.bits(key, (6,)), first ^ second)
    np.testing.assert_array_equal(jax.random.key_data(jax.random.split(key, 6)), np.stack([first, second], axis=-1))
    folded = threefry_2x32(words, jnp.uint32(0), jnp.uint32(9), 13)
    np.testing.assert_array_equal(jax.random.key_data(jax.random.fold_in(key, 9)), np.stack(folded))


def test_too_many_numbers_at_once():
    with pytest.raises(ValueError, match="fewer than 2\\^32"):
        jax.jit(lambda key: jax.random.bits(key, (2**16, 2**16))).lower(random_key(0))
