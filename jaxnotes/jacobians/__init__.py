"""Layer-wise Jacobians and gradients of a stack of equal layers, by JAX's own differentiation, in one sweep each."""

from jaxnotes.jacobians._gradients import (
    gradient_norms,
    gradient_norms_by_added_zeros,
    log_gradient_norms,
    tapped_stack,
    value_and_gradient_norms,
    zeros_for_norms,
)
from jaxnotes.jacobians._hutchinson import Estimate, hutchinson_frobenius, hutchinson_log_frobenius
from jaxnotes.jacobians._paths import log_path_counts, log_path_norms, path_contributions
from jaxnotes.jacobians._products import end_to_end, local_jacobians, log_frobenius_norms
from jaxnotes.jacobians._spectrum import (
    Spectrum,
    SpectrumAccuracyWarning,
    log_singular_values,
    log_singular_values_with_error,
)

__all__ = [
    "Estimate",
    "Spectrum",
    "SpectrumAccuracyWarning",
    "end_to_end",
    "gradient_norms",
    "gradient_norms_by_added_zeros",
    "hutchinson_frobenius",
    "hutchinson_log_frobenius",
    "local_jacobians",
    "log_frobenius_norms",
    "log_gradient_norms",
    "log_path_counts",
    "log_path_norms",
    "log_singular_values",
    "log_singular_values_with_error",
    "path_contributions",
    "tapped_stack",
    "value_and_gradient_norms",
    "zeros_for_norms",
]
