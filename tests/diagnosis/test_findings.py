"""Findings on planted faults and on healthy models; predictions against mean-field theory and against what is measured."""

import math

import jax
import jax.numpy as jnp
import pytest

from experiments.diagnosis import measurement, programs
from jaxnotes import diagnosis, meanfield, probe
from jaxnotes.layers.activations import tanh

pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]


HEALTHY = {program.name: program for family in programs.healthy().values() for program in family}
FAULTY = {program.name: program for family in programs.faulty().values() for program in family}
# A fault of every kind that needs no more than the layers' readings.
PLANTED = (
    "weights of 0.01/linen",
    "weights of 1/linen",
    "sigmoid, twelve layers/linen",
    "saturated tanh/linen",
    "biases of -10/linen",
    "fifty layers of batch normalisation/linen",
    "batches of three/linen",
    "other inputs at inference/linen",
    "dropout left on/linen",
    "no key/linen",
    "one example for all/linen",
    "logarithm of negatives/linen",
    "Adam at 1/linen",
    "clipped at 0.0001/linen",
    "clipped at 10,000/nnx",
)
SOUND = (
    "He, ReLU, six layers/linen",
    "residual batch normalisation, twenty layers/linen",
    "GRU/linen",
    "pre-norm language model/linen",
    "two hidden layers/equinox",
    "dropout of 0.2/nnx",
    "convolutional/linen",
)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name, key):
    program = FAULTY[name]
    if program.inference:
        findings = measurement.measured(program, key)[0].trained.findings
    else:
        findings = measurement.read(program, program.model(key), key).findings
    assert {found.kind for found in findings} & set(program.kinds)
    for found in findings:
        assert found.kind in diagnosis.KINDS and found.evidence and found.remedies and (found.claims or found.source)
        assert all(remedy.action and remedy.effect for remedy in found.remedies)
    assert findings[0].kind in str(findings) and "<table>" in findings._repr_html_()


@pytest.mark.parametrize("name", SOUND)
def test_a_healthy_model_yields_no_finding(name, key):
    findings = measurement.read(HEALTHY[name], HEALTHY[name].model(key), key).findings
    assert findings == () and str(findings) == f"no findings among {len(findings.checks)} checks"
    assert "vanishing" in findings.checks


def stack(key, weight_variance, depth=12, width=256):
    """Equal tanh layers, plain JAX."""
    weights = jax.random.normal(key, (depth, width, width)) * math.sqrt(weight_variance / width)

    def model(parameters, x):
        for i in range(depth):
            x = probe.tap(f"layer{i:02}", (jnp.tanh(x) if i else x) @ parameters[f"layer{i:02}"])
        return x

    batch = jax.random.normal(jax.random.fold_in(key, 1), (32, width)), None
    return (model, {f"layer{i:02}": w for i, w in enumerate(weights)}), batch


def squares(outputs, targets):
    del targets
    return jnp.mean(jnp.sum(outputs * jnp.asarray(jnp.cos(jnp.arange(outputs.shape[1]))), axis=1))


def test_the_gradient_of_a_plain_stack_is_predicted(key):
    model, batch = stack(key, 0.5)
    report = probe.read(model, batch, squares, jacobian=False)
    predicted = diagnosis.predicted_gradients(report)
    assert list(predicted) == [layer.label for layer in report.layers]
    for layer in report.layers:  # width 256: the logarithm of a product of 11 gains has a standard error of some 0.03 decades
        assert predicted[layer.label] == pytest.approx(layer.log10_gradient_norm, abs=0.12)


def test_the_critical_variance_is_named_and_rescaling_to_it_is_verified(key):
    model, batch = stack(key, 0.05)
    options = {"jacobian": False}
    report = probe.read(model, batch, squares, **options)
    findings = diagnosis.explain(report)
    kinds = [found.kind for found in findings]
    assert kinds[:2] == ["initialisation", "vanishing-gradient"]
    critical = meanfield.critical_weight_variance(tanh, 0.0)
    (remedy,) = findings[0].remedies
    assert f"{critical:.3g} / fan-in" in remedy.action and remedy.predicted == 0
    assert all(factor == pytest.approx(math.sqrt(critical / 0.05), rel=0.02) for _, factor in remedy.scales)
    verified = diagnosis.verify(findings, report, model, batch, squares, **options)
    # χ = 0.05 is 0.65 decades per layer, over the 8 layers between the thirds at either end.
    assert verified[0].before.log10_gradient_ratio < -4 and abs(verified[0].after.log10_gradient_ratio) < 1
    assert verified[0].gone and "gone" in str(verified[0])
    assert float(jnp.var(model[1]["layer03"])) == pytest.approx(0.05 / 256, rel=0.05)  # the model itself is as it was


@pytest.mark.parametrize(("shift", "saturated"), [(0.0, False), (10.0, True)])
def test_relu6_is_saturated_at_its_upper_end_and_not_where_it_is_zero(key, shift, saturated):
    weights = jax.random.normal(key, (32, 32)) / math.sqrt(32)

    def model(parameters, x):
        hidden = probe.tap("hidden", x @ parameters["hidden"] + shift)
        return probe.tap("out", jax.nn.relu6(hidden) @ parameters["out"])

    batch = jax.random.normal(key, (64, 32)), jnp.arange(64) % 4
    parameters = {"hidden": weights, "out": weights[:, :4]}
    report = probe.read((model, parameters), batch, "cross_entropy", jacobian=False)
    assert report.layers[0].activation == "relu6"
    assert ("saturated-units" in [found.kind for found in diagnosis.explain(report)]) == saturated


def test_stacked_weights_are_rescaled_each_by_its_own_factor(key):
    weights = jax.random.normal(key, (6, 32, 32)) * jnp.asarray([0.01, 0.02, 0.01, 0.02, 0.01, 0.02]).reshape(6, 1, 1)

    def model(parameters, x):
        layer = lambda h, w: (jnp.tanh(probe.tap("stack", h @ w)), None)
        return probe.tap("out", jax.lax.scan(layer, x, parameters["stack"])[0] @ parameters["out"])

    parameters = {"stack": weights, "out": jax.random.normal(key, (32, 4)) / 6}
    batch = jax.random.normal(key, (32, 32)), jnp.arange(32) % 4
    report = probe.read((model, parameters), batch, "cross_entropy", jacobian=False)
    findings = diagnosis.explain(report)
    after = next(v for v in diagnosis.verify(findings, report, (model, parameters), batch, "cross_entropy", jacobian=False))
    assert after.kind == "initialisation" and after.gone


def test_a_value_that_is_not_finite_is_traced_to_its_origin(key):
    broken, sound = FAULTY["logarithm of negatives/linen"], HEALTHY["two hidden layers/linen"]
    findings = measurement.read(broken, broken.model(key), key).findings
    assert [found.kind for found in findings] == ["non-finite"] and findings[0].layers == ("Dense_2",)
    module, variables = sound.model(key)
    variables = jax.tree.map(lambda p: p.at[0].set(jnp.inf), variables)
    (found,) = measurement.read(sound, (module, variables), key).findings
    assert "parameters" in found.evidence and "before the model computes anything" in found.evidence


def test_batch_normalisations_explosion_comes_with_theorys_growth(key):
    program = FAULTY["fifty layers of batch normalisation/linen"]
    findings = measurement.read(program, program.model(key), key).findings
    found = next(found for found in findings if found.kind == "batch-norm-explosion")
    assert "by a factor of 1.47 per layer" in found.evidence  # π / (π - 1), Yang et al. 2019


def test_a_hint_is_said_to_be_one():
    remedy = diagnosis.Remedy("look", "see")
    sure = diagnosis.Finding("inputs", (), "RMS 300", (), (remedy,), source="a paper")
    unsure = diagnosis.Finding("targets", (), "one class", (), (remedy,), hint=True)
    findings = diagnosis.Findings([sure, unsure], ("inputs", "targets"))
    assert findings.summary == "1 finding and 1 hint among 2 checks"
    assert "targets (hint)" in str(findings) and "inputs (hint)" not in str(findings) and "source: a paper" in str(findings)
    assert "targets (hint)" in findings._repr_html_() and unsure.as_dict()["hint"] is True


def test_explain_takes_reports_only(unchecked):
    with pytest.raises(TypeError, match="probe.read"):
        diagnosis.explain(3)
