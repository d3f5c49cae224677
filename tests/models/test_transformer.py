"""Transformer models against Flax Linen with the same parameters; what the character model may and may not see."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnotes import training
from jaxnotes.models.transformer import character_model, transformer_classifier, transformer_init

BATCH, TIME, N_IN, WIDTH, DEPTH, CLASSES, HEADS = 3, 6, 4, 8, 2, 5, 2


def layer_norm(params, x):
    """By Flax, with the variance in two passes and the epsilon of ours."""
    module = nn.LayerNorm(epsilon=1e-5, use_fast_variance=False)
    return module.apply({"params": {"scale": params["scale"], "bias": params["shift"]}}, x)


def options(pre_norm=True):
    return {"heads": HEADS, "pre_norm": pre_norm}


def noisy(params, key):
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(tree, [p + 0.2 * jax.random.normal(k, p.shape) for p, k in zip(leaves, keys, strict=True)])


def dense(p, h):
    return nn.Dense(p["weight"].shape[1]).apply({"params": {"kernel": p["weight"], "bias": p["bias"]}}, h)


def flax_stack(params, h, pre_norm, causal):
    """The textbook loop over blocks, on a batch."""
    attention = nn.MultiHeadDotProductAttention(HEADS, qkv_features=WIDTH, out_features=WIDTH)
    mask = nn.make_causal_mask(jnp.ones(h.shape[:2])) if causal else None
    h = h + params["positions"][: h.shape[1]][None]
    for layer in range(DEPTH):
        p = jax.tree.map(lambda leaf, i=layer: leaf[i], params["blocks"])
        heads = {
            n: jax.tree.map(lambda a: a.reshape(*a.shape[:-1], HEADS, -1), p["attention"][n]) for n in ("query", "key", "value")
        }
        named = {n: {"kernel": v["weight"], "bias": v["bias"]} for n, v in heads.items()}
        out = p["attention"]["output"]
        named["out"] = {"kernel": out["weight"].reshape(HEADS, -1, WIDTH), "bias": out["bias"]}
        attend = lambda h, named=named: attention.apply({"params": named}, h, mask=mask)
        feed = lambda h, p=p: dense(p["output"], nn.gelu(dense(p["hidden"], h), approximate=False))
        for branch, norm in ((attend, p["attention_norm"]), (feed, p["feed_forward_norm"])):
            h = h + branch(layer_norm(norm, h)) if pre_norm else layer_norm(norm, h + branch(h))
    return layer_norm(params["norm"], h) if pre_norm else h


def same_value_and_gradient(ours, theirs, params):
    def both(f):
        def loss(p):
            out = f(p)
            return jnp.sum(jnp.sin(out)), out

        return jax.jit(jax.grad(loss, has_aux=True))(params)

    (of_ours, out), (of_theirs, expected) = both(ours), both(theirs)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=2e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), of_ours, of_theirs)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_classifier_equals_flax(key, pre_norm):
    params = noisy(transformer_init(key, N_IN, WIDTH, DEPTH, CLASSES, time=TIME), key)
    x = jax.random.normal(key, (BATCH, TIME - 1, N_IN))  # shorter than the positions

    def theirs(p):
        return dense(p["output"], flax_stack(p, dense(p["input"], x), pre_norm, False).mean(1))

    same_value_and_gradient(lambda p: transformer_classifier(p, x, **options(pre_norm)), theirs, params)


def test_character_model_equals_flax_on_one_hot_codes(key):
    params = noisy(transformer_init(key, N_IN, WIDTH, DEPTH, N_IN, time=TIME), key)
    characters = jax.random.randint(key, (BATCH, TIME), 0, N_IN)

    def theirs(p):
        return dense(p["output"], flax_stack(p, dense(p["input"], jax.nn.one_hot(characters, N_IN)), True, True))

    same_value_and_gradient(lambda p: character_model(p, characters, **options()), theirs, params)


def test_the_character_model_sees_no_later_character(key):
    params = transformer_init(key, N_IN, WIDTH, DEPTH, N_IN, time=TIME)
    characters = jax.random.randint(key, (1, TIME), 0, N_IN)
    other = characters.at[:, 3:].set((characters[:, 3:] + 1) % N_IN)
    one, two = jax.jit(jax.vmap(lambda c: character_model(params, c, **options())))(jnp.stack([characters, other]))
    np.testing.assert_array_equal(one[:, :3], two[:, :3])
    assert (one[:, 3:] != two[:, 3:]).any(axis=-1).all()


def test_the_character_model_learns_a_cycle(key):
    """After 'abcd' comes 'a': the cross-entropy of a deterministic text goes to 0, from ln 4 of a uniform guess."""
    text = jnp.asarray([[i % 4 for i in range(TIME + 1)], [(i + 2) % 4 for i in range(TIME + 1)]])

    def loss(params, batch):
        logits = character_model(params, batch[:, :-1], **options())
        return training.cross_entropy(logits.reshape(-1, 4), batch[:, 1:].ravel())

    optimizer = optax.adam(1e-2)
    state = training.init_state(transformer_init(key, 4, WIDTH, DEPTH, 4, time=TIME), optimizer)
    with jax.numpy_dtype_promotion("standard"):  # Optax's Adam mixes a Python float with its integer count
        _, losses = training.train(loss, optimizer)(state, jnp.broadcast_to(text, (100, *text.shape)))
    assert losses[0] > 0.7 * np.log(4) and losses[-1] < 0.1


def test_depth_is_data_not_program():
    def size(depth):
        run = lambda k: transformer_classifier(
            transformer_init(k, N_IN, WIDTH, depth, CLASSES, time=TIME), jnp.ones((1, TIME, N_IN)), **options()
        )
        return len(str(jax.make_jaxpr(run)(jax.random.key(0))))

    assert size(500) < size(2) + 500


def test_a_character_outside_the_alphabet_makes_its_example_nan(key):
    params = transformer_init(key, N_IN, WIDTH, DEPTH, N_IN, time=TIME)
    characters = jnp.asarray([[0, 1, -1], [0, 1, N_IN], [0, 1, 2]])
    logits = np.asarray(jax.jit(lambda c: character_model(params, c, **options()))(characters))
    assert np.isnan(logits[:2]).all() and np.isfinite(logits[2]).all()


def test_doors(key, unchecked):
    params = transformer_init(key, N_IN, WIDTH, DEPTH, CLASSES, time=TIME)
    for time in (0, TIME + 1):
        with pytest.raises(ValueError, match=f"the sequences have {time} positions; the model takes 1 to 6"):
            transformer_classifier(params, jnp.ones((1, time, N_IN)), **options())
        with pytest.raises(ValueError, match=f"the sequences have {time} positions"):
            character_model(params, jnp.ones((1, time), jnp.int32), **options())
    with pytest.raises(TypeError, match="characters has dtype float32; integers are expected"):
        character_model(params, jnp.ones((1, TIME)), **options())
    with pytest.raises(ValueError, match="depth is 0; it must be at least 1"):
        transformer_init(key, N_IN, WIDTH, 0, CLASSES, time=TIME)
