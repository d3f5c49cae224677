"""The question residual at initialisation against what is known of it, at sizes that run in seconds."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.residual import measurement as residual
from experiments.study import rules

pytestmark = pytest.mark.usefixtures("standard_promotion")


def test_the_sum_of_paths_is_the_product_of_blocks(key):
    with jax.enable_x64(True):
        branches = jax.random.normal(key, (4, 3, 3), jnp.float64)
        product = np.eye(3)
        for branch in np.asarray(branches):
            product = (np.eye(3) + branch) @ product
        np.testing.assert_allclose(residual.sum_of_paths(branches), product, rtol=1e-12)


def test_residual_claims_at_initialisation(key):
    settings = residual.Residual.preset("quick", width=24, seeds=3, batch=2, depths=(5, 20), path_depth=6, branch_depth=40)
    for part in (residual.form, residual.identity, residual.path, residual.small_branch, residual.large_branch):
        for identifier, evidence in part(settings, key).items():
            verdict = rules.judge(rules.load_claims()[identifier], evidence.measurements, dataclasses.asdict(settings)).verdict
            if identifier != "residual.path":  # its path lengths need more width than this
                assert verdict == ("fails" if identifier == "residual.large-branch" else "holds"), identifier
            if identifier == "residual.path":
                assert evidence["shortcut-difference"].high == 0.0 and evidence["sum-error-float64"].high < 1e-13
