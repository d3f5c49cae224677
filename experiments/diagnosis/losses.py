"""Losses as users write them, right ones and wrong ones: (outputs, targets) -> number."""

import jax
import jax.numpy as jnp
import optax
from jax import Array


def binary_of_logits(outputs: Array, targets: Array) -> Array:
    """Binary cross-entropy of logits."""
    return optax.sigmoid_binary_cross_entropy(outputs, targets).mean()


def binary_of_probabilities(outputs: Array, targets: Array) -> Array:
    """Binary cross-entropy of probabilities, guarded at 0 and 1."""
    p = jnp.clip(outputs, 1e-6, 1 - 1e-6)
    return -jnp.mean(targets * jnp.log(p) + (1 - targets) * jnp.log(1 - p))


def binary_unguarded(outputs: Array, targets: Array) -> Array:
    """Binary cross-entropy of probabilities, without a guard."""
    return -jnp.mean(targets * jnp.log(outputs) + (1 - targets) * jnp.log(1 - outputs))


def cross_entropy_one_hot(outputs: Array, targets: Array) -> Array:
    """Softmax cross-entropy of logits with one-hot targets."""
    return optax.softmax_cross_entropy(outputs, targets).mean()


def cross_entropy(outputs: Array, targets: Array) -> Array:
    """Softmax cross-entropy of logits with integer labels."""
    return optax.softmax_cross_entropy_with_integer_labels(outputs, targets).mean()


def smoothed(outputs: Array, targets: Array) -> Array:
    """Softmax cross-entropy of logits with labels smoothed by 0.1."""
    one_hot = optax.smooth_labels(jax.nn.one_hot(targets, outputs.shape[-1]), 0.1)
    return optax.softmax_cross_entropy(outputs, one_hot).mean()


def likelihood_of_logs(outputs: Array, targets: Array) -> Array:
    """Negative log likelihood of log probabilities: minus the target's entry."""
    return -jnp.take_along_axis(outputs, targets[..., None], -1).mean()


def likelihood_of_probabilities(outputs: Array, targets: Array) -> Array:
    """Negative log likelihood of probabilities."""
    return -jnp.log(jnp.take_along_axis(outputs, targets[..., None], -1) + 1e-7).mean()


def likelihood_unguarded(outputs: Array, targets: Array) -> Array:
    """Negative log likelihood of probabilities, without a guard at 0."""
    return -jnp.log(jnp.take_along_axis(outputs, targets[..., None], -1)).mean()


def climbed(outputs: Array, targets: Array) -> Array:
    """Cross-entropy with the sign lost: the model unlearns."""
    return -cross_entropy(outputs, targets)


def summed(outputs: Array, targets: Array) -> Array:
    """Cross-entropy summed over the batch."""
    return optax.softmax_cross_entropy_with_integer_labels(outputs, targets).sum()


def broadcast_squares(outputs: Array, targets: Array) -> Array:
    """Squared error that lets shapes broadcast."""
    return jnp.mean((outputs - targets) ** 2)


def signed(outputs: Array, targets: Array) -> Array:
    """A difference without the square: falls for ever."""
    return jnp.mean(outputs - targets)


def climbed_squares(outputs: Array, targets: Array) -> Array:
    """Minus the squared error."""
    return -broadcast_squares(outputs, targets)


def wrong_targets_sign(outputs: Array, targets: Array) -> Array:
    """Squared error with a plus in place of the minus."""
    return jnp.mean((outputs + targets) ** 2)


def constant(outputs: Array, targets: Array) -> Array:
    """A metric in place of a loss: the share of errors, whose gradient is 0."""
    return jnp.mean((outputs.argmax(-1) != targets).astype(jnp.float32))


def absolute(outputs: Array, targets: Array) -> Array:
    """Mean absolute error."""
    return jnp.mean(jnp.abs(outputs - targets))


def huber(outputs: Array, targets: Array) -> Array:
    """Huber's loss."""
    return optax.huber_loss(outputs, targets).mean()


def hinge_of_signs(outputs: Array, targets: Array) -> Array:
    """Hinge loss of one output, targets -1 and 1."""
    return jnp.maximum(0, 1 - targets * outputs).mean()


def hinge(outputs: Array, targets: Array) -> Array:
    """Hinge loss of one output, targets 0 and 1."""
    return hinge_of_signs(outputs, 2 * targets - 1)


def gaussian(outputs: Array, targets: Array) -> Array:
    """Negative log likelihood of a normal density, outputs (mean, log standard deviation); may well be negative."""
    mean, log_scale = outputs[..., :1], outputs[..., 1:]
    return jnp.mean(0.5 * ((targets - mean) * jnp.exp(-log_scale)) ** 2 + log_scale)


def elbo(outputs: tuple[Array, Array, Array], targets: Array, weight: float = 1.0) -> Array:
    """Minus the evidence bound per example: outputs (logits of pixels, mean, log variance)."""
    logits, mean, log_variance = outputs
    fit = optax.sigmoid_binary_cross_entropy(logits, targets).sum(-1).mean()
    divergence = 0.5 * jnp.sum(jnp.exp(log_variance) + mean**2 - 1 - log_variance, -1).mean()
    return fit + weight * divergence


def heavy_elbo(outputs: tuple[Array, Array, Array], targets: Array) -> Array:
    """The bound with a divergence that counts 100 times."""
    return elbo(outputs, targets, 100.0)


def masked(outputs: Array, targets: Array) -> Array:
    """Cross-entropy over the positions whose label is not negative."""
    keep = targets >= 0
    each = optax.softmax_cross_entropy_with_integer_labels(outputs, jnp.where(keep, targets, 0))
    return jnp.sum(each * keep) / jnp.maximum(keep.sum(), 1)
