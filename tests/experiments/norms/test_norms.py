"""The networks of the topic norms against Flax and against the library's own models; evaluation and search."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.norms import measurement as norms
from experiments.norms import networks
from experiments.norms import training as norms_training
from experiments.study import seeds
from experiments.study.settings import SettingsError
from jaxnotes import datasets
from jaxnotes.models.transformer import transformer_classifier

BATCH, LAYER = jnp.asarray(0), jnp.asarray(1)


pytestmark = pytest.mark.usefixtures("standard_promotion")


def images(key, n=8):
    return jax.random.normal(key, (n, networks.SIDE, networks.SIDE))


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_batch_statistics_couple_examples_in_training_alone(key, name):
    params, state = networks.NETWORKS[name].init(key)
    x = images(key)
    other = x.at[1:].add(1.0)
    run = jax.jit(networks.NETWORKS[name].apply, static_argnums=4)
    first = lambda norm, x, train: np.asarray(run(norm, params, state, x, train)[0][0])  # noqa: E731
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
    theirs = transformer_classifier(marked, x, heads=networks.HEADS, pre_norm=True, normalise=normalise)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_correct_counts_whole_batches_and_leaves_the_remainder_out():
    x = jnp.eye(3)[jnp.asarray([0, 1, 2, 0, 1, 2, 0])]
    labels = jnp.asarray([0, 1, 1, 0, 1, 2, 2])
    found = norms_training.correct(lambda h, train: (h, None), x, labels, train=False, batch=3)
    np.testing.assert_array_equal(found, [1, 1, 0, 1, 1, 1])


def test_a_search_takes_the_better_rate_and_pairs_the_seeds(key, monkeypatch):
    # The promotion that `standard_promotion` sets does not reach other threads.
    for module in (norms_training, seeds):
        monkeypatch.setattr(module, "side_by_side", lambda run, items: [run(item) for item in items])
    data = norms_training.load()
    options = {"name": "mlp", "batch": 32, "steps": 40, "by_batch": True}
    found = norms_training.search((1e-9, 1e-2), data, key, seeds=2, **options)
    assert set(found) == {"batch", "layer"} and {outcome.learning_rate for outcome in found.values()} == {1e-2}
    _, *of_seeds = jax.random.split(key, 3)
    for norm, outcome in zip((BATCH, LAYER), found.values(), strict=True):
        alone = [norms_training.run(norm, jnp.asarray(1e-2), k, data, **options) for k in of_seeds]
        np.testing.assert_allclose(np.stack([outcome.inference, outcome.training], 1), np.asarray(alone)[:, 1:], atol=1e-6)
        assert outcome.inference.min() > 0.5
    # Layer normalisation has one form; the second accuracy leaves out the 16 examples that fill no batch of 32.
    np.testing.assert_allclose(found["layer"].inference, found["layer"].training, atol=16 / 2000)
    network = networks.NETWORKS["mlp"]
    untrained = norms_training.run(LAYER, jnp.asarray(0.0), of_seeds[0], data, **options)
    of_start = norms_training._start(jax.random.split(of_seeds[0])[0], name="mlp")
    logits = network.apply(LAYER, *of_start, data.test[0], False)[0]
    assert untrained[1] == pytest.approx(float((logits.argmax(1) == data.test[1]).mean()), abs=1e-3)


def test_each_kind_of_network_has_its_number_of_seeds(unchecked):
    with pytest.raises(SettingsError, match="4 numbers: cnn, mlp, rnn, transformer"):
        norms.Norms(domain_seeds=(6, 6))


def test_running_statistics_do_not_act_on_training(key):
    data = norms_training.load()
    few = norms_training.Data(*((x[:1000], y[:1000]) for x, y in data))
    run = partial(norms_training.momentum_gap, key=key, data=few, batch=32, steps=30)
    found = [run(jnp.asarray(m)) for m in (0.0, 0.9, 0.999)]
    by_running, by_batch = np.asarray(found).T
    np.testing.assert_array_equal(by_batch, by_batch[0])
    assert by_running[1] > 0.6 and by_batch[0] > 0.6


def test_axes_and_running_find_what_is_known(key):
    settings = norms.Norms.preset("quick", seeds=2)
    (evidence,) = norms.axes(settings, key).values()
    assert evidence["other-features-batch"].high == 0.0 and evidence["other-examples-layer"].high == 0.0
    # A feature's output i depends on input j of its batch by about 1/(B σ); σ is 2.
    assert 0.05 < evidence["other-examples-batch"].value < 1
    with jax.enable_x64(True):
        found = jax.tree.map(float, norms._running_checks(settings, key))
    assert found["average"] < 1e-12 and found["training"] > 0.1 and found["inference"] < 1e-12


def test_the_data_are_mnist_in_three_parts():
    data = norms_training.load()
    assert [len(labels) for _, labels in data] == [6000, 2000, 2000]
    whole = datasets.mnist()
    np.testing.assert_array_equal(data.test[1], whole.test_labels)
    assert abs(np.concatenate([data.train[0], data.validation[0]]).mean()) < 0.01
