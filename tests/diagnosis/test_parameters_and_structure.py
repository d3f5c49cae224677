"""Faults of parameters and of how layers are put together, each beside a healthy twin."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxnotes import diagnosis, probe

pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]
EXAMPLES, INPUTS, WIDTH, CLASSES = 32, 12, 24, 5


@pytest.fixture
def batch(key):
    return jax.random.normal(jax.random.fold_in(key, 1), (EXAMPLES, INPUTS)), jnp.arange(EXAMPLES) % CLASSES


@pytest.fixture
def weights(key):
    sizes = (INPUTS, WIDTH, WIDTH, WIDTH, CLASSES)
    keys = jax.random.split(key, 4)
    drawn = [jax.random.normal(k, (a, b)) * (2 / a) ** 0.5 for k, a, b in zip(keys, sizes, sizes[1:], strict=False)]
    return {str(i): w for i, w in enumerate(drawn)}


def network(*between, last=lambda h: h):
    """A plain function: product, tap, and what is between one layer and the next."""

    def model(parameters, x):
        for i, f in enumerate(between):
            x = f(probe.tap(str(i), x @ parameters[str(i)]))
        return last(probe.tap(str(len(between)), x @ parameters[str(len(between))]))

    return model


def explained(model, batch, loss="cross_entropy", **options):
    return diagnosis.explain(probe.read(model, batch, loss, **{"jacobian": False, **options}))


def one(findings, kind):
    """The one finding of a kind."""
    (found,) = [found for found in findings if found.kind == kind]
    return found


HEALTHY = network(jax.nn.relu, jnp.tanh, jax.nn.gelu)
IDENTITY = network(*[lambda h: h] * 3)


def straight_through(h):
    return h + jax.lax.stop_gradient(jnp.round(h) - h)


@jax.custom_vjp
def own_rule(h):
    return jnp.round(h)


own_rule.defvjp(lambda h: (jnp.round(h), None), lambda _, g: (g,))


def test_a_healthy_network_has_no_finding(weights, batch):
    report = probe.read((HEALTHY, weights), batch, "cross_entropy", jacobian=False, optimizer=optax.adam(1e-3))
    assert diagnosis.explain(report) == ()
    assert report.linearity == probe.Linearity(False, 3)
    assert all(p.multiplies and not p.cut and not p.stuck and not p.still and p.equal_units == 0 for p in report.parameters)


@pytest.mark.parametrize(
    ("between", "cut"),
    [(jax.lax.stop_gradient, "stop_gradient"), (jnp.round, "round"), (lambda h: jax.nn.one_hot(h.argmax(1), WIDTH), "argmax")],
)
def test_what_cuts_the_gradient_is_named(weights, batch, between, cut):
    report = probe.read((network(jax.nn.relu, between, jax.nn.relu), weights), batch, "cross_entropy", jacobian=False)
    found = one(diagnosis.explain(report), "no-gradient")
    assert found.layers == ("0", "1") and cut in found.evidence and not found.hint
    assert [p.gradient_rms for p in report.parameters[:2]] == [0, 0]


@pytest.mark.parametrize("between", [straight_through, own_rule])
def test_a_straight_through_estimator_is_no_fault(weights, batch, between):
    assert explained((network(jax.nn.relu, between, jax.nn.relu), weights), batch) == ()


def test_a_layer_that_nothing_uses_is_named(weights, batch):
    found = one(explained((HEALTHY, {**weights, "spare": jnp.ones((3, 3))}), batch), "no-gradient")
    assert found.layers == ("spare",) and "does not depend on them" in found.evidence


def test_a_loss_that_is_flat_sends_no_gradient(weights, batch):
    constant = lambda outputs, targets: jnp.mean(jnp.clip(outputs, 1e3, 2e3))
    found = one(explained((HEALTHY, weights), batch, constant), "no-gradient")
    assert len(found.layers) == 4 and "flat at these outputs" in found.evidence and not found.hint


def test_weights_that_start_at_zero_hold_gradients_back_for_a_step_only(weights, batch):
    report = probe.read((HEALTHY, {**weights, "3": weights["3"] * 0}), batch, "cross_entropy", jacobian=False)
    assert report.parameters[0].gradient_rms == 0 and not any(p.stuck for p in report.parameters)
    assert diagnosis.explain(report) == ()


def test_parameters_that_the_optimiser_leaves_alone_are_named(weights, batch):
    mask = {name: name != "1" for name in weights}
    freeze = lambda masked: optax.chain(optax.sgd(0.1), optax.masked(optax.set_to_zero(), masked))
    found = one(explained((HEALTHY, weights), batch, optimizer=freeze({n: not m for n, m in mask.items()})), "no-gradient")
    assert found.layers == ("1",) and found.hint
    found = one(explained((HEALTHY, weights), batch, optimizer=freeze(dict.fromkeys(mask, True))), "no-gradient")
    assert len(found.layers) == 4 and not found.hint
    warm = optax.adam(optax.linear_schedule(0.0, 1e-3, 100))  # its first update is 0
    assert explained((HEALTHY, weights), batch, optimizer=warm) == ()


class Variables(nnx.Module):
    """Weights in a plain Variable, of which NNX takes no gradient."""

    def __init__(self, kind, rngs):
        self.first, self.last = nnx.Linear(INPUTS, WIDTH, rngs=rngs), nnx.Linear(WIDTH, CLASSES, rngs=rngs)
        self.first.kernel = kind(self.first.kernel[...])

    def __call__(self, x):
        return self.last(nnx.relu(self.first(x)))


def test_weights_that_are_no_parameters_are_named(weights, batch):
    found = one(explained(Variables(nnx.Variable, nnx.Rngs(0)), batch), "no-gradient")
    assert found.layers == ("first",) and not found.hint
    assert explained(Variables(nnx.Param, nnx.Rngs(0)), batch) == ()
    constant = lambda parameters, x: HEALTHY({**parameters, "1": weights["1"]}, x)
    assert one(explained((constant, {n: w for n, w in weights.items() if n != "1"}), batch), "no-gradient").hint


def test_layers_without_activation_are_a_linear_network(weights, batch):
    report = probe.read((IDENTITY, weights), batch, "cross_entropy", jacobian=False)
    found = one(diagnosis.explain(report), "linear-network")
    assert report.linearity.affine and found.layers == ("0", "1", "2") and not found.hint
    mean = lambda array: jnp.mean(array, axis=0, keepdims=True)
    inputs = batch[0]
    np.testing.assert_allclose(IDENTITY(weights, mean(inputs)), mean(IDENTITY(weights, inputs)), atol=1e-5)


def test_one_missing_activation_is_a_hint_and_a_bottleneck_is_none(weights, batch):
    found = one(explained((network(jax.nn.relu, lambda h: h, jax.nn.relu), weights), batch), "linear-network")
    assert found.layers == ("1",) and found.hint
    narrow = {**weights, "1": weights["1"][:, :3], "2": weights["2"][:3]}
    assert explained((network(jax.nn.relu, lambda h: h, jax.nn.relu), narrow), batch) == ()


class Normalised(nn.Module):
    """Layers with batch normalisation, and with or without an activation function."""

    activation: bool

    @nn.compact
    def __call__(self, x):
        for _ in range(3):
            x = nn.BatchNorm(use_running_average=False)(nn.Dense(WIDTH)(x))
            x = nn.relu(x) if self.activation else x
        return nn.Dense(CLASSES)(x)


def test_batch_normalisation_is_no_activation(key, batch):
    for activation in (False, True):
        model = Normalised(activation)
        findings = explained((model, model.init(key, batch[0])), batch)
        assert [found.kind for found in findings] == ([] if activation else ["linear-network"])


def test_equal_units_are_found_in_one_layer_too(weights, batch):
    equal = jnp.full_like(weights["1"], 0.1)
    found = one(explained((HEALTHY, {**weights, "1": equal}), batch), "equal-units")
    assert found.layers == ("1",) and "96%" in found.evidence  # 23 of 24
    twice = {**weights, "1": jnp.repeat(weights["1"][:, ::2], 2, axis=1), "2": jnp.repeat(weights["2"][::2], 2, axis=0)}
    assert one(explained((HEALTHY, twice), batch), "equal-units").layers == ("1",)


def test_all_weights_zero_and_adapters_with_both_factors_zero_never_move(weights, batch):
    zero = {name: jnp.zeros_like(w) for name, w in weights.items()}
    assert one(explained((HEALTHY, zero), batch), "equal-units").layers == ("0", "1", "2", "3")

    def adapted(parameters, x):
        return HEALTHY({**parameters, "1": parameters["1"] + parameters["a"] @ parameters["b"]}, x)

    factors = {"a": jnp.ones((WIDTH, 2)) * 0, "b": jnp.zeros((2, WIDTH))}
    found = one(explained((adapted, {**weights, **factors}), batch), "equal-units")
    assert found.layers == ("a", "b") and "stays" not in found.evidence
    factors["a"] = weights["1"][:, :2]
    assert explained((adapted, {**weights, **factors}), batch) == ()


def test_a_softmax_over_the_examples_mixes_them(weights, batch):
    mixing = network(jax.nn.relu, lambda h: jax.nn.softmax(h, axis=0) * EXAMPLES, jax.nn.relu)
    found = one(explained((mixing, weights), batch), "mixed-examples")
    assert found.layers == ("2",) and not found.hint
    assert explained((network(jax.nn.relu, lambda h: jax.nn.softmax(h) * WIDTH, jax.nn.relu), weights), batch) == ()
    centred = network(jax.nn.relu, lambda h: jnp.tanh(h - h.mean(axis=0)), jax.nn.relu)
    assert one(explained((centred, weights), batch, jacobian=True), "mixed-examples").hint


def test_a_parameter_whose_gradient_alone_is_not_finite_is_named(weights, batch):
    rooted = lambda parameters, x: HEALTHY(parameters, x) * (1 + jnp.sqrt(parameters["alpha"]))
    found = one(explained((rooted, {**weights, "alpha": jnp.zeros(())}), batch), "non-finite")
    assert found.layers == ("alpha",) and "1 entries" in found.evidence


@pytest.mark.parametrize("activation", [jnp.tanh, jax.nn.sigmoid])
def test_units_with_slope_0_on_both_sides_are_saturated_and_not_dead(weights, batch, activation):
    large = {name: w * 1e4 for name, w in weights.items()}
    findings = explained((network(*[activation] * 3), large), batch)
    found = one(findings, "saturated-units")
    assert "dead-units" not in {found.kind for found in findings} and found.remedies[0].scales
    scaled = batch[0] * 1e4, batch[1]
    found = [f for f in explained((network(*[activation] * 3), weights), scaled) if f.kind == "saturated-units"]
    assert all("scale the inputs" in f.remedies[0].action for f in found)


def test_biases_are_set_to_0_only_where_they_hold_units_down(weights, batch):
    def model(parameters, x):
        for i in range(3):
            x = jax.nn.relu(probe.tap(str(i), x @ parameters[str(i)]["kernel"] + parameters[str(i)]["bias"]))
        return probe.tap("3", x @ parameters["3"]["kernel"])

    layered = {name: {"kernel": w, "bias": jnp.zeros(w.shape[1])} for name, w in weights.items()}
    layered["1"]["bias"] -= 20
    assert one(explained((model, layered), batch), "dead-units").remedies[0].zeros == ("1",)
    layered["2"]["bias"] -= 20  # what this layer reads is 0 at every example
    assert one(explained((model, layered), batch), "dead-units").remedies[0].zeros == ("1", "2")
    layered["2"]["bias"] *= 0
    layered["1"]["bias"] *= jnp.linspace(0.5, 1.5, WIDTH)  # units that differ have been trained
    assert not any(remedy.zeros for remedy in one(explained((model, layered), batch), "dead-units").remedies)
    layered["1"]["bias"] *= 0
    layered["1"]["kernel"] = -jnp.abs(layered["1"]["kernel"])  # of inputs that are not negative
    remedies = one(explained((model, layered), batch), "dead-units").remedies
    assert "draw the weights again" in remedies[0].action and not any(remedy.zeros for remedy in remedies)
