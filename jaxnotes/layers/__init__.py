"""Layers: pure functions on arrays, one concept per module."""
