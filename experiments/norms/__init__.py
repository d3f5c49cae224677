"""Batch against layer normalisation: axes, batch size, kinds of network, running statistics."""
