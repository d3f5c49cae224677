"""The networks of the question norms against Flax and against the library's own models; evaluation and training."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.norms import measurement, networks, training
from experiments.norms.settings import TRAIN_EXAMPLES, Norms
from experiments.study import digits, tuning
from experiments.study.settings import SettingsError
from jaxnotes.models.transformer import transformer_classifier

BATCH, LAYER = jnp.asarray(0), jnp.asarray(1)


pytestmark = pytest.mark.usefixtures("standard_promotion")


def images(key, n=8):
    return jax.random.normal(key, (n, networks.SIDE, networks.SIDE, 1))


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_batch_statistics_couple_examples_in_training_alone(key, name):
    params, state = networks.NETWORKS[name].init(key)
    x = images(key)
    other = x.at[1:].add(1.0)
    run = jax.jit(networks.NETWORKS[name].apply, static_argnums=4)
    first = lambda norm, x, train: np.asarray(run(norm, params, state, x, train)[0][0])
    assert np.abs(first(BATCH, x, True) - first(BATCH, other, True)).max() > 1e-3
    for norm, train in ((BATCH, False), (LAYER, True), (LAYER, False)):
        np.testing.assert_allclose(first(norm, x, train), first(norm, other, train), rtol=1e-4, atol=1e-5)
    _, after = run(BATCH, params, state, x, True)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
    assert any((a != b).any() for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(state), strict=True))
    for norm, train in ((BATCH, False), (LAYER, True)):
        jax.tree.map(np.testing.assert_array_equal, run(norm, params, state, x, train)[1], state)


def test_the_mlp_equals_flax(key):
    params, state = networks.mlp_init(key)
    x = images(key)
    h = x.reshape(len(x), -1)
    for layer, norm in zip(params["layers"][:-1], params["norms"], strict=True):
        flax_norm = nn.BatchNorm(use_running_average=False, epsilon=1e-5)
        scale = {"scale": norm["scale"], "bias": norm["shift"]}
        width = scale["scale"].shape
        stats = {"mean": jnp.zeros(width), "var": jnp.ones(width)}
        z = h @ layer["weight"] + layer["bias"]
        h, _ = flax_norm.apply({"params": scale, "batch_stats": stats}, z, mutable=["batch_stats"])
        h = nn.relu(h)
    expected = h @ params["layers"][-1]["weight"] + params["layers"][-1]["bias"]
    np.testing.assert_allclose(networks.mlp(BATCH, params, state, x, True)[0], expected, rtol=1e-3, atol=1e-4)


def test_the_transformer_with_layer_norm_is_the_library_s(key):
    """Up to the last normalisation, which the pre-norm stack of the library has besides."""
    params, state = networks.transformer_init(key)
    x = images(key)
    identity = {"scale": jnp.ones(32), "shift": jnp.zeros(32)}
    ours = jax.jit(partial(networks.transformer, LAYER, train=True))(params, state, x)[0]

    def normalise(p, h):
        # The library's last normalisation is called with parameters of this marked scale: leave it out.
        return jnp.where(p["scale"][0] == 7.0, h, networks.layer_norm({**identity}, h))

    marked = {**params, "norm": {"scale": jnp.full(32, 7.0), "shift": jnp.zeros(32)}}
    theirs = transformer_classifier(marked, x[..., 0], heads=networks.HEADS, pre_norm=True, normalise=normalise)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_accuracy_is_over_whole_batches_and_leaves_the_remainder_out():
    x = jnp.eye(3)[jnp.asarray([0, 1, 2, 0, 1, 2, 0])]
    labels = jnp.asarray([0, 1, 1, 0, 1, 2, 2])
    assert training.accuracy(lambda h, train: (h, None), x, labels, train=False, batch=3) == pytest.approx(5 / 6)
    assert training.accuracy(lambda h, train: (h * jnp.nan, None), x, labels, train=False, batch=3) == 0


def test_both_norms_take_the_better_rate_and_pair_the_seeds(key, monkeypatch):
    # The promotion that `standard_promotion` sets does not reach other threads.
    monkeypatch.setattr(tuning, "side_by_side", lambda run, items: [run(item) for item in items])
    data = digits.load(flat=False)
    options = {"name": "mlp", "batch": 32, "steps": 40, "by_batch": True}
    found = training.train_both(data, key, rates=(1e-9, 1e-2, 1e9), tuning_seeds=1, seeds=2, **options)
    assert set(found) == {"batch", "layer"} and {trained.rate for trained in found.values()} == {1e-2}
    keys = jax.random.split(key, 3)
    for norm, trained in zip((BATCH, LAYER), found.values(), strict=True):
        alone = [training.run(norm, data, jnp.float32(1e-2), k, **options) for k in keys[1:]]
        np.testing.assert_allclose(np.stack(trained.runs, 1), np.asarray(alone), atol=1e-6)
        assert trained.runs.inference.min() > 0.5
    # Layer normalisation has one form; the second accuracy leaves out the 16 examples that fill no batch of 32.
    layer = found["layer"].runs
    np.testing.assert_allclose(layer.inference, layer.training, atol=16 / 2000)
    network = networks.NETWORKS["mlp"]
    untrained = training.run(LAYER, data, jnp.float32(0.0), keys[0], **options)
    params, state = network.init(jax.random.split(keys[0])[0])
    logits = network.apply(LAYER, params, state, data.test[0], False)[0]
    assert untrained.inference == pytest.approx(float((logits.argmax(1) == data.test[1]).mean()), abs=1e-3)


def test_each_kind_of_network_has_its_number_of_seeds(unchecked):
    with pytest.raises(SettingsError, match="4 numbers: cnn, mlp, rnn, transformer"):
        Norms(domain_seeds=(6, 6))


def test_batches_are_no_larger_than_the_training_set():
    assert len(digits.load(flat=False).train[1]) == TRAIN_EXAMPLES
    with pytest.raises(SettingsError, match="may reach 6000"):
        Norms(batch_sizes=(2, 6001))
    with pytest.raises(SettingsError, match="may reach 100"):
        Norms(examples_seen=100)


def test_running_statistics_do_not_act_on_training(key):
    whole = digits.load(flat=False)
    few = whole._replace(train=tuple(part[:1000] for part in whole.train), test=tuple(part[:1000] for part in whole.test))
    by_running, by_batch = map(np.asarray, training.momentum_gap(jnp.asarray([0.0, 0.9, 0.999]), key, few, batch=32, steps=30))
    np.testing.assert_array_equal(by_batch, by_batch[0])
    assert by_running[1] > 0.6 and by_batch[0] > 0.6
    # One momentum for all is what each momentum gives alone.
    alone, _ = training.momentum_gap(jnp.asarray([0.9]), key, few, batch=32, steps=30)
    np.testing.assert_allclose(by_running[1], alone[0], atol=2e-3)


def test_axes_and_running_find_what_is_known(key):
    settings = Norms.preset("quick", seeds=2)
    (evidence,) = measurement.axes(settings, key).values()
    assert evidence["other-features-batch"].high == 0.0 and evidence["other-examples-layer"].high == 0.0
    # A feature's output i depends on input j of its batch by about 1/(B σ); σ is 2.
    assert 0.05 < evidence["other-examples-batch"].value < 1
    with jax.enable_x64(True):
        found = jax.tree.map(float, measurement.running_checks(settings, key))
        signal = jax.tree.map(float, measurement.signal_of_one(settings, key))
    assert found["average"] < 1e-12 and found["training"] > 0.1 and found["inference"] < 1e-12
    assert signal["batch"] == 0 and signal["layer"] > 0.1
