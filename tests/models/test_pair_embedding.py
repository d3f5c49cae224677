"""Pair embedding: scores and loss against NumPy, the optimum against pointwise mutual information; doors."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import special

from jaxnotes import training
from jaxnotes.models.pair_embedding import negative_sampling_loss, pair_embedding, pair_embedding_init


def test_scores_and_loss_are_those_of_numpy(key):
    params = pair_embedding_init(key, 5, 7, 3)
    left, right = jnp.asarray([0, 4, 2, 4]), jnp.asarray([6, 1, 1, 0])
    a, b = (np.asarray(params[side]["table"], np.float64) for side in ("left", "right"))
    scores = a[np.asarray(left)] @ b[np.asarray(right)].T  # [left, right]
    np.testing.assert_allclose(pair_embedding(params, left, right), np.diag(scores), rtol=1e-5)
    losses = [
        -special.log_expit(scores[i, i]) - sum(special.log_expit(-scores[i, (i - shift) % 4]) for shift in (1, 2))
        for i in range(4)
    ]
    np.testing.assert_allclose(negative_sampling_loss(params, left, right, negatives=2), np.mean(losses), rtol=1e-5)


def test_training_reaches_pointwise_mutual_information(key):
    joint = np.asarray([[0.20, 0.05, 0.05], [0.05, 0.25, 0.05], [0.05, 0.10, 0.20]])
    expected = np.log(joint / joint.sum(1, keepdims=True) / joint.sum(0, keepdims=True)) - np.log(2)  # Levy and Goldberg (2014)
    key_params, key_pairs = jax.random.split(key)
    pairs = jax.random.categorical(key_pairs, jnp.log(jnp.asarray(joint.ravel(), jnp.float32)), shape=(1500, 2048))
    optimizer = optax.adam(0.002)
    run = training.train(lambda params, pair: negative_sampling_loss(params, pair // 3, pair % 3, negatives=2), optimizer)
    with jax.numpy_dtype_promotion("standard"):  # Optax's Adam mixes a Python float with its integer count
        params = run(training.init_state(pair_embedding_init(key_params, 3, 3, 3), optimizer), pairs)[0].params
    scores = params["left"]["table"] @ params["right"]["table"].T
    np.testing.assert_allclose(scores, expected, atol=0.03)


def test_doors(key, unchecked):
    params = pair_embedding_init(key, 2, 2, 2)
    with pytest.raises(ValueError, match="n_right is 0"):
        pair_embedding_init(key, 2, 0, 2)
    for negatives in (0, 2):
        with pytest.raises(ValueError, match=f"negatives is {negatives} with a batch of 2 pairs"):
            negative_sampling_loss(params, jnp.asarray([0, 1]), jnp.asarray([0, 1]), negatives=negatives)
    with pytest.raises(TypeError, match="integers are expected"):
        pair_embedding(params, jnp.asarray([0.0]), jnp.asarray([0]))
