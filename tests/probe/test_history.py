"""What a watched run keeps: values by hand, the loops of four frameworks, accumulation, files and writers."""

import csv
import sys
import types

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx
from flax.training.train_state import TrainState

from jaxnotes import probe

pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def watched_scan(losses, every=10, optimizer=None, **options):
    """A run whose loss is what it is told to be, and whose gradient is the parameter."""
    history = probe.History()
    optimizer = probe.monitor(history, optimizer or optax.sgd(0.25), every=every, **options)
    params = {"a": {"w": jnp.asarray([3.0, 4.0])}}

    def step(carry, loss):
        params, state = carry
        updates, state = optimizer.update(params, state, params, value=loss)
        return (optax.apply_updates(params, updates), state), None

    jax.block_until_ready(jax.jit(lambda p, x: jax.lax.scan(step, (p, optimizer.init(p)), x))(params, jnp.asarray(losses)))
    return history


def test_losses_weights_and_updates_are_those_by_hand(key):
    losses = 1e4 + np.asarray(jax.random.normal(key, (21,)), np.float32)  # a large mean must not hide the spread
    first, second, third = watched_scan(losses).records
    assert [first.losses, second.losses, third.losses] == [1, 10, 10]
    part = losses[11:].astype(np.float64)
    assert third.loss_mean == pytest.approx(part.mean(), abs=1e-3) and third.loss_deviation == pytest.approx(
        part.std(), rel=1e-2
    )
    alternation = np.square(np.diff(part)).mean() / part.var()
    assert third.loss_alternation == pytest.approx(alternation, rel=1e-2)
    assert third.loss_largest == part.max() and third.loss_largest_step == 11 + part.argmax()
    np.testing.assert_allclose([first.weight_norms[0], second.weight_norms[0]], [5.0, 5.0 * 0.75**10], rtol=1e-5)
    np.testing.assert_allclose(second.update_ratios, [0.25], rtol=1e-5)


def test_updates_are_the_optimisers_own(key):
    gradient = {"w": jax.random.normal(key, (5,)), "b": jnp.asarray([-0.0, 1e30])}
    for optimizer in (optax.adam(0.1), optax.sgd(0.1, momentum=0.9)):
        ours = probe.monitor(probe.History(), optimizer, every=2, examples=4)
        state, plain = ours.init(gradient), optimizer.init(gradient)
        for _ in range(3):
            updates, state = ours.update(gradient, state, gradient)
            expected, plain = optimizer.update(gradient, plain, gradient)
            jax.tree.map(np.testing.assert_array_equal, updates, expected)


def test_the_noise_scale_is_that_of_known_noise(key):
    size, examples, deviation = 2000, 16, 3.0
    signal = jnp.ones(size)
    history = probe.History()
    optimizer = probe.monitor(history, optax.sgd(0.0), every=2, examples=examples)

    def step(state, key):
        gradient = signal + deviation / examples**0.5 * jax.random.normal(key, (size,))
        return optimizer.update(gradient, state, signal)[1], None

    jax.block_until_ready(jax.lax.scan(step, optimizer.init(signal), jax.random.split(key, 101)))
    # tr(Σ) / |G|² = 2000 · 9 / 2000; 25 pairs of 2000 entries: 1 %
    assert history.noise_scale == pytest.approx(deviation**2, rel=0.05)
    with pytest.raises(ValueError, match="0 < small < large"):
        probe.noise_scale(1.0, 1.0, 8, 8)


def test_accumulated_steps_are_reported_once_with_the_whole_gradient():
    history = probe.History()
    optimizer = optax.MultiSteps(probe.monitor(history, optax.sgd(0.1), every=2), 4)
    params = {"w": jnp.ones(1)}
    state = optimizer.init(params)
    update = jax.jit(optimizer.update)
    for number in range(12):
        updates, state = update({"w": jnp.full(1, float(number))}, state, params, value=jnp.asarray(1.0))
    assert [record.step for record in history.records] == [0, 2]
    np.testing.assert_allclose([10 ** record.log10_norms[0] for record in history.records], [1.5, 9.5], rtol=1e-5)


def linen_loop(history, x, y):
    module = linen.Dense(1)
    optimizer = probe.monitor(history, optax.sgd(0.1), every=5)
    state = TrainState.create(apply_fn=module.apply, params=module.init(jax.random.key(0), x)["params"], tx=optimizer)

    @jax.jit
    def step(state):
        loss, gradient = jax.value_and_grad(lambda p: jnp.mean((state.apply_fn({"params": p}, x) - y) ** 2))(state.params)
        return state.apply_gradients(grads=gradient), loss

    for number in range(11):
        state, loss = step(state)
        history.add_loss(number, loss)


def nnx_loop(history, x, y):
    model = nnx.Linear(3, 1, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, probe.monitor(history, optax.sgd(0.1), every=5), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        loss, gradient = nnx.value_and_grad(lambda m: jnp.mean((m(x) - y) ** 2))(model)
        optimizer.update(model, gradient, value=loss)

    for _ in range(11):
        step(model, optimizer)


def equinox_loop(history, x, y):
    model = eqx.nn.MLP(3, 1, 8, 1, key=jax.random.key(0))
    optimizer = probe.monitor(history, optax.sgd(0.1), every=5)
    state = optimizer.init(eqx.filter(model, eqx.is_array))

    @eqx.filter_jit
    def step(model, state):
        loss, gradient = eqx.filter_value_and_grad(lambda m: jnp.mean((jax.vmap(m)(x) - y) ** 2))(model)
        updates, state = optimizer.update(gradient, state, eqx.filter(model, eqx.is_array), value=loss)
        return eqx.apply_updates(model, updates), state

    for _ in range(11):
        model, state = step(model, state)


@pytest.mark.parametrize("loop", [linen_loop, nnx_loop, equinox_loop])
def test_loops_of_every_framework_are_watched(loop, key):
    history = probe.History()
    x = jax.random.normal(key, (16, 3))
    loop(history, x, x @ jnp.ones((3, 1)))
    assert [record.step for record in history.records] == [0, 5, 10]
    for record in history.records:
        assert record.update_ratios is not None and (record.update_ratios > 0).all() and not record.nonfinite
    losses = [loss for _, loss in history.losses] or [record.loss for record in history.records]
    assert losses[-1] < losses[0]


def test_sharded_parameters_stay_sharded(key):
    mesh = jax.make_mesh((1,), ("data",))
    sharding = jax.NamedSharding(mesh, jax.P("data"))
    params = {"w": jax.device_put(jax.random.normal(key, (4, 2)), sharding)}
    history = probe.History()
    optimizer = probe.monitor(history, optax.adam(0.1), every=1)
    state = optimizer.init(params)
    updates, _ = jax.jit(optimizer.update)(params, state, params)
    assert updates["w"].sharding.is_equivalent_to(sharding, 2) and len(history.records) == 1


def test_activations_are_read_where_they_are_given():
    history = probe.History()
    optimizer = probe.monitor(history, optax.sgd(0.1), every=1)
    params = {"w": jnp.ones(2)}
    optimizer.update(params, optimizer.init(params), params, activations={"hidden": jnp.asarray([3.0, 4.0])})
    (record,) = history.records
    assert record.activations == ("hidden",) and record.activation_rms[0] == pytest.approx(12.5**0.5)
    assert record.scalars()["activation_rms/hidden"] == pytest.approx(12.5**0.5)


def test_a_history_comes_back_from_its_file(tmp_path):
    losses = [2.0] * 15 + [jnp.inf] + [1.0] * 5
    history = watched_scan(losses, examples=8)
    history.add_loss(3, jnp.nan)
    history.save(tmp_path / "run.jsonl")
    loaded = probe.History.load(tmp_path / "run.jsonl")
    for ours, theirs in zip(history.records, loaded.records, strict=True):
        assert repr(ours.as_dict()) == repr(theirs.as_dict())
    assert loaded.records[1].loss_largest == 2.0 and loaded.records[2].loss_largest == np.inf
    assert np.isnan(loaded.losses[0][1]) and loaded.noise_scale == history.noise_scale
    (tmp_path / "other.jsonl").write_text("{}\n[1]\n")
    with pytest.raises(ValueError, match="line 1 is no line of a history"):
        probe.History.load(tmp_path / "other.jsonl")


def fake_tensorboard(monkeypatch):
    written = []
    writer = types.SimpleNamespace(add_scalar=lambda *entry: written.append(entry), close=lambda: written.append("closed"))
    monkeypatch.setitem(sys.modules, "tensorboardX", types.SimpleNamespace(SummaryWriter=lambda folder: writer))
    return written


def test_writers_get_every_look_once(tmp_path, monkeypatch):
    written = fake_tensorboard(monkeypatch)
    writers = (
        probe.CsvWriter(tmp_path / "a.csv"),
        probe.JsonLinesWriter(tmp_path / "a.jsonl"),
        probe.TensorBoardWriter(tmp_path),
    )
    with probe.History(*writers) as history:
        optimizer = optax.MultiSteps(probe.monitor(history, optax.sgd(0.1), every=1), 2)
        params = {"w": jnp.ones(1)}
        state = optimizer.init(params)
        for number in range(6):
            _, state = optimizer.update({"w": jnp.full(1, float(number))}, state, params, value=jnp.asarray(0.5))
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["0", "1", "2"]
    assert float(rows[2]["log10_gradient/w"]) == pytest.approx(np.log10(4.5), abs=1e-5) and float(rows[0]["loss"]) == 0.5
    assert [r.as_dict() for r in probe.History.load(tmp_path / "a.jsonl").records] == [r.as_dict() for r in history.records]
    assert ("loss", 0.5, 1) in written and written[-1] == "closed"


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    for name in ("tensorboardX", "torch", "torch.utils.tensorboard", "flax.metrics.tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match="pip install tensorboardX"):
        probe.TensorBoardWriter(tmp_path)


def test_a_loss_that_is_no_number_is_refused():
    optimizer = probe.monitor(probe.History(), optax.sgd(0.1))
    with pytest.raises(ValueError, match=r"value is float32\[2\]"):
        optimizer.update(jnp.ones(2), optimizer.init(jnp.ones(2)), jnp.ones(2), value=jnp.ones(2))


def test_parameters_that_are_0_and_stay_0_have_no_ratio():
    history = probe.History()
    optimizer = probe.monitor(history, optax.sgd(0.1), every=1)
    params = {"a": {"w": jnp.zeros(2)}, "b": {"w": jnp.ones(2)}}
    gradient = {"a": {"w": jnp.zeros(2)}, "b": {"w": jnp.ones(2)}}
    optimizer.update(gradient, optimizer.init(params), params)
    (record,) = history.records
    assert np.isnan(record.update_ratios[0]) and record.update_ratios[1] == pytest.approx(0.1)
    assert record.without_gradient == ("a/w",) == record.without_update
