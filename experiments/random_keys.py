"""Random keys that give the bits of JAX's own, with programs that compile faster and run faster on a CPU.

On a CPU, JAX rolls the 20 rounds of Threefry into a loop, a pass through memory a round, and XLA compiles that loop again for
every draw of a program. Here, as on a GPU, the rounds are one straight line, and there can be fewer of them.
"""

import math
from collections.abc import Hashable
from functools import cache, partial

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend import random as jax_random

ROUNDS = 20  # of JAX's own keys
FEWEST_ROUNDS = 13  # of those that Salmon et al. 2011, table 2, call crush-resistant for two words (there of 64 bits)
_ROTATIONS = (13, 15, 26, 6), (17, 29, 16, 24)
_PARITY = 0x1BD11BDA
_UNSIGNED = {8: jnp.uint8, 16: jnp.uint16, 32: jnp.uint32, 64: jnp.uint64}


def random_key(seed: int, rounds: int = ROUNDS) -> Array:
    """The key of a seed, from which `jax.random` draws what it draws from `jax.random.key(seed)`.

    With fewer rounds than 20 it draws other numbers, and programs with many draws compile faster.
    """
    return jax.random.key(seed, impl=_implementation(rounds))


@partial(jax.jit, static_argnums=3)  # so that a program traces the rounds once a shape and not once a draw
def threefry_2x32(key: Array, high: Array, low: Array, rounds: int = ROUNDS) -> tuple[Array, Array]:
    """Threefry-2x32 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", section 3.3).

    Args:
      key: [2] uint32.
      high: [...] uint32, the first word of each counter.
      low: [...] uint32, the second word.
      rounds: how often the words are mixed; the key is added again after every fourth.

    Returns:
      Two arrays [...] of uint32.
    """
    key = lax.optimization_barrier(key)  # else XLA's algebraic simplifier takes seconds over the rounds
    words = key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(_PARITY)
    x, y = high + words[0], low + words[1]
    for step in range(rounds):
        group, place = divmod(step, 4)
        x = x + y
        distance = _ROTATIONS[group % 2][place]
        y = x ^ (y << jnp.uint32(distance) | y >> jnp.uint32(32 - distance))
        if place == 3:
            x = x + words[(group + 1) % 3]
            y = y + words[(group + 2) % 3] + jnp.uint32(group + 1)
    return x, y


def _of_counters(key: Array, shape: tuple[int, ...], rounds: int) -> tuple[Array, Array]:
    """The hash of 0, 1, 2, … in an array of this shape."""
    size = math.prod(shape)
    if size >= 2**32:
        raise ValueError(f"{size} random numbers were asked for at once; fewer than 2^32 are possible: draw them in parts")
    low = lax.iota(jnp.uint32, size).reshape(shape)
    return threefry_2x32(key, jnp.zeros_like(low), low, rounds)


@partial(jax.jit, static_argnums=(1, 2))
def _split(key: Array, shape: tuple[int, ...], rounds: int) -> Array:
    return jnp.stack(_of_counters(key, shape, rounds), axis=-1)


def _random_bits(key: Array, bit_width: int, shape: tuple[int, ...], rounds: int) -> Array:
    high, low = _of_counters(key, shape, rounds)
    dtype = _UNSIGNED[bit_width]
    if bit_width == 64:
        return high.astype(dtype) << jnp.asarray(32, dtype) | low.astype(dtype)
    return (high ^ low).astype(dtype)


@partial(jax.jit, static_argnums=2)
def _fold_in(key: Array, data: Array, rounds: int) -> Array:
    return jnp.stack(threefry_2x32(key, jnp.uint32(0), data.astype(jnp.uint32), rounds))


@cache
def _implementation(rounds: int) -> Hashable:
    return jax_random.define_prng_impl(
        key_shape=(2,),
        seed=jax_random.threefry_prng_impl.seed,
        split=partial(_split, rounds=rounds),
        random_bits=partial(_random_bits, rounds=rounds),
        fold_in=partial(_fold_in, rounds=rounds),
        name=f"threefry2x32_unrolled_{rounds}",
        tag=f"unrolled{rounds}",
    )
