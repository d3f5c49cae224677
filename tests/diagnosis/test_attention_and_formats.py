"""Faults of attention and of number formats, each beside a healthy twin."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import special

from jaxnotes import diagnosis, probe

pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]
EXAMPLES, LENGTH, HEADS, DEPTH, CLASSES = 16, 10, 2, 32, 4
WIDTH = HEADS * DEPTH


@pytest.fixture
def batch(key):
    return jax.random.normal(jax.random.fold_in(key, 1), (EXAMPLES, LENGTH, WIDTH)), jnp.arange(EXAMPLES) % CLASSES


@pytest.fixture
def weights(key):
    keys = jax.random.split(key, 5)
    drawn = {n: jax.random.normal(k, (WIDTH, WIDTH)) / WIDTH**0.5 for n, k in zip(("q", "k", "v", "o"), keys, strict=False)}
    return drawn | {"out": jax.random.normal(keys[4], (WIDTH, CLASSES)) / WIDTH**0.5}


def attending(scale=DEPTH**-0.5, axis=-1, mask=None, softmax=jax.nn.softmax):
    """A plain function with one attention layer, of which nothing but products is tapped."""

    def model(parameters, x):
        split = lambda name: probe.tap(f"attention/{name}", x @ parameters[name]).reshape(*x.shape[:2], HEADS, DEPTH)
        scores = jnp.einsum("bqhd,bkhd->bhqk", split("q"), split("k"))
        scores = scores * scale if scale else scores
        scores = scores if mask is None else jnp.where(mask, scores, -1e10)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", softmax(scores, axis=axis), split("v")).reshape(x.shape)
        x = x + probe.tap("attention/o", mixed @ parameters["o"])
        return probe.tap("out", jnp.tanh(x).mean(1) @ parameters["out"])

    return model


def read(model, batch, loss="cross_entropy", **options):
    return probe.read(model, batch, loss, **{"jacobian": False, **options})


def one(findings, kind):
    """The one finding of that kind, beside which there may be hints."""
    (found,) = [found for found in findings if not found.hint]
    assert found.kind == kind
    return found


def test_attention_is_read_as_scipy_computes_it(weights, batch):
    report = read((attending(), weights), batch)
    assert diagnosis.explain(report) == ()
    (found,) = report.attention
    x = np.asarray(batch[0], np.float64)
    split = lambda name: (x @ np.asarray(weights[name], np.float64)).reshape(EXAMPLES, LENGTH, HEADS, DEPTH)
    scores = np.einsum("bqhd,bkhd->bhqk", split("q"), split("k")) / np.sqrt(DEPTH)
    entropy = special.entr(special.softmax(scores, axis=-1)).sum(-1).mean((0, 2)) / np.log(LENGTH)
    np.testing.assert_allclose(found.entropy, entropy, rtol=1e-4)
    assert found.score_spread == pytest.approx(np.sqrt(scores.var(-1).mean()), rel=1e-4)
    assert (found.name, found.depth, found.scaled, found.keys) == ("attention", DEPTH, True, LENGTH)


def stable(scores, axis):
    shifted = jnp.exp(scores - scores.max(axis=axis, keepdims=True))
    return shifted / shifted.sum(axis=axis, keepdims=True)


@pytest.mark.parametrize("softmax", [jax.nn.softmax, stable, jax.jit(jax.nn.softmax, static_argnames="axis")])
def test_scores_that_are_not_divided_are_named(weights, batch, softmax):
    found = one(diagnosis.explain(read((attending(None, softmax=softmax), weights), batch)), "attention")
    assert "not divided by √d = 5.66" in found.evidence and found.layers == ("attention",) and not found.hint
    small = {**weights, "q": weights["q"] / DEPTH**0.5}  # as T5 does it: the division is in the weights
    assert diagnosis.explain(read((attending(None), small), batch)) == ()


def test_a_softmax_over_the_queries_is_named(weights, batch):
    found = one(diagnosis.explain(read((attending(axis=-2), weights), batch)), "attention")
    assert "another axis" in found.evidence


def test_a_mask_on_the_queries_is_named_and_one_on_the_keys_is_not(weights, batch):
    kept = jnp.arange(LENGTH) < 6
    found = one(diagnosis.explain(read((attending(mask=kept[:, None]), weights), batch)), "attention")
    assert "40%" in found.evidence and "mask on the queries" in found.evidence
    assert diagnosis.explain(read((attending(mask=kept), weights), batch)) == ()
    assert diagnosis.explain(read((attending(mask=kept & kept[:, None]), weights), batch)) == ()  # of padded queries too
    nothing = one(diagnosis.explain(read((attending(mask=jnp.zeros(LENGTH, bool)), weights), batch)), "attention")
    assert "every key of every query" in nothing.evidence


def test_saturated_rows_are_named(weights, batch):
    large = {**weights, "q": weights["q"] * 200}
    found = one(diagnosis.explain(read((attending(), large), batch)), "attention")
    assert "of the rows have a weight over 0.99" in found.evidence


class Half(nn.Module):
    """Root mean square normalisation by hand and two layers, in float16."""

    wide: bool = False
    scale: float = 1.0

    @nn.compact
    def __call__(self, x):
        x = (x * self.scale).astype(jnp.float16)
        counted = x.astype(jnp.float32) if self.wide else x
        x = (x / jnp.sqrt(jnp.mean(counted * counted, axis=-1, keepdims=True) + 1e-6)).astype(jnp.float16)
        return nn.Dense(CLASSES, dtype=jnp.float16)(nn.relu(nn.Dense(WIDTH, dtype=jnp.float16)(x))).astype(jnp.float32)


def made(model, batch, key):
    inputs = batch[0][:, 0]
    return (model, model.init(key, inputs)), (inputs, batch[1])


def test_squares_that_overflow_in_float16_are_named(key, batch):
    found = diagnosis.explain(read(*made(Half(scale=300.0), batch, key), "cross_entropy"))
    assert found[0].kind == "number-format" and "squared in float16" in found[0].evidence
    for healthy in (Half(), Half(wide=True, scale=300.0)):
        findings = diagnosis.explain(read(*made(healthy, batch, key), "cross_entropy"))
        assert "number-format" not in {found.kind for found in findings}


def test_gradients_that_float16_flushes_to_zero_are_named(key, batch):
    model, data = made(Half(), batch, key)
    tiny = lambda outputs, targets: probe.LOSSES["cross_entropy"](outputs, targets) * 1e-6
    found = one(diagnosis.explain(read(model, data, tiny)), "number-format")
    assert "with the loss 1024 times as large" in found.evidence and "scale the loss" in found.remedies[0].action


def test_updates_that_bfloat16_rounds_away_are_named(weights, batch):
    short = {name: w.astype(jnp.bfloat16) for name, w in weights.items()}
    inputs = batch[0].astype(jnp.bfloat16), batch[1]
    assert diagnosis.explain(read((attending(), short), inputs, optimizer=optax.adam(1e-2))) == ()
    found = diagnosis.explain(read((attending(), short), inputs, optimizer=optax.adam(1e-5)))
    assert "number-format" in {one.kind for one in found}


class Shifted(nn.Module):
    """Layer normalisation of values with a mean far from 0."""

    shift: float
    fast: bool = True

    @nn.compact
    def __call__(self, x):
        x = nn.LayerNorm(use_fast_variance=self.fast)(x + self.shift)
        return nn.Dense(CLASSES)(nn.relu(nn.Dense(WIDTH)(x)))


def test_a_variance_whose_digits_cancel_is_named(key, batch):
    findings = diagnosis.explain(read(*made(Shifted(3e3), batch, key), "cross_entropy"))
    found = next(found for found in findings if found.kind == "cancellation")
    assert found.layers == ("LayerNorm_0",)
    for healthy in (Shifted(10.0), Shifted(3e3, fast=False)):
        assert diagnosis.explain(read(*made(healthy, batch, key), "cross_entropy")) == ()
