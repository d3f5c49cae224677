"""What normalisation does: its formula and moments, the scales and gradients of deep stacks, and training with it."""
