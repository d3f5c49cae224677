"""The sigmoid's ends as the topic saturation finds them, and its stacks against SciPy and mean-field theory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from experiments.saturation import floats, measurement
from experiments.saturation.settings import Saturation
from experiments.study import figures, results, rules

pytestmark = pytest.mark.usefixtures("standard_promotion")


@pytest.mark.parametrize(
    "name, one, zero",
    # In units of ln 2: 1 + e^-x rounds to 1 at the type's precision; e^x reaches 0 below half the smallest subnormal, or
    # below the smallest normal number where subnormals are flushed.
    [("float32", 24, (-150, -126)), ("float64", 53, (-1075, -1022))],
)
def test_where_the_sigmoid_reaches_its_ends(name, one, zero):
    one, zero = one * np.log(2), np.multiply(zero, np.log(2))
    with jax.enable_x64(True):
        found = {measured.name: measured.value for measured in floats.ends(name)}
    assert found[f"one-{name}"] == pytest.approx(one, rel=1e-3)
    assert zero[0] * 1.001 <= found[f"zero-{name}"] <= zero[1] * 0.999


def test_the_smallest_magnitude_is_between_neighbours():
    found = floats.smallest_magnitude("float32", lambda x: x >= jnp.float32(0.1))
    assert np.float32(found) == np.float32(0.1)


def test_saturated_units_are_counted_as_by_scipy(key):
    params, x = measurement.draw_stack(Saturation(width=8, depth=3, batch=4), key, jnp.float32(16.0), jnp.float32(18.0))
    h, shares = np.asarray(x, np.float64), []
    for weight, bias in zip(np.asarray(params["weight"]), np.asarray(params["bias"]), strict=True):
        z = h @ weight + bias
        h = special.expit(z)
        shares.append(np.mean(h * special.expit(-z) < 0.05 * 0.25))
    assert 0 < np.mean(shares) < 1
    assert float(measurement.saturated_units(params, x)) == pytest.approx(np.mean(shares), abs=1e-6)


def test_the_gain_of_a_wide_stack_is_that_of_mean_field_theory(key):
    settings = Saturation.preset("quick", width=128, seeds=6, bias_variances=(0.01, 64.0))
    evidence = measurement.blocks(settings, key)["saturation.blocks"]
    for name in ("gain-unsaturated", "gain-saturated"):
        # The finite-width correction to a layer's log gain is of the order of 1/128.
        assert evidence[name].value == pytest.approx(evidence[name].prediction, rel=0.05)
    assert evidence["saturated-fraction-low"].high < 0.1 < evidence["saturated-fraction-high"].low


def test_every_claim_is_measured_judged_and_drawn(key, tmp_path, unchecked):
    settings = Saturation.preset("quick", width=16, seeds=2, batch=2)
    evidence = measurement.TOPIC.measure(settings, key)
    claims = rules.load_claims("saturation")
    assert set(evidence) == set(claims)
    run = results.Run("saturation", "", 0, "quick", vars(settings), {}, "cpu", 0.0, "")
    judged = results.judged(run, evidence)
    assert judged.claims["saturation.range"].verdict == "holds"
    assert judged.claims["saturation.limits"].verdict == judged.claims["saturation.derivative"].verdict == "holds"
    figures.draw_topic(tmp_path, judged)
    names = {name for claim in claims for name in results.figure_files(claim, "quick")}
    assert {path.name for path in (tmp_path / "figures").iterdir()} == names
