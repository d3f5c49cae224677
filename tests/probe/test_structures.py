"""Structures that models have: shared, scanned and rematerialised layers, normalisation, dropout, recurrence, odd inputs."""

import math

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxnotes import jacobians, probe

pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def names(report):
    return [(row.name, row.call) for row in report.layers]


def test_a_shared_module_gives_a_row_a_call(batch, initialised):
    class Shared(nn.Module):
        @nn.compact
        def __call__(self, x):
            layer = nn.Dense(4)
            return nn.Dense(3)(nn.tanh(layer(nn.tanh(layer(x)))))

    report = probe.read(initialised(Shared(), batch[0]), batch, "cross_entropy")
    assert names(report) == [("Dense_0", 0), ("Dense_0", 1), ("Dense_1", 0)]
    assert report.layers[0].activation_rms != report.layers[1].activation_rms


class Block(nn.Module):
    @nn.compact
    def __call__(self, x, _=None):
        return x + nn.tanh(nn.Dense(4)(x)), None


@pytest.mark.parametrize("remat", [False, True])
def test_scanned_and_rematerialised_layers_give_a_row_a_step(batch, remat, initialised):
    block = nn.remat(Block) if remat else Block

    class Scanned(nn.Module):
        @nn.compact
        def __call__(self, x):
            stack = nn.scan(block, variable_axes={"params": 0}, split_rngs={"params": True}, length=5)
            return nn.Dense(3)(stack(name="stack")(x)[0])

    module, variables = initialised(Scanned(), batch[0])
    report = probe.read((module, variables), batch, "cross_entropy")
    rows = [row for row in report.layers if row.name == "stack/Dense_0"]
    assert [row.call for row in rows] == list(range(5)) and {row.activation for row in rows} == {"tanh"}

    def by_hand(zeros):
        h, weights = batch[0], variables["params"]["stack"]["Dense_0"]
        for i in range(5):
            h = h + jnp.tanh(h @ weights["kernel"][i] + weights["bias"][i] + zeros[i])
        out = variables["params"]["Dense_0"]
        return probe.LOSSES["cross_entropy"](h @ out["kernel"] + out["bias"], batch[1])

    gradient = np.asarray(jax.grad(by_hand)(jnp.zeros((5, 6, 4))), np.float64)
    expected = 0.5 * np.log10(np.square(gradient).sum(2).mean(1))
    assert [row.log10_gradient_norm for row in rows] == pytest.approx(expected, abs=1e-5)
    kernels = variables["params"]["stack"]["Dense_0"]["kernel"]
    assert [row.weight_variance for row in rows] == pytest.approx([4 * float(np.var(np.asarray(k))) for k in kernels], rel=1e-4)


def test_through_batch_normalisation_the_jacobian_is_that_of_the_whole_batch(batch, initialised):
    class Normalised(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            h = nn.BatchNorm(use_running_average=not train)(nn.Dense(4)(x))
            return nn.Dense(3)(h)

    module, variables = initialised(Normalised(), batch[0], train=False)
    trained = probe.read((module, variables), batch, "cross_entropy")
    h = batch[0] @ variables["params"]["Dense_0"]["kernel"]

    def rest(h):
        h = (h - h.mean(0)) / jnp.sqrt(h.var(0) + 1e-5)
        return h @ variables["params"]["Dense_1"]["kernel"]

    whole = np.asarray(jax.jacrev(rest)(h), np.float64)
    assert trained.crosses_examples and trained.train and trained.layers[1].mode == "training"
    assert trained.layers[0].log10_jacobian_norm == pytest.approx(0.5 * math.log10(np.square(whole).sum() / 6), abs=1e-5)
    assert trained.running[0].initial and trained.running[0].values == 6
    inference = probe.read((module, variables), batch, "cross_entropy", train=False)
    assert not inference.crosses_examples and not inference.train and inference.layers[1].mode == "inference"


def test_many_outputs_are_estimated_with_a_standard_error(key):
    weight = jax.random.normal(key, (5, 200))
    batch = jax.random.normal(key, (8, 5)), jnp.zeros((8, 200))
    report = probe.read((lambda w, x: probe.tap("h", jnp.tanh(x)) @ w, weight), batch, "squared_error", probes=256)
    (row,) = report.layers
    exact = 0.5 * math.log10(float(jnp.square(weight).sum()))
    assert 0 < row.log10_jacobian_error < 0.02
    assert row.log10_jacobian_norm == pytest.approx(exact, abs=4 * row.log10_jacobian_error)


def test_a_missing_dropout_key_is_noted_and_a_given_one_is_used(batch):
    class Dropped(nn.Module):
        @nn.compact
        def __call__(self, x, deterministic=False):
            return nn.Dense(3)(nn.Dropout(0.5, deterministic=deterministic)(nn.Dense(40)(x)))

    model = Dropped(), Dropped().init({"params": jax.random.key(0), "dropout": jax.random.key(1)}, batch[0])
    missing = probe.read(model, batch, "cross_entropy")
    assert missing.missing_key and any("no key" in note for note in missing.notes)
    given = [probe.read(model, batch, "cross_entropy", key=jax.random.key(k)) for k in (1, 2)]
    assert not given[0].missing_key and given[0].layers[1].activation_rms != given[1].layers[1].activation_rms
    off = probe.read(model, batch, "cross_entropy", train=False)
    assert off.layers[1].activation_rms == off.layers[0].activation_rms and off.layers[1].mode == "inference"


def test_recurrent_layers_give_a_row_a_step_or_one_for_all(key, initialised):
    class Recurrent(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(2)(nn.RNN(nn.SimpleCell(5))(x)[:, -1])

    batch = jax.random.normal(key, (4, 7, 3)), jnp.arange(4) % 2
    model = initialised(Recurrent(), batch[0])
    report = probe.read(model, batch, "cross_entropy")
    cells = [row for row in report.layers if row.kind == "SimpleCell"]
    assert [row.call for row in cells[: len(cells) // 2]] and {row.output_shape for row in cells} == {(4, 5)}
    assert len({row.name for row in cells}) * 7 == len(cells)
    short = probe.read(model, batch, "cross_entropy", summarise_steps=True)
    summary = next(row for row in short.layers if row.name == cells[0].name)
    together = [row.activation_rms for row in cells if row.name == cells[0].name]
    assert summary.activation_rms == pytest.approx(math.sqrt(np.mean(np.square(together))), rel=1e-5)


def test_integers_several_inputs_and_outputs_and_structures(key):
    class Several(nn.Module):
        @nn.compact
        def __call__(self, tokens, *, mask):
            h = nn.Embed(11, 8)(tokens) * mask[..., None]
            h = nn.MultiHeadDotProductAttention(2, qkv_features=8)(h, h)
            return {"logits": nn.Dense(3)(h.mean(1)), "length": mask.sum(1).astype(jnp.int32), "name": "several"}

    tokens, mask = jnp.arange(20).reshape(4, 5) % 11, jnp.ones((4, 5))
    model = Several(), Several().init(key, tokens, mask=mask)
    loss = lambda outputs, labels: probe.LOSSES["cross_entropy"](outputs["logits"], labels)
    report = probe.read(model, ({"tokens": tokens, "mask": mask}, jnp.arange(4) % 3), loss, probes=400)
    found = {row.name: row for row in report.layers}
    assert found["Embed_0"].output_shape == (4, 5, 8) and "MultiHeadDotProductAttention_0/query" in found
    assert all(math.isfinite(row.log10_gradient_norm) for row in report.layers)
    whole = lambda p: loss(model[0].apply(p, tokens, mask=mask), jnp.arange(4) % 3)
    assert report.gradient_norm == pytest.approx(float(optax.global_norm(jax.grad(whole)(model[1]))), rel=1e-5)
    weight = model[1]["params"]["Dense_0"]["kernel"]
    before = found["MultiHeadDotProductAttention_0"]  # its mean over 5 tokens goes into Dense_0
    assert before.output_shape == (4, 5, 8)
    assert found["Dense_0"].partial_jacobian == pytest.approx(float(jnp.square(weight).sum()) / 5 / 3, rel=0.15)


def test_bfloat16_and_float16_are_measured_in_float32(batch, initialised):
    class Low(nn.Module):
        dtype: jnp.dtype

        @nn.compact
        def __call__(self, x):
            h = nn.relu(nn.Dense(300, dtype=self.dtype)(x))
            return nn.Dense(3)(h)

    for dtype in (jnp.bfloat16, jnp.float16):
        module, variables = initialised(Low(dtype), batch[0])
        report = probe.read((module, variables), batch, "cross_entropy")
        wide = probe.read((Low(jnp.float32), variables), batch, "cross_entropy")
        assert report.layers[0].dtype == jnp.dtype(dtype).name and report.layers[0].activation == "relu"
        assert report.layers[0].activation_rms == pytest.approx(wide.layers[0].activation_rms, rel=0.01)
        assert report.layers[0].log10_gradient_norm == pytest.approx(wide.layers[0].log10_gradient_norm, abs=0.02)


def test_gradients_that_leave_float32_are_rescued(key):
    weights = 1e-8 * jax.random.normal(key, (8, 16, 16)) / 4
    x = jax.random.normal(key, (4, 16))

    def deep(weights, x):
        layer = lambda h, w: (probe.tap("h", h @ w), None)
        return jax.lax.scan(layer, x, weights)[0]

    report = probe.read((deep, weights), (x, None), lambda y, _: jnp.mean(jnp.sum(y, 1)), jacobian=False)
    # d loss / dh_l = product of the later weights times ones / batch; the last row is the output itself.
    expected = jacobians.log_gradient_norms(lambda w, h: h @ w, weights, x, lambda h: jnp.mean(jnp.sum(h, 1)))[1:] / math.log(
        10
    )
    assert expected[0] < -45
    assert [row.log10_gradient_norm for row in report.layers] == pytest.approx(np.asarray(expected), abs=1e-3)


def test_a_thousand_layers_by_scan(key):
    weights = jax.random.normal(key, (1000, 8, 8)) / math.sqrt(8)
    deep = lambda w, x: jax.lax.scan(lambda h, w: (probe.tap("h", jnp.tanh(h @ w)), None), x, w)[0]
    report = probe.read((deep, weights), (jnp.ones((3, 8)), None), lambda y, _: jnp.mean(y))
    assert len(report.layers) == 1000 and report.layers[999].call == 999


def test_equinox_dropout_batch_norm_and_nested_maps(key):
    class Model(eqx.Module):
        attention: eqx.nn.MultiheadAttention
        norm: eqx.nn.LayerNorm
        dropout: eqx.nn.Dropout
        out: eqx.nn.Linear

        def __call__(self, x, *, key=None):
            h = jax.vmap(self.norm)(x)
            h = self.dropout(self.attention(h, h, h), key=key)
            return self.out(h.mean(0))

    keys = jax.random.split(key, 2)
    model = Model(
        eqx.nn.MultiheadAttention(2, 6, key=keys[0]), eqx.nn.LayerNorm(6), eqx.nn.Dropout(0.3), eqx.nn.Linear(6, 3, key=keys[1])
    )
    report = probe.read(model, (jax.random.normal(key, (4, 5, 6)), jnp.arange(4) % 3), "cross_entropy", key=key)
    shapes = {row.name: row.output_shape for row in report.layers}
    assert shapes["norm"] == (4, 5, 6) and shapes["attention/query_proj"] == (4, 5, 6) and shapes["out"] == (4, 3)
    assert {row.name: row.mode for row in report.layers}["dropout"] == "training"


def test_nnx_batch_norm_and_dropout_keep_their_state(key):
    class Model(nnx.Module):
        def __init__(self, rngs):
            self.first, self.norm = nnx.Linear(4, 8, rngs=rngs), nnx.BatchNorm(8, rngs=rngs)
            self.dropout, self.out = nnx.Dropout(0.5, rngs=rngs), nnx.Linear(8, 3, rngs=rngs)

        def __call__(self, x):
            return self.out(self.dropout(nnx.relu(self.norm(self.first(x)))))

    model, batch = Model(nnx.Rngs(0)), (jax.random.normal(key, (6, 4)), jnp.arange(6) % 3)
    first, second = (probe.read(model, batch, "cross_entropy") for _ in range(2))
    assert first.loss == second.loss and float(model.norm.mean[...].sum()) == 0
    assert [row.mode for row in first.layers] == ["", "training", "training", ""]
    assert probe.read(model, batch, "cross_entropy", train=False).layers[1].mode == "inference"
    assert not model.norm.use_running_average


def test_a_loss_of_the_outputs_alone(batch):
    model = lambda x: probe.tap("h", jnp.tanh(x))
    pair, alone, both = (
        probe.read(model, b, f)
        for b, f in ((batch, jnp.mean), (batch[0], lambda y: jnp.mean(y)), (batch, lambda y, t: jnp.mean(y)))
    )
    assert pair.loss == alone.loss == both.loss


def test_clear_errors(batch):
    with pytest.raises(TypeError, match="expected .flax.linen.Module, variables."):
        probe.read(3, batch, "cross_entropy")
    with pytest.raises(TypeError, match="the pair .inputs, targets."):
        probe.read(lambda x: x, batch[0], "cross_entropy")
    with pytest.raises(TypeError, match="'params'"):
        probe.read((nn.Dense(3), {}), batch, "cross_entropy")
    with pytest.raises(ValueError, match="expected one real number"):
        probe.read(lambda x: probe.tap("h", x), batch, lambda y, t: y)
    with pytest.raises(TypeError, match="probe.tap"):
        probe.read(lambda x: x, batch, lambda y, t: y.mean())
    with pytest.raises(ValueError, match="no examples"):
        probe.read(lambda x: x, (jnp.zeros((0, 3)), None), lambda y, t: y.mean())
    with pytest.raises(ValueError, match="at least 2"):
        probe.read(lambda x: x, batch, "cross_entropy", probes=1)


def test_a_tap_costs_nothing_and_passes_all_transformations(key):
    x = jax.random.normal(key, (3, 4))
    f = lambda x: jnp.sum(jnp.tanh(x) ** 2)
    g = lambda x: jnp.sum(probe.tap("h", jnp.tanh(x)) ** 2)
    costs = [jax.jit(h).lower(x).compile().cost_analysis() for h in (f, g)]
    assert costs[0] == costs[1]
    for transform in (jax.grad, jax.hessian, lambda h: jax.jit(jax.vmap(h)), lambda h: jax.grad(jax.checkpoint(h))):
        np.testing.assert_allclose(transform(g)(x), transform(f)(x), rtol=1e-6)


def test_a_tap_inside_a_conditional_is_noted(batch):
    def model(x):
        h = jax.lax.cond(x.sum() > 0, lambda x: probe.tap("inside", x), lambda x: -x, x)
        return probe.tap("out", h[:, :3])

    report = probe.read(model, batch, "cross_entropy")
    assert names(report) == [("out", 0)] and "inside" in report.notes[0]
