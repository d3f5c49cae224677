"""Why gradients vanish or explode: products of Jacobians, their growth with depth, and what sets their factors."""
