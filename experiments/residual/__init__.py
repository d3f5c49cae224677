"""Residual connections: the identity in the Jacobian, the paths it opens, what it does to gradients, and training with it."""
