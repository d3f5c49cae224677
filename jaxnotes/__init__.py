"""Interview notes on deep learning, put to the test in JAX: layers, models, training, Jacobians and mean-field theory."""

__version__ = "0.1.0"
