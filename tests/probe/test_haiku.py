"""Haiku's transformed functions: rows, gradients, state, keys, loops; and networks of Haiku's own."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnotes import diagnosis, probe

hk = pytest.importorskip("haiku")
pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def rms(value):
    return float(jnp.sqrt(jnp.mean(jnp.square(value))))


def initialised(function, *inputs):
    transformed = hk.transform(function)
    return transformed, transformed.init(jax.random.key(0), *inputs)


def initialised_with_state(function, *inputs):
    transformed = hk.transform_with_state(function)
    return transformed, *transformed.init(jax.random.key(0), *inputs)


def test_a_multilayer_perceptron_of_haikus_is_read_as_by_hand(batch):
    x, labels = batch
    transformed, params = initialised(lambda x: hk.nets.MLP([8, 7, 3], activation=jnp.tanh)(x), x)
    names = [f"mlp/~/linear_{i}" for i in range(3)]

    def by_hand(zeros):
        h, values = x, []
        for name, zero in zip(names, zeros, strict=True):
            h = h @ params[name]["w"] + params[name]["b"] + zero
            values.append(h)
            h = jnp.tanh(h)
        return probe.LOSSES["cross_entropy"](values[-1], labels), values

    gradients, values = jax.grad(by_hand, has_aux=True)([jnp.zeros((6, width)) for width in (8, 7, 3)])
    report = probe.read((transformed, params), batch, "cross_entropy")
    assert report.framework == "haiku" and not report.notes and not report.missing_key
    assert [(row.name, row.kind) for row in report.layers] == [*((name, "Linear") for name in names), ("mlp", "MLP")]
    assert [row.activation for row in report.layers[:3]] == ["tanh", "tanh", ""]
    of_params = jax.grad(lambda p: probe.LOSSES["cross_entropy"](transformed.apply(p, None, x), labels))(params)
    for row, name, value, gradient in zip(report.layers, names, values, gradients, strict=False):
        assert row.activation_rms == pytest.approx(rms(value), rel=1e-5)
        squares = np.square(np.asarray(gradient, np.float64)).sum(1).mean()
        assert row.log10_gradient_norm == pytest.approx(0.5 * math.log10(squares), abs=1e-5)
        assert row.parameter_gradient_rms == pytest.approx(
            rms(jnp.concatenate([leaf.ravel() for leaf in of_params[name].values()])), rel=1e-4
        )
        weights = np.asarray(params[name]["w"], np.float64)
        assert row.weight_variance == pytest.approx(weights.var() * len(weights), rel=1e-5)
    assert {parameter.name for parameter in report.parameters} >= {"mlp/~/linear_0/w", "mlp/~/linear_2/b"}


def test_batch_normalisation_with_its_state(batch):
    x, labels = 3 * batch[0] + 5, batch[1]

    def network(x, is_training):
        h = hk.Linear(8)(x)
        h = hk.BatchNorm(create_scale=True, create_offset=True, decay_rate=0.9)(h, is_training)
        return hk.Linear(3)(jax.nn.relu(h))

    transformed, params, state = initialised_with_state(network, batch[0], True)  # init keeps this batch's averages
    report = probe.read((transformed, params, state), (x, labels), "cross_entropy", train=True)
    assert [(row.name, row.mode) for row in report.layers] == [("linear", ""), ("batch_norm", "training"), ("linear_1", "")]
    assert report.train and report.crosses_examples and not report.running[0].initial
    hidden, running = np.asarray(x @ params["linear"]["w"], np.float64), state["batch_norm/~/mean_ema"]["average"]
    distance = math.sqrt(np.mean(((hidden.mean(0) - running) / hidden.std(0)) ** 2))
    assert report.running[0].mean_distance == pytest.approx(distance, rel=1e-4)
    normalised = (hidden - hidden.mean(0)) / np.sqrt(hidden.var(0) + 1e-5)
    assert report.layers[1].activation_rms == pytest.approx(rms(normalised), rel=1e-4)
    carried = transformed.apply(params, state, None, x, True)[1]  # Haiku divides by what the average has seen: exact at once
    after = probe.read((transformed, params, carried), (x, labels), "cross_entropy", train=False)
    assert after.layers[1].mode == "inference" and after.train is False and not after.crosses_examples
    assert after.running[0].mean_distance < 1e-3


def test_dropout_wants_a_key_where_the_function_takes_one(batch):
    def network(x):
        return hk.Linear(3)(hk.dropout(hk.next_rng_key(), 0.5, hk.Linear(40)(x)))

    model = initialised(network, batch[0])
    missing = probe.read(model, batch, "cross_entropy", jacobian=False)
    assert missing.missing_key and any(f.kind == "dropout" for f in diagnosis.explain(missing))
    losses = [probe.read(model, batch, "cross_entropy", key=jax.random.key(k), jacobian=False).loss for k in (1, 2)]
    by_hand = probe.LOSSES["cross_entropy"](model[0].apply(model[1], jax.random.key(1), batch[0]), batch[1])
    assert losses[0] == pytest.approx(float(by_hand), rel=1e-6) and losses[0] != losses[1]
    plain, params = initialised(lambda x: hk.Linear(3)(x), batch[0])
    without = probe.read((hk.without_apply_rng(plain), params), batch, "cross_entropy", jacobian=False)
    assert without.layers[0].name == "linear" and not without.missing_key


def test_loops_give_a_row_a_step(key):
    x, labels = jax.random.normal(key, (6, 5, 4)), jnp.arange(6) % 3

    def recurrent(x):
        core = hk.VanillaRNN(8)
        outputs, _ = hk.dynamic_unroll(core, x, core.initial_state(6), time_major=False)
        return hk.Linear(3)(outputs[:, -1])

    report = probe.read(initialised(recurrent, x), (x, labels), "cross_entropy")
    cells = [row for row in report.layers if row.name == "vanilla_rnn/~/linear" or row.name == "vanilla_rnn/linear"]
    assert len(cells) == 5 and all(row.over_time and math.isfinite(row.log10_gradient_norm) for row in cells)

    def stacked(x):
        @hk.experimental.layer_stack(4)
        def block(h):
            return jnp.tanh(hk.Linear(4, name="inside")(h))

        return hk.Linear(3)(block(x))

    transformed, params = initialised(stacked, x[:, 0])
    report = probe.read((transformed, params), (x[:, 0], labels), "cross_entropy")
    rows = [row for row in report.layers if row.name.endswith("inside")]
    (kernels,) = [np.asarray(tree["w"], np.float64) for name, tree in params.items() if name.endswith("inside")]
    assert [row.call for row in rows] == [0, 1, 2, 3] and {row.activation for row in rows} == {"tanh"}
    assert [row.weight_variance for row in rows] == pytest.approx([4 * kernel.var() for kernel in kernels], rel=1e-4)


def test_what_is_no_transformed_function_with_its_trees_is_one_line(batch):
    transformed, params, _ = initialised_with_state(lambda x: hk.Linear(3)(x), batch[0])
    for model in (transformed, (transformed, params), (hk.transform(lambda x: x), params, {})):
        with pytest.raises(TypeError, match=r"is read as \(transformed, params"):
            probe.read(model, batch, "cross_entropy")
    several = hk.multi_transform(lambda: (hk.Linear(3), (hk.Linear(3), hk.Linear(2))))
    with pytest.raises(TypeError, match="holds several functions"):
        probe.read((several, params), batch, "cross_entropy")


def test_with_parameters_changes_a_copy(batch):
    model = initialised(lambda x: hk.Linear(3)(x), batch[0])
    twice = probe.with_parameters(model, lambda path, leaf: 2 * leaf if path == ("linear", "w") else leaf)
    rows = [probe.read(each, batch, "cross_entropy").layers[0] for each in (model, twice)]
    assert rows[1].activation_rms == pytest.approx(2 * rows[0].activation_rms, rel=1e-6)


def test_a_residual_network_of_haikus_is_healthy(key):
    images = jax.random.normal(key, (16, 32, 32, 3))

    narrow = {**hk.nets.ResNet.CONFIGS[18], "channels_per_group": (8, 16, 32, 64)}

    def network(x, is_training):
        return hk.nets.ResNet(num_classes=10, initial_conv_config={"output_channels": 8}, **narrow)(x, is_training)

    transformed, params, state = initialised_with_state(network, images, True)
    batch = images, jnp.arange(16) % 10
    report = probe.read((transformed, params, state), batch, "cross_entropy", train=True, jacobian=False)
    kinds = [row.kind for row in report.layers]
    assert kinds.count("Conv2D") == 20 and kinds.count("BatchNorm") == 20 and len(report.running) == 20
    assert not [kind for kind in kinds if "Average" in kind]
    found = {row.name: row for row in report.layers}
    name = "res_net/~/block_group_2/~/block_0/~/conv_1"
    kernel = np.asarray(params[name]["w"], np.float64)  # [3, 3, 32, 32]
    assert found[name].weight_variance == pytest.approx(9 * 32 * kernel.var(), rel=1e-5)
    assert not diagnosis.explain(report)

    # Haiku starts the last layer at 0, so that no gradient passes it at the first step.
    drawn = lambda path, leaf: 0.1 * jax.random.normal(key, leaf.shape) if path == ("res_net/~/logits", "w") else leaf
    model = probe.with_parameters((transformed, params, state), drawn)
    loss = lambda p: probe.LOSSES["cross_entropy"](transformed.apply(p, state, None, images, True)[0], batch[1])
    (of_kernel,) = jax.jit(jax.grad(loss))(model[1])[name].values()
    found = {row.name: row for row in probe.read(model, batch, "cross_entropy", train=True, jacobian=False).layers}
    assert found[name].parameter_gradient_rms == pytest.approx(rms(of_kernel), rel=1e-3)


def test_a_function_that_applies_a_transformed_one(batch):
    transformed, params = initialised(lambda x: hk.Sequential([hk.Linear(8), jnp.tanh, hk.Linear(3)])(x), batch[0])
    whole = probe.read((transformed, params), batch, "cross_entropy")
    function = lambda parameters, x: transformed.apply(parameters["policy"], None, x)
    inside = probe.read((function, {"policy": params}), batch, "cross_entropy")
    assert [row.name for row in inside.layers] == ["policy/linear", "policy/linear_1", "sequential"]
    assert [row.weight_variance for row in inside.layers[:2]] == [row.weight_variance for row in whole.layers[:2]]


def test_a_remedy_finds_the_weights_it_is_for(key):
    batch = jax.random.normal(key, (32, 32)), jnp.arange(32) % 4
    drawn = initialised(lambda x: hk.nets.MLP([*[32] * 6, 4], activation=jnp.tanh)(x), batch[0])
    model = probe.with_parameters(drawn, lambda path, leaf: 0.02 * leaf if leaf.shape == (32, 32) else leaf)
    report = probe.read(model, batch, "cross_entropy", jacobian=False)
    first = next(iter(diagnosis.verify(diagnosis.explain(report), report, model, batch, "cross_entropy", jacobian=False)))
    assert first.kind == "initialisation" and first.gone
