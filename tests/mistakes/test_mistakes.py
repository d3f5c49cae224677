"""The classic mistakes, each planted in a copy of the source: the test that is named beside it must fail there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
NORMALIZATION, DROPOUT, POOLING = (f"jaxnotes/layers/{name}.py" for name in ("normalization", "dropout", "pooling"))


class Mistake(NamedTuple):
    """One edit of one file, and the test that catches it."""

    file: str
    right: str
    wrong: str
    caught_by: str


MISTAKES = {
    "batch normalisation by the unbiased variance": Mistake(
        NORMALIZATION,
        "jnp.mean((x - mean) ** 2, axes, keepdims=True)",
        "jnp.var(x, axes, keepdims=True, ddof=1)",
        "tests/layers/test_normalization.py::test_batch_norm_equals_flax_with_its_running_statistics",
    ),
    "statistics updated at inference": Mistake(
        NORMALIZATION,
        "epsilon, (x.ndim - 1,)), state",
        "epsilon, (x.ndim - 1,)), {n: 0.9 * s + 0.1 * x.reshape(-1, x.shape[-1]).mean(0) for n, s in state.items()}",
        "tests/layers/test_normalization.py::test_batch_norm_equals_flax_with_its_running_statistics",
    ),
    "the variance as E[x²] − E[x]²": Mistake(
        NORMALIZATION,
        "jnp.mean((x - mean) ** 2, axes, keepdims=True)",
        "jnp.mean(x**2, axes, keepdims=True) - mean**2",
        "tests/layers/test_normalization.py::test_the_variance_of_a_large_mean_does_not_cancel",
    ),
    "epsilon outside of the root": Mistake(
        NORMALIZATION,
        "jax.lax.rsqrt(variance.astype(dtype) + epsilon)",
        "(1 / (jnp.sqrt(variance.astype(dtype)) + epsilon))",
        "tests/layers/test_normalization.py::test_batch_norm_equals_flax_with_its_running_statistics",
    ),
    "layer normalisation over the batch": Mistake(
        NORMALIZATION,
        "return _finish(params, x, *mean_and_variance(x, axes), epsilon, axes)",
        "return _finish(params, x, *mean_and_variance(x, 0), epsilon, axes)",
        "tests/layers/test_normalization.py::test_layer_and_rms_norm_equal_flax_over_any_axes",
    ),
    "the momentum as the weight of the new value": Mistake(
        NORMALIZATION,
        "return momentum * old + (1 - momentum) *",
        "return (1 - momentum) * old + momentum *",
        "tests/layers/test_normalization.py::test_the_running_variance_is_biased_or_unbiased_and_momentum_weighs_the_old_value",
    ),
    "dropout without 1/p": Mistake(
        DROPOUT,
        "_masked(x / jnp.where(keep > 0, keep, jnp.ones_like(keep)), keep_probability, key)",
        "_masked(x, keep_probability, key)",
        "tests/layers/test_dropout.py::test_the_inverted_form_equals_flax_on_the_same_key",
    ),
    "the probability to drop for the one to keep": Mistake(
        DROPOUT,
        "jax.random.bernoulli(key, keep_probability, ",
        "jax.random.bernoulli(key, 1 - keep_probability, ",
        "tests/layers/test_dropout.py::test_the_probability_is_the_one_to_keep",
    ),
    "padded cells in the count of an average": Mistake(
        POOLING,
        'if padding != "SAME" or count_padding:',
        "if True:",
        "tests/layers/test_pooling.py::test_padded_cells_counted_or_not",
    ),
    "padded cells out of the count of an average": Mistake(
        POOLING,
        'if padding != "SAME" or count_padding:',
        'if padding != "SAME":',
        "tests/layers/test_pooling.py::test_padded_cells_counted_or_not",
    ),
    "the LSTM's input and forget gates swapped": Mistake(
        "jaxnotes/layers/recurrent.py",
        "into, forget, candidate, out = jnp.split",
        "forget, into, candidate, out = jnp.split",
        "tests/layers/test_recurrent.py::test_forward_and_gradient_equal_flax",
    ),
    "a causal mask that shows the next position": Mistake(
        "jaxnotes/layers/attention.py",
        "jnp.tril(jnp.ones(scores.shape[1:], bool))",
        "jnp.tril(jnp.ones(scores.shape[1:], bool), 1)",
        "tests/layers/test_attention.py::test_dot_products_equal_jax",
    ),
    "a causal mask that hides the position itself": Mistake(
        "jaxnotes/layers/attention.py",
        "jnp.tril(jnp.ones(scores.shape[1:], bool))",
        "jnp.tril(jnp.ones(scores.shape[1:], bool), -1)",
        "tests/layers/test_attention.py::test_dot_products_equal_jax",
    ),
    "the activation after the residual sum": Mistake(
        "jaxnotes/models/residual_network.py",
        "    return partial(residual, branch, branch_scale=branch_scale, shortcut_scale=shortcut_scale)",
        "    branch = linear\n"
        "    added = partial(residual, branch, branch_scale=branch_scale, shortcut_scale=shortcut_scale)\n"
        "    return lambda params, h: activation(added(params, h))",
        "tests/models/test_networks.py::test_forward_and_gradient_equal_flax",
    ),
    "He's gain where tanh wants none": Mistake(
        "jaxnotes/layers/initializers.py",
        '"""N(0, 1 / n_in) (LeCun et al. 1998)."""\n    return _normal(key, n_in, n_out, 1, n_in, dtype)',
        '"""N(0, 1 / n_in) (LeCun et al. 1998)."""\n    return _normal(key, n_in, n_out, 2, n_in, dtype)',
        "tests/layers/test_initializers.py::test_moments_and_distribution",
    ),
    "a Jacobian transposed": Mistake(
        "jaxnotes/jacobians/_products.py",
        "    return _end_to_end(f, params, x)",
        "    return jnp.swapaxes(_end_to_end(f, params, x), -1, -2)",
        "tests/jacobians/test_products.py",
    ),
    "a layer's Jacobian transposed": Mistake(
        "jaxnotes/jacobians/_products.py",
        "    return _local_jacobians(f, params, x)",
        "    return jnp.swapaxes(_local_jacobians(f, params, x), -1, -2)",
        "tests/jacobians/test_products.py",
    ),
    "the sum of the losses for their mean": Mistake(
        "jaxnotes/training.py",
        "(logits, labels).mean()",
        "(logits, labels).sum()",
        "tests/test_training.py::test_cross_entropy_and_accuracy_by_hand",
    ),
    "the mean over the batch for the sum in a gradient's norm": Mistake(
        "jaxnotes/layers/clipping.py",
        "sum((jnp.sum((array / scale) ** 2)",
        "sum((jnp.mean((array / scale) ** 2)",
        "tests/layers/test_clipping.py",
    ),
    "clipping after the update": Mistake(
        "experiments/remedies/clipping.py",
        "            gradient = clipped_by(form, gradient, settings.clip_step_limit)\n"
        "            updates, optimizer_state = optimizer.update(gradient, optimizer_state)\n",
        "            updates, optimizer_state = optimizer.update(gradient, optimizer_state)\n"
        "            updates = clipped_by(form, updates, settings.clip_step_limit)\n",
        "tests/experiments/remedies/test_remedies.py::test_the_gradient_is_clipped_before_the_momentum_and_the_rate",
    ),
    "Adam without its bias correction": Mistake(
        "experiments/study/tuning.py",
        "    return optax.adam(optax.cosine_decay_schedule(rate, steps))",
        "    scale = optax.scale_by_rms(0.999, 1e-8, bias_correction=False)\n"
        "    rates = optax.cosine_decay_schedule(rate, steps)\n"
        "    return optax.chain(optax.trace(0.9), scale, optax.scale_by_learning_rate(rates))",
        "tests/experiments/study/test_tuning.py::test_adam_takes_a_traced_rate_and_falls_as_a_cosine",
    ),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the project, in which a mistake is planted and taken out again."""
    folder = tmp_path_factory.mktemp("planted")
    for name in ("jaxnotes", "experiments", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "locale"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.mark.parametrize("name", MISTAKES)
def test_a_planted_mistake_is_caught(copy, name):
    mistake = MISTAKES[name]
    source = (ROOT / mistake.file).read_text(encoding="utf-8")
    assert source.count(mistake.right) == 1, f"{mistake.file} has changed: plant this mistake anew"
    (copy / mistake.file).write_text(source.replace(mistake.right, mistake.wrong), encoding="utf-8")
    options = ["-x", "-q", "-n0", "-p", "no:cacheprovider", mistake.caught_by]
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-m", "pytest", *options], cwd=copy, env=environment, capture_output=True, text=True)
    (copy / mistake.file).write_text(source, encoding="utf-8")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, f"not caught: {done.stdout[-2000:]}{done.stderr[-2000:]}"
