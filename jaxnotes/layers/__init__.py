"""Layers: pure functions on arrays, one concept a module."""
