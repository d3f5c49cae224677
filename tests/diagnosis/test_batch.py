"""Faults of data, outputs, loss and step are named as what they are, and the same program without the fault is not."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.diagnosis import measurement, programs
from experiments.diagnosis.losses import binary_of_logits as binary_logits
from experiments.diagnosis.losses import binary_unguarded as binary_probabilities
from experiments.diagnosis.losses import broadcast_squares as squares
from experiments.diagnosis.losses import cross_entropy as softmax_cross_entropy
from experiments.diagnosis.losses import hinge_of_signs as hinge
from experiments.diagnosis.losses import likelihood_of_logs as log_likelihood
from experiments.diagnosis.losses import likelihood_unguarded as likelihood
from experiments.diagnosis.losses import masked
from jaxnotes import diagnosis, probe
from jaxnotes.diagnosis._causes import without_effects

pytestmark = pytest.mark.usefixtures("standard_promotion")

EXAMPLES, CLASSES, WIDTH = 32, 4, 32
RANDOM = np.random.default_rng(0)
X = jnp.asarray(RANDOM.normal(size=(EXAMPLES, 8)), jnp.float32)
LABELS = jnp.asarray(np.arange(EXAMPLES) % CLASSES, jnp.int32)
BINARY = (LABELS[:, None] % 2).astype(jnp.float32)
VALUES = jnp.asarray(RANDOM.normal(size=(EXAMPLES, 1)), jnp.float32)
ADAM = optax.adam(1e-3)


def network(units: int, end=None, activation=jax.nn.relu, last: float = 1.0):
    """Two layers with He's initialisation, in plain JAX."""

    def model(parameters, x):
        h = activation(probe.tap("hidden", x @ parameters["hidden"]))
        outputs = probe.tap("out", h @ parameters["out"])
        return outputs if end is None else end(outputs)

    random = np.random.default_rng(1)
    weight = lambda a, b, gain: jnp.asarray(random.normal(size=(a, b)) * (gain / a) ** 0.5, jnp.float32)
    return model, {"hidden": weight(8, WIDTH, 2.0), "out": last * weight(WIDTH, units, 1.0)}


def findings(model, targets, loss, x=X, optimizer=ADAM):
    return diagnosis.explain(probe.read(model, (x, targets), loss, jacobian=False, optimizer=optimizer))


def negative(loss):
    return lambda outputs, targets: -loss(outputs, targets)


ONE_HOT = jax.nn.one_hot(LABELS, CLASSES)
SOFTMAX, SIGMOID = jax.nn.softmax, jax.nn.sigmoid
CLASSIFIER = network(CLASSES), LABELS, softmax_cross_entropy
REGRESSION = network(1), VALUES, squares
BAD = X.at[:, 7].multiply(300).at[:, 7].add(1000)  # a feature that is not scaled

# name: (kind, (model, targets, loss), other arguments)
FAULTY = {
    "softmax twice": ("output-activation", (network(CLASSES, SOFTMAX), LABELS, "cross_entropy"), {}),
    "sigmoid, then softmax": ("output-activation", (network(CLASSES, SIGMOID), LABELS, softmax_cross_entropy), {}),
    "ReLU, then softmax": ("output-activation", (network(CLASSES, jax.nn.relu), LABELS, softmax_cross_entropy), {}),
    "sigmoid twice": ("output-activation", (network(1, SIGMOID), BINARY, binary_logits), {}),
    "logits for probabilities": ("output-activation", (network(CLASSES), LABELS, likelihood), {}),
    "a logit for a probability": ("output-activation", (network(1), BINARY, binary_probabilities), {}),
    "softmax for its logarithm": ("output-activation", (network(CLASSES, SOFTMAX), LABELS, log_likelihood), {}),
    "softmax over one unit": ("output-activation", (network(1, SOFTMAX), BINARY, binary_probabilities), {}),
    "sigmoid for negative targets": ("output-activation", (network(1, SIGMOID), VALUES, squares), {}),
    "tanh for thousands": ("output-activation", (network(1, jnp.tanh), 1000 + 300 * VALUES, squares), {}),
    "no bound": ("loss", (network(CLASSES), LABELS, log_likelihood), {}),
    "flipped sign": ("loss", (network(CLASSES), LABELS, negative(softmax_cross_entropy)), {}),
    "flipped sign of squares": ("loss", (network(1), VALUES, negative(squares)), {}),
    "a difference without a square": ("loss", (network(1), VALUES, lambda o, t: jnp.mean(o - t)), {}),
    "plus for minus": ("loss", (network(1), VALUES, lambda o, t: squares(o, -t)), {}),
    "squares of class numbers": ("loss", (network(CLASSES), LABELS, lambda o, t: squares(o, 1.0 * t[:, None])), {}),
    "a loss of nothing": ("loss", (network(1), VALUES, lambda o, t: jnp.mean(t**2) + 0 * o.sum()), {}),
    "sum": ("loss", (network(CLASSES), LABELS, lambda o, t: softmax_cross_entropy(o, t) * len(t)), {}),
    "binary loss of softmax": ("loss", (network(CLASSES, SOFTMAX), ONE_HOT, binary_probabilities), {}),
    "uphill": ("loss", CLASSIFIER, {"optimizer": optax.sgd(-0.01)}),
    "labels from 1": ("labels", (network(CLASSES), LABELS + 1, softmax_cross_entropy), {}),
    "padding of -100": ("labels", (network(CLASSES), jnp.where(LABELS == 0, -100, LABELS), "cross_entropy"), {}),
    "labels of -1": ("labels", (network(CLASSES), jnp.where(LABELS == 0, -1, LABELS), softmax_cross_entropy), {}),
    "a column of labels": (
        "labels",
        (network(CLASSES, jax.nn.log_softmax), LABELS[:, None], lambda o, t: -o[jnp.arange(EXAMPLES), t].mean()),
        {},
    ),
    "0 and 1 for the hinge loss": ("labels", (network(1), BINARY, hinge), {}),
    "pixels to 255 for a binary loss": ("labels", (network(1), 255 * BINARY, binary_logits), {}),
    "column and row": ("shapes", (network(1), VALUES[:, 0], squares), {}),
    "inputs to 255": ("inputs", CLASSIFIER, {"x": jnp.abs(X) * 80}),
    "inputs to 255 into tanh": ("inputs", (network(CLASSES, activation=jnp.tanh), *CLASSIFIER[1:]), {"x": jnp.abs(X) * 80}),
    "one feature of 1000": ("inputs", REGRESSION, {"x": BAD}),
    "tiny inputs": ("inputs", CLASSIFIER, {"x": X / 1000}),
    "large targets": ("targets", (network(1), 300 * VALUES, squares), {}),
    "constant targets": ("targets", (network(1), 0 * VALUES + 1, squares), {}),
    "one class": ("targets", (network(CLASSES), 0 * LABELS + 2, softmax_cross_entropy), {}),
    "large last weights": ("loss-at-start", (network(CLASSES, last=30.0), LABELS, softmax_cross_entropy), {}),
    "Adam at 1e-7": ("small-update", CLASSIFIER, {"optimizer": optax.adam(1e-7)}),
    "gradient descent at 1e-6": ("small-update", CLASSIFIER, {"optimizer": optax.sgd(1e-6)}),
    "Adam at 1": ("large-update", CLASSIFIER, {"optimizer": optax.adam(1.0)}),
    "gradient descent at 100": ("large-update", CLASSIFIER, {"optimizer": optax.sgd(100.0)}),
    "decay": ("weight-decay", CLASSIFIER, {"optimizer": optax.adamw(1e-3, weight_decay=1.0)}),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_fault_is_named_and_nothing_else(name):
    kind, program, options = FAULTY[name]
    found = findings(*program, **options)
    assert {finding.kind for finding in found if not finding.hint} == {kind}
    for finding in found:
        assert finding.evidence and (finding.claims or finding.source) and all(r.action and r.effect for r in finding.remedies)


def test_a_large_step_of_a_new_state_is_a_hint_where_the_model_has_learnt():
    function, parameters = network(CLASSES, last=30.0)
    learnt = jnp.argmax(function(parameters, X), axis=-1)
    found = findings((function, parameters), learnt, softmax_cross_entropy, optimizer=optax.adam(1.0))
    assert [finding.hint for finding in found if finding.kind == "large-update"] == [True]


HEALTHY = {
    "logits": (CLASSIFIER, {}),
    "probabilities": ((network(CLASSES, SOFTMAX), LABELS, likelihood), {}),
    "log-probabilities": ((network(CLASSES, jax.nn.log_softmax), LABELS, log_likelihood), {}),
    "values": (REGRESSION, {}),
    "a row of values": ((network(1), VALUES[:, 0], lambda o, t: squares(o[:, 0], t)), {}),
    "binary logits": ((network(1), BINARY, binary_logits), {}),
    "binary probabilities": ((network(1, SIGMOID), BINARY, binary_probabilities), {}),
    "margins": ((network(1), 2 * BINARY - 1, hinge), {}),
    "masked labels": ((network(CLASSES), jnp.where(LABELS == 0, -100, LABELS), masked), {}),
    "capped logits": ((network(CLASSES, lambda x: 30 * jnp.tanh(x / 30)), LABELS, softmax_cross_entropy), {}),
    "scaled inside": ((lambda p, x: network(CLASSES)[0](p, x / 255), network(CLASSES)[1]), {"x": 255 * X}),
    "warm-up": (CLASSIFIER, {"optimizer": optax.adam(optax.linear_schedule(1e-7, 1e-3, 1000))}),
    "decay of a usual size": (CLASSIFIER, {"optimizer": optax.adamw(1e-3, weight_decay=0.05)}),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_program_has_no_finding(name):
    program, options = HEALTHY[name]
    model, targets, loss = program if len(program) == 3 else (program, LABELS, softmax_cross_entropy)
    assert findings(model, targets, loss, **options) == ()


def test_one_class_of_two_is_a_hint_as_a_critic_may_see_real_examples_alone():
    (found,) = findings(network(1), 0 * VALUES + 1, binary_logits)
    assert found.kind == "targets" and found.hint


def test_weights_outside_of_all_layers_that_are_no_parameters_are_a_hint():
    first = np.random.default_rng(3).normal(size=(8, WIDTH)).astype(np.float32) / 3
    model, parameters = network(CLASSES)
    wide = lambda p, x: model(p, jax.nn.relu(x @ first)[:, :8])
    (found,) = findings((wide, parameters), LABELS, softmax_cross_entropy)
    assert found.kind == "no-gradient" and found.hint and found.layers == ("before hidden",)


def test_an_autoencoder_with_a_sharp_sigmoid_output_has_no_finding_at_the_start_or_trained():
    pixels = jnp.asarray(RANDOM.random((64, 16)) < 0.3, jnp.float32)
    random, sizes = np.random.default_rng(2), (16, 32, 8, 32, 16)

    def model(parameters, x):
        for i, w in enumerate(parameters):
            x = probe.tap(str(i), (jax.nn.relu(x) if i else x) @ w)
        return jax.nn.sigmoid(10 * x)

    weights = [jnp.asarray(random.normal(size=s) * (2 / s[0]) ** 0.5, jnp.float32) for s in zip(sizes, sizes[1:], strict=False)]
    optimizer = optax.adam(3e-3)
    assert findings((model, weights), pixels, squares, x=pixels, optimizer=optimizer) == ()

    def step(carry, _):
        updates, state = optimizer.update(jax.grad(lambda w: squares(model(w, pixels), pixels))(carry[0]), carry[1])
        return (optax.apply_updates(carry[0], updates), state), None

    (weights, _), _ = jax.lax.scan(step, (weights, optimizer.init(weights)), length=200)
    outputs = model(weights, pixels)
    assert jnp.mean((outputs < 0.01) | (outputs > 0.99)) > 0.5  # sharp
    assert findings((model, weights), pixels, squares, x=pixels, optimizer=optimizer) == ()


def test_a_report_without_the_new_readings_has_no_finding_of_them():
    report = probe.read(network(CLASSES, SOFTMAX), (300 * X, LABELS), "cross_entropy", jacobian=False)
    old = dataclasses.replace(report, inputs=(), targets=None, outputs=None, loss_response=None, first_step=None)
    assert not {"inputs", "output-activation", "loss-at-start"} & {finding.kind for finding in diagnosis.explain(old)}


def test_effects_are_left_out_and_hints_explain_nothing():
    report = probe.read(network(CLASSES), (X, LABELS), "cross_entropy", jacobian=False)
    make = lambda kind, layers=(), hint=False: diagnosis.Finding(kind, layers, "", (), (), hint=hint)
    inputs, first, later = make("inputs"), make("initialisation", ("hidden",)), make("initialisation", ("a", "b", "c"))
    saturated = make("saturated-units")
    assert without_effects([inputs, first, later, saturated], report) == [inputs, later]
    hint = make("inputs", hint=True)
    assert without_effects([hint, first, saturated], report) == [hint, first, saturated]


@pytest.mark.parametrize(
    "family, design, form, kinds",
    [
        ("language", "tied embedding of 1", "linen", {"loss-at-start"}),
        ("language", "tied embedding of 1", "function", {"loss-at-start"}),
        ("language", "pre-norm language model", "function", set()),
        ("normalisation", "residual batch normalisation, twenty layers", "linen", set()),
    ],
)
def test_large_logits_are_judged_by_what_stands_behind_the_residual_stream(family, design, form, kinds):
    """A stream of twenty blocks is large and trains; one that a last normalisation brings to 1 leaves the weights to blame."""
    (program,) = (p for p in (*programs.faulty()[family], *programs.healthy()[family]) if (p.design, p.form) == (design, form))
    for seed in (777, 880):
        key = jax.random.key(seed)
        assert set(measurement.read(program, program.model(jax.random.fold_in(key, 0)), key).kinds) == kinds
