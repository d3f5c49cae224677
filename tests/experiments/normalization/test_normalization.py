"""What the question normalization builds on: gains of known stacks, distances of known distributions, steps to a target."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.normalization import drift, formula, gradients, inputs, network, rates, saturation, shift, stacks, training
from experiments.normalization.network import Shape
from experiments.normalization.settings import Normalization
from experiments.study import digits, rules, tuning
from experiments.study.measurement import Evidence, Fit, Search, interval
from jaxnotes import datasets, meanfield
from jaxnotes.layers.activations import relu, sigmoid

pytestmark = pytest.mark.usefixtures("standard_promotion")

TINY = {
    "train_steps": 20,
    "rate_steps": 20,
    "rate_full_steps": 20,
    "channel_steps": 20,
    "channel_rate_steps": 20,
    "points": 2,
    "rate_depth": 1,
}
SMALL = Normalization.preset("quick", **TINY, train_width=8, train_batch=16, train_depth=2)


@pytest.fixture
def one_thread(monkeypatch):
    """The promotion that `standard_promotion` sets does not reach other threads."""
    for module in (rates, tuning):
        monkeypatch.setattr(module, "side_by_side", lambda run, items: [run(item) for item in items])


def test_the_scales_of_relu_stacks_drift_as_he_et_al_say(key):
    keys, among = jax.random.split(key, 6), ("plain-relu", "relu")
    for weight_variance in (1.0, 4.0):
        activations, gradient = stacks.log_scales("plain-relu", weight_variance, (256, 16, 20), keys, among)
        expected = 19 / 2 * np.log(weight_variance / 2)
        assert abs((activations[:, -1] - activations[:, 1]).mean() - expected) < 0.5
        assert abs((gradient[:, 1] - gradient[:, -1]).mean() - expected) < 0.5
    activations, _ = stacks.log_scales("relu", 4.0, (256, 16, 20), keys, among, 5.0)
    np.testing.assert_allclose(activations[:, 1:], 0.5 * np.log(0.5), atol=0.03)  # E relu(z)² of a standard normal z
    np.testing.assert_allclose(activations[:, 0], np.log(5.0), atol=0.05)  # the input itself


def test_stable_activations_with_gradients_that_are_not(key):
    settings = Normalization.preset("quick", drift_width=64, drift_batch=16, drift_depth=8, seeds=3)
    evidence = drift.implication(settings, key)["normalization.implication"]
    for name in ("batch-norm", "plain-sigmoid", "layer-norm-sigmoid", "layer-norm-relu"):
        change = evidence[f"gradient-change-{name}"]
        assert abs(evidence[f"activation-change-{name}"].value) < 0.1
        assert abs(change.value - change.prediction) < 0.1 * abs(change.prediction) + 0.2


def test_the_gain_of_a_straight_line_is_its_slope():
    logs = -0.5 * np.log(1.5) * np.arange(11)[None]
    np.testing.assert_allclose(gradients.gain(logs, (2, 9)), 1.5)


def test_the_linear_network_with_batch_norm_has_its_exact_gain(key):
    keys = jax.random.split(key, 6)
    logs = stacks.log_scales("linear", 1.0, (128, 16, 12), keys)[1]
    found = gradients.gain(logs, (4, 10))
    # (B − 2)/(B − 3) at infinite width, Yang et al. (2019)
    assert abs(found.mean() - 14 / 13) < 3 * found.std(ddof=1) / np.sqrt(6) + 0.03


def test_a_shared_program_gives_what_a_layer_of_its_own_gives(key):
    keys, among = jax.random.split(key, 2), ("relu", "residual", "plain-sigmoid")
    for layer in among:
        alone = stacks.log_scales(layer, 2.0, (16, 8, 4), keys)
        shared = stacks.log_scales(layer, 2.0, (16, 8, 4), keys, among)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), shared, alone)


def test_the_gradient_s_norms_are_those_of_plain_differentiation(key):
    """Of a ReLU stack with batch normalisation whose only gain is known in closed form: layer 0 sees the Gaussian input."""
    logs = stacks.log_scales("relu", 2.0, (512, 256, 2), jax.random.split(key, 3))[1]
    assert abs(gradients.gain(logs, (0, 1)).mean() / 0.5 - 1) < 0.05
    assert abs(gradients.gain(logs, (1, 2)).mean() / (np.pi / (np.pi - 1)) - 1) < 0.05


def test_residual_gains_fall_towards_one():
    first, last = (gradients.residual_prediction(w, 64) for w in ((0, 4), (60, 64)))
    assert 1 < last < 1.03 < first < 1.6
    # A large batch: 1 + g / (g + l) with g = π/(π − 1), after De and Smith (2020).
    g = np.pi / (np.pi - 1)
    assert gradients.residual_prediction((3, 4), 10**6) == pytest.approx(1 + g / (g + 3), rel=1e-4)


def test_predicted_gains_are_those_of_their_sources():
    assert gradients.prediction("linear", (4, 16), 10)[0] == pytest.approx(8 / 7)  # (B − 2)/(B − 3), Yang et al. (2019)
    assert gradients.prediction("layer-norm", (4, 16), 10)[0] == pytest.approx(1)
    # An odd activation has mean 0: layer normalisation divides by what batch normalisation of a large batch divides by.
    assert gradients.prediction("layer-norm-tanh", (4, 16), 10)[0] == pytest.approx(meanfield.batch_norm_gain(jnp.tanh))


def test_the_variance_behind_batch_normalisation_of_few_examples(key):
    assert formula.output_variance(1e6, 8) == pytest.approx(1)
    x = 1e-5**0.5 * np.random.default_rng(1).standard_normal((8, 200_000))
    seen = (x.var(0) / (x.var(0) + 1e-5)).mean()
    assert formula.output_variance(1e-5, 8) == pytest.approx(seen, abs=2e-3) and seen < 0.46


def test_input_drift_of_known_distributions(key):
    before = jax.random.normal(key, (2, 4000, 5))
    np.testing.assert_allclose(shift.input_drift(before, before), 0, atol=1e-6)
    np.testing.assert_allclose(shift.input_drift(before, before + 3.0), 3.0, rtol=0.05)
    # Wasserstein distance of N(0, 1) and N(0, 4) is 1.
    np.testing.assert_allclose(shift.input_drift(before, 2 * before), 1.0, rtol=0.05)


def test_steps_to_a_target():
    settings = Normalization.preset("quick", target_loss=1.0)
    losses = np.stack([np.linspace(3, 0, 61), np.full(61, 2.0), np.full(61, np.nan)])
    steps = rates.steps_to(settings, losses)
    assert steps[1] == steps[2] == 61
    means = np.convolve(losses[0], np.ones(10) / 10, "valid")
    assert abs(steps[0] - (np.argmax(means < 1.0) + 10)) <= 1


def test_a_run_that_comes_down_sooner_scores_higher():
    losses = np.stack([np.linspace(2, 0, 9), np.r_[2, np.zeros(8)], np.r_[np.ones(8), np.nan]])
    slow, fast, never = rates.speed_score(losses)
    assert fast > slow == -1 and never == -np.inf


def test_the_largest_rate_that_trains_and_what_a_missed_target_counts():
    losses, fit = np.array([[0.3, 0.2, np.inf], [0.3, 2.2, 2.3], [2.3, 2.3, np.inf]]), Fit("fits", 1.0, 0.0, True)
    search = Search(rate=1.0, rates=(0.1, 1.0, 10.0), scores=((-3.0,), (-2.0,), (-9.0,)), inside=True)
    plain = rates.Swept(losses, search, np.array([100.0, 100.0, 40.0]), 100, fit)
    np.testing.assert_array_equal(plain.largest_rate(), [1.0, 0.1, 0.1])
    normalised = plain._replace(losses=np.full((3, 3), 0.2), steps=np.array([10.0, 10.0, 4.0]))
    change, faster = rates._changes(SMALL, "relu", plain, normalised)
    assert faster.value == pytest.approx(1) and change.value == pytest.approx((1 + 2 + 2) / 3)
    assert rates._limits(SMALL, "plain-relu", plain)[2].value == pytest.approx(1 / 3)  # two missed the target


@pytest.mark.parametrize(
    "activation, kind", [(relu, "plain"), (sigmoid, "plain"), (relu, "normalised"), (sigmoid, "normalised")]
)
def test_the_forward_pass_is_the_network_of_its_arm(key, activation, kind):
    arm = network.arm(activation, 1.5, kind)
    params = network.init(arm, key, 12, Shape(8, 3))
    x = jax.random.normal(key, (16, 12))
    h, seen = x, []
    for layer in [params["input"], *(jax.tree.map(lambda p, i=i: p[i], params["hidden"]) for i in range(3))]:
        seen.append(h)
        z = h @ layer["weight"] + layer["bias"]
        if kind == "normalised":
            z = (z - z.mean(0, keepdims=True)) / jnp.sqrt(z.var(0, keepdims=True) + 1e-5)
        h = activation(z)
    passed = network.forward(arm, params, x, None)
    np.testing.assert_allclose(passed.logits, h @ params["output"]["weight"] + params["output"]["bias"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(passed.inputs, np.stack(seen[1:]), rtol=1e-4, atol=1e-5)


def test_plain_sgd_is_what_the_training_does(key):
    data = images, labels = digits.load(0).train
    arm = network.arm(relu, 1.0, "normalised")

    def read(moment, _):
        return moment.passed.logits.sum(), moment.moved["output"]["bias"]

    frozen, moving = (
        training.train(arm, data, jnp.float32(rate), key, settings=SMALL, shape=Shape(8, 2), read=read) for rate in (0.0, 0.1)
    )
    assert frozen.losses.shape == (20,) and frozen.readings[0].shape == (2,)
    key_params, key_batches, _ = jax.random.split(key, 3)
    indices = datasets.minibatch_indices(key_batches, len(labels), 16, 20)
    params = start = network.init(arm, key_params, 196, Shape(8, 2))

    @jax.jit
    def step(params, chosen):
        batch = images[chosen], labels[chosen]
        loss, gradient = jax.value_and_grad(lambda p: network.loss(arm, p, batch, None)[0])(params)
        return loss, jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient)

    expected, biases = [], []
    for chosen in indices:
        loss, params = step(params, chosen)
        expected.append(loss)
        biases.append(params["output"]["bias"])
    np.testing.assert_allclose(moving.losses, expected, rtol=1e-3)
    np.testing.assert_allclose(moving.readings[1], np.stack([biases[0], biases[10]]), rtol=1e-2, atol=1e-4)
    np.testing.assert_allclose(frozen.losses, [step(start, i)[0] for i in indices], rtol=1e-5)
    logits = network.forward(arm, start, images[indices[10]], None).logits
    np.testing.assert_allclose(frozen.readings[0][1], logits.sum(), rtol=1e-4)


def test_an_arm_at_another_rate_is_paired_with_itself(key, one_thread):
    """Runs of one key and rate are the same runs, however the rate was found."""
    data, arm = digits.load(0).train, network.arm(sigmoid, 1.0, "plain")
    options = {"read": saturation.read_saturation}
    found = training.train_arm(SMALL, arm, data, key, **options)
    again = training.train_arm(SMALL, arm, data, key, **options, rates=(found.rate,))
    np.testing.assert_array_equal(found.runs.losses, again.runs.losses)
    assert found.runs.losses.shape == (2, 20) and found.runs.readings.shape == (2, 2)
    assert (found.runs.losses[0] != found.runs.losses[1]).any()


def test_the_sweep_runs_every_seed_at_every_rate_and_chooses_on_the_tuning_seeds(key, one_thread):
    settings = Normalization.preset("quick", **TINY, train_width=8, target_loss=2.2)
    swept = rates.sweep(settings, network.arm(relu, 2.0, "plain"), Shape(8, 1), (1e-6, 0.3, 1e9), digits.load(0).train, key)
    assert swept.losses.shape == (settings.rate_seeds, 3) and swept.steps.shape == (settings.rate_seeds,)
    assert swept.search.rate == 0.3 and len(swept.search.scores[0]) == settings.tuning_seeds
    assert (swept.losses[:, 2] > 100).all() and (swept.steps < 20).all() and swept.fit.train_accuracy > 0.2
    np.testing.assert_allclose(swept.losses[:, 0], np.log(10), rtol=0.5)  # untrained


@pytest.mark.parametrize("kind", ("plain", "normalised"))
def test_the_convolutional_network_is_what_its_layers_say(key, kind):
    arm, shape = network.arm(relu, 2.0, kind), Shape(3, 2, convolutional=True)
    params = network.init(arm, key, 36, shape)
    x = jax.random.normal(key, (5, 36))

    def convolved(h, layer, stride):
        options = {"window_strides": (stride, stride), "padding": "SAME", "dimension_numbers": ("NHWC", "HWIO", "NHWC")}
        z = jax.lax.conv_general_dilated(h, layer["weight"], **options) + layer["bias"]
        if kind == "normalised":
            z = (z - z.mean((0, 1, 2))) / jnp.sqrt(z.var((0, 1, 2)) + 1e-5)
        return relu(z)

    h = convolved(x.reshape(5, 6, 6, 1), params["input"], 2)
    for i in range(2):
        h = convolved(h, jax.tree.map(lambda p, i=i: p[i], params["hidden"]), 1)
    expected = h.reshape(5, -1) @ params["output"]["weight"] + params["output"]["bias"]
    np.testing.assert_allclose(network.forward(arm, params, x).logits, expected, rtol=1e-3, atol=1e-4)


def test_running_statistics_of_the_same_images_are_those_of_the_batch(key):
    arm = network.arm(relu, 2.0, "normalised")
    params, x = network.init(arm, key, 12, Shape(8, 3)), jax.random.normal(key, (64, 12))
    state = network.statistics(arm, params, x)
    batch, running = (network.forward(arm, params, x, statistics=s).logits for s in (None, state))
    np.testing.assert_allclose(running, batch, rtol=1e-3, atol=1e-4)
    # By running statistics, all behind the first layer is scaled with the input; by the batch's own nothing is.
    tenfold, still = (network.forward(arm, params, 1e3 * x, statistics=s).pre_activations for s in (state, None))
    assert jnp.abs(tenfold).mean() > 100 * jnp.abs(still).mean() and jnp.abs(still).mean() < 2


def test_growth_of_inputs_that_change(key):
    """Untrained: a plain ReLU network is linear in the input's scale, one with the batch's statistics does not see it."""
    images, labels = jax.random.normal(key, (1000, 12)), jnp.zeros(1000, jnp.int32)
    at = inputs.CHANGES.index((10.0, 0.0))
    for kind, running, expected in (("plain", False, 1.0), ("normalised", False, 0.0), ("layer-normalised", False, 0.0)):
        arm = network.arm(relu, 2.0, kind)
        params = network.init(arm, key, 12, Shape(8, 3))
        growth, accuracy = inputs._seen(arm, params, images, (images, labels), running=running)
        assert abs(float(growth[at]) - expected) < 0.01 and accuracy.shape == (len(inputs.CHANGES),)


RULES = rules.load_claims("normalization")


def judged(claim: str, values: dict[str, float], spread: float) -> str:
    """The verdict that made-up measurements of a spread bring."""
    made = [interval(name, np.asarray([value - spread, value + spread])) for name, value in values.items()]
    claim = RULES[f"normalization.{claim}"]._replace(condition={}, counterexample={}, published=())
    return rules.judge(claim, Evidence(tuple(made)), {}).verdict


@pytest.mark.parametrize(
    "gradient, sigmoid_gradient, spread, verdict",
    ((4.0, -30.0, 1e-3, "fails"), (0.1, 0.1, 1e-3, "holds"), (1.5, -30.0, 1e-3, "undecided"), (2.5, -30.0, 0.3, "undecided")),
)
def test_the_rule_of_the_implication(gradient, sigmoid_gradient, spread, verdict):
    names = ("batch-norm", "plain-sigmoid", "layer-norm-sigmoid")
    values = {f"activation-change-{name}": 0.0 for name in names}
    values |= dict(zip((f"gradient-change-{name}" for name in names), (gradient, *[sigmoid_gradient] * 2), strict=True))
    values_spread = {name: spread if "gradient" in name else 1e-4 for name in values}
    made = tuple(interval(n, np.asarray([v - values_spread[n], v + values_spread[n]])) for n, v in values.items())
    claim = RULES["normalization.implication"]._replace(counterexample={})
    assert rules.judge(claim, Evidence(made), {}).verdict == verdict


@pytest.mark.parametrize(
    "batch, running, spread, verdict",
    ((0.0, 1.0, 1e-3, "holds-if"), (0.0, 0.0, 1e-3, "holds"), (1.0, 1.0, 1e-3, "fails"), (0.0, 1.0, 0.1, "undecided")),
)
def test_the_rule_of_the_inputs(batch, running, spread, verdict):
    values = {"growth-batch": batch, "growth-layer": batch, "growth-running": running, "growth-running-scale": running}
    assert judged("inputs", values | {"growth-running-shift": running, "growth-plain-scale": 1.0}, spread) == verdict


def test_noise_has_the_moments_it_is_said_to_have(key):
    z = jnp.ones((20_000, 6))
    found = network.noise(key, z)
    # s + m per example and unit: variance 0.1² of s and 0.2²/12 of m about means that are drawn per unit.
    np.testing.assert_allclose(found.var(0), 0.1**2 + 0.2**2 / 12, rtol=0.05)
    assert (found.mean(0) > 0.49).all() and (found.mean(0) < 1.76).all() and found.mean(0).std() > 0.05
    assert jnp.abs(network.noise(jax.random.fold_in(key, 1), z).mean(0) - found.mean(0)).max() > 0.05


def test_the_running_variances_settle_at_their_limits(key):
    normalising, biased, unbiased = formula.running(2048, 8, 60, key)
    assert abs(np.mean(normalising) - 7 / 8) < 0.01 and abs(np.mean(biased[40:]) - 7 / 8) < 0.01
    assert abs(np.mean(unbiased[40:]) - 1) < 0.01
