"""Keras 3 models on JAX: rows, gradients, modes, state, keys; graphs, subclasses and recurrence; an application of Keras'."""

import math
import os
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnotes import diagnosis, probe

keras = pytest.importorskip("keras")
layers = keras.layers
pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)
    keras.backend.clear_session()  # names start anew: dense, dense_1, …


def rms(value):
    return float(jnp.sqrt(jnp.mean(jnp.square(jnp.asarray(value)))))


def named(report):
    return {row.label: row for row in report.layers}


def test_a_sequential_model_is_read_as_by_hand(batch):
    x, labels = batch
    model = keras.Sequential(
        [layers.Input((4,)), layers.Dense(8, activation="tanh"), layers.Dense(7), layers.ReLU(), layers.Dense(3)]
    )
    report = probe.read(model, batch, "cross_entropy")
    assert report.framework == "keras" and not report.notes and report.train is None
    assert [row.name for row in report.layers] == ["dense", "dense_1", "re_lu", "dense_2"]
    assert [row.activation for row in report.layers] == ["tanh", "relu", "relu", ""]
    values = keras.Model(model.inputs, [layer.output for layer in model.layers])(x)  # Keras' own outputs of the layers
    for row, value in zip(report.layers, values, strict=True):
        assert row.activation_rms == pytest.approx(rms(value), rel=1e-5)
    (w0, b0), (w1, b1), (w2, b2) = ([v.value for v in layer.variables] for layer in model.layers if layer.variables)

    def by_hand(zero, weights):
        h = jax.nn.relu((jnp.tanh(x @ w0 + b0) + zero) @ weights + b1)
        return probe.LOSSES["cross_entropy"](h @ w2 + b2, labels)

    gradient, of_weights = jax.grad(by_hand, argnums=(0, 1))(jnp.zeros((6, 8)), w1)
    squares = np.square(np.asarray(gradient, np.float64)).sum(1).mean()
    assert report.layers[0].log10_gradient_norm == pytest.approx(0.5 * math.log10(squares), abs=1e-5)
    assert report.layers[1].weight_gradient_rms == pytest.approx(rms(of_weights), rel=1e-4)
    assert report.layers[1].weight_variance == pytest.approx(8 * np.asarray(w1, np.float64).var(), rel=1e-5)
    assert [parameter.name for parameter in report.parameters][:2] == ["dense/bias", "dense/kernel"]


class Branch(layers.Layer):
    def __init__(self, width, **options):
        super().__init__(**options)
        self.stack = [layers.Dense(width, name="wide", activation="relu"), layers.Dense(width, name="narrow")]

    def build(self, shape):
        for layer in self.stack:
            layer.build(shape)

    def call(self, x):
        h = x
        for layer in self.stack:
            h = layer(h)
        return x + h


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.branch, self.norm = layers.Dense(8), Branch(8, name="branch"), layers.BatchNormalization(momentum=0.9)
        self.dropout, self.last = layers.Dropout(0.5), layers.Dense(3)

    def call(self, x, training=False):
        return self.last(self.dropout(self.norm(self.branch(self.first(x)), training=training), training=training))


def test_a_subclassed_model_with_nested_layers_modes_and_statistics(batch):
    x, labels = batch
    model = Subclassed()
    model(x)
    before = [np.asarray(v) for v in model.variables]
    trained = probe.read(model, batch, "cross_entropy", train=True)
    assert [row.name for row in trained.layers][:4] == ["dense", "branch/wide", "branch/narrow", "branch"]
    assert trained.train and not trained.missing_key and trained.crosses_examples
    modes = {row.kind: row.mode for row in trained.layers}
    assert modes["BatchNormalization"] == modes["Dropout"] == "training" and named(trained)["dropout"].dropout_rate == 0.5
    entered = np.asarray(model.branch(model.first(x)), np.float64)
    assert trained.running[0].initial
    distance = math.sqrt(np.mean((entered.mean(0) / entered.std(0)) ** 2))
    assert trained.running[0].mean_distance == pytest.approx(distance, rel=1e-4)

    values = [[v.value for v in variables] for variables in (model.trainable_variables, model.non_trainable_variables)]
    _, others = model.stateless_call(*values, x, training=True)
    after = probe.read((model, values[0], others), batch, "cross_entropy", train=False)
    # One step of momentum 0.9 leaves 0.9 of the distance.
    assert not after.running[0].initial and after.running[0].mean_distance == pytest.approx(0.9 * distance, rel=1e-3)
    assert {row.mode for row in after.layers} == {"", "inference"} and not after.crosses_examples

    losses = [probe.read(model, batch, "cross_entropy", train=True, jacobian=False, key=jax.random.key(k)).loss for k in (1, 2)]
    assert losses[0] != losses[1] and trained.loss not in losses
    for value, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(value, np.asarray(variable))
    assert not any("call" in vars(layer) for layer in (*model.layers, *model.branch.stack))
    model.norm.trainable = False  # Keras then uses the running statistics in training too
    frozen = probe.read(model, batch, "cross_entropy", train=True, jacobian=False)
    assert named(frozen)["batch_normalization"].mode == "inference"


def test_a_graph_of_several_inputs_shared_layers_and_models_inside(batch):
    x, labels = batch
    inner = keras.Sequential([layers.Input((8,)), layers.Dense(8, activation="relu", name="inside")], name="inner")
    one, two = keras.Input((4,), name="one"), keras.Input((4,), name="two")
    shared = layers.Dense(8, name="shared")
    joined = layers.Concatenate(name="joined")([inner(shared(one)), shared(two)])
    model = keras.Model([one, two], layers.Dense(3, name="out")(joined * 2.0))
    by_place = probe.read(model, ((x, 2 * x), labels), "cross_entropy", jacobian=False)
    by_name = probe.read(model, ({"two": 2 * x, "one": x}, labels), "cross_entropy", jacobian=False)
    assert [row.label for row in by_place.layers] == ["shared", "inner/inside", "shared (call 1)", "joined", "out"] or [
        row.label for row in by_place.layers
    ] == ["shared", "shared (call 1)", "inner/inside", "joined", "out"]
    assert (
        by_place.loss
        == by_name.loss
        == pytest.approx(float(probe.LOSSES["cross_entropy"](model([x, 2 * x]), labels)), rel=1e-6)
    )
    assert by_place.layers[-1].activation_rms == pytest.approx(rms(model([x, 2 * x])), rel=1e-5)


def test_kernels_of_all_layouts_have_their_own_fan_in(key):
    images, labels = jax.random.normal(key, (6, 8, 8, 4)), jnp.arange(6) % 3
    model = keras.Sequential(
        [
            layers.Input((8, 8, 4)),
            layers.Conv2D(16, 3, name="convolution"),
            layers.DepthwiseConv2D(3, name="depthwise"),
            layers.Reshape((16, 16), name="tokens"),
            layers.LayerNormalization(name="norm"),
            layers.GlobalAveragePooling1D(name="pool"),
            layers.Dense(3, name="out"),
        ]
    )
    found = named(probe.read(model, (images, labels), "cross_entropy", jacobian=False))
    variance = lambda name: np.asarray(model.get_layer(name).kernel, np.float64).var()
    assert found["convolution"].weight_variance == pytest.approx(36 * variance("convolution"), rel=1e-5)
    assert found["depthwise"].weight_variance == pytest.approx(9 * variance("depthwise"), rel=1e-5)
    assert math.isnan(found["norm"].weight_variance) and found["norm"].normalises
    assert found["tokens"].output_shape == (6, 16, 16)


def test_attention_and_embedding(key):
    tokens = keras.Input((5,), dtype="int32")
    embedded = layers.Embedding(11, 12, name="embedding")(tokens)
    attended = layers.MultiHeadAttention(3, 4, name="attention")(embedded, embedded)
    model = keras.Model(tokens, layers.Dense(3, name="out")(layers.GlobalAveragePooling1D()(attended)))
    batch = jax.random.randint(key, (6, 5), 0, 11), jnp.arange(6) % 3
    report = probe.read(model, batch, "cross_entropy", jacobian=False)
    found = named(report)
    assert {"attention/query", "attention/key", "attention/value", "attention/attention_output", "attention"} <= set(found)
    query = np.asarray(model.get_layer("attention").query_dense.kernel, np.float64)  # 12 × 3 × 4
    assert found["attention/query"].weight_variance == pytest.approx(12 * query.var(), rel=1e-5)
    assert found["attention/query"].output_shape == (6, 5, 3, 4) and math.isnan(found["embedding"].weight_variance)
    values = [v.value for v in model.trainable_variables]
    loss = lambda values: probe.LOSSES["cross_entropy"](model.stateless_call(values, [], batch[0])[0], batch[1])
    gradients = {v.path: g for v, g in zip(model.trainable_variables, jax.grad(loss)(values), strict=True)}
    assert found["embedding"].parameter_gradient_rms == pytest.approx(rms(gradients["embedding/embeddings"]), rel=1e-4)
    assert len(report.attention) == 1


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_recurrent_layers_give_a_row_a_step(key, kind):
    model = keras.Sequential([layers.Input((7, 4)), getattr(layers, kind)(5, name="recurrent"), layers.Dense(3)])
    batch = jax.random.normal(key, (6, 7, 4)), jnp.arange(6) % 3
    report = probe.read(model, batch, "cross_entropy", jacobian=False)
    cells = [row for row in report.layers if row.name == f"recurrent/{kind.lower()}_cell"]
    assert len(cells) == 7 and all(row.over_time and row.output_shape == (6, 5) for row in cells)
    outputs = np.asarray(layers.RNN(model.layers[0].cell, return_sequences=True)(batch[0]))
    assert [row.activation_rms for row in cells] == pytest.approx([rms(outputs[:, step]) for step in range(7)], rel=1e-4)
    assert named(report)["recurrent"].output_shape == (6, 5)
    short = probe.read(model, batch, "cross_entropy", jacobian=False, summarise_steps=True)
    assert len([row for row in short.layers if row.name == cells[0].name]) == 1


def test_a_program_is_kept_until_a_setting_changes(batch):
    traced = []

    class CountedDropout(layers.Dropout):
        def call(self, x, training=None):
            traced.append(self.rate)
            return super().call(x, training=training)

    model = keras.Sequential([layers.Input((4,)), layers.Dense(8), CountedDropout(0.5), layers.Dense(3)])
    traced.clear()
    for rate in (0.5, 0.5, 0.2):
        model.layers[1].rate = rate
        report = probe.read(model, batch, "cross_entropy", train=True, jacobian=False)
        assert report.layers[1].dropout_rate == rate
    assert traced == [0.5, 0.2]
    twice = probe.with_parameters(model, lambda path, leaf: 2 * leaf if path == ("dense", "kernel") else leaf)
    again = probe.read(twice, batch, "cross_entropy", train=True, jacobian=False)
    assert again.layers[0].activation_rms == pytest.approx(2 * report.layers[0].activation_rms, rel=1e-5)


def test_what_cannot_be_read_is_one_line(batch):
    with pytest.raises(TypeError, match="call it once on the inputs"):
        probe.read(Subclassed(), batch, "cross_entropy")
    model = keras.Sequential([layers.Input((4,)), layers.Dense(3)])
    with pytest.raises(TypeError, match=r"as many values as it has, 2 and 0; got 1, 0"):
        probe.read((model, model.trainable_variables[:1], []), batch, "cross_entropy")


def test_another_backend_is_one_line_that_says_what_to_set():
    script = """
        import keras, numpy as np
        from jaxnotes import probe
        model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
        try:
            probe.read(model, (np.ones((6, 4), np.float32), np.zeros(6, np.int32)), "cross_entropy")
        except TypeError as error:
            print(error)
    """
    environment = {**os.environ, "KERAS_BACKEND": "numpy"}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=environment, capture_output=True, text=True)
    assert "backend 'numpy'" in done.stdout and "KERAS_BACKEND=jax before keras" in done.stdout, done.stderr


def test_an_application_of_keras_at_random_weights_is_healthy(key):
    model = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, classes=10, classifier_activation=None)
    images, labels = jax.random.normal(key, (32, 32, 32, 3)), jnp.arange(32) % 10
    report = probe.read(model, (images, labels), "cross_entropy", train=True, jacobian=False)
    assert [row.name for row in report.layers] == [layer.name for layer in model.layers[1:]]
    assert len(report.running) == 52 and all(row.mode == "training" for row in report.layers if "BatchNorm" in row.kind)
    values = [[v.value for v in variables] for variables in (model.trainable_variables, model.non_trainable_variables)]

    def loss(trainable):
        return probe.LOSSES["cross_entropy"](model.stateless_call(trainable, values[1], images, training=True)[0], labels)

    gradients = jax.tree.map(np.asarray, jax.jit(jax.grad(loss))(values[0]))
    (of_kernel,) = [
        g for v, g in zip(model.trainable_variables, gradients, strict=True) if v is model.get_layer("Conv1").kernel
    ]
    assert named(report)["Conv1"].weight_gradient_rms == pytest.approx(rms(of_kernel), rel=1e-2)
    assert not diagnosis.explain(report)
