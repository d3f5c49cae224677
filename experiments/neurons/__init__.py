"""Neurons and activations: what a unit computes, what each kind of network sees, and what activations add."""
