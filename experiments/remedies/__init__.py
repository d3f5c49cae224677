"""Remedies: initialisation, activation, normalisation, clipping, fewer layers, shortcuts and adaptive optimisers."""
