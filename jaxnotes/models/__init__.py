"""Models: composed from layers, with equal layers stacked and run by `lax.scan`."""
