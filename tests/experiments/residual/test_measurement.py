"""The question residual at initialisation against what is known of it, at sizes that run in seconds; and its rules."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from experiments.residual import measurement as residual
from experiments.residual import paths, trained
from experiments.residual.stacks import normalised_gains
from experiments.residual.training import Run
from experiments.study import rules
from experiments.study.measurement import Evidence, Measurement

pytestmark = pytest.mark.usefixtures("standard_promotion")
CLAIMS = rules.load_claims("residual")
SMALL = {"width": 24, "wide": 48, "seeds": 3, "batch": 2, "depths": (5, 20), "path_depth": 6, "branch_depth": 40}


def test_the_sum_of_paths_is_the_product_of_blocks(key):
    with jax.enable_x64(True):
        branches = jax.random.normal(key, (4, 3, 3), jnp.float64)
        product = np.eye(3)
        for branch in np.asarray(branches):
            product = (np.eye(3) + branch) @ product
        np.testing.assert_allclose(residual.sum_of_paths(branches), product, rtol=1e-12)


def test_residual_claims_at_initialisation(key):
    settings = residual.Residual.preset("quick", **SMALL)
    for part in (residual.form, residual.identity, residual.path, residual.small_branch, residual.large_branch):
        for identifier, evidence in part(settings, key).items():
            verdict = rules.judge(CLAIMS[identifier], evidence, dataclasses.asdict(settings)).verdict
            assert verdict == ("fails" if identifier == "residual.large-branch" else "holds"), identifier


def test_long_paths_by_theory(key):
    settings = residual.Residual.preset("quick", seeds=3, batch=2, long_depth=20, long_width=32)
    evidence = paths.long_paths(settings, key, np.eye(21)[[3, 3, 4]])  # three networks whose paths are all of one length
    for name in ("unscaled", "scaled", "normalised"):
        found = evidence[f"length-{name}"]
        assert found.value == pytest.approx(found.prediction, rel=0.25), name
    assert evidence["length-trained"].value == pytest.approx(10 / 3) and evidence["long-share-trained"].value == 0
    assert evidence["longest-normalised"].value < -10


def test_shares_by_path_length_are_binomial_where_all_branches_are_alike():
    np.testing.assert_allclose(paths.predicted_share(np.full(9, 0.5)), stats.binom.pmf(np.arange(10), 9, 1 / 3), rtol=1e-12)


def test_gain_of_a_normalised_branch():
    """By the stream's variance, block by block: φ of N(0, 1) has E φ'² = 1/2 and Var φ = 1/2 − 1/2π."""
    variance, gains = 1.0, []
    for _ in range(5):
        gains.append(8 / 2 / variance)
        variance += 8 * (1 / 2 - 1 / (2 * np.pi))
    np.testing.assert_allclose(normalised_gains(8.0, 5), gains, rtol=1e-6)


def test_size_of_a_normalised_branch(key):
    settings = residual.Residual.preset("quick", width=96, normalised_batch=96, seeds=4, branch_depth=20)
    stream = 1 + 2 * (1 / 2 - 1 / (2 * np.pi)) * np.arange(21)
    expected = np.sqrt(np.diff(stream) / stream[:-1])
    np.testing.assert_allclose(residual.branch_sizes(settings, key, 2.0).mean(0), expected, rtol=0.08)


def test_a_network_that_is_not_finite_does_not_train():
    losses, error = np.asarray([[2.0, 0.1], [2.0, np.nan], [2.0, 2.0]]), np.asarray([0.02, 0.02, 0.9])
    runs = Run(losses, error, *[np.zeros(3)] * 4)
    assert trained.trains(runs).tolist() == [True, False, False] and trained.finite(runs).tolist() == [True, False, True]


def verdict(identifier: str, **values: float) -> str:
    """The verdict where each measurement is as given, ± 0.001."""
    claim = CLAIMS[f"residual.{identifier}"]
    named = {name.replace("_", "-"): value for name, value in values.items()}
    for criterion in [*sum(claim.criteria.values(), ()), *(report.criterion for report in claim.published)]:
        named.setdefault(rules.parse(criterion)["name"], 0.0)
    texts = " ".join([*claim.condition.values(), *claim.counterexample.values()])
    for name in rules.named_in(texts):
        named.setdefault(name, 0.0)
    found = tuple(Measurement(name, value, value - 1e-3, value + 1e-3, 8) for name, value in named.items())
    return rules.judge(claim, Evidence(found), dataclasses.asdict(residual.Residual())).verdict


DEEP = {"trained_residual_deepest": 0.95, "accuracy_residual_extreme": 0.9}
PLAIN = {"change_plain_leaky": 0.3, "change_plain_leaky_long": 0.2, "gradient_before_plain_leaky": 3.0}
PATHS = {"longest_normalised": -90.0, "long_share_trained": 0.01}


@pytest.mark.parametrize(
    ("identifier", "values", "expected"),
    [
        ("large-branch", {"log_ratio_unscaled": 0.5}, "holds"),
        ("large-branch", {"log_ratio_unscaled": 5.0}, "undecided"),
        ("large-branch", {"log_ratio_unscaled": 80.0}, "fails"),
        ("deep", DEEP | {"trained_unnormalised_deepest": 0.9}, "holds"),
        ("deep", DEEP | {"trained_unnormalised_deepest": 0.1}, "holds-if"),
        ("deep", DEEP | {"trained_unnormalised_deepest": 0.499}, "undecided"),
        ("deep", DEEP | {"accuracy_residual_extreme": 0.3}, "undecided"),
        ("deep", DEEP | {"trained_residual_deepest": 0.1}, "fails"),
        ("degradation", PLAIN, "holds"),
        ("degradation", PLAIN | {"change_unnormalised": 0.4}, "holds-if"),
        ("degradation", PLAIN | {"change_plain_leaky": 0.01}, "undecided"),
        ("degradation", PLAIN | {"change_plain_leaky_long": 0.01}, "undecided"),
        ("degradation", PLAIN | {"change_residual_leaky": 0.2}, "undecided"),
        ("degradation", PLAIN | {"gradient_before_plain_leaky": -3.0}, "undecided"),
        ("degradation", PLAIN | {"change_residual": 0.1}, "fails"),
        ("long-paths", PATHS, "holds"),
        ("long-paths", PATHS | {"long_share_unscaled": 0.9}, "holds-if"),
        ("long-paths", PATHS | {"long_share_unscaled": 0.9, "longest_normalised": -5.0}, "undecided"),
        ("long-paths", PATHS | {"long_share_unscaled": 0.9, "long_share_normalised": 0.9}, "fails"),
    ],
)
def test_rules(identifier, values, expected):
    assert verdict(identifier, **values) == expected
