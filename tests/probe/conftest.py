"""What tests of readings share: a small batch, and a Linen module with its variables."""

import jax
import jax.numpy as jnp
import pytest


@pytest.fixture
def batch(key):
    return jax.random.normal(key, (6, 4)), jnp.arange(6) % 3


@pytest.fixture
def initialised():
    return lambda module, *inputs, **keywords: (module, module.init(jax.random.key(0), *inputs, **keywords))
