"""Findings of watched runs: planted faults by name, step and layer, and healthy twins without a finding."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnotes import diagnosis, probe

pytestmark = pytest.mark.usefixtures("standard_promotion")


def init(key, depth):
    keys = jax.random.split(key, depth)
    widths = [8, *[16] * (depth - 1), 3]
    draw = lambda k, a, b: {"w": jax.random.normal(k, (a, b)) * a**-0.5, "b": jnp.zeros(b)}
    return {f"layer{i}": draw(k, widths[i], widths[i + 1]) for i, k in enumerate(keys)}


def train(optimizer, key, *, steps=301, every=25, batch=32, depth=2, activation=jnp.tanh, change=lambda i, x: x, start=None):
    """A small classifier with labels that a linear map of the inputs and noise give; returns the history and the parameters."""
    history = probe.History()
    watched = probe.monitor(history, optimizer, every=every)
    truth = jax.random.normal(key, (8, 3))

    def loss(params, x, y):
        for i in range(depth):
            x = x @ params[f"layer{i}"]["w"] + params[f"layer{i}"]["b"]
            x = activation(x) if i < depth - 1 else x
        return optax.softmax_cross_entropy_with_integer_labels(x, y).mean()

    def step(carry, i):
        params, state = carry
        key_inputs, key_labels = jax.random.split(jax.random.fold_in(key, i))
        x = jax.random.normal(key_inputs, (batch, 8))
        y = jnp.argmax(x @ truth + jax.random.gumbel(key_labels, (batch, 3)), axis=-1)
        value, gradient = jax.value_and_grad(loss)(params, change(i, x), y)
        updates, state = watched.update(gradient, state, params, value=value)
        return (optax.apply_updates(params, updates), state), None

    start = init(key, depth) if start is None else start
    params, _ = jax.jit(lambda p: jax.lax.scan(step, (p, watched.init(p)), jnp.arange(steps))[0])(start)
    jax.block_until_ready(params)
    return history, params


def firm(history):
    return {found.kind: found for found in diagnosis.explain(history) if not found.hint}


WARM = optax.warmup_cosine_decay_schedule(0.0, 0.01, 30, 301)


@pytest.mark.parametrize(
    "optimizer, batch", [(optax.adam(0.01), 4), (optax.adamw(WARM), 32), (optax.sgd(0.1, momentum=0.9), 32)]
)
def test_healthy_runs_yield_no_finding_and_none_when_they_go_on_at_the_floor(optimizer, batch, key):
    history, params = train(optimizer, key, batch=batch)
    assert diagnosis.explain(history).checks and firm(history) == {}
    again, _ = train(optimizer, key, batch=batch, start=params)
    assert firm(again) == {}


def test_steps_that_are_too_small_are_found(key):
    found = firm(train(optax.sgd(1e-6), key, batch=512)[0])
    assert set(found) == {"small-update", "loss-not-falling"}
    assert "learning rate" in found["small-update"].remedies[0].action


def test_steps_that_are_too_large_are_found(key):
    assert "large-update" in firm(train(optax.adam(3.0), key, activation=jax.nn.relu)[0])


def test_a_climb_is_found(key):
    found = firm(train(optax.sgd(-0.01), key, steps=201)[0])
    assert "loss-not-falling" in found and "small-update" not in found


def test_a_spike_is_found_by_step_and_layer(key):
    blown_up = lambda i, x: jnp.where(i == 230, 1e3 * x, x)
    found = firm(train(optax.adam(0.01), key, activation=jax.nn.relu, change=blown_up)[0])
    assert "at step 230" in found["loss-spike"].evidence and found["loss-spike"].layers == ("layer0",)


def test_the_first_step_that_is_not_finite_is_found_with_what_came_before(key):
    broken = lambda i, x: jnp.where(i == 130, jnp.nan, x)
    found = firm(train(optax.sgd(0.1), key, change=broken)[0])
    assert set(found) == {"non-finite"} and "at step 130" in found["non-finite"].evidence
    assert "at step 125 its norm was" in found["non-finite"].evidence


def test_a_gradient_that_vanishes_is_found(key):
    found = firm(train(optax.sgd(0.1), key, depth=10, activation=jax.nn.sigmoid)[0])
    assert "layer0" in found["vanishing-gradient"].layers and "layer9" not in found["vanishing-gradient"].layers


def test_a_frozen_parameter_is_a_hint_and_no_learning_at_all_a_finding(key):
    frozen = optax.masked(optax.set_to_zero(), {"layer0": True, "layer1": False})
    hint = next(f for f in diagnosis.explain(train(optax.chain(optax.adam(0.01), frozen), key)[0]) if f.hint)
    assert hint.kind == "parameters-unchanged" and hint.layers == ("layer0/b", "layer0/w")
    found = firm(train(optax.sgd(0.0), key, batch=512)[0])
    assert "all 4 parameters" in found["parameters-unchanged"].evidence


def test_updates_lost_in_rounding_are_found(key):
    history = probe.History()
    optimizer = probe.monitor(history, optax.sgd(1e-4), every=1)
    params = {"whole": jnp.ones(4, jnp.float32), "half": jnp.ones(4, jnp.bfloat16)}
    state = optimizer.init(params)
    for _ in range(4):
        updates, state = optimizer.update(jax.tree.map(jnp.ones_like, params), state, params)
        params = optax.apply_updates(params, updates)
    found = firm(history)["parameters-unchanged"]
    assert found.layers == ("half",) and "rounding" in found.evidence


def test_a_swing_between_two_points_is_found_and_a_smaller_step_is_not():
    """(w² - 1)² has curvature 8 at its floor: gradient descent settles below a rate of 1/4, and cycles above."""
    for rate, expected in ((0.28, True), (0.05, False)):
        history = probe.History()
        optimizer = probe.monitor(history, optax.sgd(rate), every=20)
        step = jax.jit(lambda w, s, o=optimizer: o.update(4 * w * (w**2 - 1), s, w, value=(w**2 - 1) ** 2))
        w = jnp.asarray(0.6)
        state = optimizer.init(w)
        for _ in range(161):
            update, state = step(w, state)
            w = w + update
        assert ("loss-oscillating" in firm(history)) is expected and (expected or firm(history) == {})


def added(losses):
    history = probe.History()
    for step, loss in enumerate(losses):
        history.add_loss(step, loss)
    return diagnosis.explain(history)


def test_losses_that_the_loop_gives_are_read(key):
    noise = 0.02 * np.asarray(jax.random.normal(key, (400,)))
    time = np.arange(400)
    assert added(0.1 + 2 * np.exp(-time / 80) + noise) == ()
    assert [(f.kind, f.hint) for f in added(1.0 + np.exp(-time / 15) + noise)] == [("loss-plateau", True)]
    assert [(f.kind, f.hint) for f in added(0.693 + 0.1 * noise)] == [("loss-not-falling", True)]  # at a floor, or stuck
    assert [(f.kind, f.hint) for f in added(1 + time / 200 + noise)] == [("loss-not-falling", False)]
    spike = 2 * np.exp(-time / 80) + noise
    spike[333] += 9
    (found,) = added(spike)
    assert found.kind == "loss-spike" and "at step 333" in found.evidence
    waves = 1 + 0.5 * np.sin(2 * np.pi * time / 80) + noise
    assert "loss-oscillating" in {f.kind for f in added(waves)}
    broken = [f.kind for f in added([1.0, 0.5, float("nan")])]
    assert broken == ["non-finite"]


def test_every_kind_is_known_and_gives_remedies(key):
    for found in diagnosis.explain(train(optax.adam(3.0), key)[0]):
        assert found.kind in diagnosis.KINDS and found.remedies and (found.claims or found.source)
