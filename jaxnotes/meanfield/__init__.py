"""Infinite-width theory of random networks, in float64, for any elementwise activation function that JAX can trace."""

from jaxnotes.meanfield._batch_norm import batch_norm_gain
from jaxnotes.meanfield._depth import (
    log_gradient_gain,
    log_norm_variance,
    log_residual_gain,
    residual_gain,
    variance_trajectory,
)
from jaxnotes.meanfield._fixed_points import (
    chi,
    correlation_fixed_point,
    critical_weight_variance,
    depth_scales,
    fixed_point,
)
from jaxnotes.meanfield._maps import correlation_map, correlation_map_slope, variance_map, variance_map_slope

__all__ = [
    "batch_norm_gain",
    "chi",
    "correlation_fixed_point",
    "correlation_map",
    "correlation_map_slope",
    "critical_weight_variance",
    "depth_scales",
    "fixed_point",
    "log_gradient_gain",
    "log_norm_variance",
    "log_residual_gain",
    "residual_gain",
    "variance_map",
    "variance_map_slope",
    "variance_trajectory",
]
