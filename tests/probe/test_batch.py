"""What a reading says of the inputs, the targets, the outputs, the loss and one step, against closed forms and Optax."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.diagnosis.losses import binary_of_logits as binary_logits
from experiments.diagnosis.losses import binary_unguarded as binary_probabilities
from experiments.diagnosis.losses import broadcast_squares as squares
from experiments.diagnosis.losses import cross_entropy as softmax_cross_entropy
from experiments.diagnosis.losses import hinge_of_signs as hinge
from experiments.diagnosis.losses import likelihood_of_logs as log_likelihood
from experiments.diagnosis.losses import likelihood_unguarded as likelihood
from experiments.diagnosis.losses import masked
from jaxnotes import probe

pytestmark = pytest.mark.usefixtures("standard_promotion")

EXAMPLES, CLASSES = 24, 4
RANDOM = np.random.default_rng(0)
X = jnp.asarray(RANDOM.normal(size=(EXAMPLES, 5)), jnp.float32)
LABELS = jnp.asarray(RANDOM.integers(0, CLASSES, EXAMPLES), jnp.int32)
BINARY = jnp.asarray(RANDOM.integers(0, 2, (EXAMPLES, 1)), jnp.float32)
VALUES = jnp.asarray(RANDOM.normal(size=(EXAMPLES, 1)), jnp.float32)


def linear(units: int = CLASSES, end=None):
    """A model of one layer; `end` is what it ends in."""

    def model(parameters, x):
        outputs = probe.tap("out", x @ parameters["out"])
        return outputs if end is None else end(outputs)

    return model, {"out": jnp.asarray(np.random.default_rng(1).normal(size=(5, units)) / 5**0.5, jnp.float32)}


def read(model, targets, loss, x=X, **options):
    return probe.read(model, (x, targets), loss, jacobian=False, **options)


CHANCE = math.log(CLASSES)
P = float(BINARY.mean())
TAKES = {  # the loss, its targets, outputs, what it takes, the loss of outputs that know nothing
    "logits": (softmax_cross_entropy, LABELS, CLASSES, None, CHANCE),
    "by name": ("cross_entropy", LABELS, CLASSES, None, CHANCE),
    "one-hot": (lambda o, t: optax.softmax_cross_entropy(o, t).mean(), jax.nn.one_hot(LABELS, CLASSES), CLASSES, None, CHANCE),
    "probabilities": (likelihood, LABELS, CLASSES, jax.nn.softmax, CHANCE),
    "log-probabilities": (log_likelihood, LABELS, CLASSES, jax.nn.log_softmax, CHANCE),
    "values": (squares, VALUES, 1, None, float(jnp.var(VALUES))),
    "binary logits": (binary_logits, BINARY, 1, None, math.log(2)),
    "binary probabilities": (binary_probabilities, BINARY, 1, jax.nn.sigmoid, math.log(2)),
    "margins": (hinge, 2 * BINARY - 1, 1, None, 1.0),
}


@pytest.mark.parametrize("name", TAKES)
def test_what_a_loss_takes_is_seen_from_its_answers(name):
    loss, targets, units, end, chance = TAKES[name]
    report = read(linear(units, end), targets, loss)
    answer = report.loss_response
    assert answer.takes == {"by name": "logits", "one-hot": "logits"}.get(name, name)
    assert answer.chance == pytest.approx(chance, rel=1e-4) and answer.start == pytest.approx(report.loss, rel=1e-5)
    assert answer.doubled == pytest.approx(1, rel=1e-4) and answer.pull > 0.8
    json.dumps(report.as_dict(), allow_nan=False)


def test_a_sum_and_a_flipped_sign_are_seen():
    total = read(linear(), LABELS, lambda o, t: softmax_cross_entropy(o, t) * len(t)).loss_response
    assert total.takes == "logits" and total.doubled == pytest.approx(2, rel=1e-4)
    for units, targets, loss in ((CLASSES, LABELS, softmax_cross_entropy), (2, LABELS % 2, softmax_cross_entropy)):
        assert read(linear(units), targets, lambda o, t, loss=loss: -loss(o, t)).loss_response.pull == -1
    assert read(linear(1), VALUES, lambda o, t: -squares(o, t)).loss_response.pull < -0.99


def test_a_loss_without_a_bottom_one_that_is_flat_and_one_least_elsewhere_are_seen():
    of = lambda units, targets, loss: read(linear(units), targets, loss).loss_response
    assert of(1, VALUES, lambda o, t: jnp.mean(3 * (t - o))).fall == pytest.approx(3, rel=1e-4)
    gaussian = lambda o, t: jnp.mean(0.5 * ((t[:, :1] - o[:, :1]) * jnp.exp(-o[:, 1:])) ** 2 + o[:, 1:])
    assert of(2, jnp.concatenate([VALUES, VALUES], 1), gaussian).fall == 0  # of a mean and a log scale: it has a bottom
    assert of(1, BINARY, lambda o, t: optax.softmax_cross_entropy(o, t).mean()).flat
    assert not of(1, BINARY, binary_logits).flat and of(1, BINARY, binary_logits).fall == 0
    assert of(1, VALUES, lambda o, t: squares(o, -t)).takes == "minus values"
    assert of(CLASSES, LABELS, lambda o, t: squares(o, 1.0 * t[:, None])).takes == "class numbers"


def test_labels_beyond_the_classes_count_where_the_loss_uses_them():
    padded = jnp.where(LABELS == 0, -100, LABELS)
    answer = read(linear(), padded, softmax_cross_entropy).loss_response
    assert answer.labels_outside == pytest.approx(float((LABELS == 0).mean())) and answer.labels_outside_used == 1

    assert read(linear(), padded, masked).loss_response.labels_outside_used == 0


def test_pairs_are_seen_to_be_all_with_all_where_shapes_broadcast():
    wrong, right = read(linear(1), VALUES[:, 0], squares), read(linear(1), VALUES, squares)
    assert wrong.loss_response.pairs < 1e-5 < 1e-3 < right.loss_response.pairs


@pytest.mark.parametrize(
    ("end", "name", "low", "high"),
    [
        (jax.nn.sigmoid, "sigmoid", 0, 1),
        (lambda x: 3 * jnp.tanh(x)[:, 0][:, None], "tanh", -3, 3),
        (jax.jit(jax.nn.relu), "relu", 0, math.inf),
        (lambda x: x[:, ::-1] * 2 + 1, "", -math.inf, math.inf),
    ],
)
def test_the_activation_at_the_end_is_seen_with_its_range(end, name, low, high):
    outputs = read(linear(1, end), VALUES, squares).outputs
    assert outputs.activation == name
    assert (outputs.activation_low, outputs.activation_high) == pytest.approx((low, high), abs=1e-6)
    beyond = jnp.maximum(low - VALUES, VALUES - high) > 0.01
    expected = float(beyond.mean())
    assert outputs.targets_outside == pytest.approx(expected, abs=2 / EXAMPLES)


def test_rows_of_the_outputs_are_described():
    softmax = read(linear(end=jax.nn.softmax), LABELS, softmax_cross_entropy).outputs
    assert softmax.rows_sum_to_one == 1 and softmax.nonnegative == softmax.inside_unit == 1 and not softmax.always_one
    assert read(linear(end=jax.nn.log_softmax), LABELS, log_likelihood).outputs.rows_log_probabilities == 1
    assert read(linear(1, jax.nn.softmax), BINARY, binary_probabilities).outputs.always_one
    outputs = read(linear(), LABELS, softmax_cross_entropy).outputs
    values = np.asarray(X @ linear()[1]["out"])
    assert outputs.rows_sum_to_one == 0 and outputs.rms == pytest.approx(np.sqrt((values**2).mean()), rel=1e-5)
    assert (outputs.low, outputs.high) == pytest.approx((values.min(), values.max()), rel=1e-5)


def test_inputs_and_targets_are_described():
    x = X.at[:, 0].set(7.0).at[:, 1].multiply(1000)
    report = read(linear(1), VALUES, squares, x=x)
    (inputs,), targets = report.inputs, report.targets
    assert inputs.rms == pytest.approx(float(jnp.sqrt((x**2).mean())), rel=1e-5) and inputs.constant_features == pytest.approx(
        0.2
    )
    sizes = np.sqrt((np.asarray(x, np.float64) ** 2).mean(axis=0))[1:]
    assert inputs.largest_feature_rms == pytest.approx(sizes.max(), rel=1e-5)
    assert inputs.smallest_feature_rms == pytest.approx(sizes.min(), rel=1e-5)
    assert inputs.largest_typical_feature == pytest.approx(float(jnp.median(jnp.abs(x[:, 1]))), rel=1e-5)
    assert targets.rms == pytest.approx(float(jnp.sqrt((VALUES**2).mean())), rel=1e-5) and not targets.whole
    assert targets.spread == pytest.approx(float(VALUES.std()), rel=1e-5)
    labels = read(linear(), LABELS, "cross_entropy").targets
    assert labels.is_integer and labels.whole and labels.classes_present == len(set(LABELS.tolist()))
    one_hot = read(linear(), jax.nn.one_hot(LABELS, CLASSES), squares).targets
    assert one_hot.one_hot and not one_hot.is_integer


def test_a_step_of_gradient_descent_is_that_of_the_closed_form():
    model, parameters = linear(1)
    step = read((model, parameters), VALUES, squares, optimizer=optax.sgd(0.1, momentum=0.9)).first_step
    w = parameters["out"]
    gradient = 2 * X.T @ (X @ w - VALUES) / EXAMPLES
    assert step.along_gradient == pytest.approx(-0.1 * float((gradient**2).sum()), rel=1e-4)
    assert step.loss_after == pytest.approx(float(squares(X @ (w - 0.1 * gradient), VALUES)), rel=1e-4)
    assert step.size == pytest.approx(0.1 * float(jnp.linalg.norm(gradient) / jnp.linalg.norm(w)), rel=1e-4)
    assert step.growth == pytest.approx((1.9, 2.71), rel=1e-5) and step.decay_size == 0


def test_decay_is_told_from_what_follows_the_gradient():
    decoupled = read(linear(1), VALUES, squares, optimizer=optax.adamw(0.01, weight_decay=0.3)).first_step
    assert decoupled.decay_size == pytest.approx(0.01 * 0.3, rel=1e-3)
    parameters = linear(1)[1]["out"]
    assert decoupled.decay_over_gradient == pytest.approx(0.3 * float(jnp.sqrt((parameters**2).mean())), rel=1e-2)
    coupled = optax.chain(optax.add_decayed_weights(1e-6), optax.adam(0.01))  # too small to turn any sign
    assert read(linear(1), VALUES, squares, optimizer=coupled).first_step.decay_size < 1e-4


@pytest.mark.parametrize(
    ("targets", "convert"),
    [
        (jax.nn.one_hot(LABELS, CLASSES), r"one-hot rows: pass labels.argmax\(-1\)"),
        (LABELS[:, None], r"pass labels\[\.\.\., 0\]"),
        (LABELS.astype(jnp.float32), "pass labels.astype"),
        (LABELS[:-1], "one label per row"),
    ],
)
def test_labels_of_another_form_are_one_line_that_says_how_to_convert(targets, convert):
    with pytest.raises(ValueError, match=convert):
        read(linear(), targets, "cross_entropy")


def test_a_tuple_of_outputs_with_a_named_loss_is_one_line():
    with pytest.raises(ValueError, match=r"takes one array of outputs, the model returns a tuple"):
        read(linear(end=lambda x: (x, x)), LABELS, "cross_entropy")
    report = read(linear(end=lambda x: (x, x)), LABELS, lambda o, t: softmax_cross_entropy(o[0], t))
    assert report.outputs is None and report.loss_response is None and report.targets.is_integer


def test_a_loss_that_refuses_made_up_outputs_is_read_all_the_same():
    def fixed(outputs, labels):
        assert outputs.shape == (EXAMPLES, CLASSES)
        return softmax_cross_entropy(outputs, labels)

    answer = read(linear(), LABELS, fixed).loss_response
    assert answer.takes == "logits" and math.isnan(answer.doubled)
