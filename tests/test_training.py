"""Training against a hand-written Optax loop on the same batches; compiles, donation, export, vmap over settings."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnotes.training import accuracy, cross_entropy, init_state, train, train_on, train_step

PLATFORMS = ("cpu", "cuda", "tpu")


def loss(params, batch):
    x, y = batch
    return cross_entropy(jnp.tanh(x @ params["a"]) @ params["b"], y)


@pytest.fixture(autouse=True)
def optax_promotes():
    """Optax's Adam mixes a Python float with its integer count, which strict promotion refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture
def problem(key):
    a, b, c, d = jax.random.split(key, 4)
    params = {"a": jax.random.normal(a, (4, 6)), "b": jax.random.normal(b, (6, 3))}
    data = jax.random.normal(c, (20, 4)), jax.random.randint(d, (20,), 0, 3)
    indices = jnp.arange(20, dtype=jnp.int32).reshape(5, 4)
    return params, data, indices


def by_hand(params, data, indices, optimizer):
    state, losses = optimizer.init(params), []
    for chosen in np.asarray(indices):
        value, gradient = jax.value_and_grad(loss)(params, (data[0][chosen], data[1][chosen]))
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        losses.append(value)
    return params, np.asarray(losses)


@pytest.mark.parametrize("optimizer", [optax.sgd(0.1, momentum=0.9), optax.adamw(1e-2)], ids=["sgd", "adamw"])
def test_steps_scan_and_gathering_equal_the_hand_written_loop(problem, optimizer):
    params, data, indices = problem
    expected, losses = by_hand(params, data, indices, optimizer)
    copy = lambda: init_state(jax.tree.map(jnp.copy, params), optimizer)
    batches = jax.tree.map(lambda array: array[indices], data)
    one_by_one, step = copy(), train_step(loss, optimizer)
    for chosen in indices:
        one_by_one, _ = step(one_by_one, jax.tree.map(lambda array, c=chosen: array[c], data))
    scanned, scanned_losses = train(loss, optimizer)(copy(), batches)
    gathered, gathered_losses = train_on(loss, optimizer)(copy(), data, indices)
    for state in (one_by_one, scanned, gathered):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), state.params, expected)
        assert state.step == 5
    np.testing.assert_allclose(scanned_losses, losses, rtol=1e-5)
    np.testing.assert_allclose(gathered_losses, losses, rtol=1e-5)


def test_the_state_is_donated_and_many_steps_compile_once(problem):
    params, data, indices = problem
    traces = []

    def counted(params, batch):
        traces.append(1)
        return loss(params, batch)

    optimizer = optax.sgd(0.1)
    step, state = train_step(counted, optimizer), init_state(params, optimizer)
    for chosen in indices:
        before = state
        state, _ = step(state, (data[0][chosen], data[1][chosen]))
    assert len(traces) == 1
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize("gathers", [False, True])
def test_a_scan_traces_the_loss_once_whatever_its_length_and_donates(problem, gathers):
    params, data, indices = problem
    traces = []

    def counted(params, batch):
        traces.append(1)
        return loss(params, batch)

    optimizer = optax.sgd(0.1, momentum=0.9)
    fit = (train_on if gathers else train)(counted, optimizer)
    before = init_state(params, optimizer)
    arguments = (data, indices) if gathers else (jax.tree.map(lambda array: array[indices], data),)
    after, _ = fit(before, *arguments)
    fit(after, *arguments)
    assert len(traces) == 1
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves((before, after)))


def test_vmap_over_seeds_equals_separate_runs(problem):
    params, data, indices = problem
    optimizer = optax.sgd(0.1, momentum=0.9)
    seeds = jax.tree.map(lambda p: jnp.stack([p, -0.5 * p, 2 * p]), params)
    orders = jnp.stack([indices, indices[::-1], indices[:, ::-1]])
    fit = jax.vmap(train_on(loss, optimizer), in_axes=(0, None, 0))
    states, losses = fit(jax.vmap(lambda p: init_state(p, optimizer))(seeds), data, orders)
    for seed in range(3):
        expected, expected_losses = by_hand(jax.tree.map(lambda p, s=seed: p[s], seeds), data, orders[seed], optimizer)
        np.testing.assert_allclose(losses[seed], expected_losses, rtol=1e-4)
        got = jax.tree.map(lambda p, s=seed: p[s], states.params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), got, expected)


def test_vmap_over_learning_rates_equals_separate_runs(problem):
    params, data, indices = problem
    optimizer = optax.inject_hyperparams(optax.adam)(learning_rate=0.0)
    fit = train_on(loss, optimizer)

    def run(rate):
        state = init_state(params, optimizer)
        state.optimizer_state.hyperparams["learning_rate"] = rate
        return fit(state, data, indices)[1]

    rates = jnp.asarray([1e-3, 1e-1])
    expected = [by_hand(params, data, indices, optax.adam(float(rate)))[1] for rate in rates]
    np.testing.assert_allclose(jax.jit(jax.vmap(run))(rates), expected, rtol=1e-4)


def test_a_diverging_run_shows_in_the_losses_and_raises_nothing(problem):
    params, data, indices = problem
    params = jax.tree.map(lambda p: p.at[0].set(jnp.nan), params)
    _, losses = train_on(loss, optax.sgd(0.1))(init_state(params, optax.sgd(0.1)), data, indices)
    assert np.isnan(losses).all()


def test_the_step_lowers_for_every_platform(problem):
    params, data, indices = problem
    optimizer = optax.adam(1e-3)
    state, batch = init_state(params, optimizer), jax.tree.map(lambda array: array[indices[0]], data)
    flat, structure = jax.tree.flatten((state, batch))
    step = train_step(loss, optimizer)
    plain = jax.jit(lambda *leaves: tuple(jax.tree.leaves(step(*jax.tree.unflatten(structure, leaves)))))
    exported = jax.export.export(plain, platforms=PLATFORMS)(*flat)
    called = jax.export.deserialize(exported.serialize()).call(*flat)
    np.testing.assert_allclose(called[-1], loss(params, batch), rtol=1e-6)


@pytest.mark.parametrize("form", [train_step, train, train_on])
def test_every_form_lowers_with_its_donation_for_every_platform(problem, form):
    params, data, indices = problem
    optimizer = optax.sgd(0.1, momentum=0.9)
    stacked = jax.tree.map(lambda array: array[indices], data)
    one = jax.tree.map(lambda array: array[indices[0]], data)
    arguments = {train_step: (one,), train: (stacked,), train_on: (data, indices)}[form]
    exported = jax.export.export(form(loss, optimizer), platforms=PLATFORMS)(init_state(params, optimizer), *arguments)
    assert exported.platforms == PLATFORMS
    _, losses = exported.call(init_state(params, optimizer), *arguments)
    np.testing.assert_allclose(np.ravel(losses)[0], loss(params, one), rtol=1e-6)


def test_data_of_unequal_lengths_are_refused(problem):
    params, (x, y), indices = problem
    fit, optimizer = train_on(loss, optax.sgd(0.1)), optax.sgd(0.1)
    with pytest.raises(ValueError, match=r"the shapes \[\(20, 4\), \(19,\)\]; all need the same number of examples"):
        fit(init_state(params, optimizer), (x, y[:-1]), indices)
    with pytest.raises(ValueError, match=r"data has arrays of the shapes \[\]; all need"):
        fit(init_state(params, optimizer), (), indices)


def test_cross_entropy_and_accuracy_by_hand():
    logits, labels = jnp.asarray([[1e4, 0.0], [0.0, 0.0]]), jnp.asarray([1, 0])
    np.testing.assert_allclose(cross_entropy(logits, labels), (1e4 + np.log(2)) / 2, rtol=1e-6)
    assert accuracy(logits, labels) == 0.5
    np.testing.assert_array_equal(jax.grad(cross_entropy)(logits, labels), [[0.5, -0.5], [-0.25, 0.25]])


def test_a_network_of_nan_is_right_nowhere():
    assert accuracy(jnp.asarray([[jnp.nan, jnp.nan], [0.0, jnp.nan], [0.0, 1.0]]), jnp.asarray([0, 1, 1])) == jnp.float32(1 / 3)
