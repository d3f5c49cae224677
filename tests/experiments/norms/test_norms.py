"""The networks of the question norms against Flax and against the library's own models; evaluation and training."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.norms import measurement, networks, text, training
from experiments.norms.settings import TRAIN_EXAMPLES, Norms
from experiments.study import digits, language, tuning
from experiments.study.language import Text
from experiments.study.settings import SettingsError
from jaxnotes.layers.normalization import layer_norm

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


def test_accuracy_is_over_whole_batches_and_leaves_the_remainder_out():
    x = jnp.eye(3)[jnp.asarray([0, 1, 2, 0, 1, 2, 0])]
    labels = jnp.asarray([0, 1, 1, 0, 1, 2, 2])
    assert training.accuracy(lambda h, train: (h, None), x, labels, train=False, batch=3) == pytest.approx(5 / 6)
    assert training.accuracy(lambda h, train: (h * jnp.nan, None), x, labels, train=False, batch=3) == 0


def test_norms_take_the_better_rate_and_pair_the_seeds(key, monkeypatch):
    # The promotion that `standard_promotion` sets does not reach other threads.
    monkeypatch.setattr(tuning, "side_by_side", lambda run, items: [run(item) for item in items])
    data, options = digits.load(flat=False), {"name": "mlp", "batch": 32, "steps": 40}
    settings = Norms.preset("quick", learning_rates=(1e-9, 1e-2, 1e9))
    found = training.train_norms(data, key, settings, **options)
    assert set(found) == set(networks.NORMS) and {trained.rate for trained in found.values()} == {1e-2}
    keys = jax.random.split(key, 3)
    for norm, trained in enumerate(found.values()):
        alone = training.run(jnp.int32(norm), data, jnp.float32(1e-2), keys[1], **options)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a[0], b, atol=1e-5), trained.runs, alone)
        assert trained.runs.test.min() > 0.5 and trained.runs.losses.shape == (2, 40)
    for norm in ("layer", "group"):  # they have one form
        np.testing.assert_array_equal(found[norm].runs.test, found[norm].runs.by_batch)


def test_group_normalisation_of_one_group_is_layer_normalisation(key):
    params, state = networks.norm_init(8), networks.batch_norm_state(8)
    h = 3 + jax.random.normal(key, (5, 8))
    found, _ = networks.normalise(LAYER, params, state, h, True)
    np.testing.assert_allclose(found, layer_norm(params, h), rtol=1e-5, atol=1e-6)
    grouped, _ = networks.normalise(jnp.asarray(2), params, state, h, True)
    np.testing.assert_allclose(grouped.reshape(5, networks.GROUPS, -1).mean(-1), 0, atol=1e-4)


def test_settings_that_do_not_fit_are_refused(unchecked):
    assert len(digits.load(flat=False).train[1]) == TRAIN_EXAMPLES
    with pytest.raises(SettingsError, match="may reach 6000"):
        Norms(batch_sizes=(2, 6001))
    with pytest.raises(SettingsError, match="may reach 100"):
        Norms(examples_seen=100)
    with pytest.raises(SettingsError, match="two numbers, of the RNN and of the Transformer"):
        Norms(text_times=(6,))
    with pytest.raises(SettingsError, match=r"begin with 0\.9"):
        Norms(momenta=(0.5, 0.9))


def test_running_statistics_do_not_act_on_training(key):
    whole, options = digits.load(flat=False), {"name": "mlp", "batch": 32, "steps": 30}
    few = whole._replace(train=tuple(part[:1000] for part in whole.train), test=tuple(part[:1000] for part in whole.test))
    found = training.run(BATCH, few, jnp.float32(3e-3), key, (0.9, 0.0, 0.999), **options)
    np.testing.assert_array_equal(found.by_batch, found.by_batch[0])
    assert found.test[0] > 0.6 and found.by_batch[0] > 0.6
    # One momentum among others is what it gives alone.
    alone = training.run(BATCH, few, jnp.float32(3e-3), key, (0.9,), **options)
    np.testing.assert_allclose(found.test[0], alone.test[0], atol=2e-3)


def test_a_later_text_changes_early_predictions_through_batch_statistics_alone():
    news = Text(*[jnp.arange(400) % 30] * 3)
    assert text.future_change(news, "layer") == 0.0
    assert text.future_change(news, "batch") > 1e-3


def test_the_table_of_triples_is_a_count_smoothed_by_shorter_contexts():
    random = np.random.default_rng(0)
    train, test = random.integers(0, 4, 300), random.integers(0, 4, 400)
    news = Text(jnp.asarray(train), jnp.asarray(test), jnp.asarray(test))

    def chance(*seen: int) -> float:
        """Of the last of these characters behind the others."""
        context, length = seen[:-1], len(seen)
        count = lambda wanted, room: sum(tuple(train[i : i + len(wanted)]) == wanted for i in range(300 - room + 1))
        shorter = chance(*seen[1:]) if context else 1 / language.SYMBOLS
        whole = count(context, length) if context else 300
        return (count(seen, length) + text.PSEUDO_COUNT * shorter) / (whole + text.PSEUDO_COUNT)

    pieces = np.asarray(language.even(news.test, 3))[:5]
    expected = [-np.log(chance(*map(int, piece[max(i - 2, 0) : i + 1]))) for piece in pieces for i in range(1, 4)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(language, "even", lambda part, time: jnp.asarray(pieces))
        assert text.table_loss(news, 3) == pytest.approx(np.mean(expected), rel=1e-12)


MET = {
    "gain-cnn": 0.04,
    "gain-mlp": 0.005,
    "gain-rnn-varied": 0.3,
    "gain-rnn-varied-longer": 0.5,
    "gain-transformer-varied": 0.08,
    "gain-rnn-equal": 0.03,
    "gain-transformer-equal": -0.09,
    "mismatch-layer": 0.0,
    "mismatch-batch": 0.1,
    "loss-rnn-varied-layer": 1.5,
    "loss-transformer-varied-layer": 1.5,
    "loss-table-rnn": 2.02,
    "loss-table-transformer": 2.01,
}


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "holds-if"),
        ({"gain-transformer-equal": 0.06}, "holds"),
        ({"gain-transformer-equal": -0.02}, "holds"),
        ({"gain-rnn-varied": -0.3, "gain-transformer-varied": -0.08}, "fails"),
        ({"gain-transformer-varied": 0.0}, "undecided"),
        ({"gain-cnn": -0.04}, "undecided"),
        ({"loss-transformer-varied-layer": 2.4}, "undecided"),
        ({"loss-rnn-varied-layer": 2.4, "gain-transformer-equal": 0.06}, "undecided"),
    ],
)
def test_where_each_norm_is_used_is_judged_by_text_and_images(judged, change, verdict):
    assert judged("norms.domains", MET | change) == verdict


DROPS = {
    "drop-mlp-batch": 0.26,
    "drop-mlp-layer": 0.0,
    "drop-mlp-group": 0.0,
    "drop-cnn-batch": 0.01,
    "drop-cnn-layer": -0.02,
    "drop-cnn-group": 0.0,
    "gain-mlp-layer": 0.26,
    "gain-cnn-layer": 0.03,
    "signal-one-batch": 0.0,
    "signal-one-layer": 0.9,
}


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "holds-if"),
        ({"drop-cnn-batch": 0.1}, "holds"),
        ({"drop-mlp-batch": -0.1, "drop-cnn-batch": -0.1}, "fails"),
        ({"drop-mlp-layer": 0.1}, "undecided"),
    ],
)
def test_the_batch_size_is_judged_by_drops_from_one_size(judged, change, verdict):
    assert judged("norms.batch-size", DROPS | change) == verdict


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
