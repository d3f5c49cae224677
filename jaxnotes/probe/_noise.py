"""The gradient noise scale: how large a batch is worth its cost."""

import math


def noise_scale(small_square: float, large_square: float, small: int, large: int) -> float:
    """Returns the simple noise scale tr(Σ) / |G|² in examples, from gradients of batches of two sizes.

    McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", appendix A.1: with |G_B|² the squared norm of the
    gradient of a batch of B examples, |G|² is estimated by (L |G_L|² - S |G_S|²) / (L - S), and tr(Σ) by
    (|G_S|² - |G_L|²) / (1/S - 1/L), both without bias. Give means over several steps; of one device's gradient and of all
    devices' mean, for instance.

    Args:
      small_square: mean squared norm of the gradient of the smaller batches.
      large_square: the same of the larger batches.
      small: examples in a smaller batch.
      large: examples in a larger batch.

    Returns:
      The noise scale; infinite where the noise hides the gradient.

    Raises:
      ValueError: the sizes are not 0 < small < large.

    >>> noise_scale(small_square=5.0, large_square=3.0, small=32, large=64)  # |G|² = 1, tr(Σ) = 128
    128.0
    """
    if not 0 < small < large:
        raise ValueError(f"the batches have {small} and {large} examples, expected 0 < small < large")
    square = (large * large_square - small * small_square) / (large - small)
    trace = (small_square - large_square) / (1 / small - 1 / large)
    return trace / square if square > 0 else math.inf
