"""The network whose choices are data against the library's own models; ranges, parameters and the adding problem."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.remedies import adaptive, clipping, gains, initialisation, network, reach, sequences, training
from experiments.remedies.network import choice
from experiments.remedies.settings import Remedies
from experiments.study import profiles, rules
from experiments.study.digits import Digits
from experiments.study.measurement import Evidence, exact
from jaxnotes import datasets, meanfield
from jaxnotes.layers.activations import by_name, elu, relu, tanh
from jaxnotes.models.mlp import mlp_init
from jaxnotes.models.residual_network import residual_network
from jaxnotes.training import cross_entropy

pytestmark = pytest.mark.usefixtures("standard_promotion")


@pytest.mark.parametrize("activation", network.ACTIVATIONS)
def test_the_residual_choice_is_the_residual_network(key, activation):
    params = mlp_init(key, 5, 8, 3, 4)
    x = jax.random.normal(key, (6, 5))
    chosen = choice(activation, 1.0, shortcut=True, branch_scale=0.5)
    expected = residual_network(params, x, activation=by_name(activation), branch_scale=0.5)
    np.testing.assert_allclose(jax.jit(network.classifier)(chosen, params, x), expected, rtol=1e-5, atol=1e-6)


def test_normalised_units_have_the_moments_asked_for(key):
    h = 3 + 2 * jax.random.normal(key, (64, 32))
    # The identity is not among the activations; leaky ReLU is undone exactly.
    for norm, axis in (("batch", 0), ("layer", 1)):
        units = network.units(choice("leaky_relu", 1.0, norm=norm), h)
        normalised = np.where(units > 0, units, units / 0.01)
        np.testing.assert_allclose(normalised.mean(axis), 0, atol=2e-5)
        np.testing.assert_allclose(normalised.var(axis), 1, rtol=1e-3)


def test_predicted_gains_are_the_known_ones():
    depth = 40
    gain = lambda *a, **k: network.predicted_gain(choice(*a, **k), depth)
    steps = np.diff(gain("relu", 2.0, norm="batch"))
    np.testing.assert_allclose(steps[1:], np.log(np.pi / (np.pi - 1)) / 2, rtol=1e-9)  # Yang et al. 2019
    np.testing.assert_allclose(np.diff(gain("relu", 7.0, norm="layer"))[1:], 0, atol=1e-9)
    np.testing.assert_allclose(gain("relu", 8.0, shortcut=True), np.log(5) / 2 * np.arange(depth + 1), rtol=1e-9)
    for name, shortcut in (("tanh", False), ("elu", True)):
        scale = 1.0 if shortcut else None
        squared = meanfield.log_gradient_gain(by_name(name), 1.0, 1.5, 0.0, depth, branch_scale=scale)
        np.testing.assert_allclose(2 * gain(name, 1.5, shortcut=shortcut), squared, rtol=1e-9)
    beyond = network.predicted_gain(choice("elu", 8.0, shortcut=True), 80)  # a variance of 5^80, beyond the quadrature
    np.testing.assert_allclose(np.diff(beyond)[-1], np.log(5) / 2, rtol=1e-6)
    with pytest.raises(ValueError, match="too large"):
        meanfield.log_gradient_gain(elu, 1.0, 8.0, 0.0, 80, branch_scale=1.0)


def test_measured_gains_agree_with_the_prediction(key):
    choices = [choice("tanh", 1.5), choice("relu", 8.0, norm="layer"), choice("relu", 0.5, shortcut=True)]
    keys = jax.random.split(key, 6)
    logs = gains.log_gradients(network.stacked(choices), keys, width=96, depth=12, batch=32)
    for chosen, of_choice in zip(choices, np.asarray(logs), strict=True):
        found = profiles.slope(of_choice)
        margin = 4 * found.std(ddof=1) / np.sqrt(len(found)) + 2 / 96  # the correction of finite width is of order 1/width
        assert abs(found.mean() - network.predicted_gain(chosen, 12)[-1] / 12) < margin


def test_the_adding_problem_asks_for_the_sum_of_the_marked_numbers(key):
    x, answers = clipping.adding_problem(key, 2000, 10)
    marks = np.asarray(x[..., 1])
    np.testing.assert_array_equal(marks[:, :5].sum(1), 1)
    np.testing.assert_array_equal(marks[:, 5:].sum(1), 1)
    np.testing.assert_allclose(answers, (x[..., 0] * marks).sum(1), rtol=1e-6)
    assert abs(np.var(answers) - clipping.CHANCE) < 0.02


def test_the_recurrent_loss_is_the_loop(key):
    params = clipping.network_init("rnn", key, 6, 2.0)
    weight = params["recurrent"]["recurrent"]["weight"]
    np.testing.assert_allclose(weight @ weight.T, 4 * np.eye(6), atol=1e-5)
    x, answers = clipping.adding_problem(key, 3, 7)
    h = np.zeros((3, 6))
    for t in range(7):
        h = np.tanh(x[:, t] @ params["recurrent"]["input"]["weight"] + h @ weight)
    expected = np.mean(((h @ params["output"]["weight"])[:, 0] - answers) ** 2)
    np.testing.assert_allclose(clipping.loss("rnn", params, (x, answers)), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", clipping.KINDS)
def test_gradients_explode_and_clipping_bounds_them(key, kind):
    settings = Remedies.preset("quick")
    found = jax.tree.map(float, clipping.bounded(settings, kind, key))
    assert found["norm"] > 10 * settings.clip_limit
    assert found["entry-value"] == settings.clip_limit and found["norm-norm"] == pytest.approx(settings.clip_limit)
    assert found["cosine-norm"] == pytest.approx(1, abs=1e-5) and found["cosine-value"] < 0.9999
    assert clipping.vanishing_change(settings, key) == 0


def test_the_recurrent_slope_follows_the_state_from_zero():
    # At one step the state is 0 and the gradient passes W and the slope at the input's variance.
    first = 0.5 * np.log(meanfield.chi(tanh, 9.0, 0.0, q=sequences.RNN_INPUT))
    assert sequences.mean_field_slope(9.0, 1) == pytest.approx(first)
    last = 0.5 * np.log(meanfield.chi(tanh, 9.0, sequences.RNN_INPUT))  # at the fixed point
    assert sequences.mean_field_slope(9.0, 2000) == pytest.approx(last, abs=2e-3)
    # A wide network with one matrix for all its few steps is as independent ones are.
    assert sequences.tied_slope(9.0, 8, 400, 4, networks=6) == pytest.approx(sequences.mean_field_slope(9.0, 4), abs=0.03)


CLIPPED = {f"{name}-{kind}": v for kind in ("rnn", "lstm") for name, v in (("explosion", 3.0), ("entry", 5.0), ("norm", 5.0))}
CLIPPED |= {"cosine-norm-rnn": 1.0, "cosine-norm-lstm": 1.0}


@pytest.mark.parametrize(
    ("change", "verdict"),
    [({}, "holds"), ({"entry-rnn": 9.0, "norm-rnn": 9.0}, "fails"), ({"explosion-lstm": 0.5}, "undecided")],
)
def test_clipping_is_judged_by_what_it_bounds(judged, change, verdict):
    assert judged("remedies.clip", CLIPPED | change, half=0.0) == verdict


EASED = {
    "relief-relu-small": 0.68,
    "relief-relu-large": 0.68,
    "relief-tanh-large": 0.2,
    "relief-rnn-small": 0.5,
    "relief-rnn-large": 0.22,
    "relief-transformer": 0.7,
    "relief-sigmoid": 0.5,
    "slope-sigmoid": -0.95,
    "relief-tanh": -0.06,
    "slope-tanh": 0.08,
    "accuracy-gain-sigmoid": -0.01,
}


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "holds-if"),
        ({"slope-sigmoid": -0.01, "relief-tanh": 0.05, "accuracy-gain-sigmoid": 0.5}, "holds"),
        ({"relief-relu-large": -0.5, "relief-rnn-large": -0.1}, "fails"),
        ({"relief-rnn-large": 0.01}, "undecided"),
    ],
)
def test_layer_normalisation_is_judged_by_every_activation(judged, change, verdict):
    assert judged("remedies.layer-norm", EASED | change) == verdict


def test_the_trained_range_is_the_unbroken_one_around_scale_one():
    exponents = np.arange(-3, 4)
    losses = np.asarray([1.0, 2.0, 1.05, 1.0, 1.0, np.inf, 1.0])
    assert adaptive.trained_range(losses, exponents) == (-1, 1)
    assert adaptive.trained_range(np.ones(7), exponents) == (-3, 3)


def test_equal_parameters_counts_what_the_model_has(key):
    width = network.equal_parameters(12, 10, 16, 9, 2)
    count = lambda w, depth: sum(leaf.size for leaf in jax.tree.leaves(mlp_init(key, 12, w, depth, 10)))
    assert network.parameters(12, 10, 16, 9) == count(16, 9)
    distance = [abs(count(w, 2) - count(16, 9)) for w in (width - 1, width, width + 1)]
    assert distance[1] == min(distance)


def test_the_phase_diagram_changes_sign_at_the_critical_line(key):
    settings = Remedies.preset("quick", phase_points=4, width=96, phase_depth=20)
    found = initialisation.phase_diagram(settings, key)
    for row, bias in enumerate(found["phase-biases"]):
        critical = meanfield.critical_weight_variance(tanh, bias)
        for column, variance in enumerate(found["phase-weights"]):
            if abs(variance - critical) > 0.5:
                assert (found["phase-slopes"][row, column] > 0) == (variance > critical)


def test_the_spread_of_he_networks_follows_depth_over_width(key):
    settings = Remedies.preset("quick", spread_groups=6, spread_networks=48)
    measured, _ = initialisation.spread(settings, "narrow", 32, key)
    assert measured.low < measured.prediction < measured.high
    first_order = meanfield.log_norm_variance(relu, 2.0, 0.0, 20, 32) / 4
    assert first_order == pytest.approx(5 / 4 * 20 / 32, rel=1e-9)  # Hanin and Nica 2020
    assert first_order < measured.prediction < 1.2 * first_order


@pytest.mark.parametrize("width", (24, 64))
def test_a_layer_s_log_norm_has_the_exact_moments(width):
    """Forwards, of drawn layers; and −5/(4n) and 5/(4n) at large width."""
    rng = np.random.default_rng(3)
    logs = 0.5 * np.log(2 / width * np.sum(np.maximum(rng.standard_normal((100_000, width)), 0) ** 2, axis=1))
    mean, variance = initialisation.log_norm_step(width)
    assert abs(logs.mean() - mean) < 4 * logs.std() / 100_000**0.5
    assert logs.var() == pytest.approx(variance, rel=0.05)
    np.testing.assert_allclose(np.asarray(initialisation.log_norm_step(4000)) * 4000, (-1.25, 1.25), rtol=2e-3)


def test_critical_variances_are_those_of_the_theory():
    for name, variance in gains.CRITICAL.items():
        assert meanfield.critical_weight_variance(by_name(name), 0.0) == pytest.approx(variance, rel=1e-6)


def test_the_predicted_gain_of_batch_normalisation_knows_the_batch():
    steps = np.diff(network.predicted_gain(choice("relu", 2.0, norm="batch"), 5, batch=16))
    np.testing.assert_allclose(np.exp(2 * steps[1:]), meanfield.batch_norm_gain(relu, 16), rtol=1e-9)


def test_few_layers_see_few_neighbours(key):
    """Whoever sees the sum of the nearest is right as often as the bound says, and a network sees no further."""
    x, labels = reach.examples(key, 2000)
    seen = sum(np.roll(x[..., 0], shift, axis=1) for shift in range(-3, 4))
    assert np.mean((seen > 0) == labels) == pytest.approx(reach.best_accuracy(3), abs=0.01)
    assert reach.best_accuracy(reach.REACH) == 1.0
    params = reach.network_init(key, 4, 3)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == reach.parameters(4, 3)
    reached = jax.grad(lambda x: jnp.sum(reach.network(params, x)[0, 10] ** 2))(x[:1])[0, :, 0]
    np.testing.assert_array_equal(np.flatnonzero(reached), range(7, 14))


# What decides each rule, by claim: a measurement, and its values for each verdict.
RULES = {
    "remedies.he": ("accuracy-he", {"holds": 0.95, "undecided": 0.84, "fails": 0.5}),
    "remedies.xavier": ("lead-sigmoid-middle", {"holds": 0.0, "holds-if": -0.6, "undecided": -0.06}),
    "remedies.nonsaturating": ("relief-tanh", {"holds": 0.3, "holds-if": 0.02, "undecided": 0.09}),
    "remedies.batch-norm": ("slope-relu", {"holds": 0.0, "holds-if": 0.19, "undecided": 0.11}),
    "remedies.shallower": ("accuracy-gain-relu", {"holds": 0.0, "fails": -0.3}),
    "remedies.residual": ("relief-large", {"holds": 0.3, "holds-if": -0.1}),
    "remedies.adaptive": ("accuracy-gain-adam-many", {"holds": 0.8, "holds-if": 0.0}),
}


@pytest.mark.parametrize("claim", RULES)
def test_each_rule_on_made_up_evidence(claim):
    """All other measurements are as the verdict wants them."""
    rule = rules.load_claims("remedies")[claim]
    deciding, cases = RULES[claim]
    for verdict, value in cases.items():
        values = _as_wanted(rule, "fails" if verdict == "fails" and "holds-if" in rule.criteria else verdict, deciding)
        values[deciding] = (value, value)
        if claim == "remedies.he" and verdict == "fails":
            values["gradient-slope-he"] = (-1.0, 0.0)
        evidence = Evidence(tuple(exact(name, v, prediction=p) for name, (v, p) in values.items()))
        with_texts = rule._replace(condition={}, counterexample={}, published=())
        assert rules.judge(with_texts, evidence, {}).verdict == verdict, (claim, verdict)


def _as_wanted(rule, verdict: str, deciding: str) -> dict:
    """Returns (value, prediction) by name that meet the criteria of a verdict's list, and 0 of what it does not name."""
    matches = [rules.parse(c) for listed in rule.criteria.values() for c in listed]
    names = {match["name"] for match in matches} | {match["value"] for match in matches if match["value"][0].isalpha()}
    values = dict.fromkeys(sorted(names - {"prediction"}), (0.0, 0.0))
    for criterion in rule.criteria.get(verdict, rule.criteria["holds"]):
        match = rules.parse(criterion)
        try:
            bound = float(match["value"])
        except ValueError:
            bound = 0.0
        shift = {"above": 0.05, "below": -0.05}.get(match["relation"], 0.0)
        value = values[match["name"]][0]
        if shift and (value - bound) * shift <= 0:
            value = bound + shift
        values[match["name"]] = (value, value)
    return values


def test_a_slope_and_a_change_of_the_grid_are_those_of_its_logs():
    sigmoid, depths = choice("sigmoid", 1.0), (3, 6)
    lines = {depth: {sigmoid: np.log(10) * np.outer([1.0, 2.0], np.arange(depth + 1))} for depth in depths}
    found = gains.Gains(lines, {sigmoid: -np.log(4) * np.arange(7)})
    slope, change = found.slope("slope", sigmoid), found.change("change", sigmoid)
    np.testing.assert_allclose([slope.value, slope.prediction], [-1.5 * np.log(10), -np.log(4)])
    np.testing.assert_allclose([change.value, change.prediction], [-9, -6 * np.log10(4)])
    assert found.deepest == 6


def test_the_library_s_residual_network_is_what_a_run_starts_from(key):
    """The losses of the first step, of the weights that the choice scales and the examples of the run's key."""
    key_images, key_labels, key_run = jax.random.split(key, 3)
    examples = jax.random.normal(key_images, (12, training.PIXELS)), jax.random.randint(key_labels, (12,), 0, 4)
    chosen, size = choice("relu", 8.0, shortcut=True, branch_scale=0.5), {"width": 8, "depth": 3}
    found = training.run(chosen, Digits(*[examples] * 3), jnp.float32(1e-3), key_run, steps=10, batch=6, **size)
    key_params, key_batches = jax.random.split(key_run)
    drawn = network.classifier_init(key_params, choice("relu", 1.0), n_in=training.PIXELS, n_out=training.CLASSES, **size)
    drawn["hidden"]["weight"] *= 8.0**0.5
    images, labels = (values[datasets.minibatch_indices(key_batches, 12, 6, 10)[0]] for values in examples)
    logits = residual_network(drawn, images, activation=relu, branch_scale=0.5)
    np.testing.assert_allclose(found.losses[0], cross_entropy(logits, labels), rtol=1e-5)
    assert found.losses.shape == (10,)
    assert found.validation == found.test  # the same examples


def test_a_network_that_is_not_finite_has_the_worst_score(key):
    examples = jnp.full((12, training.PIXELS), jnp.inf), jnp.zeros(12, jnp.int32)
    size = {"width": 8, "depth": 30, "steps": 10, "batch": 6}
    found = training.run(choice("relu", 8.0), Digits(*[examples] * 3), jnp.float32(1e-3), key, **size)
    assert found.validation == -np.inf


def test_a_gradient_s_scale_is_a_learning_rate_to_sgd_and_nothing_to_adam(key):
    settings = Remedies.preset("quick", adaptive_steps=10, train_batch=6)
    examples = jax.random.normal(key, (12, training.PIXELS)), jnp.arange(12) % 4
    data = Digits(*[examples] * 3)

    def losses(name: str, rate: float, exponent: float) -> jax.Array:
        return adaptive.run(data, jnp.float32(rate), jnp.float32(exponent), key, name=name, settings=settings).losses

    np.testing.assert_allclose(losses("sgd", 0.01, 1.0), losses("sgd", 0.1, 0.0), rtol=1e-4)
    for name in ("rmsprop", "adam"):
        np.testing.assert_allclose(losses(name, 0.01, 3.0), losses(name, 0.01, 0.0), rtol=1e-3)


def test_clipping_below_the_limit_is_no_clipping(key):
    settings = Remedies.preset("quick", clip_step_limit=1e6, clip_steps=20, clip_width=8, clip_time=5)
    keys = jax.random.split(key, 2)
    none, value, norm = (clipping.losses("rnn", form, jnp.float32(0.01), keys, settings=settings) for form in range(3))
    assert none.shape == (2, 20)
    np.testing.assert_allclose(value, none, rtol=1e-6)
    np.testing.assert_allclose(norm, none, rtol=1e-6)


@pytest.mark.parametrize("form, clip", [(1, optax.clip), (2, optax.clip_by_global_norm)])
def test_the_gradient_is_clipped_before_the_momentum_and_the_rate(key, form, clip):
    """As Optax's own chain does it: behind them the limit would bound the step and not the gradient."""
    settings = Remedies.preset("quick", clip_step_limit=0.01, clip_steps=10, clip_width=4, clip_time=3)
    found = clipping.losses("rnn", form, jnp.float32(0.5), key[None], settings=settings)[0]
    key_params, key_batches = jax.random.split(key)
    optimizer = optax.chain(clip(0.01), optax.sgd(0.5, momentum=0.9))
    params = clipping.network_init("rnn", key_params, 4, clipping.KINDS["rnn"].trained)
    state, expected = optimizer.init(params), []
    for key_step in jax.random.split(key_batches, 10):
        batch = clipping.adding_problem(key_step, settings.clip_batch, 3)
        value, gradient = jax.value_and_grad(lambda p, batch=batch: clipping.loss("rnn", p, batch))(params)
        updates, state = optimizer.update(gradient, state)
        params = optax.apply_updates(params, updates)
        expected.append(value)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
